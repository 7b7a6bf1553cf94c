"""Appointments as VEVENTs: the stored form and the served one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import icalendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ical import appointment as appt
from ical.lines import Component, parse
from ical.recurrence import make_override
from ical.served import organizer_line, served
from ical.served import with_people as put_people
from ical.status import STATUSES, look

CALENDARS = Path(__file__).parents[1] / "calendars"
VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 22, 17, tzinfo=UTC)
FACTS = appt.AppointmentFacts(
    uid="appt-0c9d7a52-1f0e-4c6e-9b0b-5a3f7f6f0a11@clinic.example",
    start=datetime(2026, 11, 25, 8, 20, tzinfo=UTC),
    end=datetime(2026, 11, 25, 8, 40, tzinfo=UTC),
    zone=VIENNA,
    patient_id=UUID("7b1e0f5c-3a9e-4d1e-8b1a-9f4b9a0c2d33"),
    patient_name="Maria Huber",
    doctor_name="Dr. Eva Smith",
    type_code="virtual",
    type_name="Virtual",
    patient_email="maria.huber@mail.example",
    doctor_email="dr.smith@clinic.example",
    status="confirmed",
    reason="Knee pain after running",
    patient_notes="Allergic to penicillin",
    doctor_notes="Check MRI from October.",
    video_link="https://meet.clinic.example/r/k7f2",
    url="https://clinic.example/d/a/0c9d7a52",
    sequence=1,
    created=datetime(2026, 11, 15, 8, 30, tzinfo=UTC),
    reminders=((1440, "email"), (120, "sms")),
)


def load(name: str) -> Component:
    return parse((CALENDARS / f"{name}.ics").read_text().replace("\n", "\r\n"))


def event(calendar: Component) -> Component:
    return calendar.components("VEVENT")[0]


def test_the_stored_form_is_that_of_the_example():
    expected = event(load("appointment-1-stored-confirmed"))
    made = event(appt.render(FACTS, NOW))
    attendees = [line.name for line in made.lines()].index("ATTENDEE") + 1
    pairs = list(zip(made.lines(), expected.lines(), strict=True))
    # The example's patient has been delivered an invitation already.
    assert [a.text() for i, (a, _) in enumerate(pairs) if i != attendees] == [
        b.text() for i, (_, b) in enumerate(pairs) if i != attendees
    ]
    assert [alarm.value("TRIGGER") for alarm in made.components("VALARM")] == ["-P1D", "-PT2H"]


def test_the_served_form_is_that_of_the_example():
    facts = replace(
        FACTS,
        uid="appt-5e21b4c8-88d0-4a43-a5d0-6f3d1f2c9b02@clinic.example",
        start=datetime(2026, 11, 18, 10, tzinfo=UTC),
        end=datetime(2026, 11, 18, 10, 20, tzinfo=UTC),
        patient_name="Karl Bauer",
        type_code="follow_up",
        type_name="Follow-up",
        status="no_show",
        reason="X-ray control",
        patient_notes="",
        doctor_notes="",
        video_link="",
        location="Praxis Wien, Room 2",
        url="https://clinic.example/d/a/5e21b4c8",
        parent_uid="appt-11111111-aaaa-4bbb-8ccc-222222222222@clinic.example",
        sequence=0,
        created=datetime(2026, 11, 10, 12, tzinfo=UTC),
    )
    stored = appt.render(facts, NOW)
    event(stored).remove("PRIORITY", "COLOR")
    expected = load("appointment-2-served-solo-profile-noshow")
    event(expected).children = event(expected).lines()
    assert served(stored) == expected.text()


def test_another_parser_reads_what_we_write():
    calendar = icalendar.Calendar.from_ical(appt.render(FACTS, NOW).text())
    assert calendar.errors == []
    parsed = calendar.walk("VEVENT")[0]
    assert parsed.errors == []
    assert parsed.start == FACTS.start
    assert str(parsed["DESCRIPTION"]).endswith("---\nCheck MRI from October.")


def test_what_is_written_is_read_back():
    calendar = appt.render(replace(FACTS, previous_start=NOW, rrule="FREQ=WEEKLY;COUNT=3"), NOW)
    stored = appt.read(event(calendar), VIENNA, calendar)
    for name in (
        *("uid", "start", "end", "status", "type_code", "type_name", "patient_id", "patient_name", "patient_email"),
        *("doctor_name", "doctor_email", "reason", "patient_notes", "doctor_notes", "video_link", "url", "rrule"),
        *("parent_uid", "sequence", "reminders"),
    ):
        assert getattr(stored, name) == getattr(FACTS, name) or name == "rrule"
    assert stored.previous_start == NOW
    assert stored.recurrence_id == ""


anything = st.text(st.characters(blacklist_categories=("Cs",)), max_size=60)


@settings(deadline=None)
@given(anything, anything, anything)
def test_hostile_text_stays_in_its_line(name, reason, notes):
    facts = replace(FACTS, patient_name=name, reason=reason, doctor_notes=notes, patient_notes=name)
    calendar = parse(appt.render(facts, NOW).text())
    made, usual = event(calendar), event(appt.render(FACTS, NOW))
    optional = {appt.REASON, appt.PATIENT_NOTES, appt.DOCTOR_NOTES}
    assert [x.name for x in made.lines() if x.name not in optional] == [
        x.name for x in usual.lines() if x.name not in optional
    ]
    assert len(made.components()) == 2


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_shows_everywhere(status):
    calendar = appt.render(replace(FACTS, status="scheduled"), NOW)
    component, shown = event(calendar), look(status)
    appt.set_status(component, status, NOW + timedelta(hours=1))
    assert appt.status_of(component) == status
    assert component.value("STATUS") == shown.status_line
    assert component.value("TRANSP") == shown.transp
    assert component.plain("SUMMARY") == f"{shown.prefix}Maria H. · Virtual"
    assert component.value("CATEGORIES") == ",".join(filter(None, ["Virtual", shown.category]))
    assert appt.patient_line(component).param("PARTSTAT") == (shown.partstat or "NEEDS-ACTION")
    assert component.value("LAST-MODIFIED") == "20261122T180000Z"
    assert component.value("SEQUENCE") == "1"


def test_statuses_follow_each_other_without_a_trace():
    calendar = appt.render(FACTS, NOW)
    before = calendar.text()
    for status in (*STATUSES, "confirmed"):
        appt.set_status(event(calendar), status, NOW)
    assert calendar.text() == before


def test_a_move_counts_and_remembers():
    calendar = appt.render(FACTS, NOW)
    start = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
    appt.set_times(event(calendar), start, start + timedelta(minutes=20), VIENNA, NOW)
    stored = appt.read(event(calendar), VIENNA)
    assert (stored.start, stored.previous_start, stored.sequence) == (start, FACTS.start, 2)
    assert event(calendar).first("DTSTART").text() == "DTSTART;TZID=Europe/Vienna:20261126T103000\r\n"


def test_the_second_pass_of_a_repeated_hour_is_written_in_utc():
    start = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    calendar = appt.render(replace(FACTS, start=start, end=start + timedelta(minutes=20)), NOW)
    assert event(calendar).value("DTSTART") == "20261025T013000Z"
    assert appt.read(event(calendar), VIENNA).start == start


def test_notes_are_shown_below_the_marker():
    component = event(appt.render(FACTS, NOW))
    appt.set_notes(component, "Line one\nLine two; done, really", NOW)
    assert appt.read(component, VIENNA).doctor_notes == "Line one\nLine two; done, really"
    assert component.plain("DESCRIPTION").endswith(f"{appt.MARKER}\nLine one\nLine two; done, really")
    appt.set_notes(component, "", NOW)
    assert component.plain("DESCRIPTION").endswith(appt.MARKER + "\n")


def test_a_pending_cancellation_looks_cancelled_and_is_not():
    calendar = appt.render(FACTS, NOW)
    before, component = calendar.text(), event(calendar)
    due = NOW + timedelta(minutes=2)
    appt.set_pending_cancel(component, due, NOW)
    assert appt.pending_cancel(component) == due
    assert appt.status_of(component) == "confirmed"
    assert component.value("STATUS") == "CANCELLED"
    assert component.plain("SUMMARY") == "Cancelled: Maria H. · Virtual"
    appt.clear_pending_cancel(component, NOW)
    assert appt.pending_cancel(component) is None
    assert calendar.text() == before


@pytest.mark.parametrize("title", ["initials", "full", "code"])
def test_nothing_private_is_served(title):
    text = served(appt.render(FACTS, NOW), title)
    for hidden in ("X-CLINICDAV", "VALARM", "ATTENDEE", "ORGANIZER"):
        assert hidden not in text


def with_people(stored, name="Dr. Eva Smith", email="eva@clinic.example"):
    return parse(put_people(served(stored), stored.text(), organizer_line(name, email)))


@pytest.mark.parametrize(("status", "partstat"), [("scheduled", "NEEDS-ACTION"), ("confirmed", "ACCEPTED")])
def test_people_are_the_doctor_as_of_now_and_the_patient_alone(status, partstat):
    stored = appt.render(replace(FACTS, status=status), NOW)
    shown = event(with_people(stored, "Dr. Eva Smith-Berg", "new@clinic.example"))
    assert [line.value for line in shown.lines("ORGANIZER")] == ["mailto:new@clinic.example"]
    (patient,) = shown.lines("ATTENDEE")
    assert (patient.value, patient.param("CN")) == ("mailto:maria.huber@mail.example", "Maria Huber")
    assert patient.param("PARTSTAT") == partstat
    shown.remove("ORGANIZER", "ATTENDEE")
    assert shown.text() == event(parse(served(stored))).text()


def test_each_occurrence_shows_its_own_answer():
    stored = appt.render(replace(FACTS, status="scheduled", rrule="FREQ=WEEKLY;COUNT=3"), NOW)
    moved = make_override(stored, "20261202T082000Z", VIENNA)
    appt.set_status(moved, "confirmed", NOW)
    shown = with_people(stored).components("VEVENT")
    answers = [[line.param("PARTSTAT") for line in each.lines("ATTENDEE")] for each in shown]
    assert answers == [["NEEDS-ACTION"], ["ACCEPTED"]]


def test_a_guest_of_an_alarm_is_no_patient():
    stored = appt.render(replace(FACTS, patient_email=""), NOW)
    alarm = parse("BEGIN:VALARM\r\nACTION:EMAIL\r\nATTENDEE:mailto:eva@clinic.example\r\nEND:VALARM\r\n")
    event(stored).children.append(alarm)
    assert event(with_people(stored)).lines("ATTENDEE") == []


def test_a_patient_without_an_address_is_not_shown_as_attendee():
    stored = appt.render(replace(FACTS, patient_email=""), NOW)
    assert with_people(stored).text() == served(stored)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_makes_people_of_its_own(name, reason):
    stored = appt.render(replace(FACTS, patient_name=name, reason=reason, doctor_notes=reason), NOW)
    shown = event(with_people(stored))
    assert [line.value for line in shown.lines("ATTENDEE")] == ["mailto:maria.huber@mail.example"]
    shown.remove("ORGANIZER", "ATTENDEE")
    assert shown.text() == event(parse(served(stored))).text()


def test_titles_are_as_discreet_as_asked_for():
    stored = appt.render(replace(FACTS, status="completed"), NOW)
    titles = {t: event(parse(served(stored, t))).plain("SUMMARY") for t in ("initials", "full", "code")}
    assert titles == {
        "initials": "✓ Maria H. · Virtual",
        "full": "✓ Maria Huber · Virtual",
        "code": "✓ 0c9d7a52 · Virtual",
    }


def test_a_plain_event_is_served_as_it_came():
    text = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Lunch\r\nATTENDEE:mailto:a@b\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    assert served(parse(text)) == text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Maria Huber", "Maria H."),
        ("Dr. Maria von Huber", "Maria H."),
        ("Huber, Maria", "Maria H."),
        ("Maria", "Maria"),
        ("  anna   koller ", "anna K."),
        ("", ""),
    ],
)
def test_names_are_shortened(name, expected):
    assert appt.initials(name) == expected


def test_a_patient_without_an_address_has_a_place_in_the_event():
    calendar = appt.render(replace(FACTS, patient_email=""), NOW)
    stored = appt.read(event(calendar), VIENNA)
    assert (stored.patient_name, stored.patient_email) == ("Maria Huber", "")
    assert stored.reminders == ((120, "sms"),)


def test_a_reason_that_holds_the_marker_does_not_move_it():
    calendar = appt.render(replace(FACTS, reason=f"x\n{appt.MARKER}\nI am the doctor"), NOW)
    _, below = appt.split_at_marker(event(calendar).plain("DESCRIPTION"))
    assert below == "Check MRI from October."


def test_an_address_survives_its_uri():
    odd = "o'brien+visits%1@mail.example"
    calendar = appt.render(replace(FACTS, patient_email=odd), NOW)
    assert appt.read(event(calendar), VIENNA).patient_email == odd
