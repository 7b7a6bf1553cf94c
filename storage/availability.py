"""When people are free, busy and at work, without saying with what. RFC 6638 §5, RFC 7953."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ical import availability, freebusy, timezones
from ical.freebusy import BusyType, Period
from ical.lines import parse
from ical.served import organizer_line
from storage import collections, objects, occurrences
from storage.models import Account, Collection
from storage.settings import Settings


def people(session: Session, addresses: Iterable[str]) -> dict[str, Account]:
    """The staff behind these e-mail addresses (in lower case). Where two share one, the doctor is meant."""
    wanted = list(addresses)
    chosen = select(Account).where(
        func.lower(Account.email).in_(wanted), Account.role != "patient", Account.disabled.is_(False)
    )
    found: dict[str, Account] = {}
    for account in sorted(session.scalars(chosen), key=lambda each: (each.role != "doctor", each.id)):
        found.setdefault(account.email.lower(), account)
    return found


def free_busy(session: Session, owners: Sequence[Account], start: datetime, end: datetime) -> dict[int, list[Period]]:
    """What is taken of each one's time in [start, end), by the account's id.

    A doctor is BUSY-UNAVAILABLE outside the working hours; what is entered there shows as what it is.
    """
    wanted = [calendar.id for calendar in _calendars(session, owners) if _counts(calendar)]
    found = occurrences.in_range(session, start, end, collection_ids=wanted)
    times: dict[int, list[Period]] = {}
    for owner in owners:
        own = [busy for busy in found if busy.owner_id == owner.id]
        taken = freebusy.merge(
            Period(busy.start, busy.end, cast(BusyType, busy.busy)) for busy in own if busy.kind != "hours"
        )
        if owner.role == "doctor":
            at_work = [Period(busy.start, busy.end) for busy in own if busy.kind == "hours" and busy.capacity]
            outside = freebusy.without([Period(start, end, "busy-unavailable")], at_work)
            taken += freebusy.without(outside, taken)
        times[owner.id] = sorted(taken, key=lambda period: period.start)
    return times


def vavailability(session: Session, doctor: Account, *, named: bool = True) -> tuple[str, datetime]:
    """The doctor's working hours as VAVAILABILITY, and when they were last changed. `named`: with the address."""
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    calendar = collections.built_in(session, doctor, "hours")
    text = availability.availability(
        f"availability-{doctor.username}@{settings.uid_domain}",
        [parse(obj.stored_text) for obj in objects.live(session, calendar)],
        timezones.zone(doctor.timezone),
        calendar.changed_at,
        organizer_line(doctor.name, doctor.email) if named and doctor.email else None,
    )
    return text, calendar.changed_at


def _calendars(session: Session, owners: Sequence[Account]) -> list[Collection]:
    chosen = select(Collection).where(Collection.owner_id.in_([owner.id for owner in owners]))
    return list(session.scalars(chosen))


def _counts(calendar: Collection) -> bool:
    """Whether its events take time (RFC 6638 §9.1). The hours take none, and say when there is any."""
    return calendar.kind == "hours" or not collections.is_transparent(calendar)
