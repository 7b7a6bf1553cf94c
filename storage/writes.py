"""What every write to a calendar carries: what was sent, who, when, why, and what a clash means."""

from dataclasses import dataclass
from datetime import datetime

from ical.lines import Component
from storage.models import CalendarObject, Collection
from storage.policy import Actor


@dataclass(frozen=True)
class Sent:
    """What a calendar app sent: `calendar` is `data`, judged and parsed. `conditional`: it named the version that it
    changed, and that is the current one (RFC 9110 §13.1.1)."""

    data: bytes
    calendar: Component
    conditional: bool = True

    @property
    def entry(self) -> Component:
        return self.calendar.components("VEVENT", "VTODO", "VJOURNAL")[0]

    @property
    def uid(self) -> str:
        return self.entry.plain("UID")


@dataclass(frozen=True)
class Spot:
    """Where an object is to be written, read behind the lock: what its href names (`live`), or names or named last
    (`at_href`), and whoever has its UID, a live one before a deleted one. `elsewhere`: the object of the appointment
    with this UID, if that is in another calendar."""

    href: str
    live: CalendarObject | None
    at_href: CalendarObject | None
    with_uid: CalendarObject | None
    elsewhere: CalendarObject | None


@dataclass(frozen=True)
class Write:
    """`settle_at` is set for what can still be taken back: people are told after it, if anything is left to tell.

    `overbook`: a clash is accepted and marked (the doctor is the authority over their own calendar). `told`: the
    patient is told of it at once.
    """

    actor: Actor
    now: datetime
    why: str
    overbook: bool = False
    settle_at: datetime | None = None
    told: bool = False


@dataclass(frozen=True)
class Edit:
    """What a calendar app sent, and to where."""

    collection: Collection
    spot: Spot
    sent: Sent
    actor: Actor
    now: datetime

    @property
    def put(self) -> Component:
        return self.sent.calendar

    @property
    def existing(self) -> CalendarObject | None:
        """What the href names now."""
        return self.spot.live

    def write(self, *, overbook: bool = False, settle_at: datetime | None = None) -> Write:
        return Write(self.actor, self.now, "calendar app", overbook=overbook, settle_at=settle_at)
