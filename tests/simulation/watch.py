"""Following the simulated log through one member: events in order, from that member's own knowledge, until the stream breaks or falls silent.

A watch sees only what its member knows to be committed. It ends with Compacted when the log has forgotten what comes next, with FollowBroken when its
member lost the lead's word or stopped; a stalled one just says nothing, for that is what a real one did when it was tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sento_node.ordering.port import LogEvent, OrderingError


@dataclass(slots=True, eq=False)
class Watch:
    """One open stream. `revision` is the last one handed out; `stalled_until_ms` holds it back."""

    site: str
    revision: int
    deliver: Callable[[LogEvent], None]
    broken: Callable[[OrderingError], None]
    busy: bool = False
    open: bool = True
    stalled_until_ms: int = 0
