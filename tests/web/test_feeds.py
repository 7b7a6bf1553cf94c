"""Secret URLs for calendars that subscribe: what they show, to whom, and how rarely they have to be read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import pytest
from icalendar import Calendar
from werkzeug.test import Client, TestResponse

from storage import accounts, appointment_types, booking, collections, edits, feeds, hours, leave, lifecycle
from storage.db import Database
from storage.drafts import NewAppointment
from storage.models import Account, Appointment, Feed, Patient
from storage.policy import SYSTEM
from web.wsgi import create_wsgi

# A Monday
NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
NINE = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
LUNCH = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//X//Y//EN\r
BEGIN:VEVENT\r
UID:dentist\r
DTSTAMP:20261101T000000Z\r
DTSTART:20261125T120000Z\r
DTEND:20261125T130000Z\r
SUMMARY:Secret dentist\r
END:VEVENT\r
END:VCALENDAR\r
"""


@dataclass
class Practice:
    database: Database
    client: Client
    lee: Account
    appointment: object
    now: datetime = NOW

    def add(self, level: str) -> str:
        with self.database.transaction() as session:
            owner = accounts.by_username(session, "lee")
            if level == "patient":
                found = session.get_one(Appointment, self.appointment)
                owner = session.get_one(Patient, found.patient_id)
            assert owner is not None
            return feeds.add_feed(session, owner, level, "Phone", NOW)

    def read(self, token: str, **headers: str) -> TestResponse:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(f"/feeds/{token}.ics", headers=given)


@pytest.fixture
def practice(database: Database) -> Iterator[Practice]:
    with database.transaction() as session:
        lee = accounts.create_account(
            session, role="doctor", username="lee", name="Dr. Anna Lee", email="lee@clinic.example", now=NOW
        )
        hours.add_hours(session, lee, ("mon",), time(9), time(12), slot=20, actor=SYSTEM, now=NOW)
        new = NewAppointment(
            start=NINE,
            kind=appointment_types.get(session, "xray_review"),
            patient=accounts.find_or_create_patient(session, "Maria Huber", "maria@mail.example", "", NOW),
            reason="Broken toe",
        )
        booked = booking.book(session, [lee], new, actor=SYSTEM, now=NOW)
        personal = collections.find(session, "lee", "personal")
        assert personal is not None
        edits.client_put(session, personal, "dentist.ics", LUNCH, actor=SYSTEM, now=NOW)
        day = datetime(2026, 12, 1).date()
        leave.request_leave(session, lee, day, day, "Wedding", actor=SYSTEM, now=NOW)
    assert database.settings is not None
    made = Practice(database, None, lee, booked.appointment.id)  # type: ignore[arg-type]
    made.client = Client(create_wsgi(database.settings, lambda: made.now, database))
    yield made


def events(answer: TestResponse) -> list[tuple[datetime, str]]:
    found = [(each.decoded("DTSTART"), str(each["SUMMARY"])) for each in Calendar.from_ical(answer.text).walk("VEVENT")]
    return sorted(found, key=lambda each: str(each[0]))


def test_a_busy_feed_says_nothing_but_when(practice: Practice) -> None:
    answer = practice.read(practice.add("busy"))
    assert answer.status_code == 200
    assert answer.content_type == "text/calendar; charset=utf-8"
    assert {summary for _start, summary in events(answer)} == {"Busy"}
    assert len(events(answer)) == 3
    for secret in ("Maria", "Huber", "toe", "ray", "dentist", "Wedding", "appt-", "VALARM", "mail.example"):
        assert secret not in answer.text


def test_an_initials_feed_names_patients_by_initials(practice: Practice) -> None:
    answer = practice.read(practice.add("initials"))
    assert "Maria H." in {summary for _start, summary in events(answer)}
    for secret in ("Huber", "toe", "dentist", "Wedding", "mail.example"):
        assert secret not in answer.text


def test_a_patients_feed_names_the_clinic_only(practice: Practice) -> None:
    answer = practice.read(practice.add("patient"))
    assert [summary for _start, summary in events(answer)] == ["Appointment at Test Practice"]
    for secret in ("toe", "X-ray", "Lee"):
        assert secret not in answer.text


def test_two_feeds_share_no_uid(practice: Practice) -> None:
    texts = [practice.read(practice.add("busy")).text for _ in range(2)]
    uids = [{line for line in text.splitlines() if line.startswith("UID:")} for text in texts]
    assert uids[0] and not uids[0] & uids[1]


def test_an_unchanged_feed_is_not_sent_again(practice: Practice) -> None:
    token = practice.add("busy")
    first = practice.read(token)
    assert first.headers["Cache-Control"].startswith("private")
    assert first.headers["X-Robots-Tag"].startswith("noindex")
    practice.now += timedelta(hours=2)
    again = practice.read(token, If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.data) == (304, b"")
    assert practice.read(token, If_Modified_Since=first.headers["Last-Modified"]).status_code == 304
    assert practice.read(token).text == first.text
    with practice.database.transaction() as session:
        lifecycle.cancel(session, practice.appointment, actor=SYSTEM, now=practice.now)  # type: ignore[arg-type]
    changed = practice.read(token, If_None_Match=first.headers["ETag"])
    assert changed.status_code == 200
    assert len(events(changed)) == 2


def test_a_moved_appointment_has_a_higher_sequence(practice: Practice) -> None:
    token = practice.add("patient")
    (before,) = Calendar.from_ical(practice.read(token).text).walk("VEVENT")
    practice.now += timedelta(minutes=5)
    with practice.database.transaction() as session:
        start = NINE + timedelta(hours=1)
        lifecycle.reschedule(session, practice.appointment, start, actor=SYSTEM, now=practice.now)  # type: ignore[arg-type]
    (after,) = Calendar.from_ical(practice.read(token).text).walk("VEVENT")
    assert after["UID"] == before["UID"]
    assert after["SEQUENCE"] > before["SEQUENCE"]
    assert after.decoded("DTSTART").astimezone(UTC) == start


def test_wrong_revoked_and_expired_tokens_look_alike(practice: Practice) -> None:
    token, expired = practice.add("busy"), practice.add("busy")
    with practice.database.transaction() as session:
        found = feeds.find_feed(session, token, "", NOW)
        assert found is not None
        feeds.revoke(session, found, NOW)
        other = feeds.find_feed(session, expired, "", NOW)
        assert other is not None
        session.get_one(Feed, other.id).expires_at = NOW
    answers = [practice.read(each) for each in (token, expired, "x" * 43, "%00", "ä")]
    assert {(answer.status_code, answer.data) for answer in answers} == {(404, b"There is nothing here.\n")}


def test_a_feed_ends_with_its_owners_account(practice: Practice) -> None:
    token = practice.add("busy")
    with practice.database.transaction() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        accounts.disable(session, lee, NOW)
    assert practice.read(token).status_code == 404


def test_who_fetched_last_is_remembered(practice: Practice) -> None:
    token = practice.add("busy")
    practice.read(token, User_Agent="Google-Calendar-Importer")
    with practice.database.reading() as session:
        found = feeds.find_feed(session, token, "", NOW)
        assert found is not None
        assert (found.last_agent, found.last_fetched_at) == ("Google-Calendar-Importer", NOW)


def test_reading_too_often_is_slowed_down(practice: Practice) -> None:
    token = practice.add("busy")
    answers = [
        practice.client.get(f"/feeds/{token}.ics", environ_base={"REMOTE_ADDR": "192.0.2.1"}) for _ in range(250)
    ]
    assert answers[0].status_code == 200
    assert answers[-1].status_code == 429
    assert answers[-1].headers["Retry-After"]


def test_the_working_hours_stand_beside_a_doctors_feed(practice: Practice) -> None:
    token = practice.add("busy")
    answer = practice.client.get(f"/feeds/{token}/availability.ics")
    assert (answer.status_code, answer.content_type) == (200, "text/calendar; charset=utf-8")
    assert answer.headers["Cache-Control"].startswith("private")
    assert answer.headers["X-Robots-Tag"].startswith("noindex")
    (block,) = Calendar.from_ical(answer.text).walk("VAVAILABILITY")
    (monday,) = block.subcomponents
    assert monday.name == "AVAILABLE" and monday["DTSTART"].dt.isoformat().startswith("2026-11-23T09:00:00")
    for secret in ("Maria", "dentist", "Wedding", "lee@clinic.example", "20 min"):
        assert secret not in answer.text
    again = practice.client.get(f"/feeds/{token}/availability.ics", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_working_hours_go_with_the_feed(practice: Practice) -> None:
    token = practice.add("busy")
    with practice.database.transaction() as session:
        found = feeds.find_feed(session, token, "", NOW)
        assert found is not None
        feeds.revoke(session, found, NOW)
    for each in (token, practice.add("patient"), "x" * 43):
        assert practice.client.get(f"/feeds/{each}/availability.ics").status_code == 404
