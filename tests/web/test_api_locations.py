"""Several places: their time zones, the way between them, and where an appointment is."""

from datetime import time
from typing import Any

import pytest

from storage import accounts, hours
from storage.policy import SYSTEM
from tests.web.test_api import NOW, PATIENT, Clinic, clinic, problem

__all__ = ["clinic"]


@pytest.fixture
def wide(clinic: Clinic) -> Clinic:
    """Lee works at the branch on Tuesday afternoons, and in London on Wednesdays."""
    for body in (
        {"name": "Branch", "address": "Side Street 2", "travel_minutes": 30},
        {"name": "London", "timezone": "Europe/London"},
    ):
        added = clinic.post("/locations", body, by="root")
        assert added.status_code == 201, added.text
    with clinic.database.transaction() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        for day, first, last, place in (("tue", 12, 14, "Branch"), ("wed", 14, 15, "London")):
            hours.add_hours(
                session, lee, (day,), time(first), time(last), slot=20, location=place, actor=SYSTEM, now=NOW
            )
    return clinic


def starts(clinic: Clinic, day: str, **more: Any) -> list[tuple[str, str]]:
    found = clinic.get(f"/slots?doctor=lee&from={day}&to={day}", **more).get_json()["slots"]
    return [(slot["start"][11:], slot.get("location", "")) for slot in found]


def test_slots_say_where_and_show_the_time_there(wide: Clinic) -> None:
    found = starts(wide, "2026-11-25")
    assert ("14:00:00Z", "London") in found
    assert ("09:00:00+01:00", "") in found


def test_an_appointment_is_where_its_hours_are(wide: Clinic) -> None:
    booked = wide.book("2026-11-24T13:00")
    shown = wide.get(f"/appointments/{booked['id']}").get_json()
    assert shown["location"] == "Branch"
    back = wide.post(f"/appointments/{booked['id']}/reschedule", {"start": "2026-11-24T09:00"})
    assert back.get_json()["location"] not in ("", "Branch")
    again = wide.post(f"/appointments/{booked['id']}/reschedule", {"start": "2026-11-24T13:20"})
    assert again.get_json()["location"] == "Branch"


def test_the_way_to_another_place_is_kept_free(wide: Clinic) -> None:
    before = dict(starts(wide, "2026-11-24"))
    assert before["12:00:00+01:00"] == "Branch" and "11:40:00+01:00" in before
    wide.book("2026-11-24T11:40")
    after = dict(starts(wide, "2026-11-24"))
    assert {"12:00:00+01:00", "12:20:00+01:00"}.isdisjoint(after)
    assert after["12:40:00+01:00"] == "Branch"
    body = {"doctor": "lee", "start": "2026-11-24T12:20", "patient": {**PATIENT, "name": "Peter Fox"}}
    problem(wide.post("/appointments", body), 422, "travel")
    why = wide.get("/slots/explain?doctor=lee&start=2026-11-24T12:20").get_json()["because"]
    assert [(each["code"], each["object"]["title"]) for each in why] == [("travel", "Maria Huber")]


def test_the_house_rule_says_the_way_where_a_place_does_not(wide: Clinic) -> None:
    place = next(each for each in wide.get("/locations").get_json()["locations"] if each["name"] == "Branch")
    wide.call("PATCH", f"/locations/{place['id']}", {"travel_minutes": None}, by="root")
    wide.book("2026-11-24T11:40")
    assert ("12:00:00+01:00", "Branch") in starts(wide, "2026-11-24")
    assert wide.call("PATCH", "/house-rules", {"travel_minutes": 15}, by="root").status_code == 200
    left = dict(starts(wide, "2026-11-24"))
    assert "12:00:00+01:00" not in left and left["12:20:00+01:00"] == "Branch"


def test_places_are_added_and_changed_by_admins_alone(wide: Clinic) -> None:
    problem(wide.post("/locations", {"name": "X"}, by="desk"), 403, "forbidden")
    problem(wide.post("/locations", {"name": "Branch"}, by="root"), 422, "invalid", "name")
    problem(wide.post("/locations", {"name": "X", "timezone": "Mars/Base"}, by="root"), 422, "invalid", "timezone")
    problem(wide.post("/locations", {"name": "X", "travel_minutes": -1}, by="root"), 422, "invalid", "travel_minutes")
    problem(wide.call("PATCH", "/locations/999", {"name": "X"}, by="root"), 404, "not_found")
    assert [each["name"] for each in wide.get("/locations", by="maria").get_json()["locations"]] == ["Branch", "London"]
