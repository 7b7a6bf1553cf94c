"""What every write to a calendar carries: who, when, why, and what a clash means."""

from dataclasses import dataclass
from datetime import datetime

from ical.lines import Component
from storage.models import CalendarObject, Collection
from storage.policy import Actor


@dataclass(frozen=True)
class Write:
    """`settle_at` is set for what can still be taken back: people are told after it, if anything is left to tell.

    `overbook`: a clash is accepted and marked (the doctor is the authority over their own calendar).
    """

    actor: Actor
    now: datetime
    why: str
    overbook: bool = False
    settle_at: datetime | None = None


@dataclass(frozen=True)
class Edit:
    """What a calendar app sent: `put` is `data`, judged and parsed; `existing` is what its href names now."""

    collection: Collection
    href: str
    data: bytes
    put: Component
    existing: CalendarObject | None
    actor: Actor
    now: datetime

    @property
    def uid(self) -> str:
        return self.put.components("VEVENT", "VTODO", "VJOURNAL")[0].plain("UID")

    def write(self, *, overbook: bool = False, settle_at: datetime | None = None) -> Write:
        return Write(self.actor, self.now, "calendar app", overbook=overbook, settle_at=settle_at)
