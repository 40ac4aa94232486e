"""Volumes without sites: a ledger in memory whose chunks are made by the node's own code, a source that gives them, a maker with an officer's key."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

from acts import permit
from genesis_builder import OFFICERS, SITES, TestWorld, build_genesis
from ledger_driver import LedgerDriver
from sento_client.composing import Ports
from sento_client.courier.exporting import Maker, Wish, export_set
from sento_client.courier.fetching import SitePlan, Stretch
from sento_client.courier.reading import Judge, signers_of
from sento_client.governing.following import Followed
from sento_client.governing.trust_file import Trusted
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.store import LedgerStore
from sento_node.sync.making import NotPlanned, payload_chunk, plan, spine_chunk
from sento_proto.erasure_certificate import Volume
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import from_genesis
from sento_proto.seal import SealOpener, XWingOpener

REGISTRIES = ("governance", "keys", "residency", "health", "tax")
CITY = "iizuka-city"
SEAL_SECRET = bytes(range(96))
OTHER_SECRET = bytes(range(1, 97))
SMALL_VOLUME_BYTES = 66_000
"""Every chunk beyond the first begins a volume of its own: the tests' ledgers are small."""


class CourierLedger(LedgerDriver):
    """A ledger that keeps a checkpoint whenever it is told to."""

    def keep(self) -> None:
        """Flush, and keep a quorum's checkpoint of it."""
        self.flush()
        self.store.put_checkpoint(self.checkpoint())

    def grow(self, name: str, records: int = 3) -> None:
        """Some records with payloads, and a checkpoint."""
        for at in range(records):
            record = self.record(f"{name}-{at}", content=f"{name} {at}".encode() * 20)
            assert self.codes([record]) == [Code.ACCEPTED]
        self.keep()


def told_ledger(world: TestWorld | None = None, store: LedgerStore | None = None) -> CourierLedger:
    """Records of two registries, acts, an announcement; five checkpoints."""
    world = world or build_genesis(rules=4)
    ledger = CourierLedger(world, store or MemoryStore(MemoryDisk(world.ledger_id)))
    ledger.grow("a")
    assert ledger.act(permit(CITY, "write", ("health", ""))) is Code.ACCEPTED
    ledger.keep()
    assert ledger.codes([ledger.record("h", registry="health", content=b"rash" * 30)]) == [Code.ACCEPTED]
    assert ledger.announce(SITES[1], [1, 2, 3, 4]) is Code.ACCEPTED
    ledger.keep()
    ledger.grow("b")
    ledger.grow("c")
    return ledger


class StoreSource:
    """Chunks of a ledger at hand. `before` is called before each answer, with what is asked; chunks end at every kept checkpoint."""

    def __init__(self, ledger: CourierLedger, before: Callable[[str], None] = lambda _: None) -> None:
        self.ledger = ledger
        self.before = before

    async def plan(self, after_block: int, *, there_is_more: bool = False) -> SitePlan:
        self.before("plan")
        store = self.ledger.store
        found = plan(store, after_block, 0, 1024)
        stretches: list[Stretch] = []
        after, size = after_block, found[0].from_position if found else 0
        while (kept := store.checkpoint_by_block(after + 1)) is not None:
            stretches.append(Stretch(after, kept.block, size, kept.size))
            after, size = kept.block, kept.size
        assert not there_is_more or stretches
        return SitePlan(self.ledger.state.epoch, tuple(stretches), False)

    async def spine(self, after_block: int, through_block: int) -> bytes:
        self.before("spine")
        try:
            return spine_chunk(self.ledger.store, self.ledger.governance, after_block, through_block)
        except NotPlanned as error:
            raise SentoError(Code.OUT_OF_RANGE, str(error)) from None

    async def payloads(self, registry: str, from_position: int, to_position: int) -> bytes:
        self.before("payloads")
        end = min(to_position, from_position + 2)
        return payload_chunk(self.ledger.store, self.ledger.governance, registry, from_position, end)


def maker(ledger: CourierLedger, noted: list[Volume] | None = None) -> Maker:
    """With an officer's key, fixed times and numbers instead of chance."""
    numbers = itertools.count(1)
    ports = Ports(
        wall_ms=lambda: 1_767_225_600_000,
        random_bytes=lambda count: next(numbers).to_bytes(count, "big"),
    )
    taken = [] if noted is None else noted

    async def note(volume: Volume) -> None:
        taken.append(volume)

    return Maker(ledger.world.ledger_id, ledger.world.officer_signers[OFFICERS[0]], ports, note)


def wish(*, sealed: bool = True, kind: str = "courier", volume_bytes: int = SMALL_VOLUME_BYTES) -> Wish:
    """All registries; sealed to one key."""
    recipients = (("relief-desk", XWingOpener(SEAL_SECRET).public_key),) if sealed else ()
    return Wish(kind, volume_bytes, REGISTRIES, recipients)


def exported(
    ledger: CourierLedger, directory: Path, *, sealed: bool = True, kind: str = "courier"
) -> list[Path]:
    """A whole set; its volumes by name."""
    directory.mkdir(exist_ok=True)
    asyncio.run(export_set(StoreSource(ledger), directory, wish(sealed=sealed, kind=kind), maker(ledger)))
    return sorted(directory.glob("*.sento-volume"))


def judge(ledger: CourierLedger, secret: bytes | None = SEAL_SECRET) -> Judge:
    """What a courier knows at the other end: the genesis file, and a key."""
    opener: SealOpener | None = None if secret is None else XWingOpener(secret)
    return Judge(ledger.world.ledger_id, signers_of(from_genesis(ledger.world.genesis)), opener)


def trusted(ledger: CourierLedger) -> Trusted:
    """A trust file that holds the genesis file alone."""
    return Trusted(ledger.world.genesis, Followed.start(ledger.world.genesis), None)


def lmdb_store(directory: Path, world: TestWorld) -> LmdbStore:
    """A ledger on disk."""
    return LmdbStore.open(directory, world.ledger_id, map_bytes=1 << 26)
