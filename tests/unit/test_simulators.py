"""Any appointment, any app: what an app sends back of what it left alone means nothing, and nothing of it is lost."""

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ical import appointment as appt
from ical import recurrence
from ical.lines import Component, parse
from ical.merge import merge
from ical.rebase import base_of, rebase
from ical.reminders import is_patients
from ical.served import organizer_line, served, with_people
from ical.status import STATUSES
from ical.times import parse_utc_text, span
from ical.vcalendar import is_private
from tests.simulators import APPS, now

VIENNA = ZoneInfo("Europe/Vienna")
NOW = now()
texts = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=30)


@st.composite
def appointments(draw: st.DrawFn) -> Component:
    """A stored appointment or series, some of it moved, done, cancelled or taken out, as it can stand in a calendar."""
    day = draw(st.integers(0, 200))
    wall = datetime(2026, 10, 1, draw(st.integers(5, 20)), 5 * draw(st.integers(0, 11)), tzinfo=VIENNA)
    start = (wall + timedelta(days=day)).astimezone(UTC)
    count = draw(st.integers(0, 6))
    code = draw(st.sampled_from(sorted(appt.TYPES)))
    video = "https://meet.example/r/k7f2" if code == "virtual" else ""
    facts = appt.AppointmentFacts(
        uid="appt-1@clinic.example",
        start=start,
        end=start + timedelta(minutes=draw(st.sampled_from([10, 20, 90]))),
        zone=VIENNA,
        patient_id=UUID(int=1),
        patient_name=draw(st.sampled_from(["Maria Huber", "Huber, Maria", "Dr. Ana Lopez", "✓ #done", "Max"])),
        patient_email="maria@mail.example",
        doctor_name="Dr. Lee",
        doctor_email="lee@clinic.example",
        type_code=code,
        type_name=appt.TYPES[code],
        status=draw(st.sampled_from(sorted(STATUSES))),
        reason=draw(texts),
        patient_notes=draw(texts),
        doctor_notes=draw(texts),
        video_link=video,
        location=video or "Main street 1",
        url="https://clinic.example/appointments/00000000-0000-0000-0000-000000000001/",
        parent_uid=draw(st.sampled_from(["", "appt-0@clinic.example"])),
        rrule=f"FREQ=WEEKLY;COUNT={count}" if count else "",
        reminders=((1440, "email"), (120, "sms")),
    )
    calendar = appt.render(facts, NOW)
    head = calendar.components("VEVENT")[0]
    for minutes in draw(st.lists(st.sampled_from([5, 10, 30]), max_size=2, unique=True)):
        alarm = Component("VALARM")
        for name, value in (("ACTION", "DISPLAY"), ("TRIGGER", f"-PT{minutes}M"), ("DESCRIPTION", "Soon")):
            alarm.add(name, value)
        head.children.append(alarm)
    if draw(st.booleans()):
        head.add("X-APPLE-TRAVEL-DURATION", "PT30M", (("VALUE", ("DURATION",)),))
    if draw(st.booleans()):
        appt.set_labels(head, ["Red", "To, be \\ called"])
    if count:
        _vary(draw, calendar)
    elif draw(st.booleans()):
        appt.set_pending_cancel(head, NOW + timedelta(minutes=2), NOW)
    return parse(calendar.text())


def _vary(draw: st.DrawFn, calendar: Component) -> None:
    found = recurrence.occurrences(calendar, VIENNA, datetime(2026, 9, 1, tzinfo=UTC), datetime(2027, 9, 1, tzinfo=UTC))
    for occurrence in found:
        fate = draw(st.sampled_from(["", "", "moved", "out", *sorted(STATUSES)]))
        if fate == "out":
            recurrence.add_exdate(calendar, occurrence.recurrence_id, VIENNA)
        elif fate:
            override = recurrence.make_override(calendar, occurrence.recurrence_id, VIENNA)
            appt.set_status(override, "rescheduled" if fate == "moved" else fate, NOW)
            if fate == "moved":
                later = timedelta(hours=draw(st.sampled_from([-30, 1, 26])))
                appt.set_times(override, occurrence.start + later, occurrence.end + later, VIENNA, NOW)


def shown(stored: Component, profile: str = "solo") -> str:
    """What an app is sent."""
    text = served(stored)
    return (
        with_people(text, stored.text(), organizer_line("Dr. Lee", "lee@clinic.example")) if profile == "full" else text
    )


def visits(calendar: Component) -> list[tuple[str, datetime, datetime, str]]:
    """Every visit with its time and status."""
    found = recurrence.occurrences(calendar, VIENNA, datetime(2026, 9, 1, tzinfo=UTC), datetime(2027, 9, 1, tzinfo=UTC))
    return [(each.recurrence_id, each.start, each.end, appt.status_of(each.component)) for each in found]


def ours(calendar: Component) -> list[object]:
    """What no app may take away, by event: our lines, the people, the patient's reminders, Apple's travel time."""
    kept: list[object] = []
    names = ("URL", "CONFERENCE", "RELATED-TO", "ORGANIZER", "ATTENDEE", "SUMMARY", "DESCRIPTION", "LOCATION")
    names += ("X-APPLE-TRAVEL-DURATION",)
    for event in sorted(calendar.components("VEVENT"), key=lambda each: each.value("RECURRENCE-ID") or ""):
        mine = [line for line in event.lines() if is_private(line) or line.name in names]
        lines = [line.unfolded() for line in mine if line.name != appt.PREVIOUS_START]
        kept.append(sorted(lines))
        kept += [alarm.text() for alarm in event.components("VALARM") if is_patients(alarm)]
    return kept


@pytest.mark.parametrize("app", APPS)
@settings(max_examples=40)
@given(stored=appointments(), profile=st.sampled_from(["solo", "full"]))
def test_what_an_app_left_alone_changes_nothing_and_loses_nothing(app: str, stored: Component, profile: str) -> None:
    text = served(stored)
    if profile == "full":
        text = with_people(text, stored.text(), organizer_line("Dr. Eva Smith", "eva@clinic.example"))
    merged = merge(stored, parse(APPS[app](text)), VIENNA, NOW)
    assert merged.commands == ()
    assert merged.change in ("none", "cosmetic")
    assert visits(merged.calendar) == visits(stored)
    assert ours(merged.calendar) == ours(stored)
    # And it ends there: what was taken over once is not news again.
    again = merge(merged.calendar, parse(APPS[app](served(merged.calendar))), VIENNA, NOW)
    assert (again.change, again.commands) == ("none", ())


@pytest.mark.parametrize("app", APPS)
@settings(max_examples=25)
@given(stored=appointments(), hours=st.integers(1, 40))
def test_a_moved_visit_moves_and_keeps_all_the_rest(app: str, stored: Component, hours: int) -> None:
    put = parse(APPS[app](served(stored)))
    event = put.components("VEVENT")[-1]
    start, end, _all_day = span(event, VIENNA, put)
    later = timedelta(hours=hours)
    for name, moment in (("DTSTART", start + later), ("DTEND", end + later)):
        event.set(name, f"{moment:%Y%m%dT%H%M%SZ}")
    if event.first("RRULE") is not None:
        return
    merged = merge(stored, put, VIENNA, NOW)
    assert merged.change == "time" and merged.commands == ()
    before, after = visits(stored), visits(merged.calendar)
    assert {id: status for id, _start, _end, status in after} == {id: status for id, _start, _end, status in before}
    changed = set(after) - set(before)
    assert [(begin, stop) for _id, begin, stop, _status in changed] == [(start + later, end + later)]
    assert ours(merged.calendar) == ours(stored)


@pytest.mark.parametrize("app", APPS)
@settings(max_examples=25)
@given(stored=appointments())
def test_an_alarm_alone_means_nothing(app: str, stored: Component) -> None:
    put = parse(APPS[app](served(stored)))
    for event in put.components("VEVENT"):
        event.children = event.lines()
        alarm = Component("VALARM")
        for name, value in (("ACTION", "AUDIO"), ("TRIGGER", "-PT1M"), ("ACKNOWLEDGED", "20261122T190954Z")):
            alarm.add(name, value)
        event.children.append(alarm)
    merged = merge(stored, put, VIENNA, NOW)
    assert (merged.change, merged.commands) == ("cosmetic", ())
    assert visits(merged.calendar) == visits(stored) and ours(merged.calendar) == ours(stored)


@pytest.mark.parametrize("app", ["evolution", "thunderbird"])
@settings(max_examples=30)
@given(stored=appointments(), notes=texts)
def test_an_old_copy_that_was_left_alone_takes_nothing_back(app: str, stored: Component, notes: str) -> None:
    """Written without a condition, after the doctor has written notes and the desk has moved it."""
    current, later = stored.copy(), NOW + timedelta(minutes=1)
    head = recurrence.master(current) or current.components("VEVENT")[0]
    appt.set_notes(head, f"New. {notes}", later)
    start, end, _all_day = span(head, VIENNA, current)
    if head.first("RRULE") is None:
        appt.set_times(head, start + timedelta(hours=1), end + timedelta(hours=1), VIENNA, later)
    elif visits(current):
        recurrence.add_exdate(current, visits(current)[0][0], VIENNA)
        head.set("SEQUENCE", "1")
    else:
        # A series of which nothing is left.
        return
    put = parse(APPS[app](served(stored)))
    base = base_of(put, current, [current.text(), stored.text()])
    assert base is not None
    merged = merge(current, rebase(put, base, current, VIENNA), VIENNA, later)
    assert merged.commands == () and visits(merged.calendar) == visits(current)
    assert ours(merged.calendar) == ours(current)


def test_the_moment_of_the_stamps_is_that_of_the_tests() -> None:
    assert parse_utc_text("20261122T190954Z") == NOW
