"""The contract of a ledger store, for both forms: on disk (LMDB and segments) and in memory (simulator, tests)."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from genesis_builder import SITES, TestWorld, build_genesis, make_submission
from ledger_driver import LedgerDriver, everything, fact, subject
from sento_node.ledger import lmdb_reads, memory_store, reading, state
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.memory_store import FlushMoment, MemoryDisk, MemoryStore
from sento_node.ledger.results import NOWHERE
from sento_node.ledger.state import EMPTY_TIP, Batch, FactHead, Layer, SubjectHead
from sento_node.ledger.store import KeptCheckpoint, LedgerFailed, LedgerStore, frontier_of
from sento_proto.chain import link_over
from sento_proto.errors import Code
from sento_proto.header import ZERO32
from sento_proto.keys import verifies
from sento_proto.merkle import (
    EMPTY_ROOT,
    Frontier,
    inclusion_proof,
    node_hash,
    root_of,
    subtree_reader,
    verify_consistency,
    verify_inclusion,
)
from sento_proto.submission import group_value, signed_bytes


class Host(Protocol):
    """A machine with one ledger on it."""

    def start(self) -> LedgerStore:
        """Open the ledger; the life before, if any, ends without a word."""
        ...

    def break_next_flush(self) -> None:
        """The next flush fails, and only that one."""
        ...


class MemoryHost:
    def __init__(self, ledger_id: bytes) -> None:
        self.store = MemoryStore(MemoryDisk(ledger_id), at_flush=self._at_flush)
        self.broken = False

    def _at_flush(self, moment: FlushMoment) -> None:
        if self.broken:
            self.broken = False
            raise OSError(errno.EIO, "Input/output error")

    def start(self) -> LedgerStore:
        self.store = self.store.crash()
        return self.store

    def break_next_flush(self) -> None:
        self.broken = True


class LmdbHost:
    def __init__(self, ledger_id: bytes, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledger_id = ledger_id
        self.directory = directory
        self.monkeypatch = monkeypatch
        self.store: LmdbStore | None = None

    def start(self) -> LedgerStore:
        if self.store is not None:
            self.store.close()
        self.store = LmdbStore.open(self.directory, self.ledger_id, segment_max_bytes=20_000)
        return self.store

    def break_next_flush(self) -> None:
        flush = os.fdatasync

        def fails_once(fd: int) -> None:
            self.monkeypatch.setattr(os, "fdatasync", flush)
            raise OSError(errno.EIO, "Input/output error")

        self.monkeypatch.setattr(os, "fdatasync", fails_once)

    def stop(self) -> None:
        if self.store is not None:
            self.store.close()


@pytest.fixture
def world() -> TestWorld:
    return build_genesis()


@pytest.fixture(params=["memory", "lmdb"])
def host(
    request: pytest.FixtureRequest, world: TestWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Host]:
    if request.param == "memory":
        yield MemoryHost(world.ledger_id)
    else:
        lmdb_host = LmdbHost(world.ledger_id, tmp_path / "ledger", monkeypatch)
        yield lmdb_host
        lmdb_host.stop()


def test_a_new_ledger_is_empty_and_stays_so_over_a_restart(host: Host) -> None:
    for _ in range(2):
        store = host.start()
        assert (store.tip, store.window(), store.checkpoint()) == (EMPTY_TIP, (), None)
        assert reading.root_at(store, 0) == EMPTY_ROOT
        assert store.position_of_id("iizuka-city", bytes(16)) is None
        assert store.position_of_hash(bytes(32)) is None
        assert store.fact_head("residency", fact("a")) is None
        assert store.subject_head("residency", subject("a")) is None


def test_what_was_committed_is_answered_exactly_and_equally_after_a_restart(
    host: Host, world: TestWorld
) -> None:
    driver = LedgerDriver(world, host.start())
    first = driver.record("a", content=b"first")
    driver.write([first, driver.record("b")])
    second = driver.record("a", previous=first.record_hash, content=b"second")
    result = driver.order([make_submission(world, "iizuka-city", [second]), b"malformed"])
    driver.flush()
    store = driver.store
    for _ in range(2):
        assert store.tip == driver.state.tip
        assert store.position_of_id("iizuka-city", second.header.record_id) == 2
        assert store.position_of_id("kaga-city", second.header.record_id) is None
        assert store.position_of_hash(first.record_hash) == 0
        assert store.fact_head("residency", fact("a")) == FactHead(2, second.record_hash)
        assert store.fact_head("tax", fact("a")) is None
        link = link_over([first.record_hash, second.record_hash])
        assert store.subject_head("residency", subject("a")) == SubjectHead(2, link)
        assert store.record_hash_at(1) == root_of([store.record(1).record_hash])
        assert store.fact_at(1) == ("residency", fact("b"))
        kept = store.record(2)
        assert (kept.header_bytes, kept.payload, kept.payload_hash) == second[1:4]
        assert (kept.link, kept.previous_of_subject, kept.previous_of_fact) == (link, 0, 0)
        assert (kept.block, kept.submission, kept.nth, kept.author) == (2, 0, 0, "iizuka-city")
        assert store.record(1).payload == b""
        assert store.record(1).previous_of_fact == NOWHERE
        assert store.record(2, with_payload=False) == kept._replace(payload=b"")
        block = store.block(2)
        assert block.submissions == result.submissions
        assert block.submissions[1].refusal is Code.MALFORMED
        assert (block.size_before, block.size_after, block.refusal) == (2, 3, None)
        assert (block.number, block.revision, block.lane, block.seq, block.site) == result[:5]
        before = everything(store)
        store = host.start()
        assert everything(store) == before


def test_what_was_not_committed_is_gone_after_a_crash(host: Host, world: TestWorld) -> None:
    driver = LedgerDriver(world, host.start())
    driver.fill(3)
    driver.flush()
    flushed = everything(driver.store)
    driver.fill(3, prefix="late")
    assert everything(host.start()) == flushed


def test_a_no_op_block_is_kept_with_its_reason_and_takes_no_position(host: Host, world: TestWorld) -> None:
    driver = LedgerDriver(world, host.start())
    driver.order([], data=b"not a block", lane="any/where")
    driver.fill(1)
    driver.flush()
    block = host.start().block(1)
    assert (block.refusal, block.lane, block.site, block.size_after) == (Code.MALFORMED, "any/where", "", 0)


def test_a_batch_that_does_not_follow_the_tip_is_refused_and_changes_nothing(
    host: Host, world: TestWorld
) -> None:
    driver = LedgerDriver(world, host.start())
    driver.fill(2)
    batch = driver.flush()
    assert batch is not None
    before = everything(driver.store)
    with pytest.raises(ValueError, match="does not follow"):
        driver.store.commit(batch)
    driver.fill(2, prefix="next")
    following = driver.state.seal_batch()
    assert following is not None
    with pytest.raises(ValueError, match="its tip says"):
        driver.store.commit(following._replace(tip=following.tip._replace(size=9)))
    assert everything(driver.store) == before
    driver.store.commit(following)
    assert driver.store.tip.size == 4


def test_a_batch_whose_tree_is_not_the_one_that_apply_computed_is_never_written(
    host: Host, world: TestWorld
) -> None:
    driver = LedgerDriver(world, host.start())
    driver.fill(3)
    batch = driver.state.seal_batch()
    assert batch is not None
    with pytest.raises(ValueError, match="not the one that was computed"):
        driver.store.commit(batch._replace(tip=batch.tip._replace(frontier=(bytes(32), bytes(32)))))
    assert host.start().tip == EMPTY_TIP


def test_nothing_is_answered_beyond_the_tip(host: Host, world: TestWorld) -> None:
    driver = LedgerDriver(world, host.start())
    driver.fill(3)
    driver.flush()
    store = driver.store
    for ask in (
        lambda: store.record(3), lambda: store.record(-1), lambda: store.record_hash_at(3), lambda: store.block(0),
        lambda: store.block(2), lambda: store.records(2, 4), lambda: store.subtree(0, 3), lambda: store.subtree(2, 0),
        lambda: store.subtree(-1, 0), lambda: reading.root_at(store, 4), lambda: reading.inclusion(store, 2, 4),
        lambda: reading.consistency(store, 3, 2),
        lambda: reading.fact_versions(store, "residency", fact("a"), limit=1, as_of_size=4),
    ):  # fmt: skip
        with pytest.raises(IndexError):
            ask()
    assert list(store.records(3, 3)) == []


def test_names_that_cannot_stand_are_names_that_do_not_stand(host: Host, world: TestWorld) -> None:
    """What a caller asks for may be anything; no question may hurt the store."""
    driver = LedgerDriver(world, host.start())
    record = driver.record("a")
    driver.write([record])
    driver.flush()
    store = driver.store
    for name in ("", "日本", "\0", "residency\0" + "x" * 5, "x" * 5_000, "\ud800"):
        for identifier in (b"", fact("a"), subject("a"), b"x" * 5_000):
            assert store.position_of_id(name, identifier) is None
            assert store.fact_head(name, identifier) is None
            assert store.subject_head(name, identifier) is None
    assert store.fact_head("residency", b"") is None
    for record_hash in (b"", record.record_hash[:31], record.record_hash + b"\0", b"x" * 5_000):
        assert store.position_of_hash(record_hash) is None
    for number in (-1, 1 << 63, 1 << 64):
        for ask in (store.record, store.block, store.record_hash_at, store.fact_at):
            with pytest.raises(IndexError):
                ask(number)
    assert store.position_of_hash(record.record_hash) == 0


def test_subtrees_frontiers_and_proofs_at_every_size_over_the_edges_of_tiles(
    host: Host, world: TestWorld
) -> None:
    driver = LedgerDriver(world, host.start())
    driver.fill(250)
    driver.flush()
    driver.fill(10, prefix="over the edge")
    driver.flush()
    driver.fill(260, prefix="and the next")
    driver.flush()
    store = host.start()
    leaves = [kept.record_hash for kept in store.records(0, store.tip.size, with_payload=False)]
    reference = subtree_reader(leaves)
    for level in range(10):
        for index in range(len(leaves) >> level):
            assert store.subtree(level, index) == reference(level, index)
    grown = Frontier()
    for size, leaf in enumerate(leaves):
        assert (frontier_of(store, size), reading.root_at(store, size)) == (grown.hashes, grown.root())
        grown.append(leaf)
    assert tuple(frontier_of(store, store.tip.size)) == store.tip.frontier
    root = grown.root()
    for size in (1, 255, 256, 257, 300, 512, 513, 520):
        proof = reading.consistency(store, size, 520)
        assert verify_consistency(size, reading.root_at(store, size), 520, root, proof)
        path = reading.inclusion(store, size - 1, size)
        assert path == inclusion_proof(reference, size - 1, size)
        assert verify_inclusion(leaves[size - 1], size - 1, size, path, reading.root_at(store, size))


def test_checkpoints_are_found_by_size_and_by_block_and_replaced_at_equal_size(
    host: Host, world: TestWorld
) -> None:
    driver = LedgerDriver(world, host.start())
    kept: list[KeptCheckpoint] = []
    for count in (2, 3, 4):
        driver.fill(count, prefix=f"of {count}")
        driver.order([b"refused whole"])
        driver.flush()
        kept.append(driver.checkpoint())
        driver.store.put_checkpoint(kept[-1])
    more = kept[1]._replace(note=driver.checkpoint(SITES).note)
    driver.store.put_checkpoint(more)
    store = host.start()
    assert (store.checkpoint(), store.checkpoint(1), store.checkpoint(3)) == (kept[2], kept[0], more)
    assert (store.checkpoint(9), store.checkpoint(10)) == (kept[2], None)
    found = [store.checkpoint_by_block(block) for block in range(8)]
    assert found == [kept[0], kept[0], kept[0], more, more, kept[2], kept[2], None]


def test_a_checkpoint_stands_instead_of_others_and_never_goes_itself(host: Host, world: TestWorld) -> None:
    driver = LedgerDriver(world, host.start())
    kept: list[KeptCheckpoint] = []
    for count in (1, 2, 3):
        driver.fill(count, prefix=f"of {count}")
        driver.flush()
        kept.append(driver.checkpoint())
    first, second, third = kept
    driver.store.put_checkpoint(first)
    driver.store.put_checkpoint(second)
    driver.store.put_checkpoint(third, (second.size, 5))
    store = host.start()
    assert store.newest_checkpoints(9) == [third, first]
    assert (store.checkpoint(2), store.checkpoint_by_block(second.block)) == (third, third)
    store.put_checkpoint(third, (first.size, third.size))
    assert host.start().newest_checkpoints(9) == [third]


def test_small_facts_are_remembered_over_a_restart(host: Host) -> None:
    store = host.start()
    store.remember("boot number of jp-kaga", b"1")
    store.remember("boot number of jp-kaga", b"2")
    store = host.start()
    assert (store.recall("boot number of jp-kaga"), store.recall("boot number")) == (b"2", None)


def test_the_window_holds_exactly_the_records_since_the_window_began(
    host: Host, world: TestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (state, memory_store, lmdb_reads):
        monkeypatch.setattr(module, "BUDGET_WINDOW_POSITIONS", 100)
    driver = LedgerDriver(world, host.start())
    driver.fill(99)
    driver.flush()
    assert len(driver.store.window()) == 99
    driver.fill(1, prefix="last of the window")
    driver.flush()
    assert driver.store.window() == ()
    driver.fill(2, prefix="next window")
    driver.flush()
    briefs = host.start().window()
    assert [(brief.position, brief.author) for brief in briefs] == [
        (100, "iizuka-city"),
        (101, "iizuka-city"),
    ]
    assert [brief.subject for brief in briefs] == [subject("next window-0"), subject("next window-1")]


def test_after_a_failed_flush_the_store_refuses_everything_and_a_restart_finds_the_prefix(
    host: Host, world: TestWorld
) -> None:
    driver = LedgerDriver(world, host.start())
    driver.fill(3, content=b"content")
    driver.flush()
    flushed = everything(driver.store)
    driver.fill(3, prefix="lost", content=b"content")
    batch = driver.state.seal_batch()
    assert batch is not None
    host.break_next_flush()
    with pytest.raises(LedgerFailed, match="the ordering log still holds what was not flushed"):
        driver.store.commit(batch)
    _refuses_everything(driver.store)
    assert everything(host.start()) == flushed


def test_a_closed_store_refuses_everything_and_closing_twice_is_fine(host: Host, world: TestWorld) -> None:
    driver = LedgerDriver(world, host.start())
    driver.fill(1)
    driver.store.close()
    driver.store.close()
    _refuses_everything(driver.store)


def _refuses_everything(store: LedgerStore) -> None:
    for ask in (
        lambda: store.commit(Batch((), Layer(), store.tip)),
        lambda: store.remember("name", b""),
        lambda: store.put_checkpoint(KeptCheckpoint(1, 1, b"")),
        lambda: store.record(0),
        lambda: store.position_of_hash(ZERO32),
        lambda: store.recall("name"),
    ):
        with pytest.raises(LedgerFailed):
            ask()


def test_readers_in_other_threads_never_see_a_part_of_a_commit(host: Host, world: TestWorld) -> None:
    driver = LedgerDriver(world, host.start())
    store, trouble, stop = driver.store, [], threading.Event()
    last = driver.record("a", content=b"0")
    driver.write([last])
    driver.flush()

    def read() -> None:
        try:
            while not stop.is_set():
                head = store.fact_head("residency", fact("a"))
                assert head is not None
                kept = store.record(head.position)
                assert kept.record_hash == head.record_hash
                assert store.position_of_hash(kept.record_hash) == kept.position
                assert store.block(kept.block).size_after > kept.position
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            trouble.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for version in range(30):
        last = driver.record("a", previous=last.record_hash, content=b"%d" % version)
        assert driver.codes([last]) == [Code.ACCEPTED]
        driver.flush()
    stop.set()
    for reader in readers:
        reader.join()
    assert trouble == []


def test_lists_go_newest_first_page_by_page_and_as_of_a_size(host: Host, world: TestWorld) -> None:
    driver = LedgerDriver(world, host.start())
    previous = ZERO32
    versions: list[bytes] = []
    for number in range(7):
        record = driver.record("a", previous=previous, about="x", content=b"%d" % number)
        driver.write(
            [record, driver.record(f"other {number}", about="x"), driver.record(f"foreign {number}")]
        )
        previous = record.record_hash
        versions.append(previous)
    driver.flush()
    store = driver.store

    def pages(as_of_size: int | None, limit: int) -> list[list[bytes]]:
        found, before = [], None
        while True:
            page = reading.fact_versions(
                store, "residency", fact("a"), limit=limit, before=before, as_of_size=as_of_size
            )
            found.append([kept.record_hash for kept in page.records])
            before = page.next_before
            if before is None:
                return found

    newest_first = versions[::-1]
    assert pages(None, 3) == [newest_first[:3], newest_first[3:6], newest_first[6:]]
    assert pages(None, 7) == [newest_first]
    assert pages(store.record(0).position + 3 * 4, 2) == [newest_first[3:5], newest_first[5:]]
    assert pages(0, 2) == [[]]
    unlisted = reading.fact_versions(store, "residency", fact("a"), limit=9, before=10)
    assert [kept.record_hash for kept in unlisted.records] == newest_first[3:]
    assert reading.fact_versions(store, "residency", fact("unknown"), limit=9) == reading.Page((), None)

    whole = reading.subject_records(store, "residency", subject("x"), limit=100, with_payload=False)
    assert len(whole.records) == 14
    head = store.subject_head("residency", subject("x"))
    assert head is not None
    assert (
        link_over(kept.record_hash for kept in reversed(whole.records)) == head.link == whole.records[0].link
    )
    part = reading.subject_records(
        store, "residency", subject("x"), limit=5, before=whole.records[4].position
    )
    assert [kept.position for kept in part.records] == [kept.position for kept in whole.records[5:10]]


def test_a_long_walk_ends_in_a_short_page_that_goes_on(
    host: Host, world: TestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "STEPS_MAX", 3)
    driver = LedgerDriver(world, host.start())
    driver.write([driver.record(str(number), about="x") for number in range(8)])
    driver.flush()
    counts, before = [], None
    while True:
        page = reading.subject_records(
            driver.store, "residency", subject("x"), limit=9, before=before, as_of_size=4
        )
        counts.append([kept.position for kept in page.records])
        before = page.next_before
        if before is None:
            break
    assert counts == [[], [3, 2], [1, 0]]


def test_the_proof_with_a_record_verifies_the_authors_signature_also_beside_refused_records(
    host: Host, world: TestWorld
) -> None:
    driver = LedgerDriver(world, host.start())
    records = [driver.record(str(number)) for number in range(5)]
    refused = driver.record("elsewhere", registry="residency", previous=b"\1" * 32)
    records.insert(2, refused)
    outcomes = driver.write(records)
    driver.flush()
    assert outcomes[2].code is Code.PREDECESSOR_MISSING
    store = host.start()
    for position in range(5):
        kept = store.record(position)
        proof = reading.submission_proof(store, kept)
        root = _root_from_path(kept.record_hash, proof)
        message = signed_bytes(world.ledger_id, root, proof.record_count, proof.author_key_id)
        key = world.author_signers["iizuka-city"].public_key
        assert proof.record_count == 6
        assert verifies(key, proof.signatures[0], message)


def test_positions_of_a_hoisted_group_are_kept_where_apply_put_them(host: Host, world: TestWorld) -> None:
    driver = LedgerDriver(world, host.start())
    numbers = world.numbers
    ids = [numbers.record_id() for _ in range(4)]
    tie = group_value([ids[0], ids[3]])
    records = [
        driver.record(str(at), record_id=ids[at], group=tie if at in (0, 3) else bytes(16)) for at in range(4)
    ]
    outcomes = driver.write(records)
    assert [outcome.position for outcome in outcomes] == [0, 2, 3, 1]
    driver.flush()
    store = host.start()
    assert store.block(1).submissions[0].outcomes == outcomes
    assert [store.record(position).nth for position in range(4)] == [0, 3, 1, 2]


def _root_from_path(leaf: bytes, proof: reading.SubmissionProof) -> bytes:
    """Fold a path of RFC 6962 into the root it leads to."""
    node, last, found = proof.nth, proof.record_count - 1, leaf
    for sibling in proof.path:
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return found
