"""The committed table of malices is whole: one row at least for each, in order, none lost by a merge or written by hand."""

from __future__ import annotations

import re
from pathlib import Path

from malice_table import HEADING, MALICES, TABLE, malices_in_table

TESTS = Path(__file__).resolve().parents[1] / "faults" / "test_malice.py"


def test_the_committed_table_has_every_malice_in_order_and_no_other() -> None:
    assert malices_in_table() == list(MALICES)
    assert TABLE.read_text(encoding="utf-8").startswith(HEADING)


def test_the_committed_table_has_as_many_rows_as_the_tests_hand_in() -> None:
    text = TESTS.read_text(encoding="utf-8")
    named = re.findall(r'Row\(\n\s+"([a-z ]+)",', text)
    twice = text.count('parametrize("lie"')
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert set(named) == set(MALICES)
    assert len(lines) - 1 == len(named) + twice


def test_every_row_says_that_nothing_receipted_is_lost() -> None:
    rows = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    assert rows
    assert all(re.search(r"\| 0 of [1-9][0-9]* \|$", row) for row in rows)
