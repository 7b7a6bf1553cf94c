"""What calendar apps cut off an appointment: the other half of a split series, or a copy whose original was deleted.

"This and all following" arrives as two PUTs that do not name each other, in either order: one shortens the known
series, the other brings a new UID (for most apps with the rest of it, for macOS with its past). Which of the two it was
shows only when the quiet period is over: what vanished from an appointment then goes on in the event that came with
its address or its words, and the patient is told of moved visits, not of cancelled ones.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import lines, merge, recurrence, status, times, timezones
from ical.commands import LEADS_TO
from ical.errors import Refusal
from ical.lines import Component
from ical.times import utc_text
from storage import objects, occurrences, visits
from storage.models import (
    Account,
    Appointment,
    CalendarObject,
    ChangeRequest,
    Claim,
    FollowUp,
    History,
    Reminder,
    Visit,
    table_of,
)
from storage.models import Collection as Calendar
from storage.policy import SYSTEM
from storage.settings import Settings
from storage.writes import Write

# An app that was offline between its two PUTs sends the second one within a day, or it is a new event.
_RECENT = timedelta(days=1)
_AWAITED = ("scheduled", "confirmed", "rescheduled")


_OF_VISITS = (Visit, Claim, Reminder, History, ChangeRequest, FollowUp)
_HAND_OVER = [
    update(table)
    .where(table.c.appointment_id == bindparam("of"), table.c.recurrence_id == bindparam("old"))
    .values(appointment_id=bindparam("to"), recurrence_id=bindparam("new"))
    for table in map(table_of, _OF_VISITS)
]


@dataclass(frozen=True)
class Heir:
    """The appointment that goes on with what vanished, and those of its visits that came over."""

    appointment: Appointment
    visits: list[Visit]


@dataclass(frozen=True)
class _Cut:
    """What something was cut off: the appointment, its object, the text of that with its master, whose it is, and now."""

    appointment: Appointment
    obj: CalendarObject
    stored: Component
    head: Component
    owner: Account
    now: datetime

    @property
    def zone(self) -> ZoneInfo:
        return timezones.zone(self.owner.timezone)


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
    left = list(gone)
    if head is None or all(visit.status in status.CANCELLED for visit in left):
        return []
    cut = _Cut(appointment, obj, stored, head, owner, now)
    heirs = []
    for candidate in _recent_blocks(session, obj, now):
        try:
            heir = _adopt(session, cut, candidate, left)
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


def _adopt(session: Session, cut: _Cut, candidate: CalendarObject, gone: Sequence[Visit]) -> Heir | None:
    put = lines.parse(candidate.stored_text)
    put_head = recurrence.master(put)
    if put_head is None or not _is_about(put_head, cut.head):
        return None
    whole = cut.obj.deleted
    new_id = cut.appointment.id if whole else visits.id_of(candidate.uid)
    if not whole and session.get(Appointment, new_id) is not None:
        return None
    calendar = _text(session, cut, put, candidate.uid, new_id)
    expanded = occurrences.expand(calendar, cut.owner, cut.now).occurrences
    pairs = _pairs(gone, expanded, cut.zone)
    if not pairs:
        return None
    _mark(cut, calendar, expanded, gone, pairs)
    if whole:
        # Its visits are found by its object, which is the new event from now on.
        cut.obj.kind, cut.appointment.object_id = "block", candidate.id
        heir = cut.appointment
    else:
        heir = _new(session, cut.appointment, candidate, new_id)
        hand_over(session, cut.appointment.id, heir.id, pairs)
        _forget(session, cut, pairs)
    session.flush()
    collection = session.get_one(Calendar, candidate.collection_id)
    write = Write(SYSTEM, cut.now, "taken over", overbook=True)
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


def _text(session: Session, cut: _Cut, put: Component, uid: str, new_id: UUID) -> Component:
    """The event as an appointment: what is ours from the stored one, what is the app's as in a PUT."""
    base, zone, now = cut.stored.copy(), cut.zone, cut.now
    # copy() keeps the order, so the master is found again the way it was found in `stored`.
    own = recurrence.master(base)
    assert own is not None
    _keep_overrides(base, put, zone)
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
        if component is not None and command.action in LEADS_TO:
            appointment_text.set_status(component, LEADS_TO[command.action], now)
    return calendar


def _keep_overrides(base: Component, put: Component, zone: ZoneInfo) -> None:
    """Of the occurrences with a time or status of their own, those that the event has too, under its id for them."""
    wanted = {_original(event, put, zone).astimezone(zone).date(): _original(event, put, zone) for event in _own(put)}
    for event in _own(base):
        moment = wanted.get(_original(event, base, zone).astimezone(zone).date())
        if moment is None:
            base.children = [child for child in base.children if child is not event]
        elif moment != _original(event, base, zone):
            times.set_time(event, "RECURRENCE-ID", moment, zone)


def _own(calendar: Component) -> list[Component]:
    return [event for event in recurrence.overrides(calendar) if event.first("RECURRENCE-ID") is not None]


def _original(event: Component, calendar: Component, zone: ZoneInfo) -> datetime:
    line = event.first("RECURRENCE-ID")
    assert line is not None
    return times.instant(times.read_time(line, zone, calendar), zone)


def _pairs(gone: Sequence[Visit], found: Sequence[recurrence.Occurrence], zone: ZoneInfo) -> dict[str, str]:
    """Recurrence ids of vanished visits → those of the occurrences that go on with them."""
    old = {visit.recurrence_id or utc_text(visit.start): visit.recurrence_id for visit in gone}
    new = {occurrence.recurrence_id or utc_text(occurrence.start): occurrence.recurrence_id for occurrence in found}
    if not old or not new:
        return {}
    return {old[a]: new[b] for a, b in visits.moved_along(list(old), list(new), zone).items()}


def _mark(
    cut: _Cut,
    calendar: Component,
    expanded: Sequence[recurrence.Occurrence],
    gone: Sequence[Visit],
    pairs: Mapping[str, str],
) -> None:
    """What came over has the status that it had; what has another time than the patient knows is rescheduled."""
    known = {visit.recurrence_id: visit for visit in gone}
    came = {new: known[old] for old, new in pairs.items()}
    head = recurrence.master(calendar)
    wanted: dict[str, str] = {}
    for occurrence in expanded:
        visit = came.get(occurrence.recurrence_id)
        if visit is None or appointment_text.status_of(occurrence.component) not in _AWAITED:
            continue
        new_status = _status(visit, occurrence.start)
        if occurrence.component is head:
            wanted[occurrence.recurrence_id] = new_status
        else:
            appointment_text.set_status(occurrence.component, new_status, cut.now)
    if head is None or not wanted:
        return
    usual = Counter(wanted.values()).most_common(1)[0][0]
    for recurrence_id, new_status in wanted.items():
        if new_status != usual and recurrence_id:
            appointment_text.set_status(
                recurrence.make_override(calendar, recurrence_id, cut.zone), new_status, cut.now
            )
    appointment_text.set_status(head, usual, cut.now)


def _status(visit: Visit, start: datetime) -> str:
    if start == visit.start:
        return visit.status
    if start == visit.told_start and visit.told_status in _AWAITED:
        return visit.told_status
    return "rescheduled"


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


def take_over(
    session: Session, appointment: Appointment, new_id: UUID, pairs: Mapping[str, str], obj: CalendarObject
) -> None:
    """Make a new object the appointment that goes on with these visits."""
    hand_over(session, appointment.id, _new(session, appointment, obj, new_id).id, pairs)


def hand_over(session: Session, appointment_id: UUID, heir_id: UUID, pairs: Mapping[str, str]) -> None:
    """Visits, minutes, reminders, requests and history change their appointment, or only their recurrence ids."""
    session.flush()
    # A series that moves by a week needs its second id for its first visit: the one in front goes first.
    rows = sorted(pairs.items(), key=lambda pair: pair[0], reverse=any(new > old for old, new in pairs.items()))
    given = [{"of": appointment_id, "old": old, "to": heir_id, "new": new} for old, new in rows]
    if appointment_id == heir_id:
        given = [row for row in given if row["old"] != row["new"]]
    for statement in _HAND_OVER if given else ():
        session.connection().execute(statement, given)
    for row in [each for each in session.identity_map.values() if isinstance(each, _OF_VISITS)]:
        session.expunge(row)


def _forget(session: Session, cut: _Cut, ids: Collection[str]) -> None:
    """What stood on record in the old event, a visit that was cancelled or done, stands in the new one now."""
    calendar = lines.parse(cut.obj.stored_text)
    moments = {times.parse_utc_text(recurrence_id) for recurrence_id in ids if recurrence_id}
    left = [event for event in _own(calendar) if _original(event, calendar, cut.zone) in moments]
    if left:
        calendar.children = [child for child in calendar.children if not any(child is event for event in left)]
        target = session.get_one(Calendar, cut.obj.collection_id)
        objects.put_object(session, target, cut.obj.href, calendar, Write(SYSTEM, cut.now, "handed on", overbook=True))
