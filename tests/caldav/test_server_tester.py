"""What caldav-server-tester finds: without colleagues in seconds, all of it by make tester."""

import logging

import pytest

from tests.caldav.helpers import Clinic
from tests.caldav.server_tester import BAD, WHY, ask, written


def test_what_the_tester_finds_is_what_the_page_says(lite: Clinic, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1)
    page = written()
    found = {name: verdict["support"] for name, verdict in ask(lite, colleagues=False).items()}
    asked = {name: support for name, support in found.items() if support != "unknown"}
    assert {name: page.get(name) for name in asked} == asked
    assert sum(support == "full" for support in found.values()) >= 95


def test_the_page_has_nothing_broken_and_a_reason_for_each_no() -> None:
    page = written()
    assert BAD.isdisjoint(page.values())
    assert {name for name, support in page.items() if support != "full"} <= WHY.keys()
    assert sum(support == "full" for support in page.values()) >= 95
