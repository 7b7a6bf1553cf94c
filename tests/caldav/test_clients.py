"""Real clients against a real server: the caldav library, vdirsyncer both ways, khal."""

import datetime
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import caldav
import pytest

from storage import accounts, credentials
from tests.caldav.helpers import Clinic, event, served


@dataclass
class Server:
    url: str
    clinic: Clinic

    @property
    def password(self) -> str:
        return self.clinic.passwords["lee"]


@pytest.fixture
def server(lite: Clinic) -> Iterator[Server]:
    with served(lite) as url:
        yield Server(url, lite)


def run(folder: Path, *command: str, **environ: str) -> str:
    """The output of a program of the virtual environment."""
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run(
        [str(program), *command[1:]],
        env={
            **os.environ,
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "XDG_DATA_HOME": str(folder),
            **environ,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        input="y\n" * 20,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# The caldav library


@pytest.fixture
def principal(server: Server) -> caldav.Principal:
    client = caldav.DAVClient(url=server.url, username="lee", password=server.password)
    return client.principal()


def test_caldav_library_loads_what_another_has_changed(server: Server, principal: caldav.Principal) -> None:
    calendar = principal.calendar(name="Personal")
    made = calendar.save_event(event("load@test"))
    lee = server.clinic.client("lee")
    assert (
        lee.put("/lee/personal/load@test.ics", event("load@test", "20261125T090000", "20261125T100000")).status == 204
    )
    made.load()
    assert made.icalendar_component["DTSTART"].dt.day == 25


def test_caldav_library_finds_the_principal_from_any_address(server: Server) -> None:
    for path in ("", "lee/", "lee/personal/"):
        client = caldav.DAVClient(url=server.url + path, username="lee", password=server.password)
        principal = client.principal()
        assert str(principal.url).endswith("/dav/lee/")
        assert str(principal.calendar_home_set.url).endswith("/dav/lee/")
        assert principal.get_vcal_address().startswith("mailto:lee@")


def test_caldav_library_finds_the_calendars(principal: caldav.Principal) -> None:
    names = {calendar.get_display_name() for calendar in principal.calendars()}
    assert {"Appointments", "Working hours", "Leave", "Waitlist", "Personal"} <= names


def test_caldav_library_finds_whom_a_receptionist_acts_for(server: Server) -> None:
    desk = caldav.DAVClient(url=server.url, username="desk", password=server.clinic.passwords["desk"])
    principal = desk.principal()
    assert "Personal" in {calendar.get_display_name() for calendar in principal.calendars()}
    found = {each.get_display_name(): each for each in desk.search_principals()}
    assert set(found) == {"Desk", "Lee", "Smith"}
    assert "Appointments" in {each.get_display_name() for each in found["Smith"].calendars()}
    assert [each.get_display_name() for each in desk.search_principals(name="smi")] == ["Smith"]


def test_caldav_library_writes_reads_and_deletes(principal: caldav.Principal) -> None:
    calendar = principal.calendar(name="Personal")
    made = calendar.save_event(event("lib@test", "20261124T090000", "20261124T093000", "SUMMARY:Lunch"))
    found = calendar.search(
        start=datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC),
        end=datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC),
        event=True,
    )
    assert [str(each.icalendar_component["SUMMARY"]) for each in found] == ["Lunch"]
    made.icalendar_component["SUMMARY"] = "Supper"
    made.save()
    assert str(calendar.event_by_uid("lib@test").icalendar_component["SUMMARY"]) == "Supper"
    made.delete()
    assert calendar.events() == []


def test_caldav_library_expands_on_the_server(principal: caldav.Principal) -> None:
    calendar = principal.calendar(name="Personal")
    calendar.save_event(
        event("series@test", "20261005T090000", "20261005T093000", "RRULE:FREQ=WEEKLY", "SUMMARY:Rounds")
    )
    found = calendar.search(
        start=datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC),
        end=datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC),
        event=True,
        server_expand=True,
    )
    starts = [each.icalendar_component["DTSTART"].dt for each in found]
    assert [f"{start:%Y%m%dT%H%MZ}" for start in sorted(starts)] == [
        f"202611{day:02d}T0800Z" for day in (2, 9, 16, 23, 30)
    ]


def test_caldav_library_synchronises_by_token(principal: caldav.Principal) -> None:
    calendar = principal.calendar(name="Personal")
    calendar.save_event(event("one@test"))
    copy = calendar.objects_by_sync_token(load_objects=True)
    assert len(list(copy)) == 1
    calendar.save_event(event("two@test"))
    calendar.event_by_uid("one@test").delete()
    updated, deleted = copy.sync()
    assert (len(updated), len(deleted)) == (1, 1)


def test_caldav_library_makes_and_deletes_a_calendar(principal: caldav.Principal) -> None:
    calendar = principal.make_calendar(name="Tennis", cal_id="tennis")
    calendar.save_event(event())
    assert "Tennis" in {each.get_display_name() for each in principal.calendars()}
    calendar.delete()
    assert "Tennis" not in {each.get_display_name() for each in principal.calendars()}


def test_caldav_library_completes_a_task(principal: caldav.Principal) -> None:
    tasks = principal.make_calendar(name="Errands", supported_calendar_component_set=["VTODO"])
    tasks.save_todo(summary="Order gloves", due=datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC))
    tasks.save_todo(summary="Water plants", rrule={"FREQ": "WEEKLY"}, dtstart=datetime.date(2026, 11, 23))
    first, second = sorted(tasks.todos(), key=lambda task: str(task.icalendar_component["SUMMARY"]))
    first.complete()
    # The next of the series: `safe` keeps the completed one beside it.
    second.complete(handle_rrule=True, rrule_mode="safe")
    assert [str(task.icalendar_component["SUMMARY"]) for task in tasks.todos()] == ["Water plants"]
    done = {
        str(task.icalendar_component["SUMMARY"])
        for task in tasks.todos(include_completed=True)
        if task.icalendar_component.get("STATUS") == "COMPLETED"
    }
    assert done == {"Order gloves", "Water plants"}


def test_caldav_library_asks_for_free_busy(principal: caldav.Principal) -> None:
    calendar = principal.calendar(name="Personal")
    calendar.save_event(event())
    answer = calendar.freebusy_request(
        datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC), datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
    )
    assert "20261124T080000Z/" in answer.data


def test_caldav_library_asks_when_colleagues_are_free(server: Server) -> None:
    with server.clinic.db.transaction() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        password = credentials.add_app_password(session, lee, "laptop", "full", server.clinic.clock())
    principal = caldav.DAVClient(url=server.url, username="lee", password=password).principal()
    assert list(principal.schedule_inbox().get_items()) == []
    principal.calendar(name="Personal").save_event(event())
    day = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)
    people = [f"mailto:{name}@test.example" for name in ("lee", "smith", "nobody")]
    answers = principal.freebusy_request(day, day + datetime.timedelta(days=1), people)
    assert "FREEBUSY;FBTYPE=BUSY:20261124T080000Z/" in answers[people[0]].data
    assert "FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:" in answers[people[1]].data
    assert "FREEBUSY" not in str(answers.get(people[2]))


# vdirsyncer and khal

VDIRSYNCER = """
[general]
status_path = "{folder}/status/"

[pair lee]
a = "local"
b = "remote"
collections = ["personal", "hours"]
metadata = ["color", "displayname"]
conflict_resolution = "b wins"

[storage local]
type = "filesystem"
path = "{folder}/calendars/"
fileext = ".ics"

[storage remote]
type = "caldav"
url = "{url}"
username = "lee"
password = "{password}"
"""

KHAL = """
[calendars]
[[personal]]
path = {folder}/calendars/personal
type = calendar

[locale]
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
local_timezone = Europe/Vienna
default_timezone = Europe/Vienna

[default]
default_calendar = personal
"""


@dataclass
class Laptop:
    """A folder that vdirsyncer keeps equal to the server."""

    folder: Path

    @property
    def personal(self) -> Path:
        return self.folder / "calendars" / "personal"

    def file(self, uid: str) -> Path:
        return self.personal / f"{uid}.ics"

    def sync(self) -> None:
        run(self.folder, "vdirsyncer", "-c", str(self.folder / "vdirsyncer.conf"), "sync")

    def khal(self, *command: str) -> str:
        return run(self.folder, "khal", "-c", str(self.folder / "khal.conf"), *command)


@pytest.fixture
def laptop(server: Server, tmp_path: Path) -> Laptop:
    folder = tmp_path / "laptop"
    folder.mkdir()
    told = {"folder": folder, "url": server.url, "password": server.password}
    (folder / "vdirsyncer.conf").write_text(VDIRSYNCER.format(**told))
    (folder / "khal.conf").write_text(KHAL.format(**told))
    run(folder, "vdirsyncer", "-c", str(folder / "vdirsyncer.conf"), "discover")
    return Laptop(folder)


def test_vdirsyncer_both_ways(server: Server, laptop: Laptop) -> None:
    lee = server.clinic.client("lee")
    for number in range(30):
        assert lee.put(f"/lee/personal/up{number}.ics", event(f"up{number}.test")).status == 201
    laptop.sync()
    assert len(list(laptop.personal.glob("*.ics"))) == 30
    for number in range(30):
        (laptop.personal / f"down{number}.ics").write_bytes(event(f"down{number}@test").encode())
    laptop.file("up0.test").unlink()
    changed = laptop.file("up1.test")
    changed.write_bytes(event("up1.test", "20261125T090000", "20261125T100000").encode())
    laptop.sync()
    assert len(lee.sync("/lee/personal/").members) == 59
    assert lee.get("/lee/personal/up0.ics").status == 404
    assert b"20261125T090000" in lee.get("/lee/personal/up1.ics").body
    lee.delete("/lee/personal/up2.ics")
    lee.put("/lee/personal/up3.ics", event("up3.test", "20261126T090000", "20261126T100000"))
    laptop.sync()
    assert not laptop.file("up2.test").exists()
    assert "20261126T090000" in laptop.file("up3.test").read_text()
    assert laptop.file("up4.test").read_bytes() == event("up4.test").encode()


def test_vdirsyncer_settles(server: Server, laptop: Laptop) -> None:
    """A second sync finds nothing to do: what we rewrite is fetched once and not sent back."""
    (laptop.folder / "calendars" / "hours").mkdir(exist_ok=True)
    hours = event(
        "hours@test", "20261123T090000", "20261123T120000", "SUMMARY:Clinic hours (20 min × 1)", "RRULE:FREQ=WEEKLY"
    )
    (laptop.folder / "calendars" / "hours" / "monday.ics").write_bytes(hours.encode())
    for _ in range(3):
        laptop.sync()
    before = server.clinic.client("lee").sync("/lee/hours/").text
    laptop.sync()
    assert server.clinic.client("lee").sync("/lee/hours/").text == before


def test_khal_shows_and_adds(server: Server, laptop: Laptop) -> None:
    lee = server.clinic.client("lee")
    lee.put("/lee/personal/a.ics", event())
    laptop.sync()
    assert "09:00-09:30 Lunch" in laptop.khal("list", "2026-11-24", "1d")
    laptop.khal("new", "-a", "personal", "2026-11-25", "10:00", "11:00", "Tennis")
    laptop.sync()
    answer = lee.query(
        "/lee/personal/",
        '<C:comp-filter name="VEVENT"><C:time-range start="20261125T090000Z" end="20261125T100000Z"/></C:comp-filter>',
    )
    assert len(answer.members) == 1 and "SUMMARY:Tennis" in answer.text
