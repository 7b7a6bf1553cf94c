"""Charts as numbers: where each bar begins and ends. The templates draw them as SVG; beside each stands its table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from storage.analytics import Figures

Value = Callable[[Figures], float]


@dataclass(frozen=True)
class Series:
    """One colour of a chart. `tone` is the class of its bars."""

    name: str
    tone: str
    value: Value


@dataclass(frozen=True)
class Part:
    """A bar in percent of its track: where it begins and how long it is."""

    tone: str
    begin: float
    size: float


@dataclass(frozen=True)
class Bar:
    label: str
    said: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Chart:
    """`ticks` are the values of the scale, the largest first; `labels` the few of the bars that are written below."""

    bars: tuple[Bar, ...]
    series: tuple[Series, ...]
    ticks: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def empty(self) -> bool:
        return not any(bar.parts for bar in self.bars)


def stacked(
    rows: Sequence[Figures], series: Sequence[Series], said: Callable[[Figures], str], *, shown: int = 4
) -> Chart:
    """Bars whose parts stand on one another, measured by a round number above the largest."""
    top = round_above(max((sum(each.value(row) for each in series) for row in rows), default=0))
    bars = []
    for row in rows:
        parts, begin = [], 0.0
        for each in series:
            size = 100 * each.value(row) / top
            if size:
                parts.append(Part(each.tone, round(begin, 2), round(size, 2)))
            begin += size
        bars.append(Bar(row.label, said(row), tuple(parts)))
    return Chart(tuple(bars), tuple(series), (f"{top:g}", f"{top / 2:g}"), _few([row.label for row in rows], shown))


def shares(rows: Sequence[Figures], tone: str, share: Value, said: Callable[[Figures], str], name: str) -> Chart:
    """Bars of a share of the whole; what is above the whole ends there."""
    bars = [
        Bar(row.label, said(row), (Part(tone, 0, round(min(100 * size, 100), 2)),) if (size := share(row)) else ())
        for row in rows
    ]
    return Chart(tuple(bars), (Series(name, tone, share),), ("100%", "50%"), ())


def round_above(value: float) -> int:
    """A round number that is not below, and half of it is a whole one: 2, 4, 6, 8, 10, 20, 30, 40, 50, 60, 80, 100 …"""
    scale, steps = 1, (2, 4, 6, 8, 10)
    while value > 10 * scale:
        scale, steps = scale * 10, (2, 3, 4, 5, 6, 8, 10)
    return next(step * scale for step in steps if step * scale >= value)


def _few(labels: Sequence[str], shown: int) -> tuple[str, ...]:
    if len(labels) <= shown:
        return tuple(labels)
    return tuple(labels[round(n * (len(labels) - 1) / (shown - 1))] for n in range(shown))
