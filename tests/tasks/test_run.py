"""The jobs end to end, without a broker: from a booking to the patient's mailbox and telephone."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from icalendar import Calendar
from sqlalchemy import select, text

from storage import appointment_types, leases, lifecycle, waitlist
from storage.db import Database
from storage.models import Claim, OutboxMessage, Visit
from storage.policy import SYSTEM
from storage.settings import Settings
from storage.wanted import Wanted
from tasks import runner
from tasks.runner import JOBS, run_once, tick


def run(practice: Any, *names: str) -> None:
    for name in names or ("reminders", "waitlist", "outbox"):
        run_once(name, practice.db, practice.db.settings, lambda: practice.now)


def subjects(sink: Any) -> list[str]:
    return [mail["Subject"] for mail in sink.messages]


def states(db: Database) -> list[str]:
    with db.reading() as session:
        return list(session.scalars(select(OutboxMessage.state).order_by(OutboxMessage.id)))


def test_a_booking_is_confirmed_remembered_and_done(
    practice: Any, smtp_sink: Any, sms_sink: Any, at: Callable[..., datetime]
) -> None:
    practice.book(at(9))
    run(practice)
    run(practice)
    assert subjects(smtp_sink) == ["Your appointment on Mon 23 Nov, 09:00"]
    assert smtp_sink.recipients == [["maria.huber@mail.example"]]
    (calendar,) = [part for part in smtp_sink.messages[0].walk() if part.get_content_type() == "text/calendar"]
    (event,) = Calendar.from_ical(calendar.get_content()).walk("VEVENT")
    assert event.start == at(9)
    practice.now = at(9, day=-1)
    run(practice)
    practice.now = at(7)
    run(practice)
    practice.now = at(10)
    run(practice)
    assert subjects(smtp_sink)[1:] == ["Reminder: your appointment on Mon 23 Nov, 09:00"]
    (request,) = sms_sink.requests
    body = json.loads(request.body)
    assert body["to"] == "+4366412345678" and "Mon 23 Nov, 09:00" in body["text"]
    assert set(states(practice.db)) == {"sent"}


def test_nothing_that_is_sent_names_the_reason_or_the_kind(
    practice: Any, smtp_sink: Any, sms_sink: Any, at: Callable[..., datetime]
) -> None:
    booked = practice.book(at(9), kind="xray_review", patient_notes="Allergic to latex")
    run(practice)
    with practice.writing() as session:
        lifecycle.set_notes(session, booked.appointment.id, "Suspected fracture", actor=SYSTEM, now=practice.now)
        lifecycle.reschedule(session, booked.appointment.id, at(11), actor=SYSTEM, now=practice.now)
    run(practice)
    practice.now = at(9, 30)
    run(practice)
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=SYSTEM, now=practice.now, reason="Doctor is ill")
    run(practice)
    said = [part.get_content() for mail in smtp_sink.messages for part in mail.walk() if not part.is_multipart()]
    words = " ".join(each if isinstance(each, str) else each.decode() for each in said)
    words += " ".join(request.body.decode() for request in sms_sink.requests)
    assert len(smtp_sink.messages) == 4 and len(sms_sink.requests) == 1
    for word in ("knee", "latex", "x-ray", "xray", "fracture", "is ill"):
        assert word not in words.lower()


def test_a_drag_on_the_phone_is_told_once_after_the_quiet_period(
    practice: Any, smtp_sink: Any, at: Callable[..., datetime]
) -> None:
    booked = practice.book(at(9))
    run(practice)
    obj = practice.object_of(booked)
    for hour in ("10", "11", "13"):
        practice.put(obj.href, obj.served_text.replace("T0900", f"T{hour}00").replace("T0920", f"T{hour}20"))
        practice.now += timedelta(seconds=30)
        run(practice)
    assert len(smtp_sink.messages) == 1
    practice.now += timedelta(seconds=120)
    run(practice)
    run(practice)
    assert subjects(smtp_sink)[1:] == ["Your appointment is now on Mon 23 Nov, 13:00"]


def test_a_deletion_on_the_phone_is_told_and_the_slot_offered(
    practice: Any, smtp_sink: Any, sms_sink: Any, at: Callable[..., datetime]
) -> None:
    practice.now += timedelta(hours=9)
    booked = practice.book(at(9))
    with practice.writing() as session:
        asked = Wanted(
            doctors=[practice.lee],
            kind=appointment_types.get(session, "consultation"),
            date_from=at(9).date(),
            date_to=at(9).date(),
            time_from=time(9),
            time_to=time(9, 20),
        )
        patient = practice.patient(session, "Peter Stone")
        waitlist.join(session, patient, asked, actor=practice.visitor, now=practice.now)
    run(practice)
    practice.delete(practice.object_of(booked).href)
    run(practice)
    assert len(smtp_sink.messages) == 2
    practice.now += timedelta(seconds=121)
    run(practice, "outbox")
    run(practice)
    assert subjects(smtp_sink)[2:] == [
        "Your appointment on Mon 23 Nov, 09:00 is cancelled",
        "A time has become free: Mon 23 Nov, 09:00",
    ]
    assert "/offer/" in json.loads(sms_sink.requests[0].body)["text"]


def test_a_mail_server_that_was_down_gets_everything_afterwards_and_nothing_stale(
    practice: Any, smtp_sink: Any, at: Callable[..., datetime]
) -> None:
    booked = [practice.book(at(9 + number), name=f"Patient {number}") for number in range(5)]
    up = practice.db.settings
    practice.db.settings = up.model_copy(update={"smtp_url": "smtp://127.0.0.1:9"})
    stop = practice.now + timedelta(hours=1)
    while practice.now < stop:
        run(practice)
        practice.now += timedelta(seconds=150)
    assert states(practice.db) == ["due"] * 5 and smtp_sink.messages == []
    with practice.writing() as session:
        lifecycle.cancel(session, booked[0].appointment.id, actor=SYSTEM, now=practice.now)
    practice.db.settings = up
    practice.now += timedelta(minutes=5)
    run(practice)
    assert sorted(subjects(smtp_sink)) == [
        "Your appointment on Mon 23 Nov, 09:00 is cancelled",
        *(f"Your appointment on Mon 23 Nov, {hour}:00" for hour in range(10, 14)),
    ]
    assert states(practice.db).count("dropped") == 1


def test_a_gateway_that_is_down_does_not_hold_up_the_mail(
    practice: Any, smtp_sink: Any, sms_sink: Any, at: Callable[..., datetime]
) -> None:
    for number in range(4):
        practice.book(at(9 + number), name=f"Patient {number}", plan=((60 * 24, "both"),))
    run(practice)
    sms_sink.status = 503
    practice.now = at(12, 30, day=-1)
    run(practice)
    assert len(smtp_sink.messages) == 8
    # The gateway was asked once, not once for each message.
    assert len(sms_sink.requests) == 1
    sms_sink.status = 200
    practice.now += timedelta(seconds=10)
    run(practice)
    assert len({request.headers["idempotency-key"] for request in sms_sink.requests}) == 4
    assert set(states(practice.db)) == {"sent"}


def test_an_address_that_is_refused_is_not_tried_again(
    practice: Any, smtp_sink: Any, at: Callable[..., datetime]
) -> None:
    practice.book(at(9))
    smtp_sink.answer = "554 no"
    run(practice)
    smtp_sink.answer = "250 OK"
    practice.now += timedelta(hours=1)
    run(practice)
    assert smtp_sink.messages == [] and states(practice.db) == ["failed"]


def test_a_fault_in_one_message_does_not_keep_the_others(
    practice: Any, smtp_sink: Any, at: Callable[..., datetime]
) -> None:
    practice.book(at(9))
    practice.book(at(10), name="Paul Huber")
    with practice.writing() as session:
        session.execute(text("UPDATE outbox SET template = 'nonsense' WHERE id = (SELECT min(id) FROM outbox)"))
    run(practice)
    assert subjects(smtp_sink) == ["Your appointment on Mon 23 Nov, 10:00"]
    assert states(practice.db) == ["due", "sent"]


def test_several_workers_at_once_send_each_message_once(
    practice: Any, smtp_sink: Any, at: Callable[..., datetime]
) -> None:
    for number in range(20):
        practice.book(at(8 + number // 3, 20 * (number % 3)), name=f"Patient {number}")
    threads = [threading.Thread(target=run, args=(practice, "outbox")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(smtp_sink.messages) == 20
    assert len({mail["Message-ID"] for mail in smtp_sink.messages}) == 20


def test_a_tick_does_nothing_and_writes_nothing_while_there_is_nothing_to_do(
    database: Database, told: Settings
) -> None:
    now = datetime.fromisoformat("2026-11-20T08:00:00+00:00")
    for name in ("outbox", "reminders", "waitlist"):
        assert tick(name, database, told, lambda: now) is None
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM lease")).scalar_one() == 0


def test_many_clocks_ring_and_one_pass_is_made(
    practice: Any, monkeypatch: pytest.MonkeyPatch, at: Callable[..., datetime]
) -> None:
    practice.book(at(9))
    passes = []
    job = replace(JOBS["outbox"], run=lambda *_: passes.append(1) or 1)
    monkeypatch.setitem(JOBS, "outbox", job)

    def ring() -> None:
        runner.tick("outbox", practice.db, practice.db.settings, lambda: practice.now)

    for _ in range(2):
        threads = [threading.Thread(target=ring) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        practice.now += timedelta(seconds=job.every)
    assert len(passes) == 2


def test_a_lease_written_by_a_clock_that_was_ahead_does_not_stop_the_job(database: Database) -> None:
    now = datetime.fromisoformat("2026-11-20T08:00:00+00:00")
    with database.transaction() as session:
        assert leases.take(session, "outbox", "a", now + timedelta(hours=2), 2)
        assert leases.take(session, "outbox", "b", now, 2)
        assert not leases.take(session, "outbox", "c", now, 2)


def test_long_series_are_extended_as_time_goes_by(practice: Any, at: Callable[..., datetime]) -> None:
    def last() -> datetime:
        with practice.db.reading() as session:
            found = session.execute(text("SELECT max(start) FROM occurrence WHERE kind = 'hours'")).scalar_one()
        return found if isinstance(found, datetime) else datetime.fromisoformat(found + "+00:00")

    before = last()
    practice.now += timedelta(days=100)
    run(practice, "recurrence")
    assert last() - before > timedelta(days=90)


def test_series_that_run_into_each_other_are_still_extended(practice: Any, at: Callable[..., datetime]) -> None:
    """Made open-ended in a calendar app; in the third year it meets another appointment."""
    obj = practice.object_of(practice.book(at(9)))
    practice.put(obj.href, obj.served_text.replace("SUMMARY:", "RRULE:FREQ=WEEKLY\r\nSUMMARY:", 1))
    with practice.db.transaction() as session:
        resource = session.scalars(select(Claim.resource_id)).first()
        far = at(9, day=7 * 110)
        session.add(Claim(resource_id=resource, start=far, end=far + timedelta(minutes=20), kind="appointment"))
    practice.now += timedelta(days=100)
    run(practice, "recurrence")
    with practice.db.reading() as session:
        found = session.scalars(select(Visit).where(Visit.start == at(9, day=7 * 110))).all()
    assert [visit.overbooked for visit in found] == [True]


def test_a_task_that_does_not_exist_is_a_mistake(practice: Any) -> None:
    with pytest.raises(KeyError):
        run(practice, "nonsense")
