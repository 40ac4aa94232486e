"""The store of receipts: what was put there is there after a kill, once and evidence whole, and is found by each of its names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from genesis_builder import build_genesis
from receipts_made import SmallLedger
from sento_client.outbox.shelf import Belongs
from sento_client.receipts.store import NO_ID, ProvenRun, ReceiptStore, look
from sento_client.setup_errors import Setup, SetupError

SIZE = 40
LEDGER = SmallLedger.of(build_genesis(), SIZE)
BELONGS = Belongs(LEDGER.world.ledger_id, "iizuka-city")


def run_of(start: int, end: int, size: int = SIZE, ids: list[bytes] | None = None) -> ProvenRun:
    checkpoint = LEDGER.checkpoint(size)
    first, last = (LEDGER.receipt(at, checkpoint).path for at in (start, end - 1))
    return ProvenRun(start, LEDGER.hashes[start:end], ids or [NO_ID] * (end - start), first, last)


@pytest.fixture
def store(tmp_path: Path) -> ReceiptStore:
    return ReceiptStore.open(tmp_path, BELONGS)


def test_each_record_of_a_run_has_its_own_receipt(store: ReceiptStore) -> None:
    for size in (SIZE, 33, 17):
        checkpoint = LEDGER.checkpoint(size)
        store.put(checkpoint, [run_of(3, 11, size), run_of(12, 13, size)])
        for position in (*range(3, 11), 12):
            found = store.at(position)
            assert found is not None
            assert found == LEDGER.receipt(position, found.checkpoint)
    assert [store.at(position) for position in (0, 2, 11, 13, SIZE)] == [None] * 5


def test_receipts_are_found_by_hash_and_by_record_id(store: ReceiptStore) -> None:
    ids = [os.urandom(16) for _ in range(8)]
    store.put(LEDGER.checkpoint(), [run_of(3, 11, ids=ids)])
    for at, record_id in enumerate(ids):
        by_id, by_hash = store.of_id(record_id), store.of_hash(LEDGER.hashes[3 + at])
        assert by_id is not None
        assert by_id == by_hash
        assert by_id.position == 3 + at
    assert store.of_hash(LEDGER.hashes[2]) is None
    # Bytes that only lie across two names are no name.
    assert store.of_id(ids[0][8:] + ids[1][:8]) is None


def test_the_same_receipt_is_stored_once_and_another_history_beside_it(store: ReceiptStore) -> None:
    for size in (SIZE, SIZE, 20):
        store.put(LEDGER.checkpoint(size), [run_of(3, 11, size)])
    stands = look(store.path)
    assert stands is not None
    assert stands.receipts == 8
    other = SmallLedger.of(LEDGER.world, SIZE)
    checkpoint = other.checkpoint()
    first, last = (other.receipt(at, checkpoint).path for at in (3, 10))
    store.put(checkpoint, [ProvenRun(3, other.hashes[3:11], [NO_ID] * 8, first, last)])
    assert store.at(4, LEDGER.hashes[4]) == LEDGER.receipt(4, LEDGER.checkpoint())
    assert store.at(4, other.hashes[4]) == other.receipt(4, checkpoint)


def test_what_was_put_is_there_after_a_kill(store: ReceiptStore, tmp_path: Path) -> None:
    """A copy of the files at this moment is what a process that dies leaves."""
    store.put(LEDGER.checkpoint(), [run_of(3, 11)])
    left = tmp_path / "left"
    left.mkdir()
    for path in tmp_path.glob("*.receipts*"):
        shutil.copy(path, left)
    again = ReceiptStore.open(left, BELONGS)
    assert again.at(7) == LEDGER.receipt(7, LEDGER.checkpoint())
    again.close()


@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda data: b"x" * 100 + data[100:]])
def test_a_damaged_file_is_refused_by_name_and_stays(tmp_path: Path, spoil: object) -> None:
    store = ReceiptStore.open(tmp_path, BELONGS)
    store.put(LEDGER.checkpoint(), [run_of(3, 11)])
    store.close()
    assert callable(spoil)
    spoilt = spoil(store.path.read_bytes())
    store.path.write_bytes(spoilt)
    with pytest.raises(SetupError, match=r"iizuka-city\.receipts") as refused:
        ReceiptStore.open(tmp_path, BELONGS)
    assert refused.value.code is Setup.RECEIPTS_UNUSABLE
    assert store.path.read_bytes() == spoilt
    stands = look(store.path)
    assert stands is not None
    assert stands.trouble


def test_another_institutions_or_ledgers_file_is_refused(store: ReceiptStore, tmp_path: Path) -> None:
    with pytest.raises(SetupError) as refused:
        ReceiptStore.open(tmp_path, Belongs(bytes(32), "iizuka-city"))
    assert refused.value.code is Setup.RECEIPTS_FOREIGN
