"""Booking: hold, book, move, cancel and every other step of an appointment's life that a person or program asks for.

Each function runs in the caller's transaction, takes the doctors' locks first, checks the rules inside them and writes
through storage.objects. What a calendar app does instead is storage.edits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import guard, lines, policy, recurrence, status, times, timezones
from ical.diary import Window, booking_horizon, lengths_at, seats
from ical.errors import HoldExpired, IllegalTransition, InvalidInput, NotFound, Refusal, SeriesConflict, SlotTaken
from ical.lines import Component
from storage import claims, collections, diary, history, links, notifications, objects, slots, visits
from storage.models import (
    Account,
    Appointment,
    AppointmentType,
    CalendarObject,
    Claim,
    Collection,
    Hold,
    Patient,
    Visit,
)
from storage.policy import Actor
from storage.settings import Settings
from storage.writes import Write

_ALTERNATIVES = 3
_ALTERNATIVES_WITHIN = timedelta(days=14)


@dataclass(frozen=True)
class NewAppointment:
    """What is to be booked. `rrule` is an RFC 5545 RRULE value; `plan` is (minutes before, channel) pairs."""

    start: datetime
    kind: AppointmentType
    patient: Patient
    reason: str = ""
    patient_notes: str = ""
    rrule: str | None = None
    # refuse, skip or move the occurrences that are not free
    on_conflict: str = "refuse"
    parent: UUID | None = None
    plan: tuple[tuple[int, str], ...] | None = None


@dataclass(frozen=True)
class OccurrenceResult:
    """What became of one occurrence of a booked series. `outcome`: booked, skipped or moved."""

    recurrence_id: str
    start: datetime
    end: datetime
    outcome: str


@dataclass(frozen=True)
class Booked:
    appointment: Appointment
    doctor: Account
    visits: list[Visit]
    # Only for a series
    occurrences: list[OccurrenceResult]


def hold(
    session: Session, doctor: Account, start: datetime, kind: AppointmentType, *, actor: Actor, now: datetime
) -> Hold:
    """Keep a slot for settings.hold_minutes. Raises SlotTaken when it is gone, or the rule that says no."""
    resource = _lock(session, [doctor])[doctor.id]
    until = now + timedelta(minutes=_settings(session).hold_minutes)
    checked = _checked(session, doctor, resource, start, kind, actor, now)
    kept = Hold(
        id=uuid4(),
        doctor_id=doctor.id,
        type_code=kind.code,
        start=start,
        end=checked.end,
        expires_at=until,
        created_at=now,
    )
    claims.take(session, [checked.wanted], kind="hold", now=now, ticket=kept.id, expires_at=until)
    session.execute(delete(Hold).where(Hold.expires_at < now - timedelta(days=1)))
    session.add(kept)
    session.flush()
    return kept


def release_hold(session: Session, hold_id: UUID) -> None:
    """Let a held slot go. An unknown or expired one is nothing to complain about."""
    claims.release(session, ticket=hold_id)
    session.execute(delete(Hold).where(Hold.id == hold_id))


def book(
    session: Session,
    doctors: Sequence[Account],
    new: NewAppointment,
    *,
    actor: Actor,
    now: datetime,
    ticket: UUID | None = None,
) -> Booked:
    """Book with one of `doctors`: whoever is free and has the fewest appointments that day.

    `ticket` is a hold's or an offer's id, whose claim becomes the appointment's. Raises SlotTaken, HoldExpired,
    SeriesConflict or the rule that said no, and nothing is written.
    """
    resources = _lock(session, doctors)
    if ticket is not None:
        _redeem(session, ticket, now)
    refusals: list[Refusal] = []
    for doctor in _by_load(session, doctors, new.start):
        try:
            if new.rrule is None:
                checked = _checked(session, doctor, resources[doctor.id], new.start, new.kind, actor, now)
                calendar = event(session, doctor, new, checked.end, now)
                return _store(session, doctor, calendar, [], actor, now, windows=checked.windows)
            calendar, results = _series(session, doctor, new, actor, now)
            return _store(session, doctor, calendar, results, actor, now)
        except Refusal as refusal:
            refusals.append(refusal)
    raise next((refusal for refusal in refusals if isinstance(refusal, SlotTaken)), refusals[0])


def change_status(
    session: Session,
    appointment_id: UUID,
    action: str,
    *,
    actor: Actor,
    now: datetime,
    recurrence_id: str | None = None,
    reason: str = "",
    by: str | None = None,
) -> Appointment:
    """Carry out confirm, arrive, start, complete, no-show, rebook or cancel on one visit (of a series: all that are
    still open, unless `recurrence_id` names one). `by` says for a cancellation whose wish it was: patient or doctor.

    Raises IllegalTransition, NotFound.
    """
    appointment, obj, owner = _open(session, appointment_id)
    calendar = lines.parse(obj.stored_text)
    zone = timezones.zone(owner.timezone)
    chosen = _chosen(session, appointment, recurrence_id, action)
    by = by or ("patient" if actor.role == "patient" or actor.kind in ("link", "visitor") else "doctor")
    before = {visit.recurrence_id: visit.status for visit in chosen}
    for visit in chosen:
        new = status.after(visit.status, action, by=by, start=visit.start, now=now)
        component = _component(calendar, visit.recurrence_id, zone, whole=len(chosen) > 1 or not appointment.series)
        appointment_text.clear_pending_cancel(component, now)
        appointment_text.set_status(component, new, now)
        _stamp(visit, action, reason, now)
    write = Write(actor, now, action)
    _write_back(session, obj, calendar, write)
    session.flush()
    for visit in chosen:
        # An object that a calendar app deleted is not expanded any more; its visits are kept in step here.
        visit.status = status.after(before[visit.recurrence_id], action, by=by, start=visit.start, now=now)
        visit.settle_at = None
        history.record(session, visit, actor, action, now, from_status=before[visit.recurrence_id], reason=reason)
        if action == "cancel":
            visits.cancelled(session, appointment, visit)
    if action == "cancel":
        notifications.cancelled(session, appointment, chosen, now)
    session.flush()
    return appointment


def cancel(
    session: Session,
    appointment_id: UUID,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    by: str | None = None,
    recurrence_id: str | None = None,
) -> Appointment:
    """Cancel a visit, or all that are still open: the minutes are free at once and the patient is told."""
    return change_status(
        session, appointment_id, "cancel", actor=actor, now=now, recurrence_id=recurrence_id, reason=reason, by=by
    )


def reschedule(
    session: Session,
    appointment_id: UUID,
    start: datetime,
    *,
    actor: Actor,
    now: datetime,
    doctor: Account | None = None,
    recurrence_id: str | None = None,
) -> Appointment:
    """Move a visit: the new minutes in and the old ones out in one transaction. Raises SlotTaken or the rule that
    says no; then everything is as it was. A whole series is moved one occurrence at a time."""
    appointment, obj, owner = _open(session, appointment_id, also=doctor)
    visit = _chosen(session, appointment, recurrence_id, "reschedule", one=True)[0]
    new_status = status.after(visit.status, "reschedule", by="doctor", start=visit.start, now=now)
    target = doctor or owner
    if target.id != owner.id and appointment.series:
        raise InvalidInput("One appointment of a series stays with its doctor.", field="doctor")
    kind = session.get_one(AppointmentType, appointment.type_code)
    length = visit.end - visit.start
    own = diary.Except(appointment_id, visit.recurrence_id)
    resource = claims.resource_of(session, target.id)
    if resource is None:
        raise InvalidInput("Nobody can be booked there.", field="doctor")
    _checked(session, target, resource, start, kind, actor, now, own=own, length=length)
    calendar = lines.parse(obj.stored_text)
    zone = timezones.zone(target.timezone)
    component = _component(calendar, visit.recurrence_id, zone, whole=not appointment.series)
    appointment_text.clear_pending_cancel(component, now)
    appointment_text.set_times(component, start, start + length, zone, now)
    appointment_text.set_status(component, new_status, now)
    timezones.ensure_vtimezones(calendar)
    old_start, old_status = visit.start, visit.status
    write = Write(actor, now, "reschedule")
    if target.id == owner.id:
        _write_back(session, obj, calendar, write, revive=True)
    else:
        _hand_over(session, appointment, obj, target, calendar, write)
    session.flush()
    visit.settle_at = None
    history.record(session, visit, actor, "moved", now, from_status=old_status, from_start=old_start)
    notifications.changed(session, appointment, [visit], now)
    session.flush()
    return appointment


def set_notes(session: Session, appointment_id: UUID, text: str, *, actor: Actor, now: datetime) -> Appointment:
    """The doctor's private notes, never sent to the patient."""
    appointment, obj, _owner = _open(session, appointment_id)
    calendar = lines.parse(obj.stored_text)
    appointment_text.set_notes(recurrence.master(calendar) or calendar.components("VEVENT")[0], text, now)
    _write_back(session, obj, calendar, Write(actor, now, "notes"))
    return appointment


def by_manage_token(session: Session, token: str) -> Appointment | None:
    """The appointment of a manage link; None for a token that is not ours."""
    subject = links.subject(_settings(session), "manage", token)
    return None if subject is None else session.get(Appointment, subject)


def manage_url(settings: Settings, appointment_id: UUID) -> str:
    return links.url(settings, "manage", appointment_id)


def video_link(settings: Settings, appointment_id: UUID) -> str:
    """A Jitsi room that nobody can guess (18 signed bytes of the appointment's id)."""
    return f"{settings.video_url}/{links.token(settings, 'video', appointment_id)}"


# Steps


def _settings(session: Session) -> Settings:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return settings


def _lock(session: Session, doctors: Sequence[Account]) -> dict[int, int]:
    """Lock these doctors' time. Returns the resource of each."""
    resources = {}
    for doctor in doctors:
        resource = claims.resource_of(session, doctor.id)
        if resource is None or doctor.disabled:
            raise InvalidInput("Nobody can be booked there.", field="doctor")
        resources[doctor.id] = resource
    if not resources:
        raise InvalidInput("Nobody can be booked there.", field="doctor")
    claims.lock(session, resources.values())
    return resources


def _open(
    session: Session, appointment_id: UUID, also: Account | None = None
) -> tuple[Appointment, CalendarObject, Account]:
    """The appointment with its object and doctor, locked. Read again behind the lock."""
    appointment = session.get(Appointment, appointment_id)
    if appointment is None:
        raise NotFound()
    doctor_ids = {appointment.doctor_id} | ({also.id} if also else set())
    resources = [claims.resource_of(session, doctor_id) for doctor_id in doctor_ids]
    claims.lock(session, [resource for resource in resources if resource is not None])
    session.refresh(appointment)
    obj = session.get_one(CalendarObject, appointment.object_id, populate_existing=True)
    return appointment, obj, session.get_one(Account, appointment.doctor_id)


def _chosen(
    session: Session, appointment: Appointment, recurrence_id: str | None, action: str, one: bool = False
) -> list[Visit]:
    known = visits.of_appointment(session, appointment.id)
    if recurrence_id:
        if recurrence_id not in known:
            raise NotFound("The series has no such appointment.")
        return [known[recurrence_id]]
    if not appointment.series:
        return list(known.values())
    still_open = [visit for visit in known.values() if visit.status in visits.OPEN]
    if not still_open:
        raise IllegalTransition()
    return still_open if action in ("cancel", "confirm") and not one else still_open[:1]


def _component(calendar: Component, recurrence_id: str, zone: ZoneInfo, *, whole: bool) -> Component:
    """Where one occurrence's own properties stand; an override is made when there is none yet."""
    if recurrence_id and not whole:
        override = recurrence.override_for(calendar, recurrence_id, zone)
        return override or recurrence.make_override(calendar, recurrence_id, zone)
    return (recurrence_id and recurrence.override_for(calendar, recurrence_id, zone)) or (
        recurrence.master(calendar) or calendar.components("VEVENT")[0]
    )


def _write_back(session: Session, obj: CalendarObject, calendar: Component, write: Write, revive: bool = False) -> None:
    """Store a changed appointment. One that a calendar app has deleted stays out of the calendar, unless revived."""
    if obj.deleted and not revive:
        obj.stored_text = calendar.text()
        return
    collection = session.get_one(Collection, obj.collection_id)
    objects.put_object(session, collection, obj.href, calendar, write)


def _hand_over(
    session: Session, appointment: Appointment, obj: CalendarObject, doctor: Account, calendar: Component, write: Write
) -> None:
    """Move an appointment into another doctor's calendar, claims and all."""
    claims.release(session, appointment_id=appointment.id)
    if not obj.deleted:
        objects.delete_object(session, obj, write)
    appointment_text.set_doctor(
        recurrence.master(calendar) or calendar.components("VEVENT")[0], doctor.name, doctor.email
    )
    target = collections.built_in(session, doctor, "appointments")
    moved = objects.put_object(session, target, obj.href, calendar, write)
    appointment.object_id = moved.id


def _redeem(session: Session, ticket: UUID, now: datetime) -> None:
    """Give back the claim of a hold or an offer, whose minutes are taken again in this same transaction."""
    kept = session.scalar(select(Claim).where(Claim.ticket == ticket))
    if kept is None or kept.expires_at is None or kept.expires_at <= now:
        raise HoldExpired()
    claims.release(session, ticket=ticket)
    session.execute(delete(Hold).where(Hold.id == ticket))


@dataclass(frozen=True)
class _Checked:
    """A time that the rules allow: the claim that it needs, its end, and the working hours about it."""

    wanted: claims.Wanted
    end: datetime
    windows: Sequence[Window]


def _checked(
    session: Session,
    doctor: Account,
    resource: int,
    start: datetime,
    kind: AppointmentType,
    actor: Actor,
    now: datetime,
    *,
    own: diary.Except | None = None,
    length: timedelta | None = None,
) -> _Checked:
    """What a booking at `start` needs. Raises the first rule that says no."""
    book = diary.around(session, doctor, start, now, own=own)
    asked = diary.kind_of(kind)
    lengths = [length] if length else lengths_at(book.windows, asked, start)
    end = start + (lengths[0] if lengths else timedelta(minutes=doctor.slot_minutes))
    policy.check(policy.Request(start, end, kind.code, by_staff=actor.is_staff), asked, book.facts(start), now)
    before, after = timedelta(minutes=kind.buffer_before), timedelta(minutes=kind.buffer_after)
    wanted = claims.Wanted(resource, start - before, end + after, "", seats(book.windows, asked, start, end))
    return _Checked(wanted, end, book.windows)


def _by_load(session: Session, doctors: Sequence[Account], start: datetime) -> list[Account]:
    """Fewest appointments on that day first, so that "any doctor" shares the work."""
    if len(doctors) == 1:
        return list(doctors)
    day = timedelta(hours=12)
    counts: dict[int, int] = dict(
        session.execute(
            select(Appointment.doctor_id, func.count())
            .join(Visit, Visit.appointment_id == Appointment.id)
            .where(
                Appointment.doctor_id.in_([doctor.id for doctor in doctors]),
                Visit.status.in_(status.ACTIVE),
                Visit.start > start - day,
                Visit.start < start + day,
            )
            .group_by(Appointment.doctor_id)
        ).all()
    )
    return sorted(doctors, key=lambda doctor: (counts.get(doctor.id, 0), doctor.id))


def event(
    session: Session, doctor: Account, new: NewAppointment, end: datetime, now: datetime, *, uid: str = ""
) -> Component:
    """The event of a new appointment; with `uid` of one that a calendar app has made. Raises InvalidInput."""
    settings = _settings(session)
    appointment_id = visits.id_of(uid) if uid else uuid4()
    parent = session.get(Appointment, new.parent) if new.parent else None
    if new.parent and parent is None:
        raise InvalidInput("There is no such appointment to follow up.", field="parent")
    plan = new.plan if new.plan is not None else notifications.plan_of(new.patient)
    video = video_link(settings, appointment_id) if new.kind.mode == "video" else ""
    facts = appointment_text.AppointmentFacts(
        uid=uid or f"appt-{appointment_id}@{settings.uid_domain}",
        start=new.start,
        end=end,
        zone=timezones.zone(doctor.timezone),
        patient_name=new.patient.name,
        patient_email=new.patient.email,
        patient_id=new.patient.id,
        doctor_name=doctor.name,
        doctor_email=doctor.email,
        type_code=new.kind.code,
        type_name=new.kind.name,
        status="scheduled",
        reason=new.reason,
        patient_notes=new.patient_notes,
        doctor_notes="",
        video_link=video,
        location=video or settings.clinic_name,
        url=f"{settings.public_url}/appointments/{appointment_id}/",
        parent_uid=f"appt-{parent.id}@{settings.uid_domain}" if parent else "",
        rrule=new.rrule or "",
        created=now,
        clinic_name=settings.clinic_name,
        colour=new.kind.colour,
        reminders=tuple(plan),
    )
    return appointment_text.render(facts, now)


def _series(
    session: Session, doctor: Account, new: NewAppointment, actor: Actor, now: datetime
) -> tuple[Component, list[OccurrenceResult]]:
    """The event of a whole series, every occurrence checked, with the ones in conflict decided as asked."""
    zone = timezones.zone(doctor.timezone)
    resource = claims.resource_of(session, doctor.id) or 0
    book = diary.around(session, doctor, new.start, now)
    lengths = lengths_at(book.windows, diary.kind_of(new.kind), new.start)
    length = lengths[0] if lengths else timedelta(minutes=doctor.slot_minutes)
    calendar = event(session, doctor, new, new.start + length, now)
    guard.check(calendar.text().encode())
    until = recurrence.last_end(calendar, zone)
    if until is None:
        # "Every week" reaches as far as can be booked, and is not taken up again behind that by itself.
        horizon = booking_horizon(diary.kind_of(new.kind), now, zone)
        until = max(horizon, new.start + length) - timedelta(seconds=1)
        head = recurrence.master(calendar) or calendar.components("VEVENT")[0]
        head.set("RRULE", f"{(new.rrule or '').strip().rstrip(';')};UNTIL={times.utc_text(until)}")
    results, conflicts = [], []
    for occurrence in recurrence.occurrences(calendar, zone, new.start, until, limit=500):
        result = OccurrenceResult(occurrence.recurrence_id, occurrence.start, occurrence.end, "booked")
        try:
            _checked(session, doctor, resource, occurrence.start, new.kind, actor, now, length=length)
        except Refusal:
            nearest = _nearest(session, doctor, occurrence.start, new.kind, now)
            if new.on_conflict == "skip":
                recurrence.add_exdate(calendar, occurrence.recurrence_id, zone)
                result = OccurrenceResult(occurrence.recurrence_id, occurrence.start, occurrence.end, "skipped")
            elif new.on_conflict == "move" and nearest:
                override = recurrence.make_override(calendar, occurrence.recurrence_id, zone)
                appointment_text.set_times(override, nearest[0], nearest[0] + length, zone, now)
                result = OccurrenceResult(occurrence.recurrence_id, nearest[0], nearest[0] + length, "moved")
            else:
                conflicts.append((occurrence.start, nearest))
        results.append(result)
    if conflicts:
        raise SeriesConflict(conflicts)
    if not any(result.outcome != "skipped" for result in results):
        raise SlotTaken("None of these times is free.")
    return calendar, results


def _nearest(
    session: Session, doctor: Account, start: datetime, kind: AppointmentType, now: datetime
) -> list[datetime]:
    """The free times nearest to `start`, at most three of them."""
    first = max(start - _ALTERNATIVES_WITHIN, now)
    found = slots.free_slots(session, [doctor], first, start + _ALTERNATIVES_WITHIN, kind, now)
    return sorted((slot.start for slot in found), key=lambda at: (abs(at - start), at))[:_ALTERNATIVES]


def _store(
    session: Session,
    doctor: Account,
    calendar: Component,
    results: list[OccurrenceResult],
    actor: Actor,
    now: datetime,
    *,
    windows: Sequence[Window] | None = None,
) -> Booked:
    target = collections.built_in(session, doctor, "appointments")
    uid = calendar.components("VEVENT")[0].plain("UID")
    write = Write(actor, now, "book")
    appointment, followed = objects.put_appointment(session, target, f"{uid}.ics", calendar, write, windows=windows)
    made = sorted(followed.values(), key=lambda visit: visit.start)
    for visit in made[:1] if appointment.series else made:
        history.record(session, visit, actor, "booked", now)
    notifications.confirmed(session, appointment, made, now)
    session.flush()
    return Booked(appointment, doctor, made, results)


def _stamp(visit: Visit, action: str, reason: str, now: datetime) -> None:
    if action == "confirm":
        visit.confirmed_at = now
    elif action == "arrive":
        if visit.arrived_at is not None:
            raise IllegalTransition("The patient has arrived already.")
        visit.arrived_at = now
    elif action == "complete":
        visit.completed_at = now
    elif action == "cancel":
        visit.cancelled_at = now
        visit.cancellation_reason = reason[:500]
