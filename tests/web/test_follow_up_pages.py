"""Follow-ups on pages: asked for when a visit is completed, booked with one click."""

import re
from datetime import timedelta

import pytest

from storage import follow_ups, views
from storage.booking import Booked
from storage.db import Database
from storage.models import Appointment
from tests.web.conftest import Clock, Person, said

LIST = "/appointments/doctor/follow-ups/"


@pytest.fixture
def seen(clock: Clock, booked: Booked) -> Booked:
    """Maria's visit is over."""
    clock.now = booked.visits[0].start + timedelta(minutes=20)
    return booked


def complete(lee: Person, booked: Booked, **form: object):
    url = f"/appointments/{booked.appointment.id}/complete/"
    lee.get(url)
    return lee.post(url, **form)


def link(db: Database, booked: Booked) -> str:
    with db.reading() as session:
        (row,) = follow_ups.listed(session, appointment_id=booked.appointment.id)
        return follow_ups.url(db.settings, row.follow_up).removeprefix(db.settings.public_url)


def test_the_patient_books_what_the_doctor_asked_for_with_one_click(
    seen: Booked, lee: Person, visitor: Person, maria: Person, db: Database
) -> None:
    answer = complete(lee, seen, after_days="7", follow_up_note="Bring the pictures")
    assert "Tue 1 Dec to Mon 14 Dec" in said(lee.follow(answer))
    assert "Maria Huber" in said(lee.get(LIST))
    assert "Choose a time" in said(maria.get("/appointments/my-appointments/"))
    page = visitor.get(link(db, seen))
    assert "Bring the pictures" in said(page) and "Tuesday, 1 December 2026" in said(page)
    slot = re.findall(r'name="slot" value="([^"]+)"', page.text)[0]
    assert slot.startswith("lee|2026-12-01T")
    done = visitor.post(link(db, seen), slot=slot)
    assert "booked" in done.headers["Location"]
    # The link leads to the appointment from now on, and a second click books nothing.
    assert "/manage/" in visitor.get(link(db, seen)).headers["Location"]
    assert visitor.post(link(db, seen), slot=slot).status_code in (302, 409)
    with db.reading() as session:
        (row,) = follow_ups.listed(session, appointment_id=seen.appointment.id)
        assert row.follow_up.status == "booked"
        child = session.get_one(Appointment, row.follow_up.booked_as)
        assert child.parent_id == seen.appointment.id and child.booked_by == "patient"
    assert "Maria Huber" not in said(lee.get(LIST)) and "Maria Huber" in said(lee.get(f"{LIST}?status=booked"))


def test_a_time_that_is_not_on_offer_is_not_booked(seen: Booked, lee: Person, visitor: Person, db: Database) -> None:
    complete(lee, seen, after_days="7")
    visitor.get(link(db, seen))
    for slot in ("lee|2026-11-25T09:00:00+00:00", "lee|2026-12-01T08:07:00+00:00", "nobody"):
        assert visitor.post(link(db, seen), slot=slot).status_code in (409, 422)
    assert visitor.get("/follow-up/nonsense").status_code == 404


def test_the_type_fills_in_the_days_and_the_doctor_may_want_none(seen: Booked, lee: Person, db: Database) -> None:
    with db.transaction() as session:
        kind = views.find_type(session, "consultation")
        assert kind is not None
        kind.follow_up_days = 30
    page = lee.get(f"/appointments/{seen.appointment.id}/complete/")
    assert re.search(r'name="after_days"[^>]*value="30"', page.text)
    lee.post(f"/appointments/{seen.appointment.id}/complete/", after_days="")
    with db.reading() as session:
        assert follow_ups.listed(session, appointment_id=seen.appointment.id) == []


def test_days_in_the_wrong_order_are_shown_beside_the_field(seen: Booked, lee: Person) -> None:
    answer = complete(lee, seen, due_from="2026-12-09", due_to="2026-12-01")
    assert answer.status_code == 422 and "The last day must not be before the first." in said(answer)


def test_the_desk_dismisses_one(seen: Booked, lee: Person, desk: Person, db: Database) -> None:
    complete(lee, seen, after_days="7")
    page = desk.get(f"{LIST}?doctor=lee")
    (url,) = re.findall(r'action="([^"]+/dismiss/)"', page.text)
    assert "Nothing here" in said(desk.follow(desk.post(url, doctor="lee")))
    assert "Nothing to book" in said(desk.get(link(db, seen)))
