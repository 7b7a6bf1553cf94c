"""The page of figures: pictures with words, a file, and each doctor's own."""

import re
from datetime import timedelta

import pytest

from storage import accounts, lifecycle
from storage.analytics import Figures
from storage.policy import SYSTEM
from web.clinic.charts import Series, round_above, stacked
from web.tables import csv_text

from .conftest import book, said

WEEK = "/analytics/?from=2026-11-23&to=2026-11-29"


@pytest.fixture
def week(db, clock):
    """Four appointments on Tuesday: one missed, one cancelled by the patient an hour before."""
    made = [
        book(db, clock, name, nth=nth) for nth, name in enumerate(("maria", "Hans Gruber", "Eva Klein", "Max Lang"))
    ]
    clock.now = made[1].visits[0].start - timedelta(hours=1)
    with db.transaction() as session:
        lifecycle.change_status(session, made[1].appointment.id, "cancel", actor=SYSTEM, now=clock.now, by="patient")
    clock.forward(hours=4)
    with db.transaction() as session:
        lifecycle.change_status(session, made[0].appointment.id, "no-show", actor=SYSTEM, now=clock.now)
        lifecycle.change_status(session, made[2].appointment.id, "complete", actor=SYSTEM, now=clock.now)
    return made


def test_the_figures_of_a_week_are_drawn_and_said(week, desk) -> None:
    page = desk.get(WEEK)
    assert page.status_code == 200
    text = said(page)
    assert "Appointments 4 1 completed, 0 moved" in text
    assert "Missed 50% 1 of 2 that were due" in text
    assert "Cancelled 1 1 by patients, 0 by the practice" in text
    assert "Less than 2 hours before 1 by patients, 0 by the practice" in text
    assert "Dr. Min Lee 4 booked, 1 missed, 1 cancelled" in text
    # 60 of 15 hours of each of two doctors
    assert "Working hours in use 3% 1 of 30 hours" in text
    pictures = re.findall(r'<svg class="plot"[^>]*aria-labelledby="([^"]+)"', page.text)
    assert pictures and all(f'id="{each}"' in page.text for name in pictures for each in name.split())
    assert "style=" not in page.text and "<script>" not in page.text


@pytest.mark.parametrize("by", ["type", "location", "weekday", "hour", "day", "week", "month"])
def test_figures_in_any_groups(week, desk, by) -> None:
    page = desk.get(f"{WEEK}&by={by}&type=consultation")
    assert page.status_code == 200 and "4" in said(page)


def test_a_doctor_sees_the_own_figures(week, lee, db) -> None:
    text = said(lee.get(WEEK))
    assert "Dr. Min Lee" in text and "Smith" not in text and "Working hours in use 7% 1 of 15 hours" in text
    assert lee.get(f"{WEEK}&doctor=smith").status_code == 422


def test_figures_are_for_staff(maria, visitor) -> None:
    assert maria.get("/analytics/").status_code == 404
    assert visitor.get("/analytics/").status_code == 302
    assert visitor.get("/analytics/figures.csv").status_code == 302


def test_a_file_for_a_spreadsheet_does_nothing_when_it_is_opened(week, desk, db) -> None:
    with db.transaction() as session:
        accounts.by_username(session, "lee").name = "=HYPERLINK(1)"
    answer = desk.get("/analytics/figures.csv?from=2026-11-23&to=2026-11-29&by=doctor")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    lines = answer.text.splitlines()
    assert lines[0].startswith("key,label,booked,completed") and lines[1].startswith("lee,'=HYPERLINK(1),4,1,1,1,0,")
    assert lines[-1].startswith("total,Total,4")


@pytest.mark.parametrize(
    "query",
    ["from=2026-11-30&to=2026-11-01", "from=soon", "by=mood", "type=nothing", "from=2000-01-01", "doctor=nobody"],
)
def test_what_cannot_be_asked_is_said_beside_its_field(desk, query) -> None:
    page = desk.get(f"/analytics/?{query}")
    assert page.status_code == 422 and 'class="problem"' in page.text or 'id="problems"' in page.text


def test_a_day_on_which_nothing_happened_has_its_place(desk) -> None:
    page = desk.get("/analytics/?from=2027-02-27&to=2027-03-01")
    assert page.status_code == 200 and "There was no appointment in these days." in said(page)


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 2), (2, 2), (3, 4), (9, 10), (10, 10), (11, 20), (27, 30), (270, 300), (61, 80), (1001, 2000)],
)
def test_scales_end_at_round_numbers(value, top) -> None:
    assert round_above(value) == top


def test_bars_stand_on_one_another() -> None:
    row = Figures(**{**dict.fromkeys(Figures.__dataclass_fields__, 0), "booked": 3, "no_show": 1, "label": "x"})
    chart = stacked([row], (Series("a", "one", lambda r: r.booked), Series("b", "two", lambda r: r.no_show)), str)
    assert [(part.tone, part.begin, part.size) for part in chart.bars[0].parts] == [("one", 0, 75), ("two", 75, 25)]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_names_that_begin_like_formulas_are_inert(name) -> None:
    assert csv_text(["name"], [{"name": name}]).splitlines()[1].strip('"').startswith("'")
