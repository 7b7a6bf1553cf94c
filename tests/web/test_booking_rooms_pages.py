"""Pages around rooms and machines, a speciality to choose from, and a visit that staff squeeze in."""

from sqlalchemy import select

from storage import accounts, appointment_types, booking, drafts, resources
from storage.db import Database
from storage.models import AppointmentResource, History, Visit
from storage.policy import SYSTEM
from tests.web.conftest import MONDAY, Person, said

TUESDAY_EARLY = {"date": "2026-11-24", "time": "06:00"}


def test_the_admin_adds_a_room(admin: Person, db: Database) -> None:
    assert "Rooms and machines" in said(admin.get("/admin/"))
    admin.get("/admin/resources/add/")
    answer = admin.post("/admin/resources/add/", kind="room", username="room-1", name="Room 1", timezone="", capacity=1)
    assert answer.status_code == 303
    assert "Room 1" in said(admin.follow(answer))
    again = admin.post("/admin/resources/add/", kind="room", username="room-1", name="Room 1", timezone="", capacity=1)
    assert again.status_code == 422 and "taken" in said(again)


def test_a_patient_books_a_type_with_its_room(visitor: Person, db: Database) -> None:
    with db.transaction() as session:
        room = resources.add(session, "room-1", "room", "Room 1", now=MONDAY)
        appointment_types.get(session, "consultation").resources = [["room-1"]]
    visitor.get("/appointments/book/?type=consultation&doctor=lee&date=2026-11-24")
    visitor.follow(
        visitor.post("/appointments/book/", type="consultation", doctor="lee", slot="lee|2026-11-24T08:00:00Z")
    )
    with db.reading() as session:
        from storage.models import Claim, Hold

        hold = session.scalars(select(Hold)).one()
        assert len(session.scalars(select(Claim).where(Claim.ticket == hold.id)).all()) == 2
    contact = {"name": "Nina Weber", "email": "nina@example.org", "consent": "yes"}
    answer = visitor.post(f"/appointments/book/details/{hold.id}", **contact)
    assert answer.status_code == 303, answer.text
    with db.reading() as session:
        assert session.scalars(select(AppointmentResource.resource_id)).all() == [room.id]


def test_a_speciality_of_several_doctors_is_a_choice(visitor: Person, db: Database) -> None:
    with db.transaction() as session:
        for username in ("lee", "smith"):
            doctor = accounts.by_username(session, username)
            assert doctor is not None
            doctor.specialty = "Radiology"
        accounts.create_account(session, role="doctor", username="kay", name="Dr. Kay", now=MONDAY)
    page = visitor.get("/appointments/book/?type=consultation")
    assert "doctor=any:Radiology" in page.text
    chosen = visitor.get("/appointments/book/?type=consultation&doctor=any:Radiology&date=2026-11-24")
    assert "Radiology" in said(chosen) and 'value="lee|' in chosen.text
    assert visitor.get("/appointments/book/?type=consultation&doctor=any:Alchemy").status_code == 404


def test_the_desk_squeezes_in_a_visit_with_a_reason(desk: Person, db: Database) -> None:
    desk.get("/appointments/book/?type=emergency&doctor=lee&date=2026-11-24")
    asked = {"type": "emergency", "doctor": "lee", **TUESDAY_EARLY}
    assert desk.post("/appointments/book/", **asked).status_code == 422
    answer = desk.post("/appointments/book/", **asked, overrule="Chest pain")
    page = desk.follow(answer)
    assert "Against the rules: Chest pain" in said(page)
    booked = desk.post(answer.headers["Location"], name="Nina Weber", email="nina@example.org", phone="")
    assert booked.status_code == 303, booked.text
    with db.reading() as session:
        assert session.scalars(select(Visit.outside_hours)).all() == [True]
        assert session.scalars(select(History.reason).where(History.action == "booked")).all() == ["Chest pain"]


def test_a_visitor_cannot_set_the_rules_aside(visitor: Person) -> None:
    visitor.get("/appointments/book/?type=consultation&doctor=lee&date=2026-11-24")
    refused = visitor.post(
        "/appointments/book/", type="consultation", doctor="lee", slot="lee|2026-11-24T05:00:00Z", overrule="Please"
    )
    assert refused.status_code == 422


def test_the_page_of_an_appointment_says_who_takes_part(desk: Person, db: Database) -> None:
    with db.transaction() as session:
        resources.add(session, "room-1", "room", "Room 1", now=MONDAY)
        lee, smith = (accounts.by_username(session, name) for name in ("lee", "smith"))
        assert lee is not None and smith is not None
        patient = accounts.find_or_create_patient(session, "Nina Weber", "nina@example.org", "", MONDAY)
        new = drafts.NewAppointment(
            MONDAY.replace(day=24, hour=9),
            appointment_types.get(session, "consultation"),
            patient,
            together=True,
            resources=("room-1",),
        )
        booked = booking.book(session, [lee, smith], new, actor=SYSTEM, now=MONDAY)
    page = said(desk.get(f"/appointments/{booked.appointment.id}/"))
    assert "with Dr. Min Lee and Dr. Anna Smith · Room 1" in page
