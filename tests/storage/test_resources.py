"""Rooms, machines, assistants and several doctors: booked with the appointment, all of them or none."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import select, update

from ical.errors import Forbidden, InvalidInput, Refusal, SlotTaken
from storage import (
    appointment_types,
    booking,
    claims,
    collections,
    drafts,
    edits,
    lifecycle,
    objects,
    participants,
    resources,
    undo,
)
from storage.models import Account, Audit, CalendarObject, Claim, History, Occurrence
from storage.policy import Actor
from tests.storage.conftest import Practice, at


def add(practice: Practice, username: str, kind: str = "room", **more: int) -> resources.Bookable:
    with practice.writing() as session:
        return resources.add(session, username, kind, username.title(), now=practice.now, **more)


def need(practice: Practice, *groups: Sequence[str], kind: str = "consultation") -> None:
    """Make a type of appointment need one of each group."""
    with practice.writing() as session:
        appointment_types.get(session, kind).resources = [list(group) for group in groups]


DESK = Actor("account", "receptionist", None, "desk", via="portal", label="desk")


def book(
    practice: Practice,
    start: datetime,
    *doctors: Account,
    actor: Actor | None = None,
    kind: str = "consultation",
    name: str = "Maria Huber",
    ticket: object = None,
    **more: object,
) -> booking.Booked:
    with practice.writing() as session:
        new = drafts.NewAppointment(
            start, appointment_types.get(session, kind), practice.patient(session, name), reason="Knee pain", **more
        )
        return booking.book(
            session,
            doctors or [practice.lee],
            new,
            actor=actor or practice.visitor,
            now=practice.now,
            ticket=ticket,
        )


def tried(practice: Practice, start: datetime, *doctors: Account, **more: object) -> str:
    """The refusal's code, or "booked"."""
    try:
        book(practice, start, *doctors, **more)
    except Refusal as refusal:
        return refusal.code
    return "booked"


def names(booked: booking.Booked) -> list[str]:
    return [each.account.username for each in booked.others]


def claimed(practice: Practice, of: resources.Bookable) -> list[tuple[datetime, datetime]]:
    with practice.db.reading() as session:
        asked = select(Claim).where(Claim.resource_id == of.id).order_by(Claim.start)
        return [(claim.start, claim.end) for claim in session.scalars(asked)]


def shown(practice: Practice, whose: Account) -> list[CalendarObject]:
    """What stands in somebody's appointments."""
    with practice.db.reading() as session:
        return objects.live(session, collections.built_in(session, whose, "appointments"))


def put(practice: Practice, whose: Account, href: str, text: str, actor: Actor) -> edits.Written:
    with practice.writing() as session:
        target = collections.built_in(session, whose, "appointments")
        sent = edits.judge(text.encode())
        return edits.put(
            session, target, edits.spot_of(session, target, href, sent), sent, actor=actor, now=practice.now
        )


# What there is


def test_a_room_has_calendars_and_is_found_by_name(practice: Practice) -> None:
    room = add(practice, "room-1")
    with practice.db.reading() as session:
        assert [each.name for each in collections.home(session, room.account)] == ["appointments", "hours", "leave"]
        assert [each.id for each in resources.every(session)] == [room.id]
        assert [each.kind for each in resources.by_names(session, ["room-1", "lee"])] == ["room", "doctor"]


@pytest.mark.parametrize(
    "username,kind,field", [("lee", "room", "username"), ("room-1", "broom", "kind"), ("Room 1", "room", "username")]
)
def test_a_room_that_cannot_be_is_refused(practice: Practice, username: str, kind: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        add(practice, username, kind)
    assert refused.value.field == field


def test_an_unknown_name_is_refused(practice: Practice) -> None:
    with practice.db.reading() as session, pytest.raises(InvalidInput) as refused:
        resources.by_names(session, ["nowhere"])
    assert refused.value.field == "resources"


# Booked with the appointment


def test_a_room_is_never_booked_twice(practice: Practice) -> None:
    room = add(practice, "room-1")
    need(practice, ["room-1"])
    assert names(book(practice, at(12), practice.lee)) == ["room-1"]
    assert tried(practice, at(12), practice.smith, name="Peter Fox") == "slot_taken"
    assert tried(practice, at(12, 20), practice.smith, name="Peter Fox") == "booked"
    assert claimed(practice, room) == [(at(12), at(12, 20)), (at(12, 20), at(12, 40))]


def test_all_or_none_is_taken(practice: Practice) -> None:
    add(practice, "room-1")
    machine = add(practice, "xray", "machine")
    book(practice, at(12), practice.smith, resources=("room-1",))
    assert tried(practice, at(12), practice.lee, resources=("xray", "room-1"), name="Peter Fox") == "slot_taken"
    assert claimed(practice, machine) == []


def test_of_a_group_the_free_one_is_taken_and_the_least_used_first(practice: Practice) -> None:
    for username in ("room-1", "room-2"):
        add(practice, username)
    add(practice, "xray", "machine")
    need(practice, ["room-1", "room-2"], ["xray"])
    assert names(book(practice, at(9))) == ["room-1", "xray"]
    assert names(book(practice, at(10))) == ["room-2", "xray"]
    assert names(book(practice, at(11), resources=("room-2",))) == ["room-2", "xray"]
    # Both once, but for the third time: that day room-1 is used less.
    assert names(book(practice, at(12))) == ["room-1", "xray"]


def test_a_group_that_is_taken_whole_refuses(practice: Practice) -> None:
    for username in ("room-1", "room-2"):
        add(practice, username)
    need(practice, ["room-1", "room-2"])
    for doctor, name in ((practice.lee, "A B"), (practice.smith, "C D")):
        assert tried(practice, at(13), doctor, name=name) == "booked"
    book(practice, at(14), resources=("room-1",))
    assert tried(practice, at(14), practice.smith, resources=("room-1",), name="Peter Fox") == "slot_taken"
    assert names(book(practice, at(14), practice.smith, name="Peter Fox")) == ["room-2"]


def test_a_room_for_two_is_booked_twice(practice: Practice) -> None:
    add(practice, "gym", capacity=2)
    need(practice, ["gym"])
    assert tried(practice, at(12), practice.lee) == tried(practice, at(12), practice.smith, name="C D") == "booked"


def test_buffers_keep_the_room_too(practice: Practice) -> None:
    room = add(practice, "room-1")
    need(practice, ["room-1"])
    with practice.writing() as session:
        appointment_types.change(session, "consultation", now=practice.now, buffer_after=20)
    book(practice, at(12))
    assert claimed(practice, room) == [(at(12), at(12, 40))]
    assert tried(practice, at(12, 20), practice.smith, name="C D") == "slot_taken"


@pytest.mark.parametrize(
    "more,field",
    [({"resources": ("nowhere",)}, "resources"), ({"resources": ("smith",)}, "resources")],
)
def test_what_cannot_be_booked_is_named(practice: Practice, more: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        book(practice, at(9), **more)
    assert refused.value.field == field


def test_a_hold_keeps_the_room_until_it_is_redeemed(practice: Practice) -> None:
    room = add(practice, "room-1")
    need(practice, ["room-1"])
    with practice.writing() as session:
        kind = appointment_types.get(session, "consultation")
        kept = booking.hold(session, practice.lee, at(12), kind, actor=practice.visitor, now=practice.now)
    assert tried(practice, at(12), practice.smith) == "slot_taken"
    assert names(book(practice, at(12), practice.lee, ticket=kept.id)) == ["room-1"]
    assert claimed(practice, room) == [(at(12), at(12, 20))]


def test_a_block_or_leave_in_the_rooms_calendar_makes_it_unavailable(practice: Practice) -> None:
    room = add(practice, "room-1")
    need(practice, ["room-1"])
    put(practice, room.account, "painters.ics", event("painters", at(9), at(10)), DESK)
    assert tried(practice, at(9, 20)) == "slot_taken"
    assert tried(practice, at(10)) == "booked"


def test_an_assistant_with_hours_is_booked_within_them(practice: Practice) -> None:
    from datetime import time

    from storage import hours
    from storage.policy import SYSTEM

    ann = add(practice, "ann", "assistant")
    need(practice, ["ann"])
    assert tried(practice, at(14), name="C D") == "booked"
    with practice.writing() as session:
        hours.add_hours(session, ann.account, hours.DAYS, time(8), time(12), slot=20, actor=SYSTEM, now=practice.now)
    assert tried(practice, at(15), name="E F") == "slot_taken"
    assert tried(practice, at(11), name="E F") == "booked"


# Several doctors


def test_any_doctor_is_whoever_is_booked_least(practice: Practice) -> None:
    both = [practice.lee, practice.smith]
    found = [book(practice, at(12 + hour), *both, name=f"P {hour}").doctor.username for hour in range(4)]
    assert found == ["lee", "smith", "lee", "smith"]
    # The same on that day: then whoever has less to do in the week.
    book(practice, at(9, day=1), practice.lee, name="X Y")
    assert book(practice, at(12, day=2), *both, name="Z Z").doctor.username == "smith"


def test_together_takes_all_doctors_at_once(practice: Practice) -> None:
    both = [practice.lee, practice.smith]
    booked = book(practice, at(12), *both, together=True)
    assert (booked.doctor.username, names(booked)) == ("lee", ["smith"])
    assert tried(practice, at(12), practice.smith, name="C D") == "slot_taken"
    assert tried(practice, at(8), *both, together=True, name="C D") == "outside_hours"
    book(practice, at(13), practice.smith, name="E F")
    assert tried(practice, at(13), *both, together=True, name="C D") == "slot_taken"
    assert tried(practice, at(13), practice.lee, name="C D") == "booked"


# Later


def test_a_move_takes_the_room_along(practice: Practice) -> None:
    room = add(practice, "room-1")
    need(practice, ["room-1"])
    booked = book(practice, at(12))
    book(practice, at(13), practice.smith, name="C D")
    move(practice, booked, at(14))
    assert claimed(practice, room) == [(at(13), at(13, 20)), (at(14), at(14, 20))]
    with pytest.raises(SlotTaken):
        move(practice, booked, at(13))
    assert claimed(practice, room) == [(at(13), at(13, 20)), (at(14), at(14, 20))]


def test_a_move_takes_another_room_where_its_own_is_not_free(practice: Practice) -> None:
    first, second = add(practice, "room-1"), add(practice, "room-2")
    need(practice, ["room-1", "room-2"])
    booked = book(practice, at(12))
    book(practice, at(13), practice.smith, resources=("room-1",), name="C D")
    move(practice, booked, at(13))
    assert claimed(practice, first) == [(at(13), at(13, 20))]
    assert claimed(practice, second) == [(at(13), at(13, 20))]
    move(practice, booked, at(15))
    assert claimed(practice, second) == [(at(15), at(15, 20))], "it stays where it can"


def test_a_cancellation_frees_everybody(practice: Practice) -> None:
    room = add(practice, "room-1")
    booked = book(practice, at(12), practice.lee, practice.smith, together=True, resources=("room-1",))
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=DESK, now=practice.now, by="patient")
    assert claimed(practice, room) == []
    assert tried(practice, at(12), practice.smith, resources=("room-1",), name="C D") == "booked"


def test_every_occurrence_of_a_series_has_its_room(practice: Practice) -> None:
    room = add(practice, "room-1")
    add(practice, "room-2")
    need(practice, ["room-1", "room-2"])
    book(practice, at(12, day=7), practice.smith, resources=("room-1",), name="C D")
    booked = book(practice, at(12), rrule="FREQ=WEEKLY;COUNT=3")
    assert names(booked) == ["room-2"], "the one that is free each time"
    second = book(practice, at(14), rrule="FREQ=WEEKLY;COUNT=3", name="E F")
    assert (names(second), len(claimed(practice, room))) == (["room-1"], 4)


def test_an_occurrence_whose_room_is_taken_is_in_conflict(practice: Practice) -> None:
    add(practice, "room-1")
    need(practice, ["room-1"])
    book(practice, at(12, day=7), practice.smith, name="C D")
    assert tried(practice, at(12), rrule="FREQ=WEEKLY;COUNT=3") == "series_conflict"
    booked = book(practice, at(12), rrule="FREQ=WEEKLY;COUNT=3", on_conflict="skip")
    assert [outcome.outcome for outcome in booked.occurrences] == ["booked", "skipped", "booked"]


# In the calendars


def test_each_participant_has_a_copy_in_its_own_calendar(practice: Practice) -> None:
    room = add(practice, "room-1")
    booked = book(practice, at(12), practice.lee, practice.smith, together=True, resources=("room-1",))
    (in_room,), (at_smith,) = shown(practice, room.account), shown(practice, practice.smith)
    assert in_room.uid == f"appt-{booked.appointment.id}-room-1@{in_room.uid.partition('@')[2]}"
    assert {in_room.kind, at_smith.kind} == {"copy"}
    assert "SUMMARY:Dr. Lee · Consultation" in in_room.served_text
    assert "Maria" not in in_room.served_text and "Knee" not in in_room.served_text
    assert "SUMMARY:Maria H. · Consultation" in at_smith.served_text and "Knee pain" in at_smith.served_text
    for copy in (in_room, at_smith):
        assert "mail.example" not in copy.stored_text and "X-CLINICDAV" not in copy.served_text


def test_copies_follow_the_appointment(practice: Practice) -> None:
    room = add(practice, "room-1")
    booked = book(practice, at(12), resources=("room-1",))
    move(practice, booked, at(14))
    assert "DTSTART;TZID=Europe/Vienna:20261123T140000" in shown(practice, room.account)[0].served_text
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=DESK, now=practice.now, by="patient")
    assert "STATUS:CANCELLED" in shown(practice, room.account)[0].served_text
    with practice.db.reading() as session:
        busy = session.scalars(select(Occurrence.busy).where(Occurrence.kind == "copy")).all()
    assert busy == ["free"]


def test_a_deleted_appointment_takes_its_copies_along_and_brings_them_back(practice: Practice) -> None:
    room = add(practice, "room-1")
    booked = book(practice, at(12), resources=("room-1",))
    obj = practice.object_of(booked)
    practice.delete(obj.href)
    assert shown(practice, room.account) == []
    practice.put(obj.href, obj.served_text)
    assert len(shown(practice, room.account)) == 1
    practice.delete(obj.href)
    practice.settle()
    assert (shown(practice, room.account), claimed(practice, room)) == ([], [])


def test_a_drag_in_the_calendar_moves_the_room_even_over_another_booking(practice: Practice) -> None:
    room = add(practice, "room-1")
    booked = book(practice, at(12), resources=("room-1",))
    book(practice, at(13), practice.smith, resources=("room-1",), name="C D")
    obj = practice.object_of(booked)
    practice.put(obj.href, obj.served_text.replace("T120000", "T130000").replace("T122000", "T132000"))
    assert claimed(practice, room) == [(at(13), at(13, 20)), (at(13), at(13, 20))]
    assert practice.visit(booked).overbooked
    practice.put(obj.href, obj.served_text.replace("T120000", "T140000").replace("T122000", "T142000"))
    assert claimed(practice, room) == [(at(13), at(13, 20)), (at(14), at(14, 20))]
    assert not practice.visit(booked).overbooked


def test_a_copy_is_no_block_and_claims_nothing(practice: Practice) -> None:
    add(practice, "room-1")
    booked = book(practice, at(12), practice.lee, practice.smith, together=True, resources=("room-1",))
    with practice.db.reading() as session:
        assert len(claims.of_appointment(session, booked.appointment.id)) == 3
        assert session.scalars(select(Claim)).all() == claims.of_appointment(session, booked.appointment.id)
    move(practice, booked, at(12, 20))
    assert tried(practice, at(12), practice.smith, name="C D") == "booked"


@pytest.mark.parametrize("edit", ["move", "delete"])
def test_what_is_done_to_a_copy_is_put_back(practice: Practice, edit: str) -> None:
    book(practice, at(12), practice.lee, practice.smith, together=True)
    smith = Actor("account", "doctor", practice.smith.id, "smith", via="caldav", label="smith")
    (copy,) = shown(practice, practice.smith)
    if edit == "move":
        moved = copy.served_text.replace("T120000", "T150000").replace("T122000", "T152000")
        assert not put(practice, practice.smith, copy.href, moved, smith).verbatim
    else:
        with practice.writing() as session:
            obj = session.get_one(CalendarObject, copy.id)
            edits.client_delete(session, obj, actor=smith, now=practice.now)
    (after,) = shown(practice, practice.smith)
    assert after.served_text == copy.served_text and after.etag != copy.etag and after.seq > copy.seq
    assert any("Dr. Lee" in text for text in notices(practice, practice.smith))


# Against the rules


def test_staff_squeeze_in_a_visit_with_a_reason(practice: Practice) -> None:
    room = add(practice, "room-1")
    book(practice, at(12), resources=("room-1",))
    booked = book(practice, at(12), actor=DESK, name="C D", resources=("room-1",), overrule="Emergency")
    assert practice.visit(booked).overbooked and len(claimed(practice, room)) == 2
    outside = book(practice, at(6), actor=DESK, name="E F", overrule="Before work")
    assert practice.visit(outside).outside_hours
    with practice.db.reading() as session:
        reasons = session.scalars(select(History.reason).where(History.action == "booked")).all()
        noted = session.scalars(select(Audit.detail).where(Audit.action == "appointment.overruled")).all()
    assert {"Emergency", "Before work"} <= set(reasons)
    assert [each["rules"] for each in noted] == [["slot_taken", "slot_taken"], ["outside_hours"]]


def test_patients_do_not_overrule(practice: Practice) -> None:
    with pytest.raises(Forbidden):
        book(practice, at(6), overrule="Please")


def move(practice: Practice, booked: booking.Booked, start: datetime) -> None:
    with practice.writing() as session:
        lifecycle.reschedule(session, booked.appointment.id, start, actor=DESK, now=practice.now)


def notices(practice: Practice, who: Account) -> list[str]:
    from storage.models import Notice

    with practice.db.reading() as session:
        return list(session.scalars(select(Notice.text).where(Notice.account_id == who.id)))


def event(uid: str, start: datetime, end: datetime) -> str:
    return (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//Test//EN\r\nBEGIN:VEVENT\r\n"
        f"UID:{uid}\r\nDTSTAMP:20261101T000000Z\r\nDTSTART:{start:%Y%m%dT%H%M%SZ}\r\nDTEND:{end:%Y%m%dT%H%M%SZ}\r\n"
        "SUMMARY:Painters\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )


def test_an_offer_keeps_the_room_until_it_is_answered(practice: Practice) -> None:
    room = add(practice, "room-1")
    need(practice, ["room-1"])
    with practice.writing() as session:
        kind = appointment_types.get(session, "consultation")
        kept = booking.hold(session, practice.lee, at(12), kind, actor=DESK, now=practice.now)
        session.execute(update(Claim).where(Claim.ticket == kept.id).values(kind="offer"))
    assert tried(practice, at(12), practice.smith, name="C D") == "slot_taken"
    with practice.writing() as session:
        claims.release(session, ticket=kept.id)
    assert claimed(practice, room) == []


def test_a_colleague_takes_the_visit_over_with_its_room(practice: Practice) -> None:
    room = add(practice, "room-1")
    booked = book(practice, at(12), practice.lee, practice.smith, together=True, resources=("room-1",))
    with practice.writing() as session:
        smith = session.get_one(Account, practice.smith.id)
        lifecycle.reschedule(session, booked.appointment.id, at(13), actor=DESK, now=practice.now, doctor=smith)
    assert claimed(practice, room) == [(at(13), at(13, 20))]
    with practice.db.reading() as session:
        left = participants.of_appointment(session, booked.appointment.id)
        assert [each.account.username for each in left] == ["room-1"], "nobody takes part twice"
    assert [obj.kind for obj in shown(practice, practice.smith)] == ["appointment"]
    assert shown(practice, practice.lee) == [] and len(shown(practice, room.account)) == 1
    assert tried(practice, at(12), practice.lee, name="C D") == "booked"


def test_an_undo_brings_back_the_room(practice: Practice) -> None:
    room = add(practice, "room-1")
    booked = book(practice, at(12), resources=("room-1",))
    practice.now += timedelta(hours=1)
    with practice.writing() as session:
        lifecycle.cancel(session, booked.appointment.id, actor=DESK, now=practice.now, by="patient")
    assert claimed(practice, room) == []
    with practice.writing() as session:
        undo.undo(session, booked.appointment.id, actor=DESK, now=practice.now)
    assert claimed(practice, room) == [(at(12), at(12, 20))]


def test_a_booking_without_a_room_asks_nothing_more_of_the_database(practice: Practice) -> None:
    """What nobody uses costs nobody anything."""
    said: list[str] = []
    with practice.writing() as session:
        new = drafts.NewAppointment(
            at(12), appointment_types.get(session, "consultation"), practice.patient(session, "Maria Huber")
        )
        connection = session.connection()
        sqlalchemy_event.listen(connection, "before_cursor_execute", lambda *given: said.append(given[2]))
        booking.book(session, [practice.lee], new, actor=practice.visitor, now=practice.now)
    assert not [text for text in said if "appointment_resource" in text]
