"""Series cut in two, and appointments cut and pasted, as calendar apps do it: two requests that do not name each other."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from email.message import EmailMessage
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from storage import accounts, appointment_types, booking, drafts, hours, outbox, settling
from storage.models import Appointment, Claim, Notice, OutboxMessage, Visit
from storage.policy import SYSTEM, VISITOR
from tasks.channels import email
from tests.caldav.helpers import Clinic, Dav, event

VIENNA = ZoneInfo("Europe/Vienna")
NEW = "/lee/appointments/F0A1.ics"


@dataclass
class Phone:
    """lee's calendar app, with five weekly visits of Maria Huber on Tuesdays at ten from 13 October on."""

    clinic: Clinic
    app: Dav
    id: UUID
    path: str

    @property
    def text(self) -> str:
        return re.sub(r"\r\n[ \t]", "", self.app.get(self.path).text)

    @property
    def uid(self) -> str:
        return self.path.rpartition("/")[2].removesuffix(".ics")

    def put(self, path: str, text: str) -> None:
        assert self.app.put(path, text).status in (201, 204)
        self.clinic.clock.pass_time(seconds=3)

    def settle(self) -> None:
        self.clinic.clock.pass_time(seconds=121)
        with self.clinic.db.transaction() as session:
            due = settling.due_to_settle(session, self.clinic.clock())
        for appointment_id in due:
            with self.clinic.db.transaction() as session:
                settling.settle(session, appointment_id, self.clinic.clock())

    def mail(self) -> EmailMessage:
        """The latest mail, as it would leave."""
        now = self.clinic.clock()
        lease = max(outbox.claim_due(self.clinic.db, now, 20, 60), key=lambda lease: lease.id)
        with self.clinic.db.reading() as session:
            message = outbox.message(session, lease, now)
        assert isinstance(message, outbox.Message)
        return email.compose(message, now)

    def messages(self) -> list[str]:
        with self.clinic.db.reading() as session:
            return list(session.scalars(select(OutboxMessage.template).order_by(OutboxMessage.id)))[1:]

    def visits(self) -> dict[UUID, list[tuple[str, str]]]:
        """By appointment: wall time and status."""
        found: dict[UUID, list[tuple[str, str]]] = {}
        with self.clinic.db.reading() as session:
            for visit in session.scalars(select(Visit).order_by(Visit.start)):
                wall = f"{visit.start.astimezone(VIENNA):%d.%m. %H:%M}"
                found.setdefault(visit.appointment_id, []).append((wall, visit.status))
        return found

    def claims(self) -> list[str]:
        with self.clinic.db.reading() as session:
            asked = select(Claim.start).where(Claim.seat == 0).order_by(Claim.start)
            return [f"{start.astimezone(VIENNA):%d.%m. %H:%M}" for start in session.scalars(asked)]


def phone_with(clinic: Clinic, rrule: str | None) -> Phone:
    clinic.clock.now = datetime(2026, 10, 5, 8, tzinfo=UTC)
    with clinic.db.transaction() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        now = clinic.clock()
        days = ["mon", "tue", "wed", "thu", "fri"]
        hours.add_hours(
            session, lee, days, clock_time(8), clock_time(16), slot=20, actor=SYSTEM, now=now, first=now.date()
        )
        patient = accounts.find_or_create_patient(session, "Maria Huber", "maria@mail.example", "", now)
        kind = appointment_types.get(session, "consultation")
        start = datetime(2026, 10, 13, 10, tzinfo=VIENNA)
        new = drafts.NewAppointment(start, kind, patient, reason="Knee pain", rrule=rrule)
        booked = booking.book(session, [lee], new, actor=VISITOR, now=now)
    app = clinic.client("lee")
    name = next(iter(app.propfind("/lee/appointments/", "D:getetag", depth="1").members))
    return Phone(clinic, app, booked.appointment.id, f"/lee/appointments/{name}")


@pytest.fixture
def phone(clinic: Clinic) -> Iterator[Phone]:
    yield phone_with(clinic, "FREQ=WEEKLY;COUNT=5")


def halves(phone: Phone, hours_later: int) -> tuple[str, str]:
    """The past two and the coming three, the latter at another time."""
    past = phone.text.replace("COUNT=5", "UNTIL=20261027T085959Z")
    time = f"20261027T{10 + hours_later}"
    coming = phone.text.replace("COUNT=5", "COUNT=3").replace("20261013T10", time)
    return past, coming


@pytest.mark.parametrize("new_first", [False, True])
def test_this_and_all_following_moved_is_one_message_and_no_cancellation(phone: Phone, new_first: bool) -> None:
    past, coming = halves(phone, hours_later=1)
    writes = [(phone.path, past), (NEW, coming.replace(phone.uid, "F0A1"))]
    for path, text in reversed(writes) if new_first else writes:
        phone.put(path, text)
    phone.settle()
    phone.settle()
    assert phone.messages() == ["appointment_changed"]
    first, second = phone.visits().pop(phone.id), next(v for k, v in phone.visits().items() if k != phone.id)
    assert first == [("13.10. 10:00", "scheduled"), ("20.10. 10:00", "scheduled")]
    assert second == [(f"{day} 11:00", "rescheduled") for day in ("27.10.", "03.11.", "10.11.")]
    assert phone.claims() == ["13.10. 10:00", "20.10. 10:00", "27.10. 11:00", "03.11. 11:00", "10.11. 11:00"]


@pytest.mark.parametrize("new_first", [False, True])
def test_macos_gives_the_new_uid_the_past_and_nothing_is_cancelled(phone: Phone, new_first: bool) -> None:
    past, coming = halves(phone, hours_later=1)
    writes = [(phone.path, coming), (NEW, past.replace(phone.uid, "F0A1"))]
    for path, text in reversed(writes) if new_first else writes:
        phone.put(path, text)
    phone.settle()
    assert phone.messages() == ["appointment_changed"]
    coming_visits = phone.visits().pop(phone.id)
    past_visits = next(v for k, v in phone.visits().items() if k != phone.id)
    assert coming_visits == [(f"{day} 11:00", "rescheduled") for day in ("27.10.", "03.11.", "10.11.")]
    assert past_visits == [("13.10. 10:00", "scheduled"), ("20.10. 10:00", "scheduled")]


@pytest.mark.parametrize("macos", [False, True])
def test_patients_calendar_is_told_of_both_halves_in_one_mail(phone: Phone, macos: bool) -> None:
    past, coming = halves(phone, hours_later=1)
    kept, cut = (coming, past) if macos else (past, coming)
    phone.put(phone.path, kept)
    phone.put(NEW, cut.replace(phone.uid, "F0A1"))
    phone.settle()
    mail = phone.mail()
    parts = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
    assert [part.get_param("method") for part in parts] == ["REQUEST", "REQUEST"]
    told = {uid: text for text in (part.get_content() for part in parts) for uid in re.findall("UID:(.*)", text)}
    assert sorted(told) == sorted(["F0A1", phone.uid])
    old, new = (told[phone.uid], told["F0A1"]) if not macos else (told["F0A1"], told[phone.uid])
    assert "UNTIL=20261027T085959Z" in old and "DTSTART;TZID=Europe/Vienna:20261013T100000" in old
    assert "COUNT=3" in new and "DTSTART;TZID=Europe/Vienna:20261027T110000" in new
    # A later change of one half alone
    phone.put(NEW, phone.app.get(NEW).text.replace("T110000", "T130000").replace("T10", "T12").replace("T11", "T13"))
    phone.settle()
    assert len([part for part in phone.mail().walk() if part.get_content_type() == "text/calendar"]) == 2


def test_split_that_moves_nothing_tells_nobody(phone: Phone) -> None:
    past, coming = halves(phone, hours_later=0)
    phone.put(phone.path, past)
    phone.put(NEW, coming.replace(phone.uid, "F0A1"))
    phone.settle()
    assert phone.messages() == []
    assert [status for visits in phone.visits().values() for _wall, status in visits] == ["scheduled"] * 5


def test_second_half_of_a_split_is_an_appointment_that_can_be_dragged(phone: Phone) -> None:
    past, coming = halves(phone, hours_later=1)
    phone.put(phone.path, past)
    phone.put(NEW, coming.replace(phone.uid, "F0A1"))
    phone.settle()
    phone.put(NEW, phone.app.get(NEW).text.replace("20261027T11", "20261027T13"))
    phone.settle()
    assert phone.messages() == ["appointment_changed"] * 2
    assert phone.claims()[2:] == ["27.10. 13:00", "03.11. 13:00", "10.11. 13:00"]


def test_shortened_series_is_cancelled_from_there_on(phone: Phone) -> None:
    phone.put(phone.path, halves(phone, 0)[0])
    phone.settle()
    assert phone.messages() == ["appointment_cancelled"]
    assert phone.claims() == ["13.10. 10:00", "20.10. 10:00"]


def test_occurrences_put_back_after_their_cancellation_was_told_are_told_again(phone: Phone) -> None:
    whole = phone.text
    phone.put(phone.path, whole.replace("RRULE:", "EXDATE:20261103T090000Z\r\nRRULE:"))
    phone.settle()
    phone.put(phone.path, re.sub("EXDATE.*?\r\n", "", phone.text))
    phone.settle()
    assert phone.messages() == ["appointment_cancelled", "appointment_confirmed"]
    assert phone.visits()[phone.id][3] == ("03.11. 10:00", "scheduled")


def test_cut_and_pasted_appointment_is_moved_and_keeps_its_link(clinic: Clinic) -> None:
    phone = phone_with(clinic, None)
    pasted = phone.text.replace("20261013T10", "20261014T11").replace(phone.uid, "F0A1")
    assert phone.app.delete(phone.path).status == 204
    phone.put(NEW, pasted)
    phone.settle()
    assert phone.messages() == ["appointment_changed"]
    assert phone.visits() == {phone.id: [("14.10. 11:00", "rescheduled")]}
    with clinic.db.reading() as session:
        assert len(session.scalars(select(Appointment)).all()) == 1
    # The old event comes back from a phone that was offline: it is nobody's appointment any more.
    assert phone.app.put(phone.path, pasted.replace("F0A1", phone.uid)).status in (201, 204)
    phone.settle()
    assert phone.messages() == ["appointment_changed"]


def test_event_with_a_patient_as_guest_is_an_appointment_in_the_apps_copy_too(clinic: Clinic) -> None:
    phone = phone_with(clinic, None)
    invited = event("F0A1", "20261014T110000", "20261014T112000", "SUMMARY:Maria", "ATTENDEE:mailto:Maria@mail.example")
    answer = phone.app.put(NEW, invited)
    assert answer.status == 201 and "ETag" not in answer.headers
    served = phone.app.get(NEW).text
    assert "SUMMARY:Maria H. · Consultation" in served and "ATTENDEE" not in served
    phone.settle()
    assert phone.messages() == ["appointment_confirmed"]
    assert ("14.10. 11:00", "scheduled") in sum(phone.visits().values(), [])


def test_split_of_many_past_weeks_finds_its_visits(phone: Phone) -> None:
    phone.clinic.clock.pass_time(days=15)
    past, coming = halves(phone, hours_later=2)
    phone.put(phone.path, coming.replace("20261027T12", "20261103T12").replace("COUNT=3", "COUNT=2"))
    phone.put(NEW, past.replace("20261027T085959Z", "20261103T085959Z").replace(phone.uid, "F0A1"))
    phone.settle()
    assert phone.messages() == ["appointment_changed"]
    assert phone.visits()[phone.id] == [("03.11. 12:00", "rescheduled"), ("10.11. 12:00", "rescheduled")]
    assert timedelta(0) < datetime(2026, 11, 3, 11, tzinfo=UTC) - phone.clinic.clock()


def test_appointment_dragged_into_the_past_tells_the_doctor_and_nobody_else(clinic: Clinic) -> None:
    phone = phone_with(clinic, None)
    phone.put(phone.path, phone.text.replace("20261013T10", "20261001T10"))
    phone.settle()
    assert phone.messages() == []
    with clinic.db.reading() as session:
        assert any("into the past" in text for text in session.scalars(select(Notice.text)))
