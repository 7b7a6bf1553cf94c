"""Leave: events in a doctor's `leave/`, pending until approved. Both block new bookings and touch none.

A leave covers whole days or parts of them, once or again and again; one occurrence can be withdrawn or rejected alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical import guard, leave, lines, recurrence, times, timezones
from ical.errors import IllegalTransition, InvalidCalendarData, InvalidInput, NotFound, TooManyInstances
from ical.lines import Component
from storage import appointments, audit, collections, house_rules, notifications, objects
from storage.appointments import Row
from storage.models import Account, CalendarObject, Collection
from storage.policy import Actor, can
from storage.settings import Settings
from storage.writes import Write

Half = Literal["morning", "afternoon"]
# How far a repeating leave is looked at, and how long ago.
_AHEAD = timedelta(days=366)
_BEHIND = timedelta(days=30)
_LONGEST = timedelta(days=366)
_MOST = 2000
_HOW_OFTEN = {"DAILY": "every day", "WEEKLY": "every week", "MONTHLY": "every month", "YEARLY": "every year"}


@dataclass(frozen=True)
class Away:
    """One time at which the doctor is away. `recurrence_id` as in storage.models.Occurrence."""

    recurrence_id: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class LeaveView:
    """One leave. `id` is the UUID in its UID, or the whole UID of an event that an app made. `start` and `end` are
    those of its first time."""

    id: str
    doctor: Account
    object: CalendarObject
    status: str
    start: datetime
    end: datetime
    all_day: bool
    reason: str
    rrule: str
    # Of a repeating leave those of the last month and of the next year
    times: list[Away]
    # Open visits that lie in it, in order
    rows: list[Row]

    @property
    def affected(self) -> list[UUID]:
        """Ids of the appointments that lie in it."""
        return list(dict.fromkeys(row.appointment.id for row in self.rows))

    @property
    def upcoming(self) -> Away | None:
        """The first of its times that is not in the past month."""
        return self.times[0] if self.times else None


def half_day(session: Session, doctor: Account, day: date, half: Half) -> tuple[datetime, datetime]:
    """The morning or the afternoon of a day of the doctor's: they meet where the house rules say."""
    zone = timezones.zone(doctor.timezone)
    noon = datetime.combine(day, time.fromisoformat(house_rules.current(session).half_days_meet_at), zone)
    if half == "morning":
        return datetime.combine(day, time(), zone), noon
    return noon, datetime.combine(day + timedelta(days=1), time(), zone)


def request_leave(
    session: Session,
    doctor: Account,
    start: date | datetime,
    end: date | datetime,
    reason: str,
    *,
    rrule: str = "",
    actor: Actor,
    now: datetime,
) -> LeaveView:
    """Ask for leave: whole days (dates, the last one included) or part of a day (aware instants), with `rrule` (RFC 5545
    RRULE) again and again.

    Approved at once for whoever may approve it. Raises InvalidInput.
    """
    end = _checked(start, end)
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    zone = timezones.zone(doctor.timezone)
    uid = f"leave-{uuid4()}@{settings.uid_domain}"
    approved = doctor.approves_own_leave and can(actor, "leave.approve", doctor)
    calendar = leave.leave_event(uid, start, end, reason, zone, now, approved=approved, rrule=_rule(rrule))
    _guard(calendar)
    target = collections.built_in(session, doctor, "leave")
    obj = objects.put_object(session, target, f"{uid}.ics", calendar, Write(actor, now, "leave", settle_at=now))
    return _view(session, obj, doctor, now)


def change(
    session: Session,
    leave_id: str,
    *,
    start: date | datetime | None = None,
    end: date | datetime | None = None,
    reason: str | None = None,
    rrule: str | None = None,
    actor: Actor,
    now: datetime,
) -> LeaveView:
    """Say other times, another repetition or reason; what is left out stays. Approved leave that grows is pending again,
    unless whoever changes it may approve it; rejected leave is asked for again. Raises NotFound, InvalidInput."""
    obj, doctor = _open(session, leave_id)
    known = _view(session, obj, doctor, now)
    zone = timezones.zone(doctor.timezone)
    if start is None or end is None:
        if (start, end) != (None, None):
            raise InvalidInput("Give both ends of the leave.", field="end" if end is None else "start")
        start, last = _ends(obj, known)
    else:
        last = _checked(start, end)
    stored = lines.parse(obj.stored_text)
    calendar = stored.copy()
    title = known.reason if reason is None else reason
    leave.change(calendar, start, last, known.rrule if rrule is None else _rule(rrule), title, zone, now)
    _guard(calendar)
    may_approve = can(actor, "leave.approve", doctor)
    if known.status == "rejected":
        leave.as_pending(calendar)
    else:
        calendar = leave.normalise(calendar, stored, may_approve, now)
    written = _put(session, obj, calendar, Write(actor, now, "leave changed", settle_at=now))
    return _view(session, written, doctor, now)


def decide(
    session: Session, leave_id: str, approve: bool, *, recurrence_id: str = "", actor: Actor, now: datetime
) -> LeaveView:
    """Approve or reject it, or reject one occurrence. Raises NotFound, IllegalTransition for one that has been decided
    that way."""
    obj, doctor = _open(session, leave_id)
    calendar = lines.parse(obj.stored_text)
    status = leave.read_status(_head(calendar))
    if status == ("approved" if approve else "rejected"):
        raise IllegalTransition()
    done = "approved" if approve else "rejected"
    if recurrence_id:
        if approve:
            raise InvalidInput("Leave is approved as a whole; single times are rejected.", field="recurrence_id")
        _require(calendar, recurrence_id, doctor)
        leave.reject_one(calendar, recurrence_id, timezones.zone(doctor.timezone), now)
    elif approve:
        leave.approve(calendar, actor.label, now)
    else:
        leave.reject(calendar, actor.label, now)
    written = _put(session, obj, calendar, Write(actor, now, done, settle_at=now))
    audit.record(session, actor, f"leave.{done}", f"object:{written.id}", _detail(recurrence_id), now)
    return _view(session, written, doctor, now)


def withdraw(
    session: Session, leave_id: str, *, recurrence_id: str = "", actor: Actor, now: datetime
) -> LeaveView | None:
    """Not wanted any more: it goes from the calendar, or one occurrence of it does. Returns what is left of it.

    Raises NotFound."""
    obj, doctor = _open(session, leave_id)
    audit.record(session, actor, "leave.withdrawn", f"object:{obj.id}", _detail(recurrence_id), now)
    write = Write(actor, now, "leave withdrawn", settle_at=now)
    if recurrence_id:
        calendar, zone = lines.parse(obj.stored_text), timezones.zone(doctor.timezone)
        _require(calendar, recurrence_id, doctor)
        recurrence.add_exdate(calendar, recurrence_id, zone)
        first, last = recurrence.bounds(calendar, zone)
        if recurrence.occurrences(calendar, zone, first, last, limit=_MOST):
            return _view(session, _put(session, obj, calendar, write), doctor, now)
    objects.delete_object(session, obj, write)
    return None


def announce(session: Session, obj: CalendarObject, doctor: Account, now: datetime) -> None:
    """Leave that is asked for is told to whoever may approve it."""
    view = _view(session, obj, doctor, now)
    if obj.deleted or view.status != "pending" or not any(each.end > now for each in view.times):
        return
    deciders = select(Account).where(Account.role.in_(("receptionist", "admin")), Account.disabled.is_(False))
    for account in session.scalars(deciders.order_by(Account.id)):
        actor = Actor("account", account.role, account.id)
        if can(actor, "leave.approve", doctor):
            text = f"{doctor.name} asks for leave: {when(view)}. Approve or reject it."
            page = f"/appointments/doctor/schedule/?doctor={doctor.username}"
            notifications.notice(session, account.id, text, now, page=page, mail=True)


def when(view: LeaveView) -> str:
    """Its times, for people."""
    zone = timezones.zone(view.doctor.timezone)
    first, end = view.start.astimezone(zone), view.end.astimezone(zone)
    last = end - timedelta(seconds=1)
    said = f"{first:%A}, {first.day} {first:%B %Y}"
    until = "24:00" if end.time() == time() else f"{end:%H:%M}"
    if not view.all_day:
        said += f", {first:%H:%M}"
    if last.date() != first.date():
        said += f" to {last:%A}, {last.day} {last:%B %Y}" + ("" if view.all_day else f", {until}")
    elif not view.all_day:
        said += f" to {until}"
    return f"{said}, {how_often(view.rrule)}" if view.rrule else said


def how_often(rrule: str) -> str:
    """ "every week", or that it repeats."""
    parts = dict(part.partition("=")[::2] for part in rrule.upper().split(";"))
    return _HOW_OFTEN.get(parts.get("FREQ", ""), "repeating") if parts.get("INTERVAL", "1") == "1" else "repeating"


def find(session: Session, leave_id: str, now: datetime) -> LeaveView:
    """Raises NotFound."""
    obj, doctor = _find(session, leave_id)
    return _view(session, obj, doctor, now)


def list_leave(session: Session, doctors: Sequence[Account], now: datetime) -> list[LeaveView]:
    """The leave of these doctors that has not ended before last month, in order of its next time."""
    owners = {doctor.id: doctor for doctor in doctors}
    rows = session.execute(
        select(CalendarObject, Collection.owner_id)
        .join(Collection, Collection.id == CalendarObject.collection_id)
        .where(Collection.owner_id.in_(owners), Collection.kind == "leave", CalendarObject.deleted.is_(False))
    )
    views = [_view(session, obj, owners[owner_id], now) for obj, owner_id in rows]
    return sorted((view for view in views if view.times), key=lambda view: (view.times[0].start, view.id))


# Steps


def _checked(start: date | datetime, end: date | datetime) -> date | datetime:
    """The end, exclusive. Raises InvalidInput."""
    if isinstance(start, datetime) != isinstance(end, datetime):
        raise InvalidInput("Give two dates or two times.", field="end")
    if not isinstance(end, datetime):
        end = end + timedelta(days=1)
    if end <= start:
        raise InvalidInput("The leave must end after it begins.", field="end")
    if (end - start) > _LONGEST:
        raise InvalidInput("A leave lasts a year at most.", field="end")
    return end


def _rule(rrule: str) -> str:
    return rrule.strip().removeprefix("RRULE:").rstrip(";").upper()


def _guard(calendar: Component) -> None:
    try:
        guard.check(calendar.text().encode())
    except (InvalidCalendarData, TooManyInstances) as refusal:
        raise InvalidInput(refusal.sentence, field="rrule") from None


def _ends(obj: CalendarObject, known: LeaveView) -> tuple[date | datetime, date | datetime]:
    """As they are, the end exclusive."""
    if not known.all_day:
        return known.start, known.end
    zone = timezones.zone(known.doctor.timezone)
    return known.start.astimezone(zone).date(), known.end.astimezone(zone).date()


def _require(calendar: Component, recurrence_id: str, doctor: Account) -> None:
    zone = timezones.zone(doctor.timezone)
    moment = times.parse_utc_text(recurrence_id)
    if moment not in recurrence.members(calendar, zone):
        raise NotFound("The leave has no such time.")


def _detail(recurrence_id: str) -> dict[str, str]:
    return {"recurrence_id": recurrence_id} if recurrence_id else {}


def _put(session: Session, obj: CalendarObject, calendar: Component, write: Write) -> CalendarObject:
    return objects.put_object(session, session.get_one(Collection, obj.collection_id), obj.href, calendar, write)


def _head(calendar: Component) -> Component:
    return recurrence.master(calendar) or calendar.components("VEVENT")[0]


def _open(session: Session, leave_id: str) -> tuple[CalendarObject, Account]:
    """Read again behind the doctor's lock. Raises NotFound."""
    obj, doctor = _find(session, leave_id)
    objects.lock_owner(session, doctor.id)
    session.refresh(obj)
    if obj.deleted:
        raise NotFound("There is no such leave.")
    return obj, doctor


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


def _view(session: Session, obj: CalendarObject, doctor: Account, now: datetime) -> LeaveView:
    zone = timezones.zone(doctor.timezone)
    calendar = lines.parse(obj.stored_text)
    component = _head(calendar)
    start, end, all_day = times.span(component, zone, calendar)
    status = leave.read_status(component)
    repeats = recurrence.repeats(calendar)
    found = recurrence.occurrences(
        calendar, zone, now - _BEHIND, now + (_AHEAD if repeats else 10 * _AHEAD), limit=_MOST
    )
    away = [
        Away(each.recurrence_id, each.start, each.end)
        for each in found
        if status == "rejected" or leave.takes_place(each.component)
    ]
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
        rrule=component.value("RRULE") or "",
        times=away,
        rows=appointments.open_within(session, doctor.id, [(each.start, each.end) for each in away])
        if blocking
        else [],
    )


def _id(uid: str) -> str:
    plain = uid.removeprefix("leave-").partition("@")[0]
    try:
        return str(UUID(plain)) if uid.startswith("leave-") else uid
    except ValueError:
        return uid
