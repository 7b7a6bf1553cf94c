"""Accounts, patients, and the secrets that let people, devices and programs in.

People have passwords (argon2id); devices have app passwords and programs API tokens: random, kept as HMAC-SHA-256
under the installation's secret, found by an indexed column and compared in constant time. Each check asks the
database, so that what was revoked fails on the next request.
"""

import base64
import hashlib
import hmac
import re
import secrets
import threading
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import phonenumbers
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from ical import timezones
from ical.errors import InvalidInput, TooManyAttempts
from storage import audit, collections
from storage.db import Database, DatabaseUnavailable, write_beside
from storage.models import (
    Account,
    ApiToken,
    Appointment,
    AppPassword,
    LoginAttempt,
    Patient,
    Resource,
    SecretLink,
    WebSession,
    table_of,
)
from storage.policy import STAFF
from storage.prepared import Kept, Prepared, attached
from storage.settings import Settings

ROLES = ("doctor", "receptionist", "admin", "patient")
PROFILES = ("solo", "full")
STAFF_PASSWORD_LENGTH = 12
# Patients have no second factor
PATIENT_PASSWORD_LENGTH = 15
_LONGEST_PASSWORD = 256

_USERNAME = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,62}[a-z0-9])?")
# Words with a meaning of their own in paths, in the API and in labels
_RESERVED = frozenset(
    ("all", "any", "clinicdav", "dav", "inbox", "me", "nobody", "none", "null", "outbox")
    + ("principals", "public", "self", "system", "undefined", "visitor")
)
_EMAIL = re.compile(r"[^\s@<>()\[\],;:\"\\]{1,64}@[^\s@<>()\[\],;:\"\\]{1,189}")
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
_BY_USERNAME = Kept(lambda columns: select(*columns).where(Account.username == bindparam("username")), Account)
_PATIENTS = table_of(Patient)
_WITH_EMAIL = Prepared(
    select(_PATIENTS).where(_PATIENTS.c.email == bindparam("email")).order_by(_PATIENTS.c.created_at)
)

_FREE_FAILURES = {"account": 4, "address": 20}
_LONGEST_DELAY = {"account": timedelta(minutes=5), "address": timedelta(minutes=15)}
_FORGIVEN_AFTER = timedelta(days=1)
_STAMP_EVERY = timedelta(minutes=1)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_stamped: dict[tuple[str, int], datetime] = {}
_stamping = threading.Lock()


def create_account(
    session: Session,
    *,
    role: str,
    username: str,
    name: str,
    email: str = "",
    phone: str = "",
    password: str | None = None,
    timezone: str | None = None,
    specialty: str = "",
    slot_minutes: int = 30,
    capacity: int = 1,
    now: datetime,
) -> Account:
    """A new account; a doctor with a resource that can be claimed, staff with calendars, a patient with a record.
    Rooms, machines and assistants are made by storage.resources.

    Raises InvalidInput naming the field."""
    if role not in (*ROLES, "resource"):
        raise InvalidInput("The role is doctor, receptionist, admin or patient.", field="role")
    username = username.strip()
    if not _USERNAME.fullmatch(username) or username in _RESERVED:
        raise InvalidInput(
            "A username has up to 64 small letters, digits and . _ - @ + and begins and ends with a letter or digit;"
            " a few words are reserved.",
            field="username",
        )
    if by_username(session, username) is not None:
        raise InvalidInput("This username is taken.", field="username")
    settings = _settings(session)
    key = timezone or settings.timezone
    timezones.zone(key)
    account = Account(
        username=username,
        role=role,
        name=clean_name(name),
        email=clean_email(email) if email else "",
        phone=clean_phone(phone) if phone else "",
        timezone=key,
        specialty=specialty,
        slot_minutes=slot_minutes,
        capacity=capacity,
        created_at=now,
    )
    if password is not None:
        _check_strength(password, account, settings)
        account.password_hash = _HASHER.hash(_normalised(password))
    session.add(account)
    session.flush()
    if role == "doctor":
        session.add(Resource(kind="doctor", name=account.name, account_id=account.id))
    if role == "patient":
        session.add(
            Patient(
                id=uuid4(),
                name=account.name,
                email=account.email,
                phone=account.phone,
                account_id=account.id,
                created_at=now,
            )
        )
    session.flush()
    collections.ensure_home(session, account, now)
    audit.note(session, "account.created", _object(account), now, role=role)
    return account


def by_username(session: Session, username: str) -> Account | None:
    found = _BY_USERNAME.attached(session, username=username)
    return None if found is None else cast(Account, found[0])


def doctors(session: Session) -> list[Account]:
    """Those who can be booked, by name."""
    chosen = select(Account).where(Account.role == "doctor", Account.disabled.is_(False))
    return list(session.scalars(chosen.order_by(Account.name, Account.id)))


def disable(session: Session, account: Account, now: datetime) -> None:
    """Nobody enters with this account any more: its sessions end, its other secrets are refused while it lasts."""
    account.disabled = True
    end_sessions(session, account)
    audit.note(session, "account.disabled", _object(account), now)


def enable(session: Session, account: Account, now: datetime) -> None:
    """The account is in use again, with the passwords and tokens that it had."""
    account.disabled = False
    audit.note(session, "account.enabled", _object(account), now)


# Passwords of people


def set_password(session: Session, account: Account, password: str, now: datetime) -> None:
    """Raises InvalidInput for a weak one. Ends the account's sessions."""
    _check_strength(password, account, _settings(session))
    account.password_hash = _HASHER.hash(_normalised(password))
    end_sessions(session, account)
    session.flush()
    audit.note(session, "password.changed", _object(account), now)


def check_password(db: Database, username: str, password: str, address: str, now: datetime) -> Account | None:
    """The account, or None after the same time whether it exists or not. Raises TooManyAttempts(seconds).

    Opens its own short transactions: hashing takes long enough to hold up every other writer. The attempt is counted
    before the password is looked at, so that many guesses at once count as many.
    """
    username = username.strip().casefold()
    with db.transaction() as session:
        keys = _attempt_keys(_settings(session), username, address)
        _refuse_hasty(session, keys, now)
        for key in keys.values():
            _count_failure(session, key, now)
        account = by_username(session, username)
    if not _verify(account, password):
        with db.transaction() as session:
            failures = session.scalar(select(LoginAttempt.failures).where(LoginAttempt.key == keys["account"])) or 0
            audit.note(
                session, "login.failed", "account" if account is None else _object(account), now, failures=failures
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
        "account": "account:" + _digest(settings, "attempt", username),
        "address": "address:" + _digest(settings, "attempt", address),
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


# Secrets of devices and programs


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
            digest=_digest(_settings(session), "app-password", prefix + body),
            profile=profile,
            created_at=now,
        )
    )
    session.flush()
    audit.note(session, "app_password.added", _object(account), now, profile=profile)
    return "-".join([prefix, *(body[i : i + 5] for i in range(0, 25, 5))]) + body[25:]


def check_app_password(
    session: Session, username: str, password: str, agent: str, now: datetime
) -> tuple[Account, AppPassword] | None:
    """The account and the app password it came with. The login is the username or, as some apps want, the e-mail."""
    # Phones capitalise, and people copy with the dashes or without them.
    typed = re.sub(r"[\s-]", "", password).casefold()
    found = _BY_PREFIX.find(session, prefix=typed[:8])
    digest = _digest(_settings(session), "app-password", typed)
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
            digest=_digest(_settings(session), "api-token", token),
            created_at=now,
        )
    )
    session.flush()
    audit.note(session, "token.added", _object(account), now)
    return token


def check_api_token(session: Session, token: str, now: datetime) -> Account | None:
    """The account behind a bearer token; None when it is unknown or revoked, or the account disabled."""
    digest = _digest(_settings(session), "api-token", token)
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


# Logins in a browser


def new_session(session: Session, account: Account | None, data: dict[str, Any], now: datetime) -> str:
    """The cookie's value for a login, or for a visitor (None) who keeps a slot."""
    token = secrets.token_urlsafe(32)
    session.add(
        WebSession(
            digest=_digest(_settings(session), "session", token),
            account_id=None if account is None else account.id,
            data=data,
            created_at=now,
            seen_at=now,
        )
    )
    session.flush()
    if account is not None:
        audit.note(session, "login", _object(account), now)
    return token


def load_session(session: Session, token: str, now: datetime) -> tuple[WebSession, Account | None] | None:
    """The session behind a cookie; None when it is unknown, idle too long, too old, or its account disabled."""
    settings = _settings(session)
    found = session.get(WebSession, _digest(settings, "session", token))
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
    digest = _digest(_settings(session), "session", token)
    session.execute(update(WebSession).where(WebSession.digest == digest).values(data=data, seen_at=now))


def end_session(session: Session, token: str, now: datetime) -> None:
    ended = delete(WebSession).where(WebSession.digest == _digest(_settings(session), "session", token))
    for account_id in session.scalars(ended.returning(WebSession.account_id)).all():
        if account_id is not None:
            audit.note(session, "logout", f"account:{account_id}", now)


def end_sessions(session: Session, account: Account) -> None:
    """Log `account` out everywhere."""
    session.execute(delete(WebSession).where(WebSession.account_id == account.id))


def sweep_sessions(session: Session, now: datetime) -> None:
    """Remove sessions that have ended by their age."""
    oldest = now - timedelta(hours=_settings(session).session_absolute_hours)
    session.execute(delete(WebSession).where(WebSession.created_at < oldest))
    session.execute(delete(SecretLink).where(SecretLink.expires_at < now - timedelta(days=30)))


def create_login_link(
    session: Session, account: Account, now: datetime, *, kind: str = "login", minutes: int = 30
) -> str:
    """The token of a link that works once: kind login, or password (set a new one)."""
    token = secrets.token_urlsafe(32)
    digest = _digest(_settings(session), "link", token)
    expires = now + timedelta(minutes=minutes)
    session.add(SecretLink(digest=digest, kind=kind, account_id=account.id, expires_at=expires))
    session.flush()
    audit.note(session, "link.created", _object(account), now, kind=kind)
    return token


def find_login_link(session: Session, token: str, now: datetime, *, kind: str = "login") -> Account | None:
    """Whose link it is while it still works; does not use it up (pages are fetched by scanners too)."""
    link = session.get(SecretLink, _digest(_settings(session), "link", token))
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
            SecretLink.digest == _digest(_settings(session), "link", token),
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
    audit.note(session, "link.used", _object(account), now, kind=kind)
    return account


# Patients


def find_or_create_patient(session: Session, name: str, email: str, phone: str, now: datetime) -> Patient:
    """The patient with this name and contact, or a new record (always, without any contact). Raises InvalidInput.

    What a visitor types never changes the contact of somebody who is known: messages would go astray."""
    name = clean_name(name)
    email = clean_email(email) if email else ""
    phone = clean_phone(phone) if phone else ""
    if email or phone:
        for row in _WITH_EMAIL.rows(session, email=email):
            known = dict(zip(_PATIENTS.columns.keys(), row, strict=True))
            if known["name"].casefold() == name.casefold() and phone in ("", known["phone"]):
                return attached(session, Patient, known)
    patient = Patient(id=uuid4(), name=name, email=email, phone=phone, created_at=now)
    session.add(patient)
    session.flush()
    return patient


def patient_of(session: Session, account: Account) -> Patient | None:
    """The record of somebody who logs in as a patient."""
    return session.scalar(select(Patient).where(Patient.account_id == account.id))


def doctors_of(session: Session, patient_id: UUID) -> frozenset[int]:
    """The ids of the doctors whom this patient has or had an appointment with."""
    chosen = select(Appointment.doctor_id).where(Appointment.patient_id == patient_id).distinct()
    return frozenset(session.scalars(chosen))


def clean_name(name: str) -> str:
    """One line of 1 to 200 characters. Raises InvalidInput."""
    cleaned = " ".join(re.sub(r"[\x00-\x1f\x7f\u2028\u2029]", " ", name).split())
    if not 1 <= len(cleaned) <= 200:
        raise InvalidInput("A name has 1 to 200 characters.", field="name")
    return cleaned


def clean_email(email: str) -> str:
    """An address in the form that we keep: the domain in small letters and as ASCII. Raises InvalidInput."""
    local, _, domain = email.strip().rpartition("@")
    try:
        address = f"{local}@{domain.lower().encode('idna').decode()}"
    except UnicodeError:
        address = ""
    if len(address) > 254 or not address.isascii() or not _EMAIL.fullmatch(address) or not address.isprintable():
        raise InvalidInput("This is not an e-mail address.", field="email")
    return address


def clean_phone(phone: str) -> str:
    """A number without blanks and dashes, in international form where that can be told. Raises InvalidInput."""
    digits = re.sub(r"[\s()./-]", "", phone)
    if not re.fullmatch(r"\+?[0-9]{4,16}", digits):
        raise InvalidInput("This is not a phone number. The form +43 1 234567 always works.", field="phone")
    try:
        number = phonenumbers.parse(digits)
    except phonenumbers.NumberParseException:
        # Without a country it stays as it was typed: the gateway knows its own country.
        return digits
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _object(account: Account) -> str:
    return f"account:{account.id}"


def _clean_label(label: str) -> str:
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", label).split())[:100] or "unnamed"


def _readable(octets: int) -> str:
    """Random small letters and digits 2-7: nothing to confuse when typed into a phone."""
    return base64.b32encode(secrets.token_bytes(octets)).decode().rstrip("=").lower()


def _digest(settings: Settings, purpose: str, value: str) -> str:
    return hmac.new(settings.secret_bytes, f"{purpose}:{value}".encode(), hashlib.sha256).hexdigest()


def _settings(session: Session) -> Settings:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return settings
