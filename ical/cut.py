"""A series cut in two, or moved as a whole: what becomes of its text.

RFC 5545's RANGE=THISANDFUTURE is written by no app that we know and shown by few. A series that changes from some
occurrence on becomes two: the first with an UNTIL, the second with the rest of the rule.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ical import recurrence, rrule
from ical.errors import InvalidInput
from ical.lines import Component, Line
from ical.times import instant, read_time, read_times, utc_text

_SECOND = timedelta(seconds=1)
_LISTS = ("EXDATE", "RDATE")


def cut(calendar: Component, at: datetime, zone: ZoneInfo) -> tuple[Component, Component]:
    """The series up to `at`, the moment of one of its occurrences, and the series from then on. Overrides go with their
    occurrences. Raises InvalidInput for one that an app has made of parts that cannot be told apart."""
    before, after = calendar.copy(), calendar.copy()
    _keep(before, zone, lambda moment: moment < at)
    _keep(after, zone, lambda moment: moment >= at)
    head, tail = _master(before), _master(after)
    for line in head.lines("RRULE"):
        line.value, line.raw = rrule.ending(line.value, until=rrule.until_text(at - _SECOND)), ""
    _move_start(tail, calendar, at, zone)
    for line, passed in zip(tail.lines("RRULE"), recurrence.passed(calendar, zone, at), strict=True):
        count = rrule.read_rule(line.value).count
        if count is not None:
            line.value, line.raw = rrule.ending(line.value, count=max(count - passed, 1)), ""
    whole, first, second = (_starts(each, zone) for each in (calendar, before, after))
    if whole != first | second or first.keys() & second.keys():
        raise InvalidInput("This series cannot be divided there. Please change its appointments one by one.")
    return before, after


def shifted(calendar: Component, by: timedelta, zone: ZoneInfo) -> tuple[Component, dict[str, str]] | None:
    """The series with each occurrence `by` later in wall time, and recurrence ids as they were → as they are.

    Overrides keep their own times. None where no rule says that: the third Friday and a day is not the third Saturday.
    """
    moved = calendar.copy()
    head = _master(moved)

    def later_by(moment: datetime) -> datetime:
        return instant((moment.astimezone(zone) + by).replace(tzinfo=None), zone)

    begin = head.first("DTSTART")
    assert begin is not None
    start = instant(read_time(begin, zone, calendar), zone)
    days = (later_by(start).astimezone(zone).date() - start.astimezone(zone).date()).days
    for line in head.lines("RRULE"):
        rotated = rrule.rotated(line.value, days)
        if rotated is None:
            return None
        rule = rrule.read_rule(line.value)
        if rule.until:
            until = instant(read_time(Line("UNTIL", rule.until), zone), zone)
            rotated = rrule.ending(rotated, until=rrule.until_text(later_by(until)))
        line.value, line.raw = rotated, ""
    _move_start(head, calendar, later_by(start), zone)
    for line in [*head.lines("EXDATE"), *head.lines("RDATE")]:
        _rewrite(line, begin, [later_by(moment) for moment in _moments(line, zone, calendar)], zone, calendar)
    for override, original in zip(recurrence.overrides(moved), _originals(moved, zone), strict=True):
        override.set("RECURRENCE-ID", *recurrence.like(begin, later_by(original), zone, calendar))
    ids = {utc_text(moment): utc_text(later_by(moment)) for moment in recurrence.members(calendar, zone)}
    own = {utc_text(o) for o in _originals(calendar, zone)}
    was, is_ = _starts(calendar, zone), _starts(moved, zone)
    wanted = {ids.get(id_, id_): start if id_ in own else later_by(start) for id_, start in was.items()}
    return (moved, ids) if is_ == wanted else None


def _master(calendar: Component) -> Component:
    head = recurrence.master(calendar)
    if head is None or head.first("DTSTART") is None:
        raise InvalidInput("This appointment does not repeat.")
    return head


def _keep(calendar: Component, zone: ZoneInfo, wanted: Callable[[datetime], bool]) -> None:
    """Leave only the overrides, extra and excluded dates of these moments."""
    head = _master(calendar)
    own = zip(recurrence.overrides(calendar), _originals(calendar, zone), strict=True)
    gone: list[Component | Line] = [override for override, moment in own if not wanted(moment)]
    calendar.children = [child for child in calendar.children if not any(child is each for each in gone)]
    for line in [*head.lines("EXDATE"), *head.lines("RDATE")]:
        values = zip(line.value.split(","), _moments(line, zone, calendar), strict=True)
        kept = [value for value, moment in values if wanted(moment)]
        line.value, line.raw = ",".join(kept), ""
    head.children = [
        child for child in head.children if not (child.name in _LISTS and isinstance(child, Line) and not child.value)
    ]


def _originals(calendar: Component, zone: ZoneInfo) -> list[datetime]:
    found = []
    for override in recurrence.overrides(calendar):
        line = override.first("RECURRENCE-ID")
        assert line is not None
        found.append(instant(read_time(line, zone, calendar), zone))
    return found


def _moments(line: Line, zone: ZoneInfo, calendar: Component) -> list[datetime]:
    return [instant(value, zone) for value in read_times(line, zone, calendar)]


def _rewrite(line: Line, begin: Line, moments: Iterable[datetime], zone: ZoneInfo, calendar: Component) -> None:
    """Make the list hold these moments, in the form of DTSTART."""
    like = [recurrence.like(begin, moment, zone, calendar) for moment in moments]
    line.value = ",".join(value for value, _params in like)
    line.params = like[0][1] if like else line.params
    line.raw = ""


def _move_start(head: Component, calendar: Component, start: datetime, zone: ZoneInfo) -> None:
    """Begin the series at `start`, each occurrence as long as it was."""
    begin, end = head.first("DTSTART"), head.first("DTEND")
    assert begin is not None
    old = read_time(begin, zone, calendar)
    if not isinstance(old, datetime):
        raise InvalidInput("A series of whole days cannot be changed here.")
    if end is not None:
        finish = read_time(end, zone, calendar)
        assert isinstance(finish, datetime)
        length = finish.astimezone(old.tzinfo).replace(tzinfo=None) - old.replace(tzinfo=None)
        wall = start.astimezone(old.tzinfo).replace(tzinfo=None) + length
        head.set("DTEND", *recurrence.like(begin, instant(wall, old.tzinfo or zone), zone, calendar))
    head.set("DTSTART", *recurrence.like(begin, start, zone, calendar))


def _starts(calendar: Component, zone: ZoneInfo) -> dict[str, datetime]:
    """Every occurrence within what is kept of a series, by recurrence id."""
    first, last = recurrence.bounds(calendar, zone)
    return {each.recurrence_id: each.start for each in recurrence.occurrences(calendar, zone, first, last)}
