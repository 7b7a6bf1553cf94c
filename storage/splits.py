"""What calendar apps cut off an appointment: the other half of a split series, or a copy whose original was deleted.

"This and all following" arrives as two PUTs that do not name each other, in either order: one shortens the known
series, the other brings a new UID (for most apps with the rest of it, for macOS with its past). Which of the two it was
shows only when the quiet period is over: what vanished from an appointment then goes on in the event that came with
its address or its words, and the patient is told of moved visits, not of cancelled ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import lines, merge, recurrence, status, timezones
from ical.errors import Refusal
from ical.lines import Component
from ical.times import utc_text
from storage import objects, occurrences, visits
from storage.models import Account, Appointment, CalendarObject, Claim, Collection, History, Reminder, Visit
from storage.policy import SYSTEM
from storage.settings import Settings
from storage.writes import Write

# An app that was offline between its two PUTs sends the second one within a day, or it is a new event.
_RECENT = timedelta(days=1)
_LEADS_TO = {"confirm": "confirmed", "start": "in_progress", "complete": "completed", "no-show": "no_show"}
_AWAITED = ("scheduled", "confirmed", "rescheduled")


@dataclass(frozen=True)
class Heir:
    """The appointment that goes on with what vanished, and those of its visits that came over."""

    appointment: Appointment
    visits: list[Visit]


def find(
    session: Session,
    appointment: Appointment,
    obj: CalendarObject,
    gone: Sequence[Visit],
    owner: Account,
    now: datetime,
) -> list[Heir]:
    """Turn the events that go on with `gone` into appointments. The owner's lock is held."""
    stored = lines.parse(obj.stored_text)
    head = recurrence.master(stored)
    left = [visit for visit in gone if visit.status not in status.CANCELLED]
    if head is None or not left:
        return []
    heirs = []
    for candidate in _recent_blocks(session, obj, now):
        try:
            heir = _adopt(session, appointment, obj, candidate, stored, head, left, owner, now)
        except Refusal:
            # Whatever it is, it cannot be an appointment: it stays the event that it is.
            continue
        if heir is not None:
            heirs.append(heir)
            if obj.kind != "appointment":
                break
            left = [visit for visit in left if visit.recurrence_id in visits.of_appointment(session, appointment.id)]
    return heirs


def _recent_blocks(session: Session, obj: CalendarObject, now: datetime) -> Sequence[CalendarObject]:
    return session.scalars(
        select(CalendarObject)
        .where(
            CalendarObject.collection_id == obj.collection_id,
            CalendarObject.kind == "block",
            CalendarObject.deleted.is_(False),
            CalendarObject.created_at >= now - _RECENT,
        )
        .order_by(CalendarObject.id)
    ).all()


def _adopt(
    session: Session,
    appointment: Appointment,
    obj: CalendarObject,
    candidate: CalendarObject,
    stored: Component,
    head: Component,
    gone: Sequence[Visit],
    owner: Account,
    now: datetime,
) -> Heir | None:
    put = lines.parse(candidate.stored_text)
    put_head = recurrence.master(put)
    if put_head is None or not _is_about(put_head, head):
        return None
    zone = timezones.zone(owner.timezone)
    whole = obj.deleted
    new_id = appointment.id if whole else visits.id_of(candidate.uid)
    if not whole and session.get(Appointment, new_id) is not None:
        return None
    calendar = _text(session, stored, head, put, candidate.uid, new_id, zone, now)
    expanded = occurrences.expand(calendar, owner, now).occurrences
    pairs = _pairs(gone, expanded, zone)
    if not pairs:
        return None
    _mark_moved(expanded, gone, pairs, now)
    if whole:
        # Its visits are found by its object, which is the new event from now on.
        obj.kind, appointment.object_id = "block", candidate.id
        heir = appointment
    else:
        heir = _new(session, appointment, candidate, new_id)
        _hand_over(session, appointment, heir, pairs)
    session.flush()
    collection = session.get_one(Collection, candidate.collection_id)
    write = Write(SYSTEM, now, "taken over", overbook=True)
    objects.put_object(session, collection, candidate.href, calendar, write)
    present = {occurrence.recurrence_id for occurrence in expanded}
    came = [visit for visit in visits.of_appointment(session, heir.id).values() if visit.recurrence_id in present]
    for visit in came:
        visit.settle_at = None
    return Heir(heir, came)


def _is_about(event: Component, head: Component) -> bool:
    """Whether an app made `event` of the appointment: by its address, or by title and generated text."""
    url = event.value("URL")
    if url:
        return url.strip() == (head.value("URL") or "")
    title = event.plain("SUMMARY").strip()
    _above, below = appointment_text.split_at_marker(event.plain("DESCRIPTION"))
    return below is not None and any(title.endswith(body) for body in appointment_text.titles(head) if body)


def _text(
    session: Session,
    stored: Component,
    head: Component,
    put: Component,
    uid: str,
    new_id: UUID,
    zone: ZoneInfo,
    now: datetime,
) -> Component:
    """The event as an appointment: what is ours from the stored one, what is the app's as in a PUT."""
    base = stored.copy()
    # copy() keeps the order, so the master is found again the way it was found in `stored`.
    own = recurrence.master(base)
    assert own is not None
    base.children = [c for c in base.children if not isinstance(c, Component) or c is own or c.name != "VEVENT"]
    own.remove("EXDATE", "RDATE")
    if appointment_text.pending_cancel(own) is not None:
        appointment_text.clear_pending_cancel(own, now)
    merged = merge.merge(base, put, zone, now)
    calendar = merged.calendar
    for event in calendar.components("VEVENT"):
        event.set("UID", uid)
        settings = session.info["settings"]
        assert isinstance(settings, Settings)
        if event.first("URL") is not None:
            event.set("URL", f"{settings.public_url}/appointments/{new_id}/")
    for command in merged.commands:
        component = (
            recurrence.override_for(calendar, command.recurrence_id, zone)
            if command.recurrence_id
            else recurrence.master(calendar)
        )
        if component is not None and command.action in _LEADS_TO:
            appointment_text.set_status(component, _LEADS_TO[command.action], now)
    return calendar


def _pairs(gone: Sequence[Visit], found: Sequence[recurrence.Occurrence], zone: ZoneInfo) -> dict[str, str]:
    """Recurrence ids of vanished visits → those of the occurrences that go on with them."""
    old = {visit.recurrence_id or utc_text(visit.start): visit.recurrence_id for visit in gone}
    new = {occurrence.recurrence_id or utc_text(occurrence.start): occurrence.recurrence_id for occurrence in found}
    if not old or not new:
        return {}
    return {old[a]: new[b] for a, b in visits.moved_along(list(old), list(new), zone).items()}


def _mark_moved(
    expanded: Sequence[recurrence.Occurrence], gone: Sequence[Visit], pairs: Mapping[str, str], now: datetime
) -> None:
    """What has another time than the patient knows is rescheduled, and what has the same is what it was."""
    known = {visit.recurrence_id: visit for visit in gone}
    came = {new: known[old] for old, new in pairs.items()}
    for occurrence in expanded:
        visit = came.get(occurrence.recurrence_id)
        current = appointment_text.status_of(occurrence.component)
        if visit is None or current not in _AWAITED:
            continue
        same = occurrence.start == (visit.told_start or visit.start)
        wanted = visit.told_status if same and visit.told_status in _AWAITED else current if same else "rescheduled"
        if wanted != current:
            appointment_text.set_status(occurrence.component, wanted, now)


def _new(session: Session, appointment: Appointment, candidate: CalendarObject, new_id: UUID) -> Appointment:
    heir = Appointment(
        id=new_id,
        object_id=candidate.id,
        doctor_id=appointment.doctor_id,
        patient_id=appointment.patient_id,
        type_code=appointment.type_code,
        series=appointment.series,
        parent_id=None,
        split_from=appointment.split_from or appointment.id,
        video_link=appointment.video_link,
        location=appointment.location,
        booked_by=appointment.booked_by,
        booked_at=appointment.booked_at,
        version=0,
    )
    session.add(heir)
    session.flush()
    return heir


def _hand_over(session: Session, appointment: Appointment, heir: Appointment, pairs: Mapping[str, str]) -> None:
    """Visits, minutes, reminders and history change their appointment."""
    session.flush()
    for old, new in pairs.items():
        for table in (Visit, Claim, Reminder, History):
            session.execute(
                update(table)
                .filter_by(appointment_id=appointment.id, recurrence_id=old)
                .values(appointment_id=heir.id, recurrence_id=new)
                .execution_options(synchronize_session=False)
            )
    for visit in [each for each in session.identity_map.values() if isinstance(each, Visit)]:
        session.expunge(visit)
