"""Floating times and whole days in the zone that a calendar or a query names. RFC 4791 §5.2.2, §9.8, RFC 7809."""

import pytest

from tests.caldav.helpers import C, Clinic, Dav, calendar

TOKYO = "<C:timezone-id>Asia/Tokyo</C:timezone-id>"
# Ten to eleven in Tokyo; in Vienna it is 09:00Z to 10:00Z
MORNING = (("DTSTART:20261124T100000", "DTEND:20261124T110000"), "20261124T010000Z", "20261124T020000Z")
# The day begins in Tokyo at 15:00Z on the day before
WHOLE_DAY = (("DTSTART;VALUE=DATE:20261124", "DTEND;VALUE=DATE:20261125"), "20261123T150000Z", "20261123T230000Z")


def floating(*lines: str) -> str:
    return calendar("BEGIN:VEVENT", "UID:f@test", "DTSTAMP:20261001T080000Z", *lines, "END:VEVENT")


def found(client: Dav, start: str, end: str, zone: str = "") -> set[str]:
    span = f'<C:time-range start="{start}" end="{end}"/>'
    return client.report(
        "/lee/personal/",
        "C:calendar-query",
        "<D:prop><D:getetag/></D:prop>"
        f'<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">{span}</C:comp-filter>'
        f"</C:comp-filter></C:filter>{zone}",
    ).members


def set_zone(client: Dav, path: str, name: str) -> int:
    inner = f"<C:calendar-timezone-id>{name}</C:calendar-timezone-id>"
    answer = client.proppatch(path, f"<D:set><D:prop>{inner}</D:prop></D:set>")
    return answer.statuses()[f"{C}calendar-timezone-id"]


@pytest.mark.parametrize("given", [MORNING, WHOLE_DAY], ids=["time", "day"])
def test_a_query_names_the_zone(lee: Dav, given: tuple[tuple[str, ...], str, str]) -> None:
    lines, start, end = given
    lee.put("/lee/personal/f.ics", floating(*lines))
    assert found(lee, start, end) == set()
    assert found(lee, start, end, TOKYO) == {"f.ics"}
    assert found(lee, "20261124T180000Z", "20261124T190000Z", TOKYO) == set()


def test_a_calendar_has_a_zone(lee: Dav) -> None:
    lines, start, end = MORNING
    lee.put("/lee/personal/f.ics", floating(*lines))
    assert set_zone(lee, "/lee/personal/", "Asia/Tokyo") == 200
    assert found(lee, start, end) == {"f.ics"}
    assert found(lee, "20261124T090000Z", "20261124T100000Z") == set()
    busy = lee.report(
        "/lee/personal/", "C:free-busy-query", '<C:time-range start="20261124T000000Z" end="20261125T000000Z"/>'
    )
    assert f"FBTYPE=BUSY:{start}/{end}" in busy.text
    whole = '<C:expand start="20261124T000000Z" end="20261125T000000Z"/>'
    expanded = lee.query(
        "/lee/personal/", '<C:comp-filter name="VEVENT"/>', f"<C:calendar-data>{whole}</C:calendar-data>"
    )
    assert f"DTSTART:{start}" in expanded.data["f.ics"]


def test_name_and_definition_of_the_zone_are_one(lee: Dav) -> None:
    assert set_zone(lee, "/lee/personal/", "Asia/Tokyo") == 200
    answer = lee.propfind("/lee/personal/", "C:calendar-timezone", "C:calendar-timezone-id")
    definition, name = answer.prop(f"{C}calendar-timezone"), answer.prop(f"{C}calendar-timezone-id")
    assert definition is not None and "TZID:Asia/Tokyo" in (definition.text or "")
    assert name is not None and name.text == "Asia/Tokyo"
    remove = "<D:remove><D:prop><C:calendar-timezone-id/></D:prop></D:remove>"
    assert set(lee.proppatch("/lee/personal/", remove).statuses().values()) == {200}
    gone = lee.propfind("/lee/personal/", "C:calendar-timezone", "C:calendar-timezone-id")
    assert set(gone.statuses().values()) == {404}


def test_zones_that_are_not_known_are_refused(lee: Dav) -> None:
    assert set_zone(lee, "/lee/personal/", "Mars/Olympus") == 403
    asked = '<C:filter><C:comp-filter name="VCALENDAR"/></C:filter><C:timezone-id>Mars/Olympus</C:timezone-id>'
    answer = lee.report("/lee/personal/", "C:calendar-query", asked)
    assert (answer.status, answer.condition) == (403, "valid-timezone")
    both = '<C:filter><C:comp-filter name="VCALENDAR"/></C:filter><C:timezone>BEGIN:VCALENDAR</C:timezone>'
    answer = lee.report("/lee/personal/", "C:calendar-query", both)
    assert (answer.status, answer.condition) == (403, "valid-calendar-data")


def test_calendars_of_the_practice_stay_in_the_doctors_zone(lite: Clinic) -> None:
    lee = lite.client("lee")
    lee.put("/lee/appointments/f.ics", floating("DTSTART:20261124T100000", "DTEND:20261124T110000"))
    assert set_zone(lee, "/lee/appointments/", "Asia/Tokyo") == 200
    day = '<C:time-range start="20261124T000000Z" end="20261125T000000Z"/>'
    assert "BUSY:20261124T090000Z" in lee.report("/lee/appointments/", "C:free-busy-query", day).text


def test_the_end_of_time_in_another_zone(lee: Dav) -> None:
    lee.put("/lee/personal/f.ics", floating("DTSTART:20261124T100000", "DTEND:20261124T110000"))
    assert found(lee, "00010101T000000Z", "99991231T235959Z", TOKYO) == {"f.ics"}
