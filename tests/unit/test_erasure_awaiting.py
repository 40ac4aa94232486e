"""Payloads that a peer's ledger did not give: fetched, proven, or erased by an order; until then the site vouches for nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import cast

from acts import governed
from ledger_driver import LedgerDriver
from sento_node.erasure.awaiting import GivesPayloads, keep_whole
from sento_node.ledger.memory_store import MemoryStore
from sento_node.peers import FetchedPayload, PeerSilent
from sento_node.site import PAYLOADS_AWAITED, Site
from sento_proto.record import Record


class Peer:
    """A peer that answers with what it was given: None is erased, no entry is silence."""

    def __init__(self, payloads: dict[bytes, bytes | None]) -> None:
        self.payloads = payloads
        self.asked = 0

    async def fetch_payloads(self, record_hashes: Sequence[bytes]) -> AsyncIterator[FetchedPayload]:
        self.asked += 1
        for record_hash in record_hashes:
            if record_hash not in self.payloads:
                raise PeerSilent("gone")
            payload = self.payloads[record_hash]
            yield FetchedPayload(record_hash, payload, payload is None)


class Enough(Exception):
    """The site was whole, or the looks are over."""


def lacking(count: int, missing: Sequence[int]) -> tuple[LedgerDriver, list[Record]]:
    """A flushed ledger of so many records, some of whose payloads are awaited."""
    driver = governed(rules=4)
    records = [driver.record(f"r{n}", content=b"%d" % n) for n in range(count)]
    driver.codes(records)
    driver.flush()
    assert isinstance(driver.store, MemoryStore)
    disk = driver.store.snapshot()
    for position in missing:
        disk.records[position] = disk.records[position]._replace(payload=None, awaited=True)
    return LedgerDriver(driver.world, driver.store.restore(disk)), records


def kept_whole(driver: LedgerDriver, peers: dict[str, Peer], looks: int = 6) -> set[str]:
    """Run until the site is whole or so many looks are over; why it is held back then."""
    held = {PAYLOADS_AWAITED}
    left = [looks]

    def hold_back(reason: str, on: bool) -> None:
        (held.add if on else held.discard)(reason)

    async def sleep(_: float) -> None:
        left[0] -= 1
        if not held or left[0] == 0:
            raise Enough

    site = cast("Site", SimpleNamespace(state=driver.state, checkpoints=SimpleNamespace(hold_back=hold_back)))
    with ThreadPoolExecutor(max_workers=1) as writer:
        peers_given = cast("dict[str, GivesPayloads]", peers)
        with contextlib.suppress(Enough):
            asyncio.run(keep_whole(site, driver.store, writer, peers_given, sleep))
    return held


def test_each_peer_is_asked_until_all_is_there_and_only_then_the_site_vouches_again() -> None:
    driver, records = lacking(4, [1, 2])
    empty = Peer({records[1].record_hash: None, records[2].record_hash: None})
    silent, half = Peer({}), Peer({records[1].record_hash: records[1].payload, records[2].record_hash: None})
    full = Peer({record.record_hash: record.payload for record in records})
    assert kept_whole(driver, {"a": empty, "b": silent, "c": half, "d": full}) == set()
    assert [driver.store.record(at).payload for at in range(4)] == [record.payload for record in records]
    assert (empty.asked, silent.asked, half.asked, full.asked) == (1, 1, 1, 1)


def test_a_peer_that_gives_other_bytes_or_says_erased_is_not_believed() -> None:
    driver, records = lacking(3, [0, 1])
    liar = Peer({records[0].record_hash: records[2].payload, records[1].record_hash: None})
    assert kept_whole(driver, {"liar": liar}) == {PAYLOADS_AWAITED}
    assert driver.store.awaited(9) == [0, 1]
    assert kept_whole(driver, {}) == {PAYLOADS_AWAITED}


def test_an_order_carried_out_meanwhile_ends_the_waiting_without_asking_anybody() -> None:
    driver, records = lacking(3, [1])
    order = driver.state.size
    change = {"do": "erase", "records": [records[1].record_hash.hex()], "legal_basis": "x"}
    driver.act(change)
    driver.flush()
    assert kept_whole(driver, {}) == {PAYLOADS_AWAITED}, "the order alone does not end it"
    driver.act({"do": "carry-out-erasure", "order": order})
    driver.flush()
    assert kept_whole(driver, {}) == set()
    assert driver.store.record(1).erased


def test_a_batch_that_is_not_flushed_yet_keeps_the_site_held_back() -> None:
    driver, _ = lacking(2, [])
    driver.codes([driver.record("late")])
    assert kept_whole(driver, {}) == {PAYLOADS_AWAITED}
    driver.flush()
    assert kept_whole(driver, {}) == set()
