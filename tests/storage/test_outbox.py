"""The outbox: each message leased by one sender at a time, tried again within its budget, never sent when stale."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import recurring_ical_events
from icalendar import Calendar
from sqlalchemy import select, update

from storage import accounts, booking, lifecycle, outbox, reminders
from storage.db import Database
from storage.models import OutboxMessage, Patient, Visit
from storage.outbox import Later, Lease, Message, Stale
from storage.policy import SYSTEM

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)


def add(db: Database, key: str, **more: Any) -> None:
    with db.transaction() as session:
        values = {"template": "manage_links", "channel": "email", "due_at": NOW, **more}
        outbox.add(session, dedupe_key=key, **values)


def rows(db: Database) -> list[OutboxMessage]:
    with db.reading() as session:
        return list(session.scalars(select(OutboxMessage).order_by(OutboxMessage.id)))


def states(db: Database) -> list[str]:
    return [row.state for row in rows(db)]


# Leases


def test_a_message_is_kept_once_whatever_asks_for_it_twice(database: Database) -> None:
    add(database, "a")
    add(database, "a", channel="sms")
    assert [row.channel for row in rows(database)] == ["email"]


def test_a_leased_message_is_nobody_elses_until_the_lease_runs_out(database: Database) -> None:
    add(database, "a")
    (first,) = outbox.claim_due(database, NOW, 10, 60)
    assert outbox.claim_due(database, NOW + timedelta(seconds=59), 10, 60) == []
    (second,) = outbox.claim_due(database, NOW + timedelta(seconds=60), 10, 60)
    assert second.id == first.id and second.token != first.token
    with database.transaction() as session:
        outbox.mark_sent(session, first, NOW)
        assert outbox.message(session, first, NOW) is None
    assert states(database) == ["due"]
    with database.transaction() as session:
        outbox.mark_sent(session, second, NOW)
    assert states(database) == ["sent"]


def test_a_lease_that_has_run_out_sends_nothing(database: Database) -> None:
    add(database, "a")
    (lease,) = outbox.claim_due(database, NOW, 10, 60)
    with database.reading() as session:
        assert outbox.message(session, lease, NOW + timedelta(seconds=60)) is None


def test_urgent_messages_go_first_and_later_ones_not_yet(database: Database) -> None:
    add(database, "usual")
    add(database, "urgent", priority=1)
    add(database, "tomorrow", due_at=NOW + timedelta(days=1), priority=1)
    keys = {row.id: row.dedupe_key for row in rows(database)}
    assert [keys[lease.id] for lease in outbox.claim_due(database, NOW, 10, 60)] == ["urgent", "usual"]


def test_several_senders_at_once_lease_each_message_once(database: Database) -> None:
    for number in range(200):
        add(database, f"key{number}")
    taken: list[Lease] = []

    def work() -> None:
        while leases := outbox.claim_due(database, NOW, 7, 60):
            taken.extend(leases)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 200 and len({lease.id for lease in taken}) == 200


def test_a_message_is_tried_less_and_less_often_and_given_up_after_four_hours(database: Database) -> None:
    add(database, "a")
    now, waits = NOW, []
    while leases := outbox.claim_due(database, now, 1, 60):
        with database.transaction() as session:
            outbox.mark_retry(session, leases[0], "SMTP 451", now)
        (row,) = rows(database)
        if row.state != "due":
            break
        waits.append((row.due_at - now).total_seconds())
        now = row.due_at
    assert waits[:8] == [5, 10, 20, 40, 80, 160, 300, 300] and max(waits) == 300
    assert states(database) == ["failed"] and timedelta(hours=3, minutes=50) < now - NOW <= timedelta(hours=4)


def test_a_message_whose_sender_keeps_dying_ends_as_failed(database: Database) -> None:
    add(database, "a")
    now = NOW
    while outbox.claim_due(database, now, 1, 600):
        now += timedelta(seconds=600)
    assert states(database) == ["failed"] and now - NOW == timedelta(hours=4)


def test_a_message_that_was_never_tried_is_not_too_old(database: Database) -> None:
    add(database, "a")
    assert len(outbox.claim_due(database, NOW + timedelta(hours=9), 1, 60)) == 1


# What is said


def read(practice: Any, template: str | None = None) -> list[Message | Stale | Later | None]:
    """Lease everything that is due and read it."""
    leases = outbox.claim_due(practice.db, practice.now, 100, 60)
    with practice.db.reading() as session:
        found = [(session.get_one(OutboxMessage, lease.id), lease) for lease in leases]
        return [
            outbox.message(session, lease, practice.now)
            for row, lease in sorted(found, key=lambda pair: pair[0].id)
            if template in (None, row.template)
        ]


def only(practice: Any, template: str | None = None) -> Message:
    (message,) = read(practice, template)
    assert isinstance(message, Message), message
    return message


def clear(practice: Any) -> None:
    with practice.writing() as session:
        session.execute(update(OutboxMessage).values(state="sent"))


def event_of(message: Message) -> Any:
    (event,) = Calendar.from_ical(message.calendar).walk("VEVENT")
    return event


def test_a_booking_is_confirmed_with_an_invitation_and_a_manage_link(
    practice: Any, at: Callable[..., datetime]
) -> None:
    booked = practice.book(at(9))
    message = only(practice)
    assert (message.template, message.channel, message.to) == (
        "appointment_confirmed",
        "email",
        "maria.huber@mail.example",
    )
    assert (message.name, message.clinic, message.doctor) == ("Maria Huber", "Test Practice", "Dr. Lee")
    assert f"{message.times[0].start:%a %H:%M %Z} {message.times[0].end:%H:%M}" == "Mon 09:00 CET 09:20"
    assert message.link == booking.manage_url(practice.db.settings, booked.appointment.id)
    assert message.method == "REQUEST" and "METHOD:REQUEST" in message.calendar
    event = event_of(message)
    assert event["UID"] == f"appt-{booked.appointment.id}@localhost" and event.start == at(9)
    assert message.link in event["DESCRIPTION"]


def test_no_message_names_the_reason_or_the_kind(practice: Any, at: Callable[..., datetime]) -> None:
    practice.book(at(9), kind="xray_review", patient_notes="Allergic to latex")
    said = repr(only(practice)).lower()
    for word in ("knee", "latex", "x-ray", "xray"):
        assert word not in said
    assert "knee" not in str([row.payload for row in rows(practice.db)]).lower()


def test_a_confirmation_is_dropped_when_the_visit_moved_began_or_was_cancelled(
    practice: Any, at: Callable[..., datetime]
) -> None:
    moved, cancelled, _begun = practice.book(at(9)), practice.book(at(10)), practice.book(at(8, day=-3))
    with practice.writing() as session:
        lifecycle.reschedule(session, moved.appointment.id, at(11), actor=SYSTEM, now=practice.now)
        lifecycle.cancel(session, cancelled.appointment.id, actor=SYSTEM, now=practice.now)
    practice.now = at(8, day=-3)
    assert read(practice, "appointment_confirmed") == [Stale("moved"), Stale("status"), Stale("expired")]


def test_a_moved_visit_is_told_with_both_times_and_a_newer_invitation(
    practice: Any, at: Callable[..., datetime]
) -> None:
    booked = practice.book(at(9))
    before = event_of(only(practice)).get("SEQUENCE", 0)
    clear(practice)
    with practice.writing() as session:
        lifecycle.reschedule(session, booked.appointment.id, at(11), actor=SYSTEM, now=practice.now)
    message = only(practice)
    assert message.template == "appointment_changed" and message.was is not None
    assert (message.was, message.times[0].start) == (at(9), at(11))
    assert event_of(message).start == at(11) and event_of(message)["SEQUENCE"] > before


def test_a_cancellation_takes_the_invitation_back(practice: Any, at: Callable[..., datetime]) -> None:
    booked = practice.book(at(9))
    invited = event_of(only(practice))
    clear(practice)
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=SYSTEM, now=practice.now, by="doctor")
    message = only(practice)
    event = event_of(message)
    assert (message.template, message.method, event["STATUS"]) == ("appointment_cancelled", "CANCEL", "CANCELLED")
    assert event["UID"] == invited["UID"] and event["SEQUENCE"] > invited.get("SEQUENCE", 0)


def test_a_cancellation_that_was_taken_back_is_not_told(practice: Any, at: Callable[..., datetime]) -> None:
    booked = practice.book(at(9))
    clear(practice)
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=SYSTEM, now=practice.now)
        lifecycle.change_status(session, booked.appointment.id, "rebook", actor=SYSTEM, now=practice.now)
    assert read(practice, "appointment_cancelled") == [Stale("status")]


def test_what_a_calendar_app_has_just_changed_is_not_told_yet(practice: Any, at: Callable[..., datetime]) -> None:
    booked = practice.book(at(9))
    settles = practice.now + timedelta(seconds=120)
    with practice.writing() as session:
        session.execute(update(Visit).where(Visit.appointment_id == booked.appointment.id).values(settle_at=settles))
    assert read(practice) == [Later(settles + timedelta(seconds=1))]


def test_who_has_no_email_address_is_told_of_changes_by_text_message(
    practice: Any, at: Callable[..., datetime]
) -> None:
    practice.db.settings = practice.db.settings.model_copy(update={"sms_url": "http://127.0.0.1:9/"})
    booked = practice.book(at(9))
    with practice.writing() as session:
        session.execute(update(Patient).values(email=""))
        lifecycle.cancel(session, booked.appointment.id, actor=SYSTEM, now=practice.now)
    message = only(practice, "appointment_cancelled")
    assert (message.channel, message.to, message.calendar) == ("sms", "+4366412345678", "")


def test_who_cannot_be_reached_is_not_written_to(practice: Any, at: Callable[..., datetime]) -> None:
    practice.book(at(9))
    with practice.writing() as session:
        session.execute(update(Patient).values(email="", phone=""))
    assert read(practice) == [Stale("no_address")]


def test_without_a_gateway_text_messages_are_dropped_and_none_has_failed(
    practice: Any, at: Callable[..., datetime]
) -> None:
    booked = practice.book(at(9))
    clear(practice)
    practice.now = at(7)
    with practice.writing() as session:
        reminders.due_to_outbox(session, practice.now)
    assert [isinstance(each, Message) or each for each in read(practice)] == [True, Stale("no_gateway")]
    with practice.writing() as session:
        session.execute(update(Patient).values(email=""))
        lifecycle.cancel(session, booked.appointment.id, actor=SYSTEM, now=practice.now)
    assert read(practice)[-1] == Stale("no_gateway")


def test_a_series_is_confirmed_in_one_message(practice: Any, at: Callable[..., datetime]) -> None:
    practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    message = only(practice)
    assert [f"{time.start:%d %b}" for time in message.times] == ["23 Nov", "30 Nov", "07 Dec", "14 Dec"]
    assert event_of(message)["RRULE"]["COUNT"] == [4]


def test_one_cancelled_visit_of_a_series_is_told_alone(practice: Any, at: Callable[..., datetime]) -> None:
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    clear(practice)
    second = practice.visits(booked)[1]
    with practice.writing() as session:
        lifecycle.cancel(
            session, booked.appointment.id, actor=SYSTEM, now=practice.now, recurrence_id=second.recurrence_id
        )
    message = only(practice)
    event = event_of(message)
    assert len(message.times) == 1 and event["RECURRENCE-ID"].dt == second.start and "RRULE" not in event


def test_a_series_that_is_cancelled_whole_is_told_in_one_message(practice: Any, at: Callable[..., datetime]) -> None:
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    clear(practice)
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=SYSTEM, now=practice.now)
    message = only(practice)
    assert len(message.times) == 4 and event_of(message)["RRULE"]["COUNT"] == [4]


def test_the_rest_of_a_series_is_cancelled_without_repeating_what_was_told(
    practice: Any, at: Callable[..., datetime]
) -> None:
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    cancel = {"actor": SYSTEM, "now": practice.now}
    with practice.writing() as session:
        lifecycle.cancel(
            session, booked.appointment.id, recurrence_id=practice.visits(booked)[1].recurrence_id, **cancel
        )
    clear(practice)
    practice.now += timedelta(hours=1)
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=SYSTEM, now=practice.now)
    assert [f"{time.start:%d %b}" for time in only(practice).times] == ["23 Nov", "07 Dec", "14 Dec"]


def test_a_series_with_gaps_and_moves_is_told_as_it_is(practice: Any, at: Callable[..., datetime]) -> None:
    practice.book(at(9, day=7))
    practice.book(at(9, day=14), name="Paul Huber")
    clear(practice)
    booked = practice.book(at(9), name="Anna Koller", rrule="FREQ=WEEKLY;COUNT=4", on_conflict="move")
    third = practice.visits(booked)[2]
    with practice.writing() as session:
        lifecycle.cancel(
            session, booked.appointment.id, actor=SYSTEM, now=practice.now, recurrence_id=third.recurrence_id
        )
    message = next(each for each in read(practice, "appointment_confirmed") if isinstance(each, Message))
    told = recurring_ical_events.of(Calendar.from_ical(message.calendar)).between(at(0), at(0, day=60))
    kept = [visit.start for visit in practice.visits(booked) if visit.status == "scheduled"]
    assert sorted(event.start for event in told) == kept and len(kept) == 3


def test_a_moved_visit_of_a_series_is_told_alone(practice: Any, at: Callable[..., datetime]) -> None:
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=4")
    clear(practice)
    second = practice.visits(booked)[1]
    with practice.writing() as session:
        lifecycle.reschedule(
            session,
            booked.appointment.id,
            at(10, day=8),
            actor=SYSTEM,
            now=practice.now,
            recurrence_id=second.recurrence_id,
        )
    event = event_of(only(practice))
    assert event["RECURRENCE-ID"].dt == second.start and event.start == at(10, day=8)


def test_whoever_asks_is_sent_the_links_of_their_coming_visits(practice: Any, at: Callable[..., datetime]) -> None:
    first, second = practice.book(at(10)), practice.book(at(9, day=1))
    practice.book(at(11), name="Paul Huber")
    clear(practice)
    with practice.writing() as session:
        patient = accounts.find_or_create_patient(session, "Maria Huber", "maria.huber@mail.example", "", practice.now)
        outbox.add(
            session,
            template="manage_links",
            channel="email",
            dedupe_key="links:1",
            patient_id=patient.id,
            due_at=practice.now,
        )
    message = only(practice)
    settings = practice.db.settings
    assert [link for _time, _doctor, link in message.visits] == [
        booking.manage_url(settings, each.appointment.id) for each in (first, second)
    ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_message_is_not_sent_after_it_has_expired(practice: Any, at: Callable[..., datetime]) -> None:
    practice.book(at(9))
    leases = outbox.claim_due(practice.db, at(9), 10, 60)
    with practice.db.reading() as session:
        assert [outbox.message(session, lease, at(9)) for lease in leases] == [Stale("expired")]
