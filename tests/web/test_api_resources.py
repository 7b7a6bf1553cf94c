"""The API's rooms, machines, several doctors and booking against the rules."""

from typing import Any

import pytest

from tests.web.test_api import PATIENT, Clinic, clinic, problem

__all__ = ["clinic"]

NINE = "2026-11-24T09:00"


@pytest.fixture
def equipped(clinic: Clinic) -> Clinic:
    for username, kind, name in (("room-1", "room", "Room 1"), ("room-2", "room", "Room 2"), ("xray", "machine", "X")):
        added = clinic.post("/resources", {"username": username, "kind": kind, "name": name}, by="root")
        assert added.status_code == 201, added.text
    return clinic


def refused(clinic: Clinic, status: int, code: str, field: str | None = None, **more: Any) -> None:
    by = more.pop("by", "desk")
    asked = {"doctor": "lee", "start": NINE, "patient": {**PATIENT, "name": "Peter Fox"}} | more
    problem(clinic.post("/appointments", asked, by=by), status, code, field)


def test_resources_are_added_by_admins_and_listed_for_staff(equipped: Clinic) -> None:
    found = equipped.get("/resources", by="lee").get_json()["resources"]
    assert [(each["username"], each["kind"]) for each in found] == [
        ("room-1", "room"),
        ("room-2", "room"),
        ("xray", "machine"),
    ]
    new = {"username": "room-3", "kind": "room", "name": "Room 3"}
    problem(equipped.post("/resources", new, by="desk"), 403, "forbidden")
    problem(equipped.get("/resources", by="maria"), 403, "forbidden")
    problem(equipped.post("/resources", {**new, "username": "room-1"}, by="root"), 422, "invalid", "username")
    problem(equipped.post("/resources", {**new, "kind": "broom"}, by="root"), 422, "invalid", "kind")


def test_a_room_is_booked_once_with_whom_it_takes_part(equipped: Clinic) -> None:
    booked = equipped.book(NINE, resources=["room-1"])
    assert (booked["doctor"], booked["doctors"], booked["resources"]) == ("lee", ["lee"], ["room-1"])
    refused(equipped, 409, "slot_taken", doctor="smith", resources=["room-1"])
    (listed,) = equipped.get("/appointments").get_json()["appointments"]
    one = equipped.get(f"/appointments/{booked['id']}").get_json()
    assert listed["resources"] == one["resources"] == ["room-1"]


def test_doctors_together_are_booked_all_or_none(equipped: Clinic) -> None:
    both = ["smith", "lee"]
    booked = equipped.book(NINE, doctor=both, together=True)
    assert (booked["doctor"], booked["doctors"]) == ("smith", both)
    refused(equipped, 409, "slot_taken")
    equipped.book("2026-11-24T10:00", doctor="lee")
    refused(equipped, 409, "slot_taken", doctor=both, together=True, start="2026-11-24T10:00")
    assert equipped.book("2026-11-24T10:00", doctor="smith")["doctors"] == ["smith"]


def test_a_held_room_is_not_to_be_had_until_the_hold_is_booked(equipped: Clinic) -> None:
    kept = equipped.post("/holds", {"doctor": "lee", "start": NINE, "resources": ["xray"]})
    assert kept.status_code == 201, kept.text
    refused(equipped, 409, "slot_taken", doctor="smith", resources=["xray"])
    booked = equipped.book(NINE, resources=["xray"], hold=kept.get_json()["id"])
    assert booked["resources"] == ["xray"]


def test_a_doctor_is_chosen_by_speciality(equipped: Clinic) -> None:
    with equipped.database.transaction() as session:
        from storage import accounts

        smith = accounts.by_username(session, "smith")
        assert smith is not None
        smith.specialty = "Radiology"
    assert equipped.book(NINE, doctor="any", specialty="radiology")["doctor"] == "smith"
    found = equipped.get("/slots?doctor=any&specialty=Radiology").get_json()["slots"]
    assert {slot["doctor"] for slot in found} == {"smith"}
    refused(equipped, 422, "invalid", "specialty", doctor="any", specialty="Alchemy")


def test_staff_book_against_the_rules_with_a_reason(equipped: Clinic) -> None:
    equipped.book(NINE)
    refused(equipped, 409, "slot_taken")
    refused(equipped, 422, "invalid", "overrule_reason", overrule=True)
    squeezed = equipped.book(
        NINE, patient={**PATIENT, "name": "Peter Fox"}, overrule=True, overrule_reason="Chest pain", type="emergency"
    )
    view = equipped.get(f"/appointments/{squeezed['id']}").get_json()
    assert view["overbooked"] and view["history"][0]["reason"] == "Chest pain"
    early = equipped.book("2026-11-24T06:00", overrule=True, reason="Before work")
    assert equipped.get(f"/appointments/{early['id']}").get_json()["history"][0]["reason"] == "Before work"


def test_patients_do_not_set_the_rules_aside(equipped: Clinic) -> None:
    equipped.book(NINE)
    asked = {"doctor": "lee", "start": NINE, "overrule": True, "reason": "Please"}
    problem(equipped.post("/appointments", asked, by="maria"), 403, "forbidden")


@pytest.mark.parametrize(
    "more,field",
    [
        ({"resources": ["nowhere"]}, "resources"),
        ({"resources": ["smith"]}, "resources"),
        ({"together": True}, "together"),
        ({"doctor": ["lee", "nobody"], "together": True}, "doctor"),
        ({"overrule": True, "overrule_reason": "Why", "rrule": "FREQ=WEEKLY;COUNT=2"}, "overrule"),
    ],
)
def test_what_cannot_be_asked_is_named(equipped: Clinic, more: dict[str, Any], field: str) -> None:
    refused(equipped, 422, "invalid", field, **more)


def test_a_room_that_is_not_active_is_not_booked_any_more(equipped: Clinic) -> None:
    booked = equipped.book(NINE, resources=["room-1"])
    changed = equipped.call("PATCH", "/resources/room-1", {"name": "Big room", "active": False}, by="root")
    assert changed.get_json()["name"] == "Big room"
    assert [each["username"] for each in equipped.get("/resources").get_json()["resources"]] == ["room-2", "xray"]
    refused(equipped, 422, "invalid", "resources", doctor="smith", start="2026-11-24T10:00", resources=["room-1"])
    assert equipped.get(f"/appointments/{booked['id']}").get_json()["resources"] == ["room-1"]
    moved = equipped.post(f"/appointments/{booked['id']}/reschedule", {"start": "2026-11-24T11:00"})
    assert moved.status_code == 200, moved.text
    equipped.call("PATCH", "/resources/room-1", {"active": True}, by="root")
    refused(equipped, 409, "slot_taken", doctor="smith", start="2026-11-24T11:00", resources=["room-1"])


def test_a_room_is_changed_by_admins_alone_and_only_if_there_is_one(equipped: Clinic) -> None:
    problem(equipped.call("PATCH", "/resources/room-1", {"capacity": 2}, by="desk"), 403, "forbidden")
    for username in ("lee", "nothing"):
        problem(equipped.call("PATCH", f"/resources/{username}", {"capacity": 2}, by="root"), 404, "not_found")
    assert equipped.call("PATCH", "/resources/room-1", {"capacity": 2}, by="root").get_json()["capacity"] == 2


@pytest.mark.parametrize("path", ["/appointments", "/holds"])
@pytest.mark.parametrize("doctor,field", [("l\x00", "doctor"), (["lee", 7], "doctor.1"), (7, "doctor")])
def test_a_doctor_that_is_no_name_is_the_field_at_fault(
    equipped: Clinic, path: str, doctor: object, field: str
) -> None:
    asked = {"doctor": doctor, "start": NINE} | ({"patient": PATIENT} if path == "/appointments" else {})
    answer = equipped.post(path, asked)
    assert answer.status_code == 422 and answer.get_json()["field"] in ("doctor", field), answer.text
