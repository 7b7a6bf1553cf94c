"""A demo clinic of its own, served by `clinicdav serve`; what is asked of it besides goes through its API."""

import html
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx

from tests.clients.recorder import HOST, Recorder
from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
VIENNA = ZoneInfo("Europe/Vienna")
QUIET_SECONDS = 3
# The worker wakes every few seconds, and a busy machine has other things to do.
SETTLED_SECONDS = QUIET_SECONDS + 30
_START_SECONDS = 60
Found = TypeVar("Found")


def wait_until(found: Callable[[], Found], what: str, seconds: float = 20) -> Found:
    """The first value that is true."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
    return value


def moment(text: str) -> datetime:
    """Wall time, so that a week later is the same time of day."""
    return datetime.fromisoformat(text).astimezone(VIENNA)


def last_lines(log: Path, count: int) -> str:
    """Nothing when the log has been removed already."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:]) if log.exists() else ""


@dataclass(frozen=True)
class Booked:
    id: str
    start: datetime
    end: datetime
    email: str
    # As the calendar shows it
    title: str

    @property
    def uid(self) -> str:
        return f"appt-{self.id}@"


class Practice:
    """Doctors lee and smith with two weeks of appointments. `url` leads through the recorder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._log = home.with_name("server.log")
        port = free_port()
        self.recorder = Recorder(port)
        self.url = f"http://{HOST}:{self.recorder.port}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CLINICDAV_")},
            "CLINICDAV_HOME": str(home),
            "CLINICDAV_PUBLIC_URL": self.url,
            "CLINICDAV_QUIET_SECONDS": str(QUIET_SECONDS),
            "PYTHONPATH": str(ROOT),
        }
        self.run("demo", "--no-serve")
        self.password = self.run("app-password", "add", "lee", "--label", "client under test")
        token = self.run("token", "add", "desk", "--label", "test")
        self._api = httpx.Client(
            base_url=f"http://{HOST}:{port}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        self._dav = httpx.Client(base_url=f"http://{HOST}:{port}", auth=("lee", self.password), timeout=30)
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "web.cli", "serve", "--port", str(port)],
                env=self._environment,
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: self._ready(port), "the server answers", _START_SECONDS)

    def _ready(self, port: int) -> bool:
        assert self._server.poll() is None, self.log()
        try:
            return httpx.get(f"http://{HOST}:{port}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "web.cli", *arguments],
            env=self._environment, cwd=ROOT, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def log(self, lines: int = 40) -> str:
        return last_lines(self._log, lines)

    def stop(self) -> None:
        self._api.close()
        self._dav.close()
        self._server.terminate()
        self._server.wait(timeout=60)
        self.recorder.stop()

    # What the desk does

    def ask(self, method: str, path: str, **more: Any) -> Any:
        answer = self._api.request(method, path, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def slots(self, day: date, days: int = 1, doctor: str = "lee", kind: str = "consultation") -> list[datetime]:
        asked = {"doctor": doctor, "from": f"{day}", "to": f"{day + timedelta(days=days - 1)}", "type": kind}
        return [moment(slot["start"]) for slot in self.ask("GET", "/slots", params=asked)["slots"]]

    def free_time(self) -> datetime:
        """A time of lee's that is free, and whose next slot is free, beyond what the demo has booked."""
        first = datetime.now(VIENNA).date() + timedelta(days=16)
        free = self.slots(first, 21)
        return next(start for start in free if start + timedelta(minutes=20) in free)

    def free_weeks(self, count: int) -> datetime:
        """A time of lee's that is free in `count` weeks that follow each other, and so is the next hour."""
        first = datetime.now(VIENNA).date() + timedelta(days=16)
        free = set(self.slots(first, 7 * (count + 2)))
        hour = timedelta(hours=1)
        weeks = [timedelta(days=7 * week) for week in range(count)]
        return min(start for start in free if all({start + week, start + week + hour} <= free for week in weeks))

    def book(self, start: datetime | None = None, **more: Any) -> Booked:
        """An appointment of a patient who has no other."""
        name = f"P{uuid4().hex[:8]}"
        patient = {"name": f"{name} Muster", "email": f"{name.lower()}@mail.example"}
        at = start or self.free_time()
        asked = {"doctor": "lee", "start": at.isoformat(), "type": "consultation", "patient": patient, **more}
        made = self.ask("POST", "/appointments", json=asked)
        start, end = moment(made["start"]), moment(made["end"])
        return Booked(made["id"], start, end, patient["email"], f"{name} M. · Consultation")

    def appointment(self, booked: Booked) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/appointments/{booked.id}")
        return found

    def status(self, booked: Booked) -> str:
        return str(self.appointment(booked)["status"])

    def statuses(self, booked: Booked) -> list[str]:
        """Of the occurrences of a series"""
        return [str(each["status"]) for each in self.appointment(booked)["occurrences"]]

    def start(self, booked: Booked) -> datetime:
        return moment(self.appointment(booked)["start"])

    # What the patient got

    def mails(self, booked: Booked) -> list[EmailMessage]:
        files = sorted((self.home / "outbox").glob("*.eml"), key=lambda file: file.stat().st_mtime_ns)
        read = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
        return [mail for mail in read if booked.email in mail["To"]]

    def told(self, booked: Booked, count: int) -> list[str]:
        """The subjects of the patient's mails, once there are `count`."""
        wait_until(lambda: len(self.mails(booked)) >= count, f"{count} mails to {booked.email}", SETTLED_SECONDS)
        return [re.sub(r"\s+", " ", str(mail["Subject"])) for mail in self.mails(booked)]

    # What the calendar holds

    def dav(self, method: str, path: str) -> httpx.Response:
        return self._dav.request(method, f"/dav/lee/{path}")

    def put(self, path: str, text: str) -> None:
        answer = self._dav.put(f"/dav/lee/{path}", content=text, headers={"Content-Type": "text/calendar"})
        assert answer.is_success, answer.text

    def empty(self, collection: str) -> None:
        listed = self._dav.request("PROPFIND", f"/dav/lee/{collection}/", headers={"Depth": "1"})
        for href in re.findall(r"<D:href>([^<]+\.ics)</D:href>", listed.text):
            self._dav.delete(href)

    def exported(self, collection: str) -> str:
        """The calendar's text, unfolded."""
        query = (
            '<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><C:calendar-data/></D:prop>'
            '<C:filter><C:comp-filter name="VCALENDAR"/></C:filter></C:calendar-query>'
        )
        answer = self._dav.request("REPORT", f"/dav/lee/{collection}/", content=query, headers={"Depth": "1"})
        assert answer.status_code == 207, answer.text
        return re.sub(r"\r?\n ", "", html.unescape(answer.text).replace("\r", ""))
