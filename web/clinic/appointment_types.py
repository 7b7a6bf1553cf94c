"""Types of appointment: all that a practice says of each, on one page."""

import re
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical.errors import InvalidInput, NotFound, Refusal
from storage import accounts, appointment_types, resources, views
from storage.hours import DAYS
from storage.models import AppointmentType
from storage.type_fields import LISTS
from web.forms import Form
from web.security import policy
from web.services import now, reading, transaction

bp = Blueprint("types", __name__, url_prefix="/admin/types")

Page = str | Response | tuple[str, int]
MODES = (("in_person", "At the practice"), ("video", "By video"))
QUESTIONS = (("text", "In words"), ("yes_no", "Yes or no"), ("choice", "One of these"))
_TICKED = ("self_booking", "approval", "active")
_NUMBERS = {
    "buffer_before": 240,
    "buffer_after": 240,
    "notice_minutes": 86_400,
    "cutoff_minutes": 86_400,
    "position": 10_000,
}
_OPTIONAL_NUMBERS = {
    "minutes": (5, 720),
    "capacity": (1, 100),
    "cutoff_cancel_minutes": (0, 86_400),
    "daily_maximum": (0, 1000),
    "weekly_maximum": (0, 5000),
    "offer_minutes": (1, 10_080),
    "auto_offer_hours": (0, 2160),
    "follow_up_days": (1, 730),
}
# Empty rows below those that are filled
_SPARE = 2


@bp.route("/<code>/", methods=["GET", "POST"])
@policy("types.write")
def kind(code: str) -> Page:
    with reading() as session:
        known = views.find_type(session, code)
    if known is None:
        raise NotFound()
    if request.method == "GET":
        return _page(_known(known), known, _lists(known))
    form = Form(request.form)
    values = _read(form)
    if form:
        try:
            with transaction() as session:
                appointment_types.change(session, code, now=now(), **values)
            return redirect(url_for("admin.admin", ok="saved"), 303)
        except Refusal as refusal:
            _refuse(form, refusal)
    return _page(form, known, values, 422)


@bp.route("/add/", methods=["GET", "POST"])
@policy("types.write")
def add() -> Page:
    if request.method == "GET":
        blank = {"minutes": 30, "buffer_before": 0, "buffer_after": 0, "notice_minutes": 0, "window_days": 365}
        blank |= {"cutoff_minutes": 0, "position": 100}
        form = Form(None, colour="#4682b4", self_booking="yes", active="yes", **blank)
        return _page(form, None, {name: [] for name in LISTS})
    form = Form(request.form)
    code = form.text("code", required="Enter a short code like check_up.", maximum=64)
    values = _read(form)
    if form:
        try:
            with transaction() as session:
                appointment_types.create(session, code, now=now(), **values)
            return redirect(url_for("admin.admin", ok="saved"), 303)
        except Refusal as refusal:
            _refuse(form, refusal)
    return _page(form, None, values, 422)


def _page(form: Form, known: AppointmentType | None, lists: dict[str, Any], status: int = 200) -> Page:
    with reading() as session:
        doctors, things = accounts.doctors(session), resources.every(session)
    page = render_template(
        "admin/type.html",
        form=form,
        kind=known,
        modes=MODES,
        question_kinds=QUESTIONS,
        days=[(day, day.capitalize()) for day in DAYS],
        doctors=doctors,
        chosen=lists["doctors"],
        resources=[each.account for each in things],
        groups=["\n".join(", ".join(group) for group in lists["resources"])],
        questions=[*lists["questions"], *({} for _ in range(_SPARE))],
        hours=[*lists["hours"], *({} for _ in range(_SPARE))],
    )
    return page, status


def _known(kind: AppointmentType) -> Form:
    values = {name: getattr(kind, name) for name in appointment_types.FIELDS if name not in LISTS}
    ticked = {name: "yes" if values.pop(name) else None for name in _TICKED}
    return Form(None, **values, **ticked)


def _lists(kind: AppointmentType) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in LISTS}


def _refuse(form: Form, refusal: Refusal) -> None:
    """Beside the list that it is about: `questions.0.text` says which row."""
    name, _, row = (refusal.field or "").partition(".")
    number = row.partition(".")[0]
    where = f" (number {int(number) + 1})" if number.isdigit() else ""
    form.refuse(InvalidInput(refusal.sentence.rstrip(".") + where + ".", field=name))


def _read(form: Form) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": form.text("name", required="Enter a name.", maximum=100),
        "mode": form.choice("mode", [code for code, _name in MODES]),
        "colour": form.text("colour", required="Choose a colour.", maximum=32),
        "window_days": form.number("window_days", 1, 730),
        "doctors": request.form.getlist("doctors"),
        "resources": _groups(form),
        "questions": _questions(form),
        "hours": _hours(form),
    }
    values |= {name: form.ticked(name) for name in _TICKED}
    values |= {name: form.number(name, 0, most) for name, most in _NUMBERS.items()}
    values |= {name: form.number(name, *ends, required="") for name, ends in _OPTIONAL_NUMBERS.items()}
    if not re.fullmatch(r"[a-z]{3,30}|#[0-9a-fA-F]{6}", values["colour"]):
        form.fail("colour", "Choose a colour, or write one like #4682b4 or steelblue.")
    return values


def _groups(form: Form) -> list[list[str]]:
    lines = form.paragraph("resources", maximum=2000).split("\n")
    return [names for line in lines if (names := [name.strip() for name in line.split(",") if name.strip()])]


def _questions(form: Form) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number in range(_rows("question-text-")):
        text = form.text(f"question-text-{number}")
        if text:
            choices = form.text(f"question-choices-{number}", maximum=1000).split(",")
            known = form.get(f"question-code-{number}")
            found.append(
                {
                    "code": known or _code(text, {each["code"] for each in found}),
                    "text": text,
                    "kind": form.choice(f"question-kind-{number}", [code for code, _name in QUESTIONS]) or "text",
                    "required": form.ticked(f"question-required-{number}"),
                    "choices": [choice.strip() for choice in choices if choice.strip()],
                }
            )
    return found


def _code(text: str, taken: set[str]) -> str:
    """A short name for a question, made of its words: answers are sent by it."""
    words = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:24]
    plain = words if words[:1].isalpha() else f"question_{words}".rstrip("_")
    return next(name for name in (plain, *(f"{plain}_{n}" for n in range(2, 50))) if name not in taken)


def _hours(form: Form) -> list[dict[str, Any]]:
    found = []
    for number in range(_rows("hours-from-")):
        days = request.form.getlist(f"hours-days-{number}")
        first, last = form.get(f"hours-from-{number}"), form.get(f"hours-to-{number}")
        if days or first or last:
            found.append({"days": days, "from": first, "to": last})
    return found


def _rows(prefix: str) -> int:
    numbers = [name.removeprefix(prefix) for name in request.form if name.startswith(prefix)]
    return min(max((int(number) + 1 for number in numbers if number.isdigit() and len(number) < 3), default=0), 40)
