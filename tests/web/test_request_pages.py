"""Asking and answering on pages: late changes, bookings that need approval, undo."""

import re

import pytest

from storage import appointment_types, appointments, booking, house_rules, requests
from storage.db import Database
from storage.policy import Actor
from storage.settings import Settings

from .conftest import Clock, Person, said

REQUESTS = "/appointments/doctor/requests/"


@pytest.fixture
def link(settings: Settings, booked: booking.Booked) -> str:
    return booking.manage_url(settings, booked.appointment.id).removeprefix(settings.public_url)


@pytest.fixture
def late(db: Database, clock: Clock) -> None:
    """A day before, patients may only ask."""
    with db.transaction() as session:
        appointment_types.change(session, "consultation", now=clock.now, cutoff_minutes=48 * 60)
        house_rules.change(session, {"late_changes": "asked"}, now=clock.now)


def start_of(db: Database, booked: booking.Booked) -> str:
    with db.reading() as session:
        view = appointments.details(session, booked.appointment.id)
    assert view is not None
    return f"{view.start:%d %H:%M} {view.status}"


@pytest.mark.usefixtures("late")
def test_a_patient_asks_for_another_time_and_the_desk_agrees(
    visitor: Person, desk: Person, link: str, db: Database, booked: booking.Booked
) -> None:
    page = visitor.get(f"{link}/reschedule/?date=2026-11-25")
    assert "The practice decides about another time" in said(page)
    slot = re.findall(r'name="slot" value="([^"]+)">\d', page.text)[0]
    asked = visitor.follow(visitor.post(f"{link}/reschedule/", slot=slot, reason="My train comes later"))
    assert "We have your request" in said(asked) and "You have asked to move it" in said(asked)
    assert start_of(db, booked) == "24 08:00 scheduled"
    assert "Requests 1" in said(desk.get("/appointments/doctor/appointments/"))
    listed = desk.get(REQUESTS)
    assert "My train comes later" in said(listed)
    [url] = re.findall(rf'action="({REQUESTS}[^"]+)"', listed.text)
    done = desk.follow(desk.post(url, verb="approve", answer="See you then"))
    assert "Nobody waits for an answer" in said(done)
    assert start_of(db, booked) == "25 08:00 rescheduled"
    assert desk.post(url, verb="reject").status_code == 409


@pytest.mark.usefixtures("late")
def test_a_patient_takes_a_request_back(visitor: Person, link: str, desk: Person) -> None:
    visitor.get(f"{link}/cancel/")
    page = visitor.follow(visitor.post(f"{link}/cancel/", reason="Ill"))
    [url] = re.findall(r'action="([^"]+/withdraw/[^"]*)"', page.text)
    assert "The request is taken back" in said(visitor.follow(visitor.post(url)))
    assert "Nobody waits for an answer" in said(desk.get(REQUESTS))


def test_a_booking_that_needs_approval_says_that_it_waits(
    maria: Person, lee: Person, db: Database, clock: Clock, booked: booking.Booked
) -> None:
    with db.transaction() as session:
        actor = Actor("link", label="patient", link_to=booked.appointment.id)
        requests.of_booking(session, booked.appointment, booked.visits[0], actor=actor, now=clock.now)
    assert "Asked, not yet confirmed" in said(maria.get("/appointments/my-appointments/"))
    url = f"/appointments/{booked.appointment.id}/"
    assert "I will come" not in said(maria.get(url))
    assert maria.get(REQUESTS).status_code == 404
    lee.get(REQUESTS)
    assert lee.post(f"{url}status/", step="confirm").status_code == 303
    assert "Confirmed" in said(maria.get(url))


def test_staff_take_back_the_step_that_they_have_just_made(desk: Person, db: Database, booked: booking.Booked) -> None:
    url = f"/appointments/{booked.appointment.id}/"
    desk.get(url)
    answer = desk.post(f"{url}status/", step="confirm", back="/appointments/doctor/appointments/?doctor=lee")
    calendar = desk.follow(answer)
    [undo] = re.findall(rf'action="({url}undo/)"', calendar.text)
    assert "The last step is taken back" in said(desk.follow(desk.post(undo)))
    assert start_of(db, booked) == "24 08:00 scheduled"
    assert "There is no step of today" in said(desk.post(undo))


def test_patients_do_not_undo(maria: Person, booked: booking.Booked) -> None:
    url = f"/appointments/{booked.appointment.id}/"
    maria.get(url)
    assert maria.post(f"{url}undo/").status_code == 404


def test_staff_move_to_any_time_with_a_reason(desk: Person, db: Database, booked: booking.Booked) -> None:
    url = f"/appointments/{booked.appointment.id}/reschedule/"
    desk.get(url)
    typed = {"day": "2026-11-24", "time": "20:00", "doctor": "lee"}
    assert "does not work at this time" in said(desk.post(url, **typed))
    assert "Say why the rules are set aside" in said(desk.post(url, **typed, overrule="yes"))
    assert desk.post(url, **typed, overrule="yes", reason="Emergency").status_code == 303
    assert start_of(db, booked) == "24 19:00 rescheduled"


# A doctor who cannot come


def test_the_visits_of_an_ill_doctor_go_to_a_colleague_after_a_look(
    desk: Person, db: Database, booked: booking.Booked
) -> None:
    url = "/appointments/doctor/bulk/"
    assert desk.get(f"{url}?doctor=lee").status_code == 200
    form = {
        "doctor": "lee",
        "first": "2026-11-24",
        "last": "2026-11-24",
        "from_": "00:00",
        "to": "23:59",
        "action": "move_to",
        "to_doctor": "smith",
        "message": "Dr. Lee is ill.",
    }
    looked = desk.post(url, **form)
    assert "Moves to 09:00, Dr. Anna Smith" in said(looked)
    assert start_of(db, booked) == "24 08:00 scheduled"
    [token] = re.findall(r'name="token" value="(\w+)"', looked.text)
    for _twice in range(2):
        assert desk.post(f"{url}carry-out/", token_=token, **form).status_code == 303
    with db.reading() as session:
        view = appointments.details(session, booked.appointment.id)
    assert view is not None and view.doctor.username == "smith"
    stale = desk.post(f"{url}carry-out/", token_="0" * 32, **form)
    assert stale.status_code == 409 and "Something has changed since the preview" in said(stale)


def test_a_plan_with_faults_says_which(desk: Person) -> None:
    url = "/appointments/doctor/bulk/"
    desk.get(url)
    answer = desk.post(
        url, doctor="lee", first="2026-11-24", last="2026-11-23", from_="00:00", to="23:59", action="move_to"
    )
    assert answer.status_code == 422
    assert "Choose the colleague" in said(answer)


def test_who_must_choose_is_offered_all_doctors(
    visitor: Person, desk: Person, link: str, db: Database, clock: Clock, booked: booking.Booked
) -> None:
    url = "/appointments/doctor/bulk/"
    desk.get(url)
    form = {"doctor": "lee", "first": "2026-11-24", "last": "2026-11-24", "from_": "00:00", "to": "23:59"}
    form["action"] = "offer_new_times"
    [token] = re.findall(r'name="token" value="(\w+)"', desk.post(url, **form).text)
    desk.post(f"{url}carry-out/", token_=token, **form)
    assert "cannot come. You are asked to choose another time" in said(visitor.get(link))
    page = visitor.get(f"{link}/reschedule/?date=2026-11-25")
    slot = next(value for value in re.findall(r'name="slot" value="([^"]+)"', page.text) if value.startswith("smith"))
    assert visitor.post(f"{link}/reschedule/", slot=slot).status_code == 303
    with db.reading() as session:
        view = appointments.details(session, booked.appointment.id)
        assert requests.listed(session) == []
    assert view is not None and view.doctor.username == "smith"
