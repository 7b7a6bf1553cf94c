"""What the practice has decided for itself."""

from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base


class Practice(Base):
    """One row. `rules` as in storage.house_rules, as far as they are not the defaults."""

    __tablename__ = "practice"

    id: Mapped[int] = mapped_column(primary_key=True)
    rules: Mapped[dict[str, Any]]
