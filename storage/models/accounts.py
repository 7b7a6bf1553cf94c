"""Who there is: accounts, patients, the things that can be claimed, and the secrets that let people in."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from storage.models.base import Base


class Account(Base):
    """Somebody who can log in. Roles: doctor, receptionist, admin, patient; and resource, which nobody logs in with."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16), index=True)
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254), default="")
    phone: Mapped[str] = mapped_column(String(32), default="")
    timezone: Mapped[str] = mapped_column(String(64))
    # argon2id; None means that nobody can log in with a password (yet)
    password_hash: Mapped[str | None] = mapped_column(String(200))
    disabled: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    # For doctors
    specialty: Mapped[str] = mapped_column(String(100), default="")
    slot_minutes: Mapped[int] = mapped_column(default=30)
    capacity: Mapped[int] = mapped_column(default=1)
    # How many visits of a local day, and of a week from Monday on
    daily_maximum: Mapped[int | None]
    weekly_maximum: Mapped[int | None]
    approves_own_leave: Mapped[bool] = mapped_column(default=False)


class Patient(Base):
    """A person who is treated; with an account or without one."""

    __tablename__ = "patient"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254), default="", index=True)
    phone: Mapped[str] = mapped_column(String(32), default="")
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), unique=True)
    created_at: Mapped[datetime]
    # [{"minutes": 1440, "channel": "email"}, …]; None means the clinic's own
    reminders: Mapped[dict[str, Any] | None]


class Resource(Base):
    """Something whose minutes can be claimed, with an account of its own. Its row is the lock."""

    __tablename__ = "resource"

    id: Mapped[int] = mapped_column(primary_key=True)
    # doctor, room, machine or assistant
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), unique=True)


class AppointmentType(Base):
    """A kind of appointment. `minutes` None: as long as the slot of the working hours it falls in."""

    __tablename__ = "appointment_type"

    code: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    minutes: Mapped[int | None]
    buffer_before: Mapped[int] = mapped_column(default=0)
    buffer_after: Mapped[int] = mapped_column(default=0)
    colour: Mapped[str] = mapped_column(String(32), default="steelblue")
    # in_person or video
    mode: Mapped[str] = mapped_column(String(16), default="in_person")
    # How many may share one time; None: what the working hours say
    capacity: Mapped[int | None]
    notice_minutes: Mapped[int] = mapped_column(default=0)
    window_days: Mapped[int] = mapped_column(default=365)
    # How long before the start a patient may still cancel or move it
    cutoff_minutes: Mapped[int] = mapped_column(default=0)
    # The same for cancelling alone; None: as for both
    cutoff_cancel_minutes: Mapped[int | None]
    self_booking: Mapped[bool] = mapped_column(default=True)
    active: Mapped[bool] = mapped_column(default=True)
    position: Mapped[int] = mapped_column(default=0)
    # Usernames of the doctors who offer it; empty: all of them
    doctors: Mapped[list[str]] = mapped_column(default=list)
    # Groups of usernames of resources, of each of which one is needed: [["room-1", "room-2"], ["xray"]]
    resources: Mapped[list[Any]] = mapped_column(default=list)
    # What a patient books waits for staff to approve it
    approval: Mapped[bool] = mapped_column(default=False)
    # [{"code", "text", "kind": "text" | "yes_no" | "choice", "required", "choices"}, …]
    questions: Mapped[list[Any]] = mapped_column(default=list)
    # How many of it one doctor sees on a local day, and in a week from Monday on
    daily_maximum: Mapped[int | None]
    weekly_maximum: Mapped[int | None]
    # When it is offered: [{"days": ["mon", …], "from": "09:00", "to": "12:00"}, …]; empty: whenever there are hours
    hours: Mapped[list[Any]] = mapped_column(default=list)
    # How long a waitlist offer of it stands; None: as the waitlist says
    offer_minutes: Mapped[int | None]
    # Hours after which a freed time of it is no longer offered by itself; None: as the waitlist says
    auto_offer_hours: Mapped[int | None]
    # Days after which a follow-up is proposed; None: none is
    follow_up_days: Mapped[int | None]


class AppPassword(Base):
    """A device's password for CalDAV: `prefix` is public, `digest` is HMAC-SHA-256 of the whole."""

    __tablename__ = "app_password"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    label: Mapped[str] = mapped_column(String(100))
    prefix: Mapped[str] = mapped_column(String(16), unique=True)
    digest: Mapped[str] = mapped_column(String(64))
    profile: Mapped[str] = mapped_column(String(8), default="solo")
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    last_agent: Mapped[str] = mapped_column(String(200), default="")
    revoked_at: Mapped[datetime | None]


class ApiToken(Base):
    """A program's bearer token for the API."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    label: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Feed(Base):
    """A secret URL that shows a doctor's times (busy, initials) or a patient's own appointments (patient)."""

    __tablename__ = "feed"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    level: Mapped[str] = mapped_column(String(16))
    label: Mapped[str] = mapped_column(String(100), default="")
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), index=True)
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_fetched_at: Mapped[datetime | None]
    last_agent: Mapped[str] = mapped_column(String(200), default="")
    revoked_at: Mapped[datetime | None]


class WebSession(Base):
    """A login in a browser, or a visitor who holds a slot. The cookie's digest is the key."""

    __tablename__ = "web_session"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), index=True)
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class SecretLink(Base):
    """A one-shot link: the first admin's login, a new password."""

    __tablename__ = "secret_link"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class LoginAttempt(Base):
    """Failed logins of late, by account name and by address: the growing delay is computed from them."""

    __tablename__ = "login_attempt"

    key: Mapped[str] = mapped_column(String(320), primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[datetime]
