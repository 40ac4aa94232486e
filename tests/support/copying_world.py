"""Sites that give chunks over real gRPC with mutual TLS on free ports of 127.0.0.1, as badly as a test wants, and a ledger that copies from them.

What a site gives is made by the node's own code from a ledger in memory; `spoil` stands between that and the wire.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import grpc
import grpc.aio

from genesis_builder import TestWorld
from ledger_driver import LedgerDriver
from mtls_sites import LONG
from sento_client.keyfiles import write_secret
from sento_drill.pki import Authority, issue_site
from sento_node.clock import SystemClock
from sento_node.condition import Condition
from sento_node.config import Peer, Tls
from sento_node.epochs.here import EpochHere
from sento_node.ledger.adopt import OfferedBlock, adopt_chunk
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.store import KeptCheckpoint
from sento_node.peers import PeerNode
from sento_node.service.chunk_giving import chunk_pieces, plan_reply
from sento_node.service.errors import abort
from sento_node.service.node_state import NodeState
from sento_node.sync.deciding import Anchor
from sento_node.sync.downloading import Downloader
from sento_node.sync.entries import merged, offered_blocks
from sento_node.sync.making import payload_chunk, spine_chunk
from sento_node.sync.parts import Parts
from sento_node.sync.pulling import CopySettings, Puller
from sento_node.sync.rate_cap import RateCap
from sento_node.sync.shelf import Shelf
from sento_proto.checkpoint import Checkpoint, decode_checkpoint, encode_checkpoint
from sento_proto.chunk import decode_chunk, decode_payloads
from sento_proto.errors import SentoError
from sento_proto.governance.state import Governance
from sento_proto.v1 import sync_pb2, sync_pb2_grpc

Context = grpc.aio.ServicerContext[object, object]
Pieces = AsyncIterator[sync_pb2.ChunkPiece]
Spoil = Callable[[sync_pb2.FetchChunkRequest, Pieces], Pieces]
SpoilPlan = Callable[[sync_pb2.PlanReply], sync_pb2.PlanReply]
COPIER = "jp-fukuoka"


def ledger_with(world: TestWorld, count: int, *, every: int = 20, payload_bytes: int = 700) -> LedgerDriver:
    """A flushed ledger of so many records of three registries, with a quorum checkpoint every `every` records."""
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    authors = {"residency": "iizuka-city", "tax": "iizuka-city", "health": "iizuka-hospital"}
    for start in range(0, count, every):
        for nth, (registry, author) in enumerate(authors.items()):
            names = [f"{registry}-{at}" for at in range(start, min(start + every, count)) if at % 3 == nth]
            if names:
                content = b"x" * payload_bytes
                records = [
                    driver.record(name, author=author, registry=registry, content=content) for name in names
                ]
                driver.codes(records, author)
        driver.flush()
        driver.store.put_checkpoint(driver.checkpoint())
    return driver


def as_it_was(driver: LedgerDriver, size: int) -> LedgerDriver:
    """The same ledger as of one of its checkpoints: an old and valid state."""
    store = MemoryStore(MemoryDisk(driver.world.ledger_id))
    older = Target(driver.world, LedgerDriver(driver.world, store))
    kept = driver.store.checkpoint(size)
    assert kept is not None
    spine = decode_chunk(spine_chunk(driver.store, driver.governance, 0, kept.block))
    payloads = decode_chunk(payload_chunk(driver.store, driver.governance, "", 0, size))
    by_position = {item.position: item.data for item in decode_payloads(payloads)}
    older.take(merged(offered_blocks(spine), by_position), decode_checkpoint(kept.note))
    return older.driver


class GivingSite(sync_pb2_grpc.SyncServicer):
    """One site. `spoil` and `spoil_plan` change what leaves it; `asked` and `sent_bytes` say what was asked of it and what left."""

    def __init__(self, name: str, driver: LedgerDriver, authority: Authority) -> None:
        self.name = name
        self.driver = driver
        self.spoil: Spoil | None = None
        self.spoil_plan: SpoilPlan | None = None
        self.asked: list[sync_pb2.FetchChunkRequest] = []
        self.plans = 0
        self.sent_bytes = 0
        self.callers: set[str] = set()
        self._authority = authority
        self._shelf = Shelf()
        self._server: grpc.aio.Server | None = None
        self.port = 0

    @property
    def node(self) -> NodeState:
        node = SimpleNamespace(
            store=self.driver.store,
            genesis=self.driver.world.genesis,
            governance=self.driver.governance,
            epoch=EpochHere(),
        )
        return cast("NodeState", node)

    async def start(self) -> None:
        """Listen, the first time on a port that is free."""
        pair = issue_site(self._authority, self.name, LONG)
        credentials = grpc.ssl_server_credentials(
            [(pair.key_pem, pair.certificate_pem)], self._authority.certificate_pem, True
        )
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        sync_pb2_grpc.add_SyncServicer_to_server(self, self._server)
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        await self._server.start()

    async def stop(self) -> None:
        """Gone, with all streams."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def Plan(self, request: sync_pb2.PlanRequest, context: Context) -> sync_pb2.PlanReply:  # noqa: N802
        self.plans += 1
        try:
            reply = await plan_reply(self.node, request)
        except SentoError as error:
            await abort(context, error)
        return reply if self.spoil_plan is None else self.spoil_plan(reply)

    async def FetchChunk(self, request: sync_pb2.FetchChunkRequest, context: Context) -> Pieces:  # noqa: N802
        self.asked.append(request)
        self.callers.add(context.peer())
        pieces: Pieces = chunk_pieces(self.node, self._shelf, request)
        if self.spoil is not None:
            pieces = self.spoil(request, pieces)
        try:
            async for piece in pieces:
                self.sent_bytes += len(piece.data)
                yield piece
        except SentoError as error:
            await abort(context, error)


class Target:
    """A ledger that copies: in memory unless a driver is given."""

    def __init__(self, world: TestWorld, driver: LedgerDriver | None = None) -> None:
        self.driver = driver or LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
        self.adopted: list[int] = []

    @property
    def governance(self) -> Governance:
        return self.driver.governance

    @property
    def block(self) -> int:
        return self.driver.state.block

    @property
    def size(self) -> int:
        return self.driver.state.size

    async def adopt(self, blocks: Sequence[OfferedBlock], checkpoint: Checkpoint) -> None:
        self.take(blocks, checkpoint)

    def take(self, blocks: Sequence[OfferedBlock], checkpoint: Checkpoint) -> None:
        """Prove, adopt, flush."""
        adopt_chunk(self.driver.state, blocks, checkpoint)
        self.driver.flush()
        kept = KeptCheckpoint(self.size, self.block, encode_checkpoint(checkpoint))
        self.driver.store.put_checkpoint(kept)
        self.adopted.append(self.size)


@dataclass
class CopyingWorld:
    """Givers by name and one target. `copy` runs a whole copying."""

    world: TestWorld
    directory: Path
    target: Target
    sites: dict[str, GivingSite] = field(default_factory=dict)
    condition: Condition = field(default_factory=Condition)
    authority: Authority = field(default_factory=lambda: Authority("test", LONG))

    def tls(self) -> Tls:
        """The copier's certificate files."""
        paths = [self.directory / name for name in ("ca.pem", "site.pem", "site.key")]
        if not paths[2].exists():
            pair = issue_site(self.authority, COPIER, LONG)
            paths[0].write_bytes(self.authority.certificate_pem)
            paths[1].write_bytes(pair.certificate_pem)
            write_secret(paths[2], pair.key_pem)
        return Tls(ca=paths[0], certificate=paths[1], key=paths[2])

    async def add(self, name: str, driver: LedgerDriver) -> GivingSite:
        """A giver that listens."""
        site = self.sites[name] = GivingSite(name, driver, self.authority)  # type: ignore[abstract]
        await site.start()
        return site

    def peers(self) -> dict[str, PeerNode]:
        """The givers as the copier reaches them."""
        return {
            name: PeerNode(Peer(name=name, address=f"127.0.0.1:{site.port}"), self.tls())
            for name, site in self.sites.items()
        }

    @property
    def parts(self) -> Path:
        return self.directory / "sync"

    async def copy(
        self,
        settings: CopySettings | None = None,
        anchor: Anchor | None = None,
        room_bytes: Callable[[], int] | None = None,
    ) -> None:
        """Copy until every site that answers was read to its end."""
        peers = self.peers()
        downloader = Downloader(Parts(self.parts, room_bytes), RateCap(0), SystemClock())
        puller = Puller(
            peers, downloader, self.target, SystemClock(), self.condition, settings or CopySettings(), anchor
        )
        try:
            await puller.copy()
        finally:
            for peer in peers.values():
                await peer.close()

    def is_copy_of(self, driver: LedgerDriver) -> bool:
        """Whether the target holds the same records with the same payloads."""
        mine, others = self.target.driver.store, driver.store
        return (mine.tip.size, mine.tip.block) == (others.tip.size, others.tip.block) and all(
            mine.record(at) == others.record(at) for at in range(others.tip.size)
        )


@contextlib.asynccontextmanager
async def copying_world(world: TestWorld, directory: Path) -> AsyncIterator[CopyingWorld]:
    """Nobody gives yet."""
    place = CopyingWorld(world, directory, Target(world))
    try:
        yield place
    finally:
        for site in place.sites.values():
            await site.stop()
