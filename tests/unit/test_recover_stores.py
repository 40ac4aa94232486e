"""What is known outside of the sites is read whole from copied directories, and what cannot be read is said and not passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from genesis_builder import make_record, make_submission
from receipts_made import AUTHOR
from sento_client.outbox.shelf import Belongs, Changes, HeldAs, NewKept, Shelf
from sento_client.receipts.store import ProvenRun, ReceiptStore
from sento_client.recovering.stores import Found, read_outbox, read_receipts
from sento_proto.governance.state import from_genesis
from sento_proto.receipt import encode_receipt
from survivors import VOTING, Ruins


@pytest.fixture
def ruins() -> Ruins:
    return Ruins()


def read(directory: Path, ruins: Ruins) -> Found:
    found = Found()
    read_receipts(directory, from_genesis(ruins.world.genesis), found, named=False)
    read_outbox(directory, ruins.world.ledger_id, found, named=False)
    return found


def fill_store(directory: Path, ruins: Ruins, start: int, end: int) -> None:
    store = ReceiptStore.open(directory, Belongs(ruins.world.ledger_id, AUTHOR))
    checkpoint = ruins.ledger.checkpoint(sites=VOTING)
    first, last = (ruins.ledger.receipt(at, checkpoint).path for at in (start, end - 1))
    ids = [bytes([at]) * 16 for at in range(start, end)]
    store.put(checkpoint, [ProvenRun(start, ruins.ledger.hashes[start:end], ids, first, last)])
    store.close()


def test_a_store_gives_places_ids_and_its_newest_checkpoint(tmp_path: Path, ruins: Ruins) -> None:
    fill_store(tmp_path, ruins, 5, 9)
    found = read(tmp_path, ruins)
    assert [(one.receipt_number, one.author, one.record_id) for one in found.known] == [
        (f"0-{at}", AUTHOR, bytes([at]) * 16) for at in range(5, 9)
    ]
    assert len(found.checkpoints) == 1
    assert not found.notes


def test_a_receipt_file_counts_with_its_registry_when_it_verifies_and_is_said_when_it_does_not(
    tmp_path: Path, ruins: Ruins
) -> None:
    good, bad = ruins.ledger.checkpoint(sites=VOTING), ruins.ledger.checkpoint(sites=VOTING[:1])
    for name, checkpoint in (("good", good), ("bad", bad)):
        receipt = ruins.ledger.receipt(7, checkpoint, with_record=True)
        (tmp_path / f"{name}.receipt.json").write_bytes(encode_receipt(receipt))
    found = read(tmp_path, ruins)
    (one,) = found.known
    assert (one.receipt_number, one.author, one.registry) == ("0-7", AUTHOR, "residency")
    assert "bad.receipt.json" in found.notes[0]


def shelf(directory: Path, ruins: Ruins, ledger_id: bytes | None = None) -> Shelf:
    return Shelf.open(directory / "0-dead.outbox", Belongs(ledger_id or ruins.world.ledger_id, AUTHOR))


def test_an_outbox_says_what_waits_what_a_quorum_had_and_what_it_was_told(
    tmp_path: Path, ruins: Ruins
) -> None:
    world = ruins.world
    pair = [make_record(world, AUTHOR, "tax", "tax/assessment", bytes(32), bytes([n]) * 16) for n in range(2)]
    both, single = make_submission(world, AUTHOR, pair), ruins.ledger.submissions[0]
    file = shelf(tmp_path, ruins)
    file.commit(
        Changes(
            keep=[
                NewKept(1, 7, 2, both),
                NewKept(2, 7, 1, single),
                NewKept(3, 7, 1, ruins.ledger.submissions[1]),
            ]
        )
    )
    file.commit(Changes(held=[(1, HeldAs(0, 30, (1,)))], notes=[(2, 4, 31)], at_home=[(3, 9)]))
    file.close()
    found = read(tmp_path, ruins)
    assert [(one.registry, one.at_home, one.waits) for one in found.known] == [
        ("tax", True, True), ("tax", False, True), ("residency", False, True), ("residency", True, True),
    ]  # fmt: skip
    assert found.known[2].told
    assert [one.record_hash for one in found.known[:2]] == [record.record_hash for record in pair]


def test_a_directory_that_was_named_and_holds_nothing_is_said(tmp_path: Path, ruins: Ruins) -> None:
    fill_store(tmp_path / "receipts", ruins, 5, 9)
    found = Found()
    read_receipts(tmp_path, from_genesis(ruins.world.genesis), found)
    read_outbox(tmp_path, ruins.world.ledger_id, found)
    assert [note.split(": ")[1].split(";")[0] for note in found.notes] == [
        "no receipts are in it",
        "no outbox is in it",
    ]
    assert not found.known


def test_an_outbox_of_another_ledger_and_a_damaged_store_are_said_and_not_counted(
    tmp_path: Path, ruins: Ruins
) -> None:
    file = shelf(tmp_path, ruins, b"\1" * 32)
    file.commit(Changes(keep=[NewKept(1, 7, 1, ruins.ledger.submissions[0])]))
    file.close()
    (tmp_path / f"{AUTHOR}.receipts").write_bytes(b"not a database" * 100)
    found = read(tmp_path, ruins)
    assert not found.known
    assert len(found.notes) == 2
    assert "of ledger 0101" in found.notes[1]
