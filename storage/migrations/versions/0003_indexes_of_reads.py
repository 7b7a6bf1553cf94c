"""Hrefs and ETags, and the series that reach beyond their expansion, are read from indexes alone."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _index("listed", ["id", "href", "etag", "component"], "")
    _index("unexpanded", ["expanded_until", "expanded_from"], " AND expanded_until IS NOT NULL")


def _index(name: str, columns: list[str], condition: str) -> None:
    op.create_index(
        f"ix_calendar_object_{name}",
        "calendar_object",
        ["collection_id", *columns],
        sqlite_where=sa.text("deleted = 0" + condition),
        postgresql_where=sa.text("NOT deleted" + condition),
    )
