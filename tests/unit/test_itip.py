"""The calendar part of mails to patients, and requests for free/busy time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import icalendar
import pytest

from ical.appointment import AppointmentFacts
from ical.errors import InvalidCalendarData, InvalidSchedulingMessage
from ical.itip import FreeBusyRequest, read_free_busy_request, request
from ical.lines import parse

VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 22, 17, tzinfo=UTC)
REPLIES = "appointments+0c9d7a52.t4k9@clinic.example"
FACTS = AppointmentFacts(
    uid="appt-0c9d7a52-1f0e-4c6e-9b0b-5a3f7f6f0a11@clinic.example",
    start=datetime(2026, 11, 25, 8, 20, tzinfo=UTC),
    end=datetime(2026, 11, 25, 8, 40, tzinfo=UTC),
    zone=VIENNA,
    patient_id=UUID(int=1),
    patient_name="Maria Huber",
    patient_email="maria.huber@mail.example",
    doctor_name="Dr. Eva Smith",
    doctor_email="dr.smith@clinic.example",
    type_code="xray_review",
    type_name="X-ray review",
    reason="Knee pain",
    doctor_notes="Hypochondriac",
    video_link="https://meet.clinic.example/r/k7f2",
    url="https://clinic.example/d/a/0c9d7a52",
    clinic_name="Praxis Wien",
)


def written(method="REQUEST", facts=FACTS, **more) -> list[str]:
    text = request(facts, method, REPLIES, NOW, **more)
    assert icalendar.Calendar.from_ical(text).walk("VEVENT")[0].errors == []
    calendar = parse(text)
    assert calendar.value("METHOD") == method
    return [line.unfolded() for line in calendar.components("VEVENT")[0].lines()]


def test_an_invitation():
    assert written(manage_url="https://clinic.example/p/a/t4k9") == [
        "UID:appt-0c9d7a52-1f0e-4c6e-9b0b-5a3f7f6f0a11@clinic.example",
        "DTSTAMP:20261122T170000Z",
        "ORGANIZER;CN=Praxis Wien:mailto:appointments+0c9d7a52.t4k9@clinic.example",
        "SEQUENCE:0",
        "DTSTART;TZID=Europe/Vienna:20261125T092000",
        "DTEND;TZID=Europe/Vienna:20261125T094000",
        "SUMMARY:Appointment at Praxis Wien",
        "DESCRIPTION:Manage your appointment: https://clinic.example/p/a/t4k9",
        "LOCATION:https://meet.clinic.example/r/k7f2",
        "CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO;LABEL=Join video visit:https://meet.clinic.example/r/k7f2",
        "STATUS:CONFIRMED",
        "TRANSP:OPAQUE",
        "CLASS:PRIVATE",
        "ATTENDEE;CN=Maria Huber;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE"
        ":mailto:maria.huber@mail.example",
    ]


def test_an_update_says_what_changed():
    lines = written(facts=replace(FACTS, sequence=3), comment="Moved from 25 Nov, 09:20.")
    assert "SEQUENCE:3" in lines
    assert "COMMENT:Moved from 25 Nov\\, 09:20." in lines


def test_a_cancellation():
    lines = written("CANCEL", replace(FACTS, sequence=2))
    assert "SUMMARY:Cancelled: Appointment at Praxis Wien" in lines
    assert "STATUS:CANCELLED" in lines
    assert "ATTENDEE;CN=Maria Huber;ROLE=REQ-PARTICIPANT:mailto:maria.huber@mail.example" in lines
    assert not any(line.startswith(("LOCATION", "CONFERENCE", "DESCRIPTION")) for line in lines)


def test_one_occurrence_is_cancelled_alone():
    facts = replace(FACTS, rrule="FREQ=WEEKLY;COUNT=4")
    lines = written("CANCEL", facts, recurrence_id="20261125T082000Z")
    assert "RECURRENCE-ID;TZID=Europe/Vienna:20261125T092000" in lines
    assert not any(line.startswith("RRULE") for line in lines)


def test_a_series_is_told_whole_but_for_what_is_not_booked():
    facts = replace(FACTS, rrule="FREQ=WEEKLY;COUNT=4")
    lines = written(facts=facts, exdates=[FACTS.start + timedelta(days=7)])
    assert "RRULE:FREQ=WEEKLY;COUNT=4" in lines
    assert "EXDATE;TZID=Europe/Vienna:20261202T092000" in lines


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL"])
def test_no_mail_tells_more_than_when_and_where(method):
    text = " ".join(written(method, comment="Sorry."))
    for private in ("Knee", "X-ray", "xray", "Hypochondriac", "/d/a/", "X-CLINICDAV", "dr.smith"):
        assert private not in text


# Requests for free/busy time


ASKED = (
    "BEGIN:VCALENDAR",
    "VERSION:2.0",
    "METHOD:REQUEST",
    "BEGIN:VFREEBUSY",
    "UID:ask-1",
    "DTSTAMP:20261122T170000Z",
    "ORGANIZER:mailto:lee@clinic.example",
    "ATTENDEE;CN=Smith:mailto:smith@clinic.example",
    "ATTENDEE:MAILTO:Smith@clinic.example",
    "ATTENDEE:mailto:else@where.example",
    "DTSTART:20261123T080000Z",
    "DTEND:20261124T080000Z",
    "END:VFREEBUSY",
    "END:VCALENDAR",
)


def asked(*lines: str) -> FreeBusyRequest:
    return read_free_busy_request(parse("".join(f"{line}\r\n" for line in lines)))


def test_a_request_for_free_busy_time():
    request = asked(*ASKED)
    assert (request.uid, request.organizer) == ("ask-1", "mailto:lee@clinic.example")
    assert request.attendees == ("MAILTO:Smith@clinic.example", "mailto:else@where.example")
    assert (request.start, request.end) == (
        datetime(2026, 11, 23, 8, tzinfo=UTC),
        datetime(2026, 11, 24, 8, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("METHOD:REQUEST", "METHOD:REPLY"),
        ("METHOD:REQUEST", "X-METHOD:REQUEST"),
        ("UID:ask-1", "X-UID:ask-1"),
        ("UID:ask-1", "UID:ask-1\r\nUID:ask-2"),
        ("ORGANIZER:mailto:lee@clinic.example", "X-ORGANIZER:mailto:lee@clinic.example"),
        ("DTEND:20261124T080000Z", "DURATION:P1D"),
        ("BEGIN:VFREEBUSY", "BEGIN:VEVENT\r\nUID:x\r\nEND:VEVENT\r\nBEGIN:VFREEBUSY"),
        ("DTEND:20261124T080000Z", "DTEND:20261124T080000Z\r\nFREEBUSY:20261123T080000Z/PT1H"),
    ],
)
def test_other_messages_are_no_request(line, instead):
    with pytest.raises(InvalidSchedulingMessage):
        asked(*(instead if each == line else each for each in ASKED))


def test_a_message_about_an_event_is_no_request():
    with pytest.raises(InvalidSchedulingMessage):
        asked(*(each.replace("VFREEBUSY", "VEVENT") for each in ASKED))


@pytest.mark.parametrize("end", ["20261123T080000Z", "20261122T080000Z", "tomorrow"])
def test_a_request_without_a_span_is_no_calendar_data(end):
    with pytest.raises(InvalidCalendarData):
        asked(*(f"DTEND:{end}" if each.startswith("DTEND") else each for each in ASKED))
