"""The table of malices, `tests/MALICE.md`: each test hands in its rows, which must stand there word for word; `make malice` writes them there.

A row says nothing that changes from run to run, so that the committed table is what the last run found, or a test fails.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).resolve().parents[1] / "MALICE.md"
WRITES = "SENTO_MALICE_TABLE"
"""With this in the environment a run writes the table in place of comparing with it."""

MALICES = (
    "forges",
    "drops",
    "reorders",
    "rolls back",
    "equivocates",
    "answers from an old state",
    "deletes or compacts the ordering log",
    "sends garbage blocks",
    "spoils a wrap",
    "keeps an erased payload",
    "removes a member",
)
"""In the order of the table."""

HEADING = """# What a hostile site can do

Three real sites, over mutual TLS, each with its own etcd member. One of them is hostile: its node is our own with single pieces replaced
(`support/hostile_node.py`), and whoever runs it also has its keys, its files and its ordering member. For each malice: what users see, what is caught, by
whom, with which proof, and how many of the receipts that were collected before and meanwhile do not verify any more at the honest sites (inclusion, and
consistency with the receipt's checkpoint). **This file is written by `make malice`** from the run of `faults/test_malice_to_users.py` and
`faults/test_malice_to_sites.py`, which fail where a row is not what they find.

"A proof" is a file that convicts the site by its own signatures: `sento fraud verify` and `client/audit/audit_kit.py` both judged it, from the genesis file
alone. Where there is none, it says so: silence and deletion sign nothing.

| the hostile site | how | users see | caught | by whom | proof | receipted and lost |
|---|---|---|---|---|---|---|
"""


class Row(NamedTuple):
    """One line of the table."""

    malice: str
    how: str
    users_see: str
    caught: str
    by_whom: str
    proof: str
    lost: str

    @property
    def line(self) -> str:
        """As it stands in the file."""
        assert self.malice in MALICES, self.malice
        assert not any("|" in part or "\n" in part for part in self), self
        return f"| {' | '.join(self)} |"


class Table:
    """One run's rows. `close` writes them where the run is to write."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._writes = WRITES in os.environ

    def add(self, row: Row) -> None:
        """A test found this. Raises AssertionError where the table says otherwise."""
        self._rows.append(row)
        if not self._writes:
            assert row.line in TABLE.read_text(encoding="utf-8").splitlines(), (
                f"tests/MALICE.md says something else: look why, then `make malice`\n{row.line}"
            )

    def close(self) -> None:
        """Write this run's rows in place of those that stand there for the same malices."""
        if self._writes:
            run = {row.malice for row in self._rows}
            lines = [(name, line) for name, line in rows_in_table() if name not in run]
            lines += [(row.malice, row.line) for row in self._rows]
            lines.sort(key=lambda one: MALICES.index(one[0]))
            TABLE.write_text(HEADING + "".join(f"{line}\n" for _, line in lines), encoding="utf-8")


def rows_in_table() -> list[tuple[str, str]]:
    """The committed table's lines, each with its malice."""
    if not TABLE.exists():
        return []
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [(line.split(" | ")[0].removeprefix("| "), line) for line in lines[1:]]
