"""The quiet period's end: what a calendar app's edits of an appointment came to is carried out, and told once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import recurrence, status, times, timezones
from ical.lines import Component, parse
from storage import (
    affected,
    app_made,
    claims,
    follow_ups,
    history,
    leave,
    notifications,
    objects,
    pending,
    splits,
    visits,
)
from storage.models import Account, Appointment, CalendarObject, Collection, Visit
from storage.policy import SYSTEM
from storage.settings import Settings
from storage.writes import Write


def settle_at(session: Session, now: datetime) -> datetime:
    """When an edit that is made now is settled, if no other follows."""
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return now + timedelta(seconds=settings.quiet_seconds)


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


def objects_due(session: Session, now: datetime, limit: int = 100) -> list[int]:
    """Ids of the hours, leave and events for which a quiet period is over."""
    due = select(CalendarObject.id).where(CalendarObject.settle_at <= now).order_by(CalendarObject.settle_at)
    return list(session.scalars(due.limit(limit)))


def settle_object(session: Session, object_id: int, now: datetime) -> None:
    """After the quiet period of hours, leave or a copied event: whoever decides is told once of what it touches."""
    obj = session.get_one(CalendarObject, object_id)
    owner = session.get_one(Account, session.get_one(Collection, obj.collection_id).owner_id)
    objects.lock_owner(session, owner.id)
    session.refresh(obj)
    if obj.settle_at is None or obj.settle_at > now:
        return
    obj.settle_at = None
    if obj.kind in ("hours", "leave"):
        affected.mark(session, owner, now)
    if obj.kind == "leave":
        leave.announce(session, obj, owner, now)
    if obj.kind == "block":
        app_made.settle_copy(session, obj, owner, now)


def settle(session: Session, appointment_id: UUID, now: datetime) -> None:
    """After the quiet period: carry out what a calendar app's edits came to, and tell the patient once what is new."""
    appointment = session.get_one(Appointment, appointment_id)
    claims.lock_appointments(session, [appointment_id])
    session.refresh(appointment)
    obj = session.get_one(CalendarObject, appointment.object_id, populate_existing=True)
    owner = session.get_one(Account, appointment.doctor_id)
    if _hand_on(session, appointment, obj, owner, now):
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
            if visit.told_start is None:
                history.record(session, visit, SYSTEM, "booked", now)
            else:
                history.moved(session, visit, SYSTEM, now, history.Before.as_told(visit, owner), owner)
        if all(visit.told_start is None or visit.told_status in status.CANCELLED for visit in moved):
            never_told = all(
                visit.told_start is None for visit in visits.of_appointment(session, appointment_id).values()
            )
            notifications.confirmed(session, appointment, moved, now, to_confirm=never_told)
        else:
            notifications.changed(session, appointment, moved, now)
    if cancelled or moved:
        pending.follow(session, appointment, SYSTEM, now)


def _hand_on(session: Session, appointment: Appointment, obj: CalendarObject, owner: Account, now: datetime) -> bool:
    """What goes on in another event (the rest of a split series, a pasted copy) moves there and is not cancelled."""
    calendar = parse(obj.stored_text)
    known = visits.of_appointment(session, appointment.id).values()
    # What stands on record beside the series is gone from it as well.
    series = calendar.copy()
    series.children = [child for child in series.children if not _is_override(child)]
    gone = [v for v in known if obj.deleted or _component_of(series, v.recurrence_id, owner) is None]
    if not any(v.status in visits.OPEN and v.settle_at is not None and v.settle_at <= now for v in gone):
        return False
    found = splits.find(session, appointment, obj, gone, owner, now)
    for heir in found:
        news = [v for v in heir.visits if v.status in visits.OPEN and notifications.is_news(v)]
        for visit in news:
            history.record(session, visit, SYSTEM, "moved", now, from_start=visit.told_start)
        if news:
            notifications.changed(session, heir.appointment, news, now)
    session.flush()
    return bool(found)


def _is_override(child: object) -> bool:
    return isinstance(child, Component) and child.first("RECURRENCE-ID") is not None


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
    follow_ups.reopen(session, appointment)
    notifications.cancelled(session, appointment, gone, now)


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
