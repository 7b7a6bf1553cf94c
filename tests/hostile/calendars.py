"""Good calendar objects, spoilt at random and always in the same way for the same chance."""

import random
import re
from collections.abc import Callable
from pathlib import Path

from tests.caldav.helpers import event
from tests.hostile.values import CLAIMS, DURATIONS, LINES, NUMBERS, RULE_PARTS, TEXTS, TIMES, ZONES, spoilt_bytes

CALENDARS = Path(__file__).parent.parent / "calendars"
FOLDERS = ("personal", "appointments", "hours", "leave", "waitlist")


def seeds() -> list[tuple[str, bytes]]:
    """(folder that takes it, text) of good objects."""
    found = []
    for path in sorted(CALENDARS.glob("*.ics")):
        folder = next((name for name in FOLDERS if path.name.startswith(name.rstrip("s"))), "appointments")
        found.append((folder, path.read_bytes()))
    series = event("m@test", "20261124T090000", "20261124T093000", "RRULE:FREQ=WEEKLY;COUNT=5", "SUMMARY:x")
    monthly = (
        "RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE;BYSETPOS=-1",
        "EXDATE;TZID=Europe/Vienna:20261201T090000",
        "SUMMARY:x",
    )
    alarm = ("SUMMARY:x", "BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT15M", "DESCRIPTION:x", "END:VALARM")
    return [
        *found,
        ("personal", event().encode()),
        ("personal", series.encode()),
        ("personal", event("m@test", "20261124T090000", "20261124T093000", *monthly).encode()),
        ("personal", event("m@test", "20261124T090000", "20261124T093000", *alarm).encode()),
    ]


def spoilt_calendar(chance: random.Random, text: bytes) -> bytes:
    """`text` with one to five changes: of lines and values mostly, of bytes sometimes."""
    lines = re.sub(r"\r?\n[ \t]", "", text.decode()).splitlines()
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        if lines:
            chance.choice(LINE_CHANGES)(chance, lines)
    body = _written(chance, lines)
    for _ in range(chance.choice((0,) * 9 + (1, 1, 3))):
        body = spoilt_bytes(chance, body)
    return body


def _place(chance: random.Random, lines: list[str]) -> int:
    """Mostly a property: what is no longer well nested is refused before it is understood."""
    found = [at for at, line in enumerate(lines) if not line.startswith(("BEGIN", "END"))]
    return chance.choice(found) if found and chance.random() < 0.95 else chance.randrange(len(lines))


def _drop(chance: random.Random, lines: list[str]) -> None:
    del lines[_place(chance, lines)]


def _double(chance: random.Random, lines: list[str]) -> None:
    at = _place(chance, lines)
    lines[at:at] = [lines[at]] * chance.choice((1, 1, 2, 1000))


def _swap(chance: random.Random, lines: list[str]) -> None:
    one, two = _place(chance, lines), _place(chance, lines)
    lines[one], lines[two] = lines[two], lines[one]


def _insert(chance: random.Random, lines: list[str]) -> None:
    at = chance.randint(0, len(lines))
    lines[at:at] = [chance.choice(LINES)] * chance.choice((1, 1, 1, 300))


def _repeat_block(chance: random.Random, lines: list[str]) -> None:
    """A component twice, inside itself, or many times."""
    begins = [at for at, line in enumerate(lines) if line.startswith("BEGIN:")]
    if begins:
        at = chance.choice(begins)
        ends = [n for n, line in enumerate(lines) if n > at and line == lines[at].replace("BEGIN:", "END:")]
        if ends:
            block = lines[at : ends[0] + 1]
            where = chance.choice((at, ends[0], ends[0] + 1))
            lines[where:where] = block * chance.choice((1, 2, 30))


def _nest(chance: random.Random, lines: list[str]) -> None:
    depth = chance.choice((1, 1, 2, 4, 60))
    at = chance.randint(0, len(lines))
    lines[at:at] = ["BEGIN:X-D"] * depth + ["END:X-D"] * depth


def _value(chance: random.Random, lines: list[str]) -> None:
    at = _place(chance, lines)
    head, _, _value = lines[at].partition(":")
    name = head.partition(";")[0]
    nasty = TIMES if name in CLAIMS else DURATIONS if name in ("DURATION", "TRIGGER") else TEXTS
    if chance.random() < 0.2:
        nasty = chance.choice((TIMES, DURATIONS, NUMBERS, TEXTS))
    lines[at] = f"{head}:{chance.choice(nasty)}"


def _time(chance: random.Random, lines: list[str]) -> None:
    at = [n for n, line in enumerate(lines) if line.partition(":")[0].partition(";")[0] in CLAIMS]
    if at:
        chosen = chance.choice(at)
        head = lines[chosen].partition(":")[0]
        if chance.random() < 0.3:
            head = head.partition(";")[0] + chance.choice(("", ";VALUE=DATE", ";VALUE=PERIOD", ";VALUE=TEXT"))
        lines[chosen] = f"{head}:{chance.choice(TIMES)}"


def _rule(chance: random.Random, lines: list[str]) -> None:
    """Another rule, or other parts in one; where there is none, one begins."""
    at = [n for n, line in enumerate(lines) if line.startswith("RRULE")]
    parts = chance.sample(RULE_PARTS, chance.randint(1, 4))
    if at and chance.random() < 0.7:
        chosen = chance.choice(at)
        lines[chosen] += ";" + ";".join(parts)
        return
    starts = [n for n, line in enumerate(lines) if line.startswith("DTSTART")]
    where = chance.choice(starts) if starts else 0
    lines[where:where] = [f"RRULE:FREQ={chance.choice(('DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'))};" + ";".join(parts)]


def _zone(chance: random.Random, lines: list[str]) -> None:
    at = [n for n, line in enumerate(lines) if "TZID" in line]
    if at:
        chosen = chance.choice(at)
        lines[chosen] = re.sub(
            r"TZID([=:])[^:;]*", lambda m: f"TZID{m[1]}{chance.choice(ZONES)}", lines[chosen], count=1
        )


def _parameter(chance: random.Random, lines: list[str]) -> None:
    at = _place(chance, lines)
    name, colon, rest = lines[at].partition(":")
    extra = chance.choice(
        (";", ";X", ";X=", ';X="', ";VALUE=DATE", ";VALUE=BINARY", ";TZID=Own", ";X=" + "a" * 3000, ";=b")
    )
    lines[at] = name + extra * chance.choice((1, 1, 500)) + colon + rest


def _name(chance: random.Random, lines: list[str]) -> None:
    at = _place(chance, lines)
    name, mark, rest = re.match(r"([^:;]*)([:;]?)(.*)", lines[at], re.DOTALL).groups()  # type: ignore[union-attr]
    other = chance.choice((name.lower(), name[:-1], name + "-X", "X-" + name, "", "ÄÖ", chance.choice(CLAIMS)))
    lines[at] = other + mark + rest


def _cut(chance: random.Random, lines: list[str]) -> None:
    del lines[chance.randrange(len(lines)) :]


LINE_CHANGES: tuple[Callable[[random.Random, list[str]], None], ...] = (
    _drop, _drop, _double, _swap, _swap, _insert, _insert, _repeat_block, _nest, _value, _value, _value, _time, _time, _time,
    _rule, _rule, _rule, _rule, _zone, _zone, _parameter, _name, _name, _cut,
)  # fmt: skip


def _written(chance: random.Random, lines: list[str]) -> bytes:
    """As bytes, with folds that may stand anywhere, inside characters too."""
    width, end = chance.choice((75, 75, 75, 1, 7, 10_000)), chance.choice((b"\r\n",) * 30 + (b"\n",) * 5 + (b"\r",))
    out = []
    for line in lines:
        raw = line.encode("utf-8", "surrogatepass")
        if len(raw) > 4000:
            out.append(raw)
            continue
        out.append((b"\r\n" + chance.choice((b" ", b"\t"))).join(raw[n : n + width] for n in range(0, len(raw), width)))
    return end.join(out) + end
