"""The process that looks at a ledger before a start: a file that nothing was ever written to, another ledger's directory, and a sound one are told apart."""

from __future__ import annotations

from pathlib import Path

import lmdb
import pytest

from genesis_builder import TestWorld, build_genesis
from ledger_driver import LedgerDriver
from sento_node.ledger.lmdb_files import LedgerNotOpened
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.rebuild.asking import Answer, ask


@pytest.fixture
def world() -> TestWorld:
    return build_genesis()


def looked(tmp_path: Path, world: TestWorld) -> Answer:
    genesis = tmp_path / "genesis.json"
    genesis.write_bytes(world.genesis_bytes)
    return ask("look", tmp_path / "ledger", genesis)


def written(tmp_path: Path, world: TestWorld) -> None:
    store = LmdbStore.open(tmp_path / "ledger", world.ledger_id, map_bytes=1 << 24)
    driver = LedgerDriver(world, store)
    driver.fill(20, content=b"something")
    driver.flush()
    store.close()


@pytest.mark.parametrize("made", ["empty file", "no commit"])
def test_a_file_that_nothing_was_written_to_is_a_ledger_not_begun(
    tmp_path: Path, world: TestWorld, made: str
) -> None:
    database = tmp_path / "ledger" / "database"
    database.mkdir(parents=True)
    (tmp_path / "ledger" / "payloads").mkdir()
    if made == "empty file":
        (database / "data.mdb").touch()
    else:
        lmdb.open(str(database), max_dbs=16).close()
    assert looked(tmp_path, world).unbegun
    (tmp_path / "ledger" / "payloads" / "0000000001.segment").write_bytes(b"SENTOPAY")
    assert not looked(tmp_path, world).unbegun, "payloads lie beside it: that was a ledger"


def test_a_ledger_with_records_is_begun_and_sound(tmp_path: Path, world: TestWorld) -> None:
    written(tmp_path, world)
    answer = looked(tmp_path, world)
    assert (answer.unbegun, answer.problem) == (False, "")


def test_another_ledgers_directory_is_a_mistake_and_no_damage(tmp_path: Path, world: TestWorld) -> None:
    written(tmp_path, build_genesis(name="another"))
    with pytest.raises(LedgerNotOpened, match="which directory belong together"):
        looked(tmp_path, world)
