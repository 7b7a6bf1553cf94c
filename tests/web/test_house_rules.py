"""House rules: read, changed and refused, by page and API."""

import pytest

from storage.house_rules import HouseRules
from tests.web.conftest import Person, said
from tests.web.test_api import Clinic, clinic  # noqa: F401

PAGE = "/admin/rules/"


def form_of(rules: HouseRules) -> dict[str, object]:
    said = {
        name: value for name, value in rules.model_dump(mode="json").items() if value is not None and value is not False
    }
    return {name: "yes" if value is True else value for name, value in said.items()}


def test_an_administrator_changes_a_rule_and_keeps_the_others(admin: Person) -> None:
    assert "House rules" in said(admin.get(PAGE))
    answer = admin.post(PAGE, **form_of(HouseRules()) | {"no_show_limit": 3, "no_show_consequence": "pause"})
    assert answer.status_code == 303, answer.text
    page = admin.follow(answer)
    assert 'value="3"' in page.text
    assert '<option value="pause" selected>' in page.text
    assert admin.post(PAGE, **form_of(HouseRules())).status_code == 303
    assert 'value="3"' not in admin.get(PAGE).text


def test_a_rule_out_of_range_is_refused_beside_its_field(admin: Person) -> None:
    admin.get(PAGE)
    page = admin.post(PAGE, **form_of(HouseRules()) | {"no_show_limit": 99})
    assert page.status_code == 422
    assert 'id="no_show_limit-problem"' in page.text


def test_only_administrators_reach_the_page(lee: Person) -> None:
    assert lee.get(PAGE).status_code == 404


@pytest.mark.parametrize("by", ["desk", "lee"])
def test_staff_read_the_rules_and_only_admins_change_them(clinic: Clinic, by: str) -> None:  # noqa: F811
    assert clinic.get("/house-rules", by=by).get_json() == HouseRules().model_dump(mode="json")
    assert clinic.call("PATCH", "/house-rules", {"no_show_limit": 2}, by=by).status_code == 403


def test_what_is_not_said_stays_and_null_takes_a_rule_back(clinic: Clinic) -> None:  # noqa: F811
    changed = clinic.call("PATCH", "/house-rules", {"no_show_limit": 2, "no_show_months": 3}, by="root").get_json()
    assert (changed["no_show_limit"], changed["no_show_months"]) == (2, 3)
    back = clinic.call("PATCH", "/house-rules", {"no_show_limit": None}, by="root").get_json()
    assert (back["no_show_limit"], back["no_show_months"]) == (None, 3)


def test_a_problem_names_the_rule(clinic: Clinic) -> None:  # noqa: F811
    answer = clinic.call("PATCH", "/house-rules", {"no_show_months": 0}, by="root")
    assert (answer.status_code, answer.get_json()["field"]) == (422, "no_show_months")
    unknown = clinic.call("PATCH", "/house-rules", {"no_shows": 1}, by="root")
    assert (unknown.status_code, unknown.get_json()["field"]) == (422, "no_shows")
