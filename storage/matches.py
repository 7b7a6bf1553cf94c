"""Which free slot suits whom on the waitlist, found by looking at what is free now.

Nobody has to say exactly what was freed: a cancellation, a move, new working hours and withdrawn leave all lead to the
same offer. storage.freed says where to look at once; a look everywhere now and then finds the rest. Either takes a
constant number of statements for each type of appointment, however many wait.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from ical import offers as offering
from ical import timezones
from ical import waitlist as wishes
from ical.waitlist import Free, Wish
from storage import accounts, house_rules, slots, wanted
from storage.freed import Span
from storage.house_rules import HouseRules
from storage.models import Account, AppointmentType, Offer, WaitlistEntry
from storage.settings import Settings

# How far ahead slots are looked for: what is free later still comes nearer.
_HORIZON = timedelta(days=92)
_DAY = timedelta(days=1)
_MOST = 100
_MOST_CANDIDATES = 50


@dataclass(frozen=True)
class Match:
    """A free slot that would suit an entry."""

    entry_id: UUID
    doctor_id: int
    start: datetime


@dataclass(frozen=True)
class Candidate:
    """Somebody who could take a slot: `against` says what of it they did not wish for (ical.waitlist.unsuitable), or
    that they were offered it `before`."""

    entry: WaitlistEntry
    end: datetime
    against: tuple[str, ...]


@dataclass
class _Waiting:
    """Who waits, and what they were offered before. The days and doctors that they do not want are in it."""

    kinds: dict[str, AppointmentType]
    wishes: list[Wish]
    served: set[tuple[UUID, str]]
    before: set[tuple[UUID, int, datetime]]
    not_days: set[tuple[UUID, date]]
    not_doctors: set[tuple[UUID, int]]

    def unwanted(self, wish: Wish, free: Free) -> bool:
        return (
            (wish.id, free.doctor_id, free.start) in self.before
            or (wish.id, free.doctor_id) in self.not_doctors
            or (wish.id, free.start.astimezone(free.zone).date()) in self.not_days
        )


def matches(
    session: Session,
    now: datetime,
    *,
    spans: Collection[Span] | None = None,
    skip: Collection[Match] = (),
    by_hand: bool = False,
    limit: int = _MOST,
) -> list[Match]:
    """Who is to be offered what now, in their order. `spans`: look only there. `skip`: what has just not worked.

    `by_hand`: instead, what is so near that only staff offer it.
    """
    waiting = _waiting(session, now, spans)
    if not waiting.wishes:
        return []
    waiting.before |= {(match.entry_id, match.doctor_id, match.start) for match in skip}
    free = _free(session, waiting, now, spans, by_hand=by_hand)
    found = []
    for wish, slot in wishes.assign(waiting.wishes, free, unwanted=waiting.unwanted, served=waiting.served):
        found.append(Match(wish.id, slot.doctor_id, slot.start))
        if len(found) >= limit:
            break
    return found


def candidates(session: Session, doctor: Account, start: datetime, now: datetime) -> list[Candidate]:
    """Who could take a free slot, whom it suits first. Nobody when it is not free for what they wait for."""
    waiting = _waiting(session, now)
    free = {}
    for kind in waiting.kinds.values():
        for slot in slots.free_slots(session, [doctor], start, start + timedelta(seconds=1), kind, now):
            free[kind.code] = _as_free(kind, slot)
    fitting: list[tuple[Wish, tuple[str, ...]]] = []
    for wish in wishes.rank(waiting.wishes):
        slot_of_type = free.get(wish.type_code)
        if slot_of_type is None:
            continue
        against = wishes.unsuitable(wish, slot_of_type)
        if waiting.unwanted(wish, slot_of_type):
            against.append("before")
        fitting.append((wish, tuple(against)))
    fitting.sort(key=lambda pair: len(pair[1]))
    chosen = fitting[:_MOST_CANDIDATES]
    entries = {
        entry.id: entry
        for entry in session.scalars(select(WaitlistEntry).where(WaitlistEntry.id.in_([w.id for w, _ in chosen])))
    }
    return [Candidate(entries[wish.id], free[wish.type_code].end, against) for wish, against in chosen]


def suiting(session: Session, entry: WaitlistEntry, now: datetime, limit: int = 20) -> list[slots.DoctorSlot]:
    """The free slots that an entry waits for, the earliest first."""
    kind = session.get_one(AppointmentType, entry.type_code)
    doctors = [each for each in accounts.doctors(session) if not entry.doctor_ids or each.id in entry.doctor_ids]
    wish = wanted.wish_of(entry)
    first, last = _reach([wish], now)
    found = slots.free_slots(session, doctors, first, last, kind, now)
    return [slot for slot in found if wishes.suits(wish, _as_free(kind, slot))][:limit]


def terms(rules: HouseRules, settings: Settings, kind: AppointmentType) -> offering.Terms:
    """How long offers of this type stand."""
    quiet = (rules.offer_quiet_from, rules.offer_quiet_to)
    return offering.Terms(
        usual=timedelta(minutes=kind.offer_minutes or settings.offer_minutes),
        soon=timedelta(minutes=rules.offer_soon_minutes),
        next_day=timedelta(minutes=rules.offer_next_day_minutes),
        quiet=None if quiet[0] is None or quiet[1] is None else (quiet[0], quiet[1]),
    )


def by_hand_within(rules: HouseRules, kind: AppointmentType) -> int | None:
    """The hours before the start within which only staff offer this type. None: it is always offered by itself."""
    if kind.auto_offer_hours is not None:
        return kind.auto_offer_hours
    long = kind.minutes is not None and kind.minutes >= rules.complex_minutes
    return rules.auto_offer_hours if long or kind.resources else None


# Steps


def _waiting(session: Session, now: datetime, spans: Collection[Span] | None = None) -> _Waiting:
    is_waiting = WaitlistEntry.status == "waiting"
    codes = select(WaitlistEntry.type_code).where(is_waiting).distinct()
    kinds = session.scalars(select(AppointmentType).where(AppointmentType.code.in_(codes), AppointmentType.active))
    waiting = _Waiting({kind.code: kind for kind in kinds}, [], set(), set(), set(), set())
    if not waiting.kinds:
        return waiting
    columns = [getattr(WaitlistEntry, name) for name in _COLUMNS]
    first, last = _within((now - _DAY, now + _HORIZON), spans)
    asked = select(*columns).where(
        is_waiting, WaitlistEntry.date_to >= first.date(), WaitlistEntry.date_from <= last.date()
    )
    looked_at = _looked_at(spans)
    if looked_at is not None:
        # Who waits for one of a set of doctors is among those who wait for no one in particular.
        asked = asked.where(or_(WaitlistEntry.doctor_id.is_(None), WaitlistEntry.doctor_id.in_(looked_at)))
    waiting.wishes = [_wish(*row) for row in session.execute(asked)]
    waiting.served = {
        (patient_id, code)
        for patient_id, code in session.execute(
            select(WaitlistEntry.patient_id, WaitlistEntry.type_code).where(WaitlistEntry.status == "offered")
        )
    }
    zones = {doctor.id: timezones.zone(doctor.timezone) for doctor in accounts.doctors(session)}
    earlier = select(Offer.entry_id, Offer.doctor_id, Offer.start, Offer.unwanted)
    for entry_id, doctor_id, start, unwanted in session.execute(
        earlier.join(WaitlistEntry, WaitlistEntry.id == Offer.entry_id).where(is_waiting)
    ):
        waiting.before.add((entry_id, doctor_id, start))
        if unwanted == "doctor":
            waiting.not_doctors.add((entry_id, doctor_id))
        elif unwanted == "day" and doctor_id in zones:
            waiting.not_days.add((entry_id, start.astimezone(zones[doctor_id]).date()))
    return waiting


# Of ten thousand entries, not all that an object of the session costs.
_COLUMNS = (
    "id",
    "patient_id",
    "doctor_id",
    "doctor_set",
    "date_from",
    "date_to",
    "time_from",
    "time_to",
    "weekdays",
    "type_code",
    "added_at",
    "priority",
)


def _wish(
    id: UUID,
    patient_id: UUID,
    doctor_id: int | None,
    doctor_set: str,
    date_from: date,
    date_to: date,
    time_from: time,
    time_to: time,
    weekdays: str,
    type_code: str,
    added_at: datetime,
    priority: int,
) -> Wish:
    doctors = [doctor_id] if doctor_id is not None else [int(each) for each in doctor_set.split(",") if each]
    days = tuple(weekdays.split(",")) if weekdays else ()
    return Wish(
        id, patient_id, frozenset(doctors), date_from, date_to, time_from, time_to, days, type_code, added_at, priority
    )


def _free(
    session: Session, waiting: _Waiting, now: datetime, spans: Collection[Span] | None, *, by_hand: bool
) -> Iterable[Free]:
    rules, settings = house_rules.current(session), session.info["settings"]
    doctors = accounts.doctors(session)
    for kind in waiting.kinds.values():
        of_kind = [wish for wish in waiting.wishes if wish.type_code == kind.code]
        chosen = _chosen(doctors, of_kind, spans)
        first, last = _within(_reach(of_kind, now), spans) if of_kind else (now, now)
        if not chosen or first >= last:
            continue
        notice, hours = timedelta(minutes=kind.notice_minutes), by_hand_within(rules, kind)
        of_offers = terms(rules, settings, kind)
        for slot in slots.free_slots(session, chosen, first, last, kind, now):
            if by_hand != offering.waits_for_staff(slot.start, now, hours):
                continue
            free = _as_free(kind, slot)
            # Only what is near can be too near.
            near = slot.start - notice - now < _DAY
            if by_hand or not near or offering.timing(slot.start, notice, of_offers, free.zone, now) is not None:
                yield free


def _chosen(doctors: Sequence[Account], of_kind: Iterable[Wish], spans: Collection[Span] | None) -> list[Account]:
    """The doctors whom somebody wants and whose time is to be looked at."""
    wanted_ids: set[int] | None = set()
    for wish in of_kind:
        if not wish.doctor_ids:
            wanted_ids = None
            break
        assert wanted_ids is not None
        wanted_ids |= wish.doctor_ids
    looked_at = _looked_at(spans)
    return [
        doctor
        for doctor in doctors
        if (wanted_ids is None or doctor.id in wanted_ids) and (looked_at is None or doctor.id in looked_at)
    ]


def _looked_at(spans: Collection[Span] | None) -> set[int] | None:
    """The doctors whose time the spans tell of; None: everybody's."""
    if spans is None or any(span.doctor_id is None for span in spans):
        return None
    return {span.doctor_id for span in spans if span.doctor_id is not None}


def _reach(of_kind: Sequence[Wish], now: datetime) -> tuple[datetime, datetime]:
    """From the first day that anybody wants to the last, within the horizon; a day's margin for time zones."""
    first = _midnight(min(wish.date_from for wish in of_kind), now) - _DAY
    last = _midnight(max(wish.date_to for wish in of_kind), now) + 2 * _DAY
    return max(now, first), min(now + _HORIZON, last)


def _within(reach: tuple[datetime, datetime], spans: Collection[Span] | None) -> tuple[datetime, datetime]:
    """The part of it that the spans lie in. A day more: a longer visit begins earlier, and a day's maximum is freed."""
    first, last = reach
    if spans is None or any(span.start is None or span.end is None for span in spans):
        return first, last
    starts = [span.start for span in spans if span.start is not None]
    ends = [span.end for span in spans if span.end is not None]
    return max(first, min(starts) - _DAY), min(last, max(ends) + _DAY)


def _as_free(kind: AppointmentType, slot: slots.DoctorSlot) -> Free:
    return Free(kind.code, slot.doctor.id, slot.start, slot.end, slot.spots, timezones.zone(slot.doctor.timezone))


def _midnight(day: date, like: datetime) -> datetime:
    return datetime.combine(day, time(), like.tzinfo)
