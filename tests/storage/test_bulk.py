"""All visits of a doctor who falls ill, at once, after a preview."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from ical.errors import InvalidInput, PlanChanged
from storage import appointment_types, appointments, booking, bulk, drafts, lifecycle, outbox, requests
from storage.models import Appointment, Audit, BulkAction, ChangeRequest, Visit
from storage.policy import Actor
from tests.storage.conftest import at as wall_time

START = wall_time(8)
EARLY = START - timedelta(days=30)


@pytest.fixture
def afternoon(practice, at):
    """Three visits of lee on Monday: one while smith works not yet, two while smith works; smith is booked at 13:00."""
    booked = [practice.book(at(hour), name=name) for hour, name in ((9, "Anna A"), (13, "Berta B"), (14, "Carla C"))]
    with practice.writing() as session:
        new = drafts.NewAppointment(at(13), appointment_types.get(session, "consultation"), practice.patient(session))
        booking.book(session, [practice.smith], new, actor=practice.visitor, now=practice.now)
    return booked


def plan_of(practice, at, action="move_to", **more):
    plan = bulk.Plan(practice.lee, at(8), at(18), action, message="Dr. Lee is ill today.")
    return replace(plan, to_doctor=practice.smith if action == "move_to" else None, **more)


def look(practice, plan):
    with practice.writing() as session:
        return bulk.preview(session, plan, actor=practice.doctor, now=practice.now)


def carry_out(practice, plan, token):
    with practice.writing() as session:
        return bulk.carry_out(session, plan, token, actor=practice.doctor, now=practice.now)


def everything(practice):
    """What a preview must leave alone."""
    with practice.db.reading() as session:
        visits = session.execute(select(Visit.appointment_id, Visit.start, Visit.status).order_by(Visit.start)).all()
        doctors = session.execute(select(Appointment.id, Appointment.doctor_id, Appointment.version)).all()
        return (
            visits,
            sorted(doctors),
            practice.claims(),
            practice.messages(),
            session.scalar(select(func.count(Audit.id))),
        )


def test_a_preview_says_what_would_happen_and_changes_nothing(practice, at, afternoon):
    before = everything(practice)
    found = look(practice, plan_of(practice, at))
    assert [(each.patient, each.outcome, each.new_start) for each in found.items] == [
        ("Anna A", "moved", at(12)),
        ("Berta B", "moved", at(12, 40)),
        ("Carla C", "moved", at(14)),
    ]
    assert everything(practice) == before


def test_visits_go_to_the_colleague_at_the_same_time_or_the_nearest(practice, at, afternoon):
    plan = plan_of(practice, at)
    carry_out(practice, plan, look(practice, plan).token)
    with practice.db.reading() as session:
        views = [appointments.details(session, each.appointment.id) for each in afternoon]
        done = session.scalar(select(BulkAction))
        audit = session.scalar(select(Audit).where(Audit.action == "bulk.move_to"))
    assert [(view.doctor.username, view.start) for view in views] == [
        ("smith", at(12)),
        ("smith", at(12, 40)),
        ("smith", at(14)),
    ]
    assert done is not None and (done.message, done.by) == ("Dr. Lee is ill today.", "lee")
    assert audit is not None and audit.detail["moved"] == 3
    assert practice.messages().count("appointment_changed") == 3
    assert practice.try_book(at(9)) == "booked"


def test_the_words_of_the_practice_are_in_the_mail(practice, at, afternoon):
    plan = plan_of(practice, at)
    carry_out(practice, plan, look(practice, plan).token)
    leases = outbox.claim_due(practice.db, practice.now, 100, 60)
    with practice.writing() as session:
        messages = [outbox.message(session, lease, practice.now) for lease in leases]
    changed = [each for each in messages if getattr(each, "template", "") == "appointment_changed"]
    assert len(changed) == 3
    assert all(each.text == "Dr. Lee is ill today." and each.handed_over for each in changed)


def test_what_was_previewed_is_done_or_nothing(practice, at, afternoon):
    plan = plan_of(practice, at)
    token = look(practice, plan).token
    with practice.writing() as session:
        lifecycle.cancel(session, afternoon[0].appointment.id, actor=practice.doctor, now=practice.now)
    before = everything(practice)
    with pytest.raises(PlanChanged):
        carry_out(practice, plan, token)
    assert everything(practice) == before


def test_it_is_done_once(practice, at, afternoon):
    plan = plan_of(practice, at, "cancel")
    token = look(practice, plan).token
    carry_out(practice, plan, token)
    with pytest.raises(PlanChanged):
        carry_out(practice, plan, token)
    assert practice.messages().count("appointment_cancelled") == 3


@pytest.mark.parametrize("otherwise,outcome", [("keep", "kept"), ("cancel", "cancelled"), ("offer_new_times", "asked")])
def test_what_cannot_be_moved_says_why_and_is_dealt_with_as_asked(practice, at, otherwise, outcome):
    practice.book(at(9, day=1))
    with practice.writing() as session:
        practice.smith = session.merge(practice.smith)
        practice.smith.daily_maximum = 0
    plan = replace(plan_of(practice, at, otherwise=otherwise), start=at(8, day=1), end=at(18, day=1))
    [item] = look(practice, plan).items
    assert (item.outcome, item.why.code) == (outcome, "outside_hours")


def test_an_occurrence_of_a_series_stays_with_its_doctor(practice, at):
    practice.book(at(13), rrule="FREQ=WEEKLY;COUNT=3")
    [item] = look(practice, plan_of(practice, at)).items
    assert (item.outcome, item.why.field) == ("kept", "doctor")


def test_cancelled_visits_tell_the_patient_why(practice, at, afternoon):
    plan = plan_of(practice, at, "cancel")
    carry_out(practice, plan, look(practice, plan).token)
    visit = practice.visit(afternoon[0])
    assert (visit.status, visit.cancellation_reason) == ("cancelled_doctor", "Dr. Lee is ill today.")


# Another time by choice of the patient


@pytest.fixture
def choosing(practice, at, afternoon):
    plan = plan_of(practice, at, "offer_new_times")
    carry_out(practice, plan, look(practice, plan).token)
    return practice


def test_who_is_asked_to_choose_keeps_the_appointment_meanwhile(choosing, at, afternoon):
    assert choosing.messages().count("choose_another") == 3
    assert choosing.visit(afternoon[0]).status == "scheduled"
    with choosing.db.reading() as session:
        found = session.scalars(select(ChangeRequest).order_by(ChangeRequest.old_start)).all()
    assert {each.kind for each in found} == {"choose"}
    assert found[0].expires_at == choosing.now + timedelta(hours=48)


def test_who_chooses_moves_at_once_and_is_done(choosing, at, afternoon):
    chosen = afternoon[0].appointment.id
    with choosing.writing() as session:
        actor = Actor("link", label="patient", link_to=chosen)
        requests.reschedule(session, chosen, at(13, 20), doctor=choosing.smith, actor=actor, now=choosing.now)
    with choosing.db.reading() as session:
        states = session.execute(select(ChangeRequest.state).where(ChangeRequest.appointment_id == chosen)).all()
        view = appointments.details(session, chosen)
    assert states == [("approved",)]
    assert view is not None and (view.doctor.username, view.start) == ("smith", at(13, 20))


def test_who_does_not_choose_is_cancelled_at_the_deadline_and_told(choosing, at, afternoon):
    choosing.now += timedelta(hours=48)
    with choosing.writing() as session:
        for request_id in requests.due(session, choosing.now):
            requests.lapse(session, request_id, choosing.now)
    assert [choosing.visit(each).status for each in afternoon] == ["cancelled_doctor"] * 3
    assert choosing.messages().count("appointment_cancelled") == 3


# Limits


def test_too_many_are_refused_with_a_sentence(practice, at, afternoon, monkeypatch):
    monkeypatch.setattr(bulk, "MOST", 2)
    with pytest.raises(InvalidInput, match="At most 2 are changed at once"):
        look(practice, plan_of(practice, at, "cancel"))


@pytest.mark.parametrize(
    "field,more",
    [
        ("to_doctor", {"to_doctor": None}),
        ("to", {"end": START - timedelta(hours=1)}),
        ("deadline", {"deadline": EARLY}),
    ],
)
def test_a_plan_that_makes_no_sense_names_the_field(practice, at, field, more):
    plan = replace(plan_of(practice, at), **more)
    with pytest.raises(InvalidInput) as caught:
        look(practice, plan)
    assert caught.value.field == field
