"""Tables that a person can read."""

from collections.abc import Callable, Sequence
from time import perf_counter


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    print(f"\n{title}\n")
    for row in [head, ["-" * width for width in widths], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(flush=True)


def timed(work: Callable[[], object], repeat: int) -> list[float]:
    """Seconds of each of `repeat` runs, sorted."""
    seconds = []
    for _ in range(repeat):
        begin = perf_counter()
        work()
        seconds.append(perf_counter() - begin)
    return sorted(seconds)


def percentile(seconds: Sequence[float], share: float) -> float:
    return seconds[min(len(seconds) - 1, int(len(seconds) * share))]


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
