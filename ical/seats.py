"""Who may share a time. Hours have seats; a kind of appointment with more of its own fills them as a group."""

from collections.abc import Iterable
from typing import NamedTuple

from ical.diary import OVERBOOKED_SEAT, Held, Kind, Taken


class Seats(NamedTuple):
    """The seats of the hours, and how many of one kind may share one time (None: as many as there are seats)."""

    hours: int
    kind: str = ""
    own: int | None = None


def seats_of(kind: Kind, capacity: int) -> Seats:
    """For hours of this capacity."""
    return Seats(capacity, kind.code, kind.capacity)


def free_seats(wanted: Taken, seats: Seats, taken: Iterable[Held]) -> int:
    """How many may still take the time of `wanted`, its buffers included."""
    there = in_the_way(wanted, taken)
    if seats.hours <= 0:
        return 0
    if seats.own is not None and all(_same(wanted, other) for other in there):
        # A group: one time, one kind, and as many as the kind says, whatever the hours do.
        return max(0, seats.own - len(there))
    used = {other.seat for other in there}
    if any(seat >= seats.hours for seat in used):
        # Others fill the time as a group.
        return 0
    free = seats.hours - len(used)
    if seats.own is not None:
        free = min(free, seats.own - sum(other.kind == seats.kind for other in there))
    return max(0, free)


def seat_for(wanted: Taken, seats: Seats, taken: Iterable[Held]) -> int | None:
    """The seat to take; None when there is none."""
    known = list(taken)
    if not free_seats(wanted, seats, known):
        return None
    used = {other.seat for other in in_the_way(wanted, known)}
    return next(seat for seat in range(len(used) + 1) if seat not in used)


def in_the_way(wanted: Taken, taken: Iterable[Held]) -> list[Taken]:
    """What holds regular seats at that time."""
    first, last = wanted.start, wanted.end
    return [Taken._make(t) for t in taken if t[0] < last and t[1] > first and t[2] < OVERBOOKED_SEAT]


def _same(wanted: Taken, other: Taken) -> bool:
    return (other.start, other.end, other.kind) == (wanted.start, wanted.end, wanted.kind)
