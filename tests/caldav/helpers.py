"""A practice with calendars, and a client that speaks to the CalDAV application without a socket."""

import base64
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree.ElementTree import Element

import defusedxml.ElementTree as SafeTree
from waitress import create_server, wasyncore
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from caldav_bridge.app import create_dav_app
from storage import accounts, credentials
from storage.db import Database
from storage.settings import Settings

D = "{DAV:}"
C = "{urn:ietf:params:xml:ns:caldav}"
CS = "{http://calendarserver.org/ns/}"
A = "{http://apple.com/ns/ical/}"
NAMESPACES = (
    'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" '
    'xmlns:CS="http://calendarserver.org/ns/" xmlns:A="http://apple.com/ns/ical/"'
)
MONDAY = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def xml(self) -> Element:
        root: Element = SafeTree.fromstring(self.body)
        return root

    @property
    def hrefs(self) -> list[str]:
        return [response.findtext(f"{D}href", "") for response in self.xml.findall(f"{D}response")]

    def response(self, href: str) -> Element:
        return next(r for r in self.xml.findall(f"{D}response") if r.findtext(f"{D}href") == href)

    def prop(self, name: str, href: str | None = None) -> Element | None:
        """The property with status 200; None when it is missing."""
        for response in self.xml.findall(f"{D}response"):
            if href is not None and response.findtext(f"{D}href") != href:
                continue
            for propstat in response.findall(f"{D}propstat"):
                if " 200 " in propstat.findtext(f"{D}status", ""):
                    return propstat.find(f"{D}prop/{name}")
        return None

    def statuses(self, href: str | None = None) -> dict[str, int]:
        """Property name → status."""
        found = {}
        for response in self.xml.findall(f"{D}response"):
            if href is None or response.findtext(f"{D}href") == href:
                for propstat in response.findall(f"{D}propstat"):
                    code = int(propstat.findtext(f"{D}status", "").split()[1])
                    found |= {inner.tag: code for inner in propstat.find(f"{D}prop") or []}
        return found

    @property
    def data(self) -> dict[str, str]:
        """Name of the member → its calendar data."""
        return {
            response.findtext(f"{D}href", "").rpartition("/")[2]: response.findtext(f".//{C}calendar-data", "")
            for response in self.xml.findall(f"{D}response")
        }

    @property
    def members(self) -> set[str]:
        return {href.rpartition("/")[2] for href in self.hrefs} - {""}

    @property
    def condition(self) -> str:
        """The precondition element of a refusal, without its namespace."""
        return self.xml[0].tag.partition("}")[2]


@dataclass
class Dav:
    """One client of the application, below /dav."""

    app: Any
    user: str = ""
    password: str = ""

    def request(
        self, method: str, path: str, body: bytes | str = b"", headers: dict[str, str] | None = None, **environ: Any
    ) -> Answer:
        data = body.encode() if isinstance(body, str) else body
        given: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "/dav",
            "PATH_INFO": path.encode().decode("latin-1"),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "test",
            "SERVER_PORT": "80",
            "HTTP_HOST": "test",
            "REMOTE_ADDR": "192.0.2.1",
            "CONTENT_LENGTH": str(len(data)),
            "wsgi.input": io.BytesIO(data),
            "wsgi.errors": io.StringIO(),
            "wsgi.url_scheme": "http",
        }
        if self.user:
            login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            given["HTTP_AUTHORIZATION"] = f"Basic {login}"
        for name, value in (headers or {}).items():
            key = name.upper().replace("-", "_")
            given[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        given |= environ
        told: dict[str, Any] = {}

        def start_response(status: str, answered: list[tuple[str, str]], *_: Any) -> None:
            told.update(status=int(status.split()[0]), headers=dict(answered))

        content = b"".join(self.app(given, start_response))
        return Answer(told["status"], told["headers"], content)

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=_headers(headers))

    def put(self, path: str, body: bytes | str, **headers: str) -> Answer:
        return self.request("PUT", path, body, {"Content-Type": "text/calendar; charset=utf-8", **_headers(headers)})

    def delete(self, path: str, **headers: str) -> Answer:
        return self.request("DELETE", path, headers=_headers(headers))

    def propfind(self, path: str, *props: str, depth: str = "0", **headers: str) -> Answer:
        body = f"<D:propfind {NAMESPACES}><D:prop>{''.join(f'<{p}/>' for p in props)}</D:prop></D:propfind>"
        return self.request("PROPFIND", path, body if props else "", {"Depth": depth, **_headers(headers)})

    def proppatch(self, path: str, inner: str) -> Answer:
        return self.request("PROPPATCH", path, f"<D:propertyupdate {NAMESPACES}>{inner}</D:propertyupdate>")

    def report(self, path: str, name: str, inner: str, depth: str = "1", **headers: str) -> Answer:
        body = f"<{name} {NAMESPACES}>{inner}</{name}>"
        return self.request("REPORT", path, body, {"Depth": depth, **_headers(headers)})

    def query(self, path: str, comp_filter: str, data: str = "<C:calendar-data/>", **headers: str) -> Answer:
        return self.report(
            path,
            "C:calendar-query",
            f"<D:prop><D:getetag/>{data}</D:prop>"
            f'<C:filter><C:comp-filter name="VCALENDAR">{comp_filter}</C:comp-filter></C:filter>',
            **headers,
        )

    def sync(self, path: str, token: str = "", limit: int | None = None) -> Answer:
        asked = "" if limit is None else f"<D:limit><D:nresults>{limit}</D:nresults></D:limit>"
        return self.report(
            path,
            "D:sync-collection",
            f"<D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level>{asked}<D:prop><D:getetag/></D:prop>",
            depth="0",
        )


def _headers(given: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in given.items()}


@dataclass
class Clock:
    now: datetime = MONDAY

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, **parts: float) -> None:
        self.now += timedelta(**parts)


@dataclass
class Clinic:
    """Doctors lee and smith, receptionist desk, admin chief; each with an app password."""

    db: Database
    settings: Settings
    clock: Clock
    app: Any
    passwords: dict[str, str] = field(default_factory=dict)

    def client(self, user: str) -> Dav:
        return Dav(self.app, user, self.passwords[user])

    def restart(self) -> None:
        """A new process: nothing is remembered but what the database holds."""
        self.app = create_dav_app(self.db, self.settings, self.clock)


def make_clinic(database: Database) -> Clinic:
    assert database.settings is not None
    clock = Clock()
    clinic = Clinic(database, database.settings, clock, create_dav_app(database, database.settings, clock))
    people = {"lee": "doctor", "smith": "doctor", "desk": "receptionist", "chief": "admin"}
    with database.transaction() as session:
        for username, role in people.items():
            account = accounts.create_account(
                session,
                role=role,
                username=username,
                name=username.title(),
                email=f"{username}@test.example",
                now=clock(),
            )
            clinic.passwords[username] = credentials.add_app_password(session, account, "test", "solo", clock())
    return clinic


@contextmanager
def served(clinic: Clinic) -> Iterator[str]:
    """The address of the clinic's calendars while a server has them."""
    channels: dict[int, Any] = {}
    mounted = DispatcherMiddleware(_nowhere, {"/dav": clinic.app})
    server = create_server(mounted, map=channels, host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}/dav/"
    finally:
        server.trigger.pull_trigger(lambda: wasyncore.close_all(channels))
        thread.join(timeout=10)
        server.task_dispatcher.shutdown()


def _nowhere(_environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
    start_response("404 Not Found", [("Content-Length", "0")])
    return []


def event(uid: str = "one@test", start: str = "20261124T090000", end: str = "20261124T093000", *more: str) -> str:
    """An event in Vienna's time, as a client would send it."""
    return calendar(
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20261120T080000Z",
        f"DTSTART;TZID=Europe/Vienna:{start}",
        f"DTEND;TZID=Europe/Vienna:{end}",
        *(more or ("SUMMARY:Lunch",)),
        "END:VEVENT",
    )


def calendar(*lines: str) -> str:
    vienna = (
        "BEGIN:VTIMEZONE",
        "TZID:Europe/Vienna",
        "BEGIN:STANDARD",
        "DTSTART:19701025T030000",
        "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
        "TZOFFSETFROM:+0200",
        "TZOFFSETTO:+0100",
        "TZNAME:CET",
        "END:STANDARD",
        "BEGIN:DAYLIGHT",
        "DTSTART:19700329T020000",
        "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
        "TZOFFSETFROM:+0100",
        "TZOFFSETTO:+0200",
        "TZNAME:CEST",
        "END:DAYLIGHT",
        "END:VTIMEZONE",
    )
    head = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Test//Test//EN")
    return "".join(f"{line}\r\n" for line in (*head, *vienna, *lines, "END:VCALENDAR"))
