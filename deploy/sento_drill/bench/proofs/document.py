"""What the bench of proofs found, as JSON for programs and as a Markdown table for people; with the load of the machine beside every part.

{"format": "sento-bench-proofs-1", "complete": bool, "quick": bool, "trouble": [words], "machine": {...}, "sizes": {...},
 "parts": {name: {"title", "load_average": [before, after], "took_s", "figures": {...}, "rows": [[what, figure, note]]}}}

Pure but for `save`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from sento_drill.bench.proofs.parts import Found, Part

FORMAT = "sento-bench-proofs-1"


@dataclass(frozen=True, slots=True)
class Measured:
    """A part that came to its end. Load averages are those of one minute: how many programs wanted a core."""

    part: Part
    found: Found
    load_before: float
    load_after: float
    took_s: float


@dataclass(slots=True)
class ProofsDocument:
    """What is known so far; a part that failed is in `trouble` and nowhere else."""

    quick: bool
    machine: dict[str, object] = field(default_factory=dict)
    sizes: dict[str, object] = field(default_factory=dict)
    parts: list[Measured] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    complete: bool = False

    def fields(self) -> dict[str, object]:
        """For programs."""
        return {
            "format": FORMAT,
            "complete": self.complete,
            "quick": self.quick,
            "trouble": self.trouble,
            "machine": self.machine,
            "sizes": self.sizes,
            "parts": {
                each.part.name: {
                    "title": each.part.title,
                    "load_average": [round(each.load_before, 2), round(each.load_after, 2)],
                    "took_s": round(each.took_s, 1),
                    "figures": each.found.figures,
                    "rows": [list(row) for row in each.found.rows],
                }
                for each in self.parts
            },
        }

    def text(self) -> str:
        """The JSON file's text."""
        return json.dumps(self.fields(), ensure_ascii=False, indent=1) + "\n"

    def markdown(self) -> str:
        """The tables."""
        cores = self.machine.get("cores", "?")
        blocks = [
            f"{self.machine.get('cpu', '')}, {cores} cores; medians. Ratios compare runs next to each other; other figures are this machine's at that load."
        ]
        if self.quick:
            blocks.append("A quick run: it shows that every part runs, and nothing may be claimed from it.")
        blocks += [_table(each) for each in self.parts]
        blocks += [f"Failed: {words}" for words in self.trouble]
        return "\n\n".join(blocks) + "\n"

    def save(self, path: Path) -> None:
        """Write both files, each whole or not at all: `path`, and the tables beside it with the suffix `.md`."""
        for place, text in ((path, self.text()), (path.with_suffix(".md"), self.markdown())):
            fresh = place.with_name(f".{place.name}.new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(place)


def _table(measured: Measured) -> str:
    load = f"load average {measured.load_before:.1f} before, {measured.load_after:.1f} after"
    lines = [f"**{measured.part.title}** ({load})", "", "| | | |", "|---|---|---|"]
    lines += [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in measured.found.rows
    ]
    return "\n".join(lines)
