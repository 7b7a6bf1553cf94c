"""The command line, as a person or a script calls it: in an empty home, one line when something is wrong."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from icalendar import Calendar

from storage.settings import load_settings
from web.cli import TASKS, main

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "web.cli"]
EVENT = """BEGIN:VEVENT
UID:{uid}
DTSTAMP:20261101T000000Z
DTSTART;TZID=Europe/Vienna:20261201T100000
DTEND;TZID=Europe/Vienna:20261201T110000
SUMMARY:{summary}
{more}END:VEVENT
"""
ZONE = """BEGIN:VTIMEZONE
TZID:Europe/Vienna
BEGIN:STANDARD
DTSTART:19701025T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19700329T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
END:DAYLIGHT
END:VTIMEZONE
"""


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLINICDAV_")}
    return kept | {"CLINICDAV_HOME": str(home), "PYTHONPATH": str(ROOT)} | more


class Home:
    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *arguments: str, stdin: str = "", **more: str) -> Result:
        """What a command does, in this process: to start one takes a second or two."""
        unset = {name: None for name in os.environ if name.startswith("CLINICDAV_")}
        before = os.umask(0o022)
        try:
            env = unset | {"CLINICDAV_HOME": str(self.path)} | more
            return CliRunner().invoke(main, arguments, input=stdin, env=env, catch_exceptions=False)
        finally:
            os.umask(before)

    def out(self, *arguments: str, stdin: str = "", **more: str) -> str:
        done = self.run(*arguments, stdin=stdin, **more)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str, stdin: str = "", **more: str) -> str:
        """The one line on standard error of a command that fails."""
        done = self.run(*arguments, stdin=stdin, **more)
        assert done.exit_code != 0
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith("clinicdav: ")
        return line.removeprefix("clinicdav: ")

    def start(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same as a program of its own, as a script would call it."""
        return subprocess.run(
            [*COMMAND, *arguments],
            capture_output=True,
            text=True,
            env=environment(self.path),
            cwd=self.path.parent,
            timeout=300,
        )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def clinic(home: Home) -> Home:
    home.out("init")
    home.out("user", "add", "doctor", "lee", "--name", "Dr. Anna Lee", "--email", "lee@clinic.example")
    return home


def calendar(*events: str) -> str:
    body = "".join(events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//X//Y//EN\n{ZONE}{body}END:VCALENDAR\n".replace("\n", "\r\n")


# First run


def test_init_creates_what_is_needed_and_prints_the_admins_link_alone(home: Home) -> None:
    done = home.start("init", "--admin-email", "ada@clinic.example")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"http://127\.0\.0\.1:8000/first-login/[\w-]{43}\n", done.stdout)
    assert sorted(path.name for path in home.path.iterdir()) == [
        "clinicdav.sqlite3",
        "clinicdav.toml",
        "radicale.conf",
        "secret",
    ]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (home.path, *home.path.iterdir()))
    secret = (home.path / "secret").read_text()
    assert home.run("init").exit_code == 0
    assert (home.path / "secret").read_text() == secret


def test_a_home_without_init_says_what_to_do(home: Home) -> None:
    assert "clinicdav init" in home.refused("user", "add", "doctor", "lee", "--name", "L", "--email", "l@x.example")
    assert "clinicdav init" in home.refused("serve", "--port", "0")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["frob"], "No such command"),
        (["hours", "add", "lee"], "--days"),
        (["hours", "add", "lee", "--days", "someday", "--from", "09:00", "--to", "10:00"], "someday"),
        (["hours", "add", "lee", "--days", "mon", "--from", "9", "--to", "10:00"], "no time"),
        (["hours", "add", "lee", "--days", "mon", "--from", "11:00", "--to", "10:00"], "after"),
        (["hours", "add", "nobody", "--days", "mon", "--from", "09:00", "--to", "10:00"], "user add"),
        (["hours", "add", "admin", "--days", "mon", "--from", "09:00", "--to", "10:00"], "not a doctor"),
        (["user", "add", "doctor", "lee", "--name", "L", "--email", "l@x.example"], "taken"),
        (["user", "add", "doctor", "Lee!", "--name", "L", "--email", "l@x.example"], "username"),
        (["user", "add", "doctor", "new", "--name", "L", "--email", "nonsense"], "email"),
        (["user", "add", "king", "new", "--name", "L", "--email", "l@x.example"], "king"),
        (["app-password", "add", "nobody", "--label", "x"], "nobody"),
        (["token", "add", "nobody", "--label", "x"], "nobody"),
        (["token", "revoke", "lee", "99"], "has no token 99"),
        (["feed", "add", "admin", "--level", "busy"], "not a doctor"),
        (["export", "lee/nothing"], "nothing"),
        (["export", "lee"], "USERNAME/COLLECTION"),
        (["import", "missing.ics", "lee/personal"], "missing.ics"),
        (["run", "everything"], "everything"),
        (["restore", "missing.zip"], "missing.zip"),
        (["backup", "no/such/folder/b.zip"], "folder"),
        (["worker"], "CLINICDAV_BROKER_URL"),
    ],
)
def test_mistakes_are_one_line(clinic_of_module: Home, arguments: list[str], says: str) -> None:
    assert says in clinic_of_module.refused(*arguments)


@pytest.fixture(scope="module")
def clinic_of_module(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """For commands that change nothing."""
    home = Home(tmp_path_factory.mktemp("cli") / "home")
    home.out("init")
    home.out("user", "add", "doctor", "lee", "--name", "Dr. Anna Lee", "--email", "lee@clinic.example")
    return home


def test_settings_that_cannot_be_used_are_one_line(clinic_of_module: Home) -> None:
    refused = clinic_of_module.refused
    assert "CLINICDAV_QUIET_SECONDS" in refused("check", CLINICDAV_QUIET_SECONDS="soon")
    assert "CLINICDAV_DATABASE_URL" in refused("check", CLINICDAV_DATABASE_URL="mysql://x")
    assert "CLINICDAV_DATABASE_URL" in refused("check", CLINICDAV_DATABASE_URL="postgresql://nobody@127.0.0.1:1/x")
    assert "TLS" in refused("serve", "--port", "0", CLINICDAV_PUBLIC_URL="http://clinic.example")


def test_a_mistake_ends_a_program_with_one_line(clinic_of_module: Home) -> None:
    done = clinic_of_module.start("export", "lee/nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"clinicdav: [^\n]+\n", done.stderr)


def test_a_misspelt_key_in_the_file_is_named(clinic: Home) -> None:
    (clinic.path / "clinicdav.toml").write_text('clinc_name = "X"\n')
    assert "clinc_name" in clinic.refused("check")


# Secrets and hours


def test_secrets_are_printed_alone(clinic: Home) -> None:
    assert re.fullmatch(r"[a-z2-7-]{30,}\n", clinic.out("app-password", "add", "lee", "--label", "Phone"))
    assert re.fullmatch(r"cdav_[\w-]{43}\n", clinic.out("token", "add", "lee", "--label", "Script"))
    (listed,) = clinic.out("token", "list", "lee").splitlines()
    assert re.fullmatch(r"\d+  Script  never used", listed)
    assert clinic.out("token", "revoke", "lee", listed.split()[0]) == ""
    assert clinic.out("token", "list", "lee") == ""
    feed = clinic.out("feed", "add", "lee", "--level", "busy")
    assert re.fullmatch(r"http://127\.0\.0\.1:8000/feeds/[\w-]{43}\.ics\n", feed)
    days = ("--days", "mon,tue", "--from", "09:00", "--to", "12:00", "--slot", "20")
    uid = clinic.out("hours", "add", "lee", *days)
    assert re.fullmatch(r"hours-[0-9a-f-]{36}@localhost\n", uid)
    exported = clinic.out("export", "lee/hours")
    assert uid.strip() in exported.replace("\r\n ", "").replace("\n ", "")
    assert exported.count("BEGIN:VTIMEZONE") == 1


def test_a_password_comes_from_standard_input(clinic: Home) -> None:
    add = ("user", "add", "receptionist", "desk", "--name", "Rosa", "--email", "desk@clinic.example")
    assert clinic.out(*add, "--password-stdin", stdin="maple river lantern\n") == "desk\n"
    weak = ("user", "add", "admin", "root", "--name", "Root", "--email", "root@clinic.example", "--password-stdin")
    assert "password" in clinic.refused(*weak, stdin="short\n")
    assert "password" in clinic.refused(*weak, stdin="")


# Calendars in and out


def test_import_lists_what_is_refused_and_takes_the_rest(clinic: Home) -> None:
    good = EVENT.format(uid="good", summary="Good", more="RRULE:FREQ=WEEKLY;COUNT=3\n")
    bad = EVENT.format(uid="bad", summary="Bad", more="RRULE:FREQ=SECONDLY\n")
    other = EVENT.format(uid="other", summary="Other; with, everything\\n", more="CREATED:20030819T222017Z \n")
    path = clinic.path / "x.ics"
    path.write_bytes(calendar(good, bad, other).encode())
    done = clinic.run("import", str(path), "lee/personal")
    assert (done.exit_code, done.stdout) == (0, "")
    assert re.search(r"^refused: bad: .+", done.stderr, re.MULTILINE)
    assert "Imported 2, refused 1." in done.stderr
    exported = clinic.out("export", "lee/personal")
    assert sorted(re.findall(r"^UID:(.+)$", exported, re.MULTILINE)) == ["good", "other"]
    assert len(Calendar.from_ical(exported).walk("VTIMEZONE")) == 1
    # The same again replaces, and what was exported can be imported.
    assert "Imported 2" in clinic.run("import", str(path), "lee/personal").stderr
    back = clinic.path / "back.ics"
    back.write_bytes(exported.encode())
    assert "Imported 2, refused 0." in clinic.run("import", str(back), "lee/personal").stderr
    assert len(re.findall("BEGIN:VEVENT", clinic.out("export", "lee/personal"))) == 2


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01", b"BEGIN:VCALENDAR\r\n", b"<html>", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"]
)
def test_a_file_that_is_no_calendar_is_one_line(clinic_of_module: Home, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.ics"
    path.write_bytes(content)
    done = clinic_of_module.run("import", str(path), "lee/personal")
    assert done.exit_code != 0
    assert done.stderr.splitlines()[-1].startswith("clinicdav: ")


# Backup and restore


def test_a_backup_brings_everything_back(clinic: Home, tmp_path: Path) -> None:
    password = clinic.out("app-password", "add", "lee", "--label", "Phone")
    saved = tmp_path / "b.zip"
    clinic.out("backup", str(saved))
    assert saved.stat().st_mode & 0o077 == 0
    clinic.out("user", "add", "doctor", "smith", "--name", "Dr. Smith", "--email", "smith@clinic.example")
    clinic.out("restore", str(saved))
    assert "smith" in clinic.refused("export", "smith/hours")
    # In another place, where there is nothing, too: the secret comes with it.
    other = Home(tmp_path / "other")
    other.out("restore", str(saved))
    assert other.out("check").endswith("\nok\n")
    assert (other.path / "secret").read_text() == (clinic.path / "secret").read_text()
    assert password
    assert other.out("export", "lee/personal").startswith("BEGIN:VCALENDAR")


def test_a_damaged_backup_changes_nothing(clinic: Home, tmp_path: Path) -> None:
    saved = tmp_path / "b.zip"
    clinic.out("backup", str(saved))
    torn = tmp_path / "torn.zip"
    torn.write_bytes(saved.read_bytes()[:-2000])
    assert "damaged" in clinic.refused("restore", str(torn))
    whole = bytearray(saved.read_bytes())
    whole[5000] ^= 0xFF
    torn.write_bytes(whole)
    assert "damaged" in clinic.refused("restore", str(torn))
    assert "no backup" in clinic.refused("backup", str(clinic.path / "clinicdav.sqlite3"))
    assert clinic.out("check").endswith("\nok\n")


# The rest


def test_what_is_decided_for_a_doctor_is_changed(clinic: Home) -> None:
    clinic.run("user", "set", "lee", "--approves-own-leave", "--daily-maximum", "12", "--specialty", "Orthopaedics")
    done = clinic.run("user", "set", "lee", "--daily-maximum", "0")
    assert done.exit_code == 0 and "Changed lee." in done.stderr + done.output
    assert clinic.run("user", "set", "nobody", "--slot", "20").exit_code != 0


def test_tasks_run_once_and_the_installation_is_in_order(clinic: Home) -> None:
    for task in TASKS:
        assert clinic.out("run", task) == ""
    assert clinic.run("run", "recurrence").stderr == "0 entries extended.\n"
    assert clinic.out("db", "upgrade") == ""
    assert clinic.out("check").endswith("\nok\n")


@pytest.fixture(scope="module")
def demo_of_module(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The home of a new demo clinic, to copy, and what was said when it was made: filling it takes seconds."""
    home = Home(tmp_path_factory.mktemp("demo") / "home")
    return home.path, home.out("demo", "--no-serve", "--port", "8123")


@pytest.fixture
def demo(home: Home, demo_of_module: tuple[Path, str]) -> Home:
    shutil.copytree(demo_of_module[0], home.path)
    return home


def test_the_demo_clinic_stays_as_it_was_left(demo: Home, demo_of_module: tuple[Path, str]) -> None:
    home, first = demo, demo_of_module[1]
    for word in ("lee", "smith", "desk", "http://127.0.0.1:8123/dav/lee/"):
        assert word in first
    count = home.out("export", "lee/appointments").count("BEGIN:VEVENT")
    assert count > 20
    again = home.out("demo", "--no-serve")
    assert home.out("export", "lee/appointments").count("BEGIN:VEVENT") == count
    password = re.compile(r"password +([a-z2-7]+-\S+)")
    assert password.findall(first) != password.findall(again)
    assert home.out("check").endswith("\nok\n")


def test_links_lead_to_where_the_demo_runs(demo: Home) -> None:
    home = demo

    def feed(**more: str) -> str:
        return home.out("feed", "add", "lee", **more)

    home.out("demo", "--no-serve", "--port", "8091")
    assert feed().startswith("http://127.0.0.1:8091/feeds/")
    home.out("demo", "--no-serve", "--port", "8092")
    assert feed().startswith("http://127.0.0.1:8092/feeds/")
    assert feed(CLINICDAV_PUBLIC_URL="https://clinic.example").startswith("https://clinic.example/feeds/")
    file = home.path / "clinicdav.toml"
    assert file.read_text() == 'public_url = "http://127.0.0.1:8092"\nclinic_name = "Demo clinic"\n'
    file.write_text('public_url = "https://clinic.example"\n')
    assert "https://clinic.example/login" in home.out("demo", "--no-serve", "--port", "8093")


def test_the_settings_file_that_init_writes_says_nothing_until_it_is_edited(home: Home) -> None:
    home.out("init")
    file = home.path / "clinicdav.toml"
    plain = load_settings(home=home.path)
    assert plain.model_fields_set == {"home"}
    file.write_text(re.sub(r"^# (\w+ = )", r"\1", file.read_text(), flags=re.MULTILINE))
    assert load_settings(home=home.path).public_url == "https://clinic.example"


def test_check_says_where_mails_go(clinic: Home) -> None:
    assert f"not configured: written to {clinic.path / 'outbox'}" in clinic.out("check")
    assert re.search(r"e-mail +configured\n", clinic.out("check", CLINICDAV_SMTP_URL="smtp://127.0.0.1:9"))


# The server


def start(home: Home, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*COMMAND, *arguments, "--port", str(port)]
    process = subprocess.Popen(command, env=environment(home.path), stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}"
    for _ in range(1200):
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return process, url
        except httpx.TransportError:
            assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.1)
    raise AssertionError("the server did not start")


@pytest.fixture(params=[["serve"], ["serve", "--no-worker"], ["serve", "--workers", "3"]], ids=" ".join)
def server(request: pytest.FixtureRequest, clinic: Home) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process, url = start(clinic, *request.param)
    yield process, url
    if process.poll() is None:
        process.kill()
        process.wait(timeout=30)


def test_the_server_answers_and_ends_when_told(server: tuple[subprocess.Popen[str], str], clinic: Home) -> None:
    process, url = server
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
    assert "clinicdav_database_up 1.0" in httpx.get(f"{url}/metrics").text
    discovery = httpx.request("PROPFIND", f"{url}/.well-known/caldav")
    assert (discovery.status_code, discovery.headers["Location"]) == (301, "/dav/")
    assert httpx.get(f"{url}/dav/lee/").status_code == 401
    token = clinic.out("token", "add", "lee", "--label", "x").strip()
    answer = httpx.get(f"{url}/api/v1/doctors", headers={"Authorization": f"Bearer {token}"})
    assert [doctor["username"] for doctor in answer.json()["doctors"]] == ["lee"]
    port = url.rpartition(":")[2]
    assert f"port {port}" in clinic.refused("serve", "--port", port)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/healthz")


def test_processes_end_with_a_killed_parent(clinic: Home) -> None:
    process, url = start(clinic, "serve", "--workers", "2", "--no-worker")
    process.kill()
    process.wait(timeout=30)
    for _ in range(300):
        try:
            httpx.get(f"{url}/healthz")
        except httpx.TransportError:
            return
        time.sleep(0.1)
    raise AssertionError("a process went on")
