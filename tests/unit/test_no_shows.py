"""What follows from missed appointments: the whole table of the rule."""

from datetime import UTC, datetime, timedelta

import pytest

from ical.no_shows import Rule, Standing, since, standing

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def days_ago(*days: int) -> list[datetime]:
    return [NOW - timedelta(days=each) for each in days]


@pytest.mark.parametrize(
    ("limit", "consequence", "missed", "expected"),
    [
        (None, "pause", days_ago(1, 2, 3), Standing(3)),
        (2, "warn", [], Standing()),
        (2, "warn", days_ago(5), Standing(1)),
        (2, "warn", days_ago(5, 9), Standing(2, "warn")),
        (2, "warn", days_ago(5, 9, 12), Standing(3, "warn")),
        (2, "confirm", days_ago(5, 9), Standing(2, "confirm")),
        (2, "prepay", days_ago(5, 9), Standing(2, "prepay")),
        # Older than the months that count
        (2, "warn", days_ago(5, 200), Standing(1)),
        # To come: somebody has marked it in advance
        (2, "warn", days_ago(5, -1), Standing(1)),
        (2, "pause", days_ago(5, 9), Standing(2, "pause", NOW + timedelta(days=25))),
        (1, "pause", days_ago(29), Standing(1, "pause", NOW + timedelta(days=1))),
        # The pause is over, and nothing was missed since
        (1, "pause", days_ago(30), Standing(1)),
        (1, "pause", days_ago(2, 40), Standing(2, "pause", NOW + timedelta(days=28))),
    ],
)
def test_what_follows(limit, consequence, missed, expected) -> None:
    assert standing(missed, Rule(limit, 6, consequence, 30), NOW) == expected


def test_months_back_end_on_a_day_that_exists() -> None:
    rule = Rule(1, 6, "warn", 30)
    assert since(rule, datetime(2026, 8, 31, tzinfo=UTC)) == datetime(2026, 2, 28, tzinfo=UTC)
    assert since(Rule(1, 12, "warn", 30), datetime(2026, 1, 15, tzinfo=UTC)) == datetime(2025, 1, 15, tzinfo=UTC)
