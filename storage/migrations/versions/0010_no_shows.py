"""No-shows that staff are asked about and waive; by which time zone rules an object was expanded; moves to count."""

import sqlalchemy as sa
from alembic import op

from storage.models.base import Instant

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("visit", sa.Column("asked_at", Instant(), nullable=True))
    op.create_table(
        "no_show_waiver",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name="fk_no_show_waiver_patient_id"),
        sa.PrimaryKeyConstraint("id", name="pk_no_show_waiver"),
    )
    op.create_index("ix_no_show_waiver_patient_id", "no_show_waiver", ["patient_id"])
    op.add_column("calendar_object", sa.Column("tzdata", sa.String(length=16), server_default="", nullable=False))
    op.create_index(
        "ix_calendar_object_tzdata",
        "calendar_object",
        ["tzdata"],
        sqlite_where=sa.text("deleted = 0"),
        postgresql_where=sa.text("NOT deleted"),
    )
    moved = sa.text("action = 'moved'")
    op.create_index(
        "ix_history_moved", "history", ["appointment_id", "recurrence_id"], sqlite_where=moved, postgresql_where=moved
    )
