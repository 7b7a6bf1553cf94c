"""The booking rules, one by one and in order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ical.diary import Busy, Diary, Kind, Taken, Window
from ical.errors import Refusal
from ical.policy import Request, all_refusals, before_cut_off, check

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
START = datetime(2026, 11, 23, 10, tzinfo=UTC)
END = START + timedelta(minutes=30)
KIND = Kind("consultation", notice_minutes=60, window_days=30)
REQUEST = Request(START, END, "consultation")
S, E = int(START.timestamp()), int(END.timestamp())
DIARY = Diary((Window(S, E + 3600, 30),), name="lee")


def codes(request=REQUEST, kind=KIND, diary=DIARY, now=NOW) -> list[str]:
    return [refusal.code for refusal in all_refusals(request, kind, diary, now)]


def test_a_free_time_is_not_refused():
    check(REQUEST, KIND, DIARY, NOW)
    assert codes() == []


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("outside_hours", {"diary": Diary()}),
        ("outside_hours", {"request": replace(REQUEST, end=END + timedelta(hours=2))}),
        ("on_leave", {"diary": replace(DIARY, busy=(Busy(S, E, "leave"),))}),
        ("blocked", {"diary": replace(DIARY, busy=(Busy(S, E),))}),
        ("too_late", {"now": START - timedelta(minutes=59)}),
        ("too_late", {"now": END, "kind": replace(KIND, notice_minutes=0)}),
        ("too_far_ahead", {"now": START - timedelta(days=31)}),
        ("daily_maximum", {"diary": replace(DIARY, visits=[(S, "x")] * 8, daily_maximum=8)}),
        ("type_not_offered", {"diary": Diary((DIARY.windows[0]._replace(types=("virtual",)),))}),
        ("staff_only", {"kind": replace(KIND, self_booking=False)}),
        ("slot_taken", {"diary": replace(DIARY, taken=(Taken(S, E),))}),
    ],
)
def test_each_rule_refuses_by_its_name(code, change):
    assert codes(**change) == [code]
    with pytest.raises(Refusal) as refusal:
        check(**{"request": REQUEST, "kind": KIND, "diary": DIARY, "now": NOW, **change})
    assert refusal.value.code == code


def test_what_ends_when_the_visit_begins_is_in_nobodys_way():
    before, behind = (S - 3600, S), (E, E + 3600)
    diary = replace(DIARY, busy=(Busy(*before), Busy(*behind, "leave")), taken=(Taken(*before), Taken(*behind)))
    assert codes(diary=diary) == []


def test_a_time_that_is_taken_is_the_last_reason_given():
    diary = replace(DIARY, taken=(Taken(S, E),), busy=(Busy(S, E, "leave"),))
    assert codes(diary=diary, now=START - timedelta(minutes=5)) == ["too_late", "on_leave", "slot_taken"]


def test_staff_may_book_what_patients_may_not():
    assert codes(replace(REQUEST, by_staff=True), replace(KIND, self_booking=False)) == []


def test_patients_begin_only_at_offered_times_and_staff_at_any_minute():
    between = replace(REQUEST, start=START + timedelta(minutes=5), end=END + timedelta(minutes=5))
    assert codes(between) == ["outside_hours"]
    assert codes(replace(between, by_staff=True)) == []


def test_visit_does_not_begin_between_two_minutes():
    for odd in (timedelta(seconds=30), timedelta(microseconds=1)):
        assert codes(replace(REQUEST, start=START + odd, end=END + odd, by_staff=True)) == ["invalid"]


@pytest.mark.parametrize(
    ("minutes_left", "cutoff", "late"), [(61, 60, False), (60, 60, False), (59, 60, True), (0, 0, True), (1, 0, False)]
)
def test_patients_change_a_visit_until_the_cut_off(minutes_left, cutoff, late):
    refusal = before_cut_off(NOW + timedelta(minutes=minutes_left), cutoff, NOW)
    assert (refusal is not None and refusal.code == "cut_off_passed") == late
