"""One's own details."""

import re

from storage import accounts
from storage.db import Database

from .conftest import PASSWORD, Clock, Person, book, said


def test_contact_is_changed_or_the_fault_is_shown(maria: Person, db: Database) -> None:
    maria.get("/me/")
    answer = maria.post("/me/contact/", name="Maria Maier", email="maria@new.example", phone="+43 660 7654321")
    assert "Saved." in said(maria.follow(answer))
    with db.reading() as session:
        patient = accounts.patient_of(session, accounts.by_username(session, "maria@example.org"))  # type: ignore[arg-type]
        assert patient is not None
        assert (patient.name, patient.email, patient.phone) == ("Maria Maier", "maria@new.example", "+436607654321")
    bad = maria.post("/me/contact/", name="", email="x", phone="")
    assert bad.status_code == 422 and "Enter your name." in said(bad)


def test_reminder_wishes_are_kept(maria: Person, db: Database) -> None:
    maria.get("/me/")
    wishes = {"minutes0": 2880, "channel0": "both", "minutes1": 60, "channel1": "sms", "minutes2": "", "minutes3": ""}
    maria.follow(maria.post("/me/reminders/", **wishes))
    with db.reading() as session:
        patient = accounts.patient_of(session, accounts.by_username(session, "maria@example.org"))  # type: ignore[arg-type]
        assert patient is not None
        assert patient.reminders == {"plan": [{"minutes": 2880, "channel": "both"}, {"minutes": 60, "channel": "sms"}]}
    assert 'value="2880" selected' in maria.get("/me/").text


def test_a_feed_is_shown_once_and_removed(maria: Person, db: Database, clock: Clock) -> None:
    book(db, clock, "maria")
    maria.get("/me/")
    page = maria.post("/me/feed/")
    address = re.search(r'id="feed-url">http://127.0.0.1:8000(/feeds/[^<]+)<', page.text)
    assert address
    assert "BEGIN:VEVENT" in maria.get(address.group(1)).text
    page = maria.get("/me/")
    assert address.group(1) not in page.text
    action = re.search(r'action="(/me/feed/\d+/revoke/)"', page.text)
    assert action
    maria.follow(maria.post(action.group(1)))
    assert maria.get(address.group(1)).status_code == 404


def test_the_export_holds_what_the_patient_wrote(maria: Person, db: Database, clock: Clock) -> None:
    book(db, clock, "maria")
    told = maria.get("/me/export.json").json
    assert told is not None
    assert told["appointments"][0]["reason"] == "Secret cough"
    assert told["patient"]["email"] == "maria@example.org"


def test_a_new_password_needs_the_old_one(maria: Person, visitor: Person) -> None:
    maria.get("/me/")
    new = "seven unrelated copper kettles"
    assert maria.post("/me/password/", current="wrong one here", password=new, again=new).status_code == 422
    assert maria.post("/me/password/", current=PASSWORD, password=new, again="other").status_code == 422
    assert maria.post("/me/password/", current=PASSWORD, password=new, again=new).status_code == 303
    assert maria.get("/me/").status_code == 200
    assert visitor.log_in("maria@example.org", new).status_code == 303
