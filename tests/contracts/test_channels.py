"""What every channel promises: taken over, or Retry, or GiveUp; the same key for the same message; nothing clinical."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from storage.outbox import Message, Time
from storage.settings import Settings
from tasks.channels.base import GiveUp, Retry
from tasks.outbox import CHANNELS

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
VIENNA = ZoneInfo("Europe/Vienna")
MESSAGE = Message(
    dedupe_key="appointment_changed:1",
    template="appointment_changed",
    channel="",
    to="",
    name="Maria Huber",
    clinic="Praxis Wien",
    sender="desk@clinic.example",
    doctor="Dr. Lee",
    times=(Time(datetime(2026, 11, 23, 9, tzinfo=VIENNA), datetime(2026, 11, 23, 9, 20, tzinfo=VIENNA)),),
    link="https://clinic.example/manage/abc",
)


@dataclass
class Rig:
    """A channel with its sink. `answer` makes the sink say later, never or fine."""

    name: str
    message: Message
    settings: Settings
    answer: Callable[[str], None]
    # What the sink has got: (key for deduplication, text)
    taken: Callable[[], list[tuple[str, str]]]

    def send(self, message: Message | None = None) -> None:
        CHANNELS[self.name](message or self.message, self.settings, NOW)


@pytest.fixture
def email(settings: Settings, smtp_sink: Any) -> Rig:
    answers = {"fine": "250 OK", "later": "451 busy", "never": "554 no"}

    def taken() -> list[tuple[str, str]]:
        return [(mail["Message-ID"], mail.get_body(("plain",)).get_content()) for mail in smtp_sink.messages]

    def answer(how: str) -> None:
        smtp_sink.answer = answers[how]

    told = settings.model_copy(update={"smtp_url": smtp_sink.url})
    return Rig("email", replace(MESSAGE, channel="email", to="maria@mail.example"), told, answer, taken)


@pytest.fixture
def sms(settings: Settings, sms_sink: Any) -> Rig:
    answers = {"fine": 202, "later": 503, "never": 400}

    def taken() -> list[tuple[str, str]]:
        return [(request.headers["idempotency-key"], json.loads(request.body)["text"]) for request in sms_sink.requests]

    def answer(how: str) -> None:
        sms_sink.status = answers[how]

    told = settings.model_copy(update={"sms_url": sms_sink.url, "sms_token": "t0ken"})
    return Rig("sms", replace(MESSAGE, channel="sms", to="+4366412345678"), told, answer, taken)


@pytest.fixture(params=sorted(CHANNELS))
def rig(request: pytest.FixtureRequest) -> Rig:
    found: Rig = request.getfixturevalue(request.param)
    return found


def test_a_message_arrives_with_its_words(rig: Rig) -> None:
    rig.send()
    ((_key, text),) = rig.taken()
    assert "https://clinic.example/manage/abc" in text


def test_the_same_message_has_the_same_key_and_another_one_another(rig: Rig) -> None:
    rig.send()
    rig.send()
    rig.send(replace(rig.message, dedupe_key="appointment_changed:2"))
    keys = [key for key, _text in rig.taken()]
    assert keys[0] == keys[1] != keys[2]
    assert "appointment" not in keys[0]


def test_a_sink_that_is_busy_means_retry(rig: Rig) -> None:
    rig.answer("later")
    with pytest.raises(Retry):
        rig.send()
    rig.answer("fine")
    rig.send()


def test_a_sink_that_refuses_means_give_up(rig: Rig) -> None:
    rig.answer("never")
    with pytest.raises(GiveUp):
        rig.send()


def test_a_sink_that_is_not_there_means_retry_and_that_the_channel_is_down(rig: Rig) -> None:
    dead = rig.settings.model_copy(update={"smtp_url": "smtp://127.0.0.1:9", "sms_url": "http://127.0.0.1:9/"})
    with pytest.raises(Retry) as refused:
        CHANNELS[rig.name](rig.message, dead, NOW)
    assert refused.value.down


@pytest.mark.parametrize("how", ["later", "never"])
def test_an_error_names_nobody(rig: Rig, how: str) -> None:
    rig.answer(how)
    with pytest.raises((Retry, GiveUp)) as refused:
        rig.send()
    for secret in (rig.message.to, rig.message.name, "clinic.example", "t0ken"):
        assert secret not in str(refused.value)


# What only one of them has


def test_mail_carries_the_event_for_mail_programs_and_as_a_file(email: Rig, smtp_sink: Any) -> None:
    text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
    email.send(replace(email.message, calendar=text, method="REQUEST"))
    (mail,) = smtp_sink.messages
    parts = {part.get_content_type(): part for part in mail.walk()}
    assert parts["text/calendar"].get_param("method") == "REQUEST"
    assert parts["text/calendar"].get_content().splitlines() == text.splitlines()
    assert parts["application/ics"].get_filename() == "appointment.ics"
    assert parts["application/ics"].get_payload(decode=True) == text.encode()
    assert mail["Auto-Submitted"] == "auto-generated" and mail["From"] == "Praxis Wien <desk@clinic.example>"


def test_a_name_cannot_add_a_header_or_a_recipient(email: Rig, smtp_sink: Any) -> None:
    email.send(replace(email.message, name="x\r\nBcc: victim@mail.example", clinic='Praxis "A", <b@c.example>'))
    (mail,) = smtp_sink.messages
    assert mail["Bcc"] is None and smtp_sink.recipients == [["maria@mail.example"]]


def test_a_refused_recipient_is_given_up(email: Rig, smtp_sink: Any) -> None:
    async def refuse(*_: Any) -> str:
        return "550 no such mailbox"

    smtp_sink.handle_RCPT = refuse
    with pytest.raises(GiveUp):
        email.send()


def test_without_a_server_mails_are_files_that_only_we_can_read(settings: Settings) -> None:
    message = replace(MESSAGE, channel="email", to="maria@mail.example")
    for _ in range(2):
        CHANNELS["email"](message, settings, NOW)
    (path,) = (settings.home / "outbox").iterdir()
    assert path.suffix == ".eml" and path.stat().st_mode & 0o077 == 0
    assert b"To: Maria Huber <maria@mail.example>" in path.read_bytes()


def test_a_text_message_is_sent_with_the_token(sms: Rig, sms_sink: Any) -> None:
    sms.send()
    (request,) = sms_sink.requests
    assert request.headers["authorization"] == "Bearer t0ken"
    assert set(json.loads(request.body)) == {"to", "text", "id"}


@pytest.mark.parametrize("status,error", [(401, Retry), (429, Retry), (500, Retry), (302, GiveUp), (422, GiveUp)])
def test_what_a_gateway_answers(sms: Rig, sms_sink: Any, status: int, error: type[Exception]) -> None:
    sms_sink.status = status
    with pytest.raises(error):
        sms.send()


def test_without_a_gateway_there_is_nothing_to_try(settings: Settings) -> None:
    with pytest.raises(GiveUp):
        CHANNELS["sms"](replace(MESSAGE, channel="sms", to="+4366412345678"), settings, NOW)
