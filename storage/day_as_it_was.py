"""What a doctor's day looked like at a given moment, from the versions of every object; and what has changed since.

Built of the texts as they stood then, never of the tables that are derived from them: those know only the present.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from ical import appointment as appointment_text
from ical import leave, lines, recurrence, timezones
from ical.diary import midnight
from storage import audit, occurrences, visits
from storage.models import Account, Appointment, CalendarObject, Collection, Version, Visit
from storage.policy import Actor

_KINDS = ("appointments", "hours", "leave")
_EXPANDED = ("appointment", "copy", "block", "hours", "leave")
# Texts that may lie on any day, wherever they begin. The rules of time zones, which nearly every text has, are yearly.
_REPEATING = ("FREQ=HOURLY", "FREQ=DAILY", "FREQ=WEEKLY", "FREQ=MONTHLY")

Since = Literal["same", "moved", "changed", "gone", "new"]


@dataclass(frozen=True)
class Entry:
    """One occurrence of something in the calendar as it stood then; `seq` is the version's. `reason` is clinical."""

    object_id: int
    seq: int
    uid: str
    # As the object's kind: appointment, copy, block, hours, leave
    kind: str
    recurrence_id: str
    start: datetime
    end: datetime
    all_day: bool
    status: str
    title: str
    appointment_id: UUID | None = None
    type_code: str = ""
    patient_id: UUID | None = None
    patient_name: str = ""
    reason: str = ""

    @property
    def said(self) -> tuple[object, ...]:
        """All but when it is: the status first."""
        return self.status, self.title, self.type_code, self.patient_id, self.reason

    @property
    def key(self) -> tuple[str, str]:
        return self.uid, self.recurrence_id


@dataclass(frozen=True)
class Pair:
    """Something then, and what it is now; None where it was or is not there on that day."""

    then: Entry | None
    now: Entry | None

    @property
    def since(self) -> Since:
        if self.then is None or self.now is None:
            return "new" if self.then is None else "gone"
        if (self.then.start, self.then.end) != (self.now.start, self.now.end):
            return "moved"
        return "same" if self.then.said == self.now.said else "changed"

    @property
    def can_be_put_back(self) -> bool:
        """Whether the former version says more than another status, for which there are steps."""
        if self.then is None or self.then.kind == "copy":
            return False
        return self.since in ("gone", "moved") or (self.now is not None and self.then.said[1:] != self.now.said[1:])

    @property
    def entry(self) -> Entry:
        found = self.then or self.now
        assert found is not None
        return found


def as_of(session: Session, doctor: Account, day: date, moment: datetime) -> list[Entry]:
    """The doctor's local day as it stood at `moment`, in order of time. What was not there, or not any more, is not."""
    zone = timezones.zone(doctor.timezone)
    start, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    found = []
    for object_id, uid, kind, seq, text in session.execute(_versions(session, doctor, day, start, end, moment)):
        assert text is not None
        calendar = lines.parse(text)
        for each in recurrence.occurrences(calendar, zone, start, end):
            found.append(_entry(object_id, uid, kind, seq, each, doctor))
    return sorted(found, key=lambda each: (each.start, each.end, each.key))


def beside_now(session: Session, doctor: Account, day: date, moment: datetime, now: datetime) -> list[Pair]:
    """The day as it stood, each entry beside what it is now, in order of time."""
    then = {entry.key: entry for entry in as_of(session, doctor, day, moment)}
    present = {entry.key: entry for entry in as_of(session, doctor, day, now)}
    pairs = [Pair(then.get(key), present.get(key)) for key in then.keys() | present.keys()]
    return sorted(pairs, key=lambda pair: (pair.entry.start, pair.entry.end, pair.entry.key))


def looked_at(session: Session, actor: Actor, doctor: Account, day: date, moment: datetime, now: datetime) -> None:
    """The audit knows who looked at which day."""
    detail = {"day": day.isoformat(), "at": moment.isoformat()}
    audit.record(session, actor, "day.read", f"account:{doctor.id}", detail, now)


def _versions(
    session: Session, doctor: Account, day: date, start: datetime, end: datetime, moment: datetime
) -> Select[int, str, str, int, str | None]:
    """(object, uid, kind, seq, text) of what was in the calendars then and may lie on this day: what has not changed
    since lies where it is expanded; of the rest the text says it."""
    here = occurrences.in_range(session, start, end, owner_ids=[doctor.id], kinds=_EXPANDED)
    known = aliased(Version)
    latest = (
        select(func.max(known.id))
        .where(known.object_id == CalendarObject.id, known.written_at <= moment)
        .correlate(CalendarObject)
        .scalar_subquery()
    )
    # A visit begins on its day; in UTC, or in another zone, on the one beside it.
    near = [f"%:{day + timedelta(days=shift):%Y%m%d}T%" for shift in (-2, -1, 0, 1)]
    series = (
        select(Visit.appointment_id)
        .join(Appointment, Appointment.id == Visit.appointment_id)
        .where(Appointment.object_id == CalendarObject.id, Visit.recurrence_id != "")
    )
    changed = and_(
        CalendarObject.changed_at > moment,
        or_(
            CalendarObject.kind != "appointment",
            series.exists(),
            *(Version.stored_text.like(pattern) for pattern in near),
            *(Version.stored_text.like(f"%{name}%") for name in _REPEATING),
        ),
    )
    return (
        select(CalendarObject.id, CalendarObject.uid, CalendarObject.kind, Version.seq, Version.stored_text)
        .join(Collection, Collection.id == CalendarObject.collection_id)
        .join(Version, Version.id == latest)
        .where(
            Collection.owner_id == doctor.id,
            Collection.kind.in_(_KINDS),
            Version.stored_text.is_not(None),
            or_(CalendarObject.id.in_({each.object_id for each in here}), changed),
        )
    )


def _entry(object_id: int, uid: str, kind: str, seq: int, found: recurrence.Occurrence, doctor: Account) -> Entry:
    component = found.component
    entry = Entry(
        object_id=object_id,
        seq=seq,
        uid=uid,
        kind=kind,
        recurrence_id=found.recurrence_id,
        start=found.start,
        end=found.end,
        all_day=found.all_day,
        status=(component.value("STATUS") or "").lower(),
        title=component.plain("SUMMARY").strip(),
    )
    if appointment_text.is_appointment(component):
        facts = appointment_text.read(component, timezones.zone(doctor.timezone))
        return replace(
            entry,
            kind="appointment",
            status=facts.status,
            title=facts.type_name,
            appointment_id=visits.id_of(uid),
            type_code=facts.type_code,
            patient_id=facts.patient_id,
            patient_name=facts.patient_name,
            reason=facts.reason,
        )
    if kind == "leave":
        return replace(entry, status=leave.read_status(component), title=leave.reason(component))
    return entry


def title(entry: Entry, *, own: bool) -> str:
    """What it is called; what a doctor has blocked for themselves, only for the doctor."""
    return entry.title if own or entry.kind not in ("block", "copy") else "Blocked"
