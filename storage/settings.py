"""Settings: the environment (CLINICDAV_*) over CLINICDAV_HOME/clinicdav.toml over the defaults below.

Each field is a setting: `quiet_seconds` is CLINICDAV_QUIET_SECONDS in the environment and `quiet_seconds = 120`
in the file. A key in the file that is not listed here is an error, so that a misspelt one is noticed.
"""

import os
import secrets
import tomllib
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

FILE_NAME = "clinicdav.toml"
SECRET_NAME = "secret"
_PLACEHOLDERS = ("change", "secret", "placeholder", "example", "password", "dev", "test")


class SettingsError(Exception):
    """A setting cannot be used. The text is one line that says which and what to do."""


def default_home() -> Path:
    """CLINICDAV_HOME, else `clinicdav` in the user's data folder (XDG Base Directory)."""
    named = os.environ.get("CLINICDAV_HOME")
    if named:
        return Path(named).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "clinicdav"


def _database_in_home(values: dict[str, Any]) -> str:
    return f"sqlite:///{values['home']}/clinicdav.sqlite3"


def _domain_of_url(values: dict[str, Any]) -> str:
    host = urlsplit(values.get("public_url", "")).hostname or "localhost"
    return "localhost" if is_loopback(host) else host


def _address_at_domain(values: dict[str, Any]) -> str:
    return f"appointments@{values.get('uid_domain', 'localhost')}"


class Settings(BaseSettings):
    """What the installation was told. Frozen: a change needs a restart."""

    model_config = SettingsConfigDict(env_prefix="CLINICDAV_", env_ignore_empty=True, frozen=True, extra="forbid")

    home: Path = Field(default_factory=default_home)
    database_url: str = Field(default_factory=_database_in_home, repr=False)
    # redis://… or amqp://…; None: the worker is embedded in `clinicdav serve`
    broker_url: str | None = Field(default=None, repr=False)
    # What links in messages and feeds begin with
    public_url: str = "http://127.0.0.1:8000"
    # Domain of the UIDs that we make; must stay as it is once there are appointments
    uid_domain: str = Field(default_factory=_domain_of_url)
    # Plain HTTP for a public_url that is not loopback
    insecure_http: bool = False
    # How many reverse proxies set X-Forwarded-*
    proxy_hops: int = Field(default=0, ge=0, le=5)

    clinic_name: str = "Practice"
    timezone: str = "Europe/Vienna"

    # smtp://user:password@host:port, smtps://…, …?starttls=1; None: mails are written to HOME/outbox
    smtp_url: str | None = Field(default=None, repr=False)
    mail_from: str = Field(default_factory=_address_at_domain)
    # The HTTP gateway that takes text messages
    sms_url: str | None = Field(default=None, repr=False)
    sms_token: str | None = Field(default=None, repr=False)

    # How long a change made in a calendar app rests before the patient is told
    quiet_seconds: int = Field(default=120, ge=0, le=86_400)
    hold_minutes: int = Field(default=10, ge=1, le=120)
    offer_minutes: int = Field(default=120, ge=1, le=10_080)

    # Video visits get an unguessable room below this address (Jitsi)
    video_url: str = "https://meet.jit.si"

    session_idle_staff_minutes: int = Field(default=15, ge=1)
    session_idle_patient_minutes: int = Field(default=30, ge=1)
    session_absolute_hours: int = Field(default=12, ge=1)

    # What is logged: requests are info
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # PEM files: the certificate with its chain, and its key, that sign profiles for Apple's devices
    profile_certificate: Path | None = None
    profile_key: Path | None = Field(default=None, validate_default=True)

    # Instead of the file `secret` in the home folder
    secret: str | None = Field(default=None, repr=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = init_settings().get("home") or default_home()
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(home) / FILE_NAME)

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("database_url")
    @classmethod
    def _psycopg(cls, value: str) -> str:
        scheme, _, rest = value.partition("://")
        if scheme in ("postgres", "postgresql"):
            return f"postgresql+psycopg://{rest}"
        if scheme not in ("sqlite", "postgresql+psycopg"):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return value

    @field_validator("public_url")
    @classmethod
    def _http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.rstrip("/") or parts.query:
            raise ValueError("must look like https://clinic.example, without a path")
        return value.rstrip("/")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be an IANA time zone such as Europe/Vienna") from None
        return value

    @field_validator("profile_key")
    @classmethod
    def _both_or_none(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if (value is None) != (info.data.get("profile_certificate") is None):
            raise ValueError("goes together with profile_certificate: set both or none")
        return value

    @field_validator("secret")
    @classmethod
    def _strong(cls, value: str | None) -> str | None:
        if value is not None and (len(value) < 32 or value.lower().startswith(_PLACEHOLDERS)):
            raise ValueError("must be at least 32 random characters")
        return value

    @cached_property
    def secret_bytes(self) -> bytes:
        """The installation's key. Raises SettingsError when there is none, or when others may read it."""
        if self.secret is not None:
            return self.secret.encode()
        path = self.home / SECRET_NAME
        try:
            mode, content = path.stat().st_mode, path.read_bytes().strip()
        except OSError:
            raise SettingsError(f"There is no secret in {self.home}: run clinicdav init first.") from None
        if mode & 0o077:
            raise SettingsError(f"Others can read {path}: run chmod 600 on it.")
        if len(content) < 32:
            raise SettingsError(f"{path} is too short: remove it and run clinicdav init.")
        return content

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


def load_settings(**overrides: Any) -> Settings:
    """The settings in force; `overrides` win. Raises SettingsError with one line."""
    try:
        return Settings(**overrides)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{FILE_NAME} cannot be read: {error}") from None
    except OSError as error:
        raise SettingsError(f"{FILE_NAME} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise SettingsError(_first_problem(error)) from None


def create_secret(home: Path) -> bool:
    """Write a random secret that only its owner can read. False when there is one already."""
    try:
        handle = os.open(home / SECRET_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
    return True


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "settings"
    if first["type"] == "extra_forbidden":
        return f"{name} in {FILE_NAME} is not a setting: remove or correct it."
    text = first["msg"].removeprefix("Value error, ")
    return f"The setting {name} (CLINICDAV_{name.upper()}) cannot be used: {text}."
