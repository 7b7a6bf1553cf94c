"""Evolution's data server from Debian's packages, through its own library, and the application's picture.

Evolution changes and deletes without any condition, and believes its own copy of what was answered with an ETag.
"""

import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.clients.conftest import PICTURES, need
from tests.clients.evolution import Evolution, EvolutionError
from tests.clients.practice import SETTLED_SECONDS, VIENNA, Booked, Practice, wait_until
from tests.clients.recorder import Exchange
from tests.clients.screen import HEIGHT, WIDTH, Screen

SLOT = timedelta(minutes=20)
WEEK = timedelta(days=7)
HOURS = "#2ca02c"
# COLOR of the demo's types of appointment: steelblue, seagreen, mediumpurple, goldenrod, darkcyan
TYPES = {"#4682b4", "#2e8b57", "#9370db", "#daa520", "#008b8b"}
PATHS = {"Appointments": "appointments", "Working hours": "hours", "Leave": "leave", "Waitlist": "waitlist", "Personal": "personal"}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> list[dict[str, object]]:
    """What was found at the doctor's address."""
    return []


@pytest.fixture(scope="module")
def evolution(practice: Practice, screen: Screen, folder: Path, found: list[dict[str, object]]) -> Iterator[Evolution]:
    """With the five calendars added as they were found, the password in its keyring."""
    need("dbus-run-session", "gnome-keyring-daemon", "evolution", "xdotool")
    running = Evolution(folder, screen.display)
    print("\n" + subprocess.run(["evolution", "--version"], capture_output=True, text=True, check=True).stdout.strip())
    try:
        found += running("find", f"{practice.url}/dav/lee/", practice.password)
        for each in found:
            path = str(each["url"]).removeprefix(practice.url)
            color = str(each["color"])[:7]
            running(
                "add", each["name"], practice.recorder.port, path, color, each["name"] == "Waitlist", practice.password
            )
        yield running
    finally:
        running.stop()


@pytest.fixture(autouse=True)
def nothing_fails(practice: Practice, evolution: Evolution) -> Iterator[None]:
    """The server never answers 5xx."""
    begin = len(practice.recorder.exchanges)
    yield
    assert [str(each) for each in practice.recorder.exchanges[begin:] if each.status >= 500] == []


# What Evolution holds


def seen(evolution: Evolution, calendar: str, uid: str) -> str:
    """The component as Evolution has it now, the master of a series; empty when it has none."""
    texts = [unfolded(text) for text in evolution("texts", calendar)]
    mine = [text for text in texts if f"\nUID:{uid}" in text]
    return next((text for text in mine if "RECURRENCE-ID" not in text), "")


def refreshed(evolution: Evolution, calendar: str, uid: str, *parts: str) -> str:
    """The component, refreshed until it is there with these parts."""

    def look() -> str:
        evolution("refresh", calendar)
        text = seen(evolution, calendar, uid)
        return text if all(part in text for part in parts) else ""

    return wait_until(look, f"{uid} in {calendar} with {parts}")


def unfolded(text: str) -> str:
    return re.sub(r"\r?\n ", "", text).replace("\r", "")


def moved(text: str, start: datetime, end: datetime) -> str:
    """Its times replaced, as dragging does."""
    for name, moment in (("DTSTART", start), ("DTEND", end)):
        text = re.sub(rf"\n{name}[;:].*", f"\n{name};TZID=Europe/Vienna:{local(moment)}", text, count=1)
    return text


def local(moment: datetime) -> str:
    return f"{moment.astimezone(VIENNA):%Y%m%dT%H%M%S}"


def event(summary: str, start: datetime, end: datetime, *more: str) -> str:
    lines = (
        "BEGIN:VEVENT",
        f"SUMMARY:{summary}",
        f"DTSTART;TZID=Europe/Vienna:{local(start)}",
        f"DTEND;TZID=Europe/Vienna:{local(end)}",
        *more,
        "END:VEVENT",
    )
    return "\r\n".join(lines) + "\r\n"


def booked_and_seen(practice: Practice, evolution: Evolution) -> tuple[Booked, str]:
    booked = practice.book()
    text = refreshed(evolution, "Appointments", booked.uid, booked.title)
    practice.told(booked, 1)
    return booked, text


def writes(practice: Practice, booked: Booked) -> list[Exchange]:
    return [each for each in practice.recorder.exchanges if each.method in ("PUT", "DELETE") and booked.id in each.path]


# The account


def test_each_calendar_is_found(evolution: Evolution, found: list[dict[str, object]]) -> None:
    assert {str(each["name"]): str(each["url"]).split("/")[-2] for each in found} == PATHS
    # E_WEBDAV_DISCOVER_SUPPORTS_EVENTS and _TASKS
    assert {each["name"]: each["supports"] for each in found} == {
        name: 8 if name == "Waitlist" else 2 for name in PATHS
    }
    # Until it has logged in, it does not know.
    wait_until(lambda: not any(evolution("read_only", name) for name in PATHS), "all can be written")


@pytest.mark.parametrize("calendar", ["Appointments", "Working hours", "Leave", "Waitlist"])
def test_all_that_a_calendar_holds_is_seen(practice: Practice, evolution: Evolution, calendar: str) -> None:
    held = practice.exported(PATHS[calendar])
    uids = set(re.findall(r"(?<=BEGIN:VEVENT\nUID:|\nBEGIN:VTODO\nUID:).*", held)) or set(
        re.findall(r"\nUID:(.*)", held)
    )
    evolution("refresh", calendar)
    shown = {match for text in evolution("texts", calendar) for match in re.findall(r"\nUID:(\S+)", unfolded(text))}
    assert uids and uids <= shown


# Plain events


def test_an_event_is_created_moved_and_deleted(practice: Practice, evolution: Evolution) -> None:
    start = practice.free_time() + timedelta(hours=8)
    uid = evolution("create", "Personal", event("Tennis", start, start + SLOT))
    assert f"UID:{uid}" in practice.exported("personal")
    text = refreshed(evolution, "Personal", uid, "SUMMARY:Tennis")
    evolution("modify", "Personal", moved(text, start + SLOT, start + 3 * SLOT), "all")
    assert f":{local(start + 3 * SLOT)}" in practice.exported("personal")
    evolution("remove", "Personal", uid, None, "all")
    assert uid not in practice.exported("personal")
    assert seen(evolution, "Personal", uid) == ""


# Appointments


def test_a_moved_appointment_is_rescheduled_and_the_servers_form_fetched(
    practice: Practice, evolution: Evolution
) -> None:
    booked, text = booked_and_seen(practice, evolution)
    evolution("modify", "Appointments", moved(text, booked.start + SLOT, booked.end + SLOT), "all")
    assert practice.status(booked) == "rescheduled"
    assert practice.start(booked) == booked.start + SLOT
    [put] = writes(practice, booked)
    assert put.status == 204 and "etag" not in put.answer_headers
    # Without a refresh: it asked for what became of its PUT.
    text = wait_until(
        lambda: (shown := seen(evolution, "Appointments", booked.uid)) and "CATEGORIES:Rescheduled" in shown and shown,
        "the server's form",
    )
    assert f"SUMMARY:{booked.title}" in text and "STATUS:TENTATIVE" in text
    assert len(practice.told(booked, 2)) == 2


def test_two_quick_edits_leave_nothing_behind(practice: Practice, evolution: Evolution) -> None:
    booked, text = booked_and_seen(practice, evolution)
    for step in (1, 2):
        text = seen(evolution, "Appointments", booked.uid)
        evolution(
            "modify", "Appointments", moved(text, booked.start + step * SLOT / 2, booked.end + step * SLOT / 2), "all"
        )
    assert practice.start(booked) == booked.start + SLOT
    assert [each.status for each in writes(practice, booked)] == [204, 204]
    assert len(practice.told(booked, 2)) == 2


def test_a_word_in_the_title_confirms_and_the_title_comes_back(practice: Practice, evolution: Evolution) -> None:
    booked, text = booked_and_seen(practice, evolution)
    evolution("modify", "Appointments", text.replace(booked.title, f"{booked.title} #confirm"), "all")
    assert practice.status(booked) == "confirmed"
    refreshed(evolution, "Appointments", booked.uid, f"SUMMARY:{booked.title}\n", "STATUS:CONFIRMED")


def test_done_in_the_title_completes_what_has_been(practice: Practice, evolution: Evolution) -> None:
    booked, text = booked_and_seen(practice, evolution)
    past = (datetime.now(VIENNA) - timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    evolution("modify", "Appointments", moved(text, past, past + SLOT), "all")
    text = refreshed(evolution, "Appointments", booked.uid, local(past))
    evolution("modify", "Appointments", text.replace(booked.title, f"#done {booked.title}"), "all")
    assert practice.status(booked) == "completed"
    refreshed(evolution, "Appointments", booked.uid, f"SUMMARY:✓ {booked.title}\n")


def test_what_the_patient_did_is_not_overwritten_by_a_stale_copy(practice: Practice, evolution: Evolution) -> None:
    """Evolution does not say on which version its change is based."""
    booked, text = booked_and_seen(practice, evolution)
    practice.ask("POST", f"/appointments/{booked.id}/cancel", json={"by": "patient"})
    evolution("modify", "Appointments", moved(text, booked.start + SLOT, booked.end + SLOT), "all")
    [put] = writes(practice, booked)
    assert put.status == 204 and "if-match" not in put.headers
    assert practice.status(booked) == "cancelled_patient"
    refreshed(evolution, "Appointments", booked.uid, f"SUMMARY:Cancelled: {booked.title}\n", local(booked.start))


def test_an_alarm_is_added_and_dismissed_without_a_message(practice: Practice, evolution: Evolution) -> None:
    booked, text = booked_and_seen(practice, evolution)
    alarm = "BEGIN:VALARM\nX-EVOLUTION-ALARM-UID:a1\nACTION:DISPLAY\nDESCRIPTION:Soon\nTRIGGER:-PT15M\nEND:VALARM\nEND:VEVENT"
    evolution("modify", "Appointments", text.replace("END:VEVENT", alarm), "all")
    text = refreshed(evolution, "Appointments", booked.uid, "X-EVOLUTION-ALARM-UID:a1")
    acknowledged = text.replace("ACTION:DISPLAY", "ACTION:DISPLAY\nACKNOWLEDGED:20261122T080000Z")
    evolution("modify", "Appointments", acknowledged, "all")
    marker, text = booked_and_seen(practice, evolution)
    evolution("modify", "Appointments", moved(text, marker.start + SLOT, marker.end + SLOT), "all")
    practice.told(marker, 2)
    assert practice.status(booked) == "scheduled"
    assert len(practice.mails(booked)) == 1


def test_a_deleted_appointment_is_cancelled_after_the_quiet_period(practice: Practice, evolution: Evolution) -> None:
    booked, _text = booked_and_seen(practice, evolution)
    uid = re.search(r"\nUID:(\S+)", _text)
    assert uid is not None
    evolution("remove", "Appointments", uid[1], None, "all")
    [delete] = writes(practice, booked)
    assert delete.status in (200, 204) and "if-match" not in delete.headers
    wait_until(lambda: practice.status(booked) == "cancelled_doctor", "cancelled", SETTLED_SECONDS)
    assert len(practice.told(booked, 2)) == 2


# Series


def test_one_occurrence_is_moved_and_one_deleted(practice: Practice, evolution: Evolution) -> None:
    booked = practice.book(rrule="FREQ=WEEKLY;COUNT=4", on_conflict="refuse", start=practice.free_weeks(4))
    text = refreshed(evolution, "Appointments", booked.uid, booked.title)
    uid = re.search(r"\nUID:(\S+)", text)
    assert uid is not None
    second, third = booked.start + WEEK, booked.start + 2 * WEEK
    occurrence = re.sub(r"\nRRULE:.*", f"\nRECURRENCE-ID;TZID=Europe/Vienna:{local(second)}", text)
    hour = timedelta(hours=1)
    evolution("modify", "Appointments", moved(occurrence, second + hour, second + hour + SLOT), "this")
    evolution("remove", "Appointments", uid[1], local(third), "this")
    last = writes(practice, booked)[-1]
    # In UTC, in a series with a time zone
    assert f"EXDATE:{third.astimezone(UTC):%Y%m%dT%H%M%SZ}" in last.body
    assert f"RECURRENCE-ID;TZID=Europe/Vienna:{local(second)}" in last.body
    wait_until(
        lambda: practice.statuses(booked) == ["scheduled", "rescheduled", "cancelled_doctor", "scheduled"],
        "settled",
        SETTLED_SECONDS,
    )


# Other calendars


def test_hours_made_in_the_app_can_be_booked(practice: Practice, evolution: Evolution) -> None:
    today = datetime.now(VIENNA).replace(hour=9, minute=0, second=0, microsecond=0)
    saturday = today + timedelta(days=(5 - today.weekday()) % 7 + 21)

    def hours(day: datetime) -> list[str]:
        return [f"{slot:%H:%M}" for slot in practice.slots(day.date())]

    assert hours(saturday) == []
    made = event("Saturday 30 min", saturday, saturday + timedelta(hours=2), "RRULE:FREQ=WEEKLY;COUNT=3")
    uid = evolution("create", "Working hours", made)
    assert hours(saturday) == hours(saturday + WEEK) == ["09:00", "09:30", "10:00", "10:30"]
    refreshed(evolution, "Working hours", uid)
    evolution("remove", "Working hours", uid, local(saturday + WEEK), "this")
    assert (len(hours(saturday)), hours(saturday + WEEK)) == (4, [])
    evolution("remove", "Working hours", uid, None, "all")
    assert hours(saturday) == []


def test_leave_comes_back_as_pending(practice: Practice, evolution: Evolution) -> None:
    start = practice.free_time() + WEEK
    uid = evolution("create", "Leave", event("Dentist", start, start + timedelta(hours=1)))
    refreshed(evolution, "Leave", uid, "SUMMARY:Leave (pending): Dentist", "STATUS:TENTATIVE")
    assert start not in practice.slots(start.date())
    evolution("remove", "Leave", uid, None, "all")
    assert start in practice.slots(start.date())


def test_a_waitlist_task_is_ticked_off(practice: Practice, evolution: Evolution) -> None:
    evolution("refresh", "Waitlist")
    task = unfolded(evolution("texts", "Waitlist")[0])
    done = re.sub(r"\nSTATUS:.*", "", task).replace(
        "END:VTODO", "STATUS:COMPLETED\nPERCENT-COMPLETE:100\nCOMPLETED:20261122T080000Z\nEND:VTODO"
    )

    def waiting() -> int:
        return [each["status"] for each in practice.ask("GET", "/waitlist")["waitlist"]].count("waiting")

    before = waiting()
    evolution("modify", "Waitlist", done, "all")
    assert waiting() == before - 1


def test_a_refused_task_says_so_and_changes_nothing(practice: Practice, evolution: Evolution) -> None:
    before = practice.exported("waitlist")
    with pytest.raises(EvolutionError, match="(?i)permission|denied|forbidden"):
        evolution("create", "Waitlist", "BEGIN:VTODO\r\nSUMMARY:Somebody\r\nEND:VTODO\r\n")
    assert practice.exported("waitlist") == before


# The picture


def test_the_calendar_is_drawn(practice: Practice, evolution: Evolution, screen: Screen) -> None:
    monday = datetime.now(VIENNA) + timedelta(days=-datetime.now(VIENNA).weekday() % 7)
    evolution("show", f"{monday:%Y%m%d}", WIDTH, HEIGHT)
    picture = PICTURES / "evolution.png"

    def drawn() -> bool:
        evolution("work_week")
        seen = {colour for colour, count in screen.colours().items() if count > 1_000}
        return HOURS in seen and bool(seen & TYPES)

    try:
        wait_until(drawn, "appointments and hours in their colours", 60)
    finally:
        screen.picture(picture)
        print(f"picture: {picture}")
