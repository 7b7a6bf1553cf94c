"""E-mail through SMTP. RFC 5321, RFC 6047 (calendar parts), RFC 3834 (automatic messages).

The Message-ID is made of the dedupe key, so that a mail which is sent twice is recognised by mailboxes as one. Without
CLINICDAV_SMTP_URL mails are files in the home folder's `outbox`, for whoever tries things out.
"""

import os
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from storage.outbox import Message
from storage.settings import Settings
from tasks.channels.base import GiveUp, Retry, public_id
from tasks.texts import render

_TIMEOUT_SECONDS = 15
_FOLDER = "outbox"


def send(message: Message, settings: Settings, now: datetime) -> None:
    """Raises Retry, or GiveUp when the server refuses the address or the message for good."""
    try:
        mail = compose(message, now)
    except (ValueError, MessageError, IndexError) as error:
        # What the standard library says of addresses that it cannot read
        raise GiveUp(f"the address cannot be written: {type(error).__name__}") from None
    if settings.smtp_url is None:
        _write(mail, settings.home / _FOLDER / f"{public_id(message)}.eml")
        return
    try:
        with _server(settings.smtp_url) as server:
            server.send_message(mail, from_addr=message.sender, to_addrs=[message.to])
    except smtplib.SMTPRecipientsRefused as error:
        code = max(code for code, _answer in error.recipients.values())
        _refused(code)
    except smtplib.SMTPAuthenticationError as error:
        # Somebody will correct the settings.
        raise Retry(f"SMTP {error.smtp_code}: login refused", down=True) from None
    except smtplib.SMTPResponseException as error:
        _refused(error.smtp_code)
    except (OSError, smtplib.SMTPException) as error:
        raise Retry(f"SMTP: {type(error).__name__}", down=True) from None


def compose(message: Message, now: datetime) -> EmailMessage:
    """The mail: text, HTML and, where there is an event, a calendar part that mail programs understand, and a file."""
    said = render(message)
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(_one_line(message.clinic), addr_spec=message.sender)
    mail["To"] = Address(_one_line(message.name), addr_spec=message.to)
    mail["Subject"] = said.subject
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{public_id(message)}@{message.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(said.text)
    mail.add_alternative(said.html, subtype="html")
    if message.calendar:
        mail.add_alternative(message.calendar, subtype="calendar", params={"method": message.method})
        mail.add_attachment(
            message.calendar.encode(), maintype="application", subtype="ics", filename="appointment.ics"
        )
    for number, other in enumerate(message.others, start=2):
        # A part of its own: one iTIP object is about one UID (RFC 5546 §3.2.2).
        mail.add_attachment(
            other, subtype="calendar", params={"method": "REQUEST"}, filename=f"appointment-{number}.ics"
        )
    return mail


def _one_line(name: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())


@contextmanager
def _server(url: str) -> Iterator[smtplib.SMTP]:
    """smtp://user:password@host:port, smtps://…, smtp://…?starttls=1."""
    parts = urlsplit(url)
    host, context = parts.hostname or "localhost", ssl.create_default_context()
    server = (
        smtplib.SMTP_SSL(host, parts.port or 465, timeout=_TIMEOUT_SECONDS, context=context)
        if parts.scheme == "smtps"
        else smtplib.SMTP(host, parts.port or 25, timeout=_TIMEOUT_SECONDS)
    )
    with server:
        if parse_qs(parts.query).get("starttls") == ["1"]:
            server.starttls(context=context)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        yield server


def _refused(code: int) -> None:
    if 500 <= code < 600:
        raise GiveUp(f"SMTP {code}") from None
    raise Retry(f"SMTP {code}", down=code == 421) from None


def _write(mail: EmailMessage, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    with open(unfinished, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(mail.as_bytes())
    unfinished.replace(path)
