"""What is answered the short way means what it means the whole way: through Radicale, and from the tables."""

import base64
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import defusedxml.ElementTree as SafeTree
import pytest
from radicale.app import Application

from bench import corpus
from caldav_bridge import render
from caldav_bridge.app import DavApp
from ical.times import utc_text
from tests.caldav.helpers import NAMESPACES, Answer, Clinic, Dav, event

GETETAG = f"<D:propfind {NAMESPACES}><D:prop><D:getetag/><D:getlastmodified/><D:nothing/></D:prop></D:propfind>"
SYNC = (
    f"<D:sync-collection {NAMESPACES}><D:sync-token/><D:sync-level>1</D:sync-level>"
    "<D:prop><D:getetag/></D:prop></D:sync-collection>"
)
QUERY = (
    f"<C:calendar-query {NAMESPACES}><D:prop><D:getetag/><C:calendar-data/></D:prop>"
    '<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">'
    '<C:time-range start="20261101T000000Z"/></C:comp-filter></C:comp-filter></C:filter></C:calendar-query>'
)
FREE_BUSY = (
    f'<C:free-busy-query {NAMESPACES}><C:time-range start="20261101T000000Z" end="20261201T000000Z"/>'
    "</C:free-busy-query>"
)


def requests(client: Dav) -> Iterator[Answer]:
    """What apps ask, and what nobody should."""
    for depth in ("0", "1", "infinity"):
        for path in ("/", "/lee/", "/lee", "/lee/personal/", "/lee/inbox/", "/smith/", "/lee/nothing/", "/nobody/"):
            yield client.request("PROPFIND", path, GETETAG, {"Depth": depth})
    for path in ("//lee//personal//", "/lee/./personal/../personal/a.ics", "/lee/personal/a\x01.ics", "/a/b/c/d/e"):
        yield client.request("PROPFIND", path, GETETAG)
    for path in ("/lee/personal/", "/smith/personal/", "/lee/personal/a.ics"):
        for body in (SYNC, QUERY, FREE_BUSY, "<broken", ""):
            yield client.request("REPORT", path, body, {"Depth": "1"})
    yield client.request("REPORT", "/lee/personal/", QUERY, {"Depth": "1", "Accept-Encoding": "br, gzip"})
    etag = client.get("/lee/personal/a.ics").headers.get("ETag", '""')
    for method in ("GET", "HEAD"):
        for headers in ({}, {"If-None-Match": etag}, {"If-Match": '"other"'}):
            yield client.request(method, "/lee/personal/a.ics", headers=headers)
    yield client.get("/lee/personal/nothing.ics")
    yield client.get("/.well-known/caldav")
    yield client.request("GET", "/lee/personal/a.ics", QUERY_STRING="view=freebusy")
    yield client.put("/lee/personal/a.ics", event("a@test"), If_Match='"other"')
    yield client.put("/lee/personal/b.ics", "BEGIN:VCALENDAR")
    yield client.delete("/lee/personal/nothing.ics")
    yield client.proppatch("/lee/personal/", "<D:set><D:prop><D:getetag>x</D:getetag></D:prop></D:set>")
    for destination in ("/dav/smith/personal/a.ics", "/dav/lee/nothing/a.ics", ""):
        yield client.request("MOVE", "/lee/personal/a.ics", headers={"Destination": destination})
    for method in ("OPTIONS", "LOCK", "POST", "MKCALENDAR"):
        yield client.request(method, "/lee/personal/")


def meaning(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    headers = dict(answer.headers)
    if headers.get("Content-Encoding") != "gzip":
        return answer.status, headers, answer.body
    headers.pop("Content-Length")
    return answer.status, headers, gzip.decompress(answer.body)


def clients(clinic: Clinic) -> Iterator[Dav]:
    password = clinic.passwords["lee"]
    for name in ("lee", "LEE", "lee@test.example", "lee@test@example", "@lee", "le\u0001e", "smith"):
        yield Dav(clinic.app, name, password)
    yield Dav(clinic.app, "lee", "wrong")
    yield Dav(clinic.app)
    yield clinic.client("desk")


def test_short_way_means_what_the_whole_way_means(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    lee = clinic.client("lee")
    lee.put("/lee/personal/a.ics", event("a@test"))
    lee.put("/lee/personal/ü b.ics", event("b@test", "20261125T090000", "20261125T100000", "SUMMARY:a < b & c"))
    short = [list(map(meaning, requests(client))) for client in clients(clinic)]
    monkeypatch.setattr(DavApp, "_handle_request", Application._handle_request)
    for client, answers in zip(clients(clinic), short, strict=True):
        for answer, expected in zip(answers, map(meaning, requests(client)), strict=True):
            assert answer == expected


def test_short_way_is_taken_after_a_plain_login_alone(lite: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def whole(_self: DavApp, environ: dict[str, str]) -> tuple[str, list[tuple[str, str]], list[bytes]]:
        taken.append(environ["REQUEST_METHOD"])
        return "200 OK", [], []

    monkeypatch.setattr(Application, "_handle_request", whole)
    lite.client("lee").propfind("/lee/", "D:displayname")
    assert taken == []
    Dav(lite.app, "lee", "wrong").propfind("/lee/", "D:displayname")
    lite.client("lee").request("OPTIONS", "/lee/")
    scheme = {"Authorization": "basic " + base64.b64encode(f"lee:{lite.passwords['lee']}".encode()).decode()}
    Dav(lite.app).request("GET", "/lee/", headers=scheme)
    assert taken == ["PROPFIND", "OPTIONS", "GET"]


def test_table_of_occurrences_answers_what_the_texts_say(clinic: Clinic) -> None:
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    lee = clinic.client("lee")
    events = corpus.events(600, monday, seed=7)
    made = [one for one in events if one.weekly] + events[20:40]
    for one in made:
        assert lee.put(f"/lee/personal/{one.href}", one.text()).status == 201
    for weeks in (-60, -40, -3, 0, 5, 40, 90, 120, 200):
        first = monday + timedelta(weeks=weeks)
        for last in (first + timedelta(days=7), first + timedelta(days=100)):
            span = f'<C:time-range start="{utc_text(first)}" end="{utc_text(last)}"/>'
            from_tables = lee.query("/lee/personal/", f'<C:comp-filter name="VEVENT">{span}</C:comp-filter>').data
            from_texts = lee.query(
                "/lee/personal/", f'<C:comp-filter name="VEVENT">{span}<C:prop-filter name="UID"/></C:comp-filter>'
            ).data
            expected = {one.href for one in made if one.instances(first, last)}
            assert from_tables == from_texts
            assert set(from_tables) == expected


def test_characters_that_xml_cannot_hold_are_replaced() -> None:
    def read(text: str) -> str | None:
        return SafeTree.fromstring(render.document("{DAV:}a", render.escape(text))).text

    held = "a\tb\nc <&> ü 한국어 \ud7ff\ue000\ufffd\U0001f600"
    assert read(held) == held
    for code in (0, 1, 8, 11, 12, 14, 31, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF):
        assert read(f"ü{chr(code)}한") == "ü\ufffd한", code
    assert read("a\r\nb") == "a\r\nb"
