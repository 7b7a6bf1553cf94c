"""What a write costs and what it leaves alone: statements are counted where the database sees them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, select

from storage import collections, edits
from storage.db import Database
from storage.models import Occurrence
from storage.settings import Settings
from tests.storage.conftest import Practice, at, make_practice

EVENT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//X//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20261101T000000Z\r\n"
    "DTSTART:20261124T090000Z\r\nDTEND:20261124T100000Z\r\nRRULE:FREQ=DAILY;COUNT=3\r\nSUMMARY:{summary}\r\n"
    "END:VEVENT\r\nEND:VCALENDAR\r\n"
)


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """What SQLite is asked to do meanwhile, without what its triggers do."""
    seen: list[str] = []

    def watch(connection, _record, _proxy) -> None:
        connection.set_trace_callback(lambda said: None if said.startswith("--") else seen.append(said))

    event.listen(db.engine, "checkout", watch)
    try:
        yield seen
    finally:
        event.remove(db.engine, "checkout", watch)


@pytest.fixture
def lite(settings: Settings) -> Iterator[Practice]:
    database = Database(settings.database_url, settings)
    yield make_practice(database)
    database.dispose()


def test_a_put_takes_few_statements(lite):
    lite.put("a.ics", EVENT.format(uid="a", summary="Tea"), "personal")
    with statements(lite.db) as new:
        lite.put("b.ics", EVENT.format(uid="b", summary="Tea"), "personal")
    with statements(lite.db) as changed:
        lite.put("b.ics", EVENT.format(uid="b", summary="Coffee"), "personal")
    # BEGIN, the calendar, its owner, what stands there, seven tables, the end of the audit and COMMIT
    assert len(new) <= 15
    assert len(changed) <= 13


def test_a_booking_takes_few_statements(lite):
    lite.book(at(8))
    with statements(lite.db) as asked:
        lite.book(at(9))
    # BEGIN, type, patient and what they have missed, the doctor's resource, diary, calendar and its number, who is
    # there already, eleven tables (two rows of reminders; the claim again in its trigger), the audit's end, COMMIT
    assert len(asked) <= 25, asked


def rows(practice: Practice) -> list[int]:
    with practice.db.reading() as session:
        return list(session.scalars(select(Occurrence.id).where(Occurrence.kind == "plain").order_by(Occurrence.id)))


def test_a_change_of_the_title_leaves_the_occurrences_alone(practice):
    practice.put("a.ics", EVENT.format(uid="a", summary="Tea"), "personal")
    before = rows(practice)
    practice.put("a.ics", EVENT.format(uid="a", summary="Coffee"), "personal")
    assert rows(practice) == before
    practice.put("a.ics", EVENT.format(uid="a", summary="Coffee").replace("COUNT=3", "COUNT=2"), "personal")
    assert len(rows(practice)) == 2


def test_what_was_read_before_the_lock_is_read_anew_behind_it(practice):
    """The session that writes has seen the object before somebody else changed it."""
    first = practice.put("a.ics", EVENT.format(uid="a", summary="Tea"), "personal")
    practice.put("a.ics", EVENT.format(uid="a", summary="Coffee"), "personal")
    with practice.writing() as session:
        stale = session.merge(first.object, load=False)
        assert "Tea" in stale.served_text
        personal = collections.find(session, "lee", "personal")
        assert personal is not None
        spot = edits.spot_of(session, personal, "a.ics", edits.judge(EVENT.format(uid="a", summary="Water").encode()))
        assert spot.live is stale
        assert "Coffee" in stale.served_text
