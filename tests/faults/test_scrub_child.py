"""The scrub's round finds any byte that was changed where the ledger's newest commit reaches, and nothing where nothing was.

Bytes that mean nothing are not damage: free space within a page, a padding byte behind a node of odd length, pages that no table reaches, the address and the
padding fields that the engine writes and never reads. Which bytes those are is told here by a map of the file that is made without the code under test.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

import ledger_writer
from genesis_builder import TestWorld, build_genesis, make_submission
from ledger_driver import LedgerDriver
from sento_node.ledger.adopt import adopt_chunk
from sento_node.ledger.findings import Finding, Kind
from sento_node.ledger.lmdb_files import database_directory, open_to_read, payloads_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.rows import awaited_key
from sento_node.ledger.segments import segment_numbers, segment_path
from sento_node.ledger.state import LedgerState
from sento_node.scrub.lines import Ended, Said, read_line
from sento_node.scrub.pace import Pace
from sento_node.scrub.round import Round
from sento_node.sync.entries import offered_blocks
from sento_node.sync.making import plan, spine_chunk
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.chunk import decode_chunk

PAGE_BYTES = 4_096
FLIPS = 160
CHILD_TIMEOUT_S = 60


@pytest.fixture(scope="module")
def world() -> TestWorld:
    return build_genesis()


@pytest.fixture(scope="module")
def original(world: TestWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of 320 records with payloads in several segments, versions, refusals, checkpoints, remembered facts and a free list."""
    directory = tmp_path_factory.mktemp("original") / "ledger"
    store = LmdbStore.open(directory, world.ledger_id, segment_max_bytes=40_000)
    driver = LedgerDriver(world, store)
    last = driver.record("moves", about="resident", content=b"first")
    driver.write([last, driver.record("stays", about="resident", content=b"once")])
    for number in range(4):
        last = driver.record("moves", previous=last.record_hash, about="resident", content=b"%d" % number)
        driver.write(
            [
                last,
                driver.record("late", previous=b"\1" * 32),
                driver.record(f"n{number}", content=b"x" * 300),
            ]
        )
        driver.flush()
        store.put_checkpoint(driver.checkpoint())
    driver.order([], data=b"no block at all")
    driver.order([make_submission(world, "iizuka-city", [last]), b"malformed"])
    for number in range(3):
        driver.fill(100, prefix=f"many {number}", content=b"paid", per_block=40)
        driver.flush()
        store.put_checkpoint(driver.checkpoint())
    store.remember("cosigned", b"some 44 bytes that the site must not forget.")
    store.remember("boot/jp-fukuoka", b"7 and a life")
    store.close()
    return directory


@pytest.fixture
def directory(original: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(original, tmp_path / "ledger"))


def found(directory: Path, world: TestWorld) -> list[Finding]:
    work = Round(directory, world.genesis, Pace(0, lambda: 0.0, lambda _: None), lambda _: None)
    return [finding for finding in work.findings() if finding.kind is not Kind.ERASED]


def flip(path: Path, offset: int, bit: int) -> None:
    with path.open("r+b") as file:
        old = os.pread(file.fileno(), 1, offset)[0]
        os.pwrite(file.fileno(), bytes([old ^ 1 << bit]), offset)


def meant_bytes(data: bytes) -> list[int]:
    """Offsets of all bytes of a database file that the newest commit reaches and that mean something."""
    tables = _Map(data)
    return sorted(tables.meant)


class _Map:
    """A second reader of the file, for the test alone: which bytes are headers, nodes, keys and values of reachable pages."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.meant: set[int] = set()
        metas = [struct.unpack_from("<Q", data, at + 16 + 24 + 96 + 8)[0] for at in (0, PAGE_BYTES)]
        newest = PAGE_BYTES * metas.index(max(metas))
        at = newest + 16 + 24
        self.meant.update(range(newest, newest + 8))
        self.meant.update(range(newest + 10, newest + 12))
        self.meant.update(range(newest + 16, newest + 24))
        self._database(at)
        self._database(at + 48)
        self.meant.update(range(at + 96, at + 112))

    def _database(self, at: int) -> None:
        """A table's record of itself, and its tree. Its padding says nothing."""
        self.meant.update(range(at + 4, at + 48))
        root = struct.unpack_from("<Q", self._data, at + 40)[0]
        if root != (1 << 64) - 1:
            self._page(root)

    def _page(self, number: int) -> None:
        data, at = self._data, number * PAGE_BYTES
        flags, lower = struct.unpack_from("<HH", data, at + 10)
        self.meant.update((*range(at, at + 8), *range(at + 10, at + lower)))
        for offset in struct.unpack_from(f"<{(lower - 16) // 2}H", data, at + 16):
            low, high, more, key_bytes = struct.unpack_from("<HHHH", data, at + offset)
            node = at + offset
            self.meant.update(range(node, node + 8 + key_bytes))
            if flags == 1:
                self._page(low | high << 16 | more << 32)
                continue
            size = low | high << 16
            begin = node + 8 + key_bytes
            if more & 1:
                self.meant.update(range(begin, begin + 8))
                page = struct.unpack_from("<Q", data, begin)[0] * PAGE_BYTES
                self.meant.update((*range(page, page + 8), *range(page + 10, page + 16 + size)))
            elif more & 2:
                self._database(begin)
            else:
                self.meant.update(range(begin, begin + size))


def test_a_sound_ledger_has_no_finding(directory: Path, world: TestWorld) -> None:
    assert found(directory, world) == []


def without_payloads(original: Path, world: TestWorld, directory: Path) -> list[int]:
    """The ledger as a site has it that copied headers and waits for the payloads; the positions that it awaits."""
    source = LmdbStore.open(original, world.ledger_id)
    store = LmdbStore.open(directory, world.ledger_id)
    state = LedgerState(governance_of(world.genesis, store), store, store.tip, store.window())
    for planned in plan(source, after_block=0, anchor_size=0, limit=100):
        data = spine_chunk(source, state.governance, planned.after_block, planned.through_block)
        chunk = decode_chunk(data)
        adopt_chunk(state, offered_blocks(chunk), decode_checkpoint(chunk.note))
        batch = state.seal_batch()
        assert batch is not None
        store.commit(batch)
        state.batch_flushed()
    awaited = store.awaited(1_000)
    source.close()
    store.close()
    return awaited


def test_payloads_that_are_on_their_way_are_no_damage_and_one_that_nobody_fetches_is(
    original: Path, world: TestWorld, tmp_path: Path
) -> None:
    directory = tmp_path / "copied"
    awaited = without_payloads(original, world, directory)
    assert len(awaited) > 100
    assert found(directory, world) == []
    with lmdb.open(str(database_directory(directory)), max_dbs=20, map_size=1 << 28) as env:
        remembered = env.open_db(b"remembered", create=False)
        with env.begin(write=True) as txn:
            assert txn.delete(awaited_key(awaited[7]), db=remembered)
    assert [finding.position for finding in found(directory, world)] == [awaited[7]]


def test_any_flipped_byte_of_the_database_is_found(directory: Path, world: TestWorld) -> None:
    path = database_directory(directory) / "data.mdb"
    meant = meant_bytes(path.read_bytes())
    chance = random.Random(5)
    unseen = []
    for offset in chance.sample(meant, FLIPS):
        bit = chance.randrange(8)
        flip(path, offset, bit)
        if not found(directory, world):
            unseen.append((offset // PAGE_BYTES, offset % PAGE_BYTES, bit))
        flip(path, offset, bit)
    assert unseen == []
    assert found(directory, world) == []


def test_any_flipped_byte_of_a_segment_is_found_and_names_the_segment(
    directory: Path, world: TestWorld
) -> None:
    payloads = payloads_directory(directory)
    paths = [segment_path(payloads, number) for number in segment_numbers(payloads)]
    assert len(paths) > 2
    places = [(path, offset) for path in paths for offset in range(path.stat().st_size)]
    chance = random.Random(6)
    for path, offset in chance.sample(places, 60):
        bit = chance.randrange(8)
        flip(path, offset, bit)
        findings = found(directory, world)
        flip(path, offset, bit)
        assert findings, (path.name, offset, bit)
        assert {finding.number for finding in findings if finding.part} == {int(path.stem)}


def truncate(directory: Path) -> None:
    path = segment_path(payloads_directory(directory), 2)
    os.truncate(path, path.stat().st_size - 1)


def delete(directory: Path) -> None:
    segment_path(payloads_directory(directory), 1).unlink()


def transpose_segments(directory: Path) -> None:
    one, two = (segment_path(payloads_directory(directory), number) for number in (1, 2))
    aside = one.with_suffix(".aside")
    one.rename(aside)
    two.rename(one)
    aside.rename(two)


def transpose_pages(directory: Path) -> None:
    path = database_directory(directory) / "data.mdb"
    pages = sorted({offset // PAGE_BYTES for offset in meant_bytes(path.read_bytes())} - {0, 1})[5:7]
    with path.open("r+b") as file:
        data = [os.pread(file.fileno(), PAGE_BYTES, number * PAGE_BYTES) for number in pages]
        for number, page in zip(pages, reversed(data), strict=True):
            os.pwrite(file.fileno(), page, number * PAGE_BYTES)


def cut_database(directory: Path) -> None:
    path = database_directory(directory) / "data.mdb"
    os.truncate(path, path.stat().st_size // 2)


def yesterdays_segment(directory: Path) -> None:
    """The file as it was before its last third was written."""
    path = segment_path(payloads_directory(directory), segment_numbers(payloads_directory(directory))[-1])
    os.truncate(path, path.stat().st_size * 2 // 3)


@pytest.mark.parametrize(
    "hurt",
    [truncate, delete, transpose_segments, transpose_pages, cut_database, yesterdays_segment],
    ids=lambda hurt: hurt.__name__,
)
def test_the_child_process_finds_what_was_done_to_files(
    directory: Path, world: TestWorld, tmp_path: Path, hurt: Callable[[Path], None]
) -> None:
    hurt(directory)
    said = child_says(directory, world, tmp_path)
    assert [line for line in said if isinstance(line, Finding)]
    assert isinstance(said[-1], Ended)


def child_says(directory: Path, world: TestWorld, tmp_path: Path) -> list[Said]:
    """What one round of the real process says; it must end by itself."""
    genesis = tmp_path / "genesis.json"
    genesis.write_bytes(world.genesis_bytes)
    done = subprocess.run(
        [sys.executable, "-m", "sento_node.scrub.child", str(directory), str(genesis), "0"],
        capture_output=True, check=False, timeout=CHILD_TIMEOUT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return [read_line(line) for line in done.stdout.splitlines()]


def test_nothing_is_found_in_a_ledger_that_another_process_writes_all_the_time(
    tmp_path: Path, world: TestWorld
) -> None:
    directory = tmp_path / "ledger"
    writer = subprocess.Popen(
        [sys.executable, ledger_writer.__file__, str(directory), "3"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None
        size = 0
        for _ in range(8):
            while True:
                block, size = map(int, writer.stdout.readline().split())
                if block % 12 == 0:
                    break
            assert found(directory, world) == [], f"at size {size}"
            assert writer.poll() is None
        assert size > 100
    finally:
        writer.kill()
        writer.communicate()


GROW = """
import sys, lmdb
env = lmdb.open(sys.argv[1], map_size=1 << 30, max_dbs=16)
with env.begin(write=True) as txn:
    table = env.open_db(b"rows", txn=txn)
    for at in range(300):
        txn.put(b"\\xff" * 8 + at.to_bytes(8, "big"), bytes(64 * 1024), db=table)
"""


def test_a_file_that_grows_by_twenty_mebibytes_during_a_look_is_read_on(directory: Path) -> None:
    database = directory / "database"
    env = open_to_read(directory, beside_writer=True)
    try:
        subprocess.run([sys.executable, "-c", GROW, str(database)], check=True)
        assert (database / "data.mdb").stat().st_size > 19 * 1024 * 1024
        with env.begin() as txn:
            assert txn.id() > 0
    finally:
        env.close()
