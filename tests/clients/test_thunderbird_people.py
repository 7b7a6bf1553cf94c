"""Thunderbird with an app password of the profile `full`: it knows the doctor as organiser, and leaves mails to the server."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import need
from tests.clients.practice import Booked, Practice, wait_until
from tests.clients.screen import Screen
from tests.clients.test_thunderbird import SLOT, drag, milliseconds, rename
from tests.clients.thunderbird import Thunderbird


@pytest.fixture(scope="module")
def thunderbird(practice: Practice, screen: Screen, folder: Path) -> Iterator[Thunderbird]:
    need("thunderbird")
    running = Thunderbird(folder, screen)
    try:
        password = practice.run("app-password", "add", "lee", "--label", "Thunderbird", "--profile", "full")
        running.run("window.wizard = await clinic.addAccount(...args);", practice.url, "lee", password)
        running.run("return await clinic.takeFound(window.wizard);")
        running.interruptions()
        yield running
    finally:
        running.stop()


def people(thunderbird: Thunderbird, booked: Booked) -> dict[str, Any]:
    """What Thunderbird holds of those who meet, and whether the server tells them of changes."""
    told: dict[str, Any] = thunderbird.run(
        """
        const item = await clinic.item("Appointments", args[0]);
        return {
            account: item.calendar.getProperty("organizerId"),
            organizer: item.organizer && item.organizer.id,
            attendees: item.getAttendees().map(each => [each.id, each.participationStatus]),
            foreign: cal.itip.isInvitation(item),
            editable: cal.acl.userCanModifyItem(item),
            server: item.calendar.QueryInterface(Ci.calISchedulingSupport).canNotify("REQUEST", item),
        };
        """,
        booked.uid,
    )
    return told


def test_its_appointments_are_its_own_and_a_change_is_told_once(practice: Practice, thunderbird: Thunderbird) -> None:
    booked = practice.book()
    thunderbird.wait_for("Appointments", booked.uid, title=booked.title)
    practice.told(booked, 1)
    known = {"account": "mailto:lee@clinic.example", "organizer": "mailto:lee@clinic.example"}
    able = {"foreign": False, "editable": True, "server": True}
    assert people(thunderbird, booked) == {
        **known, "attendees": [[f"mailto:{booked.email}", "NEEDS-ACTION"]], **able
    }  # fmt: skip
    drag(thunderbird, "Appointments", booked.uid, booked.start + SLOT, booked.end + SLOT)
    wait_until(lambda: practice.start(booked) == booked.start + SLOT, "moved")
    assert len(practice.told(booked, 2)) == 2
    rename(thunderbird, "Appointments", booked.uid, f"#confirm {booked.title}")
    wait_until(lambda: practice.status(booked) == "confirmed", "confirmed")
    thunderbird.wait_for("Appointments", booked.uid, status="CONFIRMED")
    assert people(thunderbird, booked)["attendees"] == [[f"mailto:{booked.email}", "ACCEPTED"]]
    # No window to write a mail in, and no question whether to
    assert thunderbird.interruptions() == []
    assert len(practice.mails(booked)) == 2


def test_it_asks_when_a_colleague_is_free(practice: Practice, thunderbird: Thunderbird) -> None:
    start = practice.free_time().replace(hour=0, minute=0)
    busy = thunderbird.run(
        """
        return await new Promise(resolve => cal.freeBusyService.getFreeBusyIntervals(
            args[0], clinic.time(args[1]), clinic.time(args[2]), Ci.calIFreeBusyInterval.BUSY_ALL,
            { onResult: (operation, found) => operation?.isPending || resolve(found.map(each => each.freeBusyType)) }
        ));
        """,
        "mailto:smith@clinic.example", milliseconds(start), milliseconds(start + timedelta(days=1)),
    )  # fmt: skip
    assert set(busy) >= {4}, "BUSY_UNAVAILABLE outside the hours"
    asked = [each for each in practice.recorder.exchanges if each.method == "POST"]
    assert [(each.path, each.status) for each in asked] == [("/dav/lee/outbox/", 200)]
