"""The OpenAPI document and the API agree, whatever is sent (schemathesis)."""

from datetime import UTC, datetime
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from storage import accounts, credentials, demo
from storage.db import Database
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
    assert database.settings is not None
    application = create_wsgi(database.settings, utc_now, database)
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application)
    headers = {"Authorization": f"Bearer {token}"}
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 25
    for operation in operations:

        @USUAL
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            case.call_and_validate(headers=headers, excluded_checks=LEFT_OUT)

        check()
