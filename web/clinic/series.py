"""A series is booked by the practice: the rule, what stands in the way of each occurrence, and what becomes of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical import timezones
from ical.errors import InvalidInput, NotFound, Refusal, SeriesConflict
from ical.rrule import until_text
from ical.series import Decision, Outlook
from ical.times import instant
from storage import accounts, booking, choosing, idempotency, series, views
from storage.drafts import NewAppointment
from storage.idempotency import Answer
from storage.models import Account, AppointmentType
from storage.policy import can
from web.clinic import doctors
from web.forms import Form, read_date, read_instant, read_time
from web.security import policy
from web.services import now, reading, transaction

bp = Blueprint("series", __name__, url_prefix="/appointments/series")

Page = str | Response | tuple[str, int]

EVERY = (
    ("1", "Every week"),
    ("2", "Every 2 weeks"),
    ("3", "Every 3 weeks"),
    ("4", "Every 4 weeks"),
    ("month", "Every month, on the same weekday of the month"),
    ("day", "Every day"),
)
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_MOST = 200
_CHOICE = "choice-"


@dataclass(frozen=True)
class Asked:
    """What the form asks for, as far as it can be read."""

    doctor: Account
    kind: AppointmentType
    start: datetime
    rrule: str


@bp.get("/")
@policy("appointment.status")
def new() -> Page:
    return _page(Form(None, every="1", count=10, key=uuid4().hex, doctor=request.args.get("doctor")))


@bp.post("/preview/")
@policy("appointment.status")
def preview() -> Page:
    form = Form(request.form)
    _read_patient(form)
    return _page(form, shown=True, status=200 if form else 422)


@bp.post("/")
@policy("appointment.status")
def book() -> Page:
    form = Form(request.form)
    texts = _read_patient(form)
    if form:
        try:
            return redirect(_booked(form, texts), 303)
        except NotFound:
            raise
        except SeriesConflict:
            form.fail("", "Some of the times are not free. Decide about each of them below.")
        except Refusal as refusal:
            if form:
                refuse(form, refusal)
    return _page(form, shown=True, status=422)


def _booked(form: Form, texts: dict[str, str]) -> str:
    """The address of the booked series. The form sent twice books once."""
    with transaction() as session:
        asked = _asked(session, form)
        decisions = {} if asked is None else read_choices(form, timezones.zone(asked.doctor.timezone))
        if asked is None or not form:
            raise InvalidInput("Please check what you entered.")
        # The same page may be gone back to, and another series booked from it.
        caller, key = f"series:{g.actor.account_id}", idempotency.hash_request("POST", form.get("key"), form.data)
        known = idempotency.once(session, caller, key, key, now())
        if known is not None:
            return known.body
        wanted = NewAppointment(
            start=asked.start,
            kind=asked.kind,
            patient=accounts.find_or_create_patient(session, texts["name"], texts["email"], texts["phone"], now()),
            reason=texts["reason"],
            rrule=asked.rrule,
            decisions=decisions,
        )
        made = booking.book(session, [asked.doctor], wanted, actor=g.actor, now=now())
        url = url_for("appointment.see", appointment_id=made.appointment.id, ok="series")
        idempotency.keep(session, caller, key, Answer(303, url, {}))
        return url


def _read_patient(form: Form) -> dict[str, str]:
    texts = {
        "name": form.text("name", required="Enter the patient's name."),
        "email": form.email(),
        "phone": form.phone(),
        "reason": form.text("reason", maximum=300),
    }
    if not texts["email"] and not texts["phone"]:
        form.fail("email", "Enter an e-mail address or a telephone number.")
    return texts


def _page(form: Form, *, shown: bool = False, status: int = 200) -> Page:
    """The form, and with `shown` how each occurrence would stand."""
    with reading() as session:
        choices = _bookable(session)
        kinds = views.types(session)
        occurrences: list[Outlook] = []
        asked = _asked(session, form) if shown else None
        zone = ZoneInfo(choices[0].timezone)
        if asked is not None:
            zone = ZoneInfo(asked.doctor.timezone)
            try:
                occurrences = _outlook(session, asked, form, zone)
            except Refusal as refusal:
                refuse(form, refusal)
        typed_no_more(form, occurrences)
        text = render_template(
            "series/new.html",
            form=form,
            doctors=[(each.username, each.name) for each in choices],
            kinds=[(each.code, each.name) for each in kinds],
            every=EVERY,
            occurrences=occurrences,
            zone=zone,
            today=now().astimezone(zone).date(),
            may_overrule=asked is not None and can(g.actor, "appointment.overrule", asked.doctor),
        )
    return text, 422 if shown and not form else status


def _outlook(session: Any, asked: Asked, form: Form, zone: ZoneInfo) -> list[Outlook]:
    needed = choosing.needs(session, asked.kind)

    def look(decisions: dict[str, Decision]) -> list[Outlook]:
        return series.preview(
            session,
            [asked.doctor],
            asked.start,
            asked.kind,
            asked.rrule,
            decisions,
            actor=g.actor,
            now=now(),
            needed=needed,
        ).occurrences

    found = look({})
    chosen = read_choices(form, zone, [each.recurrence_id for each in found])
    return look(chosen) if chosen else found


def _bookable(session: Any) -> list[Account]:
    found = [
        doctor for doctor in doctors.visible(session, "appointment.status") if can(g.actor, "appointment.book", doctor)
    ]
    if not found:
        raise NotFound()
    return found


def _asked(session: Any, form: Form) -> Asked | None:
    """What the fields say; None with a problem beside each that cannot be used."""
    doctor = next((each for each in _bookable(session) if each.username == form.get("doctor")), None)
    kind = views.find_type(session, form.get("type"))
    if doctor is None:
        form.fail("doctor", "Choose a doctor.")
    if kind is None or not kind.active:
        form.fail("type", "Choose a type.")
    day, clock = form.date("date"), form.time("time")
    every = form.choice("every", [code for code, _name in EVERY])
    until = form.date("until", required="") if form.get("until") else None
    count = None if until else form.number("count", 2, _MOST, required="Enter how many appointments, or a last day.")
    if doctor is None or kind is None or not kind.active or day is None or clock is None or not every:
        return None
    if until is None and count is None:
        return None
    zone = timezones.zone(doctor.timezone)
    start = instant(datetime.combine(day, clock), zone)
    end = (
        f"COUNT={count}"
        if until is None
        else f"UNTIL={until_text(instant(until + timedelta(days=1), zone) - timedelta(seconds=1))}"
    )
    return Asked(doctor, kind, start, f"{rule(every, day)};{end}")


def rule(every: str, day: date) -> str:
    """The repetition that was chosen, of a series that begins on that day."""
    if every == "day":
        return "FREQ=DAILY"
    if every == "month":
        nth = (day.day - 1) // 7 + 1
        return f"FREQ=MONTHLY;BYDAY={nth if nth < 5 else -1}{_WEEKDAYS[day.weekday()]}"
    return f"FREQ=WEEKLY;INTERVAL={every}"


def read_choices(form: Form, zone: ZoneInfo, known: Iterable[str] | None = None) -> dict[str, Decision]:
    """What was chosen for each occurrence (of those `known`, when given), where it is not just to stay. A time that was
    typed goes before what stands in the list."""
    found: dict[str, Decision] = {}
    wanted = None if known is None else set(known)
    for name, value in form.data.items():
        recurrence_id = name.removeprefix(_CHOICE)
        if recurrence_id == name or (wanted is not None and recurrence_id not in wanted):
            continue
        action, _space, moment = value.partition(" ")
        typed = form.get(f"date-{recurrence_id}"), form.get(f"time-{recurrence_id}")
        day, clock, start = read_date(typed[0]), read_time(typed[1]), read_instant(moment)
        if any(typed):
            if day is None or clock is None:
                form.fail(name, "Enter the date and the time of the other appointment.")
            else:
                found[recurrence_id] = Decision("move", instant(datetime.combine(day, clock), zone))
        elif action == "move" and start is not None:
            found[recurrence_id] = Decision("move", start)
        elif action == "skip":
            found[recurrence_id] = Decision("skip")
        elif action == "keep":
            found[recurrence_id] = Decision("keep")
    return found


def typed_no_more(form: Form, occurrences: Iterable[Outlook]) -> None:
    """What was typed and could be read stands in the list of choices now."""
    for each in occurrences:
        if f"{_CHOICE}{each.recurrence_id}" not in form.errors:
            form.data.pop(f"date-{each.recurrence_id}", None)
            form.data.pop(f"time-{each.recurrence_id}", None)


def refuse(form: Form, refusal: Refusal) -> None:
    """Beside the field of this form that it is about, if there is one."""
    field = {"rrule": "every", "start": "time"}.get(refusal.field or "", refusal.field or "")
    form.fail("" if field.startswith("decisions") else field, refusal.sentence)
