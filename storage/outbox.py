"""The outbox: a row is the message, the broker only a bell. What is to be said is read again when it is sent.

A sender leases rows, closes its transaction, reads each message anew (`message`), sends it, and marks it. A lease that
runs out is taken over by another sender. Nothing stale is sent: not after the appointment has begun, moved or been
cancelled. Rows hold ids and instants; names, addresses and links are put in at the last moment.
"""

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta, tzinfo
from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from ical import itip, timezones
from storage import invitations, links, no_shows
from storage.db import Database
from storage.models import (
    Account,
    Appointment,
    BulkAction,
    ChangeRequest,
    FollowUp,
    Notice,
    Offer,
    OutboxMessage,
    Patient,
    Reminder,
    Visit,
    WaitlistEntry,
    table_of,
)
from storage.prepared import Prepared
from storage.settings import Settings

# After this long a message that could not be delivered is given up.
BUDGET = timedelta(hours=4)
_COLUMNS = [
    "template",
    "channel",
    "dedupe_key",
    "due_at",
    "created_at",
    "appointment_id",
    "recurrence_id",
    "patient_id",
    "account_id",
    "payload",
    "expires_at",
    "priority",
    "state",
    "attempts",
    "last_error",
]
_ADD = {
    dialect: Prepared(insert(table_of(OutboxMessage)).on_conflict_do_nothing(index_elements=["dedupe_key"]), _COLUMNS)
    for dialect, insert in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}
_FIRST_WAIT = timedelta(seconds=5)
_LONGEST_WAIT = timedelta(minutes=5)
# Who has no e-mail address gets these by SMS instead.
_URGENT = frozenset(
    {
        "appointment_changed",
        "appointment_cancelled",
        "waitlist_offer",
        "manage_links",
        "request_rejected",
        "request_lapsed",
        "choose_another",
    }
)
_COMING = frozenset({"scheduled", "confirmed", "rescheduled"})


@dataclass(frozen=True)
class Lease:
    """A row that is ours to send until the lease runs out."""

    id: int
    token: str


@dataclass(frozen=True)
class Time:
    """When a visit is, in the zone of its doctor."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Message:
    """Everything that is needed to send one message. `calendar` is the text of an iTIP message, or empty; `others` are
    requests about the events that a calendar app cut off the same series."""

    dedupe_key: str
    template: str
    channel: str
    to: str
    name: str
    clinic: str
    sender: str
    doctor: str = ""
    times: tuple[Time, ...] = ()
    was: datetime | None = None
    video_link: str = ""
    location: str = ""
    link: str = ""
    until: datetime | None = None
    # For manage_links: each coming visit with its link
    visits: tuple[tuple[Time, str, str], ...] = ()
    method: str = ""
    calendar: str = ""
    others: tuple[str, ...] = ()
    # The doctor made the appointment: the patient is asked whether it suits
    to_confirm: bool = False
    # For staff_notice; and what the practice says with a change, a cancellation or its answer to a request
    text: str = ""
    # Another doctor than before
    handed_over: bool = False
    # The clocks were changed: the visit keeps its wall time
    by_law: bool = False
    # Of a request: book, reschedule, cancel or choose, and the time that is asked for
    request: str = ""
    wanted: Time | None = None


@dataclass(frozen=True)
class Stale:
    """Not to be sent any more, and why (a code, for the row)."""

    why: str


@dataclass(frozen=True)
class Later:
    """A calendar app has just changed the visit: wait until that has settled."""

    at: datetime


def add(
    session: Session,
    *,
    template: str,
    channel: str,
    dedupe_key: str,
    due_at: datetime,
    appointment_id: UUID | None = None,
    recurrence_id: str = "",
    patient_id: UUID | None = None,
    account_id: int | None = None,
    payload: Mapping[str, Any] | None = None,
    expires_at: datetime | None = None,
    priority: int = 5,
) -> None:
    """Put a message into the outbox, in the caller's transaction. A second one with the same key is nothing."""
    row = {
        "template": template,
        "channel": channel,
        "dedupe_key": dedupe_key,
        "due_at": due_at,
        "created_at": due_at,
        "appointment_id": appointment_id,
        "recurrence_id": recurrence_id,
        "patient_id": patient_id,
        "account_id": account_id,
        "payload": dict(payload or {}),
        "expires_at": expires_at,
        "priority": priority,
        "state": "due",
        "attempts": 0,
        "last_error": "",
    }
    session.flush()
    connection = session.connection()
    _ADD[connection.dialect.name].write(connection, row)


def take_back(
    session: Session,
    template: str,
    appointment_id: UUID,
    recurrence_ids: Collection[str],
    since: datetime,
    now: datetime,
) -> bool:
    """Drop what was to be said since then of these visits, for it is not so any more. Returns whether there was
    something that nobody has begun to send: then the patient knows nothing of it."""
    asked = select(OutboxMessage).where(
        OutboxMessage.appointment_id == appointment_id,
        OutboxMessage.template == template,
        OutboxMessage.state == "due",
        OutboxMessage.created_at >= since,
        or_(OutboxMessage.lease_until.is_(None), OutboxMessage.lease_until <= now),
    )
    # Whoever sends it reads it behind the same lock.
    waiting = session.scalars(asked.with_for_update(), execution_options={"populate_existing": True}).all()
    meant = [row for row in waiting if row.payload.get("whole") or row.recurrence_id in recurrence_ids]
    for row in meant:
        # A message about a whole series leaves out by itself what does not hold of one visit.
        if not row.payload.get("whole") or len(recurrence_ids) > 1:
            row.state, row.last_error = "dropped", "undone"
    session.flush()
    return bool(meant)


def claim_due(db: Database, now: datetime, limit: int, seconds: float) -> list[Lease]:
    """Lease up to `limit` messages for `seconds`, the urgent ones first. What has had its time is failed instead."""
    with db.transaction() as session:
        waiting = and_(
            OutboxMessage.state == "due",
            OutboxMessage.due_at <= now,
            or_(OutboxMessage.lease_until.is_(None), OutboxMessage.lease_until <= now),
        )
        session.execute(
            update(OutboxMessage)
            .where(waiting, OutboxMessage.attempts > 0, OutboxMessage.created_at <= now - BUDGET)
            .values(state="failed", lease_token=None, lease_until=None)
            .execution_options(synchronize_session=False)
        )
        token = secrets.token_hex(16)
        first = (
            select(OutboxMessage.id)
            .where(waiting)
            .order_by(OutboxMessage.priority, OutboxMessage.due_at, OutboxMessage.id)
            .limit(limit)
        )
        # `waiting` stands in the outer statement too: PostgreSQL checks it again on a row that somebody else leased
        # between our reading it and our writing it.
        leased = session.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id.in_(first.scalar_subquery()), waiting)
            .values(
                lease_token=token,
                lease_until=now + timedelta(seconds=seconds),
                attempts=OutboxMessage.attempts + 1,
            )
            .returning(OutboxMessage.id, OutboxMessage.priority)
            .execution_options(synchronize_session=False)
        ).all()
        return [Lease(id, token) for id, _priority in sorted(leased, key=lambda row: (row.priority, row.id))]


def any_due(session: Session, now: datetime) -> bool:
    due = select(OutboxMessage.id).where(
        OutboxMessage.state == "due",
        OutboxMessage.due_at <= now,
        or_(OutboxMessage.lease_until.is_(None), OutboxMessage.lease_until <= now),
    )
    return session.scalar(due.limit(1)) is not None


def mark_sent(session: Session, lease: Lease, now: datetime) -> None:
    row = _finish(session, lease, "sent", "", now)
    if row is not None and row.template == "appointment_reminder":
        session.execute(
            update(Reminder)
            .where(
                Reminder.appointment_id == row.appointment_id,
                Reminder.recurrence_id == row.recurrence_id,
                Reminder.channel == row.channel,
                Reminder.minutes_before == row.payload.get("minutes"),
            )
            .values(sent_at=now)
            .execution_options(synchronize_session=False)
        )


def mark_dropped(session: Session, lease: Lease, why: str, now: datetime) -> None:
    """It had become stale."""
    _finish(session, lease, "dropped", why, now)


def mark_failed(session: Session, lease: Lease, error: str, now: datetime) -> None:
    """It cannot be delivered, and trying again would not help."""
    _finish(session, lease, "failed", error, now)


def mark_retry(session: Session, lease: Lease, error: str, now: datetime) -> None:
    """Try again after 5, 10, 20 … seconds, at most 5 minutes; failed once the budget of 4 hours is used up."""
    row = _ours(session, lease)
    if row is None:
        return
    wait = min(_FIRST_WAIT * 2 ** min(row.attempts - 1, 10), _LONGEST_WAIT)
    if now + wait > row.created_at + BUDGET:
        _finish(session, lease, "failed", error, now)
        return
    row.due_at, row.last_error = now + wait, error[:300]
    row.lease_token = row.lease_until = None
    session.flush()


def mark_later(session: Session, lease: Lease, at: datetime) -> None:
    """Not yet: this was no attempt."""
    row = _ours(session, lease)
    if row is not None:
        row.due_at, row.attempts = at, row.attempts - 1
        row.lease_token = row.lease_until = None
        session.flush()


def message(session: Session, lease: Lease, now: datetime) -> Message | Stale | Later | None:
    """What to send, read anew; or that it is stale, or to wait. None when the row is not ours any more."""
    row = _ours(session, lease)
    if row is None or row.lease_until is None or row.lease_until <= now:
        return None
    if row.expires_at is not None and row.expires_at <= now:
        return Stale("expired")
    return _READERS[row.template](session, row, now)


# What each template is made of


def _of_visit(session: Session, row: OutboxMessage, now: datetime) -> Message | Stale | Later:
    appointment = None if row.appointment_id is None else session.get(Appointment, row.appointment_id)
    if appointment is None:
        return Stale("gone")
    chosen = select(Visit).where(Visit.appointment_id == appointment.id).order_by(Visit.start)
    if not row.payload.get("whole"):
        chosen = chosen.where(Visit.recurrence_id == row.recurrence_id)
    visits = [visit for visit in session.scalars(chosen) if visit.start > now]
    if not visits:
        return Stale("begun")
    waiting = [visit.settle_at for visit in visits if visit.settle_at is not None]
    if waiting:
        return Later(max(max(waiting), now) + timedelta(seconds=1))
    cancelled = row.template == "appointment_cancelled"
    wanted = {"cancelled_patient", "cancelled_doctor"} if cancelled else _COMING
    visits = [visit for visit in visits if visit.status in wanted]
    if not visits:
        return Stale("status")
    first = next((visit for visit in visits if visit.start == _instant(row.payload["start"])), None)
    if cancelled and first is not None:
        # What was cancelled earlier was told then.
        visits = [visit for visit in visits if visit.cancelled_at == first.cancelled_at]
    elif first is None and not row.payload.get("whole"):
        return Stale("moved")
    doctor = session.get_one(Account, appointment.doctor_id)
    if row.payload.get("doctor", doctor.id) != doctor.id:
        return Stale("moved")
    settings = _settings(session)
    patient = session.get_one(Patient, appointment.patient_id)
    address = _address(row, patient, settings)
    if isinstance(address, Stale):
        return address
    channel, to = address
    zone = timezones.zone(doctor.timezone)
    was = _instant(row.payload["was"]).astimezone(zone) if row.payload.get("was") else None
    method: itip.Method = "CANCEL" if cancelled else "REQUEST"
    calendar = ""
    others: tuple[str, ...] = ()
    if channel == "email" and row.template != "appointment_reminder":
        calendar = invitations.of_visits(session, appointment, visits, method, zone, now)
        others = invitations.of_other_halves(session, appointment, zone, now)
    return Message(
        dedupe_key=row.dedupe_key,
        template=row.template,
        channel=channel,
        to=to,
        name=patient.name,
        clinic=settings.clinic_name,
        sender=settings.mail_from,
        doctor=doctor.name,
        times=tuple(_time(visit.start, visit.end, zone) for visit in visits),
        was=None if was is None or (was == visits[0].start and not cancelled) else was,
        video_link="" if cancelled else appointment.video_link,
        location="" if appointment.video_link else appointment.location,
        link=links.url(settings, "manage", appointment.id),
        method=method if calendar else "",
        calendar=calendar,
        others=others,
        to_confirm=bool(row.payload.get("confirm")),
        text=_words_of(session, row),
        handed_over=bool(row.payload.get("handed_over")),
        by_law=bool(row.payload.get("by_law")),
    )


def _words_of(session: Session, row: OutboxMessage) -> str:
    """What the practice says with an action at once, or what follows from what the patient has missed."""
    if row.payload.get("missed") and row.patient_id is not None:
        return no_shows.said(session, no_shows.standing(session, row.patient_id, row.created_at))
    done = session.get(BulkAction, UUID(row.payload["bulk"])) if row.payload.get("bulk") else None
    return "" if done is None else done.message


def _of_request(session: Session, row: OutboxMessage, now: datetime) -> Message | Stale | Later:
    request = session.get_one(ChangeRequest, UUID(row.payload["request"]))
    state = {"request_rejected": "rejected", "request_lapsed": "lapsed"}.get(row.template, "open")
    if request.state != state:
        return Stale("status")
    appointment = session.get_one(Appointment, request.appointment_id)
    doctor = session.get_one(Account, appointment.doctor_id)
    meant = select(Visit).where(Visit.appointment_id == appointment.id).order_by(Visit.start)
    if request.kind != "book":
        meant = meant.where(Visit.recurrence_id == request.recurrence_id)
    visits = session.scalars(meant).all()
    to_patient = _to_patient(session, row, appointment.patient_id, doctor, link=("manage", appointment.id))
    if isinstance(to_patient, Stale):
        return to_patient
    zone = timezones.zone(doctor.timezone)
    return replace(
        to_patient,
        times=tuple(_time(visit.start, visit.end, zone) for visit in visits),
        wanted=_time(request.start, request.end, zone) if request.start and request.end else None,
        request=request.kind,
        until=request.expires_at.astimezone(zone),
        text=request.reason if request.kind == "choose" else request.answer,
    )


def _of_entry(session: Session, row: OutboxMessage, now: datetime) -> Message | Stale | Later:
    entry = session.get(WaitlistEntry, UUID(row.payload["entry"]))
    if entry is None or entry.status not in ("waiting", "offered"):
        return Stale("status")
    doctor = None if entry.doctor_id is None else session.get(Account, entry.doctor_id)
    return _to_patient(session, row, entry.patient_id, doctor, link=("waitlist", entry.id))


def _of_offer(session: Session, row: OutboxMessage, now: datetime) -> Message | Stale | Later:
    offer = session.get(Offer, UUID(row.payload["offer"]))
    if offer is None or offer.state != "open" or offer.expires_at <= now:
        return Stale("expired")
    entry = session.get_one(WaitlistEntry, offer.entry_id)
    doctor = session.get_one(Account, offer.doctor_id)
    return _to_patient(
        session,
        row,
        entry.patient_id,
        doctor,
        link=("offer", offer.id),
        span=(offer.start, offer.end),
        until=offer.expires_at,
    )


def _of_follow_up(session: Session, row: OutboxMessage, now: datetime) -> Message | Stale | Later:
    found = session.get(FollowUp, UUID(row.payload["follow_up"]))
    if found is None or found.status not in ("proposed", "overdue"):
        return Stale("status")
    seen = session.get(Visit, (found.appointment_id, found.recurrence_id))
    if seen is not None and seen.status != "completed":
        # The doctor has taken the completion back.
        return Stale("status")
    doctor = session.get_one(Account, found.doctor_id)
    zone = timezones.zone(doctor.timezone)
    days = datetime.combine(found.due_from, time(), zone), datetime.combine(found.due_to, time(), zone)
    return _to_patient(session, row, found.patient_id, doctor, link=("follow-up", found.id), span=days)


def _of_links(session: Session, row: OutboxMessage, now: datetime) -> Message | Stale | Later:
    assert row.patient_id is not None
    settings = _settings(session)
    found = session.execute(
        select(Visit, Account, Appointment.id)
        .join(Appointment, Appointment.id == Visit.appointment_id)
        .join(Account, Account.id == Appointment.doctor_id)
        .where(Appointment.patient_id == row.patient_id, Visit.start > now, Visit.status.in_(_COMING))
        .order_by(Visit.start)
        .limit(50)
    )
    visits = tuple(
        (
            _time(visit.start, visit.end, timezones.zone(doctor.timezone)),
            doctor.name,
            links.url(settings, "manage", appointment_id),
        )
        for visit, doctor, appointment_id in found
    )
    if not visits:
        return Stale("nothing")
    return _to_patient(session, row, row.patient_id, None, visits=visits)


def _of_notice(session: Session, row: OutboxMessage, now: datetime) -> Message | Stale | Later:
    notice = session.get(Notice, row.payload["notice"])
    if notice is None or notice.read_at is not None:
        return Stale("read")
    account = session.get_one(Account, notice.account_id)
    if account.disabled or not account.email:
        return Stale("no_address")
    settings = _settings(session)
    return Message(
        dedupe_key=row.dedupe_key,
        template=row.template,
        channel="email",
        to=account.email,
        name=account.name,
        clinic=settings.clinic_name,
        sender=settings.mail_from,
        link=settings.public_url + (notice.page or "/notices/"),
        text=notice.text,
    )


_READERS: dict[str, Callable[[Session, OutboxMessage, datetime], Message | Stale | Later]] = {
    "appointment_confirmed": _of_visit,
    "appointment_changed": _of_visit,
    "appointment_cancelled": _of_visit,
    "appointment_reminder": _of_visit,
    "waitlist_joined": _of_entry,
    "waitlist_offer": _of_offer,
    "request_received": _of_request,
    "request_rejected": _of_request,
    "request_lapsed": _of_request,
    "choose_another": _of_request,
    "follow_up": _of_follow_up,
    "follow_up_overdue": _of_follow_up,
    "manage_links": _of_links,
    "staff_notice": _of_notice,
}


def _to_patient(
    session: Session,
    row: OutboxMessage,
    patient_id: UUID,
    doctor: Account | None,
    *,
    link: tuple[str, UUID] | None = None,
    span: tuple[datetime, datetime] | None = None,
    until: datetime | None = None,
    visits: tuple[tuple[Time, str, str], ...] = (),
) -> Message | Stale:
    settings = _settings(session)
    patient = session.get_one(Patient, patient_id)
    address = _address(row, patient, settings)
    if isinstance(address, Stale):
        return address
    zone = timezones.zone(settings.timezone if doctor is None else doctor.timezone)
    return Message(
        dedupe_key=row.dedupe_key,
        template=row.template,
        channel=address[0],
        to=address[1],
        name=patient.name,
        clinic=settings.clinic_name,
        sender=settings.mail_from,
        doctor="" if doctor is None else doctor.name,
        times=() if span is None else (_time(*span, zone),),
        link="" if link is None else links.url(settings, *link),
        until=None if until is None else until.astimezone(zone),
        visits=visits,
    )


def _address(row: OutboxMessage, patient: Patient, settings: Settings) -> tuple[str, str] | Stale:
    if row.channel == "email" and patient.email:
        return "email", patient.email
    if not patient.phone or (row.channel != "sms" and row.template not in _URGENT):
        return Stale("no_address")
    # A practice without a gateway sends no text messages: nothing has failed.
    return Stale("no_gateway") if settings.sms_url is None else ("sms", patient.phone)


def _ours(session: Session, lease: Lease) -> OutboxMessage | None:
    return session.scalar(
        select(OutboxMessage)
        .where(OutboxMessage.id == lease.id, OutboxMessage.lease_token == lease.token, OutboxMessage.state == "due")
        .execution_options(populate_existing=True)
    )


def _finish(session: Session, lease: Lease, state: str, error: str, now: datetime) -> OutboxMessage | None:
    row = _ours(session, lease)
    if row is not None:
        row.state, row.last_error = state, error[:300]
        row.lease_token = row.lease_until = None
        row.sent_at = now if state == "sent" else None
        session.flush()
    return row


def _time(start: datetime, end: datetime, zone: tzinfo) -> Time:
    return Time(start.astimezone(zone), end.astimezone(zone))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _settings(session: Session) -> Settings:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return settings
