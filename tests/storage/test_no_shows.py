"""No-shows: staff are asked after the day, what follows holds for patients who book themselves, and staff waive it."""

from datetime import timedelta

import pytest

from ical.errors import BookingPaused, InvalidInput
from storage import accounts, appointment_types, attendance, audit, booking, drafts, house_rules, lifecycle, no_shows
from storage.models import Audit, ChangeRequest, Notice, OutboxMessage, Visit
from storage.policy import SYSTEM, Actor
from tasks import no_shows as task


@pytest.fixture
def maria(practice):
    with practice.writing() as session:
        return practice.patient(session)


def patient(maria) -> Actor:
    return Actor("account", "patient", 99, "maria", maria.id, "portal", "patient")


def rules(practice, **values) -> None:
    with practice.writing() as session:
        house_rules.change(session, values, now=practice.now)


def miss(practice, start, **more) -> None:
    booked = practice.book(start, **more)
    practice.now = start + timedelta(hours=1)
    with practice.writing() as session:
        lifecycle.change_status(session, booked.appointment.id, "no-show", actor=SYSTEM, now=practice.now)


def book(practice, start, actor, name="Maria Huber"):
    with practice.writing() as session:
        kind = appointment_types.get(session, "consultation")
        new = drafts.NewAppointment(start, kind, practice.patient(session, name))
        return booking.book(session, [practice.lee], new, actor=actor, now=practice.now)


def test_a_paused_patient_is_refused_with_the_day_on_which_it_ends(practice, at, maria) -> None:
    rules(
        practice,
        no_show_limit=2,
        no_show_consequence="pause",
        no_show_pause_days=10,
        no_show_call="01 234",
        no_show_note="We are sorry.",
    )
    miss(practice, at(9))
    book(practice, at(9, day=3), patient(maria))
    miss(practice, at(10))
    with pytest.raises(BookingPaused) as refused:
        book(practice, at(10, day=3), patient(maria))
    assert refused.value.sentence == (
        "You have missed 2 appointments: you cannot book online until Thursday, 3 December 2026."
        " Please call us 01 234. We are sorry."
    )
    # Staff book for them, and another patient is not concerned.
    book(practice, at(10, day=3), practice.doctor)
    book(practice, at(11, day=3), patient(maria), name="Hans Gruber")
    # It ends by itself, and before that by staff's word.
    with practice.writing() as session:
        no_shows.waive(session, maria, "  Was in  hospital ", actor=practice.doctor, now=practice.now)
    book(practice, at(12, day=3), patient(maria))


def test_a_visitor_cannot_tell_that_somebody_is_paused(practice, at, maria) -> None:
    rules(practice, no_show_limit=1, no_show_consequence="pause")
    miss(practice, at(9))
    known = book(practice, at(10, day=3), practice.visitor)
    unknown = book(practice, at(11, day=3), practice.visitor, name="Hans Gruber")
    assert known.request is None and unknown.request is None
    assert practice.visit(known).status == practice.visit(unknown).status == "scheduled"
    with practice.db.reading() as session:
        looks = [notice.appointment_id for notice in session.query(Notice) if notice.text == no_shows.LOOK]
        assert looks == [known.appointment.id]
        said = {m.appointment_id: m.payload.get("missed", False) for m in session.query(OutboxMessage) if m.template == "appointment_confirmed"}  # fmt: skip
    assert said[known.appointment.id] and not said[unknown.appointment.id]


def test_staff_confirm_what_a_patient_books_who_has_missed_too_many(practice, at, maria) -> None:
    rules(practice, no_show_limit=1, no_show_consequence="confirm")
    miss(practice, at(9))
    asked = book(practice, at(10, day=3), patient(maria))
    assert asked.request is not None
    with practice.db.reading() as session:
        assert session.query(ChangeRequest).count() == 1


@pytest.mark.parametrize("consequence", ["warn", "prepay"])
def test_a_warning_is_said_and_the_booking_stands(practice, at, maria, consequence) -> None:
    rules(practice, no_show_limit=1, no_show_consequence=consequence, no_show_note="Bring 50 euros.")
    miss(practice, at(9))
    booked = book(practice, at(10, day=3), patient(maria))
    assert booked.request is None
    with practice.db.reading() as session:
        found = no_shows.standing(session, maria.id, practice.now)
        assert found.consequence == consequence
        assert no_shows.said(session, found).endswith("Bring 50 euros.")


def test_waiving_needs_a_reason_and_is_audited_without_it(practice, at, maria) -> None:
    rules(practice, no_show_limit=1)
    miss(practice, at(9))
    with practice.writing() as session, pytest.raises(InvalidInput):
        no_shows.waive(session, maria, "  ", actor=practice.doctor, now=practice.now)
    with practice.writing() as session:
        no_shows.waive(session, maria, "Child was ill", actor=practice.doctor, now=practice.now)
    with practice.db.reading() as session:
        assert no_shows.standing(session, maria.id, practice.now).missed == 0
        row = session.query(Audit).filter_by(action="no_show.waived").one()
        assert (row.actor, "ill" in str(row.detail)) == ("lee", False)
        assert audit.first_broken(session) is None
    # What is missed afterwards counts again.
    miss(practice, at(9, day=1))
    with practice.db.reading() as session:
        assert no_shows.standing(session, maria.id, practice.now).missed == 1


def test_staff_are_asked_once_the_day_is_over_and_nothing_is_marked(practice, at) -> None:
    missed, came = practice.book(at(9)), practice.book(at(10), name="Hans Gruber")
    practice.book(at(9, day=1), name="Eva Klein")
    with practice.writing() as session:
        lifecycle.change_status(session, came.appointment.id, "arrive", actor=SYSTEM, now=at(10))
    practice.now = at(23, 59)
    assert not task.is_due(practice.db, practice.now)
    practice.now = at(0, 1, day=1)
    assert task.is_due(practice.db, practice.now)
    assert task.run(practice.db, practice.db.settings, lambda: practice.now) == 1
    assert task.run(practice.db, practice.db.settings, lambda: practice.now) == 0
    assert practice.visit(missed).status == "scheduled"
    with practice.db.reading() as session:
        assert session.query(Notice).filter_by(account_id=practice.lee.id, page=attendance.PAGE).count() == 1
        rows = attendance.proposed(session, accounts.doctors(session), practice.now)
        assert [row.appointment.id for row in rows] == [missed.appointment.id]
    with practice.writing() as session:
        attendance.decide(session, missed.appointment.id, "", "took_place", actor=practice.doctor, now=practice.now)
    assert practice.visit(missed).status == "completed"


def test_where_the_house_rules_say_so_they_are_marked(practice, at) -> None:
    rules(practice, no_show_marking="mark")
    booked = practice.book(at(9))
    practice.now = at(0, 1, day=1)
    assert task.is_due(practice.db, practice.now)
    assert task.run(practice.db, practice.db.settings, lambda: practice.now) == 1
    assert practice.visit(booked).status == "no_show"
    assert not task.is_due(practice.db, practice.now)


def test_the_day_is_over_where_the_doctor_is(practice, at) -> None:
    with practice.writing() as session:
        session.get(type(practice.smith), practice.smith.id).timezone = "America/New_York"
        practice.smith.timezone = "America/New_York"
    with practice.writing() as session:
        kind = appointment_types.get(session, "consultation")
        new = drafts.NewAppointment(at(13), kind, practice.patient(session), overrule="there")
        booked = booking.book(session, [practice.smith], new, actor=SYSTEM, now=practice.now)
    assert not task.is_due(practice.db, at(0, 1, day=1))
    assert task.is_due(practice.db, at(6, 1, day=1))
    with practice.db.reading() as session:
        assert session.query(Visit).filter_by(appointment_id=booked.appointment.id).one().asked_at is None
