"""Figures over 100,000 appointments, summed in the database, against adding them up in Python."""

import random
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import insert, select

from bench import naive_analytics, practice
from bench.report import percentile, show, timed
from storage import accounts, analytics, collections
from storage.analytics import Asked
from storage.db import Database
from storage.models import Account, Appointment, CalendarObject, History, Patient, Visit

_APPOINTMENTS, _DOCTORS = 100_000, 20
_FIRST = date(2026, 1, 1)
_STATUSES = ("completed",) * 12 + ("scheduled", "confirmed", "no_show", "cancelled_patient", "cancelled_doctor")
_TYPES = ("consultation", "follow_up", "xray_review", "results_discussion")


def table() -> None:
    rows = []
    with practice.databases() as opened:
        for db in opened:
            made = practice.doctors(db, _DOCTORS)
            fill(db, made, _APPOINTMENTS)
            for by in analytics.BY:
                asked = Asked(made, _FIRST, date(2026, 12, 31), by)
                ours = timed(lambda db=db, asked=asked: _ours(db, asked), 5)
                naive = timed(lambda db=db, asked=asked: _naive(db, asked), 1)
                same = _ours(db, asked) == _naive(db, asked)
                rows.append(
                    [
                        db.dialect,
                        by,
                        f"{percentile(ours, 0.5):.2f} s",
                        f"{ours[-1]:.2f} s",
                        f"{naive[0]:.2f} s",
                        f"{naive[0] / percentile(ours, 0.5):.0f}×",
                        "yes" if same else "NO",
                    ]
                )
    show(
        f"Figures over {_APPOINTMENTS:,} appointments of a year, {_DOCTORS} doctors",
        ["database", "by", "median", "slowest", "in Python", "Python / ours", "equal"],
        rows,
    )


def _ours(db: Database, asked: Asked) -> analytics.Table:
    with db.reading() as session:
        return analytics.figures(session, asked)


def _naive(db: Database, asked: Asked) -> analytics.Table:
    with db.reading() as session:
        return naive_analytics.figures(session, asked)


def fill(db: Database, made: list[Account], count: int) -> None:
    """A year of appointments, as rows: nobody asks for their text here."""
    chance = random.Random(4)
    start = datetime(2026, 1, 1, 8, tzinfo=practice.VIENNA)
    with db.transaction() as session:
        patient = accounts.find_or_create_patient(session, "Maria Huber", "maria@mail.example", "", practice.NOW)
        calendars = [collections.built_in(session, doctor, "appointments").id for doctor in made]
        ids = [uuid4() for _ in range(count)]
        session.execute(insert(CalendarObject), [_object(n, each, calendars) for n, each in enumerate(ids)])
        objects = dict(
            session.execute(select(CalendarObject.uid, CalendarObject.id).where(CalendarObject.kind == "appointment"))
            .tuples()
            .all()
        )
        appointments, visits, history = [], [], []
        for number, each in enumerate(ids):
            begin = start + timedelta(days=chance.randrange(365), minutes=20 * chance.randrange(24))
            state = chance.choice(_STATUSES)
            appointments.append(
                _appointment(each, objects[str(each)], made[number % len(made)], patient, begin, chance)
            )
            visits.append(
                {
                    "appointment_id": each,
                    "start": begin,
                    "end": begin + timedelta(minutes=20),
                    "status": state,
                    "cancelled_at": begin - timedelta(hours=chance.randrange(200)) if "cancel" in state else None,
                }
            )
            history += [_step(each, begin, "booked")] + [_step(each, begin, "moved")] * (chance.random() < 0.1)
        for model, rows in ((Appointment, appointments), (Visit, visits), (History, history)):
            session.execute(insert(model), rows)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def _object(number: int, appointment_id: UUID, calendars: list[int]) -> dict[str, object]:
    return {
        "collection_id": calendars[number % len(calendars)],
        "href": f"{appointment_id}.ics",
        "uid": str(appointment_id),
        "component": "VEVENT",
        "kind": "appointment",
        "stored_text": "",
        "served_text": "",
        "etag": "",
        "seq": number,
        "created_at": practice.NOW,
        "changed_at": practice.NOW,
    }


def _appointment(
    appointment_id: UUID, object_id: int, doctor: Account, patient: Patient, begin: datetime, chance: random.Random
) -> dict[str, object]:
    return {
        "id": appointment_id,
        "object_id": object_id,
        "doctor_id": doctor.id,
        "patient_id": patient.id,
        "type_code": chance.choice(_TYPES),
        "location": "Practice",
        "booked_by": "desk",
        "booked_at": begin - timedelta(minutes=chance.randrange(60_000)),
    }


def _step(appointment_id: UUID, begin: datetime, action: str) -> dict[str, object]:
    return {"appointment_id": appointment_id, "at": begin, "actor": "desk", "action": action}
