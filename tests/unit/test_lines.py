"""Content lines: byte for byte where nothing changed, RFC 5545 §3.1 where something did."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ical.errors import InvalidCalendarData
from ical.lines import Component, Line, escape, fold, parse, split_list, unescape

EVENT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\n"
    'ATTENDEE;CN="Huber, Maria";X-P=a,"b;c":mailto:m@mail.example\r\n'
    "X-APPLE-STRUCTURED-LOCATION;X-TITLE=x:geo:48.2,16.3\r\n"
    "DESCRIPTION:A lo\r\n ng text\\, with \\\\ and \\n lines\r\n"
    "BEGIN:VALARM\r\nACTION:DISPLAY\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


@pytest.mark.parametrize(
    "text",
    [
        EVENT,
        EVENT.replace("\r\n", "\n"),
        EVENT.rstrip(),
        EVENT.replace("BEGIN:VEVENT\r\n", "BEGIN:VEVENT\r\n\r\n\r\n") + "\r\n",
        EVENT.replace("VERSION", "version").replace("END:VEVENT", "end:vevent"),
    ],
)
def test_unchanged_text_comes_back_byte_for_byte(text: str) -> None:
    assert parse(text).text() == text
    assert parse(text).copy().text() == text


def test_parameters_are_read_with_their_quotes_gone() -> None:
    event = parse(EVENT).components("VEVENT")[0]
    attendee = event.lines("ATTENDEE")[0]
    assert attendee.param("cn") == "Huber, Maria"
    assert attendee.params[1] == ("X-P", ("a", "b;c"))
    assert attendee.param("ROLE") is None
    assert event.plain("DESCRIPTION") == "A long text, with \\ and \n lines"


def test_a_changed_line_leaves_the_others_as_they_were() -> None:
    tree = parse(EVENT)
    event = tree.components("VEVENT")[0]
    event.set_text("DESCRIPTION", "short; and, new")
    changed = tree.text()
    assert "DESCRIPTION:short\\; and\\, new\r\n" in changed
    start, end = EVENT.index("DESCRIPTION"), EVENT.index("BEGIN:VALARM")
    assert changed.startswith(EVENT[:start]) and changed.endswith(EVENT[end:])


def test_setting_what_already_stands_changes_no_byte() -> None:
    tree = parse(EVENT)
    tree.components("VEVENT")[0].set("X-APPLE-STRUCTURED-LOCATION", "geo:48.2,16.3", (("X-TITLE", ("x",)),))
    assert tree.text() == EVENT


def test_setting_a_line_that_stands_twice_leaves_one() -> None:
    component = Component("VEVENT", [Line("A", "1"), Line("B", "2"), Line("A", "3")])
    component.set("A", "4")
    assert [(line.name, line.value) for line in component.lines()] == [("A", "4"), ("B", "2")]


def test_a_new_line_stands_before_the_subcomponents() -> None:
    tree = parse(EVENT)
    tree.components("VEVENT")[0].add("STATUS", "CONFIRMED")
    assert "STATUS:CONFIRMED\r\nBEGIN:VALARM" in tree.text()


def test_a_copy_is_independent() -> None:
    tree = parse(EVENT)
    tree.copy().components("VEVENT")[0].remove("ATTENDEE", "DESCRIPTION")
    assert tree.text() == EVENT


def test_separators_of_unicode_are_text() -> None:
    text = EVENT.replace("A lo", "A\u2028\u0085\u000clo")
    assert "\u2028" in parse(text).components("VEVENT")[0].plain("DESCRIPTION")
    assert parse(text).text() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\r\n\r\n",
        "BEGIN:VCALENDAR\r\n",
        "VERSION:2.0\r\n",
        "BEGIN:VCALENDAR\r\nEND:VEVENT\r\n",
        "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n",
        " BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n",
        'BEGIN:VCALENDAR\r\nX;A="b:c\r\nEND:VCALENDAR\r\n',
        "BEGIN:VCALENDAR\r\nX;A:c\r\nEND:VCALENDAR\r\n",
        'BEGIN:VCALENDAR\r\nX;A="b"c:d\r\nEND:VCALENDAR\r\n',
        "BEGIN:VCALENDAR\r\nX;A=b\r\nEND:VCALENDAR\r\n",
        "BEGIN:VCALENDAR\r\n:x\r\nEND:VCALENDAR\r\n",
        "BEGIN:A\r\n" * 5 + "END:A\r\n" * 5,
    ],
)
def test_text_that_is_not_well_formed_is_refused(text: str) -> None:
    with pytest.raises(InvalidCalendarData):
        parse(text)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc"))))
def test_folding_never_cuts_a_character_and_unfolds_to_the_same(value: str) -> None:
    folded = fold(f"SUMMARY:{value}")
    assert all(len(physical.encode()) <= 75 for physical in folded.split("\r\n"))
    tree = parse(f"BEGIN:VCALENDAR\r\n{folded}END:VCALENDAR\r\n")
    assert tree.value("SUMMARY") == value


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))).map(lambda text: text.replace("\r", "")))
def test_escaped_text_is_read_back(text: str) -> None:
    assert unescape(escape(text)) == text
    assert "\n" not in escape(text)


@given(st.lists(st.text(alphabet="ab\\,;\n"), min_size=1))
def test_lists_are_split_at_their_own_commas(members: list[str]) -> None:
    assert split_list(",".join(map(escape, members))) == members


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="^"), min_size=1))
def test_parameter_values_are_read_back(value: str) -> None:
    line = Line("X", "y", (("P", (value,)),))
    (read,) = parse(f"BEGIN:VCALENDAR\r\n{line.text()}END:VCALENDAR\r\n").lines()
    assert read.param("P") == value


def test_what_cannot_stand_in_a_parameter_is_encoded() -> None:
    line = Line("X", "y", (("CN", ('Maria "Mia" Huber\nDr.',)),))
    assert line.text() == "X;CN=Maria ^'Mia^' Huber^nDr.:y\r\n"
    assert parse(f"BEGIN:A\r\n{line.text()}END:A\r\n").lines()[0].param("CN") == 'Maria "Mia" Huber\nDr.'


def test_a_value_with_a_line_end_stays_one_line() -> None:
    assert Line("LOCATION", "here\r\nSTATUS:CANCELLED").text() == "LOCATION:here\\nSTATUS:CANCELLED\r\n"
