"""The conversations of calendar apps, in the shapes that they send: Thunderbird, Evolution, Apple, DAVx5, Outlook."""

from tests.caldav.helpers import CS, C, Clinic, D, Dav, calendar, event

JSON_FREE = {"Content-Type": "text/xml; charset=utf-8"}


def ask(client: Dav, method: str, path: str, body: str, **headers: str):
    return client.request(method, path, body, {**JSON_FREE, **{k.replace("_", "-"): v for k, v in headers.items()}})


def test_thunderbird_adds_an_account(lite: Clinic) -> None:
    anonymous, lee = Dav(lite.app), lite.client("lee")
    discovery = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<D:propfind xmlns:D='DAV:' xmlns:A='http://apple.com/ns/ical/' xmlns:C='urn:ietf:params:xml:ns:caldav'><D:prop>"
        "<D:resourcetype/><D:owner/><D:displayname/><D:current-user-principal/><D:current-user-privilege-set/>"
        "<A:calendar-color/><C:calendar-home-set/></D:prop></D:propfind>"
    )
    assert anonymous.request("HEAD", "/").status == 401
    assert ask(anonymous, "PROPFIND", "/", discovery, Depth="0").status == 401
    root = ask(lee, "PROPFIND", "/", discovery, Depth="0")
    principal = root.prop(f"{D}current-user-principal")
    assert principal is not None
    path = principal.findtext(f"{D}href", "").removeprefix("/dav")
    home_set = "<D:propfind xmlns:D='DAV:' xmlns:C='urn:ietf:params:xml:ns:caldav'><D:prop><C:calendar-home-set/></D:prop></D:propfind>"
    home = ask(lee, "PROPFIND", path, home_set, Depth="0").prop(f"{C}calendar-home-set")
    assert home is not None
    listing = (
        "<D:propfind xmlns:D='DAV:' xmlns:A='http://apple.com/ns/ical/'><D:prop><D:resourcetype/><D:displayname/>"
        "<D:current-user-privilege-set/><A:calendar-color/></D:prop></D:propfind>"
    )
    listed = ask(lee, "PROPFIND", home.findtext(f"{D}href", "").removeprefix("/dav"), listing, Depth="1")
    calendars = [
        href
        for href in listed.hrefs
        if (kind := listed.prop(f"{D}resourcetype", href)) is not None and kind.find(f"{C}calendar") is not None
    ]
    assert len(calendars) == 5
    opened = (
        "<D:propfind xmlns:D='DAV:' xmlns:CS='http://calendarserver.org/ns/' xmlns:C='urn:ietf:params:xml:ns:caldav'><D:prop>"
        "<D:resourcetype/><D:owner/><D:current-user-principal/><D:current-user-privilege-set/><D:supported-report-set/>"
        "<C:supported-calendar-component-set/><CS:getctag/></D:prop></D:propfind>"
    )
    for href in calendars:
        assert set(ask(lee, "PROPFIND", href.removeprefix("/dav"), opened, Depth="0").statuses().values()) == {200}
    assert "calendar-access" in lee.request("OPTIONS", "/lee/").headers["DAV"]


def test_thunderbird_writes_and_follows(lee: Dav) -> None:
    sync = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<sync-collection xmlns="DAV:"><sync-token>{}</sync-token>'
        "<sync-level>1</sync-level><prop><getcontenttype/><getetag/></prop></sync-collection>"
    )
    first = ask(lee, "REPORT", "/lee/personal/", sync.format(""), Depth="1")
    token = first.xml.findtext(f"{D}sync-token", "")
    full_history = event("tb@test").replace("BEGIN:STANDARD", "X-TZINFO:Europe/Vienna[2026a]\r\nBEGIN:STANDARD", 1)
    assert lee.put("/lee/personal/tb@test.ics", full_history, If_None_Match="*").status == 201
    multiget = (
        '<C:calendar-multiget xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/><C:calendar-data/>'
        "</D:prop><D:href>/dav/lee/personal/tb%40test.ics</D:href></C:calendar-multiget>"
    )
    got = ask(lee, "REPORT", "/lee/personal/", multiget, Depth="1")
    assert list(got.data.values()) == [full_history]
    etag = got.xml.findtext(f".//{D}getetag", "")
    snoozed = full_history.replace("SUMMARY:", "X-MOZ-LASTACK:20261124T080500Z\r\nX-MOZ-GENERATION:1\r\nSUMMARY:")
    assert lee.put("/lee/personal/tb@test.ics", snoozed, If_Match=etag).status == 204
    later = ask(lee, "REPORT", "/lee/personal/", sync.format(token), Depth="1")
    assert later.members == {"tb@test.ics"}
    assert "text/calendar" in later.xml.findtext(f".//{D}getcontenttype", "")
    # "Submit anyway" after a 412 is a PUT without any condition.
    assert lee.put("/lee/personal/tb@test.ics", full_history, If_Match=etag).status == 412
    assert lee.put("/lee/personal/tb@test.ics", full_history).status == 204


def test_evolution(lee: Dav) -> None:
    assert Dav(lee.app).request("OPTIONS", "/lee/personal/").status == 401
    assert lee.request("OPTIONS", "/lee/personal/").status == 200
    privileges = '<propfind xmlns="DAV:"><prop><current-user-privilege-set/></prop></propfind>'
    assert "<D:write/>" in ask(lee, "PROPFIND", "/lee/personal/", privileges, Depth="0").text
    ctag = '<propfind xmlns="DAV:" xmlns:CS="http://calendarserver.org/ns/"><prop><CS:getctag/></prop></propfind>'
    before = ask(lee, "PROPFIND", "/lee/personal/", ctag, Depth="0").prop(f"{CS}getctag")
    made = lee.put("/lee/personal/evo.ics", event("evo@test"), If_None_Match="*", Prefer="return=minimal")
    assert made.status == 201 and made.headers["ETag"]
    assert lee.put("/lee/personal/evo.ics", event("evo@test", "20261124T100000", "20261124T103000")).status == 204
    after = ask(lee, "PROPFIND", "/lee/personal/", ctag, Depth="0").prop(f"{CS}getctag")
    assert before is not None and after is not None and before.text != after.text
    query = (
        '<calendar-query xmlns="urn:ietf:params:xml:ns:caldav" xmlns:D="DAV:"><D:prop><D:getetag/></D:prop><filter>'
        '<comp-filter name="VCALENDAR"><comp-filter name="VEVENT"><time-range start="20261018T190509Z" end="20261227T190509Z"/>'
        "</comp-filter></comp-filter></filter></calendar-query>"
    )
    assert ask(lee, "REPORT", "/lee/personal/", query, Depth="1").members == {"evo.ics"}
    assert lee.delete("/lee/personal/evo.ics").status == 204


def test_apple_calendar(lee: Dav) -> None:
    home = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<A:propfind xmlns:A="DAV:"><A:prop><A:add-member/>'
        '<C:allowed-sharing-modes xmlns:C="http://calendarserver.org/ns/"/>'
        '<D:autoprovisioned xmlns:D="http://apple.com/ns/ical/"/><E:bulk-requests xmlns:E="http://me.com/_namespace/"/>'
        '<D:calendar-color xmlns:D="http://apple.com/ns/ical/"/><B:calendar-description xmlns:B="urn:ietf:params:xml:ns:caldav"/>'
        '<B:calendar-free-busy-set xmlns:B="urn:ietf:params:xml:ns:caldav"/><D:calendar-order xmlns:D="http://apple.com/ns/ical/"/>'
        '<B:calendar-timezone xmlns:B="urn:ietf:params:xml:ns:caldav"/><A:current-user-privilege-set/>'
        '<B:default-alarm-vevent-date xmlns:B="urn:ietf:params:xml:ns:caldav"/><A:displayname/>'
        '<C:getctag xmlns:C="http://calendarserver.org/ns/"/><A:owner/><C:pushkey xmlns:C="http://calendarserver.org/ns/"/>'
        '<A:quota-available-bytes/><A:quota-used-bytes/><D:refreshrate xmlns:D="http://apple.com/ns/ical/"/><A:resource-id/>'
        '<A:resourcetype/><B:schedule-calendar-transp xmlns:B="urn:ietf:params:xml:ns:caldav"/>'
        '<B:schedule-default-calendar-URL xmlns:B="urn:ietf:params:xml:ns:caldav"/><C:source xmlns:C="http://calendarserver.org/ns/"/>'
        '<B:supported-calendar-component-set xmlns:B="urn:ietf:params:xml:ns:caldav"/><A:supported-report-set/><A:sync-token/>'
        "</A:prop></A:propfind>"
    )
    listed = ask(lee, "PROPFIND", "/lee/", home, Depth="1", Prefer="return=minimal", Brief="t")
    assert listed.status == 207
    assert listed.prop(f"{D}sync-token", "/dav/lee/appointments/") is not None
    assert listed.prop(f"{D}resourcetype", "/dav/lee/inbox/") is not None
    order = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<A:propertyupdate xmlns:A="DAV:"><A:set><A:prop>'
        '<D:calendar-order xmlns:D="http://apple.com/ns/ical/">1</D:calendar-order></A:prop></A:set><A:set><A:prop>'
        '<D:calendar-color xmlns:D="http://apple.com/ns/ical/" symbolic-color="custom">#0E61B9FF</D:calendar-color>'
        "</A:prop></A:set></A:propertyupdate>"
    )
    for name in ("appointments", "hours", "leave", "waitlist", "personal"):
        assert set(ask(lee, "PROPPATCH", f"/lee/{name}/", order).statuses().values()) == {200}
    travel = calendar(
        "BEGIN:VEVENT",
        "CREATED:20261120T100000Z",
        "UID:6F1C0A5E-7A5D-4F1B-9D62-0C9C3B3D9C01",
        "DTEND;TZID=Europe/Vienna:20261124T150000",
        "TRANSP:OPAQUE",
        "X-APPLE-TRAVEL-ADVISORY-BEHAVIOR:AUTOMATIC",
        "SUMMARY:Fahrt",
        "DTSTART;TZID=Europe/Vienna:20261124T140000",
        "DTSTAMP:20261120T100000Z",
        'X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-ADDRESS="Ring 1, 1010 Wien";X-APPLE-RADIUS=70;X-TITLE=Ring:geo:48.2,16.3',
        "BEGIN:VALARM",
        "X-WR-ALARMUID:0C1F",
        "UID:0C1F",
        "TRIGGER:-PT15M",
        "ATTACH;VALUE=URI:Chord",
        "ACTION:AUDIO",
        "ACKNOWLEDGED:20261124T124500Z",
        "END:VALARM",
        "END:VEVENT",
    )
    made = lee.put("/lee/personal/6F1C0A5E.ics", travel, If_None_Match="*")
    assert made.status == 201 and made.headers["ETag"]
    assert lee.get("/lee/personal/6F1C0A5E.ics").text == travel


def test_davx5(lee: Dav) -> None:
    assert "calendar-access" in lee.request("OPTIONS", "/").headers["DAV"]
    collections = (
        '<propfind xmlns="DAV:"><prop><resourcetype/><displayname/><owner/><current-user-privilege-set/>'
        '<push-transports xmlns="https://bitfire.at/webdav-push"/><calendar-color xmlns="http://apple.com/ns/ical/"/>'
        '<calendar-description xmlns="urn:ietf:params:xml:ns:caldav"/><calendar-timezone xmlns="urn:ietf:params:xml:ns:caldav"/>'
        '<calendar-timezone-id xmlns="urn:ietf:params:xml:ns:caldav"/>'
        '<supported-calendar-component-set xmlns="urn:ietf:params:xml:ns:caldav"/><source xmlns="http://calendarserver.org/ns/"/>'
        "</prop></propfind>"
    )
    assert len(ask(lee, "PROPFIND", "/lee/", collections, Depth="1").hrefs) == 7
    capabilities = (
        '<propfind xmlns="DAV:"><prop><max-resource-size xmlns="urn:ietf:params:xml:ns:caldav"/><supported-report-set/>'
        '<getctag xmlns="http://calendarserver.org/ns/"/><sync-token/></prop></propfind>'
    )
    assert set(ask(lee, "PROPFIND", "/lee/personal/", capabilities, Depth="0").statuses().values()) == {200}
    assert lee.put("/lee/personal/d.ics", event("d@test"), If_None_Match="*").status == 201
    sync = (
        '<sync-collection xmlns="DAV:"><sync-token/><sync-level>1</sync-level><limit><nresults>5000</nresults></limit>'
        "<prop><getetag/></prop></sync-collection>"
    )
    assert ask(lee, "REPORT", "/lee/personal/", sync, Depth="0").members == {"d.ics"}
    past_limit = (
        '<CAL:calendar-query xmlns="DAV:" xmlns:CAL="urn:ietf:params:xml:ns:caldav"><prop><getetag/></prop><CAL:filter>'
        '<CAL:comp-filter name="VCALENDAR"><CAL:comp-filter name="VEVENT"><CAL:time-range start="20261101T000000Z"/>'
        "</CAL:comp-filter></CAL:comp-filter></CAL:filter></CAL:calendar-query>"
    )
    assert ask(lee, "REPORT", "/lee/personal/", past_limit, Depth="1").members == {"d.ics"}
    multiget = (
        '<CAL:calendar-multiget xmlns="DAV:" xmlns:CAL="urn:ietf:params:xml:ns:caldav"><prop><getcontenttype/><getetag/>'
        '<schedule-tag xmlns="urn:ietf:params:xml:ns:caldav"/>'
        '<CAL:calendar-data content-type="text/calendar" version="2.0"/></prop><href>/dav/lee/personal/d.ics</href>'
        "</CAL:calendar-multiget>"
    )
    assert ask(lee, "REPORT", "/lee/personal/", multiget).data == {"d.ics": event("d@test")}
    make = (
        '<mkcol xmlns="DAV:"><set><prop><resourcetype><collection/><CAL:calendar xmlns:CAL="urn:ietf:params:xml:ns:caldav"/>'
        "</resourcetype><displayname>Sport</displayname>"
        '<CAL:supported-calendar-component-set xmlns:CAL="urn:ietf:params:xml:ns:caldav"><CAL:comp name="VEVENT"/>'
        "</CAL:supported-calendar-component-set></prop></set></mkcol>"
    )
    assert ask(lee, "MKCOL", "/lee/3b3a1c52/", make).status == 201


def test_outlook_caldav_synchronizer(lee: Dav) -> None:
    lee.put("/lee/personal/o.ics", event("o@test"))
    proxies = (
        "<?xml version='1.0'?><D:propfind xmlns:D='DAV:' xmlns:C='urn:ietf:params:xml:ns:caldav' xmlns:CS='http://calendarserver.org/ns/'>"
        "<D:prop><C:calendar-home-set/><D:principal-URL/><CS:calendar-proxy-write-for/></D:prop></D:propfind>"
    )
    assert ask(lee, "PROPFIND", "/lee/", proxies, Depth="0").statuses()[f"{C}calendar-home-set"] == 200
    query = (
        '<?xml version="1.0"?><C:calendar-query xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop xmlns:D="DAV:"><D:getetag/></D:prop>'
        '<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:time-range start="20261101T000000Z" end="20270101T000000Z"/>'
        "</C:comp-filter></C:comp-filter></C:filter></C:calendar-query>"
    )
    assert ask(lee, "REPORT", "/lee/personal/", query, Depth="1").members == {"o.ics"}
    etag = "<D:propfind xmlns:D='DAV:'><D:prop><D:getetag/></D:prop></D:propfind>"
    assert ask(lee, "PROPFIND", "/lee/personal/o.ics", etag, Depth="0").prop(f"{D}getetag") is not None
