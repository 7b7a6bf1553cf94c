"""The day as it was, versions and putting one back: pages and API, and who may read what in them."""

import re
from datetime import timedelta

from storage import booking, lifecycle
from storage.db import Database
from storage.policy import SYSTEM
from tests.web.conftest import Clock, Person, book, said
from tests.web.test_api import Clinic, clinic, problem

__all__ = ["clinic"]
DAY = "/appointments/doctor/day-as-it-was/"


def move(db: Database, clock: Clock, booked: booking.Booked, **by: float) -> None:
    with db.transaction() as session:
        start = booked.visits[0].start + timedelta(**by)
        lifecycle.reschedule(session, booked.appointment.id, start, actor=SYSTEM, now=clock.now)


def test_the_desk_sees_what_tuesday_looked_like_and_puts_it_back(
    desk: Person, db: Database, clock: Clock, booked: booking.Booked
) -> None:
    clock.forward(minutes=10)
    move(db, clock, booked, minutes=40)
    book(db, clock, "Karl Bauer", nth=2)
    url = f"{DAY}?doctor=lee&date=2026-11-24&on=2026-11-23&at=08:05"
    page = desk.get(url)
    text = said(page)
    assert "Tuesday, 24 November 2026, as of Mon 23 Nov, 08:05" in text
    assert "09:00–09:20 Maria Huber" in text and "09:40–10:00 Maria Huber" in text and "Moved" in text
    assert "Karl Bauer" in text and "New since" in text and "Secret cough" not in page.text
    (action,) = re.findall(r'action="([^"]+/restore/)"', page.text)
    page = desk.follow(desk.post(action, back=url))
    assert "Put back" not in said(page).replace("Putting something back", "")
    problem_page = desk.post(action)
    assert problem_page.status_code == 409 and "It is like that now." not in said(desk.get(url))


def test_versions_are_listed_with_words_and_notes_only_for_the_doctor(
    lee: Person, desk: Person, db: Database, clock: Clock, booked: booking.Booked
) -> None:
    clock.forward(minutes=10)
    with db.transaction() as session:
        lifecycle.set_notes(session, booked.appointment.id, "Torn meniscus", actor=SYSTEM, now=clock.now)
    url = f"/appointments/doctor/versions/of/{booked.appointment.id}/"
    assert "Torn meniscus" in said(lee.follow(lee.get(url)))
    page = said(desk.follow(desk.get(url)))
    assert "Private notes changed." in page and "meniscus" not in page


def test_another_doctors_day_and_versions_are_not_there(
    app, lee: Person, maria: Person, booked: booking.Booked
) -> None:
    smith = Person(app)
    smith.log_in("smith")
    assert smith.get(f"{DAY}?doctor=lee").status_code == 404
    assert smith.get(f"/appointments/doctor/versions/of/{booked.appointment.id}/").status_code == 404
    assert maria.get(DAY).status_code == 404
    assert lee.get("/appointments/doctor/versions/99999/").status_code == 404
    assert "Choose a day and a time." in said(lee.get(f"{DAY}?on=2026-11-23"))


def appointment(answer) -> dict:
    (found,) = [each for each in answer.get_json()["entries"] if each["kind"] == "appointment"]
    return found


def test_by_api_a_day_as_of_a_moment_and_a_version_put_back(clinic: Clinic) -> None:
    made = clinic.book(reason="Secret cough")
    clinic.now += timedelta(minutes=30)
    clinic.post(f"/appointments/{made['id']}/reschedule", {"start": "2026-11-23T11:00"})
    asked = "/appointments/as-of?doctor=lee&date=2026-11-23&at=2026-11-23T07:10"
    day = clinic.get(asked).get_json()
    then = appointment(clinic.get(asked))
    assert (then["start"], then["patient"]["name"]) == ("2026-11-23T09:00:00+01:00", "Maria Huber")
    assert "reason" not in then and appointment(clinic.get(asked, by="lee"))["reason"] == "Secret cough"
    assert [(each["since"], each["now"]["start"][11:16]) for each in day["since"]] == [
        ("moved", "11:00"),
        ("same", "09:00"),
    ]
    assert appointment(clinic.get(asked, by="root"))["patient"].get("name") is None
    problem(clinic.get(asked, by="smith"), 403, "forbidden")
    problem(clinic.get("/appointments/as-of?doctor=lee&date=2026-11-23"), 422, "invalid", "at")
    listed = clinic.get(f"/appointments/{made['id']}/versions").get_json()
    assert [each["by"] for each in listed["versions"]] == ["desk by API", "desk by API"]
    assert listed["versions"][0]["changes"][0]["text"].startswith("Moved from Mon 23 Nov 2026, 09:00–09:20")
    first = listed["versions"][-1]["seq"]
    url = f"/appointments/{made['id']}/versions/{first}/restore"
    problem(clinic.post(url, by="smith"), 404, "not_found")
    back = clinic.post(url).get_json()
    assert (back["start"], back["status"]) == ("2026-11-23T09:00:00+01:00", "rescheduled")
    problem(clinic.post(f"/appointments/{made['id']}/versions/77777/restore"), 404, "not_found")
    problem(clinic.post(f"/appointments/{made['id']}/versions/x/restore"), 404, "not_found")


def test_by_api_hours_are_put_back(clinic: Clinic) -> None:
    day = clinic.get("/appointments/as-of?doctor=lee&date=2026-11-23&at=2026-11-23T07:10").get_json()
    (hours,) = day["entries"]
    listed = clinic.get(f"/calendar-objects/{hours['object']}/versions").get_json()
    assert listed["kind"] == "hours" and listed["versions"][0]["present"]
    problem(
        clinic.post(f"/calendar-objects/{hours['object']}/versions/{hours['seq']}/restore"), 409, "illegal_transition"
    )
    problem(clinic.get("/calendar-objects/0/versions"), 404, "not_found")
    problem(clinic.get("/calendar-objects/x/versions", by="smith"), 404, "not_found")
    problem(clinic.get(f"/calendar-objects/{hours['object']}/versions", by="smith"), 403, "forbidden")
