"""Links in messages: a subject's id signed with the installation's secret, so that nothing has to be stored."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from hashlib import sha256
from uuid import UUID

from storage.settings import Settings

_SIGNATURE_BYTES = 18


def token(settings: Settings, purpose: str, subject: UUID) -> str:
    """46 URL-safe characters: the id and a signature that also covers what the link is for."""
    return _text(subject.bytes + _signature(settings, purpose, subject))


def url(settings: Settings, purpose: str, subject: UUID) -> str:
    """The whole address: /manage/…, /offer/…, /waitlist/…"""
    return f"{settings.public_url}/{purpose}/{token(settings, purpose, subject)}"


def subject(settings: Settings, purpose: str, given: str) -> UUID | None:
    """Whom a link is about; None for one that we did not make for this purpose."""
    try:
        raw = urlsafe_b64decode(given.encode("ascii") + b"==")
    except (Error, UnicodeEncodeError):
        return None
    # The last character has bits that decoding ignores, and decoding skips what is no base64: one spelling is ours.
    if len(raw) != 16 + _SIGNATURE_BYTES or _text(raw) != given:
        return None
    found = UUID(bytes=raw[:16])
    return found if hmac.compare_digest(raw[16:], _signature(settings, purpose, found)) else None


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _signature(settings: Settings, purpose: str, of: UUID) -> bytes:
    key = b"link:" + purpose.encode() + b":" + of.bytes
    return hmac.new(settings.secret_bytes, key, sha256).digest()[:_SIGNATURE_BYTES]
