"""The waitlist's bell: time that has become free is written down in the transaction that frees it.

So an offer goes out within seconds, whichever process freed the time and whether or not a broker runs. It only says
where to look: what is free, and for whom, is found by storage.matches.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from storage.models import Freed, Resource, table_of
from storage.models.base import Instant
from storage.prepared import Prepared

_MOST = 1000
_ADD = Prepared(insert(table_of(Freed)), ("resource_id", "start", "end"))
_ADD_OF_ACCOUNT = insert(Freed).from_select(
    ["resource_id", "start", "end"],
    select(Resource.id, bindparam("start", type_=Instant), bindparam("end", type_=Instant)).where(
        Resource.account_id == bindparam("account")
    ),
)


@dataclass(frozen=True)
class Span:
    """Where to look: a doctor's time, or with `doctor_id` None everybody's; without `start` and `end` all of it."""

    doctor_id: int | None
    start: datetime | None
    end: datetime | None


def ring(session: Session, spans: Iterable[tuple[int | None, datetime | None, datetime | None]]) -> None:
    """These minutes of these resources (None: of all) may be free once the transaction commits."""
    rows = [{"resource_id": resource, "start": start, "end": end} for resource, start, end in spans]
    if rows:
        _ADD.write_each(session.connection(), rows)


def ring_all(session: Session) -> None:
    """Anything may be free: a rule or a type has changed, or somebody new waits."""
    ring(session, [(None, None, None)])


def ring_of(session: Session, account_id: int, start: datetime, end: datetime) -> None:
    """The same for the owner of a calendar. Nothing for somebody whose time cannot be claimed."""
    session.connection().execute(_ADD_OF_ACCOUNT, {"account": account_id, "start": start, "end": end})


def rung(session: Session) -> bool:
    return session.scalar(select(Freed.id).limit(1)) is not None


def read(session: Session) -> tuple[list[int], list[Span]]:
    """What has been freed, and the ids to be `done` with. A room's time may be any doctor's."""
    found = session.execute(
        select(Freed.id, Freed.start, Freed.end, Resource.kind, Resource.account_id)
        .outerjoin(Resource, Resource.id == Freed.resource_id)
        .order_by(Freed.id)
        .limit(_MOST)
    ).all()
    spans = {Span(row.account_id if row.kind == "doctor" else None, row.start, row.end) for row in found}
    return [row.id for row in found], list(spans)


def done(session: Session, ids: Sequence[int]) -> None:
    """All that these told of has been offered, or suits nobody."""
    session.execute(delete(Freed).where(Freed.id.in_(ids)).execution_options(synchronize_session=False))
