"""What a practice says of a type of appointment, by API, and what comes of it."""

from typing import Any

import pytest

from tests.web.test_api import PATIENT, Clinic, clinic, problem

__all__ = ["clinic"]

WHOLE: dict[str, Any] = {
    "doctors": ["lee"],
    "approval": True,
    "questions": [
        {"code": "thinners", "text": "Do you take blood thinners?", "kind": "yes_no", "required": True, "choices": []},
        {"code": "side", "text": "Which?", "kind": "choice", "required": False, "choices": ["left", "right"]},
    ],
    "hours": [{"days": ["mon", "tue"], "from": "09:00", "to": "12:00"}],
    "daily_maximum": 4,
    "weekly_maximum": 10,
    "offer_minutes": 120,
    "auto_offer_hours": 72,
    "follow_up_days": 90,
    "cutoff_cancel_minutes": 60,
}


def change(clinic: Clinic, code: str = "consultation", **fields: Any) -> Any:
    return clinic.call("PATCH", f"/types/{code}", fields, by="root")


def refusal(clinic: Clinic, start: str, doctor: str = "lee", *, by: str = "desk") -> str:
    body = {"doctor": doctor, "start": start, "patient": PATIENT}
    answer = clinic.post("/appointments", body, by=by)
    code: str = answer.get_json().get("code", "booked")
    return code


def test_all_that_can_be_said_of_a_type_comes_back(clinic: Clinic) -> None:
    said = change(clinic, **WHOLE)
    assert said.status_code == 200, said.text
    assert {name: said.get_json()[name] for name in WHOLE} == WHOLE
    cleared = change(clinic, daily_maximum=None, doctors=[], hours=[]).get_json()
    assert (cleared["daily_maximum"], cleared["doctors"], cleared["hours"]) == (None, [], [])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"doctors": ["nobody"]}, "doctors"),
        ({"doctors": ["desk"]}, "doctors"),
        ({"resources": [["lee"]]}, "resources"),
        ({"resources": [[]]}, "resources.0"),
        ({"daily_maximum": -1}, "daily_maximum"),
        ({"hours": [{"days": ["monday"], "from": "09:00", "to": "12:00"}]}, "hours.0.days.0"),
        ({"hours": [{"days": ["mon"], "from": "12:00", "to": "09:00"}]}, "hours.0"),
        ({"hours": [{"days": ["mon"], "from": "9", "to": "12:00"}]}, "hours.0.from"),
        ({"questions": [{"code": "a", "text": "?", "kind": "choice"}]}, "questions.0"),
        ({"questions": [{"code": "a", "text": "?"}, {"code": "a", "text": "!"}]}, "questions"),
        ({"questions": [{"code": "A b", "text": "?"}]}, "questions.0.code"),
    ],
)
def test_what_makes_no_sense_names_its_field_and_changes_nothing(
    clinic: Clinic, fields: dict[str, Any], field: str
) -> None:
    before = clinic.get("/types").get_json()
    problem(change(clinic, **fields), 422, "invalid", field)
    assert clinic.get("/types").get_json() == before


def test_a_type_keeps_to_its_doctors_and_hours(clinic: Clinic) -> None:
    change(clinic, doctors=["lee"], hours=[{"days": ["tue"], "from": "10:00", "to": "11:00"}])
    found = clinic.get("/slots?from=2026-11-23&to=2026-11-27").get_json()["slots"]
    assert [(slot["doctor"], slot["start"][:16]) for slot in found] == [
        ("lee", "2026-11-24T10:00"),
        ("lee", "2026-11-24T10:20"),
        ("lee", "2026-11-24T10:40"),
    ]
    assert refusal(clinic, "2026-11-24T10:00", "smith") == "doctor_not_offered"
    assert refusal(clinic, "2026-11-24T09:40") == "type_not_offered"
    assert refusal(clinic, "2026-11-24T10:00") == "booked"


def test_the_maxima_of_a_type_are_per_doctor_and_week(clinic: Clinic) -> None:
    change(clinic, daily_maximum=1, weekly_maximum=2)
    assert [refusal(clinic, f"2026-11-2{day}T09:00") for day in (4, 5, 6)] == ["booked", "booked", "type_maximum"]
    assert refusal(clinic, "2026-11-24T09:20") == "type_maximum"
    assert refusal(clinic, "2026-11-24T09:20", "smith") == "booked"
    assert refusal(clinic, "2026-11-30T09:00") == "booked"


def test_a_slot_exists_only_with_one_of_each_group_of_resources(clinic: Clinic) -> None:
    for username in ("room-1", "room-2"):
        clinic.post("/resources", {"username": username, "kind": "room", "name": username}, by="root")
    assert change(clinic, resources=[["room-1", "room-2"]]).status_code == 200
    assert [refusal(clinic, "2026-11-24T09:00", doctor) for doctor in ("lee", "smith")] == ["booked", "booked"]
    third = clinic.add("doctor", "third", "Dr. Third")
    assert third.username == "third"
    taken = clinic.get("/slots?doctor=any&from=2026-11-24&to=2026-11-24").get_json()["slots"]
    assert {slot["start"][11:16] for slot in taken}.isdisjoint({"09:00"})
    types = clinic.get("/types", by="maria").get_json()["types"]
    assert all(kind["resources"] is None for kind in types)


def test_patients_answer_what_a_type_asks_and_staff_read_it(clinic: Clinic) -> None:
    change(clinic, questions=WHOLE["questions"])
    body = {"doctor": "lee", "start": "2026-11-24T09:00"}
    problem(clinic.post("/appointments", body, by="maria"), 422, "invalid", "answers.thinners")
    odd = {**body, "answers": {"thinners": True, "side": "up"}}
    problem(clinic.post("/appointments", odd, by="maria"), 422, "invalid", "answers.side")
    assert clinic.get("/slots/explain?doctor=lee&start=2026-11-24T09:00").get_json()["free"]
    said = {**body, "answers": {"thinners": True, "side": "left"}, "patient_notes": "By wheelchair"}
    booked = clinic.post("/appointments", said, by="maria")
    assert booked.status_code == 201, booked.text
    shown = clinic.get(f"/appointments/{booked.get_json()['id']}", by="lee").get_json()
    assert shown["patient_notes"] == "Do you take blood thinners? Yes\nWhich? left\nBy wheelchair"
    assert refusal(clinic, "2026-11-24T10:00") == "booked", "the desk may leave questions open"
