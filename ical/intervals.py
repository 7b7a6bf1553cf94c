"""Half-open intervals of whole seconds, [begin, end), in lists by their begin."""

from collections.abc import Iterable, Sequence

Interval = tuple[int, int]

# Before and behind all that a calendar can hold.
ALWAYS: Interval = (-(2**62), 2**62)


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Disjoint, in order, those that adjoin made one."""
    made: list[Interval] = []
    begin, end = ALWAYS[0], ALWAYS[0]
    for first, last in sorted(intervals):
        if first > end:
            if end > begin:
                made.append((begin, end))
            begin, end = first, last
        elif last > end:
            end = last
    if end > begin:
        made.append((begin, end))
    return made


def gaps(intervals: Iterable[Interval], within: Interval = ALWAYS) -> list[Interval]:
    """What disjoint, ordered intervals leave of `within`."""
    left = []
    at, last = within
    for begin, end in intervals:
        if begin >= last:
            break
        if begin > at:
            left.append((at, begin))
        if end > at:
            at = end
    if at < last:
        left.append((at, last))
    return left


def common(one: Sequence[Interval], other: Sequence[Interval]) -> list[Interval]:
    """What is in both of two disjoint, ordered lists."""
    found = []
    i = j = 0
    while i < len(one) and j < len(other):
        begin, end = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if begin < end:
            found.append((begin, end))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return found
