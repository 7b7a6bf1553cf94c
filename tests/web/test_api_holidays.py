"""The clinic's holidays by API and command."""

from tests.storage.test_holidays import FILE
from tests.web.test_api import PATIENT, Clinic, clinic, problem

__all__ = ["clinic"]


def test_holidays_close_the_practice_and_are_named_to_staff_alone(clinic: Clinic) -> None:
    added = clinic.post("/holidays", {"name": "Austria", "ics": FILE.decode()}, by="root")
    assert added.status_code == 201, added.text
    assert clinic.get("/slots?from=2026-11-24&to=2026-11-24").get_json()["slots"] == []
    body = {"doctor": "lee", "start": "2026-11-24T09:00", "patient": PATIENT}
    problem(clinic.post("/appointments", body), 422, "holiday")
    path = "/slots/explain?doctor=lee&start=2026-11-24T09:00"
    (because,) = clinic.get(path).get_json()["because"]
    named = {"kind": "holiday", "id": str(added.get_json()["id"]), "title": "Founders' day (Austria)"}
    assert because["object"] == named
    patient = clinic.get(path, by="maria")
    assert patient.get_json()["because"][0]["code"] == "holiday" and "Founders" not in patient.text
    gone = clinic.call("DELETE", f"/holidays/{added.get_json()['id']}", by="root")
    assert gone.get_json() == {"holidays": []}
    assert clinic.post("/appointments", body).status_code == 201


def test_bad_holidays_name_their_field_and_leave_nothing(clinic: Clinic) -> None:
    problem(clinic.post("/holidays", {"name": "X", "url": "https://x.example/"}, by="desk"), 403, "forbidden")
    problem(clinic.post("/holidays", {"name": "X"}, by="root"), 422, "invalid", "url")
    problem(clinic.post("/holidays", {"name": "X", "url": "file:///etc"}, by="root"), 422, "invalid", "url")
    place = {"name": "X", "url": "https://x.example/", "location": "Moon"}
    problem(clinic.post("/holidays", place, by="root"), 422, "invalid", "location")
    assert clinic.post("/holidays", {"name": "X", "ics": "<html>"}, by="root").status_code in (403, 422)
    problem(clinic.call("DELETE", "/holidays/7", by="root"), 404, "not_found")
    assert clinic.get("/holidays", by="root").get_json() == {"holidays": []}
