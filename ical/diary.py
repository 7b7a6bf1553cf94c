"""What is known of a doctor's time when one asks for a slot: hours, busy times, claims, and the facts about them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

# Deliberate overbookings sit from this seat on and keep nobody from a regular one.
OVERBOOKED_SEAT = 1000


@dataclass(frozen=True)
class Window:
    """One occurrence of working hours. `types` empty: every kind of appointment."""

    start: datetime
    end: datetime
    slot_minutes: int
    capacity: int = 1
    types: tuple[str, ...] = ()
    location: str = ""


@dataclass(frozen=True)
class Busy:
    """Minutes that are not on offer, because of "leave" or of anything else that blocks."""

    start: datetime
    end: datetime
    why: str = "block"


@dataclass(frozen=True)
class Taken:
    """Minutes that somebody holds on one seat, the buffers of their own kind included."""

    start: datetime
    end: datetime
    seat: int = 0


@dataclass(frozen=True)
class Kind:
    """What a kind of appointment asks for. `minutes` None: as long as the slot of the hours it falls in.

    `capacity` None: as many share one time as the hours say.
    """

    code: str
    minutes: int | None = None
    buffer_before: int = 0
    buffer_after: int = 0
    notice_minutes: int = 0
    window_days: int = 365
    capacity: int | None = None
    self_booking: bool = True


def eligible(windows: Iterable[Window], kind: Kind) -> list[Window]:
    """The windows in which this kind is offered, by start."""
    offered = (w for w in windows if w.slot_minutes > 0 and (not w.types or kind.code in w.types))
    return sorted(offered, key=lambda w: (w.start, w.end))


def by_location(windows: Iterable[Window]) -> dict[str, list[Window]]:
    places: dict[str, list[Window]] = {}
    for window in windows:
        places.setdefault(window.location, []).append(window)
    return places


def capacity_at(windows: Iterable[Window], start: datetime, end: datetime) -> int:
    """How many may be seen at once all through [start, end), at the place where most may; 0 outside hours.

    Windows at one place that overlap add up, windows that adjoin carry a visit across their border.
    """
    return max((_capacity(group, start, end) for group in by_location(windows).values()), default=0)


def seats(windows: Iterable[Window], kind: Kind, start: datetime, end: datetime) -> int:
    """How many may share [start, end) for this kind; 0 where it is not offered."""
    found = capacity_at(eligible(windows, kind), start, end)
    return found if kind.capacity is None or found == 0 else kind.capacity


def spots(windows: Iterable[Window], taken: Iterable[Taken], kind: Kind, start: datetime, end: datetime) -> int:
    """How many of those seats nobody holds, the kind's buffers kept free as well."""
    first = start - timedelta(minutes=kind.buffer_before)
    last = end + timedelta(minutes=kind.buffer_after)
    held = {t.seat for t in taken if t.start < last and t.end > first}
    return sum(1 for seat in range(seats(windows, kind, start, end)) if seat not in held)


def lengths_at(windows: Iterable[Window], kind: Kind, start: datetime) -> list[timedelta]:
    """How long a visit that begins at `start` would be: those of the windows whose grid it is on, else of all there."""
    if kind.minutes is not None:
        return [timedelta(minutes=kind.minutes)]
    there = [w for w in eligible(windows, kind) if w.start <= start < w.end]
    on_grid = [w for w in there if is_on_grid(w, start)]
    return [timedelta(minutes=minutes) for minutes in sorted({w.slot_minutes for w in on_grid or there})]


def is_on_grid(window: Window, start: datetime) -> bool:
    """Whether a slot of the window begins then."""
    return (start - window.start) % timedelta(minutes=window.slot_minutes) == timedelta(0)


def booking_horizon(kind: Kind, now: datetime, zone: tzinfo) -> datetime:
    """The first instant that is further ahead than can be booked: a midnight of the doctor's."""
    last = now.astimezone(zone).date() + timedelta(days=kind.window_days)
    return midnight(last + timedelta(days=1), zone)


def midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _capacity(windows: Sequence[Window], start: datetime, end: datetime) -> int:
    borders = sorted({start, *(t for w in windows for t in (w.start, w.end) if start < t < end)})
    return min(sum(w.capacity for w in windows if w.start <= at < w.end) for at in borders)
