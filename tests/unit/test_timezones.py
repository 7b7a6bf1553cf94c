"""Time zones: names that apps use, the VTIMEZONE we write, zones that only a VTIMEZONE explains."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from dateutil import tz

from ical.errors import InvalidInput
from ical.lines import parse
from ical.timezones import WrittenZone, ensure_vtimezones, resolve, vtimezone, zone

DST_ZONES = ("Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu")
IRREGULAR_ZONES = ("Africa/Casablanca", "Asia/Gaza", "Africa/Cairo", "America/Santiago", "Asia/Jerusalem")


def calendar(*lines: str) -> str:
    return "\r\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", *lines, "END:VCALENDAR", ""))


OWN_ZONE = (
    "BEGIN:VTIMEZONE",
    "TZID:Our own",
    "BEGIN:STANDARD",
    "DTSTART:16010101T030000",
    "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10",
    "TZOFFSETFROM:+0200",
    "TZOFFSETTO:+0100",
    "END:STANDARD",
    "BEGIN:DAYLIGHT",
    "DTSTART:16010101T020000",
    "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3",
    "TZOFFSETFROM:+0100",
    "TZOFFSETTO:+0200",
    "END:DAYLIGHT",
    "END:VTIMEZONE",
)


@pytest.mark.parametrize(
    ("tzid", "key"),
    [
        ("Europe/Vienna", "Europe/Vienna"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("/freeassociation.sourceforge.net/Tzfile/Europe/Vienna", "Europe/Vienna"),
        ("/softwarestudio.org/Olson_20011030_5/America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("(UTC-05:00) Eastern Time (US & Canada)", "America/New_York"),
        ("(GMT+10:00) Canberra, Melbourne, Sydney", "Australia/Sydney"),
        ("(UTC+05:30) Chennai, Kolkata, Mumbai, New Delhi", "Asia/Kolkata"),
        ("(UTC) Coordinated Universal Time", "Etc/UTC"),
        ("(UTC+03:00) Nowhere at all", "Etc/GMT-3"),
    ],
)
def test_names_that_apps_write_are_iana_zones(tzid: str, key: str) -> None:
    found = resolve(tzid, None)
    assert isinstance(found, ZoneInfo)
    assert found.key == key


@pytest.mark.parametrize(
    "tzid", ["", "Mars/X", "Europe", "../../etc/passwd", "/etc/localtime", "CST", "localtime", "A" * 9000]
)
def test_other_names_are_unknown(tzid: str) -> None:
    assert resolve(tzid, None) is None


def test_a_zone_by_name_is_iana_or_invalid_input() -> None:
    assert zone("Asia/Kathmandu").key == "Asia/Kathmandu"
    with pytest.raises(InvalidInput):
        zone("W. Europe Standard Time")


def test_the_vtimezone_of_vienna_has_two_observances_with_rules() -> None:
    text = vtimezone("Europe/Vienna").text()
    assert text.splitlines() == [
        "BEGIN:VTIMEZONE",
        "TZID:Europe/Vienna",
        "X-LIC-LOCATION:Europe/Vienna",
        "BEGIN:DAYLIGHT",
        "TZNAME:CEST",
        "TZOFFSETFROM:+0100",
        "TZOFFSETTO:+0200",
        "DTSTART:19810329T020000",
        "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
        "END:DAYLIGHT",
        "BEGIN:STANDARD",
        "TZNAME:CET",
        "TZOFFSETFROM:+0200",
        "TZOFFSETTO:+0100",
        "DTSTART:19961027T030000",
        "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
        "END:STANDARD",
        "END:VTIMEZONE",
    ]


def test_a_zone_without_dst_has_one_standard() -> None:
    observances = vtimezone("Asia/Kathmandu").components()
    assert [o.name for o in observances] == ["STANDARD"]
    assert observances[0].value("TZOFFSETTO") == "+0545"


@pytest.mark.parametrize("key", [*DST_ZONES, *IRREGULAR_ZONES])
def test_a_vtimezone_says_what_zoneinfo_says_until_2100(key: str) -> None:
    text = vtimezone(key).text().replace(f"TZID:{key}", "TZID:Written").replace(f"X-LIC-LOCATION:{key}\r\n", "")
    written = resolve("Written", parse(calendar(text.rstrip("\r\n"))))
    assert isinstance(written, WrittenZone)
    real = ZoneInfo(key)
    moment = datetime(2011, 1, 1, tzinfo=UTC)
    while moment.year < 2100:
        assert moment.astimezone(written).utcoffset() == moment.astimezone(real).utcoffset(), moment
        moment += timedelta(days=3, hours=1)


@pytest.mark.parametrize("key", DST_ZONES)
def test_dateutil_reads_our_vtimezones_alike(key: str) -> None:
    text = vtimezone(key).text().replace(f"X-LIC-LOCATION:{key}\r\n", "")
    reader = tz.tzical(StringIO(calendar(text.rstrip("\r\n")))).get(key)
    for month in range(1, 13):
        local = datetime(2027, month, 15, 12)
        assert local.replace(tzinfo=reader).utcoffset() == local.replace(tzinfo=ZoneInfo(key)).utcoffset()


def test_a_written_zone_reads_gaps_and_overlaps_as_zoneinfo_does() -> None:
    written, real = resolve("Our own", parse(calendar(*OWN_ZONE))), ZoneInfo("Europe/Vienna")
    assert written is not None
    for day in (datetime(2026, 3, 29), datetime(2026, 10, 25), datetime(2026, 7, 1), datetime(2026, 12, 1)):
        for quarter in range(24 * 4):
            for fold in (0, 1):
                local = (day + quarter * timedelta(minutes=15)).replace(fold=fold)
                assert local.replace(tzinfo=written).utcoffset() == local.replace(tzinfo=real).utcoffset(), local
            moment = (day + quarter * timedelta(minutes=15)).replace(tzinfo=UTC)
            there, here = moment.astimezone(written), moment.astimezone(real)
            assert (there.replace(tzinfo=None), there.fold) == (here.replace(tzinfo=None), here.fold)


def test_a_known_location_inside_a_foreign_vtimezone_decides() -> None:
    lines = (*OWN_ZONE[:2], "X-LIC-LOCATION:America/New_York", *OWN_ZONE[2:])
    assert resolve("Our own", parse(calendar(*lines))) == ZoneInfo("America/New_York")


def test_each_used_tzid_gets_one_canonical_vtimezone() -> None:
    event = (
        "BEGIN:VEVENT",
        "UID:a",
        "DTSTART;TZID=W. Europe Standard Time:20261125T090000",
        "DTEND;TZID=Europe/Vienna:20261125T100000",
        "EXDATE;TZID=Our own:20261126T090000",
        "END:VEVENT",
    )
    unused = ("BEGIN:VTIMEZONE", "TZID:Asia/Tokyo", "END:VTIMEZONE")
    tree = parse(calendar(*OWN_ZONE, *unused, *event))
    ensure_vtimezones(tree)
    assert [z.plain("TZID") for z in tree.components("VTIMEZONE")] == ["Europe/Berlin", "Europe/Vienna", "Our own"]
    assert "DTSTART;TZID=Europe/Berlin:20261125T090000" in tree.text()
    before = tree.text()
    ensure_vtimezones(tree)
    assert tree.text() == before


def test_a_vtimezone_with_endless_changes_is_unknown() -> None:
    dates = ",".join(f"{1970 + n // 300}{n % 12 + 1:02d}{n % 28 + 1:02d}T{n % 24:02d}0000" for n in range(480))
    observance = (
        "BEGIN:STANDARD",
        "DTSTART:19700101T000000",
        f"RDATE:{dates}",
        "TZOFFSETFROM:+0100",
        "TZOFFSETTO:+0200",
    )
    lines = ("BEGIN:VTIMEZONE", "TZID:Odd", *((*observance, "END:STANDARD") * 40), "END:VTIMEZONE")
    assert resolve("Odd", parse(calendar(*lines))) is None
