"""What a doctor asks for in a calendar app: a word or a sign in the title, a category, a STATUS.

A title is the only field that every app lets one edit, so the words stand there; what merely lags behind the stored
status is an old copy's, not a wish.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ical import appointment as appt
from ical.lines import Component
from ical.status import CANCELLED
from ical.vcalendar import clean

Action = Literal["confirm", "start", "complete", "no-show", "cancel", "uncancel", "rebook"]


@dataclass(frozen=True)
class Command:
    """What the doctor asked for through STATUS, CATEGORIES or the title. "" is the master or the only component."""

    recurrence_id: str
    action: Action


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
LEADS_TO = {"confirm": "confirmed", "start": "in_progress", "complete": "completed", "no-show": "no_show"}
_PROGRESS = {"scheduled": 0, "rescheduled": 0, "confirmed": 1, "in_progress": 2, "completed": 3, "no_show": 3}


@dataclass(frozen=True)
class Title:
    """A title as the doctor left it: commands typed, signs set, words added. `live`: no mark of a cancellation."""

    typed: tuple[Action, ...]
    signs: tuple[Action, ...]
    cancelled: bool
    live: bool
    text: str


def read_title(old: Component, new: Component) -> Title:
    title = clean(new.plain("SUMMARY")).strip()
    prefix = old.plain("SUMMARY").removesuffix(appt.body_of(old))
    if new.first("SUMMARY") is None:
        return Title((), (), False, False, "")
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
    return Title(tuple(typed), tuple(signs), cancelled, live, text)


def _collect(found: re.Match[str], typed: list[Action], signs: list[Action]) -> None:
    if found[2]:
        signs.append(_SIGNS[found[2]])
    else:
        typed.append(next(action for action, pattern in _TYPED if re.fullmatch(pattern, found[1], re.IGNORECASE)))


def command_of(old: Component, new: Component, title: Title) -> Action | None:
    """The one thing that is asked for. A mark that lags behind the stored status is an old copy's, not a wish."""
    status = appt.status_of(old)
    pending = appt.pending_cancel(old) is not None
    status_line = (new.value("STATUS") or "").strip().upper()
    shown = (old.value("STATUS") or "").upper()
    wants_cancel = title.cancelled or "cancel" in title.typed or (status_line == "CANCELLED" and shown != "CANCELLED")
    if wants_cancel and "rebook" not in title.typed:
        return None if pending or status in CANCELLED else "cancel"
    typed = [a for a in title.typed if a != "cancel" and LEADS_TO.get(a) != status]
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
    return [a for a in actions if status in _PROGRESS and _PROGRESS[LEADS_TO[a]] > _PROGRESS[status]]


def _by_categories(old: Component, new: Component) -> list[Action]:
    own = {category.casefold() for category in appt.category_list(old)}
    added = [category.casefold() for category in appt.category_list(new) if category.casefold() not in own]
    return [_BY_CATEGORY[category] for category in added if category in _BY_CATEGORY]
