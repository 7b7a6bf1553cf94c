"""What is refused before anything reads it, how long that takes, and what an import repairs."""

import random
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ical.errors import (
    InvalidCalendarData,
    Refusal,
    ResourceTooLarge,
    TooManyAttendees,
    TooManyInstances,
    UnsupportedComponent,
    UnsupportedRecurrence,
)
from ical.files import MAX_FILE, check_calendar_file
from ical.guard import check
from ical.lines import Component
from ical.recurrence import last_end, occurrences

CALENDARS = Path(__file__).parent.parent / "calendars"
VIENNA = ZoneInfo("Europe/Vienna")
START = "DTSTART:20261125T090000Z"


def data(*lines: str, uid: str = "UID:a", kind: str = "VEVENT", outside: tuple[str, ...] = ()) -> bytes:
    head = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:test", *outside)
    text = (*head, f"BEGIN:{kind}", *((uid,) if uid else ()), *lines, f"END:{kind}", "END:VCALENDAR", "")
    return "\r\n".join(text).encode()


def many(*entries: tuple[str, ...]) -> bytes:
    blocks = ["\r\n".join(("BEGIN:VEVENT", *entry, "END:VEVENT")) for entry in entries]
    return "\r\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", *blocks, "END:VCALENDAR", "")).encode()


def zone_block(tzid: str, *lines: str) -> tuple[str, ...]:
    offsets = ("TZOFFSETFROM:+0100", "TZOFFSETTO:+0200")
    return "BEGIN:VTIMEZONE", f"TZID:{tzid}", "BEGIN:STANDARD", *lines, *offsets, "END:STANDARD", "END:VTIMEZONE"


def test_a_good_event_comes_back_byte_for_byte() -> None:
    body = data(START, "SUMMARY:Grüße " + "x" * 40, "X-FOLDED:a\r\n b", "", "RRULE:FREQ=WEEKLY")
    calendar = check(body)
    assert isinstance(calendar, Component)
    assert calendar.text().encode() == body


@pytest.mark.parametrize(
    "body", [data(START).replace(b"\r\n", b"\n"), data(START).rstrip(), b"\xef\xbb\xbf" + data(START)]
)
def test_bare_line_feeds_a_missing_last_one_and_a_byte_order_mark_are_no_fault(body: bytes) -> None:
    assert check(body).text().encode() == body.removeprefix(b"\xef\xbb\xbf")


def test_a_fold_inside_a_character_is_understood() -> None:
    body = data(START, "SUMMARY:Gr?").replace(b"Gr?", b"Gr\xc3\r\n \xbc\xc3\x9fe")
    (event,) = check(body).components("VEVENT")
    assert event.plain("SUMMARY") == "Grüße"


def test_a_sloppy_rule_is_written_as_it_should_be() -> None:
    calendar = check(data(START, "RRULE:FREQ=WEEKLY;BYDAY=MO, WE;"))
    assert "RRULE:FREQ=WEEKLY;BYDAY=MO,WE\r\n" in calendar.text()


@pytest.mark.parametrize(
    "times",
    [
        ("DTSTART:20250814T180000", "DTEND;TZID=Europe/Brussels:20250814T190000"),
        ("DTSTART;TZID=America/New_York:19970902T090000", "DTEND:19970902T100000"),
        ("DTSTART;VALUE=DATE:20261125", "DTEND:20261124T230000Z"),
    ],
)
def test_an_end_of_another_form_than_the_start_is_taken_when_it_may_come_later(times: tuple[str, ...]) -> None:
    """Open Calendar and Sunbird wrote such events."""
    assert check(data(*times))


def test_time_zones_that_begin_in_the_year_1_are_taken() -> None:
    """eM Client writes them, also for zones that no other name explains."""
    rule = "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3"
    for zone in (zone_block("Own", "DTSTART:00010101T000000"), zone_block("Own", "DTSTART:00010325T020000", rule)):
        calendar = check(data("DTSTART;TZID=Own:20260701T100000", outside=zone))
        (found,) = occurrences(calendar, VIENNA, datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 2, tzinfo=UTC))
        assert found.start == datetime(2026, 7, 1, 8, tzinfo=UTC)


REFUSED: dict[str, tuple[bytes, type[Refusal]]] = {
    "nothing": (b"", InvalidCalendarData),
    "no calendar": (b"hello\r\n", InvalidCalendarData),
    "only a begin": (b"BEGIN:VCALENDAR\r\n", InvalidCalendarData),
    "an empty calendar": (b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n", InvalidCalendarData),
    "something after the end": (data(START) + b"X:y\r\n", InvalidCalendarData),
    "two calendars": (data(START) * 2, InvalidCalendarData),
    "vCalendar 1.0": (data(START).replace(b"VERSION:2.0", b"VERSION:1.0"), InvalidCalendarData),
    "crossed ends": (data(START, "BEGIN:VALARM").replace(b"END:VEVENT", b"END:VALARM"), InvalidCalendarData),
    "NUL": (data(START, "SUMMARY:a\0b"), InvalidCalendarData),
    "another C0 character": (data(START, "SUMMARY:a\x0bb"), InvalidCalendarData),
    "a lone CR": (data(START, "SUMMARY:a\rATTENDEE:mailto:x@example"), InvalidCalendarData),
    "no character of XML": (data(START, "SUMMARY:\ufffe"), InvalidCalendarData),
    "invalid UTF-8": (data(START, "SUMMARY:?").replace(b"?", b"\xff\xfe"), InvalidCalendarData),
    "a line that is no property": (data(START, "no property"), InvalidCalendarData),
    "an open quote": (data('DTSTART;TZID="Europe/Vienna:20261125T090000'), InvalidCalendarData),
    "METHOD": (data(START, outside=("METHOD:REQUEST",)), InvalidCalendarData),
    "ACTION:PROCEDURE": (data(START, "BEGIN:VALARM", "ACTION:procedure", "END:VALARM"), InvalidCalendarData),
    "no UID": (data(START, uid=""), InvalidCalendarData),
    "an empty UID": (data(START, uid="UID:"), InvalidCalendarData),
    "a long UID": (data(START, uid="UID:" + "a" * 256), InvalidCalendarData),
    "two UIDs in an event": (data(START, "UID:b"), InvalidCalendarData),
    "two UIDs in an object": (many(("UID:a", START), ("UID:b", START)), InvalidCalendarData),
    "two masters": (many(("UID:a", START), ("UID:a", START)), InvalidCalendarData),
    "no DTSTART": (data("SUMMARY:x"), InvalidCalendarData),
    "two DTSTARTs": (data(START, START), InvalidCalendarData),
    "an end before the start": (data(START, "DTEND:20261125T085959Z"), InvalidCalendarData),
    "an end day before the start": (
        data("DTSTART;VALUE=DATE:20261125", "DTEND;VALUE=DATE:20261124"),
        InvalidCalendarData,
    ),
    "a negative duration": (data(START, "DURATION:-PT1H"), InvalidCalendarData),
    "centuries of duration": (data(START, "DURATION:P999999D"), InvalidCalendarData),
    "the year 9999": (data("DTSTART:99991231T235959Z"), InvalidCalendarData),
    "the year 1": (data("DTSTART:00010101T000000Z"), InvalidCalendarData),
    "30 February": (data("DTSTART;VALUE=DATE:20260230"), InvalidCalendarData),
    "daily since 1900": (data("DTSTART:19000101T000000Z", "RRULE:FREQ=DAILY"), InvalidCalendarData),
    "an unknown TZID": (data("DTSTART;TZID=Mars/X:20261125T090000"), InvalidCalendarData),
    "a TZID that is a path": (data("DTSTART;TZID=../../etc/passwd:20261125T090000"), InvalidCalendarData),
    "FREQ=SECONDLY": (data(START, "RRULE:FREQ=SECONDLY"), UnsupportedRecurrence),
    "a list of seconds": (
        data(START, "RRULE:FREQ=DAILY;BYSECOND=" + ",".join(map(str, range(60)))),
        UnsupportedRecurrence,
    ),
    "every hour of every day": (
        data(START, "RRULE:FREQ=YEARLY;BYMONTH=1,2,3;BYHOUR=0,1,2,3;BYMINUTE=0,1,2"),
        UnsupportedRecurrence,
    ),
    "a rule for 30 February": (data(START, "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), UnsupportedRecurrence),
    "leap days in odd years": (
        data("DTSTART:20270101T090000Z", "RRULE:FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29"),
        UnsupportedRecurrence,
    ),
    "weeks on another weekday": (data(START, "RRULE:FREQ=DAILY;INTERVAL=7;BYDAY=MO"), UnsupportedRecurrence),
    "a COUNT of millions": (data(START, "RRULE:FREQ=DAILY;COUNT=9999999"), UnsupportedRecurrence),
    "a lunar year": (data(START, "RRULE:RSCALE=CHINESE;FREQ=YEARLY"), UnsupportedRecurrence),
    "EXRULE": (data(START, "RRULE:FREQ=DAILY", "EXRULE:FREQ=WEEKLY"), UnsupportedRecurrence),
    "five rules": (data(START, *["RRULE:FREQ=DAILY"] * 5), UnsupportedRecurrence),
    "an end that never comes": (data(START, "RRULE:FREQ=DAILY;UNTIL=20269999"), InvalidCalendarData),
    "50,000 lines": (data(START, *["X:y"] * 50_000), InvalidCalendarData),
    "10,000 EXDATEs": (data(START, "RRULE:FREQ=DAILY", *["EXDATE:20261126T090000Z"] * 10_000), TooManyInstances),
    "10,000 EXDATEs on a line": (
        data(START, "RRULE:FREQ=DAILY", "EXDATE:" + "20261126T090000Z," * 7_000 + "20261126T090000Z"),
        TooManyInstances,
    ),
    "501 RDATEs": (data(START, *["RDATE:20261126T090000Z"] * 501), TooManyInstances),
    "501 overrides": (
        many(("UID:a", START), *[("UID:a", "RECURRENCE-ID:20261126T090000Z", START)] * 501),
        TooManyInstances,
    ),
    "201 attendees": (data(START, *["ATTENDEE:mailto:a@example"] * 201), TooManyAttendees),
    "a task among events": (data(START, kind="VTODO"), UnsupportedComponent),
    "an unknown component": (data(START, kind="VVENUE"), UnsupportedComponent),
    "a huge line": (data(START, "X-LONG:" + "x" * (130 * 1024)), InvalidCalendarData),
    "a huge folded line": (data(START, "X-LONG:x" + "\r\n " * 15_000 + "y" * 140_000), InvalidCalendarData),
    "too much of it": (data(START, *["X-LONG:" + "x" * 1000] * 300), ResourceTooLarge),
    "deep nesting": (data(START, *["BEGIN:VALARM"] * 9_000, *["END:VALARM"] * 9_000), InvalidCalendarData),
    "a monthly VTIMEZONE": (
        data(START, outside=zone_block("X", "DTSTART:19700101T000000", "RRULE:FREQ=MONTHLY")),
        UnsupportedRecurrence,
    ),
    "a VTIMEZONE from the year 0": (
        data(START, outside=zone_block("X", "DTSTART:00000101T000000")),
        InvalidCalendarData,
    ),
    "thirty VTIMEZONEs": (
        data(START, outside=zone_block("X", "DTSTART:19700101T000000") * 30),
        InvalidCalendarData,
    ),
    "parameters without end": (data(START, "X-P;" + "a=b;" * 20_000), InvalidCalendarData),
    "quotes without end": (data(START, 'X-P;a="' * 20_000), InvalidCalendarData),
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_data_is_refused(name: str) -> None:
    body, refusal = REFUSED[name]
    with pytest.raises(refusal):
        check(body)


PRECONDITIONS = {
    "no calendar": "valid-calendar-data",
    "an unknown TZID": "valid-calendar-data",
    "FREQ=SECONDLY": "valid-calendar-data",
    "METHOD": "valid-calendar-object-resource",
    "two UIDs in an object": "valid-calendar-object-resource",
    "two masters": "valid-calendar-object-resource",
    "an empty calendar": "valid-calendar-data",
    "the year 1": "min-date-time",
    "the year 9999": "max-date-time",
    "centuries of duration": "max-date-time",
    "a COUNT of millions": "max-instances",
    "501 RDATEs": "max-instances",
    "201 attendees": "max-attendees-per-instance",
    "too much of it": "max-resource-size",
    "a task among events": "supported-calendar-component",
    "a lunar year": "supported-rscale",
}


@pytest.mark.parametrize("name", PRECONDITIONS)
def test_a_refusal_names_the_precondition_that_was_not_met(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        check(REFUSED[name][0])
    assert (refused.value.code, refused.value.precondition) == (PRECONDITIONS[name], f"CALDAV:{PRECONDITIONS[name]}")


@pytest.mark.parametrize("name", REFUSED)
def test_an_import_of_hostile_data_ends_and_keeps_the_good_event(name: str) -> None:
    good = b"BEGIN:VEVENT\r\nUID:good\r\nDTSTART:20261125T090000Z\r\nEND:VEVENT\r\n"
    body = b"BEGIN:VCALENDAR\r\n" + good + REFUSED[name][0]
    result = check_calendar_file(body, VIENNA)
    assert "good" in [c.components("VEVENT")[0].plain("UID") for c in result.objects if c.components("VEVENT")]


SLOW = {
    **{name: body for name, (body, _) in REFUSED.items()},
    "256 KiB of blank lines": data(START, "\r\n" * 125_000),
    "as many short lines as are taken": data(START, *["X:y"] * 19_000),
    "as many blank lines as are taken": data(START, "\r\n" * 19_000),
    "as many folds as are taken": data(START, "X:y" + "\r\n " * 19_000 + "z"),
    "256 KiB of parameters": data(START, "X;" + ";".join(["a=b"] * 30_000) + ":c"),
    "256 KiB of commas": data(START, "CATEGORIES:" + "\\," * 60_000),
    "256 KiB of alarms": data(START, *["BEGIN:VALARM", "ACTION:DISPLAY", "END:VALARM"] * 5_000),
    "1,000 EXDATEs of a written zone": data(
        "DTSTART;TZID=Own:20261125T090000",
        "RRULE:FREQ=DAILY",
        *["EXDATE;TZID=Own:20261126T090000"] * 1000,
        outside=zone_block("Own", "DTSTART:16010101T020000", "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU"),
    ),
    "four endless rules with 500 overrides": many(
        ("UID:a", "DTSTART:16000101T000000Z", *["RRULE:FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=29"] * 4),
        *[("UID:a", "RECURRENCE-ID:20261126T090000Z", START, *["RRULE:FREQ=MONTHLY;BYMONTHDAY=31"] * 4)] * 500,
    ),
    "twenty written zones": data(
        *[f"X-T;TZID=Z{n}:20261125T090000" for n in range(20)],
        START,
        *[f"EXDATE;TZID=Z{n}:20261125T090000" for n in range(20)],
        outside=tuple(
            line
            for n in range(20)
            for line in zone_block(
                f"Z{n}",
                "DTSTART:16010101T020000",
                *["RRULE:FREQ=YEARLY;BYMONTH=1,2,3,4,5,6,7,8,9,10;BYMONTHDAY=1,2,3,4,5"] * 40,
            )
        ),
    ),
}


@pytest.mark.parametrize("name", SLOW)
def test_no_object_takes_long(name: str) -> None:
    body = SLOW[name]
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        with suppress(Refusal):
            check(body, component=None)
        best = min(best, time.process_time() - began)
    # A tenth of a second is the aim for 256 KiB; a busy machine is given more.
    assert best < 0.4


def test_objects_of_any_kind_are_taken_where_any_is_asked_for() -> None:
    assert check(data(START, kind="VTODO"), component=None)
    assert check(data("SUMMARY:x", kind="VTODO"), component="VTODO")


def imported(*entries: tuple[str, ...], outside: tuple[str, ...] = ()) -> bytes:
    return many(*entries).replace(b"VERSION:2.0", "\r\n".join(("VERSION:2.0", "METHOD:PUBLISH", *outside)).encode())


def test_one_bad_event_does_not_spoil_an_import() -> None:
    result = check_calendar_file(
        imported(("UID:good", START), ("UID:bad", START, "RRULE:FREQ=SECONDLY"), ("UID:nul", START, "SUMMARY:\0")),
        VIENNA,
    )
    assert [c.components("VEVENT")[0].plain("UID") for c in result.objects] == ["good"]
    assert [uid for uid, _ in result.refused] == ["bad", "nul"]


def test_an_imported_object_passes_the_guard_of_a_put() -> None:
    result = check_calendar_file(
        imported(("UID:a", "DTSTART;TZID=W. Europe Standard Time:20261125T090000", "RRULE:FREQ=WEEKLY")), VIENNA
    )
    (calendar,) = result.objects
    assert check(calendar.text().encode()).text() == calendar.text()
    assert calendar.components("VTIMEZONE")[0].plain("TZID") == "Europe/Berlin"


def test_a_series_and_its_overrides_become_one_object() -> None:
    override = ("UID:a", "RECURRENCE-ID:20261202T090000Z", "DTSTART:20261203T090000Z")
    result = check_calendar_file(imported(override, ("UID:b", START), ("UID:a", START, "RRULE:FREQ=WEEKLY")), VIENNA)
    assert [len(c.components("VEVENT")) for c in result.objects] == [2, 1]


def test_an_unknown_time_zone_becomes_the_calendars_own_with_a_warning() -> None:
    result = check_calendar_file(imported(("UID:a", "DTSTART;TZID=Customized Time Zone:20261125T090000")), VIENNA)
    assert "DTSTART;TZID=Europe/Vienna:20261125T090000" in result.objects[0].text()
    assert "Customized Time Zone" in result.warnings[0]


def test_a_time_zone_that_is_too_large_counts_as_unknown() -> None:
    """Seconds went into reading one of megabytes, in which every line had thousands of parameters."""
    zone = zone_block("Own", *["X;" + "A=b;" * 2000 + "Z=:c"] * 300)
    body = imported(("UID:a", "DTSTART;TZID=Own:20261125T090000"), outside=zone)
    began = time.thread_time()
    result = check_calendar_file(body, VIENNA)
    assert time.thread_time() - began < 0.5
    assert "DTSTART;TZID=Europe/Vienna:20261125T090000" in result.objects[0].text()


def test_display_names_of_windows_are_understood() -> None:
    tzid = '"(UTC-05:00) Eastern Time (US & Canada)"'
    result = check_calendar_file(imported(("UID:a", f"DTSTART;TZID={tzid}:20261125T090000")), VIENNA)
    assert "DTSTART;TZID=America/New_York:20261125T090000" in result.objects[0].text()
    assert result.warnings == []


def test_alarms_that_start_a_program_and_broken_lines_are_left_out() -> None:
    alarm = ("BEGIN:VALARM", "ACTION:PROCEDURE", "END:VALARM")
    result = check_calendar_file(imported(("UID:a", START, "DTEND:soon", "what is this", *alarm)), VIENNA)
    assert "VALARM" not in result.objects[0].text() and "DTEND" not in result.objects[0].text()
    assert len(result.warnings) == 3


def test_rules_that_say_nothing_are_left_out() -> None:
    """An empty one (calendarlabs.com), and a COUNT of -1 (Confluence)."""
    entries = ("UID:a", START, "RRULE:"), ("UID:b", START, "RRULE:FREQ=WEEKLY;UNTIL=20270331;COUNT=-1;INTERVAL=4")
    empty, endless = check_calendar_file(imported(*entries), VIENNA).objects
    assert "RRULE" not in empty.text()
    assert "RRULE:FREQ=WEEKLY;UNTIL=20270331;INTERVAL=4\r\n" in endless.text()


def test_an_event_without_a_uid_gets_the_same_one_each_time() -> None:
    first, second = (check_calendar_file(imported((START, "SUMMARY:x")), VIENNA) for _ in range(2))
    uid = first.objects[0].components("VEVENT")[0].plain("UID")
    assert uid.startswith("import-") and uid == second.objects[0].components("VEVENT")[0].plain("UID")


def test_two_events_with_one_uid_both_survive_an_import_and_copies_become_one() -> None:
    result = check_calendar_file(imported(("UID:a", START), ("UID:a", START), ("UID:a", START, "SUMMARY:x")), VIENNA)
    assert len({c.components("VEVENT")[0].plain("UID") for c in result.objects}) == len(result.objects) == 2


def test_properties_folded_behind_their_name_are_read() -> None:
    body = b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID\n :a-b\nDTSTART\n ;VALUE=DATE:20261125\nEND:VEVENT\nEND:VCALENDAR\n"
    (calendar,) = check_calendar_file(body, VIENNA).objects
    assert calendar.components("VEVENT")[0].plain("UID") == "a-b"


def test_a_file_of_lone_carriage_returns_is_read() -> None:
    body = many(("UID:a", START)).replace(b"\r\n", b"\r")
    assert len(check_calendar_file(body, VIENNA).objects) == 1


def test_a_file_that_is_no_calendar_or_too_large_is_refused() -> None:
    with pytest.raises(InvalidCalendarData):
        check_calendar_file(b"<html></html>", VIENNA)
    with pytest.raises(ResourceTooLarge):
        check_calendar_file(b" " * (MAX_FILE + 1), VIENNA)


def test_text_without_an_end_is_refused_and_the_next_event_survives() -> None:
    body = b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:cut\r\nDTSTART:20261125T090000Z\r\n" + many(("UID:a", START))
    result = check_calendar_file(body, VIENNA)
    assert [uid for uid, _ in result.refused] == ["cut"] and len(result.objects) == 1


def test_mutated_objects_are_refused_or_can_be_expanded() -> None:
    chance = random.Random(5545)
    seeds = [path.read_bytes() for path in sorted(CALENDARS.glob("*.ics"))]
    pieces = [
        b"\0",
        b"\r",
        b"\xff",
        b"\r\n ",
        b'"',
        b"99991231T000000Z",
        b"-P1D",
        b"RRULE:FREQ=DAILY\r\n",
        b"END:VEVENT\r\n",
    ]
    window = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    for _ in range(500):
        body = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(body))
            if chance.random() < 0.5:
                body[at:at] = chance.choice(pieces)
            else:
                body[at : at + chance.randint(0, 30)] = b""
        objects = check_calendar_file(bytes(body), VIENNA).objects if b"BEGIN:VCALENDAR" in body else []
        with suppress(Refusal):
            objects.append(check(bytes(body), component=None))
        for calendar in objects:
            last_end(calendar, VIENNA)
            with suppress(TooManyInstances):
                occurrences(calendar, VIENNA, *window)
