"""The life of an appointment."""

from datetime import UTC, datetime, timedelta

import pytest

from ical.errors import IllegalTransition
from ical.status import ACTIVE, STATUSES, TERMINAL, after, look

START = datetime(2026, 11, 25, 9, tzinfo=UTC)

LEGAL = {
    ("scheduled", "confirm"): "confirmed",
    ("rescheduled", "confirm"): "confirmed",
    **{(s, "arrive"): s for s in ("scheduled", "confirmed", "rescheduled")},
    **{(s, "start"): "in_progress" for s in ("scheduled", "confirmed", "rescheduled")},
    **{(s, "complete"): "completed" for s in ("scheduled", "confirmed", "rescheduled", "in_progress")},
    **{(s, "no-show"): "no_show" for s in ("scheduled", "confirmed", "rescheduled")},
    **{(s, "cancel"): "cancelled_doctor" for s in ("scheduled", "confirmed", "rescheduled", "in_progress")},
    **{(s, "reschedule"): "rescheduled" for s in ("scheduled", "confirmed", "rescheduled")},
    **{(s, "rebook"): "scheduled" for s in ("completed", "no_show", "cancelled_patient", "cancelled_doctor")},
}
ACTIONS = ("confirm", "arrive", "start", "complete", "no-show", "cancel", "reschedule", "rebook")


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("action", ACTIONS)
def test_what_leads_where(status, action):
    expected = LEGAL.get((status, action))
    if expected is None:
        with pytest.raises(IllegalTransition):
            after(status, action)
    else:
        assert after(status, action) == expected


# What a patient may bring about; the rest is for staff, or leads nowhere.
BY_PATIENT = {
    pair: "cancelled_patient" if pair[1] == "cancel" else status
    for pair, status in LEGAL.items()
    if pair[0] != "in_progress" and pair[1] != "rebook"
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("action", ACTIONS)
def test_what_leads_where_for_a_patient(status, action):
    expected = BY_PATIENT.get((status, action))
    if expected is None:
        with pytest.raises(IllegalTransition):
            after(status, action, "patient")
    else:
        assert after(status, action, "patient") == expected


def test_every_status_is_reached_and_left_as_it_should_be():
    reached = {"scheduled", *LEGAL.values(), *BY_PATIENT.values()}
    assert reached == set(STATUSES)
    ends = {status for status in STATUSES if all(to == status for (of, _), to in LEGAL.items() if of == status)}
    assert ends == set(), "from every status a way leads on, if only to book again"
    assert {status for status, action in LEGAL if action == "rebook"} == TERMINAL
    assert {status for status, action in LEGAL if action == "cancel"} == ACTIVE - TERMINAL


def test_who_cancels_is_remembered():
    assert after("confirmed", "cancel", "patient") == "cancelled_patient"
    assert after("confirmed", "cancel", "doctor") == "cancelled_doctor"


def test_a_patient_neither_rebooks_nor_cancels_what_has_begun():
    for status, action in (("cancelled_patient", "rebook"), ("in_progress", "cancel")):
        with pytest.raises(IllegalTransition):
            after(status, action, "patient")


@pytest.mark.parametrize("action", ["complete", "no-show"])
def test_nothing_is_over_before_it_has_begun(action):
    early = START - timedelta(minutes=15)
    assert after("confirmed", action, start=START, now=early)
    with pytest.raises(IllegalTransition):
        after("confirmed", action, start=START, now=early - timedelta(seconds=1))


def test_an_unknown_action_is_refused():
    with pytest.raises(IllegalTransition):
        after("scheduled", "explode")


def test_every_status_has_a_look_and_holds_minutes_or_not():
    assert len(STATUSES) == 8
    assert {status for status in STATUSES if look(status).transp == "OPAQUE"} == ACTIVE
    assert {"completed", "no_show", "cancelled_patient", "cancelled_doctor"} == TERMINAL
