"""What every write to a calendar carries: who, when, why, and what a clash means."""

from dataclasses import dataclass
from datetime import datetime

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
