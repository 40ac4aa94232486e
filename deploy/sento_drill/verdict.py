"""The verdict of a drill: the figures of its last line, and every reason why it is not a yes.

A figure that was never measured prints as `unknown`, and a drill that did not come to its end is never `verified=yes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class Verdict:
    """Filled while the drill runs. `present`: None until everything was read back. `sites`: how many were read. `finished`: every stage was reached."""

    acknowledged: int = 0
    present: int | None = None
    unavailable_s: float = math.inf
    caught_up_s: float = math.inf
    disk_replaced_s: float = math.inf
    courier_import_s: float = math.inf
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
        times_s = (self.unavailable_s, self.caught_up_s, self.disk_replaced_s, self.courier_import_s)
        measured = all(map(math.isfinite, times_s)) and self.sites > 0
        return self.finished and measured and self.acknowledged > 0 and self.lost == 0 and not self.problems

    def last_line(self) -> str:
        """The line that programs read."""
        return (
            f"demo: acknowledged={self.acknowledged} present={_count(self.present)} lost={_count(self.lost)} "
            f"unavailable_s={_seconds(self.unavailable_s)} caught_up_s={_seconds(self.caught_up_s)} "
            f"disk_replaced_s={_seconds(self.disk_replaced_s)} courier_import_s={_seconds(self.courier_import_s)} sites={self.sites} "
            f"verified={'yes' if self.holds else 'no'}"
        )


def _count(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _seconds(value_s: float) -> str:
    return f"{value_s:.2f}" if math.isfinite(value_s) else "unknown"
