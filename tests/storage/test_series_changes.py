"""A booked series changed as a whole, or from one of its occurrences on."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from ical.errors import IllegalTransition, InvalidInput, SeriesConflict
from ical.series import Decision
from ical.times import utc_text
from storage import lifecycle, outbox, series_changes, undo
from storage.models import Appointment, History, Reminder, Visit
from storage.policy import SYSTEM
from storage.series_changes import Wish


def change(practice, booked, start, **more):
    with practice.writing() as session:
        return series_changes.move(
            session, booked.appointment.id, Wish(start, **more), actor=practice.doctor, now=practice.now
        )


def starts(practice, appointment):
    with practice.db.reading() as session:
        asked = select(Visit.start).where(Visit.appointment_id == appointment.id).order_by(Visit.start)
        return list(session.scalars(asked))


def claimed(practice):
    return [start for start, _end, _seat in practice.claims()]


def test_a_whole_series_moves_and_stays_one_appointment(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    moved = change(practice, booked, at(10, 20, day=1))
    wanted = [at(10, 20, day=1 + 7 * week) for week in range(4)]
    assert moved.appointment.id == booked.appointment.id
    assert starts(practice, moved.appointment) == claimed(practice) == wanted
    assert {visit.status for visit in practice.visits(booked)} == {"rescheduled"}
    assert [visit.recurrence_id for visit in practice.visits(booked)] == [utc_text(start) for start in wanted]
    text = practice.object_of(booked).stored_text
    assert text.count("BEGIN:VEVENT") == 1
    assert practice.messages() == ["appointment_confirmed", "appointment_changed"]


def test_a_series_moved_by_a_week_keeps_each_visit_s_history_and_reminders(practice, at):
    booked = practice.book(at(9, day=7), rrule="FREQ=WEEKLY;COUNT=3")
    change(practice, booked, at(9, day=14))
    assert claimed(practice) == [at(9, day=14 + 7 * week) for week in range(3)]
    with practice.db.reading() as session:
        steps = session.scalars(select(History).order_by(History.recurrence_id, History.id)).all()
        reminded = set(session.scalars(select(Reminder.recurrence_id)))
    ids = [utc_text(at(9, day=14 + 7 * week)) for week in range(3)]
    assert [(step.recurrence_id, step.action) for step in steps] == [
        (ids[0], "booked"),
        (ids[0], "moved"),
        (ids[1], "moved"),
        (ids[2], "moved"),
    ]
    assert steps[1].from_start == at(9, day=7)
    assert reminded == set(ids)


def test_this_and_following_become_an_appointment_of_their_own(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=5")
    third = practice.visits(booked)[2].recurrence_id
    moved = change(practice, booked, at(11, day=14), recurrence_id=third, following=True)
    assert moved.appointment.id != booked.appointment.id
    assert moved.appointment.split_from == booked.appointment.id
    assert starts(practice, booked.appointment) == [at(9), at(9, day=7)]
    assert starts(practice, moved.appointment) == [at(11, day=14 + 7 * week) for week in range(3)]
    assert claimed(practice) == [at(9), at(9, day=7), at(11, day=14), at(11, day=21), at(11, day=28)]
    assert practice.messages() == ["appointment_confirmed", "appointment_changed"]


def test_what_is_over_stays_on_record_when_all_is_moved(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    practice.now = at(9)
    with practice.writing() as session:
        lifecycle.change_status(
            session,
            booked.appointment.id,
            "start",
            actor=practice.doctor,
            now=practice.now,
            recurrence_id=practice.visits(booked)[0].recurrence_id,
        )
    moved = change(practice, booked, at(10, day=7))
    assert [(visit.start, visit.status) for visit in practice.visits(booked)] == [(at(9), "in_progress")]
    assert starts(practice, moved.appointment) == [at(10, day=7), at(10, day=14), at(10, day=21)]


def test_what_was_moved_alone_or_cancelled_stays_as_it_is(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    second, third = (visit.recurrence_id for visit in practice.visits(booked)[1:3])
    with practice.writing() as session:
        lifecycle.reschedule(
            session, booked.appointment.id, at(15, day=9), recurrence_id=second, actor=SYSTEM, now=practice.now
        )
        lifecycle.cancel(session, booked.appointment.id, recurrence_id=third, actor=SYSTEM, now=practice.now)
    change(practice, booked, at(10))
    assert [(visit.start, visit.status) for visit in practice.visits(booked)] == [
        (at(10), "rescheduled"),
        (at(15, day=9), "rescheduled"),
        (at(9, day=14), "cancelled_doctor"),
        (at(10, day=21), "rescheduled"),
    ]
    assert claimed(practice) == [at(10), at(15, day=9), at(10, day=21)]


def test_a_move_that_no_rule_says_moves_each_occurrence(practice, at):
    # The fourth Monday of the month, and a day: not always the fourth Tuesday
    booked = practice.book(at(9), rrule="FREQ=MONTHLY;BYDAY=4MO;COUNT=3")
    before = [visit.start for visit in practice.visits(booked)]
    change(practice, booked, at(9, day=1))
    assert starts(practice, booked.appointment) == [start + timedelta(days=1) for start in before]
    assert claimed(practice) == starts(practice, booked.appointment)


def test_a_series_in_the_way_of_another_is_told_and_nothing_changes(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    practice.book(at(10, day=7), name="Karl Bauer")
    text = practice.object_of(booked).stored_text
    with pytest.raises(SeriesConflict) as caught:
        change(practice, booked, at(10))
    [conflict] = caught.value.conflicts
    assert (conflict.recurrence_id, conflict.start) == (utc_text(at(9, day=7)), at(10, day=7))
    assert conflict.alternatives[:2] == (at(9, 40, day=7), at(10, 20, day=7))
    assert practice.object_of(booked).stored_text == text


@pytest.mark.parametrize(
    ("decision", "wanted"),
    [
        (Decision("skip"), []),
        (Decision("move", "other"), ["other"]),
        (Decision("keep"), ["same"]),
    ],
)
def test_an_occurrence_in_the_way_is_decided(practice, at, decision, wanted):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    practice.book(at(10, day=7), name="Karl Bauer")
    if decision.start:
        decision = Decision("move", at(14, day=8))
    change(practice, booked, at(10), decisions={utc_text(at(9, day=7)): decision})
    there = {"other": at(14, day=8), "same": at(10, day=7)}
    expected = sorted([at(10), at(10, day=14), *(there[each] for each in wanted)])
    held = [visit for visit in practice.visits(booked) if not visit.status.startswith("cancelled")]
    assert [visit.start for visit in held] == expected
    assert [visit.overbooked for visit in held].count(True) == (wanted == ["same"])
    assert practice.messages().count("appointment_changed") == 1
    assert "appointment_cancelled" not in practice.messages()


def test_a_series_takes_its_own_freed_minutes(practice, at):
    booked = practice.book(at(9), rrule="FREQ=DAILY;COUNT=3")
    change(practice, booked, at(9, day=1))
    assert claimed(practice) == [at(9, day=1), at(9, day=2), at(9, day=3)]


def test_a_colleague_takes_the_rest_of_a_series_over(practice, at):
    booked = practice.book(at(13), rrule="FREQ=WEEKLY;COUNT=4")
    third = practice.visits(booked)[2].recurrence_id
    moved = change(practice, booked, at(14, day=14), recurrence_id=third, following=True, doctor=practice.smith)
    assert moved.appointment.doctor_id == practice.smith.id
    assert starts(practice, moved.appointment) == [at(14, day=14), at(14, day=21)]
    assert practice.try_book(at(13, day=14), name="Karl Bauer") == "booked"
    with practice.db.reading() as session:
        assert session.get_one(Appointment, booked.appointment.id).doctor_id == practice.lee.id


def test_the_wall_time_of_a_moved_series_stays_over_a_clock_change(practice, at):
    booked = practice.book(at(9, day=112), rrule="FREQ=WEEKLY;COUNT=4")
    moved = change(practice, booked, at(10, day=112))
    assert {start.astimezone(ZoneInfo("Europe/Vienna")).hour for start in starts(practice, moved.appointment)} == {10}
    assert len({start.hour for start in starts(practice, moved.appointment)}) == 2


def test_nothing_to_move_is_refused(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    single = practice.book(at(11))
    with pytest.raises(InvalidInput):
        change(practice, booked, at(9))
    with pytest.raises(InvalidInput):
        change(practice, single, at(12))
    practice.now = at(9, day=30)
    with pytest.raises(IllegalTransition):
        change(practice, booked, at(10, day=31))


def test_one_mail_puts_the_patient_s_calendar_right_for_both_parts(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    third, fourth = (visit.recurrence_id for visit in practice.visits(booked)[2:])
    skip = {fourth: Decision("skip")}
    change(practice, booked, at(10, day=14), recurrence_id=third, following=True, decisions=skip)
    leases = outbox.claim_due(practice.db, practice.now, 10, 60)
    with practice.writing() as session:
        messages = [outbox.message(session, lease, practice.now) for lease in leases]
    confirmed, changed = (each for each in messages if isinstance(each, outbox.Message))
    assert [time.start for time in changed.times] == [at(10, day=14)]
    (other,) = changed.others
    assert "UNTIL=" in other
    assert other.count("BEGIN:VEVENT") == 1


def test_what_an_app_has_just_taken_out_is_not_touched(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    obj = practice.object_of(booked)
    without = obj.served_text.replace("RRULE:", f"EXDATE:{utc_text(at(9, day=7))}\r\nRRULE:")
    practice.put(obj.href, without)
    change(practice, booked, at(10))
    practice.settle()
    assert [(visit.start, visit.status) for visit in practice.visits(booked)] == [
        (at(10), "rescheduled"),
        (at(9, day=7), "cancelled_doctor"),
        (at(10, day=14), "rescheduled"),
        (at(10, day=21), "rescheduled"),
    ]
    assert claimed(practice) == [at(10), at(10, day=14), at(10, day=21)]


def test_a_moved_series_is_put_back_by_undo(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    change(practice, booked, at(10))
    with practice.writing() as session:
        undo.undo(session, booked.appointment.id, actor=practice.doctor, now=practice.now)
    assert starts(practice, booked.appointment) == claimed(practice) == [at(9), at(9, day=7), at(9, day=14)]
    assert {visit.status for visit in practice.visits(booked)} == {"scheduled"}


def test_a_move_is_previewed_without_writing(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    practice.book(at(10, day=7), name="Karl Bauer")
    with practice.db.reading() as session:
        looked = series_changes.preview(
            session, booked.appointment.id, Wish(at(10)), actor=practice.doctor, now=practice.now
        )
    assert [(each.start, [why.code for why in each.because]) for each in looked] == [
        (at(10), []),
        (at(10, day=7), ["slot_taken"]),
        (at(10, day=14), []),
    ]
    assert looked[1].alternatives[0] == at(9, 40, day=7)
    assert starts(practice, booked.appointment) == [at(9), at(9, day=7), at(9, day=14)]
