"""Which node a site's configuration starts: one with a ledger, voting or an embassy, or a tie-breaker, which has none."""

from __future__ import annotations

from sento_node.config import NodeConfig
from sento_node.preflight import load_genesis
from sento_node.server import Node
from sento_node.tie_breaker import TieBreaker


def node_of(config: NodeConfig) -> Node | TieBreaker:
    """One life of this site's node, by what the genesis file says that the site is. Raises ConfigMistake."""
    site = load_genesis(config).site(config.site)
    return Node(config) if site is None or site.ledger else TieBreaker(config)
