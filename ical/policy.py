"""The booking rules: each a function that refuses or does not. A new rule is one function and one name in RULES."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from ical.diary import (
    Diary,
    Kind,
    Taken,
    booking_horizon,
    capacity_at,
    eligible,
    is_on_grid,
    local_day,
    monday,
    outside_own_hours,
    place_at,
    seconds,
)
from ical.errors import (
    Blocked,
    Cause,
    CutOffPassed,
    DailyMaximum,
    Holiday,
    InvalidInput,
    NoTimeToTravel,
    NotSelfBookable,
    NotThisDoctor,
    OnLeave,
    OutsideHours,
    Refusal,
    ResourceTaken,
    SlotTaken,
    TooFarAhead,
    TooLate,
    TypeMaximum,
    TypeNotOffered,
    WeeklyMaximum,
)
from ical.seats import Seats, free_seats, in_the_way, seats_of


@dataclass(frozen=True)
class Request:
    """A visit that somebody wants. `by_staff`: not the patient in person."""

    start: datetime
    end: datetime
    type: str
    by_staff: bool = False


def on_a_full_minute(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if request.start.second or request.start.microsecond:
        return InvalidInput("A visit begins on a full minute.", field="start")
    return None


def not_past(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if request.start < now:
        return TooLate("This time has passed. Please choose a later one.")
    return None


def enough_notice(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if timedelta(0) <= request.start - now < timedelta(minutes=kind.notice_minutes):
        return _because(TooLate(), Cause("type", kind.code))
    return None


def within_booking_window(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if request.start >= booking_horizon(kind, now, diary.zone):
        return _because(TooFarAhead(), Cause("type", kind.code))
    return None


def by_this_doctor(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if kind.doctors and diary.name not in kind.doctors:
        return _because(NotThisDoctor(), Cause("type", kind.code))
    return None


def within_hours(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if capacity_at(diary.windows, request.start, request.end) == 0:
        return OutsideHours()
    return None


def at_an_offered_time(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    """Patients begin where the hours begin a slot; staff may squeeze in a visit at any minute."""
    start = seconds(request.start)
    there = [w for w in eligible(diary.windows, kind) if w.start <= start < w.end]
    if not request.by_staff and there and not any(is_on_grid(w, start) for w in there):
        return OutsideHours("Visits begin only at the times on offer.")
    return None


def on_no_holiday(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    return _busy(Holiday(), "holiday", request, kind, diary)


def not_on_leave(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    return _busy(OnLeave(), "leave", request, kind, diary)


def not_blocked(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    return _busy(Blocked(), "block", request, kind, diary)


def within_daily_maximum(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if _at_most(diary.daily_maximum, request, diary, _day):
        return _because(DailyMaximum(), Cause("maximum", f"{diary.daily_maximum} a day"))
    return None


def within_weekly_maximum(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if _at_most(diary.weekly_maximum, request, diary, _week):
        return _because(WeeklyMaximum(), Cause("maximum", f"{diary.weekly_maximum} a week"))
    return None


def within_the_maxima_of_the_type(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    for limit, period, name in ((kind.daily_maximum, _day, "day"), (kind.weekly_maximum, _week, "week")):
        if _at_most(limit, request, diary, period, kind.code):
            return _because(TypeMaximum(), Cause("maximum", f"{limit} a {name} of {kind.code}"))
    return None


def type_is_offered(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    capacity, place = place_at(diary.windows, request.start, request.end)
    if not capacity:
        return None
    first, last = seconds(request.start), seconds(request.end)
    closed = outside_own_hours(kind, diary.zone_at(place or ""), (first, last))
    if not _seats(request, kind, diary) or any(begin < last and end > first for begin, end in closed):
        return _because(TypeNotOffered(), Cause("type", kind.code))
    return None


def may_book_oneself(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    if not kind.self_booking and not request.by_staff:
        return _because(NotSelfBookable(), Cause("type", kind.code))
    return None


def time_to_travel(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    _capacity, place = place_at(diary.windows, request.start, request.end)
    wanted = claim_of(request, kind)
    far = []
    for other in diary.taken:
        way = diary.travel(place, other[4])
        if way is not None:
            far += in_the_way(wanted._replace(start=wanted.start - way, end=wanted.end + way), [other])
    if not far:
        return None
    # Nobody is at two places at once, however short the way.
    return _because(SlotTaken() if in_the_way(wanted, far) else NoTimeToTravel(), *_claims(far))


def is_free(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    capacity = _seats(request, kind, diary)
    wanted = claim_of(request, kind)
    if capacity and not free_seats(wanted, seats_of(kind, capacity), diary.taken):
        return _because(SlotTaken(), *_claims(in_the_way(wanted, diary.taken)))
    return None


def resources_are_free(request: Request, kind: Kind, diary: Diary, now: datetime) -> Refusal | None:
    for group in kind.resources:
        if not any(is_resource_free(diary.resources[name], request, kind) for name in group if name in diary.resources):
            return _because(ResourceTaken(), *(Cause("resource", name) for name in group))
    return None


def is_resource_free(resource: Diary, request: Request, kind: Kind) -> bool:
    """Whether a room, a machine or an assistant is free for the visit, and there."""
    wanted = claim_of(request, kind)
    if not resource.always and capacity_at(resource.windows, request.start, request.end) == 0:
        return False
    busy = any(b.start < seconds(request.end) and b.end > seconds(request.start) for b in resource.busy)
    return not busy and free_seats(wanted, Seats(resource.capacity), resource.taken) > 0


Rule = Callable[[Request, Kind, Diary, datetime], Refusal | None]

# What even staff cannot overrule.
BINDING: tuple[Rule, ...] = (on_a_full_minute, not_past)

# In the order in which a patient should hear of them.
RULES: tuple[Rule, ...] = (
    *BINDING,
    enough_notice,
    within_booking_window,
    by_this_doctor,
    within_hours,
    at_an_offered_time,
    on_no_holiday,
    not_on_leave,
    not_blocked,
    within_daily_maximum,
    within_weekly_maximum,
    within_the_maxima_of_the_type,
    type_is_offered,
    may_book_oneself,
    time_to_travel,
    is_free,
    resources_are_free,
)


@dataclass(frozen=True)
class Verdict:
    """Every reason why not, in order; and the place where the visit would be with the seats that its hours have."""

    refusals: tuple[Refusal, ...]
    capacity: int
    location: str | None


def judge(request: Request, kind: Kind, diary: Diary, now: datetime, rules: Iterable[Rule] = RULES) -> Verdict:
    """What the rules say. Of several places at which the doctor works then, the one with the least against it."""
    chosen = tuple(rules)
    return min((_judge(request, kind, there, now, chosen) for there in _places(request, diary)), key=_strictness)


def check(request: Request, kind: Kind, diary: Diary, now: datetime, rules: Iterable[Rule] = RULES) -> Verdict:
    """Raises the first refusal."""
    verdict = judge(request, kind, diary, now, rules)
    if verdict.refusals:
        raise verdict.refusals[0]
    return verdict


def all_refusals(request: Request, kind: Kind, diary: Diary, now: datetime) -> list[Refusal]:
    """Every reason why not."""
    return list(judge(request, kind, diary, now).refusals)


def before_cut_off(start: datetime, cutoff_minutes: int, now: datetime) -> Refusal | None:
    """Patients change a visit only up to some time before it begins."""
    left = start - now
    if left <= timedelta(0) or left < timedelta(minutes=cutoff_minutes):
        return CutOffPassed()
    return None


def claim_of(request: Request, kind: Kind) -> Taken:
    """The minutes that the visit takes, buffers included."""
    start, end = seconds(request.start) - kind.buffer_before * 60, seconds(request.end) + kind.buffer_after * 60
    return Taken(start, end, 0, kind.code)


# Steps


def _because(refusal: Refusal, *causes: Cause) -> Refusal:
    refusal.causes = causes
    return refusal


def _claims(taken: Iterable[Taken]) -> list[Cause]:
    return [Cause("claim", each.source) for each in taken]


def _busy(refusal: Refusal, why: str, request: Request, kind: Kind, diary: Diary) -> Refusal | None:
    first, last = seconds(request.start), seconds(request.end)
    place = place_at(diary.windows, request.start, request.end)[1]
    there = [
        b
        for b in diary.busy
        if b.why == why and b.start < last and b.end > first and (b.location is None or b.location == place)
    ]
    named = {"block": "event"}.get(why, why)
    return _because(refusal, *(Cause(named, b.source) for b in there)) if there else None


def _day(moment: int, diary: Diary) -> date:
    return local_day(moment, diary.zone)


def _week(moment: int, diary: Diary) -> date:
    return monday(local_day(moment, diary.zone))


def _at_most(
    limit: int | None, request: Request, diary: Diary, period: Callable[[int, Diary], date], code: str | None = None
) -> bool:
    """Whether the doctor has that many visits in the day or week of the request, of one kind or of all."""
    if limit is None:
        return False
    wanted = period(seconds(request.start), diary)
    counted = (start for start, kind in diary.visits if code is None or kind == code)
    return sum(period(start, diary) == wanted for start in counted) >= limit


def _seats(request: Request, kind: Kind, diary: Diary) -> int:
    """The seats that the hours have for this kind."""
    return capacity_at(eligible(diary.windows, kind), request.start, request.end)


def _places(request: Request, diary: Diary) -> list[Diary]:
    """The diary of each place at which the doctor works when the visit begins."""
    if len({window.location for window in diary.windows}) < 2:
        return [diary]
    start = seconds(request.start)
    there = {window.location for window in diary.windows if window.start <= start < window.end}
    if not there:
        return [diary]
    return [replace(diary, windows=[w for w in diary.windows if w.location == place]) for place in sorted(there)]


def _judge(request: Request, kind: Kind, diary: Diary, now: datetime, rules: tuple[Rule, ...]) -> Verdict:
    found = (rule(request, kind, diary, now) for rule in rules)
    refusals = tuple(refusal for refusal in found if refusal is not None)
    capacity, place = place_at(eligible(diary.windows, kind), request.start, request.end)
    return Verdict(refusals, capacity, place)


def _strictness(verdict: Verdict) -> int:
    return len(verdict.refusals)
