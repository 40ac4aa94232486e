"""The verdict of a drill: the figures of its last line, and every reason why it is not a yes.

A figure that was never measured prints as `unknown`, and a drill that did not come to its end is never `verified=yes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class Verdict:
    """Filled while the drill runs. `present`: None until everything was read back. `finished`: every stage was reached."""

    acknowledged: int = 0
    present: int | None = None
    unavailable_s: float = math.inf
    caught_up_s: float = math.inf
    finished: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int | None:
        """Acknowledged and not present at every site; None while nobody has looked."""
        return None if self.present is None else self.acknowledged - self.present

    @property
    def holds(self) -> bool:
        """Whether everything that was promised was shown."""
        measured = math.isfinite(self.unavailable_s) and math.isfinite(self.caught_up_s)
        return self.finished and measured and self.acknowledged > 0 and self.lost == 0 and not self.problems

    def last_line(self) -> str:
        """The line that programs read."""
        return (
            f"demo: acknowledged={self.acknowledged} present={_count(self.present)} lost={_count(self.lost)} "
            f"unavailable_s={_seconds(self.unavailable_s)} caught_up_s={_seconds(self.caught_up_s)} "
            f"verified={'yes' if self.holds else 'no'}"
        )


def _count(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _seconds(value_s: float) -> str:
    return f"{value_s:.2f}" if math.isfinite(value_s) else "unknown"
