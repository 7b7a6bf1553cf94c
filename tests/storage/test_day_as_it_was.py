"""A day as it stood at a given moment, who changed what, and a former version put back."""

import random
from contextlib import suppress
from datetime import date, time, timedelta

import pytest

from ical.diary import midnight
from ical.errors import IllegalTransition, NotFound, OnLeave, Refusal, SlotTaken
from storage import (
    appointments,
    booking,
    collections,
    day_as_it_was,
    edits,
    hours,
    leave,
    lifecycle,
    objects,
    occurrences,
    versions,
)
from storage.day_as_it_was import Entry
from storage.models import CalendarObject
from storage.policy import SYSTEM
from tests.storage.conftest import VIENNA

sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
DAY = date(2026, 11, 23)
BLOCK = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//X//EN\r\nBEGIN:VEVENT\r\nUID:lunch-{n}\r\nDTSTAMP:20261101T000000Z\r\n"
    "DTSTART;TZID=Europe/Vienna:20261123T{hour:02}0000\r\nDTEND;TZID=Europe/Vienna:20261123T{hour:02}3000\r\n"
    "SUMMARY:Lunch\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


def as_of(practice, moment, day: date = DAY) -> list[Entry]:
    with practice.db.reading() as session:
        return day_as_it_was.as_of(session, practice.lee, day, moment)


def visits_of(entries: list[Entry]) -> list[tuple[str, str, str]]:
    return [(f"{e.start:%H:%M}", e.patient_name, e.status) for e in entries if e.kind == "appointment"]


def put_back(practice, obj, seq) -> CalendarObject:
    with practice.writing() as session:
        found = session.get(CalendarObject, obj.id)
        return versions.restore(session, found, seq, actor=practice.doctor, now=practice.now)


def history_of(practice, obj) -> list[versions.VersionView]:
    with practice.db.reading() as session:
        return versions.of_object(session, *versions.find(session, obj.id))


def later(practice) -> None:
    practice.now += timedelta(minutes=10)


def move(practice, booked, start, **more) -> None:
    with practice.writing() as session:
        lifecycle.reschedule(session, booked.appointment.id, start, actor=practice.doctor, now=practice.now, **more)


def cancel(practice, booked, by: str = "doctor") -> None:
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=practice.doctor, by=by, now=practice.now)


# The day


@sqlite
def test_tuesday_at_eight_is_seen_as_it_was_at_eight(practice, at):
    first = practice.book(at(9))
    eight = practice.now
    later(practice)
    second = practice.book(at(10), name="Karl Bauer")
    move(practice, first, at(11))
    nine = practice.now
    later(practice)
    cancel(practice, second)
    assert visits_of(as_of(practice, eight)) == [("08:00", "Maria Huber", "scheduled")]
    assert visits_of(as_of(practice, nine)) == [
        ("09:00", "Karl Bauer", "scheduled"),
        ("10:00", "Maria Huber", "rescheduled"),
    ]
    assert visits_of(as_of(practice, practice.now)) == [
        ("09:00", "Karl Bauer", "cancelled_doctor"),
        ("10:00", "Maria Huber", "rescheduled"),
    ]
    assert visits_of(as_of(practice, eight - timedelta(minutes=1))) == []


@sqlite
def test_what_is_different_now_is_told_apart(practice, at):
    stays, moved, gone = (
        practice.book(at(hour), name=name) for hour, name in ((9, "Anna A"), (10, "Bert B"), (11, "Carl C"))
    )
    then = practice.now
    later(practice)
    move(practice, moved, at(13))
    move(practice, gone, at(9, day=1))
    cancel(practice, stays)
    practice.book(at(14), name="Dora D")
    with practice.db.reading() as session:
        pairs = day_as_it_was.beside_now(session, practice.lee, DAY, then, practice.now)
    assert [(pair.entry.patient_name, pair.since) for pair in pairs if pair.entry.kind == "appointment"] == [
        ("Anna A", "changed"),
        ("Bert B", "moved"),
        ("Carl C", "gone"),
        ("Dora D", "new"),
    ]
    assert [pair.since for pair in pairs if pair.entry.kind == "hours"] == ["same"]


@sqlite
def test_an_object_that_an_app_deleted_is_there_before_and_absent_after(practice, at):
    booked = practice.book(at(9))
    practice.put("lunch.ics", BLOCK.format(n=1, hour=12))
    then = practice.now
    later(practice)
    practice.delete(practice.object_of(booked).href)
    practice.delete("lunch.ics")
    assert [entry.kind for entry in as_of(practice, then)] == ["hours", "appointment", "block"]
    assert [entry.kind for entry in as_of(practice, practice.now)] == ["hours"]


@sqlite
def test_a_series_lies_on_each_of_its_days(practice, at):
    practice.book(at(9, day=-2), rrule="FREQ=DAILY;COUNT=5")
    found = as_of(practice, practice.now)
    assert visits_of(found) == [("08:00", "Maria Huber", "scheduled")] and found[1].recurrence_id == "20261123T080000Z"


# Random histories: the day at each moment is what was recorded then


def present(practice) -> set[tuple]:
    """The day from the tables that know only the present: visits, and what is expanded of everything else."""
    with practice.db.reading() as session:
        start, end = midnight(DAY, VIENNA), midnight(DAY + timedelta(days=1), VIENNA)
        rows = appointments.in_range(session, [practice.lee], start, end)
        gone = {each.id for each in session.query(CalendarObject).filter_by(deleted=True)}
        found = {
            ("appointment", row.visit.recurrence_id, row.visit.start, row.visit.end, row.visit.status)
            for row in rows
            if row.appointment.object_id not in gone
        }
        others = occurrences.in_range(
            session, start, end, owner_ids=[practice.lee.id], kinds=["hours", "leave", "block"]
        )
        return found | {(each.kind, each.recurrence_id, each.start, each.end, "") for each in others}


def recorded(entries: list[Entry]) -> set[tuple]:
    return {(e.kind, e.recurrence_id, e.start, e.end, e.status if e.kind == "appointment" else "") for e in entries}


class History:
    """Somebody who does things at random in one doctor's calendars, on one day and the one beside it."""

    def __init__(self, practice, at, seed: int) -> None:
        self.practice, self.at, self.rng = practice, at, random.Random(seed)
        self.booked: list[booking.Booked] = []
        self.blocks = 0

    def step(self) -> None:
        do = self.rng.choice(
            (self.book, self.book, self.move, self.cancel, self.drag, self.block, self.hours, self.leave)
        )
        with suppress(Refusal):
            do()

    def when(self):
        return self.at(self.rng.randrange(8, 16), self.rng.choice((0, 20, 40)), day=self.rng.choice((0, 0, 0, 1)))

    def book(self) -> None:
        more = {"rrule": "FREQ=DAILY;COUNT=3", "on_conflict": "skip"} if self.rng.random() < 0.2 else {}
        name = f"Patient {self.rng.randrange(9)}"
        self.booked.append(self.practice.book(self.when(), name=name, **more))

    def some(self):
        return self.rng.choice(self.booked) if self.booked else self.book() or self.booked[0]

    def move(self) -> None:
        chosen = self.some()
        visits = self.practice.visits(chosen)
        move(self.practice, chosen, self.when(), recurrence_id=self.rng.choice(visits).recurrence_id or None)

    def cancel(self) -> None:
        cancel(self.practice, self.some(), self.rng.choice(("doctor", "patient")))

    def drag(self) -> None:
        """In a calendar app; or deleted there, and settled."""
        obj = self.practice.object_of(self.some())
        if obj.deleted:
            return
        if self.rng.random() < 0.3:
            self.practice.delete(obj.href)
            if self.rng.random() < 0.5:
                self.practice.settle()
        else:
            old, new = (f"T{self.rng.randrange(8, 16):02}" for _ in range(2))
            self.practice.put(obj.href, obj.served_text.replace(old, new))

    def block(self) -> None:
        if self.blocks and self.rng.random() < 0.4:
            with self.practice.writing() as session:
                target = collections.find(session, "lee", "appointments")
                obj = objects.find(session, target, f"lunch-{self.rng.randrange(self.blocks)}.ics")
                if obj is not None:
                    edits.client_delete(session, obj, actor=self.practice.doctor, now=self.practice.now)
        else:
            self.practice.put(f"lunch-{self.blocks}.ics", BLOCK.format(n=self.blocks, hour=self.rng.randrange(8, 16)))
            self.blocks += 1

    def hours(self) -> None:
        with self.practice.writing() as session:
            known = hours.list_hours(session, self.practice.lee)
            given = {"actor": SYSTEM, "now": self.practice.now}
            if known and self.rng.random() < 0.3:
                hours.close_day(session, self.practice.lee, known[0].uid, DAY, **given)
            else:
                begin = self.rng.randrange(6, 12)
                times = time(begin), time(begin + 4)
                hours.add_hours(session, self.practice.lee, ["mon"], *times, slot=20, first=DAY, **given)

    def leave(self) -> None:
        with self.practice.writing() as session:
            known = leave.list_leave(session, [self.practice.lee], self.practice.now)
            given = {"actor": SYSTEM, "now": self.practice.now}
            if known and self.rng.random() < 0.5:
                one = self.rng.choice(known)
                if self.rng.random() < 0.5:
                    leave.withdraw(session, one.id, **given)
                else:
                    leave.decide(session, one.id, self.rng.random() < 0.5, **given)
            else:
                start = self.at(self.rng.randrange(8, 12))
                rrule = self.rng.choice(("", "FREQ=WEEKLY"))
                length = timedelta(hours=self.rng.randrange(1, 4))
                leave.request_leave(session, self.practice.lee, start, start + length, "", rrule=rrule, **given)


@pytest.mark.parametrize("seed", range(4))
def test_at_each_moment_of_a_random_history_the_day_is_what_it_was_then(practice, at, seed):
    story = History(practice, at, seed)
    known = []
    for _ in range(35):
        story.step()
        assert recorded(as_of(practice, practice.now)) == present(practice)
        known.append((practice.now, as_of(practice, practice.now)))
        practice.now += timedelta(seconds=7)
    for moment, then in known:
        assert as_of(practice, moment) == then
    # The control: the day did change, again and again.
    assert len({tuple(then) for _moment, then in known}) > 10


# Who changed what


@sqlite
def test_versions_say_who_when_why_and_what(practice, at):
    booked = practice.book(at(9))
    later(practice)
    move(practice, booked, at(11))
    later(practice)
    with practice.writing() as session:
        lifecycle.set_notes(session, booked.appointment.id, "Torn meniscus", actor=practice.doctor, now=practice.now)
    later(practice)
    cancel(practice, booked)
    found = history_of(practice, practice.object_of(booked))
    assert [(each.actor, each.why) for each in found] == [
        ("lee", "cancel"),
        ("lee", "notes"),
        ("lee", "reschedule"),
        ("patient", "book"),
    ]
    assert [[change.text for change in each.changes] for each in found] == [
        ["Rescheduled became Cancelled by doctor."],
        ["Private notes: nothing became “Torn meniscus”."],
        ["Moved from Mon 23 Nov 2026, 09:00–09:20 to Mon 23 Nov 2026, 11:00–11:20.", "Scheduled became Rescheduled."],
        ["Made."],
    ]
    assert [change.said(clinical=False) for change in found[1].changes] == ["Private notes changed."]
    assert [each.present for each in found] == [True, False, False, False]


@sqlite
def test_what_was_done_to_hours_and_leave_is_said_in_words(practice, at):
    with practice.writing() as session:
        asked = leave.request_leave(
            session, practice.lee, DAY, DAY, "Skiing", rrule="FREQ=WEEKLY", actor=practice.doctor, now=practice.now
        )
    later(practice)
    with practice.writing() as session:
        leave.decide(session, asked.id, True, actor=SYSTEM, now=practice.now)
        rid = asked.times[1].recurrence_id
    later(practice)
    with practice.writing() as session:
        leave.withdraw(session, asked.id, recurrence_id=rid, actor=practice.doctor, now=practice.now)
    later(practice)
    practice.delete(asked.object.href, "leave")
    assert [[change.text for change in each.changes] for each in history_of(practice, asked.object)] == [
        ["Taken out of the calendar."],
        ["Not on Mon 30 Nov 2026 any more."],
        ["Pending became Approved."],
        ["Made."],
    ]
    with practice.writing() as session:
        (weekly,) = hours.list_hours(session, practice.lee)
        hours.close_day(session, practice.lee, weekly.uid, DAY, actor=practice.doctor, now=practice.now)
    assert history_of(practice, weekly.object)[0].changes[0].text == "Not on Mon 23 Nov 2026 any more."


# A former version put back


def seq_of(practice, obj, nth: int) -> int:
    """Of the nth version, the first is 0."""
    return history_of(practice, obj)[::-1][nth].seq


@sqlite
def test_a_moved_appointment_is_put_back_and_the_patient_told(practice, at):
    booked = practice.book(at(9))
    later(practice)
    move(practice, booked, at(11))
    obj = practice.object_of(booked)
    told = practice.messages()
    put_back(practice, obj, seq_of(practice, obj, 0))
    visit = practice.visit(booked)
    assert (visit.start, visit.status) == (at(9), "rescheduled")
    assert practice.claims() == [(at(9), at(9, 20), 0)]
    assert practice.messages() == [*told, "appointment_changed"]
    sequence = [line for line in practice.object_of(booked).stored_text.split("\r\n") if line.startswith("SEQUENCE")]
    assert int(sequence[0].partition(":")[2]) > 1
    with pytest.raises(IllegalTransition):
        put_back(practice, obj, history_of(practice, obj)[0].seq)
    with pytest.raises(NotFound):
        put_back(practice, obj, 9999)


@sqlite
def test_a_version_whose_minutes_somebody_else_has_is_not_put_back(practice, at):
    booked = practice.book(at(9))
    later(practice)
    move(practice, booked, at(11))
    practice.book(at(9), name="Karl Bauer")
    obj = practice.object_of(booked)
    with pytest.raises(SlotTaken):
        put_back(practice, obj, seq_of(practice, obj, 0))
    assert practice.visit(booked).start == at(11)
    with practice.writing() as session:
        leave.request_leave(session, practice.lee, at(13), at(15), "", actor=SYSTEM, now=practice.now)
    later(practice)
    other = practice.book(at(12), name="Eva Huber")
    obj = practice.object_of(other)
    practice.put(obj.href, obj.served_text.replace("T12", "T13"))
    practice.settle()
    move(practice, other, at(15, 20))
    obj = practice.object_of(other)
    with pytest.raises(OnLeave):
        put_back(practice, obj, seq_of(practice, obj, 1))


@sqlite
def test_what_the_patient_cancelled_stays_cancelled_and_what_the_doctor_did_comes_back(practice, at):
    theirs, ours = practice.book(at(9)), practice.book(at(10), name="Karl Bauer")
    later(practice)
    cancel(practice, theirs, by="patient")
    cancel(practice, ours)
    obj = practice.object_of(theirs)
    with pytest.raises(IllegalTransition):
        put_back(practice, obj, seq_of(practice, obj, 0))
    assert practice.visit(theirs).status == "cancelled_patient"
    told = practice.messages()
    obj = practice.object_of(ours)
    put_back(practice, obj, seq_of(practice, obj, 0))
    assert practice.visit(ours).status == "scheduled" and practice.claims() == [(at(10), at(10, 20), 0)]
    assert practice.messages() == [*told, "appointment_confirmed"]
    # And no version ends a visit: that is a step of its own.
    with pytest.raises(IllegalTransition):
        put_back(practice, obj, seq_of(practice, obj, 1))


@sqlite
def test_an_appointment_that_an_app_deleted_comes_back(practice, at):
    booked = practice.book(at(9))
    later(practice)
    practice.delete(practice.object_of(booked).href)
    practice.settle()
    assert practice.visit(booked).status == "cancelled_doctor"
    obj = practice.object_of(booked)
    put_back(practice, obj, seq_of(practice, obj, 0))
    assert practice.visit(booked).status == "scheduled" and not practice.object_of(booked).deleted
    assert practice.try_book(at(9)) == "slot_taken"


@sqlite
def test_each_of_a_series_keeps_its_own_status_when_a_version_is_put_back(practice, at):
    booked = practice.book(at(9), rrule="FREQ=DAILY;COUNT=3")
    later(practice)
    first, second, _third = practice.visits(booked)
    move(practice, booked, at(11, day=1), recurrence_id=second.recurrence_id)
    practice.now = at(9, 30)
    with practice.writing() as session:
        given = {"recurrence_id": first.recurrence_id, "actor": practice.doctor, "now": practice.now}
        lifecycle.change_status(session, booked.appointment.id, "complete", **given)
    obj = practice.object_of(booked)
    moved = seq_of(practice, obj, 1)
    practice.now = at(10)
    move(practice, booked, at(13, day=1), recurrence_id=second.recurrence_id)
    # Then the first was not completed yet: it is over by now, and stays so.
    put_back(practice, obj, moved)
    assert [(each.start, each.status) for each in practice.visits(booked)] == [
        (at(9), "completed"),
        (at(11, day=1), "rescheduled"),
        (at(9, day=2), "scheduled"),
    ]


@sqlite
def test_hours_leave_and_blocks_are_put_back(practice, at):
    with practice.writing() as session:
        (weekly,) = hours.list_hours(session, practice.lee)
        hours.close_day(session, practice.lee, weekly.uid, DAY, actor=practice.doctor, now=practice.now)
    assert practice.try_book(at(9)) == "outside_hours"
    put_back(practice, weekly.object, seq_of(practice, weekly.object, 0))
    assert practice.try_book(at(9)) == "booked"
    practice.put("lunch.ics", BLOCK.format(n=1, hour=12))
    later(practice)
    practice.delete("lunch.ics")
    assert practice.try_book(at(12)) == "booked"
    with practice.db.reading() as session:
        found = session.query(CalendarObject).filter_by(uid="lunch-1").one()
    put_back(practice, found, seq_of(practice, found, 0))
    assert practice.try_book(at(12, 20), name="Karl Bauer") == "blocked"


@sqlite
def test_approved_leave_comes_back_approved_only_by_whoever_approves(practice, at):
    with practice.writing() as session:
        asked = leave.request_leave(session, practice.lee, DAY, DAY, "", actor=practice.doctor, now=practice.now)
        leave.decide(session, asked.id, True, actor=SYSTEM, now=practice.now)
    later(practice)
    with practice.writing() as session:
        leave.withdraw(session, asked.id, actor=practice.doctor, now=practice.now)
    approved = seq_of(practice, asked.object, 1)
    put_back(practice, asked.object, approved)

    def status() -> str:
        with practice.db.reading() as session:
            return leave.find(session, asked.id, practice.now).status

    assert status() == "pending"
    with practice.writing() as session:
        versions.restore(
            session, session.get(CalendarObject, asked.object.id), approved, actor=SYSTEM, now=practice.now
        )
    assert status() == "approved"
