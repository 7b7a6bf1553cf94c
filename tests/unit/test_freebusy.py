"""Free/busy: which entries take time, how periods merge, and that nothing but times is said."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ical.freebusy import BusyType, Period, busy_type, merge, vfreebusy, without
from ical.lines import Component, Line, parse


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 25, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ({}, "busy"),
        ({"TRANSP": "OPAQUE", "STATUS": "CONFIRMED"}, "busy"),
        ({"TRANSP": "TRANSPARENT"}, "free"),
        ({"STATUS": "CANCELLED"}, "free"),
        ({"STATUS": "cancelled "}, "free"),
        ({"STATUS": "TENTATIVE"}, "busy-tentative"),
        ({"STATUS": "CONFIRMED", "X-MICROSOFT-CDO-BUSYSTATUS": "OOF"}, "busy-unavailable"),
        ({"X-MICROSOFT-CDO-BUSYSTATUS": "FREE"}, "free"),
        ({"STATUS": "TENTATIVE", "X-MICROSOFT-CDO-BUSYSTATUS": "BUSY"}, "busy-tentative"),
    ],
)
def test_what_an_event_takes(lines: dict[str, str], expected: BusyType) -> None:
    assert busy_type(Component("VEVENT", [Line(name, value) for name, value in lines.items()])) == expected


def test_tasks_take_no_time() -> None:
    assert busy_type(Component("VTODO")) == "free"


def test_touching_and_overlapping_periods_become_one() -> None:
    assert merge([Period(at(10), at(11)), Period(at(8), at(9)), Period(at(9), at(10, 30))]) == [Period(at(8), at(11))]


def test_the_stronger_type_wins_where_periods_overlap() -> None:
    assert merge([Period(at(8), at(12), "busy-tentative"), Period(at(9), at(10)), Period(at(8), at(9), "free")]) == [
        Period(at(8), at(9), "busy-tentative"),
        Period(at(9), at(10), "busy"),
        Period(at(10), at(12), "busy-tentative"),
    ]


def test_periods_without_length_vanish() -> None:
    assert merge([Period(at(8), at(8)), Period(at(9), at(8))]) == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 23),
            st.integers(0, 23),
            st.sampled_from(("free", "busy", "busy-tentative", "busy-unavailable")),
        )
    )
)
def test_merging_says_the_strongest_type_of_every_hour(spans: list[tuple[int, int, BusyType]]) -> None:
    order = ("free", "busy-tentative", "busy", "busy-unavailable")
    merged = merge(Period(at(first), at(last), busy) for first, last, busy in spans)
    assert all(a.end <= b.start for a, b in zip(merged, merged[1:], strict=False))
    for hour in range(24):
        expected = max((busy for first, last, busy in spans if first <= hour < last), key=order.index, default="free")
        said = [p.busy for p in merged if p.start <= at(hour) < p.end]
        assert said == ([] if expected == "free" else [expected])


def test_a_vfreebusy_holds_the_range_that_was_asked_for() -> None:
    text = vfreebusy(
        [Period(at(7), at(9)), Period(at(10), at(11), "busy-tentative"), Period(at(12), at(13))], at(8), at(12), at(6)
    )
    (answer,) = parse(text).components("VFREEBUSY")
    assert answer.value("DTSTART") == "20261125T080000Z"
    assert [(line.param("FBTYPE"), line.value) for line in answer.lines("FREEBUSY")] == [
        ("BUSY", "20261125T080000Z/20261125T090000Z"),
        ("BUSY-TENTATIVE", "20261125T100000Z/20261125T110000Z"),
    ]
    assert answer.first("UID") is None and answer.first("ORGANIZER") is None


def test_an_answer_to_a_request_names_who_asked() -> None:
    text = vfreebusy([], at(8), at(12), at(6), uid="u", organizer="mailto:a@x", attendee="mailto:b@x", method="REPLY")
    tree = parse(text)
    assert tree.value("METHOD") == "REPLY"
    assert tree.components("VFREEBUSY")[0].value("ATTENDEE") == "mailto:b@x"


def test_what_lies_outside_of_others_is_left() -> None:
    day = [Period(at(0), at(23), "busy-unavailable")]
    hours = [Period(at(8), at(12)), Period(at(11), at(13)), Period(at(15), at(16)), Period(at(20), at(21), "free")]
    left = [(period.start.hour, period.end.hour, period.busy) for period in without(day, hours)]
    assert left == [(0, 8, "busy-unavailable"), (13, 15, "busy-unavailable"), (16, 23, "busy-unavailable")]


hour_pairs = st.tuples(st.integers(0, 22), st.integers(1, 5)).map(lambda p: Period(at(p[0]), at(min(23, p[0] + p[1]))))


@given(st.lists(hour_pairs), st.lists(hour_pairs))
def test_outside_and_inside_share_no_time_and_lose_none(periods: list[Period], others: list[Period]) -> None:
    def minutes(found: list[Period]) -> set[datetime]:
        return {at(hour) for hour in range(23) for p in found if p.start <= at(hour) < p.end}

    assert minutes(without(periods, others)) == minutes(periods) - minutes(others)
