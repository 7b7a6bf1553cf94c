"""How long an offer stands, and that nobody is disturbed in the night without need: also over clock changes."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ical.offers import Terms, timing, waits_for_staff

VIENNA = ZoneInfo("Europe/Vienna")
TERMS = Terms(usual=timedelta(hours=2), quiet=(time(21), time(7)))
NO_NOTICE = timedelta(0)
ZONES = [ZoneInfo(name) for name in ("Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Tehran")]


def at(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=VIENNA).astimezone(UTC)


def when(start: datetime, now: datetime, terms: Terms = TERMS, notice: timedelta = NO_NOTICE):
    found = timing(start, notice, terms, VIENNA, now)
    return None if found is None else (found.tell_at, found.expires_at)


def test_by_day_an_offer_is_told_at_once_and_stands_for_the_usual_while():
    assert when(at(27, 10), at(23, 9)) == (at(23, 9), at(23, 11))


@pytest.mark.parametrize(
    ("start", "stands"),
    [(at(23, 11), 15), (at(23, 11, 1), 60), (at(24, 9), 60), (at(24, 9, 1), 120)],
)
def test_the_nearer_the_visit_the_shorter_the_offer(start, stands):
    assert when(start, at(23, 9)) == (at(23, 9), at(23, 9) + timedelta(minutes=stands))


def test_a_type_whose_offers_are_short_has_none_that_is_longer():
    short = Terms(usual=timedelta(minutes=10), quiet=TERMS.quiet)
    assert when(at(23, 10), at(23, 9), short) == (at(23, 9), at(23, 9, 10))
    assert when(at(27, 10), at(23, 9), short) == (at(23, 9), at(23, 9, 10))


def test_what_becomes_free_in_the_night_is_told_in_the_morning_and_stands_from_then_on():
    assert when(at(27, 10), at(23, 23)) == (at(24, 7), at(24, 9))
    assert when(at(27, 10), at(24, 3)) == (at(24, 7), at(24, 9))
    assert when(at(24, 10), at(23, 23)) == (at(24, 7), at(24, 8))


def test_the_night_does_not_use_up_an_offer():
    assert when(at(27, 10), at(23, 20)) == (at(23, 20), at(24, 8))
    assert when(at(27, 10), at(23, 19)) == (at(23, 19), at(23, 21))


def test_what_will_not_wait_until_the_morning_is_told_in_the_night():
    assert when(at(24, 7, 4), at(24, 1)) == (at(24, 1), at(24, 2))
    assert when(at(24, 3), at(24, 1, 30)) == (at(24, 1, 30), at(24, 1, 45))
    assert when(at(24, 7, 5), at(24, 1)) == (at(24, 7), at(24, 7, 5))


def test_too_little_time_to_answer_is_no_offer():
    assert when(at(23, 9, 4), at(23, 9)) is None
    assert when(at(23, 9, 5), at(23, 9)) == (at(23, 9), at(23, 9, 5))
    assert when(at(23, 12), at(23, 9), notice=timedelta(hours=3)) is None


def test_without_quiet_hours_the_night_is_a_day():
    assert when(at(27, 10), at(23, 23), Terms(usual=timedelta(hours=2))) == (at(23, 23), at(24, 1))
    same = Terms(usual=timedelta(hours=2), quiet=(time(8), time(8)))
    assert when(at(27, 10), at(23, 23), same) == (at(23, 23), at(24, 1))


def test_quiet_hours_by_day_are_heeded_too():
    siesta = Terms(usual=timedelta(hours=2), quiet=(time(12), time(14)))
    assert when(at(27, 10), at(23, 11), siesta) == (at(23, 11), at(23, 15))
    assert when(at(27, 10), at(23, 13), siesta) == (at(23, 14), at(23, 16))


def test_seven_in_the_morning_is_seven_on_the_day_of_a_clock_change():
    # The clocks go back in the night to 25 October 2026 and forward in the night to 29 March.
    assert when(at(30, 10, month=10), at(24, 23, month=10))[0] == datetime(2026, 10, 25, 6, tzinfo=UTC)
    assert when(at(30, 10, month=3), at(28, 23, month=3))[0] == datetime(2026, 3, 29, 5, tzinfo=UTC)
    # An hour more or less of night takes nothing off the offer.
    assert when(at(30, 10, month=10), at(24, 20, month=10))[1] == datetime(2026, 10, 25, 7, tzinfo=UTC)
    assert when(at(31, 10, month=3), at(28, 20, month=3))[1] == datetime(2026, 3, 29, 6, tzinfo=UTC)


@given(
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC)),
    ahead=st.integers(0, 60 * 24 * 20),
    usual=st.integers(5, 60 * 24),
    begin=st.integers(0, 23),
    length=st.integers(0, 12),
    zone=st.sampled_from(ZONES),
)
def test_an_offer_never_ends_in_quiet_hours_unless_the_visit_begins(now, ahead, usual, begin, length, zone):
    start = now + timedelta(minutes=ahead)
    quiet = (time(begin), time((begin + length) % 24))
    found = timing(start, NO_NOTICE, Terms(timedelta(minutes=usual), quiet=quiet), zone, now)
    if found is None:
        assert ahead < 5 or start - now < timedelta(minutes=5)
        return
    assert now <= found.tell_at < found.expires_at <= start
    told_in_the_night = _quiet(found.tell_at, quiet, zone)
    if found.expires_at < start and not told_in_the_night:
        assert not _quiet(found.expires_at - timedelta(seconds=1), quiet, zone)
    if told_in_the_night:
        assert found.tell_at == now and start - now < timedelta(hours=14)


def _quiet(moment: datetime, quiet: tuple[time, time], zone: ZoneInfo) -> bool:
    wall = moment.astimezone(zone).time()
    first, last = quiet
    return first <= wall < last if first <= last else wall >= first or wall < last


def test_only_what_is_near_is_left_to_staff():
    assert waits_for_staff(at(25, 9), at(23, 9), 72)
    assert not waits_for_staff(at(26, 9), at(23, 9), 72)
    assert not waits_for_staff(at(23, 10), at(23, 9), 0) and not waits_for_staff(at(23, 10), at(23, 9), None)
