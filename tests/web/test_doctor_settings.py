"""What the practice decides for each doctor: by page, API and command."""

import pytest

from storage import accounts
from storage.db import Database
from tests.web.conftest import Person, said
from tests.web.test_api import Clinic, clinic, problem

__all__ = ["clinic"]


def lee_of(db: Database):
    with db.reading() as session:
        return accounts.by_username(session, "lee")


def test_the_administrator_lets_a_doctor_approve_their_own_leave(admin: Person, lee: Person, db: Database) -> None:
    assert "/admin/doctors/lee/" in admin.get("/admin/").text
    page = admin.get("/admin/doctors/lee/")
    assert 'name="slot_minutes"' in page.text and "Approves leave without asking" in said(page)
    form = {"specialty": "Orthopaedics", "slot_minutes": "20", "daily_maximum": "12", "weekly_maximum": ""}
    admin.follow(admin.post("/admin/doctors/lee/", approves_own_leave="yes", **form))
    found = lee_of(db)
    assert (found.specialty, found.daily_maximum, found.weekly_maximum) == ("Orthopaedics", 12, None)
    assert found.approves_own_leave
    schedule = "/appointments/doctor/schedule/"
    assert "Add leave" in said(lee.get(schedule))
    page = lee.follow(lee.post(f"{schedule}leave/", first="2026-11-24", last="2026-11-24"))
    assert "Approved" in said(page)
    admin.get("/admin/doctors/lee/")
    answer = admin.post("/admin/doctors/lee/", **(form | {"slot_minutes": "1", "daily_maximum": "x"}))
    assert answer.status_code == 422 and "Enter a number from 5 to 480." in said(answer)
    assert admin.get("/admin/doctors/desk/").status_code == lee.get("/admin/doctors/lee/").status_code == 404


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_by_api_admins_change_it_and_nobody_else(clinic: Clinic) -> None:
    changed = clinic.call("PATCH", "/doctors/lee", {"approves_own_leave": True, "weekly_maximum": 40}, by="root")
    assert changed.get_json()["weekly_maximum"] == 40
    leave = {"doctor": "lee", "start": "2026-11-27", "end": "2026-11-27"}
    assert clinic.post("/leave", leave, by="lee").get_json()["status"] == "approved"
    clinic.call("PATCH", "/doctors/lee", {"weekly_maximum": None}, by="root")
    assert clinic.get("/doctors/lee", by="root").get_json() == {
        "username": "lee",
        "name": "Dr. Anna Lee",
        "specialty": "",
        "slot_minutes": 30,
        "daily_maximum": None,
        "weekly_maximum": None,
        "approves_own_leave": True,
    }
    problem(clinic.call("PATCH", "/doctors/lee", {"slot_minutes": 1}, by="root"), 422, "invalid", "slot_minutes")
    problem(clinic.call("PATCH", "/doctors/lee", {"slot_minutes": 20}, by="lee"), 403, "forbidden")
    problem(clinic.get("/doctors/nobody", by="root"), 422, "invalid", "username")
