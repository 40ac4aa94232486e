"""Which node a site's configuration starts: one with a ledger, voting or an embassy, or a tie-breaker, which has none.

The genesis file says it of the sites that it names. What a site became since, a ledger knows; a tie-breaker has none, so it keeps the bootstrap file that it
joined with, and a site that joins now is what its bootstrap file says.
"""

from __future__ import annotations

from sento_node.config import NodeConfig
from sento_node.joining.note import NoteFiles
from sento_node.preflight import load_genesis
from sento_node.server import Node
from sento_node.tie_breaker import TieBreaker


def node_of(config: NodeConfig) -> Node | TieBreaker:
    """One life of this site's node. Raises ConfigMistake, NoteDamaged, OSError."""
    genesis = load_genesis(config)
    signed = NoteFiles(config.data_dir).kept_bootstrap()
    told = None if signed is None else signed.content.site(config.site)
    known = genesis.site(config.site)
    has_ledger = told.ledger if told is not None else known is None or known.ledger
    if has_ledger:
        return Node(config)
    return TieBreaker(config, None if signed is None else signed.content)
