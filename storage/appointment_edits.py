"""A calendar app's PUT of an appointment: merged with what is stored, its commands carried out, the doctor told.

What the edit means is ical.merge's to say; whether it is legal, and what it does to visits and claims, is said here.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import merge, rebase, status, times, timezones
from ical.commands import Command
from ical.errors import IllegalTransition
from ical.lines import Component, parse
from storage import appointment_types, follow_ups, history, notifications, objects, pending, settling, visits
from storage.models import Account, Appointment, CalendarObject, Visit
from storage.policy import Actor
from storage.writes import Edit

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


def put_over(session: Session, edit: Edit, known: CalendarObject) -> CalendarObject:
    """Merge an app's text into the appointment `known`, which may have been deleted within the quiet period."""
    owner = session.get_one(Account, edit.collection.owner_id)
    zone = timezones.zone(owner.timezone)
    appointment = visits.of_object(session, known)
    assert appointment is not None
    before = {rid: _Was.of(visit) for rid, visit in visits.of_appointment(session, appointment.id).items()}
    settle_at = settling.settle_at(session, edit.now)
    stored = parse(known.stored_text)
    types = {kind.code: kind.name for kind in appointment_types.every(session)}
    put = edit.put
    if not edit.sent.conditional:
        base = rebase.base_of(put, stored, objects.versions(session, known))
        put = put if base is None else rebase.rebase(put, base, stored, zone)
    merged = merge.merge(stored, put, zone, edit.now, types)
    calendar = merged.calendar
    revived = {command.recurrence_id for command in merged.commands if command.action == "rebook"}
    refused = _keep_cancelled(stored, calendar, revived, zone)
    refused |= _carry_out(calendar, merged.commands, zone, settle_at, edit.now)
    _mark_moved(stored, calendar, before, zone, edit.now)
    if merged.change == "none" and not refused and not known.deleted:
        return known
    fresh = _starts(calendar, zone) - {was.start for was in before.values()}
    if fresh:
        pending.make_way(session, appointment.id, fresh)
    spot = edit.spot
    if known.deleted and known.href != spot.href:
        if spot.at_href is not None:
            objects.free_href(session, spot.at_href)
        known.href = spot.href
        spot = replace(spot, at_href=known)
    write = edit.write(overbook=True, settle_at=settle_at)
    obj = objects.put_object(session, edit.collection, spot.href, calendar, write, spot=spot)
    _tell_doctor(session, owner, appointment, before, refused, edit.actor, edit.now)
    return obj


def _starts(calendar: Component, zone: ZoneInfo) -> set[datetime]:
    return {times.span(each, zone, calendar)[0] for each in calendar.components("VEVENT")}


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
    commands: Iterable[Command],
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


def _meant(command: Command, components: Mapping[str, Component]) -> list[Component]:
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
            # A series that begins at another of its occurrences has lost some, and moved none.
            same = times.span(old[recurrence_id], zone, stored)[0] == start or times.utc_text(start) in before
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
            notifications.notice(
                session, owner.id, "This appointment lies outside your hours or in your leave.", now, appointment
            )
        if was and visit.start <= now < was.start:
            text = "This appointment was moved into the past, and the patient was not told."
            notifications.notice(session, owner.id, text, now, appointment)
        if was and visit.status != was.status and visit.status not in ("rescheduled", "scheduled"):
            if visit.status == "confirmed":
                visit.confirmed_at = now
            elif visit.status == "completed":
                visit.completed_at = now
                tell_at = settling.settle_at(session, now)
                follow_ups.propose(session, appointment, visit, follow_ups.USUAL, actor=actor, now=now, tell_at=tell_at)
            history.record(session, visit, actor, visit.status, now, from_status=was.status)
    pending.follow(session, appointment, actor, now)
