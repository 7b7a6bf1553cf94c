"""What the rules ask of a booking, and what staff may set aside."""

from datetime import timedelta

import pytest

from ical.errors import Forbidden, NotFound, Refusal
from storage import appointment_types, booking_rules
from storage.policy import Actor


def checked(practice, start, actor, kind="consultation", **more):
    with practice.writing() as session:
        resource = booking_rules.lock(session, [practice.lee])[practice.lee.id]
        asked = appointment_types.get(session, kind)
        return booking_rules.check(session, practice.lee, resource, start, asked, actor, practice.now, **more)


def test_staff_overrule_the_hours_and_learn_what_was_against_it(practice, at):
    with pytest.raises(Refusal):
        checked(practice, at(20), practice.doctor)
    allowed = checked(practice, at(20), practice.doctor, overrule=True)
    assert [refusal.code for refusal in allowed.overruled] == ["outside_hours"]
    assert allowed.end - at(20) == timedelta(minutes=30)


def test_what_no_rule_forbids_overrules_nothing(practice, at):
    assert checked(practice, at(9), practice.doctor, overrule=True).overruled == ()


@pytest.mark.parametrize("shift", [timedelta(days=-10), timedelta(seconds=30)])
def test_nobody_overrules_the_past_or_half_a_minute(practice, at, shift):
    with pytest.raises(Refusal) as refusal:
        checked(practice, at(9) + shift, practice.doctor, overrule=True)
    assert refusal.value.code in ("too_late", "invalid")


def test_a_patient_overrules_nothing(practice, at):
    with pytest.raises(Forbidden):
        checked(practice, at(9), practice.visitor, overrule=True)


def test_a_doctor_overrules_nothing_at_a_colleague_s(practice, at):
    with pytest.raises((Forbidden, NotFound)):
        checked(practice, at(9), Actor("account", "doctor", practice.smith.id, "smith"), overrule=True)
