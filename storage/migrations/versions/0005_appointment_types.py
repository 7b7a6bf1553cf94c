"""Types of appointment and availability at full depth."""

import sqlalchemy as sa
from alembic import op

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
