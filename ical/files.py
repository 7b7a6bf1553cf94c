"""iCalendar files from anywhere, taken apart for an import: what can be repaired is, and the rest is refused alone.

What comes out has passed the same guard as what a calendar app sends.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from ical.errors import InvalidCalendarData, Refusal, ResourceTooLarge
from ical.guard import BOM, FOLD, MAX_OBJECT, check_object, check_timezone, decoded
from ical.lines import Component, Line, parse
from ical.recurrence import ENTRIES
from ical.times import read_duration, read_time
from ical.timezones import ensure_vtimezones, rename_tzid, resolve

MAX_FILE = 8 * 1024 * 1024
MAX_TIMEZONE = 64 * 1024

_ENDLESS = re.compile(r";COUNT=-1(?=;|$)")


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import found: one VCALENDAR a UID, (UID, reason) of what was refused, and what was repaired."""

    objects: list[Component] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_calendar_file(data: bytes, zone: tzinfo) -> ImportResult:
    """The objects of an iCalendar file, each judged alone: a bad one does not spoil the others.

    Unknown time zones become `zone`. Raises ResourceTooLarge above 8 MiB and InvalidCalendarData when there is no
    calendar in it at all.
    """
    if len(data) > MAX_FILE:
        raise ResourceTooLarge()
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    zones, entries = _blocks(data.removeprefix(BOM))
    if not entries and b"BEGIN:VCALENDAR" not in data.upper():
        raise InvalidCalendarData("There is no calendar in this file.")
    result = ImportResult()
    definitions = _definitions(zones, result)
    for (_, uid), parts in _by_uid(entries, result).items():
        try:
            result.objects.append(_imported(parts, definitions, zone, uid, result))
        except Refusal as refusal:
            result.refused.append((uid, refusal.sentence))
    return result


@dataclass(slots=True)
class _Block:
    """The physical lines of a BEGIN…END at the calendar's level; `broken` says that its end is missing."""

    name: str
    lines: list[bytes] = field(default_factory=list)
    broken: bool = False

    def logical(self) -> list[bytes]:
        return FOLD.sub(b"", b"".join(self.lines)).splitlines()


def _blocks(data: bytes) -> tuple[list[_Block], list[_Block]]:
    """The VTIMEZONEs and the entries, wherever they stand: files hold several calendars, and forget ENDs."""
    zones: list[_Block] = []
    entries: list[_Block] = []
    current: _Block | None = None
    for line in data.splitlines(keepends=True) if b"\r\r\n" not in data else _tidied(data):
        begun = _begun(line)
        if begun in ("VTIMEZONE", *ENTRIES):
            if current is not None:
                current.broken = True
            current = _Block(begun)
            (zones if begun == "VTIMEZONE" else entries).append(current)
        if current is None:
            continue
        current.lines.append(line)
        if line[:4].upper() == b"END:" and line[4:].strip().upper() == current.name.encode():
            current = None
    if current is not None:
        current.broken = True
    return zones, entries


def _tidied(data: bytes) -> list[bytes]:
    return data.replace(b"\r\r\n", b"\r\n").splitlines(keepends=True)


def _begun(line: bytes) -> str:
    return line[6:].strip().upper().decode("ascii", "replace") if line[:6].upper() == b"BEGIN:" else ""


def _definitions(zones: list[_Block], result: ImportResult) -> dict[str, Component]:
    """The file's VTIMEZONEs by TZID; a broken one is left out, its TZID then counts as unknown."""
    found: dict[str, Component] = {}
    # Files that were put together from many repeat each zone as often.
    for text in dict.fromkeys(b"".join(block.lines) for block in zones):
        try:
            if len(text) > MAX_TIMEZONE:
                raise ResourceTooLarge()
            zone = parse(decoded(text))
            check_timezone(zone)
        except Refusal:
            result.warnings.append("A time zone of the file could not be read.")
            continue
        found.setdefault(zone.plain("TZID").strip(), zone)
    return found


def _by_uid(entries: list[_Block], result: ImportResult) -> dict[tuple[str, str], list[_Block]]:
    """The entries of one kind and UID together, in the file's order. Two masters of one UID stay two objects."""
    found: dict[tuple[str, str], list[_Block]] = {}
    masters: dict[tuple[str, str], bytes] = {}
    for block in entries:
        logical = block.logical()
        raw = next((line[4:] for line in logical if line[:4].upper() == b"UID:"), b"")
        if not raw:
            raw = next((line.partition(b":")[2] for line in logical if line[:4].upper() == b"UID;"), b"")
        digest = hashlib.sha256(b"\n".join(logical)).hexdigest()
        uid = raw.decode("utf-8", "replace").strip()
        if not uid:
            uid = f"import-{digest[:32]}"
            result.warnings.append(f"{uid}: had no UID and was given this one.")
        key = (block.name, uid)
        if not any(line.upper().startswith((b"RECURRENCE-ID:", b"RECURRENCE-ID;")) for line in logical):
            if masters.get(key) == b"\n".join(logical):
                continue
            if key in masters:
                key = (block.name, f"{uid[:200]}-{digest[:16]}")
                result.warnings.append(f"{uid}: stands twice in the file; the second became {key[1]}.")
            masters[key] = b"\n".join(logical)
        found.setdefault(key, []).append(block)
    return found


def _imported(
    parts: list[_Block], definitions: dict[str, Component], zone: tzinfo, uid: str, result: ImportResult
) -> Component:
    if sum(len(line) for part in parts for line in part.lines) > MAX_OBJECT:
        raise ResourceTooLarge()
    calendar = Component("VCALENDAR")
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//ClinicDAV//Import//EN")
    notes: list[str] = []
    for part in parts:
        if part.broken:
            raise InvalidCalendarData("The entry has no end.")
        entry = parse(decoded(b"".join(_readable(part, notes))))
        if (entry.value("UID") or "").strip() != uid:
            entry.set("UID", uid)
        _repair(entry, notes)
        calendar.children.append(entry)
    used = {line.param("TZID") for entry in calendar.components() for line in _zoned(entry)}
    at = next(i for i, child in enumerate(calendar.children) if isinstance(child, Component))
    calendar.children[at:at] = [definitions[tzid].copy() for tzid in sorted(t for t in used if t in definitions)]
    _replace_unknown_zones(calendar, zone, notes)
    check_object(calendar, None)
    ensure_vtimezones(calendar)
    result.warnings.extend(f"{uid}: {note}" for note in dict.fromkeys(notes))
    return calendar


def _readable(part: _Block, notes: list[str]) -> Iterator[bytes]:
    """The lines of `part` without those that are no content lines."""
    logical: list[bytes] = []
    for line in part.lines:
        if logical and line[:1] in (b" ", b"\t"):
            logical[-1] += line
        else:
            logical.append(line)
    for line in logical:
        name = re.match(rb"[A-Za-z0-9-]+(?=[:;])", FOLD.sub(b"", line))
        if name is None and line.strip():
            notes.append("a line that is no property was left out")
        elif not (name and name[0].upper() == b"METHOD"):
            yield line


def _repair(entry: Component, notes: list[str]) -> None:
    kept: list[Line | Component] = []
    for child in entry.children:
        if isinstance(child, Component) and (child.value("ACTION") or "").strip().upper() == "PROCEDURE":
            notes.append("an alarm that starts a program was left out")
        elif isinstance(child, Line) and child.name in ("DTEND", "DUE", "DURATION") and not _is_readable(child):
            notes.append(f"its {child.name} could not be read and was left out")
        elif isinstance(child, Line) and child.name == "RRULE" and not child.value.strip():
            notes.append("an empty rule of repetition was left out")
        else:
            kept.append(child)
    entry.children = kept
    for line in entry.lines("RRULE"):
        # Confluence's way to say that only UNTIL ends it.
        endless = _ENDLESS.sub("", line.value)
        if endless != line.value:
            line.value, line.raw = endless, ""


def _is_readable(line: Line) -> bool:
    try:
        if line.name == "DURATION":
            read_duration(line.value)
        else:
            read_time(Line(line.name, line.value), UTC)
    except Refusal:
        return False
    return True


def _zoned(entry: Component) -> Iterator[Line]:
    for part in entry.walk():
        for line in part.lines():
            if line.params and line.param("TZID"):
                yield line


def _replace_unknown_zones(calendar: Component, zone: tzinfo, notes: list[str]) -> None:
    for entry in calendar.components(*ENTRIES):
        for line in _zoned(entry):
            tzid = line.param("TZID") or ""
            if resolve(tzid, calendar) is not None:
                continue
            if isinstance(zone, ZoneInfo):
                rename_tzid(line, zone.key)
            else:
                line.params = tuple(pair for pair in line.params if pair[0] != "TZID")
                line.raw = ""
            notes.append(f"the time zone {tzid[:60]!r} is not known; the calendar's own was taken")
