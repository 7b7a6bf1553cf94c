"""The audit chain: whole after anything that was committed, broken by any change to a row."""

import threading
from datetime import UTC, datetime

from sqlalchemy import func, select, update

from storage import audit
from storage.db import Database
from storage.models import Audit
from storage.policy import Actor

NOW = datetime(2026, 11, 23, 8, 0, 0, 123456, tzinfo=UTC)
LEE = Actor("account", "doctor", 1, "lee", label="lee by caldav")


def record(db: Database, *objects: str) -> None:
    with db.transaction() as session:
        for each in objects:
            audit.record(session, LEE, "calendar.put", each, {"why": "ü", "n": 1}, NOW)


def test_a_chain_of_many_transactions_holds(database: Database) -> None:
    record(database, "object:1", "object:2")
    record(database, "object:3")
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Audit)) == 3
        assert audit.first_broken(session) is None


def test_a_changed_row_and_a_missing_row_are_noticed(database: Database) -> None:
    record(database, *(f"object:{number}" for number in range(5)))
    with database.transaction() as session:
        ids = list(session.scalars(select(Audit.id).order_by(Audit.id)))
        session.execute(update(Audit).where(Audit.id == ids[2]).values(actor="somebody else"))
    with database.reading() as session:
        assert audit.first_broken(session) == ids[2]
    with database.transaction() as session:
        session.execute(update(Audit).where(Audit.id == ids[2]).values(actor="lee by caldav"))
        session.delete(session.get_one(Audit, ids[1]))
    with database.reading() as session:
        assert audit.first_broken(session) == ids[2]


def test_what_was_rolled_back_was_not_done(database: Database) -> None:
    try:
        with database.transaction() as session:
            audit.record(session, LEE, "calendar.put", "object:1", {}, NOW)
            raise LookupError
    except LookupError:
        pass
    with database.transaction() as session:
        audit.record(session, LEE, "calendar.put", "object:2", {}, NOW)
        savepoint = session.begin_nested()
        audit.record(session, LEE, "calendar.put", "object:3", {}, NOW)
        savepoint.rollback()
        with session.begin_nested():
            audit.record(session, LEE, "calendar.put", "object:4", {}, NOW)
    with database.reading() as session:
        assert list(session.scalars(select(Audit.object).order_by(Audit.id))) == ["object:2", "object:4"]
        assert audit.first_broken(session) is None


def test_many_writers_at_once_make_one_chain(database: Database) -> None:
    def write(name: str) -> None:
        for number in range(20):
            record(database, f"{name}:{number}")

    threads = [threading.Thread(target=write, args=(f"writer{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Audit)) == 80
        assert audit.first_broken(session) is None
