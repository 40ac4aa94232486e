"""How far the background reading is: plain numbers for status and metrics, written by the scrubber alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from sento_node.scrub.deciding import Mending


@dataclass(slots=True)
class ScrubState:
    """Rounds of this life, the one under way, and what was found."""

    rounds: int = 0
    round_bytes_done: int = 0
    round_bytes_total: int = 0
    round_began_ms: int = 0
    last_round_ended_ms: int = 0
    read_bytes: int = 0
    deaths: int = 0
    mending: Mending = field(default_factory=Mending)
