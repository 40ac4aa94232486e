"""A site whose release is older than the others': it knows fewer rules numbers, until somebody installs the newer one.

Only what product code knows of rules numbers is taken from it, while it decides; nothing else differs. It must stop before the block behind an act that sets a
number unknown to it, and say which release it needs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from unittest import mock

from sento_node.ledger.adopt import OfferedBlock
from sento_node.ordering.port import OrderedBlock
from sento_node.site import Effect, Site
from sento_proto.checkpoint import Checkpoint
from sento_proto.rules import RULES, Rules

OLD_RULES: Mapping[int, Rules] = {number: RULES[number] for number in (1, 2)}
USERS = (
    "sento_node.ledger.apply",
    "sento_node.ledger.judging",
    "sento_node.ledger.adopt",
    "sento_node.ledger.replay",
    "sento_node.announcing",
    "sento_proto.governance.acts",
    "sento_proto.governance.state",
    "sento_proto.governance.author_changes",
)


@contextlib.contextmanager
def release(*, old: bool) -> Iterator[None]:
    """Product code as that release has it."""
    with contextlib.ExitStack() as patches:
        for module in USERS if old else ():
            patches.enter_context(mock.patch(f"{module}.RULES", OLD_RULES))
        yield


class OldSite(Site):
    """A site's decisions by the old release."""

    def submit(self, ticket: int, data: bytes, now_s: int, *, opens: bool = False) -> list[Effect]:
        with release(old=True):
            return super().submit(ticket, data, now_s, opens=opens)

    def ordered(self, block: OrderedBlock, now_ms: int) -> list[Effect]:
        with release(old=True):
            return super().ordered(block, now_ms)

    def adopt(self, blocks: Sequence[OfferedBlock], checkpoint: Checkpoint, now_ms: int) -> list[Effect]:
        with release(old=True):
            return super().adopt(blocks, checkpoint, now_ms)
