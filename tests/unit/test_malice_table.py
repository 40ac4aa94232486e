"""The committed table of malices is whole: one row at least for each, in order, none lost by a merge or written by hand."""

from __future__ import annotations

import re
from pathlib import Path

from malice_table import HEADING, MALICES, TABLE, rows_in_table

TESTS = sorted((Path(__file__).resolve().parents[1] / "faults").glob("test_malice_to_*.py"))


def test_the_committed_table_has_every_malice_in_order_and_no_other() -> None:
    assert list(dict.fromkeys(name for name, _ in rows_in_table())) == list(MALICES)
    assert TABLE.read_text(encoding="utf-8").startswith(HEADING)


def test_the_committed_table_has_as_many_rows_as_the_tests_hand_in() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in TESTS)
    named = re.findall(r'Row\(\n\s+"([a-z ]+)",', text)
    twice = text.count('parametrize("lie"')
    assert set(named) == set(MALICES)
    assert len(rows_in_table()) == len(named) + twice


def test_every_row_says_that_nothing_receipted_is_lost() -> None:
    assert all(re.search(r"\| 0 of [1-9][0-9]* \|$", row) for _, row in rows_in_table())
