"""What is to be said and what was said: reminders, the outbox, notices, and the audit chain."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base


class Reminder(Base):
    """One reminder of one visit. `sent_at` None and `due_at` past: it is due."""

    __tablename__ = "reminder"
    __table_args__ = (
        UniqueConstraint("appointment_id", "recurrence_id", "minutes_before", "channel"),
        Index("ix_reminder_due", "sent_at", "due_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("appointment.id"))
    recurrence_id: Mapped[str] = mapped_column(String(16), default="")
    # 24h, 2h or custom
    reminder_type: Mapped[str] = mapped_column(String(8))
    minutes_before: Mapped[int]
    # email or sms ("both" is two rows)
    channel: Mapped[str] = mapped_column(String(8))
    start: Mapped[datetime]
    due_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


class OutboxMessage(Base):
    """A message to be delivered. The row is the message; the broker is only a bell."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_state_due", "state", "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    dedupe_key: Mapped[str] = mapped_column(String(200), unique=True)
    # email, sms or webhook
    channel: Mapped[str] = mapped_column(String(16))
    # appointment_confirmed, appointment_changed, appointment_cancelled, appointment_reminder, waitlist_offer, …
    template: Mapped[str] = mapped_column(String(40))
    appointment_id: Mapped[UUID | None] = mapped_column(ForeignKey("appointment.id"), index=True)
    recurrence_id: Mapped[str] = mapped_column(String(16), default="")
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    # Ids, instants and codes only; never reason, notes or contact
    payload: Mapped[dict[str, Any]]
    priority: Mapped[int] = mapped_column(default=5)
    # due, sent, dropped (it had become stale) or failed
    state: Mapped[str] = mapped_column(String(8), default="due")
    due_at: Mapped[datetime]
    # Not sent after this moment
    expires_at: Mapped[datetime | None]
    lease_token: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str] = mapped_column(String(300), default="")
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


class Notice(Base):
    """Something a member of staff should see in the portal, since no calendar app would have shown it."""

    __tablename__ = "notice"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    text: Mapped[str] = mapped_column(String(500))
    appointment_id: Mapped[UUID | None] = mapped_column(ForeignKey("appointment.id"))
    # Where something can be done about it: a path of ours; "" for the notice itself
    page: Mapped[str] = mapped_column(String(100), default="")
    created_at: Mapped[datetime]
    read_at: Mapped[datetime | None]


class Lease(Base):
    """Who may do a periodic job now, so that any number of beats is harmless."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))
    until: Mapped[datetime]


class Audit(Base):
    """Append-only. `chain` is an HMAC over the row and the chain before it."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(64))
    object: Mapped[str] = mapped_column(String(200))
    detail: Mapped[dict[str, Any]]
    chain: Mapped[str] = mapped_column(String(64))
