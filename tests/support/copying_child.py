"""A process that copies a ledger onto this disk and may be killed at any moment: `copying_child.py <directory> <port> <giver>` prints its size when it is done.

The directory holds the certificate files that the test made; the world is the one that every test builds from the same seeds.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from copying_world import Target
from genesis_builder import build_genesis
from ledger_driver import LedgerDriver
from sento_node.clock import SystemClock
from sento_node.condition import Condition
from sento_node.config import Peer, Tls
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.peers import PeerNode
from sento_node.sync.downloading import Downloader
from sento_node.sync.parts import Parts
from sento_node.sync.pulling import CopySettings, Puller
from sento_node.sync.rate_cap import RateCap


async def copy(directory: Path, port: int, giver: str) -> None:
    """Copy to the end, and say so."""
    world = build_genesis()
    store = LmdbStore.open(directory / "ledger", world.ledger_id)
    tls = Tls(ca=directory / "ca.pem", certificate=directory / "site.pem", key=directory / "site.key")
    peer = PeerNode(Peer(name=giver, address=f"127.0.0.1:{port}"), tls)
    target = Target(world, LedgerDriver(world, store))
    downloader = Downloader(Parts(directory / "sync"), RateCap(0), SystemClock())
    settings = CopySettings(payloads="together")
    try:
        puller = Puller({giver: peer}, downloader, target, SystemClock(), Condition(), settings)
        await puller.copy()
        print(target.size, flush=True)
    finally:
        await peer.close()
        store.close()


if __name__ == "__main__":
    asyncio.run(copy(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
