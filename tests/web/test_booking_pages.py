"""Booking, from the start page to the done page."""

import re

from storage import appointments, booking
from storage.db import Database
from storage.models import Patient

from .conftest import Clock, Person, book, said

DETAILS = {"name": "Greta Gruber", "email": "greta@example.org", "reason": "Knee", "notes": "", "consent": "yes"}


def hold(person: Person, *, nth: int = 0, doctor: str = "lee", day: str = "2026-11-24") -> str:
    """Take the nth time offered; the address of the form for the details."""
    page = person.get(f"/appointments/book/?type=consultation&doctor={doctor}&date={day}")
    assert page.status_code == 200
    times = re.findall(r'name="slot" value="([^"]+)">\d', page.text)
    answer = person.post("/appointments/book/", type="consultation", doctor=doctor, date=day, slot=times[nth])
    assert answer.status_code == 303, said(answer)
    return answer.headers["Location"]


def count(db: Database) -> int:
    with db.reading() as session:
        return len(appointments.find(session, limit=500).rows)


def test_a_visitor_books_without_an_account(visitor: Person, db: Database) -> None:
    assert "Consultation" in said(visitor.get("/"))
    assert "First available" in said(visitor.get("/appointments/book/?type=consultation"))
    details = hold(visitor)
    page = said(visitor.get(details))
    assert "Tuesday, 24 November 2026 09:00–09:20" in page
    assert "We keep this time for you until 08:10" in page
    done = visitor.follow(visitor.post(details, **DETAILS))
    assert "Your appointment is booked" in said(done)
    assert "greta@example.org" in said(done)
    link = re.search(r"http://127.0.0.1:8000(/manage/[\w-]+)", done.text)
    assert link and visitor.get(link.group(1)).status_code == 200
    with db.reading() as session:
        row = appointments.find(session).rows[0]
        view = appointments.details(session, row.appointment.id)
    assert view and (view.patient.name, view.reason, view.status) == ("Greta Gruber", "Knee", "scheduled")


def test_sending_the_form_twice_books_once(visitor: Person, db: Database) -> None:
    details = hold(visitor)
    visitor.get(details)
    first, second = visitor.post(details, **DETAILS), visitor.post(details, **DETAILS)
    assert first.status_code == second.status_code == 303
    assert first.headers["Location"] == second.headers["Location"]
    assert count(db) == 1


def test_a_form_with_faults_says_which_and_keeps_what_was_typed(visitor: Person, db: Database) -> None:
    details = hold(visitor)
    visitor.get(details)
    answer = visitor.post(details, name="Greta <b>", email="greta", reason="Knee", phone="call me")
    assert answer.status_code == 422
    text = said(answer)
    assert "Enter an e-mail address like name@example.org." in text
    assert "Enter a telephone number like" in text
    assert "Please agree" in text
    assert 'value="Greta &lt;b&gt;"' in answer.text
    assert 'aria-describedby="email-hint email-problem" aria-invalid="true"' in answer.text
    assert count(db) == 0


def test_a_time_that_was_taken_meanwhile_is_refused_with_what_is_free(
    visitor: Person, db: Database, clock: Clock
) -> None:
    page = visitor.get("/appointments/book/?type=consultation&doctor=lee&date=2026-11-24")
    slot = re.findall(r'name="slot" value="([^"]+)">\d', page.text)[0]
    book(db, clock, "Somebody Else")
    answer = visitor.post("/appointments/book/", type="consultation", doctor="lee", date="2026-11-24", slot=slot)
    assert answer.status_code == 409
    assert "Somebody else has just taken this time" in said(answer)
    assert "09:20" in said(answer)


def test_whoever_types_longer_than_the_hold_lasts_still_gets_a_free_time(visitor: Person, clock: Clock) -> None:
    details = hold(visitor)
    clock.forward(minutes=25)
    assert "no longer keep this time" in said(visitor.get(details))
    assert visitor.post(details, **DETAILS).status_code == 303


def test_whoever_types_too_long_loses_a_time_that_others_took(visitor: Person, clock: Clock, db: Database) -> None:
    details = hold(visitor)
    clock.forward(minutes=25)
    book(db, clock, "Quick Quirin")
    visitor.get(details)
    answer = visitor.post(details, **DETAILS)
    assert answer.status_code == 422
    assert "Somebody else has just taken this time" in said(answer)
    assert "Greta Gruber" in answer.text


def test_letting_a_time_go_frees_it(visitor: Person) -> None:
    details = hold(visitor)
    assert (
        "09:00"
        not in said(visitor.get("/appointments/book/?type=consultation&doctor=lee&date=2026-11-24")).split("Morning")[1]
    )
    visitor.get(details)
    page = visitor.follow(visitor.post(details.replace("/details/", "/release/")))
    assert "09:00" in said(page).split("Morning")[1]


def test_first_available_offers_both_doctors(visitor: Person, db: Database) -> None:
    page = visitor.get("/appointments/book/?type=consultation&doctor=any&date=2026-11-24")
    assert {"lee", "smith"} == set(re.findall(r'value="(\w+)\|', page.text))
    details = hold(visitor, doctor="any")
    visitor.get(details)
    assert visitor.post(details, **DETAILS).status_code == 303


def test_a_day_without_free_times_names_the_next(visitor: Person) -> None:
    page = said(visitor.get("/appointments/book/?type=consultation&doctor=lee&date=2026-11-28"))
    assert "Nothing is free on this day." in page
    assert "Next free: Mon 23 Nov, 09:00" in page


def test_a_logged_in_patient_is_not_asked_who_they_are(maria: Person, db: Database) -> None:
    details = hold(maria)
    assert 'name="email"' not in maria.get(details).text
    maria.follow(maria.post(details, reason="", notes="", consent="yes"))
    assert "Tuesday, 24 November 2026, 09:00" in said(maria.get("/appointments/my-appointments/"))
    with db.reading() as session:
        patients = {row.patient.id for row in appointments.find(session).rows}
        assert [session.get(Patient, key).name for key in patients] == ["Maria Huber"]  # type: ignore[union-attr]


def test_the_desk_books_for_a_patient_between_the_slots(desk: Person, db: Database) -> None:
    desk.get("/appointments/book/?type=emergency&doctor=lee")
    kept = desk.post("/appointments/book/", type="emergency", doctor="lee", date="2026-11-24", time="09:10")
    details = kept.headers["Location"]
    assert "09:10" in said(desk.follow(kept))
    assert desk.post(details, name="Walk In", phone="+43 660 1234567").status_code == 303
    with db.reading() as session:
        assert appointments.find(session).rows[0].patient.phone == "+436601234567"


def test_a_time_outside_the_hours_is_refused_with_the_reason(desk: Person) -> None:
    desk.get("/appointments/book/?type=emergency&doctor=lee")
    answer = desk.post("/appointments/book/", type="emergency", doctor="lee", date="2026-11-24", time="18:00")
    assert answer.status_code == 422
    assert "The doctor does not work at this time." in said(answer)
    assert 'value="18:00"' in answer.text


def test_patients_are_not_offered_what_only_staff_book(visitor: Person) -> None:
    assert "Emergency" not in said(visitor.get("/")).split("What is it about?")[1].split("Already")[0]
    assert visitor.get("/appointments/book/?type=emergency&doctor=lee").status_code == 422


def test_a_doctor_books_only_into_their_own_calendar(lee: Person) -> None:
    assert lee.get("/appointments/book/?type=consultation&doctor=smith").status_code == 404


def test_hostile_parameters_are_refused_quietly(visitor: Person) -> None:
    for query in ("type=%00", "type=consultation&doctor=%27", "type=consultation&doctor=lee&date=9999-99-99"):
        assert visitor.get(f"/appointments/book/?{query}").status_code in (200, 404)
    visitor.get("/appointments/book/?type=consultation&doctor=lee")
    for slot in ("", "lee", "lee|", "lee|2026", "|2026-11-24T09:00:00+01:00", "x" * 9000, "lee|2026-11-24T09:00:00"):
        answer = visitor.post("/appointments/book/", type="consultation", doctor="lee", slot=slot)
        assert answer.status_code in (404, 422), slot


def test_available_slots_answers_the_fields_of_the_specification(visitor: Person) -> None:
    answer = visitor.get("/appointments/available-slots/?doctor=lee&date=2026-11-24&type=consultation")
    assert answer.json is not None
    assert answer.json["doctor"], answer.json["date"] == ("lee", "2026-11-24")
    assert answer.json["slots"][0] == {
        "time": "09:00",
        "start": "2026-11-24T09:00:00+01:00",
        "end": "2026-11-24T09:20:00+01:00",
        "duration": 20,
        "available_spots": 1,
    }
    assert len(answer.json["slots"]) == 9
    assert visitor.get("/appointments/available-slots/?doctor=lee&date=soon").status_code == 422
    assert visitor.get("/appointments/available-slots/?doctor=nobody&date=2026-11-24").status_code == 404


def test_a_get_of_any_step_changes_nothing(visitor: Person, db: Database, booked: booking.Booked) -> None:
    before = count(db)
    for url in ("/appointments/book/?type=consultation&doctor=lee&slot=x", "/appointments/waitlist/join/"):
        visitor.get(url)
    assert count(db) == before
