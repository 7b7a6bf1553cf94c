"""Policies, forms, headers, logins."""

import re

import pytest
from flask import Flask

from storage.db import Database, DatabaseUnavailable
from storage.settings import Settings
from web import security
from web.app import create_app

from .conftest import PASSWORD, Clock, Person, said


def test_every_route_declares_who_may_open_it(app: Flask) -> None:
    assert security.undeclared(app) == []


def test_a_route_without_a_policy_is_noticed(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.view_functions, "careless", lambda: "")
    assert security.undeclared(app) == ["careless"]


def test_an_unknown_action_cannot_be_declared() -> None:
    with pytest.raises(KeyError):
        security.policy("appointment.fly")


def test_pages_carry_the_security_headers(visitor: Person) -> None:
    headers = visitor.get("/").headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Strict-Transport-Security" not in headers


def test_behind_tls_the_cookie_is_bound_to_the_host(db: Database, settings: Settings, clock: Clock) -> None:
    told = settings.model_copy(update={"public_url": "https://clinic.example"})
    answer = create_app(db, told, clock).test_client().get("/login", base_url="https://clinic.example")
    assert answer.headers["Set-Cookie"].startswith("__Host-clinicdav=")
    assert all(word in answer.headers["Set-Cookie"] for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"))
    assert "max-age" in answer.headers["Strict-Transport-Security"]


@pytest.mark.parametrize("url", ["/", "/appointments/book/", "/login", "/register", "/appointments/waitlist/join/"])
def test_no_page_has_inline_script_style_or_a_foreign_host(visitor: Person, url: str) -> None:
    page = visitor.get(url).text
    assert not re.search(r"<script(?![^>]* src=\"/static/)", page)
    assert not re.search(r"<style| style=| on\w+=\"", page)
    assert not re.search(r"(src|href)=\"(https?:)?//", page)


def test_a_form_without_its_token_is_refused(visitor: Person) -> None:
    visitor.get("/login")
    assert visitor.post("/login", token="", username="lee", password=PASSWORD).status_code == 400


def test_the_token_of_another_browser_is_refused(app: Flask, visitor: Person) -> None:
    other = Person(app)
    other.get("/login")
    visitor.get("/login")
    assert visitor.post("/login", token=other.token, username="lee", password=PASSWORD).status_code == 400


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_form_from_another_site_is_refused(visitor: Person, headers: dict[str, str]) -> None:
    visitor.get("/login")
    assert visitor.post("/login", headers=headers, username="lee", password=PASSWORD).status_code == 400


def test_the_session_changes_at_login_and_ends_at_logout(app: Flask) -> None:
    person = Person(app)
    person.get("/login")
    before = person.client.get_cookie("clinicdav")
    assert person.log_in("lee").status_code == 303
    during = person.client.get_cookie("clinicdav")
    assert before and during and before.value != during.value
    person.post("/logout")
    stolen = Person(app)
    stolen.client.set_cookie("clinicdav", during.value)
    assert stolen.get("/devices/").status_code == 302


def test_wrong_name_and_wrong_password_get_the_same_answer(visitor: Person) -> None:
    visitor.get("/login")
    wrong = visitor.post("/login", username="lee", password="not this one at all")
    unknown = visitor.post("/login", username="nobody", password="not this one at all")
    assert wrong.status_code == unknown.status_code == 422
    assert said(wrong) == said(unknown)


def test_guessing_is_slowed_down_but_never_for_ever(visitor: Person, clock: Clock) -> None:
    visitor.get("/login")
    answers = [visitor.post("/login", username="lee", password=f"guess number {n}") for n in range(8)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    clock.forward(minutes=6)
    assert visitor.post("/login", username="lee", password=PASSWORD).status_code == 303


def test_login_leads_nowhere_else(visitor: Person) -> None:
    for target in ("//evil.example", "https://evil.example", "/\\evil.example"):
        visitor.get("/login")
        answer = visitor.post("/login", username="lee", password=PASSWORD, next=target)
        assert answer.headers["Location"] == "/appointments/doctor/appointments/"
        visitor.follow(answer)
        visitor.post("/logout")


def test_login_leads_back_to_the_page_that_asked(visitor: Person) -> None:
    asked = visitor.get("/devices/")
    assert asked.headers["Location"] == "/login?next=/devices/"
    visitor.follow(asked)
    answer = visitor.post("/login", username="lee", password=PASSWORD, next="/devices/")
    assert answer.headers["Location"] == "/devices/"


def test_staff_are_logged_out_after_fifteen_idle_minutes(lee: Person, clock: Clock) -> None:
    clock.forward(minutes=14)
    assert lee.get("/devices/").status_code == 200
    clock.forward(minutes=14)
    assert lee.get("/devices/").status_code == 200
    clock.forward(minutes=16)
    assert lee.get("/devices/").status_code == 302


def test_a_page_that_reloads_itself_keeps_nobody_logged_in(lee: Person, clock: Clock) -> None:
    for _ in range(4):
        clock.forward(minutes=4)
        answer = lee.get("/appointments/doctor/appointments/", **{"X-Clinicdav-Poll": "1", "HX-Request": "true"})
    assert answer.headers["HX-Redirect"].startswith("/login")


def test_nobody_stays_longer_than_twelve_hours(maria: Person, clock: Clock) -> None:
    for _ in range(36):
        clock.forward(minutes=20)
        answer = maria.get("/me/")
    assert answer.status_code == 302


def test_unknown_and_forbidden_look_the_same(maria: Person) -> None:
    unknown, forbidden = maria.get("/nothing/here/"), maria.get("/admin/")
    assert unknown.status_code == forbidden.status_code == 404
    assert said(unknown) == said(forbidden)


def test_a_database_that_is_away_gives_a_page_and_a_time_to_come_back(
    app: Flask, visitor: Person, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_arguments: object) -> None:
        raise DatabaseUnavailable("locked")

    monkeypatch.setattr(db, "reading", away)
    answer = visitor.get("/")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "Nothing was changed" in answer.text


def test_registering_a_known_address_changes_and_tells_nothing(visitor: Person, app: Flask) -> None:
    visitor.get("/register")
    form = {"name": "Not Maria", "email": "maria@example.org", "password": "four unrelated copper words"}
    known = visitor.post("/register", **form)
    fresh = visitor.post("/register", **form | {"email": "new@example.org"})
    assert known.status_code == fresh.status_code == 303
    assert known.headers["Location"] == fresh.headers["Location"]
    assert Person(app).log_in("maria@example.org").status_code == 303
    assert Person(app).log_in("new@example.org", form["password"]).status_code == 303


def test_a_short_password_is_refused_and_the_rest_kept(visitor: Person) -> None:
    visitor.get("/register")
    answer = visitor.post("/register", name="Nina", email="nina@example.org", password="too short")
    assert answer.status_code == 422
    assert "at least 15 characters" in answer.text
    assert 'value="nina@example.org"' in answer.text
    assert "too short" not in answer.text
