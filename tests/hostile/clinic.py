"""A practice with bookings, and what is done in it with one spoilt calendar, XML body or request."""

import base64
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from structlog.testing import capture_logs

from ical.errors import Refusal
from storage import accounts, collections, credentials, feeds, transfer
from storage.db import Database
from storage.models import CalendarObject
from storage.policy import SYSTEM
from tasks.runner import JOBS, run_once
from tests.caldav.helpers import NAMESPACES
from tests.hostile.bodies import spoilt_xml
from tests.hostile.calendars import seeds, spoilt_calendar
from tests.hostile.requests import spoilt_request
from tests.hostile.values import random_of
from tests.web.conftest import Clock, book, fill

# (method, path, body, headers) → (status, body)
Send = Callable[[str, str, bytes, dict[str, str]], tuple[int, bytes]]

_RANGE = '<C:time-range start="20261101T000000Z" end="20261201T000000Z"/>'
_FILTER = f'<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">{_RANGE}</C:comp-filter></C:comp-filter></C:filter>'
_EXPAND = '<C:calendar-data><C:expand start="20261101T000000Z" end="20261201T000000Z"/></C:calendar-data>'
_QUESTIONS = (
    f"<C:calendar-query {NAMESPACES}><D:prop><D:getetag/><C:calendar-data/></D:prop>{_FILTER}</C:calendar-query>",
    f"<C:calendar-query {NAMESPACES}><D:prop>{_EXPAND}</D:prop>{_FILTER}</C:calendar-query>",
    f"<C:free-busy-query {NAMESPACES}>{_RANGE}</C:free-busy-query>",
    f"<C:calendar-multiget {NAMESPACES}><D:prop><C:calendar-data/></D:prop><D:href>HREF</D:href></C:calendar-multiget>",
)
_FREE_BUSY = (
    b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nMETHOD:REQUEST\r\nBEGIN:VFREEBUSY\r\nUID:f\r\n"
    b"DTSTAMP:20261120T080000Z\r\nDTSTART:20261123T000000Z\r\nDTEND:20261130T000000Z\r\n"
    b"ORGANIZER:mailto:lee@practice.example\r\nATTENDEE:mailto:smith@practice.example\r\n"
    b"END:VFREEBUSY\r\nEND:VCALENDAR\r\n"
)
# No fault of ours: a coding or a version that is not known (RFC 9112 §2.3, §6.1), another server's path (RFC 4918
# §9.8.5), a full home.
_MEANT = (501, 502, 505, 507)


_ASKED = ("/lee/personal/", "/lee/appointments/", "/lee/outbox/", "/lee/inbox/", "/lee/", "/")


@dataclass
class Hostile:
    """The practice under attack, the login for it, and what came of it so far."""

    db: Database
    send: Send
    logins: list[str]
    feed: str
    booked: list[str]
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    # Which of the logins asks: that of an app which is shown people, or of one which is not.
    turn: int = 0

    @property
    def login(self) -> str:
        return self.logins[self.turn % len(self.logins)]

    def dav(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        given = {"Authorization": self.login, "Content-Type": "text/calendar; charset=utf-8", "Depth": "1"}
        return self.send(method, f"/dav{path}", body, given | headers)


def make_hostile(db: Database, send: Send, now: datetime, bookings: int) -> Hostile:
    fill(db)
    clock = Clock(now)
    booked = [book(db, clock, f"Patient {number}", days=1 + number // 30 * 7) for number in range(bookings)]
    with db.transaction() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        passwords = [
            credentials.add_app_password(session, lee, "phone", profile, now) for profile in credentials.PROFILES
        ]
        feed = feeds.add_feed(session, lee, "initials", "Phone", now)
        names = [session.get_one(CalendarObject, one.appointment.object_id).href for one in booked]
    logins = ["Basic " + base64.b64encode(f"lee:{password}".encode()).decode() for password in passwords]
    return Hostile(db, send, logins, feed, names)


def spoil_a_calendar(hostile: Hostile, seed: int, number: int) -> None:
    hostile.turn, chance = number, random_of(seed, number)
    folder, href, good = _good(hostile, chance, number)
    take_through(hostile, folder, href, spoilt_calendar(chance, good), number)
    if number % 5 == 0:
        hostile.turn = credentials.PROFILES.index("full")
        status, _ = hostile.dav("POST", "/lee/outbox/", spoilt_calendar(chance, _FREE_BUSY))
        hostile.outcomes[f"POST {status}"] += 1


def take_through(hostile: Hostile, folder: str, href: str, body: bytes, number: int = 0) -> None:
    """Put a calendar where it belongs, ask everybody who reads calendars, import it, take it away again."""
    path = f"/lee/{folder}/{href}"
    status, _ = hostile.dav("PUT", path, body)
    hostile.outcomes[f"PUT {status}"] += 1
    for question in _QUESTIONS:
        hostile.dav("REPORT", f"/lee/{folder}/", question.replace("HREF", f"/dav{path}").encode())
    if status < 300:
        hostile.dav("GET", path)
        _look_at_pages(hostile, number)
    hostile.outcomes[f"import {import_(hostile.db, body)}"] += 1
    if href == "m.ics":
        hostile.dav("DELETE", path)


def spoil_xml(hostile: Hostile, seed: int, number: int) -> None:
    hostile.turn, chance = number, random_of(seed, number)
    method, body = spoilt_xml(chance)
    path = "/lee/new/" if method.startswith("MK") else chance.choice(_ASKED)
    status, _ = hostile.dav(method, path, body, **{"Content-Type": "application/xml", "Depth": chance.choice("01")})
    hostile.outcomes[f"{method} {status}"] += 1
    if method.startswith("MK") and status < 300:
        hostile.dav("DELETE", path)


def spoil_a_request(hostile: Hostile, port: int, seed: int, number: int) -> bytes:
    """The bytes of the answer to a request that no HTTP library would send."""
    hostile.turn = number
    request = spoilt_request(random_of(seed, number), hostile.login)
    answer = exchange(port, request)
    while answer.startswith(b"HTTP/1.1 100"):
        answer = answer.partition(b"\r\n\r\n")[2]
    status = answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/") else "none"
    hostile.outcomes[f"raw {status}"] += 1
    assert not status.startswith("5") or int(status) in _MEANT, (status, request[:2000])
    return answer


def exchange(port: int, request: bytes) -> bytes:
    """Send, and read until the server has said all. One that waits for more is told that nothing comes."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        try:
            connection.sendall(request)
            connection.settimeout(0.1)
            answer = _received(connection)
            if not answer:
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(5)
                answer = _received(connection)
        except OSError:
            # Refused before it had read everything.
            pass
    return answer


def _received(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while part := connection.recv(65_536):
            answer += part
            if b"\r\n\r\n" in answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"):
                break
    except TimeoutError:
        pass
    return answer


def import_(db: Database, body: bytes) -> str:
    """As `clinicdav import` does, which may take a second more for each MiB; nothing of it stays."""
    began = time.thread_time()
    with db.reading() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        try:
            read = transfer.read_file(body, lee)
        except Refusal:
            return "refused"
    with db.transaction() as session:
        target = collections.find(session, "lee", "personal")
        assert target is not None
        now = datetime.fromisoformat("2026-11-23T08:00:00+00:00")
        for each in read.objects[:20]:
            transfer.import_object(session, target, each, actor=SYSTEM, now=now)
        session.rollback()
    assert time.thread_time() - began <= 1 + len(body) / 2**20, body[:4000]
    return "read"


def work_off(hostile: Hostile, now: datetime) -> list[str]:
    """What the worker makes of all that by `now`, when every quiet period is over; its complaints."""
    settings = hostile.db.settings
    assert settings is not None
    with capture_logs() as said:
        for name in JOBS:
            run_once(name, hostile.db, settings, lambda: now)
    return [str(line) for line in said if line["log_level"] in ("error", "critical")]


def checked(send: Send, measure: Callable[[], float], hostile: Callable[[], Hostile]) -> Send:
    """`send` with the promise looked at: no 5xx, and at most a second of work."""

    def sent(method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        began = measure()
        status, content = send(method, path, body, headers)
        spent = measure() - began
        assert status < 500 or status in _MEANT, (status, method, path, body[:4000])
        assert spent <= 1, (spent, method, path, body[:4000])
        if spent > hostile().slowest[0]:
            hostile().slowest = (spent, f"{method} {path}")
        return status, content

    return sent


def _good(hostile: Hostile, chance: random.Random, number: int) -> tuple[str, str, bytes]:
    """Folder, name and text of a good object: now and then an appointment as the server gives it out."""
    if hostile.booked and number % 3 == 0:
        href = hostile.booked[number // 3 % len(hostile.booked)]
        status, text = hostile.dav("GET", f"/lee/appointments/{href}")
        if status == 200:
            return "appointments", href, text
    folder, text = chance.choice(seeds())
    return folder, "m.ics", text


def _look_at_pages(hostile: Hostile, number: int) -> None:
    view = ("day", "week")[number % 2]
    hostile.send("GET", f"/appointments/doctor/appointments/?view={view}&date=2026-11-24", b"", {})
    hostile.send("GET", "/appointments/available-slots/?doctor=lee&date=2026-11-24", b"", {})
    if number % 20 == 0:
        hostile.send("GET", f"/feeds/{hostile.feed}.ics", b"", {})
