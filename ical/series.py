"""A series that is to be booked or moved: its occurrences, what stands in the way of each, what becomes of each.

What is free is asked of `Times`, which counts what has been chosen so far: occurrences of one series never collide.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

from ical import guard, recurrence
from ical.errors import Conflict, InvalidCalendarData, InvalidInput, Refusal, SlotTaken, TooManyInstances
from ical.lines import Component, Line
from ical.rrule import Rule, ending, read_rule
from ical.times import instant, read_time, set_time, utc_text
from ical.vcalendar import vcalendar

Action = Literal["keep", "skip", "move"]
OnConflict = Literal["refuse", "skip", "move"]

MOST = 500
ALTERNATIVES = 3


@dataclass(frozen=True, slots=True)
class Planned:
    """One occurrence, where the rule has it or somebody wants it."""

    recurrence_id: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody chose for one occurrence: keep it although it is in conflict, skip it, or move it to `start`."""

    action: Action
    start: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """How one occurrence stands: `because` says what is in its way, `alternatives` are the nearest free times."""

    recurrence_id: str
    start: datetime
    end: datetime
    action: Action = "keep"
    because: tuple[Refusal, ...] = ()
    alternatives: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one occurrence. `outcome`: booked, skipped or moved; `overruled`: what said no in vain."""

    recurrence_id: str
    start: datetime
    end: datetime
    outcome: str
    overruled: tuple[Refusal, ...] = ()


class Times(Protocol):
    """Somebody's time, of which what is taken here counts as taken."""

    def why_not(self, start: datetime, end: datetime) -> Sequence[Refusal]: ...

    def may_overrule(self, start: datetime, end: datetime) -> bool: ...

    def take(self, start: datetime, end: datetime) -> None: ...

    def near(self, start: datetime) -> Iterable[datetime]:
        """Free times, the nearest first."""
        ...


def planned(
    start: datetime, length: timedelta, zone: ZoneInfo, rrule: str, horizon: datetime
) -> tuple[str, list[Planned]]:
    """The rule as it is to be stored, and its occurrences; without a rule the one.

    "Every week" reaches as far as can be booked, and is not taken up again behind that by itself. Raises InvalidInput.
    """
    if not rrule:
        return "", [Planned("", start, start + length)]
    event = Component("VEVENT")
    event.add("UID", "series")
    set_time(event, "DTSTART", start, zone)
    set_time(event, "DTEND", start + length, zone)
    event.add("RRULE", rrule)
    calendar = vcalendar(event)
    try:
        rule = read_rule(rrule)
        if rule.count is None:
            until = _until(rule, zone) or max(horizon, start + length) - timedelta(seconds=1)
            event.set("RRULE", ending(rrule, until=utc_text(until)))
        guard.check_object(calendar, "VEVENT")
        last = recurrence.last_end(calendar, zone) or start + length
        found = recurrence.occurrences(calendar, zone, start, last, limit=MOST)
    except TooManyInstances:
        raise InvalidInput(f"A series has at most {MOST} appointments.", field="rrule") from None
    except InvalidCalendarData as refusal:
        raise InvalidInput(refusal.sentence, field="rrule") from None
    if not found:
        raise InvalidInput("The repetition ends before its first appointment.", field="rrule")
    return event.value("RRULE") or "", [Planned(each.recurrence_id, each.start, each.end) for each in found]


def _until(rule: Rule, zone: ZoneInfo) -> datetime | None:
    """The end of the rule. A day is meant to its end, which apps know only of an instant (RFC 5545 §3.3.10)."""
    if not rule.until:
        return None
    value = read_time(Line("UNTIL", rule.until), zone)
    if isinstance(value, datetime):
        return instant(value, zone)
    return instant(value + timedelta(days=1), zone) - timedelta(seconds=1)


def preview(wanted: Sequence[Planned], decisions: Mapping[str, Decision], times: Times) -> list[Outlook]:
    """How each occurrence stands, the decisions carried out."""
    _check(wanted, decisions)
    times = _Own(times)
    found: dict[str, Outlook] = {}
    for each, decision in _in_order(wanted, decisions):
        at = _at(each, decision)
        because = () if decision.action == "skip" else tuple(times.why_not(at.start, at.end))
        if decision.action != "skip" and not because:
            times.take(at.start, at.end)
        found[each.recurrence_id] = Outlook(each.recurrence_id, at.start, at.end, decision.action, because)
    looked = [found[each.recurrence_id] for each in wanted]
    return [_with_alternatives(each, times) if each.because else each for each in looked]


def decide(
    wanted: Sequence[Planned], decisions: Mapping[str, Decision], on_conflict: OnConflict, times: Times
) -> tuple[list[Outcome], list[Conflict]]:
    """What becomes of each occurrence, and those in conflict for which nobody decided anything that works.

    What stays where it is has its minutes first, then what is moved to a chosen time, then what looks for one.
    """
    _check(wanted, decisions)
    times = _Own(times)
    done: dict[str, Outcome] = {}
    open_: list[tuple[Planned, tuple[Refusal, ...]]] = []
    for each, decision in _in_order(wanted, decisions):
        at = _at(each, decision)
        because = () if decision.action == "skip" else tuple(times.why_not(at.start, at.end))
        decided = each.recurrence_id in decisions
        if decision.action == "skip":
            done[each.recurrence_id] = Outcome(each.recurrence_id, each.start, each.end, "skipped")
        elif not because or (decided and decision.action == "keep" and times.may_overrule(at.start, at.end)):
            times.take(at.start, at.end)
            moved = "booked" if at.start == each.start else "moved"
            done[each.recurrence_id] = Outcome(each.recurrence_id, at.start, at.end, moved, because)
        elif not decided and on_conflict == "skip":
            done[each.recurrence_id] = Outcome(each.recurrence_id, each.start, each.end, "skipped")
        else:
            open_.append((at, because))
    conflicts = []
    for each, because in open_:
        start = (
            next(_free(each, times), None) if on_conflict == "move" and each.recurrence_id not in decisions else None
        )
        if start is None:
            conflicts.append((each, because))
            continue
        end = start + (each.end - each.start)
        times.take(start, end)
        done[each.recurrence_id] = Outcome(each.recurrence_id, start, end, "moved")
    outcomes = [done[each.recurrence_id] for each in wanted if each.recurrence_id in done]
    return outcomes, [
        Conflict(each.recurrence_id, each.start, because, tuple(islice(_free(each, times), ALTERNATIVES)))
        for each, because in sorted(conflicts, key=lambda conflict: conflict[0].start)
    ]


def _check(wanted: Sequence[Planned], decisions: Mapping[str, Decision]) -> None:
    """Raises InvalidInput for a decision about what is no occurrence, or one without the time that it needs."""
    known = {each.recurrence_id for each in wanted}
    for at, (recurrence_id, decision) in enumerate(decisions.items()):
        if recurrence_id not in known:
            raise InvalidInput("The series has no such appointment.", field=f"decisions.{at}.recurrence_id")
        if decision.action == "move" and decision.start is None:
            raise InvalidInput("Say when it takes place instead.", field=f"decisions.{at}.start")


class _Own:
    """Somebody's time, in which nothing of the same series is twice at once, however many that time has room for."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self._taken: dict[int, list[tuple[datetime, datetime]]] = {}

    def why_not(self, start: datetime, end: datetime) -> list[Refusal]:
        refusals = list(self._times.why_not(start, end))
        if not refusals and any(first < end and last > start for first, last in self._about(start, end)):
            refusals.append(SlotTaken("Another appointment of the series is at this time."))
        return refusals

    def may_overrule(self, start: datetime, end: datetime) -> bool:
        twice = any(first < end and last > start for first, last in self._about(start, end))
        return not twice and self._times.may_overrule(start, end)

    def take(self, start: datetime, end: datetime) -> None:
        for day in range(start.toordinal(), end.toordinal() + 1):
            self._taken.setdefault(day, []).append((start, end))
        self._times.take(start, end)

    def near(self, start: datetime) -> Iterable[datetime]:
        return self._times.near(start)

    def _about(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        for day in range(start.toordinal(), end.toordinal() + 1):
            yield from self._taken.get(day, ())


def _in_order(wanted: Sequence[Planned], decisions: Mapping[str, Decision]) -> Iterator[tuple[Planned, Decision]]:
    """Those that stay first, then those that are moved."""
    usual = Decision("keep")
    pairs = [(each, decisions.get(each.recurrence_id, usual)) for each in wanted]
    yield from (pair for pair in pairs if pair[1].action != "move")
    yield from (pair for pair in pairs if pair[1].action == "move")


def _at(each: Planned, decision: Decision) -> Planned:
    if decision.action != "move" or decision.start is None:
        return each
    return Planned(each.recurrence_id, decision.start, decision.start + (each.end - each.start))


def _free(each: Planned, times: Times) -> Iterator[datetime]:
    """The free times nearest to an occurrence."""
    length = each.end - each.start
    return (start for start in times.near(each.start) if not times.why_not(start, start + length))


def _with_alternatives(each: Outlook, times: Times) -> Outlook:
    at = Planned(each.recurrence_id, each.start, each.end)
    found = tuple(islice(_free(at, times), ALTERNATIVES))
    return Outlook(each.recurrence_id, each.start, each.end, each.action, each.because, found)
