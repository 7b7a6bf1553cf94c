"""Links in messages: only the token that we made opens anything."""

from uuid import UUID

from storage import links
from storage.settings import Settings

SUBJECT = UUID("0a7bc1d6-5f0e-4cf5-9d3a-6f2f7d0f4a11")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_a_link_has_one_spelling(settings: Settings) -> None:
    token = links.token(settings, "manage", SUBJECT)
    assert links.subject(settings, "manage", token) == SUBJECT
    last = ALPHABET.index(token[-1])
    others = [token[:-1] + ALPHABET[last ^ bit] for bit in (1, 2, 4, 8)]
    for other in [*others, token + "=", token + "==", f" {token}", f"{token}\n", f"{token[:20]}.{token[20:]}"]:
        assert links.subject(settings, "manage", other) is None


def test_a_link_is_for_one_purpose(settings: Settings) -> None:
    assert links.subject(settings, "offer", links.token(settings, "manage", SUBJECT)) is None
