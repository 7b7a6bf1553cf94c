"""The clinic and the screen that the apps get. These tests are left out unless asked for with -m clients."""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.clients.practice import Practice
from tests.clients.screen import Screen
from tests.conftest import missing

HERE = Path(__file__).parent
# Where pictures of the apps go
PICTURES = Path(os.environ.get("CLINICDAV_TEST_PICTURES") or HERE.parents[1] / "var" / "clients").absolute()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.clients)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failure comes what was exchanged, and what server and app said."""
    report = yield
    if report.failed:
        known = getattr(item, "funcargs", {})
        for name, given in known.items():
            if callable(getattr(given, "log", None)):
                report.sections.append((f"log of {name}", given.log()))
        if "practice" in known:
            report.sections.append(("exchanges", known["practice"].recorder.tail()))
    return report


def need(*programs: str) -> None:
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        missing(f"not installed: {', '.join(absent)}")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Short, for some programs make sockets in it, and removed whatever happens."""
    with tempfile.TemporaryDirectory(prefix="clinicdav-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def practice(folder: Path) -> Iterator[Practice]:
    running = Practice(folder / "clinic")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def screen(folder: Path) -> Iterator[Screen]:
    need("Xvfb", "openbox", "import")
    PICTURES.mkdir(parents=True, exist_ok=True)
    shown = Screen(folder / "screen.log")
    yield shown
    shown.stop()
