"""Who waits for what, and the entry as a VTODO."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ical.lines import Component, parse
from ical.waitlist import Free, Wish, assign, rank, set_state, set_wish, suits, unsuitable, vtodo

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


def test_a_changed_wish_is_a_changed_entry():
    calendar = entry()
    wish = replace(WISH, date_to=date(2026, 12, 2), time_to=time(0), priority=1)
    set_wish(calendar, wish, patient_name="Peter Schmid", type_name="Virtual", reason="", zone=VIENNA, now=NOW)
    todo = calendar.components("VTODO")[0]
    assert todo.plain("SUMMARY") == "Waitlist: Urgent · Peter S. · Virtual (Nov 30 – Dec 2, 09:00–00:00)"
    assert (todo.value("PRIORITY"), todo.value("SEQUENCE"), todo.value("CATEGORIES")) == ("1", "1", "Waitlist,Virtual")
    assert todo.first("DUE").text() == "DUE;TZID=Europe/Vienna:20261203T000000\r\n"
    assert todo.first("DESCRIPTION") is None and todo.first("X-CLINICDAV-REASON") is None


# Who is offered what


def test_each_gets_the_first_that_suits_and_that_nobody_before_them_took():
    first, second = WISH, replace(WISH, id=UUID(int=2), patient_id=UUID(int=101))
    slots = [free(start=local(30, 9)), free(start=local(30, 9, 30))]
    made = list(assign([second, first], slots))
    assert made == [(first, slots[0]), (second, slots[1])]


def test_times_that_overlap_are_one_time_whatever_their_types():
    other = replace(WISH, id=UUID(int=2), patient_id=UUID(int=101), type_code="virtual")
    slots = [free(), free(start=local(30, 9, 10), kind="virtual")]
    assert list(assign([WISH, other], slots)) == [(WISH, slots[0])]
    roomy = [free(spots=2), free(start=local(30, 9, 10), kind="virtual", spots=2)]
    assert len(list(assign([WISH, other], roomy))) == 2


def test_a_patient_gets_one_time_of_a_type_at_a_time():
    again = replace(WISH, id=UUID(int=2))
    slots = [free(), free(start=local(30, 10))]
    assert len(list(assign([WISH, again], slots))) == 1
    assert list(assign([WISH, again], slots, served={(WISH.patient_id, "consultation")})) == []


def test_what_was_offered_before_goes_to_the_next():
    second = replace(WISH, id=UUID(int=2), patient_id=UUID(int=101), added_at=WISH.added_at + timedelta(1))
    assert [wish for wish, _ in assign([WISH, second], [free()], unwanted=lambda wish, _: wish == WISH)] == [second]


_wishes = st.builds(
    Wish,
    id=st.integers(1, 10**6).map(lambda number: UUID(int=number)),
    patient_id=st.integers(1, 12).map(lambda number: UUID(int=number)),
    doctor_ids=st.frozensets(st.integers(1, 3), max_size=2),
    date_from=st.integers(23, 26).map(lambda day: date(2026, 11, day)),
    date_to=st.integers(25, 29).map(lambda day: date(2026, 11, day)),
    time_from=st.integers(7, 12).map(time),
    time_to=st.sampled_from([time(0), time(10), time(12), time(18)]),
    weekdays=st.sampled_from([(), ("mon",), ("tue", "wed", "thu")]),
    type_code=st.sampled_from(["consultation", "virtual"]),
    added_at=st.integers(0, 5).map(lambda day: datetime(2026, 11, 1 + day, tzinfo=UTC)),
    priority=st.sampled_from([1, 3, 5]),
)
_free = st.builds(
    lambda kind, doctor, day, step, spots: Free(
        kind,
        doctor,
        local(day, 7) + timedelta(minutes=10 * step),
        local(day, 7) + timedelta(minutes=10 * step + (20 if kind == "virtual" else 30)),
        spots,
        VIENNA,
    ),
    kind=st.sampled_from(["consultation", "virtual"]),
    doctor=st.integers(1, 3),
    day=st.integers(23, 29),
    step=st.integers(0, 30),
    spots=st.integers(1, 2),
)


@given(
    wishes=st.lists(_wishes, max_size=12, unique_by=lambda wish: wish.id),
    slots=st.lists(_free, max_size=25, unique_by=lambda slot: (slot.type_code, slot.doctor_id, slot.start)),
    declined=st.sets(st.tuples(st.integers(0, 11), st.integers(0, 24)), max_size=10),
)
def test_no_slot_goes_to_two_nobody_is_passed_over_and_nothing_is_left_that_suits(wishes, slots, declined):
    refused = {(wishes[w].id, slots[s]) for w, s in declined if w < len(wishes) and s < len(slots)}
    made = list(assign(wishes, slots, unwanted=lambda wish, slot: (wish.id, slot) in refused))
    order = [wish.id for wish in rank(wishes)]
    assert [order.index(wish.id) for wish, _slot in made] == sorted(order.index(wish.id) for wish, _slot in made)
    for number, (wish, slot) in enumerate(made):
        assert suits(wish, slot) and (wish.id, slot) not in refused
        assert _held(slot, made[:number]) < slot.spots
    got = {(wish.patient_id, wish.type_code): number for number, (wish, _slot) in enumerate(made)}
    assert len(got) == len(made)
    for wish in wishes:
        mine = got.get((wish.patient_id, wish.type_code))
        before = made if mine is None else made[:mine]
        # Whatever would have suited them, and better than what they got, was taken by those before them.
        better = [slot for slot in slots if mine is None or slot.start < made[mine][1].start]
        for slot in better:
            if suits(wish, slot) and (wish.id, slot) not in refused and (mine is None or made[mine][0] == wish):
                assert _held(slot, before) >= slot.spots


def _held(slot: Free, made: list[tuple[Wish, Free]]) -> int:
    others = [taken for _wish, taken in made if taken.doctor_id == slot.doctor_id]
    return sum(1 for taken in others if taken.start < slot.end and taken.end > slot.start)
