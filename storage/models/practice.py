"""What the practice has decided for itself."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base


class Practice(Base):
    """One row. `rules` as in storage.house_rules, as far as they are not the defaults."""

    __tablename__ = "practice"

    id: Mapped[int] = mapped_column(primary_key=True)
    rules: Mapped[dict[str, Any]]


class Location(Base):
    """A place of the practice. Working hours whose LOCATION is its name are there."""

    __tablename__ = "location"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    timezone: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(500), default="")
    # From here to any other place; None: as the house rules say
    travel_minutes: Mapped[int | None]


class HolidayCalendar(Base):
    """Days on which the practice is closed: a file, or a subscription with its last good copy."""

    __tablename__ = "holiday_calendar"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    # Where it is fetched from each day; "": a file
    url: Mapped[str] = mapped_column(String(2000), default="")
    # The name of the one place that it closes; None: all of them
    location: Mapped[str | None] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text, default="")
    added_at: Mapped[datetime]
    read_at: Mapped[datetime | None]
    tried_at: Mapped[datetime | None]
    # Why the last attempt failed
    problem: Mapped[str] = mapped_column(String(200), default="")


class Holiday(Base):
    """One closed time. Of a whole day `start` and `end` are midnights of UTC that stand for those of every zone."""

    __tablename__ = "holiday"
    __table_args__ = (Index("ix_holiday_end", "end", "start"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    calendar_id: Mapped[int] = mapped_column(ForeignKey("holiday_calendar.id"), index=True)
    start: Mapped[datetime]
    end: Mapped[datetime]
    all_day: Mapped[bool]
    title: Mapped[str] = mapped_column(String(200), default="")
