"""Requests end to end: what the patient is mailed, from asking to the answer, or to the end of waiting."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import select

from storage import appointment_types, bulk, house_rules, requests
from storage.models import ChangeRequest
from storage.policy import Actor
from tasks.runner import run_once


def run(practice: Any) -> None:
    for name in ("requests", "outbox"):
        run_once(name, practice.db, practice.db.settings, lambda: practice.now)


def to_patient(sink: Any) -> list[str]:
    who = zip(sink.messages, sink.recipients, strict=True)
    return [mail["Subject"] for mail, to in who if to == ["maria.huber@mail.example"]]


def text_of(sink: Any, subject: str) -> str:
    [mail] = [each for each in sink.messages if each["Subject"] == subject]
    return str(mail.get_body(("plain",)).get_content())


def change_type(practice: Any, **values: Any) -> None:
    with practice.writing() as session:
        appointment_types.change(session, "consultation", now=practice.now, **values)


def test_a_booking_waits_is_approved_and_only_then_in_the_patients_calendar(
    practice: Any, smtp_sink: Any, at: Callable[..., datetime]
) -> None:
    change_type(practice, approval=True)
    practice.book(at(9))
    run(practice)
    assert to_patient(smtp_sink) == ["We have your request: Mon 23 Nov, 09:00"]
    assert not any(part.get_content_type() == "text/calendar" for part in smtp_sink.messages[0].walk())
    with practice.writing() as session:
        [request] = session.scalars(select(ChangeRequest.id))
        requests.approve(session, request, actor=practice.doctor, now=practice.now)
    run(practice)
    assert to_patient(smtp_sink)[1:] == ["Your appointment on Mon 23 Nov, 09:00"]
    assert any(part.get_content_type() == "text/calendar" for part in smtp_sink.messages[-1].walk())


def test_a_late_move_that_is_rejected_says_why(practice: Any, smtp_sink: Any, at: Callable[..., datetime]) -> None:
    change_type(practice, cutoff_minutes=24 * 60)
    with practice.writing() as session:
        house_rules.change(session, {"late_changes": "asked"}, now=practice.now)
    booked = practice.book(at(9))
    practice.now = at(15, day=-1)
    with practice.writing() as session:
        link = Actor("link", label="patient", link_to=booked.appointment.id)
        request = requests.reschedule(session, booked.appointment.id, at(10), actor=link, now=practice.now)
        assert request is not None
    run(practice)
    with practice.writing() as session:
        requests.reject(session, request.id, actor=practice.doctor, now=practice.now, answer="All is full then.")
    run(practice)
    subject = "We cannot do what you asked: Mon 23 Nov, 10:00"
    assert to_patient(smtp_sink)[-1] == subject
    said = text_of(smtp_sink, subject)
    assert "All is full then." in said and "stays as it was" in said and "10:00 to 10:20" in said


def test_a_request_that_lapses_is_told(practice: Any, smtp_sink: Any, at: Callable[..., datetime]) -> None:
    change_type(practice, approval=True)
    booked = practice.book(at(9))
    practice.now = at(7)
    run(practice)
    assert to_patient(smtp_sink)[-1] == "Your request could not be answered: Mon 23 Nov, 09:00"
    assert practice.visit(booked).status == "cancelled_doctor"


def test_who_is_asked_to_choose_and_does_not_is_cancelled(
    practice: Any, smtp_sink: Any, at: Callable[..., datetime]
) -> None:
    booked = practice.book(at(9))
    plan = bulk.Plan(practice.lee, at(8), at(18), "offer_new_times", message="Dr. Lee is ill.")
    with practice.writing() as session:
        token = bulk.preview(session, plan, actor=practice.doctor, now=practice.now).token
    with practice.writing() as session:
        bulk.carry_out(session, plan, token, actor=practice.doctor, now=practice.now)
    run(practice)
    subject = "Please choose another time for Mon 23 Nov, 09:00"
    assert to_patient(smtp_sink)[-1] == subject
    assert "Dr. Lee is ill." in text_of(smtp_sink, subject)
    practice.now = at(0, day=-1)
    run(practice)
    assert to_patient(smtp_sink)[-1] == "Your appointment on Mon 23 Nov, 09:00 is cancelled"
    assert practice.visit(booked).status == "cancelled_doctor"
