"""When reminders are due, and how they stand in a VEVENT."""

from datetime import UTC, datetime, timedelta

import pytest

from ical.errors import InvalidInput
from ical.lines import Component
from ical.reminders import DEFAULT, Due, alarms, check_plan, due_times, plan_of

START = datetime(2026, 11, 25, 9, tzinfo=UTC)
UID = "appt-0c9d7a52-1f0e-4c6e-9b0b-5a3f7f6f0a11@clinic.example"


def test_the_default_is_a_day_by_mail_and_two_hours_by_sms():
    due = due_times(START, DEFAULT, START - timedelta(days=3))
    assert due == [
        Due("24h", 1440, "email", START - timedelta(days=1)),
        Due("2h", 120, "sms", START - timedelta(hours=2)),
    ]


def test_only_what_is_still_to_come():
    assert [d.reminder_type for d in due_times(START, DEFAULT, START - timedelta(days=1))] == ["2h"]
    assert due_times(START, DEFAULT, START) == []


def test_both_is_two_and_nothing_comes_twice():
    plan = ((45, "both"), (45, "sms"))
    due = due_times(START, plan, START - timedelta(days=1))
    assert [(d.reminder_type, d.channel) for d in due] == [("custom", "email"), ("custom", "sms")]


@pytest.mark.parametrize("plan", [((0, "email"),), ((10, "fax"),), ((10**6, "sms"),), ((5, "sms"),) * 11])
def test_a_plan_that_cannot_be_carried_out_is_refused(plan):
    with pytest.raises(InvalidInput):
        check_plan(plan)


def test_alarms_express_the_plan():
    event = Component("VEVENT")
    event.children += alarms(((1440, "both"), (90, "sms"), (180, "email")), UID, "Dr. Smith", "m@mail.example")
    assert [a.value("TRIGGER") for a in event.components()] == ["-P1D", "-P1D", "-PT90M", "-PT3H"]
    assert len({a.value("UID") for a in event.components()}) == 4
    assert plan_of(event) == ((1440, "email"), (1440, "sms"), (90, "sms"), (180, "email"))


def test_the_doctors_alarms_are_no_reminders():
    event, alarm = Component("VEVENT"), Component("VALARM")
    alarm.add("ACTION", "EMAIL")
    alarm.add("TRIGGER", "-PT10M")
    event.children.append(alarm)
    assert plan_of(event) == ()
