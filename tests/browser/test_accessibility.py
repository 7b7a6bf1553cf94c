"""axe finds nothing serious on any page, in either colour scheme, and no page is wider than a phone. WCAG 2.2 AA."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from .conftest import DESKTOP, PHONE, log_in

CALENDAR = "/appointments/doctor/appointments/"
PAGES = {
    "": [
        "/",
        "/appointments/book/",
        "/appointments/book/?type=consultation",
        "/appointments/book/?type=consultation&doctor=lee",
        "/appointments/book/?type=consultation&doctor=any",
        "/appointments/my-appointments/",
        "/appointments/waitlist/join/",
        "/login",
        "/register",
        "/nothing-here",
    ],
    "maria@example.org": ["/appointments/my-appointments/", "/me/"],
    "lee": [
        CALENDAR,
        f"{CALENDAR}?view=day",
        "/appointments/doctor/schedule/",
        "/appointments/doctor/waitlist/",
        "/appointments/doctor/no-shows/",
        "/analytics/",
        "/appointments/doctor/follow-ups/",
        "/appointments/doctor/day-as-it-was/",
        "/appointments/doctor/schedule/affected/",
        "/appointments/series/",
        "/devices/",
        "/devices/apple/",
        "/devices/google/",
        "/notices/",
        "/me/",
    ],
    "admin": ["/admin/", "/admin/discovery/", "/admin/users/add/", "/admin/doctors/lee/", "/admin/types/consultation/"],
}
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}


@pytest.mark.parametrize("who", PAGES, ids=lambda who: who or "visitor")
@pytest.mark.parametrize(
    ("size", "dark"), [(DESKTOP, False), (DESKTOP, True), (PHONE, False)], ids=["light", "dark", "phone"]
)
def test_pages_are_accessible(
    site: str, open_page: Callable[..., Page], who: str, size: dict[str, int], dark: bool
) -> None:
    page = open_page(size, dark=dark)
    if who:
        log_in(page, site, who)
    found = []
    for path in PAGES[who]:
        page.goto(site + path)
        found += [(path, fault) for fault in faults(page)]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append((path, "wider than the screen"))
    assert found == []


def test_the_forms_of_the_booking_are_accessible(site: str, open_page: Callable[..., Page]) -> None:
    page = open_page(PHONE)
    page.goto(f"{site}/appointments/book/?type=consultation&doctor=lee&date=2026-11-25")
    page.get_by_role("button", name="09:20").click()
    page.wait_for_load_state()
    assert faults(page) == []
    page.get_by_role("button", name="Book this appointment").click()
    page.wait_for_load_state()
    assert faults(page) == []
    page.get_by_label("Name").fill("Greta Gruber")
    page.get_by_label("E-mail").fill("greta@example.org")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Book this appointment").click()
    page.wait_for_load_state()
    assert faults(page) == []
    for link in ("See or change it", "Move"):
        page.get_by_role("link", name=link).click()
        page.wait_for_load_state()
        assert faults(page) == []


def test_the_page_with_a_new_password_is_accessible(site: str, open_page: Callable[..., Page]) -> None:
    page = open_page(PHONE, dark=True)
    log_in(page, site, "lee")
    for slug in ("android", "other"):
        page.goto(f"{site}/devices/{slug}/")
        page.get_by_role("button", name="Make the password").click()
        page.wait_for_load_state()
        assert faults(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


def faults(page: Page) -> list[str]:
    """What axe calls serious or critical, with the elements."""
    result = Axe().run(page, options=RULES)
    return [
        f"{fault['id']}: {[node['target'] for node in fault['nodes']][:4]} {fault['nodes'][0].get('failureSummary', '')}"
        for fault in result.response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
