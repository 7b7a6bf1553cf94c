"""Who came and what follows, by API."""

from datetime import timedelta

import pytest

from tests.web.test_api import Clinic, clinic, problem  # noqa: F401


@pytest.fixture
def day_after(clinic: Clinic) -> list[str]:  # noqa: F811
    """Two appointments of a day that is over, of which nobody has said anything."""
    ids = [clinic.book()["id"], clinic.book("2026-11-23T09:20")["id"]]
    clinic.now += timedelta(days=1)
    return ids


def test_staff_say_who_came(clinic: Clinic, day_after: list[str]) -> None:  # noqa: F811
    first, second = day_after
    found = clinic.get("/no-shows/proposed?doctor=lee", by="lee").get_json()["proposed"]
    assert [each["id"] for each in found] == day_after
    assert clinic.get("/no-shows/proposed", by="smith").get_json() == {"proposed": []}
    problem(clinic.get("/no-shows/proposed", by="maria"), 403, "forbidden")
    problem(clinic.post("/no-shows/confirm", {"ids": [first]}, by="smith"), 404, "not_found")
    # All of them or none
    gone = "00000000-0000-4000-8000-000000000000"
    problem(clinic.post("/no-shows/confirm", {"ids": [first, gone]}), 404, "not_found")
    assert clinic.get(f"/appointments/{first}").get_json()["status"] == "scheduled"
    assert clinic.post("/no-shows/confirm", {"ids": [first]}).get_json() == {"ids": [first], "outcome": "missed"}
    assert clinic.post("/no-shows/confirm", {"ids": [second], "outcome": "took_place"}).status_code == 200
    assert clinic.get(f"/appointments/{first}").get_json()["status"] == "no_show"
    assert clinic.get(f"/appointments/{second}").get_json()["status"] == "completed"
    assert clinic.get("/no-shows/proposed").get_json() == {"proposed": []}
    problem(clinic.post("/no-shows/confirm", {"ids": ["x"]}), 422, "invalid", "ids.0")


def test_what_a_patient_has_missed_is_read_and_waived(clinic: Clinic, day_after: list[str]) -> None:  # noqa: F811
    clinic.post("/no-shows/confirm", {"ids": day_after})
    patient = clinic.get(f"/appointments/{day_after[0]}").get_json()["patient"]["id"]
    path = f"/patients/{patient}/no-shows"
    found = clinic.get(path).get_json()
    assert (found["missed"], found["consequence"], found["waived_at"]) == (2, "", None)
    problem(clinic.post(f"{path}/waive", {"reason": ""}), 422, "invalid", "reason")
    problem(clinic.post(f"{path}/waive", {"reason": "x"}, by="smith"), 404, "not_found")
    problem(clinic.get("/patients/00000000-0000-4000-8000-000000000000/no-shows"), 404, "not_found")
    waived = clinic.post(f"{path}/waive", {"reason": "Was in hospital"}, by="lee").get_json()
    assert (waived["missed"], waived["waived_because"]) == (0, "Was in hospital")
    assert clinic.get(path).get_json()["waived_at"]


def test_a_doctor_reads_the_own_figures(clinic: Clinic, day_after: list[str]) -> None:  # noqa: F811
    found = clinic.get("/analytics?from=2026-11-23&to=2026-11-23", by="lee").get_json()
    assert [row["key"] for row in found["rows"]] == ["lee"] and found["total"]["booked"] == 2
    problem(clinic.get("/analytics?doctor=lee", by="smith"), 403, "forbidden")
    problem(clinic.get("/analytics?doctor=nobody"), 422, "invalid", "doctor")
    problem(clinic.get("/analytics?type=nothing"), 422, "invalid", "type")
    chosen = clinic.get("/analytics?from=2026-11-23&to=2026-11-23&doctor=smith&by=month").get_json()
    assert chosen["total"]["booked"] == 0
