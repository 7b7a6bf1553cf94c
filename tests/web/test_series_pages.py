"""Series on pages: checked occurrence by occurrence, booked with a decision for each, and moved."""

import re

import pytest
from sqlalchemy import select

from storage import appointments, booking
from storage.appointments import AppointmentView
from storage.db import Database
from storage.models import Appointment

from .conftest import Clock, Person, book, said

FORM = {
    "doctor": "lee",
    "type": "consultation",
    "date": "2026-11-24",
    "time": "09:00",
    "every": "1",
    "count": "4",
    "until": "",
    "name": "Greta Gruber",
    "email": "greta@example.org",
    "phone": "",
    "reason": "Back",
    "key": "k1",
}
SECOND, THIRD = "20261201T080000Z", "20261208T080000Z"


def views(db: Database) -> list[AppointmentView]:
    with db.reading() as session:
        found = [appointments.details(session, each) for each in session.scalars(select(Appointment.id))]
    return sorted((each for each in found if each is not None and each.appointment.series), key=lambda each: each.start)


def starts(view: AppointmentView) -> list[str]:
    open_ = [visit for visit in view.visits if not visit.status.startswith("cancelled")]
    return [f"{visit.start:%m-%d %H:%M}" for visit in open_]


@pytest.fixture
def taken(db: Database, clock: Clock) -> booking.Booked:
    """Somebody has Tuesday in a week at nine."""
    return book(db, clock, "Tom Tull", days=8)


def test_every_occurrence_is_checked_before_anything_is_booked(desk: Person, db: Database, taken: object) -> None:
    assert "Check every appointment" in said(desk.get("/appointments/series/"))
    page = desk.post("/appointments/series/preview/", **FORM)
    assert page.status_code == 200
    assert "4 appointments, 3 free, 1 in conflict" in said(page)
    assert f'name="choice-{SECOND}"' in page.text
    assert "Move to Tue 1 Dec, 09:20" in said(page)
    assert views(db) == []


def test_a_series_is_booked_with_a_decision_for_each(desk: Person, db: Database, taken: object) -> None:
    desk.get("/appointments/series/")
    chosen = {f"choice-{SECOND}": "move 2026-12-01T09:20:00+01:00", f"choice-{THIRD}": "skip"}
    done = desk.follow(desk.post("/appointments/series/", **FORM, **chosen))
    assert "The series is booked" in said(done)
    (view,) = views(db)
    assert starts(view) == ["11-24 08:00", "12-01 08:20", "12-15 08:00"]


def test_a_series_in_conflict_comes_back_with_what_to_decide(desk: Person, db: Database, taken: object) -> None:
    desk.get("/appointments/series/")
    answer = desk.post("/appointments/series/", **FORM)
    assert answer.status_code == 422
    assert "Some of the times are not free" in said(answer)
    assert "Book it all the same" in said(answer)
    assert views(db) == []
    desk.follow(desk.post("/appointments/series/", **FORM, **{f"choice-{SECOND}": "keep"}))
    (view,) = views(db)
    assert [visit.overbooked for visit in view.visits] == [False, True, False, False]


def test_a_time_may_be_typed(desk: Person, db: Database, taken: object) -> None:
    desk.get("/appointments/series/")
    typed = {f"choice-{SECOND}": "", f"date-{SECOND}": "2026-12-02", f"time-{SECOND}": "10:00"}
    page = desk.post("/appointments/series/preview/", **FORM, **typed)
    assert "Free, moved here" in said(page)
    desk.follow(desk.post("/appointments/series/", **FORM, **typed))
    (view,) = views(db)
    assert starts(view)[1] == "12-02 09:00"


def test_the_form_sent_twice_books_once(desk: Person, db: Database) -> None:
    desk.get("/appointments/series/")
    first, second = (desk.post("/appointments/series/", **FORM) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    assert len(views(db)) == 1


def test_half_a_typed_time_books_nothing(desk: Person, db: Database) -> None:
    desk.get("/appointments/series/")
    answer = desk.post("/appointments/series/", **FORM, **{f"choice-{SECOND}": "", f"date-{SECOND}": "2026-12-02"})
    assert answer.status_code == 422
    assert "Enter the date and the time of the other appointment" in said(answer)
    assert views(db) == []


def test_another_series_may_be_booked_from_the_same_page(desk: Person, db: Database) -> None:
    desk.get("/appointments/series/")
    desk.follow(desk.post("/appointments/series/", **FORM))
    desk.follow(desk.post("/appointments/series/", **{**FORM, "time": "10:00"}))
    assert len(views(db)) == 2


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"count": "1"}, "Enter a number from 2 to 200"),
        ({"count": ""}, "Enter a number from 2 to 200"),
        ({"date": "soon"}, "Choose a date"),
        ({"every": "sometimes"}, "Choose one"),
        ({"type": "nothing"}, "Choose a type"),
        ({"doctor": "nobody"}, "Choose a doctor"),
        ({"count": "", "until": "2026-11-01"}, "ends before its first"),
        ({"email": ""}, "Enter an e-mail address or a telephone number"),
    ],
)
def test_what_cannot_be_used_is_said_beside_it(desk: Person, db: Database, more: dict[str, str], sentence: str) -> None:
    desk.get("/appointments/series/")
    for path in ("/appointments/series/preview/", "/appointments/series/"):
        answer = desk.post(path, **{**FORM, **more})
        assert answer.status_code == 422
        assert sentence in said(answer)
    assert views(db) == []


@pytest.mark.parametrize(
    ("every", "wanted"),
    [
        ("2", ["11-24 08:00", "12-08 08:00", "12-22 08:00"]),
        ("month", ["11-24 08:00", "12-22 08:00", "01-26 08:00"]),
        ("day", ["11-24 08:00", "11-25 08:00", "11-26 08:00"]),
    ],
)
def test_it_repeats_as_chosen(desk: Person, db: Database, every: str, wanted: list[str]) -> None:
    desk.get("/appointments/series/")
    desk.follow(desk.post("/appointments/series/", **{**FORM, "every": every, "count": "3"}))
    (view,) = views(db)
    assert starts(view) == wanted


@pytest.mark.parametrize("person", ["visitor", "maria"])
def test_patients_find_no_such_page(person: str, request: pytest.FixtureRequest, booked: booking.Booked) -> None:
    who: Person = request.getfixturevalue(person)
    for path in ("/appointments/series/", f"/appointments/{booked.appointment.id}/series/"):
        assert who.get(path).status_code in (302, 404)


def test_a_doctor_books_series_only_for_themselves(lee: Person, db: Database) -> None:
    assert "smith" not in lee.get("/appointments/series/").text
    answer = lee.post("/appointments/series/", **{**FORM, "doctor": "smith"})
    assert answer.status_code == 422
    assert views(db) == []


def series(desk: Person, db: Database) -> AppointmentView:
    desk.get("/appointments/series/")
    desk.follow(desk.post("/appointments/series/", **FORM))
    (view,) = views(db)
    return view


def test_the_rest_of_a_series_is_moved(desk: Person, db: Database) -> None:
    view = series(desk, db)
    at = f"/appointments/{view.id}/series/"
    page = desk.get(f"{at}?r={THIRD}")
    assert "From Tuesday, 8 December 2026, 09:00 on" in said(page)
    version = re.search(r'name="version" value="(\d+)"', page.text)
    assert version
    form = {"range": "following", "r": THIRD, "date": "2026-12-09", "time": "10:00", "doctor": "lee"}
    form["version"] = version.group(1)
    shown = said(desk.post(f"{at}preview/", **form))
    assert "2 appointments, 2 free" in shown
    assert "Wednesday, 9 December 2026, 10:00 so far Tue 8 Dec, 09:00" in shown
    done = desk.follow(desk.post(at, **form))
    assert "The appointments are moved" in said(done)
    assert [starts(each) for each in views(db)] == [["11-24 08:00", "12-01 08:00"], ["12-09 09:00", "12-16 09:00"]]
    assert desk.post(at, **form).status_code in (412, 422)


def test_a_moved_series_in_conflict_is_decided_too(desk: Person, db: Database, clock: Clock) -> None:
    view = series(desk, db)
    book(db, clock, "Tom Tull", days=8)
    at = f"/appointments/{view.id}/series/"
    desk.get(at)
    form = {"range": "all", "date": "2026-11-24", "time": "09:20", "doctor": "lee"}
    answer = desk.post(at, **form)
    assert answer.status_code == 422
    assert "Some of the times are not free" in said(answer)
    desk.follow(desk.post(at, **form, **{f"choice-{SECOND}": "skip"}))
    (moved,) = views(db)
    assert starts(moved) == ["11-24 08:20", "12-08 08:20", "12-15 08:20"]


def test_each_appointment_of_a_series_can_be_changed_from_its_page(desk: Person, db: Database) -> None:
    view = series(desk, db)
    page = desk.get(f"/appointments/{view.id}/")
    assert page.text.count(">Move from here on<") == 4
    cancel = f"/appointments/{view.id}/cancel/?r={THIRD}"
    assert "This one and the following" in said(desk.get(cancel))
    desk.follow(desk.post(cancel, by="patient", reason="", whole="following", r=THIRD))
    (left,) = views(db)
    assert starts(left) == ["11-24 08:00", "12-01 08:00"]
    assert {visit.status for visit in left.visits[2:]} == {"cancelled_patient"}
