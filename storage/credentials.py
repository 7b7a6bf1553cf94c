"""App passwords of devices (CalDAV only) and tokens of programs (API only): random, named, revoked at once.

Found by an indexed column and compared in constant time. Each check asks the database, so that what was revoked fails
on the next request.
"""

import base64
import hmac
import re
import secrets
import threading
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from ical.errors import InvalidInput
from storage import audit
from storage.db import DatabaseUnavailable, write_beside
from storage.digests import digest_of, settings_of
from storage.models import Account, ApiToken, AppPassword
from storage.policy import STAFF
from storage.prepared import Kept

PROFILES = ("solo", "full")
# Asked at every request of a calendar app.
_BY_PREFIX = Kept(
    lambda columns: (
        select(*columns)
        .join_from(AppPassword, Account, Account.id == AppPassword.account_id)
        .where(AppPassword.prefix == bindparam("prefix"))
    ),
    AppPassword,
    Account,
)
# At every call of a program.
_BY_TOKEN = Kept(
    lambda columns: (
        select(*columns)
        .join_from(ApiToken, Account, Account.id == ApiToken.account_id)
        .where(ApiToken.digest == bindparam("digest"))
    ),
    ApiToken,
    Account,
)
_STAMP_EVERY = timedelta(minutes=1)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_stamped: dict[tuple[str, int], datetime] = {}
_stamping = threading.Lock()


def add_app_password(session: Session, account: Account, label: str, profile: str, now: datetime) -> str:
    """A new app password, to be shown once. Profile: solo or full (which view of an appointment the app gets)."""
    if profile not in PROFILES:
        raise InvalidInput("The profile is solo or full.", field="profile")
    if account.role not in STAFF:
        raise InvalidInput("App passwords are for the calendars of staff.", field="username")
    prefix, body = _readable(5), _readable(17)[:26]
    session.add(
        AppPassword(
            account_id=account.id,
            label=_clean_label(label),
            prefix=prefix,
            digest=digest_of(settings_of(session), "app-password", prefix + body),
            profile=profile,
            created_at=now,
        )
    )
    session.flush()
    audit.note(session, "app_password.added", f"account:{account.id}", now, profile=profile)
    return "-".join([prefix, *(body[i : i + 5] for i in range(0, 25, 5))]) + body[25:]


def check_app_password(
    session: Session, username: str, password: str, agent: str, now: datetime
) -> tuple[Account, AppPassword] | None:
    """The account and the app password it came with. The login is the username or, as some apps want, the e-mail."""
    # Phones capitalise, and people copy with the dashes or without them.
    typed = re.sub(r"[\s-]", "", password).casefold()
    found = _BY_PREFIX.find(session, prefix=typed[:8])
    digest = digest_of(settings_of(session), "app-password", typed)
    if found is None or not hmac.compare_digest(found[0].digest, digest):
        return None
    app_password, account = found
    login = username.strip().casefold()
    # Not everybody has an e-mail address: an empty login is nobody's.
    if (
        not login
        or login not in (account.username, account.email.casefold())
        or account.disabled
        or app_password.revoked_at
    ):
        return None
    _note_use(session, app_password, agent, now)
    return account, app_password


def add_api_token(session: Session, account: Account, label: str, now: datetime) -> str:
    """A new bearer token for the API, to be shown once."""
    if account.role == "resource":
        raise InvalidInput("Tokens are for people and their programs.", field="username")
    token = "cdav_" + secrets.token_urlsafe(32)
    session.add(
        ApiToken(
            account_id=account.id,
            label=_clean_label(label),
            digest=digest_of(settings_of(session), "api-token", token),
            created_at=now,
        )
    )
    session.flush()
    audit.note(session, "token.added", f"account:{account.id}", now)
    return token


def check_api_token(session: Session, token: str, now: datetime) -> Account | None:
    """The account behind a bearer token; None when it is unknown or revoked, or the account disabled."""
    digest = digest_of(settings_of(session), "api-token", token)
    found = _BY_TOKEN.find(session, digest=digest)
    if found is None:
        return None
    token_row, account = found
    if account.disabled or token_row.revoked_at is not None:
        return None
    _note_use(session, token_row, "", now)
    return cast(Account, account)


def revoke(session: Session, secret: AppPassword | ApiToken, now: datetime) -> None:
    secret.revoked_at = secret.revoked_at or now
    session.flush()
    kind = "app_password" if isinstance(secret, AppPassword) else "token"
    audit.note(session, f"{kind}.revoked", f"account:{secret.account_id}", now, id=secret.id)


def app_passwords(session: Session, account: Account) -> list[AppPassword]:
    """Those in force, the newest first."""
    chosen = select(AppPassword).where(AppPassword.account_id == account.id, AppPassword.revoked_at.is_(None))
    return list(session.scalars(chosen.order_by(AppPassword.id.desc())))


def api_tokens(session: Session, account: Account) -> list[ApiToken]:
    """Those in force, the newest first."""
    chosen = select(ApiToken).where(ApiToken.account_id == account.id, ApiToken.revoked_at.is_(None))
    return list(session.scalars(chosen.order_by(ApiToken.id.desc())))


def _note_use(session: Session, secret: AppPassword | ApiToken, agent: str, now: datetime) -> None:
    """Remember when a secret was last used, at most once a minute. A busy database only makes this late."""
    key = (type(secret).__name__, secret.id)
    if secret.last_used_at is not None and abs(now - secret.last_used_at) < _STAMP_EVERY:
        return
    with _stamping:
        if abs(now - _stamped.get(key, _LONG_AGO)) < _STAMP_EVERY:
            return
        _stamped[key] = now
    values: dict[str, Any] = {"last_used_at": now}
    if isinstance(secret, AppPassword):
        values["last_agent"] = re.sub(r"[\x00-\x1f\x7f]", " ", agent)[:200]
    try:
        with write_beside(session) as connection:
            connection.execute(update(type(secret)).where(type(secret).id == secret.id).values(values))
    except DatabaseUnavailable:
        _stamped.pop(key, None)


def _clean_label(label: str) -> str:
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", label).split())[:100] or "unnamed"


def _readable(octets: int) -> str:
    """Random small letters and digits 2-7: nothing to confuse when typed into a phone."""
    return base64.b32encode(secrets.token_bytes(octets)).decode().rstrip("=").lower()
