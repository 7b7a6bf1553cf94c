"""When a room, a machine or an assistant is free, and which one of several is taken."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ical import policy
from ical.diary import OVERBOOKED_SEAT, Diary, Kind
from ical.seats import Seats, seat_for


@dataclass(frozen=True)
class Resource:
    """What is known of the time of one. `load` orders those that are free: what is used least goes first."""

    id: int
    name: str
    diary: Diary
    load: tuple[int, ...] = ()


def is_free(resource: Resource, kind: Kind, start: datetime, end: datetime) -> bool:
    """Whether it can be had for a visit, the kind's buffers included where somebody else has claimed it."""
    return policy.is_resource_free(resource.diary, policy.Request(start, end, kind.code), kind)


def with_taken(resource: Resource, kind: Kind, start: datetime, end: datetime) -> Resource:
    """The resource as it is once a visit has it too."""
    diary = resource.diary
    wanted = policy.claim_of(policy.Request(start, end, kind.code), kind)
    seat = seat_for(wanted, Seats(diary.capacity), diary.taken)
    taken = wanted._replace(seat=OVERBOOKED_SEAT if seat is None else seat)
    return replace(resource, diary=replace(diary, taken=[*diary.taken, taken]))


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
