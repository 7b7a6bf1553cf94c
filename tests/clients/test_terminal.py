"""Apps for terminals: vdirsyncer both ways with a thousand events, khal, calcurse-caldav, cadaver."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from tests.caldav.test_clients import KHAL, VDIRSYNCER
from tests.caldav.test_clients import event as plain_event
from tests.clients.conftest import need
from tests.clients.practice import VIENNA, Practice, wait_until

EVENTS = 1_000
CALCURSE = """\
[General]
Binary = calcurse
Hostname = 127.0.0.1:{port}
Path = /dav/lee/personal/
HTTPS = No
AuthMethod = basic
DryRun = No
Verbose = Yes

[Auth]
Username = lee
"""


@dataclass
class Laptop:
    """A home folder that vdirsyncer keeps equal to the server."""

    home: Path
    practice: Practice

    @property
    def personal(self) -> Path:
        return self.home / "calendars" / "personal"

    def run(self, *command: str, stdin: str = "", **environ: str) -> str:
        """What it says. Programs of the virtual environment come first."""
        paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        folders = {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home), "XDG_DATA_HOME": str(self.home)}
        done = subprocess.run(
            command, env={**os.environ, "PATH": paths, "LC_ALL": "C.UTF-8", "TZ": "Europe/Vienna", **folders, **environ},
            cwd=self.home, capture_output=True, text=True, timeout=600, input=stdin,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def sync(self) -> float:
        begin = time.monotonic()
        self.run("vdirsyncer", "-c", "vdirsyncer.conf", "sync")
        return time.monotonic() - begin

    def khal(self, *command: str) -> str:
        return self.run("khal", "-c", "khal.conf", *command)


@pytest.fixture
def laptop(practice: Practice, tmp_path: Path) -> Iterator[Laptop]:
    told = {"folder": tmp_path, "url": f"{practice.url}/dav/", "password": practice.password}
    for name, text in (("vdirsyncer.conf", VDIRSYNCER), ("khal.conf", KHAL)):
        (tmp_path / name).write_text(text.format(**told))
    made = Laptop(tmp_path, practice)
    made.run("vdirsyncer", "-c", "vdirsyncer.conf", "discover", stdin="y\n" * 20)
    yield made
    practice.empty("personal")


def uids(text: str) -> set[str]:
    return {line[4:] for line in text.splitlines() if line.startswith("UID:")}


def test_vdirsyncer_both_ways_with_a_thousand_events(practice: Practice, laptop: Laptop) -> None:
    for number in range(EVENTS):
        (laptop.personal / f"up{number}.ics").write_bytes(plain_event(f"up{number}").encode())
    up = laptop.sync()
    assert uids(practice.exported("personal")) == {f"up{number}" for number in range(EVENTS)}
    for file in laptop.personal.glob("*.ics"):
        file.unlink()
    # A new laptop: the whole calendar comes down.
    for file in sorted((laptop.home / "status").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    laptop.run("vdirsyncer", "-c", "vdirsyncer.conf", "discover", stdin="y\n" * 20)
    down = laptop.sync()
    assert len(list(laptop.personal.glob("*.ics"))) == EVENTS
    # A tenth changed here, another there; a tenth deleted here, another there.
    files = {next(iter(uids(file.read_text()))): file for file in laptop.personal.glob("*.ics")}
    for number in range(0, EVENTS, 10):
        files[f"up{number}"].write_bytes(plain_event(f"up{number}", "20261125T090000", "20261125T100000").encode())
        files[f"up{number + 1}"].unlink()
        practice.put(
            f"personal/up{number + 2}.ics", plain_event(f"up{number + 2}", "20261126T090000", "20261126T100000")
        )
        practice.dav("DELETE", f"personal/up{number + 3}.ics")
    both = laptop.sync()
    held = practice.exported("personal")
    assert len(uids(held)) == len(list(laptop.personal.glob("*.ics"))) == EVENTS * 8 // 10
    local = "".join(file.read_text() for file in laptop.personal.glob("*.ics"))
    for start in ("20261125T090000", "20261126T090000"):
        assert held.count(f"DTSTART;TZID=Europe/Vienna:{start}") == local.count(f"Vienna:{start}") == EVENTS // 10
    begin = len(practice.recorder.exchanges)
    nothing = laptop.sync()
    assert {each.method for each in practice.recorder.exchanges[begin:]} <= {"PROPFIND", "REPORT", "OPTIONS"}
    print(f"vdirsyncer, {EVENTS} events: up {up:.0f} s, down {down:.0f} s, {EVENTS * 4 // 10} changes {both:.0f} s, "
          f"nothing to do {nothing:.1f} s")  # fmt: skip


def test_khal_adds_changes_and_deletes(practice: Practice, laptop: Laptop) -> None:
    # vdirsyncer asks before it empties a calendar.
    practice.put("personal/lunch.ics", plain_event("lunch"))
    laptop.khal("new", "-a", "personal", "2026-11-25", "10:00", "11:00", "Tennis")
    laptop.sync()
    assert "SUMMARY:Tennis" in practice.exported("personal")
    assert "10:00-11:00 Tennis" in laptop.khal("list", "2026-11-25", "1d")
    [file] = [each for each in laptop.personal.glob("*.ics") if "Tennis" in each.read_text()]
    file.write_text(file.read_text().replace("SUMMARY:Tennis", "SUMMARY:Golf"))
    laptop.sync()
    assert "SUMMARY:Golf" in practice.exported("personal")
    file.unlink()
    laptop.sync()
    assert uids(practice.exported("personal")) == {"lunch"}


def test_an_appointment_moved_in_a_file_comes_back_corrected(practice: Practice, laptop: Laptop) -> None:
    config = laptop.home / "vdirsyncer.conf"
    config.write_text(config.read_text().replace('["personal", "hours"]', '["personal", "appointments"]'))
    laptop.run("vdirsyncer", "-c", "vdirsyncer.conf", "discover", stdin="y\n" * 20)
    booked = practice.book()
    laptop.sync()
    files = (laptop.home / "calendars" / "appointments").glob("*.ics")
    [file] = [each for each in files if booked.uid in each.read_text()]
    text = file.read_text()
    for moment in (booked.start, booked.end):
        later = moment + timedelta(minutes=40)
        text = text.replace(f"{moment.astimezone(VIENNA):%Y%m%dT%H%M%S}", f"{later.astimezone(VIENNA):%Y%m%dT%H%M%S}")
    file.write_text(text)
    laptop.sync()
    assert practice.status(booked) == "rescheduled"

    def corrected() -> bool:
        laptop.sync()
        return "Rescheduled" in file.read_text()

    wait_until(corrected, "the corrected text comes back", 60)
    before = file.read_text()
    laptop.sync()
    assert file.read_text() == before


def test_calcurse_both_ways(practice: Practice, laptop: Laptop) -> None:
    need("calcurse", "calcurse-caldav")
    folder = laptop.home / "calcurse" / "caldav"
    folder.mkdir(parents=True)
    (folder / "config").write_text(CALCURSE.format(port=practice.recorder.port))
    # Debian's own Python, for which it is packaged
    sync = ["/usr/bin/python3", "/usr/bin/calcurse-caldav"]
    secret = {"CALCURSE_CALDAV_PASSWORD": practice.password}
    practice.put("personal/lunch.ics", plain_event("lunch"))
    laptop.run(*sync, "--init", "keep-remote", **secret)
    assert "Lunch" in laptop.run("calcurse", "-d", "11/24/2026")
    (laptop.home / "new.ical").write_text(plain_event("tennis", "20261125T100000", "20261125T110000", "SUMMARY:Tennis"))
    laptop.run("calcurse", "-i", "new.ical")
    laptop.run(*sync, **secret)
    assert "SUMMARY:Tennis" in practice.exported("personal")
    practice.dav("DELETE", "personal/lunch.ics")
    laptop.run(*sync, **secret)
    assert "Lunch" not in laptop.run("calcurse", "-d", "11/24/2026")


def test_cadaver_lists_gets_puts_and_deletes(practice: Practice, laptop: Laptop) -> None:
    need("cadaver")
    (laptop.home / ".netrc").write_text(f"machine 127.0.0.1 login lee password {practice.password}\n")
    (laptop.home / ".netrc").chmod(0o600)
    (laptop.home / "lunch.ics").write_text(plain_event("lunch"))
    commands = "ls\ncd personal\nput lunch.ics\nls\nget lunch.ics back.ics\ndelete lunch.ics\nls\nquit\n"
    said = laptop.run("cadaver", f"{practice.url}/dav/lee/", stdin=commands)
    for calendar in ("appointments", "hours", "leave", "waitlist", "personal"):
        assert calendar in said
    assert said.count("succeeded") == 5 and "failed" not in said
    assert (laptop.home / "back.ics").read_text() == plain_event("lunch").replace("\r\n", "\n")
    assert uids(practice.exported("personal")) == set()
