"""How the practice is doing: pictures first, the figures below them, and a file of them for a spreadsheet."""

from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, g, render_template, request

from ical import timezones
from storage import analytics, views
from storage.analytics import Asked, Figures, Table
from storage.models import Account
from web import words
from web.clinic import charts, doctors
from web.clinic.charts import Chart, Series
from web.forms import Form
from web.security import policy
from web.services import now, reading, settings
from web.tables import csv_text

bp = Blueprint("analytics", __name__, url_prefix="/analytics")

GROUPINGS = (
    ("doctor", "Doctor"),
    ("type", "Kind of appointment"),
    ("location", "Location"),
    ("weekday", "Weekday"),
    ("hour", "Hour"),
    ("day", "Day"),
    ("week", "Week"),
    ("month", "Month"),
)
RANGES = ((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "12 months"))
_LONGEST = timedelta(days=1830)
_CAME = Series("Took place or will", "accent", lambda row: row.booked - row.no_show - _cancelled(row))
_MISSED = Series("Missed", "bad", lambda row: row.no_show)
_GONE = Series("Cancelled", "quiet", lambda row: _cancelled(row))
LATE = (
    ("2h", "Less than 2 hours before"),
    ("24h", "2 to 24 hours"),
    ("72h", "1 to 3 days"),
    ("earlier", "Earlier"),
)


@dataclass(frozen=True)
class Late:
    """Cancellations that came so late: how many by each, and in percent of the most."""

    label: str
    patient: int
    doctor: int
    patient_size: float
    doctor_size: float


@bp.get("/")
@policy("analytics.read")
def figures() -> str | tuple[str, int]:
    with reading() as session:
        form, asked, choices = _asked(session)
        if not form:
            return _refused(session, form, asked, choices)
        over_time = _step(asked)
        found = {by: analytics.figures(session, _by(asked, by)) for by in {asked.by, over_time, "weekday", "hour"}}
        return render_template(
            "analytics/figures.html",
            form=form,
            table=found[asked.by],
            total=found[asked.by].total,
            over_time=charts.stacked(_complete(found[over_time], asked, over_time), (_CAME, _MISSED, _GONE), _said),
            over_time_by=over_time,
            groups=_groups(found[asked.by], asked.by),
            weekdays=_use(found["weekday"]),
            hours=_use(found["hour"]),
            late=_late(found[asked.by].total),
            **_frame(session, asked, choices),
        )


@bp.get("/figures.csv")
@policy("analytics.read")
def as_csv() -> Response | tuple[str, int]:
    with reading() as session:
        form, asked, choices = _asked(session)
        if not form:
            return _refused(session, form, asked, choices)
        found = analytics.figures(session, asked)
    text = csv_text([each.name for each in fields(Figures)], [asdict(row) for row in (*found.rows, found.total)])
    answer = Response(text, content_type="text/csv; charset=utf-8")
    name = f"figures-{asked.by}-{asked.first}-{asked.last}.csv"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _asked(session: Any) -> tuple[Form, Asked, list[Account]]:
    """What the address asks for; the form says what of it cannot be used. A doctor sees the own figures."""
    today = now().astimezone(timezones.zone(settings().timezone)).date()
    given = {name: value for name, value in request.args.items() if value}
    form = Form(given)
    last = form.date("to", required="") or today
    first = form.date("from", required="") or last - timedelta(days=29)
    if last < first:
        form.fail("to", "The end lies before the beginning.")
    elif last - first > _LONGEST:
        form.fail("to", f"Choose {_LONGEST.days} days at most.")
    choices = doctors.visible(session, "analytics.read")
    chosen = [each for each in choices if form.get("doctor") in ("", each.username)]
    if not chosen:
        form.fail("doctor", "Choose one of the list.")
    kinds = {kind.code for kind in views.types(session, all_of_them=True)}
    kind = form.choice("type", kinds, required="") or None
    by = form.choice("by", analytics.BY, required="") or ("doctor" if len(chosen) > 1 else "type")
    form.data |= {"from": first.isoformat(), "to": last.isoformat(), "by": by}
    anybody = len(chosen) == len(choices) and g.actor.role != "doctor"
    return form, Asked(chosen, first, last, by, kind, form.text("location") or None, anybody), choices


def _refused(session: Any, form: Form, asked: Asked, choices: list[Account]) -> tuple[str, int]:
    """The page with what of the question cannot be used, and without figures."""
    frame = _frame(session, asked, choices)
    return render_template("analytics/figures.html", form=form, table=None, **frame), 422


def _by(asked: Asked, by: str) -> Asked:
    return Asked(asked.doctors, asked.first, asked.last, by, asked.kind, asked.location, asked.anybody)


def _frame(session: Any, asked: Asked, choices: list[Account]) -> dict[str, Any]:
    today = now().astimezone(timezones.zone(settings().timezone)).date()
    kept = {name: value for name, value in request.args.items() if value and name not in ("from", "to")}
    return {
        "question": asked,
        "choices": choices,
        "kinds": views.types(session, all_of_them=True),
        "locations": analytics.locations(session, [doctor.id for doctor in choices]),
        "groupings": GROUPINGS,
        "grouping": dict(GROUPINGS)[asked.by],
        "ranges": [
            (f"?{urlencode(kept | {'from': today - timedelta(days=days - 1), 'to': today})}", name, asked.last == today
             and asked.first == today - timedelta(days=days - 1))
            for days, name in RANGES
        ],
        "csv": f"figures.csv?{urlencode(kept | {'from': asked.first, 'to': asked.last, 'by': asked.by})}",
    }  # fmt: skip


def _step(asked: Asked) -> str:
    days = (asked.last - asked.first).days
    return "day" if days <= 45 else "week" if days <= 200 else "month"


def _complete(table: Table, asked: Asked, by: str) -> list[Figures]:
    """Every day, week or month of the range, also those on which nothing happened, named for a scale."""
    known = {row.key: row for row in table.rows}
    empty = analytics.Sums().figures("", "", asked)
    keys, day = {}, asked.first
    while day <= asked.last:
        if by == "day":
            keys.setdefault(day.isoformat(), words.short_date(day))
        elif by == "week":
            keys.setdefault(f"{day:%G-W%V}", f"Week {int(f'{day:%V}')}")
        else:
            keys.setdefault(f"{day:%Y-%m}", f"{words.month(day, 3)} {day.year}")
        day += timedelta(days=1)
    return [_named(known.get(key, empty), label) for key, label in keys.items()]


def _named(row: Figures, label: str) -> Figures:
    return Figures(**(vars(row) | {"label": label}))


def _groups(table: Table, by: str) -> Chart:
    rows = [row for row in table.rows if _is_used(row)] if by not in ("day", "week", "month") else []
    return charts.stacked([_with_label(row, by) for row in rows], (_CAME, _MISSED, _GONE), _said)


def _use(table: Table) -> Chart:
    rows = [
        _with_label(row, "hour" if len(row.key) == 2 else "")
        for row in table.rows
        if len(row.key) == 1 or _is_used(row)
    ]
    return charts.shares(rows, "accent", lambda row: row.utilisation or 0, _used, "Booked of the working hours")


def _is_used(row: Figures) -> bool:
    return bool(row.booked or row.available_minutes)


def _with_label(row: Figures, by: str) -> Figures:
    return _named(row, f"{row.key}:00") if by == "hour" else row


def _late(total: Figures) -> list[Late]:
    found = [
        (label, getattr(total, f"cancelled_patient_{key}"), getattr(total, f"cancelled_doctor_{key}"))
        for key, label in LATE
    ]
    most = max(max(patient, doctor) for _label, patient, doctor in found) or 1
    return [
        Late(label, patient, doctor, round(100 * patient / most, 2), round(100 * doctor / most, 2))
        for label, patient, doctor in found
    ]


def _cancelled(row: Figures) -> int:
    return row.cancelled_patient + row.cancelled_doctor


def _said(row: Figures) -> str:
    gone = _cancelled(row)
    missed = f", {row.no_show} missed" if row.no_show else ""
    return f"{row.booked} booked{missed}{f', {gone} cancelled' if gone else ''}"


def _used(row: Figures) -> str:
    if row.utilisation is None:
        return "no working hours" if not row.minutes else f"{row.minutes} minutes outside the working hours"
    return f"{row.utilisation:.0%}"
