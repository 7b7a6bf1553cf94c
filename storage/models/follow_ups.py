"""Which patients a doctor wants to see again, and when."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base


class FollowUp(Base):
    """An appointment that should follow a visit. Status: proposed, overdue, booked, dismissed."""

    __tablename__ = "follow_up"
    __table_args__ = (Index("ix_follow_up_status", "status", "due_to"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    # The visit that it follows
    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("appointment.id"), index=True)
    recurrence_id: Mapped[str] = mapped_column(String(16), default="")
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    doctor_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    type_code: Mapped[str] = mapped_column(ForeignKey("appointment_type.code"))
    # Days of the doctor, both included
    due_from: Mapped[date]
    due_to: Mapped[date]
    note: Mapped[str] = mapped_column(String(500), default="")
    status: Mapped[str] = mapped_column(String(16), default="proposed")
    booked_as: Mapped[UUID | None] = mapped_column(ForeignKey("appointment.id"), index=True)
    proposed_by: Mapped[str] = mapped_column(String(100))
    proposed_at: Mapped[datetime]
