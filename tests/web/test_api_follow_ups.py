"""Follow-ups in the API, from the completed visit to the booking."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.web.test_api import Clinic, clinic, problem

__all__ = ["clinic"]
sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def complete(clinic: Clinic, **body: Any):
    """Maria's visit at nine is over."""
    clinic.now = datetime(2026, 11, 23, 6, tzinfo=UTC)
    made = clinic.book()
    clinic.now = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
    return made, clinic.post(f"/appointments/{made['id']}/complete", body, by="lee")


def test_from_completion_to_booking(clinic: Clinic) -> None:
    made, answer = complete(clinic, follow_up={"after_days": 7, "type": "xray_review", "note": "Fasting"})
    assert answer.status_code == 200, answer.text
    (found,) = clinic.get("/follow-ups?doctor=lee", by="lee").get_json()["follow_ups"]
    assert (found["due_from"], found["due_to"], found["type"]) == ("2026-11-30", "2026-12-13", "xray_review")
    assert (found["appointment"], found["status"], found["note"]) == (made["id"], "proposed", "Fasting")
    slots = clinic.get(f"/follow-ups/{found['id']}/slots", by="lee").get_json()["slots"]
    assert (slots[0]["doctor"], slots[0]["start"]) == ("lee", "2026-11-30T09:00:00+01:00")
    assert slots[-1]["doctor"] == "smith"
    booked = clinic.post(f"/follow-ups/{found['id']}/book", {"start": slots[0]["start"]}, by="lee")
    assert booked.status_code == 201, booked.text
    child = clinic.get(f"/appointments/{booked.get_json()['id']}", by="lee").get_json()
    assert child["parent"] == made["id"]
    again = {"start": slots[3]["start"]}
    problem(clinic.post(f"/follow-ups/{found['id']}/book", again, by="lee"), 409, "illegal_transition")
    one = clinic.get(f"/follow-ups/{found['id']}", by="lee").get_json()
    assert (one["status"], one["booked"]) == ("booked", child["id"])
    assert clinic.get("/follow-ups", by="lee").get_json() == {"follow_ups": []}
    assert clinic.get("/follow-ups?status=booked", by="smith").get_json() == {"follow_ups": []}
    assert len(clinic.get("/follow-ups?status=booked").get_json()["follow_ups"]) == 1
    problem(clinic.get(f"/follow-ups/{found['id']}", by="smith"), 404, "not_found")
    problem(clinic.post(f"/follow-ups/{found['id']}/dismiss", by="lee"), 409, "illegal_transition")


@sqlite
def test_one_that_makes_no_sense_names_its_field_and_completes_nothing(clinic: Clinic) -> None:
    made, answer = complete(clinic, follow_up={"note": "soon"})
    problem(answer, 422, "invalid", "follow_up.after_days")
    url = f"/appointments/{made['id']}"
    assert clinic.get(url, by="lee").get_json()["status"] != "completed"
    body = {"follow_up": {"due_from": "2026-12-09", "due_to": "2026-12-01"}}
    problem(clinic.post(f"{url}/complete", body, by="lee"), 422, "invalid", "follow_up.due_to")
    problem(clinic.post(f"{url}/complete", {"follow_up": {"days": 1}}, by="lee"), 422, "invalid", "follow_up.days")
    problem(clinic.post("/follow-ups", {"appointment": made["id"]}, by="lee"), 422, "invalid", "appointment")


@sqlite
def test_one_is_proposed_later_and_dismissed(clinic: Clinic) -> None:
    made, answer = complete(clinic, follow_up=None)
    assert answer.status_code == 200
    assert clinic.get("/follow-ups", by="lee").get_json() == {"follow_ups": []}
    proposed = clinic.post("/follow-ups", {"appointment": made["id"], "after_days": 3}, by="lee")
    assert proposed.status_code == 201, proposed.text
    problem(
        clinic.post("/follow-ups", {"appointment": made["id"], "after_days": 3}, by="maria"),
        422,
        "invalid",
        "appointment",
    )
    url = f"/follow-ups/{proposed.get_json()['id']}"
    assert clinic.post(f"{url}/dismiss").get_json()["status"] == "dismissed"
    problem(clinic.post(f"{url}/book", {"start": "2026-11-26T09:00"}), 409, "illegal_transition")
