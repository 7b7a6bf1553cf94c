"""The waitlist by API: sets of doctors, urgency, changes, candidates, offers and bookings by hand."""

from typing import Any

import pytest

from tests.web.test_api import PATIENT, Clinic, clinic, offer, problem

__all__ = ["clinic"]

WISH = {"doctor": "lee", "date_from": "2026-11-23", "date_to": "2026-11-27", "patient": PATIENT}


def join(clinic: Clinic, name: str = "Tom Berger", by: str = "desk", **more: Any) -> dict[str, Any]:
    patient = {"name": name, "email": f"{name.lower().replace(' ', '.')}@mail.example"}
    answer = clinic.post("/waitlist", WISH | {"patient": patient} | more, by=by)
    assert answer.status_code == 201, answer.text
    return answer.get_json()


def test_a_set_of_doctors_urgency_and_channel_are_kept_and_shown(clinic: Clinic) -> None:
    entry = join(clinic, doctor=["lee", "smith"], urgency="urgent", channel="email", reason="Pain")
    assert (entry["doctor"], entry["urgency"], entry["channel"], entry["reason"]) == (
        ["lee", "smith"],
        "urgent",
        "email",
        "Pain",
    )
    later = join(clinic, "Ann Other", doctor=["lee"])
    assert later["doctor"] == "lee"
    listed = clinic.get("/waitlist").get_json()["waitlist"]
    assert [each["id"] for each in listed] == [entry["id"], later["id"]]
    assert [each["id"] for each in clinic.get("/waitlist?urgency=urgent").get_json()["waitlist"]] == [entry["id"]]
    assert clinic.get("/waitlist?type=virtual").get_json()["waitlist"] == []
    # Either doctor reads it, with whom to call.
    assert clinic.get(f"/waitlist/{entry['id']}", by="smith").get_json()["patient"]["name"] == "Tom Berger"
    problem(clinic.get(f"/waitlist/{later['id']}", by="smith"), 404, "not_found")


def test_an_entry_is_changed_in_parts_and_only_as_it_was_read(clinic: Clinic) -> None:
    entry = join(clinic)
    at = f"/waitlist/{entry['id']}"
    etag = clinic.get(at).headers["ETag"]
    changed = clinic.call("PATCH", at, {"time_to": "12:00", "doctor": "any", "weekdays": ["mon"]}, If_Match=etag)
    assert changed.status_code == 200, changed.text
    body = changed.get_json()
    assert (body["time_to"], body["doctor"], body["weekdays"]) == ("12:00", "any", ["mon"])
    assert (body["date_from"], body["added_at"]) == (entry["date_from"], entry["added_at"])
    problem(clinic.call("PATCH", at, {"time_to": "13:00"}, If_Match=etag), 412, "version_conflict")
    problem(clinic.call("PATCH", at, {"date_to": "2026-11-01"}), 422, "invalid", "date_to")
    problem(clinic.call("PATCH", at, {"type": "nothing"}), 422, "invalid", "type")
    clinic.post(f"{at}/withdraw")
    assert clinic.get(at).get_json()["status"] == "withdrawn"
    problem(clinic.call("PATCH", at, {"time_to": "13:00"}), 409, "illegal_transition")


def test_the_same_is_not_waited_for_twice(clinic: Clinic) -> None:
    join(clinic)
    again = {"name": "Tom Berger", "email": "tom.berger@mail.example"}
    problem(clinic.post("/waitlist", WISH | {"patient": again}), 409, "already_waiting")


def test_staff_see_who_could_take_a_time_and_offer_it(clinic: Clinic) -> None:
    tom, ann = join(clinic), join(clinic, "Ann Other", date_from="2026-11-25", urgency="soon")
    asked = "/waitlist/candidates?doctor=lee&start=2026-11-23T09:00"
    found = clinic.get(asked).get_json()["candidates"]
    assert [(each["entry"]["id"], each["against"]) for each in found] == [(tom["id"], []), (ann["id"], ["day"])]
    assert found[0]["end"] > "2026-11-23T09:00"
    made = clinic.post(f"/waitlist/{ann['id']}/offer", {"doctor": "lee", "start": "2026-11-23T09:00:00+01:00"})
    assert made.status_code == 201, made.text
    shown = made.get_json()
    assert shown["status"] == "offered" and shown["offer"]["start"] == "2026-11-23T09:00:00+01:00"
    assert shown["offer"]["made_by"]
    problem(
        clinic.post(f"/waitlist/{tom['id']}/offer", {"doctor": "lee", "start": "2026-11-23T09:00"}), 409, "slot_taken"
    )
    problem(
        clinic.post(f"/waitlist/{ann['id']}/offer", {"doctor": "lee", "start": "2026-11-24T09:00"}),
        409,
        "illegal_transition",
    )
    accepted = clinic.post(f"/offers/{shown['offer']['token']}/accept").get_json()
    assert clinic.get(f"/appointments/{accepted['id']}").get_json()["waitlist"] == ann["id"]


def test_what_is_agreed_on_the_telephone_is_booked(clinic: Clinic) -> None:
    tom = join(clinic)
    booked = clinic.post(f"/waitlist/{tom['id']}/book", {"doctor": "smith", "start": "2026-11-23T09:00"})
    assert booked.status_code == 201, booked.text
    assert clinic.get(f"/waitlist/{tom['id']}").get_json()["appointment"] == booked.get_json()["id"]
    problem(
        clinic.post(f"/waitlist/{tom['id']}/book", {"doctor": "lee", "start": "2026-11-24T09:00"}),
        409,
        "illegal_transition",
    )


def test_a_no_may_say_what_is_not_wanted_and_that_one_leaves(clinic: Clinic) -> None:
    tom = join(clinic)
    offer(clinic)
    token = clinic.get(f"/waitlist/{tom['id']}").get_json()["offer"]["token"]
    problem(clinic.post(f"/offers/{token}/decline", {"unwanted": "everything"}), 422, "invalid", "unwanted")
    answer = clinic.post(f"/offers/{token}/decline", {"unwanted": "day", "leave": True})
    assert answer.get_json()["status"] == "withdrawn"


@pytest.mark.parametrize(
    ("by", "doctor", "status"), [("lee", "lee", 201), ("lee", "smith", 403), ("smith", "smith", 404)]
)
def test_doctors_offer_their_own_time_to_those_who_want_them(clinic: Clinic, by: str, doctor: str, status: int) -> None:
    tom = join(clinic)
    answer = clinic.post(f"/waitlist/{tom['id']}/offer", {"doctor": doctor, "start": "2026-11-23T09:00"}, by=by)
    assert answer.status_code == status, answer.text


def test_bad_times_name_their_field(clinic: Clinic) -> None:
    tom = join(clinic)
    problem(clinic.post(f"/waitlist/{tom['id']}/offer", {"doctor": "lee", "start": "soon"}), 422, "invalid", "start")
    problem(
        clinic.post(f"/waitlist/{tom['id']}/offer", {"doctor": "nobody", "start": "2026-11-23T09:00"}),
        422,
        "invalid",
        "doctor",
    )
    problem(clinic.get("/waitlist/candidates?doctor=lee"), 422, "invalid", "start")
    assert clinic.get("/waitlist/proposals").get_json() == {"proposals": []}
