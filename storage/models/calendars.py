"""Calendars: collections, objects with their former versions, the change log and the expanded index."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base


class Collection(Base):
    """A calendar. `seq` moves with every write: ctag, sync-token (with `epoch`) and change-log key at once."""

    __tablename__ = "collection"
    __table_args__ = (UniqueConstraint("owner_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    name: Mapped[str] = mapped_column(String(255))
    # appointments, hours, leave, waitlist, inbox (the built-in ones) or plain
    kind: Mapped[str] = mapped_column(String(16))
    # The kinds of entries that it takes, with commas; empty: of every kind (RFC 4791 §5.2.3)
    component: Mapped[str] = mapped_column(String(16), default="VEVENT")
    # Dead properties by Clark name ("{DAV:}displayname"), each as the XML text of its value
    props: Mapped[dict[str, Any]]
    seq: Mapped[int] = mapped_column(default=0)
    epoch: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


def _waiting(name: str) -> Index:
    """Few objects wait for anything, and the worker asks for them every two seconds."""
    some = text(f"{name} IS NOT NULL")
    return Index(f"ix_calendar_object_{name}", name, sqlite_where=some, postgresql_where=some)


class CalendarObject(Base):
    """One calendar object resource. `served_text` is what clients are sent; `etag` is unquoted and of that text."""

    __tablename__ = "calendar_object"
    __table_args__ = (
        UniqueConstraint("collection_id", "href"),
        Index(
            "uq_calendar_object_live_uid",
            "collection_id",
            "uid",
            unique=True,
            sqlite_where=text("deleted = 0"),
            postgresql_where=text("NOT deleted"),
        ),
        # All that a list of ETags tells, so that it is read without the texts between.
        Index(
            "ix_calendar_object_listed",
            "collection_id",
            "id",
            "href",
            "etag",
            "component",
            sqlite_where=text("deleted = 0"),
            postgresql_where=text("NOT deleted"),
        ),
        Index(
            "ix_calendar_object_unexpanded",
            "collection_id",
            "expanded_until",
            "expanded_from",
            sqlite_where=text("deleted = 0 AND expanded_until IS NOT NULL"),
            postgresql_where=text("NOT deleted AND expanded_until IS NOT NULL"),
        ),
        # Which of them were expanded by other rules of time zones than those of today.
        Index(
            "ix_calendar_object_tzdata",
            "tzdata",
            sqlite_where=text("deleted = 0"),
            postgresql_where=text("NOT deleted"),
        ),
        _waiting("touch_at"),
        _waiting("settle_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id"))
    href: Mapped[str] = mapped_column(String(255))
    uid: Mapped[str] = mapped_column(String(255), index=True)
    component: Mapped[str] = mapped_column(String(16))
    # appointment, block, hours, leave, waitlist or plain
    kind: Mapped[str] = mapped_column(String(16))
    stored_text: Mapped[str] = mapped_column(Text)
    served_text: Mapped[str] = mapped_column(Text)
    etag: Mapped[str] = mapped_column(String(64))
    seq: Mapped[int]
    deleted: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    # Occurrences of [expanded_from, expanded_until) stand in `occurrence`; None: all there are
    expanded_from: Mapped[datetime | None]
    expanded_until: Mapped[datetime | None]
    # By which version of the time zone database; "" where that is not known
    tzdata: Mapped[str] = mapped_column(String(16), default="", server_default="")
    # When it gets another ETag: an app's text was corrected, and not every app looks for that at once
    touch_at: Mapped[datetime | None]
    # When what an app's edit of it comes to is carried out, if nothing else has happened by then
    settle_at: Mapped[datetime | None]


class Change(Base):
    """The change log that sync-collection reads (RFC 6578)."""

    __tablename__ = "change"

    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    href: Mapped[str] = mapped_column(String(255))
    deleted: Mapped[bool]


class Version(Base):
    """A former or present text of an object: who wrote it, when and why."""

    __tablename__ = "version"

    id: Mapped[int] = mapped_column(primary_key=True)
    object_id: Mapped[int] = mapped_column(ForeignKey("calendar_object.id"), index=True)
    seq: Mapped[int]
    stored_text: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(String(100))
    why: Mapped[str] = mapped_column(String(100))
    written_at: Mapped[datetime]


class Occurrence(Base):
    """One occurrence of a VEVENT within the horizon, in UTC, half-open."""

    __tablename__ = "occurrence"
    __table_args__ = (
        Index("ix_occurrence_owner_kind_end", "owner_id", "kind", "end", "start"),
        Index("ix_occurrence_collection_end", "collection_id", "end", "start"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    object_id: Mapped[int] = mapped_column(ForeignKey("calendar_object.id"), index=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id"))
    owner_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    # "YYYYMMDDTHHMMSSZ" of the original start; "" for an event that does not repeat
    recurrence_id: Mapped[str] = mapped_column(String(16), default="")
    start: Mapped[datetime]
    end: Mapped[datetime]
    all_day: Mapped[bool] = mapped_column(default=False)
    # As the object's kind
    kind: Mapped[str] = mapped_column(String(16))
    # RFC 5545 FBTYPE in lower case: free, busy, busy-tentative, busy-unavailable
    busy: Mapped[str] = mapped_column(String(16))
    # For working hours
    slot_minutes: Mapped[int | None]
    capacity: Mapped[int | None]
    types: Mapped[str] = mapped_column(String(500), default="")
    location: Mapped[str] = mapped_column(String(200), default="")
