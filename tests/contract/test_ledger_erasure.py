"""Erasing from a ledger store, both forms: what is erased is nowhere, what stays is whole, and a crash at any moment leaves a ledger that goes on with it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import pytest

from genesis_builder import TestWorld, build_genesis
from ledger_driver import LedgerDriver, everything
from sento_node.erasure.set_aside import remove_from_aside
from sento_node.ledger import lmdb_erasure, rows
from sento_node.ledger.adopt import (
    NotProven,
    OfferedBlock,
    OfferedRecord,
    OfferedSubmission,
    adopt_chunk,
)
from sento_node.ledger.lmdb_files import database_directory, payloads_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.rows import Locator
from sento_node.ledger.segments import SegmentReader, segment_numbers
from sento_node.ledger.state import LedgerState
from sento_node.ledger.store import LedgerFailed, LedgerStore
from sento_node.ledger.verify import Verification
from sento_node.sync.entries import decode_block_entry, encode_block_entry
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.errors import Code
from sento_proto.record import PAYLOAD_HASH_OF_NOTHING, Record

SEGMENT_MAX_BYTES = 3_000
Start = Callable[[], LedgerStore]


@pytest.fixture
def world() -> TestWorld:
    return build_genesis(rules=4)


@pytest.fixture(params=["memory", "lmdb"])
def start(request: pytest.FixtureRequest, world: TestWorld, tmp_path: Path) -> Iterator[Start]:
    """Opens the ledger; the life before, if any, ends without a word."""
    lives: list[LedgerStore] = []

    def next_life() -> LedgerStore:
        if request.param == "lmdb":
            for store in lives:
                store.close()
            lives.append(opened(tmp_path / "ledger", world))
        else:
            last = lives[-1] if lives else MemoryStore(MemoryDisk(world.ledger_id))
            assert isinstance(last, MemoryStore)
            lives.append(last.crash())
        return lives[-1]

    yield next_life
    for store in lives:
        store.close()


def opened(directory: Path, world: TestWorld) -> LmdbStore:
    return LmdbStore.open(directory, world.ledger_id, segment_max_bytes=SEGMENT_MAX_BYTES)


def written(driver: LedgerDriver, count: int = 24) -> list[Record]:
    """Records with payloads in several segments, flushed in several commits."""
    records = [driver.record(f"r{n}", content=b"content %d" % n) for n in range(count)]
    for low in range(0, count, 5):
        assert set(driver.codes(records[low : low + 5])) == {Code.ACCEPTED}
        driver.flush()
    return records


def erase_all(store: LedgerStore, positions: list[int]) -> int:
    """Step until it is done; how many payloads the steps erased."""
    erased = 0
    for _ in range(100):
        step = store.erase(positions)
        erased += step.payloads_erased
        if step.done:
            return erased
    raise AssertionError("erasing does not end")


def files_hold(directory: Path, payload: bytes) -> bool:
    return any(payload in path.read_bytes() for path in directory.rglob("*") if path.is_file())


def sound(directory: Path, world: TestWorld) -> None:
    verification = Verification(directory, world.genesis)
    told = {str(finding.kind) for finding in verification.findings()}
    assert verification.summary.sound, told


def test_an_erased_payload_is_given_out_no_more_also_after_a_restart_and_all_else_stands(
    start: Start, world: TestWorld
) -> None:
    driver = LedgerDriver(world, start())
    records = written(driver)
    before = everything(driver.store)
    gone = [3, 4, 17]
    assert erase_all(driver.store, gone) == 3
    assert erase_all(driver.store, gone) == 0
    store: LedgerStore = driver.store
    for _ in range(2):
        for position, record in enumerate(records):
            kept = store.record(position)
            assert (kept.payload, kept.erased) == (
                (None, True) if position in gone else (record.payload, False)
            )
            assert kept.record_hash == record.record_hash
        after = everything(store)
        assert {name for name in before if before[name] != after[name]} <= {"records"}
        store = start()
    late = LedgerDriver(world, store)
    late.fill(3, prefix="late", content=b"late")
    late.flush()
    assert store.record(len(records)).payload


def test_erasing_everything_leaves_a_ledger_that_goes_on(start: Start, world: TestWorld) -> None:
    driver = LedgerDriver(world, start())
    count = len(written(driver, 6))
    assert erase_all(driver.store, list(range(count))) == count
    next_life = LedgerDriver(world, start())
    next_life.fill(2, prefix="next", content=b"next")
    next_life.flush()
    assert next_life.store.record(count).payload
    assert next_life.store.record(0).erased
    assert next_life.store.erase(list(range(count))).done


def test_no_byte_of_an_erased_payload_is_left_in_any_file_and_no_neighbour_is_lost(
    world: TestWorld, tmp_path: Path
) -> None:
    directory = tmp_path / "ledger"
    store = opened(directory, world)
    driver = LedgerDriver(world, store)
    records = written(driver)
    assert all(files_hold(directory, record.payload) for record in records)
    last = segment_numbers(payloads_directory(directory))[-1]
    gone = [0, 7, len(records) - 1]
    erase_all(store, gone)
    assert last not in segment_numbers(payloads_directory(directory)), "the running segment is rewritten too"
    store.close()
    for position, record in enumerate(records):
        assert files_hold(directory, record.payload) == (position not in gone), position
    sound(directory, world)


def test_a_crash_before_any_write_flush_or_removal_leaves_a_sound_ledger_that_finishes_the_erasure(
    world: TestWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is copied before each step that touches the disk: every copy is a crash there."""
    directory, crashes = tmp_path / "ledger", tmp_path / "crashes"
    store = opened(directory, world)
    records = written(LedgerDriver(world, store))
    gone = [2, 9, len(records) - 1]
    copies: list[Path] = []

    def crash_here() -> None:
        copies.append(crashes / str(len(copies)))
        shutil.copytree(directory, copies[-1])

    def watched(module: object, name: str) -> None:
        real = getattr(module, name)

        def call(*arguments: object, **named: object) -> object:
            crash_here()
            return real(*arguments, **named)

        monkeypatch.setattr(module, name, call)

    monkeypatch.setattr(lmdb_erasure, "MOVED_BYTES_PER_STEP", 600)
    for name in ("pwrite", "fdatasync", "fsync"):
        watched(os, name)
    watched(Path, "unlink")
    watched(LmdbStore, "_put_row")
    erase_all(store, gone)
    monkeypatch.undo()
    store.close()
    assert len(copies) > 30
    for copy in copies:
        next_life = opened(copy, world)
        for position, record in enumerate(records):
            payload = next_life.record(position).payload
            assert payload == record.payload or (position in gone and payload is None)
        erase_all(next_life, gone)
        next_life.close()
        sound(copy, world)
        for position, record in enumerate(records):
            assert files_hold(copy, record.payload) == (position not in gone), (copy, position)
        shutil.rmtree(copy)


def test_a_step_is_bounded_and_commits_pass_between_two(
    world: TestWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lmdb_erasure, "MOVED_BYTES_PER_STEP", 1)
    monkeypatch.setattr(lmdb_erasure, "MARKED_PER_STEP", 2)
    store = opened(tmp_path / "ledger", world)
    driver = LedgerDriver(world, store)
    records = written(driver, 10)
    steps = 0
    while not store.erase([0, 1, 2]).done:
        steps += 1
        driver.fill(1, prefix=f"between-{steps}", content=b"x" * 50)
        driver.flush()
    assert steps > 4
    assert [store.record(at).erased for at in range(4)] == [True, True, True, False]
    assert [store.record(at).payload for at in range(3, 10)] == [one.payload for one in records[3:]]
    store.close()
    assert not any(files_hold(tmp_path / "ledger", record.payload) for record in records[:3])
    sound(tmp_path / "ledger", world)


def test_a_damaged_neighbour_is_awaited_from_another_site_and_not_carried_over(
    world: TestWorld, tmp_path: Path
) -> None:
    directory = tmp_path / "ledger"
    store = opened(directory, world)
    records = written(LedgerDriver(world, store), 4)
    (segment, *_) = sorted(payloads_directory(directory).iterdir())
    data = bytearray(segment.read_bytes())
    data[data.index(records[1].payload) + 10] ^= 1
    segment.write_bytes(data)
    erase_all(store, [0])
    assert store.awaited(9) == [1]
    assert (store.record(1).payload, store.record(1).awaited) == (None, True)
    with pytest.raises(ValueError, match="position 1"):
        store.fill([(1, records[2].payload)])
    assert store.fill([(1, records[1].payload)]) == 1
    assert (store.awaited(9), store.record(1).payload) == ([], records[1].payload)
    store.close()
    sound(directory, world)


def test_a_reader_whose_row_is_older_than_the_rewriting_of_its_segment_gets_the_payload_all_the_same(
    world: TestWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path / "ledger", world)
    records = written(LedgerDriver(world, store), 6)
    read = SegmentReader.read
    rewritten: list[int] = []

    def read_late(reader: SegmentReader, position: int, payload_hash: bytes, locator: Locator) -> bytes:
        if not rewritten:
            rewritten.append(position)
            erase_all(store, [0])
        return read(reader, position, payload_hash, locator)

    monkeypatch.setattr(SegmentReader, "read", read_late)
    assert store.record(1).payload == records[1].payload
    rewritten.clear()
    monkeypatch.setattr(SegmentReader, "read", read)
    assert store.record(0).erased
    store.close()


def offered(store: LedgerStore, number: int) -> OfferedBlock:
    """A block as another site's ledger gives it over the wire."""
    block = store.block(number)
    records = {record.position: record for record in store.records(block.size_before, block.size_after)}
    return decode_block_entry(encode_block_entry(block, records))


def adopted(world: TestWorld, giver: LedgerDriver, start: Start) -> LedgerStore:
    """A ledger that took everything from another site's."""
    store = start()
    state = LedgerState(LedgerDriver(world, store).governance, store, store.tip)
    blocks = [offered(giver.store, number) for number in range(1, giver.store.tip.block + 1)]
    adopt_chunk(state, blocks, decode_checkpoint(giver.checkpoint().note))
    batch = state.seal_batch()
    assert batch is not None
    store.commit(batch)
    return store


def test_what_a_peer_does_not_give_is_awaited_until_a_site_that_has_it_gives_it(
    start: Start, world: TestWorld
) -> None:
    giver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    records = written(giver, 6)
    giver.store.erase([1, 4])
    store = adopted(world, giver, start)
    for _ in range(2):
        assert store.awaited(9) == [1, 4]
        assert [store.record(at).awaited for at in range(6)] == [False, True, False, False, True, False]
        assert store.record(2).payload == records[2].payload
        store = start()
    assert store.fill([(1, records[1].payload), (2, records[2].payload)]) == 1
    assert store.awaited(9) == [4]
    assert store.record(1).payload == records[1].payload


def test_a_payload_that_an_order_had_destroyed_is_not_written_though_a_peer_gives_it(
    start: Start, world: TestWorld
) -> None:
    giver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    records = written(giver, 3)
    order = giver.state.size
    assert (
        giver.act({"do": "erase", "records": [records[1].record_hash.hex()], "legal_basis": "x"})
        is Code.ACCEPTED
    )
    assert giver.act({"do": "carry-out-erasure", "order": order}) is Code.ACCEPTED
    giver.flush()
    assert giver.store.record(1).payload, "the giver has not erased yet"
    store = adopted(world, giver, start)
    assert [store.record(at).erased for at in range(3)] == [False, True, False]
    assert store.awaited(9) == []
    assert store.erase([1]).done


def test_a_record_that_stands_after_its_payload_was_destroyed_brings_nothing_back(
    start: Start, world: TestWorld
) -> None:
    driver = LedgerDriver(world, start())
    record = driver.record("late", content=b"late")
    order = driver.state.size
    change = {"do": "erase", "records": [record.record_hash.hex()], "legal_basis": "x"}
    assert driver.act(change) is Code.ACCEPTED
    assert driver.act({"do": "carry-out-erasure", "order": order}) is Code.ACCEPTED
    driver.flush()
    assert driver.codes([record]) == [Code.ACCEPTED]
    driver.flush()
    kept = driver.store.record(order + 2)
    assert (kept.payload, kept.erased) == (None, True)


@pytest.mark.parametrize("payload_hash", [bytes(32), bytes(31), PAYLOAD_HASH_OF_NOTHING])
def test_a_peer_cannot_leave_out_a_payload_under_another_hash(world: TestWorld, payload_hash: bytes) -> None:
    giver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    written(giver, 1)
    block = offered(giver.store, 1)
    (submission,) = block.submissions
    (record,) = submission.records
    forged: OfferedRecord = record._replace(payload=b"", payload_hash=payload_hash)
    changed: OfferedSubmission = submission._replace(records=(forged,))
    store = MemoryStore(MemoryDisk(world.ledger_id))
    state = LedgerState(LedgerDriver(world, store).governance, store, store.tip)
    with pytest.raises(NotProven, match="not what was signed"):
        adopt_chunk(
            state, [block._replace(submissions=(changed,))], decode_checkpoint(giver.checkpoint().note)
        )


def test_ledgers_set_aside_lose_the_segments_that_hold_an_erased_payload_and_no_others(
    world: TestWorld, tmp_path: Path
) -> None:
    store = opened(tmp_path / "ledger", world)
    records = written(LedgerDriver(world, store), 60)
    store.close()
    aside = tmp_path / "damaged-1"
    shutil.copytree(tmp_path / "ledger", aside)
    torn = aside / "payloads" / "0000000002.segment"
    torn.write_bytes(torn.read_bytes()[:-3])
    before = segment_numbers(payloads_directory(aside))
    removed = remove_from_aside(tmp_path, [0, len(records) - 1])
    assert [path.name for path in removed] == [f"{number:010d}.segment" for number in (1, 2, before[-1])]
    assert not files_hold(aside, records[0].payload)
    assert files_hold(aside, records[len(records) // 2].payload)
    assert (aside / "database" / "data.mdb").exists()
    assert files_hold(tmp_path / "ledger", records[0].payload), "the ledger in use is not touched here"


def in_one_segment(driver: LedgerDriver) -> list[Record]:
    records = [driver.record(f"one{n}", content=b"content %d" % n) for n in range(4)]
    driver.codes(records)
    driver.flush()
    return records


@pytest.mark.parametrize("at", [0, 13, 49], ids=["magic", "number", "first frame"])
def test_damage_to_a_header_or_a_frame_takes_no_living_payload_along_when_its_file_is_emptied(
    world: TestWorld, tmp_path: Path, at: int
) -> None:
    directory = tmp_path / "ledger"
    store = opened(directory, world)
    records = in_one_segment(LedgerDriver(world, store))
    store.close()
    path = payloads_directory(directory) / "0000000001.segment"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    store = opened(directory, world)
    erase_all(store, [3])
    assert not path.exists()
    assert [store.record(n).payload for n in range(3)] == [one.payload for one in records[:3]]
    assert store.awaited(10) == []
    store.close()


def test_a_file_that_is_out_of_reach_for_a_moment_is_not_taken_for_damage_and_nothing_is_removed(
    world: TestWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "ledger"
    store = opened(directory, world)
    records = in_one_segment(LedgerDriver(world, store))

    def too_many(*_: object) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    store.erase([3])
    with monkeypatch.context() as patch:
        patch.setattr(SegmentReader, "_segment", too_many)
        with pytest.raises(LedgerFailed, match="Nothing was removed"):
            erase_all(store, [3])
    store.close()
    again = opened(directory, world)
    erase_all(again, [3])
    assert [again.record(n).payload for n in range(3)] == [one.payload for one in records[:3]]
    again.close()


def test_a_segment_whose_account_is_lost_is_not_removed_at_the_start_while_records_lie_in_it(
    world: TestWorld, tmp_path: Path
) -> None:
    directory = tmp_path / "ledger"
    store = opened(directory, world)
    written(LedgerDriver(world, store))
    store.close()
    numbers = segment_numbers(payloads_directory(directory))
    with lmdb.open(str(database_directory(directory)), max_dbs=20, map_size=1 << 28) as env:
        table = env.open_db(b"segments", create=False)
        with env.begin(write=True) as txn:
            assert txn.delete(rows.segment_key(numbers[1]), db=table)
    with pytest.raises(LedgerFailed, match="does not name"):
        opened(directory, world)
    assert segment_numbers(payloads_directory(directory)) == numbers


def test_a_ledger_set_aside_with_another_order_loses_the_erased_payload_too_which_stands_elsewhere_in_it(
    world: TestWorld, tmp_path: Path
) -> None:
    store = opened(tmp_path / "damaged-1", world)
    records = written(LedgerDriver(world, store))
    store.close()
    erased = records[9]
    assert remove_from_aside(tmp_path, [1_000], [erased.payload_hash])
    assert not files_hold(tmp_path / "damaged-1", erased.payload)
    assert files_hold(tmp_path / "damaged-1", records[0].payload)


@pytest.mark.parametrize(
    "place", ["epoch-0000-orphans", "epoch-0000-orphans-2", "epoch-draft", "replaced-1/epoch-0000-orphans"]
)
def test_a_former_epochs_ledger_and_a_draft_lose_the_erased_payload_by_its_hash_and_nothing_else(
    world: TestWorld, tmp_path: Path, place: str
) -> None:
    store = opened(tmp_path / place, world)
    records = written(LedgerDriver(world, store), 60)
    store.close()
    erased, living = records[0], records[len(records) // 2]
    (gone,) = remove_from_aside(tmp_path, [1_000_000], [erased.payload_hash])
    assert gone.is_relative_to(tmp_path / place)
    assert not files_hold(tmp_path / place, erased.payload)
    assert files_hold(tmp_path / place, living.payload)


def test_a_position_means_another_record_in_a_former_epochs_ledger_and_takes_nothing_away_there(
    world: TestWorld, tmp_path: Path
) -> None:
    store = opened(tmp_path / "epoch-0000-orphans", world)
    records = written(LedgerDriver(world, store))
    store.close()
    assert remove_from_aside(tmp_path, [0, 1, 2], [b"\0" * 32]) == []
    assert files_hold(tmp_path / "epoch-0000-orphans", records[1].payload)


def test_chunks_of_payloads_that_were_on_their_way_when_the_disk_was_replaced_go_with_the_first_erasure(
    tmp_path: Path,
) -> None:
    sync = tmp_path / "replaced-1" / "sync"
    sync.mkdir(parents=True)
    payloads, spine = sync / "payloads-0-0-0-9-@a.part", sync / "spine-0-9-0-9-@a.part"
    for path in (payloads, spine):
        path.write_bytes(b"bytes of a chunk")
    remove_from_aside(tmp_path, [3], [])
    assert not payloads.exists()
    assert spine.exists()
