"""What the API's answers look like, and how records become answers. Instants carry the doctor's offset."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from ical import status, timezones
from storage import explaining, history, pending, policy, waitlist
from storage.appointments import AppointmentView, Row
from storage.models import Account, AppointmentType, ChangeRequest, History, Visit
from storage.resources import Bookable
from storage.slots import DoctorSlot
from storage.type_fields import Question, TypeHours
from web.api.fields import Reply
from web.api.operations import Call

Status = Literal[
    "scheduled",
    "confirmed",
    "in_progress",
    "completed",
    "cancelled_patient",
    "cancelled_doctor",
    "no_show",
    "rescheduled",
]
STATUSES = tuple(status.STATUSES)
By = Literal["doctor", "type", "location", "hour", "weekday", "day", "week", "month"]


class ProblemDocument(Reply):
    """RFC 9457."""

    type: str
    title: str
    status: int
    code: str = Field(description="Stable: for programs.")
    detail: str = Field(description="A sentence for people.")
    field: str | None = Field(default=None, description="Which field of the request, where it is one.")
    conflicts: "list[Conflict] | None" = Field(default=None, description="With code series_conflict.")


class Conflict(Reply):
    recurrence_id: str
    start: datetime
    because: "list[Because]"
    alternatives: list[datetime]


class Doctor(Reply):
    username: str
    name: str
    specialty: str
    timezone: str


class Doctors(Reply):
    doctors: list[Doctor]


class Resource(Reply):
    username: str
    name: str
    kind: Literal["doctor", "room", "machine", "assistant"]
    capacity: int
    timezone: str


class Resources(Reply):
    resources: list[Resource]


class Type(Reply):
    code: str
    name: str
    minutes: int | None = Field(description="null: as long as the slot of the working hours.")
    buffer_before: int
    buffer_after: int
    colour: str
    mode: Literal["in_person", "video"]
    capacity: int | None = Field(description="How many may share one time; null: what the working hours say.")
    notice_minutes: int
    window_days: int
    cutoff_minutes: int
    cutoff_cancel_minutes: int | None
    self_booking: bool
    approval: bool
    active: bool
    position: int
    doctors: list[str] = Field(description="Usernames of those who offer it; empty: all of them.")
    resources: list[list[str]] | None = Field(default=None, description="For staff.")
    questions: list[Question]
    hours: list[TypeHours]
    daily_maximum: int | None
    weekly_maximum: int | None
    offer_minutes: int | None
    auto_offer_hours: int | None
    follow_up_days: int | None


class Types(Reply):
    types: list[Type]


class Slot(Reply):
    """Instants with the offset of the place."""

    doctor: str
    start: datetime
    end: datetime
    spots: int
    location: str | None = Field(default=None, description="Where the working hours name a place.")


class Slots(Reply):
    slots: list[Slot]


class Obstacle(Reply):
    """What stands in the way. Without id and title it is not for the caller."""

    kind: str = Field(
        description="appointment, hold, offer, request, event, leave, holiday, resource, maximum or type."
    )
    id: str | None = None
    title: str | None = None


class Because(Reply):
    code: str
    text: str
    object: Obstacle | None = Field(default=None, description="What stands in the way: for staff.")


class Explanation(Reply):
    free: bool
    because: list[Because]


class Hold(Reply):
    id: UUID
    expires_at: datetime
    doctor: str
    start: datetime
    end: datetime


class Person(Reply):
    id: UUID
    name: str | None = None
    email: str | None = None
    phone: str | None = None


class BookedOccurrence(Reply):
    recurrence_id: str
    start: datetime
    end: datetime
    status: Literal["booked", "skipped", "moved"]


class SeriesOutlook(Reply):
    recurrence_id: str
    start: datetime
    end: datetime
    action: Literal["keep", "skip", "move"] = Field(description="As decided; keep where nothing was.")
    free: bool
    because: list[Because] = Field(description="What is in the way.")
    alternatives: list[datetime] = Field(description="The nearest free times.")


class SeriesPreview(Reply):
    doctor: str
    occurrences: list[SeriesOutlook]


class Booked(Reply):
    id: UUID
    status: Status
    doctor: str = Field(description="In whose calendar it stands.")
    doctors: list[str] = Field(description="All who take part.")
    resources: list[str] = Field(description="Rooms, machines and assistants.")
    type: str
    start: datetime
    end: datetime
    manage_url: str
    occurrences: list[BookedOccurrence] | None = Field(default=None, description="Of a series.")
    request: UUID | None = Field(default=None, description="It waits for the practice's approval.")


class Occurrence(Reply):
    recurrence_id: str
    start: datetime
    end: datetime
    status: Status
    overbooked: bool


class Step(Reply):
    at: datetime
    action: str
    by: Literal["patient", "practice"]
    actor: str | None = None
    recurrence_id: str
    from_status: str
    to_status: str
    from_start: datetime | None
    to_start: datetime | None
    reason: str


class Request(Reply):
    """What a patient asks for, or (kind choose) is asked to do, and what has become of it."""

    id: UUID
    appointment: UUID
    recurrence_id: str
    kind: Literal["book", "reschedule", "cancel", "choose"]
    state: Literal["open", "approved", "rejected", "lapsed", "withdrawn"]
    doctor: str
    patient: Person | None = None
    was: datetime = Field(description="When the visit was as it was asked.")
    start: datetime | None = Field(description="The time that is asked for.")
    end: datetime | None
    reason: str | None = None
    asked_at: datetime
    expires_at: datetime = Field(description="Unanswered, it lapses then.")
    decided_at: datetime | None
    answer: str


class Requests(Reply):
    requests: list[Request]


class BulkVisit(Reply):
    appointment: UUID
    recurrence_id: str
    start: datetime
    outcome: Literal["moved", "cancelled", "asked", "kept"] = Field(
        description="asked: the patient is to choose another time."
    )
    new_start: datetime | None
    doctor: str = Field(description="With whom it is then.")
    because: Because | None = Field(description="Why it cannot be moved.")


class Bulk(Reply):
    token: str = Field(description="Of what is shown: to be sent when it is to be done.")
    visits: list[BulkVisit]


class Appointment(Reply):
    """Times and stamps are those of the next open visit, or of the last one."""

    id: UUID
    uid: str
    status: Status
    doctor: str
    doctors: list[str]
    resources: list[str]
    patient: Person
    type: str
    start: datetime
    end: datetime
    duration: int = Field(description="Minutes.")
    reason: str | None = None
    patient_notes: str | None = None
    doctor_notes: str | None = None
    is_virtual: bool
    video_link: str
    location: str
    waitlist: UUID | None = Field(description="The waitlist entry that it came of.")
    parent: UUID | None
    split_from: UUID | None = Field(description="The series of which it is the rest.")
    rrule: str
    overbooked: bool
    booked_by: str
    booked_at: datetime
    confirmed_at: datetime | None
    arrived_at: datetime | None
    completed_at: datetime | None
    cancelled_at: datetime | None
    cancellation_reason: str
    occurrences: list[Occurrence]
    requests: list[Request] = Field(description="What is asked and not yet answered.")
    history: list[Step]


class AppointmentInList(Reply):
    id: UUID
    recurrence_id: str
    status: Status
    doctor: str
    doctors: list[str]
    resources: list[str]
    patient: Person
    type: str
    start: datetime
    end: datetime
    overbooked: bool


class Appointments(Reply):
    appointments: list[AppointmentInList]
    next: str | None


class Figures(Reply):
    key: str
    label: str
    booked: int
    completed: int
    no_show: int
    cancelled_patient: int
    cancelled_doctor: int
    minutes: int = Field(description="Booked and not cancelled.")
    available_minutes: int | None = Field(
        description="Working hours less leave, times their capacity; null where a type is asked for."
    )
    utilisation: float | None
    no_show_rate: float | None = Field(description="Of the visits that were completed or missed.")
    lead_time_days: float | None = Field(description="From the booking to the visit, on average.")
    lead_time_median_days: float | None
    rescheduled: int = Field(description="Visits that were moved at least once.")
    cancelled_patient_2h: int = Field(description="Less than 2 hours before the visit.")
    cancelled_patient_24h: int = Field(description="From 2 to 24 hours before.")
    cancelled_patient_72h: int = Field(description="From 24 to 72 hours before.")
    cancelled_patient_earlier: int
    cancelled_doctor_2h: int
    cancelled_doctor_24h: int
    cancelled_doctor_72h: int
    cancelled_doctor_earlier: int
    waitlist_joined: int | None = Field(description="Entries made then; null where a location is asked for.")
    waitlist_filled: int | None = Field(description="Those that became an appointment.")
    waitlist_fill_rate: float | None
    waitlist_hours_to_fill: float | None = Field(description="Half of the filled ones took no longer.")


class Analytics(Reply):
    by: By
    start: date = Field(alias="from")
    end: date = Field(alias="to")
    rows: list[Figures]
    total: Figures


def local(moment: datetime, doctor: Account) -> datetime:
    return moment.astimezone(timezones.zone(doctor.timezone))


def local_or_none(moment: datetime | None, doctor: Account) -> datetime | None:
    return None if moment is None else local(moment, doctor)


def doctors(lead: Account, others: Sequence[Bookable]) -> list[str]:
    """All the doctors of an appointment, the one in whose calendar it stands first."""
    return [lead.username, *(each.account.username for each in others if each.kind == "doctor")]


def named(others: Sequence[Bookable]) -> list[str]:
    """What else takes part."""
    return [each.account.username for each in others if each.kind != "doctor"]


def resource(found: Bookable) -> Resource:
    return Resource(
        username=found.account.username,
        name=found.account.name,
        kind=found.kind,
        capacity=found.account.capacity,
        timezone=found.account.timezone,
    )


def slot(found: DoctorSlot) -> Slot:
    answer = Slot(
        doctor=found.doctor.username,
        start=found.start.astimezone(found.zone),
        end=found.end.astimezone(found.zone),
        spots=found.spots,
    )
    if found.location:
        answer.location = found.location
    return answer


def doctor(account: Account) -> Doctor:
    return Doctor(username=account.username, name=account.name, specialty=account.specialty, timezone=account.timezone)


def because(reason: explaining.Because) -> Because:
    found = reason.obstacle
    shown = None if found is None else Obstacle(kind=found.kind, id=found.id, title=found.title)
    return Because(code=reason.code, text=reason.text, object=shown)


def type_of(call: Call, kind: AppointmentType) -> Type:
    values = {name: getattr(kind, name) for name in Type.model_fields}
    return Type(**values | ({} if call.actor.is_staff else {"resources": None}))


def person(call: Call, patient: Any, doctor_id: int | None) -> Person:
    """Contact only for those who may see the patient's record."""
    doctors = frozenset() if doctor_id is None else frozenset({doctor_id})
    if not policy.can(call.actor, "patient.read", policy.PatientOf(patient.id, doctors)):
        return Person(id=patient.id)
    return Person(id=patient.id, name=patient.name, email=patient.email, phone=patient.phone)


def appointment(call: Call, view: AppointmentView) -> Appointment:
    of, visit, owner = view.appointment, view.visit, view.doctor
    shown = person(call, view.patient, owner.id)
    came = waitlist.of_appointment(call.session, of.id)
    answer = Appointment(
        id=of.id,
        uid=view.uid,
        status=visit.status,
        doctor=owner.username,
        doctors=doctors(owner, view.others),
        resources=named(view.others),
        patient=shown,
        type=of.type_code,
        start=local(visit.start, owner),
        end=local(visit.end, owner),
        duration=int((visit.end - visit.start).total_seconds() // 60),
        is_virtual=view.kind.mode == "video",
        video_link=of.video_link,
        location=of.location,
        waitlist=None if came is None else came.id,
        parent=of.parent_id,
        split_from=of.split_from,
        rrule=view.rrule,
        overbooked=visit.overbooked,
        booked_by=of.booked_by,
        booked_at=local(of.booked_at, owner),
        confirmed_at=local_or_none(visit.confirmed_at, owner),
        arrived_at=local_or_none(visit.arrived_at, owner),
        completed_at=local_or_none(visit.completed_at, owner),
        cancelled_at=local_or_none(visit.cancelled_at, owner),
        cancellation_reason=visit.cancellation_reason,
        occurrences=[occurrence(each, owner) for each in view.visits] if of.series else [],
        requests=[request(call, each, owner) for each in pending.open_of(call.session, of.id)],
        history=[step(call, each, owner) for each in _shown_to(call, view)],
    )
    if shown.name is not None:
        answer.reason, answer.patient_notes = view.reason, view.patient_notes
    if policy.can(call.actor, "doctor_notes.read", of):
        answer.doctor_notes = view.doctor_notes
    return answer


def occurrence(visit: Visit, owner: Account) -> Occurrence:
    return Occurrence(
        recurrence_id=visit.recurrence_id,
        start=local(visit.start, owner),
        end=local(visit.end, owner),
        status=visit.status,
        overbooked=visit.overbooked,
    )


def request(call: Call, of: ChangeRequest, owner: Account, patient: Any = None) -> Request:
    shown = None if patient is None else person(call, patient, owner.id)
    answer = Request(
        id=of.id,
        appointment=of.appointment_id,
        recurrence_id=of.recurrence_id,
        kind=of.kind,
        state=of.state,
        doctor=owner.username,
        was=local(of.old_start, owner),
        start=local_or_none(of.start, owner),
        end=local_or_none(of.end, owner),
        asked_at=local(of.asked_at, owner),
        expires_at=local(of.expires_at, owner),
        decided_at=local_or_none(of.decided_at, owner),
        answer=of.answer,
    )
    if shown is not None:
        answer.patient = shown
        # What a patient writes is for those who may read the patient's record.
        if shown.name is not None:
            answer.reason = of.reason
    return answer


def _shown_to(call: Call, view: AppointmentView) -> list[History]:
    return view.history if call.actor.is_staff else history.patients_part(view.history)


def step(call: Call, entry: Any, owner: Account) -> Step:
    made = Step(
        at=local(entry.at, owner),
        action=entry.action,
        recurrence_id=entry.recurrence_id,
        from_status=entry.from_status,
        to_status=entry.to_status,
        from_start=local_or_none(entry.from_start, owner),
        to_start=local_or_none(entry.to_start, owner),
        by="patient" if history.is_patients(entry) else "practice",
        reason=entry.reason if call.actor.is_staff else history.reason_for_patient(entry),
    )
    # Patients see what happened, not which member of staff did it.
    if call.actor.is_staff:
        made.actor = entry.actor
    return made


def row(call: Call, each: Row, others: Sequence[Bookable] = ()) -> AppointmentInList:
    return AppointmentInList(
        id=each.appointment.id,
        recurrence_id=each.visit.recurrence_id,
        status=each.visit.status,
        doctor=each.doctor.username,
        doctors=doctors(each.doctor, others),
        resources=named(others),
        patient=person(call, each.patient, each.doctor.id),
        type=each.appointment.type_code,
        start=local(each.visit.start, each.doctor),
        end=local(each.visit.end, each.doctor),
        overbooked=each.visit.overbooked,
    )
