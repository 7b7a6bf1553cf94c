"""What a calendar app's edit means: merge, commands, and the quiet period in which it can be taken back.

A PUT or DELETE changes the calendar at once (minutes move, so nobody else can take them), but the patient is told
only after settings.quiet_seconds, and only of what is then different from what they were told: dragging to and fro,
deleting and putting back, or snoozing an alarm causes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import guard, hours, leave, merge, recurrence, status, times, timezones
from ical.errors import Forbidden, IllegalTransition, UidConflict
from ical.lines import Component, parse
from ical.vcalendar import strip_private
from storage import appointment_types, heirs, history, notifications, objects, visits, waitlist
from storage.models import Account, Appointment, CalendarObject, Collection, Visit
from storage.policy import SYSTEM, Actor, can
from storage.settings import Settings
from storage.writes import Write

# How a doctor says each command, for the notice of one that is refused.
_SAID = {
    "confirm": "#confirm",
    "start": "#start",
    "complete": "#done",
    "no-show": "#noshow",
    "cancel": "#cancel",
    "uncancel": "being taken up again without #rebook",
    "rebook": "#rebook",
}


@dataclass(frozen=True)
class Written:
    """The object as it is now. `verbatim`: what is served is what was sent, so the PUT may name the ETag."""

    object: CalendarObject
    created: bool
    verbatim: bool


def client_put(
    session: Session, collection: Collection, href: str, data: bytes, *, actor: Actor, now: datetime
) -> Written:
    """Store what a calendar app sent. Preconditions on ETags are the caller's.

    Raises InvalidCalendarData and its kin, UnsupportedComponent, UidConflict, Forbidden.
    """
    if collection.kind == "inbox":
        raise Forbidden()
    put = guard.check(data, component=collection.component)
    objects.lock_owner(session, collection.owner_id)
    existing = objects.find(session, collection, href)
    if collection.kind == "appointments":
        return _put_appointment(session, collection, href, put, data, existing, actor, now)
    if collection.kind == "waitlist":
        return _put_waitlist(session, existing, put, actor, now)
    write = Write(actor, now, "calendar app")
    calendar = put
    if collection.kind in ("hours", "leave"):
        owner = session.get_one(Account, collection.owner_id)
        stored = parse(existing.stored_text) if existing else None
    if collection.kind == "hours":
        hours.normalise(calendar, stored, timezones.zone(owner.timezone))
    elif collection.kind == "leave":
        calendar = leave.normalise(put, stored, can(actor, "leave.approve", owner), now)
    obj = objects.put_object(session, collection, href, calendar, write)
    return _written(obj, existing, data)


def client_delete(session: Session, obj: CalendarObject, *, actor: Actor, now: datetime) -> None:
    """A calendar app deleted an object: an appointment is cancelled after the quiet period, unless put back."""
    if obj.kind == "waitlist":
        waitlist.withdraw_object(session, obj, actor=actor, now=now, gone=True)
        return
    objects.lock_owner(session, session.get_one(Collection, obj.collection_id).owner_id)
    session.refresh(obj)
    settle_at = _settle_at(session, now) if obj.kind == "appointment" else None
    objects.delete_object(session, obj, Write(actor, now, "calendar app", settle_at=settle_at))


def client_move(
    session: Session, obj: CalendarObject, target: Collection, href: str, *, actor: Actor, now: datetime
) -> bool:
    """MOVE. What the practice keeps (appointments, waitlist) stays in its calendar. True when the target was new."""
    source = session.get_one(Collection, obj.collection_id)
    objects.lock_owner(session, source.owner_id)
    session.refresh(obj)
    replaced = objects.find(session, target, href)
    write = Write(actor, now, "calendar app")
    if target.id == source.id:
        if replaced is not None and replaced.id != obj.id:
            client_delete(session, replaced, actor=actor, now=now)
        objects.rename_object(session, obj, href, write)
        return replaced is None
    if "waitlist" in (source.kind, target.kind) or obj.kind == "appointment":
        objects.touch(session, obj, write)
        raise Forbidden("This entry stays in its calendar.")
    objects.delete_object(session, obj, write)
    client_put(session, target, href, obj.stored_text.encode(), actor=actor, now=now)
    return replaced is None


def due_to_settle(session: Session, now: datetime, limit: int = 100) -> list[UUID]:
    """Ids of the appointments for which a quiet period is over."""
    due = (
        select(Visit.appointment_id)
        .where(Visit.settle_at <= now)
        .group_by(Visit.appointment_id)
        .order_by(func.min(Visit.settle_at))
        .limit(limit)
    )
    return list(session.scalars(due))


def settle(session: Session, appointment_id: UUID, now: datetime) -> None:
    """After the quiet period: carry out what a calendar app's edits came to, and tell the patient once what is new."""
    appointment = session.get_one(Appointment, appointment_id)
    objects.lock_owner(session, appointment.doctor_id)
    session.refresh(appointment)
    obj = session.get_one(CalendarObject, appointment.object_id, populate_existing=True)
    owner = session.get_one(Account, appointment.doctor_id)
    if _hand_to_heirs(session, appointment, obj, owner, now):
        session.refresh(appointment)
        obj = session.get_one(CalendarObject, appointment.object_id, populate_existing=True)
    calendar = parse(obj.stored_text)
    cancelled, moved = [], []
    for visit in visits.of_appointment(session, appointment_id).values():
        if visit.settle_at is None or visit.settle_at > now:
            continue
        visit.settle_at = None
        component = None if obj.deleted else _component_of(calendar, visit.recurrence_id, owner)
        if visit.status not in visits.OPEN:
            continue
        if component is None or appointment_text.pending_cancel(component):
            cancelled.append((visit, component))
        elif notifications.is_news(visit):
            moved.append(visit)
    if cancelled:
        _settle_cancellations(session, appointment, cancelled, obj, calendar, now)
    if moved:
        for visit in moved:
            history.record(session, visit, SYSTEM, "moved", now, from_start=visit.told_start)
        new = all(visit.told_start is None or visit.told_status in status.CANCELLED for visit in moved)
        (notifications.confirmed if new else notifications.changed)(session, appointment, moved, now)


def _hand_to_heirs(
    session: Session, appointment: Appointment, obj: CalendarObject, owner: Account, now: datetime
) -> bool:
    """What goes on in another event (the rest of a split series, a pasted copy) moves there and is not cancelled."""
    calendar = parse(obj.stored_text)
    known = visits.of_appointment(session, appointment.id).values()
    gone = [v for v in known if obj.deleted or _component_of(calendar, v.recurrence_id, owner) is None]
    if not any(v.status in visits.OPEN and v.settle_at is not None and v.settle_at <= now for v in gone):
        return False
    found = heirs.find(session, appointment, obj, gone, owner, now)
    for heir in found:
        news = [v for v in heir.visits if v.status in visits.OPEN and notifications.is_news(v)]
        for visit in news:
            history.record(session, visit, SYSTEM, "moved", now, from_start=visit.told_start)
        if news:
            notifications.changed(session, heir.appointment, news, now)
    session.flush()
    return bool(found)


def _settle_cancellations(
    session: Session,
    appointment: Appointment,
    cancelled: Sequence[tuple[Visit, Component | None]],
    obj: CalendarObject,
    calendar: Component,
    now: datetime,
) -> None:
    """The doctor cancelled these: in their text, by taking the occurrence out of it, or by deleting the object."""
    before = {visit.recurrence_id: visit.status for visit, _component in cancelled}
    shown = [component for _visit, component in cancelled if component is not None]
    if obj.deleted:
        # The tombstone keeps the truth for whoever looks at the appointment later.
        shown = calendar.components("VEVENT")
    for component in {id(component): component for component in shown}.values():
        appointment_text.set_status(component, "cancelled_doctor", now)
    if obj.deleted:
        obj.stored_text = calendar.text()
    elif shown:
        collection = session.get_one(Collection, obj.collection_id)
        objects.put_object(session, collection, obj.href, calendar, Write(SYSTEM, now, "settled"))
    appointment.version += 1
    gone = [visit for visit, _component in cancelled]
    for visit in gone:
        visit.status, visit.cancelled_at, visit.settle_at = "cancelled_doctor", now, None
        visits.cancelled(session, appointment, visit)
        was = before[visit.recurrence_id]
        history.record(session, visit, SYSTEM, "cancelled", now, from_status=was, reason="in the doctor's calendar")
    notifications.cancelled(session, appointment, gone, now)


def _put_appointment(
    session: Session,
    collection: Collection,
    href: str,
    put: Component,
    data: bytes,
    existing: CalendarObject | None,
    actor: Actor,
    now: datetime,
) -> Written:
    if existing is not None and existing.served_text.encode() == data:
        return Written(existing, False, True)
    uid = put.components("VEVENT")[0].plain("UID")
    known = existing or objects.find_uid(session, collection, uid)
    if known is None or known.kind != "appointment":
        return _put_block(session, collection, href, put, data, existing, actor, now)
    if existing is not None and existing.uid != uid:
        raise UidConflict(existing.href)
    if not known.deleted and known.href != href:
        raise UidConflict(known.href)
    obj = _merge_appointment(session, collection, href, known, put, actor, now)
    return Written(obj, existing is None, False)


def _put_block(
    session: Session,
    collection: Collection,
    href: str,
    put: Component,
    data: bytes,
    existing: CalendarObject | None,
    actor: Actor,
    now: datetime,
) -> Written:
    """An event that is no appointment of ours: kept as it came, but it cannot pose as one."""
    strip_private(put)
    obj = objects.put_object(session, collection, href, put, Write(actor, now, "calendar app"))
    return _written(obj, existing, data)


def _put_waitlist(
    session: Session, existing: CalendarObject | None, put: Component, actor: Actor, now: datetime
) -> Written:
    """Entries are made in the portal; a calendar app may tick one off (handled by hand) or cancel it."""
    if existing is None:
        raise Forbidden("Waitlist entries are made in the portal.")
    state = (put.components("VTODO")[0].value("STATUS") or "").upper()
    if state in ("COMPLETED", "CANCELLED"):
        waitlist.withdraw_object(session, existing, actor=actor, now=now)
    else:
        objects.touch(session, existing, Write(actor, now, "calendar app"))
    return Written(existing, False, False)


def _merge_appointment(
    session: Session,
    collection: Collection,
    href: str,
    known: CalendarObject,
    put: Component,
    actor: Actor,
    now: datetime,
) -> CalendarObject:
    owner = session.get_one(Account, collection.owner_id)
    zone = timezones.zone(owner.timezone)
    appointment = visits.of_object(session, known)
    assert appointment is not None
    before = {rid: _Was.of(visit) for rid, visit in visits.of_appointment(session, appointment.id).items()}
    settle_at = _settle_at(session, now)
    stored = parse(known.stored_text)
    types = {kind.code: kind.name for kind in appointment_types.every(session)}
    merged = merge.merge(stored, put, zone, now, types)
    calendar = merged.calendar
    revived = {command.recurrence_id for command in merged.commands if command.action == "rebook"}
    refused = _keep_cancelled(stored, calendar, revived, zone)
    refused |= _carry_out(calendar, merged.commands, before, zone, settle_at, now)
    _mark_moved(stored, calendar, before, zone, now)
    if merged.change == "none" and not refused and not known.deleted:
        return known
    if known.deleted and known.href != href:
        known.href = href
        session.flush()
    write = Write(actor, now, "calendar app", overbook=True, settle_at=settle_at)
    obj = objects.put_object(session, collection, href, calendar, write)
    _tell_doctor(session, owner, appointment, before, refused, actor, now)
    return obj


@dataclass(frozen=True)
class _Was:
    """A visit as it was before the edit, and as the patient was told."""

    start: datetime
    end: datetime
    status: str
    overbooked: bool
    outside_hours: bool
    told: tuple[datetime | None, datetime | None, str]

    @classmethod
    def of(cls, visit: Visit) -> "_Was":
        told = (visit.told_start, visit.told_end, visit.told_status)
        return cls(visit.start, visit.end, visit.status, visit.overbooked, visit.outside_hours, told)


def _by_recurrence_id(calendar: Component, zone: ZoneInfo) -> dict[str, Component]:
    """The master under "", each override under the id of its occurrence."""
    found = {}
    for component in calendar.components("VEVENT"):
        line = component.first("RECURRENCE-ID")
        found["" if line is None else times.utc_text(times.instant(times.read_time(line, zone, calendar), zone))] = (
            component
        )
    return found


def _keep_cancelled(stored: Component, calendar: Component, revived: Set[str], zone: ZoneInfo) -> set[str]:
    """A cancelled appointment stays where it was: a phone that was offline does not revive it by dragging."""
    refused = set()
    fresh = _by_recurrence_id(calendar, zone)
    for recurrence_id, old in _by_recurrence_id(stored, zone).items():
        new = fresh.get(recurrence_id)
        if new is None or recurrence_id in revived or appointment_text.status_of(old) in status.ACTIVE:
            continue
        if times.span(old, zone, stored) != times.span(new, zone, calendar):
            for name in ("DTSTART", "DTEND", "DURATION"):
                line = old.first(name)
                if line is None:
                    new.remove(name)
                else:
                    new.set(name, line.value, line.params)
            refused.add("The appointment is cancelled; #rebook in its title takes it up again.")
    return refused


def _carry_out(
    calendar: Component,
    commands: Iterable[merge.Command],
    before: Mapping[str, _Was],
    zone: ZoneInfo,
    settle_at: datetime,
    now: datetime,
) -> set[str]:
    """Apply the doctor's commands that are legal. Returns sentences for those that are not."""
    refused = set()
    components = _by_recurrence_id(calendar, zone)
    for command in commands:
        component = components[command.recurrence_id]
        current = appointment_text.status_of(component)
        start = times.span(component, zone, calendar)[0]
        try:
            if command.action == "uncancel":
                if current not in status.ACTIVE:
                    raise IllegalTransition()
                for each in _meant(command, components):
                    appointment_text.clear_pending_cancel(each, now)
                continue
            new = status.after(current, command.action, by="doctor", start=start, now=now)
            if command.action == "cancel":
                for each in _meant(command, components):
                    appointment_text.set_pending_cancel(each, settle_at, now)
            else:
                appointment_text.clear_pending_cancel(component, now)
                appointment_text.set_status(component, new, now)
        except IllegalTransition:
            appointment_text.set_status(component, current, now)
            refused.add(
                f"An appointment that is {status.STATUSES[current].lower()} does not take {_SAID[command.action]}."
            )
    return refused


def _meant(command: merge.Command, components: Mapping[str, Component]) -> list[Component]:
    """A cancelled series takes along the occurrences that were moved and are still open."""
    if command.recurrence_id:
        return [components[command.recurrence_id]]
    moved = [each for rid, each in components.items() if rid and appointment_text.status_of(each) in visits.OPEN]
    return [components[""], *moved]


def _mark_moved(
    stored: Component, calendar: Component, before: Mapping[str, _Was], zone: ZoneInfo, now: datetime
) -> None:
    """What was moved is rescheduled; what was moved back to where the patient knows it is what it was."""
    old = _by_recurrence_id(stored, zone)
    for recurrence_id, component in _by_recurrence_id(calendar, zone).items():
        start, end, _all_day = times.span(component, zone, calendar)
        was = before.get(recurrence_id)
        if recurrence_id in old:
            same = times.span(old[recurrence_id], zone, stored)[0] == start
        else:
            same = was is not None and was.start == start
        current = appointment_text.status_of(component)
        if same or current not in ("scheduled", "confirmed", "rescheduled"):
            continue
        back = was is not None and was.told[0] == start and was.told[2] in ("scheduled", "confirmed", "rescheduled")
        appointment_text.set_status(component, was.told[2] if back and was else "rescheduled", now)


def _tell_doctor(
    session: Session,
    owner: Account,
    appointment: Appointment,
    before: Mapping[str, _Was],
    refused: set[str],
    actor: Actor,
    now: datetime,
) -> None:
    """Notices of what no calendar app shows: an overbooking, a time outside the hours, a refused command."""
    for sentence in sorted(refused):
        notifications.notice(session, owner.id, sentence, now, appointment)
    for recurrence_id, visit in visits.of_appointment(session, appointment.id).items():
        was = before.get(recurrence_id)
        if visit.overbooked and not (was and was.overbooked and was.start == visit.start):
            notifications.notice(session, owner.id, "This appointment overlaps another one.", now, appointment)
        if visit.outside_hours and not (was and was.outside_hours):
            notifications.notice(session, owner.id, "This appointment lies outside your hours.", now, appointment)
        if was and visit.start <= now < was.start:
            text = "This appointment was moved into the past, and the patient was not told."
            notifications.notice(session, owner.id, text, now, appointment)
        if was and visit.status != was.status and visit.status not in ("rescheduled", "scheduled"):
            if visit.status == "confirmed":
                visit.confirmed_at = now
            elif visit.status == "completed":
                visit.completed_at = now
            history.record(session, visit, actor, visit.status, now, from_status=was.status)


def _component_of(calendar: Component, recurrence_id: str, owner: Account) -> Component | None:
    """What describes a visit in its text; None when the text has no such occurrence (any more)."""
    zone = timezones.zone(owner.timezone)
    if not recurrence_id:
        return recurrence.master(calendar) or calendar.components("VEVENT")[0]
    override = recurrence.override_for(calendar, recurrence_id, zone)
    if override is not None:
        return override
    moment = times.parse_utc_text(recurrence_id)
    around = recurrence.occurrences(calendar, zone, moment, moment + timedelta(minutes=1))
    return next((found.component for found in around if found.recurrence_id == recurrence_id), None)


def _settle_at(session: Session, now: datetime) -> datetime:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return now + timedelta(seconds=settings.quiet_seconds)


def _written(obj: CalendarObject, existing: CalendarObject | None, data: bytes) -> Written:
    return Written(obj, existing is None, obj.served_text.encode() == data)
