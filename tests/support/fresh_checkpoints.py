"""A site's checkpoints at the beginning of its life, for tests that hand it trees and cosignatures themselves."""

from __future__ import annotations

from genesis_builder import TestWorld
from sento_node.quorum.checkpoints import Checkpoints
from sento_node.quorum.effects import TreeAt
from sento_proto.checkpoint import SiteSigners
from sento_proto.governance.state import from_genesis


def fresh_checkpoints(world: TestWorld, site: str) -> Checkpoints:
    """Nothing cosigned, nothing flushed, under the genesis file's governance."""
    empty = TreeAt(0, 0, bytes(32))
    return Checkpoints(
        ledger_id=world.ledger_id,
        epoch=0,
        site=site,
        signers=SiteSigners(world.site_signers[site]),
        governance=from_genesis(world.genesis),
        last_cosigned=None,
        flushed=empty,
        quorum=empty,
        now_ms=0,
    )
