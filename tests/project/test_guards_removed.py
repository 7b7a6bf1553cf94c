"""Guards that are removed one by one: each is missed by a test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What is taken out, what stands there instead, and who notices.
GUARDS = {
    "the ETag that a writer names": (
        "caldav_bridge.conditions:fail=False",
        "tests/caldav/test_objects.py::test_put_with_stale_etag_is_refused",
    ),
    "whose calendar it is": (
        "storage.policy:_is_own=True",
        "tests/caldav/test_rights.py::test_another_home_answers_as_an_unknown_one",
    ),
    "who may open a page": (
        "web.security:_check_role=None",
        "tests/web/test_security.py::test_unknown_and_forbidden_look_the_same",
    ),
    "the token of a form": (
        "web.security:_check_form=None",
        "tests/web/test_security.py::test_a_form_without_its_token_is_refused",
    ),
    "minutes that are taken": (
        "storage.claims:_others=[]",
        "tests/storage/test_double_booking.py::test_capacity_is_the_number_that_succeed",
    ),
    "a hold that is used up": (
        "storage.booking:_redeem=None",
        "tests/storage/test_booking.py::test_a_hold_becomes_the_appointment_once",
    ),
    "what the practice must agree to": (
        "storage.cut_offs:freedom='free'",
        "tests/storage/test_requests.py::test_the_cut_off_holds_for_every_way_a_patient_comes",
    ),
    "who has missed too many": (
        "storage.no_shows:needs_approval=False",
        "tests/storage/test_no_shows.py::test_staff_confirm_what_a_patient_books_who_has_missed_too_many",
    ),
    "who may hear that somebody is paused": (
        "storage.no_shows:is_known=True",
        "tests/storage/test_no_shows.py::test_a_visitor_cannot_tell_that_somebody_is_paused",
    ),
    "what was previewed": (
        "storage.bulk:_token=''",
        "tests/storage/test_bulk.py::test_what_was_previewed_is_done_or_nothing",
    ),
    "a visit that has changed since": (
        "storage.undo:_stands=True",
        "tests/storage/test_undo.py::test_what_an_app_has_changed_since_is_not_undone",
    ),
    "a request that came before": (
        "storage.idempotency:once=None",
        "tests/web/test_api.py::test_the_same_key_gives_the_same_answer",
    ),
    "feeds that are read too often": (
        "web.feeds:Limit.allows=True",
        "tests/web/test_feeds.py::test_reading_too_often_is_slowed_down",
    ),
    "headers of a proxy": (
        "caldav_bridge.shim:_NOT_BELIEVED=()",
        "tests/caldav/test_http.py::test_script_name_and_forwarded_headers_are_not_believed",
    ),
    "the size of a body": (
        "caldav_bridge.shim:_bound_body=None",
        "tests/caldav/test_http.py::test_body_over_the_limit_is_413",
    ),
    "shapes of rules": (
        "ical.rrule:_is_supported=True",
        "tests/unit/test_rrule.py::test_other_shapes_are_refused",
    ),
    "rules without a day": (
        "ical.guard:ever_matches=True",
        "tests/unit/test_guard.py::test_hostile_data_is_refused[a rule for 30 February]",
    ),
    "ends before starts": (
        "ical.guard:_check_span=None",
        "tests/unit/test_guard.py::test_hostile_data_is_refused[an end before the start]",
    ),
    "one UID in an object": (
        "ical.guard:_check_identity=None",
        "tests/unit/test_guard.py::test_hostile_data_is_refused[two UIDs in an object]",
    ),
    "lists of dates": (
        "ical.guard:_check_lists=None",
        "tests/unit/test_guard.py::test_hostile_data_is_refused[10,000 EXDATEs]",
    ),
    "clocks that change too often": (
        "ical.guard:check_timezone=None",
        "tests/unit/test_guard.py::test_hostile_data_is_refused[a monthly VTIMEZONE]",
    ),
    "the depth of components": (
        "ical.lines:MAX_DEPTH=1000000000",
        "tests/unit/test_guard.py::test_hostile_data_is_refused[deep nesting]",
    ),
}


@pytest.mark.soak
def test_with_every_guard_the_tests_pass() -> None:
    assert run(*(test for _, test in GUARDS.values())) == pytest.ExitCode.OK


@pytest.mark.soak
@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_that_is_removed_is_missed(name: str) -> None:
    removed, test = GUARDS[name]
    assert run("-p", "tests.project.removal", test, removed=removed) == pytest.ExitCode.TESTS_FAILED


def run(*arguments: str, removed: str = "") -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"CLINICDAV_SOAK_REMOVED": removed}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=300, check=False)
    return done.returncode
