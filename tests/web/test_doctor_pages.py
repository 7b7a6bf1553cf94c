"""Calendar, hours and leave, waitlist, devices, notices, administration."""

import re
from datetime import time, timedelta

from flask import Flask

from storage import accounts, booking, collections, edits, hours, leave, notifications
from storage.db import Database
from storage.models import CalendarObject
from storage.policy import SYSTEM, Actor
from tasks import outbox

from .conftest import MONDAY, Clock, Person, book, said

CALENDAR = "/appointments/doctor/appointments/"
SCHEDULE = "/appointments/doctor/schedule/"


def test_the_week_shows_who_comes_when(lee: Person, booked: booking.Booked) -> None:
    page = lee.get(CALENDAR)
    assert "23 – 29 November 2026" in said(page)
    assert "09:00–09:20 Maria Huber Consultation" in said(page)
    # 09:00 is an hour after the grid begins; 20 minutes are four rows
    assert re.search(r'class="visit type-consultation tone-calm short at-13 for-4"', page.text)


def test_the_day_offers_the_next_steps_and_comes_back(lee: Person, booked: booking.Booked) -> None:
    url = f"{CALENDAR}?doctor=lee&view=day&date=2026-11-24"
    page = lee.get(url)
    assert "Arrived: Maria Huber, 09:00" in page.text
    back = re.search(r'name="back" value="([^"]+)"', page.text)
    assert back
    answer = lee.post(
        f"/appointments/{booked.appointment.id}/status/", step="arrive", r="", back=back.group(1).replace("&amp;", "&")
    )
    assert answer.headers["Location"].startswith(CALENDAR)
    assert "Arrived" in said(lee.follow(answer))


def test_a_step_never_leads_to_another_host(lee: Person, booked: booking.Booked) -> None:
    lee.get(CALENDAR)
    answer = lee.post(f"/appointments/{booked.appointment.id}/status/", step="confirm", back="//evil.example/")
    assert answer.headers["Location"].startswith("/appointments/")


def test_hidden_names_are_not_sent(lee: Person, booked: booking.Booked) -> None:
    for view in ("day", "week"):
        page = lee.get(f"{CALENDAR}?view={view}&date=2026-11-24&names=hidden")
        assert "Maria" not in page.text
        assert "Consultation" in page.text


def test_overlapping_visits_stand_side_by_side(lee: Person, db: Database) -> None:
    with db.transaction() as session:
        doctor = accounts.by_username(session, "lee")
        assert doctor is not None
        hours.add_hours(
            session, doctor, ["sat"], time(9), time(10), slot=60, capacity=2, actor=SYSTEM, now=MONDAY
        )  # fmt: skip
    for name in ("First Franz", "Second Sara"):
        book(db, Clock(MONDAY), name, days=5)
    text = lee.get(f"{CALENDAR}?view=day&date=2026-11-28").text
    assert "of-2 lane-0" in text and "of-2 lane-1" in text


def test_both_appointments_of_an_overbooking_are_marked(lee: Person, db: Database, booked: booking.Booked) -> None:
    other = book(db, Clock(MONDAY), "Karl Bauer")
    with db.transaction() as session:
        doctor = accounts.by_username(session, "lee")
        assert doctor is not None
        calendar = collections.built_in(session, doctor, "appointments")
        obj = session.get_one(CalendarObject, other.appointment.object_id)
        text = obj.served_text.replace("T092000", "T090000").replace("T094000", "T092000")
        actor = Actor("account", "doctor", doctor.id, "lee", via="caldav", label="lee")
        edits.client_put(session, calendar, obj.href, text.encode(), actor=actor, now=MONDAY)
    page = lee.get(f"{CALENDAR}?view=day&date=2026-11-24")
    assert said(page).count("Overbooked") == 2 and page.text.count(" overbooked ") == 2


def test_the_desk_chooses_the_doctor(desk: Person, booked: booking.Booked) -> None:
    assert "Maria Huber" in said(desk.get(f"{CALENDAR}?doctor=lee&date=2026-11-24"))
    assert "Maria Huber" not in said(desk.get(f"{CALENDAR}?doctor=smith&date=2026-11-24"))
    assert desk.get(f"{CALENDAR}?doctor=nobody").status_code == 404


def test_patients_and_visitors_do_not_see_calendars(maria: Person, visitor: Person) -> None:
    for url in (CALENDAR, SCHEDULE, "/appointments/doctor/waitlist/", "/devices/", "/admin/", "/notices/"):
        assert maria.get(url).status_code == 404
        assert visitor.get(url).status_code == 302


def test_hours_are_added_closed_for_a_day_and_removed(lee: Person, visitor: Person) -> None:
    saturday = "/appointments/available-slots/?doctor=lee&date=2026-11-28&type=consultation"
    later = saturday.replace("28", "05").replace("-11-", "-12-")
    assert visitor.get(saturday).json["slots"] == []  # type: ignore[index]
    lee.get(SCHEDULE)
    form = {"days": "sat", "from_": "10:00", "to": "11:00", "slot": 30, "capacity": 1}
    page = lee.follow(lee.post(f"{SCHEDULE}hours/", **form))
    assert "Sat 10:00–11:00 30 min a slot" in said(page)
    assert [slot["time"] for slot in visitor.get(saturday).json["slots"]] == ["10:00", "10:30"]  # type: ignore[index]
    uid = re.findall(r'name="uid" value="([^"]+)"', page.text)[-1]
    lee.follow(lee.post(f"{SCHEDULE}close/", uid=uid, day="2026-11-28"))
    assert visitor.get(saturday).json["slots"] == []  # type: ignore[index]
    assert len(visitor.get(later).json["slots"]) == 2  # type: ignore[index]
    lee.follow(lee.post(f"{SCHEDULE}remove/", uid=uid))
    assert visitor.get(later).json["slots"] == []  # type: ignore[index]


def test_appointments_outside_changed_hours_are_listed_and_kept_moved_or_cancelled(
    lee: Person, desk: Person, db: Database, clock: Clock, booked: booking.Booked
) -> None:
    book(db, clock, "Karl Bauer")
    uid = re.findall(r'name="uid" value="([^"]+)"', lee.get(SCHEDULE).text)[0]
    lee.follow(lee.post(f"{SCHEDULE}close/", uid=uid, day="2026-11-24"))
    outbox.settle(db, clock)
    notices = lee.get("/notices/")
    assert "2 appointments lie outside your hours or in your leave now" in said(notices)
    assert f'href="{SCHEDULE}affected/"' in notices.text
    page = lee.get(f"{SCHEDULE}affected/")
    assert "Maria Huber" in said(page) and "Karl Bauer" in said(page)
    for word in ("reschedule", "cancel"):
        assert lee.get(f"/appointments/{booked.appointment.id}/{word}/").status_code == 200
    lee.get(f"{SCHEDULE}affected/")
    key = next(
        each for each in re.findall(r'name="one" value="(keep[^"]+)"', page.text) if str(booked.appointment.id) in each
    )
    page = lee.follow(lee.post(f"{SCHEDULE}affected/", one=key))
    assert "Maria Huber" not in said(page) and "Karl Bauer" in said(page)
    assert "Karl Bauer" in said(desk.get(f"{SCHEDULE}affected/?doctor=lee"))


def test_another_doctors_appointment_cannot_be_kept(app: Flask, lee: Person, booked: booking.Booked) -> None:
    smith = Person(app)
    smith.log_in("smith")
    smith.get(SCHEDULE)
    assert smith.post(f"{SCHEDULE}affected/", one=f"keep|{booked.appointment.id}|||").status_code == 404
    assert "Maria" not in said(smith.get(f"{SCHEDULE}affected/"))


def test_hours_with_faults_say_which(lee: Person) -> None:
    lee.get(SCHEDULE)
    answer = lee.post(f"{SCHEDULE}hours/", **{"from_": "12:00", "to": "11:00", "slot": 1, "capacity": "x"})
    assert answer.status_code == 422
    for sentence in ("Choose at least one weekday.", "The end must be later", "Enter a number from 5 to 480."):
        assert sentence in said(answer)


def test_another_doctors_hours_cannot_be_changed(lee: Person) -> None:
    lee.get(SCHEDULE)
    form = {"days": "sat", "from_": "10:00", "to": "11:00", "slot": 30, "capacity": 1, "doctor": "smith"}
    assert lee.post(f"{SCHEDULE}hours/", **form).status_code == 404


def test_leave_is_requested_shown_with_who_is_booked_and_decided_by_the_desk(
    lee: Person, desk: Person, visitor: Person, db: Database, clock: Clock, booked: booking.Booked
) -> None:
    lee.get(SCHEDULE)
    page = lee.follow(lee.post(f"{SCHEDULE}leave/", first="2026-11-24", last="2026-11-25", reason="Congress"))
    assert "Tue 24 Nov – Wed 25 Nov" in said(page)
    assert "Pending" in said(page) and "1 appointment in this time" in said(page)
    assert ">Approve<" not in page.text
    free = "/appointments/available-slots/?doctor=lee&date=2026-11-24&type=consultation"
    assert visitor.get(free).json["slots"] == []  # type: ignore[index]
    desk.get(f"{SCHEDULE}?doctor=lee")
    with db.reading() as session:
        doctor = accounts.by_username(session, "lee")
        assert doctor is not None
        wanted = leave.list_leave(session, [doctor], clock.now)[0].id
    assert lee.post(f"{SCHEDULE}leave/{wanted}/decide/", decision="approve").status_code == 404
    page = desk.follow(desk.post(f"{SCHEDULE}leave/{wanted}/decide/", decision="approve"))
    assert "Approved" in said(page)


def test_leave_that_ends_before_it_begins_is_refused(lee: Person) -> None:
    lee.get(SCHEDULE)
    answer = lee.post(f"{SCHEDULE}leave/", first="2026-11-25", last="2026-11-24")
    assert answer.status_code == 422
    assert "The last day must not be before the first." in said(answer)


def test_a_notice_is_counted_until_it_was_read(lee: Person, db: Database, clock: Clock) -> None:
    with db.transaction() as session:
        doctor = accounts.by_username(session, "lee")
        assert doctor is not None
        notifications.notice(session, doctor.id, "An appointment was dropped onto another.", clock.now)
    assert "Notices: 1" in said(lee.get(CALENDAR))
    lee.get("/notices/")
    lee.follow(lee.post("/notices/read/"))
    assert "Notices: 1" not in said(lee.get(CALENDAR))


def test_an_administrator_adds_a_doctor_who_sets_the_password(admin: Person, visitor: Person) -> None:
    admin.get("/admin/users/add/")
    form = {"role": "doctor", "username": "novak", "name": "Dr. Nora Novak", "timezone": "Europe/Vienna"}
    page = admin.post("/admin/users/add/", **form)
    link = re.search(r"http://127.0.0.1:8000(/first-login/[\w-]+)", page.text)
    assert link
    assert "Choose a password" in said(visitor.get(link.group(1)))
    weak = visitor.post(link.group(1), password="password1234", again="password1234")
    assert weak.status_code == 422 and "too easy to guess" in said(weak)
    answer = visitor.post(link.group(1), password="quiet copper lantern", again="quiet copper lantern")
    assert answer.headers["Location"] == CALENDAR
    assert "Dr. Nora Novak" in visitor.follow(answer).text
    assert visitor.get(link.group(1)).status_code == 404


def test_an_administrator_changes_a_type(admin: Person, visitor: Person) -> None:
    page = admin.get("/admin/types/consultation/")
    assert 'value="Consultation"' in page.text
    form = {
        "name": "Check-up",
        "mode": "in_person",
        "colour": "#336699",
        "minutes": 40,
        "capacity": "",
        "active": "yes",
    }
    form |= {"buffer_before": 0, "buffer_after": 0, "notice_minutes": 0, "cutoff_minutes": 0, "window_days": 90}
    form |= {"position": 1, "self_booking": "yes"}
    assert admin.post("/admin/types/consultation/", **form).status_code == 303
    assert "Check-up" in visitor.get("/").text
    assert ".type-consultation{--type:#336699}" in visitor.get("/assets/calendar.css").text
    bad = admin.post("/admin/types/consultation/", **form | {"colour": "red;}body{display:none"})
    assert bad.status_code == 422


def test_calendar_survives_a_day_with_a_clock_change(lee: Person) -> None:
    for day in ("2026-10-25", "2027-03-28", "1970-01-01", "2199-12-31", "nonsense"):
        for view in ("day", "week"):
            assert lee.get(f"{CALENDAR}?view={view}&date={day}").status_code == 200


def test_now_is_marked(lee: Person, clock: Clock) -> None:
    clock.now += timedelta(hours=2)
    lee.log_in("lee")
    assert re.search(r'class="now at-\d+ for-1"', lee.get(CALENDAR).text)


def test_an_administrator_keeps_somebody_out_and_lets_them_in_again(
    admin: Person, visitor: Person, db: Database
) -> None:
    with db.reading() as session:
        smith, root = (accounts.by_username(session, name) for name in ("smith", "admin"))
    assert smith is not None
    assert root is not None
    admin.get("/admin/")
    assert admin.post(f"/admin/users/{smith.id}/disabled/", disabled="yes").status_code == 303
    assert "Enable" in said(admin.get("/admin/"))
    assert visitor.log_in("smith").status_code == 422
    assert admin.post(f"/admin/users/{smith.id}/disabled/").status_code == 303
    assert visitor.log_in("smith").status_code == 303
    assert admin.post(f"/admin/users/{root.id}/disabled/", disabled="yes").status_code == 404
