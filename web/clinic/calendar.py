"""A doctor's day or week: a grid with what is open, booked and blocked, and the same as a list with what to do next."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, g, render_template, request, url_for

from ical import status
from storage import requests, views
from storage.appointments import Row
from storage.views import Blocked, Period
from web.clinic import doctors
from web.forms import midnight, read_date
from web.portal.appointment import next_steps
from web.security import policy, public
from web.services import now, reading

bp = Blueprint("calendar", __name__)

ROW_MINUTES = 5
_ROWS = 24 * 60 // ROW_MINUTES
_LANES = 6
_OPENS, _CLOSES = 8, 18
# Events shorter than this show one line.
_SHORT_MINUTES = 30


@dataclass(frozen=True)
class Block:
    """Something in a column. `place` are the classes that put it there."""

    place: str
    row: Row | None = None
    blocked: Blocked | None = None
    start: datetime | None = None
    short: bool = False
    overbooked: bool = False


@dataclass(frozen=True)
class Day:
    date: date
    is_today: bool
    open: list[Block]
    blocked: list[Block]
    visits: list[Block]
    all_day: list[Blocked]
    now_place: str


@bp.get("/appointments/doctor/appointments/")
@policy("appointment.status")
def calendar() -> str:
    view = "day" if request.args.get("view") == "day" else "week"
    names = request.args.get("names") != "hidden"
    with reading() as session:
        doctor, choices = doctors.chosen(session, "appointment.status")
        zone = ZoneInfo(doctor.timezone)
        today = now().astimezone(zone).date()
        day = read_date(request.args.get("date")) or today
        first = day if view == "day" else day - timedelta(days=day.weekday())
        count = 1 if view == "day" else 7
        start, end = midnight(first, zone), midnight(first + timedelta(days=count), zone)
        own = g.actor.account_id == doctor.id
        period = views.period(session, doctor, start, end, titles=own and names)
        kinds = views.types(session)
        asked = requests.listed(session, doctors=[doctor.id])
    opens, closes = _span(period, zone, start, end)
    dates = [first + timedelta(days=n) for n in range(count)]
    dates = dates if view == "day" else _worked(dates, period, zone, today)
    return render_template(
        "doctor/calendar.html",
        view=view,
        names=names,
        doctor=doctor,
        choices=choices,
        zone=zone,
        day=day,
        today=today,
        first=first,
        last=first + timedelta(days=count - 1),
        step=timedelta(days=count),
        hours=range(opens, closes),
        days=[_day(each, period, zone, opens, closes, today) for each in dates],
        kinds=kinds,
        unconfirmed={each.appointment.id for each in asked if each.request.kind == "book"},
        steps=lambda row: next_steps(row.visit, g.actor),
        link=_link(doctor.username, view, day, names),
    )


def _link(username: str, view: str, day: date, names: bool):  # type: ignore[no-untyped-def]
    def link(**changed: object) -> str:
        values = {"doctor": username, "view": view, "date": day, "names": None if names else "hidden"} | changed
        return url_for("calendar.calendar", **values)  # type: ignore[arg-type]

    return link


def _span(period: Period, zone: ZoneInfo, start: datetime, end: datetime) -> tuple[int, int]:
    """The hours to show: the usual ones, widened to all that is there."""
    opens, closes = _OPENS, _CLOSES
    shown = [(each.start, each.end) for each in period.hours]
    shown += [(row.visit.start, row.visit.end) for row in period.visits]
    # A half-day of leave reaches to midnight: nothing to see there.
    shown += [(each.start, each.end) for each in period.blocked if not each.all_day and each.kind != "leave"]
    for begins, ends in shown:
        if (
            begins < start
            or ends > end
            or begins.astimezone(zone).date() != (ends - timedelta(seconds=1)).astimezone(zone).date()
        ):
            continue
        opens = min(opens, begins.astimezone(zone).hour)
        last = (ends - timedelta(minutes=1)).astimezone(zone)
        closes = max(closes, last.hour + 1)
    return opens, closes


def _worked(dates: list[date], period: Period, zone: ZoneInfo, today: date) -> list[date]:
    """A week without its weekend, unless something is there."""
    used = {each.start.astimezone(zone).date() for each in period.hours}
    used |= {row.visit.start.astimezone(zone).date() for row in period.visits} | {today}
    return [each for each in dates if each.weekday() < 5 or each in used]


def _day(day: date, period: Period, zone: ZoneInfo, opens: int, closes: int, today: date) -> Day:
    def place(start: datetime, end: datetime) -> str | None:
        return _place(start, end, day, zone, opens, closes)

    def placed(start: datetime, end: datetime, **what: object) -> list[Block]:
        where = place(start, end)
        return [Block(where, start=start, **what)] if where else []  # type: ignore[arg-type]

    moment = now()
    timed = [each for each in period.blocked if not _whole(each, day, zone)]
    return Day(
        date=day,
        is_today=day == today,
        open=[block for each in period.hours for block in placed(each.start, each.end)],
        blocked=[block for each in timed for block in placed(each.start, each.end, blocked=each)],
        visits=_lanes([row for row in period.visits if row.visit.start.astimezone(zone).date() == day], place),
        all_day=[each for each in period.blocked if _whole(each, day, zone)],
        now_place=(place(moment, moment + timedelta(minutes=ROW_MINUTES)) or "") if day == today else "",
    )


def _whole(blocked: Blocked, day: date, zone: ZoneInfo) -> bool:
    return blocked.start <= midnight(day, zone) and blocked.end >= midnight(day + timedelta(days=1), zone)


def _place(start: datetime, end: datetime, day: date, zone: ZoneInfo, opens: int, closes: int) -> str | None:
    """The classes of the rows that [start, end) covers on this day; None when it is out of sight."""
    first, last = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    if end <= first or start >= last:
        return None
    top = _minutes(start, zone) if start > first else 0
    bottom = _minutes(end, zone) if end < last else 24 * 60
    top, bottom = max(top, opens * 60) - opens * 60, min(bottom, closes * 60) - opens * 60
    if bottom <= top:
        return None
    row = top // ROW_MINUTES
    return f"at-{row + 1} for-{max(1, -(-bottom // ROW_MINUTES) - row)}"


def _minutes(moment: datetime, zone: ZoneInfo) -> int:
    wall = moment.astimezone(zone)
    return wall.hour * 60 + wall.minute


def _lanes(rows: list[Row], place) -> list[Block]:  # type: ignore[no-untyped-def]
    """Visits side by side where they overlap. Cancelled ones give way to those that take place."""
    result, cluster = [], []
    reach: datetime | None = None
    for row in sorted(rows, key=lambda row: (row.visit.start, row.visit.end)):
        if reach is not None and row.visit.start >= reach:
            result += _side_by_side(cluster, place)
            cluster, reach = [], None
        cluster.append(row)
        reach = row.visit.end if reach is None else max(reach, row.visit.end)
    return result + _side_by_side(cluster, place)


def _side_by_side(cluster: list[Row], place) -> list[Block]:  # type: ignore[no-untyped-def]
    ends: list[datetime] = []
    lanes = []
    for row in cluster:
        lane = next((n for n, end in enumerate(ends) if end <= row.visit.start), len(ends))
        ends[lane : lane + 1] = [row.visit.end]
        lanes.append(lane)
    blocks = []
    for row, lane in zip(cluster, lanes, strict=True):
        where = place(row.visit.start, row.visit.end)
        if where is None:
            continue
        width = min(len(ends), _LANES)
        side = f" of-{width} lane-{min(lane, width - 1)}" if width > 1 else ""
        short = row.visit.end - row.visit.start < timedelta(minutes=_SHORT_MINUTES)
        blocks.append(
            Block(where + side, row=row, start=row.visit.start, short=short, overbooked=_clashes(row, cluster))
        )
    return blocks


def _clashes(row: Row, cluster: list[Row]) -> bool:
    """Whether it is one of those that were booked over each other."""
    if row.visit.status in status.CANCELLED:
        return False
    at_once = (each.visit for each in cluster if each.visit.start < row.visit.end and each.visit.end > row.visit.start)
    return any(visit.overbooked and visit.status not in status.CANCELLED for visit in at_once)


@bp.get("/assets/calendar.css")
@public
def stylesheet() -> Response:
    """The rows of the grid and the colours of the types: classes, since our pages allow no style attributes."""
    with reading() as session:
        kinds = views.types(session, all_of_them=True)
    rules = [f".type-{kind.code}{{--type:{kind.colour}}}" for kind in kinds if _is_safe(kind.code, kind.colour)]
    rules += [f".at-{n}{{grid-row-start:{n}}}.for-{n}{{grid-row-end:span {n}}}" for n in range(1, _ROWS + 1)]
    rules += [
        f".of-{n}{{width:calc(100%/{n} - 4px)}}.of-{n}.lane-{lane}{{margin-left:calc(100%/{n}*{lane} + 3px)}}"
        for n in range(2, _LANES + 1)
        for lane in range(n)
    ]
    answer = Response("\n".join(rules), content_type="text/css; charset=utf-8")
    answer.headers["Cache-Control"] = "public, max-age=60"
    answer.set_etag(sha256(answer.data).hexdigest()[:32])
    return answer.make_conditional(request)  # type: ignore[return-value]


def _is_safe(code: str, colour: str) -> bool:
    return bool(re.fullmatch(r"[a-z0-9_-]+", code) and re.fullmatch(r"[a-z]+|#[0-9a-fA-F]{3,8}", colour))
