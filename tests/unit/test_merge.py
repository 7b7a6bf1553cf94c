"""What a calendar app's PUT of an appointment means, app by app."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ical import appointment as appt
from ical.commands import Command
from ical.lines import Component, escape, parse
from ical.merge import Merged, merge
from ical.recurrence import make_override, master, occurrences, override_for
from ical.served import organizer_line, served, with_people
from ical.status import STATUSES
from ical.times import span

CALENDARS = Path(__file__).parents[1] / "calendars"
VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
DUE = NOW + timedelta(minutes=2)
STORED = ["appointment-1-stored-confirmed", "series-1-moved-and-exdate", "series-2-cancelled-as-override-over-dst"]


def load(name: str) -> Component:
    text = (CALENDARS / f"{name}.ics").read_text()
    return parse(text.replace("\n", "\r\n"))


@pytest.fixture
def stored() -> Component:
    return load("appointment-1-stored-confirmed")


@pytest.fixture
def series() -> Component:
    return load("series-1-moved-and-exdate")


def event(calendar: Component) -> Component:
    return master(calendar) or calendar.components("VEVENT")[0]


def copy_of(stored: Component, profile="solo", title="initials") -> Component:
    """What an app has downloaded."""
    text = served(stored, title)
    organizer = organizer_line("Dr. Eva Smith", "eva@clinic.example")
    return parse(with_people(text, stored.text(), organizer) if profile == "full" else text)


def put(stored: Component, **lines: str) -> Merged:
    """An app changes these lines of its copy (in TEXT, None removes) and sends it."""
    mine = copy_of(stored)
    for name, text in lines.items():
        if text is None:
            event(mine).remove(name)
        else:
            event(mine).set_text(name, text)
    return merge(stored, mine, VIENNA, NOW)


def actions(merged: Merged) -> list[str]:
    return [command.action for command in merged.commands]


def with_status(stored: Component, status: str) -> Component:
    changed = stored.copy()
    appt.set_status(event(changed), status, NOW)
    return changed


def shape(calendar: Component) -> str:
    return calendar.text()


# Echoes


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("profile", ["solo", "full"])
@pytest.mark.parametrize("title", ["initials", "full", "code"])
def test_what_was_served_changes_nothing(name, profile, title):
    stored = load(name)
    merged = merge(stored, copy_of(stored, profile, title), VIENNA, NOW)
    assert merged.change == "none"
    assert merged.commands == ()
    assert shape(merged.calendar) == shape(stored)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("pending", [False, True])
def test_the_echo_of_any_status_changes_nothing(stored, status, pending):
    stored = with_status(stored, status)
    if pending:
        appt.set_pending_cancel(event(stored), DUE, NOW)
    merged = merge(stored, copy_of(stored), VIENNA, NOW)
    assert (merged.change, merged.commands) == ("none", ())
    assert shape(merged.calendar) == shape(stored)


texts = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=40)


@settings(deadline=None)
@given(texts, texts, texts, st.sampled_from(sorted(STATUSES)), st.sampled_from(["solo", "full"]))
def test_the_echo_of_any_text_changes_nothing(reason, notes, name, status, profile):
    facts = appt.AppointmentFacts(
        uid="appt-1@clinic.example",
        start=NOW,
        end=NOW + timedelta(minutes=20),
        zone=VIENNA,
        patient_id=appt.UUID(int=1),
        patient_name=name,
        patient_email="maria.huber@mail.example",
        doctor_name="Dr. Lee",
        type_code="virtual",
        type_name="Virtual",
        status=status,
        reason=reason,
        patient_notes=name,
        doctor_notes=notes,
    )
    stored = parse(appt.render(facts, NOW).text())
    merged = merge(stored, copy_of(stored, profile), VIENNA, NOW)
    assert (merged.change, merged.commands) == ("none", ())
    assert shape(merged.calendar) == shape(stored)


def test_counters_and_stamps_alone_change_nothing(stored):
    merged = put(stored, DTSTAMP="20270101T000000Z", SEQUENCE="9", CREATED="20270101T000000Z")
    assert merged.change == "none"


def test_an_app_that_drops_what_it_does_not_know_deletes_nothing(stored):
    mine = copy_of(stored)
    event(mine).remove("URL", "CONFERENCE", "STATUS", "COLOR", "DESCRIPTION", "CATEGORIES", "LOCATION", "CLASS")
    merged = merge(stored, mine, VIENNA, NOW)
    assert merged.change == "none"
    assert shape(merged.calendar) == shape(stored)


def test_categories_on_two_lines_are_the_same_categories(stored):
    mine = copy_of(stored)
    event(mine).remove("CATEGORIES")
    event(mine).add("CATEGORIES", "Confirmed")
    event(mine).add("CATEGORIES", "Virtual")
    assert merge(stored, mine, VIENNA, NOW).change == "none"


# Moves


@pytest.mark.parametrize("app", ["thunderbird", "evolution", "outlook", "apple", "davx5"])
def test_a_move_by_any_app_moves_the_appointment_and_nothing_else(stored, app):
    merged = merge(stored, load(f"put-{app}-moved"), VIENNA, NOW)
    assert (merged.change, merged.commands) == ("time", ())
    moved = event(merged.calendar)
    assert span(moved, VIENNA)[:2] == (
        datetime(2026, 11, 26, 9, 30, tzinfo=UTC),
        datetime(2026, 11, 26, 9, 50, tzinfo=UTC),
    )
    assert moved.value(appt.PREVIOUS_START) == "20261125T082000Z"
    assert moved.value("SEQUENCE") == "2"
    before, after = (appt.read(event(c), VIENNA, c) for c in (stored, merged.calendar))
    for name in ("status", "reason", "doctor_notes", "patient_email", "type_code", "video_link", "url", "reminders"):
        assert getattr(after, name) == getattr(before, name)
    assert len(merged.calendar.components("VTIMEZONE")) == 1


def test_a_floating_time_is_the_doctors(stored):
    mine = copy_of(stored)
    event(mine).set("DTSTART", "20261126T103000")
    event(mine).set("DTEND", "20261126T110000")
    merged = merge(stored, mine, VIENNA, NOW)
    assert event(merged.calendar).first("DTSTART").param("TZID") == "Europe/Vienna"
    assert span(event(merged.calendar), VIENNA)[1] == datetime(2026, 11, 26, 10, tzinfo=UTC)


def test_dropped_among_the_all_day_events_it_keeps_its_time_of_day(stored):
    mine = copy_of(stored)
    for name, day in (("DTSTART", "20261126"), ("DTEND", "20261127")):
        event(mine).set(name, day, (("VALUE", ("DATE",)),))
    merged = merge(stored, mine, VIENNA, NOW)
    begin, end, all_day = span(event(merged.calendar), VIENNA)
    before = span(event(stored), VIENNA)
    assert not all_day
    assert (begin, end - begin) == (before[0] + timedelta(days=1), before[1] - before[0])


def test_a_time_in_utc_that_is_the_same_instant_is_no_move(stored):
    mine = copy_of(stored)
    event(mine).set("DTSTART", "20261125T082000Z")
    event(mine).remove("DTEND")
    event(mine).add("DURATION", "PT20M")
    assert merge(stored, mine, VIENNA, NOW).change == "none"


def test_a_resize_keeps_the_start(stored):
    mine = copy_of(stored)
    event(mine).set("DTEND", "20261125T090000Z")
    merged = merge(stored, mine, VIENNA, NOW)
    assert merged.change == "time"
    assert event(merged.calendar).first(appt.PREVIOUS_START) is None


# Alarms and other people's lines


def test_a_snooze_is_kept_and_means_nothing(stored):
    merged = merge(stored, load("put-thunderbird-snoozed"), VIENNA, NOW)
    assert (merged.change, merged.commands) == ("cosmetic", ())
    assert event(merged.calendar).value("X-MOZ-SNOOZE-TIME") == "20261125T081500Z"
    again = merge(merged.calendar, copy_of(merged.calendar), VIENNA, NOW)
    assert again.change == "none"


def test_a_dismissed_snooze_is_gone_for_its_own_app_only(stored):
    snoozed = merge(stored, load("put-thunderbird-snoozed"), VIENNA, NOW).calendar
    mine = copy_of(snoozed)
    event(mine).remove("X-MOZ-SNOOZE-TIME")
    assert merge(snoozed, mine, VIENNA, NOW).change == "none"
    mine.set("PRODID", "-//Mozilla.org/NONSGML Mozilla Calendar V1.1//EN")
    merged = merge(snoozed, mine, VIENNA, NOW)
    assert merged.change == "cosmetic"
    assert event(merged.calendar).first("X-MOZ-SNOOZE-TIME") is None


def test_the_doctors_alarm_goes_and_the_patients_stay(stored):
    mine = copy_of(stored)
    event(mine).children = event(mine).lines()
    merged = merge(stored, mine, VIENNA, NOW)
    assert merged.change == "cosmetic"
    assert [alarm.value("ACTION") for alarm in event(merged.calendar).components("VALARM")] == [
        "EMAIL",
        "X-CLINICDAV-SMS",
    ]


def test_an_app_cannot_make_the_server_remind_the_patient(stored):
    mine = copy_of(stored)
    alarm = Component("VALARM")
    for name, value in (("ACTION", "EMAIL"), ("TRIGGER", "-PT1M"), ("X-CLINICDAV-AUDIENCE", "PATIENT")):
        alarm.add(name, value)
    event(mine).children.append(alarm)
    merged = merge(stored, mine, VIENNA, NOW)
    assert appt.read(event(merged.calendar), VIENNA).reminders == ((1440, "email"), (120, "sms"))


def test_apples_travel_time_survives_another_app(stored):
    mine = copy_of(stored)
    event(mine).add("X-APPLE-TRAVEL-DURATION", "PT30M", (("VALUE", ("DURATION",)),))
    merged = merge(stored, mine, VIENNA, NOW)
    assert merged.change == "cosmetic"
    moved = merge(merged.calendar, load("put-outlook-moved"), VIENNA, NOW)
    assert event(moved.calendar).value("X-APPLE-TRAVEL-DURATION") == "PT30M"


def test_our_own_lines_cannot_be_written(stored):
    mine = copy_of(stored)
    event(mine).add("X-CLINICDAV-STATUS", "completed")
    event(mine).add("X-CLINICDAV-PATIENT-ID", "urn:uuid:00000000-0000-0000-0000-000000000000")
    event(mine).set("URL", "https://evil.example/")
    event(mine).add("ATTENDEE", "mailto:somebody@else.example")
    merged = merge(stored, mine, VIENNA, NOW)
    assert merged.change == "none"


def test_a_transparent_appointment_still_holds_its_time(stored):
    assert put(stored, TRANSP="TRANSPARENT").change == "none"


# Texts


def test_text_below_the_marker_is_the_private_notes(stored):
    text = event(stored).plain("DESCRIPTION")
    merged = put(stored, DESCRIPTION=text + "\nNext: MRI of the other knee.")
    assert merged.change == "notes"
    assert event(merged.calendar).plain(appt.DOCTOR_NOTES) == "Check MRI from October.\nNext: MRI of the other knee."
    assert event(merged.calendar).plain("DESCRIPTION").endswith("other knee.")


def test_notes_are_erased_only_below_the_marker(stored):
    text = event(stored).plain("DESCRIPTION")
    assert put(stored, DESCRIPTION="").change == "none"
    merged = put(stored, DESCRIPTION=text[: text.index(appt.MARKER)] + appt.MARKER)
    assert merged.change == "notes"
    assert event(merged.calendar).first(appt.DOCTOR_NOTES) is None


def test_text_without_the_marker_is_added_to_the_notes(stored):
    merged = put(stored, DESCRIPTION="Reason: Knee pain after running\nBring the old pictures")
    assert event(merged.calendar).plain(appt.DOCTOR_NOTES) == "Check MRI from October.\nBring the old pictures"
    assert put(merged.calendar, DESCRIPTION="Bring the old pictures").change == "none"


def test_the_reason_cannot_be_rewritten_but_nothing_is_lost(stored):
    text = event(stored).plain("DESCRIPTION").replace("Knee pain after", "Left knee, after")
    merged = put(stored, DESCRIPTION=text)
    assert event(merged.calendar).plain(appt.REASON) == "Knee pain after running"
    assert "Left knee, after running" in event(merged.calendar).plain(appt.DOCTOR_NOTES)


def test_words_in_the_title_become_notes_and_the_title_comes_back(stored):
    merged = put(stored, SUMMARY="Maria H. · Virtual, bring insurance card")
    assert merged.change == "notes"
    assert event(merged.calendar).plain("SUMMARY") == "Maria H. · Virtual"
    assert event(merged.calendar).plain(appt.DOCTOR_NOTES).endswith("\n, bring insurance card")
    assert put(merged.calendar, SUMMARY="Maria H. · Virtual, bring insurance card").change == "none"


def test_another_place_is_taken_over(stored):
    merged = put(stored, LOCATION="Room 7, second floor")
    assert merged.change == "notes"
    assert event(merged.calendar).plain("LOCATION") == "Room 7, second floor"


def test_another_type_by_category(stored):
    merged = put(stored, CATEGORIES=None)
    mine = copy_of(stored)
    event(mine).set("CATEGORIES", "Follow-up,Confirmed,Red")
    merged = merge(stored, mine, VIENNA, NOW)
    changed = event(merged.calendar)
    assert merged.change == "notes"
    assert merged.commands == ()
    assert changed.value(appt.TYPE) == "follow_up"
    assert changed.plain("SUMMARY") == "Maria H. · Follow-up"
    assert changed.value("CATEGORIES") == "Follow-up,Confirmed,Red"


def test_the_doctors_own_labels_are_kept(stored):
    mine = copy_of(stored)
    event(mine).set("CATEGORIES", "Red,Virtual,Confirmed")
    merged = merge(stored, mine, VIENNA, NOW)
    assert merged.change == "cosmetic"
    assert event(merged.calendar).value("CATEGORIES") == "Virtual,Confirmed,Red"
    appt.set_status(event(merged.calendar), "completed", NOW)
    assert event(merged.calendar).value("CATEGORIES") == "Virtual,Completed,Red"


# Commands


@pytest.mark.parametrize(
    ("title", "action"),
    [
        ("Maria H. · Virtual #done", "complete"),
        ("#DONE Maria H. · Virtual", "complete"),
        ("Maria H. · Virtual #ok", "complete"),
        ("✓ Maria H. · Virtual", "complete"),
        ("✓Maria H. · Virtual", "complete"),
        ("Maria H. · Virtual ✓", "complete"),
        ("Maria H. · Virtual #noshow", "no-show"),
        ("#ns Maria H. · Virtual", "no-show"),
        ("✗ Maria H. · Virtual", "no-show"),
        ("▶ Maria H. · Virtual", "start"),
        ("#Start Maria H. · Virtual", "start"),
        ("Maria H. · Virtual #cancel", "cancel"),
        ("Cancelled: Maria H. · Virtual", "cancel"),
        ("Canceled: Maria H. · Virtual", "cancel"),
        ("#cancel", "cancel"),
        ("#rebook Maria H. · Virtual", "rebook"),
    ],
)
def test_a_command_in_the_title(stored, title, action):
    merged = put(stored, SUMMARY=title)
    assert merged.commands == (Command("", action),)
    assert merged.change == "command"
    assert event(merged.calendar).plain("SUMMARY") == "Maria H. · Virtual"
    assert event(merged.calendar).plain(appt.DOCTOR_NOTES) == "Check MRI from October."


@pytest.mark.parametrize("title", ["Maria H. · Virtual #okay", "Maria #done H. · Virtual", "Maria H. · Virtual x#done"])
def test_what_only_looks_like_a_command_is_a_note(stored, title):
    merged = put(stored, SUMMARY=title)
    assert merged.commands == ()
    assert merged.change == "notes"


def test_a_command_and_words_together(stored):
    merged = put(stored, SUMMARY="Maria H. · Virtual call back on Monday #done")
    assert actions(merged) == ["complete"]
    assert event(merged.calendar).plain(appt.DOCTOR_NOTES).endswith("call back on Monday")


def test_scheduled_is_confirmed_by_title_category_or_status(stored):
    scheduled = with_status(stored, "scheduled")
    assert actions(put(scheduled, SUMMARY="#confirm Maria H. · Virtual")) == ["confirm"]
    assert actions(put(scheduled, STATUS="CONFIRMED")) == ["confirm"]
    mine = copy_of(scheduled)
    event(mine).set("CATEGORIES", "Virtual,Confirmed")
    assert actions(merge(scheduled, mine, VIENNA, NOW)) == ["confirm"]


@pytest.mark.parametrize(
    ("category", "action"), [("In progress", "start"), ("Completed", "complete"), ("No-show", "no-show")]
)
@pytest.mark.parametrize("others", ["Virtual,Confirmed,", "Virtual,", ""])
def test_a_category_is_a_command(stored, category, action, others):
    mine = copy_of(stored)
    event(mine).set("CATEGORIES", others + category)
    merged = merge(stored, mine, VIENNA, NOW)
    assert actions(merged) == [action]
    assert event(merged.calendar).value("CATEGORIES") == "Virtual,Confirmed"


def test_status_cancelled_is_a_command_once(stored):
    assert actions(put(stored, STATUS="CANCELLED")) == ["cancel"]
    for status in ("cancelled_patient", "cancelled_doctor"):
        cancelled = with_status(stored, status)
        assert put(cancelled, SUMMARY="Cancelled: Maria H. · Virtual #cancel").commands == ()


def test_a_cancellation_goes_before_other_commands(stored):
    mine = copy_of(stored)
    event(mine).set("STATUS", "CANCELLED")
    event(mine).set("CATEGORIES", "Virtual,Confirmed,Completed")
    assert actions(merge(stored, mine, VIENNA, NOW)) == ["cancel"]


@pytest.mark.parametrize(
    "lines",
    [
        {"STATUS": "CONFIRMED"},
        {"SUMMARY": "Maria H. · Virtual"},
        {"STATUS": "CONFIRMED", "SUMMARY": "Maria H. · Virtual"},
    ],
)
def test_a_pending_cancellation_is_taken_back(stored, lines):
    appt.set_pending_cancel(event(stored), DUE, NOW)
    assert actions(put(stored, **lines)) == ["uncancel"]


def test_a_pending_cancellation_is_not_taken_back_by_a_snooze(stored):
    appt.set_pending_cancel(event(stored), DUE, NOW)
    mine = copy_of(stored)
    event(mine).add("X-MOZ-LASTACK", "20261125T080500Z")
    merged = merge(stored, mine, VIENNA, NOW)
    assert (merged.change, merged.commands) == ("cosmetic", ())
    assert appt.pending_cancel(event(merged.calendar)) == DUE


def test_an_old_copy_does_not_turn_the_clock_back(stored):
    old = copy_of(stored)
    for status in ("in_progress", "completed", "no_show", "cancelled_patient"):
        merged = merge(with_status(stored, status), old, VIENNA, NOW)
        assert (status, merged.change, merged.commands) == (status, "none", ())
    started = copy_of(with_status(stored, "in_progress"))
    assert merge(with_status(stored, "completed"), started, VIENNA, NOW).commands == ()


def test_rebook_revives_what_was_cancelled(stored):
    cancelled = with_status(stored, "cancelled_patient")
    assert actions(put(cancelled, SUMMARY="Cancelled: Maria H. · Virtual #rebook")) == ["rebook"]


def test_a_command_that_changes_nothing_is_none(stored):
    assert put(stored, SUMMARY="Maria H. · Virtual #confirm").commands == ()
    assert put(with_status(stored, "completed"), SUMMARY="✓ Maria H. · Virtual #done").commands == ()


def test_a_patient_called_like_a_command_commands_nothing():
    facts = appt.AppointmentFacts(
        uid="appt-1@clinic.example",
        start=NOW,
        end=NOW + timedelta(minutes=20),
        zone=VIENNA,
        patient_id=appt.UUID(int=1),
        patient_name="#cancel",
        doctor_name="Dr. Lee",
        type_code="virtual",
        type_name="Virtual",
    )
    stored = appt.render(facts, NOW)
    body = event(stored).plain("SUMMARY")
    assert put(stored, SUMMARY=f"{body} bring pictures").commands == ()


# Series


def starts(calendar: Component) -> list[str]:
    found = occurrences(calendar, VIENNA, datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
    return [f"{o.start.astimezone(VIENNA):%m%d-%H%M}" for o in found]


def test_one_occurrence_deleted(series):
    mine = copy_of(series)
    # As Evolution writes it: in UTC, in a series with TZID.
    event(mine).add("EXDATE", "20261202T130000Z")
    merged = merge(series, mine, VIENNA, NOW)
    assert (merged.change, merged.commands) == ("structure", ())
    assert starts(merged.calendar) == ["1104-1400", "1111-1400", "1119-1600", "1209-1400"]
    assert merge(merged.calendar, copy_of(merged.calendar), VIENNA, NOW).change == "none"


@pytest.mark.parametrize("app", ["thunderbird", "evolution", "outlook", "apple", "davx5"])
def test_one_occurrence_deleted_by_any_app_is_that_one_and_nothing_else(series, app):
    merged = merge(series, load(f"put-{app}-occurrence-deleted"), VIENNA, NOW)
    assert (merged.change, merged.commands) == ("structure", ())
    assert starts(merged.calendar) == ["1104-1400", "1111-1400", "1119-1600", "1209-1400"]
    moved = override_for(merged.calendar, "20261118T130000Z", VIENNA)
    assert moved.value(appt.STATUS) == "rescheduled" and appt.status_of(event(merged.calendar)) == "confirmed"
    assert appt.patient_line(moved).param("CN") == "Anna Koller"


def test_a_moved_occurrence_deleted(series):
    mine = copy_of(series)
    mine.children = [c for c in mine.children if not (isinstance(c, Component) and c.first("RECURRENCE-ID"))]
    event(mine).add("EXDATE", "20261118T140000", (("TZID", ("Europe/Vienna",)),))
    merged = merge(series, mine, VIENNA, NOW)
    assert merged.change == "structure"
    assert starts(merged.calendar) == ["1104-1400", "1111-1400", "1202-1400", "1209-1400"]


def test_a_deleted_occurrence_comes_back(series):
    mine = copy_of(series)
    event(mine).remove("EXDATE")
    merged = merge(series, mine, VIENNA, NOW)
    assert merged.change == "structure"
    assert "1125-1400" in starts(merged.calendar)


def test_one_occurrence_moved_by_a_new_override(series):
    mine = copy_of(series)
    override = make_override(mine, "20261202T130000Z", VIENNA)
    override.set("DTSTART", "20261203T150000Z")
    override.set("DTEND", "20261203T153000Z")
    override.add("CREATED", "20261122T190954Z")
    merged = merge(series, mine, VIENNA, NOW)
    assert merged.change == "time"
    assert "1203-1600" in starts(merged.calendar)
    new = override_for(merged.calendar, "20261202T130000Z", VIENNA)
    assert new.value(appt.STATUS) == "confirmed"
    assert new.value(appt.PREVIOUS_START) == "20261202T130000Z"
    assert appt.patient_line(new).param("CN") == "Anna Koller"


def test_a_moved_occurrence_reset_to_the_series(series):
    mine = copy_of(series)
    mine.children = [c for c in mine.children if not (isinstance(c, Component) and c.first("RECURRENCE-ID"))]
    merged = merge(series, mine, VIENNA, NOW)
    assert merged.change == "structure"
    assert "1118-1400" in starts(merged.calendar)


def test_a_cancelled_override_written_as_exdate_is_no_change():
    stored = load("series-2-cancelled-as-override-over-dst")
    mine = copy_of(stored)
    mine.children = [c for c in mine.children if not (isinstance(c, Component) and c.value("STATUS") == "CANCELLED")]
    event(mine).add("EXDATE", "20261026T080000", (("TZID", ("Europe/Vienna",)),))
    merged = merge(stored, mine, VIENNA, NOW)
    assert (merged.change, merged.commands) == ("none", ())


def test_a_completed_occurrence_stays_on_record(series):
    done = make_override(series, "20261111T130000Z", VIENNA)
    appt.set_status(done, "completed", NOW)
    mine = copy_of(series)
    mine.children = [c for c in mine.children if not (isinstance(c, Component) and c.plain("SUMMARY").startswith("✓"))]
    assert merge(series, mine, VIENNA, NOW).change == "none"


def test_a_pending_occurrence_put_back(series):
    pending = make_override(series, "20261202T130000Z", VIENNA)
    appt.set_pending_cancel(pending, DUE, NOW)
    mine = copy_of(series)
    mine.children = [c for c in mine.children if not (isinstance(c, Component) and c.value("STATUS") == "CANCELLED")]
    merged = merge(series, mine, VIENNA, NOW)
    assert merged.commands == (Command("20261202T130000Z", "uncancel"),)


def test_a_command_on_one_occurrence(series):
    mine = copy_of(series)
    override = make_override(mine, "20261104T130000Z", VIENNA)
    override.set("SUMMARY", escape("#done Anna K. · Follow-up"))
    merged = merge(series, mine, VIENNA, NOW)
    assert merged.commands == (Command("20261104T130000Z", "complete"),)
    assert override_for(merged.calendar, "20261104T130000Z", VIENNA) is not None


def test_the_series_cut_short(series):
    mine = copy_of(series)
    event(mine).set("RRULE", "FREQ=WEEKLY;UNTIL=20261118T130000Z")
    merged = merge(series, mine, VIENNA, NOW)
    assert merged.change == "structure"
    assert starts(merged.calendar) == ["1104-1400", "1111-1400", "1119-1600"]


def test_the_same_rule_in_other_words_is_the_same(series):
    mine = copy_of(series)
    event(mine).set("RRULE", "COUNT=6;FREQ=WEEKLY;INTERVAL=1;WKST=MO;")
    assert merge(series, mine, VIENNA, NOW).change == "none"


def test_the_whole_series_moved_with_its_exceptions(series):
    mine = copy_of(series)
    event(mine).set("DTSTART", "20261104T150000", (("TZID", ("Europe/Vienna",)),))
    event(mine).set("DTEND", "20261104T153000", (("TZID", ("Europe/Vienna",)),))
    event(mine).set("EXDATE", "20261125T150000", (("TZID", ("Europe/Vienna",)),))
    for component in mine.components("VEVENT"):
        if component.first("RECURRENCE-ID"):
            component.set("RECURRENCE-ID", "20261118T150000", (("TZID", ("Europe/Vienna",)),))
    merged = merge(series, mine, VIENNA, NOW)
    assert merged.change == "structure"
    assert starts(merged.calendar) == ["1104-1500", "1111-1500", "1119-1600", "1202-1500", "1209-1500"]
    assert override_for(merged.calendar, "20261118T140000Z", VIENNA).value(appt.STATUS) == "rescheduled"


def test_a_single_appointment_made_a_series(stored):
    mine = copy_of(stored)
    event(mine).add("RRULE", "FREQ=WEEKLY;COUNT=3")
    merged = merge(stored, mine, VIENNA, NOW)
    assert merged.change == "structure"
    assert starts(merged.calendar) == ["1125-0920", "1202-0920", "1209-0920"]


def test_an_override_of_nothing_is_left_out(series):
    mine = copy_of(series)
    stray = make_override(mine, "20261104T130000Z", VIENNA)
    stray.set("RECURRENCE-ID", "20261105T130000Z")
    merged = merge(series, mine, VIENNA, NOW)
    assert merged.change == "none"


def test_only_an_override_leaves_the_master_alone(series):
    mine = copy_of(series)
    mine.children = [c for c in mine.children if c is not event(mine)]
    assert merge(series, mine, VIENNA, NOW).change == "none"


pieces = st.lists(
    st.sampled_from(["#done", "✓", "Cancelled:", "Maria H. · Virtual", "MRI", "No-show:", " ", "\n", appt.MARKER]),
    max_size=6,
).map("".join)


@settings(deadline=None)
@given(pieces | texts, pieces | texts, st.sampled_from(sorted(STATUSES)), st.booleans())
def test_the_same_put_again_adds_nothing(title, description, status, pending):
    stored = with_status(load("appointment-1-stored-confirmed"), status)
    if pending:
        appt.set_pending_cancel(event(stored), DUE, NOW)
    first = put(stored, SUMMARY=title, DESCRIPTION=description)
    mine = copy_of(stored)
    event(mine).set_text("SUMMARY", title)
    event(mine).set_text("DESCRIPTION", description)
    again = merge(first.calendar, mine, VIENNA, NOW)
    assert again.change in ("none", "command")
    assert shape(again.calendar) == shape(first.calendar)
    assert event(again.calendar).plain("SUMMARY") == event(stored).plain("SUMMARY")
    assert appt.status_of(event(again.calendar)) == status


def test_a_word_that_stands_in_the_notes_already_is_a_new_line_still(stored):
    merged = put(stored, DESCRIPTION="MRI")
    assert event(merged.calendar).plain(appt.DOCTOR_NOTES) == "Check MRI from October.\nMRI"
