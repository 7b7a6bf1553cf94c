"""Who came, what follows, and that staff let it be: on pages and by API."""

from datetime import timedelta

import pytest

from storage import house_rules, lifecycle
from storage.policy import SYSTEM

from .conftest import book, said

WHO_CAME = "/appointments/doctor/no-shows/"


def rules(db, clock, **values) -> None:
    with db.transaction() as session:
        house_rules.change(session, values, now=clock.now)


def miss(db, clock, who: str = "maria"):
    booked = book(db, clock, who)
    clock.now = booked.visits[0].end
    with db.transaction() as session:
        lifecycle.change_status(session, booked.appointment.id, "no-show", actor=SYSTEM, now=clock.now)
    return booked


def details(person) -> str:
    """The page that asks for the contact, with a time held."""
    page = person.get("/appointments/book/?type=consultation&doctor=lee")
    slot = page.text.split('name="slot" value="')[1].split('"')[0]
    answer = person.post("/appointments/book/", type="consultation", doctor="lee", slot=slot)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def test_staff_say_who_came_once_the_day_is_over(lee, db, clock) -> None:
    first, second = book(db, clock, "maria"), book(db, clock, "Hans Gruber", nth=1)
    clock.forward(days=1, hours=6)
    lee.log_in("lee")
    assert "Nothing is open" in said(lee.get(WHO_CAME))
    clock.forward(hours=14)
    lee.log_in("lee")
    page = lee.get(WHO_CAME)
    assert "Maria Huber" in said(page) and "Hans Gruber" in said(page)
    answer = lee.post(WHO_CAME, visit=str(first.appointment.id), outcome="missed")
    assert answer.status_code == 303
    assert "Maria Huber" not in said(lee.get(WHO_CAME))
    lee.post(WHO_CAME, visit=str(second.appointment.id), outcome="took_place")
    assert "Nothing is open" in said(lee.get(WHO_CAME))
    assert "No-show" in said(lee.get(f"/appointments/{first.appointment.id}/"))


def test_another_doctors_visits_are_not_ones_own(app, db, clock) -> None:
    from .conftest import Person

    booked = book(db, clock, "maria")
    clock.forward(days=2)
    smith = Person(app)
    smith.log_in("smith")
    assert "Nothing is open" in said(smith.get(WHO_CAME))
    assert smith.post(WHO_CAME, visit=str(booked.appointment.id), outcome="missed").status_code == 404


def test_a_patient_is_told_on_the_own_pages_and_refused_while_paused(maria, desk, db, clock) -> None:
    rules(db, clock, no_show_limit=1, no_show_consequence="pause", no_show_call="01 234 56")
    booked = miss(db, clock)
    maria.log_in("maria@example.org")
    desk.log_in("desk")
    expected = "you cannot book online until Thursday, 24 December 2026. Please call us 01 234 56."
    assert expected in said(maria.get("/me/"))
    address = details(maria)
    assert expected in said(maria.get(address))
    refused = maria.post(address, reason="", notes="", consent="yes")
    assert refused.status_code == 422 and expected in said(refused)
    # Staff waive it, with a reason.
    missed = f"{WHO_CAME}{booked.appointment.patient_id}/"
    assert "1 counts now" in said(desk.get(missed))
    assert desk.post(missed, reason="").status_code == 422
    assert desk.post(missed, reason="Tram did not run").status_code == 303
    assert "0 count now" in said(desk.get(missed)) and "Tram did not run" in said(desk.get(missed))
    assert expected not in said(maria.get("/me/"))
    maria.get(address)
    assert maria.post(address, reason="", notes="", consent="yes").status_code == 303


@pytest.mark.parametrize("consequence", ["warn", "confirm", "prepay", "pause"])
def test_a_visitor_sees_the_same_for_every_address(visitor, db, clock, consequence) -> None:
    """Somebody types a neighbour's address: no page, status or word may say what the neighbour has missed."""
    rules(db, clock, no_show_limit=1, no_show_consequence=consequence, no_show_note="Note.")
    miss(db, clock, "Nelly Neighbour")
    clock.forward(hours=2)
    seen = []
    for name in ("Nelly Neighbour", "Sandra Stranger"):
        address = details(visitor)
        page = said(visitor.get(address))
        email = name.lower().replace(" ", "") + "@example.org"
        answer = visitor.post(address, name=name, email=email, reason="", notes="", consent="yes")
        done = said(visitor.get(answer.headers["Location"]))
        assert answer.status_code == 303
        assert "missed" not in page and "missed" not in done and "Note." not in done
        seen.append(("Scheduled" in done, "confirmed yet" in done, "approv" in done.lower()))
    assert seen[0] == seen[1]


def test_only_those_who_treat_the_patient_may_waive(admin, lee, maria, db, clock) -> None:
    booked = miss(db, clock)
    for person, name in ((admin, "admin"), (lee, "lee"), (maria, "maria@example.org")):
        person.log_in(name)
    page = f"{WHO_CAME}{booked.appointment.patient_id}/"
    assert lee.get(page).status_code == 200
    assert admin.get(page).status_code == 404
    assert maria.get(page).status_code == 404


def test_the_mail_says_what_follows(db, clock, settings) -> None:
    from storage import appointment_types, booking, drafts, no_shows, outbox
    from storage.policy import VISITOR

    rules(db, clock, no_show_limit=1, no_show_consequence="prepay", no_show_note="Bring 50 euros.")
    booked = miss(db, clock, "Nelly Neighbour")
    with db.transaction() as session:
        patient, _who = no_shows.of_patient(session, booked.appointment.patient_id)
        kind = appointment_types.get(session, "consultation")
        start = booked.visits[0].start + timedelta(days=1)
        booking.book(
            session, [booked.doctor], drafts.NewAppointment(start, kind, patient), actor=VISITOR, now=clock.now
        )
    found = []
    for lease in outbox.claim_due(db, clock.now, 10, 60):
        with db.transaction() as session:
            message = outbox.message(session, lease, clock.now)
        if isinstance(message, outbox.Message) and message.template == "appointment_confirmed":
            found.append(message.text)
    assert "You have missed 1 appointment, so a prepayment may be asked for. Bring 50 euros." in found
