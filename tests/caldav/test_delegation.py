"""Privileges and ACLs as they are told, and whoever acts for others. RFC 3744, calendar-proxy."""

import pytest

from tests.caldav.helpers import CS, NAMESPACES, C, Clinic, D, Dav, event

DOCTORS = ["/dav/lee/", "/dav/smith/"]


def hrefs(client: Dav, path: str, name: str, prop: str) -> list[str | None]:
    found = client.propfind(path, name).prop(prop)
    assert found is not None
    return [each.text for each in found]


# Delegation


def test_receptionist_finds_the_doctors_calendars_under_the_own_login(lite: Clinic) -> None:
    desk = lite.client("desk")
    assert hrefs(desk, "/desk/", "CS:calendar-proxy-write-for", f"{CS}calendar-proxy-write-for") == DOCTORS
    assert hrefs(desk, "/desk/", "CS:calendar-proxy-read-for", f"{CS}calendar-proxy-read-for") == []
    groups = hrefs(desk, "/desk/", "D:group-membership", f"{D}group-membership")
    assert groups == [f"{home}calendar-proxy-write/" for home in DOCTORS]


@pytest.mark.parametrize("agent", ["Mozilla/5.0 (X11; Linux x86_64) Thunderbird/153.7.0", "Evolution/3.46.4"])
def test_apps_that_look_into_every_home_are_told_of_each(lite: Clinic, agent: str) -> None:
    for user, home, told in (
        ("desk", "/desk/", ["/dav/desk/", *DOCTORS]),
        ("desk", "/lee/", ["/dav/lee/"]),
        ("lee", "/lee/", ["/dav/lee/"]),
        ("chief", "/chief/", ["/dav/chief/"]),
    ):
        answer = lite.client(user).propfind(home, "C:calendar-home-set", User_Agent=agent)
        found = answer.prop(f"{C}calendar-home-set")
        assert found is not None and [each.text for each in found] == told


def test_apps_that_take_one_home_are_told_of_one(lite: Clinic) -> None:
    for home in ("/desk/", "/lee/"):
        assert hrefs(lite.client("desk"), home, "C:calendar-home-set", f"{C}calendar-home-set") == [f"/dav{home}"]


def test_doctors_and_admins_act_for_nobody_else(lite: Clinic) -> None:
    for user in ("lee", "chief"):
        client = lite.client(user)
        assert hrefs(client, f"/{user}/", "C:calendar-home-set", f"{C}calendar-home-set") == [f"/dav/{user}/"]
        assert hrefs(client, f"/{user}/", "CS:calendar-proxy-write-for", f"{CS}calendar-proxy-write-for") == []
        assert hrefs(client, f"/{user}/", "D:group-membership", f"{D}group-membership") == []


def test_groups_of_a_doctor_name_only_members_that_one_may_see(lite: Clinic) -> None:
    desk, lee = lite.client("desk"), lite.client("lee")
    write, read = "/lee/calendar-proxy-write/", "/lee/calendar-proxy-read/"
    assert hrefs(desk, write, "D:group-member-set", f"{D}group-member-set") == ["/dav/desk/"]
    assert hrefs(lee, write, "D:group-member-set", f"{D}group-member-set") == []
    assert hrefs(desk, read, "D:group-member-set", f"{D}group-member-set") == []
    assert hrefs(desk, "/desk/calendar-proxy-write/", "D:group-member-set", f"{D}group-member-set") == []
    kinds = desk.propfind(write, "D:resourcetype").prop(f"{D}resourcetype")
    assert kinds is not None and {kind.tag for kind in kinds} == {
        f"{D}collection",
        f"{D}principal",
        f"{CS}calendar-proxy-write",
    }


def test_apple_calendar_looks_for_delegations(lite: Clinic) -> None:
    answer = lite.client("desk").report(
        "/desk/",
        "D:expand-property",
        '<D:property name="calendar-proxy-write-for" namespace="http://calendarserver.org/ns/">'
        '<D:property name="displayname"/><D:property name="principal-URL"/>'
        '<D:property name="calendar-home-set" namespace="urn:ietf:params:xml:ns:caldav"/>'
        '<D:property name="calendar-user-address-set" namespace="urn:ietf:params:xml:ns:caldav"/></D:property>',
        depth="0",
    )
    assert answer.status == 207
    assert answer.text.count("<D:displayname>") == 2 and "mailto:smith@test.example" in answer.text


def test_group_of_an_unseen_home_answers_as_an_unknown_one(lite: Clinic) -> None:
    lee = lite.client("lee")
    for method in ("PROPFIND", "PROPPATCH", "REPORT", "GET", "PUT", "DELETE", "MKCALENDAR", "OPTIONS", "ACL"):
        answers = [
            lee.request(method, f"/{home}/{place}/", headers={"Depth": "0"})
            for home in ("smith", "nobody")
            for place in ("calendar-proxy-write", "outbox")
        ]
        assert len({(each.status, each.headers.get("Allow"), each.body) for each in answers}) == 1, method


def test_groups_cannot_be_written(lite: Clinic) -> None:
    desk = lite.client("desk")
    members = "<D:set><D:prop><D:group-member-set><D:href>/dav/desk/</D:href></D:group-member-set></D:prop></D:set>"
    path = "/lee/calendar-proxy-write/"
    assert desk.proppatch(path, members).statuses() == {f"{D}group-member-set": 403}
    assert desk.request("DELETE", path).status == 403
    assert desk.put(f"{path}a.ics", event()).status == 409
    assert desk.request("MKCALENDAR", "/desk/calendar-proxy-write/").status == 405


METHODS = [
    "GET",
    "HEAD",
    "PUT",
    "DELETE",
    "PROPFIND",
    "PROPPATCH",
    "REPORT",
    "MKCALENDAR",
    "MKCOL",
    "COPY",
    "MOVE",
    "ACL",
    "OPTIONS",
    "POST",
]
REPORTS = (
    "C:calendar-query",
    "C:calendar-multiget",
    "C:free-busy-query",
    "D:sync-collection",
    "D:expand-property",
    "D:principal-match",
    "D:acl-principal-prop-set",
    "D:principal-property-search",
)


@pytest.mark.parametrize("path", ["/", "/lee/", "/lee/calendar-proxy-write/", "/lee/outbox/", "/lee/inbox/"])
def test_every_method_and_report_is_answered_at_what_is_no_calendar(lite: Clinic, path: str) -> None:
    desk = lite.client("desk")
    for method in METHODS:
        headers = {"Depth": "1", "Destination": f"/dav{path}a.ics"}
        body = event() if method == "PUT" else ""
        assert desk.request(method, path, body, headers).status < 500, method
        assert desk.request(method, f"{path}a.ics", body, headers).status < 500, method
    for name in REPORTS:
        assert desk.report(path, name, "<D:self/><D:prop><D:acl/></D:prop>").status < 500, name


# Privileges and ACLs


def test_acl_names_the_owner_and_the_group_that_acts_for_the_owner(lite: Clinic) -> None:
    answer = lite.client("lee").propfind("/lee/appointments/", "D:acl", "D:acl-restrictions", "D:inherited-acl-set")
    aces = answer.prop(f"{D}acl")
    assert aces is not None and len(aces) == 2
    owner, group = aces
    assert owner.find(f"{D}principal/{D}property/{D}owner") is not None
    assert group.findtext(f"{D}principal/{D}href") == "/dav/lee/calendar-proxy-write/"
    for ace in aces:
        granted = {privilege[0].tag for privilege in ace.iter(f"{D}privilege")}
        assert {f"{D}read", f"{D}write", f"{D}bind"} <= granted
        assert ace.find(f"{D}protected") is not None
    own = lite.client("lee").propfind("/lee/personal/", "D:acl").prop(f"{D}acl")
    assert own is not None and len(own) == 1


@pytest.mark.parametrize("path", ["/", "/lee/", "/lee/appointments/", "/lee/personal/", "/lee/inbox/"])
def test_told_privileges_are_those_of_the_acl_and_supported(lite: Clinic, path: str) -> None:
    answer = lite.client("lee").propfind(path, "D:acl", "D:current-user-privilege-set", "D:supported-privilege-set")
    held, aces, supported = (
        answer.prop(f"{D}{name}") for name in ("current-user-privilege-set", "acl", "supported-privilege-set")
    )
    assert held is not None and aces is not None and supported is not None
    mine = {privilege[0].tag for privilege in held}
    assert mine == {privilege[0].tag for privilege in aces[0].iter(f"{D}privilege")}
    assert mine <= {privilege[0].tag for privilege in supported.iter(f"{D}privilege")}


def test_no_acl_can_be_set(lite: Clinic) -> None:
    lee = lite.client("lee")
    ace = "<D:ace><D:principal><D:all/></D:principal><D:grant><D:privilege><D:all/></D:privilege></D:grant></D:ace>"
    answer = lee.request("ACL", "/lee/appointments/", f"<D:acl {NAMESPACES}>{ace}</D:acl>")
    assert (answer.status, answer.condition) == (403, "need-privileges")
    assert answer.xml.findtext(f".//{D}resource/{D}href") == "/dav/lee/appointments/"
    assert answer.xml.find(f".//{D}resource/{D}privilege/{D}write-acl") is not None
    assert lee.request("ACL", "/lee/appointments/", f"<D:propfind {NAMESPACES}/>").status == 400


def test_missing_privileges_are_named_with_their_resource(lite: Clinic) -> None:
    lee = lite.client("lee")
    for answer, href, privilege in (
        (lee.put("/lee/inbox/a.ics", event()), "/dav/lee/inbox/a.ics", "write-content"),
        (lee.delete("/lee/hours/"), "/dav/lee/", "unbind"),
    ):
        assert (answer.status, answer.condition) == (403, "need-privileges")
        assert answer.xml.findtext(f".//{D}resource/{D}href") == href
        assert answer.xml.find(f".//{D}resource/{D}privilege/{D}{privilege}") is not None


def test_principal_match(lite: Clinic) -> None:
    desk = lite.client("desk")
    self_ = "<D:self/><D:prop><D:displayname/></D:prop>"
    assert desk.report("/", "D:principal-match", self_, depth="0").hrefs == ["/dav/desk/"]
    own = "<D:principal-property><D:owner/></D:principal-property>"
    assert desk.report("/lee/", "D:principal-match", own, depth="0").hrefs == []
    assert "/dav/desk/personal/" in desk.report("/desk/", "D:principal-match", own, depth="0").hrefs
    assert desk.report("/", "D:principal-match", "", depth="0").status == 400


def test_principals_of_an_acl(lite: Clinic) -> None:
    lee, prop = lite.client("lee"), "<D:prop><D:displayname/></D:prop>"
    answer = lee.report("/lee/appointments/", "D:acl-principal-prop-set", prop, depth="0")
    assert answer.hrefs == ["/dav/lee/calendar-proxy-write/"]
    assert lee.report("/lee/personal/", "D:acl-principal-prop-set", prop, depth="0").hrefs == []
