"""Slots on offer and the reasons why a time is not."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from time import perf_counter
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from ical.diary import Busy, Diary, Kind, OwnHours, Taken, Window, capacity_at
from ical.slots import Slot, Slots, free_slots, why_not

VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
DAY = datetime(2026, 11, 23, tzinfo=UTC)
ANY = Kind("consultation")


def moment(hour: int, minute: int = 0) -> datetime:
    return DAY + timedelta(hours=hour, minutes=minute)


def at(hour: int, minute: int = 0) -> int:
    return int(moment(hour, minute).timestamp())


def starts(slots: list[Slot]) -> list[str]:
    return [datetime.fromtimestamp(slot.start, UTC).strftime("%H:%M") for slot in slots]


def offered(windows, busy=(), taken=(), kind=ANY, first=None, last=None, **more):
    return free_slots(Diary(windows, busy, taken, **more), kind, NOW, first, last)


def codes(start, windows, busy=(), taken=(), kind=ANY, *, by_staff=True, **more):
    start = datetime.fromtimestamp(start, UTC)
    refusals = why_not(start, Diary(windows, busy, taken, **more), kind, NOW, by_staff=by_staff)
    return [refusal.code for refusal in refusals]


def test_slots_step_through_the_window():
    found = offered([Window(at(9), at(10), 20)])
    assert starts(found) == ["09:00", "09:20", "09:40"]
    assert {slot.length for slot in found} == {20 * 60}


def test_a_slot_that_would_run_past_the_end_is_not_offered():
    assert starts(offered([Window(at(9), at(9, 50), 20)])) == ["09:00", "09:20"]


def test_a_long_kind_steps_by_the_slot_of_the_hours():
    assert starts(offered([Window(at(9), at(10), 20)], kind=Kind("long", minutes=40))) == ["09:00", "09:20"]


def test_a_visit_may_cross_into_an_adjoining_window():
    windows = [Window(at(9), at(9, 30), 30), Window(at(9, 30), at(10), 30)]
    assert starts(offered(windows, kind=Kind("long", minutes=60))) == ["09:00"]


def test_a_visit_does_not_cross_into_another_place():
    windows = [Window(at(9), at(9, 30), 30, location="A"), Window(at(9, 30), at(10), 30, location="B")]
    assert offered(windows, kind=Kind("long", minutes=60)) == []


def test_overlapping_windows_at_one_place_add_capacity():
    windows = [Window(at(9), at(10), 30), Window(at(9, 30), at(10), 30)]
    assert [slot.spots for slot in offered(windows)] == [1, 2]
    assert capacity_at(windows, moment(9), moment(10)) == 1
    assert capacity_at(windows, moment(9, 30), moment(10)) == 2


def test_overlapping_windows_at_two_places_do_not_add_up():
    windows = [Window(at(9), at(10), 30, location="A"), Window(at(9), at(10), 30, location="B")]
    assert [slot.spots for slot in offered(windows)] == [1, 1]


def test_a_window_for_other_kinds_offers_nothing():
    windows = [Window(at(9), at(10), 30, types=("virtual",))]
    assert offered(windows) == []
    assert codes(at(9), windows) == ["type_not_offered"]
    assert starts(offered(windows, kind=Kind("virtual"))) == ["09:00", "09:30"]


def test_leave_and_blocks_take_the_time_they_touch():
    windows, busy = [Window(at(9), at(11), 30)], [Busy(at(9, 40), at(9, 50), "leave"), Busy(at(10, 30), at(11))]
    assert starts(offered(windows, busy)) == ["09:00", "10:00"]
    assert codes(at(9, 30), windows, busy) == ["on_leave"]
    assert codes(at(10, 30), windows, busy) == ["blocked"]


def test_a_seat_that_is_taken_leaves_the_others():
    windows = [Window(at(9), at(10), 30, capacity=2)]
    found = offered(windows, taken=[Taken(at(9), at(9, 30), seat=0)])
    assert [slot.spots for slot in found] == [1, 2]
    both = [Taken(at(9), at(9, 30), seat=0), Taken(at(9, 15), at(9, 45), seat=1)]
    assert [slot.spots for slot in offered(windows, taken=both)] == [1]
    assert codes(at(9), windows, taken=both) == ["slot_taken"]


def test_an_overbooking_takes_no_regular_seat():
    found = offered([Window(at(9), at(10), 30)], taken=[Taken(at(9), at(9, 30), seat=100_000)])
    assert starts(found) == ["09:00", "09:30"]


def test_buffers_keep_their_distance_on_both_sides():
    windows, kind = [Window(at(9), at(11), 15)], Kind("consultation", 15, buffer_before=5, buffer_after=10)
    found = offered(windows, taken=[Taken(at(9, 30), at(10))], kind=kind)
    assert starts(found) == ["09:00", "10:15", "10:30", "10:45"]


def test_the_kinds_own_capacity_wins():
    windows = [Window(at(9), at(10), 30, capacity=4)]
    assert [slot.spots for slot in offered(windows, kind=Kind("group", capacity=2))] == [2, 2]


def test_past_and_short_notice_are_too_late():
    now = int(NOW.timestamp())
    windows = [Window(now - 3600, now + 7200, 30)]
    assert offered(windows)[0].start == now
    kind = Kind("consultation", notice_minutes=45)
    assert offered(windows, kind=kind)[0].start == now + 3600
    assert codes(now - 1800, windows) == ["too_late"]
    assert codes(now + 1800, windows, kind=kind) == ["too_late"]


def test_the_booking_window_ends_with_a_local_day():
    kind = Kind("consultation", window_days=3)
    windows = [Window(at(9), at(9, 30), 30), Window(at(33), at(33, 30), 30)]
    assert [slot.start for slot in offered(windows, kind=kind)] == [at(9)]
    assert codes(at(33), windows, kind=kind) == ["too_far_ahead"]


def test_a_day_with_its_maximum_offers_no_more():
    windows = [Window(at(9), at(10), 30), Window(at(33), at(34), 30)]
    more = {"visits": [(at(10), "consultation")] * 3, "daily_maximum": 3}
    assert [slot.start for slot in offered(windows, **more)] == [at(33), at(33, 30)]
    assert codes(at(9), windows, **more) == ["daily_maximum"]


def test_a_week_with_its_maximum_offers_nothing_until_the_next_monday():
    windows = [Window(at(9 + 24 * day), at(10 + 24 * day), 60) for day in range(9)]
    more = {"visits": [(at(10), "consultation"), (at(10 + 24 * 6), "virtual")], "weekly_maximum": 2}
    assert [slot.start for slot in offered(windows, **more)] == [at(9 + 24 * 7), at(9 + 24 * 8)]
    assert codes(at(9 + 24), windows, **more) == ["weekly_maximum"]


def test_the_maximum_of_a_kind_counts_that_kind_alone():
    windows, visits = [Window(at(9), at(10), 30)], [(at(11), "virtual"), (at(12), "consultation")]
    assert offered(windows, visits=visits, kind=Kind("consultation", daily_maximum=1)) == []
    assert len(offered(windows, visits=visits, kind=Kind("consultation", daily_maximum=2))) == 2
    assert codes(at(9), windows, visits=visits, kind=Kind("virtual", weekly_maximum=1)) == ["type_maximum"]


def test_first_and_last_bound_the_starts():
    assert starts(offered([Window(at(9), at(12), 30)], first=moment(10), last=moment(11))) == ["10:00", "10:30"]


def test_no_slot_in_the_hour_that_is_left_out_and_both_in_the_one_that_repeats():
    def night(day: int, month: int) -> list[str]:
        begin = datetime(2026, month, day, 1, tzinfo=VIENNA).astimezone(UTC)
        end = datetime(2026, month, day, 4, tzinfo=VIENNA).astimezone(UTC)
        window = Window(int(begin.timestamp()), int(end.timestamp()), 30)
        slots = free_slots(Diary([window], zone=VIENNA), ANY, datetime(2026, 1, 1, tzinfo=UTC))
        return [datetime.fromtimestamp(slot.start, VIENNA).strftime("%H:%M %z") for slot in slots]

    spring, autumn = night(29, 3), night(25, 10)
    assert spring == ["01:00 +0100", "01:30 +0100", "03:00 +0200", "03:30 +0200"]
    assert len(autumn) == 8
    assert autumn[2:6] == ["02:00 +0200", "02:30 +0200", "02:00 +0100", "02:30 +0100"]


def test_a_patient_cannot_book_what_only_staff_books():
    kind, windows = Kind("emergency", self_booking=False), [Window(at(9), at(10), 30)]
    assert codes(at(9), windows, kind=kind, by_staff=False) == ["staff_only"]
    assert codes(at(9), windows, kind=kind) == []


def test_a_time_outside_hours_says_so():
    assert codes(at(14), [Window(at(9), at(10), 30)]) == ["outside_hours"]
    assert codes(at(9, 40), [Window(at(9), at(10), 30)], kind=Kind("long", minutes=30)) == ["outside_hours"]


minutes = st.integers(0, 48).map(lambda n: n * 15)


@st.composite
def intervals(draw):
    begin = draw(minutes)
    return at(0, begin), at(0, begin + 15 * draw(st.integers(1, 16)))


windows_drawn = st.lists(
    st.builds(
        lambda span, slot, capacity, types, place: Window(*span, slot, capacity, types, place),
        intervals(),
        st.sampled_from([15, 20, 30]),
        st.integers(1, 3),
        st.sampled_from([(), (), ("consultation",), ("virtual",)]),
        st.sampled_from(["", "A"]),
    ),
    max_size=4,
)
kinds_drawn = st.builds(
    Kind,
    st.sampled_from(["consultation", "virtual"]),
    st.sampled_from([None, 10, 30, 45]),
    st.sampled_from([0, 5, 15]),
    st.sampled_from([0, 10]),
    st.sampled_from([0, 60 * 80]),
    st.sampled_from([2, 3, 365]),
    st.sampled_from([None, None, 1, 2, 5]),
    st.just(True),
    st.sampled_from([frozenset(), frozenset(), frozenset({"lee"}), frozenset({"smith"})]),
    st.sampled_from([(), (), (OwnHours(frozenset({0}), time(2), time(9)),)]),
)


@settings(max_examples=300, deadline=None)
@given(
    windows_drawn,
    st.lists(
        st.builds(
            lambda span, why, place: Busy(*span, why, place),
            intervals(),
            st.sampled_from(["leave", "block", "holiday"]),
            st.sampled_from([None, None, "A"]),
        ),
        max_size=2,
    ),
    st.lists(
        st.builds(
            lambda span, seat, kind, place: Taken(*span, seat, kind, place),
            intervals(),
            st.integers(0, 3),
            st.sampled_from(["consultation", "virtual"]),
            st.sampled_from([None, "", "A"]),
        ),
        max_size=5,
    ),
    kinds_drawn,
    st.sampled_from([None, 1, 2]),
    st.sampled_from([0, 0, 30]),
)
def test_a_start_is_offered_exactly_when_nothing_speaks_against_it(windows, busy, taken, kind, maximum, way):
    diary = Diary(
        windows, busy, taken, [(at(5), "virtual")], daily_maximum=maximum, zone=VIENNA, name="lee", travel_minutes=way
    )
    found = {slot.start: slot for slot in free_slots(diary, kind, NOW)}
    grid = {
        start
        for w in windows
        if not w.types or kind.code in w.types
        for start in range(w.start, w.end, w.slot_minutes * 60)
    }
    free = {start for start in grid if not why_not(datetime.fromtimestamp(start, UTC), diary, kind, NOW)}
    assert set(found) == free
    assert all(a < b for a, b in pairwise(found))
    assert all(slot.spots >= 1 for slot in found.values())


def test_a_month_of_twenty_doctors_takes_milliseconds():
    days = [at(24 * day) for day in range(31)]
    windows = [Window(d + 3600 * h, d + 3600 * (h + 4), 30) for d in days for h in (8, 13)]
    taken = [Taken(d + 3600 * h, d + 3600 * h + 1800) for d in days for h in range(8, 17)]
    diary = Diary(windows, [Busy(days[3], days[5], "leave")], taken, zone=VIENNA)
    fastest = []
    for _ in range(5):
        began = perf_counter()
        asked = Slots(ANY, NOW)
        for _ in range(20):
            found = asked.of(diary)
        fastest.append(perf_counter() - began)
    assert len(found) > 200
    # Several times what it takes on a quiet machine; a loop gone quadratic takes seconds.
    assert min(fastest) < 0.1
