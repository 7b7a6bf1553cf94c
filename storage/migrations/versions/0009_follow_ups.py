"""Follow-ups: which patients a doctor wants to see again, and when."""

import sqlalchemy as sa
from alembic import op

from storage.models.base import Instant

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "follow_up",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("recurrence_id", sa.String(length=16), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Integer(), nullable=False),
        sa.Column("type_code", sa.String(length=64), nullable=False),
        sa.Column("due_from", sa.Date(), nullable=False),
        sa.Column("due_to", sa.Date(), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("booked_as", sa.Uuid(), nullable=True),
        sa.Column("proposed_by", sa.String(length=100), nullable=False),
        sa.Column("proposed_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointment.id"], name=op.f("fk_follow_up_appointment_id")),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_follow_up_patient_id")),
        sa.ForeignKeyConstraint(["doctor_id"], ["account.id"], name=op.f("fk_follow_up_doctor_id")),
        sa.ForeignKeyConstraint(["type_code"], ["appointment_type.code"], name=op.f("fk_follow_up_type_code")),
        sa.ForeignKeyConstraint(["booked_as"], ["appointment.id"], name=op.f("fk_follow_up_booked_as")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_follow_up")),
    )
    op.create_index("ix_follow_up_status", "follow_up", ["status", "due_to"])
    for name in ("appointment_id", "patient_id", "doctor_id", "booked_as"):
        op.create_index(op.f(f"ix_follow_up_{name}"), "follow_up", [name])
