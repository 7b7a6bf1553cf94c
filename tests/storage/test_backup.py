"""Backup and restore by each database's own means."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ical.errors import SyncTokenExpired
from storage import accounts, backup, collections, demo, sync
from storage.checks import counts, integrity
from storage.db import Database

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


def test_a_restore_brings_back_what_was_and_changes_every_epoch(database: Database, tmp_path: Path) -> None:
    settings = database.settings
    assert settings is not None
    with database.transaction() as session:
        demo.fill(session, NOW)
    with database.reading() as session:
        before = counts(session)
        hours = collections.find(session, "lee", "hours")
        assert hours is not None
        token = sync.token(hours)
    saved = tmp_path / "b.zip"
    assert backup.backup(database, settings, saved, NOW) > 1000
    with database.transaction() as session:
        accounts.create_account(session, role="doctor", username="miller", name="Dr. Miller", email="", now=NOW)
    manifest = backup.restore(database, settings, saved)
    assert (manifest["database"], manifest["taken_at"]) == (database.dialect, "2026-11-23T06:00:00+00:00")
    with database.reading() as session:
        assert counts(session) == before
        assert accounts.by_username(session, "miller") is None
        assert integrity(database, session, NOW) == []
        hours = collections.find(session, "lee", "hours")
        assert hours is not None
        with pytest.raises(SyncTokenExpired):
            sync.changes_since(session, hours, token)
    # Numbers go on behind what is there.
    with database.transaction() as session:
        accounts.create_account(session, role="doctor", username="miller", name="Dr. Miller", email="", now=NOW)


def test_a_backup_replaces_a_backup_and_nothing_else(database: Database, tmp_path: Path) -> None:
    settings = database.settings
    assert settings is not None
    saved, other = tmp_path / "b.zip", tmp_path / "letter.txt"
    backup.backup(database, settings, saved, NOW)
    backup.backup(database, settings, saved, NOW + timedelta(days=1))
    other.write_text("Dear Sir")
    with pytest.raises(backup.BackupError, match="no backup"):
        backup.backup(database, settings, other, NOW)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_of_a_newer_release_is_not_restored(database: Database, tmp_path: Path) -> None:
    settings = database.settings
    assert settings is not None
    saved = tmp_path / "b.zip"
    with sqlite3.connect(str(database.url.database)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    backup.backup(database, settings, saved, NOW)
    with pytest.raises(backup.BackupError, match="newer"):
        backup.restore(database, settings, saved)
