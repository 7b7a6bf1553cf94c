"""Sync-tokens and what changed since. RFC 6578 §3.2, §3.8.

A token is the URI `data:,<epoch>-<seq>`: the collection's epoch and its sequence number when it was given out.
"""

import re

from sqlalchemy import bindparam, delete, func, select, tuple_
from sqlalchemy.orm import Session

from ical.errors import SyncTokenExpired
from storage.models import CalendarObject, Change, Collection
from storage.prepared import Prepared

_CHANGES = Prepared(
    select(Change.href, Change.deleted)
    .where(
        Change.collection_id == bindparam("collection_id"),
        Change.seq > bindparam("since"),
        Change.seq <= bindparam("until"),
    )
    .order_by(Change.seq)
)
_TOKEN = re.compile(r"data:,([0-9a-f]+)-([0-9]{1,18})")


def token(collection: Collection) -> str:
    return f"data:,{collection.epoch}-{collection.seq}"


def changes_since(session: Session, collection: Collection, since: str) -> tuple[str, list[tuple[str, bool]]]:
    """The new token, and (href, deleted) of all that was written since, in the order of the last write.

    An empty `since` is a first synchronisation: every live href. Raises SyncTokenExpired for a token of another
    epoch, from the future, or that is none of ours.
    """
    if not since:
        live = select(CalendarObject.href).where(
            CalendarObject.collection_id == collection.id,
            CalendarObject.deleted.is_(False),
            CalendarObject.seq <= collection.seq,
        )
        return token(collection), [(href, False) for href in session.scalars(live.order_by(CalendarObject.seq))]
    match = _TOKEN.fullmatch(since)
    if match is None or match[1] != collection.epoch or int(match[2]) > collection.seq:
        raise SyncTokenExpired()
    # A writer may have committed since `collection` was read: the token must not be behind the list.
    rows = _CHANGES.rows(session, collection_id=collection.id, since=int(match[2]), until=collection.seq)
    last: dict[str, bool] = {}
    for href, deleted in rows:
        last.pop(href, None)
        last[href] = deleted
    return token(collection), list(last.items())


def compact(session: Session) -> None:
    """Drop what later rows of the change log repeat: a client is told of the last change of an href alone, whatever
    its token. So the log grows with the hrefs, not with the writes, and no token ever expires by age."""
    last = select(Change.collection_id, func.max(Change.seq)).group_by(Change.collection_id, Change.href)
    superseded = tuple_(Change.collection_id, Change.seq).not_in(last)
    session.execute(delete(Change).where(superseded).execution_options(synchronize_session=False))
