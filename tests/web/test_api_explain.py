"""Why a time is not free: the rule for everybody, what stands in the way for staff, and nothing that is not theirs."""

from typing import Any

import pytest
from sqlalchemy import event

from storage import collections, edits
from storage.policy import Actor
from tests.web.test_api import NOW, Clinic, clinic

__all__ = ["clinic"]

NINE = "2026-11-24T09:00"
_EVENT = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//x//y//EN
BEGIN:VEVENT
UID:lunch@phone
DTSTAMP:20261101T000000Z
DTSTART:20261124T080000Z
DTEND:20261124T083000Z
SUMMARY:Secret lunch
{more}END:VEVENT
END:VCALENDAR
"""


def why(clinic: Clinic, *, by: str = "desk", start: str = NINE, doctor: str = "lee", **more: str) -> list[Any]:
    query = "".join(f"&{name}={value}" for name, value in more.items())
    answer = clinic.get(f"/slots/explain?doctor={doctor}&start={start}{query}", by=by)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.get_json()["because"]
    return found


def block(clinic: Clinic, more: str = "", collection: str = "appointments") -> None:
    with clinic.database.transaction() as session:
        target = collections.find(session, "lee", collection)
        assert target is not None
        sent = edits.judge(_EVENT.format(more=more).replace("\n", "\r\n").encode(), conditional=True)
        spot = edits.spot_of(session, target, "lunch.ics", sent)
        actor = Actor("account", "doctor", target.owner_id, "lee", via="caldav", label="lee")
        edits.put(session, target, spot, sent, actor=actor, now=NOW)


def test_an_appointment_in_the_way_is_named_as_far_as_each_may_know(clinic: Clinic) -> None:
    booked = clinic.book(NINE)
    named = {"kind": "appointment", "id": booked["id"], "title": "Maria Huber"}
    for by, shown in (
        ("desk", named),
        ("lee", named),
        ("root", named | {"title": None}),
        ("smith", {"kind": "appointment", "id": None, "title": None}),
    ):
        (reason,) = why(clinic, by=by)
        assert (reason["code"], reason["object"]) == ("slot_taken", shown), by
    for by in ("maria", ""):
        answer = clinic.get(f"/slots/explain?doctor=lee&start={NINE}", by=by) if by else None
        if answer is not None:
            assert answer.get_json()["because"][0].get("object") is None
            assert "Huber" not in answer.text and booked["id"] not in answer.text


@pytest.mark.parametrize(
    ("more", "collection", "titles"),
    [
        ("", "appointments", {"lee": "Secret lunch", "desk": "Secret lunch", "root": None, "smith": None}),
        ("CLASS:PRIVATE\n", "appointments", {"lee": "Secret lunch", "desk": None, "root": None, "smith": None}),
        ("", "personal", {"lee": "Secret lunch", "desk": None, "root": None, "smith": None}),
    ],
)
def test_an_event_in_the_way_is_named_to_those_who_read_that_calendar(
    clinic: Clinic, more: str, collection: str, titles: dict[str, str | None]
) -> None:
    block(clinic, more, collection)
    for by, title in titles.items():
        (reason,) = why(clinic, by=by)
        assert reason["code"] == "blocked"
        assert reason["object"]["kind"] == "event"
        assert reason["object"]["title"] == title, by
    patient = clinic.get(f"/slots/explain?doctor=lee&start={NINE}", by="maria")
    assert patient.get_json()["because"][0]["code"] == "blocked"
    assert "lunch" not in patient.text.lower()


def test_leave_maxima_types_and_rooms_are_named(clinic: Clinic) -> None:
    leave = clinic.post("/leave", {"doctor": "smith", "start": "2026-11-24", "end": "2026-11-24", "reason": "Ski"})
    clinic.post(f"/leave/{leave.get_json()['id']}/approve", by="root")
    (away,) = why(clinic, doctor="smith")
    assert (away["code"], away["object"]["kind"]) == ("on_leave", "leave")
    clinic.post("/resources", {"username": "room-1", "kind": "room", "name": "Room 1"}, by="root")
    clinic.call("PATCH", "/types/virtual", {"doctors": ["smith"]}, by="root")
    clinic.call("PATCH", "/types/follow_up", {"resources": [["room-1"]], "daily_maximum": 1}, by="root")
    clinic.book(NINE, type="follow_up")
    reasons = {each["code"]: each["object"] for each in why(clinic, start="2026-11-24T09:20", type="follow_up")}
    assert reasons == {
        "type_maximum": {"kind": "maximum", "id": "1 a day of follow_up", "title": "1 a day of follow_up"}
    }
    reasons = {
        each["object"]["kind"]: (each["code"], each["object"]["title"])
        for each in why(clinic, doctor="smith", start=NINE, type="follow_up")
    }
    assert reasons["resource"] == ("slot_taken", "Room 1")
    (other,) = why(clinic, type="virtual", start="2026-11-24T10:00")
    assert (other["code"], other["object"]) == (
        "doctor_not_offered",
        {"kind": "type", "id": "virtual", "title": "Virtual"},
    )
    shown = clinic.get(f"/slots/explain?doctor=smith&start={NINE}&type=follow_up", by="maria").text
    assert "Room" not in shown and "room-1" not in shown and "Ski" not in shown


def test_several_in_the_way_are_each_named_to_staff_and_counted_to_nobody_else(clinic: Clinic) -> None:
    clinic.call("PATCH", "/types/consultation", {"capacity": 2}, by="root")
    clinic.book(NINE)
    clinic.book(NINE, patient={"name": "Peter Fox", "email": "fox@mail.example"})
    assert sorted(each["object"]["title"] for each in why(clinic)) == ["Maria Huber", "Peter Fox"]
    assert len(why(clinic, by="maria")) == 1


def test_the_number_of_statements_does_not_grow_with_what_stands_in_the_way(clinic: Clinic) -> None:
    clinic.call("PATCH", "/types/consultation", {"capacity": 6}, by="root")

    def counted() -> int:
        count = 0

        def one(*_: object) -> None:
            nonlocal count
            count += 1

        event.listen(clinic.database.engine, "before_cursor_execute", one)
        why(clinic)
        event.remove(clinic.database.engine, "before_cursor_execute", one)
        return count

    clinic.call("PATCH", "/types/consultation", {"capacity": 1}, by="root")
    clinic.book(NINE)
    few = counted()
    clinic.call("PATCH", "/types/consultation", {"capacity": 6}, by="root")
    for number in range(5):
        clinic.book(NINE, patient={"name": f"Patient {number}", "email": f"p{number}@mail.example"})
    assert len(why(clinic)) == 6
    assert counted() == few
