"""Joining the waitlist, answering an offer, leaving."""

import re

import pytest

from storage import lifecycle, links, matches, offers, waitlist
from storage.db import Database
from storage.models import AppointmentType
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
    assert "offered until" in said(lee.get("/appointments/doctor/waitlist/"))


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


@pytest.mark.parametrize(
    ("no", "said_then", "status"),
    [("day", "You still wait for another one", "waiting"), ("leave", "You are no longer on the waitlist", "withdrawn")],
)
def test_a_no_says_what_does_not_suit(
    visitor: Person, offered: str, db: Database, no: str, said_then: str, status: str
) -> None:
    assert "What does not suit you?" in said(visitor.get(offered))
    assert said_then in said(visitor.follow(visitor.post(offered, answer="decline", no=no)))
    with db.reading() as session:
        (entry,) = waitlist.list_entries(session)
        assert entry.status == status


def test_an_offer_is_found_from_the_entrys_page_too(visitor: Person, offered: str, db: Database) -> None:
    with db.reading() as session:
        (entry,) = waitlist.list_entries(session)
        token = links.token(db.settings, "waitlist", entry.id)
    page = visitor.get(f"/waitlist/{token}")
    assert "A time is kept for you" in said(page) and offered in page.text
    visitor.follow(visitor.post(offered, answer="accept"))
    assert "You have an appointment" in said(visitor.get(f"/waitlist/{token}"))


def test_what_one_waits_for_is_changed_by_the_link(visitor: Person, db: Database) -> None:
    visitor.get(JOIN)
    url = visitor.post(JOIN, once="e" * 20, **WISH).headers["Location"].partition("?")[0]
    page = visitor.get(f"{url}/change")
    assert 'value="lee" checked' in page.text and "How urgent" not in page.text
    change = {name: WISH[name] for name in ("type", "date_from", "date_to", "time_from")}
    changed = change | {"time_to": "11:00", "weekdays": "tue", "doctor": ["lee", "smith"], "version": "1"}
    shown = said(visitor.follow(visitor.post(f"{url}/change", **changed)))
    assert "Dr. Anna Smith or Dr. Min Lee" in shown and "09:00–11:00 on Tue" in shown
    visitor.get(f"{url}/change")
    stale = visitor.post(f"{url}/change", **changed)
    assert stale.status_code == 422 and "Somebody changed this" in said(stale)
    wrong = visitor.post(f"{url}/change", **changed | {"version": "2", "time_to": "08:00"})
    assert "The end must be later" in said(wrong)


def test_a_patient_cannot_make_themselves_urgent(visitor: Person, db: Database) -> None:
    visitor.get(JOIN)
    visitor.post(JOIN, once="f" * 20, **WISH | {"urgency": "urgent"})
    with db.reading() as session:
        assert [entry.priority for entry in waitlist.list_entries(session)] == [5]


def test_the_desk_sees_who_could_take_a_time_and_offers_it(visitor: Person, desk: Person, db: Database) -> None:
    visitor.get(JOIN)
    visitor.post(JOIN, once="g" * 20, **WISH)
    visitor.post(
        JOIN, once="h" * 20, **WISH | {"name": "Other Day", "date_from": "2026-11-25", "date_to": "2026-11-26"}
    )
    listed = desk.get("/appointments/doctor/waitlist/?doctor=lee")
    assert "Wanda Wait" in said(listed) and "Waiting" in said(listed)
    page = desk.get("/appointments/doctor/waitlist/time/?doctor=lee&date=2026-11-24&time=09:00")
    text = said(page)
    assert text.index("Wanda Wait") < text.index("Other Day") and "wants other days" in text
    action = re.search(r'action="(/appointments/doctor/waitlist/[\w-]+/)"', page.text)
    slot = re.search(r'name="slot" value="([^"]+)"', page.text)
    assert action and slot
    shown = said(desk.follow(desk.post(action.group(1), slot=slot.group(1), do="offer")))
    assert "The time is offered" in shown and "waits for an answer" in shown and "by desk" in shown
    again = desk.post(action.group(1), slot=slot.group(1), do="offer")
    assert again.status_code == 409 and "Another time is being offered" in said(again)
    shown = said(desk.follow(desk.post(action.group(1), slot=slot.group(1), do="book")))
    assert "The appointment is booked" in shown and "accepted" in shown


def test_the_desk_offers_a_time_that_it_types(visitor: Person, desk: Person, db: Database) -> None:
    visitor.get(JOIN)
    visitor.post(JOIN, once="i" * 20, **WISH)
    with db.reading() as session:
        (entry,) = waitlist.list_entries(session)
    url = f"/appointments/doctor/waitlist/{entry.id}/"
    assert "Free times that suit" in said(desk.get(url))
    nothing = desk.post(url, with_="smith", date="", time="", do="offer")
    assert nothing.status_code == 422
    closed = desk.post(url, with_="smith", date="2026-11-24", time="20:00", do="book")
    assert closed.status_code == 422 and "does not work at this time" in said(closed)
    assert "The appointment is booked" in said(
        desk.follow(desk.post(url, with_="smith", date="2026-11-24", time="10:00", do="book"))
    )


def test_the_desk_changes_how_urgent_it_is(visitor: Person, desk: Person, db: Database) -> None:
    visitor.get(JOIN)
    visitor.post(JOIN, once="j" * 20, **WISH)
    with db.reading() as session:
        (entry,) = waitlist.list_entries(session)
    url = f"/appointments/doctor/waitlist/{entry.id}/change/"
    page = desk.get(url)
    assert "How urgent is it?" in said(page)
    change = {name: WISH[name] for name in ("type", "doctor", "date_from", "date_to", "time_from", "time_to")}
    desk.follow(desk.post(url, **change, urgency="urgent", channel="email", version="1"))
    assert "Urgent" in said(desk.get("/appointments/doctor/waitlist/?doctor=lee&urgency=urgent"))
    assert "Nobody is waiting for that" in said(desk.get("/appointments/doctor/waitlist/?doctor=lee&urgency=soon"))


def test_a_doctor_does_not_reach_those_who_wait_for_another(visitor: Person, lee: Person, db: Database) -> None:
    visitor.get(JOIN)
    visitor.post(JOIN, once="k" * 20, **WISH | {"doctor": "smith"})
    with db.reading() as session:
        (entry,) = waitlist.list_entries(session)
    assert "Wanda Wait" not in lee.get("/appointments/doctor/waitlist/").text
    for path in ("", "change/"):
        assert lee.get(f"/appointments/doctor/waitlist/{entry.id}/{path}").status_code == 404
    assert lee.get("/appointments/doctor/waitlist/time/?doctor=smith").status_code == 404


def test_what_is_too_near_to_be_offered_by_itself_is_shown_to_staff(
    visitor: Person, desk: Person, db: Database, clock: Clock
) -> None:
    with db.transaction() as session:
        session.get_one(AppointmentType, "consultation").auto_offer_hours = 72
    visitor.get(JOIN)
    visitor.post(JOIN, once="l" * 20, **WISH)
    page = desk.get("/appointments/doctor/waitlist/?doctor=lee")
    assert "Free, to be offered by hand" in said(page)
    link = re.search(r'href="(/appointments/doctor/waitlist/time/\?[^"]*start=[^"]+)"', page.text)
    assert link and "Wanda Wait" in said(desk.get(link.group(1).replace("&amp;", "&")))
