"""Who reaches what: another's object answers exactly as an unknown one."""

import itertools

import pytest

from tests.caldav.helpers import CS, C, Clinic, D, Dav, event

UNKNOWN = {
    "/smith/": "/nobody/",
    "/smith/appointments/": "/nobody/appointments/",
    "/smith/personal/a.ics": "/nobody/personal/a.ics",
}


@pytest.fixture
def with_private_event(lite: Clinic) -> Clinic:
    assert lite.client("smith").put("/smith/personal/a.ics", event()).status == 201
    assert lite.client("smith").put("/smith/appointments/a.ics", event()).status == 201
    return lite


def ask(client: Dav, method: str, path: str) -> tuple[int, bytes]:
    body = {"PUT": event(), "REPORT": '<sync-collection xmlns="DAV:"><sync-token/><prop/></sync-collection>'}.get(
        method, ""
    )
    answer = client.request(method, path, body, {"Depth": "0", "Destination": f"/dav{path}x"})
    return answer.status, answer.body


@pytest.mark.parametrize("user", ["lee", "chief"])
@pytest.mark.parametrize("known", UNKNOWN)
def test_another_home_answers_as_an_unknown_one(with_private_event: Clinic, user: str, known: str) -> None:
    client = with_private_event.client(user)
    for method in (
        "GET",
        "HEAD",
        "PROPFIND",
        "PROPPATCH",
        "REPORT",
        "PUT",
        "DELETE",
        "MKCALENDAR",
        "MKCOL",
        "COPY",
        "MOVE",
    ):
        first, second = ask(client, method, known), ask(client, method, UNKNOWN[known])
        assert first == second, method
        assert first[0] in (400, 403, 404, 405, 409), method
    assert with_private_event.client("smith").get("/smith/personal/a.ics").status == 200


def test_root_shows_only_the_homes_that_one_may_see(lite: Clinic) -> None:
    homes = {user: lite.client(user).propfind("/", "D:displayname", depth="1").hrefs[1:] for user in lite.passwords}
    assert homes["lee"] == ["/dav/lee/"]
    assert homes["chief"] == ["/dav/chief/"]
    assert set(homes["desk"]) == {"/dav/desk/", "/dav/lee/", "/dav/smith/"}


def test_receptionist_reads_and_writes_the_doctors_calendars(with_private_event: Clinic) -> None:
    desk = with_private_event.client("desk")
    assert desk.get("/smith/appointments/a.ics").status == 200
    assert desk.put("/smith/appointments/b.ics", event("b@test")).status == 201
    assert desk.delete("/smith/appointments/b.ics").status == 204


def test_receptionist_does_not_reach_private_calendars(with_private_event: Clinic) -> None:
    desk = with_private_event.client("desk")
    assert desk.get("/smith/personal/a.ics").status == 404
    assert desk.propfind("/smith/", "D:displayname", depth="1").hrefs == [
        "/dav/smith/",
        *(f"/dav/smith/{name}/" for name in ("appointments", "hours", "leave", "waitlist")),
    ]


def test_admin_sees_nothing_of_patients(with_private_event: Clinic) -> None:
    chief = with_private_event.client("chief")
    for path in ("/smith/", "/smith/appointments/", "/smith/waitlist/", "/smith/appointments/a.ics"):
        assert chief.propfind(path).status == 404
    assert chief.propfind("/chief/", depth="1").status == 207


def test_privileges_are_told(lite: Clinic) -> None:
    for user, path, writable in (
        ("lee", "/lee/appointments/", True),
        ("desk", "/lee/hours/", True),
        ("lee", "/lee/inbox/", False),
    ):
        text = lite.client(user).propfind(path, "D:current-user-privilege-set").text
        assert ("<D:write/>" in text) is writable, path
    own, other = (lite.client("desk").propfind(p, "D:current-user-privilege-set").text for p in ("/desk/", "/lee/"))
    assert "<D:bind/>" in own and "<D:bind/>" not in other


def test_searching_people_finds_only_those_one_may_see(lite: Clinic) -> None:
    search = (
        "<D:property-search><D:prop><D:displayname/></D:prop><D:match>{}</D:match></D:property-search>"
        "<D:prop><D:displayname/></D:prop>"
    )
    desk, lee = lite.client("desk"), lite.client("lee")
    assert desk.report("/", "D:principal-property-search", search.format("SMI"), depth="0").hrefs == ["/dav/smith/"]
    assert lee.report("/", "D:principal-property-search", search.format("smi"), depth="0").hrefs == []
    searchable = lee.report("/", "D:principal-search-property-set", "", depth="0")
    assert {prop[0].tag for prop in searchable.xml.iter(f"{D}prop")} == {
        f"{D}displayname",
        f"{C}calendar-user-address-set",
        f"{C}calendar-user-type",
        f"{CS}email-address-set",
    }
    everybody = "<D:prop/><D:displayname/>"
    assert desk.report("/", "D:principal-property-search", everybody, depth="0").hrefs == [
        f"/dav/{name}/" for name in ("desk", "lee", "smith")
    ]
    assert lee.report("/", "D:principal-property-search", everybody, depth="0").statuses() == {f"{D}displayname": 200}


def test_following_hrefs_with_expand_property(lite: Clinic) -> None:
    answer = lite.client("lee").report(
        "/",
        "D:expand-property",
        '<D:property name="current-user-principal"><D:property name="displayname"/>'
        '<D:property name="calendar-home-set" namespace="urn:ietf:params:xml:ns:caldav"/></D:property>'
        '<D:property name="nothing"/>',
        depth="0",
    )
    assert answer.status == 207
    assert "<D:displayname>Lee</D:displayname>" in answer.text and "<C:calendar-home-set>" in answer.text


def test_copying_or_moving_out_of_reach(with_private_event: Clinic) -> None:
    lee = with_private_event.client("lee")
    lee.put("/lee/personal/mine.ics", event("mine@test"))
    for method, target in itertools.product(("COPY", "MOVE"), ("/smith/personal/x.ics", "/nobody/personal/x.ics")):
        answer = lee.request(method, "/lee/personal/mine.ics", headers={"Destination": f"/dav{target}"})
        assert answer.status == 409
    assert lee.get("/lee/personal/mine.ics").status == 200
