"""A patient's own appointments: to come, over, waited for and asked for; or the links to them by mail."""

from datetime import timedelta

from flask import g, redirect, render_template, request, url_for

from storage import accounts, follow_ups, outbox, requests, views, waitlist
from web.forms import Form
from web.portal.access import Answer, bp
from web.security import public
from web.services import now, reading, settings, transaction


@bp.get("/appointments/my-appointments/")
@public
def mine() -> Answer:
    """Upcoming and past ones of a patient who is logged in; otherwise a form that mails the links."""
    if g.actor.is_staff:
        return redirect(url_for("calendar.calendar"))
    if g.patient is None:
        return render_template("appointment/find.html", form=Form(), sent=False)
    with reading() as session:
        upcoming, past = views.visits_of_patient(session, g.patient.id, now())
        following = follow_ups.listed(session, patients=[g.patient.id], statuses=follow_ups.OPEN)
        waiting = waitlist.list_entries(session, patient=g.patient, statuses=["waiting", "offered"])
        doctors = {doctor.id: doctor for doctor in accounts.doctors(session)}
        kinds = {kind.code: kind for kind in views.types(session, all_of_them=True)}
        asked = requests.listed(session, patients=[g.patient.id])
    return render_template(
        "appointment/mine.html",
        following=following,
        follow_up_url=lambda row: follow_ups.url(settings(), row.follow_up),
        upcoming=upcoming,
        past=past,
        waiting=waiting,
        doctors=doctors,
        kinds=kinds,
        unconfirmed={each.appointment.id for each in asked if each.request.kind == "book"},
    )


@bp.post("/appointments/my-appointments/")
@public
def send_links() -> Answer:
    """Mail the manage links. The answer is the same whether the address is known or not."""
    form = Form(request.form)
    email = form.email(required="Enter your e-mail address.")
    if not form:
        return render_template("appointment/find.html", form=form, sent=False), 422
    with transaction() as session:
        for patient in views.patients_with_email(session, email):
            outbox.add(
                session,
                template="manage_links",
                channel="email",
                # Once in ten minutes, however often somebody asks
                dedupe_key=f"manage_links:{patient.id}:{now():%Y%m%d%H%M}"[:-1],
                patient_id=patient.id,
                due_at=now(),
                expires_at=now() + timedelta(hours=4),
            )
    return render_template("appointment/find.html", form=form, sent=True)
