"""What the patient is told of an appointment, and the note of what they were told.

Each function puts a message into the outbox in the caller's transaction. The visit remembers the time and the status
that the message speaks of; only a difference from that is worth another message.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical import reminders as reminder_plan
from ical import status
from storage import outbox
from storage.models import Appointment, ChangeRequest, Notice, Patient, Visit

# An appointment that only ends a little later is not worth a message.
_LONGER = timedelta(minutes=10)
# A notice that could not be mailed for so long is found in the portal.
_NEWS = timedelta(days=1)


def confirmed(
    session: Session,
    appointment: Appointment,
    visits: Sequence[Visit],
    now: datetime,
    *,
    to_confirm: bool = False,
    missed: bool = False,
) -> None:
    """The booking's confirmation; one for a whole series. `to_confirm`: the doctor made it, and the patient is asked;
    `missed`: something follows from what the patient has missed, and it says what."""
    first = min(visits, key=lambda visit: visit.start)
    for visit in visits:
        _told(visit)
    more = {"whole": len(visits) > 1, "confirm": to_confirm, "missed": missed}
    _send(session, "appointment_confirmed", appointment, first, now, more=more)


def changed(
    session: Session,
    appointment: Appointment,
    visits: Sequence[Visit],
    now: datetime,
    *,
    bulk: UUID | None = None,
    handed_over: bool = False,
    gone: Iterable[Visit] = (),
    by_law: bool = False,
) -> None:
    """These visits have another time (or doctor) than the patient was told: one message. Nothing for past ones.

    `bulk`: the action at once whose words go with it; `handed_over`: another doctor sees them; `gone` are not in the
    list of what is to come any more, and no message of their own says so; `by_law`: the clocks were changed, and what
    they show at the visit stays."""
    more = {"bulk": str(bulk) if bulk else "", "handed_over": handed_over, "by_law": by_law}
    _send_coming(session, "appointment_changed", appointment, visits, now, more)
    for visit in gone:
        _told(visit)


def cancelled(
    session: Session, appointment: Appointment, visits: Sequence[Visit], now: datetime, *, bulk: UUID | None = None
) -> None:
    """These visits will not take place: one message. Nothing for past ones, nor for those that were never told."""
    told = [visit for visit in visits if visit.told_start is not None]
    _send_coming(session, "appointment_cancelled", appointment, told, now, {"bulk": str(bulk) if bulk else ""})


def never_told(session: Session, appointment: Appointment, visits: Sequence[Visit], now: datetime) -> None:
    """The practice has agreed to what the patient booked: it is confirmed, unless they have heard of it otherwise."""
    coming = [visit for visit in visits if visit.start > now and visit.status not in status.CANCELLED]
    if coming and all(visit.told_start is None for visit in coming):
        confirmed(session, appointment, coming, now)


def on_again(session: Session, appointment: Appointment, visits: Sequence[Visit], now: datetime) -> None:
    """Visits that the patient was told are cancelled take place after all."""
    back = [visit for visit in visits if visit.start > now and visit.told_status in status.CANCELLED]
    if back:
        confirmed(session, appointment, back, now)


def of_request(
    session: Session, appointment: Appointment, request: ChangeRequest, template: str, now: datetime
) -> None:
    """What becomes of a request: asked, rejected, lapsed; or that the patient is asked to choose."""
    outbox.add(
        session,
        template=template,
        channel="email",
        dedupe_key=f"{template}:{request.id}",
        appointment_id=appointment.id,
        recurrence_id=request.recurrence_id,
        patient_id=appointment.patient_id,
        payload={"request": str(request.id)},
        due_at=now,
        expires_at=max(request.old_start, now + _NEWS),
        priority=3,
    )


def is_news(visit: Visit) -> bool:
    """Whether the patient would want to know how the visit's time differs from what they were told."""
    if visit.told_start is None or visit.told_end is None:
        return True
    if visit.told_status in status.CANCELLED:
        # It takes place after all.
        return True
    return visit.start != visit.told_start or visit.end > visit.told_end + _LONGER


def plan_of(patient: Patient) -> Iterable[tuple[int, str]]:
    """(minutes before, channel): the patient's own reminders, or the usual ones."""
    if patient.reminders is None:
        return reminder_plan.DEFAULT
    return tuple((int(wish["minutes"]), str(wish["channel"])) for wish in patient.reminders.get("plan", ()))


def notice(
    session: Session,
    account_id: int,
    text: str,
    now: datetime,
    appointment: Appointment | None = None,
    *,
    page: str = "",
    mail: bool = False,
) -> None:
    """Tell a member of staff what no calendar app would have shown them: in the portal, and by `mail` what will not wait
    until they look there. `page` is where something can be done about it. What stands there unread is not said again.
    """
    text, appointment_id = text[:500], None if appointment is None else appointment.id
    same = select(Notice.id).filter_by(account_id=account_id, text=text, appointment_id=appointment_id, read_at=None)
    if session.scalar(same.limit(1)) is not None:
        return
    said = Notice(account_id=account_id, text=text, appointment_id=appointment_id, page=page, created_at=now)
    session.add(said)
    if mail:
        session.flush()
        outbox.add(
            session,
            template="staff_notice",
            channel="email",
            dedupe_key=f"staff_notice:{said.id}",
            account_id=account_id,
            payload={"notice": said.id},
            due_at=now,
            expires_at=now + _NEWS,
        )


def _send_coming(
    session: Session,
    template: str,
    appointment: Appointment,
    visits: Sequence[Visit],
    now: datetime,
    more: Mapping[str, Any],
) -> None:
    coming = sorted((visit for visit in visits if visit.start > now), key=lambda visit: visit.start)
    if coming:
        whole = len(coming) > 1
        was = None if whole or more.get("by_law") else coming[0].told_start
        _send(session, template, appointment, coming[0], now, was=was, more={**more, "whole": whole})
    for visit in visits:
        _told(visit)


def _send(
    session: Session,
    template: str,
    appointment: Appointment,
    visit: Visit,
    now: datetime,
    *,
    was: datetime | None = None,
    more: Mapping[str, Any],
) -> None:
    """`more`: what else the message says; what is empty or false stays out."""
    payload: dict[str, Any] = {
        "start": visit.start.isoformat(),
        "end": visit.end.isoformat(),
        "doctor": appointment.doctor_id,
    }
    if was is not None:
        payload["was"] = was.isoformat()
    outbox.add(
        session,
        template=template,
        channel="email",
        dedupe_key=f"{template}:{appointment.id}:{visit.recurrence_id}:{appointment.version}",
        appointment_id=appointment.id,
        recurrence_id="" if more.get("whole") else visit.recurrence_id,
        patient_id=appointment.patient_id,
        payload=payload | {name: value for name, value in more.items() if value},
        due_at=now,
        expires_at=visit.start,
        priority=3,
    )


def _told(visit: Visit) -> None:
    told = (visit.start, visit.end, visit.status)
    if told != (visit.told_start, visit.told_end, visit.told_status):
        visit.told_start, visit.told_end, visit.told_status = told
