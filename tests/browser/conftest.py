"""The pages of a small practice, served for Chromium."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta

import pytest
from playwright.sync_api import Browser, Page
from waitress import create_server

from storage import accounts, booking, drafts, hours, slots, views
from storage.db import Database
from storage.policy import SYSTEM
from storage.settings import Settings
from web.app import create_app

PASSWORD = "correct park lantern 7"
# A Monday, 10:10 in Vienna
NOW = datetime(2026, 11, 23, 9, 10, tzinfo=UTC)
DESKTOP = {"width": 1280, "height": 850}
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def db(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.database_url, settings)
    with opened.transaction() as session:
        for role, username, name in (
            ("doctor", "lee", "Dr. Min Lee"),
            ("doctor", "smith", "Dr. Anna Smith"),
            ("admin", "admin", "Ada Min"),
            ("patient", "maria@example.org", "Maria Huber"),
        ):
            accounts.create_account(
                session, role=role, username=username, name=name, email=username if role == "patient" else "",
                password=PASSWORD, slot_minutes=20, now=NOW,
            )  # fmt: skip
        days = ["mon", "tue", "wed", "thu", "fri"]
        for doctor in accounts.doctors(session):
            hours.add_hours(
                session, doctor, days, time(9), time(12), slot=20, actor=SYSTEM, now=NOW, first=date(2026, 11, 16)
            )
        _book(session, 0)
        _book(session, 3)
    yield opened
    opened.dispose()


def _book(session, nth: int) -> None:  # type: ignore[no-untyped-def]
    doctor, account = accounts.by_username(session, "lee"), accounts.by_username(session, "maria@example.org")
    kind = views.find_type(session, "consultation")
    assert doctor is not None and account is not None and kind is not None
    patient = accounts.patient_of(session, account)
    assert patient is not None
    slot = slots.free_slots(session, [doctor], NOW, NOW + timedelta(days=3), kind, NOW)[nth]
    booking.book(session, [doctor], drafts.NewAppointment(slot.start, kind, patient), actor=SYSTEM, now=NOW)


@pytest.fixture
def site(db: Database, settings: Settings) -> Iterator[str]:
    """The address where the pages are served."""
    server = create_server(
        create_app(db, settings.model_copy(update={"clinic_name": "Practice at the Park"}), lambda: NOW),
        host="127.0.0.1",
        port=0,
        threads=4,
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    server.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """A page of a new browser profile. Anything said on the console as an error fails the test."""
    contexts, errors = [], []

    def opened(
        size: dict[str, int] = DESKTOP, *, script: bool = True, dark: bool = False, zone: str = "Europe/Vienna"
    ) -> Page:
        context = browser.new_context(
            viewport=size,
            java_script_enabled=script,
            color_scheme="dark" if dark else "light",
            locale="en-GB",
            timezone_id=zone,
        )
        contexts.append(context)
        page = context.new_page()
        # A refused form answers 422, which Chromium reports as an error, too.
        page.on(
            "console",
            lambda said: said.type == "error" and "Failed to load" not in said.text and errors.append(said.text),
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def log_in(page: Page, site: str, username: str) -> None:
    page.goto(f"{site}/login")
    page.get_by_label("Username or e-mail").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    page.wait_for_load_state()
