"""What a doctor's calendar app does to appointments, hours, leave and the waitlist, over HTTP."""

from datetime import datetime
from datetime import time as clock_time
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from storage import accounts, appointment_types, booking, drafts, hours
from storage.models import Account, Audit
from storage.policy import SYSTEM, VISITOR
from tests.caldav.helpers import Clinic, D, event

VIENNA = ZoneInfo("Europe/Vienna")


def account(session, username: str) -> Account:
    found = accounts.by_username(session, username)
    assert found is not None
    return found


@pytest.fixture
def booked(lite: Clinic) -> tuple[Clinic, str]:
    """An appointment of Maria Huber with lee, on Tuesday at ten; and its path."""
    with lite.db.transaction() as session:
        lee = account(session, "lee")
        hours.add_hours(
            session,
            lee,
            ["mon", "tue", "wed", "thu", "fri"],
            clock_time(8),
            clock_time(16),
            slot=20,
            actor=SYSTEM,
            now=lite.clock(),
            first=lite.clock().date(),
        )
        patient = accounts.find_or_create_patient(
            session, "Maria Huber", "maria@mail.example", "+4366412345678", lite.clock()
        )
        new = drafts.NewAppointment(
            datetime(2026, 11, 24, 10, 0, tzinfo=VIENNA),
            appointment_types.get(session, "consultation"),
            patient,
            reason="Knee pain",
        )
        booking.book(session, [lee], new, actor=VISITOR, now=lite.clock())
    name = next(iter(lite.client("lee").propfind("/lee/appointments/", "D:getetag", depth="1").members))
    return lite, f"/lee/appointments/{name}"


def test_appointment_is_an_event_on_the_phone(booked: tuple[Clinic, str]) -> None:
    clinic, path = booked
    text = clinic.client("lee").get(path).text
    assert "DTSTART;TZID=Europe/Vienna:20261124T100000" in text
    assert "X-CLINICDAV" not in text and "ATTENDEE" not in text and "maria@mail.example" not in text


def test_dragging_is_accepted_and_answered_without_etag(booked: tuple[Clinic, str]) -> None:
    clinic, path = booked
    lee = clinic.client("lee")
    before = lee.get(path)
    moved = before.text.replace("20261124T100000", "20261124T110000").replace("20261124T102000", "20261124T112000")
    answer = lee.put(path, moved, If_Match=before.headers["ETag"])
    assert answer.status == 204
    assert "ETag" not in answer.headers
    after = lee.get(path)
    assert "20261124T110000" in after.text and after.headers["ETag"] != before.headers["ETag"]


def test_echo_changes_nothing(booked: tuple[Clinic, str]) -> None:
    clinic, path = booked
    lee = clinic.client("lee")
    before = lee.get(path)
    answer = lee.put(path, before.body, If_Match=before.headers["ETag"])
    assert (answer.status, answer.headers.get("ETag")) == (204, before.headers["ETag"])
    assert lee.get(path).headers["ETag"] == before.headers["ETag"]


def test_stale_drag_is_412(booked: tuple[Clinic, str]) -> None:
    clinic, path = booked
    assert clinic.client("lee").put(path, event(), If_Match='"stale"').status == 412


def test_deleted_and_put_back(booked: tuple[Clinic, str]) -> None:
    clinic, path = booked
    lee = clinic.client("lee")
    text = lee.get(path).body
    assert lee.delete(path).status == 204
    clinic.clock.pass_time(seconds=60)
    assert lee.put(path, text, If_None_Match="*").status in (201, 204)
    assert b"20261124T100000" in lee.get(path).body


def test_appointment_does_not_leave_its_calendar(booked: tuple[Clinic, str]) -> None:
    clinic, path = booked
    lee = clinic.client("lee")
    before = lee.get(path).headers["ETag"]
    answer = lee.request("MOVE", path, headers={"Destination": "/dav/lee/personal/a.ics"})
    assert (answer.status, answer.condition) == (403, "need-privileges")
    assert lee.get(path).headers["ETag"] != before


def test_refused_edit_makes_the_client_fetch_its_copy_again(booked: tuple[Clinic, str]) -> None:
    clinic, path = booked
    lee = clinic.client("lee")
    token = lee.sync("/lee/appointments/").xml.findtext(f"{D}sync-token", "")
    assert lee.request("MOVE", path, headers={"Destination": "/dav/lee/personal/a.ics"}).status == 403
    assert lee.sync("/lee/appointments/", token).members == {path.rpartition("/")[2]}


def test_new_waitlist_entries_are_made_in_the_portal(lite: Clinic) -> None:
    todo = event().replace("VEVENT", "VTODO").replace("DTEND", "DUE")
    answer = lite.client("lee").put("/lee/waitlist/a.ics", todo)
    assert (answer.status, answer.condition) == (403, "need-privileges")


def test_hours_from_a_phone(lite: Clinic) -> None:
    lee = lite.client("lee")
    text = event(
        "h@test", "20261123T090000", "20261123T120000", "SUMMARY:Clinic hours (20 min × 1)", "RRULE:FREQ=WEEKLY"
    )
    assert lee.put("/lee/hours/h.ics", text).status == 201
    assert (
        lee.report(
            "/lee/hours/", "C:free-busy-query", '<C:time-range start="20261123T000000Z" end="20261130T000000Z"/>'
        ).text.count("FREEBUSY;")
        == 0
    )


def test_leave_from_a_phone_becomes_pending_without_an_etag(lite: Clinic) -> None:
    lee = lite.client("lee")
    answer = lee.put("/lee/leave/l.ics", event("l@test", "20261126T080000", "20261126T180000", "SUMMARY:Dentist"))
    assert answer.status == 201 and "ETag" not in answer.headers
    assert "STATUS:TENTATIVE" in lee.get("/lee/leave/l.ics").text


def test_lunch_is_kept_as_it_came(lite: Clinic) -> None:
    lee = lite.client("lee")
    answer = lee.put("/lee/appointments/lunch.ics", event())
    assert answer.headers["ETag"] == lee.get("/lee/appointments/lunch.ics").headers["ETag"]
    assert lee.get("/lee/appointments/lunch.ics").text == event()


def test_drop_onto_another_appointment_is_accepted(booked: tuple[Clinic, str]) -> None:
    clinic, path = booked
    with clinic.db.transaction() as session:
        patient = accounts.find_or_create_patient(session, "Karl Wolf", "karl@mail.example", "", clinic.clock())
        new = drafts.NewAppointment(
            datetime(2026, 11, 24, 11, 0, tzinfo=VIENNA),
            appointment_types.get(session, "consultation"),
            patient,
            reason="",
        )
        booking.book(session, [account(session, "lee")], new, actor=VISITOR, now=clinic.clock())
    lee = clinic.client("lee")
    moved = (
        lee.get(path).text.replace("20261124T100000", "20261124T110000").replace("20261124T102000", "20261124T112000")
    )
    assert lee.put(path, moved).status == 204
    assert "20261124T110000" in lee.get(path).text


def test_the_desk_never_sees_the_doctors_private_notes_nor_loses_them(booked: tuple[Clinic, str]) -> None:
    clinic, path = booked
    lee, desk = clinic.client("lee"), clinic.client("desk")
    unfolded = lee.get(path).text.replace("\r\n ", "")
    mine = unfolded.replace("the patient) ---\\n", "the patient) ---\\nCheck the MRI")
    assert lee.put(path, mine).status == 204
    assert "Check the MRI" in lee.get(path).text.replace("\r\n ", "")
    everything = "<C:comp-filter name='VEVENT'/>"
    notes = (
        "<C:comp-filter name='VEVENT'><C:prop-filter name='DESCRIPTION'>"
        "<C:text-match>Check the MRI</C:text-match></C:prop-filter></C:comp-filter>"
    )
    calendar = "/lee/appointments/"
    seen = [
        desk.get(path).text,
        desk.get(calendar).text,
        *desk.query(calendar, everything).data.values(),
    ]
    for text in seen:
        unfolded = text.replace("\r", "").replace("\n ", "")
        assert "SUMMARY:Maria H." in unfolded
        assert "Private notes" not in unfolded and "MRI" not in unfolded
    assert lee.query(calendar, notes).data
    assert not desk.query(calendar, notes).data
    edited = desk.get(path).text.replace("T100000", "T110000").replace("T102000", "T112000")
    answer = desk.put(path, edited, Prefer="return=representation")
    assert "Private notes" not in answer.text
    assert "Check the MRI" in lee.get(path).text.replace("\r\n ", "")
    assert "T110000" in lee.get(path).text


@pytest.mark.parametrize("calendar", ["/lee/personal", "/lee/hours", "/smith/appointments"])
def test_an_appointment_is_not_written_into_another_calendar(booked: tuple[Clinic, str], calendar: str) -> None:
    """Thunderbird drags by writing there first, under another name, and deletes here only if that was accepted."""
    clinic, path = booked
    text = clinic.client("lee").get(path).text
    user = "smith" if "smith" in calendar else "lee"
    answer = clinic.client(user).put(f"{calendar}/copy.ics", text, If_None_Match="*")
    assert (answer.status, answer.condition) == (403, "need-privileges")


def test_the_audit_knows_who_else_was_sent_appointments(booked: tuple[Clinic, str]) -> None:
    clinic, path = booked
    for user in ("lee", "desk"):
        clinic.client(user).propfind("/lee/appointments/", "D:getetag", depth="1")
        assert clinic.client(user).get(path).status == 200
    with clinic.db.transaction() as session:
        read = session.scalars(select(Audit).where(Audit.action == "calendar.read")).all()
    assert [(row.actor, row.detail["objects"]) for row in read] == [("desk by caldav", 1)]
