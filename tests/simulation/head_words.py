"""What each site would sign about subjects' last records, held against the reference: at every size the sites say one thing, and it is the truth."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tests.simulation.reference import Stand

from sento_node.ledger.store import LedgerStore
from sento_proto.head_statement import NO_HEAD, Head

ASKED_OF_A_SITE = 12


HeadIn = Callable[[LedgerStore, str, bytes, int], Head]
"""What a site says of (its store, registry, subject, size)."""


def false_head(store: LedgerStore, stands: Sequence[Stand], head_in: HeadIn) -> str:
    """The first word that is not the truth, as a complaint without the site; empty when all are true. The questions are the same for all sites of a ledger."""
    size = len(stands)
    chance = random.Random(size)
    for _ in range(ASKED_OF_A_SITE if size else 0):
        tree, about = chance.randint(1, size), chance.choice(stands).record.header
        said = head_in(store, about.registry, about.subject, tree)
        truth = _head_of(stands[:tree], about.registry, about.subject)
        if said != truth:
            return (
                f"it says position {said.last_position} and {truth.last_position} is the last at size {tree}"
            )
    return ""


def _head_of(stands: Sequence[Stand], registry: str, subject: bytes) -> Head:
    for stand in reversed(stands):
        if (stand.record.header.registry, stand.record.header.subject) == (registry, subject):
            return Head(stand.position, stand.link)
    return NO_HEAD
