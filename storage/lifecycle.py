"""The life of a booked appointment: its status, its cancellation, another time or doctor, the doctor's notes.

Each function runs in the caller's transaction, takes the doctors' locks first and writes through storage.objects. What
a calendar app does instead is storage.edits; what a patient may only ask for is storage.requests; taking back a step is
storage.undo.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import lines, policy, recurrence, status, timezones
from ical.errors import IllegalTransition, InvalidInput, NotFound
from ical.participants import set_participants
from storage import (
    audit,
    booking_rules,
    choosing,
    claims,
    cut_offs,
    diary,
    follow_ups,
    history,
    locations,
    notifications,
    participants,
    pending,
    steps,
    visits,
)
from storage.models import Account, Appointment, AppointmentType, Visit
from storage.policy import Actor
from storage.writes import Write


def change_status(
    session: Session,
    appointment_id: UUID,
    action: str,
    *,
    actor: Actor,
    now: datetime,
    recurrence_id: str | None = None,
    following: bool = False,
    reason: str = "",
    by: str | None = None,
    bulk: UUID | None = None,
    follow_up: follow_ups.Wanted | None = follow_ups.USUAL,
) -> Appointment:
    """Carry out confirm, arrive, start, complete, no-show, rebook or cancel on one visit (of a series: all that are
    still open, unless `recurrence_id` names one, or with `following` those from that one on). `by` says for a
    cancellation whose wish it was: patient or doctor; `bulk`, of which action at once it is a part; `follow_up`, what
    is to follow a completed visit.

    Raises IllegalTransition, NotFound; for a patient CutOffPassed or NeedsApproval.
    """
    appointment, obj, owner = steps.opened(session, appointment_id)
    calendar = lines.parse(obj.stored_text)
    zone = timezones.zone(owner.timezone)
    chosen = steps.chosen(session, appointment, recurrence_id, action, following=following)
    by = by or ("doctor" if actor.is_staff else "patient")
    before = {visit.recurrence_id: visit.status for visit in chosen}
    after = check_step(chosen, action, by, now)
    cut_offs.require(session, appointment, chosen, action, actor, now)
    whole = not appointment.series or (len(chosen) > 1 and not following)
    for visit in chosen:
        component = steps.component_of(calendar, visit.recurrence_id, zone, whole=whole)
        appointment_text.clear_pending_cancel(component, now)
        appointment_text.set_status(component, after[visit.recurrence_id], now)
        _stamp(visit, action, reason, now)
    steps.write_back(session, obj, calendar, Write(actor, now, action))
    session.flush()
    for visit in chosen:
        # An object that a calendar app deleted is not expanded any more; its visits are kept in step here.
        visit.status = after[visit.recurrence_id]
        visit.settle_at = None
        history.record(session, visit, actor, action, now, from_status=before[visit.recurrence_id], reason=reason)
        if action == "cancel":
            visits.cancelled(session, appointment, visit)
        follow_ups.follow(session, appointment, visit, before[visit.recurrence_id], follow_up, actor=actor, now=now)
    if action == "cancel":
        notifications.cancelled(session, appointment, chosen, now, bulk=bulk)
    elif action == "rebook":
        notifications.on_again(session, appointment, chosen, now)
    pending.follow(session, appointment, actor, now)
    session.flush()
    return appointment


def check_step(chosen: Iterable[Visit], action: str, by: str, now: datetime) -> dict[str, str]:
    """The status that `action` leads each visit to, by recurrence id. Raises IllegalTransition."""
    return {
        visit.recurrence_id: status.after(visit.status, action, by=by, start=visit.start, now=now) for visit in chosen
    }


def cancel(
    session: Session,
    appointment_id: UUID,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    by: str | None = None,
    recurrence_id: str | None = None,
    bulk: UUID | None = None,
) -> Appointment:
    """Cancel a visit, or all that are still open: the minutes are free at once and the patient is told."""
    return change_status(
        session,
        appointment_id,
        "cancel",
        actor=actor,
        now=now,
        recurrence_id=recurrence_id,
        reason=reason,
        by=by,
        bulk=bulk,
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
    reason: str = "",
    overrule: bool = False,
    waived: Collection[policy.Rule] = (),
    bulk: UUID | None = None,
) -> Appointment:
    """Move a visit: the new minutes in and the old ones out in one transaction. A whole series is moved one occurrence
    at a time. `overrule`: staff set aside the booking rules, for a `reason`; `waived`: those that do not count here.

    Raises SlotTaken or the rule that says no, and then everything is as it was; for a patient CutOffPassed or
    NeedsApproval.
    """
    if overrule and not reason.strip():
        raise InvalidInput("Say why the rules are set aside.", field="reason")
    needed = needed_for_move(session, appointment_id)
    appointment, obj, owner = steps.opened(session, appointment_id, also=doctor, resources=needed.ids)
    visit = steps.chosen(session, appointment, recurrence_id, "reschedule", one=True)[0]
    new_status = check_step([visit], "reschedule", "doctor", now)[visit.recurrence_id]
    cut_offs.require(session, appointment, [visit], "reschedule", actor, now)
    target = doctor or owner
    pending.make_way(session, appointment_id, [start])
    allowed = allowed_move(
        session, appointment, visit, target, start, actor=actor, now=now, overrule=overrule, waived=waived
    )
    party = party_of_move(session, appointment, visit, target, needed, start, allowed.end, actor, now, overrule)
    calendar = lines.parse(obj.stored_text)
    zone = timezones.zone(target.timezone)
    component = steps.component_of(calendar, visit.recurrence_id, zone, whole=not appointment.series)
    appointment_text.clear_pending_cancel(component, now)
    appointment_text.set_times(component, start, allowed.end, zone, now)
    appointment_text.set_status(component, new_status, now)
    locations.take_over(session, component, allowed.wanted.location)
    if not appointment.series:
        set_participants(calendar, participants.described(session, party.people))
    timezones.ensure_vtimezones(calendar)
    was = history.Before.of(visit, owner)
    write = Write(actor, now, "reschedule", overbook=overrule)
    if target.id == owner.id:
        steps.write_back(session, obj, calendar, write, revive=True)
    else:
        steps.hand_over(session, appointment, obj, target, calendar, write)
    session.flush()
    visit.settle_at = None
    history.moved(session, visit, actor, now, was, target, reason=reason)
    if overrule:
        codes = [refusal.code for refusal in allowed.overruled]
        audit.record(session, actor, "appointment.overruled", f"appointment:{appointment_id}", {"rules": codes}, now)
    notifications.changed(session, appointment, [visit], now, bulk=bulk, handed_over=target.id != owner.id)
    pending.follow(session, appointment, actor, now)
    session.flush()
    return appointment


def allowed_move(
    session: Session,
    appointment: Appointment,
    visit: Visit,
    doctor: Account,
    start: datetime,
    *,
    actor: Actor,
    now: datetime,
    overrule: bool = False,
    waived: Collection[policy.Rule] = (),
) -> booking_rules.Allowed:
    """What the rules say about another time for a visit, which keeps its length. Raises the first that says no."""
    if doctor.id != appointment.doctor_id and appointment.series:
        raise InvalidInput("One appointment of a series stays with its doctor.", field="doctor")
    resource = claims.resource_of(session, doctor.id)
    if resource is None:
        raise InvalidInput("Nobody can be booked there.", field="doctor")
    return booking_rules.check(
        session,
        doctor,
        resource,
        start,
        session.get_one(AppointmentType, appointment.type_code),
        actor,
        now,
        own=diary.Except(appointment.id, visit.recurrence_id),
        length=visit.end - visit.start,
        overrule=overrule,
        waived=waived,
    )


def needed_for_move(session: Session, appointment_id: UUID) -> choosing.Needs:
    """Whose time may be taken when an appointment moves: read before the locks, which take all of them at once."""
    appointment = session.get(Appointment, appointment_id)
    if appointment is None:
        raise NotFound()
    return choosing.again(session, appointment, session.get_one(AppointmentType, appointment.type_code))


def party_of_move(
    session: Session,
    appointment: Appointment,
    visit: Visit,
    doctor: Account,
    needed: choosing.Needs,
    start: datetime,
    end: datetime,
    actor: Actor,
    now: datetime,
    overrule: bool,
) -> choosing.Chosen:
    """Who takes part at the new time: the same as before where they are free."""
    needed = replace(needed, doctors=tuple(each for each in needed.doctors if each.account.id != doctor.id))
    return choosing.choose(
        session,
        doctor,
        needed,
        start,
        end,
        session.get_one(AppointmentType, appointment.type_code),
        actor,
        now,
        own=diary.Except(appointment.id, visit.recurrence_id),
        preferred=[each.id for each in participants.of_appointment(session, appointment.id)] if needed else [],
        overrule=overrule,
    )


def set_notes(session: Session, appointment_id: UUID, text: str, *, actor: Actor, now: datetime) -> Appointment:
    """The doctor's private notes, never sent to the patient."""
    appointment, obj, _owner = steps.opened(session, appointment_id)
    calendar = lines.parse(obj.stored_text)
    appointment_text.set_notes(recurrence.master(calendar) or calendar.components("VEVENT")[0], text, now)
    steps.write_back(session, obj, calendar, Write(actor, now, "notes"))
    return appointment


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
