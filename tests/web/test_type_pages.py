"""All that a practice says of a type, on its page; and what patients are then asked."""

from storage import appointments
from storage.appointment_types import get
from storage.db import Database

from .conftest import Person, said
from .test_booking_pages import DETAILS, hold

FORM = {
    "name": "Consultation",
    "mode": "in_person",
    "colour": "steelblue",
    "minutes": "",
    "capacity": "",
    "buffer_before": "0",
    "buffer_after": "0",
    "notice_minutes": "0",
    "window_days": "365",
    "cutoff_minutes": "0",
    "position": "0",
    "self_booking": "yes",
    "active": "yes",
}
MORE = {
    "doctors": "lee",
    "daily_maximum": "5",
    "weekly_maximum": "20",
    "follow_up_days": "90",
    "hours-days-0": "tue",
    "hours-from-0": "09:00",
    "hours-to-0": "12:00",
    "hours-from-1": "",
    "hours-to-1": "",
    "question-text-0": "Do you take blood thinners?",
    "question-kind-0": "yes_no",
    "question-required-0": "yes",
    "question-choices-0": "",
    "question-text-1": "Which knee?",
    "question-kind-1": "choice",
    "question-choices-1": "left, right",
    "question-text-2": "",
    "question-kind-2": "text",
    "question-choices-2": "",
}


def test_an_admin_says_all_of_a_type_and_sees_it_again(admin: Person, db: Database) -> None:
    page = admin.get("/admin/types/consultation/")
    assert page.status_code == 200
    answer = admin.post("/admin/types/consultation/", **FORM, **MORE)
    assert answer.status_code == 303, said(answer)
    with db.reading() as session:
        kind = get(session, "consultation")
        assert (kind.doctors, kind.daily_maximum, kind.weekly_maximum) == (["lee"], 5, 20)
        assert kind.hours == [{"days": ["tue"], "from": "09:00", "to": "12:00"}]
        assert [(each["code"], each["kind"], each["required"]) for each in kind.questions] == [
            ("do_you_take_blood_thinne", "yes_no", True),
            ("which_knee", "choice", False),
        ]
    shown = admin.get("/admin/types/consultation/").text
    assert 'value="left, right"' in shown and 'value="which_knee"' in shown
    assert 'value="lee" checked' in shown and 'value="09:00"' in shown


def test_what_makes_no_sense_is_said_beside_its_list_and_kept_in_the_form(admin: Person, db: Database) -> None:
    for wrong, sentence in (
        ({"hours-to-0": "08:00"}, "The hours must end after they begin (number 1)."),
        ({"question-choices-1": "left"}, "at least two different answers"),
        ({"resources": "nowhere"}, "There is no room, machine or assistant called nowhere."),
        ({"doctors": "desk"}, "There is no doctor called desk."),
        ({"daily_maximum": "many"}, "Enter a number from 0 to 1000."),
    ):
        answer = admin.post("/admin/types/consultation/", **FORM | MORE | wrong)
        assert answer.status_code == 422
        assert sentence in said(answer), said(answer)
        assert "Do you take blood thinners?" in answer.text
    with db.reading() as session:
        assert get(session, "consultation").questions == []


def test_patients_are_asked_and_the_practice_reads_the_answers(admin: Person, visitor: Person, db: Database) -> None:
    admin.post("/admin/types/consultation/", **FORM, **MORE)
    details = hold(visitor)
    page = visitor.get(details)
    assert "Do you take blood thinners?" in said(page) and 'name="answers.which_knee"' in page.text
    missing = visitor.post(details, **DETAILS)
    assert missing.status_code == 422 and "Please answer this question." in said(missing)
    answers = {"answers.do_you_take_blood_thinne": "Yes", "answers.which_knee": "left"}
    done = visitor.post(details, **DETAILS, **answers)
    assert done.status_code == 303, said(done)
    with db.reading() as session:
        view = appointments.details(session, appointments.find(session).rows[0].appointment.id)
    assert view is not None and view.patient_notes == "Do you take blood thinners? Yes\nWhich knee? left"


def test_only_doctors_who_offer_a_type_are_to_be_chosen(admin: Person, visitor: Person) -> None:
    admin.post("/admin/types/consultation/", **FORM, **MORE)
    page = said(visitor.get("/appointments/book/?type=consultation"))
    assert "Lee" in page and "Smith" not in page
