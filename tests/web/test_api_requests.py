"""Requests, cut-offs, undo and overruling by API."""

from datetime import timedelta
from typing import Any

import pytest

from storage import appointment_types
from tests.web.test_api import Clinic, clinic, problem

__all__ = ["clinic"]


@pytest.fixture
def asking(clinic: Clinic) -> Clinic:
    assert clinic.call("PATCH", "/house-rules", {"late_changes": "asked"}, by="root").status_code == 200
    changed = clinic.call("PATCH", "/types/consultation", {"cutoff_minutes": 24 * 60}, by="root")
    assert changed.status_code == 200, changed.text
    return clinic


def by_maria(clinic: Clinic, start: str = "2026-11-24T09:00") -> dict[str, Any]:
    answer = clinic.post("/appointments", {"doctor": "lee", "start": start}, by="maria")
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.get_json()
    return made


def test_after_the_cut_off_a_patient_is_refused_and_staff_are_not(clinic: Clinic) -> None:
    clinic.call("PATCH", "/types/consultation", {"cutoff_minutes": 24 * 60}, by="root")
    booked = by_maria(clinic)
    clinic.now += timedelta(hours=12)
    for path, body in (("cancel", {}), ("reschedule", {"start": "2026-11-24T10:00"})):
        problem(clinic.post(f"/appointments/{booked['id']}/{path}", body, by="maria"), 422, "cut_off_passed")
    assert clinic.post(f"/appointments/{booked['id']}/cancel").status_code == 200


def test_a_late_move_is_asked_for_and_approved(asking: Clinic) -> None:
    booked = by_maria(asking)
    asking.now += timedelta(hours=12)
    wish = {"start": "2026-11-24T10:00", "reason": "The train is late"}
    answer = asking.post(f"/appointments/{booked['id']}/reschedule", wish, by="maria").get_json()
    assert (answer["status"], answer["start"]) == ("scheduled", "2026-11-24T09:00:00+01:00")
    [asked] = answer["requests"]
    assert (asked["kind"], asked["state"], asked["start"]) == ("reschedule", "open", "2026-11-24T10:00:00+01:00")
    [listed] = asking.get("/requests", by="lee").get_json()["requests"]
    assert (listed["id"], listed["reason"], listed["patient"]["name"]) == (
        asked["id"],
        "The train is late",
        "Maria Huber",
    )
    assert asking.get("/requests", by="smith").get_json() == {"requests": []}
    assert len(asking.get("/requests", by="maria").get_json()["requests"]) == 1
    approved = asking.post(f"/requests/{asked['id']}/approve", {"reason": "Fine"}, by="desk")
    assert (approved.status_code, approved.get_json()["state"]) == (200, "approved")
    after = asking.get(f"/appointments/{booked['id']}", by="maria").get_json()
    assert (after["start"], after["requests"]) == ("2026-11-24T10:00:00+01:00", [])
    problem(asking.post(f"/requests/{asked['id']}/reject", by="desk"), 409, "request_closed")


def test_only_staff_answer_and_only_whoever_asked_takes_back(asking: Clinic) -> None:
    booked = by_maria(asking)
    asking.now += timedelta(hours=12)
    [asked] = asking.post(f"/appointments/{booked['id']}/cancel", by="maria").get_json()["requests"]
    problem(asking.post(f"/requests/{asked['id']}/approve", by="maria"), 403, "forbidden")
    problem(asking.post(f"/requests/{asked['id']}/approve", by="smith"), 404, "not_found")
    taken = asking.post(f"/requests/{asked['id']}/withdraw", by="maria")
    assert taken.get_json()["state"] == "withdrawn"
    problem(asking.post(f"/requests/{booked['id']}/withdraw", by="maria"), 404, "not_found")


def test_a_booking_that_needs_approval_says_so(clinic: Clinic) -> None:
    with clinic.database.transaction() as session:
        appointment_types.change(session, "consultation", now=clinic.now, approval=True)
    booked = by_maria(clinic)
    assert booked["status"] == "scheduled" and booked["request"]
    problem(clinic.post(f"/appointments/{booked['id']}/confirm", by="maria"), 409, "needs_approval")
    clinic.post(f"/requests/{booked['request']}/approve", by="lee")
    assert clinic.get(f"/appointments/{booked['id']}").get_json()["status"] == "confirmed"


def test_a_step_is_taken_back_by_staff(clinic: Clinic) -> None:
    booked = clinic.book()
    problem(clinic.post(f"/appointments/{booked['id']}/undo"), 409, "nothing_to_undo")
    clinic.post(f"/appointments/{booked['id']}/confirm")
    assert clinic.post(f"/appointments/{booked['id']}/undo").get_json()["status"] == "scheduled"
    mine = by_maria(clinic)
    clinic.post(f"/appointments/{mine['id']}/confirm", by="maria")
    problem(clinic.post(f"/appointments/{mine['id']}/undo", by="maria"), 403, "forbidden")
    problem(clinic.post(f"/appointments/{mine['id']}/undo", by="smith"), 404, "not_found")
    stale = clinic.post(f"/appointments/{mine['id']}/undo", If_Match='"x"')
    problem(stale, 412, "version_conflict")


def test_staff_move_over_the_rules_and_say_why(clinic: Clinic) -> None:
    booked = clinic.book()
    url = f"/appointments/{booked['id']}/reschedule"
    problem(clinic.post(url, {"start": "2026-11-24T20:00"}), 422, "outside_hours")
    problem(clinic.post(url, {"start": "2026-11-24T20:00", "overrule": True}), 422, "invalid", "reason")
    moved = clinic.post(url, {"start": "2026-11-24T20:00", "overrule": True, "reason": "Only then"})
    assert moved.get_json()["start"] == "2026-11-24T20:00:00+01:00"
    mine = by_maria(clinic, "2026-11-24T09:20")
    wish = {"start": "2026-11-24T20:00", "overrule": True, "reason": "Please"}
    problem(clinic.post(f"/appointments/{mine['id']}/reschedule", wish, by="maria"), 403, "forbidden")


# A doctor who cannot come

PLAN = {"doctor": "lee", "from": "2026-11-24", "to": "2026-11-24", "action": "move_to", "to_doctor": "smith"}


def test_a_preview_is_carried_out_once_and_only_as_shown(clinic: Clinic) -> None:
    booked = clinic.book("2026-11-24T09:00")
    shown = clinic.post("/bulk/preview", PLAN).get_json()
    [visit] = shown["visits"]
    assert (visit["outcome"], visit["new_start"], visit["doctor"]) == ("moved", "2026-11-24T09:00:00+01:00", "smith")
    assert clinic.get(f"/appointments/{booked['id']}").get_json()["doctor"] == "lee"
    problem(clinic.post("/bulk", {**PLAN, "token": "0" * 32}), 409, "plan_changed")
    asked = {**PLAN, "token": shown["token"], "message": "Dr. Lee is ill."}
    done = clinic.post("/bulk", asked, Idempotency_Key="ill")
    assert (done.status_code, done.get_json()["visits"]) == (200, shown["visits"])
    assert clinic.post("/bulk", asked, Idempotency_Key="ill").headers["Idempotency-Replayed"] == "true"
    problem(clinic.post("/bulk", asked), 409, "plan_changed")
    assert clinic.get(f"/appointments/{booked['id']}").get_json()["doctor"] == "smith"


@pytest.mark.parametrize(
    "field,value",
    [("doctor", "nobody"), ("to_doctor", "lee"), ("to_doctor", None), ("to", "2026-11-23"), ("action", "shout")],
)
def test_a_plan_that_cannot_be_used_names_the_field(clinic: Clinic, field: str, value: Any) -> None:
    problem(clinic.post("/bulk/preview", {**PLAN, field: value}), 422, "invalid", field)


def test_who_may_act_for_a_doctor_who_cannot_come(clinic: Clinic) -> None:
    cancel = {"doctor": "lee", "from": "2026-11-24", "to": "2026-11-24", "action": "cancel"}
    assert clinic.post("/bulk/preview", cancel, by="lee").status_code == 200
    problem(clinic.post("/bulk/preview", cancel, by="smith"), 403, "forbidden")
    problem(clinic.post("/bulk/preview", cancel, by="maria"), 403, "forbidden")
    problem(clinic.post("/bulk/preview", PLAN, by="lee"), 403, "forbidden")
