"""Calendar apps against the database: what they left alone tells nobody, and a series that they cut stays booked."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from ical.lines import parse
from storage import lifecycle
from storage.models import Visit
from tests.simulators import APPS, apple_split, split

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def series(practice, at):
    """Five Mondays at nine: the second moved to the afternoon, the third completed by hand, the fourth cancelled."""
    booked = practice.book(at(9), rrule="FREQ=WEEKLY;COUNT=5")
    second, third, fourth = [visit.recurrence_id for visit in practice.visits(booked)[1:4]]
    with practice.writing() as session:
        given = {"actor": practice.doctor, "now": practice.now}
        lifecycle.reschedule(session, booked.appointment.id, at(14, day=7), recurrence_id=second, **given)
        lifecycle.cancel(session, booked.appointment.id, recurrence_id=fourth, **given)
        lifecycle.change_status(session, booked.appointment.id, "confirm", recurrence_id=third, **given)
    return booked


def state(practice) -> list[tuple[datetime, str]]:
    with practice.db.reading() as session:
        found = session.scalars(select(Visit).order_by(Visit.start))
        return [(visit.start, visit.status) for visit in found]


@pytest.mark.parametrize("app", APPS)
def test_what_an_app_sends_back_unchanged_tells_nobody(practice, series, app):
    before, told, claims = state(practice), practice.messages(), practice.claims()
    obj = practice.object_of(series)
    practice.put(obj.href, APPS[app](obj.served_text))
    practice.settle()
    assert (state(practice), practice.messages(), practice.claims()) == (before, told, claims)


@pytest.mark.parametrize("app", APPS)
def test_a_moved_visit_tells_the_patient_once_whatever_the_app_drops(practice, at, app):
    booked = practice.book(at(9), kind="virtual")
    obj = practice.object_of(booked)
    put = parse(APPS[app](obj.served_text))
    for name, moment in (("DTSTART", at(11)), ("DTEND", at(11, 20))):
        put.components("VEVENT")[0].set(name, f"{moment:%Y%m%dT%H%M%SZ}")
    practice.put(obj.href, put.text())
    practice.settle()
    assert (practice.visit(booked).start, practice.visit(booked).status) == (at(11), "rescheduled")
    assert practice.messages() == ["appointment_confirmed", "appointment_changed"]
    stored = practice.object_of(booked).stored_text
    for name in ("X-CLINICDAV-PATIENT-ID", "CONFERENCE", "URL:", "X-CLINICDAV-REASON"):
        assert name in stored


@pytest.mark.parametrize("cut", [split, apple_split])
@pytest.mark.parametrize("new_first", [False, True])
@pytest.mark.parametrize("week", [2, 4])
def test_a_series_cut_in_two_keeps_every_visit_and_tells_nobody(practice, at, series, cut, new_first, week):
    before, told, claims = state(practice), practice.messages(), practice.claims()
    obj = practice.object_of(series)
    kept, new = cut(obj.served_text, at(9, day=7 * week), "F0A1")
    writes = [(obj.href, kept), ("F0A1.ics", new)]
    for href, text in reversed(writes) if new_first else writes:
        practice.put(href, text)
        practice.now += timedelta(seconds=2)
    practice.settle()
    practice.settle()
    assert state(practice) == before
    assert (practice.messages(), practice.claims()) == (told, claims)
