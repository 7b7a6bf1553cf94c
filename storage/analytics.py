"""Figures about the practice: utilisation, no-shows, lead time, cancellations, by doctor, type, weekday or hour."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from ical import status, times, timezones
from storage import occurrences
from storage.models import Account, Appointment, AppointmentType, Visit

BY = ("doctor", "type", "weekday", "hour")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Figures:
    """`booked` counts every visit, however it ended; `minutes` leaves out the cancelled ones."""

    key: str
    label: str
    booked: int
    completed: int
    no_show: int
    cancelled_patient: int
    cancelled_doctor: int
    minutes: int
    # Working hours times their capacity; None where it has no meaning (by type)
    available_minutes: int | None
    utilisation: float | None
    # Of the visits that were completed or missed
    no_show_rate: float | None
    lead_time_days: float | None


@dataclass(frozen=True)
class Table:
    rows: list[Figures]
    total: Figures


@dataclass
class _Sum:
    by_status: dict[str, int] = field(default_factory=dict)
    minutes: float = 0
    available: float = 0
    lead_seconds: float = 0

    def figures(self, key: str, label: str, *, with_hours: bool) -> Figures:
        count = self.by_status.get
        booked = sum(self.by_status.values())
        ended = count("completed", 0) + count("no_show", 0)
        return Figures(
            key=key,
            label=label,
            booked=booked,
            completed=count("completed", 0),
            no_show=count("no_show", 0),
            cancelled_patient=count("cancelled_patient", 0),
            cancelled_doctor=count("cancelled_doctor", 0),
            minutes=round(self.minutes),
            available_minutes=round(self.available) if with_hours else None,
            utilisation=round(self.minutes / self.available, 4) if with_hours and self.available else None,
            no_show_rate=round(count("no_show", 0) / ended, 4) if ended else None,
            lead_time_days=round(self.lead_seconds / booked / 86_400, 2) if booked else None,
        )


def figures(session: Session, doctors: Sequence[Account], first: date, last: date, by: str) -> Table:
    """The visits that begin from `first` to `last` (both included, days of the doctor), grouped. `by` is one of BY."""
    owners = {doctor.id: doctor for doctor in doctors}
    zones = {doctor.id: timezones.zone(doctor.timezone) for doctor in doctors}
    labels = _labels(session, doctors, by)
    sums = {key: _Sum() for key in labels}
    total = _Sum()
    for doctor_id, code, start, end, state, booked_at in _visits(session, owners, first, last):
        local = start.astimezone(zones[doctor_id])
        if not first <= local.date() <= last:
            continue
        key = _key(by, owners[doctor_id].username, code, local)
        for each in (sums.setdefault(key, _Sum()), total):
            each.by_status[state] = each.by_status.get(state, 0) + 1
            each.lead_seconds += (start - booked_at).total_seconds()
            if state in status.ACTIVE:
                each.minutes += (end - start).total_seconds() / 60
    if by != "type":
        _add_hours(session, owners, zones, first, last, by, sums)
    _add_hours(session, owners, zones, first, last, "", {"": total})
    keys = sorted(sums, key=_order(by, list(labels)))
    rows = [sums[key].figures(key, labels.get(key, key), with_hours=by != "type") for key in keys]
    return Table(rows, total.figures("total", "Total", with_hours=True))


def _visits(
    session: Session, owners: Iterable[int], first: date, last: date
) -> Iterable[Row[int, str, datetime, datetime, str, datetime]]:
    day = timedelta(days=1)
    return session.execute(
        select(
            Appointment.doctor_id,
            Appointment.type_code,
            Visit.start,
            Visit.end,
            Visit.status,
            Appointment.booked_at,
        )
        .join(Appointment, Appointment.id == Visit.appointment_id)
        .where(
            Appointment.doctor_id.in_(list(owners)),
            Visit.start >= _midnight(first) - day,
            Visit.start < _midnight(last) + 2 * day,
        )
        .execution_options(yield_per=5000)
    )


def _add_hours(
    session: Session,
    owners: dict[int, Account],
    zones: Mapping[int, tzinfo],
    first: date,
    last: date,
    by: str,
    sums: dict[str, _Sum],
) -> None:
    """Working minutes within the days asked for, hour by hour, into the sums they belong to."""
    day = timedelta(days=1)
    found = occurrences.in_range(
        session, _midnight(first) - day, _midnight(last) + 2 * day, owner_ids=list(owners), kinds=("hours",)
    )
    for window in found:
        zone = zones[window.owner_id]
        begin = times.instant(datetime(first.year, first.month, first.day), zone)
        after = last + day
        end = times.instant(datetime(after.year, after.month, after.day), zone)
        at, stop = max(window.start, begin), min(window.end, end)
        while at < stop:
            local = at.astimezone(zone)
            ahead = timedelta(hours=1) - timedelta(minutes=local.minute, seconds=local.second)
            until = min(stop, at + ahead)
            minutes = (until - at).total_seconds() / 60 * (window.capacity or 0)
            key = _key(by, owners[window.owner_id].username, "", local) if by else ""
            sums.setdefault(key, _Sum()).available += minutes
            at = until


def _key(by: str, username: str, code: str, local: datetime) -> str:
    match by:
        case "doctor":
            return username
        case "type":
            return code
        case "weekday":
            return str(local.weekday())
    return f"{local.hour:02d}"


def _labels(session: Session, doctors: Sequence[Account], by: str) -> dict[str, str]:
    """Rows that are there even when nothing happened, in their order."""
    if by == "doctor":
        return {doctor.username: doctor.name for doctor in doctors}
    if by == "type":
        kinds = session.scalars(select(AppointmentType).order_by(AppointmentType.position, AppointmentType.code))
        return {kind.code: kind.name for kind in kinds}
    if by == "weekday":
        return {str(number): name for number, name in enumerate(_WEEKDAYS)}
    return {}


def _order(by: str, known: list[str]) -> Callable[[str], tuple[int, str]]:
    places = {key: place for place, key in enumerate(known)}
    return lambda key: (places.get(key, len(places)) if by != "hour" else 0, key)


def _midnight(day: date) -> datetime:
    return times.instant(datetime(day.year, day.month, day.day), timezones.zone("UTC"))
