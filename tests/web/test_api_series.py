"""Series by API: previewed, decided one by one, and changed afterwards; bad rules name their field."""

from typing import Any

import pytest
from sqlalchemy import func, select

from storage.models import Appointment, Audit, CalendarObject, Claim, OutboxMessage, Patient, Visit
from tests.web.test_api import PATIENT, Clinic, clinic, problem

__all__ = ["clinic"]

WEEKLY = {"doctor": "lee", "start": "2026-11-23T09:00", "rrule": "FREQ=WEEKLY;COUNT=4", "patient": PATIENT}
SECOND, THIRD = "20261130T080000Z", "20261207T080000Z"


def counts(clinic: Clinic) -> dict[str, int]:
    tables = (Appointment, Visit, Claim, CalendarObject, OutboxMessage, Patient, Audit)
    with clinic.database.reading() as session:
        return {table.__name__: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


def preview(clinic: Clinic, **more: Any) -> list[dict[str, Any]]:
    answer = clinic.post("/appointments/preview", WEEKLY | more)
    assert answer.status_code == 200, answer.text
    shown: list[dict[str, Any]] = answer.get_json()["occurrences"]
    return shown


def of(clinic: Clinic, appointment: str) -> list[tuple[str, str]]:
    shown = clinic.get(f"/appointments/{appointment}").get_json()["occurrences"]
    return [(each["start"][:16], each["status"]) for each in shown]


def test_a_preview_says_of_each_occurrence_what_is_in_its_way_and_writes_nothing(clinic: Clinic) -> None:
    clinic.book("2026-11-30T09:00", patient={"name": "Tom", "email": "tom@mail.example"})
    before = counts(clinic)
    first, second, *others = preview(clinic, patient={"name": "Nobody", "email": "nobody@mail.example"})
    assert counts(clinic) == before
    assert (first["free"], first["because"], first["alternatives"]) == (True, [], [])
    assert (second["recurrence_id"], second["free"]) == (SECOND, False)
    assert [why["code"] for why in second["because"]] == ["slot_taken"]
    assert second["alternatives"][0] == "2026-11-30T09:20:00+01:00"
    assert [each["free"] for each in others] == [True, True]


def test_a_single_time_is_previewed_too(clinic: Clinic) -> None:
    answer = clinic.post("/appointments/preview", {"doctor": "lee", "start": "2026-11-23T20:00", "patient": PATIENT})
    (only,) = answer.get_json()["occurrences"]
    assert (only["recurrence_id"], only["free"], only["because"][0]["code"]) == ("", False, "outside_hours")


def test_a_preview_shows_the_decisions_and_who_could_do_it(clinic: Clinic) -> None:
    clinic.book("2026-11-30T09:00", patient={"name": "Tom", "email": "tom@mail.example"})
    moved = {"recurrence_id": SECOND, "action": "move", "start": "2026-12-01T10:00"}
    skipped = {"recurrence_id": THIRD, "action": "skip"}
    shown = preview(clinic, decisions=[moved, skipped])
    assert [(each["action"], each["free"], each["start"][:16]) for each in shown[1:3]] == [
        ("move", True, "2026-12-01T10:00"),
        ("skip", True, "2026-12-07T09:00"),
    ]
    answer = clinic.post("/appointments/preview", WEEKLY | {"doctor": "any"}).get_json()
    assert answer["doctor"] == "smith"


def test_the_own_hold_is_not_in_the_way_of_a_preview(clinic: Clinic) -> None:
    held = clinic.post("/holds", {"doctor": "lee", "start": "2026-11-23T09:00", "type": "consultation"}).get_json()
    assert not preview(clinic)[0]["free"]
    assert preview(clinic, hold=held["id"])[0]["free"]


def test_each_conflict_is_decided_alone(clinic: Clinic) -> None:
    for day in ("2026-11-30", "2026-12-07", "2026-12-14"):
        clinic.book(f"{day}T09:00", patient={"name": "Tom", "email": "tom@mail.example"})
    refused = problem(clinic.post("/appointments", WEEKLY), 409, "series_conflict")
    assert [each["recurrence_id"] for each in refused["conflicts"]] == [SECOND, THIRD, "20261214T080000Z"]
    assert refused["conflicts"][0]["because"][0]["code"] == "slot_taken"
    decisions = [
        {"recurrence_id": SECOND, "action": "move", "start": "2026-12-01T10:00"},
        {"recurrence_id": THIRD, "action": "skip"},
        {"recurrence_id": "20261214T080000Z", "action": "keep"},
    ]
    booked = clinic.post("/appointments", WEEKLY | {"decisions": decisions}).get_json()
    assert [(each["status"], each["start"][:16]) for each in booked["occurrences"]] == [
        ("booked", "2026-11-23T09:00"),
        ("moved", "2026-12-01T10:00"),
        ("skipped", "2026-12-07T09:00"),
        ("booked", "2026-12-14T09:00"),
    ]
    shown = clinic.get(f"/appointments/{booked['id']}").get_json()["occurrences"]
    assert [each["overbooked"] for each in shown] == [False, False, True]


def test_a_patient_keeps_nothing_that_is_in_conflict(clinic: Clinic) -> None:
    clinic.book("2026-11-30T09:00", patient={"name": "Tom", "email": "tom@mail.example"})
    body = {**WEEKLY, "decisions": [{"recurrence_id": SECOND, "action": "keep"}]}
    del body["patient"]
    before = counts(clinic)
    problem(clinic.post("/appointments", body, by="maria"), 409, "series_conflict")
    assert counts(clinic) == before


@pytest.mark.parametrize(
    ("decisions", "field"),
    [
        ([{"recurrence_id": "20270101T080000Z", "action": "skip"}], "decisions.0.recurrence_id"),
        ([{"recurrence_id": SECOND, "action": "skip"}] * 2, "decisions.1.recurrence_id"),
        ([{"recurrence_id": SECOND, "action": "move"}], "decisions.0.start"),
        ([{"recurrence_id": SECOND, "action": "skip", "start": "2026-11-30T10:00"}], "decisions.0.start"),
        ([{"recurrence_id": SECOND, "action": "burn"}], "decisions.0.action"),
        ([{"recurrence_id": "monday", "action": "skip"}], "decisions.0.recurrence_id"),
    ],
)
def test_a_decision_that_cannot_be_used_names_its_field(clinic: Clinic, decisions: list[Any], field: str) -> None:
    for path in ("/appointments", "/appointments/preview"):
        problem(clinic.post(path, WEEKLY | {"decisions": decisions}), 422, "invalid", field)


def test_two_occurrences_are_never_moved_to_the_same_time(clinic: Clinic) -> None:
    moves = [{"recurrence_id": each, "action": "move", "start": "2026-12-01T10:00"} for each in (SECOND, THIRD)]
    refused = problem(clinic.post("/appointments", WEEKLY | {"decisions": moves}), 409, "series_conflict")
    assert [each["recurrence_id"] for each in refused["conflicts"]] == [THIRD]


@pytest.mark.parametrize(
    "rrule",
    [
        "FREQ=SECONDLY",
        "FREQ=DAILY;COUNT=3000",
        "FREQ=DAILY;COUNT=501",
        "FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2",
        "FREQ=WEEKLY;COUNT=0",
        "FREQ=WEEKLY;COUNT=2;UNTIL=20270101T000000Z",
        "FREQ=WEEKLY;UNTIL=20200101T000000Z",
        "FREQ=WEEKLY;UNTIL=garbage",
        "FREQ=WEEKLY;INTERVAL=0",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=YEARLY;BYEASTER=1",
        "every week",
        ";;;;",
        "FREQ=DAILY;BYSETPOS=" + "1," * 70 + "1",
        "FREQ=WEEKLY:COUNT=3",
    ],
)
def test_a_hostile_rule_is_refused_by_name_and_leaves_nothing(clinic: Clinic, rrule: str) -> None:
    before = counts(clinic)
    for path in ("/appointments/preview", "/appointments"):
        problem(clinic.post(path, WEEKLY | {"rrule": rrule}), 422, "invalid", "rrule")
    assert counts(clinic) == before


@pytest.mark.parametrize(
    ("rrule", "days"),
    [
        ("FREQ=WEEKLY;BYDAY=MO,WE;COUNT=4", ["11-23", "11-25", "11-30", "12-02"]),
        ("FREQ=MONTHLY;BYDAY=4MO;COUNT=3", ["11-23", "12-28", "01-25"]),
        ("FREQ=MONTHLY;BYDAY=-1MO;UNTIL=20270201", ["11-23", "11-30", "12-28", "01-25"]),
        ("FREQ=WEEKLY;INTERVAL=2;UNTIL=20261221T080000Z", ["11-23", "12-07", "12-21"]),
    ],
)
def test_rules_of_many_kinds_are_booked(clinic: Clinic, rrule: str, days: list[str]) -> None:
    booked = clinic.post("/appointments", WEEKLY | {"rrule": rrule}).get_json()
    assert [each["start"][5:10] for each in booked["occurrences"]] == days


def test_a_series_keeps_its_wall_time_over_the_clock_change(clinic: Clinic) -> None:
    body = WEEKLY | {"start": "2027-03-22T09:00", "rrule": "FREQ=WEEKLY;COUNT=2"}
    booked = clinic.post("/appointments", body).get_json()
    assert [each["start"] for each in booked["occurrences"]] == [
        "2027-03-22T09:00:00+01:00",
        "2027-03-29T09:00:00+02:00",
    ]


def test_this_and_following_move_to_an_appointment_of_their_own(clinic: Clinic) -> None:
    booked = clinic.book(rrule="FREQ=WEEKLY;COUNT=4")
    at = f"/appointments/{booked['id']}"
    body = {"start": "2026-12-08T10:00", "recurrence_id": THIRD, "range": "following"}
    moved = clinic.post(f"{at}/reschedule", body).get_json()
    assert moved["id"] != booked["id"]
    assert moved["split_from"] == booked["id"]
    assert of(clinic, booked["id"]) == [("2026-11-23T09:00", "scheduled"), ("2026-11-30T09:00", "scheduled")]
    assert of(clinic, moved["id"]) == [("2026-12-08T10:00", "rescheduled"), ("2026-12-15T10:00", "rescheduled")]


def test_a_whole_series_moves_and_its_conflicts_are_decided(clinic: Clinic) -> None:
    booked = clinic.book(rrule="FREQ=WEEKLY;COUNT=3")
    clinic.book("2026-11-30T10:00", patient={"name": "Tom", "email": "tom@mail.example"})
    at = f"/appointments/{booked['id']}"
    body = {"start": "2026-11-23T10:00", "range": "all"}
    refused = problem(clinic.post(f"{at}/reschedule", body), 409, "series_conflict")
    assert [each["start"] for each in refused["conflicts"]] == ["2026-11-30T10:00:00+01:00"]
    assert [start for start, _status in of(clinic, booked["id"])][0] == "2026-11-23T09:00"
    decided = {"recurrence_id": SECOND, "action": "move", "start": "2026-11-30T10:20"}
    clinic.post(f"{at}/reschedule", body | {"decisions": [decided]})
    assert [start for start, _status in of(clinic, booked["id"])] == [
        "2026-11-23T10:00",
        "2026-11-30T10:20",
        "2026-12-07T10:00",
    ]


def test_this_and_following_are_cancelled_and_what_is_before_stays(clinic: Clinic) -> None:
    booked = clinic.book(rrule="FREQ=WEEKLY;COUNT=4")
    at = f"/appointments/{booked['id']}"
    clinic.post(f"{at}/cancel", {"recurrence_id": THIRD, "range": "following", "reason": "moved away"})
    assert [status for _start, status in of(clinic, booked["id"])] == [
        "scheduled",
        "scheduled",
        "cancelled_doctor",
        "cancelled_doctor",
    ]
    clinic.post(f"{at}/cancel", {"range": "all"})
    assert {status for _start, status in of(clinic, booked["id"])} == {"cancelled_doctor"}


@pytest.mark.parametrize("call", ["reschedule", "cancel"])
def test_a_range_without_its_first_occurrence_is_refused(clinic: Clinic, call: str) -> None:
    at = f"/appointments/{clinic.book(rrule='FREQ=WEEKLY;COUNT=4')['id']}"
    body = {"range": "following"} | ({"start": "2026-11-24T09:00"} if call == "reschedule" else {})
    problem(clinic.post(f"{at}/{call}", body), 422, "invalid", "recurrence_id")


def test_statuses_and_history_are_kept_for_each_occurrence(clinic: Clinic) -> None:
    booked = clinic.book(rrule="FREQ=WEEKLY;COUNT=3")
    at = f"/appointments/{booked['id']}"
    clinic.post(f"{at}/confirm", {"recurrence_id": SECOND})
    clinic.post(f"{at}/arrive", {"recurrence_id": "20261123T080000Z"})
    assert [status for _start, status in of(clinic, booked["id"])] == ["scheduled", "confirmed", "scheduled"]
    steps = [(step["recurrence_id"], step["action"]) for step in clinic.get(at).get_json()["history"]]
    assert (SECOND, "confirm") in steps
    assert ("20261123T080000Z", "arrive") in steps
