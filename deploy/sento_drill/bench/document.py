"""bench.json and the tables: everything that was measured, for programs and for people. What was skipped or failed stands in it with the reason.

{"format": "sento-bench-1", "complete": true, "machine": {...}, "settings": {...}, "runs": [...],
 "medians": {work: {side: {...}}}, "ratios": {work: {peer: ours over theirs}}, "reads": {...}, "leader_kill": {...}, "sealing": {...}}
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sento_drill.bench.killing import Kill, kills_fields
from sento_drill.bench.reads import reads_fields
from sento_drill.bench.summary import PAIRS_FOR_A_CLAIM, Figures, Run, medians, ratios

FORMAT = "sento-bench-1"


@dataclass(slots=True)
class Document:
    """What is known so far; parts that were not asked for stay empty."""

    machine: dict[str, object] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """Side -> why it could not be measured here."""
    runs: list[Run] = field(default_factory=list)
    reads: list[Run] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    sealing: dict[str, object] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)
    """Runs that failed, and why it ended before everything was measured, if it did."""
    complete: bool = False
    pairs: int = 0

    def fields(self) -> dict[str, object]:
        """bench.json."""
        return {
            "format": FORMAT,
            "complete": self.complete,
            "trouble": self.trouble,
            "machine": self.machine,
            "settings": {
                **self.settings,
                "enough_pairs_for_a_claim": self.pairs >= PAIRS_FOR_A_CLAIM,
                "skipped": self.skipped,
            },
            "runs": [run.fields() for run in self.runs],
            "medians": {
                work: {side: figures._asdict() for side, figures in sides.items()}
                for work, sides in medians(self.runs).items()
            },
            "ratios": ratios(self.runs),
            "reads": reads_fields(self.reads) if self.reads else {},
            "leader_kill": kills_fields(self.kills) if self.kills else {},
            "sealing": self.sealing,
        }

    def text(self) -> str:
        """bench.json's text."""
        return json.dumps(self.fields(), ensure_ascii=False, indent=1) + "\n"

    def save(self, path: Path) -> None:
        """Write bench.json, whole or not at all."""
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(self.text(), encoding="utf-8")
        fresh.replace(path)

    def tables(self) -> RenderableType:
        """For people."""
        parts: list[RenderableType] = []
        if self.runs:
            parts.append(_works_table(medians(self.runs), ratios(self.runs)))
        if self.reads:
            parts.append(_reads_table(self.reads))
        if self.kills:
            parts.append(_kills_table(self.kills))
        if self.sealing:
            rate = self.sealing["records_per_s"]
            parts.append(Text(f"Sealing and signing on one core: {rate:,} records a second."))
        parts += [Text(f"Skipped: {side}: {reason}", style="yellow") for side, reason in self.skipped.items()]
        parts += [Text(f"Failed: {trouble}", style="red") for trouble in self.trouble]
        if self.pairs < PAIRS_FOR_A_CLAIM:
            words = f"Pairs: {self.pairs}. Nothing may be claimed from fewer than {PAIRS_FOR_A_CLAIM}."
            parts.append(Text(words, style="yellow"))
        return Group(*parts)


def _works_table(found: dict[str, dict[str, Figures]], our_ratios: dict[str, dict[str, float]]) -> Table:
    table = _table(
        "Writing: medians", "work", "side", "records/s", "p50 ms", "p99 ms", "CPU us/record", "ours / theirs"
    )
    for work, sides in found.items():
        for side, figures in sides.items():
            ratio = our_ratios.get(work, {}).get(side)
            _figures_row(table, work, side, figures, "" if ratio is None else f"{ratio:.2f}")
    return table


def _reads_table(runs: list[Run]) -> Table:
    table = _table("Reading: medians", "work", "side", "reads/s", "p50 ms", "p99 ms", "CPU us/read")
    for work, sides in medians(runs).items():
        for side, figures in sides.items():
            _figures_row(table, work, side, figures)
    table.caption = str(reads_fields(runs)["note"])
    return table


def _kills_table(kills: list[Kill]) -> Table:
    table = _table(
        "Leader killed: seconds to the next acknowledged write", "side", "kills", "median", "longest"
    )
    fields = kills_fields(kills)
    for side, times in dict(fields["seconds"]).items():  # type: ignore[call-overload]
        in_order = sorted(times)
        table.add_row(side, str(len(times)), f"{fields['median_s'][side]:.2f}", f"{in_order[-1]:.2f}")  # type: ignore[index]
    return table


def _figures_row(table: Table, work: str, side: str, figures: Figures, *more: str) -> None:
    rate, p50_ms, p99_ms, cpu_us = figures
    table.add_row(work, side, f"{rate:,.0f}", f"{p50_ms:.1f}", f"{p99_ms:.1f}", f"{cpu_us:,.0f}", *more)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", expand=False)
    for column in columns:
        words = column in ("work", "side")
        table.add_column(column, justify="left" if words else "right", no_wrap=True)
    return table
