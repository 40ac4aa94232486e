"""Verification finds what was done to a ledger's disk, names the position, tells wrong, missing and erased apart, and goes on behind it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import pytest

from genesis_builder import SITES, TestWorld, build_genesis, make_submission
from ledger_driver import LedgerDriver, fact, signed_checkpoint, subject
from sento_node.ledger import rows
from sento_node.ledger.findings import Finding, Kind
from sento_node.ledger.lmdb_files import Tables, database_directory, payloads_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.results import NOWHERE, StandingRecord
from sento_node.ledger.rows import Locator, RecordRow, named_key, position_key, tile_key
from sento_node.ledger.segments import FRAME_BYTES, segment_numbers, segment_path
from sento_node.ledger.store import KeptCheckpoint, LedgerDamaged
from sento_node.ledger.verify import Verification
from sento_proto import header as header_layout
from sento_proto.errors import Code
from sento_proto.header import ZERO16
from sento_proto.record import Record

WRONG, MISSING, ERASED = Kind.WRONG, Kind.MISSING, Kind.ERASED
SEGMENT_MAX_BYTES = 2_500
Txn = lmdb.Transaction


@pytest.fixture(scope="module")
def world() -> TestWorld:
    return build_genesis()


@pytest.fixture(scope="module")
def original(world: TestWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of 12 blocks and 312 records (a tile and a short one), with versions, refusals, a no-op block and checkpoints."""
    directory = tmp_path_factory.mktemp("original") / "ledger"
    store = LmdbStore.open(directory, world.ledger_id, segment_max_bytes=SEGMENT_MAX_BYTES)
    driver = LedgerDriver(world, store)
    last = driver.record("moves", about="resident", content=b"first")
    driver.write([last, driver.record("stays", about="resident", content=b"once")])
    for number in range(4):
        last = driver.record("moves", previous=last.record_hash, about="resident", content=b"%d" % number)
        refused = driver.record("late", previous=b"\1" * 32)
        driver.write([last, refused, driver.record(f"neighbour {number}", content=b"x" * 300)])
        store_checkpoint(driver)
    driver.order([], data=b"no block at all")
    known = make_submission(world, "iizuka-city", [last])
    driver.order([known, b"malformed"])
    driver.fill(300, prefix="many", per_block=100)
    driver.write([driver.record("end", content=b"the last one")], "iizuka-city")
    store_checkpoint(driver)
    driver.fill(1, prefix="after the checkpoint")
    driver.flush()
    store.close()
    return directory


def store_checkpoint(driver: LedgerDriver) -> None:
    driver.flush()
    driver.store.put_checkpoint(driver.checkpoint())


@pytest.fixture
def directory(original: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(original, tmp_path / "ledger"))


def found(directory: Path, world: TestWorld) -> list[Finding]:
    """All findings, said in order of position as far as they are about records, with a summary that counts them."""
    verification = Verification(directory, world.genesis)
    findings = list(verification.findings())
    kinds = [finding.kind for finding in findings]
    summary = verification.summary
    assert (summary.wrong, summary.missing, summary.erased) == tuple(
        map(kinds.count, (WRONG, MISSING, ERASED))
    )
    assert summary.sound == (set(kinds) <= {ERASED})
    return findings


def places(findings: list[Finding]) -> set[tuple[int | None, Kind]]:
    return {(finding.position, finding.kind) for finding in findings}


@contextmanager
def database(directory: Path) -> Iterator[tuple[lmdb.Transaction[bytes], Tables]]:
    """A write transaction by somebody who goes round the store."""
    with lmdb.open(str(database_directory(directory)), max_dbs=20, map_size=1 << 28) as env:
        tables = Tables(
            **{name: env.open_db(name.encode(), create=False) for name in Tables.__dataclass_fields__}
        )
        with env.begin(write=True) as txn:
            yield txn, tables


def row_at(directory: Path, position: int) -> RecordRow:
    with database(directory) as (txn, tables):
        row = txn.get(position_key(position), db=tables.rows)
    assert row is not None
    return rows.decode_record_row(position, row)


def rewrite_row(
    directory: Path,
    position: int,
    change: Callable[[StandingRecord], StandingRecord],
    locator: Locator | None = None,
) -> None:
    """Write a record row anew as the store would, with something changed: its check holds."""
    row = row_at(directory, position)
    header = header_layout.decode(row.header_bytes)
    item = StandingRecord(
        position, Record(header, row.header_bytes, b"", row.payload_hash, b""), row.author, row.submission, row.nth, row.link,
        row.previous_of_subject, row.previous_of_fact,
    )  # fmt: skip
    with database(directory) as (txn, tables):
        data = rows.encode_record_row(change(item), row.block, locator or row.locator)
        txn.put(position_key(position), data, db=tables.rows)


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x20]))


def segment_of(directory: Path, locator: Locator) -> Path:
    return segment_path(payloads_directory(directory), locator.segment)


def test_a_sound_ledger_has_no_findings_and_a_whole_summary(directory: Path, world: TestWorld) -> None:
    steps: list[tuple[int, int]] = []
    verification = Verification(directory, world.genesis, lambda done, total: steps.append((done, total)))
    assert list(verification.findings()) == []
    summary = verification.summary
    assert (summary.blocks, summary.records, summary.size, summary.checkpoints) == (12, 312, 312, 5)
    assert summary.sound
    assert summary.payload_bytes > 300 * 4
    assert (steps[0], steps[-1], len(steps)) == ((2, 312), (312, 312), 12)
    store = LmdbStore.open(directory, world.ledger_id)
    assert summary.size == store.tip.size
    store.close()


def test_a_flipped_byte_in_a_segment_is_a_wrong_payload_at_its_position(
    directory: Path, world: TestWorld
) -> None:
    locator = row_at(directory, 3).locator
    flip(segment_of(directory, locator), locator.offset + FRAME_BYTES + 7)
    assert places(found(directory, world)) == {(3, WRONG)}
    store = LmdbStore.open(directory, world.ledger_id)
    with pytest.raises(LedgerDamaged, match="payload at position 3"):
        store.record(3)
    assert store.record(3, with_payload=False).position == 3
    store.close()


def test_a_flipped_byte_in_a_frame_is_a_wrong_payload_at_its_position(
    directory: Path, world: TestWorld
) -> None:
    locator = row_at(directory, 0).locator
    flip(segment_of(directory, locator), locator.offset + 3)
    assert places(found(directory, world)) == {(0, WRONG)}


def test_swapped_payloads_are_wrong_at_both_positions(directory: Path, world: TestWorld) -> None:
    one, other = row_at(directory, 0).locator, row_at(directory, 1).locator
    assert (one.segment, one.length) == (other.segment, other.length)
    with segment_of(directory, one).open("r+b") as file:
        file.seek(one.offset)
        first = file.read(FRAME_BYTES + one.length)
        file.seek(other.offset)
        second = file.read(FRAME_BYTES + one.length)
        file.seek(one.offset)
        file.write(second)
        file.seek(other.offset)
        file.write(first)
    assert places(found(directory, world)) == {(0, WRONG), (1, WRONG)}


def test_swapped_locators_are_wrong_at_both_positions(directory: Path, world: TestWorld) -> None:
    one, other = row_at(directory, 0).locator, row_at(directory, 1).locator
    rewrite_row(directory, 0, lambda item: item, other)
    rewrite_row(directory, 1, lambda item: item, one)
    assert places(found(directory, world)) == {(0, WRONG), (1, WRONG)}


def test_a_deleted_segment_is_missing_with_every_payload_in_it(directory: Path, world: TestWorld) -> None:
    numbers = segment_numbers(payloads_directory(directory))
    assert len(numbers) > 1
    lost = {position for position in range(12) if row_at(directory, position).locator.segment == numbers[0]}
    segment_path(payloads_directory(directory), numbers[0]).unlink()
    findings = found(directory, world)
    assert places(findings) == {(position, MISSING) for position in lost} | {(None, MISSING)}
    assert [finding.position for finding in findings[:-1]] == sorted(lost)


def test_a_truncated_segment_is_missing_from_where_it_ends(directory: Path, world: TestWorld) -> None:
    last = row_at(directory, 310).locator
    os.truncate(segment_of(directory, last), last.offset + FRAME_BYTES + 1)
    assert places(found(directory, world)) == {(310, MISSING), (None, MISSING)}


def test_a_segment_longer_than_it_may_be_is_wrong_but_not_the_last_one(
    directory: Path, world: TestWorld
) -> None:
    numbers = segment_numbers(payloads_directory(directory))
    with segment_path(payloads_directory(directory), numbers[0]).open("ab") as file:
        file.write(b"more")
    assert places(found(directory, world)) == {(None, WRONG)}


def test_an_erased_payload_is_told_apart_and_is_no_damage(directory: Path, world: TestWorld) -> None:
    locator = row_at(directory, 1).locator
    rewrite_row(directory, 1, lambda item: item, locator._replace(kind=rows.ERASED))
    with segment_of(directory, locator).open("r+b") as file:
        file.seek(locator.offset)
        file.write(bytes(FRAME_BYTES + locator.length))
    findings = found(directory, world)
    assert places(findings) == {(1, ERASED)}
    assert str(findings[0]) == "erased: position 1, block 1: The payload was erased by order."
    store = LmdbStore.open(directory, world.ledger_id)
    kept = store.record(1)
    assert (kept.payload, kept.erased) == (None, True)
    store.close()


@pytest.mark.parametrize("at", [2, 40, 90, 150, 200, -2])
def test_a_flipped_byte_in_a_row_is_wrong_at_its_position(directory: Path, world: TestWorld, at: int) -> None:
    with database(directory) as (txn, tables):
        row = bytearray(txn.get(position_key(200), b"", db=tables.rows))
        row[at] ^= 4
        txn.put(position_key(200), bytes(row), db=tables.rows)
    findings = found(directory, world)
    assert (200, WRONG) in places(findings)
    assert all(finding.position == 200 for finding in findings)
    store = LmdbStore.open(directory, world.ledger_id)
    with pytest.raises(LedgerDamaged, match="position 200"):
        store.record(200)
    store.close()


def test_a_deleted_row_is_missing_and_what_follows_still_verifies(directory: Path, world: TestWorld) -> None:
    with database(directory) as (txn, tables):
        txn.delete(position_key(200), db=tables.rows)
    findings = found(directory, world)
    assert (200, MISSING) in places(findings)
    assert {finding.position for finding in findings} == {200}


def test_rows_exchanged_with_each_other_are_wrong_at_both_positions(
    directory: Path, world: TestWorld
) -> None:
    with database(directory) as (txn, tables):
        one, other = (txn.get(position_key(at), b"", db=tables.rows) for at in (20, 21))
        txn.put(position_key(20), other, db=tables.rows)
        txn.put(position_key(21), one, db=tables.rows)
    assert places(found(directory, world)) == {(20, WRONG), (21, WRONG)}


CHANGES: dict[str, Callable[[StandingRecord], StandingRecord]] = {
    "link": lambda item: item._replace(link=b"\5" * 32),
    "no subject before": lambda item: item._replace(previous_of_subject=NOWHERE),
    "older subject": lambda item: item._replace(previous_of_subject=0),
    "foreign subject": lambda item: item._replace(previous_of_subject=3),
    "subject ahead": lambda item: item._replace(previous_of_subject=300),
    "no version before": lambda item: item._replace(previous_of_fact=NOWHERE),
    "older version": lambda item: item._replace(previous_of_fact=0),
    "foreign version": lambda item: item._replace(previous_of_fact=3),
    "itself": lambda item: item._replace(previous_of_fact=item.position),
    "author": lambda item: item._replace(author="kaga-city"),
    "submission": lambda item: item._replace(submission=1),
    "nth": lambda item: item._replace(nth=1),
    "payload hash": lambda item: item._replace(record=item.record._replace(payload_hash=b"\1" * 32)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_row_changed_under_a_check_that_holds_is_wrong_at_its_position(
    directory: Path, world: TestWorld, name: str
) -> None:
    """Position 6 is the fourth version of its fact and the fifth record of its subject."""
    rewrite_row(directory, 6, CHANGES[name])
    findings = found(directory, world)
    assert (6, WRONG) in places(findings)
    assert all(finding.position in (6, 8) for finding in findings), list(map(str, findings))


@pytest.mark.parametrize("table", ["ids", "hashes", "facts", "subjects"])
def test_a_deleted_index_entry_is_missing_at_its_position(
    directory: Path, world: TestWorld, table: str
) -> None:
    key = index_key(directory, table, 200)
    with database(directory) as (txn, tables):
        assert txn.delete(key, db=getattr(tables, table))
    assert places(found(directory, world)) == {(200, MISSING)}


@pytest.mark.parametrize("table", ["ids", "hashes", "facts", "subjects"])
def test_an_index_entry_that_names_another_position_is_wrong(
    directory: Path, world: TestWorld, table: str
) -> None:
    key = index_key(directory, table, 200)
    with database(directory) as (txn, tables):
        txn.put(key, position_key(100), db=getattr(tables, table))
    assert (200, WRONG) in places(found(directory, world))


@pytest.mark.parametrize("table", ["facts", "subjects"])
def test_a_head_that_names_a_later_record_of_another_name_is_wrong(
    directory: Path, world: TestWorld, table: str
) -> None:
    key = index_key(directory, table, 200)
    with database(directory) as (txn, tables):
        txn.put(key, position_key(210), db=getattr(tables, table))
    assert places(found(directory, world)) == {(210, WRONG)}


@pytest.mark.parametrize("table", ["facts", "subjects"])
def test_a_head_that_lags_behind_is_wrong_at_the_newest_version(
    directory: Path, world: TestWorld, table: str
) -> None:
    key = index_key(directory, table, 8)
    with database(directory) as (txn, tables):
        txn.put(key, position_key(6), db=getattr(tables, table))
    assert places(found(directory, world)) == {(8, WRONG)}


@pytest.mark.parametrize("table", ["ids", "hashes", "facts", "subjects"])
def test_an_index_entry_too_many_is_wrong(directory: Path, world: TestWorld, table: str) -> None:
    name = b"\7" * 32 if table == "hashes" else named_key("residency", b"\7" * 16)
    with database(directory) as (txn, tables):
        txn.put(name, position_key(5), db=getattr(tables, table))
    assert places(found(directory, world)) == {(5, WRONG)}


@pytest.mark.parametrize("forgotten", ["all", "the last"])
@pytest.mark.parametrize("of", ["fact", "subject"])
def test_a_chain_that_a_site_with_a_wrong_head_forked_is_wrong_where_it_forks(
    tmp_path: Path, world: TestWorld, monkeypatch: pytest.MonkeyPatch, of: str, forgotten: str
) -> None:
    """What a defect in apply or in an index would write: every row, link and entry fits the record before that the site took for the last."""
    directory = tmp_path / "ledger"
    store = LmdbStore.open(directory, world.ledger_id)
    driver = LedgerDriver(world, store)
    first = driver.record("a", about="x")
    driver.write([first])
    driver.flush()
    heads = (store.fact_head("residency", fact("a")), store.subject_head("residency", subject("x")))
    second = driver.record("a", previous=first.record_hash, about="x" if of == "subject" else "y")
    driver.write([second])
    driver.flush()
    if of == "fact":
        monkeypatch.setattr(store, "fact_head", lambda *name: None if forgotten == "all" else heads[0])
        forked = driver.record(
            "a", previous=bytes(32) if forgotten == "all" else first.record_hash, about="z"
        )
    else:
        monkeypatch.setattr(store, "subject_head", lambda *name: None if forgotten == "all" else heads[1])
        forked = driver.record("b", about="x")
    assert driver.codes([forked]) == [Code.ACCEPTED]
    driver.flush()
    store.close()
    assert places(found(directory, world)) == {(2, WRONG)}


def index_key(directory: Path, table: str, position: int) -> bytes:
    row = row_at(directory, position)
    header = header_layout.decode(row.header_bytes)
    with database(directory) as (txn, tables):
        leaf = txn.get(tile_key(0, position >> 8), b"", db=tables.tiles)[position % 256 * 32 :][:32]
    return {
        "ids": named_key(row.author, header.record_id),
        "hashes": leaf,
        "facts": named_key(header.registry, header.fact),
        "subjects": named_key(header.registry, header.subject),
    }[table]


def test_a_leaf_changed_in_the_tree_is_wrong_once_and_the_authors_signature_says_which(
    directory: Path, world: TestWorld
) -> None:
    change_tile(directory, 0, 1, 10)
    findings = found(directory, world)
    assert places(findings) == {(266, WRONG)}
    assert "The tree does not hold the hash that its author signed" in findings[0].words


def test_a_leaf_changed_in_a_full_tile_is_wrong_there_and_in_the_tile_above(
    directory: Path, world: TestWorld
) -> None:
    change_tile(directory, 0, 0, 100)
    assert places(found(directory, world)) == {(100, WRONG), (0, WRONG)}


def test_a_hash_changed_above_the_leaves_is_wrong(directory: Path, world: TestWorld) -> None:
    change_tile(directory, 1, 0, 0)
    findings = found(directory, world)
    assert places(findings) == {(0, WRONG)}
    assert "tile 0 of level 1" in findings[0].words


def test_a_deleted_tile_is_missing_and_the_rows_make_up_for_it(directory: Path, world: TestWorld) -> None:
    with database(directory) as (txn, tables):
        txn.delete(tile_key(0, 1), db=tables.tiles)
    findings = found(directory, world)
    assert places(findings) == {(position, MISSING) for position in range(256, 312)}


def test_a_tile_that_the_size_has_no_place_for_is_wrong(directory: Path, world: TestWorld) -> None:
    with database(directory) as (txn, tables):
        txn.put(tile_key(2, 0), bytes(32), db=tables.tiles)
    assert places(found(directory, world)) == {(None, WRONG)}


def change_tile(directory: Path, level: int, index: int, at: int) -> None:
    with database(directory) as (txn, tables):
        tile = bytearray(txn.get(tile_key(level, index), b"", db=tables.tiles))
        tile[at * 32 + 3] ^= 1
        txn.put(tile_key(level, index), bytes(tile), db=tables.tiles)


def test_a_deleted_block_row_is_missing_and_its_records_are_still_verified(
    directory: Path, world: TestWorld
) -> None:
    with database(directory) as (txn, tables):
        txn.delete(position_key(3), db=tables.blocks)
    findings = found(directory, world)
    assert [(finding.block, finding.kind) for finding in findings] == [(3, MISSING)]
    locator = row_at(directory, 4).locator
    flip(segment_of(directory, locator), locator.offset + FRAME_BYTES)
    assert [(finding.position, finding.block) for finding in found(directory, world)] == [(None, 3), (4, 3)]


def test_a_flipped_byte_in_a_block_row_is_wrong_in_its_block(directory: Path, world: TestWorld) -> None:
    with database(directory) as (txn, tables):
        row = bytearray(txn.get(position_key(3), b"", db=tables.blocks))
        row[40] ^= 1
        txn.put(position_key(3), bytes(row), db=tables.blocks)
    findings = found(directory, world)
    assert [(finding.block, finding.kind) for finding in findings] == [(3, WRONG)]


def test_a_submissions_signature_is_verified_again(directory: Path, world: TestWorld) -> None:
    """A whole block written anew with a check that holds: only the author's key tells."""
    key = world.author_signers["iizuka-city"].public_key.key_id
    with database(directory) as (txn, tables):
        row = txn.get(position_key(9), b"", db=tables.blocks)
        at = row.index(key) + len(key) + 1 + 3 + 10
        spoiled = row[:at] + bytes([row[at] ^ 1]) + row[at + 1 : -4]
        txn.put(position_key(9), rows._checked(spoiled), db=tables.blocks)
    findings = found(directory, world)
    assert [(finding.block, finding.words) for finding in findings] == [
        (9, "The author's signature over submission 0 does not verify."),
    ]


def test_rows_and_blocks_beyond_the_tip_are_wrong(directory: Path, world: TestWorld) -> None:
    with database(directory) as (txn, tables):
        txn.put(position_key(312), b"a row", db=tables.rows)
        txn.put(position_key(13), b"a block", db=tables.blocks)
        txn.put(b"\xff" * 9, b"no number", db=tables.rows)
    findings = found(directory, world)
    assert places(findings) == {(None, WRONG)}
    assert len(findings) == 3


@pytest.mark.parametrize("fault", ["root", "quorum", "size", "ledger", "note", "block", "row"])
def test_a_checkpoint_that_is_not_the_ledgers_own_or_not_a_quorums_is_wrong(
    directory: Path, world: TestWorld, fault: str
) -> None:
    with database(directory) as (txn, tables):
        kept = rows.decode_checkpoint_row(
            position_key(4), txn.get(position_key(4), b"", db=tables.checkpoints)
        )
    store = LmdbStore.open(directory, world.ledger_id)
    driver = LedgerDriver(world, store)
    store.close()
    driver.state.frontier.size, driver.state.block = 4, kept.block
    if fault == "root":
        kept = signed_checkpoint(world, driver.state, SITES, b"\6" * 32)
    elif fault == "ledger":
        kept = signed_checkpoint(build_genesis(name="training"), driver.state, SITES)
    elif fault == "quorum":
        note = kept.note.decode().splitlines(keepends=True)
        kept = kept._replace(note="".join(note[:-1]).encode())
    elif fault == "size":
        driver.state.frontier.size = 5
        kept = signed_checkpoint(world, driver.state, SITES)._replace(size=4)
    elif fault == "block":
        kept = KeptCheckpoint(kept.size, 1, kept.note)
    else:
        kept = kept._replace(note=b"nothing of the kind")
    with database(directory) as (txn, tables):
        data = b"short" if fault == "row" else rows.encode_checkpoint_row(kept)
        txn.put(position_key(4), data, db=tables.checkpoints)
    findings = found(directory, world)
    assert findings
    assert places(findings) == {(None, WRONG)}
    assert all("checkpoint" in finding.words and "size 4" in finding.words for finding in findings)


@pytest.mark.parametrize("tip", ["none", "garbage", "frontier", "size"])
def test_a_tip_that_is_not_the_records_is_found_and_the_records_are_verified(
    directory: Path, world: TestWorld, tip: str
) -> None:
    with database(directory) as (txn, tables):
        good = rows.decode_tip(txn.get(b"tip", b"", db=tables.meta))
        if tip == "none":
            txn.delete(b"tip", db=tables.meta)
        elif tip == "garbage":
            txn.put(b"tip", b"garbage", db=tables.meta)
        elif tip == "frontier":
            changed = good._replace(frontier=(*good.frontier[:-1], bytes(32)))
            txn.put(b"tip", rows.encode_tip(changed), db=tables.meta)
        else:
            changed = good._replace(size=313, frontier=(*good.frontier, bytes(32)))
            txn.put(b"tip", rows.encode_tip(changed), db=tables.meta)
    verification = Verification(directory, world.genesis)
    findings = list(verification.findings())
    assert findings
    assert not verification.summary.sound
    assert verification.summary.records == 312
    assert all("tip" in f.words or f.position in (None, 256, 312, 0) for f in findings), list(
        map(str, findings)
    )


@pytest.mark.parametrize("damage", ["page", "meta", "cut", "gone"])
def test_a_database_with_damaged_pages_is_said_to_be_damaged_and_not_opened(
    directory: Path, world: TestWorld, damage: str
) -> None:
    data = database_directory(directory) / "data.mdb"
    if damage == "page":
        with data.open("r+b") as file:
            for page in range(2, data.stat().st_size // 4096):
                file.seek(page * 4096 + 8)
                file.write(b"\xff" * 8)
    elif damage == "meta":
        with data.open("r+b") as file:
            file.write(bytes(8192))
    elif damage == "cut":
        os.truncate(data, 5 * 4096)
    else:
        data.unlink()
    findings = found(directory, world)
    assert findings
    assert all(finding.position is None for finding in findings)
    assert "Rebuild the ledger from another site" in findings[-1].words


def test_another_genesis_files_ledger_is_wrong_throughout_and_does_not_stop_the_walk(directory: Path) -> None:
    findings = found(directory, build_genesis(name="training"))
    assert "The ledger is not the genesis file's." in [finding.words for finding in findings]
    assert {finding.block for finding in findings} >= {1, 2, 12}


def test_no_finding_tells_who_or_what(directory: Path, world: TestWorld) -> None:
    """Damage everywhere; then look for pseudonyms, facts, record ids and hashes in the words."""
    with database(directory) as (txn, tables):
        for table in (tables.ids, tables.hashes, tables.facts, tables.subjects):
            with txn.cursor(table) as cursor:
                cursor.first()
                cursor.put(b"\xee" * 24, position_key(1))
                cursor.delete()
        for position in range(0, 312, 3):
            row = bytearray(txn.get(position_key(position), b"", db=tables.rows))
            row[-9] ^= 1
            txn.put(position_key(position), bytes(row), db=tables.rows)
    text = "\n".join(map(str, found(directory, world)))
    secrets = [subject("resident"), fact("moves"), ZERO16] + [
        row_at(directory, position).header_bytes[4:20] for position in (1, 2, 4)
    ]
    assert len(text) > 10_000
    for secret in secrets:
        assert secret.hex() not in text
        assert repr(secret)[2:-1] not in text
    assert "iizuka" not in text
