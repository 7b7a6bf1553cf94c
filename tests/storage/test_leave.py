"""Leave: halves of days, again and again, changed, withdrawn; and what becomes of whoever is booked in it."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from ical.errors import InvalidInput, NotFound, SlotTaken
from storage import accounts, affected, appointment_types, collections, hours, leave, lifecycle, objects
from storage.models import Notice
from storage.policy import SYSTEM

# Of SQL there is little here, and the same runs on both in the tests of slots and of edits.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

VIENNA = ZoneInfo("Europe/Vienna")
FRIDAY = date(2026, 11, 27)


def ask(practice, start, end=None, *, actor=None, **more) -> leave.LeaveView:
    with practice.writing() as session:
        return leave.request_leave(
            session,
            practice.lee,
            start,
            end or start,
            "Skiing",
            actor=actor or practice.doctor,
            now=practice.now,
            **more,
        )


def approve(practice, view) -> None:
    with practice.writing() as session:
        leave.decide(session, view.id, True, actor=SYSTEM, now=practice.now)
    practice.settle()


def now_is(practice, view) -> leave.LeaveView:
    with practice.db.reading() as session:
        return leave.find(session, view.id, practice.now)


def afternoons(practice, **more) -> leave.LeaveView:
    """Every Friday afternoon."""
    with practice.db.reading() as session:
        start, end = leave.half_day(session, practice.lee, FRIDAY, "afternoon")
    return ask(practice, start, end, rrule="FREQ=WEEKLY;BYDAY=FR", **more)


def text_of(practice, view) -> str:
    with practice.db.reading() as session:
        return objects.find(session, collections.find(session, "lee", "leave"), view.object.href).served_text


def put(practice, view, old: str, new: str) -> str:
    """What a calendar app sends; the leave's status then."""
    text = text_of(practice, view)
    assert old in text, text
    practice.put(view.object.href, text.replace(old, new), "leave")
    return now_is(practice, view).status


def proposals(practice, view) -> list[tuple[str, str, str]]:
    with practice.db.reading() as session:
        found = affected.propose(session, leave.find(session, view.id, practice.now).rows, practice.now)
    return [
        (
            each.row.patient.name,
            each.slot.doctor.username if each.slot else "",
            f"{each.slot.start.astimezone(VIENNA):%d %H:%M}" if each.slot else "",
        )
        for each in found
    ]


# Whole days, halves, again and again


def test_half_a_day_begins_or_ends_where_the_practice_says(practice, at):
    with practice.db.reading() as session:
        morning = leave.half_day(session, practice.lee, FRIDAY, "morning")
        afternoon = leave.half_day(session, practice.lee, FRIDAY, "afternoon")
    assert morning == (at(0, day=4), at(12, day=4))
    assert afternoon == (at(12, day=4), at(0, day=5))


def test_every_friday_afternoon_nobody_is_booked(practice, at):
    view = afternoons(practice)
    assert view.status == "pending" and len(view.times) == 52
    assert [(each.start, each.end) for each in view.times[:2]] == [
        (at(12, day=4), at(0, day=5)),
        (at(12, day=11), at(0, day=12)),
    ]
    assert practice.try_book(at(13, day=4)) == practice.try_book(at(13, day=39 * 7 + 4)) == "on_leave"
    assert practice.try_book(at(11, 40, day=4)) == practice.try_book(at(13, day=3)) == "booked"
    with practice.db.reading() as session:
        (listed,) = leave.list_leave(session, [practice.lee], practice.now)
    assert (listed.rrule, listed.times) == ("FREQ=WEEKLY;BYDAY=FR", view.times)
    assert leave.when(view) == "Friday, 27 November 2026, 12:00 to 24:00, every week"


def test_repeating_leave_names_whoever_is_booked_at_any_of_its_times(practice, at):
    first = practice.book(at(13, day=4))
    practice.book(at(13, day=3), name="Karl Bauer")
    later = practice.book(at(14, day=25), name="Eva Huber")
    assert afternoons(practice).affected == [first.appointment.id, later.appointment.id]


@pytest.mark.parametrize("rrule", ["FREQ=WEEKLY;BYDAY=XX", "nonsense", "FREQ=SECONDLY", "FREQ=DAILY;COUNT=0"])
def test_a_rule_that_makes_no_sense_names_its_field(practice, rrule):
    with pytest.raises(InvalidInput) as refused:
        ask(practice, FRIDAY, rrule=rrule)
    assert refused.value.field == "rrule"


def test_leave_that_repeats_is_told_to_whoever_decides_with_times(practice, at):
    with practice.writing() as session:
        accounts.create_account(
            session,
            role="receptionist",
            username="desk",
            name="Desk",
            email="desk@clinic.example",
            timezone="Europe/Vienna",
            now=practice.now,
        )
    afternoons(practice)
    practice.settle()
    practice.settle()
    with practice.db.reading() as session:
        (said,) = session.scalars(select(Notice.text))
    assert said == (
        "Dr. Lee asks for leave: Friday, 27 November 2026, 12:00 to 24:00, every week. Approve or reject it."
    )


# Single times of it


def test_one_time_is_withdrawn_and_can_be_booked_again(practice, at):
    view = afternoons(practice)
    approve(practice, view)
    with practice.writing() as session:
        left = leave.withdraw(
            session, view.id, recurrence_id=view.times[0].recurrence_id, actor=practice.doctor, now=practice.now
        )
    assert left is not None and left.times == view.times[1:] and left.status == "approved"
    assert practice.try_book(at(13, day=4)) == "booked" and practice.try_book(at(13, day=11)) == "on_leave"
    with practice.writing() as session, pytest.raises(NotFound):
        leave.withdraw(session, view.id, recurrence_id="20261128T110000Z", actor=practice.doctor, now=practice.now)


def test_one_time_is_rejected_and_the_others_approved(practice, at):
    view = afternoons(practice)
    with practice.writing() as session:
        rid = view.times[0].recurrence_id
        left = leave.decide(session, view.id, False, recurrence_id=rid, actor=SYSTEM, now=practice.now)
    assert left.status == "pending" and left.times == view.times[1:]
    approve(practice, view)
    assert now_is(practice, view).times == view.times[1:]
    assert practice.try_book(at(13, day=4)) == "booked" and practice.try_book(at(13, day=11)) == "on_leave"
    text = text_of(practice, view)
    assert text.count("STATUS:CONFIRMED") == 1 and text.count("STATUS:CANCELLED") == 1
    assert "SUMMARY:Leave rejected: Skiing" in text and "SUMMARY:Leave: Skiing" in text
    # What an app sends back of it says the same.
    before = text
    practice.put(view.object.href, text, "leave")
    assert text_of(practice, view) == before
    # Rejected as a whole and approved after all, everything is leave.
    with practice.writing() as session:
        leave.decide(session, view.id, False, actor=SYSTEM, now=practice.now)
    assert practice.try_book(at(13, day=11), name="Karl Bauer") == "booked"
    approve(practice, view)
    assert now_is(practice, view).times == view.times


def test_the_last_time_withdrawn_withdraws_it_all(practice):
    view = ask(practice, FRIDAY, rrule="FREQ=WEEKLY;COUNT=2")
    for each in view.times:
        with practice.writing() as session:
            left = leave.withdraw(
                session, view.id, recurrence_id=each.recurrence_id, actor=practice.doctor, now=practice.now
            )
    assert left is None
    with practice.db.reading() as session:
        assert leave.list_leave(session, [practice.lee], practice.now) == []


# Changed and withdrawn


def change(practice, view, *, actor=None, **values) -> leave.LeaveView:
    with practice.writing() as session:
        return leave.change(session, view.id, actor=actor or practice.doctor, now=practice.now, **values)


def test_approved_leave_that_grows_is_pending_again_and_one_that_shrinks_is_not(practice, at):
    view = ask(practice, FRIDAY, FRIDAY + timedelta(days=3))
    approve(practice, view)
    assert change(practice, view, start=FRIDAY, end=FRIDAY + timedelta(days=2)).status == "approved"
    assert change(practice, view, reason="Surfing").reason == "Surfing"
    assert now_is(practice, view).status == "approved"
    grown = change(practice, view, start=FRIDAY, end=FRIDAY + timedelta(days=5))
    assert (grown.status, grown.end) == ("pending", at(0, day=10))
    approve(practice, view)
    assert change(practice, view, rrule="FREQ=WEEKLY").status == "pending"
    assert change(practice, view, actor=SYSTEM, rrule="").status in ("pending", "approved")


def test_whoever_may_approve_moves_approved_leave_as_they_like(practice):
    view = ask(practice, FRIDAY)
    approve(practice, view)
    grown = change(practice, view, actor=SYSTEM, start=FRIDAY, end=FRIDAY + timedelta(days=5))
    assert grown.status == "approved"


def test_rejected_leave_is_asked_for_again_by_changing_it(practice):
    view = ask(practice, FRIDAY)
    with practice.writing() as session:
        leave.decide(session, view.id, False, actor=SYSTEM, now=practice.now)
    assert change(practice, view, start=FRIDAY, end=FRIDAY).status == "pending"
    assert "SUMMARY:Leave (pending): Skiing" in text_of(practice, view)


def test_half_of_the_times_is_refused(practice):
    view = ask(practice, FRIDAY)
    with pytest.raises(InvalidInput) as refused:
        change(practice, view, start=FRIDAY)
    assert refused.value.field == "end"
    with pytest.raises(InvalidInput) as refused:
        change(practice, view, start=FRIDAY, end=FRIDAY - timedelta(days=1))
    assert refused.value.field == "end"


def test_withdrawn_leave_is_gone_and_its_time_free(practice, at):
    booked = practice.book(at(9, day=4))
    view = ask(practice, FRIDAY)
    approve(practice, view)
    assert practice.visit(booked).outside_hours
    assert practice.try_book(at(10, day=4)) == "on_leave"
    with practice.writing() as session:
        assert leave.withdraw(session, view.id, actor=practice.doctor, now=practice.now) is None
    practice.settle()
    assert practice.try_book(at(10, day=4)) == "booked" and not practice.visit(booked).outside_hours
    with practice.writing() as session, pytest.raises(NotFound):
        leave.withdraw(session, view.id, actor=practice.doctor, now=practice.now)


# In a calendar app: TENTATIVE, CONFIRMED, CANCELLED, and titles in step


@pytest.mark.parametrize("kind", ["days", "part", "repeating"])
def test_the_approvers_calendar_decides_and_the_doctors_only_asks(practice, at, kind):
    if kind == "repeating":
        view = afternoons(practice)
    else:
        view = ask(practice, FRIDAY) if kind == "days" else ask(practice, at(9, day=4), at(11, day=4))
    assert "SUMMARY:Leave (pending): Skiing" in text_of(practice, view)
    assert put(practice, view, "STATUS:TENTATIVE", "STATUS:CONFIRMED") == "pending"
    with practice.writing() as session:
        session.get(type(practice.lee), practice.lee.id).approves_own_leave = True
    assert put(practice, view, "STATUS:TENTATIVE", "STATUS:CONFIRMED") == "approved"
    text = text_of(practice, view)
    assert "SUMMARY:Leave: Skiing" in text and "TRANSP:OPAQUE" in text and "OOF" in text
    assert put(practice, view, "STATUS:CONFIRMED", "STATUS:CANCELLED") == "rejected"
    assert "SUMMARY:Leave rejected: Skiing" in text_of(practice, view)
    assert practice.try_book(at(13 if kind == "repeating" else 9, day=4)) == "booked"


def test_an_app_cancels_one_time_of_repeating_leave(practice, at):
    view = afternoons(practice)
    approve(practice, view)
    text = text_of(practice, view)
    head = text[text.index("BEGIN:VEVENT") : text.index("END:VEVENT")]
    one = "\r\n".join(
        line for line in head.replace("\r\n ", "").split("\r\n") if not line.startswith(("RRULE", "DTSTART", "DTEND"))
    ).replace("STATUS:CONFIRMED", "STATUS:CANCELLED")
    one += "RECURRENCE-ID;TZID=Europe/Vienna:20261204T120000\r\nDTSTART;TZID=Europe/Vienna:20261204T120000\r\n"
    one += "DTEND;TZID=Europe/Vienna:20261205T000000\r\nEND:VEVENT\r\n"
    practice.put(view.object.href, text.replace("END:VCALENDAR", one + "END:VCALENDAR"), "leave")
    found = now_is(practice, view)
    assert found.status == "approved" and at(12, day=11) not in [each.start for each in found.times]
    assert practice.try_book(at(13, day=11)) == "booked" and practice.try_book(at(13, day=4)) == "on_leave"
    # Taken back, the leave is more than was approved.
    text = text_of(practice, view)
    a = text.index("BEGIN:VEVENT", text.index("BEGIN:VEVENT") + 5)
    practice.put(view.object.href, text[:a] + "END:VCALENDAR\r\n", "leave")
    assert now_is(practice, view).status == "pending"


def test_a_part_of_a_day_dragged_later_is_pending_again(practice, at):
    view = ask(practice, at(9, day=4), at(11, day=4))
    approve(practice, view)
    assert put(practice, view, "T110000", "T103000") == "approved"
    assert put(practice, view, "T103000", "T120000") == "pending"
    assert practice.try_book(at(11, 40, day=4)) == "on_leave"


# Whoever is booked in it


def test_each_is_offered_the_nearest_free_time_of_the_same_doctor_and_none_twice(practice, at):
    for minute, name in ((0, "Maria Huber"), (20, "Karl Bauer"), (40, "Eva Huber")):
        practice.book(at(8, minute, day=4), name=name)
    view = ask(practice, FRIDAY)
    assert proposals(practice, view) == [
        ("Maria Huber", "lee", "26 15:40"),
        ("Karl Bauer", "lee", "26 15:20"),
        ("Eva Huber", "lee", "26 15:00"),
    ]


def test_where_the_doctor_has_no_time_a_colleague_is_offered(practice, at):
    practice.book(at(13, day=4))
    practice.book(at(9, day=5), name="Karl Bauer")
    view = ask(practice, date(2026, 11, 20), date(2027, 2, 20))
    assert proposals(practice, view) == [("Maria Huber", "smith", "27 13:00"), ("Karl Bauer", "smith", "28 12:00")]


def test_where_nobody_has_time_nothing_is_offered(practice, at):
    practice.book(at(13, day=4))
    with practice.writing() as session:
        for doctor in (practice.lee, practice.smith):
            (weekly,) = hours.list_hours(session, doctor)
            hours.remove(session, doctor, weekly.uid, actor=SYSTEM, now=practice.now)
    assert proposals(practice, ask(practice, FRIDAY)) == [("Maria Huber", "", "")]


def decide(practice, booked, choice, **more) -> None:
    with practice.writing() as session:
        decision = affected.Decision(booked.appointment.id, "", choice, **more)
        affected.decide(session, decision, actor=practice.doctor, now=practice.now)


def test_each_is_kept_moved_or_cancelled_by_choice(practice, at):
    names = ("Maria Huber", "Karl Bauer", "Eva Huber", "Anna Koller")
    booked = [practice.book(at(13, 20 * n % 60, day=4 + n // 3), name=name) for n, name in enumerate(names)]
    view = ask(practice, FRIDAY, FRIDAY + timedelta(days=1))
    approve(practice, view)
    decide(practice, booked[0], "keep")
    decide(practice, booked[1], "move", start=at(10, day=3))
    decide(practice, booked[2], "move", start=at(14, day=4), doctor=practice.smith)
    decide(practice, booked[3], "cancel", reason="On leave")
    assert [practice.visit(each).status for each in booked] == [
        "scheduled",
        "rescheduled",
        "rescheduled",
        "cancelled_doctor",
    ]
    assert practice.visit(booked[1]).start == at(10, day=3)
    assert now_is(practice, view).affected == [booked[0].appointment.id]
    with practice.db.reading() as session:
        assert affected.undecided(session, practice.lee, practice.now) == []
    with pytest.raises(SlotTaken):
        practice.book(at(10, 40, day=3), name="Someone")
        decide(practice, booked[1], "move", start=at(10, 40, day=3))
    with pytest.raises(InvalidInput):
        decide(practice, booked[0], "move")


def test_what_is_kept_before_the_approval_is_not_asked_about_after_it(practice, at):
    kept, other = practice.book(at(9, day=4)), practice.book(at(10, day=4), name="Karl Bauer")
    view = ask(practice, FRIDAY)
    decide(practice, kept, "keep")
    approve(practice, view)
    with practice.db.reading() as session:
        rows = affected.undecided(session, practice.lee, practice.now)
        said = [text for text in session.scalars(select(Notice.text)) if "Keep, move or cancel" in text]
    assert [row.appointment.id for row in rows] == [other.appointment.id]
    assert said == [
        "The appointment on Friday, 27 November, 10:00 lies outside your hours or in your leave now."
        " Keep, move or cancel it."
    ]
    for _again in range(2):
        practice.settle()
    with practice.db.reading() as session:
        assert len([text for text in session.scalars(select(Notice.text)) if "Keep, move" in text]) == 1


def test_fewer_places_than_booked_patients_are_told_as_well(practice, at):
    with practice.writing() as session:
        (weekly,) = hours.list_hours(session, practice.lee)
        hours.remove(session, practice.lee, weekly.uid, actor=SYSTEM, now=practice.now)
        hours.add_hours(
            session, practice.lee, hours.DAYS, at(8).time().replace(hour=8), at(8).time().replace(hour=16),
            slot=20, capacity=3, actor=SYSTEM, now=practice.now,
        )  # fmt: skip
    booked = []
    for name in ("Maria Huber", "Karl Bauer", "Eva Huber"):
        practice.now += timedelta(seconds=1)
        booked.append(practice.book(at(9), name=name))
    alone = practice.book(at(10), name="Anna Koller")
    with practice.db.reading() as session:
        (obj,) = objects.live(session, collections.find(session, "lee", "hours"))
    assert "3" in obj.served_text
    shrunk = obj.served_text.replace("CAPACITY:3", "CAPACITY:1").replace("capacity: 3", "capacity: 1")
    shrunk = shrunk.replace("#capacity=3", "#capacity=1").replace("× 3", "× 1")
    practice.put(obj.href, shrunk, "hours")
    practice.settle()
    with practice.db.reading() as session:
        rows = affected.undecided(session, practice.lee, practice.now)
    # Whoever booked first stays.
    assert sorted(row.patient.name for row in rows) == ["Eva Huber", "Karl Bauer"]
    assert not practice.visit(alone).outside_hours
    with practice.writing() as session:
        lifecycle.cancel(session, booked[0].appointment.id, actor=practice.doctor, now=practice.now)
        affected.mark(session, practice.lee, practice.now)
    with practice.db.reading() as session:
        rows = affected.undecided(session, practice.lee, practice.now)
    assert [row.patient.name for row in rows] == ["Eva Huber"]


def test_a_type_with_places_of_its_own_is_measured_by_those(practice, at):
    with practice.writing() as session:
        appointment_types.get(session, "consultation").capacity = 2
    booked = [practice.book(at(9), name=name) for name in ("Maria Huber", "Karl Bauer")]
    with practice.writing() as session:
        affected.mark(session, practice.lee, practice.now)
    assert not any(practice.visit(each).outside_hours for each in booked)
