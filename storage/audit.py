"""The audit trail: append-only, each row's HMAC covering the row and the chain before it.

Rows are collected while a transaction runs and written at its very end: a chain has one end, and whoever writes it
keeps it locked until the commit. What happens in a session that only reads is written beside it; when somebody else is
writing just then, with the next write of this process, for a read never waits. Details are ids and codes, never names
or texts.
"""

import hashlib
import hmac
import json
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, event, insert, select, text
from sqlalchemy.orm import Session, SessionTransaction

from storage.db import Database, DatabaseUnavailable, write_beside
from storage.models import Audit, table_of
from storage.policy import SYSTEM, Actor
from storage.prepared import Prepared
from storage.settings import Settings

_PENDING, _TAKEN = "audit", "audit taken"
_ADD = Prepared(insert(table_of(Audit)), ("at", "actor", "action", "object", "detail", "chain"))
_END = Prepared(select(Audit.chain).order_by(Audit.id.desc()).limit(1))
# Any number, the same everywhere: the name of PostgreSQL's lock on the end of the chain.
_CHAIN_LOCK = 0x436C696E69634456
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:key)")


def note(session: Session, action: str, obj: str, now: datetime, **detail: Any) -> None:
    """`record` for whoever the session was opened for."""
    record(session, session.info.get("actor", SYSTEM), action, obj, detail, now)


def record(session: Session, actor: Actor, action: str, obj: str, detail: Mapping[str, Any], now: datetime) -> None:
    """Note that `actor` did `action` to `obj` ("appointment:<id>"). Vanishes with the transaction's rollback."""
    row = {
        "at": now,
        "actor": (actor.label or actor.username or actor.kind)[:100],
        "action": action,
        "object": obj[:200],
        "detail": dict(detail) if actor.account_id is None else {**detail, "account": actor.account_id},
    }
    if "writing" in session.info:
        session.info["late"].append(row)
        _write_beside(session)
    else:
        session.info.setdefault(_PENDING, []).append((session.get_nested_transaction(), row))


def write_late(db: Database) -> None:
    """Write what reads have left behind, before the process ends."""
    if db.late:
        with db.transaction():
            pass


def first_broken(session: Session) -> int | None:
    """The id of the first row that does not fit the chain before it; None when all do."""
    settings, chain = _settings(session), ""
    for row in session.scalars(select(Audit).order_by(Audit.id).execution_options(yield_per=1000)):
        chain = _link(settings, chain, row.at, row.actor, row.action, row.object, row.detail)
        if not hmac.compare_digest(chain, row.chain):
            return row.id
    return None


def _write_beside(session: Session) -> None:
    late: deque[dict[str, Any]] = session.info["late"]
    taken, written = _take(late), False
    try:
        with write_beside(session) as connection:
            if connection.dialect.name == "postgresql" and not connection.scalar(_TRY_LOCK, {"key": _CHAIN_LOCK}):
                raise DatabaseUnavailable("Somebody else is writing the audit.")
            _append(connection, _settings(session), taken)
        written = True
    except DatabaseUnavailable:
        return
    finally:
        if not written:
            late.extendleft(reversed(taken))


@event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    if session.in_nested_transaction() or not (session.info.get(_PENDING) or session.info.get("late")):
        return
    session.info[_TAKEN] = _take(session.info.get("late", deque()))
    rows = session.info[_TAKEN] + [row for _savepoint, row in session.info.pop(_PENDING, ())]
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"key": _CHAIN_LOCK})
    _append(connection, _settings(session), rows)


@event.listens_for(Session, "after_commit")
def _written(session: Session) -> None:
    session.info.pop(_TAKEN, None)


@event.listens_for(Session, "after_soft_rollback")
def _forget(session: Session, previous: SessionTransaction) -> None:
    pending = session.info.get(_PENDING)
    if pending and previous.nested:
        session.info[_PENDING] = [each for each in pending if not _within(each[0], previous)]
    elif pending:
        del session.info[_PENDING]
    if not previous.nested:
        # Those reads took place all the same.
        session.info.get("late", deque()).extendleft(reversed(session.info.pop(_TAKEN, ())))


def _within(savepoint: SessionTransaction | None, outer: SessionTransaction) -> bool:
    """Whether a savepoint is `outer`, or was set (and released) inside it."""
    while savepoint is not None and savepoint is not outer:
        savepoint = savepoint.parent
    return savepoint is not None


def _take(late: deque[dict[str, Any]]) -> list[dict[str, Any]]:
    taken = []
    while late:
        try:
            taken.append(late.popleft())
        except IndexError:
            # Another thread has just taken the last one.
            break
    return taken


def _append(connection: Connection, settings: Settings, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    end = _END.one(connection, {})
    chain = end[0] if end else ""
    for row in rows:
        chain = row["chain"] = _link(
            settings, chain, row["at"], row["actor"], row["action"], row["object"], row["detail"]
        )
    _ADD.write_each(connection, rows)


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
