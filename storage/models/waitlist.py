"""Who waits for what, what was offered to whom, and what has become free."""

from datetime import date, datetime, time
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base

_OPEN = text("state = 'open'")


class WaitlistEntry(Base):
    """A request for a time that is not free. Status: waiting, offered, converted, expired, withdrawn."""

    __tablename__ = "waitlist_entry"
    __table_args__ = (Index("ix_waitlist_entry_rank", "status", "priority", "added_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    # The one doctor who is wanted; None: any, or any of `doctor_set`
    doctor_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), index=True)
    # Account ids, "3,17"; empty: no set
    doctor_set: Mapped[str] = mapped_column(String(255), default="")
    date_from: Mapped[date]
    date_to: Mapped[date]
    # Wall times in the doctor's zone
    time_from: Mapped[time]
    time_to: Mapped[time]
    # "mon,tue"; empty: every day
    weekdays: Mapped[str] = mapped_column(String(32), default="")
    type_code: Mapped[str] = mapped_column(ForeignKey("appointment_type.code"))
    reason: Mapped[str] = mapped_column(String(1000), default="")
    # PRIORITY as in RFC 5545: 1 urgent, 3 soon, 5 routine
    priority: Mapped[int] = mapped_column(default=5)
    # How offers are told: email, sms or both
    channel: Mapped[str] = mapped_column(String(8), default="both")
    status: Mapped[str] = mapped_column(String(16), default="waiting")
    # Grows with every change of what is wished for: forms compare it
    version: Mapped[int] = mapped_column(default=1)
    added_at: Mapped[datetime]
    notified_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    converted_to: Mapped[UUID | None] = mapped_column(ForeignKey("appointment.id"), index=True)

    @property
    def doctor_ids(self) -> frozenset[int]:
        """Who would do; empty: any doctor."""
        if self.doctor_id is not None:
            return frozenset({self.doctor_id})
        return frozenset(int(each) for each in (self.doctor_set or "").split(",") if each)


class Offer(Base):
    """A slot shown to an entry, kept by claims whose ticket is this id. State: open, accepted, declined, expired."""

    __tablename__ = "offer"
    __table_args__ = (
        # One at a time
        Index("uq_offer_open", "entry_id", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_offer_expires_at", "expires_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    entry_id: Mapped[UUID] = mapped_column(ForeignKey("waitlist_entry.id"), index=True)
    doctor_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    type_code: Mapped[str] = mapped_column(String(64))
    start: Mapped[datetime]
    end: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16), default="open")
    # Actor label of the member of staff who offered it by hand
    made_by: Mapped[str] = mapped_column(String(100), default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    # What the patient does not want offered again: day or doctor; empty: this time alone
    unwanted: Mapped[str] = mapped_column(String(8), default="")


class Freed(Base):
    """Time that may have become free, written by whoever freed it and removed by whoever has offered it."""

    __tablename__ = "freed"

    id: Mapped[int] = mapped_column(primary_key=True)
    # None: anybody's
    resource_id: Mapped[int | None] = mapped_column(ForeignKey("resource.id"))
    # None: any time
    start: Mapped[datetime | None]
    end: Mapped[datetime | None]
