"""Idempotent POST: an answer is kept with its request, in the transaction that did the work.

A refusal keeps nothing, since nothing was done: asked again, the request is tried again.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from ical.errors import KeyReused
from storage.models import IdempotentRequest, table_of
from storage.prepared import Prepared
from storage.settings import Settings

KEPT = timedelta(hours=24)
_UNANSWERED = 0
_TABLE = table_of(IdempotentRequest)
_FIRST = {
    dialect: Prepared(
        insert(_TABLE).on_conflict_do_nothing().returning(_TABLE.c.key), [column.key for column in _TABLE.columns]
    )
    for dialect, insert in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}
_ANSWER = Prepared(update(_TABLE).where(_TABLE.c.key == bindparam("digest")), ("status", "body", "headers"))


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: str
    headers: dict[str, str]


def hash_request(method: str, path: str, body: Any) -> str:
    """The same for two JSON bodies that say the same."""
    canonical = json.dumps([method, path, body], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def once(session: Session, caller: str, key: str, request_hash: str, now: datetime) -> Answer | None:
    """The answer that this request was given before; None when it is the first, which the caller now does and `keep`s.

    Of several at once the others wait here until the first commits. Raises KeyReused for a key that came with another
    request in the last 24 hours.
    """
    digest = _digest(session, caller, key)
    # Sweeping on each request would cost as much as the request.
    if digest.startswith("00"):
        _sweep(session, now)
    row = {
        "key": digest,
        "request_hash": request_hash,
        "status": _UNANSWERED,
        "body": "",
        "headers": {},
        "created_at": now,
    }
    connection = session.connection()
    if _FIRST[connection.dialect.name].one(connection, row) is not None:
        return None
    known = session.get_one(IdempotentRequest, digest, populate_existing=True, with_for_update=True)
    if known.created_at < now - KEPT:
        known.request_hash, known.status, known.created_at = request_hash, _UNANSWERED, now
        session.flush()
        return None
    if not hmac.compare_digest(known.request_hash, request_hash):
        raise KeyReused()
    return Answer(known.status, known.body, known.headers)


def keep(session: Session, caller: str, key: str, answer: Answer) -> None:
    """Keep the answer for those who ask again. To be called in the transaction in which `once` said None."""
    said = {"status": answer.status, "body": answer.body, "headers": answer.headers}
    _ANSWER.write(session.connection(), {"digest": _digest(session, caller, key), **said})


def _sweep(session: Session, now: datetime) -> None:
    old = select(IdempotentRequest.key).where(IdempotentRequest.created_at < now - KEPT)
    # Two sweepers at once would wait for each other in a circle.
    old = old.with_for_update(skip_locked=True)
    session.execute(delete(IdempotentRequest).where(IdempotentRequest.key.in_(old)))


def _digest(session: Session, caller: str, key: str) -> str:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return hmac.new(settings.secret_bytes, f"idempotency:{caller}:{key}".encode(), hashlib.sha256).hexdigest()
