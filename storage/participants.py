"""Who and what takes part in an appointment beside its doctor: the rows that follow its text, and the copies.

The text names them by username (ical.participants). Their minutes are claimed with the doctor's by storage.visits; the
copy that each has in a calendar of its own is written by storage.objects with the appointment itself.
"""

import re
from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from ical import participants as text
from storage import claims, resources
from storage.models import Account, Appointment, AppointmentResource, CalendarObject, Resource, table_of
from storage.prepared import Prepared
from storage.resources import Bookable
from storage.settings import Settings

_UID_OF_COPY = re.compile(r"appt-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-[^@]")
_ROWS = table_of(AppointmentResource)
_ADD = Prepared(insert(_ROWS), [column.key for column in _ROWS.columns])
_OF_APPOINTMENT = (
    select(Account, Resource.id, Resource.kind)
    .join(Resource, Resource.account_id == Account.id)
    .join(AppointmentResource, AppointmentResource.resource_id == Resource.id)
    .where(AppointmentResource.appointment_id == bindparam("appointment"))
    .order_by(AppointmentResource.position)
)


def of_appointment(session: Session, appointment_id: UUID) -> list[Bookable]:
    """In the order in which the appointment names them."""
    return [Bookable(*row) for row in session.execute(_OF_APPOINTMENT, {"appointment": appointment_id})]


def of_appointments(session: Session, appointment_ids: Iterable[UUID]) -> dict[UUID, list[Bookable]]:
    """The same for many; those without are left out."""
    found = session.execute(
        select(AppointmentResource.appointment_id, Account, Resource.id, Resource.kind)
        .join(Resource, Resource.id == AppointmentResource.resource_id)
        .join(Account, Account.id == Resource.account_id)
        .where(AppointmentResource.appointment_id.in_(list(appointment_ids)))
        .order_by(AppointmentResource.appointment_id, AppointmentResource.position)
    )
    named: dict[UUID, list[Bookable]] = {}
    for appointment_id, account, resource, kind in found:
        named.setdefault(appointment_id, []).append(Bookable(account, resource, kind))
    return named


def follow(
    session: Session, appointment: Appointment, names: Sequence[str], owner: Account, *, first: bool
) -> tuple[list[Bookable], list[Bookable]]:
    """Bring the rows in step with the names in the text, and lock everybody's time. Returns those who take part now,
    and those who did before and do not any more."""
    before = [] if first else of_appointment(session, appointment.id)
    wanted = [each for each in resources.known(session, names) if each.account.id != owner.id]
    claims.lock(session, [each.id for each in wanted])
    if wanted != before:
        session.execute(delete(AppointmentResource).where(AppointmentResource.appointment_id == appointment.id))
        rows = [
            {"appointment_id": appointment.id, "resource_id": each.id, "role": each.kind, "position": position}
            for position, each in enumerate(wanted)
        ]
        if rows:
            _ADD.write_each(session.connection(), rows)
    return wanted, [each for each in before if each not in wanted]


def described(session: Session, people: Iterable[Bookable]) -> list[text.Participant]:
    """As the text names them. Those without a mail address are known by the address of their principal."""
    settings = _settings(session)
    return [
        text.Participant(
            each.account.username,
            each.kind,
            each.account.name,
            f"mailto:{each.account.email}"
            if each.account.email
            else f"{settings.public_url}/dav/{each.account.username}/",
        )
        for each in people
    ]


def uid_of_copy(session: Session, appointment: Appointment, participant: Bookable) -> str:
    return f"appt-{appointment.id}-{participant.account.username}@{_settings(session).uid_domain}"


def is_uid_of_copy(uid: str) -> bool:
    return _UID_OF_COPY.match(uid) is not None


def why_put_back(session: Session, shown: CalendarObject) -> str:
    """For whoever changed or deleted the copy `shown` in a calendar app."""
    asked = _UID_OF_COPY.match(shown.uid)
    appointment = None if asked is None else session.get(Appointment, UUID(asked[1]))
    whose = "another doctor" if appointment is None else session.get_one(Account, appointment.doctor_id).name
    return f"What your app did to an appointment of {whose} was put back: it is moved and cancelled in that calendar."


def _settings(session: Session) -> Settings:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return settings
