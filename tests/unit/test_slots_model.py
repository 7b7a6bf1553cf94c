"""The slots on offer, against a model that walks through every five minutes with a clock on the wall."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ical.diary import Busy, Diary, Kind, OwnHours, Place, Taken, Window
from ical.policy import Request, judge
from ical.slots import free_slots

TICK = 300
NOW = datetime(2025, 12, 1, tzinfo=UTC)
# A day before the clocks change, forward and back
CHANGES = [
    ("Europe/Vienna", date(2026, 3, 28)),
    ("Europe/Vienna", date(2026, 10, 24)),
    ("America/New_York", date(2026, 3, 7)),
    ("America/New_York", date(2026, 10, 31)),
    ("Australia/Lord_Howe", date(2026, 4, 4)),
    ("Australia/Lord_Howe", date(2026, 10, 3)),
    ("Africa/Casablanca", date(2026, 2, 14)),
    ("Africa/Casablanca", date(2026, 3, 21)),
    ("America/St_Johns", date(2026, 3, 7)),
    ("America/St_Johns", date(2026, 10, 31)),
]


@st.composite
def spans(draw: st.DrawFn, most: int = 40) -> tuple[int, int]:
    """In ticks from the first midnight."""
    begin = draw(st.integers(0, 2 * 288 + 60))
    return begin, begin + draw(st.integers(1, most))


@st.composite
def questions(draw: st.DrawFn) -> tuple[Diary, Kind]:
    name, first_day = draw(st.sampled_from(CHANGES))
    zone = ZoneInfo(name)
    midnight = int(datetime.combine(first_day, time(), zone).timestamp())

    def moments(span: tuple[int, int]) -> tuple[int, int]:
        return midnight + span[0] * TICK, midnight + span[1] * TICK

    places = st.sampled_from(["", "", "B"])
    windows = draw(
        st.lists(
            st.builds(
                lambda span, slot, seats, types, place: Window(*moments(span), slot, seats, types, place),
                spans(120),
                st.sampled_from([10, 15, 20, 30]),
                st.sampled_from([1, 1, 2]),
                st.sampled_from([(), (), ("a",), ("b",)]),
                places,
            ),
            min_size=1,
            max_size=4,
        )
    )
    busy = draw(
        st.lists(
            st.builds(
                lambda span, why, place: Busy(*moments(span), why, place if why == "holiday" else None),
                spans(),
                st.sampled_from(["leave", "block", "holiday"]),
                st.sampled_from([None, "B"]),
            ),
            max_size=2,
        )
    )
    taken = st.builds(
        lambda span, seat, kind, place: Taken(*moments(span), seat, kind, place),
        spans(12),
        st.sampled_from([0, 0, 1, 1000]),
        st.sampled_from(["a", "b"]),
        st.sampled_from([None, "", "B"]),
    )
    visits = draw(st.lists(st.tuples(st.integers(0, 700).map(lambda n: midnight + n * TICK), st.sampled_from("ab"))))
    rooms = {
        room: Diary(
            windows=[Window(*moments(span), 10) for span in draw(st.lists(spans(200), max_size=2))],
            busy=[Busy(*moments(span)) for span in draw(st.lists(spans(), max_size=1))],
            taken=draw(st.lists(taken, max_size=2)),
            always=draw(st.booleans()),
            capacity=draw(st.sampled_from([1, 1, 2])),
        )
        for room in ("r1", "r2")
    }
    hours = st.builds(
        OwnHours,
        st.frozensets(st.integers(0, 6), min_size=3),
        st.sampled_from([time(0), time(5)]),
        st.sampled_from([time(9), time(18, 30), time(0)]),
    )
    maximum = st.sampled_from([None, None, None, 1, 2])
    kind = Kind(
        "a",
        minutes=draw(st.sampled_from([None, 15, 40])),
        buffer_before=draw(st.sampled_from([0, 0, 10])),
        buffer_after=draw(st.sampled_from([0, 5])),
        capacity=draw(st.sampled_from([None, None, 1, 3])),
        hours=tuple(draw(st.lists(hours, max_size=1))),
        daily_maximum=draw(maximum),
        weekly_maximum=draw(maximum),
        resources=draw(st.sampled_from([(), (), (("r1", "r2"),), (("r1",), ("r2",))])),
    )
    diary = Diary(
        windows,
        busy,
        draw(st.lists(taken, max_size=3)),
        visits,
        draw(maximum),
        draw(maximum),
        zone,
        places={"B": Place("B", zone, draw(st.sampled_from([None, 20])))},
        travel_minutes=draw(st.sampled_from([0, 0, 15])),
        resources=rooms,
    )
    return diary, kind


def model(diary: Diary, kind: Kind) -> set[tuple[int, int]]:
    """(start, length) of everything that is free, found by looking at every five minutes alone."""
    found = set()
    offered = [w for w in diary.windows if not w.types or kind.code in w.types]
    for window in offered:
        length = 60 * (kind.minutes or window.slot_minutes)
        there = [w for w in offered if w.location == window.location]
        for start in range(window.start, window.end, window.slot_minutes * 60):
            if _is_free(diary, kind, there, window.location, start, length):
                found.add((start, length))
    return found


def _is_free(diary: Diary, kind: Kind, windows: list[Window], place: str, start: int, length: int) -> bool:
    visit = range(start, start + length, TICK)
    claim = range(start - kind.buffer_before * 60, start + length + kind.buffer_after * 60, TICK)
    seats = min(sum(w.capacity for w in windows if w.start <= tick < w.end) for tick in visit)
    if seats == 0 or not all(_is_open(diary, kind, place, tick) for tick in visit):
        return False
    way = 60 * (_way(diary, place))
    for held in diary.taken:
        far = held[4] is not None and held[4] != place and held[2] < 1000
        if far and any(held[0] - way <= tick < held[1] + way for tick in claim):
            return False
    if not _has_seat(kind, seats, diary.taken, claim) or not _below_maxima(diary, kind, start):
        return False
    return all(any(_room_is_free(diary.resources[name], visit, claim) for name in group) for group in kind.resources)


def _way(diary: Diary, place: str) -> int:
    said = diary.places["B"].travel_minutes
    return max(diary.travel_minutes, diary.travel_minutes if said is None else said)


def _is_open(diary: Diary, kind: Kind, place: str, tick: int) -> bool:
    if any(b.start <= tick < b.end and b.location in (None, place) for b in diary.busy):
        return False
    wall = datetime.fromtimestamp(tick, diary.zone)
    return not kind.hours or any(
        wall.weekday() in own.days and own.start <= wall.time() and (wall.time() < own.end or own.end == time())
        for own in kind.hours
    )


def _has_seat(kind: Kind, seats: int, taken: object, claim: range) -> bool:
    meeting = [Taken._make(t) for t in taken if t[2] < 1000 and any(t[0] <= tick < t[1] for tick in claim)]  # type: ignore[attr-defined]
    if kind.capacity and all((t.start, t.end, t.kind) == (claim.start, claim.stop, kind.code) for t in meeting):
        return len(meeting) < kind.capacity
    used = {t.seat for t in meeting}
    if used and max(used) >= seats:
        return False
    same = sum(t.kind == kind.code for t in meeting)
    return len(used) < seats and (kind.capacity is None or same < kind.capacity)


def _below_maxima(diary: Diary, kind: Kind, start: int) -> bool:
    day = datetime.fromtimestamp(start, diary.zone).date()
    days = [(datetime.fromtimestamp(at, diary.zone).date(), code) for at, code in diary.visits]
    for limit, code, weekly in (
        (diary.daily_maximum, None, False),
        (diary.weekly_maximum, None, True),
        (kind.daily_maximum, kind.code, False),
        (kind.weekly_maximum, kind.code, True),
    ):
        same = [
            d
            for d, c in days
            if code in (None, c) and (d.isocalendar()[:2] == day.isocalendar()[:2] if weekly else d == day)
        ]
        if limit is not None and len(same) >= limit:
            return False
    return True


def _room_is_free(room: Diary, visit: range, claim: range) -> bool:
    if not room.always and not all(any(w.start <= tick < w.end for w in room.windows) for tick in visit):
        return False
    if any(b.start <= tick < b.end for b in room.busy for tick in visit):
        return False
    used = {t[2] for t in room.taken if t[2] < 1000 and any(t[0] <= tick < t[1] for tick in claim)}
    return not (used and max(used) >= room.capacity) and len(used) < room.capacity


@settings(max_examples=400, deadline=None)
@given(questions())
def test_slots_are_what_a_look_at_every_five_minutes_finds(question: tuple[Diary, Kind]) -> None:
    diary, kind = question
    expected: dict[int, int] = {}
    for start, length in model(diary, kind):
        expected[start] = min(length, expected.get(start, length))
    assert {slot.start: slot.length for slot in free_slots(diary, kind, NOW)} == expected


@settings(max_examples=150, deadline=None)
@given(questions())
def test_what_is_offered_is_allowed_by_every_rule(question: tuple[Diary, Kind]) -> None:
    diary, kind = question
    for slot in free_slots(diary, kind, NOW):
        start = datetime.fromtimestamp(slot.start, UTC)
        verdict = judge(Request(start, start + timedelta(seconds=slot.length), kind.code), kind, diary, NOW)
        assert verdict.refusals == ()


@pytest.mark.parametrize(("name", "first_day"), CHANGES)
def test_own_hours_keep_their_wall_time_when_the_clocks_change(name: str, first_day: date) -> None:
    zone = ZoneInfo(name)
    begin = int(datetime.combine(first_day, time(), zone).timestamp())
    kind = Kind("a", hours=(OwnHours(frozenset(range(7)), time(9), time(10)),))
    found = free_slots(Diary([Window(begin, begin + 3 * 86_400, 30)], zone=zone), kind, NOW)
    walls = [datetime.fromtimestamp(slot.start, zone).strftime("%H:%M") for slot in found]
    assert len(walls) >= 5 and set(walls) == {"09:00", "09:30"}


@pytest.mark.parametrize(("name", "first_day"), CHANGES)
def test_a_full_day_ends_at_its_own_midnight(name: str, first_day: date) -> None:
    zone = ZoneInfo(name)
    changing = first_day + timedelta(days=1)
    begin, end = (int(datetime.combine(changing + timedelta(days=n), time(), zone).timestamp()) for n in (0, 1))
    diary = Diary([Window(begin - 3600, end + 3600, 30)], visits=[(begin, "x")], daily_maximum=1, zone=zone)
    starts = [slot.start for slot in free_slots(diary, Kind("a"), NOW)]
    assert starts == [begin - 3600, begin - 1800, end, end + 1800]
    assert (end - begin) % 86_400 != 0
