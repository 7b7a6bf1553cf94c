"""The horizon: open-ended entries reach two years ahead, whatever happens beside the task, and nothing ends unseen."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from storage import checks, horizon
from storage.models import CalendarObject, Occurrence, Visit
from storage.occurrences import AHEAD
from tasks import recurrence
from tasks.recurrence import Kept


def run(practice) -> Kept:
    return recurrence.run(practice.db, practice.db.settings, lambda: practice.now)


def weekly(practice, at, hour: int, name: str = "Maria Huber"):
    """An appointment that a calendar app has made open-ended."""
    booked = practice.book(at(hour), name=name)
    obj = practice.object_of(booked)
    practice.put(obj.href, obj.served_text.replace("SUMMARY:", "RRULE:FREQ=WEEKLY\r\nSUMMARY:", 1))
    return booked


def test_every_entry_is_extended_in_batches_of_any_size(practice, at, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrence, "_BATCH", 2)
    series = [weekly(practice, at, hour, f"Patient {hour}") for hour in (8, 9, 10)]
    practice.now += timedelta(days=100)
    # The hours of both doctors too
    assert run(practice) == Kept(extended=5)
    assert run(practice) == Kept()
    for booked in series:
        assert practice.visits(booked)[-1].start > practice.now + AHEAD - timedelta(days=8)


def test_one_that_cannot_be_expanded_does_not_hold_up_the_others_and_is_seen(practice, at, monkeypatch) -> None:
    monkeypatch.setattr(recurrence, "_BATCH", 1)
    broken = practice.object_of(weekly(practice, at, 8))
    good = weekly(practice, at, 9, "Hans Gruber")
    with practice.writing() as session:
        session.get_one(CalendarObject, broken.id).stored_text = "BEGIN:VCALENDAR\r\nEND:NOTHING\r\n"
    practice.now += timedelta(days=100)
    assert run(practice) == Kept(extended=3, failed=1)
    assert practice.visits(good)[-1].start > practice.now + AHEAD - timedelta(days=8)
    with practice.db.reading() as session:
        assert horizon.ending_early(session, practice.now) == 1


def test_an_operator_hears_of_entries_that_end_too_early(practice) -> None:
    practice.now += timedelta(days=70)
    with practice.db.reading() as session:
        assert any("end too early" in each for each in checks.integrity(practice.db, session, practice.now))
    run(practice)
    with practice.db.reading() as session:
        assert not any("end too early" in each for each in checks.integrity(practice.db, session, practice.now))


def test_a_write_between_the_look_and_the_lock_counts(practice, at) -> None:
    obj = practice.object_of(weekly(practice, at, 9))
    practice.now += timedelta(days=100)
    with practice.db.reading() as session:
        assert obj.id in horizon.due(session, practice.now)
    practice.delete(obj.href)
    with practice.writing() as session:
        assert not horizon.extend(session, obj.id, practice.now)
        assert session.scalar(select(func.count()).where(Occurrence.object_id == obj.id)) == 0


def test_a_long_series_that_has_an_end_is_left_alone_once_it_stands_there_whole(practice, at) -> None:
    booked = practice.book(at(9))
    obj = practice.object_of(booked)
    practice.put(obj.href, obj.served_text.replace("SUMMARY:", "RRULE:FREQ=MONTHLY;COUNT=48\r\nSUMMARY:", 1))
    for _year in range(3):
        practice.now += timedelta(days=365)
        run(practice)
    with practice.db.reading() as session:
        stored = session.get_one(CalendarObject, obj.id)
        assert stored.expanded_until is not None and stored.expanded_until.year > 9000
        asked = select(func.count()).where(Visit.appointment_id == booked.appointment.id)
        assert session.scalar(asked) == 48


def test_an_old_visit_that_nobody_closed_is_not_taken_for_a_new_one(practice, at) -> None:
    """Found by reading: more than a year back it leaves the table, and was renamed to the far end of its series."""
    booked = weekly(practice, at, 9)
    first = practice.visits(booked)[0]
    for _month in range(15):
        practice.now += timedelta(days=31)
        run(practice)
    visits = practice.visits(booked)
    assert (visits[0].recurrence_id, visits[0].start) == (first.recurrence_id, first.start)
    steps = {b.start - a.start for a, b in zip(visits, visits[1:], strict=False)}
    assert steps <= {timedelta(days=7), timedelta(days=7, hours=1), timedelta(days=7, hours=-1)}


def test_what_a_pass_did_is_said(practice) -> None:
    assert str(Kept(3)) == "3 entries extended"
    assert str(Kept(0, 5, 2, 1, 1)).endswith(", 2 of them moved, 1 appointments told; 1 FAILED, see the log")
    with practice.writing() as session:
        session.execute(text("UPDATE calendar_object SET tzdata = ''"))
    assert run(practice).looked_at > 0
