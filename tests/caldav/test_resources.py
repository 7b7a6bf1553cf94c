"""Rooms, machines and assistants over CalDAV: principals of their own, read by colleagues, written by the reception."""

import pytest

from storage import resources
from tests.caldav.helpers import CS, C, Clinic, D, Dav, event


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
