"""Who changed what, how a day stood at a given moment, and putting a former version back."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from ical.errors import NotFound
from storage import day_as_it_was, policy, versions
from storage.day_as_it_was import Entry, Pair
from storage.models import Account, CalendarObject
from web.api import lookups, shapes
from web.api.fields import Day, Moment, Name, Query, Reply, in_zone
from web.api.operations import Call, operation


class AsOfQuery(Query):
    doctor: Name
    date: Day
    at: Moment


class EntryOut(Reply):
    object: int = Field(description="For its versions.")
    seq: int = Field(description="Of the version that stood then.")
    kind: Literal["appointment", "copy", "block", "hours", "leave"]
    recurrence_id: str
    start: datetime
    end: datetime
    all_day: bool
    status: str
    title: str = Field(description="Of what is private to the doctor, only for the doctor.")
    appointment: UUID | None = None
    type: str | None = None
    patient: shapes.Person | None = None
    reason: str | None = Field(default=None, description="For those who may read clinical notes.")


class PairOut(Reply):
    since: Literal["same", "moved", "changed", "gone", "new"]
    then: EntryOut | None
    now: EntryOut | None


class DayOut(Reply):
    doctor: str
    date: date
    at: datetime
    entries: list[EntryOut] = Field(description="The day as it stood.")
    since: list[PairOut] = Field(description="Each entry beside what it is now, and what has come since.")


class ChangeOut(Reply):
    what: str
    text: str


class VersionOut(Reply):
    seq: int
    at: datetime
    by: str
    why: str
    present: bool
    gone: bool = Field(description="It was taken out of the calendar.")
    changes: list[ChangeOut]


class Versions(Reply):
    object: int
    kind: str
    versions: list[VersionOut] = Field(description="The latest first.")


@operation("GET", "/appointments/as-of", "A doctor's day as it stood at a given moment", DayOut, query=AsOfQuery)
def read_day(call: Call, query: AsOfQuery) -> DayOut:
    doctor = lookups.doctor(call, query.doctor)
    policy.require(call.actor, "versions.read", doctor)
    moment = in_zone(query.at, lookups.zone(doctor))
    pairs = day_as_it_was.beside_now(call.session, doctor, query.date, moment, call.now)
    day_as_it_was.looked_at(call.session, call.actor, doctor, query.date, moment, call.now)
    then = [pair.then for pair in pairs if pair.then is not None]
    return DayOut(
        doctor=doctor.username,
        date=query.date,
        at=shapes.local(moment, doctor),
        entries=[_entry(call, each, doctor) for each in then],
        since=[_pair(call, each, doctor) for each in pairs],
    )


@operation("GET", "/appointments/{id}/versions", "Who changed what in an appointment", Versions, refusals=(404,))
def list_versions(call: Call, id: UUID) -> Versions:
    lookups.appointment(call, id, "appointment.read")
    return _versions(call, *versions.of_appointment(call.session, id))


@operation(
    "POST",
    "/appointments/{id}/versions/{seq}/restore",
    "Put a former version of an appointment back, checked like a move",
    shapes.Appointment,
    refusals=(404, 409, 412),
)
def restore_appointment(call: Call, id: UUID, seq: str) -> shapes.Appointment:
    lookups.appointment(call, id, "appointment.status")
    obj, owner = versions.of_appointment(call.session, id)
    _restore(call, obj, owner, seq)
    call.session.expire_all()
    view = lookups.appointment(call, id, "appointment.read")
    lookups.set_etag(call, view)
    return shapes.appointment(call, view)


@operation(
    "GET", "/calendar-objects/{id}/versions", "Who changed what in hours, leave or a block", Versions, refusals=(404,)
)
def list_object_versions(call: Call, id: str) -> Versions:
    return _versions(call, *_found(call, id))


@operation(
    "POST",
    "/calendar-objects/{id}/versions/{seq}/restore",
    "Put a former version of hours, leave or a block back",
    Versions,
    refusals=(404, 409),
)
def restore_object(call: Call, id: str, seq: str) -> Versions:
    obj, owner = _found(call, id)
    _restore(call, obj, owner, seq)
    return _versions(call, obj, owner)


def _found(call: Call, object_id: str) -> tuple[CalendarObject, Account]:
    obj, owner = versions.find(call.session, _number(object_id))
    policy.require(call.actor, "versions.read", owner)
    return obj, owner


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise NotFound()
    return int(text)


def _restore(call: Call, obj: CalendarObject, owner: Account, seq: str) -> None:
    policy.require(call.actor, "versions.restore", owner)
    versions.restore(call.session, obj, _number(seq), actor=call.actor, now=call.now)


def _versions(call: Call, obj: CalendarObject, owner: Account) -> Versions:
    policy.require(call.actor, "versions.read", owner)
    clinical = policy.can(call.actor, "doctor_notes.read", owner)
    return Versions(
        object=obj.id,
        kind=obj.kind,
        versions=[
            VersionOut(
                seq=each.seq,
                at=shapes.local(each.at, owner),
                by=each.actor,
                why=each.why,
                present=each.present,
                gone=each.gone,
                changes=[ChangeOut(what=change.what, text=change.said(clinical=clinical)) for change in each.changes],
            )
            for each in versions.of_object(call.session, obj, owner)
        ],
    )


def _pair(call: Call, pair: Pair, doctor: Account) -> PairOut:
    return PairOut(
        since=pair.since,
        then=None if pair.then is None else _entry(call, pair.then, doctor),
        now=None if pair.now is None else _entry(call, pair.now, doctor),
    )


def _entry(call: Call, of: Entry, doctor: Account) -> EntryOut:
    clinical = policy.can(call.actor, "doctor_notes.read", doctor)
    answer = EntryOut(
        object=of.object_id,
        seq=of.seq,
        kind=of.kind,
        recurrence_id=of.recurrence_id,
        start=shapes.local(of.start, doctor),
        end=shapes.local(of.end, doctor),
        all_day=of.all_day,
        status=of.status,
        title=day_as_it_was.title(of, own=clinical),
    )
    if of.appointment_id is not None and of.patient_id is not None:
        answer.appointment, answer.type = of.appointment_id, of.type_code
        answer.patient = shapes.Person(id=of.patient_id)
        if policy.can(call.actor, "patient.read", policy.PatientOf(of.patient_id, frozenset({doctor.id}))):
            answer.patient = shapes.Person(id=of.patient_id, name=of.patient_name)
        if clinical:
            answer.reason = of.reason
    return answer
