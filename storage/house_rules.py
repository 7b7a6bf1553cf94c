"""House rules: what the practice has decided for all its appointments, changed while it runs.

Each field is a rule with its default, shown on the page `/admin/rules/` with its title and description. What differs
from type to type stands with the type; what belongs to the machine stands in storage.settings.
"""

from datetime import datetime, time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from ical.errors import InvalidInput
from storage import audit, freed
from storage.models import Practice

_ONLY = 1
# The first rule of each group, and the group's title.
GROUPS = {
    "no_show_limit": "Missed appointments",
    "half_days_meet_at": "Leave and follow-ups",
    "late_changes": "What patients ask for",
    "offer_quiet_from": "Waitlist",
    "travel_minutes": "Places",
}
_READ = "house rules"
# JSON Schema's "time" has an offset.
_WALL_TIME_OR_NONE: dict[str, Any] = {"anyOf": [{"type": "string", "format": "wall-time"}, {"type": "null"}]}


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
    no_show_call: str = Field(
        default="", max_length=100, title="Whom patients call while they cannot book online", description="A number."
    )
    no_show_marking: Literal["ask", "mark"] = Field(
        default="ask",
        title="Visits of a past day of which nobody said whether they took place",
        description="Asked about: on the page “Who came?”, with a notice to the doctor.",
        json_schema_extra={"labels": {"ask": "Staff are asked", "mark": "They count as missed"}},
    )

    half_days_meet_at: str = Field(
        default="12:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        title="When half a day of leave begins or ends",
        description="The afternoon off begins then, and the morning off ends.",
    )
    follow_up_days: int = Field(
        default=14,
        ge=1,
        le=180,
        title="Days in which a follow-up is due",
        description="From the first day on that the doctor named.",
    )
    follow_up_reminder: bool = Field(
        default=True,
        title="Remind patients of follow-ups that are overdue",
        description="Once, when the days have passed and nothing is booked.",
    )

    late_changes: Literal["refused", "asked"] = Field(
        default="refused",
        title="When a patient wants to move or cancel after the cut-off",
        json_schema_extra={
            "labels": {"refused": "It is too late, they are told to call", "asked": "They may ask for it"}
        },
    )
    request_lead_hours: int = Field(
        default=2,
        ge=0,
        le=72,
        title="Hours before the start at which an unanswered request lapses",
        description="One that is made late lapses half-way to the start. The patient is told.",
    )
    choose_hours: int = Field(
        default=48,
        ge=1,
        le=336,
        title="Hours that patients have to choose another time",
        description="When their doctor cannot come. After them the appointment is cancelled.",
    )

    offer_quiet_from: time | None = Field(
        default=time(21),
        json_schema_extra=_WALL_TIME_OR_NONE,
        title="Nobody is told of a free time from",
        description="In the doctor's time zone, until the time below. A time that will not wait is told all the same.",
    )
    offer_quiet_to: time | None = Field(
        default=time(7),
        json_schema_extra=_WALL_TIME_OR_NONE,
        title="… until",
        description="An offer of the waitlist does not run out in these hours.",
    )
    offer_soon_minutes: int = Field(
        default=15, ge=1, le=120, title="Minutes to answer an offer that begins within two hours"
    )
    offer_next_day_minutes: int = Field(
        default=60, ge=1, le=720, title="Minutes to answer an offer that begins within a day"
    )
    complex_minutes: int = Field(
        default=60,
        ge=5,
        le=720,
        title="Minutes from which an appointment is a long one",
        description="Long ones, and those that need a room or a machine, are not offered by themselves when they are near.",
    )
    auto_offer_hours: int = Field(
        default=72,
        ge=0,
        le=720,
        title="Hours before the start within which staff offer those by hand",
        description="0: they are always offered by themselves. A type of appointment may say otherwise.",
    )
    waitlist_booked: Literal["close", "keep"] = Field(
        default="close",
        title="When somebody on the waitlist books such a time themselves",
        json_schema_extra={"labels": {"close": "They are off the waitlist", "keep": "They stay on it"}},
    )

    travel_minutes: int = Field(
        default=0,
        ge=0,
        le=240,
        title="Minutes from one place of the practice to another",
        description="Kept free between two appointments of a doctor at different places, unless a place says otherwise.",
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
    freed.ring_all(session)
    audit.note(session, "rules.changed", "practice", now, fields=sorted(values))
    return made
