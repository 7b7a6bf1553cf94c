"""Leave: asked for, approved, turned down, and moved in a calendar app."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ical.leave import approve, as_pending, leave_event, normalise, read_status, reason, reject
from ical.lines import Component, parse
from ical.served import served
from ical.times import span

CALENDARS = Path(__file__).parents[1] / "calendars"
VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 22, 17, tzinfo=UTC)


def load(name: str) -> Component:
    return parse((CALENDARS / f"{name}.ics").read_text().replace("\n", "\r\n"))


def event(calendar: Component) -> Component:
    return calendar.components("VEVENT")[0]


def shown(calendar: Component) -> list[str | None]:
    names = ("SUMMARY", "CATEGORIES", "STATUS", "TRANSP", "X-MICROSOFT-CDO-BUSYSTATUS", "X-CLINICDAV-LEAVE-STATUS")
    return [event(calendar).value(name) for name in names]


@pytest.fixture
def vacation() -> Component:
    return leave_event("leave-1@clinic.example", date(2026, 12, 28), date(2027, 1, 2), "Vacation", VIENNA, NOW)


@pytest.fixture
def approved(vacation) -> Component:
    approve(vacation, "desk", NOW)
    return vacation


def test_pending_and_approved_leave_look_like_the_examples(vacation):
    assert shown(vacation) == shown(load("leave-1-pending-allday"))
    assert event(vacation).first("DTEND").text() == "DTEND;VALUE=DATE:20270102\r\n"
    start, end = datetime(2026, 12, 2, 9, tzinfo=UTC), datetime(2026, 12, 2, 13, tzinfo=UTC)
    conference = leave_event("leave-2@clinic.example", start, end, "Conference", VIENNA, NOW, approved=True)
    assert shown(conference) == shown(load("leave-2-approved-partial-day"))
    assert span(event(conference), VIENNA) == (start, end, False)


def test_decisions(vacation):
    approve(vacation, "Dr. Smith, head", NOW)
    assert read_status(event(vacation)) == "approved"
    assert event(vacation).plain("X-CLINICDAV-APPROVED-BY") == "Dr. Smith, head"
    reject(vacation, "desk", NOW)
    assert shown(vacation)[:4] == ["Leave rejected: Vacation", "Leave,Rejected", "CANCELLED", "TRANSPARENT"]
    assert event(vacation).first("X-CLINICDAV-APPROVED-BY") is None
    as_pending(vacation)
    assert reason(event(vacation)) == "Vacation"
    assert read_status(event(vacation)) == "pending"


def test_the_sentence_for_no_reason_has_no_colon():
    calendar = leave_event("leave-1@clinic.example", date(2026, 12, 28), date(2026, 12, 29), "", VIENNA, NOW)
    assert event(calendar).plain("SUMMARY") == "Leave (pending)"
    assert reason(event(calendar)) == ""


@pytest.mark.parametrize("name", ["leave-1-pending-allday", "leave-2-approved-partial-day"])
@pytest.mark.parametrize("may_approve", [False, True])
def test_an_echo_changes_nothing(name, may_approve):
    stored = load(name)
    assert normalise(parse(served(stored)), stored, may_approve, NOW).text() == stored.text()


def new(status: str | None = None) -> Component:
    calendar = parse(
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:x\r\nDTSTART;VALUE=DATE:20261228\r\nSUMMARY:Dentist\r\n"
        "X-CLINICDAV-LEAVE-STATUS:approved\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    if status:
        event(calendar).add("STATUS", status)
    return calendar


@pytest.mark.parametrize(
    ("status", "may_approve", "expected"),
    [
        (None, False, "pending"),
        (None, True, "pending"),
        ("CONFIRMED", False, "pending"),
        ("CONFIRMED", True, "approved"),
        ("CANCELLED", False, "rejected"),
    ],
)
def test_new_leave_from_an_app(status, may_approve, expected):
    made = normalise(new(status), None, may_approve, NOW)
    assert read_status(event(made)) == expected
    assert reason(event(made)) == "Dentist"


def moved(stored: Component, start: str, end: str) -> Component:
    put = parse(served(stored))
    event(put).set("DTSTART", start, (("VALUE", ("DATE",)),))
    event(put).set("DTEND", end, (("VALUE", ("DATE",)),))
    return put


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("20261228", "20270101", "approved"),
        ("20261229", "20270102", "approved"),
        ("20261228", "20270103", "pending"),
        ("20261227", "20270102", "pending"),
    ],
)
def test_approved_leave_that_grows_is_pending_again(approved, start, end, expected):
    made = normalise(moved(approved, start, end), approved, False, NOW)
    assert read_status(event(made)) == expected
    assert (event(made).first("X-CLINICDAV-APPROVED-AT") is not None) == (expected == "approved")
    assert read_status(event(normalise(moved(approved, start, end), approved, True, NOW))) == "approved"


def test_leave_that_begins_to_repeat_grows(approved):
    put = parse(served(approved))
    event(put).add("RRULE", "FREQ=YEARLY")
    assert read_status(event(normalise(put, approved, False, NOW))) == "pending"


def test_only_an_approver_approves_in_an_app(vacation):
    put = parse(served(vacation))
    event(put).set("STATUS", "CONFIRMED")
    assert read_status(event(normalise(put, vacation, False, NOW))) == "pending"
    made = normalise(put, vacation, True, NOW, by="desk")
    assert shown(made) == shown_approved()
    assert event(made).value("X-CLINICDAV-APPROVED-BY") == "desk"


def shown_approved() -> list[str | None]:
    return ["Leave: Vacation", "Leave,Approved", "CONFIRMED", "OPAQUE", "OOF", "approved"]


def test_rejected_leave_is_asked_for_again(vacation):
    reject(vacation, "desk", NOW)
    put = parse(served(vacation))
    assert read_status(event(normalise(put, vacation, False, NOW))) == "rejected"
    event(put).set("STATUS", "TENTATIVE")
    assert read_status(event(normalise(put, vacation, False, NOW))) == "pending"
