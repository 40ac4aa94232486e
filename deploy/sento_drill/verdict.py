"""The verdict of a drill: the figures of its last line, and every reason why it is not a yes.

A figure that was never measured prints as `unknown`, and a drill that did not come to its end is never `verified=yes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

TIMES = ("unavailable_s", "caught_up_s", "disk_replaced_s", "courier_import_s", "relocation_pause_s", "rto_s")
COUNTS = ("sent_again", "orphans")
OF_THE_MOVE = ("relocation_pause_s", "rto_s")
"""The times that the chapters about the capital measure alone."""


@dataclass(slots=True)
class Verdict:
    """Filled while the drill runs. `present`: None until everything was read back. `sites`: how many were read. `finished`: every stage was reached.

    `relocation_pause_s`: the longest silence that an office met while the capital moved; `rto_s`: from the third signature until a write was acknowledged in
    the new epoch; `sent_again`: acknowledged records that came from outboxes after the capital was lost; `orphans`: those that came from its found disk.
    `story` begins the last line; `times`: which of them the story measures."""

    story: str = "demo"
    times: tuple[str, ...] = TIMES
    acknowledged: int = 0
    present: int | None = None
    unavailable_s: float = math.inf
    caught_up_s: float = math.inf
    disk_replaced_s: float = math.inf
    courier_import_s: float = math.inf
    relocation_pause_s: float = math.inf
    rto_s: float = math.inf
    sent_again: int | None = None
    orphans: int | None = None
    sites: int = 0
    finished: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int | None:
        """Acknowledged and not present at every site; None while nobody has looked."""
        return None if self.present is None else self.acknowledged - self.present

    @property
    def holds(self) -> bool:
        """Whether everything that was promised was shown."""
        measured = all(math.isfinite(getattr(self, name)) for name in self.times)
        counted = self.sites > 0 and all(getattr(self, name) is not None for name in COUNTS)
        whole = self.acknowledged > 0 and self.lost == 0
        return self.finished and measured and counted and whole and not self.problems

    def last_line(self) -> str:
        """The line that programs read."""
        figures = {
            "acknowledged": str(self.acknowledged),
            "present": _count(self.present),
            "lost": _count(self.lost),
            **{name: _seconds(getattr(self, name)) for name in self.times},
            **{name: _count(getattr(self, name)) for name in COUNTS},
            "sites": str(self.sites),
            "verified": "yes" if self.holds else "no",
        }
        return f"{self.story}: " + " ".join(f"{name}={value}" for name, value in figures.items())


def _count(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _seconds(value_s: float) -> str:
    return f"{value_s:.2f}" if math.isfinite(value_s) else "unknown"
