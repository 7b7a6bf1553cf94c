"""A stale copy that an app wrote without a condition: what it did not change is as it is now. A three-way merge.

Evolution writes without If-Match by default, Thunderbird does when its user insists. Its copy is then compared with
the version that it was made of, and what is equal there is replaced by what is stored now, before the PUT is merged.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from ical import compare
from ical.appointment import category_list
from ical.lines import Component, parse
from ical.recurrence import master
from ical.served import served
from ical.times import span, utc_text
from ical.vcalendar import sequence_of

_TEXTS = ("SUMMARY", "DESCRIPTION", "LOCATION", "STATUS", "CLASS", "COLOR", "PRIORITY")
_TIMES = ("DTSTART", "DTEND", "DURATION")


def base_of(put: Component, current: Component, versions: Iterable[str]) -> Component | None:
    """The version that the app's copy was made of, among the stored texts that there were, the newest first.

    None when that is the current one, or cannot be told. Evolution keeps DTSTAMP as it was; Thunderbird sets its own
    but never takes SEQUENCE back, so a lower one is that of a copy from before the last move. Of an app that makes the
    event anew, without our URL, it says nothing.
    """
    made_of, now = _head(put), _head(current)
    if made_of.value("DTSTAMP") == now.value("DTSTAMP"):
        return None
    kept = made_of.first("SEQUENCE") is not None and made_of.value("URL") == now.value("URL") is not None
    older = kept and sequence_of(made_of) < sequence_of(now)
    for text in versions:
        version = parse(text)
        head = _head(version)
        if head.value("DTSTAMP") == made_of.value("DTSTAMP"):
            return version
        if older and sequence_of(head) <= sequence_of(made_of):
            return version
    return None


@dataclass(frozen=True)
class _Side:
    """A component as one of the three has it, with the calendar that its time zones stand in."""

    component: Component
    calendar: Component
    zone: ZoneInfo

    def when(self) -> tuple[datetime, datetime, bool] | None:
        return None if self.component.first("DTSTART") is None else span(self.component, self.zone, self.calendar)

    def moments(self, name: str) -> set[datetime]:
        return compare.moments(self.component, name, self.calendar, self.zone)

    def rules(self) -> list[dict[str, list[str]]]:
        return sorted(map(compare.rule, self.component.lines("RRULE")), key=repr)

    def alarms(self) -> list[list[str]]:
        return sorted(map(compare.alarm_key, self.component.components("VALARM")))

    def visible(self) -> tuple[object, ...]:
        return (self.when(), *(_said(self.component, name) for name in _TEXTS))


def rebase(put: Component, base: Component, current: Component, zone: ZoneInfo) -> Component:
    """`put` with what it has in common with `base` taken from `current`. Both are stored forms."""
    result = put.copy()
    calendars = (result, parse(served(base)), parse(served(current)))
    heads = [_Side(head, each, zone) for each in calendars if (head := master(each)) is not None]
    if len(heads) == len(calendars):
        _rebase_component(*heads)
        _rebase_repetition(*heads)
    theirs, before, now = (
        {name: _Side(override, each, zone) for name, override in compare.by_id(each, zone).items()}
        for each in calendars
    )
    for recurrence_id, override in theirs.items():
        if recurrence_id not in before:
            continue
        if recurrence_id in now:
            _rebase_component(override, before[recurrence_id], now[recurrence_id])
        elif override.visible() == before[recurrence_id].visible():
            result.children = [child for child in result.children if child is not override.component]
    result.children += [now[each].component.copy() for each in now if each not in before and each not in theirs]
    return result


def _rebase_component(mine: _Side, old: _Side, new: _Side) -> None:
    event = mine.component
    if mine.when() == old.when():
        event.remove(*_TIMES)
        start, end, _all_day = span(new.component, new.zone, new.calendar)
        event.add("DTSTART", utc_text(start))
        event.add("DTEND", utc_text(end))
    for name in _TEXTS:
        if event.first(name) is not None and _said(event, name) == _said(old.component, name):
            _take(event, new.component, name)
    if sorted(category_list(event)) == sorted(category_list(old.component)):
        _take(event, new.component, "CATEGORIES")
    if mine.alarms() == old.alarms():
        event.children = [*event.lines(), *(alarm.copy() for alarm in new.component.components("VALARM"))]


def _rebase_repetition(mine: _Side, old: _Side, new: _Side) -> None:
    event = mine.component
    if mine.rules() == old.rules():
        _take(event, new.component, "RRULE")
    if mine.moments("RDATE") == old.moments("RDATE"):
        _take(event, new.component, "RDATE")
    theirs, before = mine.moments("EXDATE"), old.moments("EXDATE")
    event.remove("EXDATE")
    for moment in sorted((new.moments("EXDATE") | (theirs - before)) - (before - theirs)):
        event.add("EXDATE", utc_text(moment))


def _head(calendar: Component) -> Component:
    return master(calendar) or calendar.components("VEVENT")[0]


def _said(component: Component, name: str) -> list[str]:
    return compare.text_lines(component.plain(name))


def _take(mine: Component, new: Component, name: str) -> None:
    mine.remove(name)
    for line in new.lines(name):
        mine.insert(line)
