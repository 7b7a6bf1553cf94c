"""The command line. Each command exits 0, or non-zero with one line on standard error that says what to do."""

import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import click

import tasks.app
import tasks.embedded
import tasks.runner
from storage import audit
from storage.db import Database
from storage.settings import Settings
from web import logs, server
from web.commands import accounts, data, holidays, setup
from web.commands.common import Context, Failure, Group, console, passed, public_url_problem
from web.wsgi import create_wsgi, utc_now

TASKS = ("reminders", "outbox", "requests", "waitlist", "no-shows", "follow-ups", "holidays", "recurrence")


@click.group(cls=Group)
@click.version_option(package_name="clinicdav")
def main() -> None:
    """ClinicDAV: appointment scheduling in which the calendar is the database.

    Settings come from CLINICDAV_* in the environment and from clinicdav.toml in CLINICDAV_HOME.
    """
    # What is made here holds patients' data: it is its owner's alone.
    os.umask(0o077)


@main.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--no-serve", is_flag=True, help="Only create the clinic and say who can log in.")
@passed
def demo(context: Context, port: int, no_serve: bool) -> None:
    """Create the demo clinic (in var/demo unless CLINICDAV_HOME is set) and serve it."""
    setup.choose_demo_home()
    listener = None if no_serve else server.listen("127.0.0.1", port)
    settings = setup.demo_settings(port if listener is None else listener.getsockname()[1])
    setup.fill_demo(settings)
    if listener is not None:
        _serve(settings, listener, workers=1, with_tasks=settings.broker_url is None)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that answer.")
@click.option("--no-worker", is_flag=True, help="Without the embedded worker: nothing is sent or tidied up.")
@passed
def serve(context: Context, host: str, port: int, workers: int, no_worker: bool) -> None:
    """Serve pages, API, feeds and CalDAV, with a worker inside unless a broker is configured."""
    # Says what is missing; each process opens its own.
    context.db.dispose()
    listener = server.listen(host, port)
    settings = _reachable(context.settings, host, listener)
    problem = public_url_problem(settings)
    if problem is not None:
        raise Failure(problem)
    _serve(settings, listener, workers, with_tasks=not no_worker and settings.broker_url is None)


def _reachable(settings: Settings, host: str, listener: socket.socket) -> Settings:
    """With the public URL that the port implies, unless one was configured."""
    if "public_url" in settings.model_fields_set:
        return settings
    port = listener.getsockname()[1]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    named = f"[{shown}]" if ":" in shown else shown
    return settings.model_copy(update={"public_url": f"http://{named}:{port}"})


def _serve(settings: Settings, listener: socket.socket, workers: int, with_tasks: bool) -> None:
    logs.set_up(settings)
    console.print(f"Serving {settings.public_url}/ (Ctrl-C ends it)", markup=False, soft_wrap=True)
    if workers == 1:
        _work(settings, listener, with_tasks)
        return
    jobs: list[Callable[[], None]] = [partial(_work, settings, listener, False)] * workers
    if with_tasks:
        jobs.append(partial(_only_tasks, settings, listener))
    server.serve_in_processes(jobs, listener)


def _work(settings: Settings, listener: socket.socket, with_tasks: bool) -> None:
    db = Database(settings.database_url, settings)
    running = tasks.embedded.start(settings, db, utc_now) if with_tasks else None
    try:
        server.serve_here(create_wsgi(settings, utc_now, db), listener)
    finally:
        if running is not None:
            running.stop()
        audit.write_late(db)
        db.dispose()


def _only_tasks(settings: Settings, listener: socket.socket) -> None:
    listener.close()
    db = Database(settings.database_url, settings)
    running = tasks.embedded.start(settings, db, utc_now)
    try:
        server.wait_for_stop()
    finally:
        running.stop()
        db.dispose()


@main.command()
@click.option("--concurrency", default=2, show_default=True, type=click.IntRange(1, 64))
@passed
def worker(context: Context, concurrency: int) -> None:
    """Run a Celery worker against the broker, for larger installations."""
    application = _with_broker(context)
    application.worker_main(["worker", f"--concurrency={concurrency}", "--loglevel=WARNING"])


@main.command()
@passed
def beat(context: Context) -> None:
    """Run Celery's clock against the broker. Any number of them is harmless."""
    application = _with_broker(context)
    application.start(["beat", "--loglevel=WARNING"])


def _with_broker(context: Context) -> Any:
    if context.settings.broker_url is None:
        raise Failure("There is no broker: set CLINICDAV_BROKER_URL, or let clinicdav serve run the embedded worker.")
    context.db.dispose()
    logs.set_up(context.settings)
    return tasks.app.create_celery(context.settings)


@main.command()
@click.argument("task", type=click.Choice(TASKS))
@passed
def run(context: Context, task: str) -> None:
    """Do one pass of a periodic task now."""
    logs.set_up(context.settings)
    done = tasks.runner.run_once(task, context.db, context.settings, utc_now)
    if task == "recurrence":
        console.print(f"{done}.", markup=False, soft_wrap=True)


for each in (
    setup.init,
    accounts.user,
    accounts.resource,
    accounts.hours_group,
    holidays.holidays_group,
    accounts.app_password,
    accounts.token,
    accounts.feed,
    data.import_command,
    data.export_command,
    data.backup_command,
    data.restore_command,
    data.database,
    data.check_command,
):
    main.add_command(each)

if __name__ == "__main__":
    main()
