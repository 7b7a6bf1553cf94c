"""Passwords of people: argon2id, a growing delay after failures, and what is too easy to guess."""

import re
import unicodedata
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ical.errors import InvalidInput, TooManyAttempts
from storage import audit, logins
from storage.db import Database
from storage.digests import digest_of, settings_of
from storage.models import Account, LoginAttempt
from storage.policy import STAFF
from storage.settings import Settings

STAFF_PASSWORD_LENGTH = 12
# Patients have no second factor
PATIENT_PASSWORD_LENGTH = 15
_LONGEST_PASSWORD = 256
# What these leave of a password is what counts.
_COMMON = re.findall(
    r"\w+",
    """
    password passwort passwd passphrase admin administrator welcome willkommen letmein iloveyou qwertyuiop qwertzuiop
    qwerty qwertz asdfghjkl yxcvbnm zxcvbnm abcdefghijklmnopqrstuvwxyz abcdefgh abcdef abc changeme changeit default
    secret geheim dragon monkey football baseball sunshine princess superman batman master login guest user test
    clinic clinicdav practice praxis ordination doctor doktor patient hospital appointment calendar
    trustno thequickbrownfox
    """,
)
# OWASP's second recommendation for argon2id: 19 MiB, so that eight people logging in at once fit a small machine.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Verified when there is no such account, so that both answers take the same time.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
_FREE_FAILURES = {"account": 4, "address": 20}
_LONGEST_DELAY = {"account": timedelta(minutes=5), "address": timedelta(minutes=15)}
_FORGIVEN_AFTER = timedelta(days=1)


def set_password(session: Session, account: Account, password: str, now: datetime) -> None:
    """Raises InvalidInput for a weak one. Ends the account's sessions."""
    account.password_hash = hashed(password, account, settings_of(session))
    logins.end_sessions(session, account)
    session.flush()
    audit.note(session, "password.changed", f"account:{account.id}", now)


def check_password(db: Database, username: str, password: str, address: str, now: datetime) -> Account | None:
    """The account, or None after the same time whether it exists or not. Raises TooManyAttempts(seconds).

    Opens its own short transactions: hashing takes long enough to hold up every other writer. The attempt is counted
    before the password is looked at, so that many guesses at once count as many.
    """
    username = username.strip().casefold()
    with db.transaction() as session:
        keys = _attempt_keys(settings_of(session), username, address)
        _refuse_hasty(session, keys, now)
        for key in keys.values():
            _count_failure(session, key, now)
        account = session.scalar(select(Account).where(Account.username == username))
    if not _verify(account, password):
        with db.transaction() as session:
            failures = session.scalar(select(LoginAttempt.failures).where(LoginAttempt.key == keys["account"])) or 0
            audit.note(
                session,
                "login.failed",
                "account" if account is None else f"account:{account.id}",
                now,
                failures=failures,
            )
        return None
    assert account is not None
    with db.transaction() as session:
        session.execute(delete(LoginAttempt).where(LoginAttempt.key == keys["account"]))
        session.execute(
            update(LoginAttempt)
            .where(LoginAttempt.key == keys["address"], LoginAttempt.failures > 0)
            .values(failures=LoginAttempt.failures - 1)
        )
        account = session.get_one(Account, account.id)
        if account.password_hash and _HASHER.check_needs_rehash(account.password_hash):
            account.password_hash = _HASHER.hash(_normalised(password))
        return None if account.disabled else account


def _verify(account: Account | None, password: str) -> bool:
    usable = account is not None and account.password_hash is not None and not account.disabled
    stored = account.password_hash if account is not None and usable else None
    try:
        return _HASHER.verify(stored or _NOBODY, _normalised(password[:_LONGEST_PASSWORD])) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def _check_strength(password: str, account: Account, settings: Settings) -> None:
    shortest = STAFF_PASSWORD_LENGTH if account.role in STAFF else PATIENT_PASSWORD_LENGTH
    if len(password) < shortest:
        raise InvalidInput(f"A password needs at least {shortest} characters.", field="password")
    if len(password) > _LONGEST_PASSWORD:
        raise InvalidInput(f"A password has at most {_LONGEST_PASSWORD} characters.", field="password")
    plain = _normalised(password).casefold()
    personal = re.findall(r"[^\W\d_]{3,}", f"{account.username} {account.name} {settings.clinic_name}".casefold())
    rest = re.sub(r"[\W\d_]", "", plain)
    for word in sorted({*personal, *_COMMON}, key=len, reverse=True):
        rest = rest.replace(word, "")
    # A password of digits alone keeps nothing in `rest`; many different ones are as good as letters.
    digits = re.sub(r"\D", "", plain)
    lively = (
        len(set(digits)) >= 6 and digits not in "01234567890123456789012345" and digits not in "98765432109876543210"
    )
    if len(set(plain)) < 5 or (len(rest) < 4 and not lively):
        raise InvalidInput("This password is too easy to guess. A few unrelated words are better.", field="password")


def _normalised(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _attempt_keys(settings: Settings, username: str, address: str) -> dict[str, str]:
    # Digests: people type passwords into the field for the name.
    return {
        "account": "account:" + digest_of(settings, "attempt", username),
        "address": "address:" + digest_of(settings, "attempt", address),
    }


def _refuse_hasty(session: Session, keys: dict[str, str], now: datetime) -> None:
    for kind, key in keys.items():
        attempt = session.get(LoginAttempt, key)
        if attempt is None or now - attempt.last_at > _FORGIVEN_AFTER:
            continue
        excess = attempt.failures - _FREE_FAILURES[kind]
        if excess < 0:
            continue
        delay = min(timedelta(seconds=2 ** min(excess, 20)), _LONGEST_DELAY[kind])
        # A clock that was set back must not lock anybody out.
        wait = min(attempt.last_at + delay - now, delay)
        if wait > timedelta(0):
            raise TooManyAttempts(int(wait.total_seconds()) + 1)


def _count_failure(session: Session, key: str, now: datetime) -> None:
    attempt = session.get(LoginAttempt, key)
    if attempt is None:
        session.execute(delete(LoginAttempt).where(LoginAttempt.last_at < now - _FORGIVEN_AFTER))
        session.add(LoginAttempt(key=key, failures=1, last_at=now))
    else:
        attempt.failures = 1 if now - attempt.last_at > _FORGIVEN_AFTER else attempt.failures + 1
        attempt.last_at = now
    session.flush()


def hashed(password: str, account: Account, settings: Settings) -> str:
    """What is kept of a password. Raises InvalidInput for a weak one."""
    _check_strength(password, account, settings)
    return _HASHER.hash(_normalised(password))
