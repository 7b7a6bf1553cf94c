"""Series: one RRULE booked at once, with a decision for each occurrence that is not free. RFC 5545 §3.8.5."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import guard, recurrence, times, timezones
from ical.diary import booking_horizon, lengths_at
from ical.errors import Refusal, SeriesConflict, SlotTaken
from ical.lines import Component
from storage import booking_rules, claims, diary, drafts, slots
from storage.models import Account, AppointmentType
from storage.policy import Actor

_ALTERNATIVES = 3
_ALTERNATIVES_WITHIN = timedelta(days=14)


@dataclass(frozen=True)
class OccurrenceResult:
    """What became of one occurrence of a booked series. `outcome`: booked, skipped or moved."""

    recurrence_id: str
    start: datetime
    end: datetime
    outcome: str


def plan(
    session: Session, doctor: Account, new: drafts.NewAppointment, actor: Actor, now: datetime
) -> tuple[Component, list[OccurrenceResult]]:
    """The event of a whole series, every occurrence checked, with the ones in conflict decided as asked."""
    zone = timezones.zone(doctor.timezone)
    resource = claims.resource_of(session, doctor.id) or 0
    book = diary.around(session, doctor, new.start, now)
    lengths = lengths_at(book.windows, diary.kind_of(new.kind), new.start)
    length = lengths[0] if lengths else timedelta(minutes=doctor.slot_minutes)
    calendar = drafts.event(session, doctor, new, new.start + length, now)
    guard.check(calendar.text().encode())
    until = recurrence.last_end(calendar, zone)
    if until is None:
        # "Every week" reaches as far as can be booked, and is not taken up again behind that by itself.
        horizon = booking_horizon(diary.kind_of(new.kind), now, zone)
        until = max(horizon, new.start + length) - timedelta(seconds=1)
        head = recurrence.master(calendar) or calendar.components("VEVENT")[0]
        head.set("RRULE", f"{(new.rrule or '').strip().rstrip(';')};UNTIL={times.utc_text(until)}")
    results, conflicts = [], []
    for occurrence in recurrence.occurrences(calendar, zone, new.start, until, limit=500):
        result = OccurrenceResult(occurrence.recurrence_id, occurrence.start, occurrence.end, "booked")
        try:
            booking_rules.check(session, doctor, resource, occurrence.start, new.kind, actor, now, length=length)
        except Refusal:
            nearest = _nearest(session, doctor, occurrence.start, new.kind, now)
            if new.on_conflict == "skip":
                recurrence.add_exdate(calendar, occurrence.recurrence_id, zone)
                result = OccurrenceResult(occurrence.recurrence_id, occurrence.start, occurrence.end, "skipped")
            elif new.on_conflict == "move" and nearest:
                override = recurrence.make_override(calendar, occurrence.recurrence_id, zone)
                appointment_text.set_times(override, nearest[0], nearest[0] + length, zone, now)
                result = OccurrenceResult(occurrence.recurrence_id, nearest[0], nearest[0] + length, "moved")
            else:
                conflicts.append((occurrence.start, nearest))
        results.append(result)
    if conflicts:
        raise SeriesConflict(conflicts)
    if not any(result.outcome != "skipped" for result in results):
        raise SlotTaken("None of these times is free.")
    return calendar, results


def _nearest(
    session: Session, doctor: Account, start: datetime, kind: AppointmentType, now: datetime
) -> list[datetime]:
    """The free times nearest to `start`, at most three of them."""
    first = max(start - _ALTERNATIVES_WITHIN, now)
    found = slots.free_slots(session, [doctor], first, start + _ALTERNATIVES_WITHIN, kind, now)
    return sorted((slot.start for slot in found), key=lambda at: (abs(at - start), at))[:_ALTERNATIVES]
