"""Apps that are shown people: what they see and cannot change, the outbox, the inbox, availability."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as clock_time
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from ical.lines import Component, parse
from storage import accounts, appointment_types, booking, credentials, drafts, hours, leave, settling
from storage.models import Account, OutboxMessage
from storage.policy import SYSTEM, VISITOR
from tests.caldav.helpers import CS, Answer, C, Clinic, D, Dav, calendar, event

VIENNA = ZoneInfo("Europe/Vienna")
TOKENS = ["calendar-schedule", "calendar-auto-schedule", "calendar-availability"]


@dataclass
class Practice:
    """Maria Huber is with lee on Tuesday at ten; `full` is lee's app that is shown people, `solo` the other one."""

    clinic: Clinic
    path: str
    full: Dav
    solo: Dav

    def shown(self, client: Dav | None = None) -> Component:
        return parse((client or self.full).get(self.path).text).components("VEVENT")[0]


@pytest.fixture
def practice(lite: Clinic) -> Iterator[Practice]:
    with lite.db.transaction() as session:
        lee = account(session, "lee")
        days = ["mon", "tue", "wed", "thu", "fri"]
        now = lite.clock()
        hours.add_hours(
            session, lee, days, clock_time(8), clock_time(16), slot=20, actor=SYSTEM, now=now, first=now.date()
        )
        patient = accounts.find_or_create_patient(session, "Maria Huber", "maria@mail.example", "", now)
        kind = appointment_types.get(session, "consultation")
        new = drafts.NewAppointment(datetime(2026, 11, 24, 10, 0, tzinfo=VIENNA), kind, patient, reason="Knee pain")
        booking.book(session, [lee], new, actor=VISITOR, now=now)
    full = client(lite, "lee")
    name = next(iter(full.propfind("/lee/appointments/", "D:getetag", depth="1").members))
    yield Practice(lite, f"/lee/appointments/{name}", full, lite.client("lee"))


def account(session, username: str) -> Account:
    found = accounts.by_username(session, username)
    assert found is not None
    return found


def client(clinic: Clinic, username: str, profile: str = "full") -> Dav:
    """A further app of this account."""
    with clinic.db.transaction() as session:
        found = account(session, username)
        return Dav(clinic.app, username, credentials.add_app_password(session, found, "phone", profile, clinic.clock()))


def tokens(answer: Answer) -> list[str]:
    return [token.strip() for token in answer.headers["DAV"].split(",")]


# What is shown


def test_an_app_of_the_profile_full_is_shown_organizer_and_patient(practice: Practice) -> None:
    shown, alone = practice.shown(), practice.shown(practice.solo)
    assert [line.value for line in shown.lines("ORGANIZER")] == ["mailto:lee@test.example"]
    (patient,) = shown.lines("ATTENDEE")
    assert (patient.value, patient.param("CN")) == ("mailto:maria@mail.example", "Maria Huber")
    assert patient.param("PARTSTAT") == "NEEDS-ACTION"
    others = [line.text() for line in shown.lines() if line.name not in ("ORGANIZER", "ATTENDEE")]
    assert others == [line.text() for line in alone.lines()]
    mails = [each.text for each in practice.full.propfind("/lee/", "C:calendar-user-address-set").xml.iter(f"{D}href")]
    assert "mailto:lee@test.example" in mails


def test_every_way_of_reading_shows_the_same(practice: Practice) -> None:
    """GET, multiget, query, sync and listings: one text, one ETag, and none of our own lines."""
    got = practice.full.get(practice.path)
    name = practice.path.rpartition("/")[2]
    asked = f"<D:prop><D:getetag/><C:calendar-data/></D:prop><D:href>/dav{practice.path}</D:href>"
    window = (
        '<C:comp-filter name="VEVENT"><C:time-range start="20261124T000000Z" end="20261125T000000Z"/></C:comp-filter>'
    )
    maria = (
        '<C:comp-filter name="VEVENT"><C:prop-filter name="ATTENDEE"><C:text-match>maria@</C:text-match>'
        "</C:prop-filter></C:comp-filter>"
    )
    for answer in (
        practice.full.report("/lee/appointments/", "C:calendar-multiget", asked),
        practice.full.query("/lee/appointments/", window),
        practice.full.query("/lee/appointments/", maria),
    ):
        assert answer.data == {name: got.text}
        assert [tag.text for tag in answer.xml.iter(f"{D}getetag")] == [got.headers["ETag"]]
    listed = practice.full.propfind(practice.path, "D:getetag", "D:getcontentlength")
    assert listed.xml.findtext(f".//{D}getetag") == got.headers["ETag"]
    assert listed.xml.findtext(f".//{D}getcontentlength") == str(len(got.body))
    synced = practice.full.sync("/lee/appointments/")
    assert [tag.text for tag in synced.xml.iter(f"{D}getetag")] == [got.headers["ETag"]]
    assert "X-CLINICDAV" not in got.text and "VALARM" not in got.text
    assert practice.solo.query("/lee/appointments/", maria).data == {}


def test_a_device_that_changes_its_profile_fetches_everything_again(practice: Practice) -> None:
    solo, full = practice.solo.sync("/lee/appointments/"), practice.full.sync("/lee/appointments/")
    for reader, other in ((practice.full, solo), (practice.solo, full)):
        answer = reader.sync("/lee/appointments/", other.xml.findtext(f"{D}sync-token", ""))
        assert (answer.status, answer.condition) == (403, "valid-sync-token")
    etags = {client.get(practice.path).headers["ETag"] for client in (practice.solo, practice.full)}
    assert len(etags) == 2
    token = full.xml.findtext(f"{D}sync-token", "")
    assert practice.full.sync("/lee/appointments/", token).members == set()
    assert practice.full.get(practice.path, If_None_Match=etags.pop()).status in (200, 304)


def test_a_new_address_of_the_doctor_reaches_every_event(practice: Practice) -> None:
    """Else the app would take its own appointments for somebody else's, and lock them."""
    before = practice.full.get(practice.path).headers["ETag"]
    token = practice.full.sync("/lee/appointments/").xml.findtext(f"{D}sync-token", "")
    with practice.clinic.db.transaction() as session:
        account(session, "lee").email = "new@test.example"
    after = practice.full.get(practice.path)
    assert after.headers["ETag"] != before and "mailto:new@test.example" in after.text
    assert practice.full.sync("/lee/appointments/", token).status == 403


def test_without_an_address_of_the_doctor_there_are_no_people(practice: Practice) -> None:
    with practice.clinic.db.transaction() as session:
        account(session, "lee").email = ""
    assert practice.full.get(practice.path).text == practice.solo.get(practice.path).text


def test_the_desk_is_shown_no_people_and_no_notes_whatever_its_profile(practice: Practice) -> None:
    noted = practice.full.get(practice.path).text.replace("\r\n ", "").replace("patient) ---\\n", "patient) ---\\nMRI")
    assert practice.full.put(practice.path, noted).status == 204
    assert "MRI" in practice.full.get(practice.path).text
    text = client(practice.clinic, "desk").get(practice.path).text
    for hidden in ("ORGANIZER", "ATTENDEE", "maria@", "MRI", "Private notes"):
        assert hidden not in text.replace("\r\n ", "")


# What cannot be changed


TRICKS = [
    ("mailto:lee@test.example", "mailto:boss@else.example"),
    ("mailto:maria@mail.example", "mailto:thief@else.example"),
    ("PARTSTAT=NEEDS-ACTION", "PARTSTAT=ACCEPTED"),
    ("PARTSTAT=NEEDS-ACTION", "PARTSTAT=DECLINED"),
    ("SCHEDULE-AGENT=SERVER", "SCHEDULE-AGENT=CLIENT"),
    ("SCHEDULE-AGENT=SERVER", "SCHEDULE-AGENT=NONE"),
    ("BEGIN:VEVENT", "BEGIN:VEVENT\r\nATTENDEE;CN=Friend:mailto:friend@else.example"),
    ("BEGIN:VEVENT", "BEGIN:VEVENT\r\nX-CLINICDAV-STATUS:completed"),
]


def test_an_app_changes_neither_organizer_nor_patient(practice: Practice) -> None:
    before = practice.full.get(practice.path)
    unfolded = before.text.replace("\r\n ", "")
    for line, instead in TRICKS:
        assert line in unfolded
        answer = practice.full.put(practice.path, unfolded.replace(line, instead))
        assert answer.status == 204 and "ETag" not in answer.headers
        assert practice.full.get(practice.path).text == before.text, instead
    assert messages(practice, after=timedelta(hours=1)) == []


def test_an_app_that_leaves_out_the_people_removes_nobody(practice: Practice) -> None:
    before = practice.full.get(practice.path)
    answer = practice.full.put(practice.path, practice.solo.get(practice.path).text)
    assert answer.status == 204
    assert "ETag" not in answer.headers, "what is served to this app is not what it sent"
    assert practice.full.get(practice.path).text == before.text


def test_representation_is_that_of_the_profile(practice: Practice) -> None:
    before = practice.full.get(practice.path).text
    moved = before.replace("T100000", "T110000").replace("T102000", "T112000")
    answer = practice.full.put(practice.path, moved, Prefer="return=representation")
    assert answer.text == practice.full.get(practice.path).text
    assert answer.headers["ETag"] == practice.full.get(practice.path).headers["ETag"]
    assert "ATTENDEE" in answer.text and "T110000" in answer.text


def test_own_events_keep_their_bytes_and_name_their_etag(practice: Practice) -> None:
    meeting = event("m@test", "20261125T090000", "20261125T093000", "SUMMARY:Team", "ATTENDEE:mailto:a@else.example")
    answer = practice.full.put("/lee/appointments/m.ics", meeting)
    got = practice.full.get("/lee/appointments/m.ics")
    assert answer.headers["ETag"] == got.headers["ETag"] and got.text == meeting
    assert practice.full.put("/lee/appointments/m.ics", meeting, If_Match=got.headers["ETag"]).status == 204
    assert practice.full.delete("/lee/appointments/m.ics", If_Match=got.headers["ETag"]).status == 204
    assert messages(practice, after=timedelta(hours=1)) == []


def test_a_stale_etag_is_refused_in_either_form(practice: Practice) -> None:
    before = practice.full.get(practice.path)
    moved = before.text.replace("T100000", "T110000").replace("T102000", "T112000")
    assert practice.full.put(practice.path, moved, If_Match=before.headers["ETag"]).status == 204
    assert practice.full.put(practice.path, before.body, If_Match=before.headers["ETag"]).status == 412
    assert practice.full.delete(practice.path, If_Match=before.headers["ETag"]).status == 412


def test_a_copy_of_an_appointment_is_kept_without_people(practice: Practice) -> None:
    """Another app of the doctor's, which knows of no scheduling, would mail them."""
    copied = practice.full.get(practice.path).text.replace("UID:appt-", "UID:copy-").replace("20261124T", "20261126T")
    for path in ("/lee/appointments/copy.ics", "/lee/personal/copy.ics"):
        answer = practice.full.put(path, copied)
        assert answer.status == 201 and "ETag" not in answer.headers
        for app in (practice.solo, practice.full):
            text = app.get(path).text
            assert "SUMMARY:Maria H." in text and "ATTENDEE" not in text and "ORGANIZER" not in text


# Messages


def messages(practice: Practice, after: timedelta) -> list[str]:
    """What patients are told besides the first confirmation, once the quiet period is over."""
    practice.clinic.clock.now += after
    now = practice.clinic.clock()
    with practice.clinic.db.transaction() as session:
        for appointment_id in settling.due_to_settle(session, now):
            settling.settle(session, appointment_id, now)
        return list(session.scalars(select(OutboxMessage.template).order_by(OutboxMessage.id)))[1:]


def test_a_moved_appointment_is_told_exactly_once(practice: Practice) -> None:
    """By the server, from its workflow: the app that moved it left that to the server, and the server to nobody."""
    token = practice.full.request("OPTIONS", "/lee/")
    assert "calendar-auto-schedule" in tokens(token)
    moved = practice.full.get(practice.path).text.replace("T100000", "T110000").replace("T102000", "T112000")
    for _ in range(2):
        assert practice.full.put(practice.path, moved.replace("SEQUENCE:0", "SEQUENCE:1")).status == 204
    assert messages(practice, after=timedelta(minutes=1)) == []
    assert messages(practice, after=timedelta(minutes=5)) == ["appointment_changed"]
    assert messages(practice, after=timedelta(minutes=5)) == ["appointment_changed"]
    (patient,) = practice.shown().lines("ATTENDEE")
    assert patient.param("PARTSTAT") == "NEEDS-ACTION"


def test_a_deleted_appointment_is_told_exactly_once(practice: Practice) -> None:
    assert practice.full.delete(practice.path).status == 204
    assert messages(practice, after=timedelta(minutes=5)) == ["appointment_cancelled"]


# Discovery


def test_only_an_app_that_is_shown_people_is_told_of_scheduling(practice: Practice) -> None:
    for path in ("/lee/", "/lee/appointments/", "/lee/personal/", "/lee/inbox/", "/lee/outbox/"):
        assert set(TOKENS) <= set(tokens(practice.full.request("OPTIONS", path)))
        assert not set(TOKENS) & set(tokens(practice.solo.request("OPTIONS", path)))
        assert Dav(practice.clinic.app).request("OPTIONS", path).status == 401
    assert set(TOKENS) <= set(tokens(practice.full.propfind("/lee/", "D:displayname")))
    for path in ("/", "/smith/", "/smith/appointments/", "/nobody/"):
        assert not set(TOKENS) & set(tokens(practice.full.request("OPTIONS", path)))
    assert "POST" in practice.full.request("OPTIONS", "/lee/outbox/").headers["Allow"]


def test_principal_names_inbox_and_outbox_to_an_app_that_is_shown_people(practice: Practice) -> None:
    asked = ("C:schedule-inbox-URL", "C:schedule-outbox-URL")
    answer = practice.full.propfind("/lee/", *asked, "C:calendar-user-address-set")
    assert {each: only_href(answer, f"{C}{each}") for each in ("schedule-inbox-URL", "schedule-outbox-URL")} == {
        "schedule-inbox-URL": "/dav/lee/inbox/",
        "schedule-outbox-URL": "/dav/lee/outbox/",
    }
    assert set(practice.solo.propfind("/lee/", *asked).statuses().values()) == {404}
    desk = client(practice.clinic, "desk")
    assert set(desk.propfind("/lee/", *asked).statuses().values()) == {404}
    assert only_href(desk.propfind("/desk/", *asked), f"{C}schedule-outbox-URL") == "/dav/desk/outbox/"


def only_href(answer: Answer, name: str) -> str | None:
    found = answer.prop(name)
    return None if found is None else found.findtext(f"{D}href")


def test_the_outbox_is_a_collection_of_its_owner(practice: Practice) -> None:
    listed = practice.full.propfind("/lee/", "D:resourcetype", depth="1")
    kinds = {kind.tag for kind in listed.prop(f"{D}resourcetype", "/dav/lee/outbox/") or []}
    assert kinds == {f"{D}collection", f"{C}schedule-outbox"}
    assert "/dav/lee/outbox/" not in practice.solo.propfind("/lee/", "D:resourcetype", depth="1").hrefs
    answer = practice.full.propfind("/lee/outbox/", "D:current-user-privilege-set", "D:owner", depth="1")
    assert answer.hrefs == ["/dav/lee/outbox/"]
    assert list(answer.xml.iter(f"{C}schedule-send-freebusy"))
    for method in ("PROPFIND", "GET", "POST"):
        assert practice.solo.request(method, "/lee/outbox/").status == 404
        assert practice.full.request(method, "/smith/outbox/").status == 404
    assert practice.full.get("/lee/outbox/").status == 200
    assert practice.full.put("/lee/outbox/a.ics", event()).status == 409
    assert practice.full.request("MKCALENDAR", "/lee/outbox/").status == 405
    assert practice.solo.request("MKCALENDAR", "/lee/outbox/").status == 405
    assert practice.full.delete("/lee/outbox/").status == 403


APPLE_HOME = [
    "CS:getctag",
    "D:displayname",
    "C:calendar-description",
    "A:calendar-color",
    "A:calendar-order",
    "C:supported-calendar-component-set",
    "D:resourcetype",
    "D:owner",
    "C:calendar-free-busy-set",
    "C:schedule-calendar-transp",
    "C:schedule-default-calendar-URL",
    "D:quota-available-bytes",
    "C:calendar-timezone",
    "D:current-user-privilege-set",
    "CS:source",
    "CS:subscribed-strip-alarms",
    "A:refreshrate",
    "CS:push-transports",
    "CS:pushkey",
    "CS:publish-url",
    "D:sync-token",
]


def test_the_inbox_answers_all_that_apple_asks(practice: Practice) -> None:
    answer = practice.full.propfind("/lee/", *APPLE_HOME, depth="1")
    inbox = answer.statuses("/dav/lee/inbox/")
    for name in ("schedule-default-calendar-URL", "calendar-free-busy-set", "schedule-calendar-transp"):
        assert inbox[f"{C}{name}"] == 200
    default = answer.prop(f"{C}schedule-default-calendar-URL", "/dav/lee/inbox/")
    assert default is not None and default.findtext(f"{D}href") == "/dav/lee/appointments/"
    counted = answer.prop(f"{C}calendar-free-busy-set", "/dav/lee/inbox/")
    assert counted is not None
    assert [href.text for href in counted] == [f"/dav/lee/{name}/" for name in ("appointments", "leave", "personal")]
    assert practice.full.propfind("/lee/inbox/", "D:getetag", depth="1").hrefs == ["/dav/lee/inbox/"]
    everything = '<C:comp-filter name="VEVENT"/>'
    href = "<D:prop><D:getetag/></D:prop><D:href>/dav/lee/inbox/x.ics</D:href>"
    for report in (
        practice.full.query("/lee/inbox/", everything),
        practice.full.sync("/lee/inbox/"),
        practice.full.report("/lee/inbox/", "C:calendar-multiget", href),
    ):
        assert report.status == 207 and not report.data.get("x.ics")


# Whose time is free


def ask(*attendees: str, organizer: str = "mailto:lee@test.example", start: str = "20261124T000000Z") -> str:
    return calendar(
        "METHOD:REQUEST",
        "BEGIN:VFREEBUSY",
        "UID:ask-1",
        "DTSTAMP:20261123T080000Z",
        f"ORGANIZER:{organizer}",
        *(f"ATTENDEE:{attendee}" for attendee in attendees),
        f"DTSTART:{start}",
        "DTEND:20261125T000000Z",
        "END:VFREEBUSY",
    )


def post(app: Dav, body: str, path: str = "/lee/outbox/", kind: str = "text/calendar; charset=utf-8") -> Answer:
    return app.request("POST", path, body, {}, CONTENT_TYPE=kind)


def told(answer: Answer) -> dict[str, tuple[str, list[str]]]:
    """Recipient → (request-status, the FREEBUSY lines)."""
    assert (answer.status, answer.xml.tag) == (200, f"{C}schedule-response"), answer.text
    found = {}
    for response in answer.xml.findall(f"{C}response"):
        text = response.findtext(f"{C}calendar-data")
        lines = [] if text is None else parse(text).components("VFREEBUSY")[0].lines("FREEBUSY")
        busy = [f"{line.param('FBTYPE')} {line.value[9:15]}-{line.value[26:32]}" for line in lines]
        found[response.findtext(f"{C}recipient/{D}href", "")] = (response.findtext(f"{C}request-status", ""), busy)
    return found


def test_colleagues_are_told_when_somebody_is_busy_and_nothing_else(practice: Practice) -> None:
    clinic = practice.clinic
    practice.solo.put("/lee/personal/p.ics", event("p@test", "20261124T170000", "20261124T180000", "SUMMARY:Yoga"))
    with clinic.db.transaction() as session:
        lee = account(session, "lee")
        at = (datetime(2026, 11, 24, hour, tzinfo=VIENNA) for hour in (13, 14))
        leave.request_leave(session, lee, *at, "Dentist", actor=SYSTEM, now=clinic.clock())
    answer = post(
        client(clinic, "smith"), ask("mailto:Lee@test.example", organizer="mailto:smith@test.example"), "/smith/outbox/"
    )
    assert told(answer) == {
        "mailto:Lee@test.example": (
            "2.0;Success",
            [
                "BUSY-UNAVAILABLE 000000-070000",
                "BUSY-TENTATIVE 090000-092000",
                "BUSY-TENTATIVE 120000-130000",
                "BUSY-UNAVAILABLE 150000-160000",
                "BUSY 160000-170000",
                "BUSY-UNAVAILABLE 170000-000000",
            ],
        )
    }
    for secret in ("Yoga", "Dentist", "Maria", "SUMMARY"):
        assert secret not in answer.text
    (reply,) = [parse(each.text or "") for each in answer.xml.iter(f"{C}calendar-data")]
    assert reply.value("METHOD") == "REPLY"
    (block,) = reply.components("VFREEBUSY")
    assert {name: block.value(name) for name in ("UID", "ORGANIZER", "ATTENDEE")} == {
        "UID": "ask-1",
        "ORGANIZER": "mailto:smith@test.example",
        "ATTENDEE": "mailto:Lee@test.example",
    }


def test_whoever_is_unknown_or_not_to_be_seen_is_an_invalid_user(practice: Practice) -> None:
    unknown = [
        "mailto:maria@mail.example",
        "mailto:desk@test.example",
        "mailto:x@else.example",
        "urn:uuid:1",
        "/dav/x/",
    ]
    answer = told(post(practice.full, ask(*unknown, "mailto:lee@test.example", "/dav/smith/")))
    assert {who: status for who, (status, _busy) in answer.items()} == {
        **dict.fromkeys(unknown, "3.7;Invalid calendar user"),
        "mailto:lee@test.example": "2.0;Success",
        "/dav/smith/": "2.0;Success",
    }
    desk = client(practice.clinic, "desk")
    asked = ask("mailto:desk@test.example", "mailto:lee@test.example", organizer="mailto:desk@test.example")
    assert {status for status, _busy in told(post(desk, asked, "/desk/outbox/")).values()} == {"2.0;Success"}


def test_a_calendar_that_is_transparent_does_not_count(practice: Practice) -> None:
    practice.solo.put("/lee/personal/p.ics", event("p@test", "20261124T120000", "20261124T130000", "SUMMARY:Yoga"))
    before = told(post(practice.full, ask("mailto:lee@test.example")))["mailto:lee@test.example"][1]
    transparent = "<C:schedule-calendar-transp><C:transparent/></C:schedule-calendar-transp>"
    practice.solo.proppatch("/lee/personal/", f"<D:set><D:prop>{transparent}</D:prop></D:set>")
    after = told(post(practice.full, ask("mailto:lee@test.example")))["mailto:lee@test.example"][1]
    assert set(before) - set(after) == {"BUSY 110000-120000"}


LEE = "mailto:lee@test.example"


REFUSED = [
    ("", "valid-calendar-data"),
    ("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "valid-scheduling-message"),
    ("BEGIN:VCALENDAR\r\nBEGIN:VFREEBUSY", "valid-calendar-data"),
    (event(), "valid-scheduling-message"),
    (event().replace("VERSION:2.0", "VERSION:2.0\r\nMETHOD:REQUEST"), "valid-scheduling-message"),
    (ask(LEE).replace("METHOD:REQUEST", "METHOD:PUBLISH"), "valid-scheduling-message"),
    (ask(), "valid-scheduling-message"),
    (ask(LEE, start="20261126T000000Z"), "valid-calendar-data"),
    (ask(LEE, start="20200101T000000Z"), "number-of-matches-within-limits"),
    (ask(LEE, start="nonsense"), "valid-calendar-data"),
    (ask(LEE, organizer="mailto:smith@test.example"), "organizer-allowed"),
    (ask(LEE, organizer="mailto:x@else.example"), "organizer-allowed"),
    (ask(*(f"mailto:{n}@else.example" for n in range(201))), "max-attendees-per-instance"),
    ("BEGIN:VCALENDAR\r\n" + "X:y\r\n" * 90_000, "max-resource-size"),
    ("BEGIN:X\r\n" * 10_000, "valid-calendar-data"),
    ("\0", "valid-calendar-data"),
]


def test_other_messages_are_refused_with_a_precondition(practice: Practice) -> None:
    for body, condition in REFUSED:
        answer = post(practice.full, body)
        assert (answer.status, answer.condition) == (403, condition), body[:200]


def test_messages_of_another_type_or_elsewhere_are_refused(practice: Practice) -> None:
    answer = post(practice.full, ask(LEE), kind="text/plain")
    assert (answer.status, answer.condition) == (403, "supported-calendar-data")
    assert post(practice.full, ask(LEE), "/lee/appointments/").status == 405
    assert post(practice.full, ask(LEE), "/lee/").status == 405
    assert post(Dav(practice.clinic.app), ask(LEE)).status == 401


# Availability


def test_availability_is_read_under_both_names_and_written_under_none(practice: Practice) -> None:
    for name in (f"{C}calendar-availability", f"{CS}calendar-availability"):
        prefix = "C" if name.startswith(C) else "CS"
        answer = practice.full.propfind("/lee/inbox/", f"{prefix}:calendar-availability", Prefer="return=minimal")
        found = answer.prop(name)
        assert found is not None and found.text
        (block,) = parse(found.text).components("VAVAILABILITY")
        assert block.value("BUSYTYPE") == "BUSY-UNAVAILABLE"
        assert len(block.components("AVAILABLE")) == 1
        given = f"<{prefix}:calendar-availability>BEGIN:VCALENDAR</{prefix}:calendar-availability>"
        refused = practice.full.proppatch("/lee/inbox/", f"<D:set><D:prop>{given}</D:prop></D:set>")
        assert refused.statuses() == {name: 403}
        assert list(refused.xml.iter(f"{D}cannot-modify-protected-property"))


def test_who_has_no_hours_has_an_empty_availability(practice: Practice) -> None:
    for username in ("desk", "smith"):
        answer = client(practice.clinic, username).propfind(f"/{username}/inbox/", "CS:calendar-availability")
        assert answer.prop(f"{CS}calendar-availability") is not None
