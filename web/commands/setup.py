"""From nothing to a running clinic: `init`, and the demo clinic."""

import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.table import Table

from caldav_bridge.app import configuration_file
from storage import accounts, demo, logins
from storage.db import Database
from storage.settings import FILE_NAME, Settings, create_secret, is_loopback, load_settings
from web.commands.common import COMMAND_LINE, Context, console, now, passed

_CONF = "radicale.conf"
DEMO_HOME = Path("var/demo")
_SAMPLE = """\
# Settings of this installation; CLINICDAV_* in the environment wins over them. docs/reference/settings.md lists all.
# Take away the # in front of what you set, then restart.

# public_url = "https://clinic.example"
# proxy_hops = 1
# clinic_name = "Practice"
# timezone = "Europe/Vienna"
# smtp_url = "smtp://user:password@mail.example:587?starttls=1"
# mail_from = "appointments@clinic.example"
# sms_url = "https://gateway.example/send"
# log_level = "info"
"""
_PUBLIC_URL = re.compile(r"^public_url\s*=.*$", re.MULTILINE)


@click.command()
@click.option("--admin-email", default="", help="Address of the first admin.")
@passed
def init(context: Context, admin_email: str) -> None:
    """Create the home folder, secret, database, clinicdav.toml and radicale.conf. Prints a link with which the admin logs in once.

    What is there already stays as it is.
    """
    settings = context.settings
    db = install(settings)
    if not (settings.home / FILE_NAME).exists():
        (settings.home / FILE_NAME).write_text(_SAMPLE, encoding="utf-8")
    try:
        with db.transaction() as session:
            admin = accounts.by_username(session, "admin")
            if admin is None:
                name, email = "Administrator", admin_email or f"admin@{settings.uid_domain}"
                admin = accounts.create_account(
                    session, role="admin", username="admin", name=name, email=email, now=now()
                )
            link = None
            if admin.password_hash is None:
                link = logins.create_login_link(session, admin, now(), kind="login", minutes=30)
    finally:
        db.dispose()
    console.print(f"ClinicDAV is installed in {settings.home}.", markup=False, soft_wrap=True)
    if link is None:
        console.print("The user admin has a password already.")
        return
    console.print("Start it with clinicdav serve. Within 30 minutes the user admin logs in once with this link:")
    click.echo(f"{settings.public_url}/first-login/{link}")


def install(settings: Settings) -> Database:
    """The home folder with all that belongs into it, and the database at this release's schema."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.secret is None:
        create_secret(settings.home)
    if not (settings.home / _CONF).exists():
        shutil.copyfile(configuration_file(settings), settings.home / _CONF)
    db = Database(settings.database_url, settings, COMMAND_LINE)
    db.upgrade()
    return db


def choose_demo_home() -> None:
    """The demo clinic has a folder of its own unless one was named."""
    if not os.environ.get("CLINICDAV_HOME"):
        os.environ["CLINICDAV_HOME"] = str(DEMO_HOME.absolute())


def demo_settings(port: int) -> Settings:
    """The demo clinic's settings. Its clinicdav.toml says where it is, so that other commands print links to there;
    an address that somebody chose, in the environment or in the file, stays. Port 0: wherever it was."""
    settings = load_settings()
    chosen = os.environ.get("CLINICDAV_PUBLIC_URL") or not is_loopback(urlsplit(settings.public_url).hostname or "")
    path = settings.home / FILE_NAME
    if chosen or (port == 0 and path.exists()):
        return settings
    line = f'public_url = "http://127.0.0.1:{port or 8000}"'
    text = path.read_text(encoding="utf-8") if path.exists() else 'clinic_name = "Demo clinic"\n'
    text = _PUBLIC_URL.sub(line, text) if _PUBLIC_URL.search(text) else f"{line}\n{text}"
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return load_settings()


def fill_demo(settings: Settings) -> None:
    """Install, create the demo clinic if it is not there yet, and say who can log in where."""
    db = install(settings)
    try:
        with console.status("Creating the demo clinic …"), db.transaction() as session:
            created = demo.fill(session, now())
            app_password = demo.fresh_app_password(session, now())
    finally:
        db.dispose()
    console.print("The demo clinic was created." if created else "The demo clinic is as you left it.")
    table = Table(title=f"{settings.clinic_name}: who can log in at {settings.public_url}/login")
    for heading in ("user", "password", "who"):
        table.add_column(heading, no_wrap=True)
    for person in demo.PEOPLE:
        table.add_row(person.username, demo.PASSWORD, f"{person.name}, {person.role}")
    # What this command is for: it goes to standard output, for people and for programs.
    out = Console(highlight=False, soft_wrap=True)
    out.print(table)
    out.print(
        f"Book without an account at {settings.public_url}/\n\n"
        "Try a calendar app (Thunderbird, DAVx5, Apple Calendar, Evolution) with\n"
        f"  address   {settings.public_url}/dav/lee/\n"
        "  user      lee\n"
        f"  password  {app_password}\n\n"
        f"Other commands reach this clinic with CLINICDAV_HOME={settings.home}",
        markup=False,
    )
