"""Content lines: unfold, change only what is ours, fold; everything else byte for byte. RFC 5545 §3.1.

`parse` gives a tree of components whose lines remember the text they came from, so that `text()` returns the
client's own bytes wherever nothing was changed. icalendar's parse-and-serialise is not lossless; this is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ical.errors import InvalidCalendarData

Params = tuple[tuple[str, tuple[str, ...]], ...]

# VCALENDAR, VEVENT, VALARM and one to spare. It also keeps the walks over the tree from running out of stack.
MAX_DEPTH = 4

_NAME = re.compile(r"[A-Za-z0-9-]+")
_ESCAPES = {"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# A line and what is folded to it. Not str.splitlines: it would also cut at U+2028 and U+0085, which are text here.
_LOGICAL = re.compile(r"[^\n]*\n(?:[ \t][^\n]*(?:\n|\Z))*|[^\n]+")
_FOLD = re.compile(r"\r?\n[ \t]")
_LINE_END, _ESCAPED_LINE_END = re.compile(r"\r?\n|\r"), r"\\n"
_END_OF_VALUE = re.compile("[,;:]")
_CARETS = {"n": "\n", "'": '"', "^": "^"}
_CARETED = re.compile(r"\^([n'^])")
_SPLIT_COMMA = re.compile(r"(?<!\\)((?:\\\\)*),")


@dataclass(slots=True)
class Line:
    """One content line. `raw` is its text as received, folds and line end included."""

    name: str
    value: str
    params: Params = ()
    raw: str = ""

    def param(self, name: str) -> str | None:
        """The first value of parameter `name` (any case), unquoted and decoded (RFC 6868); None when absent."""
        for key, values in self.params:
            if key == name.upper():
                value = values[0] if values else ""
                return _CARETED.sub(lambda m: _CARETS[m[1]], value) if "^" in value else value
        return None

    def text(self) -> str:
        return self.raw or fold(self.unfolded())

    def unfolded(self) -> str:
        head = self.name
        for key, values in self.params:
            head += f";{key}={','.join(map(_quoted, values))}"
        # A bare line end in a value would begin a property of somebody else's choice.
        return f"{head}:{_LINE_END.sub(_ESCAPED_LINE_END, self.value)}"


@dataclass(slots=True)
class Component:
    """A BEGIN…END block: its name and its children in order."""

    name: str
    children: "list[Line | Component]" = field(default_factory=list)
    begin: str = ""
    end: str = ""

    def lines(self, name: str | None = None) -> list[Line]:
        """The direct lines, or those called `name` (upper case)."""
        return [c for c in self.children if (name is None or c.name == name) and isinstance(c, Line)]

    def first(self, name: str) -> Line | None:
        for child in self.children:
            if child.name == name and isinstance(child, Line):
                return child
        return None

    def value(self, name: str) -> str | None:
        """The raw (still escaped) value of the first line called `name`."""
        line = self.first(name)
        return None if line is None else line.value

    def plain(self, name: str) -> str:
        """The unescaped TEXT value of the first line called `name`; empty when absent."""
        line = self.first(name)
        return "" if line is None else unescape(line.value)

    def components(self, *names: str) -> "list[Component]":
        return [c for c in self.children if isinstance(c, Component) and (not names or c.name in names)]

    def walk(self) -> "Iterator[Component]":
        yield self
        for child in self.components():
            yield from child.walk()

    def remove(self, *names: str) -> None:
        self.children = [c for c in self.children if not (isinstance(c, Line) and c.name in names)]

    def add(self, name: str, value: str, params: Params = ()) -> None:
        """Append a line behind the last direct line (before any subcomponent). `value` is already escaped."""
        self.insert(Line(name, value, params))

    def insert(self, line: Line) -> None:
        at = len(self.children)
        while at and not isinstance(self.children[at - 1], Line):
            at -= 1
        self.children.insert(at, line)

    def set(self, name: str, value: str, params: Params = ()) -> None:
        """Make `name` stand exactly once with this value. A line that already says so keeps its bytes."""
        old = self.lines(name)
        if len(old) == 1 and old[0].value == value and old[0].params == params:
            return
        new = Line(name, value, params)
        if not old:
            self.insert(new)
            return
        at = next(i for i, c in enumerate(self.children) if c is old[0])
        self.children[at] = new
        dropped = {id(line) for line in old[1:]}
        self.children = [c for c in self.children if id(c) not in dropped]

    def set_text(self, name: str, text: str, params: Params = ()) -> None:
        """`set` with a TEXT value, escaped here."""
        self.set(name, escape(text), params)

    def text(self) -> str:
        """The whole block, CRLF line ends on every line that we wrote."""
        begin = self.begin or f"BEGIN:{self.name}\r\n"
        end = self.end or f"END:{self.name}\r\n"
        return begin + "".join(child.text() for child in self.children) + end

    def copy(self) -> "Component":
        """A deep copy: changing it leaves the original alone."""
        children = [
            c.copy() if isinstance(c, Component) else Line(c.name, c.value, c.params, c.raw) for c in self.children
        ]
        return Component(self.name, children, self.begin, self.end)


def parse(text: str) -> Component:
    """The outermost component of `text`. Raises InvalidCalendarData for anything that is not well nested."""
    stack: list[Component] = []
    root: Component | None = None
    blank = ""
    for raw, line in _logical_lines(text):
        if not line.strip():
            blank += raw
            continue
        raw, blank = blank + raw, ""
        if root is not None and not stack:
            raise InvalidCalendarData("There is text after the end of the calendar.")
        name, params, value = _split(line)
        if name == "BEGIN":
            block = Component(value.strip().upper(), begin=raw)
            if len(stack) >= MAX_DEPTH:
                raise InvalidCalendarData("The components of the calendar are nested too deeply.")
            if stack:
                stack[-1].children.append(block)
            stack.append(block)
            root = root or block
        elif name == "END":
            if not stack or stack[-1].name != value.strip().upper():
                raise InvalidCalendarData(f"END:{value} does not close what was begun.")
            stack.pop().end = raw
        elif not stack:
            raise InvalidCalendarData("A calendar begins with BEGIN:VCALENDAR.")
        else:
            stack[-1].children.append(Line(name, value, params, raw))
    if root is None or stack:
        raise InvalidCalendarData("The calendar has no end." if root else "There is no calendar.")
    root.end += blank
    return root


def fold(line: str) -> str:
    """One logical line as folded text: at most 75 octets a line, CRLF, no fold inside a character."""
    encoded = line.encode()
    if len(encoded) <= 75:
        return f"{line}\r\n"
    parts, start, room = [], 0, 75
    while len(encoded) - start > room:
        cut = start + room
        while encoded[cut] & 0xC0 == 0x80:
            cut -= 1
        parts.append(encoded[start:cut].decode())
        start, room = cut, 74
    parts.append(encoded[start:].decode())
    return "\r\n ".join(parts) + "\r\n"


def escape(text: str) -> str:
    """TEXT value, RFC 5545 §3.3.11."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"[\\;,\n]", lambda m: _ESCAPES[m[0]], text)


def unescape(value: str) -> str:
    return _ESCAPED.sub(lambda m: "\n" if m[1] in "nN" else m[1], value)


def split_list(value: str) -> list[str]:
    """The unescaped members of a comma-separated TEXT list (CATEGORIES)."""
    return [unescape(part) for part in _SPLIT_COMMA.sub("\\1\0", value).split("\0")]


def _logical_lines(text: str) -> Iterator[tuple[str, str]]:
    """(raw, unfolded) for each content line."""
    for match in _LOGICAL.finditer(text):
        raw = match[0]
        line = raw.rstrip("\r\n")
        yield raw, _FOLD.sub("", line) if "\n" in line else line


def _split(line: str) -> tuple[str, Params, str]:
    name, colon, value = line.partition(":")
    if colon and _NAME.fullmatch(name):
        return name.upper(), (), value
    head = _NAME.match(line)
    if head is None or head.end() == len(line) or line[head.end()] not in ":;":
        raise InvalidCalendarData("A line is not a property.")
    name = head[0].upper()
    at = head.end()
    params: list[tuple[str, tuple[str, ...]]] = []
    while line[at] == ";":
        equals = line.find("=", at)
        if equals < 0:
            raise InvalidCalendarData(f"A parameter of {name} has no value.")
        key, values = line[at + 1 : equals].upper(), []
        at = equals
        while True:
            at += 1
            if line[at : at + 1] == '"':
                close = line.find('"', at + 1)
                if close < 0:
                    raise InvalidCalendarData(f"A quote in {name} is not closed.")
                values.append(line[at + 1 : close])
                at = close + 1
            else:
                begin, found = at, _END_OF_VALUE.search(line, at)
                at = len(line) if found is None else found.start()
                values.append(line[begin:at])
            if at >= len(line):
                raise InvalidCalendarData(f"{name} has no value.")
            if line[at] != ",":
                break
        params.append((key, tuple(values)))
        if line[at] == ":":
            return name, tuple(params), line[at + 1 :]
        if line[at] != ";":
            raise InvalidCalendarData(f"The parameters of {name} cannot be read.")
    raise InvalidCalendarData(f"{name} has no value.")


def _quoted(value: str) -> str:
    """The value as it may stand in a line. A caret is left alone: what was parsed holds its RFC 6868 form already."""
    value = _LINE_END.sub("^n", value).replace('"', "^'")
    return f'"{value}"' if _END_OF_VALUE.search(value) else value
