"""The figures of storage.analytics added up in Python from every row: what the bench measures and the tests compare."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from statistics import median

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical import status, times, timezones
from storage import analytics, occurrences
from storage.analytics import Asked, Figures, Sums, Table
from storage.models import (
    Account,
    Appointment,
    AppointmentType,
    History,
    Holiday,
    HolidayCalendar,
    Location,
    Visit,
    WaitlistEntry,
)

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class _Row(Sums):
    def __init__(self) -> None:
        super().__init__()
        self.leads: list[int] = []
        self.fills: list[int] = []


def figures(session: Session, asked: Asked) -> Table:
    settings = session.info["settings"]
    owners = {doctor.id: doctor for doctor in asked.doctors}
    zones = {doctor.id: timezones.zone(doctor.timezone) for doctor in asked.doctors}
    rows: dict[str, _Row] = defaultdict(_Row)
    total, labels = _Row(), _labels(session, asked)
    for key in labels:
        rows[key] = _Row()
    _count_visits(session, asked, owners, zones, settings.clinic_name, rows, total)
    _count_entries(session, asked, owners, timezones.zone(settings.timezone), rows, total)
    if asked.kind is None:
        for owner, place, start, end, capacity in _worked(session, asked, owners, zones, settings.clinic_name):
            seconds = int((end - start).total_seconds()) * capacity
            total.available += seconds
            if asked.by != "type":
                key = {"doctor": owners[owner].username, "location": place}.get(asked.by) or _period(
                    asked.by, start.astimezone(zones[owner])
                )
                rows[key].available += seconds
    for row in (*rows.values(), total):
        row.lead = sum(row.leads)
        row.lead_median = median(row.leads) if row.leads else None
        row.to_fill_median = median(row.fills) if row.fills else None
    order = list(labels)
    keys = sorted(rows, key=lambda key: (order.index(key) if key in order else len(order), key))
    named = {"any": "Any doctor"} | labels
    found: list[Figures] = [rows[key].figures(key, named.get(key, key), asked) for key in keys]
    return Table(found, total.figures("total", "Total", asked, total=True))


def _count_visits(
    session: Session,
    asked: Asked,
    owners: dict[int, Account],
    zones: dict[int, tzinfo],
    clinic: str,
    rows: dict[str, _Row],
    total: _Row,
) -> None:
    steps = select(History.appointment_id, History.recurrence_id).where(History.action == "moved")
    moved = {(appointment_id, recurrence_id) for appointment_id, recurrence_id in session.execute(steps)}
    found = session.execute(
        select(Visit, Appointment)
        .join(Appointment, Appointment.id == Visit.appointment_id)
        .where(
            Appointment.doctor_id.in_(list(owners)),
            Visit.start >= _midnight(asked.first) - _DAY,
            Visit.start < _midnight(asked.last) + 2 * _DAY,
        )
    )
    for visit, appointment in found:
        local = visit.start.astimezone(zones[appointment.doctor_id])
        place = "By video" if appointment.video_link else appointment.location or clinic
        if not asked.first <= local.date() <= asked.last:
            continue
        if asked.kind not in (None, appointment.type_code) or asked.location not in (None, place):
            continue
        key = {
            "doctor": owners[appointment.doctor_id].username,
            "type": appointment.type_code,
            "location": place,
        }.get(asked.by) or _period(asked.by, local)
        for row in (rows[key], total):
            row.counts["booked"] += 1
            if visit.status in ("completed", "no_show", *status.CANCELLED):
                row.counts[visit.status] += 1
            if visit.status in status.CANCELLED:
                row.counts[f"{visit.status}_{_late(visit)}"] += 1
            else:
                row.busy += int((visit.end - visit.start).total_seconds())
            row.counts["rescheduled"] += (visit.appointment_id, visit.recurrence_id) in moved
            row.leads.append(_whole(visit.start) - _whole(appointment.booked_at))


def _late(visit: Visit) -> str:
    if visit.cancelled_at is None:
        return "earlier"
    ahead = _whole(visit.start) - _whole(visit.cancelled_at)
    return next((name for name, hours in analytics.LATENESS.items() if ahead < hours * 3600), "earlier")


def _count_entries(
    session: Session, asked: Asked, owners: dict[int, Account], usual: tzinfo, rows: dict[str, _Row], total: _Row
) -> None:
    found = session.execute(
        select(WaitlistEntry, Appointment).outerjoin(Appointment, Appointment.id == WaitlistEntry.converted_to)
    )
    for entry, appointment in found:
        with_whom = appointment.doctor_id if appointment is not None else entry.doctor_id
        if with_whom is not None and with_whom not in owners:
            continue
        zone = usual if with_whom is None else timezones.zone(owners[with_whom].timezone)
        local = entry.added_at.astimezone(zone)
        wanted = asked.anybody or with_whom is not None
        if not wanted or not asked.first <= local.date() <= asked.last or asked.kind not in (None, entry.type_code):
            continue
        username = "any" if with_whom is None else owners[with_whom].username
        key = {"doctor": username, "type": entry.type_code}.get(asked.by) or _period(asked.by, local)
        for row in (total,) if asked.by == "location" else (rows[key], total):
            row.joined += 1
            row.filled += entry.status == "converted"
            if appointment is not None:
                row.fills.append(_whole(appointment.booked_at) - _whole(entry.added_at))


def _worked(
    session: Session, asked: Asked, owners: dict[int, Account], zones: dict[int, tzinfo], clinic: str
) -> Iterable[tuple[int, str, datetime, datetime, int]]:
    """Hours, cut at every leave and every local hour."""
    found = occurrences.in_range(
        session,
        _midnight(asked.first) - _DAY,
        _midnight(asked.last) + 2 * _DAY,
        owner_ids=list(owners),
        kinds=("hours", "leave"),
    )
    away = [
        (each.owner_id, each.start, each.end, None)
        for each in found
        if each.kind == "leave" and each.busy not in ("free", "busy-tentative")
    ]
    away += _holidays(session, zones)
    for window in found:
        place = window.location or clinic
        if window.kind != "hours" or not window.capacity or asked.location not in (None, place):
            continue
        zone = zones[window.owner_id]
        begin = times.instant(asked.first, zone)
        end = times.instant(asked.last + _DAY, zone)
        mine = [(first, last) for owner, first, last, at in away if owner == window.owner_id and at in (None, place)]
        cuts = sorted({window.start, window.end, begin, end, *(edge for span in mine for edge in span)})
        for low, high in zip(cuts, cuts[1:], strict=False):
            inside = max(window.start, begin) <= low and high <= min(window.end, end)
            if not inside or any(first <= low and high <= last for first, last in mine):
                continue
            while low < high:
                local = low.astimezone(zone)
                until = min(high, low + _HOUR - timedelta(minutes=local.minute, seconds=local.second))
                yield window.owner_id, place, low, until, window.capacity
                low = until


def _holidays(session: Session, zones: dict[int, tzinfo]) -> list[tuple[int, datetime, datetime, str | None]]:
    found = session.execute(
        select(Holiday, HolidayCalendar.location).join(HolidayCalendar, HolidayCalendar.id == Holiday.calendar_id)
    ).all()
    places = {place.name: timezones.zone(place.timezone) for place in session.scalars(select(Location))}
    closed = []
    for owner, own in zones.items():
        for holiday, location in found:
            start, end = holiday.start, holiday.end
            if holiday.all_day:
                zone = own if location is None else places.get(location, own)
                start, end = times.instant(start.date(), zone), times.instant(end.date(), zone)
            closed.append((owner, start, end, location))
    return closed


def _period(by: str, local: datetime) -> str:
    match by:
        case "weekday":
            return str(local.weekday())
        case "hour":
            return f"{local.hour:02d}"
        case "day":
            return local.date().isoformat()
        case "week":
            return f"{local:%G-W%V}"
    return f"{local:%Y-%m}"


def _labels(session: Session, asked: Asked) -> dict[str, str]:
    if asked.by == "doctor":
        return {doctor.username: doctor.name for doctor in asked.doctors}
    if asked.by == "type":
        kinds = session.scalars(select(AppointmentType).order_by(AppointmentType.position, AppointmentType.code))
        return {kind.code: kind.name for kind in kinds}
    return {str(number): name for number, name in enumerate(_WEEKDAYS)} if asked.by == "weekday" else {}


def _whole(moment: datetime) -> int:
    return int(moment.timestamp() // 1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
