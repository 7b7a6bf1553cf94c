"""Who may do a periodic job now: a row in the database, so that any number of clocks that ring for it is harmless."""

from datetime import datetime, timedelta

from sqlalchemy import or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from storage.models import Lease


def take(session: Session, name: str, holder: str, now: datetime, seconds: float) -> bool:
    """Whether the job `name` is ours until `now + seconds`. Nobody gives a lease back: it is how often the job runs."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    until = now + timedelta(seconds=seconds)
    fresh = insert(Lease).values(name=name, holder=holder, until=until)
    taken = session.execute(
        fresh.on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": holder, "until": until},
            # One that ends later than any of ours could was written before the clock was set back.
            where=or_(Lease.until <= now, Lease.until > until),
        ).returning(Lease.name)
    )
    return taken.one_or_none() is not None
