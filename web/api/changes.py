"""Every step of an appointment's life after it is booked: its status, another time, and taking a step back."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from ical.errors import InvalidInput, NotFound, SeriesConflict
from ical.series import OnConflict
from storage import appointments, follow_ups, lifecycle, policy, requests, series_changes, undo
from storage.appointments import AppointmentView
from storage.models import Account
from web.api import decisions, lookups, shapes
from web.api.appointments import with_offsets
from web.api.decisions import DecisionIn, RecurrenceId
from web.api.fields import FollowUpWanted, Moment, Name, Prose, Request, to_book
from web.api.operations import Call, operation, reject

ACTIONS = ("confirm", "arrive", "start", "complete", "no-show", "cancel")
_POLICY = {"confirm": "appointment.confirm", "cancel": "appointment.change"}

Range = Literal["one", "following", "all"]
Reason = Annotated[Prose, Field(max_length=500)]


class ActionIn(Request):
    reason: Reason = ""
    recurrence_id: RecurrenceId | None = Field(default=None, description="One occurrence of a series.")
    by: Literal["patient", "doctor"] | None = Field(default=None, description="Whose wish a cancellation is.")


class CancelIn(ActionIn):
    range: Range | None = Field(
        default=None,
        description="Of a series: the one named, that and the following, or all. Left out: one with recurrence_id, else all.",
    )


class CompleteIn(ActionIn):
    follow_up: FollowUpWanted | None = Field(
        default=None, description="What is to follow. Left out: what the type usually proposes; null: nothing."
    )


class RescheduleIn(Request):
    start: Moment
    doctor: Name | None = None
    recurrence_id: RecurrenceId | None = None
    reason: Reason = ""
    overrule: bool = Field(
        default=False, description="Staff set aside hours, notice, maxima and what stands there; `reason` says why."
    )
    range: Range = Field(
        default="one",
        description="Of a series: the one named, that and the following, or all that are to come. They move by as much.",
    )
    on_conflict: OnConflict = Field(default="refuse", description="As at booking; a skipped one is cancelled.")
    decisions: list[DecisionIn] = Field(default=[], max_length=500, description="For occurrences of a range.")


class UndoIn(Request):
    recurrence_id: RecurrenceId | None = Field(default=None, description="One occurrence of a series.")


@operation(
    "POST",
    "/appointments/{id}/reschedule",
    "Move an appointment, or one occurrence of a series. Where a patient may only ask for it, `requests` says so",
    shapes.Appointment,
    body=RescheduleIn,
    refusals=(404, 409, 412),
)
def reschedule_appointment(call: Call, id: UUID, body: RescheduleIn) -> shapes.Appointment:
    doctor = None if body.doctor is None else lookups.doctor(call, body.doctor)
    view = lookups.appointment(call, id, "appointment.change", also=doctor, moving=True)
    target = doctor or view.doctor
    policy.require(call.actor, "appointment.book", target)
    if body.overrule:
        policy.require(call.actor, "appointment.overrule", target)
    if body.range != "one":
        return _changed(call, _move_series(call, view, target, body))
    requests.reschedule(
        call.session,
        id,
        to_book(body.start, lookups.zone(target)),
        doctor=None if target.id == view.doctor.id else target,
        recurrence_id=body.recurrence_id,
        reason=body.reason,
        overrule=body.overrule,
        actor=call.actor,
        now=call.now,
    )
    return _changed(call, id)


def _move_series(call: Call, view: AppointmentView, target: Account, body: RescheduleIn) -> UUID:
    """The id of the appointment that has the moved visits: another one, where some of the series stay."""
    if body.overrule:
        reject("overrule", "Of a series, say for each occurrence in conflict that it is kept.")
    if body.range == "following" and body.recurrence_id is None:
        reject("recurrence_id", "Say from which occurrence on.")
    zone = lookups.zone(target)
    wish = series_changes.Wish(
        to_book(body.start, zone),
        body.recurrence_id,
        following=body.range == "following",
        doctor=None if target.id == view.doctor.id else target,
        decisions=decisions.read(body.decisions, zone),
        on_conflict=body.on_conflict,
        reason=body.reason,
    )
    try:
        moved = series_changes.move(call.session, view.id, wish, actor=call.actor, now=call.now)
    except SeriesConflict as conflict:
        raise with_offsets(conflict, target) from None
    return moved.appointment.id


@operation(
    "POST",
    "/appointments/{id}/undo",
    "Take back today's last step: a status, a move, a cancellation; not the booking",
    shapes.Appointment,
    body=UndoIn,
    body_required=False,
    refusals=(404, 409, 412),
)
def undo_appointment(call: Call, id: UUID, body: UndoIn) -> shapes.Appointment:
    lookups.appointment(call, id, "appointment.status")
    undo.undo(call.session, id, recurrence_id=body.recurrence_id, actor=call.actor, now=call.now)
    return _changed(call, id)


def _change_status(call: Call, id: UUID, body: ActionIn, action: str) -> shapes.Appointment:
    view = lookups.appointment(call, id, _POLICY.get(action, "appointment.status"))
    if body.by == "doctor" and not call.actor.is_staff:
        policy.require(call.actor, "appointment.status", view.appointment)
    some = isinstance(body, CancelIn) and body.range in ("one", "following") and view.appointment.series
    if some and body.recurrence_id is None:
        reject("recurrence_id", "Say which occurrence, or from which one on.")
    if isinstance(body, CancelIn) and body.range == "following":
        lifecycle.change_status(
            call.session,
            id,
            action,
            recurrence_id=body.recurrence_id,
            following=True,
            reason=body.reason,
            by=body.by,
            actor=call.actor,
            now=call.now,
        )
        return _changed(call, id)
    if isinstance(body, CancelIn):
        requests.cancel(
            call.session,
            id,
            recurrence_id=None if body.range == "all" else body.recurrence_id,
            reason=body.reason,
            by=body.by,
            actor=call.actor,
            now=call.now,
        )
        return _changed(call, id)
    try:
        lifecycle.change_status(
            call.session,
            id,
            action,
            recurrence_id=body.recurrence_id,
            reason=body.reason,
            follow_up=_follow_up(body),
            actor=call.actor,
            now=call.now,
        )
    except InvalidInput as refusal:
        if refusal.field in FollowUpWanted.model_fields:
            raise InvalidInput(refusal.sentence, field=f"follow_up.{refusal.field}") from None
        raise
    return _changed(call, id)


def _follow_up(body: ActionIn) -> follow_ups.Wanted | None:
    if "follow_up" not in body.model_fields_set or not isinstance(body, CompleteIn):
        return follow_ups.USUAL
    return None if body.follow_up is None else lookups.follow_up(body.follow_up)


def _declare(action: str, takes: type[ActionIn]) -> None:
    def act(call: Call, id: UUID, body: ActionIn) -> shapes.Appointment:
        return _change_status(call, id, body, action)

    act.__name__ = f"{action.replace('-', '_')}_appointment"
    operation(
        "POST",
        f"/appointments/{{id}}/{action}",
        f"{action.capitalize()}: an appointment, or one occurrence of a series",
        shapes.Appointment,
        body=takes,
        body_required=False,
        refusals=(404, 409, 412),
    )(act)


for each_action in ACTIONS:
    _declare(each_action, {"cancel": CancelIn, "complete": CompleteIn}.get(each_action, ActionIn))


def _changed(call: Call, id: UUID) -> shapes.Appointment:
    call.session.flush()
    call.session.expire_all()
    view = appointments.details(call.session, id)
    if view is None:
        raise NotFound()
    lookups.set_etag(call, view)
    return shapes.appointment(call, view)
