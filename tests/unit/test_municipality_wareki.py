"""Wareki: dates at the borders of eras, and texts that are no dates."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest

from sento_drill.municipality.wareki import GREGORIAN_SINCE, WarekiError, eras, from_wareki, to_wareki


@pytest.mark.parametrize(
    ("day", "text"),
    [
        (date(1873, 1, 1), "明治6年1月1日"),
        (date(1912, 7, 29), "明治45年7月29日"),
        (date(1912, 7, 30), "大正元年7月30日"),
        (date(1926, 12, 24), "大正15年12月24日"),
        (date(1926, 12, 25), "昭和元年12月25日"),
        (date(1945, 5, 3), "昭和20年5月3日"),
        (date(1989, 1, 7), "昭和64年1月7日"),
        (date(1989, 1, 8), "平成元年1月8日"),
        (date(2019, 4, 30), "平成31年4月30日"),
        (date(2019, 5, 1), "令和元年5月1日"),
        (date(2026, 6, 1), "令和8年6月1日"),
    ],
)
def test_day_is_written_in_its_era_and_read_back(day: date, text: str) -> None:
    assert to_wareki(day) == text
    assert from_wareki(text) == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("明治45年7月30日", date(1912, 7, 30)),
        ("大正15年12月25日", date(1926, 12, 25)),
        ("令和1年5月1日", date(2019, 5, 1)),
        ("昭和２０年５月３日", date(1945, 5, 3)),
    ],
)
def test_second_name_of_a_day_is_read_too(text: str, day: date) -> None:
    assert from_wareki(text) == day


def test_every_day_of_the_table_survives_writing_and_reading() -> None:
    days = (GREGORIAN_SINCE + timedelta(days=step) for step in range(0, 57_000, 7))
    assert all(from_wareki(to_wareki(day)) == day for day in days)


@pytest.mark.parametrize(
    "text",
    [
        "平成元年2月29日",
        "令和8年2月30日",
        "昭和64年1月8日",
        "平成元年1月7日",
        "明治5年12月1日",
        "天保3年1月1日",
        "令和0年5月1日",
        "令和8年13月1日",
        "令和8年6月1日 ",
        "2026-06-01",
        "",
    ],
)
def test_text_that_names_no_day_of_its_era_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(WarekiError) as refused:
        from_wareki(text)
    assert not text or text not in str(refused.value)


def test_day_of_the_lunar_calendar_is_refused() -> None:
    with pytest.raises(WarekiError, match="Gregorian"):
        to_wareki(GREGORIAN_SINCE - timedelta(days=1))


def test_eras_follow_each_other_without_a_gap_and_the_last_one_runs() -> None:
    table = eras()
    for earlier, later in pairwise(table):
        assert earlier.last is not None
        assert later.first - earlier.last <= timedelta(days=1)
    assert table[-1].last is None
