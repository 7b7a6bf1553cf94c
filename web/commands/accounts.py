"""Who and what there is, and who may come in: users, resources, working hours, app passwords, API tokens, feeds."""

import sys
from datetime import datetime, time

import click

from storage import accounts, credentials, doctors, feeds, hours, logins, resources
from web.commands.common import COMMAND_LINE, Context, Failure, Group, bookable, console, doctor, now, passed

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Days(click.ParamType):
    name = "days"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        named = [part.strip().lower()[:3] for part in str(value).split(",") if part.strip()]
        unknown = [part for part in named if part not in DAYS]
        if unknown or not named:
            self.fail(f"{value!r} is no list of days such as mon,tue", param, ctx)
        return tuple(day for day in DAYS if day in named)


class TimeOfDay(click.ParamType):
    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> time:
        try:
            return datetime.strptime(str(value), "%H:%M").time()
        except ValueError:
            self.fail(f"{value!r} is no time such as 09:00", param, ctx)


@click.group(cls=Group)
def user() -> None:
    """Accounts of people."""


@user.command("add")
@click.argument("role", type=click.Choice(accounts.ROLES))
@click.argument("username")
@click.option("--name", required=True)
@click.option("--email", required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@click.option("--timezone", help="IANA name such as Europe/Vienna; the clinic's when left out.")
@passed
def user_add(
    context: Context, role: str, username: str, name: str, email: str, password_stdin: bool, timezone: str | None
) -> None:
    """Add a doctor, receptionist, admin or patient. Prints a link to set a password, unless one was given."""
    password = _first_line() if password_stdin else None
    with context.db.transaction() as session:
        account = accounts.create_account(
            session,
            role=role,
            username=username,
            name=name,
            email=email,
            password=password,
            timezone=timezone,
            now=now(),
        )
        token = None
        if password is None:
            token = logins.create_login_link(session, account, now(), kind="password", minutes=24 * 60)
    console.print(f"Added the {role} {username}.", markup=False)
    if token is None:
        click.echo(username)
    else:
        console.print("They choose a password here within a day:", markup=False)
        click.echo(f"{context.settings.public_url}/first-login/{token}")


@user.command("disable")
@click.argument("username")
@passed
def user_disable(context: Context, username: str) -> None:
    """Nobody enters with this account any more, by browser, app or program. What is booked stays."""
    with context.account(username) as (session, account):
        accounts.disable(session, account, now())
    console.print(f"{username} cannot log in any more.", markup=False)


@user.command("enable")
@click.argument("username")
@passed
def user_enable(context: Context, username: str) -> None:
    """Let a disabled account in again."""
    with context.account(username) as (session, account):
        accounts.enable(session, account, now())
    console.print(f"{username} can log in again.", markup=False)


def _first_line() -> str:
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise Failure("There was no password on standard input.")
    return line


@user.command("set")
@click.argument("username")
@click.option("--specialty", help="Patients see it.")
@click.option("--slot", "slot_minutes", type=click.IntRange(5, 480), help="Minutes of a slot.")
@click.option(
    "--daily-maximum", type=click.IntRange(0, 500), help="Most visits a day; 0: as many as there are hours for."
)
@click.option("--weekly-maximum", type=click.IntRange(0, 2000), help="Most visits a week; 0: as many as there are.")
@click.option("--approves-own-leave/--asks-for-leave", default=None, help="Whether leave counts without anybody asked.")
@passed
def user_set(context: Context, username: str, **values: str | int | bool | None) -> None:
    """Change what the practice decides for a doctor. What is left out stays."""
    told = {name: value for name, value in values.items() if value is not None}
    told |= {name: None for name in ("daily_maximum", "weekly_maximum") if told.get(name) == 0}
    with context.account(username) as (session, account):
        doctors.change(session, doctor(account), told, now=now())
    console.print(f"Changed {username}.", markup=False)


@click.group(cls=Group)
def resource() -> None:
    """Rooms, machines and assistants that appointments can need."""


@resource.command("add")
@click.argument("kind", type=click.Choice(resources.KINDS))
@click.argument("username")
@click.option("--name", required=True, help="How people call it.")
@click.option(
    "--capacity", default=1, show_default=True, type=click.IntRange(1, 100), help="Appointments that share its time."
)
@click.option("--timezone", help="IANA name such as Europe/Vienna; the clinic's when left out.")
@passed
def resource_add(context: Context, kind: str, username: str, name: str, capacity: int, timezone: str | None) -> None:
    """Add a room, a machine or an assistant, with calendars of its own. Prints its username."""
    with context.db.transaction() as session:
        resources.add(session, username, kind, name, timezone=timezone, capacity=capacity, now=now())
    console.print(f"Added the {kind} {name}.", markup=False)
    click.echo(username)


@resource.command("list")
@passed
def resource_list(context: Context) -> None:
    """List rooms, machines and assistants: kind, username, name."""
    with context.db.reading() as session:
        found = resources.every(session)
    for each in found:
        click.echo(f"{each.kind}  {each.account.username}  {each.account.name}")


@click.group("hours", cls=Group)
def hours_group() -> None:
    """Working hours of doctors, and of what is not always there."""


@hours_group.command("add")
@click.argument("username")
@click.option("--days", required=True, type=Days(), help="mon,tue,…")
@click.option("--from", "start", required=True, type=TimeOfDay(), help="09:00")
@click.option("--to", "end", required=True, type=TimeOfDay(), help="12:00")
@click.option("--slot", type=click.IntRange(5, 480), help="Minutes of a slot; the doctor's own when left out.")
@click.option("--capacity", default=1, show_default=True, type=click.IntRange(1, 100), help="Patients a slot.")
@click.option("--location", default="", help="A place of the practice, in whose time zone they are.")
@passed
def hours_add(
    context: Context,
    username: str,
    days: tuple[str, ...],
    start: time,
    end: time,
    slot: int | None,
    capacity: int,
    location: str,
) -> None:
    """Add weekly hours, from today on. Prints the event's UID."""
    with context.account(username) as (session, account):
        uid = hours.add_hours(
            session,
            bookable(account),
            days=days,
            start=start,
            end=end,
            slot=slot or account.slot_minutes,
            capacity=capacity,
            location=location,
            actor=COMMAND_LINE,
            now=now(),
        )
    click.echo(uid)


@click.group("app-password", cls=Group)
def app_password() -> None:
    """Passwords of calendar apps."""


@app_password.command("add")
@click.argument("username")
@click.option("--label", required=True, help="Which device it is for.")
@click.option(
    "--profile",
    type=click.Choice(credentials.PROFILES),
    default="solo",
    show_default=True,
    help="full: appointments carry organizer and attendee.",
)
@passed
def app_password_add(context: Context, username: str, label: str, profile: str) -> None:
    """Add an app password and print it alone. It cannot be shown again."""
    with context.account(username) as (session, account):
        password = credentials.add_app_password(session, account, label, profile, now())
    click.echo(password)


@click.group(cls=Group)
def token() -> None:
    """Tokens of programs that use the API."""


@token.command("add")
@click.argument("username")
@click.option("--label", required=True, help="Which program it is for.")
@passed
def token_add(context: Context, username: str, label: str) -> None:
    """Add an API token and print it alone. It cannot be shown again."""
    with context.account(username) as (session, account):
        added = credentials.add_api_token(session, account, label, now())
    click.echo(added)


@token.command("list")
@click.argument("username")
@passed
def token_list(context: Context, username: str) -> None:
    """List the API tokens in force: number, label, when last used."""
    with context.account(username) as (session, account):
        found = credentials.api_tokens(session, account)
    for each in found:
        used = f"last used {each.last_used_at:%Y-%m-%d}" if each.last_used_at else "never used"
        click.echo(f"{each.id}  {each.label}  {used}")


@token.command("revoke")
@click.argument("username")
@click.argument("number", type=int)
@passed
def token_revoke(context: Context, username: str, number: int) -> None:
    """Revoke an API token by its number in the list. Its program is refused from the next request on."""
    with context.account(username) as (session, account):
        found = next((each for each in credentials.api_tokens(session, account) if each.id == number), None)
        if found is None:
            raise Failure(f"{username} has no token {number}: see clinicdav token list {username}.")
        credentials.revoke(session, found, now())


@click.group(cls=Group)
def feed() -> None:
    """Secret URLs for calendars that subscribe."""


@feed.command("add")
@click.argument("username")
@click.option("--level", type=click.Choice(["busy", "initials"]), default="busy", show_default=True)
@click.option("--label", default="", help="Who reads it.")
@passed
def feed_add(context: Context, username: str, level: str, label: str) -> None:
    """Add a feed of a doctor's times and print its URL alone. It cannot be shown again."""
    with context.account(username) as (session, account):
        secret = feeds.add_feed(session, doctor(account), level, label, now())
    click.echo(feeds.url(context.settings, secret))
