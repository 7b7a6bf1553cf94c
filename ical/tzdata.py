"""Which version of the time zone database this process reckons with."""

import zoneinfo
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path

_LONGEST = 16


@cache
def version() -> str:
    """Such as "2026a"; "" where nobody says. zoneinfo looks at the system's files first, then at the package. Kept as
    it was at first, since zones are kept as well: what is installed later counts after a restart."""
    for folder in map(Path, zoneinfo.TZPATH):
        if (folder / "UTC").exists():
            return _of_folder(folder)
    try:
        return version_of("tzdata")[:_LONGEST]
    except PackageNotFoundError:
        return ""


def _of_folder(folder: Path) -> str:
    for name, prefix in (("tzdata.zi", "# version "), ("+VERSION", "")):
        try:
            with (folder / name).open(encoding="ascii", errors="replace") as said:
                return said.readline().strip().removeprefix(prefix)[:_LONGEST]
        except OSError:
            continue
    return ""
