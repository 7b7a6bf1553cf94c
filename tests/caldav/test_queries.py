"""calendar-query, multiget, free-busy and calendar-data. RFC 4791 §7, §9."""

import pytest

from tests.caldav.helpers import Answer, Clinic, D, Dav, calendar, event

DAY = '<C:comp-filter name="VEVENT"><C:time-range start="{0}T000000Z" end="{1}T000000Z"/></C:comp-filter>'


def series(uid: str = "series@test", *more: str) -> str:
    return calendar(
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20261001T080000Z",
        "DTSTART;TZID=Europe/Vienna:20261005T090000",
        "DTEND;TZID=Europe/Vienna:20261005T100000",
        "RRULE:FREQ=WEEKLY",
        "SUMMARY:Rounds",
        "EXDATE;TZID=Europe/Vienna:20261019T090000",
        "END:VEVENT",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20261001T080000Z",
        "RECURRENCE-ID;TZID=Europe/Vienna:20261026T090000",
        "DTSTART;TZID=Europe/Vienna:20261027T150000",
        "DTEND;TZID=Europe/Vienna:20261027T160000",
        "SUMMARY:Rounds (moved)",
        "END:VEVENT",
        *more,
    )


@pytest.fixture
def filled(lee: Dav) -> Dav:
    for name, text in {
        "one.ics": event(
            "one@test",
            "20261124T090000",
            "20261124T093000",
            "SUMMARY:Lunch",
            "CATEGORIES:Food,Pause",
            "LOCATION:Café",
            "PRIORITY:1",
        ),
        "two.ics": event(
            "two@test",
            "20261125T090000",
            "20261125T093000",
            "SUMMARY:Bank",
            "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:a@test",
            "BEGIN:VALARM",
            "ACTION:DISPLAY",
            "TRIGGER:-PT15M",
            "DESCRIPTION:x",
            "END:VALARM",
        ),
        "day.ics": calendar(
            "BEGIN:VEVENT",
            "UID:day@test",
            "DTSTAMP:20261001T080000Z",
            "DTSTART;VALUE=DATE:20261126",
            "SUMMARY:Birthday",
            "END:VEVENT",
        ),
        "moment.ics": calendar(
            "BEGIN:VEVENT",
            "UID:moment@test",
            "DTSTAMP:20261001T080000Z",
            "DTSTART:20261127T120000Z",
            "SUMMARY:Call",
            "END:VEVENT",
        ),
        "series.ics": series(),
    }.items():
        assert lee.put(f"/lee/personal/{name}", text).status == 201, name
    return lee


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("20261124T080000Z", "20261124T083000Z", {"one.ics"}),
        ("20261124T083000Z", "20261124T090000Z", set()),
        ("20261124T070000Z", "20261124T080000Z", set()),
        ("20261124T082900Z", "20261124T083000Z", {"one.ics"}),
        ("20261125T230000Z", "20261126T000000Z", {"day.ics"}),
        ("20261126T230000Z", "20261127T000000Z", set()),
        ("20261127T120000Z", "20261127T120001Z", {"moment.ics"}),
        ("20261127T110000Z", "20261127T120000Z", set()),
        ("20261012T000000Z", "20261013T000000Z", {"series.ics"}),
        ("20261019T000000Z", "20261020T000000Z", set()),
        ("20261026T000000Z", "20261027T000000Z", set()),
        ("20261027T140000Z", "20261027T150000Z", {"series.ics"}),
        ("20400101T000000Z", "20400109T000000Z", {"series.ics"}),
        ("20400103T000000Z", "20400104T000000Z", set()),
        ("19990101T000000Z", "20000101T000000Z", set()),
    ],
)
def test_time_range(filled: Dav, start: str, end: str, found: set[str]) -> None:
    comp = f'<C:comp-filter name="VEVENT"><C:time-range start="{start}" end="{end}"/></C:comp-filter>'
    assert filled.query("/lee/personal/", comp).members == found
    # The same through the texts instead of the tables
    judged = comp.replace("</C:comp-filter>", '<C:prop-filter name="UID"/></C:comp-filter>')
    assert filled.query("/lee/personal/", judged).members == found


def test_time_range_open_on_one_side(filled: Dav) -> None:
    def found(side: str) -> set[str]:
        return filled.query(
            "/lee/personal/", f'<C:comp-filter name="VEVENT"><C:time-range {side}/></C:comp-filter>'
        ).members

    assert found('start="20261127T000000Z"') == {"moment.ics", "series.ics"}
    assert found('end="20261124T000000Z"') == {"series.ics"}
    assert found('end="20261001T000000Z"') == set()
    assert found('start="20990101T000000Z"') == {"series.ics"}


def test_query_without_time_range(filled: Dav) -> None:
    everything = {"one.ics", "two.ics", "day.ics", "moment.ics", "series.ics"}
    assert filled.query("/lee/personal/", '<C:comp-filter name="VEVENT"/>').members == everything
    assert filled.query("/lee/personal/", "").members == everything
    assert filled.query("/lee/personal/", '<C:comp-filter name="VTODO"/>').members == set()
    absent = '<C:comp-filter name="VTODO"><C:is-not-defined/></C:comp-filter>'
    assert filled.query("/lee/personal/", absent).members == everything


@pytest.mark.parametrize(
    ("prop", "found"),
    [
        ('<C:prop-filter name="SUMMARY"><C:text-match>LUN</C:text-match></C:prop-filter>', {"one.ics"}),
        ('<C:prop-filter name="SUMMARY"><C:text-match collation="i;octet">LUN</C:text-match></C:prop-filter>', set()),
        (
            '<C:prop-filter name="LOCATION"><C:text-match collation="i;unicode-casemap">CAFÉ</C:text-match></C:prop-filter>',
            {"one.ics"},
        ),
        (
            '<C:prop-filter name="LOCATION"><C:text-match collation="i;ascii-casemap">CAFÉ</C:text-match></C:prop-filter>',
            set(),
        ),
        (
            '<C:prop-filter name="SUMMARY"><C:text-match negate-condition="yes">n</C:text-match></C:prop-filter>',
            {"day.ics", "moment.ics"},
        ),
        ('<C:prop-filter name="CATEGORIES"><C:text-match>pause</C:text-match></C:prop-filter>', {"one.ics"}),
        ('<C:prop-filter name="LOCATION"/>', {"one.ics"}),
        (
            '<C:prop-filter name="LOCATION"><C:is-not-defined/></C:prop-filter>',
            {"two.ics", "day.ics", "moment.ics", "series.ics"},
        ),
        (
            '<C:prop-filter name="ATTENDEE"><C:param-filter name="PARTSTAT"><C:text-match>needs-action</C:text-match></C:param-filter></C:prop-filter>',
            {"two.ics"},
        ),
        (
            '<C:prop-filter name="ATTENDEE"><C:param-filter name="RSVP"><C:is-not-defined/></C:param-filter></C:prop-filter>',
            {"two.ics"},
        ),
        ('<C:prop-filter name="ATTENDEE"><C:param-filter name="RSVP"/></C:prop-filter>', set()),
        (
            '<C:prop-filter name="DTSTART"><C:time-range start="20261127T000000Z" end="20261128T000000Z"/></C:prop-filter>',
            {"moment.ics"},
        ),
        ('<C:comp-filter name="VALARM"/>', {"two.ics"}),
        (
            '<C:comp-filter name="VALARM"><C:is-not-defined/></C:comp-filter>',
            {"one.ics", "day.ics", "moment.ics", "series.ics"},
        ),
        (
            '<C:comp-filter name="VALARM"><C:time-range start="20261125T074500Z" end="20261125T074600Z"/></C:comp-filter>',
            {"two.ics"},
        ),
        (
            '<C:comp-filter name="VALARM"><C:time-range start="20261125T080000Z" end="20261125T090000Z"/></C:comp-filter>',
            set(),
        ),
        ('<C:prop-filter name="SUMMARY"><C:text-match>moved</C:text-match></C:prop-filter>', {"series.ics"}),
    ],
)
def test_filters(filled: Dav, prop: str, found: set[str]) -> None:
    assert filled.query("/lee/personal/", f'<C:comp-filter name="VEVENT">{prop}</C:comp-filter>').members == found


def test_one_component_must_pass_all_of_a_filter(filled: Dav) -> None:
    moved_in_october = (
        '<C:comp-filter name="VEVENT"><C:time-range start="20261012T000000Z" end="20261013T000000Z"/>'
        '<C:prop-filter name="SUMMARY"><C:text-match>moved</C:text-match></C:prop-filter></C:comp-filter>'
    )
    assert filled.query("/lee/personal/", moved_in_october).members == set()


@pytest.mark.parametrize(
    ("comp", "condition"),
    [
        ('<C:comp-filter name="VEVENT"><C:time-range/></C:comp-filter>', "valid-filter"),
        ('<C:comp-filter name="VEVENT"><C:time-range start="yesterday"/></C:comp-filter>', "valid-filter"),
        ('<C:comp-filter name="VEVENT"><C:time-range start="20261301T000000Z"/></C:comp-filter>', "valid-filter"),
        (
            '<C:comp-filter name="VEVENT"><C:time-range start="20261102T000000Z" end="20261101T000000Z"/></C:comp-filter>',
            "valid-filter",
        ),
        ("<C:comp-filter/>", "valid-filter"),
        ('<C:comp-filter name="VEVENT"><C:unheard-of/></C:comp-filter>', "supported-filter"),
        (
            '<C:comp-filter name="VEVENT"><C:prop-filter name="SUMMARY"><C:text-match collation="i;klingon">x</C:text-match></C:prop-filter></C:comp-filter>',
            "supported-collation",
        ),
    ],
)
def test_filters_that_cannot_be(filled: Dav, comp: str, condition: str) -> None:
    answer = filled.query("/lee/personal/", comp)
    assert (answer.status, answer.condition) == (403, condition)


def test_expand_gives_each_occurrence_in_utc(filled: Dav) -> None:
    comp = DAY.format("20261001", "20261109")
    data = '<C:calendar-data><C:expand start="20261001T000000Z" end="20261109T000000Z"/></C:calendar-data>'
    text = filled.query("/lee/personal/", comp, data).data["series.ics"]
    starts = [line for line in text.splitlines() if line.startswith("DTSTART")]
    assert starts == [
        "DTSTART:20261005T070000Z",
        "DTSTART:20261012T070000Z",
        "DTSTART:20261027T140000Z",
        "DTSTART:20261102T080000Z",
    ]
    ids = [line for line in text.splitlines() if line.startswith("RECURRENCE-ID")]
    assert ids == [
        "RECURRENCE-ID:20261005T070000Z",
        "RECURRENCE-ID:20261012T070000Z",
        "RECURRENCE-ID:20261026T080000Z",
        "RECURRENCE-ID:20261102T080000Z",
    ]
    assert "RRULE" not in text and "EXDATE" not in text and "VTIMEZONE" not in text and "Rounds (moved)" in text


def test_expanding_a_text_with_bare_line_feeds_gives_the_line_ends_of_the_rfc(lee: Dav) -> None:
    text = event("bare", "20261123T090000", "20261123T100000", "RRULE:FREQ=DAILY;COUNT=3").replace("\r\n", "\n")
    assert lee.put("/lee/personal/bare.ics", text).status == 201
    data = '<C:calendar-data><C:expand start="20261101T000000Z" end="20261201T000000Z"/></C:calendar-data>'
    body = lee.query("/lee/personal/", '<C:comp-filter name="VEVENT"/>', data).data["bare.ics"]
    assert body.count("BEGIN:VEVENT") == 3
    assert body.count("\n") == body.count("\r\n")


def test_expand_keeps_whole_days_as_dates(filled: Dav) -> None:
    data = '<C:calendar-data><C:expand start="20261126T000000Z" end="20261127T000000Z"/></C:calendar-data>'
    text = filled.query("/lee/personal/", DAY.format("20261126", "20261127"), data).data["day.ics"]
    assert "DTSTART;VALUE=DATE:20261126" in text and "RECURRENCE-ID" not in text


def test_expansion_is_bounded(filled: Dav) -> None:
    data = '<C:calendar-data><C:expand start="20260101T000000Z" end="20280101T000000Z"/></C:calendar-data>'
    answer = filled.query("/lee/personal/", '<C:comp-filter name="VEVENT"/>', data)
    assert (answer.status, answer.condition) == (403, "number-of-matches-within-limits")


def test_limit_recurrence_set(filled: Dav) -> None:
    def overrides(start: str, end: str) -> int:
        data = (
            f'<C:calendar-data><C:limit-recurrence-set start="{start}T000000Z" end="{end}T000000Z"/></C:calendar-data>'
        )
        return (
            filled.query("/lee/personal/", '<C:comp-filter name="VEVENT"/>', data)
            .data["series.ics"]
            .count("RECURRENCE-ID")
        )

    assert overrides("20261201", "20261202") == 0
    assert overrides("20261026", "20261027") == 1
    assert overrides("20261027", "20261028") == 1


def test_limit_freebusy_set_has_nothing_to_limit(filled: Dav) -> None:
    def answer(span: str) -> Answer:
        data = f"<C:calendar-data><C:limit-freebusy-set {span}/></C:calendar-data>"
        return filled.query("/lee/personal/", '<C:comp-filter name="VEVENT"/>', data)

    limited = answer('start="20261124T000000Z" end="20261125T000000Z"')
    assert limited.data == filled.query("/lee/personal/", '<C:comp-filter name="VEVENT"/>').data
    refused = answer('start="20261124T000000Z"')
    assert (refused.status, refused.condition) == (403, "valid-filter")


def test_partial_calendar_data(filled: Dav) -> None:
    data = (
        '<C:calendar-data><C:comp name="VCALENDAR"><C:prop name="VERSION"/>'
        '<C:comp name="VEVENT"><C:prop name="UID"/><C:prop name="SUMMARY" novalue="yes"/></C:comp></C:comp></C:calendar-data>'
    )
    text = filled.query("/lee/personal/", DAY.format("20261124", "20261125"), data).data["one.ics"]
    assert text.splitlines() == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "BEGIN:VEVENT",
        "UID:one@test",
        "SUMMARY:",
        "END:VEVENT",
        "END:VCALENDAR",
    ]


def test_data_in_another_format_is_refused(filled: Dav) -> None:
    data = '<C:calendar-data content-type="application/calendar+json" version="2.0"/>'
    answer = filled.query("/lee/personal/", '<C:comp-filter name="VEVENT"/>', data)
    assert (answer.status, answer.condition) == (403, "supported-calendar-data")


def test_depth_zero_is_the_calendar_alone(filled: Dav) -> None:
    body = '<D:prop><D:getetag/></D:prop><C:filter><C:comp-filter name="VCALENDAR"/></C:filter>'
    assert filled.report("/lee/personal/", "C:calendar-query", body, depth="0").hrefs == []


def test_query_of_one_object(filled: Dav) -> None:
    body = '<D:prop><D:getetag/></D:prop><C:filter><C:comp-filter name="VCALENDAR"/></C:filter>'
    assert filled.report("/lee/personal/one.ics", "C:calendar-query", body, depth="0").members == {"one.ics"}


def test_multiget_answers_for_every_href(filled: Dav) -> None:
    hrefs = (
        "/dav/lee/personal/one.ics",
        "http://test/dav/lee/personal/two.ics",
        "/dav/lee/personal/none.ics",
        "/dav/smith/personal/a.ics",
        "/dav/lee/hours/three.ics",
        "nonsense",
        "",
    )
    inner = "".join(f"<D:href>{href}</D:href>" for href in hrefs)
    answer = filled.report(
        "/lee/personal/", "C:calendar-multiget", f"<D:prop><D:getetag/><C:calendar-data/></D:prop>{inner}"
    )
    assert answer.status == 207 and len(answer.hrefs) == 7
    assert {name for name, text in answer.data.items() if text} == {"one.ics", "two.ics"}
    assert answer.text.count("404 Not Found") == 5


def test_multiget_of_too_many(filled: Dav) -> None:
    def multiget(count: int) -> Answer:
        inner = "".join(f"<D:href>/dav/lee/personal/{n}.ics</D:href>" for n in range(count))
        return filled.report("/lee/personal/", "C:calendar-multiget", f"<D:prop><D:getetag/></D:prop>{inner}")

    assert len(multiget(10_000).hrefs) == 10_000
    refused = multiget(10_001)
    assert (refused.status, refused.condition) == (403, "number-of-matches-within-limits")


def test_free_busy(filled: Dav) -> None:
    filled.put("/lee/personal/free.ics", event("free@test", "20261124T120000", "20261124T130000", "TRANSP:TRANSPARENT"))
    filled.put("/lee/personal/maybe.ics", event("maybe@test", "20261124T140000", "20261124T150000", "STATUS:TENTATIVE"))
    answer = filled.report(
        "/lee/personal/", "C:free-busy-query", '<C:time-range start="20261123T000000Z" end="20261125T000000Z"/>'
    )
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/calendar")
    told = "".join(line[1:] if line.startswith(" ") else f"\n{line}" for line in answer.text.splitlines())
    assert "20261124T080000Z/20261124T083000Z" in told
    assert "20261123T080000Z/20261123T090000Z" in told
    assert "BUSY-TENTATIVE:20261124T130000Z/20261124T140000Z" in told
    assert "T110000Z/20261124T120000Z" not in told


def test_reports_that_do_not_exist(filled: Dav) -> None:
    answer = filled.report("/lee/personal/", "C:unheard-of", "")
    assert (answer.status, answer.condition) == (403, "supported-report")
    assert filled.report("/lee/", "C:calendar-query", "").status == 403
    assert filled.request("REPORT", "/lee/personal/").status == 400


def test_todos_in_time(lite: Clinic) -> None:
    lee = lite.client("lee")
    comp = '<C:supported-calendar-component-set><C:comp name="VTODO"/></C:supported-calendar-component-set>'
    lee.request(
        "MKCALENDAR",
        "/lee/todo/",
        f'<C:mkcalendar xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop>{comp}</D:prop></D:set></C:mkcalendar>',
    )
    for name, lines in {
        "due": ("DUE:20261124T120000Z",),
        "span": ("DTSTART:20261124T080000Z", "DUE:20261126T080000Z"),
        "done": ("COMPLETED:20261125T100000Z", "CREATED:20261120T100000Z"),
        "ever": (),
        "weekly": ("DTSTART:20261110T150000Z", "DUE:20261110T160000Z", "RRULE:FREQ=WEEKLY"),
    }.items():
        text = calendar("BEGIN:VTODO", f"UID:{name}@test", "DTSTAMP:20261001T080000Z", "SUMMARY:x", *lines, "END:VTODO")
        assert lee.put(f"/lee/todo/{name}.ics", text).status == 201, name

    def found(start: str, end: str) -> set[str]:
        return lee.query(
            "/lee/todo/", f'<C:comp-filter name="VTODO"><C:time-range start="{start}" end="{end}"/></C:comp-filter>'
        ).members

    assert found("20261124T110000Z", "20261124T130000Z") == {"due.ics", "span.ics", "done.ics", "ever.ics"}
    assert found("20261124T153000Z", "20261124T154500Z") == {"span.ics", "done.ics", "ever.ics", "weekly.ics"}
    assert found("20261127T000000Z", "20261128T000000Z") == {"ever.ics"}


def test_series_of_journals_and_alarms_of_todos_in_time(lee: Dav) -> None:
    lee.request("MKCALENDAR", "/lee/all/")
    weekly = ("DTSTAMP:20261001T080000Z", "RRULE:FREQ=WEEKLY")
    journal = calendar("BEGIN:VJOURNAL", "UID:j@test", *weekly, "DTSTART;VALUE=DATE:20261110", "END:VJOURNAL")
    alarm = ("BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT1H", "DESCRIPTION:x", "END:VALARM")
    todo = calendar("BEGIN:VTODO", "UID:t@test", *weekly, "DTSTART:20261110T150000Z", *alarm, "END:VTODO")
    assert lee.put("/lee/all/j.ics", journal).status == lee.put("/lee/all/t.ics", todo).status == 201

    def found(component: str, start: str, end: str) -> set[str]:
        span = f'<C:time-range start="{start}" end="{end}"/>'
        if component == "VALARM":
            inner = f'<C:comp-filter name="VTODO"><C:comp-filter name="VALARM">{span}</C:comp-filter></C:comp-filter>'
        else:
            inner = f'<C:comp-filter name="{component}">{span}</C:comp-filter>'
        return lee.query("/lee/all/", inner).members

    assert found("VJOURNAL", "20261124T100000Z", "20261124T110000Z") == {"j.ics"}
    assert found("VJOURNAL", "20261126T100000Z", "20261126T110000Z") == set()
    assert found("VALARM", "20261124T135900Z", "20261124T140100Z") == {"t.ics"}
    assert found("VALARM", "20261124T145900Z", "20261124T150100Z") == set()
    assert found("VALARM", "00010101T000000Z", "99991231T235959Z") == {"t.ics"}


@pytest.mark.parametrize("trigger", ["-P999999D", "P9999999999999D", "-PT1H\r\nREPEAT:99\r\nDURATION:P999999D"])
@pytest.mark.parametrize("component", ["VEVENT", "VTODO"])
def test_alarms_out_of_all_time(lee: Dav, trigger: str, component: str) -> None:
    lee.request("MKCALENDAR", "/lee/all/")
    alarm = ("BEGIN:VALARM", "ACTION:DISPLAY", f"TRIGGER:{trigger}", "DESCRIPTION:x", "END:VALARM")
    lines = ("UID:a@test", "DTSTAMP:20261001T080000Z", "DTSTART:20261124T090000Z", "RRULE:FREQ=WEEKLY", *alarm)
    lee.put("/lee/all/a.ics", calendar(f"BEGIN:{component}", *lines, f"END:{component}"))
    for span in (
        'start="00010101T000000Z" end="99991231T235959Z"',
        'start="20261124T000000Z"',
        'end="00010102T000000Z"',
    ):
        inner = f'<C:comp-filter name="VALARM"><C:time-range {span}/></C:comp-filter>'
        answer = lee.query("/lee/all/", f'<C:comp-filter name="{component}">{inner}</C:comp-filter>')
        assert (answer.status, answer.members) == (207, set())


def test_series_of_todos_is_expanded(lee: Dav) -> None:
    lee.request("MKCALENDAR", "/lee/todo/")
    lines = ("DTSTART:20261110T150000Z", "DUE:20261110T160000Z", "RRULE:FREQ=WEEKLY")
    lee.put("/lee/todo/w.ics", calendar("BEGIN:VTODO", "UID:w@test", "DTSTAMP:20261001T080000Z", *lines, "END:VTODO"))
    week = 'start="20261123T000000Z" end="20261130T000000Z"'
    answer = lee.query(
        "/lee/todo/",
        f'<C:comp-filter name="VTODO"><C:time-range {week}/></C:comp-filter>',
        f"<C:calendar-data><C:expand {week}/></C:calendar-data>",
    )
    text = answer.data["w.ics"]
    assert text.count("BEGIN:VTODO") == 1 and "RRULE" not in text
    assert "DTSTART:20261124T150000Z" in text and "DUE:20261124T160000Z" in text


def test_properties_of_the_report_answer(filled: Dav) -> None:
    answer = filled.report(
        "/lee/personal/",
        "C:calendar-query",
        '<D:prop><D:getetag/><D:nothing/></D:prop><C:filter><C:comp-filter name="VCALENDAR"/></C:filter>',
    )
    assert answer.statuses("/dav/lee/personal/one.ics") == {f"{D}getetag": 200, f"{D}nothing": 404}
