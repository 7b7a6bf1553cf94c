"""What is refused is 403 with need-privileges, makes the app fetch its copy again, and is told where a doctor looks."""

from collections.abc import Callable
from datetime import datetime
from datetime import time as clock_time
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from storage import accounts, appointment_types, booking, drafts, hours, outbox, views
from storage.models import Notice, OutboxMessage
from storage.policy import SYSTEM, VISITOR
from tests.caldav.helpers import Answer, Clinic, D, Dav, event

VIENNA = ZoneInfo("Europe/Vienna")
TODO = event().replace("VEVENT", "VTODO").replace("DTEND", "DUE")


@pytest.fixture
def booked(lite: Clinic) -> tuple[Clinic, str]:
    """An appointment with lee, and its path."""
    with lite.db.transaction() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        now = lite.clock()
        day = datetime(2026, 11, 24, 10, tzinfo=VIENNA)
        hours.add_hours(session, lee, ["tue"], clock_time(8), clock_time(16), slot=20, actor=SYSTEM, now=now)
        patient = accounts.find_or_create_patient(session, "Maria Huber", "maria@mail.example", "", now)
        new = drafts.NewAppointment(day, appointment_types.get(session, "consultation"), patient)
        booking.book(session, [lee], new, actor=VISITOR, now=now)
    name = next(iter(lite.client("lee").propfind("/lee/appointments/", "D:getetag", depth="1").members))
    return lite, f"/lee/appointments/{name}"


def told(clinic: Clinic) -> list[str]:
    with clinic.db.reading() as session:
        return list(session.scalars(select(Notice.text).order_by(Notice.id)))


def mailed(clinic: Clinic) -> list[str]:
    with clinic.db.reading() as session:
        asked = select(OutboxMessage.template).where(OutboxMessage.template == "staff_notice")
        return list(session.scalars(asked))


def test_refused_move_touches_the_object_and_is_told_by_notice_and_mail(booked: tuple[Clinic, str]) -> None:
    clinic, path = booked
    app = clinic.client("lee")
    token = app.sync("/lee/appointments/").xml.findtext(f"{D}sync-token", "")
    answer = app.request("MOVE", path, headers={"Destination": "/dav/lee/personal/a.ics"})
    assert (answer.status, answer.condition) == (403, "need-privileges")
    assert app.sync("/lee/appointments/", token).members == {path.rpartition("/")[2]}
    assert told(clinic) == [
        "What your app did in the calendar “appointments” was not accepted: This entry stays in its calendar."
    ]
    now = clinic.clock()
    _confirmation, lease = sorted(outbox.claim_due(clinic.db, now, 20, 60), key=lambda lease: lease.id)
    with clinic.db.reading() as session:
        message = outbox.message(session, lease, now)
    assert isinstance(message, outbox.Message)
    assert (message.to, message.template) == ("lee@test.example", "staff_notice")
    assert "Maria" not in message.text and message.link.endswith("/notices/")


READ_ONLY: dict[str, Callable[[Dav, str], Answer]] = {
    "PUT": lambda app, path: app.put(path, event("x@test")),
    "DELETE": lambda app, path: app.delete(path),
}


@pytest.mark.parametrize("method", READ_ONLY)
def test_whoever_may_only_read_is_refused_and_fetches_again(
    booked: tuple[Clinic, str], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic, path = booked
    monkeypatch.setattr("caldav_bridge.resources.letters", lambda _request, _place: "r")
    app = clinic.client("lee")
    before = app.get(path).headers["ETag"]
    answer = READ_ONLY[method](app, path)
    assert (answer.status, answer.condition) == (403, "need-privileges")
    assert app.get(path).headers["ETag"] != before
    assert len(told(clinic)) == len(mailed(clinic)) == 1


def test_app_that_repeats_itself_at_every_sync_is_told_of_once(lite: Clinic) -> None:
    app = lite.client("lee")
    for _ in range(3):
        assert app.put("/lee/waitlist/a.ics", TODO).status == 403
    assert len(told(lite)) == len(mailed(lite)) == 1
    with lite.db.transaction() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        views.mark_read(session, lee.id, None, lite.clock())
    assert app.put("/lee/waitlist/a.ics", TODO).status == 403
    assert len(told(lite)) == 2


def test_event_that_cannot_be_read_is_told_to_whoever_sent_it(lite: Clinic) -> None:
    every_second = event("a@test", "20261124T090000", "20261124T093000", "RRULE:FREQ=SECONDLY")
    assert lite.client("desk").put("/lee/hours/a.ics", every_second).status == 403
    with lite.db.reading() as session:
        desk = accounts.by_username(session, "desk")
        assert desk is not None
        assert [notice.account_id for notice in session.scalars(select(Notice))] == [desk.id]


def test_an_etag_that_is_stale_is_no_news(booked: tuple[Clinic, str]) -> None:
    clinic, path = booked
    assert clinic.client("lee").put(path, event(), If_Match='"stale"').status == 412
    assert told(clinic) == []
