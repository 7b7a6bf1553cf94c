"""What a calendar app's PUT of an appointment means: the changes it may make, and the commands it gives.

RFC 4791 §5.3.2. Each app drops something, so what is absent stays as it was; only repetition, which every app
expresses whole, may go away. What is ours alone is never taken from a client, what merely echoes the served text
changes nothing, and a commanded status is left to the caller, who knows whether it is legal.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from ical import appointment as appt
from ical.errors import NotFound
from ical.lines import Component, Line
from ical.recurrence import add_exdate, make_override, master, overrides
from ical.reminders import is_patients
from ical.status import CANCELLED, CATEGORIES, TERMINAL
from ical.times import instant, parse_utc_text, read_time, read_times, set_time, span, utc_text
from ical.timezones import ensure_vtimezones
from ical.vcalendar import clean, is_private, stamp, strip_private

Change = Literal["none", "cosmetic", "notes", "command", "time", "structure"]
Action = Literal["confirm", "start", "complete", "no-show", "cancel", "uncancel", "rebook"]


@dataclass(frozen=True)
class Command:
    """What the doctor asked for through STATUS, CATEGORIES or the title. "" is the master or the only component."""

    recurrence_id: str
    action: Action


@dataclass(frozen=True)
class Merged:
    """The new stored form, times and repetition changed already, the commands not yet carried out.

    `change` names the weightiest thing that happened; "none" means that not a byte differs.
    """

    calendar: Component
    commands: tuple[Command, ...]
    change: Change


@dataclass
class _Merge:
    """The work in hand: `calendar` becomes the result."""

    calendar: Component
    put: Component
    zone: ZoneInfo
    now: datetime
    types: Mapping[str, str]
    commands: list[Command]
    change: Change = "none"

    def note(self, change: Change) -> None:
        if _WEIGHT[change] > _WEIGHT[self.change]:
            self.change = change


_WEIGHT: dict[Change, int] = {"none": 0, "cosmetic": 1, "notes": 2, "command": 3, "time": 4, "structure": 5}

# Handled one by one, or nobody's but ours. X-ALT-DESC would show a stale copy of the DESCRIPTION that we rewrite.
_KNOWN = frozenset(
    {
        *("UID", "DTSTAMP", "CREATED", "LAST-MODIFIED", "SEQUENCE", "DTSTART", "DTEND", "DURATION"),
        *("RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID", "SUMMARY", "DESCRIPTION", "LOCATION", "STATUS"),
        *("CATEGORIES", "TRANSP", "CLASS", "COLOR", "PRIORITY", "ORGANIZER", "ATTENDEE", "URL", "CONFERENCE"),
        *("RELATED-TO", "REQUEST-STATUS", "X-ALT-DESC"),
    }
)
_PLAIN = ("CLASS", "COLOR", "PRIORITY")
# An app rules over the X- lines of its own make: those it leaves out it has removed. Others' it may have dropped.
_FAMILIES = {
    "mozilla": ("X-MOZ-",),
    "apple": ("X-APPLE-",),
    "ximian": ("X-EVOLUTION-",),
    "outlook": ("X-MICROSOFT-", "X-MS-"),
}

_TYPED: tuple[tuple[Action, str], ...] = (
    ("cancel", r"#cancel(?:led)?"),
    ("complete", r"#(?:done|ok)"),
    ("no-show", r"#(?:no-?show|ns)"),
    ("start", r"#start"),
    ("confirm", r"#confirm"),
    ("rebook", r"#rebook"),
)
_SIGNS: dict[str, Action] = {"✓": "complete", "✗": "no-show", "▶": "start"}
_WORD = "|".join(pattern for _, pattern in _TYPED)
_AT_START = re.compile(rf"\s*(?:({_WORD})(?![\w-])|([✓✗▶]))[\s:]*", re.IGNORECASE)
_AT_END = re.compile(rf"(?:(?<!\S)({_WORD})|([✓✗▶]))\s*$", re.IGNORECASE)
_CANCELLED_TITLE = re.compile(r"\s*cancell?ed:\s*", re.IGNORECASE)
_BY_CATEGORY: dict[str, Action] = {
    "confirmed": "confirm",
    "in progress": "start",
    "completed": "complete",
    "no-show": "no-show",
}
_LEADS_TO = {"confirm": "confirmed", "start": "in_progress", "complete": "completed", "no-show": "no_show"}
_PROGRESS = {"scheduled": 0, "rescheduled": 0, "confirmed": 1, "in_progress": 2, "completed": 3, "no_show": 3}


def merge(
    stored: Component, put: Component, zone: ZoneInfo, now: datetime, types: Mapping[str, str] = appt.TYPES
) -> Merged:
    """What becomes of the stored appointment when a calendar app puts `put` in its place.

    `types` maps the codes of the kinds of appointment to the labels that a category may name them by.
    """
    work = _Merge(stored.copy(), put, zone, now, types, [])
    head, head_put = master(work.calendar), master(put)
    # Overrides are paired before the master moves: the ids of those that move along with it change.
    stored_overrides = _by_id(work.calendar, zone)
    put_overrides = _by_id(put, zone)
    if head is not None and head_put is not None:
        _follow_master(work, head, head_put, stored_overrides, put_overrides)
        _merge_component(work, head, head_put, "")
        _merge_rules(work, head, head_put)
        _drop_overrides(work, head_put, stored_overrides, put_overrides)
        _merge_exdates(work, head, head_put)
    for recurrence_id, override_put in put_overrides.items():
        override = stored_overrides.get(recurrence_id)
        if override is None:
            try:
                override = make_override(work.calendar, recurrence_id, zone)
            except NotFound:
                # Neither in the old series nor in the new one: there is no visit that it could be about.
                continue
            work.note("cosmetic")
        _merge_component(work, override, override_put, recurrence_id)
    if work.change == "none":
        return Merged(stored.copy(), tuple(work.commands), "command" if work.commands else "none")
    if work.commands:
        work.note("command")
    if work.change in ("time", "structure"):
        ensure_vtimezones(work.calendar)
    return Merged(work.calendar, tuple(work.commands), work.change)


def _by_id(calendar: Component, zone: ZoneInfo) -> dict[str, Component]:
    found = {}
    for component in overrides(calendar):
        line = component.first("RECURRENCE-ID")
        if line is not None:
            found[utc_text(instant(read_time(line, zone, calendar), zone))] = component
    return found


# Repetition


def _follow_master(
    work: _Merge, head: Component, put: Component, stored: dict[str, Component], new: Mapping[str, Component]
) -> None:
    """When the whole series moves, apps move the ids of its overrides along: recognise those by the same step."""
    if put.first("DTSTART") is None or head.first("RRULE") is None:
        return
    before = span(head, work.zone, work.calendar)[0].astimezone(work.zone)
    after = span(put, work.zone, work.put)[0].astimezone(work.zone)
    step = after.replace(tzinfo=None) - before.replace(tzinfo=None)
    if not step:
        return
    for old_id in list(stored):
        wall = parse_utc_text(old_id).astimezone(work.zone).replace(tzinfo=None) + step
        moved = wall.replace(tzinfo=work.zone).astimezone(UTC)
        if utc_text(moved) in new and old_id not in new and utc_text(moved) not in stored:
            component = stored.pop(old_id)
            set_time(component, "RECURRENCE-ID", moved, work.zone)
            stored[utc_text(moved)] = component


def _merge_rules(work: _Merge, head: Component, put: Component) -> None:
    if sorted(map(_rule, head.lines("RRULE")), key=repr) != sorted(map(_rule, put.lines("RRULE")), key=repr):
        _replace(head, "RRULE", [Line("RRULE", line.value.strip().rstrip(";")) for line in put.lines("RRULE")])
        stamp(head, work.now, sequence=True)
        work.note("structure")
    if _moments(head, "RDATE", work.calendar, work.zone) != _moments(put, "RDATE", work.put, work.zone):
        _replace(head, "RDATE", [_taken_over(line) for line in put.lines("RDATE")])
        stamp(head, work.now, sequence=True)
        work.note("structure")


def _rule(line: Line) -> dict[str, list[str]]:
    """A rule as what it says, however it is written."""
    parts = dict(part.upper().partition("=")[::2] for part in line.value.replace(" ", "").split(";") if part)
    if parts.get("INTERVAL") == "1":
        del parts["INTERVAL"]
    if parts.get("WKST") == "MO":
        del parts["WKST"]
    return {name: sorted(parts[name].split(",")) for name in sorted(parts)}


def _drop_overrides(
    work: _Merge, head_put: Component, stored: dict[str, Component], new: Mapping[str, Component]
) -> None:
    """The overrides that the client left out: those occurrences are as the series has them again."""
    excluded = _moments(head_put, "EXDATE", work.put, work.zone)
    for recurrence_id in [key for key in stored if key not in new]:
        override = stored[recurrence_id]
        if appt.pending_cancel(override) is not None:
            if parse_utc_text(recurrence_id) not in excluded:
                work.commands.append(Command(recurrence_id, "uncancel"))
        elif appt.status_of(override) not in TERMINAL:
            # What has been cancelled, missed or done stays on record.
            work.calendar.children = [child for child in work.calendar.children if child is not override]
            del stored[recurrence_id]
            work.note("structure")


def _merge_exdates(work: _Merge, head: Component, put: Component) -> None:
    """EXDATE as the client has it, but for occurrences whose cancellation is on record: DAVx5 writes those so."""
    recorded = {parse_utc_text(recurrence_id) for recurrence_id in _by_id(work.calendar, work.zone)}
    old = _moments(head, "EXDATE", work.calendar, work.zone)
    new = _moments(put, "EXDATE", work.put, work.zone) - recorded
    if new == old:
        return
    if not old <= new:
        head.remove("EXDATE")
    for moment in sorted(new):
        add_exdate(work.calendar, utc_text(moment), work.zone)
    stamp(head, work.now, sequence=True)
    work.note("structure")


def _moments(component: Component, name: str, calendar: Component, zone: ZoneInfo) -> set[datetime]:
    """The instants of EXDATE or RDATE; of a DATE in a timed series the one that the series has on that day."""
    start = span(component, zone, calendar)[0].astimezone(zone)
    found = set()
    for line in component.lines(name):
        for value in read_times(line, zone, calendar):
            day = value if isinstance(value, datetime) else datetime.combine(value, start.time(), zone)
            found.add(day.astimezone(UTC))
    return found


# One component


def _merge_component(work: _Merge, old: Component, new: Component, recurrence_id: str) -> None:
    """Take over what a client may change. The master's repetition is not looked at here."""
    before = work.change
    work.change = "none"
    _merge_time(work, old, new)
    title = _read_title(old, new)
    _merge_notes(work, old, new, title.text)
    _merge_categories(work, old, new)
    _merge_plain(work, old, new)
    _merge_foreign(work, old, new)
    _merge_alarms(work, old, new)
    action = _command(old, new, title)
    if action is not None:
        work.commands.append(Command(recurrence_id, action))
    if work.change not in ("none", "time"):
        stamp(old, work.now)
    changed, work.change = work.change, before
    work.note(changed)


def _merge_time(work: _Merge, old: Component, new: Component) -> None:
    if new.first("DTSTART") is None:
        return
    old_start, old_end, _ = span(old, work.zone, work.calendar)
    start, end, all_day = span(new, work.zone, work.put)
    if all_day:
        # Dropped among the all-day events: another day, at the time of day that it had.
        wall = old_start.astimezone(work.zone).time()
        start = datetime.combine(start.astimezone(work.zone).date(), wall, work.zone).astimezone(UTC)
    if end <= start or all_day or (new.first("DTEND") is None and new.first("DURATION") is None):
        end = start + (old_end - old_start)
    if (start, end) != (old_start, old_end):
        appt.set_times(old, start, end, work.zone, work.now)
        work.note("time")


def _merge_notes(work: _Merge, old: Component, new: Component, from_title: str) -> None:
    """The private notes: what stands below the marker, and whatever else was written that we did not write."""
    known = old.plain(appt.DOCTOR_NOTES)
    notes, added = known, [from_title]
    if new.first("DESCRIPTION") is not None:
        above, below = appt.split_at_marker(clean(new.plain("DESCRIPTION")))
        notes = known if below is None else below
        ours = _text_lines(appt.generated_text(old)) + _text_lines(notes)
        added = [*(line for line in _text_lines(above) if line not in ours), from_title]
    for text in added:
        if text and text not in _text_lines(notes):
            notes = f"{notes}\n{text}".strip()
    if _text_lines(notes) != _text_lines(known):
        appt.put_notes(old, notes)
        work.note("notes")


def _text_lines(text: str) -> list[str]:
    """The lines of a text without what clients do to blanks."""
    lines = (line.replace("\xa0", " ").strip() for line in text.split("\n"))
    return [line for line in lines if line]


def _merge_categories(work: _Merge, old: Component, new: Component) -> None:
    """The kind of appointment, and the doctor's own labels. Those of a status are commands."""
    if new.first("CATEGORIES") is None:
        return
    put, own = appt.category_list(new), appt.category_list(old)
    by_label = {label.casefold(): code for code, label in work.types.items()}
    current = own[0] if own else ""
    if current not in put:
        code = next((by_label[c.casefold()] for c in put if c.casefold() in by_label), None)
        if code is not None and code != old.value(appt.TYPE):
            appt.set_type(old, code, work.types[code])
            work.note("notes")
    kept = [c for c in put if c and c not in CATEGORIES and c != current and c.casefold() not in by_label]
    if sorted(kept) != sorted(c for c in own[1:] if c not in CATEGORIES):
        appt.set_labels(old, kept)
        work.note("cosmetic")


def _merge_plain(work: _Merge, old: Component, new: Component) -> None:
    location = new.first("LOCATION")
    if location is not None and new.plain("LOCATION").strip() not in ("", old.plain("LOCATION").strip()):
        old.set("LOCATION", location.value)
        work.note("notes")
    for name in _PLAIN:
        value = new.value(name)
        if value is not None and value != old.value(name):
            old.set(name, value)
            work.note("cosmetic")


def _merge_foreign(work: _Merge, old: Component, new: Component) -> None:
    """Lines that mean nothing to us: Apple's travel time, Mozilla's snooze, attachments."""
    sent = _foreign(new)
    ruled = _ruled_prefixes(work.put)
    for name, lines in _foreign(old).items():
        if name not in sent and name.startswith(ruled):
            old.remove(name)
            work.note("cosmetic")
        elif name in sent and _said(lines) == _said(sent[name]):
            del sent[name]
    for name, lines in sent.items():
        _replace(old, name, [_taken_over(line) for line in lines])
        work.note("cosmetic")


def _foreign(component: Component) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in component.lines():
        if line.name not in _KNOWN and not is_private(line):
            found.setdefault(line.name, []).append(line)
    return found


def _ruled_prefixes(put: Component) -> tuple[str, ...]:
    product = (put.value("PRODID") or "").casefold()
    return tuple(prefix for family, prefixes in _FAMILIES.items() if family in product for prefix in prefixes)


def _merge_alarms(work: _Merge, old: Component, new: Component) -> None:
    """The doctor's own alarms are as the client has them; the patient's, which it was not shown, stay."""
    mine = [alarm for alarm in old.components("VALARM") if not is_patients(alarm)]
    sent = [alarm.copy() for alarm in new.components("VALARM")]
    for alarm in sent:
        strip_private(alarm)
    if sorted(map(_alarm_key, mine)) == sorted(map(_alarm_key, sent)):
        return
    dropped = {id(alarm) for alarm in mine}
    old.children = [child for child in old.children if id(child) not in dropped] + list(sent)
    work.note("cosmetic")


def _alarm_key(alarm: Component) -> list[str]:
    return sorted(line.unfolded() for line in alarm.lines())


# Commands


@dataclass(frozen=True)
class _Title:
    """A title as the doctor left it: commands typed, signs set, words added. `live`: no mark of a cancellation."""

    typed: tuple[Action, ...]
    signs: tuple[Action, ...]
    cancelled: bool
    live: bool
    text: str


def _read_title(old: Component, new: Component) -> _Title:
    title = clean(new.plain("SUMMARY")).strip()
    prefix = old.plain("SUMMARY").removesuffix(appt.body_of(old))
    if new.first("SUMMARY") is None:
        return _Title((), (), False, False, "")
    echoed = bool(prefix) and title.startswith(prefix.strip())
    if echoed:
        title = title[len(prefix.strip()) :].strip()
    live = not echoed
    # What is left when the body that we wrote is taken out: a patient's name never counts as a command.
    body = max((body for body in appt.titles(old) if body in title), key=len, default="")
    before, _, after = title.partition(body) if body else (title, "", "")
    cancelled = False
    typed: list[Action] = []
    signs: list[Action] = []
    if found := _CANCELLED_TITLE.match(before):
        cancelled, live = True, False
        before = before[found.end() :]
    while found := _AT_START.match(before):
        _collect(found, typed, signs)
        before = before[found.end() :]
    if signs and before.casefold().startswith("no-show:"):
        before = before[len("no-show:") :]
    tail = after if body else before
    while found := _AT_END.search(tail):
        _collect(found, typed, signs)
        tail = tail[: found.start()]
    text = " ".join(f"{before} {tail}".split()) if body else " ".join(tail.split())
    return _Title(tuple(typed), tuple(signs), cancelled, live, text)


def _collect(found: re.Match[str], typed: list[Action], signs: list[Action]) -> None:
    if found[2]:
        signs.append(_SIGNS[found[2]])
    else:
        typed.append(next(action for action, pattern in _TYPED if re.fullmatch(pattern, found[1], re.IGNORECASE)))


def _command(old: Component, new: Component, title: _Title) -> Action | None:
    """The one thing that is asked for. A mark that lags behind the stored status is an old copy's, not a wish."""
    status = appt.status_of(old)
    pending = appt.pending_cancel(old) is not None
    status_line = (new.value("STATUS") or "").strip().upper()
    shown = (old.value("STATUS") or "").upper()
    wants_cancel = title.cancelled or "cancel" in title.typed or (status_line == "CANCELLED" and shown != "CANCELLED")
    if wants_cancel and "rebook" not in title.typed:
        return None if pending or status in CANCELLED else "cancel"
    typed = [a for a in title.typed if a != "cancel" and _LEADS_TO.get(a) != status]
    if pending and not typed:
        taken_back = title.live or status_line not in ("", "CANCELLED")
        return "uncancel" if taken_back else None
    by_status: list[Action] = ["confirm"] if status_line == "CONFIRMED" and shown == "TENTATIVE" else []
    wishes = [
        *_ahead(status, _by_categories(old, new)),
        *typed,
        *_ahead(status, title.signs),
        *_ahead(status, by_status),
    ]
    return wishes[0] if wishes else None


def _ahead(status: str, actions: Iterable[Action]) -> list[Action]:
    """The actions that would lead further than `status`."""
    return [a for a in actions if status in _PROGRESS and _PROGRESS[_LEADS_TO[a]] > _PROGRESS[status]]


def _by_categories(old: Component, new: Component) -> list[Action]:
    own = {category.casefold() for category in appt.category_list(old)}
    added = [category.casefold() for category in appt.category_list(new) if category.casefold() not in own]
    return [_BY_CATEGORY[category] for category in added if category in _BY_CATEGORY]


# Lines


def _replace(component: Component, name: str, lines: list[Line]) -> None:
    """Put `lines` where the lines called `name` stood, or behind the last."""
    if len(lines) == 1 and component.first(name) is not None:
        component.set(name, lines[0].value, lines[0].params)
        return
    component.remove(name)
    for line in lines:
        component.insert(line)


def _taken_over(line: Line) -> Line:
    """A client's line, its bytes kept where its line ends are those of the RFC."""
    proper = line.raw.endswith("\r\n") and line.raw.count("\n") == line.raw.count("\r\n")
    return Line(line.name, line.value, line.params, line.raw if proper else "")


def _said(lines: list[Line]) -> list[str]:
    return [line.unfolded() for line in lines]
