"""Joining the waitlist, answering an offer, leaving."""

import re

import pytest

from storage import lifecycle, links, matches, offers
from storage.db import Database
from storage.policy import SYSTEM
from storage.settings import Settings

from .conftest import Clock, Person, book, said

JOIN = "/appointments/waitlist/join/"
WISH = {
    "type": "consultation",
    "doctor": "lee",
    "date_from": "2026-11-24",
    "date_to": "2026-11-24",
    "time_from": "09:00",
    "time_to": "09:30",
    "name": "Wanda Wait",
    "email": "wanda@example.org",
    "consent": "yes",
}


@pytest.fixture
def offered(visitor: Person, db: Database, clock: Clock, settings: Settings) -> str:
    """Wanda waits for Tuesday at nine, which Maria had and gave up; the path of the offer."""
    taken = book(db, clock, "maria")
    visitor.get(JOIN)
    assert visitor.post(JOIN, once="a" * 20, **WISH).status_code == 303
    with db.transaction() as session:
        lifecycle.cancel(session, taken.appointment.id, actor=SYSTEM, now=clock.now)
    with db.transaction() as session:
        match = matches.matches(session, clock.now)[0]
        made = offers.offer(session, match, clock.now)
        assert made is not None
        return links.url(settings, "offer", made.id).removeprefix(settings.public_url)


def test_joining_twice_with_one_form_joins_once(visitor: Person, lee: Person) -> None:
    visitor.get(JOIN)
    first, second = visitor.post(JOIN, once="b" * 20, **WISH), visitor.post(JOIN, once="b" * 20, **WISH)
    assert first.headers["Location"] == second.headers["Location"]
    assert "You are on the waitlist" in said(visitor.follow(first))
    assert lee.get("/appointments/doctor/waitlist/").text.count("Wanda Wait</strong>") == 1


def test_a_wish_with_faults_says_which_and_keeps_the_rest(visitor: Person) -> None:
    visitor.get(JOIN)
    answer = visitor.post(JOIN, **WISH | {"date_to": "2026-11-23", "time_to": "08:00", "email": "", "consent": ""})
    assert answer.status_code == 422
    for sentence in (
        "The last day must not be before",
        "The end must be later",
        "Enter your e-mail address",
        "Please agree",
    ):
        assert sentence in said(answer)
    assert 'value="Wanda Wait"' in answer.text


def test_leaving_by_the_link_happens_after_a_post(visitor: Person) -> None:
    visitor.get(JOIN)
    url = visitor.post(JOIN, once="c" * 20, **WISH).headers["Location"].partition("?")[0]
    assert "You are on the waitlist" in said(visitor.get(url))
    assert "You are no longer on the waitlist" in said(visitor.follow(visitor.post(url)))


def test_an_offer_is_accepted_with_one_click(visitor: Person, offered: str) -> None:
    page = visitor.get(offered)
    assert "Tuesday, 24 November 2026 09:00–09:20" in said(page)
    done = visitor.follow(visitor.post(offered, answer="accept"))
    assert "Your appointment is booked" in said(done)
    again = visitor.post(offered, answer="accept")
    assert again.headers["Location"].startswith("/manage/")


def test_opening_the_link_accepts_nothing(visitor: Person, offered: str, lee: Person) -> None:
    visitor.get(offered)
    assert "Offered" in said(lee.get("/appointments/doctor/waitlist/"))


def test_a_declined_offer_leaves_the_patient_waiting(visitor: Person, offered: str) -> None:
    visitor.get(offered)
    page = visitor.follow(visitor.post(offered, answer="decline"))
    assert "You still wait for another one" in said(page)


def test_a_late_click_sees_what_else_is_free(visitor: Person, offered: str, clock: Clock) -> None:
    visitor.get(offered)
    clock.forward(hours=3)
    late = visitor.post(offered, answer="accept")
    assert late.status_code == 410
    assert "This offer has ended" in said(late)
    assert re.search(r"What else is free \w+day, \d+ November", said(late))
    assert "This offer has ended" in said(visitor.get(offered))


def test_a_forged_offer_finds_nothing(visitor: Person, offered: str) -> None:
    assert visitor.get(offered[:20] + ("A" if offered[20] != "A" else "B") + offered[21:]).status_code == 404


def test_a_patient_leaves_the_list_from_their_page(maria: Person, visitor: Person, lee: Person) -> None:
    maria.get(JOIN)
    maria.post(JOIN, once="d" * 20, **{name: WISH[name] for name in WISH if name not in ("name", "email", "consent")})
    page = maria.get("/appointments/my-appointments/")
    action = re.search(r'action="(/appointments/waitlist/[\w-]+/withdraw/)"', page.text)
    assert action
    visitor.get("/")
    assert visitor.post(action.group(1)).status_code in (302, 400, 404)
    assert "You are off the waitlist." in said(maria.follow(maria.post(action.group(1))))
