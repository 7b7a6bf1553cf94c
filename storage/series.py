"""Series: one RRULE booked at once, with a decision for each occurrence that is not free. RFC 5545 §3.8.5.

The doctor's diary is read once for the whole series, and ical.series decides.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import policy, recurrence, resources, series, slots, timezones
from ical.diary import Busy, Taken, Window, booking_horizon, place_at, seconds
from ical.errors import Refusal, ResourceTaken, SeriesConflict, SlotTaken
from ical.lines import Component
from ical.participants import set_participants
from ical.series import Decision, Outcome, Outlook, Planned
from storage import audit, booking_rules, choosing, diary, drafts, participants
from storage.models import Account, Appointment, AppointmentType, Claim
from storage.policy import Actor, can
from storage.resources import Bookable

_Item = TypeVar("_Item", Window, Busy, Taken)

_DAY = timedelta(days=1)
_SECONDS_OF_A_DAY = 86_400
# How far from an occurrence in conflict another time is looked for.
_AROUND = timedelta(days=14)


@dataclass(frozen=True)
class Plan:
    """The event of a series, and what becomes of each occurrence. `windows`: the working hours about them."""

    calendar: Component
    outcomes: list[Outcome]
    windows: Sequence[Window] | None


@dataclass(frozen=True)
class Preview:
    """How a series would stand with one doctor. Nothing is written."""

    doctor: Account
    occurrences: list[Outlook]


class Times:
    """A doctor's time for one kind of appointment, as ical.series asks for it. Its book is looked at day by day: a year
    of it is long."""

    def __init__(
        self,
        book: diary.Book,
        kind: AppointmentType,
        actor: Actor,
        now: datetime,
        beside: "Sequence[Times | Beside]" = (),
    ) -> None:
        self._book, self._kind, self._actor, self._now, self._beside = book, kind, actor, now, beside
        self._asked = diary.kind_of(kind)
        self._windows = _by_day(book.windows)
        self._busy = _by_day(book.busy)
        self._taken = _by_day(map(Taken._make, book.taken))
        self._free: list[datetime] | None = None

    def why_not(self, start: datetime, end: datetime) -> list[Refusal]:
        own = booking_rules.refusals(self._at(start, end), start, end, self._kind, self._actor, self._now)
        return own + [refusal for each in self._beside for refusal in each.why_not(start, end)]

    def may_overrule(self, start: datetime, end: datetime) -> bool:
        facts = self._at(start, end).facts()
        request = policy.Request(start, end, self._kind.code, by_staff=self._actor.is_staff)
        bound = any(rule(request, self._asked, facts, self._now) for rule in policy.BINDING)
        return not bound and can(self._actor, "appointment.overrule", self._book.doctor)

    def take(self, start: datetime, end: datetime) -> None:
        near = self._at(start, end)
        taken = near.take(start, end, self._asked)
        self._book.taken = [*self._book.taken, taken]
        _into_days(self._taken, taken)
        for each in self._beside:
            each.take(start, end)

    def near(self, start: datetime) -> Iterable[datetime]:
        if self._free is None:
            self._free = self._offered()
        return sorted(
            (at for at in self._free if abs(at - start) <= _AROUND and at != start),
            key=lambda at: (abs(at - start), at),
        )

    def windows(self, outcomes: Iterable[Outcome]) -> list[Window]:
        """The working hours about these times."""
        days = {day for each in outcomes for day in _days(seconds(each.start), seconds(each.end))}
        return _of_days(self._windows, sorted(days))

    def _at(self, start: datetime, end: datetime) -> diary.Book:
        """What stands about a time: its day and those beside it."""
        days = _days(seconds(start - _DAY), seconds(end + _DAY))
        return replace(
            self._book,
            windows=_of_days(self._windows, days),
            busy=_of_days(self._busy, days),
            taken=_of_days(self._taken, days),
        )

    def _offered(self) -> list[datetime]:
        found = slots.free_slots(self._book.facts(), self._asked, self._now)
        return [datetime.fromtimestamp(slot.start, UTC) for slot in found]


class Beside:
    """The time of a room, a machine or an assistant that takes part in every occurrence."""

    def __init__(self, resource: resources.Resource, kind: AppointmentType) -> None:
        self._resource, self._asked = resource, diary.kind_of(kind)

    def why_not(self, start: datetime, end: datetime) -> list[Refusal]:
        if resources.is_free(self._resource, self._asked, start, end):
            return []
        return [ResourceTaken(f"{self._resource.name} is not free then.")]

    def take(self, start: datetime, end: datetime) -> None:
        self._resource = resources.with_taken(self._resource, self._asked, start, end)


def plan(
    session: Session,
    doctor: Account,
    new: drafts.NewAppointment,
    actor: Actor,
    now: datetime,
    needed: choosing.Needs = choosing.NOTHING,
) -> Plan:
    """The event of a whole series, every occurrence checked, with the ones in conflict decided as asked. What takes
    part beside the doctor is the same for all of them.

    Raises SeriesConflict, or InvalidInput for the rule or a decision.
    """
    read = _read(session, [doctor], new.start, new.kind, new.rrule or "", now)[doctor.id]
    people, beside = party(session, needed, read.wanted, new.kind, actor, now)
    times = Times(read.book, new.kind, actor, now, beside)
    outcomes, conflicts = series.decide(read.wanted, new.decisions, new.on_conflict, times)
    if conflicts:
        raise SeriesConflict(conflicts)
    kept = [outcome for outcome in outcomes if outcome.outcome != "skipped"]
    if not kept:
        raise SlotTaken("None of these times is free.")
    end = new.start + read.length
    place = place_at(read.book.windows, new.start, end)[1]
    calendar = drafts.event(session, doctor, replace(new, rrule=read.rrule), end, now, place=place)
    _write_outcomes(calendar, outcomes, read.book, now)
    set_participants(calendar, participants.described(session, people))
    overruled = any(outcome.overruled for outcome in kept)
    return Plan(calendar, outcomes, None if overruled else times.windows(kept))


def preview(
    session: Session,
    doctors: Sequence[Account],
    start: datetime,
    kind: AppointmentType,
    rrule: str,
    decisions: Mapping[str, Decision],
    *,
    actor: Actor,
    now: datetime,
    needed: choosing.Needs = choosing.NOTHING,
    ticket: UUID | None = None,
) -> Preview:
    """How each occurrence would stand, with whoever of `doctors` has the fewest conflicts. `ticket`: a hold of the
    caller's, which is not in the way. Raises InvalidInput for the rule or a decision."""
    found = []
    for read in _read(session, doctors, start, kind, rrule, now).values():
        if ticket is not None:
            _let_go(session, read.book, ticket)
        _people, beside = party(session, needed, read.wanted, kind, actor, now)
        looked = series.preview(read.wanted, decisions, Times(read.book, kind, actor, now, beside))
        found.append(Preview(read.book.doctor, looked))
    return min(found, key=lambda each: sum(1 for occurrence in each.occurrences if occurrence.because))


def note_overruled(
    session: Session,
    appointment: Appointment,
    overruled: Mapping[str, Sequence[Refusal]],
    actor: Actor,
    now: datetime,
) -> None:
    """The audit keeps which rules were set aside, and for which occurrences."""
    if overruled:
        rules = {recurrence_id: [each.code for each in refusals] for recurrence_id, refusals in overruled.items()}
        audit.record(session, actor, "appointment.overruled", f"appointment:{appointment.id}", {"rules": rules}, now)


def open_books(
    session: Session,
    doctors: Sequence[Account],
    kind: AppointmentType,
    first: datetime,
    last: datetime,
    now: datetime,
    *,
    own: diary.Except | None = None,
) -> dict[int, diary.Book]:
    """The diaries of these doctors about a series, with room for other times in front of it and behind."""
    end = min(last, _bound(kind, first, now)) + _AROUND
    return diary.open_books(session, doctors, first - _AROUND, end, kind, now, own=own)


def party(
    session: Session,
    needed: choosing.Needs,
    wanted: Sequence[Planned],
    kind: AppointmentType,
    actor: Actor,
    now: datetime,
    *,
    own: diary.Except | None = None,
) -> tuple[list[Bookable], list[Times | Beside]]:
    """Who takes part beside the doctor, free for as many of the occurrences as can be, and their time."""
    if not needed:
        return [], []
    accounts = [each.account for each in needed.doctors]
    first, last = wanted[0].start, wanted[-1].start
    books = open_books(session, accounts, kind, first, last, now, own=own) if accounts else {}
    reachable = [each for each in wanted if each.start < _bound(kind, first, now)] or wanted[:1]
    spans = [(each.start, each.end) for each in reachable]
    zone = timezones.zone(session.info["settings"].timezone)
    picked = choosing.pick(session, needed, kind, spans, zone, now, own=own, around=_AROUND)
    people = [*needed.doctors, *(each.who for each in picked)]
    times = [Times(books[account.id], kind, actor, now) for account in accounts]
    return people, [*times, *(Beside(each.facts, kind) for each in picked)]


# Steps


@dataclass(frozen=True)
class _Read:
    """What is known of a series with one doctor: its rule, its occurrences, how long each is, and the diary."""

    rrule: str
    wanted: list[Planned]
    length: timedelta
    book: diary.Book


def _read(
    session: Session, doctors: Sequence[Account], start: datetime, kind: AppointmentType, rrule: str, now: datetime
) -> dict[int, _Read]:
    """The diaries of these doctors about the whole series, in a constant number of statements."""

    def planned(doctor: Account, length: timedelta) -> tuple[str, list[Planned]]:
        zone = timezones.zone(doctor.timezone)
        return series.planned(start, length, zone, rrule, booking_horizon(diary.kind_of(kind), now, zone))

    first, last = start, start
    for doctor in doctors:
        wanted = planned(doctor, timedelta(minutes=kind.minutes or doctor.slot_minutes))[1]
        first, last = min(first, wanted[0].start), max(last, wanted[-1].start)
    books = open_books(session, doctors, kind, first, last, now)
    found = {}
    for doctor in doctors:
        length = booking_rules.length_at(books[doctor.id], kind, start)
        found[doctor.id] = _Read(*planned(doctor, length), length, books[doctor.id])
    return found


def _bound(kind: AppointmentType, first: datetime, now: datetime) -> datetime:
    """What lies beyond the booking window is in conflict with that alone: nothing is read of it."""
    return max(first, now + timedelta(days=kind.window_days + 1))


def _let_go(session: Session, book: diary.Book, ticket: UUID) -> None:
    """The minutes of a hold count as free."""
    held = set(session.scalars(select(Claim.id).where(Claim.ticket == ticket)))
    book.taken = [each for each in book.taken if each[5] not in held]


def _write_outcomes(calendar: Component, outcomes: Sequence[Outcome], book: diary.Book, now: datetime) -> None:
    found = recurrence.occurrences(calendar, book.zone, *recurrence.bounds(calendar, book.zone))
    there = {occurrence.recurrence_id: occurrence for occurrence in found}
    for outcome in outcomes:
        if outcome.outcome == "skipped":
            recurrence.add_exdate(calendar, outcome.recurrence_id, book.zone)
        elif outcome.outcome == "moved":
            override = recurrence.add_override(calendar, there[outcome.recurrence_id], book.zone)
            appointment_text.set_times(override, outcome.start, outcome.end, book.zone, now)


def _by_day(items: Iterable[_Item]) -> dict[int, list[_Item]]:
    days: dict[int, list[_Item]] = {}
    for item in items:
        _into_days(days, item)
    return days


def _into_days(days: dict[int, list[_Item]], item: _Item) -> None:
    for day in _days(item.start, item.end):
        days.setdefault(day, []).append(item)


def _days(first: int, last: int) -> range:
    """The days of UTC that two moments span."""
    return range(first // _SECONDS_OF_A_DAY, last // _SECONDS_OF_A_DAY + 1)


def _of_days(days: Mapping[int, list[_Item]], wanted: Iterable[int]) -> list[_Item]:
    """Each once, though it may reach over midnight. Two that are equal are two."""
    return list({id(item): item for day in wanted for item in days.get(day, ())}.values())
