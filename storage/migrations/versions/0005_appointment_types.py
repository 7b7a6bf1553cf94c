"""Types of appointment and availability at full depth."""

import sqlalchemy as sa
from alembic import op

from storage.models.base import Instant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("weekly_maximum", sa.Integer(), nullable=True))
    for name in ("doctors", "resources", "questions", "hours"):
        op.add_column("appointment_type", sa.Column(name, sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("appointment_type", sa.Column("approval", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name in ("daily_maximum", "weekly_maximum", "offer_minutes", "auto_offer_hours", "follow_up_days"):
        op.add_column("appointment_type", sa.Column(name, sa.Integer(), nullable=True))
    # Of which kind a claim is and where, for those who would share its time or come from elsewhere
    op.add_column("claim", sa.Column("type_code", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("claim", sa.Column("location", sa.String(length=200), nullable=True))
    op.create_table(
        "location",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=500), nullable=False),
        sa.Column("travel_minutes", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_location"),
        sa.UniqueConstraint("name", name="uq_location_name"),
    )
    op.create_table(
        "holiday_calendar",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("location", sa.String(length=200), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("added_at", Instant(), nullable=False),
        sa.Column("read_at", Instant(), nullable=True),
        sa.Column("tried_at", Instant(), nullable=True),
        sa.Column("problem", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_holiday_calendar"),
    )
    op.create_table(
        "holiday",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("calendar_id", sa.Integer(), nullable=False),
        sa.Column("start", Instant(), nullable=False),
        sa.Column("end", Instant(), nullable=False),
        sa.Column("all_day", sa.Boolean(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["calendar_id"], ["holiday_calendar.id"], name="fk_holiday_calendar_id"),
        sa.PrimaryKeyConstraint("id", name="pk_holiday"),
    )
    op.create_index("ix_holiday_calendar_id", "holiday", ["calendar_id"])
    op.create_index("ix_holiday_end", "holiday", ["end", "start"])
