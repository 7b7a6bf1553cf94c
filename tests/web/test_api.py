"""The JSON API: every call of the contract, what it refuses, and how it says so."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from storage import accounts, credentials, hours, matches, offers
from storage.db import Database
from storage.models import Account
from storage.policy import SYSTEM
from web.wsgi import create_wsgi

# A Monday
NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
PATIENT = {"name": "Maria Huber", "email": "maria@mail.example"}


@dataclass
class Clinic:
    """The application with a clock that can be set, and a token for each user."""

    database: Database
    now: datetime = NOW
    tokens: dict[str, str] = field(default_factory=dict)
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        assert self.database.settings is not None
        self.client = Client(create_wsgi(self.database.settings, lambda: self.now, self.database))

    def call(self, method: str, path: str, body: Any = None, *, by: str = "desk", **headers: str) -> TestResponse:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if by:
            given["Authorization"] = f"Bearer {self.tokens[by]}"
        return self.client.open(f"/api/v1{path}", method=method, json=body, headers=given)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> TestResponse:
        return self.call("POST", path, body, **more)

    def book(self, start: str = "2026-11-23T09:00", **more: Any) -> dict[str, Any]:
        answer = self.post("/appointments", {"doctor": "lee", "start": start, "patient": PATIENT} | more)
        assert answer.status_code == 201, answer.text
        booked: dict[str, Any] = answer.get_json()
        return booked

    def add(self, role: str, username: str, name: str) -> Account:
        with self.database.transaction() as session:
            account = accounts.create_account(
                session, role=role, username=username, name=name, email=f"{username}@clinic.example", now=NOW
            )
            self.tokens[username] = credentials.add_api_token(session, account, "tests", NOW)
            return account


@pytest.fixture
def clinic(database: Database) -> Iterator[Clinic]:
    made = Clinic(database)
    lee = made.add("doctor", "lee", "Dr. Anna Lee")
    smith = made.add("doctor", "smith", "Dr. John Smith")
    made.add("receptionist", "desk", "Rosa Klein")
    made.add("admin", "root", "Ada Winter")
    made.add("patient", "maria", "Maria Huber")
    days = ("mon", "tue", "wed", "thu", "fri")
    with database.transaction() as session:
        for doctor in (lee, smith):
            hours.add_hours(session, doctor, days, time(9), time(12), slot=20, actor=SYSTEM, now=NOW)
    yield made


def problem(answer: TestResponse, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    body: dict[str, Any] = answer.get_json()
    assert (body["code"], body["status"], body.get("field")) == (code, status, field)
    assert body["type"] and body["title"] and body["detail"]
    return body


# Who calls


def test_calls_without_token_are_refused(clinic: Clinic) -> None:
    answer = clinic.get("/doctors", by="")
    problem(answer, 401, "unauthorised")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer", "Bearer x", "Basic bGVlOng=", "bearer cdav_ä", "Bearer " + "x" * 5000])
def test_malformed_tokens_are_refused(clinic: Clinic, header: str) -> None:
    answer = clinic.client.get("/api/v1/doctors", headers={"Authorization": header})
    problem(answer, 401, "unauthorised")


def test_a_revoked_token_is_refused_at_once(clinic: Clinic) -> None:
    with clinic.database.transaction() as session:
        desk = accounts.by_username(session, "desk")
        assert desk is not None
        credentials.revoke(session, credentials.api_tokens(session, desk)[0], NOW)
    problem(clinic.get("/doctors"), 401, "unauthorised")


def test_what_is_not_there_is_a_problem_document_too(clinic: Clinic) -> None:
    problem(clinic.get("/nothing"), 404, "not_found")
    answer = clinic.call("DELETE", "/doctors")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET"
    problem(clinic.get("/appointments/nonsense"), 404, "not_found")


# Bodies


@pytest.mark.parametrize(
    ("data", "content_type", "status", "code", "field"),
    [
        (b"{", "application/json", 400, "malformed_json", None),
        (b"", "application/json", 400, "malformed_json", None),
        (b'{"doctor": "lee"}', "text/plain", 415, "unsupported_media_type", None),
        (b"[]", "application/json", 422, "invalid", None),
        (b'{"doctor": "lee"}', "application/json", 422, "invalid", "start"),
        (b'{"doctor": "lee", "start": "soon"}', "application/json", 422, "invalid", "start"),
        (b'{"doctor": "lee", "start": 1}', "application/json", 422, "invalid", "start"),
        (b'{"doctor": "l\\u0000", "start": "2026-11-23T09:00"}', "application/json", 422, "invalid", "doctor"),
        (b'{"doctor": "nobody", "start": "2026-11-23T09:00"}', "application/json", 422, "invalid", "doctor"),
        (b'{"doctor": "desk", "start": "2026-11-23T09:00"}', "application/json", 422, "invalid", "doctor"),
        (b'{"doctor": "lee", "start": "0001-01-01T00:00Z"}', "application/json", 422, "invalid", "start"),
        (b'{"doctor": "lee", "start": "2026-11-23T09:00", "type": "x"}', "application/json", 422, "invalid", "type"),
        (b'{"doctor": "lee", "start": "2026-11-23T09:00", "x": 1}', "application/json", 422, "invalid", "x"),
        (b'{"a": "' + b"x" * 70_000 + b'"}', "application/json", 413, "too_large", None),
    ],
)
def test_bodies_that_cannot_be_used_name_the_fault(
    clinic: Clinic, data: bytes, content_type: str, status: int, code: str, field: str | None
) -> None:
    headers = {"Authorization": f"Bearer {clinic.tokens['desk']}"}
    answer = clinic.client.post("/api/v1/holds", data=data, content_type=content_type, headers=headers)
    problem(answer, status, code, field)


def test_query_parameters_that_cannot_be_used_are_named(clinic: Clinic) -> None:
    problem(clinic.get("/slots?from=yesterday"), 422, "invalid", "from")
    problem(clinic.get("/slots?typ=x"), 422, "invalid", "typ")
    problem(clinic.get("/slots?doctor=%00"), 422, "invalid", "doctor")
    problem(clinic.get("/slots?from=2026-11-23&to=2028-01-01"), 422, "invalid", "to")
    problem(clinic.get("/slots?from=2026-11-23&to=2026-11-20"), 422, "invalid", "to")
    problem(clinic.get("/slots/explain?doctor=lee"), 422, "invalid", "start")
    problem(clinic.get("/appointments?status=lost"), 422, "invalid", "status")
    problem(clinic.get("/appointments?after=x"), 422, "invalid", "after")
    problem(clinic.get("/doctors?x=1"), 422, "invalid", "x")


# Times


def test_doctors_and_types_are_listed(clinic: Clinic) -> None:
    assert [d["username"] for d in clinic.get("/doctors").get_json()["doctors"]] == ["lee", "smith"]
    codes = [kind["code"] for kind in clinic.get("/types").get_json()["types"]]
    assert codes == ["consultation", "follow_up", "xray_review", "results_discussion", "virtual", "emergency"]


def test_slots_carry_the_doctors_offset_and_come_in_order(clinic: Clinic) -> None:
    slots = clinic.get("/slots?doctor=any&from=2026-11-23&to=2026-11-24").get_json()["slots"]
    assert len(slots) == 2 * 2 * 9
    assert slots[0] == {
        "doctor": "lee",
        "start": "2026-11-23T09:00:00+01:00",
        "end": "2026-11-23T09:20:00+01:00",
        "spots": 1,
    }
    assert [slot["start"] for slot in slots] == sorted(slot["start"] for slot in slots)


def test_slots_between_two_instants_exclude_the_second(clinic: Clinic) -> None:
    asked = "/slots?doctor=lee&from=2026-11-23T09:00:00%2B01:00&to=2026-11-23T09:40:00%2B01:00"
    assert [slot["start"][11:16] for slot in clinic.get(asked).get_json()["slots"]] == ["09:00", "09:20"]


def test_a_booked_slot_is_gone_and_explained(clinic: Clinic) -> None:
    assert clinic.get("/slots/explain?doctor=lee&start=2026-11-23T09:00").get_json() == {"free": True, "because": []}
    clinic.book()
    starts = [slot["start"][11:16] for slot in clinic.get("/slots?doctor=lee&to=2026-11-23").get_json()["slots"]]
    assert "09:00" not in starts and "09:20" in starts
    answer = clinic.get("/slots/explain?doctor=lee&start=2026-11-23T09:00").get_json()
    assert not answer["free"]
    assert [because["code"] for because in answer["because"]] == ["slot_taken"]


def test_a_hold_keeps_the_time_until_it_expires(clinic: Clinic) -> None:
    held = clinic.post("/holds", {"doctor": "lee", "start": "2026-11-23T09:00", "type": "consultation"})
    assert held.status_code == 201
    assert datetime.fromisoformat(held.get_json()["expires_at"]) == NOW + timedelta(minutes=10)
    again = {"doctor": "lee", "start": "2026-11-23T09:00"}
    problem(clinic.post("/holds", again), 409, "slot_taken")
    problem(clinic.post("/appointments", again | {"patient": PATIENT}), 409, "slot_taken")
    assert clinic.book(hold=held.get_json()["id"])["status"] == "scheduled"


def test_an_expired_hold_is_not_booked(clinic: Clinic) -> None:
    held = clinic.post("/holds", {"doctor": "lee", "start": "2026-11-23T09:00"}).get_json()
    clinic.now += timedelta(minutes=11)
    body = {"doctor": "lee", "start": "2026-11-23T09:00", "patient": PATIENT, "hold": held["id"]}
    problem(clinic.post("/appointments", body), 409, "hold_expired")


def test_types_are_added_and_changed_by_admins_alone(clinic: Clinic) -> None:
    new = {"code": "checkup", "name": "Check-up", "minutes": 40, "buffer_after": 10, "mode": "in_person"}
    problem(clinic.post("/types", new), 403, "forbidden")
    added = clinic.post("/types", new, by="root")
    assert added.status_code == 201
    assert (added.get_json()["minutes"], added.get_json()["buffer_after"]) == (40, 10)
    problem(clinic.post("/types", new, by="root"), 422, "invalid", "code")
    changed = clinic.call("PATCH", "/types/checkup", {"minutes": None, "notice_minutes": 60}, by="root").get_json()
    assert (changed["minutes"], changed["notice_minutes"], changed["buffer_after"]) == (None, 60, 10)
    assert clinic.call("PATCH", "/types", {"code": "checkup", "name": "X"}, by="root").get_json()["name"] == "X"
    problem(clinic.call("PATCH", "/types/checkup", {"minutes": 4}, by="root"), 422, "invalid", "minutes")
    problem(clinic.call("PATCH", "/types/nothing", {"minutes": 5}, by="root"), 404, "not_found", "type")


# Appointments


def test_a_booking_answers_with_offset_and_manage_link(clinic: Clinic) -> None:
    answer = clinic.post(
        "/appointments",
        {
            "doctor": "lee",
            "start": "2026-11-23T08:20:00Z",
            "type": "consultation",
            "reason": "Knee",
            "patient": PATIENT,
        },
    )
    assert answer.status_code == 201
    booked = answer.get_json()
    assert booked["start"] == "2026-11-23T09:20:00+01:00"
    assert booked["end"] == "2026-11-23T09:40:00+01:00"
    assert (booked["doctor"], booked["status"]) == ("lee", "scheduled")
    assert booked["manage_url"].startswith("http://127.0.0.1:8000/manage/")
    assert answer.headers["Location"] == f"/api/v1/appointments/{booked['id']}"
    read = clinic.get(f"/appointments/{booked['id']}")
    assert read.headers["ETag"] == answer.headers["ETag"]
    assert read.get_json()["reason"] == "Knee"
    assert read.get_json()["patient"]["email"] == PATIENT["email"]
    assert [step["action"] for step in read.get_json()["history"]] == ["booked"]


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"start": "2026-11-23T13:00"}, 422, "outside_hours", None),
        ({"start": "2026-11-22T09:00"}, 422, "too_late", None),
        ({"start": "2029-11-26T09:00"}, 422, "too_far_ahead", None),
        ({"patient": {"name": "Maria", "email": "x"}}, 422, "invalid", "patient.email"),
        ({"patient": {"email": "maria@mail.example"}}, 422, "invalid", "patient.name"),
        ({"patient": None}, 422, "invalid", "patient"),
        ({"resources": ["room-1"]}, 422, "invalid", "resources"),
        ({"rrule": "FREQ=SECONDLY"}, 422, "invalid", "rrule"),
        ({"rrule": "FREQ=DAILY;COUNT=3000"}, 422, "invalid", "rrule"),
        ({"parent": "00000000-0000-0000-0000-000000000000"}, 422, "invalid", "parent"),
        ({"hold": "00000000-0000-0000-0000-000000000000"}, 409, "hold_expired", None),
    ],
)
def test_bookings_that_cannot_be_are_refused(
    clinic: Clinic, body: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    usual = {"doctor": "lee", "start": "2026-11-23T09:00", "patient": PATIENT}
    problem(clinic.post("/appointments", usual | body), status, code, field)
    assert clinic.get("/appointments").get_json()["appointments"] == []


def test_a_wall_time_that_the_clocks_skip_is_refused_not_moved(clinic: Clinic) -> None:
    body = {"doctor": "lee", "start": "2027-03-28T02:30", "patient": PATIENT}
    assert "clocks" in problem(clinic.post("/appointments", body), 422, "invalid", "start")["detail"]


def test_a_colour_that_no_calendar_can_show_is_refused(clinic: Clinic) -> None:
    problem(clinic.call("PATCH", "/types/consultation", {"colour": "<x>"}, by="root"), 422, "invalid", "colour")


def test_any_doctor_and_a_set_of_doctors_share_the_work(clinic: Clinic) -> None:
    first = clinic.book(doctor="any")
    second = clinic.book(doctor=["lee", "smith"])
    assert {first["doctor"], second["doctor"]} == {"lee", "smith"}
    body = {"doctor": "any", "start": "2026-11-23T09:00", "patient": PATIENT}
    problem(clinic.post("/appointments", body), 409, "slot_taken")


def test_a_booking_on_leave_is_refused(clinic: Clinic) -> None:
    asked = clinic.post("/leave", {"doctor": "lee", "start": "2026-11-24", "end": "2026-11-24", "reason": "Holiday"})
    assert asked.status_code == 201
    body = {"doctor": "lee", "start": "2026-11-24T09:00", "patient": PATIENT}
    problem(clinic.post("/appointments", body), 422, "on_leave")


def test_steps_of_an_appointment(clinic: Clinic) -> None:
    at = f"/appointments/{clinic.book()['id']}"
    assert clinic.post(f"{at}/confirm").get_json()["status"] == "confirmed"
    problem(clinic.post(f"{at}/confirm"), 409, "illegal_transition")
    problem(clinic.post(f"{at}/complete"), 409, "illegal_transition")
    clinic.now += timedelta(hours=2)
    assert clinic.post(f"{at}/arrive", {}).get_json()["arrived_at"] is not None
    assert clinic.post(f"{at}/start").get_json()["status"] == "in_progress"
    done = clinic.post(f"{at}/complete").get_json()
    assert (done["status"], done["completed_at"]) == ("completed", "2026-11-23T09:00:00+01:00")
    problem(clinic.post(f"{at}/cancel"), 409, "illegal_transition")
    assert [step["action"] for step in done["history"]] == ["booked", "confirm", "arrive", "start", "complete"]


def test_a_cancellation_frees_the_time_and_says_by_whom(clinic: Clinic) -> None:
    first = f"/appointments/{clinic.book()['id']}"
    cancelled = clinic.post(f"{first}/cancel", {"by": "patient", "reason": "Ill"}).get_json()
    assert (cancelled["status"], cancelled["cancellation_reason"]) == ("cancelled_patient", "Ill")
    second = f"/appointments/{clinic.book()['id']}"
    assert clinic.post(f"{second}/cancel").get_json()["status"] == "cancelled_doctor"


def test_a_no_show_is_marked_once_it_has_begun(clinic: Clinic) -> None:
    at = f"/appointments/{clinic.book()['id']}"
    problem(clinic.post(f"{at}/no-show"), 409, "illegal_transition")
    clinic.now += timedelta(hours=3)
    assert clinic.post(f"{at}/no-show").get_json()["status"] == "no_show"


def test_a_move_takes_the_new_time_and_frees_the_old(clinic: Clinic) -> None:
    first, second = clinic.book(), clinic.book("2026-11-23T09:20")
    at = f"/appointments/{first['id']}"
    problem(clinic.post(f"{at}/reschedule", {"start": second["start"]}), 409, "slot_taken")
    problem(clinic.post(f"{at}/reschedule", {"start": "2026-11-23T20:00"}), 422, "outside_hours")
    moved = clinic.post(f"{at}/reschedule", {"start": "2026-11-24T10:00"}).get_json()
    assert (moved["status"], moved["start"]) == ("rescheduled", "2026-11-24T10:00:00+01:00")
    clinic.book()
    other = clinic.post(f"{at}/reschedule", {"start": "2026-11-24T10:00", "doctor": "smith"}).get_json()
    assert other["doctor"] == "smith"


def test_a_stale_version_is_refused(clinic: Clinic) -> None:
    at = f"/appointments/{clinic.book()['id']}"
    seen = clinic.get(at).headers["ETag"]
    assert clinic.get(at, If_None_Match=seen).status_code == 304
    confirmed = clinic.post(f"{at}/confirm", If_Match=seen)
    assert confirmed.status_code == 200
    problem(clinic.post(f"{at}/cancel", If_Match=seen), 412, "version_conflict")
    problem(clinic.post(f"{at}/reschedule", {"start": "2026-11-24T10:00"}, If_Match=seen), 412, "version_conflict")
    assert clinic.get(at).get_json()["status"] == "confirmed"
    assert clinic.post(f"{at}/cancel", If_Match=confirmed.headers["ETag"]).status_code == 200


def test_a_series_is_one_appointment_with_occurrences(clinic: Clinic) -> None:
    booked = clinic.book(rrule="FREQ=WEEKLY;COUNT=3")
    assert [(o["start"][:10], o["status"]) for o in booked["occurrences"]] == [
        ("2026-11-23", "booked"),
        ("2026-11-30", "booked"),
        ("2026-12-07", "booked"),
    ]
    at, second = f"/appointments/{booked['id']}", booked["occurrences"][1]["recurrence_id"]
    clinic.post(f"{at}/cancel", {"recurrence_id": second})
    clinic.post(f"{at}/reschedule", {"start": "2026-12-08T10:00", "recurrence_id": "20261207T080000Z"})
    shown = clinic.get(at).get_json()["occurrences"]
    assert [o["status"] for o in shown] == ["scheduled", "cancelled_doctor", "rescheduled"]
    assert shown[2]["start"] == "2026-12-08T10:00:00+01:00"
    problem(clinic.post(f"{at}/cancel", {"recurrence_id": "20270101T000000Z"}), 404, "not_found")


def test_a_series_in_conflict_names_the_times_and_alternatives(clinic: Clinic) -> None:
    clinic.book("2026-11-30T09:00")
    body = {"doctor": "lee", "start": "2026-11-23T09:00", "rrule": "FREQ=WEEKLY;COUNT=2", "patient": PATIENT}
    refused = problem(clinic.post("/appointments", body), 409, "series_conflict")
    assert [conflict["start"] for conflict in refused["conflicts"]] == ["2026-11-30T09:00:00+01:00"]
    assert "2026-11-30T09:20:00+01:00" in refused["conflicts"][0]["alternatives"]
    skipped = clinic.post("/appointments", body | {"on_conflict": "skip"}).get_json()
    assert [o["status"] for o in skipped["occurrences"]] == ["booked", "skipped"]


def test_lists_are_filtered_and_paged(clinic: Clinic) -> None:
    for minute in ("09:00", "09:20", "09:40", "10:00", "10:20"):
        clinic.book(f"2026-11-23T{minute}")
    clinic.book("2026-11-24T09:00", doctor="smith", patient={"name": "Tom", "email": "tom@mail.example"})
    seen, path = [], "/appointments?limit=2&to=2026-11-23"
    while path:
        page = clinic.get(path).get_json()
        seen += [each["start"][11:16] for each in page["appointments"]]
        path = (page["next"] or "").partition("/api/v1")[2]
    assert seen == ["09:00", "09:20", "09:40", "10:00", "10:20"]
    assert len(clinic.get("/appointments?doctor=smith").get_json()["appointments"]) == 1
    assert len(clinic.get("/appointments?patient=tom@mail.example").get_json()["appointments"]) == 1
    tom = clinic.get("/appointments?doctor=smith").get_json()["appointments"][0]["patient"]["id"]
    assert len(clinic.get(f"/appointments?patient={tom}").get_json()["appointments"]) == 1
    assert clinic.get("/appointments?status=confirmed,completed").get_json() == {"appointments": [], "next": None}


# Who may


def test_doctors_reach_their_own_calendar_alone(clinic: Clinic) -> None:
    at = f"/appointments/{clinic.book()['id']}"
    assert clinic.get(at, by="lee").get_json()["doctor_notes"] == ""
    assert "doctor_notes" not in clinic.get(at).get_json()
    problem(clinic.get(at, by="smith"), 404, "not_found")
    problem(clinic.post(f"{at}/cancel", by="smith"), 404, "not_found")
    assert clinic.get("/appointments", by="smith").get_json()["appointments"] == []
    assert clinic.get("/appointments?doctor=lee", by="smith").get_json()["appointments"] == []
    body = {"doctor": "lee", "start": "2026-11-23T10:00", "patient": PATIENT}
    problem(clinic.post("/appointments", body, by="smith"), 403, "forbidden")


def test_patients_reach_their_own_appointments_alone(clinic: Clinic) -> None:
    of_others = f"/appointments/{clinic.book(patient={'name': 'Tom', 'email': 'tom@mail.example'})['id']}"
    problem(clinic.get(of_others, by="maria"), 404, "not_found")
    body = {"doctor": "lee", "start": "2026-11-23T10:00", "reason": "Knee"}
    own = f"/appointments/{clinic.post('/appointments', body, by='maria').get_json()['id']}"
    shown = clinic.get(own, by="maria").get_json()
    assert (shown["patient"]["name"], shown["reason"]) == ("Maria Huber", "Knee")
    assert "doctor_notes" not in shown
    assert "actor" not in shown["history"][0]
    assert [each["id"] for each in clinic.get("/appointments", by="maria").get_json()["appointments"]] == [shown["id"]]
    problem(clinic.post(f"{own}/complete", by="maria"), 403, "forbidden")
    assert clinic.post(f"{own}/cancel", by="maria").get_json()["status"] == "cancelled_patient"
    problem(clinic.get("/analytics", by="maria"), 403, "forbidden")


def test_patients_cannot_cancel_after_the_cut_off(clinic: Clinic) -> None:
    clinic.call("PATCH", "/types/consultation", {"cutoff_minutes": 24 * 60}, by="root")
    body = {"doctor": "lee", "start": "2026-11-23T10:00"}
    own = f"/appointments/{clinic.post('/appointments', body, by='maria').get_json()['id']}"
    problem(clinic.post(f"{own}/cancel", by="maria"), 422, "cut_off_passed")
    problem(clinic.post(f"{own}/reschedule", {"start": "2026-11-25T10:00"}, by="maria"), 422, "cut_off_passed")
    assert clinic.post(f"{own}/cancel").status_code == 200


def test_admins_see_no_patient_record(clinic: Clinic) -> None:
    booked = clinic.book(reason="Knee")
    shown = clinic.get(f"/appointments/{booked['id']}", by="root").get_json()
    assert set(shown["patient"]) == {"id"}
    assert "reason" not in shown


# Idempotency


def test_the_same_key_gives_the_same_answer(clinic: Clinic) -> None:
    body = {"doctor": "lee", "start": "2026-11-23T09:00", "patient": PATIENT}
    first = clinic.post("/appointments", body, Idempotency_Key="k1")
    again = clinic.post("/appointments", dict(reversed(body.items())), Idempotency_Key="k1")
    assert first.status_code == again.status_code == 201
    assert first.get_json() == again.get_json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["ETag"] == first.headers["ETag"]
    assert len(clinic.get("/appointments").get_json()["appointments"]) == 1


def test_a_key_with_another_body_is_refused(clinic: Clinic) -> None:
    body = {"doctor": "lee", "start": "2026-11-23T09:00", "patient": PATIENT}
    clinic.post("/appointments", body, Idempotency_Key="k1")
    other = body | {"start": "2026-11-23T09:20"}
    problem(clinic.post("/appointments", other, Idempotency_Key="k1"), 422, "idempotency_key_reused")
    problem(clinic.post("/appointments", other, Idempotency_Key="x" * 300), 422, "invalid", "Idempotency-Key")


def test_keys_belong_to_their_caller_and_last_a_day(clinic: Clinic) -> None:
    body = {"doctor": "lee", "start": "2026-11-23T09:00", "patient": PATIENT}
    clinic.post("/appointments", body, Idempotency_Key="k1")
    problem(clinic.post("/appointments", body, Idempotency_Key="k1", by="root"), 409, "slot_taken")
    clinic.now += timedelta(hours=25)
    problem(clinic.post("/appointments", body, Idempotency_Key="k1"), 422, "too_late")


def test_a_refusal_is_not_kept(clinic: Clinic) -> None:
    first = clinic.book()
    body = {"doctor": "lee", "start": "2026-11-23T09:00", "patient": PATIENT}
    problem(clinic.post("/appointments", body, Idempotency_Key="k1"), 409, "slot_taken")
    clinic.post(f"/appointments/{first['id']}/cancel")
    assert clinic.post("/appointments", body, Idempotency_Key="k1").status_code == 201


# Waitlist and leave


def test_waiting_offered_accepted(clinic: Clinic) -> None:
    booked = clinic.book()
    asked = {"doctor": "lee", "date_from": "2026-11-23", "date_to": "2026-11-23", "time_from": "09:00"}
    asked |= {"time_to": "09:20", "type": "consultation", "reason": "Knee", "weekdays": ["mon"]}
    asked["patient"] = {"name": "Tom Berger", "email": "tom@mail.example"}
    joined = clinic.post("/waitlist", asked)
    assert joined.status_code == 201
    assert joined.get_json()["status"] == "waiting"
    at = f"/waitlist/{joined.get_json()['id']}"
    assert "offer" not in clinic.get(at).get_json()
    clinic.post(f"/appointments/{booked['id']}/cancel")
    offer(clinic)
    shown = clinic.get(at).get_json()
    assert (shown["status"], shown["offer"]["start"]) == ("offered", "2026-11-23T09:00:00+01:00")
    problem(clinic.post("/holds", {"doctor": "lee", "start": "2026-11-23T09:00"}), 409, "slot_taken")
    accepted = clinic.post(f"/offers/{shown['offer']['token']}/accept")
    assert accepted.status_code == 201
    assert accepted.get_json()["start"] == "2026-11-23T09:00:00+01:00"
    shown = clinic.get(at).get_json()
    assert (shown["status"], shown["appointment"]) == ("converted", accepted.get_json()["id"])
    assert len(clinic.get("/waitlist").get_json()["waitlist"]) == 1
    assert clinic.get("/waitlist?status=waiting").get_json()["waitlist"] == []


def test_offers_decline_and_end(clinic: Clinic) -> None:
    asked = {"doctor": "any", "date_from": "2026-11-23", "date_to": "2026-11-27", "patient": PATIENT}
    entry = clinic.post("/waitlist", asked).get_json()
    offer(clinic)
    token = clinic.get(f"/waitlist/{entry['id']}").get_json()["offer"]["token"]
    assert clinic.post(f"/offers/{token}/decline").get_json()["status"] == "waiting"
    offer(clinic)
    token = clinic.get(f"/waitlist/{entry['id']}").get_json()["offer"]["token"]
    clinic.now += timedelta(hours=3)
    problem(clinic.post(f"/offers/{token}/accept"), 410, "offer_expired")
    problem(clinic.post("/offers/nonsense/accept"), 404, "not_found")


def offer(clinic: Clinic) -> None:
    with clinic.database.transaction() as session:
        for match in matches.matches(session, clinic.now):
            offers.offer(session, match, clinic.now)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"date_to": "2026-11-22"}, "date_to"),
        ({"time_from": "25:00"}, "time_from"),
        ({"weekdays": ["someday"]}, "weekdays.0"),
        ({"doctor": "nobody"}, "doctor"),
        ({"date_from": "2026-02-30"}, "date_from"),
    ],
)
def test_waitlist_entries_that_cannot_be_are_refused(clinic: Clinic, change: dict[str, Any], field: str) -> None:
    asked = {"doctor": "any", "date_from": "2026-11-23", "date_to": "2026-11-27", "patient": PATIENT}
    problem(clinic.post("/waitlist", asked | change), 422, "invalid", field)


def test_leave_is_asked_for_and_decided(clinic: Clinic) -> None:
    booked = clinic.book("2026-11-24T09:00")
    body = {"doctor": "lee", "start": "2026-11-24T08:00:00+01:00", "end": "2026-11-24T10:00:00+01:00", "reason": ""}
    asked = clinic.post("/leave", body, by="lee").get_json()
    assert (asked["status"], asked["affected"]) == ("pending", [booked["id"]])
    problem(clinic.post(f"/leave/{asked['id']}/approve", by="lee"), 403, "forbidden")
    assert clinic.post(f"/leave/{asked['id']}/approve", by="root").get_json()["status"] == "approved"
    assert clinic.post(f"/leave/{asked['id']}/reject", by="root").get_json()["status"] == "rejected"
    assert clinic.get(f"/appointments/{booked['id']}").get_json()["status"] == "scheduled"
    problem(clinic.post("/leave", body | {"end": "2026-11-24T07:00:00+01:00"}), 422, "invalid", "end")
    problem(clinic.post("/leave", body, by="smith"), 403, "forbidden")
    problem(clinic.post("/leave/nothing/approve", by="root"), 404, "not_found")


# Figures and the document


def test_figures_by_doctor_and_as_csv(clinic: Clinic) -> None:
    done, missed = clinic.book(), clinic.book("2026-11-23T09:20")
    clinic.post(f"/appointments/{clinic.book('2026-11-23T09:40')['id']}/cancel", {"by": "patient"})
    clinic.now += timedelta(hours=4)
    clinic.post(f"/appointments/{done['id']}/complete")
    clinic.post(f"/appointments/{missed['id']}/no-show")
    found = clinic.get("/analytics?from=2026-11-23&to=2026-11-23&by=doctor").get_json()
    lee = next(row for row in found["rows"] if row["key"] == "lee")
    assert (lee["booked"], lee["completed"], lee["no_show"], lee["cancelled_patient"]) == (3, 1, 1, 1)
    assert (lee["minutes"], lee["available_minutes"], lee["no_show_rate"]) == (40, 180, 0.5)
    assert lee["utilisation"] == pytest.approx(40 / 180, abs=1e-4)
    assert found["total"]["available_minutes"] == 360
    by_hour = clinic.get("/analytics?from=2026-11-23&to=2026-11-23&by=hour").get_json()
    assert [(row["key"], row["booked"], row["available_minutes"]) for row in by_hour["rows"]] == [
        ("09", 3, 120),
        ("10", 0, 120),
        ("11", 0, 120),
    ]
    text = clinic.get("/analytics?from=2026-11-23&to=2026-11-23&by=weekday", Accept="text/csv")
    assert text.content_type == "text/csv; charset=utf-8"
    assert text.text.splitlines()[1].startswith("0,Monday,3,1,1,1,0,40,360")
    assert "type" in clinic.get("/analytics?by=type").get_json()["by"]
    problem(clinic.get("/analytics", Accept="image/png"), 406, "not_acceptable")


def test_the_document_lists_every_call_of_the_contract(clinic: Clinic) -> None:
    document = clinic.get("/openapi.json", by="").get_json()
    assert document["openapi"].startswith("3.1")
    calls = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert calls >= {
        "GET /doctors",
        "GET /types",
        "POST /types",
        "PATCH /types",
        "GET /slots",
        "GET /slots/explain",
        "POST /holds",
        "POST /appointments",
        "GET /appointments",
        "GET /appointments/{id}",
        *(
            f"POST /appointments/{{id}}/{action}"
            for action in ("confirm", "arrive", "start", "complete", "no-show", "cancel")
        ),
        "POST /appointments/{id}/reschedule",
        "POST /waitlist",
        "GET /waitlist",
        "GET /waitlist/{id}",
        "POST /offers/{token}/accept",
        "POST /offers/{token}/decline",
        "POST /leave",
        "POST /leave/{id}/approve",
        "POST /leave/{id}/reject",
        "GET /analytics",
    }
    assert json.dumps(document).count("$defs") == 0


def test_a_database_that_is_away_is_said_so(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    from storage.db import DatabaseUnavailable

    def away(*_arguments: Any) -> Any:
        raise DatabaseUnavailable("down")

    monkeypatch.setattr(Database, "reading", away)
    answer = clinic.get("/doctors")
    problem(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
