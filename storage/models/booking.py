"""Booked time: appointments, their visits, and the claims that nobody else can take."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base


class Appointment(Base):
    """The identity of a booked VEVENT. When and in which state: see its visits."""

    __tablename__ = "appointment"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    object_id: Mapped[int] = mapped_column(ForeignKey("calendar_object.id"), unique=True)
    doctor_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    type_code: Mapped[str] = mapped_column(ForeignKey("appointment_type.code"))
    series: Mapped[bool] = mapped_column(default=False)
    parent_id: Mapped[UUID | None]
    # The appointment whose series a calendar app cut in two
    split_from: Mapped[UUID | None] = mapped_column(index=True)
    video_link: Mapped[str] = mapped_column(String(500), default="")
    location: Mapped[str] = mapped_column(String(200), default="")
    # Actor label, e.g. "patient", "desk", "lee by caldav"
    booked_by: Mapped[str] = mapped_column(String(100))
    booked_at: Mapped[datetime]
    # Grows with every change: forms compare it
    version: Mapped[int] = mapped_column(default=1)


class AppointmentResource(Base):
    """Who and what takes part in an appointment beside its doctor: their minutes are claimed with the doctor's."""

    __tablename__ = "appointment_resource"

    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("appointment.id"), primary_key=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"), primary_key=True, index=True)
    # As the resource's kind
    role: Mapped[str] = mapped_column(String(16))
    # In the order in which the appointment names them
    position: Mapped[int] = mapped_column(default=0)


class Visit(Base):
    """One occurrence of an appointment: its time, its status, and what the patient was last told of it."""

    __tablename__ = "visit"
    __table_args__ = (Index("ix_visit_start", "start"), Index("ix_visit_settle_at", "settle_at"))

    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("appointment.id"), primary_key=True)
    # As in Occurrence; "" for an appointment that does not repeat
    recurrence_id: Mapped[str] = mapped_column(String(16), primary_key=True, default="")
    start: Mapped[datetime]
    end: Mapped[datetime]
    status: Mapped[str] = mapped_column(String(20))
    overbooked: Mapped[bool] = mapped_column(default=False)
    # The doctor does not work at its time, or is on leave
    outside_hours: Mapped[bool] = mapped_column(default=False)
    # Since when the doctor wants it to take place there all the same
    kept_at: Mapped[datetime | None]
    # What the patient was last told. told_status "" means nothing yet
    told_start: Mapped[datetime | None]
    told_end: Mapped[datetime | None]
    told_status: Mapped[str] = mapped_column(String(20), default="")
    # A calendar app changed it: at this moment it is compared with what was told, and told
    settle_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    arrived_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    cancellation_reason: Mapped[str] = mapped_column(String(500), default="")
    # When staff were asked whether it took place: its day was over and nobody had said
    asked_at: Mapped[datetime | None]


class Claim(Base):
    """Minutes of a resource that nobody else can take, buffers included. The database refuses an overlap."""

    __tablename__ = "claim"
    __table_args__ = (
        CheckConstraint('"start" < "end"', name="order"),
        Index("ix_claim_resource_end", "resource_id", "end", "start"),
        Index("ix_claim_expires_at", "expires_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"))
    # 0 … capacity-1; a deliberate overbooking takes OVERBOOKED_SEAT and above
    seat: Mapped[int] = mapped_column(default=0)
    start: Mapped[datetime]
    end: Mapped[datetime]
    # appointment, hold, offer or request
    kind: Mapped[str] = mapped_column(String(16))
    expires_at: Mapped[datetime | None]
    appointment_id: Mapped[UUID | None] = mapped_column(ForeignKey("appointment.id"), index=True)
    recurrence_id: Mapped[str] = mapped_column(String(16), default="")
    # Of which kind it is, and where: "" and None when nobody knows
    type_code: Mapped[str] = mapped_column(String(64), default="", server_default="")
    location: Mapped[str | None] = mapped_column(String(200))
    # Of the hold, the offer or the request
    ticket: Mapped[UUID | None] = mapped_column(index=True)


class Hold(Base):
    """A slot kept for minutes while a patient types. Its claim carries its id as `ticket`."""

    __tablename__ = "hold"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    doctor_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    type_code: Mapped[str] = mapped_column(String(64))
    start: Mapped[datetime]
    end: Mapped[datetime]
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]
    # Why staff set the booking rules aside for it
    overrule: Mapped[str] = mapped_column(String(500), default="")


class History(Base):
    """What happened to an appointment: who, when, why. Shown to patients (their part) and staff."""

    __tablename__ = "history"
    __table_args__ = (
        # The few steps that the figures look for.
        Index(
            "ix_history_moved",
            "appointment_id",
            "recurrence_id",
            sqlite_where=text("action = 'moved'"),
            postgresql_where=text("action = 'moved'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("appointment.id"), index=True)
    recurrence_id: Mapped[str] = mapped_column(String(16), default="")
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(100))
    # booked, moved, confirmed, arrived, … , cancelled
    action: Mapped[str] = mapped_column(String(32))
    from_status: Mapped[str] = mapped_column(String(20), default="")
    to_status: Mapped[str] = mapped_column(String(20), default="")
    from_start: Mapped[datetime | None]
    to_start: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(500), default="")
    # What a move is taken back to, where it differs from how it is
    from_end: Mapped[datetime | None]
    from_doctor_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    # The step that this one took back
    undoes: Mapped[int | None]


class ChangeRequest(Base):
    """What somebody wants of an appointment and another must agree to. Its claim, if any, carries its id as `ticket`."""

    __tablename__ = "change_request"
    __table_args__ = (Index("ix_change_request_state", "state", "expires_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("appointment.id"), index=True)
    recurrence_id: Mapped[str] = mapped_column(String(16), default="")
    # book, reschedule or cancel: the patient asks; choose: the practice asks the patient to choose another time
    kind: Mapped[str] = mapped_column(String(16))
    # open, approved, rejected, lapsed or withdrawn
    state: Mapped[str] = mapped_column(String(16), default="open")
    # When the visit was as it was asked
    old_start: Mapped[datetime]
    # The wanted time and doctor; for choose: the doctor who cannot come
    start: Mapped[datetime | None]
    end: Mapped[datetime | None]
    doctor_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    reason: Mapped[str] = mapped_column(String(1000), default="")
    asked_by: Mapped[str] = mapped_column(String(100))
    asked_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    decided_by: Mapped[str] = mapped_column(String(100), default="")
    decided_at: Mapped[datetime | None]
    # What the patient is told with the decision
    answer: Mapped[str] = mapped_column(String(1000), default="")


class BulkAction(Base):
    """What was done at once to the visits of a doctor, and what each patient was told with it."""

    __tablename__ = "bulk_action"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    doctor_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    # move_to, cancel or offer_new_times
    action: Mapped[str] = mapped_column(String(16))
    start: Mapped[datetime]
    end: Mapped[datetime]
    message: Mapped[str] = mapped_column(String(1000), default="")
    by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime]


class NoShowWaiver(Base):
    """What a patient missed up to `at` counts no more, because staff said so."""

    __tablename__ = "no_show_waiver"

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(500))


class IdempotentRequest(Base):
    """The answer that was given to an Idempotency-Key, kept 24 hours."""

    __tablename__ = "idempotent_request"

    # HMAC of caller and key
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    body: Mapped[str] = mapped_column(Text)
    headers: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
