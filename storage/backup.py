"""Backup while running and restore, by the database's own means: SQLite's online backup, PostgreSQL's COPY.

A backup is a ZIP archive that only its owner can read: `manifest.json`, the database (one SQLite file, or one COPY
text for each table), the installation's secret, without which no app password, feed or link would work any more,
and `clinicdav.toml`. All of the database is one snapshot: a prefix of what was acknowledged.
"""

import json
import os
import secrets
import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Table, delete, select, update
from sqlalchemy.orm import Session

from storage import audit, collections
from storage.db import Database, SchemaTooNew
from storage.models import Base, Collection, Lease, LoginAttempt, OutboxMessage, WebSession
from storage.settings import FILE_NAME, SECRET_NAME, Settings

_FORMAT = 1
_MANIFEST = "manifest.json"
_SQLITE_MEMBER = "database.sqlite3"
_CHUNK = 1 << 20


class BackupError(Exception):
    """The backup cannot be written or restored. The text is one line that says what to do."""


def backup(db: Database, settings: Settings, target: Path, now: datetime) -> int:
    """Write the backup to `target` (replaced at once when complete) and return its size. Raises BackupError."""
    target = target.absolute()
    if not target.parent.is_dir():
        raise BackupError(f"There is no folder {target.parent}: create it first.")
    if target.exists() and not _is_backup(target):
        raise BackupError(f"{target} exists and is no backup: choose another name.")
    with _scratch(target.parent) as scratch:
        archive_path = scratch / "backup.zip"
        # Created with mode 0600, before a byte is in it
        os.close(os.open(archive_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with zipfile.ZipFile(archive_path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            if db.dialect == "sqlite":
                _copy_sqlite_out(db, scratch, archive)
            else:
                _copy_postgresql_out(db, archive)
            archive.writestr(SECRET_NAME, settings.secret_bytes)
            if (settings.home / FILE_NAME).exists():
                archive.write(settings.home / FILE_NAME, FILE_NAME)
            manifest = {
                "format": _FORMAT,
                "database": db.dialect,
                "revision": db.current_revision(),
                "taken_at": now.isoformat(timespec="seconds"),
            }
            archive.writestr(_MANIFEST, json.dumps(manifest, indent=2))
        _sync(archive_path)
        os.replace(archive_path, target)
        _sync(target.parent)
    with db.transaction() as session:
        audit.note(session, "backup.taken", "installation", now)
    return target.stat().st_size


def restore(db: Database, settings: Settings, source: Path) -> dict[str, Any]:
    """Make the database what the backup says and return its manifest. Raises BackupError; nothing changed then.

    Sync-tokens given out before are refused afterwards, and everybody has to log in again.
    """
    try:
        with zipfile.ZipFile(source) as archive, _scratch(settings.home) as scratch:
            manifest = _manifest(archive, source)
            if manifest["database"] != db.dialect:
                raise BackupError(
                    f"{source} is a backup of {manifest['database']}, and CLINICDAV_DATABASE_URL is {db.dialect}:"
                    " restore it with the same kind of database."
                )
            if db.dialect == "sqlite":
                _copy_sqlite_in(db, settings, scratch, archive)
            else:
                _copy_postgresql_in(db, archive, manifest)
            _restore_secret(settings, archive.read(SECRET_NAME))
            return manifest
    except FileNotFoundError:
        raise BackupError(f"There is no file {source}.") from None
    except (zipfile.BadZipFile, KeyError, EOFError, zipfile.LargeZipFile):
        raise BackupError(f"{source} is damaged or no backup.") from None
    except SchemaTooNew:
        raise BackupError(f"{source} was written by a newer ClinicDAV: upgrade this one first.") from None


def _manifest(archive: zipfile.ZipFile, source: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(archive.read(_MANIFEST))
    except ValueError:
        raise BackupError(f"{source} is damaged or no backup.") from None
    if manifest.get("format") != _FORMAT:
        raise BackupError(f"{source} was written by a newer ClinicDAV: upgrade this one first.")
    broken = archive.testzip()
    if broken is not None:
        raise BackupError(f"{source} is damaged: {broken} cannot be read.")
    return cast(dict[str, Any], manifest)


def _forget_clients(session: Session) -> None:
    """What was acknowledged after the backup is gone: tokens and logins from that time must not count."""
    for collection in session.scalars(select(Collection)):
        collection.epoch = collections.new_epoch()
    for table in (WebSession, LoginAttempt, Lease):
        session.execute(delete(table))
    session.execute(update(OutboxMessage).values(lease_token=None, lease_until=None))


# SQLite


def _copy_sqlite_out(db: Database, scratch: Path, archive: zipfile.ZipFile) -> None:
    copy = scratch / _SQLITE_MEMBER
    with closing(sqlite3.connect(str(db.url.database))) as source, closing(sqlite3.connect(copy)) as target:
        # All pages in one step: in several, a writer in between would make it begin again.
        source.backup(target, pages=-1)
    archive.write(copy, _SQLITE_MEMBER)


def _copy_sqlite_in(db: Database, settings: Settings, scratch: Path, archive: zipfile.ZipFile) -> None:
    copy = scratch / _SQLITE_MEMBER
    with archive.open(_SQLITE_MEMBER) as member, copy.open("wb") as file:
        shutil.copyfileobj(member, file, _CHUNK)
    with closing(sqlite3.connect(copy)) as check:
        if check.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise BackupError("The database in the backup is damaged.")
    prepared = Database(f"sqlite:///{copy}", settings)
    try:
        prepared.upgrade()
        with prepared.transaction() as session:
            _forget_clients(session)
    finally:
        prepared.dispose()
    db.dispose()
    with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(str(db.url.database), timeout=20)) as target:
        target.execute("PRAGMA journal_mode=WAL")
        target.execute("PRAGMA synchronous=FULL")
        # One transaction of the target: a running server sees the old database or the new one.
        source.backup(target, pages=-1)


# PostgreSQL


def _copy_postgresql_out(db: Database, archive: zipfile.ZipFile) -> None:
    with _psycopg(db) as connection, connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for table in Base.metadata.sorted_tables:
            statement = f"COPY {_quoted(table.name)} ({_columns(table)}) TO STDOUT"
            with archive.open(f"{table.name}.copy", "w", force_zip64=True) as member, cursor.copy(statement) as rows:
                for block in rows:
                    member.write(block)
        connection.rollback()


def _copy_postgresql_in(db: Database, archive: zipfile.ZipFile, manifest: dict[str, Any]) -> None:
    db.upgrade()
    if manifest["revision"] != db.current_revision():
        raise BackupError(
            f"The backup has revision {manifest['revision']} and this release {db.current_revision()}:"
            " restore it with the release that wrote it, then run clinicdav db upgrade."
        )
    with db.transaction() as session:
        raw: Any = session.connection().connection.driver_connection
        tables = Base.metadata.sorted_tables
        with raw.cursor() as cursor:
            names = ", ".join(_quoted(table.name) for table in tables)
            cursor.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
            for table in tables:
                statement = f"COPY {_quoted(table.name)} ({_columns(table)}) FROM STDIN"
                with archive.open(f"{table.name}.copy") as member, cursor.copy(statement) as rows:
                    while block := member.read(_CHUNK):
                        rows.write(block)
                _continue_numbers(cursor, table)
        _forget_clients(session)


def _continue_numbers(cursor: Any, table: Table) -> None:
    for column in table.primary_key.columns:
        found = cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", (f'"{table.name}"', column.name)).fetchone()
        if found is not None and found[0] is not None:
            highest = f"SELECT coalesce(max({_quoted(column.name)}), 0) + 1 FROM {_quoted(table.name)}"
            cursor.execute(f"SELECT setval(%s, ({highest}), false)", (found[0],))


def _columns(table: Table) -> str:
    return ", ".join(_quoted(column.name) for column in table.columns)


def _quoted(name: str) -> str:
    """A name from our own schema. Not psycopg's own quoting: whoever has SQLite should not pay for that module."""
    return f'"{name}"'


@contextmanager
def _psycopg(db: Database) -> Iterator[Any]:
    """psycopg's own connection, which knows COPY."""
    with closing(db.engine.raw_connection()) as pooled:
        yield pooled.driver_connection


# Files


def _restore_secret(settings: Settings, secret: bytes) -> None:
    if settings.secret is not None:
        return
    path = settings.home / SECRET_NAME
    if path.exists() and path.read_bytes().strip() == secret.strip():
        return
    fresh = path.with_name(f"{SECRET_NAME}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret.strip() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def _is_backup(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return _MANIFEST in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".clinicdav-", dir=folder) as name:
        yield Path(name)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
