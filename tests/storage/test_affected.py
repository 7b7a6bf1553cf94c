"""Hours and leave changed over booked appointments: nothing is cancelled, and the doctor is told once, with choices."""

import pytest
from sqlalchemy import select

from storage import accounts, affected, collections, hours, leave, lifecycle, objects, settling, visits
from storage.models import Notice, OutboxMessage
from storage.policy import SYSTEM

# What is SQL here runs on both in the tests of slots and of edits.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def digests(practice) -> list[str]:
    with practice.db.reading() as session:
        lee = select(Notice.text).where(Notice.account_id == practice.lee.id).order_by(Notice.id)
        return [text for text in session.scalars(lee) if "outside your hours or in your leave" in text]


def undecided(practice) -> list[str]:
    with practice.db.reading() as session:
        rows = affected.undecided(session, practice.lee, practice.now)
        return [f"{row.patient.name} {row.visit.start:%d %H:%M}" for row in rows]


def weekly(practice):
    with practice.db.reading() as session:
        return objects.live(session, collections.find(session, "lee", "hours"))[0]


def leave_event(day: str, *more: str) -> str:
    lines = [
        *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//X//EN", "BEGIN:VEVENT", "UID:ski", "DTSTAMP:20261101T000000Z"),
        *(f"DTSTART;VALUE=DATE:{day}", "SUMMARY:Skiing", *more, "END:VEVENT", "END:VCALENDAR", ""),
    ]
    return "\r\n".join(lines)


@pytest.fixture
def booked(practice, at):
    """At nine, half past ten and at three on Monday, and at nine on the next."""
    return [
        practice.book(at(9)),
        practice.book(at(10, 40), name="Karl Bauer"),
        practice.book(at(15), name="Anna Koller"),
        practice.book(at(9, day=7), name="Eva Huber"),
    ]


def test_hours_dragged_over_appointments_cancel_nothing_and_make_one_digest(practice, at, booked):
    told = practice.messages()
    obj = weekly(practice)
    # Twice in a row, as an app sends a drag: from 10:00 to 16:00, every day.
    for start in ("T090000", "T100000"):
        practice.put(obj.href, obj.served_text.replace("T080000", start), "hours")
    assert practice.try_book(at(9, 20)) == "outside_hours"
    assert digests(practice) == []
    practice.settle()
    assert undecided(practice) == ["Maria Huber 23 08:00", "Eva Huber 30 08:00"]
    assert digests(practice) == [
        "2 appointments lie outside your hours or in your leave now, the first on Monday, 23 November, 09:00."
        " Keep, move or cancel each."
    ]
    assert {practice.visit(each).status for each in booked} == {"scheduled"}
    assert practice.messages() == [*told, "staff_notice"]
    practice.settle()
    assert len(digests(practice)) == 1
    # Put back: nothing is left to decide.
    practice.put(obj.href, obj.served_text, "hours")
    practice.settle()
    assert undecided(practice) == []


@pytest.mark.parametrize("how", ["delete", "exdate", "page", "close"])
def test_hours_taken_away_in_any_way_are_told_once(practice, at, booked, how):
    obj = weekly(practice)
    if how == "delete":
        practice.delete(obj.href, "hours")
    elif how == "exdate":
        closed = "EXDATE;TZID=Europe/Vienna:20261123T080000\r\nRRULE:FREQ=WEEKLY"
        practice.put(obj.href, obj.served_text.replace("RRULE:FREQ=WEEKLY", closed), "hours")
    else:
        with practice.writing() as session:
            if how == "page":
                hours.remove(session, practice.lee, obj.uid, actor=practice.doctor, now=practice.now)
            else:
                hours.close_day(session, practice.lee, obj.uid, at(9).date(), actor=practice.doctor, now=practice.now)
    practice.settle()
    assert len(undecided(practice)) == (4 if how in ("delete", "page") else 3)
    assert len(digests(practice)) == 1
    assert {practice.visit(each).status for each in booked} == {"scheduled"}


def test_leave_touches_nothing_until_it_is_approved(practice, at, booked):
    practice.put("ski.ics", leave_event("20261123"), "leave")
    practice.settle()
    assert undecided(practice) == []
    with practice.writing() as session:
        (view,) = leave.list_leave(session, [practice.lee], practice.now)
        assert len(view.affected) == 3
        leave.decide(session, view.id, True, actor=SYSTEM, now=practice.now)
    practice.settle()
    assert len(undecided(practice)) == 3
    assert digests(practice)[0].startswith("3 appointments lie outside your hours or in your leave")
    # Withdrawn from the phone
    practice.delete("ski.ics", "leave")
    practice.settle()
    assert undecided(practice) == []


def test_recurring_leave_counts_with_every_occurrence(practice, at, booked):
    practice.put("ski.ics", leave_event("20261116", "RRULE:FREQ=WEEKLY"), "leave")
    with practice.writing() as session:
        leave.decide(session, "ski", True, actor=SYSTEM, now=practice.now)
    practice.settle()
    assert len(undecided(practice)) == 4


def test_what_is_kept_is_not_asked_again_until_it_moves(practice, at, booked):
    practice.delete(weekly(practice).href, "hours")
    practice.settle()
    first = booked[0].appointment.id
    with practice.writing() as session:
        affected.keep(session, first, "", actor=practice.doctor, now=practice.now)
    assert "Maria Huber 23 08:00" not in undecided(practice)
    with practice.writing() as session:
        hours.add_hours(
            session, practice.lee, ["tue"], at(8).time(), at(9).time(), slot=20, actor=SYSTEM, now=practice.now
        )
    practice.settle()
    assert len(undecided(practice)) == 3 and len(digests(practice)) == 1
    obj = practice.object_of(booked[0])
    practice.put(obj.href, obj.served_text.replace("T090000", "T093000").replace("T092000", "T095000"))
    assert "Maria Huber 23 08:30" in undecided(practice)


def test_appointment_dropped_into_approved_leave_is_accepted_and_marked(practice, at):
    with practice.writing() as session:
        day = at(9, day=1).date()
        asked = leave.request_leave(session, practice.lee, day, day, "", actor=SYSTEM, now=practice.now)
        if asked.status != "approved":
            leave.decide(session, asked.id, True, actor=SYSTEM, now=practice.now)
    one = practice.book(at(9))
    obj = practice.object_of(one)
    practice.put(obj.href, obj.served_text.replace("20261123T09", "20261124T09"))
    assert practice.visit(one).start == at(9, day=1)
    assert undecided(practice) == ["Maria Huber 24 08:00"]


def test_leave_that_is_asked_for_is_told_to_whoever_decides_once(practice, at):
    with practice.writing() as session:
        desk = accounts.create_account(
            session,
            role="receptionist",
            username="desk",
            name="Desk",
            email="desk@clinic.example",
            timezone="Europe/Vienna",
            now=practice.now,
        )
    practice.put("ski.ics", leave_event("20261123"), "leave")
    practice.put("ski.ics", leave_event("20261124"), "leave")
    practice.settle()
    practice.settle()
    with practice.db.reading() as session:
        (notice,) = session.scalars(select(Notice))
        assert notice.account_id == desk.id
        assert notice.text == "Dr. Lee asks for leave: Tuesday, 24 November 2026. Approve or reject it."
        (mail,) = session.scalars(select(OutboxMessage).where(OutboxMessage.template == "staff_notice"))
        assert mail.account_id == desk.id


def test_cancelled_and_past_visits_are_not_asked_about(practice, at, booked):
    with practice.writing() as session:
        lifecycle.cancel(session, booked[0].appointment.id, actor=practice.doctor, now=practice.now)
    practice.now = at(12)
    practice.delete(weekly(practice).href, "hours")
    practice.settle()
    assert undecided(practice) == ["Anna Koller 23 14:00", "Eva Huber 30 08:00"]
    with practice.db.reading() as session:
        assert not visits.of_appointment(session, booked[1].appointment.id)[""].outside_hours
        assert settling.objects_due(session, practice.now) == []
