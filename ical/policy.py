"""The booking rules: each a function that refuses or does not. A new rule is one function and one name in RULES."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from ical.diary import Busy, Kind, Taken, Window, booking_horizon, capacity_at, eligible, is_on_grid, seats, spots
from ical.errors import (
    Blocked,
    CutOffPassed,
    DailyMaximum,
    InvalidInput,
    NotSelfBookable,
    OnLeave,
    OutsideHours,
    Refusal,
    SlotTaken,
    TooFarAhead,
    TooLate,
    TypeNotOffered,
)


@dataclass(frozen=True)
class Request:
    """A visit that somebody wants. `by_staff`: not the patient in person."""

    start: datetime
    end: datetime
    type: str
    by_staff: bool = False


@dataclass(frozen=True)
class Diary:
    """The doctor's time around a request. `booked_that_day` counts the visits of its local day."""

    windows: tuple[Window, ...] = ()
    busy: tuple[Busy, ...] = ()
    taken: tuple[Taken, ...] = ()
    booked_that_day: int = 0
    daily_maximum: int | None = None
    zone: tzinfo = UTC


def within_hours(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if capacity_at(diary.windows, request.start, request.end) == 0:
        return OutsideHours()
    return None


def on_a_full_minute(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if request.start.second or request.start.microsecond:
        return InvalidInput("A visit begins on a full minute.", field="start")
    return None


def not_past(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if request.start < now:
        return TooLate("This time has passed. Please choose a later one.")
    return None


def at_an_offered_time(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    """Patients begin where the hours begin a slot; staff may squeeze in a visit at any minute."""
    there = [w for w in eligible(diary.windows, kind) if w.start <= request.start < w.end]
    if not request.by_staff and there and not any(is_on_grid(w, request.start) for w in there):
        return OutsideHours("Visits begin only at the times on offer.")
    return None


def not_on_leave(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if any(b.why == "leave" and _overlaps(b, request) for b in diary.busy):
        return OnLeave()
    return None


def not_blocked(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if any(b.why != "leave" and _overlaps(b, request) for b in diary.busy):
        return Blocked()
    return None


def enough_notice(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if timedelta(0) <= request.start - now < timedelta(minutes=kind.notice_minutes):
        return TooLate()
    return None


def within_booking_window(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if request.start >= booking_horizon(kind, now, diary.zone):
        return TooFarAhead()
    return None


def within_daily_maximum(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if diary.daily_maximum is not None and diary.booked_that_day >= diary.daily_maximum:
        return DailyMaximum()
    return None


def type_is_offered(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if capacity_at(diary.windows, request.start, request.end) and not _seats(request, kind, diary):
        return TypeNotOffered()
    return None


def may_book_oneself(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if not kind.self_booking and not request.by_staff:
        return NotSelfBookable()
    return None


def is_free(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if _seats(request, kind, diary) and not spots(diary.windows, diary.taken, kind, request.start, request.end):
        return SlotTaken()
    return None


Rule = Callable[[Request, Kind, Diary, datetime], Refusal | None]

# What even staff cannot overrule.
BINDING: tuple[Rule, ...] = (on_a_full_minute, not_past)

# In the order in which a patient should hear of them.
RULES: tuple[Rule, ...] = (
    *BINDING,
    enough_notice,
    within_booking_window,
    within_hours,
    at_an_offered_time,
    not_on_leave,
    not_blocked,
    within_daily_maximum,
    type_is_offered,
    may_book_oneself,
    is_free,
)


def check(request: Request, kind: Kind, diary: Diary, now: datetime, rules: Iterable[Rule] = RULES) -> None:
    """Raises the first refusal."""
    for rule in rules:
        refusal = rule(request, kind, diary, now)
        if refusal is not None:
            raise refusal


def all_refusals(request: Request, kind: Kind, diary: Diary, now: datetime) -> list[Refusal]:
    """Every reason why not."""
    found = (rule(request, kind, diary, now) for rule in RULES)
    return [refusal for refusal in found if refusal is not None]


def before_cut_off(start: datetime, cutoff_minutes: int, now: datetime) -> Refusal | None:
    """Patients change a visit only up to some time before it begins."""
    left = start - now
    if left <= timedelta(0) or left < timedelta(minutes=cutoff_minutes):
        return CutOffPassed()
    return None


def _overlaps(busy: Busy, request: Request) -> bool:
    return busy.start < request.end and busy.end > request.start


def _seats(request: Request, kind: Kind, diary: Diary) -> int:
    return seats(diary.windows, kind, request.start, request.end)
