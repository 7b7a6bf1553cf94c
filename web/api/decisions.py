"""What was chosen for single occurrences of a series, in requests."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Annotated, Literal

from pydantic import Field

from ical.series import Decision
from web.api.fields import Moment, Request, to_book
from web.api.operations import reject

RecurrenceId = Annotated[str, Field(pattern=r"^\d{8}T\d{6}Z$")]


class DecisionIn(Request):
    recurrence_id: RecurrenceId
    action: Literal["keep", "skip", "move"] = Field(
        description="keep: where the rule has it, by staff also in conflict; skip: it does not take place."
    )
    start: Moment | None = Field(default=None, description="With move: when it takes place instead.")


def read(given: Sequence[DecisionIn], zone: tzinfo) -> dict[str, Decision]:
    """By recurrence id."""
    found: dict[str, Decision] = {}
    for at, each in enumerate(given):
        if each.recurrence_id in found:
            reject(f"decisions.{at}.recurrence_id", "There are two decisions about this appointment.")
        if (each.start is not None) != (each.action == "move"):
            reject(f"decisions.{at}.start", "A start belongs to move, and to nothing else.")
        found[each.recurrence_id] = Decision(each.action, None if each.start is None else to_book(each.start, zone))
    return found
