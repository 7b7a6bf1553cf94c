"""When an offer is told and how long it stands: never told in the night without need, nor ended in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

# An offer of a visit that begins this soon after the message stands for a shorter while.
_SOON = timedelta(hours=2)
_NEXT_DAY = timedelta(hours=24)
# Less time than this to answer is no offer (unless the practice wants them shorter still).
_SHORTEST = timedelta(minutes=5)


@dataclass(frozen=True)
class Terms:
    """What the practice has decided. `quiet`: wall times of the doctor between which nobody is disturbed."""

    usual: timedelta
    soon: timedelta = timedelta(minutes=15)
    next_day: timedelta = timedelta(minutes=60)
    quiet: tuple[time, time] | None = None


@dataclass(frozen=True)
class Timing:
    tell_at: datetime
    expires_at: datetime


def timing(start: datetime, notice: timedelta, terms: Terms, zone: ZoneInfo, now: datetime) -> Timing | None:
    """When the patient is told of a slot that begins at `start`, and until when it is kept for them. None: too late."""
    latest = start - notice
    morning = _end_of_quiet(now, terms.quiet, zone)
    tell_at = morning or now
    if latest - tell_at < _SHORTEST:
        # It will not wait until the morning.
        tell_at = now
    length = _length(start - tell_at, terms)
    asleep = tell_at == now and morning is not None
    runs_out = tell_at + length if asleep else _awake(tell_at, length, terms.quiet, zone)
    expires_at = min(runs_out, latest)
    return Timing(tell_at, expires_at) if expires_at - tell_at >= min(length, _SHORTEST) else None


def waits_for_staff(start: datetime, now: datetime, hours: int | None) -> bool:
    """Whether a slot is so near that only staff offer it. `hours` None: none is."""
    return hours is not None and start - now < timedelta(hours=hours)


def _length(ahead: timedelta, terms: Terms) -> timedelta:
    if ahead <= _SOON:
        return min(terms.soon, terms.usual)
    return min(terms.next_day, terms.usual) if ahead <= _NEXT_DAY else terms.usual


def _end_of_quiet(moment: datetime, quiet: tuple[time, time] | None, zone: ZoneInfo) -> datetime | None:
    """The end of the quiet hours that `moment` lies in; None when it lies in none."""
    return next((end for begin, end in _spans(moment, quiet, zone) if begin <= moment < end), None)


def _awake(begin: datetime, length: timedelta, quiet: tuple[time, time] | None, zone: ZoneInfo) -> datetime:
    """`length` after `begin`, quiet hours not counted."""
    at, left = begin, length
    while True:
        pause = next(((first, last) for first, last in _spans(at, quiet, zone) if first >= at), None)
        if pause is None or at + left <= pause[0]:
            return at + left
        left -= pause[0] - at
        at = pause[1]


def _spans(moment: datetime, quiet: tuple[time, time] | None, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """The quiet hours of the day before, the day itself and the day after."""
    if quiet is None or quiet[0] == quiet[1]:
        return
    here = moment.astimezone(zone).date()
    for day in (here - timedelta(days=1), here, here + timedelta(days=1)):
        morning = day if quiet[1] > quiet[0] else day + timedelta(days=1)
        # As instants: two times of one zone would be compared by their wall times.
        yield (
            datetime.combine(day, quiet[0], zone).astimezone(moment.tzinfo),
            datetime.combine(morning, quiet[1], zone).astimezone(moment.tzinfo),
        )
