"""Rooms, machines and assistants over CalDAV: principals of their own, read by colleagues, written by the reception."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from ical.lines import parse
from storage import accounts, appointment_types, booking, credentials, drafts, hours, resources, settling
from storage.models import Claim
from storage.policy import SYSTEM
from tests.caldav.helpers import CS, C, Clinic, D, Dav, calendar, event

VIENNA = ZoneInfo("Europe/Vienna")


@pytest.fixture
def rooms(lite: Clinic) -> Clinic:
    with lite.db.transaction() as session:
        for username, kind, name in (
            ("room-1", "room", "Room 1"),
            ("xray", "machine", "X-ray"),
            ("ann", "assistant", "Ann"),
        ):
            resources.add(session, username, kind, name, now=lite.clock())
    return lite


@pytest.mark.parametrize("username,told", [("room-1", "ROOM"), ("xray", "RESOURCE"), ("ann", "INDIVIDUAL")])
def test_each_says_what_it_is(rooms: Clinic, username: str, told: str) -> None:
    found = rooms.client("desk").propfind(f"/{username}/", "C:calendar-user-type").prop(f"{C}calendar-user-type")
    assert found is not None and found.text == told


@pytest.mark.parametrize("user", ["desk", "lee"])
def test_a_search_of_principals_finds_them(rooms: Clinic, user: str) -> None:
    for prop, text, found in (
        ("<D:displayname/>", "room", ["/dav/room-1/"]),
        ("<C:calendar-user-type/>", "ROOM", ["/dav/room-1/"]),
        ("<C:calendar-user-type/>", "RESOURCE", ["/dav/xray/"]),
    ):
        search = f"<D:property-search><D:prop>{prop}</D:prop><D:match>{text}</D:match></D:property-search>"
        answer = rooms.client(user).report(
            "/", "D:principal-property-search", f"{search}<D:prop><D:displayname/></D:prop>", depth="0"
        )
        assert answer.hrefs == found


def test_colleagues_read_and_the_reception_writes(rooms: Clinic) -> None:
    desk, lee, chief = (rooms.client(user) for user in ("desk", "lee", "chief"))
    assert desk.put("/room-1/appointments/painters.ics", event()).status == 201
    for client in (desk, lee, chief):
        assert client.get("/room-1/appointments/painters.ics").status == 200
    assert lee.put("/room-1/appointments/mine.ics", event("mine@test")).status == 403
    assert lee.delete("/room-1/appointments/painters.ics").status == 403
    assert desk.delete("/room-1/appointments/painters.ics").status in (200, 204)


def test_nobody_logs_in_as_a_room(rooms: Clinic) -> None:
    assert Dav(rooms.app, "room-1", "guessed").propfind("/room-1/", "D:displayname").status == 401


def test_apps_find_them_among_those_one_acts_for(rooms: Clinic) -> None:
    homes = ["/dav/ann/", "/dav/room-1/", "/dav/xray/"]

    def told(user: str, name: str) -> list[str | None]:
        found = rooms.client(user).propfind(f"/{user}/", f"CS:{name}").prop(f"{CS}{name}")
        assert found is not None
        return sorted(each.text or "" for each in found)

    assert told("desk", "calendar-proxy-write-for") == sorted([*homes, "/dav/lee/", "/dav/smith/"])
    assert told("desk", "calendar-proxy-read-for") == []
    assert (told("lee", "calendar-proxy-write-for"), told("lee", "calendar-proxy-read-for")) == ([], homes)
    groups = rooms.client("lee").propfind("/lee/", "D:group-membership").prop(f"{D}group-membership")
    assert groups is not None and sorted(each.text or "" for each in groups) == [
        f"{home}calendar-proxy-read/" for home in homes
    ]


# Appointments with a room and a colleague


@dataclass
class Meeting:
    """Maria Huber is with lee and smith in Room 1 on Tuesday at ten, five weeks running."""

    clinic: Clinic
    id: UUID
    path: str

    def copy(self, username: str) -> str:
        """The path of the copy in somebody's calendar."""
        return f"/{username}/appointments/appt-{self.id}-{username}@{self.clinic.settings.uid_domain}.ics"

    def claimed(self, username: str) -> list[str]:
        with self.clinic.db.reading() as session:
            (found,) = resources.known(session, [username])
            asked = select(Claim.start).where(Claim.resource_id == found.id).order_by(Claim.start)
            return [f"{start.astimezone(VIENNA):%d.%m. %H:%M}" for start in session.scalars(asked)]

    def settle(self) -> None:
        self.clinic.clock.pass_time(seconds=121)
        with self.clinic.db.transaction() as session:
            due = settling.due_to_settle(session, self.clinic.clock())
        for appointment_id in due:
            with self.clinic.db.transaction() as session:
                settling.settle(session, appointment_id, self.clinic.clock())


@pytest.fixture
def meeting(rooms: Clinic) -> Meeting:
    rooms.clock.now = now = datetime(2026, 10, 5, 8, tzinfo=UTC)
    with rooms.db.transaction() as session:
        people = [account for name in ("lee", "smith") if (account := accounts.by_username(session, name))]
        for doctor in people:
            hours.add_hours(
                session, doctor, hours.DAYS, time(8), time(16), slot=20, actor=SYSTEM, now=now, first=now.date()
            )
        new = drafts.NewAppointment(
            datetime(2026, 10, 13, 10, tzinfo=VIENNA),
            appointment_types.get(session, "consultation"),
            accounts.find_or_create_patient(session, "Maria Huber", "maria@mail.example", "", now),
            reason="Knee pain",
            rrule="FREQ=WEEKLY;COUNT=5",
            together=True,
            resources=("room-1",),
        )
        booked = booking.book(session, people, new, actor=SYSTEM, now=now)
    (name,) = rooms.client("lee").propfind("/lee/appointments/", "D:getetag", depth="1").members
    return Meeting(rooms, booked.appointment.id, f"/lee/appointments/{name}")


def test_each_finds_its_copy_over_caldav(meeting: Meeting) -> None:
    desk, smith = meeting.clinic.client("desk"), meeting.clinic.client("smith")
    in_room, at_smith = desk.get(meeting.copy("room-1")).text, smith.get(meeting.copy("smith")).text
    assert "SUMMARY:Lee · Consultation" in in_room and "RRULE:FREQ=WEEKLY;COUNT=5" in in_room
    assert "SUMMARY:Maria H. · Consultation" in at_smith and "Knee pain" in at_smith
    for text in (in_room, at_smith):
        assert "X-CLINICDAV" not in text and "maria@mail.example" not in text and "Private notes" not in text
    assert "Maria" not in in_room
    assert len(meeting.claimed("room-1")) == len(meeting.claimed("smith")) == 5


def test_one_occurrence_is_dragged_and_everybody_with_it(meeting: Meeting) -> None:
    app = meeting.clinic.client("lee")
    text = app.get(meeting.path).text
    begin, end = text.index("BEGIN:VEVENT"), text.index("END:VCALENDAR")
    moved = re.sub(r"RRULE:.*\r\n", "", text[begin:end]).replace("20261013T10", "20261020T14")
    moved = moved.replace("UID:", "RECURRENCE-ID;TZID=Europe/Vienna:20261020T100000\r\nUID:", 1)
    assert app.put(meeting.path, text[:end] + moved + text[end:]).status == 204
    for username in ("room-1", "smith"):
        assert meeting.claimed(username)[:3] == ["13.10. 10:00", "20.10. 14:00", "27.10. 10:00"]
        assert "20261020T140000" in meeting.clinic.client("desk").get(meeting.copy(username)).text


def test_both_halves_of_a_split_series_keep_everybody(meeting: Meeting) -> None:
    app = meeting.clinic.client("lee")
    text = app.get(meeting.path).text
    uid = re.search("UID:(.*)\r\n", text)
    assert uid is not None
    past = text.replace("COUNT=5", "UNTIL=20261027T085959Z")
    coming = text.replace("COUNT=5", "COUNT=3").replace("20261013T10", "20261027T11").replace(uid[1], "F0A1")
    assert app.put(meeting.path, past).status == 204
    assert app.put("/lee/appointments/F0A1.ics", coming).status == 201
    meeting.settle()
    expected = ["13.10. 10:00", "20.10. 10:00", "27.10. 11:00", "03.11. 11:00", "10.11. 11:00"]
    assert meeting.claimed("lee") == meeting.claimed("room-1") == meeting.claimed("smith") == expected
    copies = meeting.clinic.client("desk").propfind("/room-1/appointments/", "D:getetag", depth="1").members
    assert len(copies) == 2


@pytest.mark.parametrize("user,username", [("smith", "smith"), ("desk", "room-1")])
def test_an_app_that_moves_or_deletes_a_copy_finds_it_as_it_was(meeting: Meeting, user: str, username: str) -> None:
    app, path = meeting.clinic.client(user), meeting.copy(username)
    before = app.get(path)
    token = app.sync(f"/{username}/appointments/").xml.findtext(f"{D}sync-token") or ""
    answer = app.put(path, before.text.replace("T100000", "T150000").replace("T102000", "T152000"))
    assert answer.status == 204 and "ETag" not in answer.headers
    assert app.sync(f"/{username}/appointments/", token).members == {path.rpartition("/")[2]}
    token = app.sync(f"/{username}/appointments/").xml.findtext(f"{D}sync-token") or ""
    assert app.delete(path).status in (200, 204)
    assert app.sync(f"/{username}/appointments/", token).members == {path.rpartition("/")[2]}
    assert app.get(path).text == before.text and app.get(path).headers["ETag"] != before.headers["ETag"]
    assert meeting.claimed(username)[0] == "13.10. 10:00"


def test_a_copy_is_not_taken_into_another_calendar(meeting: Meeting) -> None:
    smith, path = meeting.clinic.client("smith"), meeting.copy("smith")
    text = smith.get(path).text
    assert smith.put("/smith/personal/mine.ics", text).status == 403
    to = {"Destination": "/dav/smith/personal/mine.ics"}
    assert smith.request("MOVE", path, headers=to).status == 403


def test_apps_that_are_shown_people_see_room_and_colleague(meeting: Meeting) -> None:
    clinic = meeting.clinic
    with clinic.db.transaction() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        password = credentials.add_app_password(session, lee, "people", "full", clinic.clock())
    app = Dav(clinic.app, "lee", password)
    shown = parse(app.get(meeting.path).text).components("VEVENT")[0]
    people = [(line.param("CN"), line.param("CUTYPE"), line.value) for line in shown.lines("ATTENDEE")]
    assert people == [
        ("Maria Huber", "INDIVIDUAL", "mailto:maria@mail.example"),
        ("Smith", "INDIVIDUAL", "mailto:smith@test.example"),
        ("Room 1", "ROOM", f"{clinic.settings.public_url}/dav/room-1/"),
    ]
    # What the app sends back changes nothing, whatever it leaves out.
    text = app.get(meeting.path).text
    assert app.put(meeting.path, re.sub(r"ATTENDEE.*?\r\n(?! )", "", text, flags=re.DOTALL)).status == 204
    assert len(parse(app.get(meeting.path).text).components("VEVENT")[0].lines("ATTENDEE")) == 3
    assert len(meeting.claimed("room-1")) == 5


@pytest.mark.parametrize("address", ["/dav/room-1/", "{public_url}/dav/room-1/"])
def test_a_rooms_time_is_asked_for_by_the_address_that_attendee_names(meeting: Meeting, address: str) -> None:
    clinic = meeting.clinic
    with clinic.db.transaction() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        password = credentials.add_app_password(session, lee, "people", "full", clinic.clock())
    asked = calendar(
        "METHOD:REQUEST",
        "BEGIN:VFREEBUSY",
        "UID:fb@test",
        "DTSTAMP:20261005T080000Z",
        "DTSTART:20261013T000000Z",
        "DTEND:20261014T000000Z",
        "ORGANIZER:mailto:lee@test.example",
        f"ATTENDEE:{address.format(public_url=clinic.settings.public_url)}",
        "END:VFREEBUSY",
    )
    answer = Dav(clinic.app, "lee", password).request(
        "POST", "/lee/outbox/", asked, headers={"Content-Type": "text/calendar"}
    )
    assert answer.status == 200 and "20261013T080000Z/" in answer.text, answer.text
