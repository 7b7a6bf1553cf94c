"""Secrets are kept as HMAC-SHA-256 under the installation's own secret, by purpose."""

import hashlib
import hmac

from sqlalchemy.orm import Session

from storage.settings import Settings


def digest_of(settings: Settings, purpose: str, value: str) -> str:
    return hmac.new(settings.secret_bytes, f"{purpose}:{value}".encode(), hashlib.sha256).hexdigest()


def settings_of(session: Session) -> Settings:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return settings
