"""A site's boot announced over the lines that a catastrophe leaves: a satellite, and 64 kbit/s over it, where connecting takes longer than a call elsewhere.

Real mutual TLS and a real channel, with the line's delay and rate between them. A site that gives up too early announces its boot for ever and never starts.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from genesis_builder import build_genesis
from mtls_sites import LONG
from sento_client.keyfiles import write_secret
from sento_drill.links.figures import GEOSTATIONARY, TELEPHONE
from sento_drill.links.relay import ByteDirection, shape
from sento_drill.links.shaping import Shape
from sento_drill.pki import Authority, issue_site
from sento_node import bounds
from sento_node.boot_confirming import confirm_boot
from sento_node.boot_keeper import ANNOUNCE_TIMEOUT_MAX_MS, ANNOUNCE_TIMEOUT_MS, BootFiles
from sento_node.clock import SystemClock
from sento_node.condition import Condition
from sento_node.config import Listen, NodeConfig, Ordering, Peer, Tls
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.peers import PeerNode
from sento_node.service.node_state import NodeState
from sento_proto.v1 import sync_pb2, sync_pb2_grpc

OWN, OTHER = "jp-fukuoka", "jp-ishikawa"
CONFIRMED_S = 60.0


class OtherSite(sync_pb2_grpc.SyncServicer):
    """Another site's node, as far as it answers announcements."""

    def __init__(self) -> None:
        self.announced: list[int] = []

    async def AnnounceBoot(  # noqa: N802 - as the service is called
        self, request: sync_pb2.AnnounceBootRequest, context: object
    ) -> sync_pb2.AnnounceBootReply:
        self.announced.append(request.boot_number)
        return sync_pb2.AnnounceBootReply()


@dataclass
class Far:
    """The other site behind a line that is set before it is dialled. `lines`: how many connections were begun."""

    node: NodeState
    peer: PeerNode
    other: OtherSite
    served_at: int
    line: Shape = GEOSTATIONARY
    lines: int = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines += 1
        there, back = (ByteDirection(self.line, random.Random(1)) for _ in range(2))
        near, far = await asyncio.open_connection("127.0.0.1", self.served_at)
        try:
            await asyncio.gather(shape(reader, far, there), shape(near, writer, back))
        finally:
            writer.close()
            far.close()


def tls_of(directory: Path, authority: Authority, site: str) -> Tls:
    pair = issue_site(authority, site, LONG)
    (directory / "ca.pem").write_bytes(authority.certificate_pem)
    (directory / "node.pem").write_bytes(pair.certificate_pem)
    write_secret(directory / "node.key", pair.key_pem)
    return Tls(ca=directory / "ca.pem", certificate=directory / "node.pem", key=directory / "node.key")


def node_of(directory: Path, tls: Tls, peer: Peer) -> NodeState:
    world = build_genesis()
    none = directory / "none"
    config = NodeConfig(
        site=OWN,
        data_dir=directory / "data",
        genesis=none,
        signing_key=none,
        listen=Listen(address="127.0.0.1:1"),
        tls=tls,
        ordering=Ordering(peer_url="https://127.0.0.1:2", ca=none, certificate=none, key=none),
        peers=[peer],
    )
    return NodeState(
        config=config,
        genesis=world.genesis,
        store=MemoryStore(MemoryDisk(world.ledger_id)),
        clock=SystemClock(),
        writer=ThreadPoolExecutor(max_workers=1),  # starts no thread before it gets work
        condition=Condition(),
        certificate_expires_at_s=lambda: 0,
    )


@pytest_asyncio.fixture
async def far(tmp_path: Path) -> AsyncIterator[Far]:
    authority = Authority("test authority", LONG)
    other = OtherSite()  # type: ignore[abstract]  # nothing else is asked of it
    pair = issue_site(authority, OTHER, LONG)
    server = grpc.aio.server()
    sync_pb2_grpc.add_SyncServicer_to_server(other, server)
    credentials = grpc.ssl_server_credentials(
        [(pair.key_pem, pair.certificate_pem)], authority.certificate_pem, True
    )
    served_at = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    tls = tls_of(tmp_path, authority, OWN)
    begun: list[Far] = []
    carrying: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(begun[0].carry(reader, writer))
        carrying.add(task)
        await asyncio.wait({task})

    line = await asyncio.start_server(accept, "127.0.0.1", 0)
    address = f"127.0.0.1:{line.sockets[0].getsockname()[1]}"
    configured = Peer(name=OTHER, address=address, ordering_peer_url="https://127.0.0.1:4")
    peer = PeerNode(configured, tls)
    begun.append(Far(node_of(tmp_path, tls, configured), peer, other, served_at))
    try:
        yield begun[0]
    finally:
        await peer.close()
        line.close()
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)
        await server.stop(None)


@pytest.mark.parametrize("line", [GEOSTATIONARY, TELEPHONE], ids=["2.5 Mbit/s", "64 kbit/s"])
async def test_a_boot_is_confirmed_over_a_satellite_by_one_connection(far: Far, line: Shape) -> None:
    far.line = line
    files = BootFiles(far.node.config.data_dir, 0)
    began_s = time.monotonic()
    async with asyncio.timeout(CONFIRMED_S):
        request = await confirm_boot(far.node, files, {OTHER: far.peer})
    assert request is not None
    assert set(far.other.announced) == {request.boot_number}, (
        "the same announcement, however often it was repeated"
    )
    assert time.monotonic() - began_s > ANNOUNCE_TIMEOUT_MS / 1000, (
        "the first round's patience is shorter than the way"
    )
    assert far.lines == 1, "a connection under way is not given up for a new one"


def test_connecting_has_three_round_trips_of_a_satellite_and_a_busy_processor() -> None:
    hello_ms = 1_000 * 4_000 / TELEPHONE.rate_bytes_per_s
    assert 3 * TELEPHONE.round_trip_ms + hello_ms < bounds.CONNECT_TIMEOUT_MS
    assert bounds.CONNECT_TIMEOUT_MS + 2 * TELEPHONE.round_trip_ms < ANNOUNCE_TIMEOUT_MAX_MS
