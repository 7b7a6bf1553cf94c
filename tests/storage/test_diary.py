"""A doctor's time is read whole, in as many statements for twenty as for one; and a group is never mixed."""

from datetime import time, timedelta
from unittest.mock import patch

import pytest
from sqlalchemy import event

from ical.errors import Refusal
from storage import accounts, appointment_types, booking, drafts, hours, lifecycle, locations, resources, slots
from storage.policy import SYSTEM
from storage.prepared import Prepared


def statements(practice, doctors, at) -> int:
    """Those of SQLAlchemy, and the prepared ones that go to the driver itself."""
    count = 0
    run = Prepared._run

    def counted(*_):
        nonlocal count
        count += 1

    def running(*given):
        counted()
        return run(*given)

    with practice.db.reading() as session:
        kind = appointment_types.get(session, "consultation")
        event.listen(practice.db.engine, "before_cursor_execute", counted)
        with patch.object(Prepared, "_run", running):
            assert slots.free_slots(session, doctors, at(0), at(0, day=31), kind, practice.now)
        event.remove(practice.db.engine, "before_cursor_execute", counted)
    return count


def test_free_times_of_many_doctors_take_as_many_statements_as_of_one(practice, at):
    practice.book(at(9))
    everybody = [practice.lee, practice.smith]
    assert statements(practice, everybody, at) == statements(practice, [practice.lee], at) == 1


def test_with_everything_that_a_type_can_ask_they_are_still_few(practice, at):
    with practice.writing() as session:
        for name in ("room-1", "room-2"):
            resources.add(session, name, "room", name, now=practice.now)
        locations.add(session, "Branch", now=practice.now)
        appointment_types.change(
            session,
            "consultation",
            now=practice.now,
            resources=[["room-1", "room-2"]],
            weekly_maximum=50,
            hours=[{"days": ["mon", "wed"], "from": "09:00", "to": "15:00"}],
        )
    everybody = [practice.lee, practice.smith]
    assert statements(practice, everybody, at) == statements(practice, [practice.lee], at) <= 4


def booked(practice, start, kind, name):
    return practice.try_book(start, kind=kind, name=name)


@pytest.fixture
def class_of_three(practice):
    with practice.writing() as session:
        appointment_types.create(session, "class", now=practice.now, name="Class", minutes=20, capacity=3)
    return practice


def test_a_group_fills_its_time_and_nobody_else_comes_in(class_of_three, at):
    practice = class_of_three
    assert [booked(practice, at(9), "class", f"Person {n}") for n in "abcd"] == ["booked"] * 3 + ["slot_taken"]
    assert booked(practice, at(9), "consultation", "Maria Huber") == "slot_taken"
    first = min(practice.claims())
    assert first[2] == 0


def test_a_group_that_lost_its_first_is_still_a_group(class_of_three, at):
    """The seat that the hours know is free then; the time is not."""

    practice = class_of_three
    one = practice.book(at(9), kind="class", name="Person a")
    assert booked(practice, at(9), "class", "Person b") == "booked"
    with practice.writing() as session:
        lifecycle.cancel(session, one.appointment.id, actor=SYSTEM, now=practice.now)
    assert booked(practice, at(9), "consultation", "Maria Huber") == "slot_taken"
    assert booked(practice, at(9), "class", "Person c") == "booked"


def test_a_group_does_not_begin_over_somebody_else_s_visit(class_of_three, at):
    practice = class_of_three
    assert booked(practice, at(9), "consultation", "Maria Huber") == "booked"
    assert booked(practice, at(9), "class", "Person a") == "slot_taken"
    with practice.db.reading() as session:
        kind = appointment_types.get(session, "class")
        found = slots.free_slots(session, [practice.lee], at(8), at(10), kind, practice.now)
        spots = {slot.start: slot.spots for slot in found}
    assert at(9) not in spots and spots[at(9, 20)] == 3


def test_who_is_already_in_a_group_does_not_let_a_later_one_overlap(class_of_three, at):
    practice = class_of_three
    assert booked(practice, at(9), "class", "Person a") == "booked"
    with pytest.raises(Refusal) as refusal, practice.writing() as session:
        new = drafts.NewAppointment(
            at(9) + timedelta(minutes=10), appointment_types.get(session, "class"), practice.patient(session)
        )
        booking.book(session, [practice.lee], new, actor=practice.doctor, now=practice.now)
    assert refusal.value.code == "slot_taken"


def test_a_doctor_s_own_week_is_counted(practice, at):
    with practice.writing() as session:
        lee = accounts.by_username(session, "lee")
        lee.weekly_maximum = 2
    practice.lee.weekly_maximum = 2
    assert booked(practice, at(9), "consultation", "A B") == "booked"
    assert booked(practice, at(9, day=4), "consultation", "C D") == "booked"
    assert booked(practice, at(9, day=6), "consultation", "E F") == "weekly_maximum"
    assert booked(practice, at(9, day=7), "consultation", "G H") == "booked"


def test_a_room_with_hours_is_there_in_them_alone(practice, at):
    with practice.writing() as session:
        room = resources.add(session, "room-1", "room", "Room 1", now=practice.now)
        hours.add_hours(session, room.account, ("mon",), time(10), time(11), slot=20, actor=SYSTEM, now=practice.now)
        appointment_types.change(session, "consultation", now=practice.now, resources=[["room-1"]])
    with practice.db.reading() as session:
        kind = appointment_types.get(session, "consultation")
        found = slots.free_slots(session, [practice.lee], at(0), at(0, day=2), kind, practice.now)
    assert [slot.start for slot in found] == [at(10), at(10, 20), at(10, 40)]
    assert booked(practice, at(9), "consultation", "A B") == "slot_taken"
    assert booked(practice, at(10), "consultation", "A B") == "booked"
