"""RRULE: the shapes that calendar apps make, and their days. RFC 5545 §3.3.10.

Everything else is refused (the list is in docs/reference/limits.md): an event of 200 bytes must not be able to search
to the year 9999. Rules are walked period by period up to a given day, so that a rule without any day ends too.
"""

import re
from calendar import isleap, monthrange
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache

from ical.errors import CountTooHigh, UnsupportedRecurrence, UnsupportedScale

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
MAX_COUNT = 3500
MAX_INTERVAL = 999
MAX_LENGTH = 1000

_WEEKDAYS = {"MO": 0, "TU": 1, "WE": 2, "TH": 3, "FR": 4, "SA": 5, "SU": 6}
_BYDAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_UNTIL = re.compile(r"\d{8}(T\d{6}Z?)?")
_NUMBER = re.compile(r"[+-]?\d{1,4}")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was read. `until` is its text; `byday` holds (nth or 0, weekday)."""

    freq: str
    interval: int = 1
    count: int | None = None
    until: str = ""
    byday: tuple[tuple[int, int], ...] = ()
    bymonthday: tuple[int, ...] = ()
    bymonth: tuple[int, ...] = ()
    bysetpos: tuple[int, ...] = ()
    byyearday: tuple[int, ...] = ()
    wkst: int = 0


def normalise(value: str) -> str:
    """The rule without the spaces and the trailing semicolon that some apps write."""
    return re.sub(r"\s+", "", value).rstrip(";")


def until_text(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S}Z"


def ending(value: str, *, count: int | None = None, until: str | None = None) -> str:
    """The rule with that end instead of its own."""
    parts = [part for part in normalise(value).split(";") if part.upper().partition("=")[0] not in ("COUNT", "UNTIL")]
    parts += [f"COUNT={count}"] if count is not None else []
    parts += [f"UNTIL={until}"] if until is not None else []
    return ";".join(parts)


def rotated(value: str, days: int) -> str | None:
    """The rule for a series that begins so many days later, each day of it with it; None where no rule says that.

    A plain monthly or yearly rule stays as it is, and may skip other months than before.
    """
    rule = read_rule(value)
    if days == 0:
        return value
    if rule.bymonthday or rule.bymonth or rule.bysetpos or rule.byyearday or any(nth for nth, _ in rule.byday):
        return None
    if rule.freq in ("MONTHLY", "YEARLY"):
        return None if rule.byday else value
    names = list(_WEEKDAYS)
    parts = [part for part in normalise(value).upper().split(";") if part.partition("=")[0] not in ("BYDAY", "WKST")]
    if rule.byday:
        parts.append("BYDAY=" + ",".join(names[(weekday + days) % 7] for _, weekday in rule.byday))
    if rule.interval > 1 or rule.wkst:
        parts.append(f"WKST={names[(rule.wkst + days) % 7]}")
    return ";".join(parts)


def read_rule(value: str) -> Rule:
    """`value` as a Rule. Raises UnsupportedRecurrence for a rule outside the shapes we take."""
    if len(value) > MAX_LENGTH:
        raise UnsupportedRecurrence("The rule of the repetition is too long.")
    return _read_rule(normalise(value).upper())


@lru_cache(maxsize=1024)
def _read_rule(value: str) -> Rule:
    parts: dict[str, str] = {}
    for part in value.split(";"):
        name, equals, text = part.partition("=")
        if not equals or not text or name in parts:
            raise UnsupportedRecurrence("The rule of the repetition cannot be read.")
        parts[name] = text
    _read_scale(parts)
    unknown = parts.keys() - {
        "FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "BYYEARDAY", "WKST",
    }  # fmt: skip
    if unknown:
        raise UnsupportedRecurrence(f"A repetition by {min(unknown)[:20]} is not supported.")
    freq = parts.get("FREQ", "")
    if freq not in FREQUENCIES:
        raise UnsupportedRecurrence("Entries repeat by day, week, month or year.")
    if "COUNT" in parts and "UNTIL" in parts:
        raise UnsupportedRecurrence("A repetition has a number or an end, not both.")
    if "UNTIL" in parts and not _UNTIL.fullmatch(parts["UNTIL"]):
        raise UnsupportedRecurrence("The end of the repetition cannot be read.")
    rule = Rule(
        freq=freq,
        interval=_numbers(parts, "INTERVAL", 1, MAX_INTERVAL, default="1")[0],
        count=_read_count(parts["COUNT"]) if "COUNT" in parts else None,
        until=parts.get("UNTIL", ""),
        byday=_read_byday(parts.get("BYDAY", "")),
        bymonthday=_signed(parts, "BYMONTHDAY", 31),
        bymonth=tuple(sorted(set(_numbers(parts, "BYMONTH", 1, 12)))),
        bysetpos=_signed(parts, "BYSETPOS", 5),
        byyearday=_signed(parts, "BYYEARDAY", 366),
        wkst=_weekday(parts.get("WKST", "MO")),
    )
    if not _is_supported(rule):
        raise UnsupportedRecurrence()
    return rule


def dates(rule: Rule, start: date, first: date, last: date) -> Iterator[date]:
    """The days of the rule that began on `start`, from `first` to `last`, in order. UNTIL is the caller's.

    COUNT is counted here, from `start`. `start` itself is given only when it matches the rule.
    """
    begin = start if rule.count is not None else max(start, first)
    left = rule.count
    for day in _walk(rule, start, begin, last):
        if day >= first:
            yield day
        if left is not None:
            left -= 1
            if left == 0:
                return


def ever_matches(rule: Rule, start: date, last: date) -> bool:
    """Whether the rule has any day but `start` itself, were it open: 30 February never comes."""
    return next(_walk(replace(rule, count=None, until=""), start, start, last), None) is not None


def _walk(rule: Rule, start: date, begin: date, last: date) -> Iterator[date]:
    for period in _PERIODS[rule.freq](rule, start, begin, last):
        for day in period:
            if day > last:
                return
            if day >= begin:
                yield day


def _daily(rule: Rule, start: date, begin: date, last: date) -> Iterator[list[date]]:
    wanted = {weekday for _, weekday in rule.byday}
    step = rule.interval
    day = start.toordinal()
    day += max(0, -(-(begin.toordinal() - day) // step)) * step
    for ordinal in range(day, last.toordinal() + 1, step):
        # Ordinal 1, the first of January of the year 1, was a Monday.
        if not wanted or (ordinal - 1) % 7 in wanted:
            yield [date.fromordinal(ordinal)]


def _weekly(rule: Rule, start: date, begin: date, last: date) -> Iterator[list[date]]:
    weekdays = {weekday for _, weekday in rule.byday} or {start.weekday()}
    offsets = sorted((weekday - rule.wkst) % 7 for weekday in weekdays)
    step = 7 * rule.interval
    week = start.toordinal() - (start.weekday() - rule.wkst) % 7
    first = start.toordinal()
    week += max(0, (begin.toordinal() - week) // step) * step
    for monday in range(week, last.toordinal() + 1, step):
        yield [date.fromordinal(monday + offset) for offset in offsets if monday + offset >= first]


def _monthly(rule: Rule, start: date, begin: date, last: date) -> Iterator[list[date]]:
    month = start.year * 12 + start.month - 1
    skipped = max(0, (begin.year * 12 + begin.month - 1 - month) // rule.interval)
    final = last.year * 12 + last.month - 1
    for index in range(month + skipped * rule.interval, final + 1, rule.interval):
        year, number = index // 12, index % 12 + 1
        if not rule.bymonth or number in rule.bymonth:
            yield _chosen(rule, _days_of(rule, year, number, start.day), start)


def _yearly(rule: Rule, start: date, begin: date, last: date) -> Iterator[list[date]]:
    skipped = max(0, (begin.year - start.year) // rule.interval)
    months = rule.bymonth or (start.month,)
    for year in range(start.year + skipped * rule.interval, last.year + 1, rule.interval):
        if rule.byyearday:
            yield _chosen(rule, _days_of_year(rule, year), start)
            continue
        found = [day for month in months for day in _days_of(rule, year, month, start.day)]
        yield _chosen(rule, found, start)


_PERIODS = {"DAILY": _daily, "WEEKLY": _weekly, "MONTHLY": _monthly, "YEARLY": _yearly}


def _days_of(rule: Rule, year: int, month: int, start_day: int) -> list[date]:
    first_weekday, length = monthrange(year, month)
    if not rule.byday and not rule.bymonthday:
        return [date(year, month, start_day)] if start_day <= length else []
    days: set[int] | None = None
    if rule.bymonthday:
        days = {n if n > 0 else length + 1 + n for n in rule.bymonthday if abs(n) <= length}
    if rule.byday:
        matching: set[int] = set()
        for nth, weekday in rule.byday:
            every = range(1 + (weekday - first_weekday) % 7, length + 1, 7)
            if nth == 0:
                matching.update(every)
            elif abs(nth) <= len(every):
                matching.add(every[nth - 1 if nth > 0 else nth])
        days = matching if days is None else days & matching
    return [date(year, month, day) for day in sorted(days or ())]


def _days_of_year(rule: Rule, year: int) -> list[date]:
    first = date(year, 1, 1).toordinal()
    length = 366 if isleap(year) else 365
    numbers = {n if n > 0 else length + 1 + n for n in rule.byyearday if abs(n) <= length}
    return [date.fromordinal(first + n - 1) for n in sorted(numbers)]


def _chosen(rule: Rule, days: list[date], start: date) -> list[date]:
    """BYSETPOS picks from the whole period, before the days in front of `start` fall away."""
    if rule.bysetpos:
        size = len(days)
        picked = {n - 1 if n > 0 else size + n for n in rule.bysetpos if abs(n) <= size}
        days = [days[index] for index in sorted(picked)]
    return [day for day in days if day >= start]


def _is_supported(rule: Rule) -> bool:
    nth = any(n for n, _ in rule.byday)
    if rule.byyearday:
        return rule.freq == "YEARLY" and not (rule.byday or rule.bymonthday or rule.bymonth or rule.bysetpos)
    if rule.freq == "DAILY":
        plain = not (rule.bymonthday or rule.bymonth or rule.bysetpos or nth)
        return plain and (not rule.byday or rule.interval == 1)
    if rule.freq == "WEEKLY":
        return not (rule.bymonthday or rule.bymonth or rule.bysetpos or nth)
    if rule.bymonthday and nth:
        return False
    if rule.bysetpos and not rule.byday:
        return False
    needs_month = rule.byday or rule.bymonthday
    return rule.freq == "MONTHLY" or bool(rule.bymonth) or not needs_month


def _numbers(parts: dict[str, str], name: str, low: int, high: int, default: str = "") -> tuple[int, ...]:
    text = parts.get(name, default)
    if not text:
        return ()
    members = text.split(",")
    if len(members) > 366 or not all(_NUMBER.fullmatch(m) for m in members):
        raise UnsupportedRecurrence("The rule of the repetition cannot be read.")
    numbers = tuple(int(m) for m in members)
    if not all(low <= n <= high for n in numbers) or (name == "INTERVAL" and len(numbers) > 1):
        raise UnsupportedRecurrence(f"{name} of a repetition is between {low} and {high}.")
    return numbers


def _read_count(text: str) -> int:
    digits = text.removeprefix("+").lstrip("0")
    if not (digits.isascii() and digits.isdigit()):
        raise UnsupportedRecurrence("The number of repetitions cannot be read.")
    if len(digits) > 4 or int(digits) > MAX_COUNT:
        raise CountTooHigh(f"An entry repeats at most {MAX_COUNT} times.")
    return int(digits)


def _read_scale(parts: dict[str, str]) -> None:
    """Take out what only says that the rule is an ordinary one (RFC 7529 §4). Raises UnsupportedScale."""
    if parts.pop("RSCALE", "GREGORIAN") != "GREGORIAN" or parts.pop("SKIP", "OMIT") != "OMIT":
        raise UnsupportedScale()


def _signed(parts: dict[str, str], name: str, high: int) -> tuple[int, ...]:
    numbers = _numbers(parts, name, -high, high)
    if 0 in numbers:
        raise UnsupportedRecurrence("The rule of the repetition cannot be read.")
    return tuple(dict.fromkeys(numbers))


def _read_byday(text: str) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for member in text.split(",")[:400] if text else []:
        match = _BYDAY.fullmatch(member)
        if match is None or abs(int(match[1] or 1)) > 5 or match[1] in ("0", "+0", "-0", "00"):
            raise UnsupportedRecurrence("The weekdays of the repetition cannot be read.")
        found.append((int(match[1] or 0), _WEEKDAYS[match[2]]))
    return tuple(dict.fromkeys(found))


def _weekday(text: str) -> int:
    if text not in _WEEKDAYS:
        raise UnsupportedRecurrence("The first day of the week cannot be read.")
    return _WEEKDAYS[text]
