"""The clinic's holidays close it, whole days where each doctor is, and open it again."""

from datetime import timedelta

import pytest

from ical.errors import InvalidCalendarData, InvalidInput
from storage import appointment_types, diary, holidays, hours, locations, slots
from storage.policy import SYSTEM
from tasks import holidays as job
from tasks.fetch import FetchFailed

FILE = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//x//y//EN\r
BEGIN:VEVENT\r
UID:immaculate\r
DTSTAMP:20260101T000000Z\r
DTSTART;VALUE=DATE:20261124\r
DTEND;VALUE=DATE:20261125\r
RRULE:FREQ=YEARLY\r
SUMMARY:Founders' day\r
TRANSP:TRANSPARENT\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:training\r
DTSTAMP:20260101T000000Z\r
DTSTART;TZID=Europe/Vienna:20261125T100000\r
DTEND;TZID=Europe/Vienna:20261125T120000\r
SUMMARY:Staff training\r
END:VEVENT\r
END:VCALENDAR\r
"""


def free(practice, at, day):
    with practice.db.reading() as session:
        kind = appointment_types.get(session, "consultation")
        found = slots.free_slots(session, [practice.lee], at(0, day=day), at(0, day=day + 1), kind, practice.now)
        return [slot.start for slot in found]


def close(practice, **more):
    with practice.writing() as session:
        return holidays.add_file(session, "Holidays", FILE, now=practice.now, **more).id


def test_whole_days_and_hours_of_a_file_close_the_practice_until_it_is_removed(practice, at):
    number = close(practice)
    assert free(practice, at, 0)
    assert free(practice, at, 1) == []
    assert at(9, 40, day=2) in free(practice, at, 2)
    assert {at(10, day=2), at(11, 40, day=2)}.isdisjoint(free(practice, at, 2))
    assert practice.try_book(at(9, day=1)) == "holiday"
    assert practice.try_book(at(11, day=2)) == "holiday"
    assert free(practice, at, 1 + 365) == [], "next year too"
    with practice.writing() as session:
        holidays.remove(session, number, now=practice.now)
    assert practice.try_book(at(9, day=1)) == "booked"


def test_holidays_of_one_place_leave_the_others_open(practice, at):
    with practice.writing() as session:
        locations.add(session, "Branch", now=practice.now)
        hours.add_hours(
            session, practice.lee, ("tue",), at(17).time(), at(18).time(), slot=20, location="Branch",
            actor=SYSTEM, now=practice.now,
        )  # fmt: skip
    close(practice, location="Branch")
    branch, practice_itself = at(18, day=1), at(9, day=1)
    assert practice_itself in free(practice, at, 1) and branch not in free(practice, at, 1)


def test_a_whole_day_is_the_doctor_s_own_day(practice, at):
    close(practice)
    with practice.db.reading() as session:
        lee = practice.lee
        lee.timezone = "America/New_York"
        kind = appointment_types.get(session, "consultation")
        book = diary.around(session, lee, at(12, day=1), kind, practice.now)
        closed = [(busy.end - busy.start, busy.start) for busy in book.busy if busy.why == "holiday"]
    assert (86_400, int(at(6, day=1).timestamp())) in closed


def test_visits_on_a_holiday_are_outside_the_hours(practice, at):
    close(practice)
    with practice.db.reading() as session:
        duty = diary.duty(session, practice.lee, at(8), at(16, day=3))
    assert duty.covers(at(9), at(10)) and not duty.covers(at(9, day=1), at(10, day=1))


@pytest.mark.parametrize(
    "url", ["ftp://x.example/a", "https://", "https://u:p@x.example/", "file:///etc/passwd", "a b"]
)
def test_a_subscription_needs_a_web_address(practice, url):
    with pytest.raises(InvalidInput) as refusal, practice.writing() as session:
        holidays.subscribe(session, "X", url, now=practice.now)
    assert refusal.value.field == "url"


def test_what_is_no_calendar_leaves_nothing_behind(practice):
    with pytest.raises(InvalidCalendarData), practice.writing() as session:
        holidays.add_file(session, "X", b"<html>", now=practice.now)
    with practice.db.reading() as session:
        assert list(holidays.every(session)) == []


def test_the_last_good_copy_stays_when_fetching_fails(practice, at, monkeypatch):
    answers: list[bytes | Exception] = [FILE, FetchFailed("down"), b"<html>", FILE]

    def fetched(url: str) -> bytes:
        assert url == "https://x.example/h.ics"
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(job, "fetch", fetched)

    def run() -> str:
        job.run(practice.db, practice.db.settings, lambda: practice.now)
        with practice.db.reading() as session:
            return holidays.every(session)[0].problem

    with practice.writing() as session:
        holidays.subscribe(session, "Subscribed", "webcal://x.example/h.ics", now=practice.now)
    assert run() == "" and free(practice, at, 1) == []
    assert run() == "" and len(answers) == 3, "not again on the same day"
    practice.now += timedelta(hours=25)
    assert run() == "down" and free(practice, at, 1) == []
    practice.now += timedelta(minutes=61)
    assert "calendar" in run() and free(practice, at, 1) == []
    practice.now += timedelta(minutes=61)
    assert run() == "" and answers == []
