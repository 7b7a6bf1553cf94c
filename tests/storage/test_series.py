"""A series as it is booked: what the answer says, what is claimed and what calendar apps are served are one thing."""

import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
import recurring_ical_events
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from icalendar import Calendar
from sqlalchemy import select

from ical.errors import InvalidInput, Refusal, SeriesConflict
from ical.series import Decision
from ical.times import utc_text
from storage import appointment_types, booking, drafts, lifecycle, series, series_changes
from storage.models import Appointment, CalendarObject, Claim, Visit
from storage.policy import Actor

from .conftest import at
from .test_writes import lite, statements

__all__ = ["lite"]

WEEK = timedelta(days=7)


class Undone(Exception):
    """Ends an example, and takes back what it wrote."""


@contextmanager
def example(practice):
    """A transaction of which nothing stays."""
    try:
        with practice.db.transaction() as session:
            yield session
            raise Undone
    except Undone:
        pass


def staff(practice) -> Actor:
    return Actor("account", "receptionist", 99, "desk", via="portal", label="desk")


def claimed(session, appointment_id=None) -> list[tuple[datetime, datetime]]:
    asked = select(Claim.start, Claim.end).order_by(Claim.start)
    if appointment_id is not None:
        asked = asked.where(Claim.appointment_id == appointment_id)
    return [tuple(row) for row in session.execute(asked)]


def served(session, appointment_id) -> list[tuple[datetime, datetime]]:
    """What a calendar app makes of the text, by somebody else's expansion."""
    appointment = session.get_one(Appointment, appointment_id, populate_existing=True)
    text = session.get_one(CalendarObject, appointment.object_id, populate_existing=True).served_text
    found = recurring_ical_events.of(Calendar.from_ical(text)).between(at(0, day=-30), at(0, day=900))
    spans = [(each.start, each.end) for each in found if str(each.get("STATUS")) != "CANCELLED"]
    return sorted((start.astimezone(at(0).tzinfo), end.astimezone(at(0).tzinfo)) for start, end in spans)


@st.composite
def rules(draw: st.DrawFn) -> str:
    """A rule that has the Monday of the test week."""
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY"]))
    parts = [f"FREQ={freq}", f"INTERVAL={draw(st.integers(1, 3))}"]
    if freq == "WEEKLY" and draw(st.booleans()):
        days = draw(st.sets(st.sampled_from(["MO", "WE", "TH", "SU"]))) | {"MO"}
        parts.append("BYDAY=" + ",".join(sorted(days)))
    if freq == "MONTHLY":
        parts.append(draw(st.sampled_from(["BYDAY=4MO", "BYMONTHDAY=23", "BYMONTHDAY=23"])))
    # Some of them last over a clock change
    until = draw(st.booleans()) and freq != "DAILY"
    return ";".join([*parts, "UNTIL=20270501" if until else f"COUNT={draw(st.integers(1, 20))}"])


slots = st.builds(
    lambda day, slot: at(8) + timedelta(days=day, minutes=20 * slot), st.integers(0, 60), st.integers(0, 25)
)


@dataclass(frozen=True)
class Case:
    rrule: str
    hour: int
    busy: tuple[datetime, ...]
    decisions: dict[int, tuple[str, datetime]]
    on_conflict: str
    by_staff: bool
    both_doctors: bool


cases = st.builds(
    Case,
    rules(),
    st.integers(8, 15),
    st.lists(slots, max_size=12).map(tuple),
    st.dictionaries(st.integers(0, 19), st.tuples(st.sampled_from(["keep", "skip", "move"]), slots), max_size=5),
    st.sampled_from(["refuse", "skip", "move"]),
    st.booleans(),
    st.booleans(),
)
many = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def prepare(practice, session, case: Case) -> drafts.NewAppointment:
    kind = appointment_types.get(session, "consultation")
    somebody, patient = practice.patient(session, "Karl Bauer"), practice.patient(session)
    for start in case.busy:
        taken = drafts.NewAppointment(start, kind, somebody)
        try:
            with session.begin_nested():
                booking.book(session, [practice.lee], taken, actor=staff(practice), now=practice.now)
        except Refusal:
            continue
    wanted = series.preview(
        session, [practice.lee], at(case.hour), kind, case.rrule, {}, actor=staff(practice), now=practice.now
    ).occurrences
    decisions = {
        wanted[at_].recurrence_id: Decision(action, start if action == "move" else None)  # type: ignore[arg-type]
        for at_, (action, start) in case.decisions.items()
        if at_ < len(wanted)
    }
    return drafts.NewAppointment(
        at(case.hour), kind, patient, rrule=case.rrule, decisions=decisions, on_conflict=case.on_conflict
    )  # type: ignore[arg-type]


@many
@given(case=cases)
def test_what_is_answered_is_claimed_and_served(practice, case: Case) -> None:
    with example(practice) as session:
        new = prepare(practice, session, case)
        actor = staff(practice) if case.by_staff else practice.visitor
        doctors = [practice.lee, practice.smith] if case.both_doctors else [practice.lee]
        before = claimed(session)
        try:
            booked = booking.book(session, doctors, new, actor=actor, now=practice.now)
        except Refusal as refusal:
            event(refusal.code)
            assert claimed(session) == before
            return
        event("booked")
        answered = sorted((each.start, each.end) for each in booked.occurrences if each.outcome != "skipped")
        assert claimed(session, booked.appointment.id) == answered
        assert sorted((visit.start, visit.end) for visit in booked.visits) == answered
        assert served(session, booked.appointment.id) == answered
        assert len(set(answered)) == len(answered)
        assert sorted(claimed(session)) == sorted(before + answered)
        for recurrence_id, decision in new.decisions.items():
            outcome = next(each for each in booked.occurrences if each.recurrence_id == recurrence_id)
            assert (outcome.outcome == "skipped") == (decision.action == "skip")
            assert decision.start in (None, outcome.start)
            assert case.by_staff or not outcome.overruled


@many
@given(case=cases)
def test_a_preview_and_a_booking_agree(practice, case: Case) -> None:
    with example(practice) as session:
        new = prepare(practice, session, case)
        looked = series.preview(
            session,
            [practice.lee],
            new.start,
            new.kind,
            case.rrule,
            new.decisions,
            actor=practice.visitor,
            now=practice.now,
        ).occurrences
        refused = [each.recurrence_id for each in looked if each.because]
        plain = drafts.NewAppointment(new.start, new.kind, new.patient, rrule=case.rrule, decisions=new.decisions)
        try:
            booked = booking.book(session, [practice.lee], plain, actor=practice.visitor, now=practice.now)
        except SeriesConflict as conflict:
            assert sorted(each.recurrence_id for each in conflict.conflicts) == sorted(refused)
        except Refusal:
            assert all(each.action == "skip" for each in looked)
        else:
            assert refused == []
            assert [each.start for each in booked.occurrences if each.outcome != "skipped"] == [
                each.start for each in looked if each.action != "skip"
            ]


steps = st.lists(
    st.tuples(
        st.sampled_from(["move following", "move all", "cancel following", "cancel", "move"]),
        st.integers(0, 19),
        slots,
        st.sampled_from(["refuse", "skip", "move"]),
    ),
    max_size=4,
)


@many
@given(case=cases, changes=steps)
def test_a_changed_series_is_claimed_and_served_as_its_visits_say(practice, case: Case, changes: list[Any]) -> None:
    with example(practice) as session:
        new = prepare(practice, session, case)
        try:
            booked = booking.book(session, [practice.lee], new, actor=staff(practice), now=practice.now)
        except Refusal:
            return
        others = [each for each in claimed(session) if each not in claimed(session, booked.appointment.id)]
        count = len(booked.visits)
        for change in changes:
            try:
                with session.begin_nested():
                    _change(practice, session, booked.appointment.id, *change)
            except Refusal as refusal:
                event(f"{change[0]}: {refusal.code}")
                session.expire_all()
        parts = _parts(session, booked.appointment.id)
        visits = [visit for part in parts for visit in _visits(session, part)]
        assert len(visits) == count
        going_on = sorted((visit.start, visit.end) for visit in visits if not visit.status.startswith("cancelled"))
        assert sorted(span for part in parts for span in served(session, part)) == going_on
        assert sorted(span for part in parts for span in claimed(session, part)) == going_on
        assert sorted(claimed(session)) == sorted(others + going_on)


def _change(practice, session, appointment_id, what: str, nth: int, start: datetime, on_conflict: str) -> None:
    parts = _parts(session, appointment_id)
    part = parts[nth % len(parts)]
    ids = sorted(visit.recurrence_id for visit in _visits(session, part))
    recurrence_id = ids[nth % len(ids)]
    more = {"actor": staff(practice), "now": practice.now}
    if what.startswith("cancel"):
        following = what == "cancel following"
        lifecycle.change_status(session, part, "cancel", recurrence_id=recurrence_id, following=following, **more)
    elif what == "move":
        lifecycle.reschedule(session, part, start, recurrence_id=recurrence_id, **more)
    else:
        wish = series_changes.Wish(start, recurrence_id, following=what == "move following", on_conflict=on_conflict)
        series_changes.move(session, part, wish, **more)


def _parts(session, appointment_id) -> list[Any]:
    asked = select(Appointment.id).where(
        (Appointment.id == appointment_id) | (Appointment.split_from == appointment_id)
    )
    return sorted(session.scalars(asked), key=str)


def _visits(session, appointment_id) -> list[Visit]:
    asked = select(Visit).where(Visit.appointment_id == appointment_id).execution_options(populate_existing=True)
    return list(session.scalars(asked))


def reads(seen: list[str]) -> int:
    return sum(said.lstrip().upper().startswith(("SELECT", "WITH")) for said in seen)


def test_a_preview_asks_as_much_of_the_database_for_a_year_as_for_a_day(lite) -> None:
    numbers = []
    for week in range(0, 40, 4):
        lite.book(at(9, day=7 * week), name="Karl Bauer")
    for rrule, conflicts in (("WEEKLY;COUNT=2", 1), ("WEEKLY;COUNT=52", 10), ("DAILY;COUNT=300", 10)):
        with statements(lite.db) as seen, lite.db.reading() as session:
            kind = appointment_types.get(session, "consultation")
            looked = series.preview(
                session, [lite.lee], at(9), kind, f"FREQ={rrule}", {}, actor=lite.visitor, now=lite.now
            )
        numbers.append(reads(seen))
        assert sum(1 for each in looked.occurrences if each.because) == conflicts
        assert all(each.alternatives for each in looked.occurrences if each.because)
    assert len(set(numbers)) == 1
    assert 1 < numbers[0] < 12


def test_a_weekly_series_of_a_year_is_booked_at_once(practice) -> None:
    for week in range(0, 40, 4):
        practice.book(at(9, day=7 * week), name="Karl Bauer")
    begun = time.perf_counter()
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=52", on_conflict="move")
    assert time.perf_counter() - begun < 2
    assert len(booked.visits) == 52


def test_a_long_series_is_booked_and_moved_with_as_many_questions_as_a_short_one(lite) -> None:
    numbers = []
    for hour, count in ((9, 4), (10, 52)):
        with statements(lite.db) as booked:
            made = lite.book(at(hour), rrule=f"FREQ=WEEKLY;COUNT={count}")
        with statements(lite.db) as moved, lite.writing() as session:
            wish = series_changes.Wish(at(hour, 20), on_conflict="move")
            series_changes.move(session, made.appointment.id, wish, actor=lite.doctor, now=lite.now)
        numbers.append((reads(booked), reads(moved)))
    assert numbers[0] == numbers[1]


def test_an_open_ended_series_of_too_many_is_refused_by_its_rule(practice) -> None:
    with practice.writing() as session:
        appointment_types.create(session, "far", now=practice.now, name="Far", minutes=20, window_days=700)
    with pytest.raises(InvalidInput) as caught:
        practice.book(at(9), kind="far", rrule="FREQ=DAILY")
    assert caught.value.field == "rrule"


def test_the_daily_maximum_counts_the_series_itself(practice) -> None:
    with practice.writing() as session:
        session.get_one(type(practice.lee), practice.lee.id).daily_maximum = 1
    practice.lee.daily_maximum = 1
    move = {utc_text(at(9) + WEEK): Decision("move", at(11))}
    with pytest.raises(SeriesConflict) as caught:
        practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=2", decisions=move)
    assert [why.code for why in caught.value.conflicts[0].because] == ["daily_maximum"]
