"""What somebody typed into a form, cleaned, and what is wrong with it, field by field."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from ical.errors import Refusal

# One @, something on both sides, a dot in the domain: the confirmation mail is the real test.
_EMAIL = re.compile(r"[^@\s<>,;\"]{1,64}@[^@\s<>,;\"]+\.[^@\s<>,;\".]{2,}")
_PHONE = re.compile(r"\+?[\d ()/.\-]{5,31}")
# C0 characters other than tab and line ends: they would come back to haunt a calendar or a mail header
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Form:
    """Reads fields and collects an error sentence for each that cannot be used; "" is the form as a whole."""

    def __init__(self, data: Mapping[str, str] | None = None, **initial: Any) -> None:
        self.data: dict[str, str] = {name: str(value) for name, value in initial.items() if value is not None}
        self.data.update(data.items() if data is not None else ())
        self.errors: dict[str, str] = {}

    def __bool__(self) -> bool:
        return not self.errors

    def get(self, name: str, default: str = "") -> str:
        return self.data.get(name, default)

    def fail(self, name: str, sentence: str) -> None:
        self.errors.setdefault(name, sentence)

    def refuse(self, refusal: Refusal) -> None:
        """Show a rule's no beside the field it is about."""
        self.fail(refusal.field or "", refusal.sentence)

    def text(self, name: str, *, required: str = "", maximum: int = 200) -> str:
        """One line, without control characters. `required` is the sentence for an empty field."""
        return " ".join(self.paragraph(name, required=required, maximum=maximum).split())

    def paragraph(self, name: str, *, required: str = "", maximum: int = 1000) -> str:
        value = _CONTROL.sub("", self.get(name)).replace("\r\n", "\n").replace("\r", "\n").strip()
        if not value and required:
            self.fail(name, required)
        if len(value) > maximum:
            self.fail(name, f"Please use at most {maximum} characters; these are {len(value)}.")
        return value

    def email(self, name: str = "email", *, required: str = "") -> str:
        value = self.text(name, required=required, maximum=254)
        if value and not _EMAIL.fullmatch(value):
            self.fail(name, "Enter an e-mail address like name@example.org.")
        return value

    def phone(self, name: str = "phone", *, required: str = "") -> str:
        value = self.text(name, required=required, maximum=32)
        if value and not _PHONE.fullmatch(value):
            self.fail(name, "Enter a telephone number like +43 660 1234567.")
        return value

    def choice(self, name: str, options: Collection[str], *, required: str = "Choose one.") -> str:
        value = self.get(name)
        if value not in options:
            if value or required:
                self.fail(name, required or "Choose one of the list.")
            return ""
        return value

    def choices(self, name: str, chosen: Iterable[str], options: Collection[str], *, required: str = "") -> list[str]:
        values = [value for value in chosen if value in options]
        if required and not values:
            self.fail(name, required)
        return values

    def number(self, name: str, low: int, high: int, *, required: str = "Enter a number.") -> int | None:
        value = self.get(name).strip()
        if not value and not required:
            return None
        if not re.fullmatch(r"\d{1,6}", value) or not low <= int(value) <= high:
            self.fail(name, f"Enter a number from {low} to {high}.")
            return None
        return int(value)

    def date(self, name: str, *, required: str = "Choose a date.") -> date | None:
        value = read_date(self.get(name))
        if value is None and (self.get(name) or required):
            self.fail(name, required or "Enter a date like 2026-11-30.")
        return value

    def time(self, name: str, *, required: str = "Enter a time like 09:30.") -> time | None:
        value = read_time(self.get(name))
        if value is None and (self.get(name) or required):
            self.fail(name, required or "Enter a time like 09:30.")
        return value

    def ticked(self, name: str, *, required: str = "") -> bool:
        if not self.get(name) and required:
            self.fail(name, required)
        return bool(self.get(name))


def read_date(text: str | None) -> date | None:
    """A date like 2026-11-30 within the years that calendars use, else None."""
    try:
        value = date.fromisoformat(text or "")
    except ValueError:
        return None
    return value if 1970 <= value.year <= 2199 else None


def read_time(text: str | None) -> time | None:
    if not re.fullmatch(r"\d{2}:\d{2}(:\d{2})?", text or ""):
        return None
    try:
        return time.fromisoformat(text or "")
    except ValueError:
        return None


def read_instant(text: str | None) -> datetime | None:
    """An instant with its offset, else None."""
    try:
        value = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return value if value.tzinfo is not None and 1970 <= value.year <= 2199 else None


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)
