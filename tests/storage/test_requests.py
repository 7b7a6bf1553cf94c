"""What patients may do themselves, what they must ask for, and what becomes of it."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from ical.errors import CutOffPassed, NeedsApproval, Refusal, RequestClosed, SlotTaken
from storage import (
    appointment_types,
    appointments,
    booking,
    drafts,
    house_rules,
    lifecycle,
    pending,
    requests,
    resources,
    undo,
)
from storage.models import Audit, ChangeRequest, Claim, Notice
from storage.policy import Actor


@pytest.fixture
def strict(practice):
    """Changes by patients until a day before; cancelling until an hour before."""
    with practice.writing() as session:
        appointment_types.change(
            session, "consultation", now=practice.now, cutoff_minutes=24 * 60, cutoff_cancel_minutes=60
        )
    return practice


@pytest.fixture
def asking(strict):
    """Late changes may be asked for."""
    with strict.writing() as session:
        house_rules.change(session, {"late_changes": "asked"}, now=strict.now)
    return strict


@pytest.fixture
def approving(practice):
    """Every consultation that a patient books or moves needs approval."""
    with practice.writing() as session:
        appointment_types.change(session, "consultation", now=practice.now, approval=True)
    return practice


def link(booked):
    return Actor("link", via="portal", label="patient", link_to=booked.appointment.id)


def cancel(practice, booked, **more):
    with practice.writing() as session:
        return requests.cancel(session, booked.appointment.id, actor=link(booked), now=practice.now, **more)


def move(practice, booked, start, **more):
    with practice.writing() as session:
        return requests.reschedule(session, booked.appointment.id, start, actor=link(booked), now=practice.now, **more)


def decide(practice, verb, request=None, **more):
    with practice.writing() as session:
        found = request or session.scalar(select(ChangeRequest).where(ChangeRequest.state == "open"))
        return getattr(requests, verb)(session, found.id, actor=practice.doctor, now=practice.now, **more)


def states(practice):
    with practice.db.reading() as session:
        asked = select(ChangeRequest.kind, ChangeRequest.state).order_by(ChangeRequest.asked_at, ChangeRequest.state)
        return [tuple(row) for row in session.execute(asked)]


def kinds_of_claims(practice):
    with practice.db.reading() as session:
        return sorted(session.execute(select(Claim.kind, Claim.start)).all())


# Cut-offs


def test_moving_and_cancelling_end_at_different_times(strict, at):
    booked = strict.book(at(9))
    strict.now = at(8, 59, day=-1)
    assert move(strict, booked, at(10)) is None
    booked = strict.book(at(9), name="Karl Bauer")
    strict.now = at(9, 1, day=-1)
    with pytest.raises(CutOffPassed):
        move(strict, booked, at(11))
    assert cancel(strict, booked) is None
    assert strict.visit(booked).status == "cancelled_patient"


@pytest.mark.parametrize("who", ["link", "account", "visitor"])
def test_the_cut_off_holds_for_every_way_a_patient_comes(strict, at, who):
    booked = strict.book(at(9))
    actor = (
        Actor("account", "patient", 99, patient_id=booked.appointment.patient_id) if who == "account" else Actor(who)
    )
    strict.now = at(8, 30)
    with pytest.raises(CutOffPassed), strict.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=actor, now=strict.now)
    with pytest.raises(CutOffPassed), strict.writing() as session:
        lifecycle.reschedule(session, booked.appointment.id, at(10), actor=actor, now=strict.now)


def test_staff_have_no_cut_off(strict, at):
    booked = strict.book(at(9))
    strict.now = at(8, 59)
    with strict.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=strict.doctor, now=strict.now)


def test_what_has_begun_cannot_even_be_asked_for(asking, at):
    booked = asking.book(at(9))
    asking.now = at(9)
    with pytest.raises(CutOffPassed):
        cancel(asking, booked)


# Late changes that are asked for


def test_a_late_move_keeps_both_times_until_it_is_approved(asking, at):
    booked = asking.book(at(9))
    asking.now = at(15, day=-1)
    request = move(asking, booked, at(10))
    assert (request.kind, request.state) == ("reschedule", "open")
    assert asking.visit(booked).start == at(9)
    assert kinds_of_claims(asking) == [("appointment", at(9)), ("request", at(10))]
    assert asking.try_book(at(10), name="Karl Bauer") == asking.try_book(at(9), name="Karl Bauer") == "slot_taken"
    decide(asking, "approve")
    assert asking.visit(booked).start == at(10)
    assert asking.claims() == [(at(10), at(10, 20), 0)]
    assert asking.messages() == ["appointment_confirmed", "request_received", "staff_notice", "appointment_changed"]
    assert states(asking) == [("reschedule", "approved")]


def test_a_rejected_move_leaves_everything_as_it_was(asking, at):
    booked = asking.book(at(9))
    asking.now = at(15, day=-1)
    move(asking, booked, at(10))
    request = decide(asking, "reject", answer="We are short of people.")
    assert (request.state, request.answer) == ("rejected", "We are short of people.")
    assert asking.claims() == [(at(9), at(9, 20), 0)]
    assert asking.messages()[-1] == "request_rejected"
    assert asking.try_book(at(10), name="Karl Bauer") == "booked"


def test_a_late_cancellation_takes_place_when_it_is_approved(asking, at):
    booked = asking.book(at(9))
    asking.now = at(8, 10)
    assert cancel(asking, booked, reason="Ill").kind == "cancel"
    assert asking.visit(booked).status == "scheduled"
    decide(asking, "approve")
    visit = asking.visit(booked)
    assert (visit.status, visit.cancellation_reason) == ("cancelled_patient", "Ill")
    assert asking.claims() == []


def test_a_move_may_overlap_what_the_visit_holds_already(asking, at):
    with asking.writing() as session:
        appointment_types.create(session, "long", now=asking.now, name="Long", minutes=40, cutoff_minutes=24 * 60)
    booked = asking.book(at(9), kind="long")
    asking.now = at(15, day=-1)
    move(asking, booked, at(9, 20))
    assert kinds_of_claims(asking) == [("appointment", at(9)), ("request", at(9, 40))]
    decide(asking, "approve")
    assert asking.claims() == [(at(9, 20), at(10), 0)]


def test_a_taken_time_cannot_be_asked_for(asking, at):
    booked = asking.book(at(9))
    asking.book(at(10), name="Karl Bauer")
    asking.now = at(15, day=-1)
    with pytest.raises(SlotTaken):
        move(asking, booked, at(10))
    assert states(asking) == []


def test_whoever_asks_again_takes_back_what_they_asked_before(asking, at):
    booked = asking.book(at(9))
    asking.now = at(15, day=-1)
    move(asking, booked, at(10))
    asking.now += timedelta(minutes=1)
    move(asking, booked, at(10))
    assert states(asking) == [("reschedule", "withdrawn"), ("reschedule", "open")]
    decide(asking, "withdraw")
    assert kinds_of_claims(asking) == [("appointment", at(9))]


def test_a_request_that_nobody_answers_lapses_before_the_start(asking, at):
    booked = asking.book(at(9))
    asking.now = at(9, day=-1) + timedelta(minutes=1)
    request = move(asking, booked, at(11))
    assert request.expires_at == at(7)
    asking.now = at(7)
    with pytest.raises(RequestClosed):
        decide(asking, "approve", request)
    with asking.writing() as session:
        assert requests.due(session, asking.now) == [request.id]
        requests.lapse(session, request.id, asking.now)
        requests.lapse(session, request.id, asking.now)
    assert states(asking) == [("reschedule", "lapsed")]
    assert asking.visit(booked).status == "scheduled"
    assert asking.messages()[-1] == "request_lapsed"
    assert kinds_of_claims(asking) == [("appointment", at(9))]


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_a_request_is_answered_once(asking, at, verb):
    booked = asking.book(at(9))
    asking.now = at(8, 10)
    request = cancel(asking, booked)
    decide(asking, "approve")
    with pytest.raises(RequestClosed):
        decide(asking, verb, request)


def test_what_happens_meanwhile_answers_the_request(asking, at):
    booked = asking.book(at(9))
    asking.now = at(15, day=-1)
    move(asking, booked, at(10))
    with asking.writing() as session:
        lifecycle.reschedule(session, booked.appointment.id, at(11), actor=asking.doctor, now=asking.now)
    assert states(asking) == [("reschedule", "withdrawn")]
    assert asking.claims() == [(at(11), at(11, 20), 0)]


@pytest.mark.parametrize("where", ["page", "calendar"])
def test_staff_who_move_it_there_themselves_have_approved(asking, at, where):
    booked = asking.book(at(9))
    asking.now = at(15, day=-1)
    move(asking, booked, at(10))
    if where == "page":
        with asking.writing() as session:
            lifecycle.reschedule(session, booked.appointment.id, at(10), actor=asking.doctor, now=asking.now)
    else:
        obj = asking.object_of(booked)
        asking.put(obj.href, obj.served_text.replace("T090000", "T100000").replace("T092000", "T102000"))
        asking.settle()
    visit = asking.visit(booked)
    assert (visit.start, visit.overbooked) == (at(10), False)
    assert asking.claims() == [(at(10), at(10, 20), 0)]
    assert states(asking) == [("reschedule", "approved")]


# Approval


def test_a_booking_that_needs_approval_holds_its_minutes_and_says_that_it_waits(approving, at):
    booked = approving.book(at(9))
    assert approving.visit(booked).status == "scheduled"
    assert "STATUS:TENTATIVE" in approving.object_of(booked).stored_text
    assert approving.try_book(at(9), name="Karl Bauer") == "slot_taken"
    assert approving.messages()[:2] == ["request_received", "staff_notice"]
    with approving.db.reading() as session:
        assert pending.awaits_approval(session, booked.appointment)
        assert session.scalar(select(Notice.page)) == requests.PAGE
    with pytest.raises(NeedsApproval), approving.writing() as session:
        lifecycle.change_status(session, booked.appointment.id, "confirm", actor=link(booked), now=approving.now)


def test_what_staff_book_needs_no_approval(approving, at):
    with approving.writing() as session:
        new = drafts.NewAppointment(
            at(9), appointment_types.get(session, "consultation"), approving.patient(session), reason="Knee pain"
        )
        booking.book(session, [approving.lee], new, actor=approving.doctor, now=approving.now)
    assert approving.messages() == ["appointment_confirmed"]


@pytest.mark.parametrize("how", ["request", "status", "calendar"])
def test_a_booking_is_approved_by_answer_by_step_or_in_the_calendar(approving, at, how):
    booked = approving.book(at(9))
    if how == "request":
        decide(approving, "approve")
    elif how == "status":
        with approving.writing() as session:
            lifecycle.change_status(
                session, booked.appointment.id, "confirm", actor=approving.doctor, now=approving.now
            )
    else:
        obj = approving.object_of(booked)
        approving.put(obj.href, obj.served_text.replace("SUMMARY:", "SUMMARY:#confirm "))
    assert approving.visit(booked).status == "confirmed"
    assert states(approving) == [("book", "approved")]
    assert approving.messages()[-1] == "appointment_confirmed"


def test_a_rejected_booking_frees_its_minutes_and_is_told_once(approving, at):
    booked = approving.book(at(9))
    decide(approving, "reject", answer="Please see your family doctor first.")
    assert approving.visit(booked).status == "cancelled_doctor"
    assert approving.claims() == []
    assert approving.messages() == ["request_received", "staff_notice", "request_rejected"]
    assert states(approving) == [("book", "rejected")]


def test_a_booking_that_the_doctor_deletes_in_the_calendar_is_rejected(approving, at):
    booked = approving.book(at(9))
    approving.delete(approving.object_of(booked).href)
    approving.settle()
    assert states(approving) == [("book", "rejected")]
    assert approving.messages()[-1] == "request_rejected"


def test_a_booking_that_the_doctor_moves_in_the_calendar_is_approved_there(approving, at):
    booked = approving.book(at(9))
    obj = approving.object_of(booked)
    approving.put(obj.href, obj.served_text.replace("T090000", "T110000").replace("T092000", "T112000"))
    approving.settle()
    assert states(approving) == [("book", "approved")]
    assert approving.messages()[-1] == "appointment_confirmed"


def test_a_patient_takes_back_a_booking_that_waits_even_late(approving, at):
    with approving.writing() as session:
        appointment_types.change(session, "consultation", now=approving.now, cutoff_minutes=7 * 24 * 60)
    booked = approving.book(at(9))
    assert cancel(approving, booked) is None
    assert approving.visit(booked).status == "cancelled_patient"
    assert states(approving) == [("book", "withdrawn")]


def test_a_booking_that_nobody_approves_lapses_and_is_told(approving, at):
    booked = approving.book(at(9))
    approving.now = at(7)
    with approving.writing() as session:
        for request_id in requests.due(session, approving.now):
            requests.lapse(session, request_id, approving.now)
    assert approving.visit(booked).status == "cancelled_doctor"
    assert approving.messages()[-1] == "request_lapsed"


def test_a_series_is_approved_as_a_whole(approving, at):
    booked = approving.book(at(9), rrule="FREQ=WEEKLY;COUNT=3")
    assert len(states(approving)) == 1
    decide(approving, "approve")
    assert [visit.status for visit in approving.visits(booked)] == ["confirmed"] * 3
    assert approving.messages()[-1] == "appointment_confirmed"


def test_moving_what_needs_approval_needs_it_again(approving, at):
    booked = approving.book(at(9))
    decide(approving, "approve")
    assert move(approving, booked, at(10)).kind == "reschedule"
    decide(approving, "approve")
    assert approving.visit(booked).start == at(10)


# Staff set rules aside


def test_staff_move_over_the_rules_with_a_reason(practice, at):
    booked = practice.book(at(9))
    practice.book(at(10), name="Karl Bauer")
    with pytest.raises(SlotTaken), practice.writing() as session:
        lifecycle.reschedule(session, booked.appointment.id, at(10), actor=practice.doctor, now=practice.now)
    with practice.writing() as session:
        lifecycle.reschedule(
            session,
            booked.appointment.id,
            at(10),
            actor=practice.doctor,
            now=practice.now,
            overrule=True,
            reason="Emergency",
        )
    visit = practice.visit(booked)
    assert (visit.start, visit.overbooked) == (at(10), True)
    with practice.db.reading() as session:
        view = appointments.details(session, booked.appointment.id)
        audit = session.scalar(select(Audit).where(Audit.action == "appointment.overruled"))
    assert view is not None and audit is not None
    assert view.history[-1].reason == "Emergency"
    assert audit.detail["rules"] == ["slot_taken"]


def test_every_request_and_answer_is_in_the_audit(asking, at):
    booked = asking.book(at(9))
    asking.now = at(8, 10)
    cancel(asking, booked)
    decide(asking, "reject")
    with asking.db.reading() as session:
        found = session.scalars(select(Audit.action).where(Audit.action.like("request.%")).order_by(Audit.id)).all()
    assert found == ["request.asked", "request.rejected"]


# Two at once


def at_once(*steps):
    """Each in a thread of its own, all let go at the same moment. Returns what each came to."""
    gate, came_to = threading.Barrier(len(steps)), {}

    def go(number, step):
        gate.wait()
        try:
            step()
            came_to[number] = "done"
        except Refusal as refusal:
            came_to[number] = refusal.code

    threads = [threading.Thread(target=go, args=pair) for pair in enumerate(steps)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [came_to[number] for number in range(len(steps))]


def test_two_who_answer_at_once_answer_once(asking, at):
    for week in range(4):
        booked = asking.book(at(9, day=7 * week))
        asking.now = at(15, day=7 * week - 1)
        request = move(asking, booked, at(10, day=7 * week))
        came_to = at_once(
            lambda request=request: decide(asking, "approve", request),
            lambda request=request: decide(asking, "reject", request),
            lambda request=request: decide(asking, "withdraw", request),
        )
        assert sorted(came_to) == ["done", "request_closed", "request_closed"]
        moved = came_to[0] == "done"
        assert asking.visit(booked).start == at(10 if moved else 9, day=7 * week)
        assert len(asking.claims()) == week + 1


def test_two_who_answer_without_the_lock_both_believe_that_they_did(asking, at):
    """What the test above would see if an answer were checked and then written."""
    booked = asking.book(at(9))
    asking.now = at(15, day=-1)
    request = move(asking, booked, at(10))
    seen, answered = threading.Barrier(2), []

    def naive(state):
        with asking.db.reading() as session:
            still_open = session.get_one(ChangeRequest, request.id).state == "open"
        seen.wait()
        if still_open:
            with asking.writing() as session:
                session.execute(update(ChangeRequest).values(state=state))
            answered.append(state)

    at_once(lambda: naive("approved"), lambda: naive("rejected"))
    assert sorted(answered) == ["approved", "rejected"]


def test_a_time_that_is_asked_for_is_never_booked_twice(asking, at):
    for week in range(4):
        booked = asking.book(at(9, day=7 * week))
        asking.now = at(15, day=7 * week - 1)
        wanted = at(10, day=7 * week)
        came_to = at_once(
            lambda booked=booked, wanted=wanted: move(asking, booked, wanted),
            lambda wanted=wanted: asking.book(wanted, name="Karl Bauer"),
        )
        assert sorted(came_to) == ["done", "slot_taken"]


# With a room


def test_a_move_that_is_asked_for_keeps_a_room_as_well(asking, at):
    with asking.writing() as session:
        rooms = [resources.add(session, name, "room", name, now=asking.now) for name in ("room-1", "room-2")]
        appointment_types.get(session, "consultation").resources = [[each.account.username for each in rooms]]
    booked = asking.book(at(9))
    asking.now = at(15, day=-1)
    move(asking, booked, at(10))
    assert [kind for kind, _start in kinds_of_claims(asking)] == ["appointment"] * 2 + ["request"] * 2
    decide(asking, "approve")
    assert kinds_of_claims(asking) == [("appointment", at(10))] * 2
    with asking.writing() as session:
        undo.undo(session, booked.appointment.id, actor=asking.doctor, now=asking.now)
    assert kinds_of_claims(asking) == [("appointment", at(9))] * 2
