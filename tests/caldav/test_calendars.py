"""MKCALENDAR, extended MKCOL, PROPPATCH and DELETE of calendars. RFC 4791 §5.3.1, RFC 5689, RFC 4918 §9.2."""

import pytest

from storage.collections import BUILT_IN
from tests.caldav.helpers import NAMESPACES, A, Answer, C, Clinic, D, Dav, calendar, event

SET = "<D:set><D:prop>{}</D:prop></D:set>"
BOTH = '<C:supported-calendar-component-set><C:comp name="VEVENT"/><C:comp name="VTODO"/></C:supported-calendar-component-set>'


def mkcalendar(client: Dav, path: str, inner: str = "") -> int:
    body = f"<C:mkcalendar {NAMESPACES}>{SET.format(inner)}</C:mkcalendar>" if inner else ""
    return client.request("MKCALENDAR", path, body).status


def entry(component: str, uid: str) -> str:
    return calendar(f"BEGIN:{component}", f"UID:{uid}", "DTSTAMP:20261120T080000Z", "SUMMARY:x", f"END:{component}")


def test_new_calendar_with_properties(lee: Dav) -> None:
    inner = (
        "<D:displayname>Tennis &amp; more</D:displayname><A:calendar-color>#ff0000ff</A:calendar-color>"
        '<C:supported-calendar-component-set><C:comp name="VEVENT"/></C:supported-calendar-component-set>'
    )
    assert mkcalendar(lee, "/lee/tennis/", inner) == 201
    answer = lee.propfind("/lee/tennis/", "D:displayname", "A:calendar-color", "D:resourcetype")
    name = answer.prop(f"{D}displayname")
    assert name is not None and name.text == "Tennis & more"
    assert lee.put("/lee/tennis/a.ics", event()).status == 201
    assert "/dav/lee/tennis/" in lee.propfind("/lee/", "D:displayname", depth="1").hrefs


def test_calendar_of_todos(lee: Dav) -> None:
    inner = '<C:supported-calendar-component-set><C:comp name="VTODO"/></C:supported-calendar-component-set>'
    assert mkcalendar(lee, "/lee/todos/", inner) == 201
    assert lee.put("/lee/todos/a.ics", event()).status == 403


def components(client: Dav, path: str) -> list[str | None]:
    told = client.propfind(path, "C:supported-calendar-component-set").prop(f"{C}supported-calendar-component-set")
    return [] if told is None else [comp.get("name") for comp in told]


def test_calendar_of_events_and_todos(lee: Dav) -> None:
    assert mkcalendar(lee, "/lee/both/", BOTH) == 201
    assert components(lee, "/lee/both/") == ["VEVENT", "VTODO"]
    assert lee.put("/lee/both/a.ics", event()).status == 201
    assert lee.put("/lee/both/b.ics", entry("VTODO", "b@test")).status == 201
    refused = lee.put("/lee/both/c.ics", entry("VJOURNAL", "c@test"))
    assert (refused.status, refused.condition) == (403, "supported-calendar-component")


def test_calendar_of_which_no_component_is_said_takes_all(lee: Dav) -> None:
    assert mkcalendar(lee, "/lee/all/") == 201
    assert components(lee, "/lee/all/") == ["VEVENT", "VTODO", "VJOURNAL"]
    assert lee.put("/lee/all/c.ics", entry("VJOURNAL", "c@test")).status == 201


def test_event_that_becomes_a_todo_takes_no_more_time(lee: Dav) -> None:
    mkcalendar(lee, "/lee/all/")
    day = '<C:time-range start="20261124T000000Z" end="20261125T000000Z"/>'
    lee.put("/lee/all/a.ics", event())
    assert "FBTYPE=BUSY" in lee.report("/lee/all/", "C:free-busy-query", day).text
    assert lee.put("/lee/all/a.ics", entry("VTODO", "one@test")).status == 204
    assert "FBTYPE=BUSY" not in lee.report("/lee/all/", "C:free-busy-query", day).text


def test_calendar_of_what_we_do_not_keep(lee: Dav) -> None:
    inner = '<C:supported-calendar-component-set><C:comp name="VFREEBUSY"/></C:supported-calendar-component-set>'
    assert mkcalendar(lee, "/lee/fb/", inner) == 403


def test_what_is_there_is_not_made_again(lee: Dav) -> None:
    assert mkcalendar(lee, "/lee/tennis/") == 201
    assert mkcalendar(lee, "/lee/tennis/") == 405


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_names_are_reserved(lite: Clinic, name: str) -> None:
    assert mkcalendar(lite.client("lee"), f"/lee/{name}/") == 405
    assert mkcalendar(lite.client("desk"), f"/desk/{name}/") == 405


def test_only_directly_in_the_own_home(lite: Clinic) -> None:
    lee = lite.client("lee")
    assert mkcalendar(lee, "/tennis/") == 403
    assert mkcalendar(lee, "/lee/personal/sub/") == 403
    assert mkcalendar(lee, "/lee/a/b/c/") == 409
    assert mkcalendar(lee, "/smith/tennis/") == mkcalendar(lee, "/nobody/tennis/") == 409
    assert mkcalendar(lite.client("desk"), "/lee/tennis/") == 403


def test_property_that_cannot_be_set_makes_no_calendar(lee: Dav) -> None:
    assert mkcalendar(lee, "/lee/x/", "<D:getetag>a</D:getetag>") == 424
    assert lee.propfind("/lee/x/").status == 404


def test_extended_mkcol(lee: Dav) -> None:
    kind = "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype><D:displayname>X</D:displayname>"
    assert lee.request("MKCOL", "/lee/x/", f"<D:mkcol {NAMESPACES}>{SET.format(kind)}</D:mkcol>").status == 201
    plain = "<D:resourcetype><D:collection/></D:resourcetype>"
    answer = lee.request("MKCOL", "/lee/y/", f"<D:mkcol {NAMESPACES}>{SET.format(plain)}</D:mkcol>")
    assert (answer.status, answer.condition) == (403, "valid-resourcetype")
    assert lee.request("MKCOL", "/lee/z/").status == 403


def test_calendar_as_nextclouds_clients_make_it(lee: Dav) -> None:
    inner = (
        "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype><D:displayname>Team</D:displayname>"
        "<A:calendar-color>#499aa2</A:calendar-color><A:calendar-order>0</A:calendar-order>"
        f'<O:calendar-enabled xmlns:O="http://owncloud.org/ns">1</O:calendar-enabled>{BOTH}'
    )
    assert lee.request("MKCOL", "/lee/team/", f"<D:mkcol {NAMESPACES}>{SET.format(inner)}</D:mkcol>").status == 201
    assert components(lee, "/lee/team/") == ["VEVENT", "VTODO"]


def test_calendar_as_davx5_makes_it(lee: Dav) -> None:
    zone = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VTIMEZONE\nTZID:Asia/Tokyo\nBEGIN:STANDARD\nDTSTART:19700101T000000\n"
    zone += "TZOFFSETFROM:+0900\nTZOFFSETTO:+0900\nEND:STANDARD\nEND:VTIMEZONE\nEND:VCALENDAR\n"
    inner = (
        "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype><D:displayname>Phone</D:displayname>"
        "<C:calendar-description>x</C:calendar-description><A:calendar-color>#FF0000FF</A:calendar-color>"
        "<C:calendar-timezone-id>Asia/Tokyo</C:calendar-timezone-id>"
        f"<C:calendar-timezone>{zone}</C:calendar-timezone>{BOTH}"
    )
    assert mkcalendar(lee, "/lee/4e1b/", inner) == 201
    told = lee.propfind("/lee/4e1b/", "C:calendar-timezone", "C:calendar-timezone-id")
    name = told.prop(f"{C}calendar-timezone-id")
    assert name is not None and name.text == "Asia/Tokyo"


def test_dead_properties_are_kept_as_xml(lee: Dav) -> None:
    answer = lee.proppatch(
        "/lee/appointments/",
        "<D:set><D:prop><A:calendar-order>7</A:calendar-order>"
        "<C:schedule-calendar-transp><C:transparent/></C:schedule-calendar-transp>"
        "<D:displayname>&lt;b&gt; &amp; ä</D:displayname></D:prop></D:set>",
    )
    assert set(answer.statuses().values()) == {200}
    read = lee.propfind("/lee/appointments/", "A:calendar-order", "C:schedule-calendar-transp", "D:displayname")
    name, transp = read.prop(f"{D}displayname"), read.prop(f"{C}schedule-calendar-transp")
    assert name is not None and name.text == "<b> & ä"
    assert transp is not None and [inner.tag for inner in transp] == [f"{C}transparent"]


def test_what_apps_set_at_once_is_kept(lee: Dav) -> None:
    """A 403 here makes macOS stop (sabre/dav #935)."""
    alarm = "BEGIN:VALARM\nTRIGGER:-PT15M\nACTION:DISPLAY\nDESCRIPTION:x\nEND:VALARM\n"
    values = {
        "C:default-alarm-vevent-datetime": alarm,
        "C:default-alarm-vevent-date": alarm,
        "C:default-alarm-vtodo-datetime": alarm,
        "C:default-alarm-vtodo-date": alarm,
        "A:calendar-enabled": "1",
        "A:calendar-order": "3",
        "A:refreshrate": "PT1H",
        "C:calendar-description": "ä",
    }
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    inner += '<O:calendar-enabled xmlns:O="http://owncloud.org/ns">1</O:calendar-enabled>'
    assert set(lee.proppatch("/lee/appointments/", SET.format(inner)).statuses().values()) == {200}
    read = lee.propfind("/lee/appointments/", *values)
    assert {prop.text for prop in read.xml.iter(f"{C}default-alarm-vevent-date")} == {alarm}
    assert set(read.statuses().values()) == {200}


def test_prefer_minimal_says_nothing_of_success(lee: Dav) -> None:
    def proppatch(inner: str) -> Answer:
        body = f"<D:propertyupdate {NAMESPACES}>{SET.format(inner)}</D:propertyupdate>"
        return lee.request("PROPPATCH", "/lee/personal/", body, {"Prefer": "return=minimal"})

    done = proppatch("<A:calendar-order>7</A:calendar-order>")
    assert (done.status, done.body) == (204, b"")
    assert proppatch("<D:getetag>x</D:getetag>").statuses() == {f"{D}getetag": 403}
    made = lee.request("MKCALENDAR", "/lee/tennis/", headers={"Prefer": "return=minimal"})
    assert (made.status, made.headers["Preference-Applied"]) == (201, "return=minimal")


def test_removing_a_property(lee: Dav) -> None:
    remove = "<D:remove><D:prop><A:calendar-color/></D:prop></D:remove>"
    assert lee.proppatch("/lee/personal/", remove).statuses() == {f"{A}calendar-color": 200}
    assert lee.propfind("/lee/personal/", "A:calendar-color").statuses() == {f"{A}calendar-color": 404}
    assert lee.proppatch("/lee/personal/", remove).statuses() == {f"{A}calendar-color": 200}


@pytest.mark.parametrize(
    "name", ["D:getetag", "D:resourcetype", "D:sync-token", "CS:getctag", "D:unheard-of", "D:owner"]
)
def test_protected_properties_fail_and_take_the_others_with_them(lee: Dav, name: str) -> None:
    answer = lee.proppatch(
        "/lee/personal/", SET.format(f"<{name}>x</{name}><A:calendar-color>#123456</A:calendar-color>")
    )
    assert sorted(answer.statuses().values()) == [403, 424]
    assert "cannot-modify-protected-property" in answer.text
    colour = lee.propfind("/lee/personal/", "A:calendar-color").prop(f"{A}calendar-color")
    assert colour is not None and colour.text != "#123456"


def test_timezone_must_be_one(lee: Dav) -> None:
    answer = lee.proppatch("/lee/personal/", SET.format("<C:calendar-timezone>nonsense</C:calendar-timezone>"))
    assert answer.statuses() == {f"{C}calendar-timezone": 403}
    assert "valid-calendar-data" in answer.text


def test_properties_of_homes_and_members_are_protected(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    for path in ("/", "/lee/", "/lee/personal/a.ics", "/lee/inbox/"):
        assert set(lee.proppatch(path, SET.format("<D:displayname>x</D:displayname>")).statuses().values()) == {403}


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_calendars_cannot_be_deleted(lite: Clinic, name: str) -> None:
    answer = lite.client("lee").delete(f"/lee/{name}/")
    assert (answer.status, answer.condition) == (403, "need-privileges")
    assert lite.client("lee").propfind(f"/lee/{name}/").status == 207


def test_plain_calendar_is_deleted_with_all_in_it(lee: Dav) -> None:
    mkcalendar(lee, "/lee/tennis/")
    lee.put("/lee/tennis/a.ics", event())
    assert lee.delete("/lee/tennis/").status == 204
    assert lee.get("/lee/tennis/a.ics").status == 404
    assert mkcalendar(lee, "/lee/tennis/") == 201
    assert lee.propfind("/lee/tennis/", "D:getetag", depth="1").members == set()


def test_home_and_root_cannot_be_deleted(lee: Dav) -> None:
    assert lee.delete("/lee/").status == 403
    assert lee.delete("/").status == 403
