"""Who waits for what, and the entry as a VTODO."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from ical.lines import Component, parse
from ical.waitlist import Free, Wish, rank, set_state, suits, unsuitable, vtodo

CALENDARS = Path(__file__).parents[1] / "calendars"
VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 22, 17, tzinfo=UTC)
WISH = Wish(
    id=UUID(int=1),
    patient_id=UUID(int=100),
    doctor_ids=frozenset({7}),
    date_from=date(2026, 11, 30),
    date_to=date(2026, 11, 30),
    time_from=time(9),
    time_to=time(12),
    weekdays=(),
    type_code="consultation",
    added_at=datetime(2026, 11, 20, 9, tzinfo=UTC),
)


def local(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=VIENNA).astimezone(UTC)


def free(start=None, minutes=30, doctor=7, kind="consultation", spots=1) -> Free:
    start = start or local(30, 9)
    return Free(kind, doctor, start, start + timedelta(minutes=minutes), spots, VIENNA)


def fits(wish=WISH, **more) -> bool:
    return suits(wish, free(**more))


def test_what_lies_within_the_wish_suits():
    assert fits()
    assert fits(start=local(30, 11, 30))
    assert fits(replace(WISH, doctor_ids=frozenset()), doctor=8)
    assert fits(replace(WISH, doctor_ids=frozenset({8, 9})), doctor=8)


@pytest.mark.parametrize(
    "other",
    [
        {"doctor": 8},
        {"kind": "virtual"},
        {"start": local(29, 9)},
        {"start": local(30, 8, 45)},
        {"start": local(30, 11, 45)},
        {"wish": replace(WISH, weekdays=("tue", "wed"))},
    ],
)
def test_what_lies_outside_does_not(other):
    assert not fits(**other)


def test_midnight_is_the_end_of_the_day():
    late = replace(WISH, time_from=time(18), time_to=time(0))
    assert fits(late, start=local(30, 23, 30))
    assert not fits(late, start=local(30, 23, 45))


def test_first_come_first_served():
    second = replace(WISH, id=UUID(int=0), added_at=WISH.added_at + timedelta(seconds=1))
    assert rank([second, WISH]) == [WISH, second]


def test_the_urgent_come_before_all_who_have_waited_longer():
    urgent = replace(WISH, id=UUID(int=3), added_at=WISH.added_at + timedelta(days=3), priority=1)
    soon = replace(WISH, id=UUID(int=2), added_at=WISH.added_at + timedelta(days=2), priority=3)
    assert rank([WISH, soon, urgent]) == [urgent, soon, WISH]


def test_what_does_not_suit_is_said_word_by_word():
    assert unsuitable(WISH, free(start=local(29, 8), doctor=8, kind="virtual")) == ["type", "doctor", "day", "time"]
    assert unsuitable(replace(WISH, weekdays=("tue",)), free()) == ["weekday"]


def entry(**more) -> Component:
    known = {
        "uid": "wait-3d6f2b10@clinic.example",
        "patient_id": UUID("0d1c2b3a-1111-4222-8333-444455556666"),
        "patient_name": "Peter Schmid",
        "type_name": "Consultation",
        "reason": "Back pain",
        "zone": VIENNA,
        "now": NOW,
        "url": "https://clinic.example/d/w/3d6f2b10",
    }
    return vtodo(more.pop("wish", WISH), **{**known, **more})


def test_a_waiting_entry_is_the_example():
    assert entry().text() == parse((CALENDARS / "waitlist-1-waiting.ics").read_text().replace("\n", "\r\n")).text()


def test_several_days_stand_in_the_title():
    todo = entry(wish=replace(WISH, date_to=date(2026, 12, 4))).components("VTODO")[0]
    assert todo.plain("SUMMARY") == "Waitlist: Peter S. · Consultation (Nov 30 – Dec 4, 09:00–12:00)"


def test_an_entry_from_offer_to_appointment():
    calendar = entry()
    todo = calendar.components("VTODO")[0]
    set_state(calendar, "offered", NOW, offer_expires=NOW + timedelta(hours=2))
    assert todo.value("STATUS") == "IN-PROCESS"
    assert todo.value("X-CLINICDAV-OFFER-EXPIRES") == "20261122T190000Z"
    set_state(calendar, "waiting", NOW)
    assert todo.value("STATUS") == "NEEDS-ACTION"
    assert todo.first("X-CLINICDAV-OFFER-EXPIRES") is None
    set_state(calendar, "converted", NOW, converted_to="appt-1@clinic.example")
    assert todo.value("STATUS") == "COMPLETED"
    assert todo.value("PERCENT-COMPLETE") == "100"
    assert todo.first("RELATED-TO").text() == "RELATED-TO;RELTYPE=SIBLING:appt-1@clinic.example\r\n"
    assert todo.value("SEQUENCE") == "3"


@pytest.mark.parametrize("state", ["expired", "withdrawn"])
def test_an_entry_that_has_ended_is_cancelled(state):
    calendar = entry()
    set_state(calendar, state, NOW)
    assert calendar.components("VTODO")[0].value("STATUS") == "CANCELLED"
