"""Taking back the last step of a visit, within the day."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from ical.errors import NothingToUndo, SlotTaken
from storage import appointments, lifecycle, outbox, undo
from storage.models import Audit, Reminder


def step(practice, booked, action, **more):
    with practice.writing() as session:
        lifecycle.change_status(session, booked.appointment.id, action, actor=practice.doctor, now=practice.now, **more)


def move(practice, booked, start, **more):
    with practice.writing() as session:
        lifecycle.reschedule(session, booked.appointment.id, start, actor=practice.doctor, now=practice.now, **more)


def take_back(practice, booked, **more):
    with practice.writing() as session:
        undo.undo(session, booked.appointment.id, actor=practice.doctor, now=practice.now, **more)


def send_all(practice):
    """As if every message had gone out."""
    for lease in outbox.claim_due(practice.db, practice.now, 100, 60):
        with practice.writing() as session:
            outbox.mark_sent(session, lease, practice.now)
    practice.now += timedelta(seconds=1)


@pytest.mark.parametrize("action", ["confirm", "arrive", "start", "complete", "no-show", "cancel"])
def test_each_step_leads_back_to_where_it_came_from(practice, at, action):
    booked = practice.book(at(9))
    practice.now = at(8, 50)
    before = practice.visit(booked)
    step(practice, booked, action)
    take_back(practice, booked)
    after = practice.visit(booked)
    for name in ("status", "start", "end", "confirmed_at", "arrived_at", "completed_at", "cancelled_at"):
        assert getattr(after, name) == getattr(before, name)
    assert len(practice.claims()) == 1
    assert "X-CLINICDAV-STATUS:scheduled" in practice.object_of(booked).stored_text


def test_a_rebooked_visit_is_cancelled_again(practice, at):
    booked = practice.book(at(9))
    step(practice, booked, "cancel")
    step(practice, booked, "rebook")
    take_back(practice, booked)
    assert practice.visit(booked).status == "cancelled_doctor"
    assert practice.claims() == []


def test_undo_goes_back_step_by_step_and_stops_at_the_booking(practice, at):
    booked = practice.book(at(9))
    step(practice, booked, "confirm")
    move(practice, booked, at(10))
    step(practice, booked, "confirm")
    seen = []
    for _ in range(3):
        take_back(practice, booked)
        visit = practice.visit(booked)
        seen.append((visit.status, visit.start, visit.confirmed_at is None))
    assert seen == [("rescheduled", at(10), False), ("confirmed", at(9), False), ("scheduled", at(9), True)]
    with pytest.raises(NothingToUndo):
        take_back(practice, booked)


def test_yesterdays_step_stays(practice, at):
    booked = practice.book(at(9))
    step(practice, booked, "confirm")
    practice.now += timedelta(days=1)
    with pytest.raises(NothingToUndo):
        take_back(practice, booked)


def test_a_cancelled_visit_does_not_come_back_over_somebody_else(practice, at):
    booked = practice.book(at(9))
    step(practice, booked, "cancel")
    practice.book(at(9), name="Karl Bauer")
    with pytest.raises(SlotTaken):
        take_back(practice, booked)
    assert practice.visit(booked).status == "cancelled_doctor"


def test_nobody_hears_of_a_step_that_is_taken_back_before_it_was_told(practice, at):
    booked = practice.book(at(9))
    send_all(practice)
    step(practice, booked, "cancel")
    take_back(practice, booked)
    assert outbox.claim_due(practice.db, practice.now, 100, 60) == []
    move(practice, booked, at(10))
    take_back(practice, booked)
    assert outbox.claim_due(practice.db, practice.now, 100, 60) == []


def test_a_patient_who_was_told_is_told_again(practice, at):
    booked = practice.book(at(9))
    send_all(practice)
    step(practice, booked, "cancel")
    send_all(practice)
    take_back(practice, booked)
    move(practice, booked, at(10))
    send_all(practice)
    take_back(practice, booked)
    told = ["confirmed", "cancelled", "confirmed", "changed", "changed"]
    assert practice.messages() == [f"appointment_{each}" for each in told]


def test_reminders_come_back_with_the_visit(practice, at):
    booked = practice.book(at(9))
    with practice.db.reading() as session:
        before = [(each.minutes_before, each.due_at) for each in session.scalars(select(Reminder))]
    step(practice, booked, "cancel")
    take_back(practice, booked)
    with practice.db.reading() as session:
        assert [(each.minutes_before, each.due_at) for each in session.scalars(select(Reminder))] == before != []


def test_a_visit_goes_back_to_the_doctor_it_came_from(practice, at):
    booked = practice.book(at(13))
    send_all(practice)
    move(practice, booked, at(14), doctor=practice.smith)
    take_back(practice, booked)
    with practice.db.reading() as session:
        view = appointments.details(session, booked.appointment.id)
    assert view is not None
    assert (view.doctor.username, view.start, view.reason) == ("lee", at(13), "Knee pain")
    assert practice.claims() == [(at(13), at(13, 20), 0)]


@pytest.mark.parametrize("named", [True, False])
def test_one_occurrence_of_a_series_goes_back_alone(practice, at, named):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    second = practice.visits(booked)[1].recurrence_id
    step(practice, booked, "cancel", recurrence_id=second)
    take_back(practice, booked, recurrence_id=second if named else None)
    move(practice, booked, at(11, day=8), recurrence_id=second)
    take_back(practice, booked, recurrence_id=second if named else None)
    found = [(visit.status, visit.start) for visit in practice.visits(booked)]
    assert found == [("scheduled", at(9, day=7 * week)) for week in range(3)]
    assert len(practice.claims()) == 3


def test_a_series_that_was_cancelled_whole_comes_back_whole(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    second = practice.visits(booked)[1].recurrence_id
    step(practice, booked, "confirm", recurrence_id=second)
    step(practice, booked, "cancel")
    take_back(practice, booked)
    assert [visit.status for visit in practice.visits(booked)] == ["scheduled", "confirmed", "scheduled"]
    assert len(practice.claims()) == 3


def test_what_a_calendar_app_moved_or_deleted_comes_back_once_it_has_settled(practice, at):
    booked = practice.book(at(9))
    href, text = practice.object_of(booked).href, practice.object_of(booked).served_text
    practice.put(href, text.replace("T090000", "T110000").replace("T092000", "T114000"))
    practice.settle()
    assert practice.visit(booked).start == at(11)
    take_back(practice, booked)
    visit = practice.visit(booked)
    assert (visit.start, visit.end, visit.status) == (at(9), at(9, 20), "scheduled")
    practice.delete(href)
    practice.settle()
    assert practice.visit(booked).status == "cancelled_doctor"
    take_back(practice, booked)
    assert practice.visit(booked).status == "scheduled"
    assert not practice.object_of(booked).deleted
    assert len(practice.claims()) == 1


def test_an_occurrence_that_a_calendar_app_took_out_comes_back(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    obj = practice.object_of(booked)
    practice.put(obj.href, obj.served_text.replace("RRULE", "EXDATE;TZID=Europe/Vienna:20261130T090000\r\nRRULE"))
    practice.settle()
    assert [visit.status for visit in practice.visits(booked)] == ["scheduled", "cancelled_doctor", "scheduled"]
    take_back(practice, booked, recurrence_id="20261130T080000Z")
    assert [visit.status for visit in practice.visits(booked)] == ["scheduled"] * 3
    assert len(practice.claims()) == 3


def test_what_an_app_has_changed_since_is_not_undone(practice, at):
    booked = practice.book(at(9))
    step(practice, booked, "confirm")
    obj = practice.object_of(booked)
    practice.put(obj.href, obj.served_text.replace("T090000", "T110000").replace("T092000", "T112000"))
    with pytest.raises(NothingToUndo):
        take_back(practice, booked)


def test_the_history_and_the_audit_know_who_took_it_back(practice, at):
    booked = practice.book(at(9))
    step(practice, booked, "confirm")
    take_back(practice, booked)
    with practice.db.reading() as session:
        view = appointments.details(session, booked.appointment.id)
        actions = set(session.scalars(select(Audit.action)))
    assert view is not None
    last = view.history[-1]
    assert (last.action, last.actor, last.from_status, last.to_status) == ("undo", "lee", "confirmed", "scheduled")
    assert last.reason == "confirm" and last.undoes == view.history[-2].id
    assert "appointment.undone" in actions
