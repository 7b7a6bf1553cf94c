"""What the booking rules say about a time, with the facts that they need read behind the lock."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from ical import policy
from ical.diary import Window, lengths_at
from ical.errors import InvalidInput, Refusal
from storage import claims, diary
from storage.models import Account, AppointmentType
from storage.policy import Actor, require


@dataclass(frozen=True)
class Allowed:
    """A time that the rules allow: the claim that it needs, its end, and the working hours about it."""

    wanted: claims.Wanted
    end: datetime
    windows: Sequence[Window]
    # What said no and was overruled
    overruled: tuple[Refusal, ...] = ()


def lock(session: Session, doctors: Sequence[Account], also: Iterable[int] = ()) -> dict[int, int]:
    """Lock these doctors' time, and that of the resources `also`. Returns the resource of each doctor."""
    resources = {}
    for doctor in doctors:
        resource = claims.resource_of(session, doctor.id)
        if resource is None or doctor.disabled:
            raise InvalidInput("Nobody can be booked there.", field="doctor")
        resources[doctor.id] = resource
    if not resources:
        raise InvalidInput("Nobody can be booked there.", field="doctor")
    claims.lock(session, [*resources.values(), *also])
    return resources


def check(
    session: Session,
    doctor: Account,
    resource: int,
    start: datetime,
    kind: AppointmentType,
    actor: Actor,
    now: datetime,
    *,
    own: diary.Except | None = None,
    length: timedelta | None = None,
    overrule: bool = False,
    waived: Collection[policy.Rule] = (),
) -> Allowed:
    """What a booking at `start` needs. Raises the first rule that says no.

    With `overrule` staff set aside what they may (policy.BINDING is the rest); where nothing is free, the claim is to be
    taken with `overbook`. Raises Forbidden for those who may not. `waived` are rules that do not count here.
    """
    book = diary.around(session, doctor, start, kind, now, own=own)
    asked = diary.kind_of(kind)
    end = start + (length or length_at(book, kind, start))
    request = policy.Request(start, end, kind.code, by_staff=actor.is_staff)
    facts = book.facts()
    rules = policy.BINDING if overrule else [rule for rule in policy.RULES if rule not in waived]
    verdict = policy.check(request, asked, facts, now, rules)
    if overrule:
        require(actor, "appointment.overrule", doctor)
    before, after = timedelta(minutes=kind.buffer_before), timedelta(minutes=kind.buffer_after)
    seats = max(verdict.capacity, 1)
    wanted = claims.Wanted(resource, start - before, end + after, "", seats, kind.code, kind.capacity, verdict.location)
    overruled = tuple(policy.all_refusals(request, asked, facts, now)) if overrule else ()
    return Allowed(wanted, end, book.windows, overruled)


def length_at(book: diary.Book, kind: AppointmentType, start: datetime) -> timedelta:
    """How long a visit that begins then is: as its type or the hours say, else as the doctor's slots are."""
    lengths = lengths_at(book.windows, diary.kind_of(kind), start)
    return lengths[0] if lengths else timedelta(minutes=book.doctor.slot_minutes)


def refusals(
    book: diary.Book, start: datetime, end: datetime, kind: AppointmentType, actor: Actor, now: datetime
) -> list[Refusal]:
    """Every rule that says no to this time, going by a book that has been read. The first is the one to be told."""
    request = policy.Request(start, end, kind.code, by_staff=actor.is_staff)
    return policy.all_refusals(request, diary.kind_of(kind), book.facts(), now)
