"""Text messages through an HTTP gateway: POST of JSON to CLINICDAV_SMS_URL, RFC 9110.

The body is {"to": "+43…", "text": "…", "id": "…"}. The same `id` stands in the header Idempotency-Key: a gateway that
honours it never sends one message twice. Any 2xx answer means that the message was taken over.
"""

from datetime import datetime

from storage.outbox import Message
from storage.settings import Settings
from tasks.channels.base import GiveUp, Retry, public_id
from tasks.texts import render

_TIMEOUT_SECONDS = 10
_LATER = frozenset({401, 403, 408, 425, 429})


def send(message: Message, settings: Settings, now: datetime) -> None:
    """Raises Retry, or GiveUp when the gateway refuses the message for good (or there is no gateway)."""
    if settings.sms_url is None:
        raise GiveUp("no SMS gateway is configured")
    # Most practices have none, and this takes 4 MB.
    import httpx

    headers = {"Idempotency-Key": public_id(message)}
    if settings.sms_token:
        headers["Authorization"] = f"Bearer {settings.sms_token}"
    body = {"to": message.to, "text": render(message).short, "id": public_id(message)}
    try:
        answer = httpx.post(settings.sms_url, json=body, headers=headers, timeout=_TIMEOUT_SECONDS)
    except httpx.HTTPError as error:
        raise Retry(f"SMS: {type(error).__name__}", down=True) from None
    if answer.is_success:
        return
    if answer.status_code in _LATER or answer.is_server_error:
        # A wrong token is a setting that somebody will correct.
        raise Retry(f"SMS {answer.status_code}", down=answer.status_code != 408)
    raise GiveUp(f"SMS {answer.status_code}")
