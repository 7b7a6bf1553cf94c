"""Leave on pages: halves of days, again and again, changed and withdrawn, and several appointments moved at once."""

import re

from storage import accounts, booking, leave
from storage.db import Database
from storage.leave import LeaveView
from storage.policy import SYSTEM
from tests.web.conftest import Clock, Person, book, said

SCHEDULE = "/appointments/doctor/schedule/"


def only(db: Database, clock: Clock) -> LeaveView:
    with db.reading() as session:
        doctor = accounts.by_username(session, "lee")
        assert doctor is not None
        (found,) = leave.list_leave(session, [doctor], clock.now)
    return found


def ask(lee: Person, **form: str) -> None:
    lee.get(SCHEDULE)
    lee.follow(lee.post(f"{SCHEDULE}leave/", **{"first": "2026-11-27", "last": "2026-11-27", **form}))


def test_every_friday_afternoon_is_asked_for_and_one_taken_back(lee: Person, db: Database, clock: Clock) -> None:
    ask(lee, part="afternoon", again="WEEKLY", until="2026-12-18")
    page = lee.get(SCHEDULE)
    assert "every week" in said(page) and "Not this time" in said(page)
    assert [f"{each.start:%d.%m.}" for each in only(db, clock).times] == ["27.11.", "04.12.", "11.12.", "18.12."]
    found = only(db, clock)
    lee.follow(lee.post(f"{SCHEDULE}leave/{found.id}/withdraw/", r=found.times[1].recurrence_id))
    assert [f"{each.start:%d.%m.}" for each in only(db, clock).times] == ["27.11.", "11.12.", "18.12."]


def test_faults_stand_beside_their_fields(lee: Person) -> None:
    lee.get(SCHEDULE)
    form = {"first": "2026-11-27", "last": "2026-11-28", "part": "morning", "until": "2026-12-18"}
    answer = lee.post(f"{SCHEDULE}leave/", **form)
    assert answer.status_code == 422
    assert "Half a day is half of one day" in said(answer) and "Choose how often" in said(answer)
    answer = lee.post(f"{SCHEDULE}leave/", first="2026-11-27", last="2026-11-27", part="times", from_="09:00")
    assert answer.status_code == 422 and "Enter both times, or none." in said(answer)


def test_leave_is_changed_and_withdrawn_by_whoever_asked(lee: Person, desk: Person, db: Database, clock: Clock) -> None:
    ask(lee, reason="Skiing")
    found = only(db, clock)
    desk.get(f"{SCHEDULE}?doctor=lee")
    desk.post(f"{SCHEDULE}leave/{found.id}/decide/", decision="approve")
    page = lee.get(f"{SCHEDULE}leave/{found.id}/")
    assert "it has to be approved again" in said(page) and 'value="Skiing"' in page.text
    lee.post(f"{SCHEDULE}leave/{found.id}/", first="2026-11-27", last="2026-11-30", reason="Skiing")
    assert only(db, clock).status == "pending"
    lee.follow(lee.post(f"{SCHEDULE}leave/{found.id}/withdraw/"))
    assert "No leave is planned." in said(lee.get(SCHEDULE))
    assert lee.get(f"{SCHEDULE}leave/{found.id}/").status_code == 404


def test_a_repetition_that_the_form_cannot_say_stays_as_it_is(lee: Person, db: Database, clock: Clock) -> None:
    with db.transaction() as session:
        doctor = accounts.by_username(session, "lee")
        assert doctor is not None
        day = clock.now.date()
        leave.request_leave(session, doctor, day, day, "", rrule="FREQ=MONTHLY;BYDAY=1MO", actor=SYSTEM, now=clock.now)
    found = only(db, clock)
    page = lee.get(f"{SCHEDULE}leave/{found.id}/")
    assert "As it is now" in said(page)
    lee.post(f"{SCHEDULE}leave/{found.id}/", first="2026-11-23", last="2026-11-23", again="as it is", reason="x")
    assert (only(db, clock).rrule, only(db, clock).reason) == ("FREQ=MONTHLY;BYDAY=1MO", "x")


def test_several_appointments_are_moved_to_the_proposed_times_at_once(
    lee: Person, desk: Person, db: Database, clock: Clock, booked: booking.Booked
) -> None:
    other = book(db, clock, "Karl Bauer")
    third = book(db, clock, "Eva Huber")
    ask(lee, first="2026-11-24", last="2026-11-24")
    found = only(db, clock)
    url = f"{SCHEDULE}affected/?doctor=lee&leave={found.id}"
    page = desk.get(url)
    assert "Booked in the leave" in said(page) and said(page).count("Move there") == 3
    keys = re.findall(r'name="visit" value="([^"]+)"', page.text)
    by_id = {key.partition("|")[0]: key for key in keys}
    both = [by_id[str(booked.appointment.id)], by_id[str(other.appointment.id)]]
    form = {"doctor": "lee", "leave": found.id}
    assert desk.post(f"{SCHEDULE}affected/", all="move", **form).status_code == 409
    page = desk.follow(desk.post(f"{SCHEDULE}affected/", all="move", visit=both, **form))
    assert "Eva Huber" in said(page) and "Karl Bauer" not in said(page)
    # Somebody has taken that time meanwhile: it says so, and another one is proposed.
    taken = f"move|{third.appointment.id}||{both[0].split('|', 2)[2]}"
    again = desk.post(f"{SCHEDULE}affected/", one=taken, **form)
    assert again.status_code == 409 and "Not everything could be done" in said(again)
    cancel = {"visit": [by_id[str(third.appointment.id)]], "reason": "On leave"}
    page = desk.follow(desk.post(f"{SCHEDULE}affected/", all="cancel", **cancel, **form))
    assert "Nobody is booked in this time." in said(page)
