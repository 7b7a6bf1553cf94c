"""Leave in the API: asked for in every form, changed, withdrawn, and the appointments in it decided."""

import pytest

from tests.web.test_api import Clinic, clinic, problem

__all__ = ["clinic"]
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

FRIDAY = {"doctor": "lee", "start": "2026-11-27", "end": "2026-11-27"}


def test_repeating_leave_lists_its_times_and_whom_it_touches_with_proposals(clinic: Clinic) -> None:
    first = clinic.book("2026-11-27T10:00")
    asked = clinic.post("/leave", FRIDAY | {"half": "morning", "rrule": "FREQ=WEEKLY"}, by="lee").get_json()
    assert asked["rrule"] == "FREQ=WEEKLY" and asked["affected"] == [first["id"]]
    assert [each["start"] for each in asked["occurrences"][:2]] == [
        "2026-11-27T00:00:00+01:00",
        "2026-12-04T00:00:00+01:00",
    ]
    (proposal,) = asked["proposals"]
    assert (proposal["appointment"], proposal["recurrence_id"]) == (first["id"], "")
    assert proposal["proposed"] == {"doctor": "lee", "start": "2026-11-26T11:40:00+01:00"}
    (listed,) = clinic.get("/leave?doctor=lee", by="lee").get_json()["leave"]
    assert listed["occurrences"] == asked["occurrences"] and "proposals" not in listed
    assert clinic.get("/leave", by="smith").get_json() == {"leave": []}
    assert clinic.get("/leave?status=approved").get_json() == {"leave": []}
    assert clinic.get(f"/leave/{asked['id']}", by="lee").get_json() == asked
    problem(clinic.get(f"/leave/{asked['id']}", by="smith"), 403, "forbidden")
    problem(clinic.get("/leave?status=odd"), 422, "invalid", "status")


def test_what_makes_no_sense_names_its_field(clinic: Clinic) -> None:
    problem(clinic.post("/leave", FRIDAY | {"half": "night"}), 422, "invalid", "half")
    problem(clinic.post("/leave", FRIDAY | {"half": "morning", "end": "2026-11-28"}), 422, "invalid", "half")
    problem(clinic.post("/leave", FRIDAY | {"rrule": "FREQ=NEVER"}), 422, "invalid", "rrule")
    assert clinic.get("/leave").get_json() == {"leave": []}


def test_leave_is_changed_and_withdrawn(clinic: Clinic) -> None:
    asked = clinic.post("/leave", FRIDAY, by="lee").get_json()
    url = f"/leave/{asked['id']}"
    assert clinic.post(f"{url}/approve").get_json()["status"] == "approved"
    longer = {"start": "2026-11-27", "end": "2026-11-28"}
    assert clinic.call("PATCH", url, longer, by="lee").get_json()["status"] == "pending"
    problem(clinic.call("PATCH", url, {"start": "2026-11-27"}, by="lee"), 422, "invalid", "end")
    problem(clinic.call("PATCH", url, longer, by="smith"), 403, "forbidden")
    problem(clinic.call("DELETE", url, by="smith"), 403, "forbidden")
    gone = clinic.call("DELETE", url, by="lee").get_json()
    assert (gone["status"], gone["affected"]) == ("withdrawn", [])
    problem(clinic.call("DELETE", url, by="lee"), 404, "not_found")


def test_one_time_of_repeating_leave_is_rejected_or_withdrawn(clinic: Clinic) -> None:
    asked = clinic.post("/leave", FRIDAY | {"rrule": "FREQ=WEEKLY;COUNT=3"}, by="lee").get_json()
    rids = [each["recurrence_id"] for each in asked["occurrences"]]
    url = f"/leave/{asked['id']}"
    left = clinic.post(f"{url}/reject", {"recurrence_id": rids[0]}).get_json()
    assert (left["status"], [each["recurrence_id"] for each in left["occurrences"]]) == ("pending", rids[1:])
    left = clinic.call("DELETE", f"{url}?recurrence_id={rids[1]}", by="lee").get_json()
    assert [each["recurrence_id"] for each in left["occurrences"]] == rids[2:]
    problem(clinic.post(f"{url}/reject", {"recurrence_id": "20261201T000000Z"}), 404, "not_found")


def test_appointments_in_leave_are_decided_all_or_none(clinic: Clinic) -> None:
    booked = [clinic.book(f"2026-11-27T{time}")["id"] for time in ("09:00", "09:20", "09:40")]
    asked = clinic.post("/leave", FRIDAY, by="lee").get_json()
    url = f"/leave/{asked['id']}/decisions"
    proposed = {each["appointment"]: each["proposed"] for each in asked["proposals"]}
    move = {"appointment": booked[0], "decision": "move", "start": proposed[booked[0]]["start"]}
    cancel = {"appointment": booked[1], "decision": "cancel", "reason": "On leave"}
    taken = {"appointment": booked[2], "decision": "move", "start": proposed[booked[0]]["start"]}
    problem(clinic.post(url, {"decisions": [move, cancel, taken]}), 409, "slot_taken", "decisions.2")
    assert clinic.get(f"/appointments/{booked[0]}").get_json()["status"] == "scheduled"
    lost = {"appointment": booked[0], "decision": "move"}
    problem(clinic.post(url, {"decisions": [lost]}), 422, "invalid", "decisions.0.start")
    keep = {"appointment": booked[2], "decision": "keep"}
    left = clinic.post(url, {"decisions": [move, cancel, keep]}, by="lee")
    assert left.status_code == 200, left.text
    assert left.get_json()["affected"] == [booked[2]]
    assert clinic.get(f"/appointments/{booked[1]}").get_json()["status"] == "cancelled_doctor"
    elsewhere = clinic.book("2026-11-26T09:00")["id"]
    stray = {"decisions": [{"appointment": elsewhere, "decision": "cancel"}]}
    problem(clinic.post(url, stray), 422, "invalid", "decisions.0.appointment")
    colleague = {"appointment": booked[2], "decision": "move", "start": "2026-11-27T10:00", "doctor": "smith"}
    assert clinic.post(url, {"decisions": [colleague]}, by="lee").get_json()["affected"] == []
