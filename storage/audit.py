"""The audit trail: append-only, each row's HMAC covering the row and the chain before it.

Rows are collected while a transaction runs and written at its very end: a chain has one end, and whoever writes it
keeps it locked until the commit. Details are ids and codes, never names or texts.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event, insert, select, text
from sqlalchemy.orm import Session, SessionTransaction

from storage.models import Audit, table_of
from storage.policy import Actor
from storage.settings import Settings

_PENDING = "audit"
_ADD = insert(table_of(Audit))
_END = select(Audit.chain).order_by(Audit.id.desc()).limit(1)
# Any number, the same everywhere: the name of PostgreSQL's lock on the end of the chain.
_CHAIN_LOCK = 0x436C696E69634456


def record(session: Session, actor: Actor, action: str, obj: str, detail: Mapping[str, Any], now: datetime) -> None:
    """Note that `actor` did `action` to `obj` ("appointment:<id>"). Vanishes with the transaction's rollback."""
    row = {
        "at": now,
        "actor": (actor.label or actor.username or actor.kind)[:100],
        "action": action,
        "object": obj[:200],
        "detail": dict(detail),
    }
    session.info.setdefault(_PENDING, []).append((session.get_nested_transaction(), row))


def first_broken(session: Session) -> int | None:
    """The id of the first row that does not fit the chain before it; None when all do."""
    settings, chain = _settings(session), ""
    for row in session.scalars(select(Audit).order_by(Audit.id).execution_options(yield_per=1000)):
        chain = _link(settings, chain, row.at, row.actor, row.action, row.object, row.detail)
        if not hmac.compare_digest(chain, row.chain):
            return row.id
    return None


@event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    if session.in_nested_transaction() or not session.info.get(_PENDING):
        return
    pending = [row for _savepoint, row in session.info.pop(_PENDING)]
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CHAIN_LOCK})
    settings = _settings(session)
    chain = session.connection().scalar(_END) or ""
    for row in pending:
        chain = row["chain"] = _link(
            settings, chain, row["at"], row["actor"], row["action"], row["object"], row["detail"]
        )
    session.connection().execute(_ADD, pending)


@event.listens_for(Session, "after_soft_rollback")
def _forget(session: Session, previous: SessionTransaction) -> None:
    pending = session.info.get(_PENDING)
    if pending and previous.nested:
        session.info[_PENDING] = [each for each in pending if each[0] is not previous]
    elif pending:
        del session.info[_PENDING]


def _link(
    settings: Settings, before: str, at: datetime, actor: str, action: str, obj: str, detail: Mapping[str, Any]
) -> str:
    said = json.dumps(
        [before, at.astimezone(UTC).isoformat(timespec="microseconds"), actor, action, obj, detail],
        sort_keys=True,
        ensure_ascii=False,
    )
    return hmac.new(settings.secret_bytes, b"audit:" + said.encode(), hashlib.sha256).hexdigest()


def _settings(session: Session) -> Settings:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return settings
