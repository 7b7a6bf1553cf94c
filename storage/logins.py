"""Logins in a browser, and links that work once. Of the cookie and of the link only a digest is kept."""

import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from storage import audit
from storage.digests import digest_of, settings_of
from storage.models import Account, SecretLink, WebSession
from storage.policy import STAFF


def new_session(session: Session, account: Account | None, data: dict[str, Any], now: datetime) -> str:
    """The cookie's value for a login, or for a visitor (None) who keeps a slot."""
    token = secrets.token_urlsafe(32)
    session.add(
        WebSession(
            digest=digest_of(settings_of(session), "session", token),
            account_id=None if account is None else account.id,
            data=data,
            created_at=now,
            seen_at=now,
        )
    )
    session.flush()
    if account is not None:
        audit.note(session, "login", f"account:{account.id}", now)
    return token


def load_session(session: Session, token: str, now: datetime) -> tuple[WebSession, Account | None] | None:
    """The session behind a cookie; None when it is unknown, idle too long, too old, or its account disabled."""
    settings = settings_of(session)
    found = session.get(WebSession, digest_of(settings, "session", token))
    if found is None:
        return None
    account = None if found.account_id is None else session.get(Account, found.account_id)
    if found.account_id is not None and (account is None or account.disabled):
        return None
    staff = account is not None and account.role in STAFF
    idle = settings.session_idle_staff_minutes if staff else settings.session_idle_patient_minutes
    if now - found.seen_at >= timedelta(minutes=idle):
        return None
    if now - found.created_at >= timedelta(hours=settings.session_absolute_hours):
        return None
    return found, account


def save_session(session: Session, token: str, data: dict[str, Any], now: datetime) -> None:
    """Keep `data` and note that somebody is there. A session that has ended meanwhile stays ended."""
    digest = digest_of(settings_of(session), "session", token)
    session.execute(update(WebSession).where(WebSession.digest == digest).values(data=data, seen_at=now))


def end_session(session: Session, token: str, now: datetime) -> None:
    ended = delete(WebSession).where(WebSession.digest == digest_of(settings_of(session), "session", token))
    for account_id in session.scalars(ended.returning(WebSession.account_id)).all():
        if account_id is not None:
            audit.note(session, "logout", f"account:{account_id}", now)


def end_sessions(session: Session, account: Account) -> None:
    """Log `account` out everywhere."""
    session.execute(delete(WebSession).where(WebSession.account_id == account.id))


def sweep_sessions(session: Session, now: datetime) -> None:
    """Remove sessions that have ended by their age."""
    oldest = now - timedelta(hours=settings_of(session).session_absolute_hours)
    session.execute(delete(WebSession).where(WebSession.created_at < oldest))
    session.execute(delete(SecretLink).where(SecretLink.expires_at < now - timedelta(days=30)))


def create_login_link(
    session: Session, account: Account, now: datetime, *, kind: str = "login", minutes: int = 30
) -> str:
    """The token of a link that works once: kind login, or password (set a new one)."""
    token = secrets.token_urlsafe(32)
    digest = digest_of(settings_of(session), "link", token)
    expires = now + timedelta(minutes=minutes)
    session.add(SecretLink(digest=digest, kind=kind, account_id=account.id, expires_at=expires))
    session.flush()
    audit.note(session, "link.created", f"account:{account.id}", now, kind=kind)
    return token


def find_login_link(session: Session, token: str, now: datetime, *, kind: str = "login") -> Account | None:
    """Whose link it is while it still works; does not use it up (pages are fetched by scanners too)."""
    link = session.get(SecretLink, digest_of(settings_of(session), "link", token))
    if link is None or link.kind != kind or link.used_at is not None or link.expires_at <= now:
        return None
    account = session.get(Account, link.account_id)
    return None if account is None or account.disabled else account


def use_login_link(session: Session, token: str, now: datetime, *, kind: str = "login") -> Account | None:
    """The account, for the first who asks; None for everybody after, and after its time."""
    account = find_login_link(session, token, now, kind=kind)
    used = session.execute(
        update(SecretLink)
        .where(
            SecretLink.digest == digest_of(settings_of(session), "link", token),
            SecretLink.kind == kind,
            SecretLink.used_at.is_(None),
            SecretLink.expires_at > now,
        )
        .values(used_at=now)
        .returning(SecretLink.digest)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if account is None or used is None:
        return None
    audit.note(session, "link.used", f"account:{account.id}", now, kind=kind)
    return account
