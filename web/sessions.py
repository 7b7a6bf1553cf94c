"""Who is at the other end: the cookie, the login behind it, and the actor that storage.policy judges.

The cookie is a random key. For somebody logged in, its digest is a row of web_session; for a visitor there is no row,
and the key only ties forms to the browser. A login or logout always makes a new key.
"""

import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Response, g, request

from storage import accounts, logins
from storage.db import DatabaseUnavailable
from storage.models import Account
from storage.policy import VISITOR, Actor
from web.services import now, reading, settings, transaction

# Pages that refresh themselves say so with this header: they must not keep a login alive.
POLL_HEADER = "X-Clinicdav-Poll"
_STAMP_AFTER = timedelta(minutes=1)


def cookie_name() -> str:
    return "__Host-clinicdav" if settings().public_url.startswith("https:") else "clinicdav"


def load() -> None:
    """Set g.account (None for a visitor) and g.actor."""
    g.account, g.actor, g.patient = None, VISITOR, None
    token = request.cookies.get(cookie_name(), "")
    if not 20 <= len(token) <= 128:
        return
    g.browser_key = token
    with reading() as session:
        found = logins.load_session(session, token, now())
        if found is None or found[1] is None:
            return
        login, g.account = found
        g.patient = accounts.patient_of(session, g.account) if g.account.role == "patient" else None
    g.actor = actor_of(g.account, g.patient.id if g.patient else None)
    if now() - login.seen_at >= _STAMP_AFTER and POLL_HEADER not in request.headers:
        try:
            with transaction() as session:
                logins.save_session(session, token, login.data, now())
        except DatabaseUnavailable:
            return


def actor_of(account: Account, patient_id: UUID | None = None) -> Actor:
    return Actor(
        kind="account",
        role=account.role,
        account_id=account.id,
        username=account.username,
        patient_id=patient_id,
        via="portal",
        label="patient" if account.role == "patient" else account.username,
    )


def link_actor(link_to: UUID, patient_id: UUID | None = None) -> Actor:
    """Whoever opened a link from a mail: reaches that one appointment or entry."""
    return Actor(kind="link", patient_id=patient_id, via="link", label="patient", link_to=link_to)


def browser_key() -> str:
    """The cookie's value, made now when the browser has none."""
    if not getattr(g, "browser_key", ""):
        _set_key(secrets.token_urlsafe(32))
    return str(g.browser_key)


def log_in(session: Any, account: Account) -> None:
    """Begin a login under a new cookie; what the old cookie stood for ends."""
    if getattr(g, "browser_key", ""):
        logins.end_session(session, g.browser_key, now())
    _set_key(logins.new_session(session, account, {}, now()))


def log_out(session: Any) -> None:
    if getattr(g, "browser_key", ""):
        logins.end_session(session, g.browser_key, now())
    _set_key(secrets.token_urlsafe(32))


def _set_key(key: str) -> None:
    g.browser_key, g.new_browser_key = key, True


def remember(response: Response) -> None:
    """Send the cookie when it is new."""
    if getattr(g, "new_browser_key", False):
        secure = settings().public_url.startswith("https:")
        response.set_cookie(cookie_name(), g.browser_key, secure=secure, httponly=True, samesite="Lax", path="/")
