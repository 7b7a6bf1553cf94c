"""The page of house rules, made from their declarations: a new rule needs no form of its own."""

from datetime import time
from typing import Any, Literal, get_args, get_origin

from flask import Blueprint, redirect, render_template, request, url_for
from pydantic.fields import FieldInfo
from werkzeug.wrappers import Response

from ical.errors import InvalidInput
from storage import house_rules
from storage.house_rules import GROUPS, HouseRules
from web.forms import Form
from web.security import policy
from web.services import now, reading, transaction

bp = Blueprint("house_rules", __name__, url_prefix="/admin/rules")

Page = str | Response | tuple[str, int]
_KINDS: dict[Any, str] = {bool: "tick", int: "number", time: "time"}
_LONGEST_LINE = 100


@bp.route("/", methods=["GET", "POST"])
@policy("settings.write")
def rules() -> Page:
    if request.method == "GET":
        with reading() as session:
            known = house_rules.current(session).model_dump(mode="json")
        ticked = {name: "yes" if value else None for name, value in known.items() if isinstance(value, bool)}
        return _page(Form(None, **known | ticked))
    form = Form(request.form)
    values = {name: _read(form, name, field) for name, field in HouseRules.model_fields.items()}
    if form:
        try:
            with transaction() as session:
                house_rules.change(session, values, now=now())
            return redirect(url_for(".rules", ok="saved"), 303)
        except InvalidInput as refusal:
            form.refuse(refusal)
    return _page(form, 422)


def _page(form: Form, status: int = 200) -> Page:
    shown = [(name, _kind(field), field, _options(field)) for name, field in HouseRules.model_fields.items()]
    return render_template("admin/rules.html", form=form, rules=shown, groups=GROUPS), status


def _read(form: Form, name: str, field: FieldInfo) -> Any:
    match _kind(field):
        case "tick":
            return form.ticked(name)
        case "choice":
            return form.choice(name, [value for value, _label in _options(field)])
        case "number":
            low, high = (_limit(field, name) for name in ("ge", "le"))
            return form.number(name, low, high, required="" if _is_optional(field) else "Enter a number.")
        case "time":
            return form.time(name, required="" if _is_optional(field) else "Enter a time like 09:30.")
        case "line":
            return form.text(name)
    return form.paragraph(name)


def _kind(field: FieldInfo) -> str:
    plain = _plain(field)
    if get_origin(plain) is Literal:
        return "choice"
    if plain is str:
        return "paragraph" if _limit(field, "max_length") > _LONGEST_LINE else "line"
    return _KINDS[plain]


def _options(field: FieldInfo) -> list[tuple[str, str]]:
    plain = _plain(field)
    labels: dict[str, str] = (field.json_schema_extra or {}).get("labels", {})  # type: ignore[union-attr, assignment]
    values = get_args(plain) if get_origin(plain) is Literal else ()
    return [(value, labels.get(value, value.replace("_", " ").capitalize())) for value in values]


def _limit(field: FieldInfo, name: str) -> int:
    """What was declared as ge, le or max_length; 0 where nothing was."""
    return max((getattr(limit, name, 0) for limit in field.metadata), default=0)


def _is_optional(field: FieldInfo) -> bool:
    return type(None) in get_args(field.annotation)


def _plain(field: FieldInfo) -> Any:
    """The type without None."""
    inner = [each for each in get_args(field.annotation) if each is not type(None)]
    return inner[0] if _is_optional(field) else field.annotation
