"""What is different between two texts of a calendar object, in words for people."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ical import appointment, leave
from ical.compare import alarm_key, by_id, moments, rule, text_lines
from ical.hours import read_hours
from ical.lines import Component
from ical.recurrence import master
from ical.status import STATUSES
from ical.times import parse_utc_text, span

_PRIVATE = (
    ("reason", "Reason", appointment.REASON),
    ("patient_notes", "The patient's notes", appointment.PATIENT_NOTES),
    ("doctor_notes", "Private notes", appointment.DOCTOR_NOTES),
)


@dataclass(frozen=True)
class Change:
    """One difference. `text` is for whoever may read clinical texts, `discreet` for everybody else who may look."""

    what: str
    text: str
    discreet: str

    def said(self, *, clinical: bool) -> str:
        return self.text if clinical else self.discreet


def between(old: Component | None, new: Component | None, zone: ZoneInfo) -> list[Change]:
    """What somebody did who made `new` of `old`; None where it is not in the calendar."""
    if old is None and new is None:
        return []
    if old is None:
        return [_plain("made", "Made.")]
    if new is None:
        return [_plain("gone", "Taken out of the calendar.")]
    before, after = _head(old), _head(new)
    found = list(_of_component(before, after, old, new, zone))
    found += _of_series(before, after, old, new, zone)
    olds, news = by_id(old, zone), by_id(new, zone)
    for recurrence_id in sorted(olds.keys() | news.keys()):
        was, is_now = olds.get(recurrence_id), news.get(recurrence_id)
        found += _of_override(recurrence_id, was, is_now, old, new, zone)
    return found


def _plain(what: str, text: str) -> Change:
    return Change(what, text, text)


def _head(calendar: Component) -> Component:
    return master(calendar) or calendar.components("VEVENT", "VTODO", "VJOURNAL")[0]


def _of_component(
    before: Component, after: Component, old: Component, new: Component, zone: ZoneInfo
) -> Iterator[Change]:
    yield from _of_times(before, after, old, new, zone)
    yield from _of_status(before, after)
    yield from _of_hours(before, after)
    yield from _of_titles(before, after)
    for name, word in (("LOCATION", "Place"), ("CONFERENCE", "Video link")):
        if before.plain(name) != after.plain(name):
            yield _plain("place", f"{word}: {_quoted(before.plain(name))} became {_quoted(after.plain(name))}.")
    for what, word, name in _PRIVATE:
        was, is_now = before.plain(name), after.plain(name)
        if text_lines(was) != text_lines(is_now):
            yield Change(what, f"{word}: {_quoted(was)} became {_quoted(is_now)}.", f"{word} changed.")
    if not appointment.is_appointment(after) and text_lines(before.plain("DESCRIPTION")) != text_lines(
        after.plain("DESCRIPTION")
    ):
        yield Change("description", f"Text: {_quoted(after.plain('DESCRIPTION'))}.", "The text changed.")
    if _alarms(before) != _alarms(after):
        yield _plain("reminders", "Reminders changed.")


def _of_times(before: Component, after: Component, old: Component, new: Component, zone: ZoneInfo) -> Iterator[Change]:
    was, is_now = span(before, zone, old), span(after, zone, new)
    if was == is_now:
        return
    if was[0] == is_now[0] and not (was[2] or is_now[2]):
        yield _plain("time", f"Ends at {_clock(is_now[1], zone)} instead of {_clock(was[1], zone)}.")
    else:
        yield _plain("time", f"Moved from {_when(was, zone)} to {_when(is_now, zone)}.")


def _of_status(before: Component, after: Component) -> Iterator[Change]:
    if appointment.is_appointment(after):
        was, is_now = STATUSES[appointment.status_of(before)], STATUSES[appointment.status_of(after)]
    elif after.value(appointment.KIND) == "leave":
        was, is_now = leave.read_status(before).capitalize(), leave.read_status(after).capitalize()
    else:
        was, is_now = ((each.value("STATUS") or "").capitalize() for each in (before, after))
    if was != is_now:
        yield _plain("status", f"{was or 'No status'} became {is_now or 'no status'}.")
    elif (appointment.pending_cancel(before) is None) != (appointment.pending_cancel(after) is None):
        pending = appointment.pending_cancel(after) is not None
        yield _plain("status", "Cancelled in a calendar app." if pending else "The cancellation was taken back.")


def _of_titles(before: Component, after: Component) -> Iterator[Change]:
    if appointment.is_appointment(after):
        was, is_now = _type(before), _type(after)
        if was != is_now:
            yield _plain("type", f"{was} became {is_now}.")
        patients = [line.param("CN") if (line := appointment.patient_line(each)) else "" for each in (before, after)]
        if patients[0] != patients[1]:
            yield _plain("patient", "The patient's name or address changed.")
        doctors = [each.first("ORGANIZER") for each in (before, after)]
        names = [line.param("CN") or "" if line is not None else "" for line in doctors]
        if names[0] != names[1]:
            yield _plain("doctor", f"With {names[1]} instead of {names[0]}.")
        return
    title = leave.reason if after.value(appointment.KIND) == "leave" else _summary
    if title(before) != title(after):
        text = f"Title: {_quoted(title(before))} became {_quoted(title(after))}."
        yield Change("title", text, "The title changed.")


def _of_hours(before: Component, after: Component) -> Iterator[Change]:
    if after.value(appointment.KIND) != "hours":
        return
    was, is_now = read_hours(before, 0, 1), read_hours(after, 0, 1)
    if was.slot_minutes != is_now.slot_minutes:
        yield _plain("slot", f"{is_now.slot_minutes} minutes a slot instead of {was.slot_minutes}.")
    if was.capacity != is_now.capacity:
        yield _plain("capacity", f"{is_now.capacity} at a time instead of {was.capacity}.")
    if was.types != is_now.types:
        yield _plain("types", f"For {', '.join(is_now.types) or 'every type'}.")


def _of_series(before: Component, after: Component, old: Component, new: Component, zone: ZoneInfo) -> Iterator[Change]:
    if [rule(line) for line in before.lines("RRULE")] != [rule(line) for line in after.lines("RRULE")]:
        yield _plain("repetition", "Repeats in another way." if after.first("RRULE") else "Does not repeat any more.")
    off, off_now = moments(before, "EXDATE", old, zone), moments(after, "EXDATE", new, zone)
    extra, extra_now = moments(before, "RDATE", old, zone), moments(after, "RDATE", new, zone)
    for each in sorted((off_now - off) | (extra - extra_now)):
        yield _plain("one_gone", f"Not on {_day(each, zone)} any more.")
    for each in sorted((off - off_now) | (extra_now - extra)):
        yield _plain("one_more", f"On {_day(each, zone)} as well.")


def _of_override(
    recurrence_id: str, was: Component | None, is_now: Component | None, old: Component, new: Component, zone: ZoneInfo
) -> Iterator[Change]:
    day = _day(parse_utc_text(recurrence_id), zone)
    if was is not None and is_now is not None:
        for each in _of_component(was, is_now, old, new, zone):
            yield replace(each, text=f"{day}: {each.text}", discreet=f"{day}: {each.discreet}")
    elif is_now is not None:
        yield _plain("one_changed", f"{day}: now {_when(span(is_now, zone, new), zone)}{_state(is_now)}.")
    else:
        yield _plain("one_changed", f"{day}: like the others again.")


def _state(component: Component) -> str:
    if not appointment.is_appointment(component):
        return ""
    return f", {STATUSES[appointment.status_of(component)].lower()}"


def _type(component: Component) -> str:
    return next(iter(appointment.category_list(component)), "")


def _summary(component: Component) -> str:
    return component.plain("SUMMARY").strip()


def _alarms(component: Component) -> list[list[str]]:
    return sorted(alarm_key(alarm) for alarm in component.components("VALARM"))


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return f"“{text[:120]}{'…' if len(text) > 120 else ''}”" if text else "nothing"


def _when(times: tuple[datetime, datetime, bool], zone: ZoneInfo) -> str:
    start, end, all_day = times
    if not all_day:
        return f"{_day(start, zone)}, {_clock(start, zone)}–{_clock(end, zone)}"
    last = end - timedelta(seconds=1)
    first, final = _day(start, zone), _day(last, zone)
    return first if first == final else f"{first} to {final}"


def _day(moment: datetime, zone: ZoneInfo) -> str:
    local = moment.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b %Y}"


def _clock(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%H:%M}"
