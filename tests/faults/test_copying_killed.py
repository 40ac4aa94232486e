"""A site killed while it copies: the next life goes on at the byte, fetches nothing that is on its disk, and ends with the whole ledger."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from copying_world import CopyingWorld, GivingSite, Pieces, copying_world, ledger_with
from genesis_builder import build_genesis
from sento_drill.waiting import until
from sento_node import bounds
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.sync import making
from sento_proto.v1 import sync_pb2

COUNT = 120
GIVER = "jp-ibaraki"
PIECE_BYTES = 4_000
CHILD = Path(__file__).parents[1] / "support" / "copying_child.py"
WAIT_S = 60


async def child(place: CopyingWorld, site: GivingSite) -> asyncio.subprocess.Process:
    """One life of the copier."""
    place.tls()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(CHILD.parent), *sys.path])}
    return await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(place.directory), str(site.port), GIVER,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=environment,
    )  # fmt: skip


@pytest.mark.parametrize("pieces_first", [1, 4])
async def test_a_copier_killed_in_the_middle_goes_on_at_the_byte_in_its_next_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces_first: int
) -> None:
    monkeypatch.setattr(making, "SPINE_RECORDS", 40)
    monkeypatch.setattr(bounds, "CHUNK_PIECE_BYTES", PIECE_BYTES)
    world = build_genesis()
    async with copying_world(world, tmp_path) as place:
        site = await place.add(GIVER, ledger_with(world, COUNT))
        await place.copy()
        whole, site.sent_bytes = site.sent_bytes, 0
        site.asked.clear()

        async def stalls(_: sync_pb2.FetchChunkRequest, pieces: Pieces) -> Pieces:
            left = pieces_first
            async for piece in pieces:
                yield piece
                left -= 1
                if not left:
                    await asyncio.Event().wait()

        def on_disk() -> int:
            return sum(path.stat().st_size - 48 for path in place.parts.glob("*.part"))

        async def all_that_was_sent_is_there() -> bool:
            return len(site.asked) >= 4 and on_disk() == site.sent_bytes >= 4 * PIECE_BYTES

        site.spoil = stalls
        first = await child(place, site)
        try:
            await until(all_that_was_sent_is_there, deadline_s=WAIT_S, what="nothing came")
        finally:
            first.kill()
            await first.wait()
        kept, asked = on_disk(), len(site.asked)
        site.spoil = None
        second = await child(place, site)
        try:
            said, _ = await asyncio.wait_for(second.communicate(), WAIT_S)
        finally:
            if second.returncode is None:
                second.kill()
                await second.wait()
        assert (second.returncode, said.split()[-1:]) == (0, [str(COUNT).encode()])
        assert site.sent_bytes == whole, "no byte was sent twice"
        assert kept > 0
        assert {request.offset for request in site.asked[asked:]} & {PIECE_BYTES * pieces_first}
        store = LmdbStore.open(tmp_path / "ledger", world.ledger_id)
        try:
            records = list(store.records(0, COUNT))
            assert [kept.payload for kept in records] == [
                kept.payload for kept in site.driver.store.records(0, COUNT)
            ]
        finally:
            store.close()
