"""PROPFIND: discovery, principals, properties. RFC 4918, RFC 3744, RFC 5397, RFC 4791."""

import pytest

from caldav_bridge import properties
from tests.caldav.helpers import CS, NAMESPACES, A, C, Clinic, D, Dav, event


def test_discovery_from_the_root(lee: Dav) -> None:
    answer = lee.propfind("/", "D:current-user-principal", "D:resourcetype", "C:calendar-home-set")
    principal = answer.prop(f"{D}current-user-principal")
    assert principal is not None and principal.findtext(f"{D}href") == "/dav/lee/"
    assert answer.statuses()[f"{C}calendar-home-set"] == 404


def test_principal(lee: Dav) -> None:
    names = (
        "D:resourcetype",
        "D:displayname",
        "D:principal-URL",
        "D:owner",
        "D:principal-collection-set",
        "C:calendar-home-set",
        "C:calendar-user-address-set",
        "CS:email-address-set",
        "D:supported-report-set",
        "D:current-user-privilege-set",
    )
    answer = lee.propfind("/lee/", *names)
    assert set(answer.statuses().values()) == {200}
    kinds = answer.prop(f"{D}resourcetype")
    assert kinds is not None and {k.tag for k in kinds} == {f"{D}collection", f"{D}principal"}
    addresses = answer.prop(f"{C}calendar-user-address-set")
    assert addresses is not None and [a.text for a in addresses] == ["mailto:lee@test.example", "/dav/lee/"]
    home = answer.prop(f"{C}calendar-home-set")
    assert home is not None and home.findtext(f"{D}href") == "/dav/lee/"


def test_home_lists_the_built_in_calendars(lee: Dav) -> None:
    answer = lee.propfind("/lee/", "D:resourcetype", "C:supported-calendar-component-set", "D:displayname", depth="1")
    assert answer.hrefs == [
        "/dav/lee/",
        *(f"/dav/lee/{name}/" for name in ("appointments", "hours", "leave", "waitlist", "inbox", "personal")),
    ]
    waitlist = answer.prop(f"{C}supported-calendar-component-set", "/dav/lee/waitlist/")
    assert waitlist is not None and [c.get("name") for c in waitlist] == ["VTODO"]
    inbox = answer.prop(f"{D}resourcetype", "/dav/lee/inbox/")
    assert inbox is not None and {k.tag for k in inbox} == {f"{D}collection", f"{C}schedule-inbox"}


def test_inbox_is_there_and_empty(lee: Dav) -> None:
    assert lee.propfind("/lee/inbox/", "D:resourcetype", depth="1").hrefs == ["/dav/lee/inbox/"]
    assert lee.put("/lee/inbox/a.ics", event()).status == 403


def test_calendar_properties(lee: Dav) -> None:
    names = (
        "D:resourcetype",
        "D:displayname",
        "D:owner",
        "D:sync-token",
        "D:getetag",
        "D:supported-report-set",
        "D:current-user-privilege-set",
        "CS:getctag",
        "C:supported-calendar-data",
        "C:max-resource-size",
        "C:max-instances",
        "C:min-date-time",
        "C:max-date-time",
        "C:max-attendees-per-instance",
        "C:supported-collation-set",
        "C:calendar-timezone",
        "A:calendar-color",
        "A:calendar-order",
    )
    answer = lee.propfind("/lee/appointments/", *names)
    assert set(answer.statuses().values()) == {200}
    zone = answer.prop(f"{C}calendar-timezone")
    assert zone is not None and "TZID:Europe/Vienna" in (zone.text or "")
    privileges = answer.prop(f"{D}current-user-privilege-set")
    assert privileges is not None
    held = {privilege[0].tag for privilege in privileges}
    assert {f"{D}read", f"{D}write", f"{D}write-content", f"{D}write-properties"} <= held
    reports = answer.prop(f"{D}supported-report-set")
    assert reports is not None
    assert {report[0][0].tag for report in reports} >= {
        f"{C}calendar-query",
        f"{C}calendar-multiget",
        f"{C}free-busy-query",
        f"{D}sync-collection",
    }


def test_quota_is_not_claimed(lee: Dav) -> None:
    answer = lee.propfind("/lee/", "D:quota-available-bytes", "D:quota-used-bytes")
    assert set(answer.statuses().values()) == {404}


def test_unknown_properties_are_404_in_their_own_namespace(lee: Dav) -> None:
    body = '<propfind xmlns="DAV:"><prop><x xmlns="urn:a&amp;b&quot;"/><y xmlns=""/><resourcetype/></prop></propfind>'
    answer = lee.request("PROPFIND", "/lee/", body, {"Depth": "0"})
    assert answer.statuses() == {'{urn:a&b"}x': 404, "y": 404, f"{D}resourcetype": 200}


def test_members_with_etag_and_type(lee: Dav) -> None:
    made = lee.put("/lee/personal/a b&c@d.ics", event())
    answer = lee.propfind(
        "/lee/personal/",
        "D:getetag",
        "D:getcontenttype",
        "D:getcontentlength",
        "D:getlastmodified",
        "D:resourcetype",
        "D:displayname",
        depth="1",
    )
    href = "/dav/lee/personal/a%20b&c@d.ics"
    assert answer.hrefs == ["/dav/lee/personal/", href]
    etag = answer.prop(f"{D}getetag", href)
    assert etag is not None and etag.text == made.headers["ETag"]
    kind = answer.prop(f"{D}resourcetype", href)
    assert kind is not None and len(kind) == 0
    size = answer.prop(f"{D}getcontentlength", href)
    assert size is not None and int(size.text or 0) == len(event().encode())
    assert answer.statuses(href)[f"{D}displayname"] == 404


def test_member_alone_says_the_same_as_in_its_calendar(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    names = ("D:getetag", "D:getcontenttype", "D:owner", "D:current-user-privilege-set", "D:nothing")
    alone = lee.propfind("/lee/personal/a.ics", *names)
    listed = lee.propfind("/lee/personal/", *names, depth="1")
    assert alone.statuses() == listed.statuses("/dav/lee/personal/a.ics")
    assert lee.propfind("/lee/personal/none.ics", *names).status == 404


def test_allprop_and_propname(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    everything = lee.propfind("/lee/personal/", depth="1")
    assert f"{D}displayname" in everything.statuses("/dav/lee/personal/")
    assert f"{C}calendar-timezone" not in everything.statuses("/dav/lee/personal/")
    assert f"{D}getetag" in everything.statuses("/dav/lee/personal/a.ics")
    included = lee.request(
        "PROPFIND",
        "/lee/personal/",
        f"<D:propfind {NAMESPACES}><D:allprop/><D:include><C:max-resource-size/></D:include></D:propfind>",
        {"Depth": "0"},
    )
    assert included.statuses()[f"{C}max-resource-size"] == 200
    names = lee.request("PROPFIND", "/lee/personal/", f"<D:propfind {NAMESPACES}><D:propname/></D:propfind>")
    assert {f"{C}calendar-timezone", f"{D}sync-token", f"{A}calendar-color"} <= set(names.statuses())


def test_depth_infinity_is_refused(lee: Dav) -> None:
    answer = lee.propfind("/lee/", "D:displayname", depth="infinity")
    assert (answer.status, answer.condition) == (403, "propfind-finite-depth")
    assert lee.propfind("/lee/", "D:displayname", depth="2").status == 400


def test_prefer_minimal_leaves_out_what_is_missing(lee: Dav) -> None:
    for header in ({"Prefer": "return=minimal"}, {"Brief": "t"}):
        answer = lee.propfind("/lee/", "D:displayname", "D:nothing", depth="1", **header)
        assert answer.headers["Preference-Applied"] == "return=minimal"
        assert 404 not in answer.statuses().values()


def test_prefer_depth_noroot_leaves_out_the_collection(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    for headers in ({"Prefer": "depth-noroot"}, {"Depth": "1, noroot"}):
        answer = lee.request("PROPFIND", "/lee/personal/", headers={"Depth": "1", **headers})
        assert answer.hrefs == ["/dav/lee/personal/a.ics"]
    both = lee.propfind("/lee/", "D:displayname", depth="1", Prefer="return=minimal, depth-noroot")
    assert both.headers["Preference-Applied"] == "return=minimal, depth-noroot"
    assert "/dav/lee/" not in both.hrefs
    alone = lee.propfind("/lee/", "D:displayname", Prefer="depth-noroot")
    assert alone.hrefs == ["/dav/lee/"]


def test_what_discovery_asks_for_is_there_or_404(lee: Dav) -> None:
    """Apple Calendar and DAVx5 ask for much that only Apple's server has."""
    missing = (
        "D:resource-id",
        "D:quota-available-bytes",
        "D:quota-used-bytes",
        "D:sync-level",
        "D:getcontentlanguage",
        "C:calendar-free-busy-set",
        "CS:dropbox-home-URL",
        "CS:notification-URL",
        "CS:push-transports",
        "CS:pushkey",
        "CS:publish-url",
        "CS:pre-publish-url",
        "CS:source",
        "CS:subscribed-strip-alarms",
        "CS:xmpp-uri",
        "A:autoprovisioned",
    )
    for path in ("/", "/lee/", "/lee/personal/"):
        answer = lee.propfind(path, "D:supportedlock", "D:lockdiscovery", "D:current-user-principal", *missing)
        assert sorted(answer.statuses().values()) == [200] * 3 + [404] * len(missing)


def test_path_without_its_slash(lee: Dav) -> None:
    assert lee.propfind("/lee", "D:displayname").hrefs == ["/dav/lee/"]
    assert lee.propfind("/lee/appointments", "D:displayname").hrefs == ["/dav/lee/appointments/"]


def test_every_live_property_names_its_section_and_answers(lite: Clinic, lee: Dav) -> None:
    assert all(prop.rfc for prop in properties.LIVE.values())
    answer = lee.request("PROPFIND", "/lee/appointments/", f"<D:propfind {NAMESPACES}><D:propname/></D:propfind>")
    on_calendar = {name for name, prop in properties.LIVE.items() if "calendar" in prop.on}
    assert on_calendar <= set(answer.statuses())


def test_ctag_moves_with_members_and_properties(lee: Dav) -> None:
    def ctag() -> str:
        found = lee.propfind("/lee/personal/", "CS:getctag").prop(f"{CS}getctag")
        return "" if found is None else found.text or ""

    seen = [ctag()]
    lee.put("/lee/personal/a.ics", event())
    seen.append(ctag())
    lee.delete("/lee/personal/a.ics")
    seen.append(ctag())
    assert len(set(seen)) == 3


@pytest.mark.parametrize(
    "path", ["/nobody/", "/lee/nothing/", "/lee/personal/none.ics", "/lee/personal/a/b", "/a/b/c/d"]
)
def test_what_is_not_there_is_404(lee: Dav, path: str) -> None:
    assert lee.propfind(path, "D:displayname").status == 404
    assert lee.get(path).status == 404
