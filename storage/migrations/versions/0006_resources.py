"""Rooms, machines and several doctors."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "appointment_resource",
        sa.Column("appointment_id", sa.Uuid(), nullable=False),
        sa.Column("resource_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointment.id"], name="fk_appointment_resource_appointment_id"),
        sa.ForeignKeyConstraint(["resource_id"], ["resource.id"], name="fk_appointment_resource_resource_id"),
        sa.PrimaryKeyConstraint("appointment_id", "resource_id", name="pk_appointment_resource"),
    )
    op.create_index("ix_appointment_resource_resource_id", "appointment_resource", ["resource_id"])
    op.add_column("hold", sa.Column("overrule", sa.String(500), nullable=False, server_default=""))
