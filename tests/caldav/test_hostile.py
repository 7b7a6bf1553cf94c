"""Hostile XML, HTTP and iCalendar: never a 5xx, soon answered, nothing stored."""

import time

import pytest

from tests.caldav.helpers import NAMESPACES, Clinic, Dav, calendar, event

DEEP = "<a>" * 20_000 + "</a>" * 20_000
XML = {
    "not xml": b"<D:propfind",
    "binary": bytes(range(256)),
    "entity": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e "x">]><D:propfind xmlns:D="DAV:"><D:prop>&e;</D:prop></D:propfind>',
    "billion laughs": b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><x>&c;</x>',
    "external": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><D:propfind xmlns:D="DAV:"><D:prop><D:displayname>&e;</D:displayname></D:prop></D:propfind>',
    "doctype": b'<!DOCTYPE propfind><D:propfind xmlns:D="DAV:"><D:allprop/></D:propfind>',
    "deep": DEEP.encode(),
    "wide": b"<a>" + b"<b/>" * 200_000 + b"</a>",
    "long name": b"<" + b"a" * 900_000 + b"/>",
    "long attribute": b'<a b="' + b"c" * 900_000 + b'"/>',
    "no namespace": b"<a:b/>",
    "unknown encoding": b'<?xml version="1.0" encoding="klingon"?><a/>',
    "utf-16 without end": b"\xff\xfe<\x00a\x00",
    "utf-7": b'<?xml version="1.0" encoding="utf-7"?>+ADw-a/+AD4-',
    "another root": b'<x xmlns="urn:x"/>',
    "text alone": b"hello",
    "NUL": b"\0" * 100,
    "processing": b'<?php echo 1; ?><D:propfind xmlns:D="DAV:"><D:prop/></D:propfind>',
    "nothing asked": b'<D:propfind xmlns:D="DAV:"/>',
    "many properties": f"<D:propfind {NAMESPACES}><D:prop>{''.join(f'<D:p{n}/>' for n in range(3000))}</D:prop></D:propfind>".encode(),
}


@pytest.mark.parametrize("name", XML)
@pytest.mark.parametrize("method", ["PROPFIND", "PROPPATCH", "REPORT", "MKCALENDAR", "MKCOL"])
def test_hostile_xml(lee: Dav, name: str, method: str) -> None:
    began = time.thread_time()
    path = "/lee/new/" if method.startswith("MK") else "/lee/personal/"
    answer = lee.request(method, path, XML[name], {"Depth": "1"})
    assert answer.status in (400, 403, 415, 207), answer.body[:200]
    assert time.thread_time() - began < 1
    assert b"root:" not in answer.body
    if name not in ("processing",):
        assert answer.status != 207
    assert lee.propfind("/lee/new/").status == 404


EVENTS = {
    "secondly": ["RRULE:FREQ=SECONDLY"],
    "by everything": ["RRULE:FREQ=YEARLY;BYHOUR=1,2,3;BYMINUTE=1,2,3;BYSECOND=1,2,3"],
    "february 30": ["RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"],
    "endless count": ["RRULE:FREQ=DAILY;COUNT=999999999"],
    "method": [],
    "control": ["SUMMARY:a\x01b"],
    "unknown zone": ["DTSTART;TZID=Mars/Olympus:20261124T090000"],
    "year 9999": ["DTSTART:99990101T000000Z"],
    "year 0": ["DTSTART:00000101T000000Z"],
    "backwards": ["DTSTART:20261124T090000Z", "DTEND:20261123T090000Z"],
    "procedure": ["BEGIN:VALARM", "ACTION:PROCEDURE", "TRIGGER:-PT5M", "ATTACH:file:///bin/sh", "END:VALARM"],
    "deep": [f"BEGIN:X-{n}" for n in range(50)] + [f"END:X-{n}" for n in reversed(range(50))],
    "long line": ["SUMMARY:" + "x" * 200_000],
    "many exdates": [
        "EXDATE:" + ",".join(f"2026{m:02d}{d:02d}T090000Z" for m in range(1, 13) for d in range(1, 29)) * 4
    ],
    "attendees": [f"ATTENDEE:mailto:{n}@test" for n in range(300)],
}


CONDITIONS = {
    "endless count": "max-instances",
    "method": "valid-calendar-object-resource",
    "year 9999": "max-date-time",
    "year 0": "min-date-time",
    "many exdates": "max-instances",
    "attendees": "max-attendees-per-instance",
}


@pytest.mark.parametrize("name", EVENTS)
def test_hostile_events(lee: Dav, name: str) -> None:
    lines = EVENTS[name]
    head = ["UID:evil@test", "DTSTAMP:20261120T080000Z"]
    if not any(line.startswith("DTSTART") for line in lines):
        head.append("DTSTART:20261124T090000Z")
    text = calendar("BEGIN:VEVENT", *head, *lines, "END:VEVENT")
    if name == "method":
        text = text.replace("VERSION:2.0", "VERSION:2.0\r\nMETHOD:REQUEST")
    began = time.thread_time()
    answer = lee.put("/lee/personal/evil.ics", text)
    assert (answer.status, answer.condition) == (403, CONDITIONS.get(name, "valid-calendar-data")), answer.body
    assert time.thread_time() - began < 1
    assert lee.get("/lee/personal/evil.ics").status == 404


def test_dangerous_text_is_stored_and_inert(lee: Dav) -> None:
    text = event("x@test", "20261124T090000", "20261124T093000", "SUMMARY:<script>alert(1)</script>]]>&amp;\u202e=1+1")
    assert lee.put("/lee/personal/a.ics", text).status == 201
    assert lee.get("/lee/personal/a.ics").text == text
    answer = lee.query("/lee/personal/", '<C:comp-filter name="VEVENT"/>')
    assert "<script>" not in answer.text
    assert "<script>alert(1)</script>]]>&amp;" in answer.data["a.ics"]


HEADERS = {
    "depth": {"Depth": "\x00"},
    "long depth": {"Depth": "1" * 100_000},
    "if-match": {"If-Match": '"' * 10_000},
    "destination": {"Destination": "http://" + "a" * 100_000},
    "destination escape": {"Destination": "/dav/lee/personal/%00%ff.ics"},
    "destination up": {"Destination": "/dav/lee/personal/../../../etc/passwd"},
    "overwrite": {"Destination": "/dav/lee/personal/x.ics", "Overwrite": "maybe"},
    "prefer": {"Prefer": "return=" + "x" * 50_000},
    "agent": {"User-Agent": "a\r\nb" * 1000},
    "encoding": {"Accept-Encoding": "gzip;q=0, identity;q=NaN, *"},
    "content type": {"Content-Type": "text/calendar; charset=" + "x" * 10_000},
}


@pytest.mark.parametrize("name", HEADERS)
def test_hostile_headers(lee: Dav, name: str) -> None:
    lee.put("/lee/personal/a.ics", event())
    for method in ("GET", "PUT", "PROPFIND", "REPORT", "MOVE", "COPY", "DELETE", "OPTIONS"):
        answer = lee.request(method, "/lee/personal/a.ics", headers=HEADERS[name])
        assert answer.status < 500 or answer.status == 502, (method, answer.status)


PATHS = (
    "//",
    "/../",
    "/lee/../smith/",
    "/lee/personal/../../smith/personal/a.ics",
    "/lee/personal/\x00",
    "/lee/personal/" + "a" * 5000,
    "/" + "a/" * 3000,
    "/lee/personal/\u202e.ics",
    "/.well-known/caldav",
    "/.token/x",
    "/lee/personal/%2e%2e",
    "/lee/personal/\ud83d",
    "/LEE/",
    "/lee/PERSONAL/",
)


@pytest.mark.parametrize("number", range(len(PATHS)))
def test_hostile_paths(lee: Dav, number: int) -> None:
    raw = PATHS[number].encode("utf-8", "surrogatepass").decode("latin-1")
    for method in ("GET", "PUT", "PROPFIND", "REPORT", "DELETE", "MKCALENDAR", "PROPPATCH"):
        body = event() if method == "PUT" else ""
        assert lee.request(method, "/", body, {"Depth": "0"}, PATH_INFO=raw).status < 500, method


def test_costly_questions_are_bounded(lite: Clinic) -> None:
    lee = lite.client("lee")
    daily = event("d@test", "20260101T090000", "20260101T093000", "RRULE:FREQ=DAILY", "SUMMARY:x")
    for number in range(40):
        assert lee.put(f"/lee/personal/{number}.ics", daily.replace("d@test", f"{number}@test")).status == 201
    wide = '<C:time-range start="19700101T000000Z" end="22000101T000000Z"/>'
    began = time.thread_time()
    judged = lee.query(
        "/lee/personal/", f'<C:comp-filter name="VEVENT">{wide}<C:prop-filter name="SUMMARY"/></C:comp-filter>'
    )
    assert judged.status == 207 and len(judged.members) == 40
    assert lee.query("/lee/personal/", f'<C:comp-filter name="VEVENT">{wide}</C:comp-filter>').status == 207
    data = '<C:calendar-data><C:expand start="20260101T000000Z" end="20270101T000000Z"/></C:calendar-data>'
    assert (
        lee.query("/lee/personal/", '<C:comp-filter name="VEVENT"/>', data).condition
        == "number-of-matches-within-limits"
    )
    assert lee.report("/lee/personal/", "C:free-busy-query", wide).status in (200, 403)
    assert time.thread_time() - began < 4
