"""What every command does alike: settings, the database, and one line on standard error when something is wrong."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console

from ical.errors import Refusal
from storage import accounts, audit, checks
from storage.backup import BackupError
from storage.db import Database, DatabaseUnavailable, SchemaTooNew
from storage.models import Account
from storage.policy import Actor
from storage.settings import Settings, SettingsError, is_loopback, load_settings
from web.server import CannotListen
from web.wsgi import utc_now

COMMAND_LINE = Actor("system", via="cli", label="command line")

# What a program may read goes to standard output alone; everything else comes here.
console = Console(stderr=True, highlight=False)


class Failure(click.ClickException):
    """Ends the command with status 1 and this line."""

    def show(self, file: Any = None) -> None:
        line = " ".join(self.message.split())
        click.echo(f"clinicdav: {line}", err=True)


class Group(click.Group):
    """Every foreseeable failure of any command is one line and a status, never a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except Refusal as refusal:
            raise Failure(f"{refusal.field}: {refusal.sentence}" if refusal.field else refusal.sentence) from None
        except (SettingsError, SchemaTooNew, CannotListen, BackupError) as error:
            raise Failure(str(error)) from None
        except DatabaseUnavailable as error:
            raise Failure(f"{error} Check CLINICDAV_DATABASE_URL and the disk, then try again.") from None
        except BrokenPipeError:
            raise SystemExit(1) from None
        except OSError as error:
            raise Failure(f"{error.filename or 'The system'}: {error.strerror or error}.") from None

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, standalone_mode=False, **kwargs)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.message)
            raise SystemExit(0) from None
        except click.UsageError as error:
            place = error.ctx.command_path if error.ctx else "clinicdav"
            Failure(f"{error.format_message().rstrip('.')}. See {place} --help.").show()
            raise SystemExit(2) from None
        except click.Abort:
            Failure("Stopped.").show()
            raise SystemExit(130) from None
        except click.ClickException as error:
            error.show()
            raise SystemExit(error.exit_code) from None


@dataclass
class Context:
    """Opened when first needed, so that --help and `init` work with nothing there."""

    @cached_property
    def settings(self) -> Settings:
        return load_settings()

    @cached_property
    def db(self) -> Database:
        """The database, there and of this release's schema. Raises Failure that says what to run otherwise."""
        opened = self.unchecked_db
        problem = checks.ready(opened)
        if problem is not None:
            raise Failure(problem)
        return opened

    @cached_property
    def unchecked_db(self) -> Database:
        settings = self.settings
        settings.secret_bytes  # noqa: B018 - says that there is no installation before a database is made
        opened = Database(settings.database_url, settings, COMMAND_LINE)
        context = click.get_current_context()
        context.call_on_close(opened.dispose)
        context.call_on_close(lambda: audit.write_late(opened))
        return opened

    @contextmanager
    def account(self, username: str) -> Iterator[tuple[Any, Account]]:
        """A writing transaction with the account of this name. Raises Failure when there is none."""
        with self.db.transaction() as session:
            yield session, named(session, username)


def named(session: Any, username: str) -> Account:
    account = accounts.by_username(session, username)
    if account is None:
        raise Failure(f"There is no user {username}: add one with clinicdav user add.")
    return account


def bookable(account: Account) -> Account:
    if account.role not in ("doctor", "resource"):
        raise Failure(f"{account.username} is a {account.role}, not a doctor, a room, a machine or an assistant.")
    return account


def doctor(account: Account) -> Account:
    if account.role != "doctor":
        raise Failure(f"{account.username} is a {account.role}, not a doctor.")
    return account


def public_url_problem(settings: Settings) -> str | None:
    """Why the public URL must not be served as it is; None when it may."""
    parts = urlsplit(settings.public_url)
    if parts.scheme == "https" or settings.insecure_http or is_loopback(parts.hostname or ""):
        return None
    return (
        f"CLINICDAV_PUBLIC_URL is {settings.public_url}: patients' data must not travel unencrypted. Put a proxy with"
        " TLS in front and use https://, or set CLINICDAV_INSECURE_HTTP=1 for a trial."
    )


passed = click.make_pass_decorator(Context, ensure=True)
now: Callable[[], Any] = utc_now
