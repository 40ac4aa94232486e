"""A ledger that is cut back to the end of one of its blocks is the ledger that it was then, verifies whole, and goes on; and the child that looks at a ledger
says what is the matter with each kind of damage, also when the look kills it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from genesis_builder import TestWorld, build_genesis
from hurt_ledgers import database, write_garbage
from ledger_driver import LedgerDriver, everything
from sento_node.ledger.lmdb_cut import cut_ledger
from sento_node.ledger.lmdb_files import LedgerNotOpened, payloads_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.segments import segment_path
from sento_node.ledger.verify import Verification
from sento_node.rebuild.asking import ask
from sento_node.rebuild.places import Places
from sento_node.rebuild.preparing import cut_segments

SEGMENT_MAX_BYTES = 4_000


@pytest.fixture(scope="module")
def world() -> TestWorld:
    return build_genesis()


def write_steps(world: TestWorld, directory: Path, steps: int, shelve: dict[int, Path] | None = None) -> None:
    """Versions of facts, records without payload, a no-op block, over more than one tile and one segment. `shelve`: where to put a copy after so many steps."""
    store = LmdbStore.open(directory, world.ledger_id, segment_max_bytes=SEGMENT_MAX_BYTES)
    driver = LedgerDriver(world, store)
    last = driver.record("moves", about="resident", content=b"0")
    driver.write([last])
    for step in range(1, steps + 1):
        content = b"%d" % step * 90
        last = driver.record("moves", previous=last.record_hash, about="resident", content=content)
        driver.write([last])
        if step == 1:
            driver.order([], data=b"no block at all")
        if step == 2:
            driver.fill(260, prefix="many")
        driver.flush()
        store.put_checkpoint(driver.checkpoint())
        if shelve and step in shelve:
            shutil.copytree(directory, shelve[step])
    store.close()


@pytest.mark.parametrize("kept", [1, 2, 3, 5])
def test_cut_back_it_is_the_ledger_of_then_and_goes_on(world: TestWorld, tmp_path: Path, kept: int) -> None:
    longer, shorter = tmp_path / "longer", tmp_path / "shorter"
    write_steps(world, longer, 6, {kept: shorter})
    then = LmdbStore.open(shorter, world.ledger_id)
    ends = cut_ledger(longer, then.tip.size, then.tip.block)
    cut_segments(payloads_directory(longer), ends)
    verification = Verification(longer, world.genesis)
    assert list(verification.findings()) == []
    assert verification.summary.size == then.tip.size
    cut = LmdbStore.open(longer, world.ledger_id)
    assert everything(cut) == everything(then)
    driver = LedgerDriver(world, cut)
    driver.fill(3, prefix="afterwards")
    driver.flush()
    cut.close()
    then.close()
    assert list(Verification(longer, world.genesis).findings()) == []


def test_segments_that_a_copy_shares_with_the_damaged_ledger_stay_as_they_are_there(
    world: TestWorld, tmp_path: Path
) -> None:
    old, copy = tmp_path / "old", tmp_path / "copy"
    write_steps(world, old, 6)
    shutil.copytree(old, copy, copy_function=os.link)
    (database(copy)).unlink()
    shutil.copyfile(database(old), database(copy))
    sizes = {path.name: path.stat().st_size for path in payloads_directory(old).iterdir()}
    cut_segments(payloads_directory(copy), cut_ledger(copy, 2, 2))
    store = LmdbStore.open(copy, world.ledger_id)
    driver = LedgerDriver(world, store)
    driver.fill(2, content=b"afterwards")
    driver.flush()
    store.close()
    assert {path.name: path.stat().st_size for path in payloads_directory(old).iterdir()} == sizes
    assert list(Verification(old, world.genesis).findings()) == []


def nothing(ledger: Path) -> None:
    """Leave it as it is."""


def shorten(ledger: Path) -> None:
    os.truncate(database(ledger), database(ledger).stat().st_size // 2)


def spoil(ledger: Path) -> None:
    write_garbage(database(ledger), share=1.0)


def not_a_database(ledger: Path) -> None:
    database(ledger).write_bytes(b"something else")


def lose_segment(ledger: Path) -> None:
    segment_path(payloads_directory(ledger), 1).unlink()


def shorten_segment(ledger: Path) -> None:
    os.truncate(segment_path(payloads_directory(ledger), 1), 60)


@pytest.mark.parametrize(
    ("hurt", "says"),
    [
        (nothing, ""),
        (shorten, "pages are damaged"),
        (spoil, "pages are damaged"),
        (not_a_database, "pages are damaged"),
        (lose_segment, "segment 1 is missing"),
        (shorten_segment, "segment 1 ends at byte 60"),
    ],
    ids=["whole", "cut-short", "garbage-pages", "not-a-database", "segment-gone", "segment-short"],
)
def test_the_look_of_a_child_names_what_is_the_matter(
    world: TestWorld, tmp_path: Path, hurt: Callable[[Path], None], says: str
) -> None:
    ledger, genesis = tmp_path / "ledger", tmp_path / "genesis.json"
    genesis.write_bytes(world.genesis_bytes)
    write_steps(world, ledger, 3)
    hurt(ledger)
    problem = ask("look", ledger, genesis).problem
    assert says in problem
    assert bool(says) == bool(problem)


def test_the_look_refuses_a_ledger_that_a_node_has_open(world: TestWorld, tmp_path: Path) -> None:
    ledger, genesis = tmp_path / "ledger", tmp_path / "genesis.json"
    genesis.write_bytes(world.genesis_bytes)
    store = LmdbStore.open(ledger, world.ledger_id)
    with pytest.raises(LedgerNotOpened, match="Another process"):
        ask("look", ledger, genesis)
    store.close()


def test_a_child_that_dies_has_found_damage(tmp_path: Path) -> None:
    assert "died of it" in ask("look", tmp_path / "none", tmp_path / "no-genesis").problem


def test_files_that_were_touched_since_they_were_closed_are_looked_at_again(
    world: TestWorld, tmp_path: Path
) -> None:
    places = Places(tmp_path)
    write_steps(world, places.ledger, 2)
    assert not places.as_closed()
    places.note_closed()
    assert places.as_closed()
    data = database(places.ledger)
    stat = data.stat()
    os.utime(data, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert not places.as_closed()
    places.note_closed()
    places.opened()
    assert not places.as_closed()
