"""Follow-ups: proposed when a visit is completed, told to the patient, booked with the same doctor first."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from functools import partial

import pytest
from sqlalchemy import select

from ical.errors import IllegalTransition, InvalidInput, Refusal
from storage import accounts, appointment_types, booking, follow_ups, house_rules, lifecycle, outbox, views
from storage.models import CalendarObject, FollowUp, OutboxMessage
from storage.policy import SYSTEM
from tasks import follow_ups as task
from tasks.texts import render

# The SQL here is plain; the race below runs on PostgreSQL as well.
sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def complete(practice, booked, wanted=follow_ups.USUAL, recurrence_id=None) -> None:
    with practice.writing() as session:
        lifecycle.change_status(
            session,
            booked.appointment.id,
            "complete",
            follow_up=wanted,
            recurrence_id=recurrence_id,
            actor=practice.doctor,
            now=practice.now,
        )


def usual(practice, days: int | None = 30) -> None:
    with practice.writing() as session:
        appointment_types.get(session, "consultation").follow_up_days = days


def of(practice, booked) -> list[FollowUp]:
    with practice.db.reading() as session:
        return [row.follow_up for row in follow_ups.listed(session, appointment_id=booked.appointment.id)]


def only(practice, booked) -> FollowUp:
    (found,) = of(practice, booked)
    return found


def book_it(practice, follow_up_id, start, doctor=None):
    with practice.writing() as session:
        found = session.get_one(FollowUp, follow_up_id)
        new = follow_ups.draft(session, found, start)
        return booking.book(session, [doctor or practice.lee], new, actor=practice.doctor, now=practice.now)


@pytest.fixture
def seen(practice, at):
    """Maria was seen on Monday at nine."""
    booked = practice.book(at(9))
    practice.now = at(9, 20)
    return booked


@sqlite
def test_a_type_proposes_its_follow_up_when_a_visit_is_completed(practice, seen):
    usual(practice)
    complete(practice, seen)
    found = only(practice, seen)
    assert (found.due_from, found.due_to) == (date(2026, 12, 23), date(2027, 1, 5))
    assert (found.type_code, found.status, found.doctor_id) == ("follow_up", "proposed", practice.lee.id)
    assert practice.messages()[-1] == "follow_up"


@sqlite
def test_nothing_is_proposed_where_nothing_is_wanted(practice, seen, at):
    complete(practice, seen)
    assert of(practice, seen) == []
    usual(practice)
    other = practice.book(at(9, 40), name="Karl Bauer")
    practice.now = at(10)
    complete(practice, other, None)
    assert of(practice, other) == [] and "follow_up" not in practice.messages()


@sqlite
def test_the_doctor_names_days_type_and_note(practice, seen):
    usual(practice)
    wanted = follow_ups.Wanted(
        due_from=date(2026, 12, 1), due_to=date(2026, 12, 4), type_code="xray_review", note="Bring the old pictures"
    )
    complete(practice, seen, wanted)
    found = only(practice, seen)
    assert (found.due_from, found.due_to) == (date(2026, 12, 1), date(2026, 12, 4))
    assert (found.type_code, found.note) == ("xray_review", "Bring the old pictures")


@sqlite
@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (follow_ups.Wanted(after_days=0), "after_days"),
        (follow_ups.Wanted(after_days=9000), "after_days"),
        (follow_ups.Wanted(note="x"), "after_days"),
        (follow_ups.Wanted(after_days=3, due_from=date(2026, 12, 1)), "after_days"),
        (follow_ups.Wanted(due_from=date(2026, 12, 4), due_to=date(2026, 12, 1)), "due_to"),
        (follow_ups.Wanted(due_from=date(2026, 11, 1), due_to=date(2026, 11, 3)), "due_to"),
        (follow_ups.Wanted(due_to=date(2036, 11, 1)), "due_to"),
        (follow_ups.Wanted(after_days=3, type_code="surgery"), "type"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_visit_stays_open(practice, seen, wanted, field):
    with pytest.raises(InvalidInput) as refused:
        complete(practice, seen, wanted)
    assert refused.value.field == field
    assert practice.visit(seen).status == "scheduled" and of(practice, seen) == []


@sqlite
def test_free_times_are_the_same_doctors_first_then_colleagues_of_the_specialty(practice, seen, at):
    with practice.writing() as session:
        accounts.by_username(session, "smith").specialty = "Orthopaedics"
    complete(practice, seen, follow_ups.Wanted(due_from=date(2026, 11, 30), due_to=date(2026, 12, 1)))

    def free() -> list:
        with practice.db.reading() as session:
            found = session.get_one(FollowUp, only(practice, seen).id)
            return follow_ups.free_times(session, found, practice.now)

    found = free()
    assert {slot.doctor.username for slot in found} == {"lee"}
    assert (found[0].start, found[-1].start) == (at(8, day=7), at(15, 40, day=8))
    with practice.writing() as session:
        accounts.by_username(session, "lee").specialty = "Orthopaedics"
    names = [slot.doctor.username for slot in free()]
    assert names == sorted(names, key=["lee", "smith"].index) and "smith" in names


@sqlite
def test_a_booking_links_parent_and_child_and_closes_it(practice, seen, at):
    complete(practice, seen, follow_ups.Wanted(after_days=7))
    asked = only(practice, seen)
    child = book_it(practice, asked.id, at(10, day=8))
    found = only(practice, seen)
    assert (found.status, found.booked_as) == ("booked", child.appointment.id)
    with practice.db.reading() as session:
        text = session.get_one(CalendarObject, child.appointment.object_id).stored_text
    assert "RELATED-TO;RELTYPE=PARENT:" in text.replace("\r\n ", "")
    with pytest.raises(IllegalTransition):
        book_it(practice, asked.id, at(11, day=8))


@sqlite
def test_any_booking_with_this_parent_closes_the_one_that_fits_best(practice, seen, at):
    complete(practice, seen, follow_ups.Wanted(after_days=7))
    with practice.writing() as session:
        visit = practice.visit(seen)
        later = follow_ups.Wanted(after_days=60, type_code="xray_review")
        follow_ups.propose(session, seen.appointment, visit, later, actor=SYSTEM, now=practice.now)
    practice.book(at(9, day=30), kind="xray_review", parent=seen.appointment.id)
    assert [(each.type_code, each.status) for each in of(practice, seen)] == [
        ("follow_up", "proposed"),
        ("xray_review", "booked"),
    ]


@sqlite
@pytest.mark.parametrize("how", ["cancel", "delete"])
def test_when_the_child_is_cancelled_it_is_open_again(practice, seen, at, how):
    complete(practice, seen, follow_ups.Wanted(after_days=7))
    child = book_it(practice, only(practice, seen).id, at(10, day=8))
    if how == "cancel":
        with practice.writing() as session:
            lifecycle.cancel(session, child.appointment.id, actor=practice.doctor, now=practice.now)
    else:
        practice.delete(practice.object_of(child).href)
        practice.settle()
    assert only(practice, seen).status == "proposed"
    assert book_it(practice, only(practice, seen).id, at(10, day=9))


@sqlite
def test_completed_in_a_calendar_app_the_patient_is_told_after_the_quiet_period(practice, seen):
    usual(practice)
    obj = practice.object_of(seen)
    practice.put(obj.href, obj.served_text.replace("SUMMARY:", "SUMMARY:#done "))
    assert practice.visit(seen).status == "completed"
    assert only(practice, seen).status == "proposed"
    with practice.db.reading() as session:
        due = session.scalar(select(OutboxMessage.due_at).where(OutboxMessage.template == "follow_up"))
    assert due == practice.now + timedelta(seconds=practice.db.settings.quiet_seconds)


@sqlite
def test_a_completion_taken_back_takes_its_follow_up_along(practice, seen):
    usual(practice)
    complete(practice, seen)
    with practice.writing() as session:
        lifecycle.change_status(session, seen.appointment.id, "rebook", actor=practice.doctor, now=practice.now)
    assert only(practice, seen).status == "dismissed"
    with practice.db.reading() as session:
        row = session.scalars(select(OutboxMessage).where(OutboxMessage.template == "follow_up")).one()
    (lease,) = [each for each in outbox.claim_due(practice.db, practice.now, 50, 60) if each.id == row.id]
    with practice.db.reading() as session:
        assert outbox.message(session, lease, practice.now) == outbox.Stale("status")


@sqlite
def test_the_mail_names_doctor_days_and_a_link_and_no_reason(practice, seen):
    complete(practice, seen, follow_ups.Wanted(after_days=7, note="Wound looks bad", type_code="xray_review"))
    with practice.db.reading() as session:
        row = session.scalars(select(OutboxMessage).where(OutboxMessage.template == "follow_up")).one()
        token = follow_ups.url(practice.db.settings, only(practice, seen)).rpartition("/")[2]
        assert follow_ups.by_token(session, token).id == only(practice, seen).id
        assert follow_ups.by_token(session, token[::-1]) is None
    (lease,) = [each for each in outbox.claim_due(practice.db, practice.now, 50, 60) if each.id == row.id]
    with practice.db.reading() as session:
        message = outbox.message(session, lease, practice.now)
    said = render(message)
    assert "Dr. Lee would like to see you again between 30 November and 13 December 2026." in said.text
    assert f"/follow-up/{token}" in said.text
    assert "ound" not in said.text.replace("around", "") and "X-ray" not in said.text


@sqlite
def test_an_overdue_one_is_marked_and_reminded_of_once(practice, seen, at):
    complete(practice, seen, follow_ups.Wanted(due_from=date(2026, 11, 25), due_to=date(2026, 11, 26)))
    now = at(9, day=5)

    def run() -> int:
        return task.run(practice.db, practice.db.settings, lambda: now) if task.is_due(practice.db, now) else -1

    assert (run(), run()) == (1, -1)
    assert only(practice, seen).status == "overdue"
    assert practice.messages().count("follow_up_overdue") == 1
    practice.now = now
    with practice.db.reading() as session:
        found = session.get_one(FollowUp, only(practice, seen).id)
        assert follow_ups.free_times(session, found, now)
    assert book_it(practice, only(practice, seen).id, at(10, day=8))
    assert only(practice, seen).status == "booked"


@sqlite
def test_the_practice_may_want_no_reminder(practice, seen, at):
    complete(practice, seen, follow_ups.Wanted(due_from=date(2026, 11, 25), due_to=date(2026, 11, 26)))
    with practice.writing() as session:
        house_rules.change(session, {"follow_up_reminder": False}, now=practice.now)
    task.run(practice.db, practice.db.settings, lambda: at(9, day=5))
    assert only(practice, seen).status == "overdue" and "follow_up_overdue" not in practice.messages()


@sqlite
def test_a_dismissed_one_is_not_booked_and_a_booked_one_not_dismissed(practice, seen, at):
    complete(practice, seen, follow_ups.Wanted(after_days=7))
    with practice.writing() as session:
        found = session.get_one(FollowUp, only(practice, seen).id)
        for _twice in range(2):
            follow_ups.dismiss(session, found, actor=practice.doctor, now=practice.now)
    with pytest.raises(IllegalTransition):
        book_it(practice, only(practice, seen).id, at(10, day=8))
    with practice.writing() as session:
        session.get_one(FollowUp, only(practice, seen).id).status = "proposed"
    book_it(practice, only(practice, seen).id, at(10, day=8))
    with practice.writing() as session, pytest.raises(IllegalTransition):
        follow_ups.dismiss(session, session.get_one(FollowUp, only(practice, seen).id), actor=SYSTEM, now=practice.now)


def race(practice, clicks) -> list[str]:
    def click(book) -> str:
        try:
            book()
        except Refusal as refusal:
            return refusal.code
        return "booked"

    with ThreadPoolExecutor(len(clicks)) as pool:
        return sorted(pool.map(click, clicks))


def clicks(practice, found, at, **changed):
    """Four clicks on the link, at three different times."""
    with practice.db.reading() as session:
        news = [replace(follow_ups.draft(session, found, at(10, minute, day=8)), **changed) for minute in (0, 20, 40)]

    def book(new) -> None:
        with practice.writing() as session:
            booking.book(session, [practice.lee], new, actor=practice.visitor, now=practice.now)

    return [partial(book, new) for new in (*news, news[0])]


def test_clicks_at_once_book_one_appointment(practice, seen, at):
    complete(practice, seen, follow_ups.Wanted(after_days=7))
    found = only(practice, seen)
    assert race(practice, clicks(practice, found, at)) == ["booked", *["illegal_transition"] * 3]
    # The control: without asking behind the lock whether it is open still, each free time is booked.
    naive = race(practice, clicks(practice, found, at, follow_up=None))
    assert naive.count("booked") == 2 and "slot_taken" in naive


@sqlite
def test_patients_take_their_follow_ups_along(practice, seen):
    complete(practice, seen, follow_ups.Wanted(after_days=7, note="Fasting"))
    with practice.writing() as session:
        exported = views.export_patient(session, practice.patient(session), practice.now)
    assert exported["follow_ups"] == [
        {
            "appointment_type": "follow_up",
            "doctor": "Dr. Lee",
            "due_from": "2026-11-30",
            "due_to": "2026-12-13",
            "note": "Fasting",
            "status": "proposed",
        }
    ]
