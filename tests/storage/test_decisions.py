"""Edits in a calendar app that the other tests do not show: series reset and re-ruled, undo of parts, bursts, misplaced."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from ical.lines import parse
from ical.recurrence import make_override, overrides
from storage import collections, leave, lifecycle, objects
from storage.models import Notice
from tests.storage.conftest import VIENNA

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def series(practice, at):
    return practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")


def edit(practice, booked, change) -> None:
    """An app changes its copy of the object by `change`."""
    obj = practice.object_of(booked)
    calendar = parse(obj.served_text)
    change(calendar)
    practice.put(obj.href, calendar.text())


def move_second(practice, booked, at) -> None:
    def change(calendar):
        override = make_override(calendar, practice.visits(booked)[1].recurrence_id, VIENNA)
        override.set("DTSTART", f"{at(14, day=8):%Y%m%dT%H%M%SZ}")
        override.set("DTEND", f"{at(14, 20, day=8):%Y%m%dT%H%M%SZ}")

    edit(practice, booked, change)


def test_one_occurrence_moved_is_one_message_and_the_others_stay(practice, at, series):
    move_second(practice, series, at)
    practice.settle()
    assert [visit.start for visit in practice.visits(series)] == [at(9), at(14, day=8), at(9, day=14), at(9, day=21)]
    assert [visit.status for visit in practice.visits(series)].count("rescheduled") == 1
    assert practice.messages() == ["appointment_confirmed", "appointment_changed"]


def test_an_occurrence_reset_to_its_series_is_moved_back(practice, at, series):
    move_second(practice, series, at)
    practice.settle()

    def reset(calendar):
        calendar.children = [c for c in calendar.children if c not in overrides(calendar)]

    edit(practice, series, reset)
    practice.settle()
    assert [visit.start for visit in practice.visits(series)][1] == at(9, day=7)
    assert practice.messages()[1:] == ["appointment_changed"] * 2
    assert practice.try_book(at(14, day=8), name="Karl Bauer") == "booked"


def test_a_rule_changed_to_every_other_week_is_told_once(practice, at, series):
    edit(
        practice,
        series,
        lambda calendar: calendar.components("VEVENT")[0].set("RRULE", "FREQ=WEEKLY;INTERVAL=2;COUNT=2"),
    )
    practice.settle()
    statuses = [visit.status for visit in practice.visits(series)]
    assert statuses == ["scheduled", "cancelled_doctor", "scheduled", "cancelled_doctor"]
    assert practice.messages() == ["appointment_confirmed", "appointment_cancelled"]


def test_a_burst_from_a_phone_that_was_offline_is_one_message(practice, at):
    booked = practice.book(at(9))
    for hour in (10, 11, 12, 13):
        obj = practice.object_of(booked)
        start, end = f"{hour - 1:02d}", f"{hour:02d}"
        practice.put(
            obj.href, obj.served_text.replace(f"T{start}0000", f"T{end}0000").replace(f"T{start}20", f"T{end}20")
        )
        practice.now += timedelta(seconds=1)
    practice.delete(obj.href)
    practice.put(obj.href, practice.object_of(booked).served_text)
    practice.settle()
    assert practice.visit(booked).start == at(13)
    assert practice.messages() == ["appointment_confirmed", "appointment_changed"]
    assert len(practice.claims()) == 1


def test_an_appointment_written_into_another_calendar_is_no_leave_and_no_hours(practice, at):
    """An event by mistake in `hours/` or `leave/` is what that calendar makes of it."""
    text = practice.object_of(practice.book(at(9))).served_text.replace("UID:appt-", "UID:other-")
    practice.put("a.ics", text.replace("20261123T", "20261128T"), "hours")
    assert practice.try_book(at(9, day=5), name="Karl Bauer") == "booked"
    practice.put("a.ics", text.replace("20261123T", "20261124T"), "leave")
    with practice.db.reading() as session:
        (view,) = leave.list_leave(session, [practice.lee], practice.now)
        assert view.status == "pending"
    assert practice.try_book(at(9, day=1)) == "on_leave"


def test_forced_overwrite_of_what_the_patient_cancelled_changes_nothing_and_says_so(practice, at):
    booked = practice.book(at(9))
    old = practice.object_of(booked)
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=practice.visitor, now=practice.now)
    practice.now += timedelta(seconds=5)
    dragged = old.served_text.replace("T090000", "T110000").replace("T092000", "T112000")
    practice.put(old.href, dragged, conditional=False)
    practice.settle()
    assert practice.visit(booked).status == "cancelled_patient"
    assert practice.messages() == ["appointment_confirmed", "appointment_cancelled"]
    with practice.db.reading() as session:
        assert any("#rebook" in text for text in session.scalars(select(Notice.text)))
        target = collections.find(session, "lee", "appointments")
        assert "STATUS:CANCELLED" in objects.find(session, target, old.href).served_text


def test_approved_leave_that_grows_is_asked_for_again_and_one_that_shrinks_is_not(practice, at):
    day = at(9, day=2).date()
    with practice.writing() as session:
        given = {"actor": practice.doctor, "now": practice.now}
        view = leave.request_leave(session, practice.lee, day, day + timedelta(days=2), "Skiing", **given)
        leave.decide(session, view.id, True, actor=practice.doctor, now=practice.now)
        href = view.object.href

    def status(old: str, new: str) -> str:
        with practice.db.reading() as session:
            text = objects.find(session, collections.find(session, "lee", "leave"), href).served_text
        assert old in text
        practice.put(href, text.replace(old, new), "leave")
        with practice.db.reading() as session:
            return leave.find(session, view.id, practice.now).status

    assert status("DTEND;VALUE=DATE:20261128", "DTEND;VALUE=DATE:20261127") == "approved"
    assert status("DTEND;VALUE=DATE:20261127", "DTEND;VALUE=DATE:20261129") == "pending"
