"""One appointment: by login, by link, by staff."""

import re
from datetime import timedelta

import pytest
from flask import Flask

from storage import appointment_types, appointments, booking, lifecycle
from storage.db import Database
from storage.models import OutboxMessage
from storage.policy import SYSTEM
from storage.settings import Settings

from .conftest import Clock, Person, book, said


@pytest.fixture
def link(settings: Settings, booked: booking.Booked) -> str:
    return booking.manage_url(settings, booked.appointment.id).removeprefix(settings.public_url)


def status(db: Database, booked: booking.Booked) -> str:
    with db.reading() as session:
        view = appointments.details(session, booked.appointment.id)
    assert view is not None
    return view.status


def test_a_link_shows_the_appointment_and_confirms_it_only_by_post(
    visitor: Person, link: str, db: Database, booked: booking.Booked
) -> None:
    assert "Tuesday, 24 November 2026 09:00–09:20" in said(visitor.get(link))
    assert visitor.get(f"{link}/confirm/").status_code == 405
    assert status(db, booked) == "scheduled"
    page = visitor.follow(visitor.post(f"{link}/confirm/"))
    assert "the appointment is confirmed" in said(page)
    assert status(db, booked) == "confirmed"


def test_a_link_cancels_after_a_question(visitor: Person, link: str, db: Database, booked: booking.Booked) -> None:
    assert "Cancel your appointment?" in said(visitor.get(f"{link}/cancel/"))
    assert status(db, booked) == "scheduled"
    page = visitor.follow(visitor.post(f"{link}/cancel/", reason="Better again"))
    assert "The appointment is cancelled." in said(page)
    assert status(db, booked) == "cancelled_patient"
    assert visitor.post(f"{link}/cancel/").status_code == 409


def test_a_link_moves_to_another_free_time(visitor: Person, link: str, db: Database, booked: booking.Booked) -> None:
    page = visitor.get(f"{link}/reschedule/?date=2026-11-25")
    slot = re.findall(r'name="slot" value="([^"]+)">\d', page.text)[0]
    version = re.findall(r'name="version" value="(\d+)"', page.text)[0]
    moved = visitor.follow(visitor.post(f"{link}/reschedule/", slot=slot, version=version))
    assert "Wednesday, 25 November 2026 09:00–09:20" in said(moved)
    assert status(db, booked) == "rescheduled"


def test_moving_to_a_taken_time_keeps_the_old_one(
    visitor: Person, link: str, db: Database, clock: Clock, booked: booking.Booked
) -> None:
    page = visitor.get(f"{link}/reschedule/?date=2026-11-24")
    slot = re.findall(r'name="slot" value="([^"]+)">\d', page.text)[-1]
    book(db, clock, "Late Lars", nth=7)
    answer = visitor.post(f"{link}/reschedule/", slot=slot, date="2026-11-24")
    assert answer.status_code == 409
    assert "Somebody else has just taken this time" in said(answer)
    assert status(db, booked) == "scheduled"


@pytest.mark.parametrize("path", ["", "/cancel/", "/reschedule/", "/appointment.ics", "/booked"])
def test_a_forged_link_finds_nothing(visitor: Person, link: str, path: str) -> None:
    forged = link[:40] + ("A" if link[40] != "A" else "B") + link[41:]
    for url in (forged, "/manage/x", "/manage/" + "A" * 46, "/manage/%C3%A9"):
        assert visitor.get(url + path).status_code == 404


def test_a_form_made_before_somebody_elses_change_is_refused(
    visitor: Person, link: str, desk: Person, booked: booking.Booked
) -> None:
    version = re.findall(r'name="version" value="(\d+)"', visitor.get(link).text)[0]
    url = f"/appointments/{booked.appointment.id}/"
    desk.get(url)
    assert desk.post(f"{url}status/", step="confirm").status_code == 303
    answer = visitor.post(f"{link}/cancel/", version=version)
    assert answer.status_code == 412
    assert "Somebody changed this in the meantime" in said(answer)


def test_after_the_cut_off_a_patient_is_asked_to_call(
    visitor: Person, link: str, db: Database, clock: Clock, booked: booking.Booked
) -> None:
    with db.transaction() as session:
        appointment_types.change(session, "consultation", now=clock.now, cutoff_minutes=24 * 60)
    clock.forward(hours=3)
    assert "It is too late to change this appointment online" in said(visitor.get(link))
    assert visitor.post(f"{link}/cancel/").status_code == 422
    assert status(db, booked) == "scheduled"


def test_the_calendar_file_says_when_but_not_why(visitor: Person, link: str) -> None:
    answer = visitor.get(f"{link}/appointment.ics")
    assert answer.mimetype == "text/calendar"
    assert "DTSTART" in answer.text
    assert "cough" not in answer.text.lower()
    assert "attachment" in answer.headers["Content-Disposition"]


def test_patients_see_their_own_appointments_only(
    maria: Person, db: Database, clock: Clock, booked: booking.Booked
) -> None:
    other = book(db, clock, "Other Otto", nth=1)
    assert maria.get(f"/appointments/{booked.appointment.id}/").status_code == 200
    foreign = maria.get(f"/appointments/{other.appointment.id}/")
    unknown = maria.get("/appointments/00000000-0000-4000-8000-000000000000/")
    assert foreign.status_code == unknown.status_code == 404
    assert said(foreign) == said(unknown)
    for action in ("cancel", "reschedule", "complete"):
        assert maria.get(f"/appointments/{other.appointment.id}/{action}/").status_code == 404
        assert maria.post(f"/appointments/{other.appointment.id}/{action}/").status_code == 404


def test_another_doctors_appointment_is_not_there(app: Flask, booked: booking.Booked) -> None:
    smith = Person(app)
    smith.log_in("smith")
    assert smith.get(f"/appointments/{booked.appointment.id}/").status_code == 404
    assert smith.get("/appointments/doctor/appointments/?doctor=lee").status_code == 404


def test_the_doctor_takes_a_visit_through_its_day(
    lee: Person, db: Database, clock: Clock, booked: booking.Booked
) -> None:
    clock.now = booked.visits[0].start + timedelta(minutes=5)
    lee.log_in("lee")
    url = f"/appointments/{booked.appointment.id}/"
    for step, seen in (("confirm", "Confirmed"), ("arrive", "Arrived"), ("start", "In progress")):
        lee.get(url)
        assert seen in said(lee.follow(lee.post(f"{url}status/", step=step)))
    lee.get(f"{url}complete/")
    page = lee.follow(lee.post(f"{url}complete/", notes="Lungs clear"))
    assert "Completed" in said(page)
    assert "Lungs clear" in page.text
    assert status(db, booked) == "completed"


def test_an_illegal_step_is_refused(lee: Person, booked: booking.Booked) -> None:
    url = f"/appointments/{booked.appointment.id}/"
    lee.get(url)
    assert lee.post(f"{url}status/", step="no-show").status_code == 409
    assert lee.post(f"{url}status/", step="fly").status_code == 422


def test_private_notes_are_for_the_doctor_alone(
    lee: Person, desk: Person, maria: Person, booked: booking.Booked
) -> None:
    url = f"/appointments/{booked.appointment.id}/"
    lee.get(url)
    lee.post(f"{url}notes/", notes="Suspects gout")
    assert "Suspects gout" in lee.get(url).text
    assert "Suspects gout" not in desk.get(url).text
    assert "Suspects gout" not in maria.get(url).text
    assert desk.post(f"{url}notes/", notes="x").status_code == 404
    assert "Suspects gout" not in maria.get("/me/export.json").text


def test_my_appointments_by_mail_answers_the_same_for_everybody(
    visitor: Person, db: Database, booked: booking.Booked
) -> None:
    url = "/appointments/my-appointments/"
    visitor.get(url)
    known, unknown = visitor.post(url, email="maria@example.org"), visitor.post(url, email="nobody@example.org")
    assert said(known) == said(unknown)
    visitor.get(url)
    visitor.post(url, email="MARIA@example.org")
    with db.reading() as session:
        mails = session.query(OutboxMessage).filter_by(template="manage_links").all()
    assert len(mails) == 1


def test_my_appointments_shows_what_comes_and_what_was(
    maria: Person, db: Database, clock: Clock, booked: booking.Booked
) -> None:
    assert "To come Tuesday, 24 November 2026, 09:00" in said(maria.get("/appointments/my-appointments/"))
    with db.transaction() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=SYSTEM, now=clock.now)
    assert "Nothing is booked. History Tuesday, 24 November" in said(maria.get("/appointments/my-appointments/"))


def test_hostile_text_is_inert(visitor: Person, lee: Person, db: Database, clock: Clock) -> None:
    other = book(db, clock, "<script>alert(1)</script> O'Neil", nth=2)
    for page in (lee.get(f"/appointments/{other.appointment.id}/"), lee.get("/appointments/doctor/appointments/")):
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert(1)" in page.text
