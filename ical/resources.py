"""When a room, a machine or an assistant is free, and which one of several is taken."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ical.diary import OVERBOOKED_SEAT, Busy, Held, Kind, Taken, Window, capacity_at, seconds


@dataclass(frozen=True)
class Resource:
    """What is known of the time of one. `windows` None: it is there whenever nothing is entered for it.

    `load` orders those that are free: what is used least goes first.
    """

    id: int
    name: str
    capacity: int = 1
    windows: Sequence[Window] | None = None
    busy: Sequence[Busy] = ()
    taken: Sequence[Held] = ()
    load: tuple[int, ...] = ()


def is_free(resource: Resource, kind: Kind, start: datetime, end: datetime) -> bool:
    """Whether it can be had for a visit, the kind's buffers included where somebody else has claimed it."""
    if resource.windows is not None and capacity_at(resource.windows, start, end) == 0:
        return False
    first, last = seconds(start), seconds(end)
    if any(each.start < last and each.end > first for each in resource.busy):
        return False
    return any(seat not in _used(resource, _claim(kind, start, end)) for seat in range(resource.capacity))


def with_taken(resource: Resource, kind: Kind, start: datetime, end: datetime) -> Resource:
    """The resource as it is once a visit has it too."""
    wanted = _claim(kind, start, end)
    used = _used(resource, wanted)
    seat = next((seat for seat in range(resource.capacity) if seat not in used), OVERBOOKED_SEAT)
    return replace(resource, taken=[*resource.taken, wanted._replace(seat=seat)])


def choose(
    groups: Iterable[Sequence[Resource]],
    kind: Kind,
    spans: Collection[tuple[datetime, datetime]],
    *,
    preferred: Collection[int] = (),
) -> list[tuple[Resource, int]]:
    """Of each group the one to take for all of these times, with how many of them it is not free for.

    Whoever can at most of them; then those preferred; then whoever is used least. Nobody is taken twice.
    """
    chosen: list[tuple[Resource, int]] = []
    for group in groups:
        left = [each for each in group if all(each.id != other.id for other, _missing in chosen)]
        rated = [
            (sum(not is_free(each, kind, *span) for span in spans), each.id not in preferred, each.load, each.id, each)
            for each in left or group
        ]
        missing, *_rest, best = min(rated, key=lambda rate: rate[:-1])
        chosen.append((best, missing if left else len(spans)))
    return chosen


def _claim(kind: Kind, start: datetime, end: datetime) -> Taken:
    return Taken(seconds(start) - kind.buffer_before * 60, seconds(end) + kind.buffer_after * 60, 0, kind.code)


def _used(resource: Resource, wanted: Taken) -> set[int]:
    return {each[2] for each in resource.taken if each[0] < wanted.end and each[1] > wanted.start}
