"""What follows from appointments that a patient missed: a pure rule over when they were."""

from calendar import monthrange
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Consequence = Literal["", "warn", "confirm", "prepay", "pause"]


@dataclass(frozen=True)
class Rule:
    """After `limit` missed appointments within `months`: `consequence`. None: nothing ever follows."""

    limit: int | None
    months: int
    consequence: Consequence
    pause_days: int


@dataclass(frozen=True)
class Standing:
    """How many appointments count, and what follows now; a pause lasts `until` then."""

    missed: int = 0
    consequence: Consequence = ""
    until: datetime | None = None


def since(rule: Rule, now: datetime) -> datetime:
    """What was missed before counts no more: so many months ago, on the last day of a month that is too short."""
    months = now.year * 12 + now.month - 1 - rule.months
    year, month = divmod(months, 12)
    return now.replace(year=year, month=month + 1, day=min(now.day, monthrange(year, month + 1)[1]))


def standing(missed: Collection[datetime], rule: Rule, now: datetime) -> Standing:
    """`missed` are the starts of what was missed and has not been waived.

    A pause runs from the last of them; once it is over, only the next one begins another."""
    begin = since(rule, now)
    counted = [start for start in missed if begin <= start <= now]
    if rule.limit is None or len(counted) < rule.limit:
        return Standing(len(counted))
    if rule.consequence != "pause":
        return Standing(len(counted), rule.consequence)
    until = max(counted) + timedelta(days=rule.pause_days)
    return Standing(len(counted), "pause", until) if now < until else Standing(len(counted))
