"""Booking, holding, moving and cancelling."""

from datetime import UTC, timedelta

import pytest

from ical.errors import HoldExpired, IllegalTransition, InvalidInput, SeriesConflict, SlotTaken
from storage import appointment_types, appointments, booking, drafts, leave, lifecycle, slots
from storage.policy import SYSTEM


def test_a_booked_time_is_taken(practice, at):
    practice.book(at(9))
    assert practice.try_book(at(9), name="Karl Bauer") == "slot_taken"
    assert practice.try_book(at(9, 20), name="Karl Bauer") == "booked"


def test_a_longer_visit_does_not_slip_over_a_shorter_one(practice, at):
    with practice.writing() as session:
        appointment_types.create(session, "long", now=practice.now, name="Long", minutes=45)
    practice.book(at(9, 20))
    assert practice.try_book(at(9), kind="long") == "slot_taken"


def test_buffers_are_kept_free_on_both_sides(practice, at):
    with practice.writing() as session:
        appointment_types.create(
            session, "clean", now=practice.now, name="Clean", minutes=20, buffer_before=10, buffer_after=10
        )
    practice.book(at(9), kind="clean")
    assert practice.try_book(at(8, 40)) == "slot_taken"
    assert practice.try_book(at(9, 20)) == "slot_taken"
    assert practice.try_book(at(9, 40)) == "booked"


@pytest.mark.parametrize(
    ("hour", "days", "code"), [(7, 0, "outside_hours"), (15, -7, "too_late"), (9, 400, "too_far_ahead")]
)
def test_a_rule_says_why_not(practice, at, hour, days, code):
    assert practice.try_book(at(hour, day=days)) == code


def test_leave_refuses_new_bookings_while_pending_and_touches_none(practice, at):
    booked = practice.book(at(9))
    with practice.writing() as session:
        view = leave.request_leave(
            session, practice.lee, at(8), at(12), "Conference", actor=practice.doctor, now=practice.now
        )
    assert view.status == "pending"
    assert view.affected == [booked.appointment.id]
    assert practice.try_book(at(10)) == "on_leave"
    assert practice.visit(booked).status == "scheduled"
    with practice.writing() as session:
        rejected = leave.decide(session, view.id, False, actor=SYSTEM, now=practice.now)
    assert rejected.status == "rejected"
    assert practice.try_book(at(10)) == "booked"


def test_lunch_in_the_appointments_calendar_blocks(practice, at):
    practice.put("lunch.ics", event("lunch", at(12), at(13), "Lunch"))
    assert practice.try_book(at(12, 20)) == "blocked"


def test_a_transparent_event_does_not_block(practice, at):
    practice.put("note.ics", event("note", at(12), at(13), "Note", "TRANSP:TRANSPARENT\r\n"), "personal")
    assert practice.try_book(at(12, 20)) == "booked"


def test_a_hold_keeps_the_slot_until_it_expires(practice, at):
    with practice.writing() as session:
        kind = appointment_types.get(session, "consultation")
        kept = booking.hold(session, practice.lee, at(9), kind, actor=practice.visitor, now=practice.now)
    assert kept.expires_at == practice.now + timedelta(minutes=10)
    assert practice.try_book(at(9)) == "slot_taken"
    practice.now += timedelta(minutes=10)
    assert practice.try_book(at(9)) == "booked"


def test_a_hold_becomes_the_appointment_once(practice, at):
    with practice.writing() as session:
        kind = appointment_types.get(session, "consultation")
        kept = booking.hold(session, practice.lee, at(9), kind, actor=practice.visitor, now=practice.now)
        new = drafts.NewAppointment(at(9), kind, practice.patient(session))
        booking.book(session, [practice.lee], new, actor=practice.visitor, now=practice.now, ticket=kept.id)
    with pytest.raises(HoldExpired), practice.writing() as session:
        booking.book(session, [practice.lee], new, actor=practice.visitor, now=practice.now, ticket=kept.id)
    assert len(practice.claims()) == 1


def test_a_cancelled_visit_frees_its_minutes_and_tells_the_patient(practice, at):
    booked = practice.book(at(9))
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=practice.visitor, now=practice.now, reason="Ill")
    visit = practice.visit(booked)
    assert (visit.status, visit.cancellation_reason) == ("cancelled_patient", "Ill")
    assert practice.claims() == []
    assert practice.messages() == ["appointment_confirmed", "appointment_cancelled"]
    assert practice.try_book(at(9)) == "booked"


def test_a_second_cancellation_is_refused(practice, at):
    booked = practice.book(at(9))
    for _ in range(2):
        with practice.writing() as session:
            if _:
                with pytest.raises(IllegalTransition):
                    lifecycle.cancel(session, booked.appointment.id, actor=practice.visitor, now=practice.now)
            else:
                lifecycle.cancel(session, booked.appointment.id, actor=practice.visitor, now=practice.now)


def test_rescheduling_takes_the_new_minutes_and_frees_the_old(practice, at):
    booked = practice.book(at(9))
    with practice.writing() as session:
        lifecycle.reschedule(session, booked.appointment.id, at(10), actor=practice.visitor, now=practice.now)
    visit = practice.visit(booked)
    assert (visit.start, visit.status) == (at(10), "rescheduled")
    assert practice.claims() == [(at(10), at(10, 20), 0)]
    assert practice.messages() == ["appointment_confirmed", "appointment_changed"]


def test_rescheduling_onto_a_taken_time_changes_nothing(practice, at):
    booked = practice.book(at(9))
    practice.book(at(10), name="Karl Bauer")
    with pytest.raises(SlotTaken), practice.writing() as session:
        lifecycle.reschedule(session, booked.appointment.id, at(10), actor=practice.visitor, now=practice.now)
    assert practice.visit(booked).start == at(9)
    assert practice.messages() == ["appointment_confirmed"] * 2


def test_rescheduling_may_overlap_the_visit_itself(practice, at):
    with practice.writing() as session:
        appointment_types.create(session, "long", now=practice.now, name="Long", minutes=40)
    booked = practice.book(at(9), kind="long")
    with practice.writing() as session:
        lifecycle.reschedule(session, booked.appointment.id, at(9, 20), actor=practice.visitor, now=practice.now)
    assert practice.visit(booked).start == at(9, 20)


def test_another_doctor_takes_the_visit_over(practice, at):
    booked = practice.book(at(13))
    with practice.writing() as session:
        lifecycle.reschedule(
            session, booked.appointment.id, at(14), doctor=practice.smith, actor=practice.doctor, now=practice.now
        )
    with practice.db.reading() as session:
        view = appointments.details(session, booked.appointment.id)
    assert view is not None
    assert (view.doctor.username, view.start, view.reason) == ("smith", at(14), "Knee pain")
    assert practice.try_book(at(13)) == "booked"


def test_a_series_is_one_event_with_every_occurrence_claimed(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    assert [visit.start for visit in practice.visits(booked)] == [at(9, day=7 * week) for week in range(4)]
    assert len(practice.claims()) == 4
    assert practice.try_book(at(9, day=14)) == "slot_taken"
    assert practice.messages() == ["appointment_confirmed"]


def test_open_ended_series_reaches_as_far_as_can_be_booked(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;")
    assert [result.outcome for result in booked.occurrences] == ["booked"] * 52
    assert practice.visits(booked)[-1].start <= practice.now + timedelta(days=366)
    assert "EXDATE" not in practice.object_of(booked).stored_text


def test_a_series_in_conflict_is_refused_with_alternatives(practice, at):
    practice.book(at(9, day=7))
    with pytest.raises(SeriesConflict) as caught:
        practice.book(at(9), name="Anna Koller", rrule="FREQ=WEEKLY;COUNT=3")
    [conflict] = caught.value.conflicts
    assert (conflict.start, [why.code for why in conflict.because]) == (at(9, day=7), ["slot_taken"])
    assert conflict.alternatives == (at(8, 40, day=7), at(9, 20, day=7), at(8, 20, day=7))


@pytest.mark.parametrize(("choice", "outcomes"), [("skip", 2), ("move", 3)])
def test_a_series_in_conflict_goes_on_as_asked(practice, at, choice, outcomes):
    practice.book(at(9, day=7))
    booked = practice.book(at(9), name="Anna Koller", rrule="FREQ=WEEKLY;COUNT=3", on_conflict=choice)
    assert len(practice.visits(booked)) == outcomes
    assert booked.occurrences[1].outcome == ("skipped" if choice == "skip" else "moved")


def test_one_occurrence_is_cancelled_alone(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    second = practice.visits(booked)[1].recurrence_id
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=practice.doctor, now=practice.now, recurrence_id=second)
    assert [visit.status for visit in practice.visits(booked)] == ["scheduled", "cancelled_doctor", "scheduled"]
    assert practice.try_book(at(9, day=7)) == "booked"


def test_one_occurrence_is_moved_alone(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    second = practice.visits(booked)[1].recurrence_id
    with practice.writing() as session:
        lifecycle.reschedule(
            session,
            booked.appointment.id,
            at(11, day=8),
            actor=practice.doctor,
            now=practice.now,
            recurrence_id=second,
        )
    assert [visit.start for visit in practice.visits(booked)] == [at(9), at(11, day=8), at(9, day=14)]
    assert [visit.status for visit in practice.visits(booked)] == ["scheduled", "rescheduled", "scheduled"]


def test_any_doctor_is_the_one_with_fewer_visits(practice, at):
    practice.book(at(9))
    with practice.writing() as session:
        new = drafts.NewAppointment(at(13), appointment_types.get(session, "consultation"), practice.patient(session))
        both = [practice.lee, practice.smith]
        booked = booking.book(session, both, new, actor=practice.visitor, now=practice.now)
    assert booked.doctor.username == "smith"


def test_the_life_of_a_visit(practice, at):
    booked = practice.book(at(9))
    practice.now = at(9).astimezone(UTC)
    for action, status in (
        ("confirm", "confirmed"),
        ("arrive", "confirmed"),
        ("start", "in_progress"),
        ("complete", "completed"),
    ):
        with practice.writing() as session:
            lifecycle.change_status(session, booked.appointment.id, action, actor=practice.doctor, now=practice.now)
        assert practice.visit(booked).status == status
    with practice.db.reading() as session:
        view = appointments.details(session, booked.appointment.id)
    assert view is not None
    assert [step.action for step in view.history] == ["booked", "confirm", "arrive", "start", "complete"]


def test_slots_and_explain_agree_with_booking(practice, at):
    practice.book(at(9))
    with practice.db.reading() as session:
        kind = appointment_types.get(session, "consultation")
        free = slots.free_slots(session, [practice.lee], at(8), at(10), kind, practice.now)
        why = slots.explain(session, practice.lee, at(9), kind, practice.now)
    assert [slot.start for slot in free] == [at(8), at(8, 20), at(8, 40), at(9, 20), at(9, 40)]
    assert [reason.code for reason in why] == ["slot_taken"]


def test_nobody_is_booked_with_somebody_who_is_no_doctor(practice, at):
    with practice.writing() as session:
        practice.lee.disabled = True
        new = drafts.NewAppointment(at(9), appointment_types.get(session, "consultation"), practice.patient(session))
        with pytest.raises(InvalidInput):
            booking.book(session, [practice.lee], new, actor=practice.visitor, now=practice.now)


def event(uid, start, end, title, more=""):
    return (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\nBEGIN:VEVENT\r\n"
        f"UID:{uid}\r\nDTSTAMP:20261101T000000Z\r\nDTSTART:{start:%Y%m%dT%H%M%SZ}\r\nDTEND:{end:%Y%m%dT%H%M%SZ}\r\n"
        f"SUMMARY:{title}\r\n{more}END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
