"""caldav-server-tester against ClinicDAV, and the page docs/reference/caldav-server-tester.md that says what it found.

`python -m tests.caldav.server_tester` (or make tester) asks everything and writes the page.
"""

import logging
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import caldav
from caldav_server_tester import ServerQuirkChecker

from storage import accounts, credentials
from storage.db import Database
from storage.settings import Settings, create_secret
from tests.caldav.helpers import Clinic, make_clinic, served

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "caldav-server-tester.md"
DOCTOR = "anna@practice"

# Verdicts of which there must be none; `unsupported` is an honest no.
BAD = {"broken", "fragile", "quirk", "ungraceful"}

WHY = {
    "create-calendar.auto": "A PUT makes no calendar: it is answered 409, as RFC 4791 §5.3.2 says.",
    "scheduling.auto-schedule": "The workflow invites patients by mail; nothing is put into other people's calendars.",
    "scheduling.mailbox.inbox-delivery": "For the same reason the inbox stays empty.",
    "scheduling.schedule-tag": "Nobody's reply changes an object, so the ETag is enough.",
    "search.text.comp-type-optional": "A filter on VCALENDAR looks at the properties of VCALENDAR (RFC 4791 §9.7.1).",
    "url.encode-at.identity": "`@` and `%40` name the same resource, as on every server that the tester knows.",
    "well-known": "Not asked at a local address; `test_calendars_are_found_from_the_hosts_name` asks.",
}


def ask(clinic: Clinic, *, colleagues: bool) -> dict[str, dict[str, str]]:
    """Feature → verdict. `colleagues`: ask what takes two people as well, half a minute of waiting for invitations."""
    with clinic.db.transaction() as session:
        anna = accounts.create_account(
            session, role="doctor", username=DOCTOR, name="Dr. Anna", email="anna@test.example", now=clinic.clock()
        )
        smith = accounts.by_username(session, "smith")
        assert smith is not None
        logins = {
            who.username: credentials.add_app_password(session, who, "tester", "full", clinic.clock())
            for who in (anna, smith)
        }
    with served(clinic) as url:
        clients = [caldav.DAVClient(url=url, username=name, password=word) for name, word in logins.items()]
        checker = ServerQuirkChecker(clients[0], extra_clients=clients[1:] if colleagues else [])
        checker.check_all()
        found = checker.features_checked.dotted_feature_set_list(compact=False)
        checker.cleanup()
    return {name: verdict for name, verdict in found.items() if "support" in verdict}


def page(found: dict[str, dict[str, str]]) -> str:
    counts = Counter(verdict["support"] for verdict in found.values())
    told = ", ".join(f"{number} {support}" for support, number in sorted(counts.items(), key=lambda each: -each[1]))
    rows = [
        f"| `{name}` | {verdict['support']} | {WHY.get(name, '')} |"
        for name, verdict in sorted(found.items(), key=lambda each: (each[1]["support"] == "full", each[0]))
    ]
    return "\n".join(
        [
            "# What caldav-server-tester finds",
            "",
            "[caldav-server-tester](https://pypi.org/project/caldav-server-tester/) is the tool with which the Python",
            "library caldav learns what a server can do. This page is written by `make tester`, and a test compares it",
            "with what the tool finds.",
            "",
            f"ClinicDAV {version('clinicdav')}, caldav-server-tester {version('caldav-server-tester')}, "
            f"caldav {version('caldav')}: of {len(found)} features {told}; nothing is broken, fragile, quirky or "
            "ungraceful.",
            "",
            "| Feature | Support | Why not |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def written() -> dict[str, str]:
    """Feature → support, as the page has it."""
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return {row[1].strip(" `"): row[2].strip() for row in rows}


def main() -> None:
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        create_secret(Path(folder))
        settings = Settings(home=Path(folder), clinic_name="Test Practice")
        database = Database(settings.database_url, settings)
        database.upgrade()
        found = ask(make_clinic(database), colleagues=True)
        database.dispose()
    PAGE.write_text(page(found))
    print(f"{PAGE}: {dict(Counter(verdict['support'] for verdict in found.values()))}")


if __name__ == "__main__":
    main()
