"""What belongs to one request: its body, who asks, and its one session.

Radicale calls our plugins without the request; they find it here. A read keeps one snapshot from the login to its
last byte. A write logs in on a snapshot, leaves that, and then holds one writing transaction until its handler ends.
"""

from collections.abc import Callable
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from storage import served
from storage.collections import PROXY_READ, PROXY_WRITE
from storage.db import Database, Session
from storage.models import Account, AppPassword, Collection
from storage.policy import VISITOR, Actor
from storage.settings import Settings

Kind = Literal["root", "home", "proxy", "inbox", "outbox", "calendar", "member"]


# What there is in every home without a row of its own.
_WITHOUT_ROW: dict[str, Kind] = {"outbox": "outbox", PROXY_READ: "proxy", PROXY_WRITE: "proxy"}


@dataclass(frozen=True, slots=True)
class Place:
    """What a path names. A member's object need not exist."""

    kind: Kind
    path: str
    owner: Account | None = None
    collection: Collection | None = None
    href: str = ""


class _Abandoned(Exception):
    """Thrown into a session that ends without a commit."""


class Request:
    """One HTTP request."""

    def __init__(self, db: Database, settings: Settings, now: datetime, environ: dict[str, Any]) -> None:
        self.db = db
        self.settings = settings
        self.now = now
        self.environ = environ
        self.prefix: str = environ.get("SCRIPT_NAME", "").rstrip("/")
        self.actor: Actor = VISITOR
        self.account: Account | None = None
        self.profile = "solo"
        self._body: bytes | None = None
        self._stack = ExitStack()
        self._session: Session | None = None
        self._writing = False
        self._calendars: dict[tuple[str, str], tuple[Collection, Account] | None] = {}
        self._owners: dict[str, Account | None] = {}

    @property
    def body(self) -> bytes:
        """The body, read once, so that a transaction can be run again."""
        if self._body is None:
            length = int(self.environ.get("CONTENT_LENGTH") or 0)
            self._body = self.environ["wsgi.input"].read(length) if length else b""
        return self._body

    def header(self, name: str) -> str:
        return str(self.environ.get("HTTP_" + name.upper().replace("-", "_"), "")).strip()

    @property
    def session(self) -> Session:
        """The request's session: a snapshot, unless `write` has begun a transaction."""
        if self._session is None:
            opened = self.db.transaction() if self._writing else self.db.reading()
            self._session = self._stack.enter_context(opened)
        return self._session

    def write(self) -> None:
        """From now on the session is a writing transaction, begun when it is first asked for: what can be done before
        keeps nobody waiting. What was read before is forgotten."""
        if not self._writing:
            self.leave()
            self._writing = True

    def commit(self) -> None:
        """End the session; what was written stays."""
        self._reset().close()

    def leave(self) -> None:
        """End the session; what was written and not committed is taken back."""
        self._reset().__exit__(_Abandoned, _Abandoned(), None)

    def _reset(self) -> ExitStack:
        stack, self._stack = self._stack, ExitStack()
        self._session, self._writing = None, False
        self._calendars.clear()
        self._owners.clear()
        return stack

    def login(self, account: Account, app_password: AppPassword) -> None:
        self.account = account
        self.profile = app_password.profile
        self.actor = Actor(
            "account",
            role=account.role,
            account_id=account.id,
            username=account.username,
            via="caldav",
            label=f"{account.username} by caldav",
        )

    def owner(self, username: str) -> Account | None:
        """The account whose home /username/ is."""
        if self.account is not None and self.account.username == username:
            return self.account
        if username not in self._owners:
            self._owners[username] = served.owner(self.session, username)
        return self._owners[username]

    def calendar(self, username: str, name: str) -> tuple[Collection, Account] | None:
        key = (username, name)
        if key not in self._calendars:
            find = served.calendar if self._writing else served.known_calendar
            self._calendars[key] = find(self.session, username, name)
        return self._calendars[key]

    def forget(self) -> None:
        """What was looked up has changed."""
        self._calendars.clear()

    def place(self, path: str) -> Place | None:
        """What `path` (sanitised, below the mount) names; None for nothing, whatever the rights."""
        parts = [part for part in path.split("/") if part]
        if not parts:
            return Place("root", "/")
        if len(parts) == 1:
            owner = self.owner(parts[0])
            return None if owner is None or owner.role == "patient" else Place("home", f"/{parts[0]}/", owner)
        if len(parts) > 3 or (len(parts) == 3 and path.endswith("/")):
            return None
        if parts[1] in _WITHOUT_ROW:
            owner = self.owner(parts[0])
            there = owner is not None and owner.role != "patient" and len(parts) == 2
            return Place(_WITHOUT_ROW[parts[1]], f"/{parts[0]}/{parts[1]}/", owner) if there else None
        found = self.calendar(parts[0], parts[1])
        if found is None:
            return None
        collection, owner = found
        kind: Kind = "inbox" if collection.kind == "inbox" else "calendar"
        base = f"/{parts[0]}/{parts[1]}/"
        if len(parts) == 2:
            return Place(kind, base, owner, collection)
        return Place("member", base + parts[2], owner, collection, parts[2])


_current: ContextVar[Request] = ContextVar("request")


def current() -> Request:
    """The request that this thread answers."""
    return _current.get()


def during(request: Request, work: Callable[[], Any]) -> Any:
    """Run `work` with `request` as the current one, and leave nothing open behind it."""
    token = _current.set(request)
    try:
        return work()
    finally:
        request.leave()
        _current.reset(token)
