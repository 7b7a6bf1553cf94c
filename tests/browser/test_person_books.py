"""A person in front of a browser books, changes and cancels; with script and without, on a desk and on a phone."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from storage import credentials
from storage.db import Database

from .conftest import DESKTOP, NOW, PHONE, log_in


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_person_books_moves_and_cancels(
    site: str, open_page: Callable[..., Page], size: dict[str, int], script: bool
) -> None:
    page = open_page(size, script=script)
    page.goto(site)
    page.get_by_role("link", name="Consultation").click()
    page.get_by_role("link", name="Dr. Min Lee").click()
    page.get_by_role("link", name="Wed 25").click()
    expect(page.get_by_role("heading", name="Wednesday, 25 November 2026")).to_be_visible()
    assert "date=2026-11-25" in page.url
    page.get_by_role("button", name="09:20").click()
    expect(page.get_by_text("We keep this time for you until 10:20.")).to_be_visible()
    if script:
        expect(page.locator(".left")).to_have_text(re.compile(r"9:5\d left"))

    page.get_by_label("Name").fill("Greta Gruber")
    page.get_by_label("E-mail").fill("greta")
    page.get_by_role("button", name="Book this appointment").click()
    expect(page.get_by_role("alert")).to_contain_text("Please correct 2 things")
    expect(page.get_by_label("Name")).to_have_value("Greta Gruber")
    page.get_by_label("E-mail").fill("greta@example.org")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Book this appointment").click()

    expect(page.get_by_role("heading", name="Your appointment is booked")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Add to calendar").click()
    assert "BEGIN:VEVENT" in download.value.path().read_text()
    page.get_by_role("link", name="See or change it").click()
    page.get_by_role("button", name="I will come").click()
    expect(page.get_by_text("Thank you, the appointment is confirmed.")).to_be_visible()

    page.get_by_role("link", name="Move").click()
    page.get_by_role("link", name="Thu 26").click()
    expect(page.get_by_role("heading", name="Thursday, 26 November 2026")).to_be_visible()
    page.get_by_role("button", name="11:40").click()
    expect(page.get_by_text("The appointment is moved.")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Cancel the appointment").click()
    expect(page.get_by_text("The appointment is cancelled.")).to_be_visible()


def test_the_flow_works_by_keyboard(site: str, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto(f"{site}/appointments/book/?type=consultation&doctor=lee&date=2026-11-25")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "09:20":
            break
    page.keyboard.press("Enter")
    page.wait_for_load_state()
    expect(page.get_by_label("Name")).to_be_visible()


def test_a_double_click_books_once(site: str, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto(f"{site}/appointments/book/?type=consultation&doctor=lee&date=2026-11-25")
    page.get_by_role("button", name="09:20").dblclick()
    page.get_by_label("Name").fill("Greta Gruber")
    page.get_by_label("E-mail").fill("greta@example.org")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Book this appointment").dblclick()
    expect(page.get_by_role("heading", name="Your appointment is booked")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_a_doctor_sees_the_day_and_starts_a_visit(site: str, open_page: Callable[..., Page], script: bool) -> None:
    page = open_page(PHONE, script=script)
    log_in(page, site, "lee")
    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    page.get_by_role("link", name="Day", exact=True).click()
    page.get_by_role("button", name="Arrived: Maria Huber").first.click()
    expect(page.locator(".agenda .status", has_text="Arrived")).to_be_visible()
    page.get_by_role("button", name="Start: Maria Huber").first.click()
    expect(page.locator(".agenda .status", has_text="In progress")).to_be_visible()
    page.get_by_role("link", name="Hide names").click()
    expect(page.get_by_text("Maria Huber")).to_have_count(0)


def test_a_doctor_connects_a_device(site: str, db: Database, open_page: Callable[..., Page]) -> None:
    page = open_page()
    log_in(page, site, "lee")
    page.get_by_role("link", name="Devices").click()
    page.get_by_role("link", name="Android").click()
    page.get_by_role("button", name="Make the password").click()
    expect(page.get_by_text("The password for “Android phone” is made")).to_be_visible()
    assert page.get_by_alt_text("QR code").evaluate("image => image.naturalWidth > 0")
    password = page.locator("#app-password").text_content() or ""
    with db.transaction() as session:
        assert credentials.check_app_password(session, "lee", password, "DAVx5/4.4", NOW)
    expect(page.get_by_role("status").get_by_text("DAVx5 has signed in.")).to_be_visible()


def test_a_profile_is_downloaded_by_a_button(site: str, open_page: Callable[..., Page]) -> None:
    page = open_page(PHONE, script=False)
    log_in(page, site, "lee")
    page.goto(f"{site}/devices/apple/")
    with page.expect_download() as download:
        page.get_by_role("button", name="Onto this device").click()
    assert download.value.suggested_filename == "calendars.mobileconfig"


def test_a_video_visit_is_shown_in_the_patients_zone_too(site: str, open_page: Callable[..., Page]) -> None:
    for kind, seen in (("virtual", 1), ("consultation", 0)):
        page = open_page(zone="America/New_York")
        page.goto(f"{site}/appointments/book/?type={kind}&doctor=smith&date=2026-11-25")
        page.get_by_role("button", name="09:20").first.click()
        page.wait_for_load_state()
        expect(
            page.get_by_text(re.compile(r"Where you are \(America/New_York\): Wednesday,? 25 November.* 03:20"))
        ).to_have_count(seen)
        page.get_by_role("button", name="Choose another time").click()
