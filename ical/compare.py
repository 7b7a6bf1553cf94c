"""What two writings of a calendar object have in common, whatever app wrote them: rules, instants, texts, alarms."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from ical.lines import Component, Line
from ical.recurrence import overrides
from ical.times import instant, read_time, read_times, span, utc_text


def by_id(calendar: Component, zone: ZoneInfo) -> dict[str, Component]:
    found = {}
    for component in overrides(calendar):
        line = component.first("RECURRENCE-ID")
        if line is not None:
            found[utc_text(instant(read_time(line, zone, calendar), zone))] = component
    return found


def rule(line: Line) -> dict[str, list[str]]:
    """A rule as what it says, however it is written."""
    parts = dict(part.upper().partition("=")[::2] for part in line.value.replace(" ", "").split(";") if part)
    if parts.get("INTERVAL") == "1":
        del parts["INTERVAL"]
    if parts.get("WKST") == "MO":
        del parts["WKST"]
    return {name: sorted(parts[name].split(",")) for name in sorted(parts)}


def moments(component: Component, name: str, calendar: Component, zone: ZoneInfo) -> set[datetime]:
    """The instants of EXDATE or RDATE; of a DATE in a timed series the one that the series has on that day."""
    start = span(component, zone, calendar)[0].astimezone(zone)
    found = set()
    for line in component.lines(name):
        for value in read_times(line, zone, calendar):
            day = value if isinstance(value, datetime) else datetime.combine(value, start.time(), zone)
            found.add(day.astimezone(UTC))
    return found


def text_lines(text: str) -> list[str]:
    """The lines of a text without what clients do to blanks."""
    lines = (line.replace("\xa0", " ").strip() for line in text.split("\n"))
    return [line for line in lines if line]


def alarm_key(alarm: Component) -> list[str]:
    return sorted(line.unfolded() for line in alarm.lines())
