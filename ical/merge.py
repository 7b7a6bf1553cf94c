"""What a calendar app's PUT of an appointment means: the changes it may make, and the commands it gives.

RFC 4791 §5.3.2. Each app drops something, so what is absent stays as it was; only repetition, which every app
expresses whole, may go away. What is ours alone is never taken from a client, what merely echoes the served text
changes nothing, and a commanded status is left to the caller, who knows whether it is legal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from ical import appointment as appt
from ical import compare
from ical.commands import Command, command_of, read_title
from ical.errors import NotFound
from ical.lines import Component, Line
from ical.recurrence import add_exdate, make_override, master
from ical.reminders import is_patients
from ical.status import CATEGORIES, TERMINAL
from ical.times import parse_utc_text, set_time, span, utc_text
from ical.timezones import ensure_vtimezones
from ical.vcalendar import clean, is_private, stamp, strip_private

Change = Literal["none", "cosmetic", "notes", "command", "time", "structure"]


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


def merge(
    stored: Component, put: Component, zone: ZoneInfo, now: datetime, types: Mapping[str, str] = appt.TYPES
) -> Merged:
    """What becomes of the stored appointment when a calendar app puts `put` in its place.

    `types` maps the codes of the kinds of appointment to the labels that a category may name them by.
    """
    work = _Merge(stored.copy(), put, zone, now, types, [])
    head, head_put = master(work.calendar), master(put)
    # Overrides are paired before the master moves: the ids of those that move along with it change.
    stored_overrides = compare.by_id(work.calendar, zone)
    put_overrides = compare.by_id(put, zone)
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
    if sorted(map(compare.rule, head.lines("RRULE")), key=repr) != sorted(
        map(compare.rule, put.lines("RRULE")), key=repr
    ):
        _replace(head, "RRULE", [Line("RRULE", line.value.strip().rstrip(";")) for line in put.lines("RRULE")])
        stamp(head, work.now, sequence=True)
        work.note("structure")
    if compare.moments(head, "RDATE", work.calendar, work.zone) != compare.moments(put, "RDATE", work.put, work.zone):
        _replace(head, "RDATE", [_taken_over(line) for line in put.lines("RDATE")])
        stamp(head, work.now, sequence=True)
        work.note("structure")


def _drop_overrides(
    work: _Merge, head_put: Component, stored: dict[str, Component], new: Mapping[str, Component]
) -> None:
    """The overrides that the client left out: those occurrences are as the series has them again."""
    excluded = compare.moments(head_put, "EXDATE", work.put, work.zone)
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
    recorded = {parse_utc_text(recurrence_id) for recurrence_id in compare.by_id(work.calendar, work.zone)}
    old = compare.moments(head, "EXDATE", work.calendar, work.zone)
    new = compare.moments(put, "EXDATE", work.put, work.zone) - recorded
    if new == old:
        return
    if not old <= new:
        head.remove("EXDATE")
    for moment in sorted(new):
        add_exdate(work.calendar, utc_text(moment), work.zone)
    stamp(head, work.now, sequence=True)
    work.note("structure")


# One component


def _merge_component(work: _Merge, old: Component, new: Component, recurrence_id: str) -> None:
    """Take over what a client may change. The master's repetition is not looked at here."""
    before = work.change
    work.change = "none"
    _merge_time(work, old, new)
    title = read_title(old, new)
    _merge_notes(work, old, new, title.text)
    _merge_categories(work, old, new)
    _merge_plain(work, old, new)
    _merge_foreign(work, old, new)
    _merge_alarms(work, old, new)
    action = command_of(old, new, title)
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
        ours = compare.text_lines(appt.generated_text(old)) + compare.text_lines(notes)
        added = [*(line for line in compare.text_lines(above) if line not in ours), from_title]
    for text in added:
        if text and text not in compare.text_lines(notes):
            notes = f"{notes}\n{text}".strip()
    if compare.text_lines(notes) != compare.text_lines(known):
        appt.put_notes(old, notes)
        work.note("notes")


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
    if sorted(map(compare.alarm_key, mine)) == sorted(map(compare.alarm_key, sent)):
        return
    dropped = {id(alarm) for alarm in mine}
    old.children = [child for child in old.children if id(child) not in dropped] + list(sent)
    work.note("cosmetic")


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
