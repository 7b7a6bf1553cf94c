"""Occurrences: wall time over DST, EXDATE, overrides, what apps mean where they differ from the RFC."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import icalendar
import pytest
import recurring_ical_events

from ical.errors import NotFound, TooManyInstances
from ical.lines import Component, parse
from ical.recurrence import (
    add_exdate,
    last_end,
    make_override,
    master,
    occurrences,
    override_for,
    overrides,
    repeats,
)
from ical.times import instant, utc_text

CALENDARS = Path(__file__).parent.parent / "calendars"
VIENNA = ZoneInfo("Europe/Vienna")


def utc(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)


ALWAYS = (utc(1990, 1, 1), utc(2100, 1, 1))


def calendar(*entries: str) -> Component:
    """Each entry is its lines, joined by blanks."""
    blocks = ("\r\n".join(("BEGIN:VEVENT", "UID:a", *entry.split(), "END:VEVENT")) for entry in entries)
    return parse("\r\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", *blocks, "END:VCALENDAR", "")))


def fixture(name: str) -> Component:
    return parse((CALENDARS / name).read_bytes().decode())


def starts(tree: Component, window: tuple[datetime, datetime] = ALWAYS) -> list[str]:
    return [utc_text(o.start) for o in occurrences(tree, VIENNA, *window)]


def test_a_single_event_has_one_occurrence_without_a_recurrence_id() -> None:
    tree = calendar("DTSTART:20261125T080000Z DTEND:20261125T083000Z")
    (only,) = occurrences(tree, VIENNA, *ALWAYS)
    assert (only.recurrence_id, only.start, only.end) == ("", utc(2026, 11, 25, 8), utc(2026, 11, 25, 8, 30))
    assert not only.all_day and not only.is_override and not repeats(tree)


def test_windows_are_half_open() -> None:
    tree = calendar("DTSTART:20261125T080000Z DTEND:20261125T083000Z")
    assert starts(tree, (utc(2026, 11, 25, 8, 30), utc(2026, 11, 25, 9))) == []
    assert starts(tree, (utc(2026, 11, 25, 7), utc(2026, 11, 25, 8))) == []
    assert len(starts(tree, (utc(2026, 11, 25, 8, 29), utc(2026, 11, 25, 9)))) == 1


def test_a_moment_is_met_by_the_window_in_which_it_begins() -> None:
    tree = calendar("DTSTART:20261125T080000Z")
    assert len(starts(tree, (utc(2026, 11, 25, 8), utc(2026, 11, 25, 9)))) == 1
    assert starts(tree, (utc(2026, 11, 25, 7), utc(2026, 11, 25, 8))) == []


@pytest.mark.parametrize(
    ("zone", "local", "summer", "winter"),
    [
        ("Europe/Vienna", "090000", "070000Z", "080000Z"),
        ("America/New_York", "090000", "130000Z", "140000Z"),
        ("Australia/Lord_Howe", "090000", "223000Z", "220000Z"),
        ("America/Sao_Paulo", "090000", "120000Z", "120000Z"),
        ("Asia/Kathmandu", "090000", "031500Z", "031500Z"),
    ],
)
def test_a_visit_at_nine_stays_at_nine_when_the_clocks_change(zone: str, local: str, summer: str, winter: str) -> None:
    tree = calendar(f"DTSTART;TZID={zone}:20260105T{local} DURATION:PT30M RRULE:FREQ=DAILY;COUNT=400")
    found = starts(tree)
    july = [s for s in found if s.startswith(("202607", "202606"))]
    january = [s for s in found if s.startswith("202701")]
    assert {s[9:] for s in july} == {summer}
    assert {s[9:] for s in january} == {winter}
    assert len(found) == 400


def test_an_hour_that_the_clocks_skip_is_read_before_the_change() -> None:
    tree = calendar("DTSTART;TZID=Europe/Vienna:20260328T023000 DURATION:PT1H RRULE:FREQ=DAILY;COUNT=3")
    assert starts(tree) == ["20260328T013000Z", "20260329T013000Z", "20260330T003000Z"]


def test_a_repeated_hour_happens_the_first_time() -> None:
    tree = calendar("DTSTART;TZID=Europe/Vienna:20261024T023000 DURATION:PT1H RRULE:FREQ=DAILY;COUNT=3")
    assert starts(tree) == ["20261024T003000Z", "20261025T003000Z", "20261026T013000Z"]


def test_hours_with_an_end_keep_their_wall_time_and_a_duration_its_length() -> None:
    by_end = calendar(
        "DTSTART;TZID=Europe/Vienna:20261018T010000 DTEND;TZID=Europe/Vienna:20261018T040000 RRULE:FREQ=WEEKLY"
    )
    by_duration = calendar("DTSTART;TZID=Europe/Vienna:20261018T010000 DURATION:PT3H RRULE:FREQ=WEEKLY")
    sunday = (utc(2026, 10, 24, 12), utc(2026, 10, 25, 12))
    assert [o.end - o.start for o in occurrences(by_end, VIENNA, *sunday)] == [timedelta(hours=4)]
    assert [o.end - o.start for o in occurrences(by_duration, VIENNA, *sunday)] == [timedelta(hours=3)]


def test_all_day_series_are_local_days() -> None:
    tree = calendar("DTSTART;VALUE=DATE:20261024 RRULE:FREQ=DAILY;COUNT=2")
    found = occurrences(tree, VIENNA, *ALWAYS)
    assert [(o.start, o.end) for o in found] == [
        (utc(2026, 10, 23, 22), utc(2026, 10, 24, 22)),
        (utc(2026, 10, 24, 22), utc(2026, 10, 25, 23)),
    ]
    assert all(o.all_day for o in found)


def test_a_moved_occurrence_and_an_excluded_one() -> None:
    found = occurrences(fixture("series-1-moved-and-exdate.ics"), VIENNA, *ALWAYS)
    assert [(o.recurrence_id, utc_text(o.start), o.is_override) for o in found] == [
        ("20261104T130000Z", "20261104T130000Z", False),
        ("20261111T130000Z", "20261111T130000Z", False),
        ("20261118T130000Z", "20261119T150000Z", True),
        ("20261202T130000Z", "20261202T130000Z", False),
        ("20261209T130000Z", "20261209T130000Z", False),
    ]


def test_cancelled_overrides_are_returned_for_the_caller_to_judge() -> None:
    found = occurrences(fixture("series-2-cancelled-as-override-over-dst.ics"), VIENNA, *ALWAYS)
    assert [utc_text(o.start) for o in found] == [
        "20261012T060000Z", "20261020T060000Z", "20261026T070000Z", "20261102T070000Z",
    ]  # fmt: skip
    assert [o.component.value("STATUS") for o in found][2] == "CANCELLED"


def test_until_as_a_date_lasts_to_the_end_of_that_day() -> None:
    tree = calendar("DTSTART;TZID=Europe/Vienna:20261123T220000 DURATION:PT1H RRULE:FREQ=DAILY;UNTIL=20261125")
    assert len(starts(tree)) == 3


def test_a_floating_until_is_local() -> None:
    tree = calendar("DTSTART;TZID=Europe/Vienna:20261123T090000 DURATION:PT1H RRULE:FREQ=DAILY;UNTIL=20261125T090000")
    assert len(starts(tree)) == 3


def test_until_in_utc_is_an_instant() -> None:
    rule = "DTSTART;TZID=Europe/Vienna:20261123T090000 DURATION:PT1H RRULE:FREQ=DAILY;UNTIL=20261125T0{}Z"
    assert len(starts(calendar(rule.format("80000")))) == 3
    assert len(starts(calendar(rule.format("75959")))) == 2


def test_a_series_that_ended_before_it_began_has_no_occurrence() -> None:
    assert starts(calendar("DTSTART:20261123T090000Z RRULE:FREQ=DAILY;UNTIL=20261101T000000Z")) == []


def test_a_start_outside_its_rule_counts_besides_count() -> None:
    tree = calendar("DTSTART:20261125T090000Z RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=2")
    assert [s[:8] for s in starts(tree)] == ["20261125", "20261130", "20261207"]


@pytest.mark.parametrize(
    "exdate",
    [
        "EXDATE:20261124T080000Z",
        "EXDATE;TZID=Europe/Vienna:20261124T090000",
        "EXDATE;TZID=America/New_York:20261124T030000",
        "EXDATE;VALUE=DATE:20261124",
        "EXDATE:20261124T090000",
        "EXDATE;VALUE=DATE: EXDATE:20261124T080000Z",
    ],
)
def test_exdates_are_matched_by_instant_or_day(exdate: str) -> None:
    tree = calendar(f"DTSTART;TZID=Europe/Vienna:20261123T090000 DURATION:PT1H RRULE:FREQ=DAILY;COUNT=3 {exdate}")
    assert starts(tree) == ["20261123T080000Z", "20261125T080000Z"]


def test_rdates_add_times_and_periods() -> None:
    tree = calendar(
        "DTSTART:20261123T090000Z DTEND:20261123T093000Z RDATE:20261125T090000Z RDATE;VALUE=PERIOD:20261126T090000Z/PT2H"
    )
    assert [o.end - o.start for o in occurrences(tree, VIENNA, *ALWAYS)] == [
        timedelta(minutes=30), timedelta(minutes=30), timedelta(hours=2),
    ]  # fmt: skip


def test_the_same_time_by_rule_and_rdate_happens_once() -> None:
    tree = calendar("DTSTART:20261123T090000Z RRULE:FREQ=DAILY;COUNT=2 RDATE:20261124T090000Z,20261123T090000Z")
    assert len(starts(tree)) == 2


def test_overrides_without_a_master_stand_for_themselves() -> None:
    tree = calendar("RECURRENCE-ID:20261123T090000Z DTSTART:20261124T100000Z DURATION:PT1H")
    (only,) = occurrences(tree, VIENNA, *ALWAYS)
    assert (only.recurrence_id, only.is_override) == ("20261123T090000Z", True)
    assert master(tree) is None and repeats(tree)


def test_of_two_overrides_of_one_occurrence_the_higher_sequence_counts() -> None:
    first = "RECURRENCE-ID:20261124T090000Z SEQUENCE:2 DTSTART:20261124T120000Z"
    second = "RECURRENCE-ID:20261124T090000Z SEQUENCE:1 DTSTART:20261124T150000Z"
    tree = calendar("DTSTART:20261123T090000Z RRULE:FREQ=DAILY;COUNT=2", first, second)
    assert starts(tree) == ["20261123T090000Z", "20261124T120000Z"]


def test_an_override_far_from_its_place_is_found_where_it_is() -> None:
    tree = calendar(
        "DTSTART:20260105T090000Z DURATION:PT1H RRULE:FREQ=WEEKLY",
        "RECURRENCE-ID:20261123T090000Z DTSTART:20270310T090000Z DURATION:PT1H",
    )
    assert "20270310T090000Z" in starts(tree, (utc(2027, 3, 10), utc(2027, 3, 11)))
    assert starts(tree, (utc(2026, 11, 23), utc(2026, 11, 24))) == []


def test_this_and_future_moves_what_follows() -> None:
    tree = calendar(
        "DTSTART;TZID=Europe/Vienna:20261019T090000 DTEND;TZID=Europe/Vienna:20261019T093000 RRULE:FREQ=WEEKLY;COUNT=4",
        "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Vienna:20261026T090000 "
        "DTSTART;TZID=Europe/Vienna:20261027T100000 DTEND;TZID=Europe/Vienna:20261027T110000",
    )
    found = occurrences(tree, VIENNA, *ALWAYS)
    assert [(o.recurrence_id[:8], utc_text(o.start), o.end - o.start) for o in found] == [
        ("20261019", "20261019T070000Z", timedelta(minutes=30)),
        ("20261026", "20261027T090000Z", timedelta(hours=1)),
        ("20261102", "20261103T090000Z", timedelta(hours=1)),
        ("20261109", "20261110T090000Z", timedelta(hours=1)),
    ]


def test_a_master_that_carries_a_recurrence_id_is_still_a_series() -> None:
    tree = calendar("RECURRENCE-ID:20261123T090000Z DTSTART:20261123T090000Z RRULE:FREQ=DAILY;COUNT=3")
    assert len(starts(tree)) == 3 and overrides(tree) == []


def test_more_occurrences_than_the_limit_are_refused() -> None:
    tree = calendar("DTSTART:19700101T090000Z RRULE:FREQ=DAILY")
    with pytest.raises(TooManyInstances):
        occurrences(tree, VIENNA, *ALWAYS)
    with pytest.raises(TooManyInstances):
        occurrences(tree, VIENNA, utc(2026, 1, 1), utc(2026, 2, 1), limit=30)


def test_tasks_without_any_time_have_no_occurrence() -> None:
    tree = parse("BEGIN:VCALENDAR\nBEGIN:VTODO\nUID:a\nRRULE:FREQ=DAILY\nEND:VTODO\nEND:VCALENDAR\n")
    assert occurrences(tree, VIENNA, *ALWAYS) == [] and last_end(tree, VIENNA) is None


@pytest.mark.parametrize(
    ("entry", "ends_by"),
    [
        ("DTSTART:20261123T090000Z DURATION:PT1H", utc(2026, 11, 23, 10)),
        ("DTSTART:20261123T090000Z DURATION:PT1H RRULE:FREQ=DAILY", None),
        ("DTSTART:20261123T090000Z RRULE:FREQ=DAILY;UNTIL=99991231T000000Z", None),
    ],
)
def test_the_end_of_everything_is_known_or_open(entry: str, ends_by: datetime | None) -> None:
    assert last_end(calendar(entry), VIENNA) == ends_by


@pytest.mark.parametrize("bound", ["COUNT=10", "UNTIL=20270125T090000Z"])
def test_nothing_happens_after_the_end_of_a_finite_series(bound: str) -> None:
    tree = calendar(
        f"DTSTART:20261123T090000Z DURATION:PT1H RRULE:FREQ=WEEKLY;{bound}",
        "RECURRENCE-ID:20261130T090000Z DTSTART:20270401T090000Z DURATION:PT1H",
    )
    end = last_end(tree, VIENNA)
    assert end is not None
    assert max(o.end for o in occurrences(tree, VIENNA, *ALWAYS)) <= end < utc(2028, 1, 1)


def test_an_override_is_made_with_the_times_of_its_occurrence() -> None:
    tree = calendar(
        "DTSTART;TZID=Europe/Vienna:20261019T090000 DTEND;TZID=Europe/Vienna:20261019T093000 SUMMARY:x "
        "RRULE:FREQ=WEEKLY;COUNT=4 EXDATE;TZID=Europe/Vienna:20261109T090000"
    )
    made = make_override(tree, "20261026T080000Z", VIENNA)
    assert [line.text().strip() for line in made.lines()] == [
        "UID:a",
        "RECURRENCE-ID;TZID=Europe/Vienna:20261026T090000",
        "DTSTART;TZID=Europe/Vienna:20261026T090000",
        "DTEND;TZID=Europe/Vienna:20261026T093000",
        "SUMMARY:x",
    ]
    assert override_for(tree, "20261026T080000Z", VIENNA) is made
    assert make_override(tree, "20261026T080000Z", VIENNA) is made
    assert len(occurrences(tree, VIENNA, *ALWAYS)) == 3
    with pytest.raises(NotFound):
        make_override(tree, "20261027T080000Z", VIENNA)


def test_an_override_of_a_day_is_a_day() -> None:
    tree = calendar("DTSTART;VALUE=DATE:20261019 DTEND;VALUE=DATE:20261020 RRULE:FREQ=WEEKLY")
    made = make_override(tree, utc_text(instant(date(2026, 10, 26), VIENNA)), VIENNA)
    assert made.lines("RECURRENCE-ID")[0].text().strip() == "RECURRENCE-ID;VALUE=DATE:20261026"
    assert made.value("DTEND") == "20261027"


def test_an_excluded_occurrence_is_gone_with_its_override() -> None:
    tree = fixture("series-1-moved-and-exdate.ics")
    add_exdate(tree, "20261118T130000Z", VIENNA)
    add_exdate(tree, "20261202T130000Z", VIENNA)
    text = tree.text()
    add_exdate(tree, "20261202T130000Z", VIENNA)
    assert tree.text() == text
    assert [s[:8] for s in starts(tree)] == ["20261104", "20261111", "20261209"]
    assert "EXDATE;TZID=Europe/Vienna:20261118T140000" in text


@pytest.mark.parametrize(
    "path", sorted([*CALENDARS.glob("hours-*.ics"), *CALENDARS.glob("series-*.ics")]), ids=lambda path: path.stem
)
def test_recurring_ical_events_finds_the_same(path: Path) -> None:
    text = path.read_bytes().decode()
    tree = parse(text)
    window = (utc(2026, 9, 1), utc(2027, 8, 1))
    expected = set()
    for event in recurring_ical_events.of(icalendar.Calendar.from_ical(text)).between(*window):
        end = event["DTEND"].dt if "DTEND" in event else event["DTSTART"].dt
        expected.add((instant(event["DTSTART"].dt, VIENNA), instant(end, VIENNA)))
    assert {(o.start, o.end) for o in occurrences(tree, VIENNA, *window)} == expected


def test_the_first_day_that_can_be_has_a_key_that_can_be_read() -> None:
    tree = calendar("DTSTART;VALUE=DATE:16000101 RRULE:FREQ=YEARLY")
    (first, *_) = occurrences(tree, VIENNA, utc(1599, 1, 1), utc(1601, 1, 1))
    assert make_override(tree, first.recurrence_id, VIENNA).value("RECURRENCE-ID") == "16000101"
