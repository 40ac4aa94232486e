"""Verification of a disk follows officers' acts: a byte that was flipped in one is found, and so is an act that too few had signed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from acts import enrol_key, governed, set_threshold
from genesis_builder import TestWorld, ed25519, make_submission
from governed_story import WHOLE_STORY, story_world
from ledger_driver import LedgerDriver
from sento_node.ledger import rows
from sento_node.ledger.findings import Finding, Kind
from sento_node.ledger.lmdb_files import Tables, database_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.results import BlockResult
from sento_node.ledger.rows import position_key
from sento_node.ledger.verify import Verification
from sento_proto.errors import Code

CITY = "iizuka-city"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TestWorld, int]:
    """(directory, world, position of the last act) of the long story, flushed and cosigned at its end."""
    directory = tmp_path_factory.mktemp("original") / "ledger"
    world = story_world("verified", 2)
    store = LmdbStore.open(directory, world.ledger_id)
    driver = LedgerDriver(world, store)
    for part in WHOLE_STORY:
        for block in part(driver):
            driver.order(block)
    driver.flush()
    store.put_checkpoint(driver.checkpoint())
    store.close()
    return directory, world, driver.governance.last_act_at


@pytest.fixture
def directory(story: tuple[Path, TestWorld, int], tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(story[0], tmp_path / "ledger"))


def found(directory: Path, world: TestWorld) -> list[Finding]:
    return list(Verification(directory, world.genesis).findings())


def change(directory: Path, table: str, number: int, alter: Callable[[bytes], bytes]) -> None:
    """Rewrite a row by somebody who goes round the store."""
    with lmdb.open(str(database_directory(directory)), max_dbs=20, map_size=1 << 28) as env:
        tables = Tables(
            **{name: env.open_db(name.encode(), create=False) for name in Tables.__dataclass_fields__}
        )
        with env.begin(write=True) as txn:
            row = txn.get(position_key(number), db=getattr(tables, table))
            assert row is not None
            txn.put(position_key(number), alter(bytes(row)), db=getattr(tables, table))


def with_check(body: bytes) -> bytes:
    return rows._checked(body)


def test_a_story_with_acts_of_every_kind_is_sound_but_for_what_two_carried_out_orders_erased(
    story: tuple[Path, TestWorld, int], directory: Path
) -> None:
    assert [finding.kind for finding in found(directory, story[1])] == [Kind.ERASED] * 2


def test_a_flipped_byte_in_an_acts_row_is_found_at_its_position(
    story: tuple[Path, TestWorld, int], directory: Path
) -> None:
    _, world, at = story
    change(directory, "rows", at, lambda row: row.replace(b"a test needs it", b"a test needs In", 1))
    findings = found(directory, world)
    assert any(finding.position == at and finding.kind is Kind.WRONG for finding in findings), findings
    assert any("officers' acts cannot be followed" in finding.words for finding in findings), findings


def test_an_altered_act_whose_row_looks_whole_is_found_by_its_officers_signatures(
    story: tuple[Path, TestWorld, int], directory: Path
) -> None:
    _, world, at = story
    change(
        directory,
        "rows",
        at,
        lambda row: with_check(row[:-4].replace(b"a test needs it", b"a test needs In", 1)),
    )
    findings = found(directory, world)
    assert any(finding.position == at and finding.kind is Kind.WRONG for finding in findings), findings


def test_an_act_that_too_few_officers_signed_is_found_though_every_check_sum_holds(tmp_path: Path) -> None:
    """Somebody with one officer's key puts an act onto a disk, with every row as the store would have written it."""
    driver = governed()
    world = driver.world
    store = LmdbStore.open(tmp_path / "ledger", world.ledger_id)
    honest = LedgerDriver(world, store)
    assert honest.act(set_threshold(2)) is Code.ACCEPTED
    result = honest.order([honest.act_bytes(enrol_key(CITY, ed25519("stolen")))])
    told = result.submissions[0]
    short = result._replace(submissions=(told._replace(officers=told.officers[:1]),))
    honest.flush()
    store.close()
    change(tmp_path / "ledger", "blocks", 2, lambda _: rows.encode_block_row(short))
    findings = found(tmp_path / "ledger", world)
    words = (
        "The officers' acts cannot be followed: The act at position 1 does not fit what stands before it: "
        "1 officers signed and 2 are needed; an officer and the deputy count once."
    )
    assert [finding.words for finding in findings] == [words]


def test_an_officers_signature_that_was_damaged_is_found(tmp_path: Path) -> None:
    driver = governed()
    store = LmdbStore.open(tmp_path / "ledger", driver.world.ledger_id)
    honest = LedgerDriver(driver.world, store)
    result = honest.order([honest.act_bytes(set_threshold(2))])
    honest.flush()
    store.close()

    def spoilt(result: BlockResult) -> bytes:
        told = result.submissions[0]
        signature = told.officers[0].signature
        bad = told.officers[0]._replace(signature=signature._replace(data=bytes(64)))
        return rows.encode_block_row(
            result._replace(submissions=(told._replace(officers=(bad, told.officers[1])),))
        )

    change(tmp_path / "ledger", "blocks", 1, lambda _: spoilt(result))
    assert any("does not verify" in finding.words for finding in found(tmp_path / "ledger", driver.world))


def test_records_under_a_key_that_an_act_enrolled_are_verified_with_it(tmp_path: Path) -> None:
    driver = governed()
    store = LmdbStore.open(tmp_path / "ledger", driver.world.ledger_id)
    honest = LedgerDriver(driver.world, store)
    assert honest.act(enrol_key(CITY, ed25519("second"))) is Code.ACCEPTED
    driver.world.other_signers[CITY] = ed25519("second")
    honest.order([make_submission(driver.world, CITY, [honest.record("a", content=b"x")])])
    honest.flush()
    store.close()
    assert found(tmp_path / "ledger", driver.world) == []
