"""What is different between two texts of a calendar object, in words."""

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from ical import appointment, changes, hours, leave, recurrence
from ical.lines import Component, parse

VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
START = datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.fixture
def visit() -> Component:
    facts = appointment.AppointmentFacts(
        uid="appt-1@clinic.example",
        start=START,
        end=START + timedelta(minutes=20),
        zone=VIENNA,
        patient_id=UUID(int=1),
        patient_name="Maria Huber",
        doctor_name="Dr. Lee",
        type_code="consultation",
        type_name="Consultation",
        reason="Knee pain",
        rrule="FREQ=DAILY;COUNT=4",
        reminders=((1440, "email"),),
    )
    return appointment.render(facts, NOW)


def said(old: Component | None, new: Component | None, *, clinical: bool = True) -> list[str]:
    return [change.said(clinical=clinical) for change in changes.between(old, new, VIENNA)]


def head(calendar: Component) -> Component:
    found = recurrence.master(calendar)
    assert found is not None
    return found


def test_made_and_gone(visit):
    assert said(None, visit) == ["Made."]
    assert said(visit, None) == ["Taken out of the calendar."]
    assert said(None, None) == [] == said(visit, parse(visit.text()))


def test_another_time_another_end(visit):
    moved, longer = visit.copy(), visit.copy()
    appointment.set_times(head(moved), START + timedelta(hours=2), START + timedelta(hours=2, minutes=20), VIENNA, NOW)
    appointment.set_times(head(longer), START, START + timedelta(minutes=40), VIENNA, NOW)
    assert said(visit, moved) == ["Moved from Mon 23 Nov 2026, 09:00–09:20 to Mon 23 Nov 2026, 11:00–11:20."]
    assert said(visit, longer) == ["Ends at 09:40 instead of 09:20."]


def test_status_type_and_a_cancellation_that_may_be_taken_back(visit):
    other = visit.copy()
    appointment.set_status(head(other), "confirmed", NOW)
    appointment.set_type(head(other), "xray_review", "X-ray review")
    assert said(visit, other) == ["Scheduled became Confirmed.", "Consultation became X-ray review."]
    pending = visit.copy()
    appointment.set_pending_cancel(head(pending), NOW, NOW)
    assert said(visit, pending) == ["Cancelled in a calendar app."]
    assert said(pending, visit) == ["The cancellation was taken back."]


def test_clinical_texts_are_only_for_whoever_may_read_them(visit):
    noted = visit.copy()
    appointment.set_notes(head(noted), "Torn meniscus", NOW)
    assert said(visit, noted) == ["Private notes: nothing became “Torn meniscus”."]
    assert said(visit, noted, clinical=False) == ["Private notes changed."]


def test_of_a_series_single_ones(visit):
    other = visit.copy()
    recurrence.add_exdate(other, "20261124T080000Z", VIENNA)
    override = recurrence.make_override(other, "20261125T080000Z", VIENNA)
    appointment.set_times(override, START + timedelta(days=2, hours=1), START + timedelta(days=2, hours=2), VIENNA, NOW)
    assert said(visit, other) == [
        "Not on Tue 24 Nov 2026 any more.",
        "Wed 25 Nov 2026: now Wed 25 Nov 2026, 10:00–11:00, scheduled.",
    ]
    again = other.copy()
    recurrence.remove_exdate(again, "20261124T080000Z", VIENNA)
    moved = recurrence.override_for(again, "20261125T080000Z", VIENNA)
    assert moved is not None
    appointment.set_status(moved, "completed", NOW)
    assert said(other, again) == ["On Tue 24 Nov 2026 as well.", "Wed 25 Nov 2026: Scheduled became Completed."]
    assert said(other, visit)[-1] == "Wed 25 Nov 2026: like the others again."
    head(again).set("RRULE", "FREQ=DAILY;COUNT=9")
    assert "Repeats in another way." in said(other, again)


def test_leave_and_hours():
    day = START.date()
    asked = leave.leave_event("leave-1@x", day, day + timedelta(days=1), "Skiing", VIENNA, NOW)
    done = asked.copy()
    leave.approve(done, "desk", NOW)
    assert said(asked, done) == ["Pending became Approved."]
    head(done).set("SUMMARY", "Leave: Surfing")
    assert said(asked, done, clinical=False) == ["Pending became Approved.", "The title changed."]
    times = (START.time().replace(hour=9), START.time().replace(hour=12))
    weekly = hours.weekly_hours("hours-1@x", ("mon",), *times, VIENNA, 20, 1, day, NOW)
    denser = hours.weekly_hours("hours-1@x", ("mon",), *times, VIENNA, 15, 2, day, NOW)
    assert said(weekly, denser)[:2] == ["15 minutes a slot instead of 20.", "2 at a time instead of 1."]
