"""A patient's new name and address reach the appointments to come, and nobody is told of it."""

from datetime import timedelta

import pytest

from ical import appointment as appointment_text
from ical.lines import parse
from ical.served import organizer_line, with_people
from storage import accounts, contacts

SERIES = "FREQ=WEEKLY;COUNT=3"

# Nothing here depends on the kind of database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def maria(practice) -> int:
    """The account of the patient whom `practice.book` books for."""
    with practice.writing() as session:
        email, phone = "maria.huber@mail.example", "+4366412345678"
        return accounts.create_account(
            session, role="patient", username="maria", name="Maria Huber", email=email, phone=phone, now=practice.now
        ).id


@pytest.fixture
def change(practice, maria):
    def change(name: str, email: str) -> None:
        with practice.writing() as session:
            contacts.change(session, maria, name, email, "+4366412345678", practice.now)

    return change


def said(practice, booked):
    """What the stored text says of the patient, occurrence by occurrence."""
    calendar = parse(practice.object_of(booked).stored_text)
    people = [appointment_text.patient_line(event) for event in calendar.components("VEVENT")]
    return {(person.param("CN"), person.value) for person in people}


def test_a_new_address_stands_in_the_appointments_to_come(practice, change, at):
    done, coming = practice.book(at(9)), practice.book(at(9, day=1))
    practice.now = at(12)
    messages, claims, before = practice.messages(), practice.claims(), practice.object_of(coming)
    change("Maria Maier", "maria@new.example")
    assert said(practice, coming) == {("Maria Maier", "mailto:maria@new.example")}
    assert said(practice, done) == {("Maria Huber", "mailto:maria.huber@mail.example")}
    after = practice.object_of(coming)
    assert after.etag != before.etag, "apps have to fetch it again"
    assert "SUMMARY:Maria M. · Consultation" in after.served_text
    assert "maria@new.example" in after.stored_text.partition("BEGIN:VALARM")[2]
    practice.now += timedelta(days=1)
    practice.settle()
    assert (practice.messages(), practice.claims()) == (messages, claims)


def test_an_address_that_is_taken_away_is_gone_from_every_occurrence(practice, change, at):
    series = practice.book(at(9, day=1), rrule=SERIES)
    change("Maria Huber", "")
    (person,) = said(practice, series)
    assert person[1].startswith("urn:uuid:")
    organizer = organizer_line("Dr. Lee", "lee@clinic.example")
    obj = practice.object_of(series)
    assert "ATTENDEE" not in with_people(obj.served_text, obj.stored_text, organizer)


def test_nothing_is_written_where_nothing_changes(practice, change, at):
    booked = practice.book(at(9))
    before = practice.object_of(booked)
    change("Maria Huber", "maria.huber@mail.example")
    assert practice.object_of(booked).seq == before.seq


def test_a_deleted_appointment_stays_deleted(practice, change, at):
    booked = practice.book(at(9))
    practice.delete(practice.object_of(booked).href)
    change("Maria Maier", "maria@new.example")
    assert practice.object_of(booked).deleted
    assert said(practice, booked) == {("Maria Maier", "mailto:maria@new.example")}
    practice.settle()
    assert practice.messages()[-1] == "appointment_cancelled"
