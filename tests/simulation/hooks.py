"""Where a planted bug may put its hand. A world without one runs product code exactly as it is: every method here then changes nothing.

Bugs live in `planted.py` and nowhere in product code.
"""

from __future__ import annotations

from sento_node.ordering.boot import BootDecision
from sento_node.ordering.port import Head
from sento_node.site import Site
from sento_proto.record import Record


class Hooks:
    """Product code as it is."""

    def composed(self, site: Site) -> Site:
        """A life's decisions were just put together from its store."""
        return site

    def decided(self, decision: BootDecision, announced: int) -> BootDecision:
        """Whether the ordering member may start was just decided."""
        return decision

    def resume_from(self, head: Head, *, new_life: bool) -> Head:
        """From where the log is followed, at the start of a life or after a stream broke."""
        return head

    def resent(self, record: Record, reseal: Reseal) -> Record:
        """A client is about to send a record again whose answer it did not get."""
        return record


class Reseal:
    """Makes the same content into a new record with another id."""

    def __call__(self, record: Record) -> Record:
        """A new record with the content of `record`."""
        raise NotImplementedError
