"""Calendars in and out, backup and restore, the state of the installation."""

import sys
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from storage import backup, checks, transfer
from storage.db import Database
from storage.models import Account, Collection
from storage.settings import SettingsError
from web.clinic import mobileconfig
from web.commands.common import (
    COMMAND_LINE,
    Context,
    Failure,
    Group,
    console,
    named,
    now,
    passed,
    public_url_problem,
)

_BATCH = 100
_LISTED = 500


class CalendarName(click.ParamType):
    name = "username/collection"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        username, slash, collection = str(value).strip("/").partition("/")
        if not (username and slash and collection):
            self.fail(f"{value!r} is not of the form USERNAME/COLLECTION", param, ctx)
        return username, collection


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("calendar", type=CalendarName(), metavar="USERNAME/COLLECTION")
@passed
def import_command(context: Context, file: Path, calendar: tuple[str, str]) -> None:
    """Read events from FILE.ics into a calendar. What is refused is listed with its reason, the rest imported."""
    if file.stat().st_size > transfer.LARGEST_FILE:
        raise Failure(f"{file} is larger than {transfer.LARGEST_FILE >> 20} MiB: split it.")
    with context.db.reading() as session:
        owner, _collection = _calendar(session, calendar)
        read = transfer.read_file(file.read_bytes(), owner)
    imported, refused = 0, list(read.refused)
    with _progress() as progress:
        bar = progress.add_task("Importing", total=len(read.objects))
        # In batches, so that the clinic's other work goes on in between.
        for at in range(0, len(read.objects), _BATCH):
            batch = read.objects[at : at + _BATCH]
            with context.db.transaction() as session:
                _owner, collection = _calendar(session, calendar)
                for each in batch:
                    reason = transfer.import_object(session, collection, each, actor=COMMAND_LINE, now=now())
                    if reason is None:
                        imported += 1
                    else:
                        refused.append((transfer.uid_of(each), reason))
            progress.advance(bar, len(batch))
    for warning in read.warnings[:_LISTED]:
        console.print(f"note: {warning}", markup=False, soft_wrap=True)
    for uid, reason in refused:
        console.print(f"refused: {uid}: {reason}", markup=False, soft_wrap=True)
    console.print(f"Imported {imported}, refused {len(refused)}.", markup=False)
    if not imported and refused:
        raise Failure(f"Nothing in {file} could be imported: see the reasons above.")
    if not imported:
        raise Failure(f"There is no event in {file}.")


@click.command("export")
@click.argument("calendar", type=CalendarName(), metavar="USERNAME/COLLECTION")
@passed
def export_command(context: Context, calendar: tuple[str, str]) -> None:
    """Write a calendar to standard output as iCalendar."""
    with context.db.reading() as session:
        _owner, collection = _calendar(session, calendar)
        for part in transfer.export_calendar(session, collection, now()):
            sys.stdout.buffer.write(part.encode())
    sys.stdout.buffer.flush()


def _calendar(session: object, name: tuple[str, str]) -> tuple[Account, Collection]:
    owner = named(session, name[0])
    for collection in transfer.calendars(session, owner):
        if collection.name == name[1]:
            return owner, collection
    there = ", ".join(collection.name for collection in transfer.calendars(session, owner)) or "none"
    raise Failure(f"{name[0]} has no calendar {name[1]} (there are: {there}).")


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@passed
def backup_command(context: Context, file: Path) -> None:
    """Write the whole installation to FILE while it runs. Keep the file as safe as the clinic: it holds the secret."""
    size = backup.backup(context.db, context.settings, file, now())
    console.print(f"Wrote {file} ({size / 1e6:.1f} MB).", markup=False)


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask before what is there is replaced.")
@passed
def restore_command(context: Context, file: Path, yes: bool) -> None:
    """Make the installation what FILE says. Everything written after that backup is lost."""
    settings = context.settings
    settings.home.mkdir(parents=True, exist_ok=True)
    db = Database(settings.database_url, settings)
    try:
        if not yes and sys.stdin.isatty() and checks.ready(db) is None:
            click.confirm(f"Replace the installation in {settings.home}?", abort=True, err=True)
        manifest = backup.restore(db, settings, file)
    finally:
        db.dispose()
    console.print(f"Restored the backup of {manifest['taken_at']}. Restart a running server.", markup=False)


@click.group("db", cls=Group)
def database() -> None:
    """The database."""


@database.command("upgrade")
@passed
def database_upgrade(context: Context) -> None:
    """Bring the database to this release's schema."""
    db = context.unchecked_db
    before = db.current_revision()
    db.upgrade()
    after = db.current_revision()
    console.print(
        f"The database has revision {after}." if before == after else f"Upgraded from {before or 'nothing'} to {after}."
    )


@click.command("check")
@passed
def check_command(context: Context) -> None:
    """Look at settings, database, claims and outbox, and say what is wrong."""
    settings, db = context.settings, context.db
    problems = [text] if (text := public_url_problem(settings)) else []
    try:
        mobileconfig.signed(settings, b"")
    except SettingsError as error:
        problems.append(str(error))
    with db.reading() as session:
        backlog, counts = checks.backlog(session, now()), checks.counts(session)
        problems += checks.integrity(db, session, now())
    if backlog.overdue and settings.smtp_url:
        problems.append(f"{backlog.overdue} messages are overdue: is a worker running?")
    facts = {
        "home": settings.home,
        "database": f"{db.dialect}, revision {db.current_revision()}",
        "public URL": settings.public_url,
        "broker": "configured" if settings.broker_url else "none: the worker is embedded",
        "e-mail": "configured" if settings.smtp_url else f"not configured: written to {settings.home / 'outbox'}",
        "profiles": f"signed with {settings.profile_certificate}" if settings.profile_certificate else "not signed",
        **counts,
        "outbox": ", ".join(f"{count} {state}" for state, count in sorted(backlog.by_state.items())) or "empty",
    }
    for name, fact in facts.items():
        click.echo(f"{name:<12} {fact}")
    for text in problems:
        click.echo(f"problem: {text}")
    if problems:
        raise Failure(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found: see above.")
    click.echo("ok")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
