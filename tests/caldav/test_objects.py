"""GET, PUT, DELETE, COPY and MOVE of calendar objects. RFC 4791 §5.3, RFC 9110 §13."""

import pytest

from tests.caldav.helpers import C, Clinic, D, Dav, calendar, event


def test_plain_event_is_kept_byte_for_byte(lee: Dav) -> None:
    text = event(
        "odd@test",
        "20261124T090000",
        "20261124T093000",
        "SUMMARY:a\\,b",
        "X-APPLE-STRUCTURED-LOCATION;VALUE=URI:geo:48.2,16.3",
        'x-lower;A="b,c":1,2',
    ).encode()
    made = lee.put("/lee/personal/odd.ics", text)
    assert made.status == 201
    got = lee.get("/lee/personal/odd.ics")
    assert got.body == text
    assert got.headers["ETag"] == made.headers["ETag"]
    assert got.headers["Content-Type"] == "text/calendar; charset=utf-8; component=vevent"


def test_folded_lines_and_line_ends_survive(lee: Dav) -> None:
    text = event().replace("SUMMARY:Lunch", "SUMMARY:Lun\r\n ch and \U0001f37d\ufe0f").replace("\r\n", "\n").encode()
    assert lee.put("/lee/personal/lf.ics", text).status == 201
    assert lee.get("/lee/personal/lf.ics").body == text
    multiget = lee.report(
        "/lee/personal/",
        "C:calendar-multiget",
        "<D:prop><C:calendar-data/></D:prop><D:href>/dav/lee/personal/lf.ics</D:href>",
    )
    assert multiget.data["lf.ics"].encode() == text


def test_calendar_data_in_xml_keeps_crlf(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    multiget = lee.report(
        "/lee/personal/",
        "C:calendar-multiget",
        "<D:prop><C:calendar-data/></D:prop><D:href>/dav/lee/personal/a.ics</D:href>",
    )
    assert multiget.data["a.ics"] == event()


def test_change_with_the_right_etag(lee: Dav) -> None:
    etag = lee.put("/lee/personal/a.ics", event()).headers["ETag"]
    changed = lee.put("/lee/personal/a.ics", event("one@test", "20261124T100000", "20261124T103000"), If_Match=etag)
    assert changed.status == 204
    assert changed.headers["ETag"] != etag


def test_put_with_stale_etag_is_refused(lee: Dav) -> None:
    etag = lee.put("/lee/personal/a.ics", event()).headers["ETag"]
    lee.put("/lee/personal/a.ics", event("one@test", "20261124T100000", "20261124T103000"))
    stale = lee.put("/lee/personal/a.ics", event("one@test", "20261124T110000", "20261124T113000"), If_Match=etag)
    assert stale.status == 412
    assert b"T100000" in lee.get("/lee/personal/a.ics").body


def test_if_match_of_something_that_is_gone_is_412(lee: Dav) -> None:
    assert lee.put("/lee/personal/a.ics", event(), If_Match='"x"').status == 412
    assert lee.put("/lee/personal/a.ics", event(), If_Match="*").status == 412
    assert lee.get("/lee/personal/a.ics").status == 404


def test_if_none_match_star_protects_what_is_there(lee: Dav) -> None:
    assert lee.put("/lee/personal/a.ics", event(), If_None_Match="*").status == 201
    assert lee.put("/lee/personal/a.ics", event(), If_None_Match="*").status == 412


@pytest.mark.parametrize("form", ['"{}"', 'W/"{}"', '"other", "{}"', '"other",W/"{}" , "third"', "*"])
def test_lists_and_weak_tags_match(lee: Dav, form: str) -> None:
    etag = lee.put("/lee/personal/a.ics", event()).headers["ETag"].strip('"')
    assert lee.put("/lee/personal/a.ics", event(), If_Match=form.format(etag)).status == 204
    assert lee.get("/lee/personal/a.ics", If_None_Match=form.format(etag)).status == 304


def test_not_modified_has_no_body_and_the_etag(lee: Dav) -> None:
    etag = lee.put("/lee/personal/a.ics", event()).headers["ETag"]
    answer = lee.get("/lee/personal/a.ics", If_None_Match=etag)
    assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", etag)
    assert lee.get("/lee/personal/a.ics", If_None_Match='"other"').status == 200


def test_head_is_get_without_the_body(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    got, head = lee.get("/lee/personal/a.ics"), lee.request("HEAD", "/lee/personal/a.ics")
    assert head.body == b""
    assert {k: head.headers[k] for k in ("ETag", "Content-Type", "Content-Length")} == {
        k: got.headers[k] for k in ("ETag", "Content-Type", "Content-Length")
    }


def test_uid_under_another_href_is_refused_with_that_href(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    answer = lee.put("/lee/personal/b.ics", event())
    assert (answer.status, answer.condition) == (403, "no-uid-conflict")
    assert answer.xml[0].findtext(f"{D}href") == "/dav/lee/personal/a.ics"


def test_an_object_keeps_its_uid(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    answer = lee.put("/lee/personal/a.ics", event("another@test"))
    assert (answer.status, answer.condition) == (403, "no-uid-conflict")
    assert lee.get("/lee/personal/a.ics").text == event()


def test_put_where_there_is_no_calendar_is_409(lee: Dav) -> None:
    assert lee.put("/lee/nothing/a.ics", event()).status == 409


def test_put_of_a_whole_calendar_is_405(lee: Dav) -> None:
    for path in ("/lee/appointments/", "/lee/personal", "/lee/", "/lee/new/"):
        assert lee.put(path, event()).status == 405


def test_component_that_the_calendar_does_not_take(lee: Dav) -> None:
    todo = calendar("BEGIN:VTODO", "UID:t@test", "DTSTAMP:20261120T080000Z", "SUMMARY:x", "END:VTODO")
    answer = lee.put("/lee/personal/t.ics", todo)
    assert (answer.status, answer.condition) == (403, "supported-calendar-component")


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", b"\xff\xfe", b"BEGIN:VCARD\r\nEND:VCARD\r\n"]
)
def test_data_that_is_no_calendar_object(lee: Dav, body: bytes) -> None:
    answer = lee.put("/lee/personal/a.ics", body)
    assert (answer.status, answer.condition) == (403, "valid-calendar-data")
    assert lee.get("/lee/personal/a.ics").status == 404


def test_data_in_another_charset_is_refused(lee: Dav) -> None:
    answer = lee.put("/lee/personal/a.ics", event(), Content_Type="text/calendar; charset=iso-8859-1")
    assert (answer.status, answer.condition) == (403, "supported-calendar-data")


def test_object_over_the_limit(lee: Dav) -> None:
    answer = lee.put(
        "/lee/personal/a.ics",
        event("a@test", "20261124T090000", "20261124T093000", *(f"COMMENT:{'x' * 1000}" for _ in range(300))),
    )
    assert (answer.status, answer.condition) == (403, "max-resource-size")


def test_prefer_representation(lee: Dav) -> None:
    answer = lee.put("/lee/personal/a.ics", event(), Prefer="return=representation")
    assert (answer.status, answer.text) == (201, event())
    assert answer.headers["ETag"] == lee.get("/lee/personal/a.ics").headers["ETag"]


def test_prefer_representation_of_what_is_there_when_the_write_is_refused(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    answer = lee.put("/lee/personal/a.ics", event(), If_Match='"stale"', Prefer="return=representation")
    assert (answer.status, answer.text) == (412, event())
    assert answer.headers["ETag"] == lee.get("/lee/personal/a.ics").headers["ETag"]
    assert lee.put("/lee/personal/b.ics", event(), If_Match='"x"', Prefer="return=representation").status == 412


def test_delete_with_and_without_etag(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    assert lee.delete("/lee/personal/a.ics", If_Match='"stale"').status == 412
    assert lee.delete("/lee/personal/a.ics").status == 204
    assert lee.delete("/lee/personal/a.ics").status == 404
    assert lee.get("/lee/personal/a.ics").status == 404


def test_deleted_object_can_be_put_back(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    lee.delete("/lee/personal/a.ics")
    assert lee.put("/lee/personal/a.ics", event(), If_None_Match="*").status == 201
    assert lee.get("/lee/personal/a.ics").text == event()


def test_move_within_and_between_calendars(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    lee.request("MKCALENDAR", "/lee/other/")
    assert (
        lee.request("MOVE", "/lee/personal/a.ics", headers={"Destination": "http://test/dav/lee/personal/b.ics"}).status
        == 201
    )
    assert lee.get("/lee/personal/a.ics").status == 404
    assert lee.request("MOVE", "/lee/personal/b.ics", headers={"Destination": "/dav/lee/other/c.ics"}).status == 201
    assert lee.get("/lee/other/c.ics").text == event()


def test_move_over_another_event_replaces_it(lee: Dav) -> None:
    lee.request("MKCALENDAR", "/lee/other/")
    for name in ("personal", "other"):
        lee.put("/lee/personal/a.ics", event("a@test"))
        lee.put(f"/lee/{name}/b.ics", event("b@test" if name == "personal" else "c@test"))
        target = {"Destination": f"/dav/lee/{name}/b.ics"}
        assert lee.request("MOVE", "/lee/personal/a.ics", headers={**target, "Overwrite": "F"}).status == 412
        assert lee.request("MOVE", "/lee/personal/a.ics", headers=target).status == 204
        assert lee.get("/lee/personal/a.ics").status == 404
        assert "a@test" in lee.get(f"/lee/{name}/b.ics").text
        lee.delete(f"/lee/{name}/b.ics")


def test_move_to_a_name_that_was_used_before(lee: Dav) -> None:
    lee.put("/lee/personal/b.ics", event("b@test"))
    lee.delete("/lee/personal/b.ics")
    lee.put("/lee/personal/a.ics", event("a@test"))
    assert lee.request("MOVE", "/lee/personal/a.ics", headers={"Destination": "/dav/lee/personal/b.ics"}).status == 201
    assert "a@test" in lee.get("/lee/personal/b.ics").text


def test_copy_into_another_calendar(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    lee.request("MKCALENDAR", "/lee/other/")
    copy = {"Destination": "http://test/dav/lee/other/a.ics"}
    assert lee.request("COPY", "/lee/personal/a.ics", headers=copy).status == 201
    assert lee.request("COPY", "/lee/personal/a.ics", headers={**copy, "Overwrite": "F"}).status == 412
    assert lee.request("COPY", "/lee/personal/a.ics", headers=copy).status == 204
    assert lee.get("/lee/other/a.ics").text == lee.get("/lee/personal/a.ics").text


def test_copy_within_a_calendar_is_a_uid_conflict(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event())
    answer = lee.request("COPY", "/lee/personal/a.ics", headers={"Destination": "/dav/lee/personal/b.ics"})
    assert (answer.status, answer.condition) == (403, "no-uid-conflict")


@pytest.mark.parametrize(
    ("destination", "status"),
    [
        ("", 400),
        ("http://elsewhere/dav/lee/personal/b.ics", 502),
        ("/other/b.ics", 502),
        ("/dav/lee/none/b.ics", 409),
        ("http://[", 400),
        ("/dav/lee/personal/a.ics", 403),
        ("/dav/smith/personal/b.ics", 409),
    ],
)
def test_destinations_that_cannot_be(lee: Dav, destination: str, status: int) -> None:
    lee.put("/lee/personal/a.ics", event())
    assert lee.request("MOVE", "/lee/personal/a.ics", headers={"Destination": destination}).status == status
    assert lee.get("/lee/personal/a.ics").status == 200


def test_names_of_any_script(lee: Dav) -> None:
    for name in ("ü.ics", "日本.ics", "a b.ics", "a,b'c\"d*?.ics", "100%.ics", "a+b@c:d.ics", "no-extension"):
        assert lee.put(f"/lee/personal/{name}", event(f"{name.encode().hex()}@test")).status == 201, name
        assert lee.get(f"/lee/personal/{name}").status == 200, name
    listed = lee.propfind("/lee/personal/", "D:getetag", depth="1").hrefs[1:]
    asked = "".join(f"<D:href>{href.replace('&', '&amp;')}</D:href>" for href in listed)
    found = lee.report(
        "/lee/personal/", "C:calendar-multiget", f"<D:prop><D:getetag/><C:calendar-data/></D:prop>{asked}"
    )
    assert len(found.data) == 7 and all(found.data.values())


def test_whole_calendar_as_one_file(lee: Dav) -> None:
    lee.put("/lee/personal/a.ics", event("a@test"))
    lee.put("/lee/personal/b.ics", event("b@test"))
    whole = lee.get("/lee/personal/").text
    assert whole.count("BEGIN:VEVENT") == 2
    assert whole.count("BEGIN:VTIMEZONE") == 1
    assert whole.startswith("BEGIN:VCALENDAR\r\n") and whole.endswith("END:VCALENDAR\r\n")


def test_writes_on_both_databases(clinic: Clinic) -> None:
    lee = clinic.client("lee")
    etag = lee.put("/lee/personal/a.ics", event(), If_None_Match="*").headers["ETag"]
    assert (
        lee.put("/lee/personal/a.ics", event("one@test", "20261124T100000", "20261124T103000"), If_Match=etag).status
        == 204
    )
    assert lee.put("/lee/personal/a.ics", event(), If_Match=etag).status == 412
    assert lee.query(
        "/lee/personal/",
        '<C:comp-filter name="VEVENT"><C:time-range start="20261124T090000Z" end="20261124T093000Z"/></C:comp-filter>',
    ).members == {"a.ics"}
    assert lee.delete("/lee/personal/a.ics").status == 204
    assert lee.sync("/lee/personal/").members == set()
    assert lee.request("MKCALENDAR", "/lee/x/").status == 201
    assert lee.delete("/lee/x/").status == 204
    assert f"{C}x" not in lee.propfind("/lee/", "D:displayname").text
