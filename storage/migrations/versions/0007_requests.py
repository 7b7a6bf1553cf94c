"""What patients ask for and staff decide, what is done at once, and what can be taken back."""

import sqlalchemy as sa
from alembic import op

from storage.models.base import Instant

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("appointment_type", sa.Column("cutoff_cancel_minutes", sa.Integer(), nullable=True))
    with op.batch_alter_table("history") as history:
        history.add_column(sa.Column("from_end", Instant(), nullable=True))
        history.add_column(sa.Column("from_doctor_id", sa.Integer(), nullable=True))
        history.add_column(sa.Column("undoes", sa.Integer(), nullable=True))
        history.create_foreign_key(op.f("fk_history_from_doctor_id"), "account", ["from_doctor_id"], ["id"])
    op.create_table(
        "change_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("recurrence_id", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("old_start", Instant(), nullable=False),
        sa.Column("start", Instant(), nullable=True),
        sa.Column("end", Instant(), nullable=True),
        sa.Column("doctor_id", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("asked_by", sa.String(length=100), nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("decided_by", sa.String(length=100), nullable=False),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.Column("answer", sa.String(length=1000), nullable=False),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointment.id"], name=op.f("fk_change_request_appointment_id")),
        sa.ForeignKeyConstraint(["doctor_id"], ["account.id"], name=op.f("fk_change_request_doctor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_request")),
    )
    op.create_index(op.f("ix_change_request_appointment_id"), "change_request", ["appointment_id"])
    op.create_index("ix_change_request_state", "change_request", ["state", "expires_at"])
    op.create_table(
        "bulk_action",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("doctor_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("start", Instant(), nullable=False),
        sa.Column("end", Instant(), nullable=False),
        sa.Column("message", sa.String(length=1000), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["doctor_id"], ["account.id"], name=op.f("fk_bulk_action_doctor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_action")),
    )
