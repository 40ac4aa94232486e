"""A node's shared state without a node: a ledger in memory, a clock that the test moves, peers that are names only. For what only reads that state."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lone_runner import SITE, LoneSite, ManualClock
from sento_node.config import Listen, NodeConfig, Ordering, Peer, Tls
from sento_node.ordering.port import OrderingStatus
from sento_node.service.node_state import NodeState

CERTIFICATE_ENDS_S = 1_800_000_000
_NONE = Path("none")


class BareNode:
    """`state` is what services and metrics see; `lone` and `clock` are what the test moves. Nothing runs, no file is read."""

    def __init__(self, peers: tuple[str, ...] = ()) -> None:
        self.lone = LoneSite()
        self.clock = ManualClock()
        self.state = NodeState(
            config=node_config(peers),
            genesis=self.lone.world.genesis,
            store=self.lone.store,
            clock=self.clock,
            writer=ThreadPoolExecutor(max_workers=1),  # starts no thread before it gets work
            condition=self.lone.condition,
            certificate_expires_at_s=lambda: CERTIFICATE_ENDS_S,
            boot_number=7,
        )


def leading_member(*, alarms: tuple[str, ...] = ()) -> OrderingStatus:
    """What a site's own member says of itself while it leads."""
    return OrderingStatus(
        engine="etcd",
        version="3.4.23",
        cluster_id=1,
        member_id=2,
        lead_site=SITE,
        is_lead=True,
        term=3,
        size_bytes=400,
        in_use_bytes=300,
        quota_bytes=1_000,
        resident_bytes=5_000,
        members=(),
        alarms=alarms,
    )


def node_config(peers: tuple[str, ...] = (), data_dir: Path = _NONE) -> NodeConfig:
    """A configuration of which only names and the data directory mean something."""
    return NodeConfig(
        site=SITE,
        data_dir=data_dir,
        genesis=_NONE,
        signing_key=_NONE,
        listen=Listen(address="127.0.0.1:1"),
        tls=Tls(ca=_NONE, certificate=_NONE, key=_NONE),
        ordering=Ordering(peer_url="https://127.0.0.1:2", ca=_NONE, certificate=_NONE, key=_NONE),
        peers=[
            Peer(name=name, address="127.0.0.1:3", ordering_peer_url="https://127.0.0.1:4") for name in peers
        ],
    )
