"""Whether a calendar object passes a filter. RFC 4791 §7.8.1, §9.9."""

from datetime import datetime, timedelta, tzinfo

from caldav_bridge.filters import BEGINNING, END, CompFilter, TimeRange
from ical import recurrence, times
from ical.errors import InvalidCalendarData, InvalidInput, Refusal, TooManyInstances
from ical.lines import Component

_DAY = timedelta(days=1)
# An alarm further from its event than this goes off in no range.
_REACH_OF_ALARMS = timedelta(days=366 * 100)


def matches(wanted: CompFilter, calendar: Component, zone: tzinfo) -> bool:
    """Whether a calendar object (a VCALENDAR) passes. `zone` is that of floating times."""
    if wanted.absent:
        return False
    if not all(prop.matches(calendar, zone, calendar) for prop in wanted.props):
        return False
    return all(_some_component(comp, calendar, zone) for comp in wanted.comps)


def _some_component(wanted: CompFilter, calendar: Component, zone: tzinfo) -> bool:
    found = calendar.components(wanted.name)
    if wanted.absent:
        return not found
    if wanted.time_range is None:
        return any(_holds(wanted, component, calendar, zone) for component in found)
    within = {"VEVENT": _events_in, "VTODO": _todos_in, "VJOURNAL": _journals_in}.get(wanted.name)
    if within is None:
        return False
    return any(_holds(wanted, entry, calendar, zone) for entry in within(calendar, zone, wanted.time_range))


def _events_in(calendar: Component, zone: tzinfo, span: TimeRange) -> list[Component]:
    """The VEVENTs with an occurrence in the range: the master, overrides, or both."""
    found = []
    for override in recurrence.overrides(calendar):
        start, end, _all_day = times.span(override, zone, calendar)
        if span.holds(start, end):
            found.append(override)
    head = recurrence.master(calendar)
    if head is not None and _nearby(head, calendar, zone, span):
        found.append(head)
    return found


def _nearby(component: Component, calendar: Component, zone: tzinfo, span: TimeRange) -> list[recurrence.Occurrence]:
    """Occurrences of one component in the range, as far as it takes to find some: not a daily series to its end."""
    first = max(span.first, times.span(component, zone, calendar)[0] - 2 * _DAY)
    for years in (1, 10, 1000):
        last = min(span.last, first + min(timedelta(days=366 * years), END - first))
        if first >= last:
            return []
        try:
            found = recurrence.occurrences(calendar, zone, first, last)
        except TooManyInstances:
            found = recurrence.occurrences(calendar, zone, first, first + _DAY * 366)
        own = [occurrence for occurrence in found if occurrence.component is component]
        if own or last == span.last:
            return own
    return []


def _holds(wanted: CompFilter, component: Component, calendar: Component, zone: tzinfo) -> bool:
    if not all(prop.matches(component, zone, calendar) for prop in wanted.props):
        return False
    return all(_has_inner(inner, component, calendar, zone) for inner in wanted.comps)


def _has_inner(wanted: CompFilter, component: Component, calendar: Component, zone: tzinfo) -> bool:
    found = component.components(wanted.name)
    if wanted.absent:
        return not found
    for inner in found:
        if wanted.time_range is not None and not (
            inner.name == "VALARM" and _alarm_in(inner, component, calendar, zone, wanted.time_range)
        ):
            continue
        if _holds(wanted, inner, calendar, zone):
            return True
    return False


def _moment(component: Component, name: str, zone: tzinfo, calendar: Component) -> datetime | None:
    line = component.first(name)
    if line is None:
        return None
    try:
        return times.instant(times.read_time(line, zone, calendar), zone)
    except Refusal:
        return None


def _todos_in(calendar: Component, zone: tzinfo, span: TimeRange) -> list[Component]:
    """The VTODOs that are to be done in the range; a series by any of its instances."""
    return [
        todo
        for todo in calendar.components("VTODO")
        if (_nearby(todo, calendar, zone, span) if _is_series(todo) else _todo_in(todo, span, zone, calendar))
    ]


def _is_series(component: Component) -> bool:
    return component.first("RRULE") is not None or component.first("RDATE") is not None


def _todo_in(component: Component, span: TimeRange, zone: tzinfo, calendar: Component) -> bool:
    """The table of RFC 4791 §9.9 for VTODO."""
    first, last = span.first, span.last
    start = _moment(component, "DTSTART", zone, calendar)
    due = _moment(component, "DUE", zone, calendar)
    duration = component.value("DURATION")
    if start is not None and duration is not None:
        end = start + times.read_duration(duration)
        return first <= end and (last > start or last >= end)
    if start is not None and due is not None:
        return (first < due or first <= start) and (last > start or last >= due)
    if start is not None:
        return first <= start < last
    if due is not None:
        return first < due <= last
    completed = _moment(component, "COMPLETED", zone, calendar)
    created = _moment(component, "CREATED", zone, calendar)
    if completed is not None and created is not None:
        return (first <= created or first <= completed) and (last >= created or last >= completed)
    if completed is not None:
        return first <= completed <= last
    return created is None or last > created


def _journals_in(calendar: Component, zone: tzinfo, span: TimeRange) -> list[Component]:
    return [
        journal
        for journal in calendar.components("VJOURNAL")
        if (
            _nearby(journal, calendar, zone, span)
            if _is_series(journal)
            else _journal_in(journal, span, zone, calendar)
        )
    ]


def _journal_in(component: Component, span: TimeRange, zone: tzinfo, calendar: Component) -> bool:
    start = _moment(component, "DTSTART", zone, calendar)
    if start is None:
        return False
    line = component.first("DTSTART")
    whole_day = line is not None and len(line.value) == 8
    return span.holds(start, start + _DAY if whole_day else start)


def _alarm_in(alarm: Component, component: Component, calendar: Component, zone: tzinfo, span: TimeRange) -> bool:
    """Whether the alarm, or one of its repetitions, goes off within the range."""
    trigger = alarm.first("TRIGGER")
    if trigger is None:
        return False
    try:
        repeats = int(alarm.value("REPEAT") or 0)
        pause = times.read_duration(alarm.value("DURATION") or "PT0S")
        shifts = [pause * n for n in range(min(repeats, 100) + 1)]
        if trigger.param("VALUE") == "DATE-TIME":
            anchors, offset = [times.instant(times.read_time(trigger, zone, calendar), zone)], timedelta()
        else:
            anchors, offset = None, times.read_duration(trigger.value)
        reach = abs(offset) + max(shifts)
    except (InvalidCalendarData, InvalidInput, ValueError, OverflowError):
        return False
    if reach > _REACH_OF_ALARMS:
        return False
    if anchors is None:
        at_end = (trigger.param("RELATED") or "").upper() == "END"
        anchors = _anchors(component, calendar, zone, span.wider(reach + _DAY), at_end=at_end)
    moments = (anchor + offset + shift for anchor in anchors if BEGINNING < anchor < END for shift in shifts)
    return any(span.holds(moment, moment) for moment in moments)


def _anchors(
    component: Component, calendar: Component, zone: tzinfo, span: TimeRange, *, at_end: bool
) -> list[datetime]:
    """The beginnings or ends of the instances about the range, from which alarms are counted."""
    if component.name == "VTODO" and not _is_series(component):
        anchor = _moment(component, "DUE" if at_end else "DTSTART", zone, calendar)
        return [] if anchor is None else [anchor]
    found = _nearby(component, calendar, zone, span)
    return [occurrence.end if at_end else occurrence.start for occurrence in found]
