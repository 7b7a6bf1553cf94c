"""The waitlist at full depth."""

import sqlalchemy as sa
from alembic import op

from storage.models.base import Instant

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("doctor_set", sa.String(255), nullable=False, server_default=""),
        sa.Column("priority", sa.Integer(), nullable=False, server_default="5"),
        sa.Column("channel", sa.String(8), nullable=False, server_default="both"),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("ended_at", Instant(), nullable=True),
    ):
        op.add_column("waitlist_entry", column)
    op.drop_index("ix_waitlist_entry_status", "waitlist_entry")
    op.create_index("ix_waitlist_entry_rank", "waitlist_entry", ["status", "priority", "added_at"])
    op.create_index("ix_waitlist_entry_converted_to", "waitlist_entry", ["converted_to"])
    for column in (
        sa.Column("made_by", sa.String(100), nullable=False, server_default=""),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.Column("unwanted", sa.String(8), nullable=False, server_default=""),
    ):
        op.add_column("offer", column)
    is_open = sa.text("state = 'open'")
    op.create_index("uq_offer_open", "offer", ["entry_id"], unique=True, sqlite_where=is_open, postgresql_where=is_open)
    op.create_index("ix_offer_expires_at", "offer", ["expires_at"], sqlite_where=is_open, postgresql_where=is_open)
    op.create_table(
        "freed",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("resource_id", sa.Integer(), nullable=True),
        sa.Column("start", Instant(), nullable=True),
        sa.Column("end", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["resource_id"], ["resource.id"], name="fk_freed_resource_id"),
        sa.PrimaryKeyConstraint("id", name="pk_freed"),
    )
