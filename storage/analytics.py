"""Figures about the practice, by doctor, type, location, weekday, hour, day, week or month: summed in the database.

A visit counts where it begins, a waitlist entry where it was joined, in days and hours of its doctor's zone. Everything
is added up in whole seconds, so the rows add up to their total.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, and_, case, func, literal, literal_column, select
from sqlalchemy.orm import Session

from ical import status
from storage import local_time, working_minutes
from storage.local_time import PERIODS, Days
from storage.models import Account, Appointment, AppointmentType, History, Occurrence, Visit, WaitlistEntry
from storage.moments import seconds_of
from storage.settings import Settings

BY = ("doctor", "type", "location", *PERIODS)
VIDEO, ANY_DOCTOR = "By video", "any"
# A cancellation is counted by how long before the visit it came; the last ones are earlier than all of these.
LATENESS = {"2h": 2, "24h": 24, "72h": 72}
_CANCELLED = ("cancelled_patient", "cancelled_doctor")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HOUR, _DAY = 3600, 86_400
# Whose zone counts for an entry of the waitlist that waits for any doctor: the practice's.
_NOBODY = 0


@dataclass(frozen=True)
class Asked:
    """`first` and `last` are both included. `anybody`: also entries of the waitlist for whichever doctor is free."""

    doctors: Sequence[Account]
    first: date
    last: date
    by: str
    kind: str | None = None
    location: str | None = None
    anybody: bool = True


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
    # Working hours less leave, times their capacity; None where it has no meaning (by type)
    available_minutes: int | None
    utilisation: float | None
    # Of the visits that were completed or missed
    no_show_rate: float | None
    lead_time_days: float | None
    lead_time_median_days: float | None
    # Visits that were moved at least once
    rescheduled: int
    # How long before the visit: less than 2 hours, from there to 24, from there to 72, earlier
    cancelled_patient_2h: int
    cancelled_patient_24h: int
    cancelled_patient_72h: int
    cancelled_patient_earlier: int
    cancelled_doctor_2h: int
    cancelled_doctor_24h: int
    cancelled_doctor_72h: int
    cancelled_doctor_earlier: int
    # None by location: an entry has none
    waitlist_joined: int | None
    waitlist_filled: int | None
    waitlist_fill_rate: float | None
    waitlist_hours_to_fill: float | None


@dataclass(frozen=True)
class Table:
    rows: list[Figures]
    total: Figures


COUNTED = (
    "booked",
    "completed",
    "no_show",
    "cancelled_patient",
    "cancelled_doctor",
    *(f"{who}_{when}" for who in _CANCELLED for when in (*LATENESS, "earlier")),
)


@dataclass
class Sums:
    """What the figures of one row are made of. Times in seconds."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*COUNTED, "rescheduled"), 0))
    busy: int = 0
    available: int = 0
    lead: int = 0
    lead_median: float | None = None
    joined: int = 0
    filled: int = 0
    to_fill_median: float | None = None

    def figures(self, key: str, label: str, asked: Asked, *, total: bool = False) -> Figures:
        booked, missed = self.counts["booked"], self.counts["no_show"]
        ended = self.counts["completed"] + missed
        hours = asked.kind is None and (total or asked.by != "type")
        waiting = asked.location is None and (total or asked.by != "location")
        return Figures(
            key=key,
            label=label,
            minutes=round(self.busy / 60),
            available_minutes=round(self.available / 60) if hours else None,
            utilisation=round(self.busy / self.available, 4) if hours and self.available else None,
            no_show_rate=round(missed / ended, 4) if ended else None,
            lead_time_days=round(self.lead / booked / _DAY, 2) if booked else None,
            lead_time_median_days=_in(_DAY, self.lead_median),
            waitlist_joined=self.joined if waiting else None,
            waitlist_filled=self.filled if waiting else None,
            waitlist_fill_rate=round(self.filled / self.joined, 4) if waiting and self.joined else None,
            waitlist_hours_to_fill=_in(_HOUR, self.to_fill_median) if waiting else None,
            **self.counts,
        )


def figures(session: Session, asked: Asked) -> Table:
    """The visits and the work of the days asked for, grouped. `asked.by` is one of BY."""
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    zones = {_NOBODY: settings.timezone} | {doctor.id: doctor.timezone for doctor in asked.doctors}
    days = local_time.days(session, zones, asked.first, asked.last)
    names = _names(session, asked)
    sums: dict[str, Sums] = {key: Sums() for key in names.labels}
    total, elsewhere = Sums(), Sums()
    for key, *counts, busy, lead, median, median_of_all in session.execute(_counted(_visits(asked, days, settings))):
        row = sums.setdefault(names.key(key), Sums())
        row.counts.update(zip(COUNTED, counts, strict=True))
        row.busy, row.lead, row.lead_median = int(busy), int(lead), float(median)
        total.lead_median = float(median_of_all)
    for key, moved in session.execute(_moved(asked, days, settings)):
        sums[names.key(key)].counts["rescheduled"] = moved
    for key, joined, filled, median, median_of_all in session.execute(_joined(_entries(asked, days))):
        # An entry has no location: there it counts in the total alone.
        row = sums.setdefault(names.key(key), Sums()) if asked.by != "location" else elsewhere
        row.joined, row.filled = joined, filled
        row.to_fill_median = None if median is None else float(median)
        total.to_fill_median = None if median_of_all is None else float(median_of_all)
    for key, seconds in _available(session, asked, asked.by, days, settings):
        sums.setdefault(names.key(key), Sums()).available = seconds
    for row in (*sums.values(), elsewhere):
        _add(total, row)
    if asked.by == "type":
        total.available = sum(seconds for _key, seconds in _available(session, asked, "", days, settings))
    rows = [sums[key].figures(key, names.label(key), asked) for key in sorted(sums, key=names.order)]
    return Table(rows, total.figures("total", "Total", asked, total=True))


def locations(session: Session, doctor_ids: Sequence[int]) -> list[str]:
    """Where these doctors work, as figures by location call it."""
    settings = session.info["settings"]
    asked = select(Occurrence.location).where(Occurrence.kind == "hours", Occurrence.owner_id.in_(doctor_ids))
    return sorted({place or settings.clinic_name for place in session.scalars(asked.distinct())})


# The questions


def _visits(asked: Asked, days: Days, settings: Settings) -> CTE:
    """A row for each visit: its key, its status, and its times in seconds."""
    start = seconds_of(Visit.start)
    return (
        _of_visits(asked, days, settings)
        .add_columns(
            Visit.status,
            (seconds_of(Visit.end) - start).label("length"),
            (start - seconds_of(Appointment.booked_at)).label("lead"),
            (start - seconds_of(Visit.cancelled_at)).label("ahead"),
        )
        .cte("visits")
    )


def _of_visits(asked: Asked, days: Days, settings: Settings) -> Select[*tuple[Any, ...]]:
    """The keys of the visits asked for."""
    offsets = days.offsets
    place = case(
        (Appointment.video_link != "", VIDEO),
        else_=func.coalesce(func.nullif(Appointment.location, ""), settings.clinic_name),
    )
    columns = {"doctor": Appointment.doctor_id, "type": Appointment.type_code, "location": place}
    key = columns[asked.by] if asked.by in columns else PERIODS[asked.by].of(seconds_of(Visit.start) + offsets.c.offset)
    # Not the bare column: the way to a month of visits is by their time, not by everything a doctor has ever had.
    doctor = Appointment.doctor_id + 0
    return (
        select(key.label("key"))
        .select_from(Visit)
        .join(Appointment, Appointment.id == Visit.appointment_id)
        .join(offsets, local_time.within(offsets, doctor, Visit.start))
        .where(
            Visit.start >= days.start,
            Visit.start < days.end,
            doctor.in_([each.id for each in asked.doctors]),
            *([] if asked.kind is None else [Appointment.type_code == asked.kind]),
            *([] if asked.location is None else [place == asked.location]),
        )
    )


def _moved(asked: Asked, days: Days, settings: Settings) -> Select[*tuple[Any, ...]]:
    """By key: how many visits were moved, found from the steps of that kind."""
    # Not as a parameter: the index is of these rows alone.
    steps = select(History.appointment_id, History.recurrence_id).where(History.action == literal_column("'moved'"))
    moved = steps.distinct().subquery()
    same = and_(moved.c.appointment_id == Visit.appointment_id, moved.c.recurrence_id == Visit.recurrence_id)
    keys = _of_visits(asked, days, settings).join(moved, same).subquery()
    return select(keys.c.key, func.count()).group_by(keys.c.key)


def _counted(visits: CTE) -> Any:
    """By key, in the order of COUNTED, then the seconds that were not cancelled, those of all lead times, and the
    median of these."""
    state = visits.c.status
    counts: list[ColumnElement[Any]] = [func.count()]
    counts += [_count(state == each) for each in ("completed", "no_show", *_CANCELLED)]
    counts += [_count(and_(state == who, late)) for who in _CANCELLED for late in _lateness(visits.c.ahead)]
    busy = func.sum(case((state.in_(status.ACTIVE), visits.c.length), else_=0))
    return _with_medians(visits, visits.c.lead, [*counts, busy, func.sum(visits.c.lead)])


def _lateness(ahead: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    """Conditions, one for each of LATENESS and one for what came earlier, or nobody knows when."""
    bounds = [hours * _HOUR for hours in LATENESS.values()]
    first, last = ahead < bounds[0], func.coalesce(ahead, bounds[-1]) >= bounds[-1]
    between = [and_(ahead >= low, ahead < high) for low, high in pairwise(bounds)]
    return [first, *between, last]


def _entries(asked: Asked, days: Days) -> CTE:
    """A row for each entry of the waitlist: its key, whether it was filled, and how long that took."""
    offsets = days.offsets
    doctor = func.coalesce(Appointment.doctor_id, WaitlistEntry.doctor_id)
    keys = {"doctor": doctor, "type": WaitlistEntry.type_code, "location": literal("")}
    key = (
        keys[asked.by]
        if asked.by in keys
        else PERIODS[asked.by].of(seconds_of(WaitlistEntry.added_at) + offsets.c.offset)
    )
    wanted = doctor.in_([each.id for each in asked.doctors])
    where = local_time.within(offsets, func.coalesce(doctor, _NOBODY), WaitlistEntry.added_at)
    return (
        select(
            key.label("key"),
            case((WaitlistEntry.status == "converted", 1), else_=0).label("filled"),
            (seconds_of(Appointment.booked_at) - seconds_of(WaitlistEntry.added_at)).label("to_fill"),
        )
        .select_from(WaitlistEntry)
        .outerjoin(Appointment, Appointment.id == WaitlistEntry.converted_to)
        .join(offsets, where)
        .where(
            WaitlistEntry.added_at >= days.start,
            WaitlistEntry.added_at < days.end,
            wanted | doctor.is_(None) if asked.anybody else wanted,
            *([] if asked.kind is None else [WaitlistEntry.type_code == asked.kind]),
        )
        .cte("entries")
    )


def _joined(entries: CTE) -> Any:
    """By key: how many, how many of them were filled, and the median of how long that took."""
    return _with_medians(entries, entries.c.to_fill, [func.count(), func.sum(entries.c.filled)])


def _available(session: Session, asked: Asked, by: str, days: Days, settings: Settings) -> Iterable[tuple[Any, int]]:
    if by == "type" or asked.kind is not None:
        return ()
    table = working_minutes.worked(session, asked.doctors, days, settings.clinic_name)
    return working_minutes.seconds(session, table, by, asked.location).items()


def _with_medians(table: CTE, value: ColumnElement[Any], sums: Sequence[ColumnElement[Any]]) -> Any:
    """By key: these sums, the median of `value`, and its median over all keys. One statement, so that the database
    makes `table` once."""
    grouped = select(table.c.key, *(each.label(f"sum{n}") for n, each in enumerate(sums))).group_by(table.c.key)
    rows, medians = grouped.cte("grouped"), _median(value, table.c.key, "medians")
    of_key = select(medians.c.median).where(medians.c.key == rows.c.key).scalar_subquery()
    return select(rows, of_key, select(_median(value, literal(0), "overall").c.median).scalar_subquery())


def _median(value: ColumnElement[Any], key: ColumnElement[Any], name: str) -> CTE:
    """By key: the value in the middle, or the mean of the two there."""
    place = func.row_number().over(partition_by=key, order_by=value)
    many = func.count().over(partition_by=key)
    numbered = (
        select(key.label("key"), value.label("value"), place.label("place"), many.label("many"))
        .where(value.is_not(None))
        .subquery()
    )
    # By window and not by a join with the counts, for which PostgreSQL compares each value with each key.
    middle = numbered.c.place.in_([(numbered.c.many + 1) // 2, (numbered.c.many + 2) // 2])
    return (
        select(numbered.c.key, func.avg(numbered.c.value).label("median"))
        .where(middle)
        .group_by(numbered.c.key)
        .cte(name)
    )


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


def _add(total: Sums, row: Sums) -> None:
    for name, count in row.counts.items():
        total.counts[name] += count
    for name in ("busy", "available", "lead", "joined", "filled"):
        setattr(total, name, getattr(total, name) + getattr(row, name))


def _in(unit: int, seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / unit, 2)


# The names of the rows


@dataclass(frozen=True)
class _Names:
    """What the database's keys are called. `labels` are there even when nothing happened, in their order."""

    key: Callable[[Any], str]
    labels: dict[str, str]
    name: Callable[[str], str] = str

    def label(self, key: str) -> str:
        return self.labels.get(key) or self.name(key)

    def order(self, key: str) -> tuple[int, str]:
        known = list(self.labels)
        return (known.index(key) if key in known else len(known), key)


def _names(session: Session, asked: Asked) -> _Names:
    match asked.by:
        case "doctor":
            usernames = {doctor.id: doctor.username for doctor in asked.doctors}
            labels = {doctor.username: doctor.name for doctor in asked.doctors}
            return _Names(lambda key: usernames.get(key, ANY_DOCTOR), labels, lambda _key: "Any doctor")
        case "type":
            kinds = session.scalars(select(AppointmentType).order_by(AppointmentType.position, AppointmentType.code))
            return _Names(str, {kind.code: kind.name for kind in kinds})
        case "weekday":
            return _Names(str, {str(number): name for number, name in enumerate(_WEEKDAYS)})
        case "hour":
            return _Names(lambda key: f"{int(key):02d}", {})
        case "month":
            return _Names(lambda key: f"{int(key) // 12:04d}-{int(key) % 12 + 1:02d}", {})
        case "week":
            return _Names(lambda key: f"{_monday(int(key)):%G-W%V}", {})
        case "day":
            return _Names(lambda key: (date(1970, 1, 1) + timedelta(days=int(key))).isoformat(), {})
    return _Names(str, {})


def _monday(week: int) -> date:
    return date(1969, 12, 29) + timedelta(weeks=week)
