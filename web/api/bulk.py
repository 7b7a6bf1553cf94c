"""A doctor cannot come: the visits of some time at once, previewed, then done."""

from typing import Annotated, Literal

from pydantic import Field

from storage import bulk, policy
from web.api import lookups, shapes
from web.api.fields import DayOrMoment, Moment, Name, Prose, Request, in_zone
from web.api.operations import Call, operation


class BulkIn(Request):
    doctor: Name
    from_: DayOrMoment = Field(alias="from")
    to: DayOrMoment = Field(description="A day is included.")
    action: Literal["move_to", "cancel", "offer_new_times"]
    to_doctor: Name | None = Field(default=None, description="With move_to: who takes the visits over.")
    otherwise: Literal["keep", "cancel", "offer_new_times"] = Field(
        default="keep", description="With move_to: what becomes of visits that cannot be moved."
    )
    message: Annotated[Prose, Field(max_length=1000)] = Field(
        default="", description="It stands in the patients' mail."
    )
    deadline: Moment | None = Field(
        default=None, description="With offer_new_times: until when patients choose. Left out: as the house rules say."
    )


class BulkCarriedOutIn(BulkIn):
    token: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] = Field(description="Of the preview.")


@operation("POST", "/bulk/preview", "What would become of each visit. Nothing is changed", shapes.Bulk, body=BulkIn)
def preview_bulk(call: Call, body: BulkIn) -> shapes.Bulk:
    plan = _plan(call, body)
    return _shown(call, plan, bulk.preview(call.session, plan, actor=call.actor, now=call.now))


@operation(
    "POST",
    "/bulk",
    "Do what a preview has shown; 409 plan_changed when it would not come to that any more",
    shapes.Bulk,
    body=BulkCarriedOutIn,
    refusals=(409,),
)
def carry_out_bulk(call: Call, body: BulkCarriedOutIn) -> shapes.Bulk:
    plan = _plan(call, body)
    return _shown(call, plan, bulk.carry_out(call.session, plan, body.token, actor=call.actor, now=call.now))


def _plan(call: Call, body: BulkIn) -> bulk.Plan:
    doctor = lookups.doctor(call, body.doctor)
    policy.require(call.actor, "bulk.change", doctor)
    colleague = None
    if body.to_doctor is not None:
        colleague = lookups.doctor(call, body.to_doctor, "to_doctor")
        policy.require(call.actor, "appointment.book", colleague)
    zone = lookups.zone(doctor)
    return bulk.Plan(
        doctor,
        lookups.begin_of(body.from_, zone),
        lookups.end_of(body.to, zone),
        body.action,
        colleague,
        body.message,
        body.otherwise,
        None if body.deadline is None else in_zone(body.deadline, zone),
    )


def _shown(call: Call, plan: bulk.Plan, found: bulk.Preview) -> shapes.Bulk:
    return shapes.Bulk(
        token=found.token,
        visits=[
            shapes.BulkVisit(
                appointment=item.appointment_id,
                recurrence_id=item.recurrence_id,
                start=shapes.local(item.start, plan.doctor),
                outcome=item.outcome,
                new_start=shapes.local_or_none(item.new_start, plan.to_doctor or plan.doctor),
                doctor=item.doctor or plan.doctor.username,
                because=None if item.why is None else shapes.Because(code=item.why.code, text=item.why.sentence),
            )
            for item in found.items
        ],
    )
