"""A doctor books a series on a telephone, without scripts."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from .conftest import DESKTOP, PHONE, log_in


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_doctor_decides_about_what_is_in_the_way(
    open_page: Callable[..., Page], site: str, size: dict[str, int]
) -> None:
    page = open_page(size, script=False)
    log_in(page, site, "lee")
    page.goto(f"{site}/appointments/series/")
    form = {"date": "2026-11-24", "time": "09:00", "count": "6", "name": "Greta Gruber", "email": "greta@example.org"}
    for name, value in form.items():
        page.locator(f"#{name}").fill(value)
    page.get_by_label("Repeats").select_option("day")
    page.get_by_role("button", name="Check every appointment").click()
    expect(page.get_by_text("6 appointments")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    for each in page.locator("ol.series select").all():
        options = each.locator("option").all_inner_texts()
        if "As planned" not in options:
            each.select_option("skip")
    page.get_by_role("button", name="Book the series").click()
    expect(page.get_by_text("The series is booked.")).to_be_visible()
    page.get_by_role("link", name="Move from").nth(1).click()
    page.locator("#time").fill("10:00")
    page.get_by_role("button", name="Check every appointment").click()
    expect(page.get_by_text("3 appointments, 3 free")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
