"""Days on which the practice is closed."""

from pathlib import Path

import click

import tasks.holidays
from storage import holidays
from web.commands.common import Context, Failure, Group, console, now, passed


@click.group("holidays", cls=Group)
def holidays_group() -> None:
    """Days on which the practice is closed."""


@holidays_group.command("add")
@click.argument("source", metavar="FILE|URL")
@click.option("--name", help="What they are called; the file's name or the address when left out.")
@click.option("--location", help="The one place that they close.")
@passed
def holidays_add(context: Context, source: str, name: str | None, location: str | None) -> None:
    """Close the practice on the days of an iCalendar file, or of a calendar that is fetched each day."""
    if "://" in source:
        with context.db.transaction() as session:
            made = holidays.subscribe(session, name or source[:200], source, location=location, now=now())
        tasks.holidays.read(context.db, made.id, made.url, b"", now)
    else:
        path = Path(source)
        if not path.is_file():
            raise Failure(f"There is no file {source}.")
        with context.db.transaction() as session:
            made = holidays.add_file(session, name or path.stem, path.read_bytes(), location=location, now=now())
    with context.db.reading() as session:
        problem = next(each.problem for each in holidays.every(session) if each.id == made.id)
    if problem:
        raise Failure(f"{problem} It is tried again every hour; holidays remove {made.id} ends that.")
    click.echo(made.id)


@holidays_group.command("list")
@passed
def holidays_list(context: Context) -> None:
    """Number, name, place and state of each."""
    with context.db.reading() as session:
        for each in holidays.every(session):
            state = each.problem or (f"read {each.read_at:%Y-%m-%d %H:%M} UTC" if each.read_at else "not read yet")
            console.print(f"{each.id}  {each.name}  {each.location or 'everywhere'}  {state}", markup=False)


@holidays_group.command("remove")
@click.argument("number", type=int)
@passed
def holidays_remove(context: Context, number: int) -> None:
    """Open the practice on these days again."""
    with context.db.transaction() as session:
        holidays.remove(session, number, now=now())
