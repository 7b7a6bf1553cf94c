"""What `clinicdav check` finds wrong."""

from sqlalchemy import delete, select

from storage import checks
from storage.models import Audit, Claim, Occurrence


def test_a_practice_in_order_has_no_problems(practice, at):
    practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    practice.put("late.ics", HOURS, "hours")
    with practice.db.reading() as session:
        assert checks.integrity(practice.db, session, practice.now) == []


def test_an_occurrence_that_is_not_in_the_text_is_found(practice, at):
    practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    with practice.writing() as session:
        row = session.scalars(select(Occurrence).where(Occurrence.kind == "appointment")).first()
        session.delete(row)
    with practice.db.reading() as session:
        [problem] = checks.integrity(practice.db, session, practice.now)
    assert "not those of its text" in problem


def test_a_visit_without_its_minutes_is_found(practice, at):
    practice.book(at(9))
    with practice.writing() as session:
        session.execute(delete(Claim))
    with practice.db.reading() as session:
        [problem] = checks.integrity(practice.db, session, practice.now)
    assert "holds no minutes" in problem


def test_an_audit_that_was_tampered_with_is_found(practice, at):
    practice.book(at(9))
    with practice.writing() as session:
        row = session.scalars(select(Audit).order_by(Audit.id)).first()
        row.actor = "somebody else"
    with practice.db.reading() as session:
        [problem] = checks.integrity(practice.db, session, practice.now)
    assert f"row {row.id} does not fit" in problem


HOURS = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//X//EN\r\nBEGIN:VEVENT\r\nUID:late\r\nDTSTAMP:20261101T000000Z\r\n"
    "DTSTART;TZID=Europe/Vienna:20261123T180000\r\nDTEND;TZID=Europe/Vienna:20261123T190000\r\n"
    "RRULE:FREQ=WEEKLY\r\nEXDATE;TZID=Europe/Vienna:20261207T180000\r\nSUMMARY:Evening (15 min x 2)\r\nEND:VEVENT\r\n"
    "BEGIN:VEVENT\r\nUID:late\r\nDTSTAMP:20261101T000000Z\r\nRECURRENCE-ID;TZID=Europe/Vienna:20261214T180000\r\n"
    "DTSTART;TZID=Europe/Vienna:20261215T170000\r\nDTEND;TZID=Europe/Vienna:20261215T180000\r\n"
    "SUMMARY:Evening (15 min x 2)\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
