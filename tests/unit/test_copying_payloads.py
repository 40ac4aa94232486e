"""Payloads after the spine: registry by registry, proven one by one, from whoever has them; what an order had destroyed meanwhile is not stored."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from acts import carry_out_erasure, erase
from copying_world import COPIER, CopyingWorld, Pieces, copying_world, ledger_with
from genesis_builder import build_genesis
from ledger_driver import LedgerDriver
from sento_node.clock import SystemClock
from sento_node.sync import making, payload_walk, sources
from sento_node.sync.downloading import Downloader
from sento_node.sync.filling import Filler
from sento_node.sync.parts import Parts
from sento_node.sync.pulling import UNPROVEN, CopySettings
from sento_node.sync.rate_cap import RateCap
from sento_proto.chunk import Chunk, Payload, decode_chunk, decode_payloads, encode_chunk, encode_payloads
from sento_proto.chunk import chunk_id as id_of
from sento_proto.v1 import sync_pb2

COUNT = 120
HONEST, HOSTILE = "jp-ibaraki", "jp-ishikawa"
ORDER = ("health", "residency", "tax")
SETTINGS = CopySettings(streams=1, payloads="after", payload_order=ORDER)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bulk from five payloads on, small chunks, short pauses."""
    monkeypatch.setattr(payload_walk, "MANY", 5)
    monkeypatch.setattr(payload_walk, "STRETCH_RECORDS", 50)
    monkeypatch.setattr(making, "PAYLOAD_CHUNK_BYTES", 8_000)
    monkeypatch.setattr(sources, "REST_FIRST_MS", 1)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[CopyingWorld]:
    """A target that has the spine of a ledger and none of its payloads."""
    world = build_genesis(rules=4)
    async with copying_world(world, tmp_path) as made:
        ledger = ledger_with(world, COUNT)
        await made.add(HONEST, ledger)
        await made.copy(SETTINGS)
        assert made.target.driver.store.awaited(COUNT) == list(range(COUNT))
        made.sites[HONEST].asked.clear()
        yield made


def ledger_of(place: CopyingWorld) -> LedgerDriver:
    return place.sites[HONEST].driver


async def filled(place: CopyingWorld, settings: CopySettings = SETTINGS) -> int:
    """One pass of filling from the places' sites."""
    peers = place.peers()
    with ThreadPoolExecutor(1) as writer:
        filler = Filler(
            peers,
            Downloader(Parts(place.parts), RateCap(0), SystemClock()),
            place.target.driver.store,
            writer,
            lambda: place.target.governance,
            SystemClock(),
            place.condition,
            settings,
        )
        try:
            filler.look()
            return await filler.fill()
        finally:
            for peer in peers.values():
                await peer.close()


async def test_payloads_come_registry_by_registry_in_the_order_of_the_setting(place: CopyingWorld) -> None:
    assert await filled(place) == COUNT
    assert place.is_copy_of(ledger_of(place))
    asked = [request.registry for request in place.sites[HONEST].asked]
    assert list(dict.fromkeys(asked)) == [*ORDER, "governance", "keys"]
    assert asked == sorted(asked, key=[*ORDER, "governance", "keys"].index), "one after another"
    assert list(place.parts.iterdir()) == []


async def test_several_streams_bring_the_same_and_nothing_twice(place: CopyingWorld) -> None:
    assert await filled(place, CopySettings(payload_order=ORDER)) == COUNT
    assert place.is_copy_of(ledger_of(place))
    asked = [(one.registry, one.from_position) for one in place.sites[HONEST].asked]
    assert len(asked) == len(set(asked))


def rewritten(change: dict[int, bytes]) -> object:
    """Gives other bytes as the payloads at these positions, in chunks that are whole in themselves."""

    async def spoil(_: sync_pb2.FetchChunkRequest, pieces: Pieces) -> Pieces:
        chunk = decode_chunk(b"".join([piece.data async for piece in pieces]))
        items = [
            Payload(item.position, change.get(item.position, item.data)) for item in decode_payloads(chunk)
        ]
        data = encode_chunk(Chunk(chunk.name, encode_payloads(items), b""))
        yield sync_pb2.ChunkPiece(chunk_id=id_of(data), total_bytes=len(data), data=data)

    return spoil


async def test_a_payload_that_is_not_what_was_signed_is_not_stored_and_its_giver_is_refused(
    place: CopyingWorld,
) -> None:
    honest = place.sites.pop(HONEST)
    hostile = await place.add(HOSTILE, honest.driver)
    hostile.spoil = rewritten({1: b"y" * 900})  # type: ignore[assignment]
    place.sites[HONEST] = honest
    assert await filled(place) == COUNT
    assert place.is_copy_of(honest.driver)
    assert place.condition.alarms[UNPROVEN].startswith(f"{HOSTILE} offered payloads")


async def test_what_one_site_lacks_another_gives(place: CopyingWorld) -> None:
    honest = place.sites.pop(HONEST)
    poor = await place.add(COPIER, place.target.driver)
    place.sites[HONEST] = honest
    assert await filled(place) == COUNT
    assert poor.asked
    assert place.is_copy_of(honest.driver)


async def test_a_silent_site_alone_ends_the_pass_and_leaves_the_rest_for_the_next(
    place: CopyingWorld,
) -> None:
    site = place.sites[HONEST]
    await site.stop()
    assert await filled(place) == 0
    await site.start()
    assert await filled(place) == COUNT


async def test_what_an_order_had_destroyed_here_meanwhile_is_not_stored(place: CopyingWorld) -> None:
    """The giver does not know the order yet and gives the payload."""
    target, ledger = place.target.driver, ledger_of(place)
    doomed = ledger.store.record(7)
    order = target.state.size
    assert target.act(erase(doomed.record_hash)).name == "ACCEPTED"
    assert target.act(carry_out_erasure(order)).name == "ACCEPTED"
    target.flush()
    assert await filled(place) == COUNT - 1
    assert target.store.awaited(COUNT) == [7]
    assert (
        target.store.record(8).payload_hash == hashlib.sha256(target.store.record(8).payload or b"").digest()
    )
