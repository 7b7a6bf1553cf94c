"""Corrections: the answer names no ETag, and a second revision follows for apps that do not fetch what they sent."""

from tasks import outbox
from tests.caldav.helpers import Clinic, D, Dav, event

LEAVE = "/lee/leave/l.ics"


def etag(app: Dav, path: str = LEAVE) -> str:
    return app.propfind(path, "D:getetag").xml.findtext(f".//{D}getetag", "")


def later(clinic: Clinic, seconds: float) -> int:
    clinic.clock.pass_time(seconds=seconds)
    return outbox.revise(clinic.db, clinic.clock)


def ask_for_leave(app: Dav, **headers: str) -> None:
    answer = app.put(LEAVE, event("l@test", "20261126T080000", "20261126T180000", "SUMMARY:Dentist"), **headers)
    assert answer.status == 201


def test_corrected_text_gets_a_second_revision_that_sync_reports(clinic: Clinic) -> None:
    app = clinic.client("lee")
    ask_for_leave(app)
    # What Outlook CalDav Synchronizer asks for after its PUT, and takes for its own text's.
    mine, token = etag(app), app.sync("/lee/leave/").xml.findtext(f"{D}sync-token", "")
    text = app.get(LEAVE).text
    assert later(clinic, 2) == 0
    assert outbox.is_due(clinic.db, clinic.clock()) is False
    assert later(clinic, 1) == 1
    assert etag(app) != mine
    assert app.sync("/lee/leave/", token).members == {"l.ics"}
    assert app.get(LEAVE).text == text
    assert later(clinic, 60) == 0


def test_app_that_fetched_the_correction_at_once_edits_on_without_a_conflict(lite: Clinic) -> None:
    app = lite.client("lee")
    ask_for_leave(app)
    fetched = app.get(LEAVE)
    later(lite, 3)
    moved = fetched.text.replace("20261126T", "20261127T")
    assert app.put(LEAVE, moved, If_Match=fetched.headers["ETag"]).status == 204
    assert app.put(LEAVE, moved, If_Match=fetched.headers["ETag"]).status == 412
    fetched = app.get(LEAVE)
    later(lite, 3)
    assert app.delete(LEAVE, If_Match=fetched.headers["ETag"]).status == 204


def test_what_was_sent_is_what_is_served_and_needs_no_second_revision(lite: Clinic) -> None:
    app = lite.client("lee")
    app.put("/lee/personal/a.ics", event())
    assert later(lite, 60) == 0


def test_app_that_was_given_the_corrected_text_needs_no_second_revision(lite: Clinic) -> None:
    ask_for_leave(lite.client("lee"), Prefer="return=representation")
    assert later(lite, 60) == 0


def test_second_revision_is_not_for_what_has_been_deleted_since(lite: Clinic) -> None:
    app = lite.client("lee")
    ask_for_leave(app)
    app.delete(LEAVE)
    later(lite, 3)
    assert app.get(LEAVE).status == 404
    assert later(lite, 3) == 0


def test_second_revision_is_not_for_what_another_app_has_fetched_and_sent_since(lite: Clinic) -> None:
    app = lite.client("lee")
    ask_for_leave(app)
    assert app.put(LEAVE, app.get(LEAVE).text).headers["ETag"] == etag(app)
    assert later(lite, 3) == 0
