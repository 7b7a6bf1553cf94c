"""The OpenAPI document and the API agree, whatever is sent (schemathesis)."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from storage import (
    accounts,
    appointment_types,
    booking,
    credentials,
    demo,
    drafts,
    hours,
    leave,
    waitlist,
)
from storage.db import Database
from storage.policy import SYSTEM, VISITOR
from storage.wanted import Wanted
from web.wsgi import create_wsgi, utc_now

# Left out: every business rule that says no says 422, to data that is valid.
LEFT_OUT = [positive_data_acceptance]
USUAL = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(
    "username", [person.username for person in demo.PEOPLE if person.username not in ("smith", "desk")]
)
def test_answers_are_as_declared(database: Database, username: str, mode: GenerationMode) -> None:
    now = datetime.now(UTC)
    with database.transaction() as session:
        for person in demo.PEOPLE:
            account = accounts.create_account(
                session, role=person.role, username=person.username, name=person.name, email=person.email, now=now
            )
            if person.username == username:
                token = credentials.add_api_token(session, account, "schema", now)
    ids = real_ids(database, now)
    assert database.settings is not None
    application = create_wsgi(database.settings, utc_now, database)
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application)
    headers = {"Authorization": f"Bearer {token}"}
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 25
    for operation in operations:
        known = ids.get(operation.path.split("/")[1]) if mode is GenerationMode.POSITIVE else None

        @USUAL
        @given(case=operation.as_strategy(generation_mode=mode), real=st.sampled_from([None, known]))
        def check(case: Any, real: str | None) -> None:
            if real is not None and "id" in (case.path_parameters or {}):
                case.path_parameters["id"] = real
            answer = case.call(headers=headers)
            # Too large is a refusal too, though schemathesis does not count it as one.
            if answer.status_code != 413:
                case.validate_response(
                    answer, headers=headers, excluded_checks=LEFT_OUT, transport_kwargs={"headers": headers}
                )

        check()


def real_ids(database: Database, now: datetime) -> dict[str, str]:
    """Something of each kind that a path can name, by the first part of the path."""
    day = (now + timedelta(days=3)).date()
    start = datetime.combine(day, time(10), UTC)
    with database.transaction() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        hours.add_hours(session, lee, hours.DAYS, time(6), time(20), slot=20, actor=SYSTEM, now=now)
        appointment_types.change(session, "emergency", now=now, approval=True, self_booking=True)
        kind = appointment_types.get(session, "consultation")
        patient = accounts.find_or_create_patient(session, "Maria Huber", "maria@mail.example", "", now)

        def book(code: str, minutes: int, **more: Any) -> booking.Booked:
            asked = appointment_types.get(session, code)
            new = drafts.NewAppointment(start + timedelta(minutes=minutes), asked, patient, **more)
            return booking.book(session, [lee], new, actor=VISITOR, now=now)

        request = book("emergency", 0).request
        assert request is not None
        series = book("consultation", 120, rrule="FREQ=WEEKLY;COUNT=3").appointment
        entry = waitlist.join(session, patient, Wanted([lee], kind, day, day), actor=SYSTEM, now=now)
        away = leave.request_leave(
            session, lee, day + timedelta(days=30), day + timedelta(days=31), "", actor=SYSTEM, now=now
        )
        return {
            "appointments": str(series.id),
            "calendar-objects": str(series.object_id),
            "requests": str(request.id),
            "waitlist": str(entry.id),
            "leave": away.id,
            "patients": str(patient.id),
        }
