"""A waitlist entry as a VTODO in its doctor's `waitlist/`, in step with it at each change."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy.orm import Session

from ical import lines, timezones
from ical import waitlist as wishes
from ical.lines import Component
from storage import collections, objects, wanted
from storage.models import Account, Appointment, AppointmentType, CalendarObject, Offer, Patient, WaitlistEntry
from storage.policy import Actor
from storage.settings import Settings
from storage.writes import Write


def show(
    session: Session, entry: WaitlistEntry, offer: Offer | None, actor: Actor, now: datetime, *, renewed: bool = False
) -> None:
    """Keep the doctors' task lists in step with the entry. `renewed`: what is wished for has changed."""
    # In one order, so that two never wait for each other.
    concerned = {entry.doctor_id, offer.doctor_id if offer else None}
    for doctor_id in sorted(each for each in concerned if each is not None):
        if doctor_id != entry.doctor_id and entry.status == "waiting":
            hide(session, entry, doctor_id, actor, now)
        else:
            _put(session, entry, offer, session.get_one(Account, doctor_id), actor, now, renewed=renewed)


def _put(
    session: Session,
    entry: WaitlistEntry,
    offer: Offer | None,
    doctor: Account,
    actor: Actor,
    now: datetime,
    *,
    renewed: bool,
) -> None:
    collection = collections.built_in(session, doctor, "waitlist")
    uid = uid_of(session, entry)
    obj = objects.find_uid(session, collection, uid)
    calendar = _vtodo(session, entry, doctor, uid, now) if obj is None else lines.parse(obj.stored_text)
    if obj is not None and (renewed or obj.deleted):
        wishes.set_wish(calendar, wanted.wish_of(entry), now=now, **_told(session, entry, doctor))
    converted = session.get(Appointment, entry.converted_to) if entry.converted_to else None
    if obj is not None or entry.status != "waiting":
        wishes.set_state(
            calendar,
            cast(wishes.State, entry.status),
            now,
            offer_expires=offer.expires_at if offer else None,
            converted_to=session.get_one(CalendarObject, converted.object_id).uid if converted else "",
        )
    objects.put_object(session, collection, f"{uid}.ics", calendar, Write(actor, now, f"waitlist {entry.status}"))


def uid_of(session: Session, entry: WaitlistEntry) -> str:
    return f"wait-{entry.id}@{_settings(session).uid_domain}"


def hide(session: Session, entry: WaitlistEntry, doctor_id: int, actor: Actor, now: datetime) -> None:
    """Take the entry out of the task list of a doctor whom it does not concern (any more)."""
    collection = collections.built_in(session, session.get_one(Account, doctor_id), "waitlist")
    obj = objects.find_uid(session, collection, uid_of(session, entry))
    if obj is not None and not obj.deleted:
        objects.delete_object(session, obj, Write(actor, now, f"waitlist {entry.status}"))


def _vtodo(session: Session, entry: WaitlistEntry, doctor: Account, uid: str, now: datetime) -> Component:
    return wishes.vtodo(
        wanted.wish_of(entry), uid=uid, patient_id=entry.patient_id, now=now, **_told(session, entry, doctor)
    )


def _told(session: Session, entry: WaitlistEntry, doctor: Account) -> dict[str, Any]:
    return {
        "patient_name": session.get_one(Patient, entry.patient_id).name,
        "type_name": session.get_one(AppointmentType, entry.type_code).name,
        "reason": entry.reason,
        "zone": timezones.zone(doctor.timezone),
    }


def _settings(session: Session) -> Settings:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return settings
