"""What requests name: doctors, types, patients, days. Each raises a refusal that names the field."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import Field

from ical import timezones
from ical.errors import Forbidden, InvalidInput, NotFound, VersionConflict
from storage import accounts, appointment_types, appointments, claims, follow_ups, lifecycle, policy
from storage.appointments import AppointmentView
from storage.models import Account, Appointment, AppointmentType, Patient
from web.api.fields import FollowUpWanted, Line, Request, in_zone
from web.api.operations import Call, reject

DAY = timedelta(days=1)


class PatientIn(Request):
    """Who is to be treated; known by name and contact."""

    name: Line = Field(min_length=1)
    email: Line = ""
    phone: Line = ""


def doctor(call: Call, username: str, field: str = "doctor") -> Account:
    account = accounts.by_username(call.session, username)
    if account is None or account.role != "doctor" or account.disabled:
        reject(field, f"There is no doctor called {username[:64]}.")
    return account


def doctors(
    call: Call, named: str | Sequence[str], field: str = "doctor", *, specialty: str | None = None
) -> list[Account]:
    """One, any (all of them) or a set; with `specialty`, those of them who have it."""
    if named == "any":
        found = accounts.doctors(call.session)
        if not found:
            reject(field, "There is no doctor yet.")
    elif isinstance(named, str):
        found = [doctor(call, named, field)]
    else:
        found = [doctor(call, username, field) for username in dict.fromkeys(named)]
    if specialty:
        found = [each for each in found if each.specialty.casefold() == specialty.strip().casefold()]
        if not found:
            reject("specialty", "None of these doctors has this speciality.")
    return found


def kind(call: Call, code: str) -> AppointmentType:
    try:
        return appointment_types.get(call.session, code)
    except NotFound as error:
        raise InvalidInput(error.sentence, field="type") from None


def patient(call: Call, given: PatientIn | None) -> Patient:
    """The patient with these contacts, or a new one. Patients book for themselves alone."""
    if call.actor.role == "patient":
        if call.patient is None:
            raise Forbidden()
        return call.patient
    if given is None:
        reject("patient", "Say who the patient is: name, and e-mail or phone.")
    try:
        return accounts.find_or_create_patient(call.session, given.name, given.email, given.phone, call.now)
    except InvalidInput as error:
        raise InvalidInput(error.sentence, field=f"patient.{error.field}") from None


def follow_up(given: FollowUpWanted) -> follow_ups.Wanted:
    return follow_ups.Wanted(given.after_days, given.due_from, given.due_to, given.type, given.note)


def zone(account: Account) -> ZoneInfo:
    return timezones.zone(account.timezone)


def begin_of(value: date | datetime, where: ZoneInfo) -> datetime:
    if isinstance(value, datetime):
        return in_zone(value, where)
    return in_zone(datetime(value.year, value.month, value.day), where)


def end_of(value: date | datetime, where: ZoneInfo) -> datetime:
    """A day is meant to its end."""
    return begin_of(value if isinstance(value, datetime) else value + DAY, where)


def appointment(
    call: Call, appointment_id: UUID, action: str, *, also: Account | None = None, moving: bool = False
) -> AppointmentView:
    """The appointment, if the caller may do this to it; when the call writes, behind the lock of everybody who takes
    part in it, of whoever is `also` meant, and for `moving` of the rooms that it may need.

    Raises NotFound, Forbidden, VersionConflict when If-Match names another version."""
    found = call.session.get(Appointment, appointment_id)
    if found is None:
        raise NotFound()
    policy.require(call.actor, action, found)
    if action != "appointment.read":
        rooms = lifecycle.needed_for_move(call.session, found.id).ids if moving else ()
        claims.lock_appointments(call.session, [found.id], doctors=[also.id] if also else [], resources=rooms)
        call.session.refresh(found)
    if action == "appointment.read":
        view = appointments.read_by(call.session, call.actor, appointment_id, call.now)
    else:
        view = appointments.details(call.session, appointment_id)
    if view is None:
        raise NotFound()
    if action != "appointment.read" and call.if_match is not None and not matches(call.if_match, view.etag):
        raise VersionConflict()
    return view


def matches(header: str, etag: str) -> bool:
    """RFC 9110 §13.1.1: strong comparison."""
    return header.strip() == "*" or f'"{etag}"' in [part.strip() for part in header.split(",")]


def set_etag(call: Call, view: AppointmentView) -> None:
    call.answer_headers["ETag"] = f'"{view.etag}"'


def patient_of(call: Call, of: Appointment) -> Patient:
    found: Patient = call.session.get_one(Patient, of.patient_id)
    return found


def account_of(call: Call, account_id: int | None) -> Account | None:
    found: Any = None if account_id is None else call.session.get(Account, account_id)
    return found if isinstance(found, Account) else None
