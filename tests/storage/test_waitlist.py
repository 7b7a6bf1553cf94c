"""The waitlist: in order, one patient at a time, real claims that end, and a task list that is in step."""

import threading
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from icalendar import Calendar
from sqlalchemy import event, select

from ical.errors import IllegalTransition, InvalidInput, OfferExpired, Refusal, SlotTaken
from storage import (
    appointment_types,
    booking,
    claims,
    collections,
    drafts,
    lifecycle,
    matches,
    offers,
    served,
    waitlist,
)
from storage.models import Account, Appointment, CalendarObject, Claim, Offer, OutboxMessage, WaitlistEntry
from storage.policy import SYSTEM, Actor
from storage.wanted import Wanted

TODAY = date(2026, 11, 23)
PATIENT = Actor("link", via="link", label="patient")


@pytest.fixture(autouse=True)
def by_day(practice: Any) -> None:
    """The clock of the tests, in working hours: in the night nobody is told of anything."""
    practice.now += timedelta(hours=9)


def fill(practice: Any, at: Callable[..., datetime], day: int = 0) -> list[booking.Booked]:
    """Book every slot of lee's from 9 to 10."""
    return [practice.book(at(9, minute, day=day), name=f"Early {minute}") for minute in (0, 20, 40)]


def join(practice: Any, name: str, doctor: Account | None = None, **more: Any) -> UUID:
    values = {"date_from": TODAY, "date_to": TODAY, "time_from": time(9), "time_to": time(10), **more}
    doctors = values.pop("doctors", [] if doctor is None else [doctor])
    actor = values.pop("actor", practice.visitor)
    with practice.writing() as session:
        kind = appointment_types.get(session, values.pop("kind", "consultation"))
        asked = Wanted(doctors=doctors, kind=kind, reason="Back pain", **values)
        return waitlist.join(session, practice.patient(session, name), asked, actor=actor, now=practice.now).id


def pass_(practice: Any) -> list[UUID]:
    """One pass of the waitlist job: the entries that got an offer."""
    with practice.db.reading() as session:
        over = offers.over(session, practice.now)
    for entry_id in over:
        with practice.writing() as session:
            offers.expire(session, entry_id, practice.now)
    with practice.db.reading() as session:
        found = matches.matches(session, practice.now)
    made = []
    for match in found:
        with practice.writing() as session:
            if offers.offer(session, match, practice.now) is not None:
                made.append(match.entry_id)
    return made


def cancel(practice: Any, booked: booking.Booked) -> None:
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=SYSTEM, now=practice.now)


def entry_of(practice: Any, entry_id: UUID) -> WaitlistEntry:
    with practice.db.reading() as session:
        return session.get_one(WaitlistEntry, entry_id)


def offer_of(practice: Any, entry_id: UUID) -> Offer:
    with practice.db.reading() as session:
        chosen = select(Offer).where(Offer.entry_id == entry_id).order_by(Offer.created_at.desc())
        found = session.scalars(chosen).first()
        assert found is not None
        return found


def accept(practice: Any, entry_id: UUID, now: datetime | None = None) -> Appointment:
    token = offers.offer_token(practice.db.settings, offer_of(practice, entry_id).id)
    with practice.writing() as session:
        offer = offers.by_token(session, token)
        assert offer is not None
        return offers.accept(session, offer, actor=PATIENT, now=now or practice.now)


def todos(practice: Any, username: str = "lee") -> dict[str, Any]:
    """The doctor's task list as a calendar app sees it: STATUS by UID."""
    with practice.db.reading() as session:
        collection = collections.find(session, username, "waitlist")
        rows = served.members(session, collection.id, text=True)
    found = [Calendar.from_ical(row.text).walk("VTODO")[0] for row in rows]
    return {str(todo["UID"]).removeprefix("wait-").partition("@")[0]: str(todo["STATUS"]) for todo in found}


def messages(practice: Any, template: str) -> int:
    with practice.db.reading() as session:
        return len(session.scalars(select(OutboxMessage).where(OutboxMessage.template == template)).all())


# Joining


def test_who_joins_is_told_and_stands_in_the_doctors_task_list(practice: Any) -> None:
    entry_id = join(practice, "Peter Stone", practice.lee)
    assert entry_of(practice, entry_id).status == "waiting"
    assert messages(practice, "waitlist_joined") == 1
    assert todos(practice) == {str(entry_id): "NEEDS-ACTION"} and todos(practice, "smith") == {}


@pytest.mark.parametrize(
    "field,values",
    [
        ("date_to", {"date_to": TODAY - timedelta(days=1)}),
        ("date_to", {"date_from": date(2026, 11, 1), "date_to": date(2026, 11, 2)}),
        ("date_to", {"date_to": TODAY + timedelta(days=500)}),
        ("time_to", {"time_from": time(10), "time_to": time(10)}),
        ("weekdays", {"weekdays": ["someday"]}),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_wish_that_cannot_come_true_is_refused(practice: Any, field: str, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        join(practice, "Peter Stone", practice.lee, **values)
    assert refused.value.field == field


# Offers


def test_a_freed_slot_goes_to_whoever_has_waited_longest(practice: Any, at: Callable[..., datetime]) -> None:
    booked = fill(practice, at)
    first = join(practice, "Peter Stone", practice.lee)
    practice.now += timedelta(seconds=1)
    second = join(practice, "Paula Stone", practice.lee)
    assert pass_(practice) == []
    cancel(practice, booked[1])
    assert pass_(practice) == [first]
    offer = offer_of(practice, first)
    assert (offer.start, offer.end, offer.state) == (at(9, 20), at(9, 40), "open")
    assert offer.expires_at == practice.now + timedelta(minutes=120)
    assert entry_of(practice, second).status == "waiting"
    assert pass_(practice) == []
    assert messages(practice, "waitlist_offer") == 2
    assert todos(practice) == {str(first): "IN-PROCESS", str(second): "NEEDS-ACTION"}


def test_an_offered_slot_is_nobody_elses(practice: Any, at: Callable[..., datetime]) -> None:
    booked = fill(practice, at)
    join(practice, "Peter Stone", practice.lee)
    cancel(practice, booked[1])
    pass_(practice)
    assert practice.try_book(at(9, 20), name="Somebody Else") == "slot_taken"


def test_an_accepted_offer_becomes_an_appointment_once(practice: Any, at: Callable[..., datetime]) -> None:
    booked = fill(practice, at)
    entry_id = join(practice, "Peter Stone", practice.lee)
    cancel(practice, booked[1])
    pass_(practice)
    appointment = accept(practice, entry_id)
    assert accept(practice, entry_id).id == appointment.id
    assert accept(practice, entry_id, practice.now + timedelta(days=1)).id == appointment.id
    entry = entry_of(practice, entry_id)
    assert (entry.status, entry.converted_to) == ("converted", appointment.id)
    assert (at(9, 20), at(9, 40), 0) in practice.claims() and len(practice.claims()) == 3
    assert todos(practice) == {str(entry_id): "COMPLETED"}
    assert messages(practice, "appointment_confirmed") == 4
    with practice.db.reading() as session:
        obj = session.get_one(CalendarObject, session.get_one(Appointment, appointment.id).object_id)
        assert "Back pain" in obj.stored_text
        assert all(claim.kind == "appointment" for claim in session.scalars(select(Claim)))


def test_a_late_click_is_too_late_to_the_microsecond(practice: Any, at: Callable[..., datetime]) -> None:
    booked = fill(practice, at)
    entry_id = join(practice, "Peter Stone", practice.lee)
    cancel(practice, booked[1])
    pass_(practice)
    expires_at = offer_of(practice, entry_id).expires_at
    with pytest.raises(OfferExpired):
        accept(practice, entry_id, expires_at)
    accept(practice, entry_id, expires_at - timedelta(microseconds=1))


def test_an_unanswered_offer_goes_to_the_next_and_its_patient_waits_on(
    practice: Any, at: Callable[..., datetime]
) -> None:
    booked = fill(practice, at)
    first = join(practice, "Peter Stone", practice.lee)
    practice.now += timedelta(seconds=1)
    second = join(practice, "Paula Stone", practice.lee)
    cancel(practice, booked[1])
    pass_(practice)
    practice.now = offer_of(practice, first).expires_at
    assert pass_(practice) == [second]
    assert entry_of(practice, first).status == "waiting" and offer_of(practice, first).state == "expired"
    with pytest.raises(OfferExpired):
        accept(practice, first)
    cancel(practice, booked[2])
    assert pass_(practice) == [first]
    assert offer_of(practice, first).start == at(9, 40)


def test_a_declined_slot_is_not_offered_again_to_the_same_patient(practice: Any, at: Callable[..., datetime]) -> None:
    booked = fill(practice, at)
    first = join(practice, "Peter Stone", practice.lee)
    practice.now += timedelta(seconds=1)
    second = join(practice, "Paula Stone", practice.lee)
    cancel(practice, booked[1])
    pass_(practice)
    with practice.writing() as session:
        offer = session.get_one(Offer, offer_of(practice, first).id)
        offers.decline(session, offer, actor=PATIENT, now=practice.now)
        offers.decline(session, offer, actor=PATIENT, now=practice.now)
        with pytest.raises(OfferExpired):
            offers.accept(session, offer, actor=PATIENT, now=practice.now)
    assert pass_(practice) == [second]
    accept(practice, second)
    assert pass_(practice) == [] and entry_of(practice, first).status == "waiting"


def test_what_was_accepted_cannot_be_declined(practice: Any, at: Callable[..., datetime]) -> None:
    entry_id = join(practice, "Peter Stone", practice.lee)
    pass_(practice)
    accept(practice, entry_id)
    with practice.writing() as session, pytest.raises(IllegalTransition):
        offers.decline(
            session, session.get_one(Offer, offer_of(practice, entry_id).id), actor=PATIENT, now=practice.now
        )


def test_who_leaves_gives_the_offered_slot_back(practice: Any, at: Callable[..., datetime]) -> None:
    booked = fill(practice, at)
    entry_id = join(practice, "Peter Stone", practice.lee)
    cancel(practice, booked[1])
    pass_(practice)
    with practice.writing() as session:
        entry = session.get_one(WaitlistEntry, entry_id)
        waitlist.withdraw(session, entry, actor=PATIENT, now=practice.now)
        waitlist.withdraw(session, entry, actor=PATIENT, now=practice.now)
    with pytest.raises(OfferExpired):
        accept(practice, entry_id)
    assert todos(practice) == {str(entry_id): "CANCELLED"}
    assert practice.try_book(at(9, 20), name="Somebody Else") == "booked"


def test_any_doctor_means_whoever_is_free_first(practice: Any, at: Callable[..., datetime]) -> None:
    fill(practice, at)
    entry_id = join(practice, "Peter Stone", None, time_from=time(9), time_to=time(18), weekdays=["mon"])
    assert todos(practice) == todos(practice, "smith") == {}
    assert pass_(practice) == [entry_id]
    offer = offer_of(practice, entry_id)
    assert (offer.start, offer.doctor_id) == (at(10), practice.lee.id)
    assert todos(practice) == {str(entry_id): "IN-PROCESS"}
    practice.now = offer.expires_at
    with practice.writing() as session:
        offers.expire(session, entry_id, practice.now)
    assert todos(practice) == {}
    assert pass_(practice) == [entry_id] and todos(practice) == {str(entry_id): "IN-PROCESS"}


def test_only_the_wished_days_and_hours_count(practice: Any, at: Callable[..., datetime]) -> None:
    entry_id = join(
        practice,
        "Peter Stone",
        practice.lee,
        date_to=TODAY + timedelta(days=6),
        weekdays=["wed"],
        time_from=time(15, 30),
        time_to=time(16),
    )
    assert pass_(practice) == [entry_id]
    assert offer_of(practice, entry_id).start == at(15, 40, day=2)


def test_an_offer_ends_before_the_visit_begins_and_a_hasty_one_is_not_made(
    practice: Any, at: Callable[..., datetime]
) -> None:
    practice.now = at(9, 10)
    entry_id = join(practice, "Peter Stone", practice.lee, time_from=time(9, 20), time_to=time(9, 40))
    assert pass_(practice) == [entry_id] and offer_of(practice, entry_id).expires_at == at(9, 20)
    practice.now = at(9, 16)
    join(practice, "Paula Stone", practice.smith, time_from=time(9), time_to=time(10))
    hasty = join(practice, "Anna Stone", practice.lee, time_from=time(9, 20), time_to=time(9, 40))
    practice.now = at(9, 20)
    assert pass_(practice) == [] and entry_of(practice, hasty).status == "waiting"


def test_an_entry_whose_days_are_past_ends(practice: Any, at: Callable[..., datetime]) -> None:
    fill(practice, at)
    entry_id = join(practice, "Peter Stone", practice.lee)
    practice.now = at(12, day=2)
    assert pass_(practice) == []
    assert entry_of(practice, entry_id).status == "expired" and todos(practice) == {str(entry_id): "CANCELLED"}


def test_leave_that_came_after_the_offer_is_respected(practice: Any, at: Callable[..., datetime]) -> None:
    entry_id = join(practice, "Peter Stone", practice.lee)
    pass_(practice)
    text = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VEVENT\r\nUID:leave-1\r\nDTSTAMP:20261120T080000Z\r\n"
        "DTSTART;VALUE=DATE:20261123\r\nDTEND;VALUE=DATE:20261124\r\nSUMMARY:Away\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    practice.put("leave-1.ics", text, "leave")
    with pytest.raises(Refusal) as refused:
        accept(practice, entry_id)
    assert refused.value.code == "on_leave" and entry_of(practice, entry_id).status == "offered"


def test_a_doctor_ticks_an_entry_off_or_deletes_it_on_the_phone(practice: Any, at: Callable[..., datetime]) -> None:
    ticked, deleted = join(practice, "Peter Stone", practice.lee), join(practice, "Paula Stone", practice.lee)
    with practice.db.reading() as session:
        collection = collections.find(session, "lee", "waitlist")
        texts = {row.href: row.text for row in served.members(session, collection.id, text=True)}
    for href, text in texts.items():
        if str(ticked) in href:
            practice.put(href, text.replace("NEEDS-ACTION", "COMPLETED"), "waitlist")
        else:
            practice.delete(href, "waitlist")
    assert {entry_of(practice, each).status for each in (ticked, deleted)} == {"withdrawn"}
    assert todos(practice) == {str(ticked): "CANCELLED"}
    assert pass_(practice) == []


def test_a_wrong_token_is_no_offer(practice: Any) -> None:
    with practice.db.reading() as session:
        assert offers.by_token(session, "x" * 46) is None
        assert offers.by_token(session, "") is None


# Races


def test_many_clicks_on_one_offer_make_one_appointment(practice: Any, at: Callable[..., datetime]) -> None:
    entry_id = join(practice, "Peter Stone", practice.lee)
    pass_(practice)
    found: list[UUID] = []
    threads = [threading.Thread(target=lambda: found.append(accept(practice, entry_id).id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1 and len(practice.claims()) == 1


def test_acceptance_expiry_and_booking_at_the_same_moment_have_one_winner(
    practice: Any, at: Callable[..., datetime]
) -> None:
    """At the instant of expiry somebody accepts, the job runs and others try to book the slot."""
    for day in range(5):
        entry_id = join(
            practice,
            f"Peter {day}",
            practice.lee,
            date_from=TODAY + timedelta(days=day),
            date_to=TODAY + timedelta(days=day),
            time_from=time(9),
            time_to=time(9, 20),
        )
        assert pass_(practice) == [entry_id]
        expires_at = offer_of(practice, entry_id).expires_at
        outcomes: list[str] = []

        def click(moment: datetime, entry_id: UUID = entry_id, outcomes: list[str] = outcomes) -> None:
            try:
                accept(practice, entry_id, moment)
                outcomes.append("won")
            except OfferExpired:
                outcomes.append("late")

        start = at(9, day=day)

        def snatch(number: int, moment: datetime, start: datetime = start, outcomes: list[str] = outcomes) -> None:
            try:
                with practice.writing() as session:
                    new = drafts.NewAppointment(
                        start,
                        appointment_types.get(session, "consultation"),
                        practice.patient(session, f"Snatcher {number}"),
                    )
                    booking.book(session, [practice.lee], new, actor=practice.visitor, now=moment)
                outcomes.append("won")
            except SlotTaken:
                outcomes.append("taken")

        just_before = expires_at - timedelta(microseconds=1)
        threads = [
            threading.Thread(target=click, args=(just_before,)),
            threading.Thread(target=click, args=(expires_at,)),
            *(threading.Thread(target=snatch, args=(number, expires_at)) for number in range(4)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 6
        held = [claim for claim in practice.claims() if claim[0] == at(9, day=day)]
        assert len(held) == 1
        # Two clicks on one accepted offer are both answered with its appointment.
        assert 1 <= outcomes.count("won") <= 2
        practice.now += timedelta(seconds=1)


def test_the_scan_asks_the_database_a_constant_number_of_times(practice: Any, at: Callable[..., datetime]) -> None:
    counts = []
    for number in range(12):
        join(practice, f"Peter {number}", practice.lee if number % 2 else None, date_to=TODAY + timedelta(days=20))
        if number in (3, 11):
            statements: list[str] = []

            def note(*arguments: Any, statements: list[str] = statements) -> None:
                statements.append(arguments[2])

            event.listen(practice.db.engine, "before_cursor_execute", note)
            with practice.db.reading() as session:
                assert len(matches.matches(session, practice.now)) == number + 1
            event.remove(practice.db.engine, "before_cursor_execute", note)
            counts.append(len(statements))
    assert counts[0] == counts[1]


def test_a_tick_in_an_app_and_an_answer_do_not_wait_for_each_other(practice: Any, at: Callable[..., datetime]) -> None:
    fill(practice, at)
    entry_id = join(practice, "Anna", practice.lee)
    with practice.db.reading() as session:
        todo = session.scalars(select(CalendarObject).where(CalendarObject.kind == "waitlist")).one()
    ticked = todo.served_text.replace("STATUS:NEEDS-ACTION", "STATUS:COMPLETED")
    assert ticked != todo.served_text
    app = threading.Thread(target=practice.put, args=(todo.href, ticked, "waitlist"))
    with practice.writing() as session:
        # As whoever accepts an offer: the entry first, then the doctor.
        session.refresh(session.get_one(WaitlistEntry, entry_id), with_for_update=True)
        app.start()
        app.join(0.5)
        assert app.is_alive()
        claims.lock_owner(session, practice.lee.id)
    app.join()
    with practice.db.reading() as session:
        assert session.get_one(WaitlistEntry, entry_id).status == "withdrawn"
