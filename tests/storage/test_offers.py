"""Offers: when they are told and how long they stand, by hand and by themselves, and what becomes of them."""

import threading
from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from ical.errors import IllegalTransition, OfferExpired, OutsideHours, SlotTaken, TooLate
from storage import (
    appointment_types,
    booking,
    freed,
    hours,
    house_rules,
    lifecycle,
    matches,
    offers,
    resources,
    waitlist,
)
from storage.models import AppointmentType, CalendarObject, Claim, Offer, OutboxMessage, WaitlistEntry
from storage.policy import SYSTEM, Actor
from tasks import waitlist as job
from tests.storage.test_waitlist import (
    PATIENT,
    TODAY,
    accept,
    cancel,
    entry_of,
    fill,
    join,
    offer_of,
    pass_,
    todos,
)

DESK = Actor("account", "receptionist", 99, "desk", via="portal", label="desk")


@pytest.fixture(autouse=True)
def by_day(practice: Any) -> None:
    practice.now += timedelta(hours=9)


def ring(practice: Any) -> int:
    """What the prompt job does, if it is due."""
    if not job.is_freed(practice.db, practice.now):
        return 0
    return job.run_freed(practice.db, practice.db.settings, lambda: practice.now)


def look(practice: Any) -> int:
    return job.run(practice.db, practice.db.settings, lambda: practice.now)


def rules(practice: Any, **values: Any) -> None:
    with practice.writing() as session:
        house_rules.change(session, values, now=practice.now)


def type_(practice: Any, code: str = "consultation", **values: Any) -> None:
    with practice.writing() as session:
        kind = session.get_one(AppointmentType, code)
        for name, value in values.items():
            setattr(kind, name, value)


# The bell


def cancelled(practice: Any, booked: Any, at: Any) -> None:
    cancel(practice, booked)


def moved(practice: Any, booked: Any, at: Any) -> None:
    with practice.writing() as session:
        lifecycle.reschedule(session, booked.appointment.id, at(11), actor=SYSTEM, now=practice.now)


def deleted_on_the_phone(practice: Any, booked: Any, at: Any) -> None:
    practice.delete(practice.object_of(booked).href)
    practice.settle()


def hours_added(practice: Any, booked: Any, at: Any) -> None:
    with practice.writing() as session:
        hours.add_hours(
            session, practice.lee, ["mon"], time(9), time(10), slot=20, actor=SYSTEM, now=practice.now, capacity=1
        )


def for_more_people(practice: Any, booked: Any, at: Any) -> None:
    with practice.writing() as session:
        appointment_types.change(session, "consultation", capacity=2, now=practice.now)


@pytest.mark.parametrize("free", [cancelled, moved, deleted_on_the_phone, hours_added, for_more_people])
def test_whatever_frees_time_rings_and_the_offer_is_made_at_once(
    practice: Any, at: Callable[..., datetime], free: Callable[..., None]
) -> None:
    booked = fill(practice, at)
    entry_id = join(practice, "Peter Stone", practice.lee)
    ring(practice)
    assert entry_of(practice, entry_id).status == "waiting" and not job.is_freed(practice.db, practice.now)
    free(practice, booked[1], at)
    assert ring(practice) == 1
    assert offer_of(practice, entry_id).start in (at(9), at(9, 20))
    assert not job.is_freed(practice.db, practice.now)


LEAVE = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VEVENT\r\nUID:leave-1\r\nDTSTAMP:20261120T080000Z\r\n"
    "DTSTART;VALUE=DATE:20261123\r\nDTEND;VALUE=DATE:20261124\r\nSUMMARY:Away\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


@pytest.mark.parametrize("calendar", ["leave", "appointments", "hours"])
def test_what_blocked_a_day_and_is_gone_rings(practice: Any, at: Callable[..., datetime], calendar: str) -> None:
    text = LEAVE
    if calendar == "hours":
        # A day of hours that is moved elsewhere and back.
        with practice.db.reading() as session:
            found = session.scalars(select(CalendarObject).where(CalendarObject.kind == "hours")).first()
            assert found is not None
            closed, href = found, found.href
        text = closed.served_text
        practice.delete(href, "hours")
    else:
        href = "leave-1.ics"
        practice.put(href, text, calendar)
    entry_id = join(practice, "Peter Stone", practice.lee)
    ring(practice)
    assert entry_of(practice, entry_id).status == "waiting"
    if calendar == "hours":
        practice.put(href, text, "hours")
    else:
        practice.delete(href, calendar)
    assert ring(practice) == 1 and entry_of(practice, entry_id).status == "offered"


def test_a_hold_that_runs_out_rings(practice: Any, at: Callable[..., datetime]) -> None:
    fill(practice, at)
    window = {"time_from": time(10), "time_to": time(10, 20)}
    with practice.writing() as session:
        kind = appointment_types.get(session, "consultation")
        booking.hold(session, practice.lee, at(10), kind, actor=practice.visitor, now=practice.now)
    join(practice, "Peter Stone", practice.lee, **window)
    assert ring(practice) == 0
    practice.now += timedelta(minutes=10)
    assert ring(practice) == 1


def test_a_booking_rings_no_bell(practice: Any, at: Callable[..., datetime]) -> None:
    with practice.writing() as session:
        freed.done(session, freed.read(session)[0])
        kind = appointment_types.get(session, "consultation")
        kept = booking.hold(session, practice.lee, at(9), kind, actor=practice.visitor, now=practice.now)
    with practice.writing() as session:
        from storage import drafts

        new = drafts.NewAppointment(at(9), kind, practice.patient(session))
        booking.book(session, [practice.lee], new, actor=practice.visitor, now=practice.now, ticket=kept.id)
    practice.book(at(9, 20))
    with practice.db.reading() as session:
        assert not freed.rung(session)


def test_a_bell_that_was_not_heard_to_its_end_still_rings(
    practice: Any, at: Callable[..., datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    booked = fill(practice, at)
    join(practice, "Peter Stone", practice.lee)
    ring(practice)
    cancel(practice, booked[1])
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(job, "_offer_one", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        ring(practice)
    assert ring(practice) == 1


def test_one_who_cannot_be_offered_it_does_not_keep_it_from_the_next(
    practice: Any, at: Callable[..., datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    window = {"time_from": time(9), "time_to": time(9, 20)}
    first = join(practice, "Peter Stone", practice.lee, **window)
    practice.now += timedelta(seconds=1)
    second = join(practice, "Paula Stone", practice.lee, **window)
    real = offers.offer

    def broken(session: Any, match: matches.Match, now: datetime) -> Offer | None:
        if match.entry_id == first:
            raise ValueError("something is wrong with this one")
        return real(session, match, now)

    monkeypatch.setattr(offers, "offer", broken)
    assert look(practice) == 1 and entry_of(practice, second).status == "offered"


def test_many_are_served_in_one_pass(practice: Any, at: Callable[..., datetime]) -> None:
    for number in range(24):
        join(practice, f"Peter {number}", practice.lee, time_from=time(8), time_to=time(16))
        practice.now += timedelta(seconds=1)
    assert ring(practice) == 24
    starts = [offer_of(practice, entry.id).start for entry in _entries(practice)]
    assert starts == sorted(starts) and len(set(starts)) == 24


# How long, and by night


def test_the_nearer_the_visit_the_less_time_there_is_to_answer(practice: Any, at: Callable[..., datetime]) -> None:
    practice.now = at(8)
    soon = join(practice, "Peter Stone", practice.lee)
    later = join(practice, "Paula Stone", practice.smith, time_from=time(14), time_to=time(15))
    look(practice)
    assert offer_of(practice, soon).expires_at == at(8, 15)
    assert offer_of(practice, later).expires_at == at(9)


def test_a_type_says_how_long_its_offers_stand(practice: Any, at: Callable[..., datetime]) -> None:
    type_(practice, offer_minutes=45)
    entry_id = join(practice, "Peter Stone", practice.lee)
    look(practice)
    assert offer_of(practice, entry_id).expires_at == practice.now + timedelta(minutes=45)


def test_by_night_the_slot_is_kept_and_told_in_the_morning(practice: Any, at: Callable[..., datetime]) -> None:
    practice.now = at(23, day=-3)
    entry_id = join(practice, "Peter Stone", practice.lee)
    assert look(practice) == 1
    assert offer_of(practice, entry_id).expires_at == at(9, day=-2)
    with practice.db.reading() as session:
        asked = select(OutboxMessage.due_at).where(OutboxMessage.template == "waitlist_offer")
        assert set(session.scalars(asked)) == {at(7, day=-2)}
    assert practice.try_book(at(9), name="Somebody Else") == "slot_taken"


def test_the_practice_sets_its_own_hours_and_times(practice: Any, at: Callable[..., datetime]) -> None:
    rules(practice, offer_quiet_from=None, offer_soon_minutes=30)
    practice.now = at(7)
    entry_id = join(practice, "Peter Stone", practice.lee)
    look(practice)
    assert offer_of(practice, entry_id).expires_at == at(7, 30)


# Left to staff


def test_a_long_visit_that_is_near_is_proposed_to_staff_and_not_offered(
    practice: Any, at: Callable[..., datetime]
) -> None:
    type_(practice, minutes=60)
    practice.now += timedelta(hours=1)
    near = join(practice, "Peter Stone", practice.lee, date_from=TODAY, date_to=TODAY)
    far = join(practice, "Paula Stone", practice.lee, date_from=TODAY + timedelta(3), date_to=TODAY + timedelta(3))
    assert look(practice) == 1 and entry_of(practice, far).status == "offered"
    with practice.db.reading() as session:
        found = matches.matches(session, practice.now, by_hand=True)
    assert found == [matches.Match(near, practice.lee.id, at(9))]
    type_(practice, auto_offer_hours=0)
    assert look(practice) == 1 and entry_of(practice, near).status == "offered"


def test_what_needs_a_room_is_left_to_staff_when_near_and_its_offer_holds_the_room(
    practice: Any, at: Callable[..., datetime]
) -> None:
    with practice.writing() as session:
        resources.add(session, "room-1", "room", "Room 1", now=practice.now)
    type_(practice, resources=[["room-1"]])
    practice.now += timedelta(hours=2)
    entry_id = join(practice, "Peter Stone", practice.lee)
    assert look(practice) == 0
    rules(practice, auto_offer_hours=0)
    assert look(practice) == 1
    with practice.db.reading() as session:
        kept = session.scalars(select(Claim).where(Claim.ticket == offer_of(practice, entry_id).id)).all()
    assert len(kept) == 2 and {claim.kind for claim in kept} == {"offer"}
    accept(practice, entry_id)
    with practice.db.reading() as session:
        assert {claim.kind for claim in session.scalars(select(Claim))} == {"appointment"}


# By hand


def by_hand(practice: Any, entry_id: UUID, start: datetime, doctor: Any = None) -> Offer:
    with practice.writing() as session:
        entry = session.get_one(WaitlistEntry, entry_id)
        return offers.offer_by_hand(session, entry, doctor or practice.lee, start, actor=DESK, now=practice.now)


def test_staff_offer_a_time_of_their_choice(practice: Any, at: Callable[..., datetime]) -> None:
    entry_id = join(practice, "Peter Stone", practice.lee, time_from=time(18), time_to=time(19))
    made = by_hand(practice, entry_id, at(13, 5), practice.smith)
    assert (made.made_by, made.start) == ("desk", at(13, 5))
    assert todos(practice) == {str(entry_id): "IN-PROCESS"} == todos(practice, "smith")
    with pytest.raises(IllegalTransition):
        by_hand(practice, entry_id, at(9))
    appointment = accept(practice, entry_id)
    assert appointment.doctor_id == practice.smith.id
    assert todos(practice) == {str(entry_id): "COMPLETED"} == todos(practice, "smith")


def test_by_hand_too_the_rules_hold(practice: Any, at: Callable[..., datetime]) -> None:
    fill(practice, at)
    entry_id = join(practice, "Peter Stone", practice.lee)
    with pytest.raises(SlotTaken):
        by_hand(practice, entry_id, at(9))
    with pytest.raises(OutsideHours):
        by_hand(practice, entry_id, at(20))
    practice.now = at(9, 57)
    with pytest.raises(TooLate):
        by_hand(practice, entry_id, at(10))
    assert entry_of(practice, entry_id).status == "waiting" and len(practice.claims()) == 3


def test_who_could_take_a_free_time_in_order_and_why_not(practice: Any, at: Callable[..., datetime]) -> None:
    other_day = join(practice, "Day", practice.lee, date_from=TODAY + timedelta(1), date_to=TODAY + timedelta(1))
    other_time = join(practice, "Time", None, time_from=time(11), time_to=time(12))
    practice.now += timedelta(seconds=1)
    suits = join(practice, "Suits", practice.lee)
    urgent = join(practice, "Urgent", None, actor=DESK, urgency="urgent")
    join(practice, "Else", practice.smith, kind="virtual", weekdays=["tue"])
    with practice.db.reading() as session:
        found = matches.candidates(session, practice.lee, at(9), practice.now)
    assert [(each.entry.id, each.against) for each in found][:2] == [(urgent, ()), (suits, ())]
    against = {each.entry.id: each.against for each in found}
    assert against[other_day] == ("day",) and against[other_time] == ("time",)
    assert list(against.values())[-1] == ("doctor", "weekday") and found[0].end == at(9, 20)
    practice.book(at(9))
    with practice.db.reading() as session:
        assert matches.candidates(session, practice.lee, at(9), practice.now) == []


def test_a_time_agreed_on_the_telephone_is_booked_and_the_entry_is_done(
    practice: Any, at: Callable[..., datetime]
) -> None:
    entry_id = join(practice, "Peter Stone", practice.lee)
    look(practice)
    offered = offer_of(practice, entry_id)
    with practice.writing() as session:
        entry = session.get_one(WaitlistEntry, entry_id)
        booked = offers.book(session, entry, practice.lee, at(13), actor=DESK, now=practice.now)
    assert entry_of(practice, entry_id).converted_to == booked.appointment.id
    assert practice.claims() == [(at(13), at(13, 20), 0)]
    with pytest.raises(OfferExpired), practice.writing() as session:
        offers.accept(session, session.get_one(Offer, offered.id), actor=PATIENT, now=practice.now)


def test_the_time_that_is_offered_may_be_booked_on_the_telephone(practice: Any, at: Callable[..., datetime]) -> None:
    entry_id = join(practice, "Peter Stone", practice.lee)
    look(practice)
    with practice.writing() as session:
        entry = session.get_one(WaitlistEntry, entry_id)
        offers.book(session, entry, practice.lee, at(9), actor=DESK, now=practice.now)
    assert offer_of(practice, entry_id).state == "accepted" and len(practice.claims()) == 1


def test_who_may_not_book_online_just_now_is_passed_over(practice: Any, at: Callable[..., datetime]) -> None:
    window = {"time_from": time(9), "time_to": time(9, 20)}
    missed = practice.book(at(8, day=-3) + timedelta(hours=2), name="Peter Stone")
    practice.now += timedelta(hours=3)
    with practice.writing() as session:
        lifecycle.change_status(session, missed.appointment.id, "no-show", actor=SYSTEM, now=practice.now)
    rules(practice, no_show_limit=1, no_show_consequence="pause")
    paused = join(practice, "Peter Stone", practice.lee, **window)
    practice.now += timedelta(seconds=1)
    second = join(practice, "Paula Stone", practice.lee, **window)
    assert ring(practice) == 1
    assert (entry_of(practice, paused).status, entry_of(practice, second).status) == ("waiting", "offered")


# Answers


@pytest.mark.parametrize(("unwanted", "next_"), [("", (9, 20, 0)), ("day", (9, 0, 1))])
def test_a_no_says_what_is_not_wanted(
    practice: Any, at: Callable[..., datetime], unwanted: Any, next_: tuple[int, int, int]
) -> None:
    entry_id = join(practice, "Peter Stone", practice.lee, date_to=TODAY + timedelta(days=2))
    look(practice)
    with practice.writing() as session:
        made = session.get_one(Offer, offer_of(practice, entry_id).id)
        offers.decline(session, made, actor=PATIENT, now=practice.now, unwanted=unwanted)
    practice.now += timedelta(seconds=1)
    assert pass_(practice) == [entry_id]
    hour, minute, day = next_
    assert offer_of(practice, entry_id).start == at(hour, minute, day=day)


def test_a_no_to_a_doctor_leads_to_another_one_or_out(practice: Any, at: Callable[..., datetime]) -> None:
    entry_id = join(practice, "Peter Stone", None, time_to=time(18))
    look(practice)
    with practice.writing() as session:
        made = session.get_one(Offer, offer_of(practice, entry_id).id)
        offers.decline(session, made, actor=PATIENT, now=practice.now, unwanted="doctor")
    practice.now += timedelta(seconds=1)
    assert pass_(practice) == [entry_id] and offer_of(practice, entry_id).doctor_id == practice.smith.id
    with practice.writing() as session:
        made = session.get_one(Offer, offer_of(practice, entry_id).id)
        offers.decline(session, made, actor=PATIENT, now=practice.now, leave=True)
    assert entry_of(practice, entry_id).status == "withdrawn" and practice.claims() == []


# Linked


def test_the_appointment_and_the_entry_name_each_other(practice: Any, at: Callable[..., datetime]) -> None:
    entry_id = join(practice, "Peter Stone", practice.lee)
    look(practice)
    appointment = accept(practice, entry_id)
    with practice.db.reading() as session:
        event = session.get_one(CalendarObject, appointment.object_id)
        todo = session.scalars(select(CalendarObject).where(CalendarObject.kind == "waitlist")).one()
        found = waitlist.of_appointment(session, appointment.id)
    assert found is not None and found.id == entry_id
    assert f"RELATED-TO;RELTYPE=SIBLING:{todo.uid}" in event.stored_text.replace("\r\n ", "")
    assert f"RELATED-TO;RELTYPE=SIBLING:{event.uid}" in todo.stored_text.replace("\r\n ", "")
    assert f"X-CLINICDAV-CONVERTED-TO:{event.uid}" in todo.stored_text.replace("\r\n ", "")


def test_who_books_such_a_time_themselves_is_off_the_list(practice: Any, at: Callable[..., datetime]) -> None:
    booked = fill(practice, at)
    late = {"date_from": TODAY, "date_to": TODAY + timedelta(2), "time_from": time(9), "time_to": time(9, 20)}
    entry_id = join(practice, "Peter Stone", practice.lee, **late)
    practice.now += timedelta(seconds=1)
    kept = join(practice, "Paula Stone", practice.lee)
    practice.now += timedelta(minutes=1)
    mine = practice.book(at(9, day=1), name="Peter Stone")
    practice.book(at(9, day=2), name="Paula Stone")
    cancel(practice, booked[0])
    assert ring(practice) == 1 and entry_of(practice, kept).status == "offered"
    entry = entry_of(practice, entry_id)
    assert (entry.status, entry.converted_to) == ("converted", mine.appointment.id)
    assert todos(practice)[str(entry_id)] == "COMPLETED"


def test_an_offer_is_void_when_its_patient_has_booked(practice: Any, at: Callable[..., datetime]) -> None:
    entry_id = join(practice, "Peter Stone", practice.lee)
    look(practice)
    practice.now += timedelta(minutes=1)
    mine = practice.book(at(9, 20), name="Peter Stone")
    look(practice)
    assert entry_of(practice, entry_id).converted_to == mine.appointment.id
    assert practice.claims() == [(at(9, 20), at(9, 40), 0)]


def test_where_the_practice_says_so_they_stay_on_it(practice: Any, at: Callable[..., datetime]) -> None:
    rules(practice, waitlist_booked="keep")
    entry_id = join(practice, "Peter Stone", practice.lee)
    practice.now += timedelta(minutes=1)
    practice.book(at(9, 40), name="Peter Stone")
    assert look(practice) == 1 and entry_of(practice, entry_id).status == "offered"


def _entries(practice: Any) -> list[WaitlistEntry]:
    with practice.db.reading() as session:
        return waitlist.list_entries(session)


def test_two_offers_across_two_doctors_do_not_wait_for_each_other(practice: Any, at: Callable[..., datetime]) -> None:
    at_lees = join(practice, "Peter Stone", practice.lee, time_to=time(18))
    at_smiths = join(practice, "Paula Stone", practice.smith, time_to=time(18))
    done: list[str] = []

    def cross(entry_id: UUID, doctor: Any, start: datetime) -> None:
        by_hand(practice, entry_id, start, doctor)
        accept(practice, entry_id)
        done.append("booked")

    threads = [
        threading.Thread(target=cross, args=(at_lees, practice.smith, at(13))),
        threading.Thread(target=cross, args=(at_smiths, practice.lee, at(13))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == ["booked", "booked"]
