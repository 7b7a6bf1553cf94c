"""Appointments that a calendar app makes: by inviting a patient, and by copying an appointment."""

import pytest
from sqlalchemy import select

from ical.lines import parse
from storage import appointment_types, appointments, booking, collections, drafts, objects
from storage.models import Appointment, Notice, OutboxMessage, Visit

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def event(*more: str, start="20261124T100000", end="20261124T102000", uid="phone-1", mail="maria.huber@mail.example"):
    lines = [
        *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//X//EN", "BEGIN:VEVENT", f"UID:{uid}"),
        *("DTSTAMP:20261101T000000Z", f"DTSTART;TZID=Europe/Vienna:{start}", f"DTEND;TZID=Europe/Vienna:{end}"),
        *("ORGANIZER:mailto:lee@clinic.example", "ATTENDEE;ROLE=CHAIR:mailto:lee@clinic.example"),
        *(f"ATTENDEE;CN=Maria;PARTSTAT=NEEDS-ACTION:mailto:{mail}", *(more or ("SUMMARY:Maria",))),
        *("END:VEVENT", "END:VCALENDAR", ""),
    ]
    return "\r\n".join(lines)


def at_href(practice, href="phone-1.ics"):
    with practice.db.reading() as session:
        return objects.find(session, collections.find(session, "lee", "appointments"), href)


def made(practice, booked):
    """The appointments beside `booked`."""
    with practice.db.reading() as session:
        others = select(Appointment.id).where(Appointment.id != booked.appointment.id)
        return [appointments.details(session, id) for id in session.scalars(others)]


def notices(practice):
    with practice.db.reading() as session:
        return list(session.scalars(select(Notice.text)))


@pytest.fixture
def booked(practice, at):
    return practice.book(at(9))


def test_inviting_a_patient_within_the_hours_makes_an_appointment(practice, at, booked):
    text = event("SUMMARY:Follow-up Maria", "DESCRIPTION:bring the pictures", "X-APPLE-TRAVEL-DURATION:PT5M")
    written = practice.put("phone-1.ics", text)
    assert not written.verbatim and written.object.kind == "appointment"
    served = written.object.served_text
    assert "SUMMARY:Maria H. · Follow-up" in served and "ATTENDEE" not in served
    assert "X-APPLE-TRAVEL-DURATION:PT5M" in served
    assert practice.try_book(at(10, day=1), name="Karl Bauer") == "slot_taken"
    assert practice.messages() == ["appointment_confirmed"]
    practice.settle()
    (view,) = made(practice, booked)
    assert (view.patient.name, view.kind.code, view.status) == ("Maria Huber", "follow_up", "scheduled")
    assert (view.doctor_notes, view.history[0].action) == ("bring the pictures", "booked")
    assert practice.messages() == ["appointment_confirmed"] * 2
    with practice.db.reading() as session:
        last = session.scalars(select(OutboxMessage).order_by(OutboxMessage.id.desc())).first()
        assert last.payload["confirm"] is True


def test_an_invitation_taken_back_in_time_tells_nobody(practice, at, booked):
    practice.put("phone-1.ics", event())
    practice.delete("phone-1.ics")
    practice.settle()
    assert practice.messages() == ["appointment_confirmed"]
    assert practice.try_book(at(10, day=1), name="Karl Bauer") == "booked"


@pytest.mark.parametrize(
    "text",
    [
        event(mail="friend@mail.example"),
        event("CLASS:PRIVATE", "SUMMARY:Maria"),
        event("ATTENDEE:mailto:friend@mail.example", "SUMMARY:Round"),
        event(start="20261124T200000", end="20261124T220000"),
        event(start="20261101T100000", end="20261101T110000"),
    ],
    ids=["a stranger", "private", "several guests", "dinner", "the past"],
)
def test_what_is_not_meant_as_an_appointment_stays_as_it_was_sent(practice, at, booked, text):
    assert practice.put("phone-1.ics", text).verbatim
    practice.settle()
    assert made(practice, booked) == [] and practice.messages() == ["appointment_confirmed"]
    assert at_href(practice).served_text == text


def test_dinner_at_eight_is_an_appointment_only_by_name(practice, at, booked):
    practice.put("phone-1.ics", event(start="20261124T200000", end="20261124T202000"))
    assert any("stays an event of your own" in text for text in notices(practice))
    practice.put("phone-1.ics", event("CATEGORIES:Emergency", start="20261124T200000", end="20261124T202000"))
    practice.settle()
    (view,) = made(practice, booked)
    assert view.kind.code == "emergency" and view.visit.outside_hours


def test_a_doctor_does_not_learn_whose_patient_a_guest_is(practice, at):
    with practice.writing() as session:
        smith = drafts.NewAppointment(at(14), appointment_types.get(session, "consultation"), practice.patient(session))
        booking.book(session, [practice.smith], smith, actor=practice.visitor, now=practice.now)
    assert practice.put("phone-1.ics", event()).verbatim


def test_a_family_that_shares_a_mailbox_is_told_apart_by_name(practice, at, booked):
    with practice.writing() as session:
        patient = practice.patient(session)
        patient.email = "huber@mail.example"
    practice.book(at(11), name="Karl Bauer")
    with practice.writing() as session:
        practice.patient(session, "Karl Bauer").email = "huber@mail.example"
    assert practice.put("phone-1.ics", event(mail="huber@mail.example")).verbatim
    named = event(mail="Huber@mail.example").replace("CN=Maria", "CN=Maria Huber")
    assert practice.put("phone-1.ics", named).object.kind == "appointment"


# Copies


def copy(practice, booked, *changes: tuple[str, str]) -> str:
    obj = practice.object_of(booked)
    text = obj.served_text.replace(obj.uid, "phone-1")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


TO_TUESDAY = ("20261123T09", "20261124T09")


def test_a_copied_appointment_is_a_new_one_that_wants_confirming(practice, at, booked):
    practice.put("phone-1.ics", copy(practice, booked, TO_TUESDAY))
    practice.settle()
    (view,) = made(practice, booked)
    assert (view.patient.name, view.start, view.status) == ("Maria Huber", at(9, day=1), "scheduled")
    assert (view.reason, view.appointment.parent_id) == ("Knee pain", booked.appointment.id)
    assert practice.visit(booked).start == at(9)
    assert practice.messages() == ["appointment_confirmed"] * 2
    stored = at_href(practice).stored_text.replace("\r\n ", "")
    assert f"/appointments/{view.id}/" in stored and "RELATED-TO;RELTYPE=PARENT" in stored
    assert any("asked to confirm" in text for text in notices(practice))
    # What the app has is corrected, and its echo is nothing.
    assert practice.put("phone-1.ics", at_href(practice).served_text).verbatim
    practice.settle()
    assert len(practice.messages()) == 2


def test_a_copy_with_its_people_waits_as_long_as_one_without(practice, at, booked):
    """In the profile `full` an app is served the patient as ATTENDEE, and copies that along."""
    people = "ORGANIZER:mailto:lee@clinic.example\r\nATTENDEE:mailto:maria.huber@mail.example\r\nUID:phone-1"
    practice.put("phone-1.ics", copy(practice, booked, TO_TUESDAY, ("UID:phone-1", people)))
    assert at_href(practice).kind == "block"
    practice.settle()
    (view,) = made(practice, booked)
    assert view.appointment.parent_id == booked.appointment.id


def test_a_copy_of_a_video_visit_has_a_room_of_its_own(practice, at):
    booked = practice.book(at(9), kind="virtual")
    practice.put("phone-1.ics", copy(practice, booked, TO_TUESDAY))
    practice.settle()
    (view,) = made(practice, booked)
    old = booked.appointment.video_link
    text = "".join(line.unfolded() for line in parse(at_href(practice).stored_text).components("VEVENT")[0].lines())
    assert view.appointment.video_link and view.appointment.video_link != old
    assert old not in text and view.doctor_notes == ""


def test_a_copy_of_another_type_by_category(practice, at, booked):
    practice.put("phone-1.ics", copy(practice, booked, TO_TUESDAY, ("CATEGORIES:Consultation", "CATEGORIES:Follow-up")))
    practice.settle()
    (view,) = made(practice, booked)
    assert (view.kind.code, view.doctor_notes) == ("follow_up", "")
    assert "SUMMARY:Maria H. · Follow-up" in at_href(practice).served_text


def test_a_copy_of_a_completed_appointment_is_not_completed(practice, at, booked):
    practice.now = at(9)
    obj = practice.object_of(booked)
    practice.put(obj.href, obj.served_text.replace("SUMMARY:", "SUMMARY:#done "))
    practice.put("phone-1.ics", copy(practice, booked, TO_TUESDAY))
    practice.settle()
    (view,) = made(practice, booked)
    assert (view.status, view.doctor_notes) == ("scheduled", "")


def test_a_copy_at_the_same_time_stays_a_plain_event(practice, at, booked):
    """As an app leaves it that has half done something else: there is no second visit at the same time."""
    practice.put("phone-1.ics", copy(practice, booked))
    practice.settle()
    assert made(practice, booked) == [] and practice.messages() == ["appointment_confirmed"]
    assert any("lies at the time of the appointment itself" in text for text in notices(practice))


def test_a_copy_deleted_in_time_is_nothing(practice, at, booked):
    practice.put("phone-1.ics", copy(practice, booked, TO_TUESDAY))
    practice.delete("phone-1.ics")
    practice.settle()
    assert made(practice, booked) == [] and practice.messages() == ["appointment_confirmed"]


def test_a_copy_of_another_doctors_appointment_is_no_appointment(practice, at):
    with practice.writing() as session:
        new = drafts.NewAppointment(at(14), appointment_types.get(session, "consultation"), practice.patient(session))
        booked = booking.book(session, [practice.smith], new, actor=practice.visitor, now=practice.now)
    practice.put("phone-1.ics", copy(practice, booked, ("20261123T14", "20261124T14")))
    practice.settle()
    assert made(practice, booked) == []


def test_the_rest_of_a_split_that_comes_too_late_is_booked_anew(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    obj = practice.object_of(booked)
    rest = (
        obj.served_text.replace(obj.uid, "phone-1").replace("COUNT=4", "COUNT=2").replace("20261123T09", "20261207T11")
    )
    practice.put(obj.href, obj.served_text.replace("COUNT=4", "COUNT=2"))
    practice.settle()
    assert practice.messages() == ["appointment_confirmed", "appointment_cancelled"]
    practice.put("phone-1.ics", rest)
    practice.settle()
    assert practice.messages()[2:] == ["appointment_confirmed"]
    (view,) = made(practice, booked)
    assert [visit.start for visit in view.visits] == [at(11, day=14), at(11, day=21)]
    with practice.db.reading() as session:
        assert len(session.scalars(select(Visit)).all()) == 6
