"""Figures: what the database adds up is what Python adds up, in every zone and on days when the clocks change."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from bench import naive_analytics
from ical.offsets import offsets
from ical.status import STATUSES
from storage import accounts, analytics, collections, hours, leave
from storage.analytics import Asked
from storage.db import Database
from storage.models import (
    Account,
    Appointment,
    CalendarObject,
    History,
    Holiday,
    HolidayCalendar,
    Location,
    Occurrence,
    Visit,
    WaitlistEntry,
)
from storage.policy import SYSTEM

ZONES = ("Europe/Vienna", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC")
# The clocks change in Vienna on 25 October, in New York on 1 November, on Lord Howe Island on 4 October.
FIRST, LAST = date(2026, 10, 1), date(2026, 11, 5)
NOW = datetime(2026, 9, 20, tzinfo=UTC)

moments = st.integers(-2 * 86_400, 38 * 86_400).map(lambda s: datetime(2026, 10, 1, tzinfo=UTC) + timedelta(seconds=s))
lengths = st.integers(1, 180)
visits = st.lists(
    st.tuples(
        st.integers(0, len(ZONES) - 1),
        moments,
        lengths,
        st.sampled_from(sorted(STATUSES)),
        st.sampled_from(("consultation", "virtual")),
        st.sampled_from(("", "Annexe")),
        st.integers(0, 5_000_000),
        st.one_of(st.none(), st.integers(-10_000, 500_000)),
        st.booleans(),
    ),
    max_size=30,
)
windows = st.lists(
    st.tuples(
        st.integers(0, len(ZONES) - 1),
        st.sampled_from(("hours", "hours", "leave")),
        moments,
        st.integers(1, 40 * 60),
        st.integers(0, 3),
        st.sampled_from(("", "Annexe")),
        st.sampled_from(("busy", "free", "busy-tentative")),
    ),
    max_size=25,
)
closings = st.lists(
    st.tuples(moments, st.integers(1, 40), st.booleans(), st.sampled_from((None, "Annexe", "Nowhere"))), max_size=4
)
entries = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, len(ZONES) - 1)),
        moments,
        st.one_of(st.none(), st.integers(0, 29)),
        st.sampled_from(("consultation", "virtual")),
    ),
    max_size=10,
)


@pytest.fixture
def doctors(database: Database) -> list[Account]:
    with database.transaction() as session:
        return [
            accounts.create_account(
                session,
                role="doctor",
                username=f"d{n}",
                name=f"Dr. {n}",
                email=f"d{n}@c.example",
                timezone=zone,
                now=NOW,
            )
            for n, zone in enumerate(ZONES)
        ]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visits, windows, closings, entries, st.sampled_from(("", "kind", "location", "doctor")))
def test_the_database_adds_up_what_python_adds_up(
    database, doctors, visits, windows, closings, entries, narrowed
) -> None:
    with database.transaction() as session:
        for model in (WaitlistEntry, History, Visit, Appointment, Occurrence, CalendarObject, Holiday, HolidayCalendar):
            session.execute(model.__table__.delete())
        if session.scalar(select(Location)) is None:
            session.add(Location(name="Annexe", timezone="Pacific/Auckland"))
        patient = accounts.find_or_create_patient(session, "Maria Huber", "maria@mail.example", "", NOW)
        calendar = collections.built_in(session, doctors[0], "appointments")
        made = [_visit(session, doctors, calendar.id, patient, n, *each) for n, each in enumerate(visits)]
        for each in windows:
            _window(session, doctors, calendar.id, *each)
        for each in closings:
            _closing(session, *each)
        for each in entries:
            _entry(session, doctors, patient, made, *each)
    asked = {"kind": "virtual"} if narrowed == "kind" else {"location": "Annexe"} if narrowed == "location" else {}
    chosen = doctors[1:3] if narrowed == "doctor" else doctors
    with database.reading() as session:
        for by in analytics.BY:
            question = Asked(chosen, FIRST, LAST, by, anybody=narrowed != "doctor", **asked)
            assert analytics.figures(session, question) == naive_analytics.figures(session, question)


def _object(session, calendar: int, kind: str) -> int:
    return session.execute(
        insert(CalendarObject)
        .values(
            collection_id=calendar,
            href=str(uuid4()),
            uid=str(uuid4()),
            component="VEVENT",
            kind=kind,
            stored_text="",
            served_text="",
            etag="",
            seq=1,
            created_at=NOW,
            changed_at=NOW,
        )
        .returning(CalendarObject.id)
    ).scalar_one()


def _visit(session, doctors, calendar, patient, n, who, start, minutes, state, kind, place, lead, ahead, moved):
    appointment = Appointment(
        id=uuid4(),
        object_id=_object(session, calendar, "appointment"),
        doctor_id=doctors[who].id,
        patient_id=patient.id,
        type_code=kind,
        location=place,
        video_link="https://video.example/x" if kind == "virtual" else "",
        booked_by="desk",
        booked_at=start - timedelta(seconds=lead, microseconds=n * 1000),
    )
    session.add(appointment)
    session.flush()
    cancelled = start - timedelta(seconds=ahead) if ahead is not None and "cancelled" in state else None
    end = start + timedelta(minutes=minutes)
    session.add(Visit(appointment_id=appointment.id, start=start, end=end, status=state, cancelled_at=cancelled))
    if moved:
        step = {"appointment_id": appointment.id, "at": NOW, "actor": "desk", "action": "moved"}
        session.execute(insert(History), [step, step, {**step, "action": "booked"}])
    session.flush()
    return appointment


def _window(session, doctors, calendar, who, kind, start, minutes, capacity, place, busy) -> None:
    session.add(
        Occurrence(
            object_id=_object(session, calendar, kind),
            collection_id=calendar,
            owner_id=doctors[who].id,
            start=start.replace(second=0),
            end=start.replace(second=0) + timedelta(minutes=minutes),
            kind=kind,
            busy=busy,
            capacity=capacity if kind == "hours" else None,
            location=place,
        )
    )


def _closing(session, start, hours, all_day, place) -> None:
    closed = HolidayCalendar(name="Holidays", location=place, added_at=NOW)
    session.add(closed)
    session.flush()
    end = start + timedelta(hours=hours)
    if all_day:
        start, end = (each.replace(hour=0, minute=0, second=0) for each in (start, end + timedelta(days=1)))
    session.add(Holiday(calendar_id=closed.id, start=start, end=end, all_day=all_day))


def _entry(session, doctors, patient, made, who, added, filled, kind) -> None:
    appointment = made[filled % len(made)] if filled is not None and made else None
    session.add(
        WaitlistEntry(
            id=uuid4(),
            patient_id=patient.id,
            doctor_id=None if who is None else doctors[who].id,
            date_from=FIRST,
            date_to=LAST,
            time_from=time(8),
            time_to=time(12),
            type_code=kind,
            status="waiting" if appointment is None else "converted",
            added_at=added,
            converted_to=None if appointment is None else appointment.id,
        )
    )


@pytest.mark.parametrize(("day", "minutes"), [(date(2026, 3, 29), 23 * 60), (date(2026, 10, 25), 25 * 60)])
def test_a_day_has_the_minutes_that_it_has(practice, day, minutes) -> None:
    with practice.writing() as session:
        midnight = datetime.combine(day, time(), ZoneInfo("Europe/Vienna"))
        collection = collections.built_in(session, practice.smith, "hours")
        obj = _object(session, collection.id, "hours")
        session.add(
            Occurrence(
                object_id=obj,
                collection_id=collection.id,
                owner_id=practice.smith.id,
                start=midnight,
                end=midnight + timedelta(days=1),
                kind="hours",
                busy="free",
                capacity=1,
            )
        )
        session.execute(Occurrence.__table__.delete().where(Occurrence.object_id != obj))
        table = analytics.figures(session, Asked([practice.smith], day, day, "hour"))
        assert table.total.available_minutes == minutes
        assert table == naive_analytics.figures(session, Asked([practice.smith], day, day, "hour"))


def test_leave_and_its_overlaps_are_taken_out_of_the_hours_once(practice, at) -> None:
    with practice.writing() as session:
        for first, last in ((9, 11), (10, 12)):
            asked = leave.request_leave(session, practice.lee, at(first), at(last), "", actor=SYSTEM, now=practice.now)
            leave.decide(session, asked.id, "approve", actor=SYSTEM, now=practice.now)
        day = date(2026, 11, 23)
        table = analytics.figures(session, Asked([practice.lee], day, day, "hour"))
        worked = {row.key: row.available_minutes for row in table.rows if row.available_minutes}
        assert worked == {"08": 60, "12": 60, "13": 60, "14": 60, "15": 60}


def test_hours_of_years_ago_are_counted_though_the_table_does_not_hold_them(practice) -> None:
    with practice.writing() as session:
        hours.add_hours(
            session, practice.lee, ["mon"], time(18), time(19), slot=20, actor=SYSTEM, now=practice.now,
            first=date(2023, 1, 2),
        )  # fmt: skip
        day = date(2023, 6, 5)
        asked = Asked([practice.lee], day, day, "weekday")
        assert session.scalar(select(Occurrence.id).where(Occurrence.start < NOW - timedelta(days=800))) is None
        table = analytics.figures(session, asked)
        assert table.rows[0].available_minutes == 60
        assert table == naive_analytics.figures(session, asked)


def test_an_offset_ends_where_the_clocks_change() -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    start, end = datetime(2026, 9, 1, tzinfo=UTC), datetime(2027, 5, 1, tzinfo=UTC)
    found = list(offsets(zone, start, end))
    assert [each.offset for each in found] == [timedelta(minutes=m) for m in (630, 660, 630)]
    assert found[0].end == datetime(2026, 10, 3, 15, 30, tzinfo=UTC)
    assert (found[0].start, found[-1].end) == (start, end)
    assert all(one.end == other.start for one, other in zip(found, found[1:], strict=False))
