"""What is asked is answered, and what is answered was asked."""

import pytest

from ical.errors import InvalidInput
from ical.intake import answered, with_notes

QUESTIONS = [
    {"code": "thinners", "text": "Blood thinners?", "kind": "yes_no", "required": True, "choices": []},
    {"code": "side", "text": "Which knee?", "kind": "choice", "required": False, "choices": ["left", "right"]},
    {"code": "since", "text": "Since when?", "kind": "text", "required": False, "choices": []},
]


def test_answers_become_lines_in_the_order_of_the_questions():
    said = answered(QUESTIONS, {"since": " May\n2025 ", "thinners": False, "side": "left"}, required=True)
    assert said == ["Blood thinners? No", "Which knee? left", "Since when? May 2025"]
    assert with_notes(said, "By wheelchair") == "\n".join([*said, "By wheelchair"])
    assert with_notes([], "") == ""


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ({}, "answers.thinners"),
        ({"thinners": ""}, "answers.thinners"),
        ({"thinners": "maybe"}, "answers.thinners"),
        ({"thinners": 1.5}, "answers.thinners"),
        ({"thinners": ["yes"]}, "answers.thinners"),
        ({"thinners": "yes", "side": "middle"}, "answers.side"),
        ({"thinners": "yes", "side": True}, "answers.side"),
        ({"thinners": "yes", "since": "x" * 501}, "answers.since"),
        ({"thinners": "yes", "since": "a\x00b"}, "answers.since"),
        ({"thinners": "yes", "other": "x"}, "answers.other"),
    ],
)
def test_what_is_no_answer_names_its_question(answers, field):
    with pytest.raises(InvalidInput) as refusal:
        answered(QUESTIONS, answers, required=True)
    assert refusal.value.field == field


def test_staff_may_leave_questions_open():
    assert answered(QUESTIONS, {}, required=False) == []
