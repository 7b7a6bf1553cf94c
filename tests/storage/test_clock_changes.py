"""Appointments about a change of the clocks, in five zones: no time that is not there, both that come twice."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import accounts, appointment_types, booking, drafts, hours, lifecycle, slots
from storage.checks import integrity
from storage.db import Database
from storage.models import Account, Claim, Reminder, Visit
from storage.policy import SYSTEM

NOW = datetime(2026, 11, 20, tzinfo=UTC)
STEP = timedelta(minutes=30)
# How many half hours there are from one to six: by night, by half an hour, and at midnight
COUNTS = {
    "Europe/Vienna": {8, 12},
    "America/New_York": {8, 12},
    "Australia/Lord_Howe": {9, 11},
    "America/Santiago": {10},
    "Africa/Cairo": {10},
}


def changes(zone: ZoneInfo) -> Iterator[tuple[date, timedelta]]:
    """The local days of the next year's changes, and by how much the clocks go forward."""
    moment = NOW
    for _ in range(365 * 24):
        before, moment = moment.astimezone(zone).utcoffset(), moment + timedelta(hours=1)
        after = moment.astimezone(zone).utcoffset()
        assert before is not None and after is not None
        if before != after:
            yield moment.astimezone(zone).date(), after - before


def expected(day: date, zone: ZoneInfo) -> list[datetime]:
    """Every half hour from one to six, as time goes by."""
    start = datetime.combine(day, time(1), zone).astimezone(UTC)
    end = datetime.combine(day, time(6), zone).astimezone(UTC)
    return [start + STEP * number for number in range((end - start) // STEP)]


def free(session: Session, doctor: Account, day: date, zone: ZoneInfo) -> list[datetime]:
    start, end = (datetime.combine(day + timedelta(days=days), time(), zone).astimezone(UTC) for days in (0, 1))
    kind = appointment_types.get(session, "consultation")
    return [slot.start for slot in slots.free_slots(session, [doctor], start, end, kind, NOW)]


@pytest.mark.parametrize("name", COUNTS)
def test_a_day_with_a_change_is_booked_moved_and_cancelled_to_its_last_minute(database: Database, name: str) -> None:
    zone = ZoneInfo(name)
    with database.transaction() as session:
        doctor = accounts.create_account(
            session,
            role="doctor",
            username="lee",
            name="Dr. Lee",
            email="lee@clinic.example",
            timezone=name,
            now=NOW,
        )
        hours.add_hours(session, doctor, hours.DAYS, time(1), time(6), slot=30, actor=SYSTEM, now=NOW)
    found = list(changes(zone))
    assert sorted(by > timedelta() for _day, by in found) == [False, True]
    counts = set()
    for day, _by in found:
        times = expected(day, zone)
        counts.add(len(times))
        with database.transaction() as session:
            assert free(session, doctor, day, zone) == times
        later = datetime.combine(day + timedelta(days=2), time(1), zone).astimezone(UTC)
        made = [book(database, doctor, start) for start in times]
        with database.transaction() as session:
            assert free(session, doctor, day, zone) == []
            # From the day of the change to the one after it, and back to one that is free again
            lifecycle.reschedule(session, made[0], later, actor=SYSTEM, now=NOW)
            lifecycle.reschedule(session, made[-1], times[0], actor=SYSTEM, now=NOW)
            lifecycle.cancel(session, made[1], actor=SYSTEM, now=NOW, by="doctor")
            assert free(session, doctor, day, zone) == [times[1], times[-1]]
        with database.reading() as session:
            starts = {made[number]: times[number] for number in range(2, len(times) - 1)}
            starts |= {made[0]: later, made[-1]: times[0]}
            standing = {
                visit.appointment_id: visit.start
                for visit in session.scalars(select(Visit))
                if visit.status in ("scheduled", "rescheduled")
            }
            assert {key: standing[key] for key in made if key in standing} == starts
            claimed = {claim.appointment_id: (claim.start, claim.end) for claim in session.scalars(select(Claim))}
            assert {key: claimed[key] for key in made if key in claimed} == {
                key: (start, start + STEP) for key, start in starts.items()
            }
            # A day before is 24 hours before: nobody is reminded an hour late.
            due = {(row.appointment_id, row.due_at) for row in session.scalars(select(Reminder))}
            assert {each for each in due if each[0] in made} == {
                (key, start - timedelta(hours=before)) for key, start in starts.items() for before in (24, 2)
            }
            assert integrity(database, session, NOW) == []
    # Where the clocks change by night, there is more or less of it; elsewhere they change at midnight.
    assert counts == COUNTS[name]


def book(database: Database, doctor: Account, start: datetime) -> UUID:
    with database.transaction() as session:
        patient = accounts.find_or_create_patient(session, "Maria Huber", "maria@mail.example", "", NOW)
        new = drafts.NewAppointment(start, appointment_types.get(session, "consultation"), patient)
        return booking.book(session, [doctor], new, actor=SYSTEM, now=NOW).appointment.id
