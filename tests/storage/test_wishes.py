"""What is waited for: sets of doctors, urgency, channels, changes, duplicates; and the task lists in step with it."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from ical.errors import AlreadyWaiting, IllegalTransition, InvalidInput, NotSelfBookable, VersionConflict
from storage import appointment_types, offers, waitlist, wanted
from storage.models import AppointmentType, OutboxMessage, WaitlistEntry
from storage.policy import Actor
from tests.storage.test_waitlist import TODAY, entry_of, fill, join, offer_of, pass_, todos

DESK = Actor("account", "receptionist", 99, "desk", via="portal", label="desk")
TOMORROW = TODAY + timedelta(days=1)


@pytest.fixture(autouse=True)
def by_day(practice: Any) -> None:
    practice.now += timedelta(hours=9)


def change(practice: Any, entry_id: Any, actor: Actor = DESK, version: int | None = None, **values: Any) -> None:
    from dataclasses import replace

    with practice.writing() as session:
        entry = session.get_one(WaitlistEntry, entry_id)
        asked = replace(wanted.of_entry(session, entry), **values)
        waitlist.edit(session, entry, asked, actor=actor, now=practice.now, version=version)


def test_the_urgent_are_asked_before_those_who_have_waited_longer(practice: Any, at: Callable[..., datetime]) -> None:
    window = {"time_from": time(9), "time_to": time(9, 20)}
    routine = join(practice, "Peter Stone", practice.lee, **window)
    practice.now += timedelta(minutes=1)
    urgent = join(practice, "Paula Stone", practice.lee, actor=DESK, urgency="urgent", **window)
    assert pass_(practice) == [urgent]
    assert entry_of(practice, routine).status == "waiting"


def test_how_urgent_it_is_is_for_the_practice_to_say(practice: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        join(practice, "Peter Stone", practice.lee, urgency="urgent")
    assert refused.value.field == "urgency"
    entry_id = join(practice, "Peter Stone", practice.lee, actor=DESK, urgency="soon")
    patient = Actor("link", via="link", label="patient", link_to=entry_id)
    change(practice, entry_id, patient, time_to=time(11))
    with pytest.raises(InvalidInput):
        change(practice, entry_id, patient, urgency="urgent")
    assert entry_of(practice, entry_id).priority == 3


def test_one_of_a_set_of_doctors_is_enough(practice: Any, at: Callable[..., datetime]) -> None:
    fill(practice, at)
    both = [practice.lee, practice.smith]
    entry_id = join(practice, "Peter Stone", doctors=both, time_to=time(14))
    assert entry_of(practice, entry_id).doctor_ids == {practice.lee.id, practice.smith.id}
    assert todos(practice) == todos(practice, "smith") == {}
    assert pass_(practice) == [entry_id]
    assert offer_of(practice, entry_id).start == at(10) and todos(practice) == {str(entry_id): "IN-PROCESS"}
    with practice.db.reading() as session:
        for doctor in both:
            assert [entry.id for entry in waitlist.list_entries(session, doctor=doctor)] == [entry_id]


def test_a_set_is_not_everybody(practice: Any, at: Callable[..., datetime]) -> None:
    with practice.writing() as session:
        session.add(practice.lee)
        third = practice.smith
        entry = WaitlistEntry(doctor_id=None, doctor_set=f"{third.id},{third.id + 10}")
        assert entry.doctor_ids == {third.id, third.id + 10}
    entry_id = join(practice, "Peter Stone", practice.smith)
    with practice.db.reading() as session:
        assert waitlist.list_entries(session, doctor=practice.lee) == []
        assert [entry.id for entry in waitlist.list_entries(session, doctor=practice.smith)] == [entry_id]


def test_the_same_is_not_waited_for_twice(practice: Any) -> None:
    first = join(practice, "Peter Stone", practice.lee, actor=DESK)
    with pytest.raises(AlreadyWaiting):
        join(practice, "Peter Stone", practice.lee, actor=DESK, time_to=time(12))
    join(practice, "Peter Stone", practice.lee, actor=DESK, date_from=TOMORROW, date_to=TOMORROW)
    join(practice, "Peter Stone", practice.smith, actor=DESK)
    join(practice, "Peter Stone", practice.lee, actor=DESK, kind="follow_up")
    with pytest.raises(AlreadyWaiting):
        change(practice, first, date_to=TOMORROW)
    assert entry_of(practice, first).date_to == TODAY


def test_a_stranger_does_not_learn_who_waits_and_two_entries_get_one_time(
    practice: Any, at: Callable[..., datetime]
) -> None:
    first, second = join(practice, "Peter Stone", practice.lee), join(practice, "Peter Stone", practice.lee)
    assert first != second
    assert len(pass_(practice)) == 1 and pass_(practice) == []


def test_a_changed_wish_keeps_its_place_and_shows_in_the_task_list(practice: Any, at: Callable[..., datetime]) -> None:
    fill(practice, at)
    entry_id = join(practice, "Peter Stone", practice.lee)
    assert pass_(practice) == []
    change(practice, entry_id, time_to=time(12), urgency="soon", reason="", version=1)
    entry = entry_of(practice, entry_id)
    assert (entry.version, entry.priority, entry.time_to) == (2, 3, time(12))
    text = _todo(practice)
    assert "PRIORITY:3" in text and "09:00–12:00" in text and "DESCRIPTION" not in text
    with pytest.raises(VersionConflict):
        change(practice, entry_id, time_to=time(13), version=1)
    assert pass_(practice) == [entry_id] and offer_of(practice, entry_id).start == at(10)


def test_who_now_wants_another_doctor_leaves_the_first_ones_task_list(practice: Any) -> None:
    entry_id = join(practice, "Peter Stone", practice.lee, time_from=time(18), time_to=time(19))
    change(practice, entry_id, doctors=[practice.smith])
    assert todos(practice) == {} and todos(practice, "smith") == {str(entry_id): "NEEDS-ACTION"}
    change(practice, entry_id, doctors=[])
    assert todos(practice) == todos(practice, "smith") == {}
    change(practice, entry_id, doctors=[practice.lee])
    assert todos(practice) == {str(entry_id): "NEEDS-ACTION"}


def test_what_is_over_is_not_changed(practice: Any) -> None:
    entry_id = join(practice, "Peter Stone", practice.lee)
    with practice.writing() as session:
        waitlist.withdraw(session, session.get_one(WaitlistEntry, entry_id), actor=DESK, now=practice.now)
    assert entry_of(practice, entry_id).ended_at == practice.now
    with pytest.raises(IllegalTransition):
        change(practice, entry_id, time_to=time(12))


@pytest.mark.parametrize(("channel", "told"), [("both", ["email", "sms"]), ("sms", ["sms"]), ("email", ["email"])])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_offers_are_told_by_the_channel_that_was_chosen(practice: Any, channel: str, told: list[str]) -> None:
    join(practice, "Peter Stone", practice.lee, channel=channel)
    pass_(practice)
    with practice.db.reading() as session:
        asked = select(OutboxMessage.channel).where(OutboxMessage.template == "waitlist_offer")
        assert sorted(session.scalars(asked)) == told


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("urgency", {"urgency": "now"}),
        ("channel", {"channel": "pigeon"}),
        ("reason", {"reason_": "x" * 1001}),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_words_that_mean_nothing_are_refused(practice: Any, field: str, values: dict[str, Any]) -> None:
    with practice.writing() as session, pytest.raises(InvalidInput) as refused:
        kind = appointment_types.get(session, "consultation")
        given = {name.rstrip("_"): value for name, value in values.items()}
        asked = wanted.Wanted([practice.lee], kind, date(2026, 11, 23), date(2026, 11, 24), **given)
        waitlist.join(session, practice.patient(session), asked, actor=DESK, now=practice.now)
    assert refused.value.field == field


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_patients_do_not_book_they_do_not_wait_for_either(practice: Any) -> None:
    with practice.writing() as session:
        appointment_types.change(session, "xray_review", self_booking=False, now=practice.now)
        session.get_one(AppointmentType, "follow_up").doctors = ["smith"]
    with pytest.raises(NotSelfBookable):
        join(practice, "Peter Stone", practice.lee, kind="xray_review")
    entry_id = join(practice, "Peter Stone", practice.lee, kind="xray_review", actor=DESK)
    with pytest.raises(InvalidInput) as refused:
        join(practice, "Peter Stone", practice.lee, kind="follow_up", actor=DESK)
    assert refused.value.field == "doctor"
    # The patient may say when, though not what.
    change(practice, entry_id, Actor("link", label="patient", link_to=entry_id), time_to=time(12))
    assert pass_(practice) == [entry_id]
    with practice.writing() as session:
        made = session.get_one(type(offer_of(practice, entry_id)), offer_of(practice, entry_id).id)
        offers.accept(session, made, actor=Actor("link", label="patient"), now=practice.now)


def _todo(practice: Any) -> str:
    from storage import collections, served

    with practice.db.reading() as session:
        found = served.members(session, collections.find(session, "lee", "waitlist").id, text=True)
        return found[0].text.replace("\r\n ", "")
