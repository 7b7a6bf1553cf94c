"""The contract of a channel: `send` returns when the message was taken over, raises Retry or GiveUp otherwise.

It may be called twice with one message (a crash between sending and noting it): what can be deduplicated is, by the
message's `dedupe_key`.
"""

import hashlib

from storage.outbox import Message


class Retry(Exception):
    """Not now. `down`: nothing at all goes through this channel at the moment. The text holds no names."""

    def __init__(self, error: str, *, down: bool = False) -> None:
        super().__init__(error)
        self.down = down


class GiveUp(Exception):
    """Never: the address or the message was refused. The text holds no names."""


def public_id(message: Message) -> str:
    """What the outer world sees of the dedupe key: as unique, and it says nothing."""
    return hashlib.sha256(message.dedupe_key.encode()).hexdigest()[:40]
