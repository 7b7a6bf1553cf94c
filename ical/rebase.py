"""A stale copy that an app wrote without a condition: what it did not change is as it is now. A three-way merge.

Evolution writes without If-Match by default, Thunderbird does when its user insists. Its copy is then compared with
the version that it was made of, and what is equal there is replaced by what is stored now, before the PUT is merged.
"""

from collections.abc import Iterable
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


def rebase(put: Component, base: Component, current: Component, zone: ZoneInfo) -> Component:
    """`put` with what it has in common with `base` taken from `current`. Both are stored forms."""
    result = put.copy()
    old, new = parse(served(base)), parse(served(current))
    old_head, new_head, head = master(old), master(new), master(result)
    if head is not None and old_head is not None and new_head is not None:
        _rebase_component(head, result, old_head, old, new_head, new, zone)
        _rebase_repetition(head, result, old_head, old, new_head, new, zone)
    theirs, before, now = (compare.by_id(calendar, zone) for calendar in (result, old, new))
    for recurrence_id, override in theirs.items():
        if recurrence_id not in before:
            continue
        if recurrence_id in now:
            _rebase_component(override, result, before[recurrence_id], old, now[recurrence_id], new, zone)
        elif _visible(override, result, zone) == _visible(before[recurrence_id], old, zone):
            result.children = [child for child in result.children if child is not override]
    result.children += [now[each].copy() for each in now if each not in before and each not in theirs]
    return result


def _rebase_component(
    mine: Component,
    put: Component,
    old: Component,
    base: Component,
    new: Component,
    current: Component,
    zone: ZoneInfo,
) -> None:
    if _when(mine, put, zone) == _when(old, base, zone):
        mine.remove(*_TIMES)
        start, end, _all_day = span(new, zone, current)
        mine.add("DTSTART", utc_text(start))
        mine.add("DTEND", utc_text(end))
    for name in _TEXTS:
        if mine.first(name) is not None and _said(mine, name) == _said(old, name):
            _take(mine, new, name)
    if sorted(category_list(mine)) == sorted(category_list(old)):
        _take(mine, new, "CATEGORIES")
    alarms = [sorted(map(compare.alarm_key, each.components("VALARM"))) for each in (mine, old)]
    if alarms[0] == alarms[1]:
        mine.children = [*mine.lines(), *(alarm.copy() for alarm in new.components("VALARM"))]


def _rebase_repetition(
    mine: Component,
    put: Component,
    old: Component,
    base: Component,
    new: Component,
    current: Component,
    zone: ZoneInfo,
) -> None:
    rules = [sorted(map(compare.rule, each.lines("RRULE")), key=repr) for each in (mine, old)]
    if rules[0] == rules[1]:
        _take(mine, new, "RRULE")
    if compare.moments(mine, "RDATE", put, zone) == compare.moments(old, "RDATE", base, zone):
        _take(mine, new, "RDATE")
    theirs, before = compare.moments(mine, "EXDATE", put, zone), compare.moments(old, "EXDATE", base, zone)
    mine.remove("EXDATE")
    for moment in sorted((compare.moments(new, "EXDATE", current, zone) | (theirs - before)) - (before - theirs)):
        mine.add("EXDATE", utc_text(moment))


def _head(calendar: Component) -> Component:
    return master(calendar) or calendar.components("VEVENT")[0]


def _when(component: Component, calendar: Component, zone: ZoneInfo) -> tuple[datetime, datetime, bool] | None:
    return None if component.first("DTSTART") is None else span(component, zone, calendar)


def _visible(component: Component, calendar: Component, zone: ZoneInfo) -> tuple[object, ...]:
    return (_when(component, calendar, zone), *(_said(component, name) for name in _TEXTS))


def _said(component: Component, name: str) -> list[str]:
    return compare.text_lines(component.plain(name))


def _take(mine: Component, new: Component, name: str) -> None:
    mine.remove(name)
    for line in new.lines(name):
        mine.insert(line)
