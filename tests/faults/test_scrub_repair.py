"""A damaged ledger mended from a sound one: what another site gives is proven before a byte is written, and afterwards verification has nothing to say."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from genesis_builder import SITES, TestWorld, build_genesis, make_submission
from ledger_driver import LedgerDriver, fact, signed_checkpoint, subject
from sento_node.ledger import rows
from sento_node.ledger.lmdb_files import Tables, database_directory
from sento_node.ledger.lmdb_repair import CannotMend, ProvenBlock
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.rows import named_key, position_key, tile_key
from sento_node.ledger.store import LedgerDamaged
from sento_node.ledger.verify import Verification
from sento_node.peers import offered_proof
from sento_node.scrub.proving import NotProven, prove_block
from sento_node.sync.fetching import fetched_block, fetched_payload
from sento_proto.checkpoint import decode_checkpoint, encode_checkpoint
from sento_proto.errors import Code
from sento_proto.governance.state import Governance
from sento_proto.v1 import sync_pb2

Txn = lmdb.Transaction
BLOCK = 3
AT = 4
LOCATOR_AT = 101
"""Where a record row's locator begins: kind, segment, offset, length."""


@pytest.fixture(scope="module")
def world() -> TestWorld:
    return build_genesis()


@pytest.fixture(scope="module")
def sound(world: TestWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 records and two checkpoints; block 3 holds positions 3 to 5: the second version of a fact, the same subject's next record, and a refused one."""
    directory = tmp_path_factory.mktemp("sound") / "ledger"
    store = LmdbStore.open(directory, world.ledger_id)
    driver = LedgerDriver(world, store)
    first = driver.record("moves", about="resident", content=b"first")
    driver.write([first, driver.record("other", content=b"other")])
    driver.write([driver.record("between", about="resident", content=b"between")])
    second = driver.record("moves", previous=first.record_hash, about="resident", content=b"second")
    driver.order(
        [
            make_submission(
                world,
                "iizuka-city",
                [second, driver.record("late", previous=b"\1" * 32), driver.record("third", about="resident", content=b"third")],
            ),
            make_submission(world, "iizuka-city", [first, driver.record("new", content=b"new")]),
        ]
    )  # fmt: skip
    driver.write([driver.record("fourth", about="resident", content=b"fourth")])
    driver.flush()
    store.put_checkpoint(driver.checkpoint())
    driver.fill(300, prefix="many", per_block=100)
    driver.flush()
    store.put_checkpoint(driver.checkpoint())
    store.close()
    return directory


@pytest.fixture
def hurt(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "ledger"))


def offered(world: TestWorld, sound: Path, number: int = BLOCK) -> sync_pb2.FetchedBlock:
    store = LmdbStore.open(sound, world.ledger_id)
    try:
        block = fetched_block(store, number)
        assert block is not None
        return block
    finally:
        store.close()


def proven(governance: Governance, item: sync_pb2.FetchedBlock, hashes: dict[int, bytes]) -> ProvenBlock:
    return prove_block(offered_proof(item), governance, hashes.get)


def known_hashes(item: sync_pb2.FetchedBlock) -> dict[int, bytes]:
    """What this ledger has where the block calls a record known."""
    return {0: item.block.submissions[1].records[0].record_hash}


def damage(directory: Path, hurt: Callable[[lmdb.Transaction[bytes], Tables], None]) -> None:
    with lmdb.open(str(database_directory(directory)), max_dbs=20, map_size=1 << 28) as env:
        tables = Tables(
            **{name: env.open_db(name.encode(), create=False) for name in Tables.__dataclass_fields__}
        )
        with env.begin(write=True) as txn:
            hurt(txn, tables)


def findings(directory: Path, world: TestWorld) -> list[str]:
    return [str(finding) for finding in Verification(directory, world.genesis).findings()]


def spoiled(txn: lmdb.Transaction[bytes], table: lmdb._Database, key: bytes) -> None:
    old = bytearray(txn.get(key, b"", db=table))
    old[len(old) // 2] ^= 4
    txn.put(key, bytes(old), db=table)


def row(txn: lmdb.Transaction[bytes], tables: Tables) -> None:
    spoiled(txn, tables.rows, position_key(AT))


def every_row_of_the_block(txn: lmdb.Transaction[bytes], tables: Tables) -> None:
    for position in range(3, 6):
        spoiled(txn, tables.rows, position_key(position))


def missing_row(txn: lmdb.Transaction[bytes], tables: Tables) -> None:
    txn.delete(position_key(AT), db=tables.rows)


def row_naming_another_place(txn: lmdb.Transaction[bytes], tables: Tables) -> None:
    old = bytearray(txn.get(position_key(AT), b"", db=tables.rows))
    old[LOCATOR_AT + 8] ^= 4
    txn.put(position_key(AT), bytes(old), db=tables.rows)


def block_row(txn: lmdb.Transaction[bytes], tables: Tables) -> None:
    spoiled(txn, tables.blocks, position_key(BLOCK))


def leaf(txn: lmdb.Transaction[bytes], tables: Tables) -> None:
    tile = bytearray(txn.get(tile_key(0, 0), b"", db=tables.tiles))
    tile[AT * 32 + 3] ^= 1
    txn.put(tile_key(0, 0), bytes(tile), db=tables.tiles)


def entries(txn: lmdb.Transaction[bytes], tables: Tables) -> None:
    txn.put(named_key("residency", fact("third")), position_key(0), db=tables.facts)
    txn.delete(named_key("residency", fact("moves")), db=tables.facts)


@pytest.mark.parametrize(
    "damaged",
    [row, every_row_of_the_block, missing_row, row_naming_another_place, block_row, leaf, entries],
    ids=lambda one: one.__name__,
)
def test_a_proven_block_mends_what_was_damaged_of_it(
    sound: Path, hurt: Path, world: TestWorld, damaged: Callable[[lmdb.Transaction[bytes], Tables], None]
) -> None:
    item = offered(world, sound)
    damage(hurt, damaged)
    assert findings(hurt, world)
    store = LmdbStore.open(hurt, world.ledger_id)
    block = proven(governance_of(world.genesis, store), item, known_hashes(item))
    assert store.mend_block(block) > 0
    assert store.mend_block(block) == 0, "what is whole is not written again"
    # A row that is gone, or names a place where another payload lies, took the place of its payload with it: that is fetched anew, and the segment emptied.
    awaited = store.awaited(9)
    assert awaited == ([AT] if damaged in (missing_row, row_naming_another_place) else [])
    if awaited:
        other = LmdbStore.open(sound, world.ledger_id)
        store.fill([(AT, other.record(AT).payload or b"")])
        other.close()
        assert store.vacate(1)
    store.close()
    assert findings(hurt, world) == []


@pytest.mark.parametrize("offers", ["another block", "a refused one", "one that begins elsewhere"])
def test_a_block_offered_in_the_place_of_another_is_not_written(
    hurt: Path, sound: Path, world: TestWorld, offers: str
) -> None:
    item = offered(world, sound, BLOCK + 1 if offers == "another block" else BLOCK)
    item.block.number = BLOCK
    if offers == "a refused one":
        del item.block.submissions[:], item.paths[:]
        item.block.refusal = Code.MALFORMED
    if offers == "one that begins elsewhere":
        del item.block.submissions[:], item.paths[:]
        item.block.size_before = 200
    damage(hurt, block_row)
    before = findings(hurt, world)
    store = LmdbStore.open(hurt, world.ledger_id)
    with pytest.raises(CannotMend, match="another one"):
        store.mend_block(proven(governance_of(world.genesis, store), item, {}))
    store.close()
    assert findings(hurt, world) == before


@pytest.mark.parametrize("level", [0, 1])
def test_a_tile_is_derived_from_what_lies_below_it(hurt: Path, world: TestWorld, level: int) -> None:
    damage(hurt, lambda txn, tables: spoiled(txn, tables.tiles, tile_key(level, 0)))
    store = LmdbStore.open(hurt, world.ledger_id)
    store.mend_tile(level, 0)
    store.close()
    assert findings(hurt, world) == []


def test_a_tile_whose_rows_do_not_make_the_quorums_root_is_not_written(hurt: Path, world: TestWorld) -> None:
    def other_header(txn: lmdb.Transaction[bytes], tables: Tables) -> None:
        data = txn.get(position_key(AT), b"", db=tables.rows)
        found = rows.decode_record_row(AT, data)
        changed = found._replace(header_bytes=found.header_bytes[:-1] + b"\1")
        txn.put(position_key(AT), rows.with_locator(AT, changed, found.locator), db=tables.rows)

    damage(hurt, other_header)
    store = LmdbStore.open(hurt, world.ledger_id)
    before = store.subtree(8, 0)
    with pytest.raises(CannotMend):
        store.mend_tile(0, 0)
    assert store.subtree(8, 0) == before
    store.close()


def test_an_entry_that_is_no_records_is_removed_and_a_heads_is_found_again(
    hurt: Path, world: TestWorld
) -> None:
    key, stray = named_key("residency", subject("resident")), named_key("residency", subject("nobody"))

    def entries_of_others(txn: lmdb.Transaction[bytes], tables: Tables) -> None:
        txn.put(key, position_key(100), db=tables.subjects)
        txn.put(stray, position_key(5), db=tables.subjects)

    damage(hurt, entries_of_others)
    store = LmdbStore.open(hurt, world.ledger_id)
    for one in (key, stray):
        store.mend_entry("subjects", one)
    store.close()
    assert findings(hurt, world) == []


def other_payload_hash(item: sync_pb2.FetchedBlock, world: TestWorld) -> None:
    item.block.submissions[0].records[0].payload_hash = hashlib.sha256(b"another").digest()


def other_header(item: sync_pb2.FetchedBlock, world: TestWorld) -> None:
    header = item.block.submissions[0].records[0].header
    item.block.submissions[0].records[0].header = header[:-1] + bytes([header[-1] ^ 1])


def other_path(item: sync_pb2.FetchedBlock, world: TestWorld) -> None:
    item.paths[0].path[0] = b"\7" * 32


def no_paths(item: sync_pb2.FetchedBlock, world: TestWorld) -> None:
    del item.paths[:]


def exchanged_positions(item: sync_pb2.FetchedBlock, world: TestWorld) -> None:
    one, two = item.block.submissions[0].records[0], item.block.submissions[0].records[2]
    one.position, two.position = two.position, one.position


def other_signature(item: sync_pb2.FetchedBlock, world: TestWorld) -> None:
    item.block.submissions[0].signatures[0].data = bytes(64)


def left_out_refusal(item: sync_pb2.FetchedBlock, world: TestWorld) -> None:
    del item.block.submissions[0].records[1]


def known_elsewhere(item: sync_pb2.FetchedBlock, world: TestWorld) -> None:
    item.block.submissions[1].records[0].position = 1


def no_quorum(item: sync_pb2.FetchedBlock, world: TestWorld) -> None:
    note = decode_checkpoint(item.checkpoint)
    one = tuple(line for line in note.signatures if line.name == SITES[0])
    item.checkpoint = encode_checkpoint(note._replace(signatures=one))


def begins_elsewhere(item: sync_pb2.FetchedBlock, world: TestWorld) -> None:
    item.block.size_before += 1


@pytest.mark.parametrize(
    "forge",
    [other_payload_hash, other_header, other_path, no_paths, exchanged_positions, other_signature, left_out_refusal,
     known_elsewhere, no_quorum, begins_elsewhere],
    ids=lambda forge: forge.__name__,
)  # fmt: skip
def test_an_offer_that_does_not_prove_itself_is_refused(
    sound: Path, world: TestWorld, forge: Callable[[sync_pb2.FetchedBlock, TestWorld], None]
) -> None:
    store = LmdbStore.open(sound, world.ledger_id)
    item = fetched_block(store, BLOCK)
    governance = governance_of(world.genesis, store)
    hashes = {position: store.record_hash_at(position) for position in range(3)}
    store.close()
    assert item is not None
    assert proven(governance, item, hashes)
    forge(item, world)
    with pytest.raises(NotProven):
        proven(governance, item, hashes)


def test_a_fenced_record_is_neither_read_out_nor_given_to_another_site(hurt: Path, world: TestWorld) -> None:
    store = LmdbStore.open(hurt, world.ledger_id)
    governance = governance_of(world.genesis, store)
    record_hash = store.record_hash_at(AT)
    assert fetched_payload(store, governance, record_hash).payload
    store.fence(frozenset({AT}), frozenset({BLOCK}))
    assert fetched_payload(store, governance, record_hash).missing
    assert fetched_block(store, BLOCK) is None
    with pytest.raises(LedgerDamaged):
        store.check_given_out(AT)
    with pytest.raises(LedgerDamaged):
        store.block(BLOCK)
    store.fence(frozenset(), frozenset())
    assert fetched_payload(store, governance, record_hash).payload
    store.close()


def test_a_payload_whose_bytes_are_not_the_records_is_missing_and_never_given(
    hurt: Path, world: TestWorld
) -> None:
    store = LmdbStore.open(hurt, world.ledger_id)
    governance = governance_of(world.genesis, store)
    hashes = [store.record_hash_at(position) for position in range(6)]
    payload = store.record(AT).payload or b""
    path = hurt / "payloads" / "0000000001.segment"
    data = path.read_bytes()
    at = data.index(payload)
    path.write_bytes(data[:at] + bytes([payload[0] ^ 1]) + data[at + 1 :])
    answers = [fetched_payload(store, governance, record_hash) for record_hash in hashes]
    store.close()
    assert [answer.missing for answer in answers] == [at == AT for at in range(6)]
    assert answers[AT].payload == b""


def test_the_signed_checkpoint_of_a_tree_that_was_never_this_ledgers_proves_nothing(
    sound: Path, world: TestWorld
) -> None:
    store = LmdbStore.open(sound, world.ledger_id)
    item = fetched_block(store, BLOCK)
    assert item is not None
    state = LedgerDriver(world, store).state
    item.checkpoint = signed_checkpoint(world, state, SITES[:2], root=bytes(32)).note
    with pytest.raises(NotProven):
        proven(governance_of(world.genesis, store), item, known_hashes(item))
    store.close()
