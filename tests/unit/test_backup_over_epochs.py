"""A backup over the end of an epoch: its next set begins at the fork, is proven and restored as the ledger that stands, and what the former epoch held above
the fork is passed over by name; a site of the new epoch takes of an older set what lies below the fork."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from click.testing import CliRunner

from forked_backup import AT_S, ForkedBackup
from genesis_builder import SITES
from ledger_driver import everything
from lone_runner import ManualClock
from sento_client.cli.courier_common import chosen
from sento_client.courier.reading import Judge, scan, signers_of, volume_paths
from sento_client.courier.verifying import Verified, verify_sets
from sento_client.governing.following import Followed
from sento_client.governing.trust_file import Trusted
from sento_node.cli import main
from sento_node.condition import Condition
from sento_node.importing.desk import ImportDesk, Report
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.verify import Verification
from sento_node.restoring.volumes import chunks_of
from sento_node.restoring.volumes import scan as scan_here
from sento_node.service.node_state import NodeState
from sento_proto.chunk import Kind, decode_chunk
from sento_proto.governance.state import from_genesis


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ForkedBackup:
    return ForkedBackup(tmp_path_factory.mktemp("forked"))


def restored(made: ForkedBackup, into: Path, *more: str) -> dict[str, object]:
    genesis = into.with_suffix(".genesis.json")
    genesis.write_bytes(made.world.genesis_bytes)
    arguments = ["restore", "--from", made.backup, "--genesis", genesis, "--into", into, "--json", *more]
    result = CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    assert list(Verification(into / "ledger", made.world.genesis).findings()) == []
    return found


def whole(made: ForkedBackup, into: Path) -> dict[str, object]:
    with closing(LmdbStore.open(into / "ledger", made.world.ledger_id)) as store:
        return everything(store)


def test_the_set_of_the_new_epoch_begins_at_the_fork(made: ForkedBackup) -> None:
    assert made.lost.to_block > made.fork_block
    newest = made.newest
    assert (newest.epoch, newest.from_block, newest.from_size) == (1, made.fork_block, made.fork_size)


def test_after_a_recovery_from_another_copy_all_is_exported_again_proven_and_restored(tmp_path: Path) -> None:
    """The former epoch's set goes on with other records than the ledger: a set behind its end would hang in the air."""
    (tmp_path / "forked").mkdir()
    made = ForkedBackup(tmp_path / "forked", recovered=True)
    assert (made.newest.epoch, made.newest.from_block, made.newest.from_size) == (1, 0, 0)
    value = restored(made, tmp_path / "into")
    assert (value["whole"], value["epoch"]) == (True, 1)
    assert whole(made, tmp_path / "into") == made.whole
    judge = Judge(made.world.ledger_id, signers_of(from_genesis(made.world.genesis)), None)
    sets = chosen(scan(volume_paths([made.backup]), judge), None, chain=True)
    trusted = Trusted(made.world.genesis, Followed.start(made.world.genesis), None)
    assert verify_sets(sets, trusted, judge).ok


def test_what_is_restored_is_the_ledger_that_stands(made: ForkedBackup, tmp_path: Path) -> None:
    value = restored(made, tmp_path / "into")
    assert (value["whole"], value["epoch"]) == (True, 1)
    assert value["ended"] == made.lost_block - made.fork_block
    assert whole(made, tmp_path / "into") == made.whole


@pytest.mark.parametrize("after_s", [60, 120, 179])
def test_a_moment_before_the_new_epoch_gives_what_stood_below_the_fork_and_never_what_was_lost(
    made: ForkedBackup, tmp_path: Path, after_s: int
) -> None:
    """The volumes have checkpoints of the first set's end and behind the fork; what was lost stands in the ledgers that sites set aside."""
    as_of = datetime.fromtimestamp(AT_S + after_s, UTC).isoformat()
    value = restored(made, tmp_path / "into", "--as-of", as_of)
    assert (value["size"], value["epoch"]) == (made.lost.from_size, 0)
    assert value["next_agreed_at_s"] == AT_S + 180


def verified(made: ForkedBackup) -> Verified:
    genesis = made.world.genesis
    judge = Judge(made.world.ledger_id, signers_of(from_genesis(genesis)), None)
    found = scan(volume_paths([made.backup]), judge)
    sets = chosen(found, None, chain=True)
    assert [each.header.epoch for each in sets] == [0, 0, 1]
    return verify_sets(sets, Trusted(genesis, Followed.start(genesis), None), judge)


def test_the_chain_is_proven_offline_with_the_act_inside(made: ForkedBackup) -> None:
    result = verified(made)
    assert result.ok, result
    tip = made.whole["tip"]
    assert (result.size, result.block) == (tip.size, tip.block)  # type: ignore[attr-defined]
    assert result.payloads_left_out == 0


def test_without_the_spine_that_begins_the_epoch_the_chain_ends_before_it_and_says_so(
    made: ForkedBackup, tmp_path: Path
) -> None:
    judge = Judge(made.world.ledger_id, None, None)
    for one in scan(volume_paths([made.backup]), judge):
        assert one.header is not None
        assert one.path is not None
        if (one.header.set_id, one.header.content) != (made.newest.set_id, "spine"):
            (tmp_path / one.path.name).symlink_to(one.path)
    sets = chosen(scan(volume_paths([tmp_path]), judge), None, chain=True)
    genesis = made.world.genesis
    result = verify_sets(sets, Trusted(genesis, Followed.start(genesis), None), judge)
    assert any("no good volume holds what comes next" in words for words in result.troubles)


# -- brought to a site ---------------------------------------------------------------------------------------------------


def chunks(made: ForkedBackup, set_id: bytes, kind: Kind) -> list[bytes]:
    scanned = scan_here(made.backup, made.world.ledger_id, None, lambda _done, _of: None)
    volumes = [volume for volume in scanned.volumes if volume.header.set_id == set_id]
    return [data for one in volumes for data in chunks_of(one, None) if decode_chunk(data).name.kind is kind]


def brought(made: ForkedBackup, store: LmdbStore, directory: Path, *data: bytes) -> list[Report]:
    writer = ThreadPoolExecutor(max_workers=1)
    node = NodeState(
        config=cast("object", SimpleNamespace(site=SITES[0], data_dir=directory)),  # type: ignore[arg-type]
        genesis=made.world.genesis,
        store=store,
        clock=ManualClock(),
        writer=writer,
        condition=Condition(),
        certificate_expires_at_s=lambda: 0,
    )

    async def bring() -> list[Report]:
        async with ImportDesk(node).courier() as visit:
            return [await visit.take(one) for one in data]

    try:
        return asyncio.run(bring())
    finally:
        writer.shutdown()


def test_a_site_of_the_new_epoch_takes_of_the_older_set_what_lies_below_the_fork(
    made: ForkedBackup, tmp_path: Path
) -> None:
    """Spine: not above the fork. Payloads: those of records that stand, and no others."""
    restored(made, tmp_path / "site")
    first = decode_chunk(chunks(made, made.lost.set_id, Kind.SPINE)[0])
    with closing(LmdbStore.open(tmp_path / "site" / "ledger", made.world.ledger_id)) as store:
        before = everything(store)
        [spine] = brought(made, store, tmp_path, *chunks(made, made.lost.set_id, Kind.SPINE)[-1:])
        payloads = brought(made, store, tmp_path, *chunks(made, made.lost.set_id, Kind.PAYLOADS))
        assert everything(store) == before
    assert first.name.epoch == 0
    assert spine.outcome in ("refused", "known")
    assert {one.outcome for one in payloads} <= {"known", "refused"}
    assert any("epoch 0, which ended" in one.words for one in payloads)
    assert not any("signed" in one.words for one in payloads), (
        "they are not false, they are of an epoch that ended"
    )


def test_a_site_that_took_the_lost_blocks_in_is_told_to_begin_the_epoch(
    made: ForkedBackup, tmp_path: Path
) -> None:
    with closing(LmdbStore.open(tmp_path / "ledger", made.world.ledger_id)) as store:
        spine = [data for path in _sets(made) for data in chunks(made, path, Kind.SPINE)]
        reports = brought(made, store, tmp_path, *spine)
        assert store.tip.epoch == 0
        assert store.tip.block == made.lost_block
    assert any("sento-node begin-epoch" in one.words for one in reports)


def _sets(made: ForkedBackup) -> list[bytes]:
    """Oldest first."""
    scanned = scan_here(made.backup, made.world.ledger_id, None, lambda _done, _of: None)
    headers = {volume.header.set_id: volume.header for volume in scanned.volumes}
    return sorted(headers, key=lambda set_id: (headers[set_id].epoch, headers[set_id].to_block))
