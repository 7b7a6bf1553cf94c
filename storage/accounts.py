"""Accounts and patients. What lets them in: storage.passwords, storage.logins, storage.credentials."""

import re
from datetime import datetime
from typing import cast
from uuid import UUID, uuid4

import phonenumbers
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from ical import timezones
from ical.errors import InvalidInput
from storage import audit, collections, logins, passwords
from storage.digests import settings_of
from storage.models import (
    Account,
    Appointment,
    Patient,
    Resource,
    table_of,
)
from storage.prepared import Kept, Prepared, attached

ROLES = ("doctor", "receptionist", "admin", "patient")

_USERNAME = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,62}[a-z0-9])?")
# Words with a meaning of their own in paths, in the API and in labels
_RESERVED = frozenset(
    ("all", "any", "clinicdav", "dav", "inbox", "me", "nobody", "none", "null", "outbox")
    + ("principals", "public", "self", "system", "undefined", "visitor")
)
_EMAIL = re.compile(r"[^\s@<>()\[\],;:\"\\]{1,64}@[^\s@<>()\[\],;:\"\\]{1,189}")


_BY_USERNAME = Kept(lambda columns: select(*columns).where(Account.username == bindparam("username")), Account)
_PATIENTS = table_of(Patient)
_WITH_EMAIL = Prepared(
    select(_PATIENTS).where(_PATIENTS.c.email == bindparam("email")).order_by(_PATIENTS.c.created_at)
)


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
    settings = settings_of(session)
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
        account.password_hash = passwords.hashed(password, account, settings)
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
    audit.note(session, "account.created", f"account:{account.id}", now, role=role)
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
    logins.end_sessions(session, account)
    audit.note(session, "account.disabled", f"account:{account.id}", now)


def enable(session: Session, account: Account, now: datetime) -> None:
    """The account is in use again, with the passwords and tokens that it had."""
    account.disabled = False
    audit.note(session, "account.enabled", f"account:{account.id}", now)


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
