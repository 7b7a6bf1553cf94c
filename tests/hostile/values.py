"""Values at the edge and beyond it, and the chance that chooses among them."""

import random

TIMES = (
    "", "Z", "00000000T000000", "00010101T000000Z", "15991231T235959Z", "16000101T000000", "19691231T235959Z",
    "22001231T235959Z", "22010101T000000Z", "99991231T235959Z", "20260229", "20261124", "20261124T", "20261124T0900",
    "20261124T240000", "20261124T235960Z", "20261124T256199", "20260329T023000", "20261025T023000", "-20261124T090000",
    "20261124T090000+0100", "2026-11-24T09:00:00Z", "２０２６１１２４T090000", "20261124T090000Z/PT1H", "20261124/P1D",
    "20261124T090000Z,20261125T090000Z", ",", "20261124T090000Z," * 600, "9" * 4000,
)  # fmt: skip
DURATIONS = (
    "", "P", "PT", "-PT1H", "+P1D", "PT0S", "P1Y", "P1M", "PT1W", "P1DT", "P999999W", "PT99999999S", "P73000D",
    "-P999999D", "PT1H1W", "P" + "9" * 500 + "D",
)  # fmt: skip
NUMBERS = ("", "0", "-1", "1", "2147483648", "9" * 30, "1e9", "NaN", "-0", "1.5", "٣")
RULE_PARTS = (
    "FREQ=SECONDLY", "FREQ=MINUTELY", "FREQ=HOURLY", "FREQ=DAILY", "FREQ=WEEKLY", "FREQ=MONTHLY", "FREQ=YEARLY", "FREQ=",
    "INTERVAL=0", "INTERVAL=1", "INTERVAL=999", "INTERVAL=1000", "INTERVAL=" + "9" * 30, "INTERVAL=-1",
    "COUNT=0", "COUNT=1", "COUNT=3500", "COUNT=3501", "COUNT=" + "9" * 300, "UNTIL=99991231T235959Z", "UNTIL=19700101",
    "UNTIL=00000000", "UNTIL=20261124T090000", "UNTIL=", "BYDAY=MO,TU,WE,TH,FR,SA,SU", "BYDAY=5SU,-5MO", "BYDAY=54MO",
    "BYDAY=" + ",".join(["1MO"] * 399), "BYMONTHDAY=31", "BYMONTHDAY=-31,31,30", "BYMONTHDAY=0", "BYMONTH=2", "BYMONTH=13",
    "BYMONTH=" + ",".join(map(str, range(1, 13))), "BYSETPOS=-1", "BYSETPOS=366", "BYYEARDAY=366", "BYYEARDAY=-366,1",
    "BYWEEKNO=53", "BYHOUR=0,1,2,3,4,5", "BYMINUTE=" + ",".join(map(str, range(60))), "BYSECOND=0,60", "BYEASTER=0",
    "WKST=SU", "WKST=XX", "RSCALE=CHINESE", "RSCALE=GREGORIAN", "SKIP=FORWARD", "X-A=B", ";;", "=",
)  # fmt: skip
ZONES = (
    "", "Mars/Olympus", "../../../etc/passwd", "/etc/localtime", "Europe/Vienna", "europe/vienna", "W. Europe Standard Time",
    "(UTC+01:00) Amsterdam, Berlin", "(UTC+99:99) Nowhere", "UTC", "Etc/GMT+12", "Factory", "posixrules", "right/UTC", "CON",
    "Own", "\u202e", "A" * 3000, "Europe/Vienna\0",
)  # fmt: skip
TEXTS = (
    "", "\\", "\\n" * 500, "<script>alert(1)</script>", "]]>", "&amp;&lt;", "=cmd|' /C calc'!A0", "\u202e\u2066\u200d",
    "\ufffe", "\ud83d".encode("utf-8", "surrogatepass").decode("latin-1"), "\U0001f4a9" * 300, "%s%n{0}{{7*7}}", "\x00",
    "\x1b[2J", "\r\nATTENDEE:mailto:x@y", "a" * 70_000, "ﷺ" * 3000, "#done #done", "✗", "CANCELLED: x", "é" * 40,
)  # fmt: skip
LINES = (
    "METHOD:REQUEST", "BEGIN:VEVENT", "END:VEVENT", "BEGIN:VCALENDAR", "END:VCALENDAR", "BEGIN:VALARM", "END:VALARM",
    "BEGIN:VTODO", "BEGIN:VTIMEZONE", "END:VTIMEZONE", "BEGIN:", "END", ":", ";", "no property", "X:", "X;:", "X;A=:b",
    'X;A="b:c', 'X;A=b"c"d:e', "X;" + "A=b;" * 2000 + "Z=:c", "RECURRENCE-ID:20261124T090000Z",
    "RECURRENCE-ID;RANGE=THISANDFUTURE:20261201T090000Z", "RDATE;VALUE=PERIOD:20261124T090000Z/P999999D",
    "EXRULE:FREQ=DAILY", "DTSTART:20261124T090000Z", "UID:other", "UID:" + "u" * 300, "SEQUENCE:-1", "STATUS:CANCELLED",
    "STATUS:" + "x" * 300, "TRANSP:MAYBE", "CLASS:X", "ATTACH;ENCODING=BASE64;VALUE=BINARY:" + "QUJD" * 5000,
    "ATTENDEE;PARTSTAT=DECLINED:mailto:a@b", "ATTENDEE:javascript:alert(1)", "ORGANIZER:", "CATEGORIES:" + "a," * 3000,
    "X-CLINICDAV-SLOT-DURATION:PT0S", "X-CLINICDAV-SLOT-DURATION:P999999W", "X-CLINICDAV-SLOT-CAPACITY:-5",
    "X-CLINICDAV-SLOT-CAPACITY:99999999999", "X-CLINICDAV-STATUS:completed", "X-CLINICDAV-KIND:leave",
    "X-CLINICDAV-TYPES:" + "a " * 3000, "X-CLINICDAV-PATIENT-ID:urn:uuid:0", "X-CLINICDAV-LEAVE-STATUS:approved",
    "GEO:a;b", "PRIORITY:-7", "TRIGGER;RELATED=END:P999999W", "TRIGGER;VALUE=DATE-TIME:00000000T000000Z",
    "REPEAT:99999999", "ACTION:PROCEDURE", "TZOFFSETTO:+9999", "TZOFFSETFROM:-2400", "TZOFFSETTO:x",
)  # fmt: skip
CLAIMS = (
    "DTSTART",
    "DTEND",
    "DUE",
    "RECURRENCE-ID",
    "EXDATE",
    "RDATE",
    "DTSTAMP",
    "CREATED",
    "LAST-MODIFIED",
    "COMPLETED",
)


def random_of(seed: int, number: int) -> random.Random:
    """The chance of one mutation: with seed and number it can be made again alone."""
    return random.Random(f"{seed}:{number}")


def spoilt_bytes(chance: random.Random, data: bytes) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    match chance.randrange(6):
        case 0:
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at] + data[at + chance.randint(1, 60) :]
        case 2:
            return data[:at] + data[at : at + chance.randint(1, 60)] * chance.choice((2, 2, 200)) + data[at:]
        case 3:
            return (
                data[:at]
                + chance.choice((b"\0", b"\xff\xfe", b"\xc3", b"\r", b"\n", b"\r\n ", b"\xef\xbb\xbf"))
                + data[at:]
            )
        case 4:
            return data[:at]
        case _:
            return chance.choice(
                (data.decode("utf-8", "ignore").encode("utf-16"), data * 2, data[::-1], data.swapcase())
            )
