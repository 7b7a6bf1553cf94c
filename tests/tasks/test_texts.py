"""The words: every template says something in all three forms, inert and free of clinical words."""

from datetime import datetime
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from storage import outbox
from storage.outbox import Message, Time
from tasks.texts import _WORDS, render

VIENNA = ZoneInfo("Europe/Vienna")
VISIT = Time(datetime(2026, 11, 23, 9, tzinfo=VIENNA), datetime(2026, 11, 23, 9, 20, tzinfo=VIENNA))
HOSTILE = '"><script>alert(1)</script>\r\nBcc: x@y.example'


def message(template: str, **more: object) -> Message:
    values: dict[str, object] = {
        "dedupe_key": "k",
        "template": template,
        "channel": "email",
        "to": "maria@mail.example",
        "name": "Maria Huber",
        "clinic": "Praxis Wien",
        "sender": "desk@clinic.example",
        "doctor": "Dr. Lee",
        "times": (VISIT,),
        "was": datetime(2026, 11, 20, 11, tzinfo=VIENNA),
        "location": "Hauptstraße 1",
        "link": "https://clinic.example/manage/abc",
        "text": "One appointment lies in your leave.",
        "until": datetime(2026, 11, 22, 18, tzinfo=VIENNA),
        "visits": ((VISIT, "Dr. Lee", "https://clinic.example/manage/abc"),),
        **more,
    }
    return Message(**values)  # type: ignore[arg-type]


def test_every_template_that_can_be_sent_has_words() -> None:
    assert set(_WORDS) == set(outbox._READERS)


@pytest.mark.parametrize("template", sorted(_WORDS))
def test_every_message_greets_says_its_business_and_is_signed(template: str) -> None:
    said = render(message(template))
    assert said.text.startswith("Hello Maria Huber,") and said.text.rstrip().endswith("Praxis Wien")
    assert "https://clinic.example/manage/abc" in said.text and "https://clinic.example/manage/abc" in said.html
    assert said.subject and "\n" not in said.subject


@pytest.mark.parametrize("template", sorted(_WORDS))
def test_hostile_names_are_inert_in_html(template: str) -> None:
    said = render(message(template, name=HOSTILE, clinic=HOSTILE, doctor=HOSTILE, location=HOSTILE))
    tags: set[str] = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)

    Tags().feed(said.html)
    assert "script" not in tags
    assert "\r" not in said.subject and "\n" not in said.subject


@pytest.mark.parametrize(
    "template", ["appointment_changed", "appointment_cancelled", "appointment_reminder", "waitlist_offer"]
)
def test_short_messages_fit_and_say_when(template: str) -> None:
    said = render(message(template)).short
    assert "Mon 23 Nov, 09:00" in said and len(said) <= 160


def test_a_video_visit_says_which_time_zone_and_where_to_join() -> None:
    said = render(message("appointment_reminder", video_link="https://meet.clinic.example/r/k7", location=""))
    assert "09:00 to 09:20 (CET)" in said.text and "https://meet.clinic.example/r/k7" in said.text
    assert "https://meet.clinic.example/r/k7" in said.short


def test_a_visit_with_another_doctor_at_the_same_time_has_no_new_time() -> None:
    said = render(message("appointment_changed", handed_over=True, was=None, text="Dr. Lee is ill.")).text
    assert "another doctor sees you" in said and "Dr. Lee is ill." in said and "new time" not in said.splitlines()[2]


def test_an_answer_says_what_was_asked_for_and_what_stands() -> None:
    wanted = Time(datetime(2026, 11, 24, 10, tzinfo=VIENNA), datetime(2026, 11, 24, 10, 20, tzinfo=VIENNA))
    for request, stands in (("reschedule", True), ("cancel", True), ("book", False)):
        said = render(message("request_rejected", request=request, wanted=wanted, text="All is full.")).text
        assert "All is full." in said and "Asked for: Tuesday, 24 November 2026, 10:00 to 10:20" in said
        assert ("stays as it was" in said) is stands


def test_a_long_series_is_listed_up_to_a_point() -> None:
    said = render(message("appointment_confirmed", times=(VISIT,) * 30))
    assert said.text.count("When:") == 13 and "and 18 more" in said.text
