"""Who waits for what, and what was offered to whom."""

from datetime import date, datetime, time
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base


class WaitlistEntry(Base):
    """A request for a time that is not free. Status: waiting, offered, converted, expired, withdrawn."""

    __tablename__ = "waitlist_entry"
    __table_args__ = (Index("ix_waitlist_entry_status", "status", "added_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    # None: any doctor
    doctor_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), index=True)
    date_from: Mapped[date]
    date_to: Mapped[date]
    # Wall times in the doctor's zone
    time_from: Mapped[time]
    time_to: Mapped[time]
    # "mon,tue"; empty: every day
    weekdays: Mapped[str] = mapped_column(String(32), default="")
    type_code: Mapped[str] = mapped_column(ForeignKey("appointment_type.code"))
    reason: Mapped[str] = mapped_column(String(1000), default="")
    status: Mapped[str] = mapped_column(String(16), default="waiting")
    added_at: Mapped[datetime]
    notified_at: Mapped[datetime | None]
    converted_to: Mapped[UUID | None] = mapped_column(ForeignKey("appointment.id"))


class Offer(Base):
    """A slot shown to an entry, kept by a claim whose ticket is this id. State: open, accepted, declined, expired."""

    __tablename__ = "offer"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    entry_id: Mapped[UUID] = mapped_column(ForeignKey("waitlist_entry.id"), index=True)
    doctor_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    type_code: Mapped[str] = mapped_column(String(64))
    start: Mapped[datetime]
    end: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16), default="open")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
