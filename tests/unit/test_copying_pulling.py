"""Copying another site's ledger over real connections: cut anywhere and gone on with, false and old givers left, this site's own troubles outlived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from copying_world import (
    CopyingWorld,
    GivingSite,
    Pieces,
    Spoil,
    Target,
    as_it_was,
    copying_world,
    ledger_with,
)
from genesis_builder import TestWorld, build_genesis
from ledger_driver import LedgerDriver
from sento_drill.waiting import until
from sento_node import bounds
from sento_node.compose import root_at
from sento_node.ledger.store import LedgerDamaged
from sento_node.sync import making, pulling, sources
from sento_node.sync.deciding import Anchor
from sento_node.sync.downloading import PAYLOADS_MAX_BYTES
from sento_node.sync.pulling import NO_ROOM, UNPROVEN, CopySettings
from sento_proto.chunk import CHUNK_MAX_BYTES
from sento_proto.v1 import sync_pb2

COUNT = 120
PIECE_BYTES = 4_000
HONEST, HOSTILE = "jp-ibaraki", "jp-ishikawa"
TOGETHER, AFTER = CopySettings(payloads="together"), CopySettings(payloads="after")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 40 records, small pieces, short pauses."""
    monkeypatch.setattr(making, "SPINE_RECORDS", 40)
    monkeypatch.setattr(bounds, "CHUNK_PIECE_BYTES", PIECE_BYTES)
    monkeypatch.setattr(sources, "REST_FIRST_MS", 1)
    monkeypatch.setattr(sources, "OLD_REST_MS", 10)


@pytest.fixture(scope="module")
def world() -> TestWorld:
    return build_genesis()


@pytest.fixture(scope="module")
def ledger(world: TestWorld) -> LedgerDriver:
    return ledger_with(world, COUNT)


@pytest.fixture
async def place(world: TestWorld, tmp_path: Path) -> AsyncIterator[CopyingWorld]:
    async with copying_world(world, tmp_path) as made:
        yield made


@pytest.mark.parametrize("settings", [TOGETHER, CopySettings()], ids=["together", "auto"])
async def test_a_ledger_comes_whole_over_several_connections_and_nothing_stays_on_the_disk(
    place: CopyingWorld, ledger: LedgerDriver, settings: CopySettings
) -> None:
    site = await place.add(HONEST, ledger)
    await place.copy(settings)
    assert place.is_copy_of(ledger)
    assert place.target.adopted == [40, 80, 120], "in order, stretch by stretch"
    assert len(site.callers) > 1, "each stream has a TCP connection of its own"
    assert list(place.parts.iterdir()) == []
    assert not place.condition.alarms


async def test_a_spine_alone_leaves_every_payload_awaited_and_a_second_copying_fetches_nothing(
    place: CopyingWorld, ledger: LedgerDriver
) -> None:
    site = await place.add(HONEST, ledger)
    await place.copy(AFTER)
    store = place.target.driver.store
    assert (store.tip.size, store.awaited(COUNT + 1)) == (COUNT, list(range(COUNT)))
    assert all(request.kind == sync_pb2.SPINE for request in site.asked)
    asked = len(site.asked)
    await place.copy(AFTER)
    assert len(site.asked) == asked


def cutting(every_bytes: int) -> Spoil:
    """Each call ends after so many bytes, in the middle of a piece."""

    async def spoil(_: sync_pb2.FetchChunkRequest, pieces: Pieces) -> Pieces:
        left = every_bytes
        async for piece in pieces:
            if len(piece.data) >= left:
                piece.data = piece.data[:left]
                yield piece
                return
            left -= len(piece.data)
            yield piece

    return spoil


@pytest.mark.parametrize("every_bytes", [997, 4_001, 12_345])
async def test_a_line_cut_at_every_nth_byte_goes_on_there_and_no_byte_is_sent_twice(
    place: CopyingWorld, ledger: LedgerDriver, every_bytes: int
) -> None:
    site = await place.add(HONEST, ledger)
    await place.copy(TOGETHER)
    whole = site.sent_bytes
    site.sent_bytes, place.target = 0, Target(place.world)
    site.spoil = cutting(every_bytes)
    await place.copy(TOGETHER)
    assert place.is_copy_of(ledger)
    assert site.sent_bytes == whole
    assert any(request.offset % every_bytes == 0 and request.offset for request in site.asked)


async def silence(_: sync_pb2.FetchChunkRequest, pieces: Pieces) -> Pieces:
    """One piece, and then nothing for ever."""
    async for piece in pieces:
        yield piece
        await asyncio.Event().wait()


async def test_a_copying_that_is_ended_and_begun_again_goes_on_at_the_byte(
    place: CopyingWorld, ledger: LedgerDriver
) -> None:
    site = await place.add(HONEST, ledger)
    await place.copy(TOGETHER)
    whole, site.sent_bytes, place.target = site.sent_bytes, 0, Target(place.world)
    site.spoil = silence
    first = asyncio.create_task(place.copy(TOGETHER))

    async def some() -> bool:
        return sum(path.stat().st_size > PIECE_BYTES for path in place.parts.glob("*.part")) == 4

    await until(some, deadline_s=20, what="no part came")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    site.spoil, asked = None, len(site.asked)
    await place.copy(TOGETHER)
    assert place.is_copy_of(ledger)
    assert site.sent_bytes == whole
    assert PIECE_BYTES in {request.offset for request in site.asked[asked:]}


# -- false givers -----------------------------------------------------------------------------------------------------


async def garbage(_: sync_pb2.FetchChunkRequest, pieces: Pieces) -> Pieces:
    async for piece in pieces:
        piece.data = bytes(byte ^ 0x55 for byte in piece.data)
        yield piece


async def huge(_: sync_pb2.FetchChunkRequest, pieces: Pieces) -> Pieces:
    async for piece in pieces:
        if piece.total_bytes:
            piece.total_bytes = CHUNK_MAX_BYTES + 1
        yield piece


async def payloads_without_measure(request: sync_pb2.FetchChunkRequest, pieces: Pieces) -> Pieces:
    async for piece in pieces:
        if piece.total_bytes and request.kind == sync_pb2.PAYLOADS:
            piece.total_bytes = PAYLOADS_MAX_BYTES + 1
        yield piece


async def longer_than_it_said(_: sync_pb2.FetchChunkRequest, pieces: Pieces) -> Pieces:
    async for piece in pieces:
        if piece.total_bytes:
            piece.total_bytes -= 1
        yield piece


async def without_bytes(_: sync_pb2.FetchChunkRequest, pieces: Pieces) -> Pieces:
    async for piece in pieces:
        yield piece
        break
    while True:
        yield sync_pb2.ChunkPiece()


async def somewhere_else(_: sync_pb2.FetchChunkRequest, pieces: Pieces) -> Pieces:
    async for piece in pieces:
        if piece.total_bytes:
            piece.offset += 1
        yield piece


class Swapped:
    """Gives one chunk's bytes under another's name."""

    def __init__(self) -> None:
        self.kept: dict[int, list[sync_pb2.ChunkPiece]] = {}

    async def __call__(self, request: sync_pb2.FetchChunkRequest, pieces: Pieces) -> Pieces:
        kept = self.kept.setdefault(request.kind, [piece async for piece in pieces])
        for piece in kept:
            yield piece


FAULTS = [
    garbage,
    huge,
    payloads_without_measure,
    longer_than_it_said,
    without_bytes,
    somewhere_else,
    Swapped(),
]


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: getattr(spoil, "__name__", "swapped"))
async def test_a_false_giver_is_refused_by_name_and_the_honest_one_gives_the_rest(
    place: CopyingWorld, ledger: LedgerDriver, spoil: Spoil
) -> None:
    hostile = await place.add(HOSTILE, ledger)
    hostile.spoil = spoil
    await place.add(HONEST, ledger)
    await place.copy(TOGETHER)
    assert place.is_copy_of(ledger)
    assert place.condition.alarms[UNPROVEN].startswith(f"{HOSTILE} offered a ledger that does not prove")
    assert not list(place.parts.iterdir())


async def endless(_: sync_pb2.FetchChunkRequest, pieces: Pieces) -> Pieces:
    async for piece in pieces:
        yield piece
    while True:
        yield sync_pb2.ChunkPiece(data=b"x" * PIECE_BYTES)


async def test_what_comes_endlessly_beyond_a_chunks_end_is_not_read(
    place: CopyingWorld, ledger: LedgerDriver
) -> None:
    site = await place.add(HONEST, ledger)
    site.spoil = endless
    await place.copy(TOGETHER)
    assert place.is_copy_of(ledger)
    assert list(place.parts.iterdir()) == []


async def test_a_giver_whose_chunks_end_too_early_every_time_is_left_for_another(
    place: CopyingWorld, ledger: LedgerDriver
) -> None:
    async def nothing(_: sync_pb2.FetchChunkRequest, pieces: Pieces) -> Pieces:
        async for piece in pieces:
            piece.data = b""
            yield piece
            return

    truncating = await place.add(HOSTILE, ledger)
    truncating.spoil = nothing
    await place.add(HONEST, ledger)
    await place.copy(TOGETHER)
    assert place.is_copy_of(ledger)
    assert not place.condition.alarms, "that may have been the line"


async def test_another_ledgers_chunks_are_not_adopted(place: CopyingWorld, ledger: LedgerDriver) -> None:
    other = ledger_with(build_genesis(name="elsewhere"), 60)
    await place.add(HOSTILE, other)
    await place.add(HONEST, ledger)
    await place.copy(TOGETHER)
    assert place.is_copy_of(ledger)
    assert "another ledger" in place.condition.alarms[UNPROVEN]


async def test_a_valid_but_old_state_holds_nobody_back(place: CopyingWorld, ledger: LedgerDriver) -> None:
    old = await place.add(HOSTILE, as_it_was(ledger, 60))
    await place.add(HONEST, ledger)
    await place.copy(TOGETHER)
    assert place.is_copy_of(ledger)
    assert not place.condition.alarms
    assert old.asked, "what it has is good, and was taken"


async def test_givers_that_are_all_behind_this_ledger_have_nothing_to_give_and_it_is_finished(
    place: CopyingWorld, ledger: LedgerDriver
) -> None:
    site = await place.add(HONEST, ledger)
    await place.copy(AFTER)
    site.driver = as_it_was(ledger, 60)
    site.asked.clear()
    await place.copy(AFTER)
    assert not site.asked
    assert not place.condition.alarms


def spoiled_plans() -> Iterator[tuple[str, sync_pb2.PlannedChunk]]:
    yield (
        "a gap before it",
        sync_pb2.PlannedChunk(after_block=3, through_block=9, from_position=40, to_position=60),
    )
    yield "back", sync_pb2.PlannedChunk(after_block=0, through_block=0, from_position=0, to_position=0)
    yield (
        "another size",
        sync_pb2.PlannedChunk(after_block=0, through_block=9, from_position=5, to_position=60),
    )


@pytest.mark.parametrize("case", list(spoiled_plans()), ids=lambda case: str(case[0]))
async def test_a_plan_that_does_not_go_on_from_here_is_false(
    place: CopyingWorld, ledger: LedgerDriver, case: tuple[str, sync_pb2.PlannedChunk]
) -> None:
    def spoil(reply: sync_pb2.PlanReply) -> sync_pb2.PlanReply:
        return sync_pb2.PlanReply(size=reply.size, chunks=[case[1]])

    (await place.add(HOSTILE, ledger)).spoil_plan = spoil
    await place.add(HONEST, ledger)
    await place.copy(TOGETHER)
    assert place.is_copy_of(ledger)
    assert "a plan that does not go on" in place.condition.alarms[UNPROVEN]


# -- the bootstrap file's anchor --------------------------------------------------------------------------------------


def anchor_of(driver: LedgerDriver, size: int, *, false: bool = False) -> Anchor:
    root = root_at(driver.store, size)
    return Anchor(driver.state.epoch, size, bytes(32) if false else root)


async def test_what_is_one_ledger_with_the_anchor_is_adopted_below_and_beyond_it(
    place: CopyingWorld, ledger: LedgerDriver
) -> None:
    await place.add(HONEST, ledger)
    await place.copy(TOGETHER, anchor_of(ledger, 80))
    assert place.is_copy_of(ledger)


async def test_nothing_is_adopted_that_is_not_one_ledger_with_the_anchor(
    place: CopyingWorld, ledger: LedgerDriver
) -> None:
    await place.add(HOSTILE, ledger)
    copying = asyncio.create_task(place.copy(TOGETHER, anchor_of(ledger, 80, false=True)))

    async def refused() -> bool:
        return UNPROVEN in place.condition.alarms

    await until(refused, deadline_s=20, what="no alarm")
    copying.cancel()
    await asyncio.gather(copying, return_exceptions=True)
    assert (place.target.size, place.target.adopted) == (0, [])
    assert "the bootstrap file's at size 80" in place.condition.alarms[UNPROVEN]


async def test_a_giver_that_ends_below_the_anchor_is_left_for_one_that_reaches_it(
    place: CopyingWorld, ledger: LedgerDriver
) -> None:
    await place.add(HOSTILE, as_it_was(ledger, 60))
    honest = await place.add(HONEST, ledger)
    await place.copy(TOGETHER, anchor_of(ledger, 80))
    assert place.is_copy_of(ledger)
    assert honest.asked[0].after_block == 0, "nothing was taken from the old one"


async def test_a_ledger_of_which_every_other_site_has_another_tree_is_itself_the_damaged_one(
    place: CopyingWorld, ledger: LedgerDriver
) -> None:
    for name in (HONEST, HOSTILE):
        await place.add(name, ledger)
    await place.copy(AFTER)
    place.target = Target(place.world, as_it_was(ledger, 40))
    frontier = place.target.driver.state.frontier
    frontier.hashes[-1] = bytes(32)
    with pytest.raises(LedgerDamaged, match="this one's tree of 40 records is another"):
        await place.copy(TOGETHER)
    assert place.target.size == 40


async def test_one_site_alone_convinces_nobody_that_this_ledger_is_the_false_one(
    place: CopyingWorld, ledger: LedgerDriver
) -> None:
    await place.add(HONEST, ledger)
    place.target = Target(place.world, as_it_was(ledger, 40))
    place.target.driver.state.frontier.hashes[-1] = bytes(32)
    copying = asyncio.create_task(place.copy(TOGETHER))

    async def alarmed() -> bool:
        return UNPROVEN in place.condition.alarms

    await until(alarmed, deadline_s=20, what="no alarm")
    assert not copying.done()
    copying.cancel()
    await asyncio.gather(copying, return_exceptions=True)


# -- this site's own trouble ------------------------------------------------------------------------------------------


async def test_a_full_disk_stands_still_in_words_and_goes_on_when_there_is_room(
    place: CopyingWorld, ledger: LedgerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "NO_ROOM_AGAIN_MS", 5)
    room = [0]
    await place.add(HONEST, ledger)
    copying = asyncio.create_task(place.copy(TOGETHER, room_bytes=lambda: room[0]))

    async def told() -> bool:
        return "Free space" in place.condition.alarms.get(NO_ROOM, "")

    await until(told, deadline_s=20, what="no words")
    assert place.target.size == 0
    room[0] = 1 << 40
    await copying
    assert place.is_copy_of(ledger)
    assert NO_ROOM not in place.condition.alarms


async def test_a_part_torn_by_a_power_cut_is_fetched_anew_and_nobody_is_blamed(
    place: CopyingWorld, ledger: LedgerDriver
) -> None:
    site = await place.add(HONEST, ledger)
    site.spoil = silence
    first = asyncio.create_task(place.copy(TOGETHER))

    async def some() -> list[Path]:
        return [path for path in place.parts.glob("*.part") if path.stat().st_size > PIECE_BYTES]

    torn = await until(some, deadline_s=20, what="no part came")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    for path in torn:
        data = bytearray(path.read_bytes())
        data[60:90] = bytes(30)
        path.write_bytes(data)
    site.spoil = None
    await place.copy(TOGETHER)
    assert place.is_copy_of(ledger)
    assert not place.condition.alarms


async def test_a_giver_that_comes_back_after_an_outage_is_gone_on_with(
    place: CopyingWorld, ledger: LedgerDriver
) -> None:
    site: GivingSite = await place.add(HONEST, ledger)
    site.spoil = silence
    copying = asyncio.create_task(place.copy(TOGETHER))

    async def some() -> bool:
        return bool(list(place.parts.glob("*.part")))

    await until(some, deadline_s=20, what="no part came")
    await site.stop()
    site.spoil = None
    await site.start()
    await copying
    assert place.is_copy_of(ledger)
    assert not place.condition.alarms
