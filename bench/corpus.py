"""A calendar of any size over two years, and what a right answer about it holds, by plain arithmetic.

Whole days and floating times are left out of what is compared: each server reads them in a zone of its own choice.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from ical import timezones
from ical.lines import Component, escape, fold, parse
from ical.times import instant, read_time, read_times, utc_text

_WEEK = timedelta(days=7)
_ZONES = ("Europe/Vienna", "America/New_York", "Australia/Sydney")
_YEAR = timedelta(days=364)
_WORDS = (
    "review call with supplier about delivery dates room booked projector needed please bring the forms "
    "train leaves at ten back before noon ask for Anna at the desk second floor left door parking behind the house"
)

# (recurrence id, start, end) of one occurrence
Instance = tuple[str, datetime, datetime]


@dataclass
class Event:
    """One object. `summary` is all of it that an update changes."""

    uid: str
    start: datetime
    length: timedelta
    summary: str
    about: str
    busy: bool = True
    # Only for a weekly series: its last start, its gaps, and where an occurrence was moved to
    weekly: bool = False
    until: datetime | None = None
    gaps: frozenset[datetime] = frozenset()
    moved: dict[datetime, datetime] = field(default_factory=dict)

    @property
    def href(self) -> str:
        return f"{self.uid}.ics"

    def instances(self, first: datetime, last: datetime) -> list[Instance]:
        """What overlaps [first, last), in UTC."""
        found = []
        for original in self._starts(last):
            if original not in self.gaps:
                start = self.moved.get(original, original)
                name = utc_text(original.astimezone(UTC)) if self.weekly else ""
                found.append((name, start.astimezone(UTC), (start + self.length).astimezone(UTC)))
        return [one for one in found if one[1] < last and one[2] > first]

    def _starts(self, last: datetime) -> list[datetime]:
        if not self.weekly:
            return [self.start]
        starts, start = [], self.start
        while start < last + _WEEK and (self.until is None or start <= self.until):
            starts.append(start)
            start += _WEEK
        return starts

    def text(self) -> str:
        """As an app would write it."""
        lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Bench//Bench//EN"]
        zone = self.start.tzinfo
        if isinstance(zone, ZoneInfo):
            lines += timezones.vtimezone(zone.key).text().rstrip("\r\n").split("\r\n")
        rule = []
        if self.weekly:
            ends = f";UNTIL={utc_text(self.until.astimezone(UTC))}" if self.until else ""
            rule = ["RRULE:FREQ=WEEKLY" + ends, *(_time("EXDATE", gap) for gap in sorted(self.gaps))]
        lines += self._component(self.start, rule)
        for original, start in sorted(self.moved.items()):
            lines += self._component(start, [_time("RECURRENCE-ID", original)])
        return "".join(fold(line) for line in [*lines, "END:VCALENDAR"])

    def _component(self, start: datetime, more: list[str]) -> list[str]:
        return [
            "BEGIN:VEVENT",
            f"UID:{self.uid}",
            "DTSTAMP:20260101T120000Z",
            _time("DTSTART", start),
            _time("DTEND", start + self.length),
            *more,
            f"SUMMARY:{escape(self.summary)}",
            f"DESCRIPTION:{escape(self.about)}",
            "LOCATION:Hauptstraße 12\\, 1010 Wien",
            f"TRANSP:{'OPAQUE' if self.busy else 'TRANSPARENT'}",
            "BEGIN:VALARM",
            "ACTION:DISPLAY",
            "DESCRIPTION:Reminder",
            "TRIGGER:-PT15M",
            "END:VALARM",
            "END:VEVENT",
        ]


def _time(name: str, moment: datetime) -> str:
    if isinstance(moment.tzinfo, ZoneInfo):
        return f"{name};TZID={moment.tzinfo.key}:{moment:%Y%m%dT%H%M%S}"
    return f"{name}:{utc_text(moment)}"


def events(count: int, monday: datetime, *, seed: int = 1, name: str = "event") -> list[Event]:
    """`count` events from a year before `monday` to a year after it; every fiftieth is a weekly series."""
    random = Random(seed)
    made = []
    for number in range(count):
        weekly = number % 50 == 7
        zone = ZoneInfo(random.choice(_ZONES)) if weekly or random.random() < 0.8 else None
        day = monday - _YEAR + timedelta(days=random.randrange(728))
        start = datetime(day.year, day.month, day.day, random.randrange(7, 20), random.choice((0, 15, 30, 45)))
        start = start.replace(tzinfo=zone or UTC)
        event = Event(
            uid=f"{name}-{number:05d}-{random.getrandbits(64):016x}",
            start=start,
            length=timedelta(minutes=random.choice((15, 30, 45, 60, 90))),
            summary=f"Event {number}: {' '.join(random.choices(_WORDS.split(), k=4))}",
            about=" ".join(random.choices(_WORDS.split(), k=random.randrange(5, 60))),
            busy=random.random() < 0.85,
        )
        if weekly:
            _repeat(event, random)
        made.append(event)
    return made


def _repeat(event: Event, random: Random) -> None:
    event.weekly = True
    if random.random() < 0.4:
        event.until = event.start + _WEEK * random.randrange(10, 80)
    numbers = random.sample(range(1, 10), 4)
    if random.random() < 0.5:
        event.gaps = frozenset(event.start + _WEEK * number for number in numbers[:2])
    if random.random() < 0.5:
        for number in numbers[2:]:
            event.moved[event.start + _WEEK * number] = event.start + _WEEK * number + timedelta(days=1, hours=1)


def busy_time(made: list[Event], first: datetime, last: datetime) -> list[tuple[datetime, datetime]]:
    """The busy periods in [first, last), merged."""
    return merged([(s, e) for event in made if event.busy for _name, s, e in event.instances(first, last)], first, last)


def merged(
    periods: list[tuple[datetime, datetime]], first: datetime, last: datetime
) -> list[tuple[datetime, datetime]]:
    result: list[tuple[datetime, datetime]] = []
    for start, end in sorted(periods):
        start, end = max(start, first), min(end, last)
        if start >= end:
            continue
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def meaning(text: str) -> set[tuple[object, ...]]:
    """What an answer's calendar data says, however it is written: instants, rules, words."""
    calendar = parse(text)
    return {_meaning(component, calendar) for component in calendar.components("VEVENT")}


def _meaning(component: Component, calendar: Component) -> tuple[object, ...]:
    def moment(name: str) -> datetime | None:
        line = component.first(name)
        return None if line is None else instant(read_time(line, UTC, calendar), UTC)

    return (
        component.plain("UID"),
        moment("RECURRENCE-ID"),
        moment("DTSTART"),
        moment("DTEND"),
        frozenset((component.value("RRULE") or "").split(";")),
        frozenset(instant(v, UTC) for line in component.lines("EXDATE") for v in read_times(line, UTC, calendar)),
        component.plain("SUMMARY"),
        component.plain("DESCRIPTION"),
        component.value("TRANSP"),
        len(component.components("VALARM")),
    )


def instances_in(text: str) -> list[Instance]:
    """The occurrences that an expanded answer holds."""
    calendar = parse(text)
    found = []
    for component in calendar.components("VEVENT"):
        moments = {
            name: instant(read_time(line, UTC, calendar), UTC)
            for name in ("RECURRENCE-ID", "DTSTART", "DTEND")
            if (line := component.first(name)) is not None
        }
        original = moments.get("RECURRENCE-ID")
        found.append((utc_text(original) if original else "", moments["DTSTART"], moments["DTEND"]))
    return sorted(found)
