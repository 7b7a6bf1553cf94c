"""A booked series changed as a whole, or from one of its occurrences on: another time or another doctor for each.

What is over stays on record where it was: unless all is still to come, the rest becomes an appointment of its own,
which `split_from` links with the first. Visits that were moved alone before keep the time that they were given.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import cut, lines, recurrence, series, timezones
from ical.errors import IllegalTransition, InvalidInput, NotFound, SeriesConflict, SlotTaken
from ical.lines import Component
from ical.series import Decision, OnConflict, Outcome, Outlook, Planned
from ical.times import instant, parse_utc_text
from storage import (
    choosing,
    collections,
    cut_offs,
    diary,
    history,
    notifications,
    objects,
    pending,
    splits,
    steps,
    visits,
)
from storage import series as booked_series
from storage.models import Account, Appointment, AppointmentType, CalendarObject, Visit
from storage.policy import Actor
from storage.settings import Settings
from storage.writes import Write

_AWAITED = ("scheduled", "confirmed", "rescheduled")


@dataclass(frozen=True)
class Wish:
    """What is to be done to a series. `start` is the new time of the occurrence `recurrence_id`, else of the first that
    is still to come; the others move along by as much. `following`: nothing before that one is touched."""

    start: datetime
    recurrence_id: str | None = None
    following: bool = False
    doctor: Account | None = None
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    on_conflict: OnConflict = "refuse"
    reason: str = ""


@dataclass(frozen=True)
class Moved:
    """The appointment that the moved visits belong to now, and what became of each, by its former recurrence id."""

    appointment: Appointment
    outcomes: list[Outcome]


def preview(session: Session, appointment_id: UUID, wish: Wish, *, actor: Actor, now: datetime) -> list[Outlook]:
    """How each occurrence would stand. Nothing is written."""
    change = _read(session, _seen(session, appointment_id), wish, actor, now)
    return series.preview(change.wanted, wish.decisions, _times(session, change, actor, now))


def move(session: Session, appointment_id: UUID, wish: Wish, *, actor: Actor, now: datetime) -> Moved:
    """Move what is still to come. A decision to skip an occurrence cancels it.

    Raises SeriesConflict, IllegalTransition, NotFound, InvalidInput, and for a patient CutOffPassed or NeedsApproval;
    then everything is as it was.
    """
    opened = steps.opened(session, appointment_id, also=wish.doctor)
    change = _read(session, opened, wish, actor, now)
    times = _times(session, change, actor, now)
    outcomes, conflicts = series.decide(change.wanted, wish.decisions, wish.on_conflict, times)
    if conflicts:
        raise SeriesConflict(conflicts)
    if all(outcome.outcome == "skipped" for outcome in outcomes):
        raise SlotTaken("None of these times is free.")
    was = {visit.recurrence_id: history.Before.of(visit, change.owner) for visit in change.chosen}
    appointment, ids = _write(session, change, outcomes, actor, now)
    made = visits.of_appointment(session, appointment.id)
    moved, gone = [], []
    for outcome in outcomes:
        visit = made[ids[outcome.recurrence_id]]
        visit.settle_at = None
        if outcome.outcome == "skipped":
            visit.cancelled_at, visit.cancellation_reason = now, wish.reason[:500]
            before = was[outcome.recurrence_id]
            history.record(session, visit, actor, "cancel", now, from_status=before.status, reason=wish.reason)
            gone.append(visit)
        else:
            history.moved(session, visit, actor, now, was[outcome.recurrence_id], change.doctor, reason=wish.reason)
            moved.append(visit)
    overruled = {ids[each.recurrence_id]: each.overruled for each in outcomes if each.overruled}
    booked_series.note_overruled(session, appointment, overruled, actor, now)
    handed_over = change.doctor.id != change.owner.id
    notifications.changed(session, appointment, moved, now, handed_over=handed_over, gone=gone)
    for each in {change.appointment.id: change.appointment, appointment.id: appointment}.values():
        pending.follow(session, each, actor, now)
    session.flush()
    return Moved(appointment, outcomes)


# Steps


@dataclass(frozen=True)
class _Change:
    """What is to be changed: `chosen` are its visits, `wanted` where each is to be, `present` those in its text."""

    appointment: Appointment
    obj: CalendarObject
    calendar: Component
    present: frozenset[str]
    owner: Account
    doctor: Account
    chosen: list[Visit]
    wanted: list[Planned]
    by: timedelta

    @property
    def zone(self) -> ZoneInfo:
        return timezones.zone(self.owner.timezone)


def _seen(session: Session, appointment_id: UUID) -> tuple[Appointment, CalendarObject, Account]:
    """As steps.opened, without the lock."""
    appointment = session.get(Appointment, appointment_id)
    if appointment is None:
        raise NotFound()
    obj = session.get_one(CalendarObject, appointment.object_id)
    return appointment, obj, session.get_one(Account, appointment.doctor_id)


def _read(
    session: Session,
    opened: tuple[Appointment, CalendarObject, Account],
    wish: Wish,
    actor: Actor,
    now: datetime,
) -> _Change:
    appointment, obj, owner = opened
    if not appointment.series:
        raise InvalidInput("This appointment does not repeat.", field="range")
    doctor, zone = wish.doctor or owner, timezones.zone(owner.timezone)
    if doctor.timezone != owner.timezone:
        raise InvalidInput("A series stays in its time zone. Please book a new one there.", field="doctor")
    calendar = lines.parse(obj.stored_text)
    # What a calendar app has just taken out waits for its quiet period, and is not touched.
    present = frozenset(_there(calendar, zone))
    anchor, coming = _coming(session, appointment, present, wish, now)
    by = _wall(wish.start, zone) - _wall(anchor.start, zone)
    if not by and doctor.id == owner.id:
        raise InvalidInput("It takes place then already.", field="start")
    chosen = [visit for visit in coming if visit is anchor or doctor.id != owner.id or _is_in_step(visit)]
    cut_offs.require(session, appointment, chosen, "reschedule", actor, now)
    wanted = []
    for visit in chosen:
        moves = visit is anchor or _is_in_step(visit)
        start = instant(_wall(visit.start, zone) + by, zone) if moves else visit.start
        wanted.append(Planned(visit.recurrence_id, start, start + (visit.end - visit.start)))
    wanted.sort(key=lambda each: each.start)
    return _Change(appointment, obj, calendar, present, owner, doctor, chosen, wanted, by)


def _coming(
    session: Session, appointment: Appointment, present: frozenset[str], wish: Wish, now: datetime
) -> tuple[Visit, list[Visit]]:
    """The visit that the wish names, and all that are meant, in the order of the series."""
    known = visits.of_appointment(session, appointment.id)
    if wish.recurrence_id and wish.recurrence_id not in known:
        raise NotFound("The series has no such appointment.")
    there = [known[key] for key in sorted(present & known.keys())]
    coming = [visit for visit in there if visit.status in _AWAITED and visit.start > now]
    named = [visit for visit in coming if wish.recurrence_id in (None, visit.recurrence_id)]
    if not named:
        raise IllegalTransition()
    if wish.following:
        coming = [visit for visit in coming if visit.recurrence_id >= named[0].recurrence_id]
    return named[0], coming


def _is_in_step(visit: Visit) -> bool:
    """Whether it is where its series has it."""
    return visit.start == parse_utc_text(visit.recurrence_id)


def _times(session: Session, change: _Change, actor: Actor, now: datetime) -> booked_series.Times:
    kind = session.get_one(AppointmentType, change.appointment.type_code)
    own = diary.Except(change.appointment.id, frozenset(visit.recurrence_id for visit in change.chosen))
    starts = [each.start for each in change.wanted]
    book = booked_series.open_books(session, [change.doctor], kind, min(starts), max(starts), now, own=own)
    needed = choosing.again(session, change.appointment, kind)
    _people, beside = booked_series.party(session, needed, change.wanted, kind, actor, now, own=own)
    return booked_series.Times(book[change.doctor.id], kind, actor, now, beside)


def _write(
    session: Session, change: _Change, outcomes: Sequence[Outcome], actor: Actor, now: datetime
) -> tuple[Appointment, dict[str, str]]:
    """Store the change. The appointment that goes on, and recurrence ids as they were → as they are."""
    calendar, zone = change.calendar, change.zone
    first = change.chosen[0].recurrence_id
    known = [key for key in visits.of_appointment(session, change.appointment.id) if key >= first]
    before = None
    if any(key < first for key in change.present):
        before, calendar = cut.cut(calendar, parse_utc_text(first), zone)
    moved = cut.shifted(calendar, change.by, zone) if change.by else None
    calendar, renamed = moved or (calendar, {})
    ids = {key: renamed.get(key, key) for key in known}
    _carry_out(calendar, change, outcomes, ids, now, all_move=moved is not None or not change.by)
    write = Write(actor, now, "reschedule", overbook=any(outcome.overruled for outcome in outcomes))
    if before is None:
        splits.hand_over(session, change.appointment.id, change.appointment.id, ids)
        if change.doctor.id == change.owner.id:
            steps.write_back(session, change.obj, calendar, write, revive=True)
        else:
            steps.hand_over(session, change.appointment, change.obj, change.doctor, calendar, write)
        return change.appointment, ids
    heir = _split(session, change, calendar, ids, write)
    steps.write_back(session, change.obj, before, write, revive=True)
    return heir, ids


def _carry_out(
    calendar: Component,
    change: _Change,
    outcomes: Iterable[Outcome],
    ids: Mapping[str, str],
    now: datetime,
    *,
    all_move: bool,
) -> None:
    """Make the text say what was decided. With `all_move` the series itself has moved, and only exceptions are told."""
    zone = change.zone
    former = {visit.recurrence_id: visit for visit in change.chosen}
    head = recurrence.master(calendar)
    assert head is not None
    if all_move:
        appointment_text.set_status(head, "rescheduled", now, sequence=True)
    there = _there(calendar, zone)
    for outcome in outcomes:
        key = ids[outcome.recurrence_id]
        skipped = outcome.outcome == "skipped"
        old = former[outcome.recurrence_id]
        start, end = (old.start, old.end) if skipped else (outcome.start, outcome.end)
        stands = there[key]
        if all_move and not stands.is_override and not skipped and (stands.start, stands.end) == (start, end):
            continue
        own = recurrence.make_override(calendar, key, zone) if stands.is_override else None
        override = own or recurrence.add_override(calendar, stands, zone)
        if (stands.start, stands.end) != (start, end):
            appointment_text.set_times(override, start, end, zone, now)
        appointment_text.set_status(override, "cancelled_doctor" if skipped else "rescheduled", now, sequence=True)
    if change.doctor.id != change.owner.id:
        for event in calendar.components("VEVENT"):
            appointment_text.set_doctor(event, change.doctor.name, change.doctor.email)
    timezones.ensure_vtimezones(calendar)


def _split(session: Session, change: _Change, calendar: Component, ids: Mapping[str, str], write: Write) -> Appointment:
    """Store the rest of a series as an appointment of its own, which takes its visits over."""
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    new_id = uuid4()
    uid = f"appt-{new_id}@{settings.uid_domain}"
    for event in calendar.components("VEVENT"):
        event.set("UID", uid)
        event.set("URL", f"{settings.public_url}/appointments/{new_id}/")
    calendars = collections.built_in(session, change.doctor, "appointments")
    take_over = partial(splits.take_over, session, change.appointment, new_id, ids)
    return objects.put_appointment(session, calendars, f"{uid}.ics", calendar, write, take_over=take_over).appointment


def _there(calendar: Component, zone: ZoneInfo) -> dict[str, recurrence.Occurrence]:
    """The occurrences in the text, by recurrence id."""
    found = recurrence.occurrences(calendar, zone, *recurrence.bounds(calendar, zone))
    return {each.recurrence_id: each for each in found}


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)
