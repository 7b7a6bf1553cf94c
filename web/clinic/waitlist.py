"""Who waits, in order, and what is offered to whom: by itself, or by hand by whoever sits at the telephone."""

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical.errors import NotFound, Refusal
from ical.waitlist import URGENCIES
from storage import accounts, matches, offers, views, waitlist, wanted
from storage.models import Account, WaitlistEntry
from storage.policy import can, require
from web import wishes
from web.clinic import doctors
from web.forms import Form, midnight, read_instant
from web.portal.booking import offered_types
from web.portal.times import zone_of
from web.security import policy
from web.services import now, reading, settings, transaction
from web.wishes import WishForm

bp = Blueprint("doctor_waitlist", __name__, url_prefix="/appointments/doctor/waitlist")

Page = str | Response | tuple[str, int]
_PROPOSED = 8


@bp.get("/")
@policy("waitlist.offer")
def listed() -> str:
    with reading() as session:
        doctor, choices = doctors.chosen(session, "waitlist.offer")
        kinds = {kind.code: kind for kind in views.types(session, all_of_them=True)}
        urgency = request.args.get("urgency", "")
        kept = {"type": request.args.get("type", ""), "urgency": urgency if urgency in URGENCIES else ""}
        entries = waitlist.list_entries(
            session, doctor=doctor, statuses=wanted.OPEN, kind=kept["type"], urgency=kept["urgency"]
        )
        return render_template(
            "doctor/waitlist.html",
            doctor=doctor,
            choices=choices,
            kept=kept,
            kinds=kinds,
            urgencies=wishes.URGENCIES,
            urgency_of=wanted.URGENCY_OF,
            entries=entries,
            people=waitlist.people(session, entries),
            offered=waitlist.open_offers(session, [entry.id for entry in entries]),
            proposed=_proposed(session, doctor),
        )


def _proposed(session: Any, doctor: Account) -> list[tuple[datetime, WaitlistEntry]]:
    """Free times of the doctor's that are not offered by themselves, with who would be asked first."""
    found = [match for match in matches.matches(session, now(), by_hand=True) if match.doctor_id == doctor.id]
    rows = [(match.start, waitlist.find(session, match.entry_id)) for match in found[:_PROPOSED]]
    return [(start, entry) for start, entry in rows if entry is not None]


@bp.get("/time/")
@policy("waitlist.offer")
def time() -> Page:
    """Who could take a free time, and why."""
    with reading() as session:
        doctor, choices = doctors.chosen(session, "waitlist.offer")
        start = read_instant(request.args.get("start"))
        form = Form(request.args)
        if start is None and request.args.get("date"):
            start = _typed(form, doctor)
        found = [] if start is None else matches.candidates(session, doctor, start, now())
        return render_template(
            "doctor/waitlist_time.html",
            doctor=doctor,
            choices=choices,
            form=form,
            start=start,
            candidates=found,
            people=waitlist.people(session, [each.entry for each in found]),
            kinds={kind.code: kind for kind in views.types(session, all_of_them=True)},
            urgency_of=wanted.URGENCY_OF,
        )


@bp.get("/<uuid:entry_id>/")
@policy("waitlist.offer")
def entry(entry_id: UUID) -> Page:
    with reading() as session:
        return _entry_page(session, _entry(session, entry_id), Form(None))


def _entry(session: Any, entry_id: UUID) -> WaitlistEntry:
    found = waitlist.find(session, entry_id)
    if found is None:
        raise NotFound()
    require(g.actor, "waitlist.read", found)
    return found


def _entry_page(session: Any, found: WaitlistEntry, form: Form, status: int = 200) -> Page:
    people = waitlist.people(session, [found])
    mine = doctors.visible(session, "waitlist.offer")
    ids = {doctor.id for doctor in mine}
    suiting = [slot for slot in matches.suiting(session, found, now()) if slot.doctor.id in ids][:_PROPOSED]
    text = render_template(
        "doctor/waitlist_entry.html",
        entry=found,
        patient=people.patients[found.patient_id],
        wanted=[people.doctors[each] for each in sorted(found.doctor_ids)],
        kind=views.find_type(session, found.type_code),
        urgency=wanted.URGENCY_OF[found.priority],
        earlier=offers.of_entry(session, found),
        doctors=people.doctors,
        mine=mine,
        suiting=suiting if found.status == "waiting" else [],
        form=form,
    )
    return text, status


@bp.post("/<uuid:entry_id>/")
@policy("waitlist.offer")
def give(entry_id: UUID) -> Page:
    """Offer a time by hand, or book it as agreed on the telephone."""
    form = Form(request.form)
    try:
        with transaction() as session:
            found = _entry(session, entry_id)
            doctor, start = _chosen(session, form)
            if form.get("do") == "book":
                offers.book(session, found, doctor, start, actor=g.actor, now=now())
            else:
                offers.offer_by_hand(session, found, doctor, start, actor=g.actor, now=now())
    except NotFound:
        raise
    except Refusal as refusal:
        form.refuse(refusal)
        with reading() as session:
            return _entry_page(session, _entry(session, entry_id), form, refusal.status)
    done = "booked_for" if form.get("do") == "book" else "offered"
    return redirect(url_for(".entry", entry_id=entry_id, ok=done), 303)


def _chosen(session: Any, form: Form) -> tuple[Account, datetime]:
    """The button's doctor and instant, or the doctor and the wall time that were typed."""
    username, _, moment = form.get("slot").partition("|")
    found = accounts.by_username(session, username or form.get("with"))
    if found is None or not can(g.actor, "waitlist.offer", found):
        raise NotFound()
    start = read_instant(moment) or _typed(form, found)
    if start is None:
        raise Refusal("Enter a date and a time like 09:30.", field="time")
    return found, start


def _typed(form: Form, doctor: Account) -> datetime | None:
    day, clock = form.date("date"), form.time("time")
    if day is None or clock is None:
        return None
    return midnight(day, zone_of([doctor], settings().zone)).replace(hour=clock.hour, minute=clock.minute)


@bp.route("/<uuid:entry_id>/change/", methods=["GET", "POST"])
@policy("waitlist.change")
def change(entry_id: UUID) -> Page:
    form = WishForm(request.form)
    if request.method == "GET":
        with reading() as session:
            found = _entry(session, entry_id)
            known = {doctor.username: doctor for doctor in accounts.doctors(session)}
            return _change_page(session, found, wishes.of_entry(found, known))
    try:
        with transaction() as session:
            found = _entry(session, entry_id)
            require(g.actor, "waitlist.change", found)
            kinds = {kind.code: kind for kind in offered_types(session)}
            known = {doctor.username: doctor for doctor in accounts.doctors(session)}
            asked = wishes.read(form, kinds, known)
            version = form.number("version", 1, 999_999, required="Please open this page anew.")
            if form and asked is not None:
                waitlist.edit(session, found, asked, actor=g.actor, now=now(), version=version)
    except NotFound:
        raise
    except Refusal as refusal:
        form.refuse(refusal)
    if form:
        return redirect(url_for(".entry", entry_id=entry_id, ok="saved"), 303)
    with reading() as session:
        return _change_page(session, _entry(session, entry_id), form, 422)


def _change_page(session: Any, found: WaitlistEntry, form: WishForm, status: int = 200) -> Page:
    text = render_template(
        "doctor/waitlist_change.html",
        entry=found,
        patient=waitlist.people(session, [found]).patients[found.patient_id],
        form=form,
        kinds=offered_types(session),
        doctors=accounts.doctors(session),
        weekdays=wishes.WEEKDAYS,
        channels=wishes.CHANNEL_NAMES,
        urgencies=wishes.URGENCIES,
        today=now().astimezone(settings().zone).date(),
    )
    return text, status
