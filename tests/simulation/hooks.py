"""Where a planted bug may put its hand. A world without one runs product code exactly as it is: every method here then changes nothing.

Bugs live in `planted.py` and nowhere in product code.
"""

from __future__ import annotations

from collections.abc import Callable

from sento_client.outbox.keeping import Keeping
from sento_node.ordering.boot import Announcement, BootDecision
from sento_node.ordering.port import Head
from sento_node.site import Site
from sento_proto.record import Record


class Hooks:
    """Product code as it is."""

    def composed(self, site: Site) -> None:
        """A life's decisions were just put together from its store."""

    def unconfirmed(self, announcement: Announcement | None) -> Announcement | None:
        """What a former boot announced and nobody confirmed, as this boot reads it from disk."""
        return announcement

    def decided(self, decision: BootDecision, announced: int) -> BootDecision:
        """Whether the ordering member may start was just decided."""
        return decision

    def resume_from(self, site: Site, head: Head, *, new_life: bool) -> Head:
        """From where the log is followed, at the start of a life or after a stream broke."""
        return head

    def keeping(self, keeping: Keeping) -> Keeping:
        """An office's outbox begins a life."""
        return keeping

    def resent(self, record: Record, reseal: Callable[[Record], Record]) -> Record:
        """An office is about to send a record again whose answer it did not get; `reseal` makes its content into another record."""
        return record
