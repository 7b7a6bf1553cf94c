"""The questions that a type of appointment asks, and what was answered, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from ical.errors import InvalidInput

_LONGEST = 500
_YES_NO = {"yes": "Yes", "no": "No", "Yes": "Yes", "No": "No", True: "Yes", False: "No"}


def answered(questions: Sequence[Mapping[str, Any]], answers: Mapping[str, object], *, required: bool) -> list[str]:
    """A line for each question that was answered. `required`: those that must be must be.

    Raises InvalidInput with the field `answers.CODE`.
    """
    known = {question["code"] for question in questions}
    for code in answers:
        if code not in known:
            raise InvalidInput("There is no such question.", field=f"answers.{code[:64]}")
    found = []
    for question in questions:
        text = _read(question, answers.get(question["code"]))
        if text:
            found.append(f"{question['text']} {text}")
        elif required and question["required"]:
            raise InvalidInput("Please answer this question.", field=f"answers.{question['code']}")
    return found


def with_notes(lines: Sequence[str], notes: str) -> str:
    """The answers in front of whatever else somebody wants known."""
    return "\n".join([*lines, notes]).strip()


def _read(question: Mapping[str, Any], answer: object) -> str:
    field = f"answers.{question['code']}"
    if answer is None or answer == "":
        return ""
    if question["kind"] == "yes_no":
        if not isinstance(answer, (str, bool)) or answer not in _YES_NO:
            raise InvalidInput("Answer yes or no.", field=field)
        return _YES_NO[answer]
    if not isinstance(answer, str):
        raise InvalidInput("Answer in words.", field=field)
    text = " ".join(answer.split())
    if question["kind"] == "choice" and text and text not in question["choices"]:
        raise InvalidInput(f"Choose one of: {', '.join(question['choices'])}.", field=field)
    if len(text) > _LONGEST or not text.isprintable():
        raise InvalidInput(f"Use at most {_LONGEST} letters, and no control characters.", field=field)
    return text
