"""House rules: what the practice has decided for all its appointments, changed while it runs.

Each field is a rule with its default, shown on the page `/admin/rules/` with its title and description. What differs
from type to type stands with the type; what belongs to the machine stands in storage.settings.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from ical.errors import InvalidInput
from storage import audit
from storage.models import Practice

_ONLY = 1
_READ = "house rules"


class HouseRules(BaseModel):
    """The rules in force."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    no_show_limit: int | None = Field(
        default=None,
        ge=1,
        le=20,
        title="Missed appointments before something follows",
        description="Empty: nothing follows from missed appointments.",
    )
    no_show_months: int = Field(
        default=6, ge=1, le=60, title="Counted over how many months", description="Older ones are forgotten."
    )
    no_show_consequence: Literal["warn", "confirm", "prepay", "pause"] = Field(
        default="warn",
        title="What follows",
        json_schema_extra={
            "labels": {
                "warn": "A warning",
                "confirm": "Staff confirm each booking",
                "prepay": "A note about prepayment",
                "pause": "No online booking for some days",
            }
        },
    )
    no_show_pause_days: int = Field(default=30, ge=1, le=365, title="Days without online booking", description="")
    no_show_note: str = Field(
        default="", max_length=500, title="What patients are told", description="With a warning or about prepayment."
    )


def current(session: Session) -> HouseRules:
    """The rules in force."""
    known: HouseRules | None = session.info.get(_READ)
    if known is None:
        row = session.get(Practice, _ONLY)
        known = session.info[_READ] = HouseRules.model_validate({} if row is None else row.rules)
    return known


def change(session: Session, values: dict[str, Any], *, now: datetime) -> HouseRules:
    """Change some rules. Raises InvalidInput with the rule's name as field."""
    row = session.get(Practice, _ONLY, with_for_update=True)
    before = {} if row is None else dict(row.rules)
    try:
        made = HouseRules.model_validate({**before, **values})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(f"{first['msg']}.", field=str(first["loc"][0])) from None
    # What is not said is not kept, so that a default that is bettered later is bettered here too.
    kept = made.model_dump(mode="json", include={*before, *values})
    if row is None:
        session.add(Practice(id=_ONLY, rules=kept))
    else:
        row.rules = kept
    session.flush()
    session.info[_READ] = made
    audit.note(session, "rules.changed", "practice", now, fields=sorted(values))
    return made
