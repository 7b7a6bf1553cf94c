"""Slots: 20 doctors × 31 days, half booked, against the naive way of one query a slot; and with ten times as many
appointments around them."""

import gc
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from bench import practice
from bench.report import ms, percentile, show, timed
from storage import appointment_types, slots
from storage.db import Database
from storage.models import Account, AppointmentType, Claim, Resource
from storage.prepared import Prepared, Row

_DAYS = 31


def table() -> None:
    rows = []
    with practice.databases() as opened:
        for db in opened:
            made = practice.doctors(db, 20)
            practice.half_booked(db, made, _DAYS)
            _ours(db, made)
            # As the server does once it has started.
            gc.collect()
            gc.freeze()
            ours = timed(lambda db=db, made=made: _ours(db, made), 40)
            naive = timed(lambda db=db, made=made: _naive(db, made), 3)
            statements = _statements(db, made)
            one = timed(lambda db=db, made=made: _ours(db, made[:2]), 40)
            practice.half_booked(db, made, 9 * _DAYS, first=_DAYS)
            full = timed(lambda db=db, made=made: _ours(db, made), 40)
            gc.unfreeze()
            rows.append(
                [
                    db.dialect,
                    str(_ours(db, made)),
                    ms(percentile(ours, 0.5)),
                    ms(percentile(ours, 0.95)),
                    str(statements),
                    ms(naive[0]),
                    f"{naive[0] / percentile(ours, 0.5):.0f}×",
                    f"{percentile(ours, 0.5) / percentile(one, 0.5):.1f}×",
                    f"{percentile(full, 0.5) / percentile(ours, 0.5):.1f}×",
                ]
            )
    show(
        f"Free slots of 20 doctors × {_DAYS} days, half booked",
        [
            "database",
            "slots",
            "median",
            "p95",
            "statements",
            "a query a slot",
            "naive / ours",
            "20 doctors / 2",
            "10 × booked",
        ],
        rows,
    )


def _ours(db: Database, made: list[Account]) -> int:
    with db.reading() as session:
        return len(_find(session, made, appointment_types.get(session, "consultation")))


def _find(session: Session, made: list[Account], kind: AppointmentType) -> list[slots.DoctorSlot]:
    begin = practice.MONDAY
    return slots.free_slots(session, made, begin, begin + timedelta(days=_DAYS), kind, practice.NOW)


def _naive(db: Database, made: list[Account]) -> int:
    """What the client's own service did: walk the day and ask the database about every slot."""
    free = 0
    with db.reading() as session:
        resources = dict(session.execute(select(Resource.account_id, Resource.id)).all())
        for doctor in made:
            for day in range(_DAYS):
                opening = (practice.MONDAY + timedelta(days=day)).replace(hour=8)
                if opening.weekday() > 4:
                    continue
                for slot in range(24):
                    start = opening + timedelta(minutes=20 * slot)
                    taken = session.scalar(
                        select(func.count()).where(
                            Claim.resource_id == resources[doctor.id],
                            Claim.start < start + timedelta(minutes=20),
                            Claim.end > start,
                        )
                    )
                    free += not taken
    return free


def _statements(db: Database, made: list[Account]) -> int:
    """Those of SQLAlchemy, and the prepared ones that go to the driver itself."""
    count = 0
    run = Prepared._run

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    def running(*given: Any) -> list[Row]:
        counted()
        return run(*given)

    event.listen(db.engine, "before_cursor_execute", counted)
    with db.reading() as session, patch.object(Prepared, "_run", running):
        kind = appointment_types.get(session, "consultation")
        count = 0
        _find(session, made, kind)
    event.remove(db.engine, "before_cursor_execute", counted)
    return count
