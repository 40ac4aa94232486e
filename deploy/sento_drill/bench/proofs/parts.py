"""A part of the bench of proofs: what it is given, and what it comes to: figures for programs, and rows for the table that people read."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sento_drill.bench.proofs.sizes import Sizes


@dataclass(frozen=True, slots=True)
class Place:
    """`directory`: the part's own, empty, on the disk that is measured. `tell` gets a line of progress."""

    directory: Path
    sizes: Sizes
    tell: Callable[[str], None]


class Row(NamedTuple):
    """A line of the table: what was measured, what it came to, and what has to be known with it."""

    what: str
    figure: str
    note: str = ""


@dataclass(slots=True)
class Found:
    """What a part measured. `figures` has every round; rows name medians."""

    figures: dict[str, object] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def add(self, name: str, figures: object, *rows: Row) -> None:
        """One figure more, and how it is shown."""
        self.figures[name] = figures
        self.rows += rows


@dataclass(frozen=True, slots=True)
class Part:
    """`name`: for `--only`; `title`: over its rows."""

    name: str
    title: str
    measure: Callable[[Place], Coroutine[None, None, Found]]
