"""Rooms, machines, assistants and several doctors: booked with the appointment, all of them or none."""

import pytest

from ical.errors import InvalidInput
from storage import collections, resources
from tests.storage.conftest import Practice


def add(practice: Practice, username: str, kind: str = "room") -> resources.Bookable:
    with practice.writing() as session:
        return resources.add(session, username, kind, username.title(), now=practice.now)


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
