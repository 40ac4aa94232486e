"""What a site remembers of other sites' boots outlives its ledger; and a site that lost both copies confirms nobody by what it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from sento_node.boot_keeper import BootFileDamaged, memory_name
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.rebuild.boot_memories import LOST_NAME, BootMemories, memories_path, read_memories

PEER = "jp-ishikawa"
ONE, TWO, THREE = bytes([1]) * 16, bytes([2]) * 16, bytes([3]) * 16


def empty_store() -> MemoryStore:
    return MemoryStore(MemoryDisk(bytes(32)))


def memories(directory: Path, store: MemoryStore) -> BootMemories:
    return BootMemories(memories_path(directory), store)


def test_a_new_ledger_still_refuses_a_number_that_the_former_one_remembered(tmp_path: Path) -> None:
    memories(tmp_path, empty_store()).announced(PEER, 7, ONE)
    assert memories(tmp_path, empty_store()).announced(PEER, 5, TWO) == 7


def test_the_higher_of_the_two_copies_counts_and_both_are_brought_to_it(tmp_path: Path) -> None:
    old, store = empty_store(), empty_store()
    memories(tmp_path, old).announced(PEER, 3, ONE)
    memories(tmp_path, store).announced(PEER, 7, TWO)
    kept = memories(tmp_path, old)
    kept.complete([PEER])
    assert kept.announced(PEER, 4, THREE) == 7
    memories_path(tmp_path).unlink()
    kept = memories(tmp_path, old)
    kept.complete([PEER])
    assert memories(tmp_path, empty_store()).announced(PEER, 4, THREE) == 7


def test_a_repeated_announcement_gets_the_same_answer_also_from_a_new_ledger(tmp_path: Path) -> None:
    memories(tmp_path, empty_store()).announced(PEER, 7, ONE)
    assert memories(tmp_path, empty_store()).announced(PEER, 8, TWO) == 7
    assert memories(tmp_path, empty_store()).announced(PEER, 8, TWO) == 7


def test_with_both_copies_lost_a_site_is_unsure_however_often_it_is_told_and_knows_the_next_life(
    tmp_path: Path,
) -> None:
    store = empty_store()
    store.remember(LOST_NAME, b"1")
    kept = memories(tmp_path, store)
    assert kept.announced(PEER, 4, ONE) is None
    assert memories(tmp_path, store).announced(PEER, 4, ONE) is None
    assert kept.announced(PEER, 5, TWO) == 4
    assert kept.announced(PEER, 5, THREE) == 5


def test_a_site_that_is_new_itself_confirms_whom_it_never_heard_of(tmp_path: Path) -> None:
    assert memories(tmp_path, empty_store()).announced(PEER, 1, ONE) == 0


def test_a_file_that_holds_something_else_is_said_to_be_damaged(tmp_path: Path) -> None:
    memories_path(tmp_path).write_text('{"format":"sento-boot-memories-1","sites":{"jp-ishikawa":"00"}}')
    with pytest.raises(BootFileDamaged, match="move the file away"):
        memories(tmp_path, empty_store())


def test_the_ledgers_copy_alone_is_enough(tmp_path: Path) -> None:
    store = empty_store()
    memories(tmp_path, store).announced(PEER, 7, ONE)
    assert store.recall(memory_name(PEER))
    memories_path(tmp_path).unlink()
    assert memories(tmp_path, store).announced(PEER, 5, TWO) == 7


def test_a_site_that_was_unsure_while_its_new_ledger_was_prepared_stays_so_although_it_wrote_the_file_meanwhile(
    tmp_path: Path,
) -> None:
    stand_in = empty_store()
    stand_in.remember(LOST_NAME, b"1")
    assert memories(tmp_path, stand_in).announced(PEER, 4, ONE) is None
    kept = read_memories(memories_path(tmp_path))
    assert kept is not None
    assert kept.lost
    assert memories(tmp_path, empty_store()).announced("se-lulea", 3, TWO) is None
