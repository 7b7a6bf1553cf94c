"""What a calendar app's edits do to appointments: the drag, the delete and the undo."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from ical.errors import Forbidden
from ical.lines import parse
from storage import collections, lifecycle, objects
from storage.models import Notice


def served(practice, booked) -> str:
    return practice.object_of(booked).served_text


def href(practice, booked) -> str:
    return practice.object_of(booked).href


def moved(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def retitled(text: str, more: str) -> str:
    return text.replace("SUMMARY:", f"SUMMARY:{more} ")


def drag(practice, booked, old: str, new: str) -> None:
    practice.put(href(practice, booked), moved(served(practice, booked), f"T{old}00", f"T{new}00"))


def test_an_echo_of_what_was_served_causes_nothing(practice, at):
    booked = practice.book(at(9))
    before = practice.object_of(booked)
    written = practice.put(before.href, before.served_text)
    assert written.verbatim
    assert practice.object_of(booked).etag == before.etag
    practice.settle()
    assert practice.messages() == ["appointment_confirmed"]


def test_a_drag_moves_claims_at_once_and_tells_the_patient_once(practice, at):
    booked = practice.book(at(9))
    text = served(practice, booked)
    text = moved(text, "T090000", "T110000")
    text = moved(text, "T092000", "T112000")
    written = practice.put(href(practice, booked), text)
    assert not written.verbatim
    visit = practice.visit(booked)
    assert (visit.start, visit.status) == (at(11), "rescheduled")
    assert practice.try_book(at(9), name="Karl Bauer") == "booked"
    assert practice.try_book(at(11), name="Anna Koller") == "slot_taken"
    assert practice.messages() == ["appointment_confirmed"] * 2
    practice.settle()
    assert practice.messages() == ["appointment_confirmed", "appointment_confirmed", "appointment_changed"]
    practice.settle()
    assert len(practice.messages()) == 3


def test_dragged_and_put_back_within_the_quiet_period_is_nothing(practice, at):
    booked = practice.book(at(9))
    drag(practice, booked, "0900", "0840")
    drag(practice, booked, "0840", "0900")
    practice.settle()
    assert practice.visit(booked).status == "scheduled"
    assert practice.visit(booked).start == at(9)
    assert practice.messages() == ["appointment_confirmed"]


def test_deleted_is_cancelled_after_the_quiet_period(practice, at):
    booked = practice.book(at(9))
    practice.delete(href(practice, booked))
    assert practice.try_book(at(9), name="Karl Bauer") == "slot_taken"
    assert practice.visit(booked).status == "scheduled"
    practice.settle()
    assert practice.visit(booked).status == "cancelled_doctor"
    assert practice.messages() == ["appointment_confirmed", "appointment_cancelled"]
    assert practice.try_book(at(9), name="Karl Bauer") == "booked"


def test_deleted_and_put_back_is_nothing(practice, at):
    booked = practice.book(at(9))
    name, text = href(practice, booked), served(practice, booked)
    practice.delete(name)
    practice.put(name, text)
    practice.settle()
    assert practice.visit(booked).status == "scheduled"
    assert practice.messages() == ["appointment_confirmed"]
    assert len(practice.claims()) == 1


def test_put_back_too_late_stays_cancelled(practice, at):
    booked = practice.book(at(9))
    name, text = href(practice, booked), served(practice, booked)
    practice.delete(name)
    practice.settle()
    practice.put(name, text)
    assert practice.visit(booked).status == "cancelled_doctor"
    assert "STATUS:CANCELLED" in served(practice, booked)
    assert practice.claims() == []


@pytest.mark.parametrize("how", ["#cancel", "status", "Cancelled:"])
def test_cancelled_in_the_app_is_cancelled_after_the_quiet_period(practice, at, how):
    booked = practice.book(at(9))
    text = served(practice, booked)
    text = text.replace("STATUS:TENTATIVE", "STATUS:CANCELLED") if how == "status" else retitled(text, how)
    practice.put(href(practice, booked), text)
    assert practice.visit(booked).status == "scheduled"
    assert "SUMMARY:Cancelled: Maria H." in served(practice, booked)
    practice.settle()
    assert practice.visit(booked).status == "cancelled_doctor"
    assert practice.messages() == ["appointment_confirmed", "appointment_cancelled"]


def test_a_cancellation_taken_back_in_time_is_nothing(practice, at):
    booked = practice.book(at(9))
    before = served(practice, booked)
    practice.put(href(practice, booked), retitled(before, "#cancel"))
    practice.put(href(practice, booked), before)
    practice.settle()
    assert practice.visit(booked).status == "scheduled"
    assert practice.messages() == ["appointment_confirmed"]


@pytest.mark.parametrize(
    ("token", "status"),
    [("#done", "completed"), ("#noshow", "no_show"), ("#confirm", "confirmed"), ("#start", "in_progress")],
)
def test_a_token_in_the_title_sets_the_status(practice, at, token, status):
    booked = practice.book(at(9))
    practice.now = at(9)
    practice.put(href(practice, booked), retitled(served(practice, booked), token))
    assert practice.visit(booked).status == status
    assert token not in served(practice, booked)
    practice.settle()
    assert practice.messages() == ["appointment_confirmed"]


def test_an_illegal_token_is_undone_with_a_notice(practice, at):
    booked = practice.book(at(9))
    practice.put(href(practice, booked), retitled(served(practice, booked), "#done"))
    assert practice.visit(booked).status == "scheduled"
    assert "#done" not in served(practice, booked)
    with practice.db.reading() as session:
        assert session.scalars(select(Notice.text)).one()


def test_a_snoozed_alarm_or_a_colour_causes_nothing(practice, at):
    booked = practice.book(at(9))
    text = served(practice, booked).replace("COLOR:steelblue", "COLOR:red")
    text = text.replace("END:VEVENT", "X-MOZ-LASTACK:20261123T070000Z\r\nEND:VEVENT")
    practice.put(href(practice, booked), text)
    assert practice.visit(booked).settle_at is None
    assert "X-MOZ-LASTACK" in served(practice, booked)


def test_dropped_onto_another_appointment_is_overbooked_and_flagged(practice, at):
    practice.book(at(10), name="Karl Bauer")
    booked = practice.book(at(9))
    drag_to_ten = moved(moved(served(practice, booked), "T090000", "T100000"), "T092000", "T102000")
    practice.put(href(practice, booked), drag_to_ten)
    visit = practice.visit(booked)
    assert (visit.start, visit.overbooked) == (at(10), True)
    assert [seat for _start, _end, seat in practice.claims()] == [0, 1000]
    with practice.db.reading() as session:
        assert any("overlaps" in text for text in session.scalars(select(Notice.text)))


def test_dragged_outside_the_hours_is_accepted_and_flagged(practice, at):
    booked = practice.book(at(9))
    practice.put(
        href(practice, booked), moved(moved(served(practice, booked), "T090000", "T190000"), "T092000", "T192000")
    )
    assert practice.visit(booked).outside_hours


def test_a_patients_cancellation_wins_over_a_stale_phone(practice, at):
    booked = practice.book(at(9))
    name, text = href(practice, booked), served(practice, booked)
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=practice.visitor, now=practice.now)
    practice.put(name, moved(moved(text, "T090000", "T110000"), "T092000", "T112000"))
    assert practice.visit(booked).status == "cancelled_patient"
    assert practice.visit(booked).start == at(9)
    assert practice.claims() == []


def test_one_occurrence_deleted_in_the_app_is_cancelled_alone(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    text = served(practice, booked).replace(
        "RRULE:FREQ=WEEKLY;COUNT=3", "RRULE:FREQ=WEEKLY;COUNT=3\r\nEXDATE;TZID=Europe/Vienna:20261130T090000"
    )
    practice.put(href(practice, booked), text)
    assert practice.try_book(at(9, day=7), name="Karl Bauer") == "slot_taken"
    practice.settle()
    statuses = {visit.recurrence_id: visit.status for visit in practice.visits(booked)}
    assert statuses["20261130T080000Z"] == "cancelled_doctor"
    assert list(statuses.values()).count("scheduled") == 2
    assert practice.try_book(at(9, day=7), name="Karl Bauer") == "booked"
    assert practice.messages().count("appointment_cancelled") == 1


def test_a_series_dragged_keeps_every_visit(practice, at):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    before = practice.object_of(booked)
    text = moved(moved(before.served_text, "T090000", "T100000"), "T092000", "T102000")
    practice.put(before.href, text)
    found = practice.visits(booked)
    assert [visit.start for visit in found] == [at(10), at(10, day=7), at(10, day=14)]
    assert {visit.status for visit in found} == {"rescheduled"}
    assert len(practice.claims()) == 3
    practice.settle()
    assert practice.messages().count("appointment_changed") == 1
    assert practice.messages().count("appointment_cancelled") == 0


@pytest.mark.parametrize("taken_back", [False, True])
def test_a_series_cancelled_by_its_title_takes_a_moved_occurrence_along(practice, at, taken_back):
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    second = practice.visits(booked)[1].recurrence_id
    with practice.writing() as session:
        lifecycle.reschedule(
            session, booked.appointment.id, at(11, day=8), actor=practice.doctor, now=practice.now, recurrence_id=second
        )
    before = served(practice, booked)
    practice.put(href(practice, booked), before.replace("SUMMARY:", "SUMMARY:#cancel ", 1))
    if taken_back:
        practice.put(href(practice, booked), before)
    practice.settle()
    statuses = {visit.status for visit in practice.visits(booked)}
    assert statuses == ({"scheduled", "rescheduled"} if taken_back else {"cancelled_doctor"})
    assert practice.messages().count("appointment_cancelled") == (0 if taken_back else 1)


def test_a_plain_event_is_kept_byte_for_byte(practice, at):
    text = (
        "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//X//EN\nBEGIN:VEVENT\nUID:raw\nDTSTAMP:20261101T000000Z\n"
        "DTSTART:20261123T110000Z\nDURATION:PT1H\nSUMMARY:Lunch\nX-APPLE-STRUCTURED-LOCATION;VALUE=URI:geo:48.2,16.3\n"
        "END:VEVENT\nEND:VCALENDAR\n"
    )
    written = practice.put("raw.ics", text)
    assert written.verbatim
    assert written.object.served_text == text


def test_a_plain_event_cannot_pose_as_an_appointment(practice, at):
    booked = practice.book(at(9))
    forged = practice.object_of(booked).stored_text.replace("appt-", "fake-")
    practice.put("forged.ics", forged)
    assert len(practice.claims()) == 1
    with practice.db.reading() as session:
        target = collections.find(session, "lee", "appointments")
        obj = objects.find(session, target, "forged.ics")
        assert obj.kind == "block"
        assert "\r\nX-CLINICDAV-" not in obj.stored_text


def test_leave_from_the_phone_is_pending(practice, at):
    text = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//X//EN\r\nBEGIN:VEVENT\r\nUID:ski\r\nDTSTAMP:20261101T000000Z\r\n"
        "DTSTART;VALUE=DATE:20261124\r\nDTEND;VALUE=DATE:20261125\r\nSUMMARY:Skiing\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    written = practice.put("ski.ics", text, "leave")
    assert not written.verbatim
    assert "SUMMARY:Leave (pending): Skiing" in written.object.served_text
    assert practice.try_book(at(9, day=1)) == "on_leave"
    assert practice.try_book(at(9, day=2)) == "booked"


def test_hours_from_the_phone_are_slots_at_once(practice, at):
    text = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//X//EN\r\nBEGIN:VEVENT\r\nUID:late\r\nDTSTAMP:20261101T000000Z\r\n"
        "DTSTART;TZID=Europe/Vienna:20261123T180000\r\nDTEND;TZID=Europe/Vienna:20261123T190000\r\n"
        "RRULE:FREQ=WEEKLY\r\nSUMMARY:Evening (15 min x 2)\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    assert practice.put("late.ics", text, "hours").verbatim
    assert [practice.try_book(at(18, 15, day=7), name=name) for name in ("A A", "B B", "C C")] == [
        "booked",
        "booked",
        "slot_taken",
    ]


def test_the_inbox_takes_nothing(practice, at):
    with pytest.raises(Forbidden):
        text = (
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//X//EN\r\nBEGIN:VEVENT\r\nUID:x\r\nDTSTAMP:20261101T000000Z\r\n"
            "DTSTART:20261124T090000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
        practice.put("x.ics", text, "inbox")


def test_a_visit_that_only_grew_a_little_is_not_worth_a_message(practice, at):
    booked = practice.book(at(9))
    practice.put(href(practice, booked), moved(served(practice, booked), "T092000", "T093000"))
    practice.settle()
    assert practice.visit(booked).end == at(9, 30)
    assert practice.messages() == ["appointment_confirmed"]


def test_hours_written_in_utc_stay_at_their_wall_time(practice, at):
    """Over the clock change of 28 March 2027 as well."""
    text = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//X//EN\r\nBEGIN:VEVENT\r\nUID:utc\r\nDTSTAMP:20261101T000000Z\r\n"
        "DTSTART:20261123T170000Z\r\nDTEND:20261123T180000Z\r\nRRULE:FREQ=WEEKLY\r\nSUMMARY:Evening (20 min)\r\n"
        "END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    assert not practice.put("utc.ics", text, "hours").verbatim
    assert practice.try_book(at(18, day=7)) == "booked"
    assert practice.try_book(at(18, day=7 * 20)) == "booked"
    assert practice.try_book(at(19, day=7 * 20)) == "outside_hours"


def test_hours_edited_on_a_phone_keep_what_the_phone_was_not_shown(practice, at):
    with practice.db.reading() as session:
        target = collections.find(session, "lee", "hours")
        before = objects.live(session, target)[0]
    assert "X-CLINICDAV" not in before.served_text
    practice.put(before.href, before.served_text.replace("T160000", "T170000"), "hours")
    with practice.db.reading() as session:
        after = objects.live(session, target)[0]
    assert "X-CLINICDAV-SLOT-DURATION:PT20M" in after.stored_text
    assert practice.try_book(at(16, 20)) == "booked"


def test_a_stale_copy_written_without_a_condition_takes_nothing_back(practice, at):
    booked = practice.book(at(9))
    old = practice.object_of(booked)
    practice.now += timedelta(minutes=1)
    practice.put(old.href, moved(moved(old.served_text, "T090000", "T110000"), "T092000", "T112000"))
    practice.now += timedelta(minutes=1)
    # Evolution, which has not looked since, adds a note to the copy that it has.
    practice.put(old.href, with_note(old.served_text), conditional=False)
    assert practice.visit(booked).start == at(11)
    assert "Bring the pictures" in practice.object_of(booked).stored_text.replace("\r\n ", "")
    practice.settle()
    assert practice.messages() == ["appointment_confirmed", "appointment_changed"]


def with_note(text: str) -> str:
    calendar = parse(text)
    event = calendar.components("VEVENT")[0]
    event.set_text("DESCRIPTION", event.plain("DESCRIPTION") + "Bring the pictures")
    return calendar.text()


LUNCH = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\nBEGIN:VEVENT\r\nUID:lunch@test\r\n"
    "DTSTAMP:20260801T080000Z\r\nDTSTART:20261124T110000Z\r\nDTEND:20261124T113000Z\r\nSUMMARY:Lunch\r\n"
    "END:VEVENT\r\nEND:VCALENDAR\r\n"
)


def test_another_event_under_a_deleted_appointments_href_is_not_that_appointment(practice, at):
    booked = practice.book(at(9))
    name = href(practice, booked)
    practice.delete(name)
    written = practice.put(name, LUNCH)
    assert written.object.uid == "lunch@test"
    practice.settle()
    assert practice.visit(booked).status == "cancelled_doctor"
    assert "Lunch" not in practice.object_of(booked).stored_text
    assert "Lunch" in written.object.served_text


def test_an_appointment_is_put_back_under_the_href_of_something_else_that_is_gone(practice, at):
    booked = practice.book(at(9))
    text = served(practice, booked)
    practice.put("lunch.ics", LUNCH)
    practice.delete("lunch.ics")
    practice.delete(href(practice, booked))
    practice.put("lunch.ics", text)
    practice.settle()
    assert practice.visit(booked).status == "scheduled"
    assert href(practice, booked) == "lunch.ics"
