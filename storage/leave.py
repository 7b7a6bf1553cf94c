"""Leave: events in a doctor's `leave/`, pending until approved. Both block new bookings and touch none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical import leave, lines, recurrence, times, timezones
from ical.errors import IllegalTransition, InvalidInput, NotFound
from storage import appointments, audit, collections, notifications, objects
from storage.models import Account, CalendarObject, Collection
from storage.policy import Actor, can
from storage.settings import Settings
from storage.writes import Write


@dataclass(frozen=True)
class LeaveView:
    """One leave. `id` is the UUID in its UID, or the whole UID of an event that an app made."""

    id: str
    doctor: Account
    object: CalendarObject
    status: str
    start: datetime
    end: datetime
    all_day: bool
    reason: str
    # Ids of appointments that lie in it
    affected: list[UUID]


def request_leave(
    session: Session,
    doctor: Account,
    start: date | datetime,
    end: date | datetime,
    reason: str,
    *,
    actor: Actor,
    now: datetime,
) -> LeaveView:
    """Ask for leave: whole days (dates, the last one included) or part of a day (aware instants).

    Approved at once for whoever may approve it. Raises InvalidInput.
    """
    if isinstance(start, datetime) != isinstance(end, datetime):
        raise InvalidInput("Give two dates or two times.", field="end")
    if not isinstance(end, datetime):
        end = end + timedelta(days=1)
    if end <= start:
        raise InvalidInput("The leave must end after it begins.", field="end")
    if (end - start) > timedelta(days=366):
        raise InvalidInput("A leave lasts a year at most.", field="end")
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    zone = timezones.zone(doctor.timezone)
    uid = f"leave-{uuid4()}@{settings.uid_domain}"
    approved = doctor.approves_own_leave and can(actor, "leave.approve", doctor)
    calendar = leave.leave_event(uid, start, end, reason, zone, now, approved=approved)
    target = collections.built_in(session, doctor, "leave")
    obj = objects.put_object(session, target, f"{uid}.ics", calendar, Write(actor, now, "leave", settle_at=now))
    return _view(session, obj, doctor)


def decide(session: Session, leave_id: str, approve: bool, *, actor: Actor, now: datetime) -> LeaveView:
    """Approve or reject. Raises NotFound, IllegalTransition for one that has been decided that way."""
    obj, doctor = _find(session, leave_id)
    objects.lock_owner(session, doctor.id)
    session.refresh(obj)
    calendar = lines.parse(obj.stored_text)
    component = recurrence.master(calendar) or calendar.components("VEVENT")[0]
    if leave.read_status(component) == ("approved" if approve else "rejected"):
        raise IllegalTransition()
    if approve:
        leave.approve(calendar, actor.label, now)
    else:
        leave.reject(calendar, actor.label, now)
    target = session.get_one(Collection, obj.collection_id)
    write = Write(actor, now, "approved" if approve else "rejected", settle_at=now)
    written = objects.put_object(session, target, obj.href, calendar, write)
    audit.record(session, actor, "leave.approved" if approve else "leave.rejected", f"object:{written.id}", {}, now)
    return _view(session, written, doctor)


def announce(session: Session, obj: CalendarObject, doctor: Account, now: datetime) -> None:
    """Leave that is asked for is told to whoever may approve it."""
    view = _view(session, obj, doctor)
    if obj.deleted or view.status != "pending" or view.end <= now:
        return
    zone = timezones.zone(doctor.timezone)
    first, last = view.start.astimezone(zone), (view.end - timedelta(seconds=1)).astimezone(zone)
    when = f"{first:%A}, {first.day} {first:%B %Y}"
    if last.date() != first.date():
        when += f" to {last:%A}, {last.day} {last:%B %Y}"
    deciders = select(Account).where(Account.role.in_(("receptionist", "admin")), Account.disabled.is_(False))
    for account in session.scalars(deciders.order_by(Account.id)):
        actor = Actor("account", account.role, account.id)
        if can(actor, "leave.approve", doctor):
            text = f"{doctor.name} asks for leave: {when}. Approve or reject it."
            page = f"/appointments/doctor/schedule/?doctor={doctor.username}"
            notifications.notice(session, account.id, text, now, page=page, mail=True)


def find(session: Session, leave_id: str) -> LeaveView:
    """Raises NotFound."""
    obj, doctor = _find(session, leave_id)
    return _view(session, obj, doctor)


def list_leave(session: Session, doctors: Sequence[Account], *, since: datetime | None = None) -> list[LeaveView]:
    """The leave of these doctors that has not ended before `since`, in order of start."""
    owners = {doctor.id: doctor for doctor in doctors}
    rows = session.execute(
        select(CalendarObject, Collection.owner_id)
        .join(Collection, Collection.id == CalendarObject.collection_id)
        .where(Collection.owner_id.in_(owners), Collection.kind == "leave", CalendarObject.deleted.is_(False))
    )
    views = [_view(session, obj, owners[owner_id]) for obj, owner_id in rows]
    return sorted((v for v in views if since is None or v.end > since), key=lambda view: (view.start, view.id))


def _find(session: Session, leave_id: str) -> tuple[CalendarObject, Account]:
    row = session.execute(
        select(CalendarObject, Account)
        .join(Collection, Collection.id == CalendarObject.collection_id)
        .join(Account, Account.id == Collection.owner_id)
        .where(
            Collection.kind == "leave",
            CalendarObject.deleted.is_(False),
            CalendarObject.uid.like(f"leave-{_escaped(leave_id)}@%", escape="\\") | (CalendarObject.uid == leave_id),
        )
    ).first()
    if row is None:
        raise NotFound("There is no such leave.")
    return row[0], row[1]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _view(session: Session, obj: CalendarObject, doctor: Account) -> LeaveView:
    zone = timezones.zone(doctor.timezone)
    calendar = lines.parse(obj.stored_text)
    component = recurrence.master(calendar) or calendar.components("VEVENT")[0]
    start, end, all_day = times.span(component, zone, calendar)
    status = leave.read_status(component)
    blocking = status in ("pending", "approved")
    return LeaveView(
        id=_id(obj.uid),
        doctor=doctor,
        object=obj,
        status=status,
        start=start,
        end=end,
        all_day=all_day,
        reason=leave.reason(component),
        affected=appointments.affected_by(session, doctor.id, start, end) if blocking else [],
    )


def _id(uid: str) -> str:
    plain = uid.removeprefix("leave-").partition("@")[0]
    try:
        return str(UUID(plain)) if uid.startswith("leave-") else uid
    except ValueError:
        return uid
