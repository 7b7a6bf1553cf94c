"""Who and what is to take part beside the doctor, and which of several it will be.

Asked for by name, or required by the type of appointment in groups, of each of which one is needed. What is used least
goes first: on that day, then in that week, then what was booked the longest ago.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from ical import resources as rules
from ical import timezones
from ical.diary import midnight
from ical.errors import InvalidInput, ResourceTaken
from storage import booking_rules, claims, diary, participants, resources
from storage.models import Account, Appointment, AppointmentType, Claim
from storage.policy import Actor
from storage.resources import Bookable

# How far about a week it is looked for who was booked the longest ago.
_LATELY = timedelta(days=28)
_BEYOND = timedelta(days=1)


@dataclass(frozen=True)
class Needs:
    """Who must take part beside the doctor: further doctors, and one of each group of resources."""

    doctors: tuple[Bookable, ...] = ()
    groups: tuple[tuple[Bookable, ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.doctors or self.groups)

    @property
    def ids(self) -> list[int]:
        """All whose time may be taken: to be locked."""
        return [each.id for each in (*self.doctors, *(each for group in self.groups for each in group))]


NOTHING = Needs()


@dataclass(frozen=True)
class Chosen:
    """Who takes part, and the claims that this needs. `missing`: who is not free and taken all the same."""

    people: tuple[Bookable, ...] = ()
    wanted: tuple[claims.Wanted, ...] = ()
    missing: tuple[Bookable, ...] = ()


def needs(session: Session, kind: AppointmentType, names: Iterable[str] = (), doctors: Sequence[Account] = ()) -> Needs:
    """What an appointment of this kind needs, with the resources named besides and `doctors` beside the first.

    A named one stands for the group of the type that it is in. Raises InvalidInput for what cannot be booked.
    """
    named = resources.by_names(session, names)
    for each in named:
        if each.kind == "doctor":
            raise InvalidInput("Name doctors as doctor, with together.", field="resources")
    required = [list(group) for group in kind.resources]
    known = {
        each.account.username: each for each in resources.known(session, {name for group in required for name in group})
    }
    left = list(named)
    groups = []
    for group in required:
        meant = next((each for each in left if each.account.username in group), None)
        if meant is not None:
            left.remove(meant)
        usable = [known[name] for name in group if name in known and not known[name].account.disabled]
        if not usable:
            raise InvalidInput("What this type of appointment needs is not there any more.", field="type")
        groups.append((meant,) if meant else tuple(usable))
    others = resources.known(session, [doctor.username for doctor in doctors])
    return Needs(tuple(others), (*groups, *((each,) for each in left)))


@dataclass(frozen=True)
class Picked:
    """One of a group. `missing`: for how many of the times it is not free."""

    who: Bookable
    facts: rules.Resource
    missing: int


def again(session: Session, appointment: Appointment, kind: AppointmentType) -> Needs:
    """What an appointment needs at another time: of a series just those who take part, for they take part in all of it;
    else what its kind needs, and who was asked for besides."""
    present = participants.of_appointment(session, appointment.id)
    if not present and not kind.resources:
        return NOTHING
    doctors = tuple(each for each in present if each.kind == "doctor")
    left = [each for each in present if each.kind != "doctor"]
    if appointment.series:
        return Needs(doctors, tuple((each,) for each in left))
    for group in kind.resources:
        taken = next((each for each in left if each.account.username in group), None)
        if taken is not None:
            left.remove(taken)
    return Needs(doctors, (*needs(session, kind).groups, *((each,) for each in left)))


def choose(
    session: Session,
    lead: Account,
    needed: Needs,
    start: datetime,
    end: datetime,
    kind: AppointmentType,
    actor: Actor,
    now: datetime,
    *,
    own: diary.Except | None = None,
    preferred: Collection[int] = (),
    overrule: bool = False,
) -> Chosen:
    """Who takes part beside `lead`, everybody free at this time. Their time is locked. `own`: a visit whose minutes do
    not count; `preferred`: ids to be kept where they can be. Raises the first rule that says no, unless `overrule`."""
    if not needed:
        return Chosen()
    doctors = [
        booking_rules.check(
            session, each.account, each.id, start, kind, actor, now, own=own, length=end - start, overrule=overrule
        )
        for each in needed.doctors
    ]
    zone = timezones.zone(lead.timezone)
    found = pick(session, needed, kind, [(start, end)], zone, now, own=own, preferred=preferred)
    missing = tuple(each.who for each in found if each.missing)
    if missing and not overrule:
        raise ResourceTaken(f"{missing[0].account.name} is not free then.")
    before, after = timedelta(minutes=kind.buffer_before), timedelta(minutes=kind.buffer_after)
    wanted = (
        claims.Wanted(each.who.id, start - before, end + after, seats=each.facts.diary.capacity) for each in found
    )
    people = (*needed.doctors, *(each.who for each in found))
    return Chosen(people, (*(each.wanted for each in doctors), *wanted), missing)


def pick(
    session: Session,
    needed: Needs,
    kind: AppointmentType,
    spans: Sequence[tuple[datetime, datetime]],
    zone: ZoneInfo,
    now: datetime,
    *,
    own: diary.Except | None = None,
    preferred: Collection[int] = (),
    around: timedelta = _BEYOND,
) -> list[Picked]:
    """Of each group the one that is free for most of these times, with what is known of it up to `around` them."""
    if not needed.groups:
        return []
    people = {each.id: each for group in needed.groups for each in group}
    first, last = spans[0][0] - around, max(end for _start, end in spans) + around
    facts = read(session, list(people.values()), first, last, spans[0][0], zone, now, own=own)
    groups = [[facts[each.id] for each in group] for group in needed.groups]
    found = rules.choose(groups, diary.kind_of(kind), spans, preferred=preferred)
    return [Picked(people[each.id], each, missing) for each, missing in found]


def read(
    session: Session,
    people: Sequence[Bookable],
    start: datetime,
    end: datetime,
    at: datetime,
    zone: ZoneInfo,
    now: datetime,
    *,
    own: diary.Except | None = None,
) -> dict[int, rules.Resource]:
    """What is known of the time of rooms, machines and assistants within [start, end), and how much they are used about
    `at`, by id, in a constant number of statements."""
    diaries = diary.of_resources(session, [each.account.username for each in people], start, end, now, own=own)
    used = load(session, [each.id for each in people], at, zone)
    return {
        each.id: rules.Resource(each.id, each.account.name, diaries[each.account.username], used.get(each.id, ()))
        for each in people
    }


def by_load(session: Session, doctors: Sequence[Account], start: datetime) -> list[Account]:
    """Who is used least first, so that "any doctor" shares the work."""
    if len(doctors) < 2:
        return list(doctors)
    ids = {doctor.id: claims.resource_of(session, doctor.id) or 0 for doctor in doctors}
    used = load(session, ids.values(), start, timezones.zone(doctors[0].timezone))
    return sorted(doctors, key=lambda doctor: (used.get(ids[doctor.id], ()), doctor.id))


def load(session: Session, resource_ids: Iterable[int], start: datetime, zone: ZoneInfo) -> dict[int, tuple[int, ...]]:
    """How often each is taken on the day of `start` and in its week, and the number of its latest claim: what sorts
    first is used least. Those that nothing is known of are left out."""
    local = start.astimezone(zone).date()
    day, next_day = midnight(local, zone), midnight(local + timedelta(days=1), zone)
    monday = local - timedelta(days=local.weekday())
    week, next_week = midnight(monday, zone), midnight(monday + timedelta(days=7), zone)
    rows = session.execute(
        select(
            Claim.resource_id,
            func.sum(case((and_(Claim.start >= day, Claim.start < next_day), 1), else_=0)),
            func.sum(case((and_(Claim.start >= week, Claim.start < next_week), 1), else_=0)),
            func.max(Claim.id),
        )
        .where(Claim.resource_id.in_(list(resource_ids)), Claim.end > week - _LATELY, Claim.start < next_week + _LATELY)
        .group_by(Claim.resource_id)
    )
    return {resource: (int(today), int(this_week), int(latest)) for resource, today, this_week, latest in rows}
