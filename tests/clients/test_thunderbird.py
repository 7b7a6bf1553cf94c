"""Thunderbird from Debian's packages, without a screen that anybody sees: what a doctor does in it, and what comes of it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import PICTURES, need
from tests.clients.practice import SETTLED_SECONDS, VIENNA, Booked, Practice, wait_until
from tests.clients.recorder import Exchange
from tests.clients.screen import Screen
from tests.clients.thunderbird import Thunderbird

SLOT = timedelta(minutes=20)
WEEK = timedelta(days=7)
# Longer than the server takes to follow a correction with its second revision.
CORRECTED_SECONDS = 8


@pytest.fixture(scope="module")
def found() -> list[str]:
    """The calendars that the dialog listed."""
    return []


@pytest.fixture(scope="module")
def thunderbird(practice: Practice, screen: Screen, folder: Path, found: list[str]) -> Iterator[Thunderbird]:
    """With the account added in its own dialog: the bare address, the username, and the password when asked."""
    need("thunderbird")
    running = Thunderbird(folder, screen)
    print(f"\nThunderbird {running.version}")
    try:
        running.run("window.wizard = await clinic.addAccount(...args);", practice.url, "lee", practice.password)
        screen.picture(PICTURES / "thunderbird-add.png")
        found += running.run("return await clinic.takeFound(window.wizard);")
        running.interruptions()
        yield running
    finally:
        running.stop()


@pytest.fixture(autouse=True)
def nothing_unexpected(practice: Practice, thunderbird: Thunderbird) -> Iterator[None]:
    """No window opened by itself, nothing failed, and the server never answered 5xx."""
    begin = len(practice.recorder.exchanges)
    thunderbird.interruptions()
    yield
    assert thunderbird.interruptions() == []
    assert [str(each) for each in practice.recorder.exchanges[begin:] if each.status >= 500] == []


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def drag(thunderbird: Thunderbird, calendar: str, uid: str, start: datetime, end: datetime) -> None:
    thunderbird.run(
        "clinic.drag(await clinic.item(args[0], args[1]), args[2], args[3]);",
        calendar, uid, milliseconds(start), milliseconds(end),
    )  # fmt: skip


def rename(thunderbird: Thunderbird, calendar: str, uid: str, title: str) -> None:
    thunderbird.run("clinic.rename(await clinic.item(args[0], args[1]), args[2]);", calendar, uid, title)


def create(thunderbird: Thunderbird, calendar: str, title: str, start: datetime, end: datetime, *rule: str) -> str:
    """Its UID. Written out as the event dialog does, in one step."""
    uid: str = thunderbird.run(
        """
        const { CalRecurrenceInfo } = ChromeUtils.importESModule("resource:///modules/CalRecurrenceInfo.sys.mjs");
        const event = new CalEvent();
        event.id = cal.getUUID();
        event.title = args[1];
        event.startDate = clinic.time(args[2]);
        event.endDate = clinic.time(args[3]);
        event.calendar = clinic.calendar(args[0]);
        if (args[4]) {
            event.recurrenceInfo = new CalRecurrenceInfo(event);
            event.recurrenceInfo.appendRecurrenceItem(cal.createRecurrenceRule("RRULE:" + args[4]));
        }
        doTransaction("add", event, event.calendar, null, null);
        return event.id;
        """,
        calendar, title, milliseconds(start), milliseconds(end), *rule,
    )  # fmt: skip
    return uid


def booked_and_seen(practice: Practice, thunderbird: Thunderbird, **more: Any) -> Booked:
    booked = practice.book(**more)
    thunderbird.wait_for("Appointments", booked.uid, title=booked.title)
    practice.told(booked, 1)
    return booked


def puts(practice: Practice, booked: Booked) -> list[Exchange]:
    """Those of the appointment so far, into whichever calendar."""
    return [each for each in practice.recorder.exchanges if each.method == "PUT" and booked.id in each.path]


# The account


def test_the_new_calendar_dialog_finds_each_calendar(thunderbird: Thunderbird, found: list[str]) -> None:
    assert found == ["Appointments", "Working hours", "Leave", "Waitlist", "Personal"]
    # The first is Thunderbird's own.
    wait_until(
        lambda: (
            [each["name"] for each in thunderbird.run("return clinic.calendars();")[1:] if each["tasks"]]
            == ["Waitlist"]
        ),
        "tasks are for the waitlist alone",
    )
    seen = thunderbird.run("return clinic.calendars();")[1:]
    assert [each["name"] for each in seen] == found
    assert not any(each["readOnly"] or each["disabled"] for each in seen)
    assert len({each["color"] for each in seen}) == len(seen)


def test_discovery_writes_nothing(practice: Practice, thunderbird: Thunderbird) -> None:
    """It tries an empty PUT to the root."""
    tried = [each for each in practice.recorder.exchanges if each.method == "PUT" and each.path == "/"]
    assert tried and all(each.status in (403, 405) for each in tried)


@pytest.mark.parametrize("calendar", ["Appointments", "Working hours", "Leave", "Waitlist"])
def test_all_that_a_calendar_holds_is_seen(practice: Practice, thunderbird: Thunderbird, calendar: str) -> None:
    names = {"Appointments": "appointments", "Working hours": "hours", "Leave": "leave", "Waitlist": "waitlist"}
    held = {line[4:] for line in practice.exported(names[calendar]).splitlines() if line.startswith("UID:")}
    held = {uid for uid in held if "alarm" not in uid}
    assert held
    wait_until(
        lambda: {each["uid"] for each in thunderbird.run(
            "return (await clinic.items(args[0])).map(each => clinic.told(each));", calendar
        )} >= held,
        f"{len(held)} items",
    )  # fmt: skip


# Plain events


def test_an_event_is_created_moved_resized_and_deleted(practice: Practice, thunderbird: Thunderbird) -> None:
    start = practice.free_time() + timedelta(hours=8)
    uid = create(thunderbird, "Personal", "Tennis", start, start + SLOT)
    wait_until(lambda: f"UID:{uid}" in practice.exported("personal"), "the event is on the server")
    thunderbird.wait_for("Personal", uid, title="Tennis")
    drag(thunderbird, "Personal", uid, start + SLOT, start + 2 * SLOT)
    wait_until(lambda: f":{start + SLOT:%Y%m%dT%H%M%S}" in practice.exported("personal"), "moved")
    thunderbird.wait_for("Personal", uid, start=milliseconds(start + SLOT))
    drag(thunderbird, "Personal", uid, start + SLOT, start + 4 * SLOT)
    wait_until(
        lambda: f"DTEND;TZID=Europe/Vienna:{start + 4 * SLOT:%Y%m%dT%H%M%S}" in practice.exported("personal"), "resized"
    )
    thunderbird.wait_for("Personal", uid, start=milliseconds(start + SLOT), end=milliseconds(start + 4 * SLOT))
    thunderbird.run("clinic.remove(await clinic.item('Personal', args[0]));", uid)
    wait_until(lambda: uid not in practice.exported("personal"), "deleted")
    thunderbird.run("window.undo();")
    wait_until(lambda: f"UID:{uid}" in practice.exported("personal"), "deleting is undone")
    thunderbird.run("clinic.remove(await clinic.item('Personal', args[0]));", uid)
    wait_until(lambda: uid not in practice.exported("personal"), "deleted again")


def test_two_quick_edits_ask_nothing(practice: Practice, thunderbird: Thunderbird) -> None:
    """As soon as Thunderbird shows the first edit as made, it makes the second."""
    booked = booked_and_seen(practice, thunderbird)
    for step in (1, 2, 3):
        drag(thunderbird, "Appointments", booked.uid, booked.start + step * SLOT / 4, booked.end + step * SLOT / 4)
        thunderbird.run(
            """await clinic.until("the edit is made", async () =>
                clinic.told(await clinic.item("Appointments", args[0])).start == args[1]);""",
            booked.uid, milliseconds(booked.start + step * SLOT / 4),
        )  # fmt: skip
    assert practice.start(booked) == booked.start + 3 * SLOT / 4
    assert [each.status for each in puts(practice, booked)] == [204, 204, 204]
    assert len(practice.told(booked, 2)) == 2


# Appointments


def test_a_dragged_appointment_is_rescheduled_and_its_patient_told_once(
    practice: Practice, thunderbird: Thunderbird
) -> None:
    booked = booked_and_seen(practice, thunderbird)
    drag(thunderbird, "Appointments", booked.uid, booked.start + SLOT, booked.end + SLOT)
    wait_until(lambda: practice.status(booked) == "rescheduled", "the status is rescheduled")
    assert practice.start(booked) == booked.start + SLOT
    told = thunderbird.wait_for("Appointments", booked.uid, start=milliseconds(booked.start + SLOT))
    assert (told["title"], told["status"]) == (booked.title, "TENTATIVE")
    assert "Rescheduled" in told["categories"]
    practice.told(booked, 2)
    assert len(practice.mails(booked)) == 2


def test_a_resized_appointment_keeps_its_start(practice: Practice, thunderbird: Thunderbird) -> None:
    booked = booked_and_seen(practice, thunderbird)
    drag(thunderbird, "Appointments", booked.uid, booked.start, booked.end + SLOT)
    end = booked.end + SLOT
    wait_until(lambda: datetime.fromisoformat(practice.appointment(booked)["end"]) == end, "resized")
    assert practice.start(booked) == booked.start


def test_a_word_in_the_title_confirms_and_the_title_comes_back(practice: Practice, thunderbird: Thunderbird) -> None:
    booked = booked_and_seen(practice, thunderbird)
    rename(thunderbird, "Appointments", booked.uid, f"{booked.title} #confirm")
    wait_until(lambda: practice.status(booked) == "confirmed", "confirmed")
    told = thunderbird.wait_for("Appointments", booked.uid, title=booked.title)
    assert told["status"] == "CONFIRMED"


def test_an_edit_some_seconds_after_a_correction_asks_nothing(practice: Practice, thunderbird: Thunderbird) -> None:
    """The server follows the correction with a new ETag that Thunderbird has not seen."""
    booked = booked_and_seen(practice, thunderbird)
    rename(thunderbird, "Appointments", booked.uid, f"{booked.title} #confirm")
    wait_until(lambda: practice.status(booked) == "confirmed", "confirmed")
    first = wait_until(lambda: etag(practice, booked), "has an ETag")
    thunderbird.run("await new Promise(resolve => setTimeout(resolve, args[0]));", CORRECTED_SECONDS * 1000)
    later = etag(practice, booked)
    print(f"corrected: ETag {first} became {later}")
    drag(thunderbird, "Appointments", booked.uid, booked.start + SLOT, booked.end + SLOT)
    wait_until(lambda: practice.start(booked) == booked.start + SLOT, "moved")
    assert [each.status for each in puts(practice, booked)] == [204, 204]


def etag(practice: Practice, booked: Booked) -> str:
    return str(practice.dav("HEAD", f"appointments/{booked.uid}localhost.ics").headers.get("ETag", ""))


def test_an_alarm_is_added_and_snoozed_without_a_message(practice: Practice, thunderbird: Thunderbird) -> None:
    booked = booked_and_seen(practice, thunderbird)
    thunderbird.run(
        """
        clinic.change(await clinic.item("Appointments", args[0]), changed => {
            const { CalAlarm } = ChromeUtils.importESModule("resource:///modules/CalAlarm.sys.mjs");
            const alarm = new CalAlarm();
            alarm.action = "DISPLAY";
            alarm.related = Ci.calIAlarm.ALARM_RELATED_START;
            alarm.offset = cal.createDuration("-PT15M");
            changed.addAlarm(alarm);
        });
        await clinic.until("the alarm is there", async () =>
            (await clinic.item("Appointments", args[0])).getAlarms().length == 1);
        """,
        booked.uid,
    )
    since = len(puts(practice, booked))
    thunderbird.run("clinic.snooze(await clinic.item('Appointments', args[0]), 5);", booked.uid)
    wait_until(lambda: len(puts(practice, booked)) > since, "the snooze is on the server")
    last = puts(practice, booked)[-1]
    assert "X-MOZ-SNOOZE-TIME" in last.body and last.status == 204
    assert practice.status(booked) == "scheduled"
    # One that is told after it: by then the snooze would have been told as well.
    marker = booked_and_seen(practice, thunderbird)
    drag(thunderbird, "Appointments", marker.uid, marker.start + SLOT, marker.end + SLOT)
    practice.told(marker, 2)
    assert len(practice.mails(booked)) == 1


def test_a_deleted_appointment_is_cancelled_after_the_quiet_period(
    practice: Practice, thunderbird: Thunderbird
) -> None:
    booked = booked_and_seen(practice, thunderbird)
    thunderbird.run("clinic.remove(await clinic.item('Appointments', args[0]));", booked.uid)
    wait_until(lambda: practice.status(booked) == "cancelled_doctor", "cancelled", SETTLED_SECONDS)
    assert len(practice.told(booked, 2)) == 2


def test_deleting_and_undoing_tells_nobody(practice: Practice, thunderbird: Thunderbird) -> None:
    booked = booked_and_seen(practice, thunderbird)
    thunderbird.run("clinic.remove(await clinic.item('Appointments', args[0]));", booked.uid)
    practice.recorder.wait_for("DELETE", f"{booked.uid}localhost.ics")
    thunderbird.run("window.undo();")
    wait_until(lambda: [e.status for e in puts(practice, booked)] in ([201], [204]), "the undo is on the server")
    marker = booked_and_seen(practice, thunderbird)
    drag(thunderbird, "Appointments", marker.uid, marker.start + SLOT, marker.end + SLOT)
    practice.told(marker, 2)
    assert practice.status(booked) == "scheduled"
    assert len(practice.mails(booked)) == 1
    thunderbird.wait_for("Appointments", booked.uid, title=booked.title)


def test_done_in_the_title_completes_what_has_been(practice: Practice, thunderbird: Thunderbird) -> None:
    booked = booked_and_seen(practice, thunderbird)
    past = (datetime.now(VIENNA) - timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    drag(thunderbird, "Appointments", booked.uid, past, past + SLOT)
    wait_until(lambda: practice.start(booked) == past, "moved into the past")
    rename(thunderbird, "Appointments", booked.uid, f"#done {booked.title}")
    wait_until(lambda: practice.status(booked) == "completed", "completed")
    told = thunderbird.wait_for("Appointments", booked.uid, title=f"✓ {booked.title}")
    assert "Completed" in told["categories"]


# Series


def test_one_occurrence_is_moved_and_one_deleted(practice: Practice, thunderbird: Thunderbird) -> None:
    booked = practice.book(rrule="FREQ=WEEKLY;COUNT=4", on_conflict="refuse", start=practice.free_weeks(4))
    thunderbird.wait_for("Appointments", booked.uid, title=booked.title)
    second, third = (milliseconds(booked.start + number * WEEK) for number in (1, 2))
    thunderbird.run(
        "clinic.drag(await clinic.occurrence('Appointments', args[0], args[1]), args[2], args[3]);",
        booked.uid, second, second + 3_600_000, second + 3_600_000 + 1_200_000,
    )  # fmt: skip
    thunderbird.wait_for("Appointments", booked.uid, exceptions=1)
    thunderbird.run("clinic.remove(await clinic.occurrence('Appointments', args[0], args[1]));", booked.uid, third)
    sent = wait_until(lambda: [each for each in puts(practice, booked) if "EXDATE" in each.body], "an EXDATE")[-1]
    assert "EXDATE;TZID=Europe/Vienna" in sent.body
    wait_until(
        lambda: practice.statuses(booked) == ["scheduled", "rescheduled", "cancelled_doctor", "scheduled"],
        "settled",
        SETTLED_SECONDS,
    )
    told = thunderbird.wait_for("Appointments", booked.uid, exceptions=1)
    assert told["start"] == milliseconds(booked.start)


# Other calendars


def test_hours_made_in_the_app_can_be_booked_and_a_closed_day_cannot(
    practice: Practice, thunderbird: Thunderbird
) -> None:
    today = datetime.now(VIENNA).replace(hour=9, minute=0, second=0, microsecond=0)
    saturday = today + timedelta(days=(5 - today.weekday()) % 7 + 21)

    def hours(day: datetime) -> list[str]:
        return [f"{slot:%H:%M}" for slot in practice.slots(day.date())]

    assert hours(saturday) == []
    uid = create(
        thunderbird, "Working hours", "Saturday 30 min", saturday, saturday + timedelta(hours=2), "FREQ=WEEKLY;COUNT=3"
    )
    wait_until(lambda: hours(saturday) == ["09:00", "09:30", "10:00", "10:30"], "Saturday is open")
    assert hours(saturday + WEEK) == ["09:00", "09:30", "10:00", "10:30"]
    thunderbird.wait_for("Working hours", uid)
    thunderbird.run(
        "clinic.remove(await clinic.occurrence('Working hours', args[0], args[1]));", uid, milliseconds(saturday + WEEK)
    )
    wait_until(lambda: hours(saturday + WEEK) == [], "the second Saturday is closed")
    assert hours(saturday) == ["09:00", "09:30", "10:00", "10:30"]
    thunderbird.wait_for("Working hours", uid, exdates=1)
    drag(thunderbird, "Working hours", uid, saturday + timedelta(hours=1), saturday + timedelta(hours=2))
    wait_until(lambda: hours(saturday) == ["10:00", "10:30"], "shorter hours")
    thunderbird.wait_for("Working hours", uid, start=milliseconds(saturday + timedelta(hours=1)))
    thunderbird.run("clinic.remove(await clinic.item('Working hours', args[0]));", uid)
    wait_until(lambda: hours(saturday) == [], "closed again")


def test_leave_comes_back_as_pending(practice: Practice, thunderbird: Thunderbird) -> None:
    start = practice.free_time() + timedelta(days=7)
    uid = create(thunderbird, "Leave", "Dentist", start, start + timedelta(hours=1))
    told = thunderbird.wait_for("Leave", uid, status="TENTATIVE")
    assert told["title"] == "Leave (pending): Dentist"
    assert start not in practice.slots(start.date())
    thunderbird.run("clinic.remove(await clinic.item('Leave', args[0]));", uid)
    wait_until(lambda: start in practice.slots(start.date()), "the leave is withdrawn")


def test_a_waitlist_task_is_ticked_off(practice: Practice, thunderbird: Thunderbird) -> None:
    [task, *_] = wait_until(
        lambda: thunderbird.run("return (await clinic.items('Waitlist')).map(each => clinic.told(each));"), "a task"
    )

    def waiting() -> int:
        return [each["status"] for each in practice.ask("GET", "/waitlist")["waitlist"]].count("waiting")

    before = waiting()
    thunderbird.run(
        "clinic.change(await clinic.item('Waitlist', args[0]), changed => { changed.isCompleted = true; });",
        task["uid"],
    )
    wait_until(lambda: waiting() == before - 1, "one fewer waits")


def test_what_the_patient_does_is_seen(practice: Practice, thunderbird: Thunderbird) -> None:
    booked = booked_and_seen(practice, thunderbird)
    practice.ask("POST", f"/appointments/{booked.id}/cancel", json={"by": "patient"})
    told = thunderbird.wait_for("Appointments", booked.uid, status="CANCELLED")
    assert told["title"] == f"Cancelled: {booked.title}"


# Refusals and conflicts


def test_an_appointment_dragged_into_another_calendar_stays(practice: Practice, thunderbird: Thunderbird) -> None:
    booked = booked_and_seen(practice, thunderbird)
    thunderbird.run(
        """clinic.change(await clinic.item("Appointments", args[0]), changed => {
            changed.calendar = clinic.calendar("Personal");
        });""",
        booked.uid,
    )
    attempt = wait_until(lambda: puts(practice, booked), "the attempt")
    assert [(each.path.split("/")[3], each.status) for each in attempt] == [("personal", 403)]
    marker = booked_and_seen(practice, thunderbird)
    drag(thunderbird, "Appointments", marker.uid, marker.start + SLOT, marker.end + SLOT)
    practice.told(marker, 2)
    assert practice.status(booked) == "scheduled"
    thunderbird.wait_for("Appointments", booked.uid, title=booked.title)
    assert thunderbird.told("Personal", booked.uid) is None
    print("refused:", thunderbird.interruptions())


def test_submitting_anyway_does_not_undo_what_the_patient_did(practice: Practice, thunderbird: Thunderbird) -> None:
    booked = booked_and_seen(practice, thunderbird)
    practice.ask("POST", f"/appointments/{booked.id}/cancel", json={"by": "patient"})
    thunderbird.run("clinic.overwrite = true;")
    drag(thunderbird, "Appointments", booked.uid, booked.start + SLOT, booked.end + SLOT)
    wait_until(lambda: [e.status for e in puts(practice, booked)][-1:] == [204], "submitted anyway")
    assert [e.status for e in puts(practice, booked)] == [412, 204]
    assert "if-match" not in puts(practice, booked)[-1].headers
    told = thunderbird.wait_for("Appointments", booked.uid, status="CANCELLED")
    assert (told["title"], told["start"]) == (f"Cancelled: {booked.title}", milliseconds(booked.start))
    assert practice.status(booked) == "cancelled_patient"
    assert thunderbird.interruptions() == ["calendar-conflicts-dialog.xhtml"]


# The picture


def test_the_week_is_drawn(practice: Practice, thunderbird: Thunderbird, screen: Screen) -> None:
    monday = datetime.now(VIENNA).replace(hour=0, minute=0, second=0, microsecond=0)
    monday += timedelta(days=-monday.weekday() % 7)
    asked = {"doctor": "lee", "from": f"{monday.date()}", "to": f"{(monday + timedelta(days=4)).date()}"}
    known = practice.ask("GET", "/appointments", params=asked)["appointments"]
    assert known
    thunderbird.run("await clinic.showWeek(args[0]);", milliseconds(monday + timedelta(hours=9)))
    wait_until(
        lambda: len([title for title in thunderbird.run("return clinic.drawn();") if " · " in title]) == len(known),
        f"{len(known)} appointments are drawn",
    )
    picture = PICTURES / "thunderbird.png"
    screen.picture(picture)
    print(f"picture: {picture}")
    assert all(screen.colours().get(colour, 0) > 1_000 for colour in ("#1f77b4", "#2ca02c"))
