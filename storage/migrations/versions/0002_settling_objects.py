"""What is still to be done about an object, split series, visits kept outside the hours, notices with a page."""

import sqlalchemy as sa
from alembic import op

from storage.models.base import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("touch_at", "settle_at"):
        op.add_column("calendar_object", sa.Column(name, Instant(), nullable=True))
        waiting = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            f"ix_calendar_object_{name}",
            "calendar_object",
            [name],
            unique=False,
            sqlite_where=waiting,
            postgresql_where=waiting,
        )
    op.add_column("appointment", sa.Column("split_from", sa.Uuid(), nullable=True))
    op.create_index(op.f("ix_appointment_split_from"), "appointment", ["split_from"], unique=False)
    op.add_column("notice", sa.Column("page", sa.String(length=100), server_default="", nullable=False))
    op.add_column("visit", sa.Column("kept_at", Instant(), nullable=True))
