"""A law changes the clocks: what is to come keeps its wall time. A zone made here takes the place of the real one."""

import struct
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text

from ical import timezones, tzdata
from ical.offsets import offsets
from storage import checks, claims, clock_changes, history, lifecycle
from storage.models import CalendarObject, Claim, History, Notice, Occurrence, OutboxMessage, Reminder, Visit
from storage.policy import SYSTEM
from tasks import recurrence
from tasks.recurrence import Kept

# From then on Vienna keeps summer time for good.
LAW = datetime(2027, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
VIENNA = ZoneInfo("Europe/Vienna")


def compiled(pieces: list[tuple[int, int]], footer: str) -> bytes:
    """A zone as zic writes it (RFC 9636): (since when, offset), in seconds."""
    kinds = sorted({offset for _since, offset in pieces})
    head = b"TZif2" + bytes(15)
    first = head + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 3600, 0, 0) + b"LMT\0"
    counts = struct.pack(">6l", 0, 0, 0, len(pieces), len(kinds), 4)
    times = b"".join(struct.pack(">q", since) for since, _offset in pieces)
    places = bytes(kinds.index(offset) for _since, offset in pieces)
    types = b"".join(struct.pack(">lbb", offset, 0, 0) for offset in kinds)
    return first + head + counts + times + places + types + b"LMT\0" + b"\n" + footer.encode() + b"\n"


@pytest.fixture
def law(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Brings the law into force, as an update of the system's time zones and a restart would."""
    known = list(offsets(VIENNA, datetime(1990, 1, 1, tzinfo=UTC), LAW))
    pieces = [(int(each.start.timestamp()), int(each.offset.total_seconds())) for each in known]
    folder = tmp_path / "zoneinfo"
    (folder / "Europe").mkdir(parents=True)
    (folder / "Europe" / "Vienna").write_bytes(compiled([*pieces, (int(LAW.timestamp()), 7200)], "<+02>-2"))
    (folder / "UTC").write_bytes(compiled([(0, 0)], "UTC0"))
    (folder / "tzdata.zi").write_text("# version 2027z\n")
    before = zoneinfo.TZPATH

    def enact() -> None:
        zoneinfo.reset_tzpath(to=[str(folder), *before])
        forget()

    yield enact
    zoneinfo.reset_tzpath(to=list(before))
    forget()


def forget() -> None:
    ZoneInfo.clear_cache()
    tzdata.version.cache_clear()
    for each in vars(timezones).values():
        if hasattr(each, "cache_clear"):
            each.cache_clear()


def run(practice) -> Kept:
    return recurrence.run(practice.db, practice.db.settings, lambda: practice.now)


def claimed(practice) -> set[tuple[datetime, datetime]]:
    return {(start, end) for start, end, _seat in practice.claims()}


def changed_etags(practice, before: dict[int, str]) -> set[int]:
    return {key for key, etag in etags(practice).items() if before[key] != etag}


def etags(practice) -> dict[int, str]:
    with practice.db.reading() as session:
        return dict(session.execute(select(CalendarObject.id, CalendarObject.etag)).all())


# Day 42 is Monday, 4 January 2027.


def test_what_is_to_come_keeps_its_wall_time_and_patients_are_told(practice, at, law) -> None:
    before, after = practice.book(at(9, day=7)), practice.book(at(9, day=42))
    known = etags(practice)
    law()
    assert run(practice).moved > 0
    assert practice.visit(before).start == at(9, day=7)
    visit = practice.visit(after)
    assert (visit.start, visit.end) == (at(8, day=42), at(8, 20, day=42))
    assert visit.start.astimezone(ZoneInfo("Europe/Vienna")).hour == 9
    assert not visit.overbooked and visit.told_start == visit.start
    assert claimed(practice) == {(at(9, day=7), at(9, 20, day=7)), (at(8, day=42), at(8, 20, day=42))}
    with practice.db.reading() as session:
        told = [m for m in session.scalars(select(OutboxMessage)) if m.template == "appointment_changed"]
        assert [(m.appointment_id, m.payload["by_law"], "was" in m.payload) for m in told] == [
            (after.appointment.id, True, False)
        ]
        due = session.scalars(select(Reminder.due_at).where(Reminder.appointment_id == after.appointment.id)).all()
        assert at(8, day=41) in due and at(9, day=41) not in due
        stored = practice.object_of(after)
        assert "TZOFFSETTO:+0200" in stored.served_text and stored.tzdata == "2027z"
        assert checks.integrity(practice.db, session, practice.now) == []
    # Only what moved is fetched anew by calendar apps.
    moved = changed_etags(practice, known)
    assert practice.object_of(after).id in moved and practice.object_of(before).id not in moved


def test_working_hours_move_with_the_clocks(practice, at, law) -> None:
    law()
    run(practice)
    with practice.db.reading() as session:
        asked = select(Occurrence.start).where(Occurrence.owner_id == practice.lee.id, Occurrence.kind == "hours")
        starts = set(session.scalars(asked))
    assert at(8, day=30) in starts
    assert at(7, day=42) in starts and at(8, day=42) not in starts


def test_appointments_one_after_the_other_do_not_stand_in_each_others_way(practice, at, law) -> None:
    booked = [
        practice.book(at(hour, minute, day=42), name=f"Patient {hour}{minute}")
        for hour in (9, 10)
        for minute in (0, 20, 40)
    ]
    law()
    run(practice)
    visits = [practice.visit(each) for each in booked]
    assert [visit.overbooked for visit in visits] == [False] * 6
    assert [visit.start for visit in visits] == [at(h, m, day=42) for h in (8, 9) for m in (0, 20, 40)]


def test_what_collides_after_a_law_is_overbooked_and_the_doctor_hears_of_it(practice, at, law) -> None:
    booked = practice.book(at(9, day=42))
    with practice.writing() as session:
        resource = claims.resource_of(session, practice.lee.id)
        start = at(8, day=42)
        session.add(Claim(resource_id=resource, start=start, end=start + HOUR, kind="appointment"))
    law()
    run(practice)
    assert practice.visit(booked).overbooked
    with practice.db.reading() as session:
        assert session.scalar(select(Notice.text)) == "This appointment overlaps another one."


def test_each_visit_of_a_series_keeps_its_status_and_its_history(practice, at, law) -> None:
    booked = practice.book(at(9, day=28), rrule="FREQ=WEEKLY;COUNT=5")
    ids = [visit.recurrence_id for visit in practice.visits(booked)]
    with practice.writing() as session:
        for action, recurrence_id in (("confirm", ids[3]), ("cancel", ids[4])):
            lifecycle.change_status(
                session, booked.appointment.id, action, actor=SYSTEM, now=practice.now, recurrence_id=recurrence_id
            )
    law()
    run(practice)
    visits = practice.visits(booked)
    assert [visit.start for visit in visits] == [
        at(9, day=28), at(9, day=35), at(8, day=42), at(8, day=49), at(8, day=56)
    ]  # fmt: skip
    assert [visit.status for visit in visits] == ["scheduled"] * 2 + ["scheduled", "confirmed", "cancelled_doctor"]
    assert [visit.recurrence_id for visit in visits][:2] == ids[:2]
    with practice.db.reading() as session:
        steps = history.of_appointment(session, booked.appointment.id)
        assert {step.recurrence_id for step in steps if step.action == "confirm"} == {visits[3].recurrence_id}
        assert session.scalar(select(History.id).where(History.recurrence_id == ids[3])) is None
        told = session.scalars(select(OutboxMessage).where(OutboxMessage.template == "appointment_changed")).all()
        assert len(told) == 1
    with practice.db.reading() as session:
        assert len(session.scalars(select(Claim)).all()) == 4


def test_a_second_pass_finds_nothing_to_do(practice, at, law) -> None:
    practice.book(at(9, day=42))
    law()
    run(practice)
    known, messages = etags(practice), practice.messages()
    assert run(practice) == Kept()
    assert (etags(practice), practice.messages()) == (known, messages)


def test_new_rules_that_change_nothing_here_are_only_noted(practice, at) -> None:
    practice.book(at(9, day=42))
    known = etags(practice)
    with practice.writing() as session:
        session.execute(text("UPDATE calendar_object SET tzdata = '2020a'"))
        assert "time zone rules" in " ".join(checks.integrity(practice.db, session, practice.now))
    done = run(practice)
    assert (done.moved, done.failed, done.looked_at) == (0, 0, len(known))
    assert etags(practice) == known
    with practice.db.reading() as session:
        assert clock_changes.count(session) == 0


def test_what_is_over_stays_as_it_was(practice, at, law) -> None:
    booked = practice.book(at(9, day=42))
    practice.now = at(12, day=42)
    law()
    run(practice)
    assert practice.visit(booked).start == at(9, day=42)
    with practice.db.reading() as session:
        assert session.scalar(select(Visit.told_start)) == at(9, day=42)


def test_the_version_is_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "UTC").touch()
    (tmp_path / "+VERSION").write_text("2026b\n")
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path / "nowhere"), str(tmp_path)))
    tzdata.version.cache_clear()
    assert tzdata.version() == "2026b"
    (tmp_path / "tzdata.zi").write_text("# version 2026c\nR A 1 …\n")
    tzdata.version.cache_clear()
    assert tzdata.version() == "2026c"
    tzdata.version.cache_clear()
