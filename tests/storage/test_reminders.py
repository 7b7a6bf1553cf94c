"""Reminders: made with the visit, moved and removed with it, handed over once for each time it has had."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from storage import lifecycle, outbox, reminders
from storage.models import OutboxMessage, Reminder, Visit
from storage.outbox import Stale
from storage.policy import SYSTEM


def planned(practice: Any) -> list[tuple[str, str, datetime]]:
    """(type, channel, due) of what is still to come."""
    with practice.db.reading() as session:
        chosen = select(Reminder).where(Reminder.sent_at.is_(None)).order_by(Reminder.due_at, Reminder.channel)
        return [(row.reminder_type, row.channel, row.due_at) for row in session.scalars(chosen)]


def pass_(practice: Any) -> list[tuple[str, datetime]]:
    """One pass at practice.now: (channel, start of the visit) of each reminder that the outbox got by it."""
    with practice.writing() as session:
        before = set(session.scalars(select(OutboxMessage.id)))
        reminders.due_to_outbox(session, practice.now)
        rows = session.scalars(select(OutboxMessage).where(OutboxMessage.template == "appointment_reminder"))
        return [
            (row.channel, datetime.fromisoformat(row.payload["start"]))
            for row in sorted(rows, key=lambda row: row.id)
            if row.id not in before
        ]


def test_a_booking_is_remembered_a_day_and_two_hours_before(practice: Any, at: Callable[..., datetime]) -> None:
    practice.book(at(9))
    assert planned(practice) == [("24h", "email", at(9, day=-1)), ("2h", "sms", at(7))]


def test_only_what_is_still_to_come_is_planned(practice: Any, at: Callable[..., datetime]) -> None:
    practice.now = at(8)
    practice.book(at(15))
    assert planned(practice) == [("2h", "sms", at(13))]
    practice.book(at(9))
    assert len(planned(practice)) == 1


def test_own_reminders_by_both_channels(practice: Any, at: Callable[..., datetime]) -> None:
    practice.book(at(9), plan=((60, "both"), (2880, "email")))
    assert planned(practice) == [
        ("custom", "email", at(9, day=-2)),
        ("custom", "email", at(8)),
        ("custom", "sms", at(8)),
    ]


def test_a_patients_own_wish_wins_over_the_usual_reminders(practice: Any, at: Callable[..., datetime]) -> None:
    with practice.writing() as session:
        practice.patient(session).reminders = {"plan": [{"minutes": 30, "channel": "sms"}]}
    practice.book(at(9))
    assert planned(practice) == [("custom", "sms", at(8, 30))]


def test_every_visit_of_a_series_has_its_reminders(practice: Any, at: Callable[..., datetime]) -> None:
    practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    assert [due for _type, channel, due in planned(practice) if channel == "sms"] == [
        at(7),
        at(7, day=7),
        at(7, day=14),
    ]


def test_reminders_move_with_the_visit(practice: Any, at: Callable[..., datetime]) -> None:
    booked = practice.book(at(9))
    with practice.writing() as session:
        lifecycle.reschedule(session, booked.appointment.id, at(11, day=1), actor=SYSTEM, now=practice.now)
    assert planned(practice) == [("24h", "email", at(11)), ("2h", "sms", at(9, day=1))]


def test_reminders_vanish_with_the_visit(practice: Any, at: Callable[..., datetime]) -> None:
    booked = practice.book(at(9))
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=SYSTEM, now=practice.now)
    assert planned(practice) == []
    practice.now = at(8)
    assert pass_(practice) == []


def test_each_reminder_is_handed_over_once(practice: Any, at: Callable[..., datetime]) -> None:
    practice.book(at(9))
    practice.now = at(9, day=-1) - timedelta(seconds=1)
    assert pass_(practice) == []
    practice.now = at(9, day=-1)
    assert pass_(practice) == [("email", at(9))]
    assert pass_(practice) == []
    practice.now = at(7, 1)
    assert pass_(practice) == [("sms", at(9))]
    practice.now = at(8, 59)
    assert pass_(practice) == []


def test_a_moved_visit_is_remembered_again_for_its_new_time(practice: Any, at: Callable[..., datetime]) -> None:
    booked = practice.book(at(9))
    practice.now = at(9, day=-1)
    assert pass_(practice) == [("email", at(9))]
    with practice.writing() as session:
        lifecycle.reschedule(session, booked.appointment.id, at(11, day=2), actor=SYSTEM, now=practice.now)
    practice.now = at(11, day=1)
    assert pass_(practice) == [("email", at(11, day=2))]


def test_a_visit_that_moved_and_came_back_is_not_remembered_twice(practice: Any, at: Callable[..., datetime]) -> None:
    booked = practice.book(at(9))
    practice.now = at(9, day=-1)
    assert pass_(practice) == [("email", at(9))]
    for start in (at(11), at(9)):
        with practice.writing() as session:
            lifecycle.reschedule(session, booked.appointment.id, start, actor=SYSTEM, now=practice.now)
    assert pass_(practice) == []
    practice.now = at(7)
    assert pass_(practice) == [("sms", at(9))]


def test_a_clock_that_jumps_back_sends_nothing_again(practice: Any, at: Callable[..., datetime]) -> None:
    practice.book(at(9))
    practice.now = at(7)
    assert len(pass_(practice)) == 2
    for hours in (1, 2, 30, 0):
        practice.now = at(7) - timedelta(hours=hours)
        assert pass_(practice) == []


def test_a_reminder_waits_while_a_calendar_apps_edit_rests(practice: Any, at: Callable[..., datetime]) -> None:
    booked = practice.book(at(9))
    practice.now = at(7)
    with practice.writing() as session:
        session.execute(update(Visit).values(settle_at=practice.now + timedelta(seconds=120)))
    assert pass_(practice) == []
    with practice.writing() as session:
        session.execute(update(Visit).values(settle_at=None))
    assert [channel for channel, _start in pass_(practice)] == ["email", "sms"]
    assert booked is not None


def test_a_visit_deleted_on_the_phone_is_not_remembered(practice: Any, at: Callable[..., datetime]) -> None:
    booked = practice.book(at(9))
    practice.now = at(6, 59)
    practice.delete(practice.object_of(booked).href)
    practice.now = at(7)
    assert pass_(practice) == []
    practice.settle()
    assert pass_(practice) == [] and planned(practice) == []


def test_nothing_is_remembered_once_the_visit_has_begun(practice: Any, at: Callable[..., datetime]) -> None:
    practice.book(at(9))
    practice.now = at(9)
    assert pass_(practice) == [] and planned(practice) == []


def test_a_reminder_that_was_delayed_past_the_start_is_dropped(practice: Any, at: Callable[..., datetime]) -> None:
    practice.book(at(9))
    with practice.writing() as session:
        session.execute(update(OutboxMessage).values(state="sent"))
    practice.now = at(7)
    assert len(pass_(practice)) == 2
    leases = outbox.claim_due(practice.db, at(9), 10, 60)
    with practice.db.reading() as session:
        assert [outbox.message(session, lease, at(9)) for lease in leases] == [Stale("expired")] * 2


def test_when_a_reminder_left_is_known(practice: Any, at: Callable[..., datetime]) -> None:
    booked = practice.book(at(9))
    with practice.writing() as session:
        session.execute(update(OutboxMessage).values(state="sent"))
    practice.now = at(7)
    pass_(practice)
    for lease in outbox.claim_due(practice.db, at(7), 10, 60):
        with practice.writing() as session:
            outbox.mark_sent(session, lease, at(7, 1))
    with practice.db.reading() as session:
        sent = session.scalars(select(Reminder.sent_at).where(Reminder.appointment_id == booked.appointment.id))
        assert list(sent) == [at(7, 1), at(7, 1)]
