"""A member's log that left the ordering log leaves the disk too, killed or not, and what is left says that no log may be begun in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bare_node import node_config
from genesis_builder import build_genesis
from lone_runner import SITE
from sento_node.boot_keeper import BootFiles
from sento_node.epochs.here import EpochHere
from sento_node.joining.leaving import LEFT, clear_left, holds_log, put_away
from sento_node.joining.note import VOTE, NoteFiles
from sento_node.joining.running import begin_vote, never_a_member
from sento_node.ordering.boot import Refuse, decide_boot


def with_log(data_dir: Path) -> BootFiles:
    files = BootFiles(data_dir, 0)
    files.raise_to(3)
    wal = files.member_dir / "member" / "wal"
    wal.mkdir(parents=True)
    (wal / "0.wal").write_bytes(b"a block")
    assert files.note_begun()
    return files


async def test_the_log_is_gone_and_the_site_may_start_without_it(tmp_path: Path) -> None:
    files = with_log(tmp_path)
    await put_away(files)
    assert not holds_log(files)
    assert files.has_left
    assert sorted(path.name for path in files.epoch_dir.iterdir()) == ["boot-number", "left"]
    assert not isinstance(decide_boot(files.read(9, 9), 4, {}, frozenset({"a"})), Refuse)
    await put_away(files)


@pytest.mark.parametrize("killed", ["before it was moved", "before it was removed", "while it was removed"])
async def test_a_kill_in_the_middle_is_made_good(tmp_path: Path, killed: str) -> None:
    files = with_log(tmp_path)
    files.note_left()
    if killed != "before it was moved":
        files.member_dir.rename(files.member_dir.with_name(LEFT))
    if killed == "while it was removed":
        (files.epoch_dir / LEFT / "member" / "wal" / "0.wal").unlink()
    await clear_left(files)
    await put_away(files)
    assert sorted(path.name for path in files.epoch_dir.iterdir()) == ["boot-number", "left"]


async def test_a_site_begins_a_log_only_with_those_it_began_with_and_once(tmp_path: Path) -> None:
    genesis, config = build_genesis().genesis, node_config(data_dir=tmp_path)
    assert SITE in genesis.voting_sites
    fresh = BootFiles(tmp_path, 0)
    assert not never_a_member(config, genesis, EpochHere(), fresh)
    assert never_a_member(config, genesis, EpochHere(1), BootFiles(tmp_path, 1)), "followed into it"
    stranger = config.model_copy(update={"site": "lu-betzdorf"})
    assert never_a_member(stranger, genesis, EpochHere(), fresh)
    files = with_log(tmp_path)
    assert not never_a_member(stranger, genesis, EpochHere(), files)
    await put_away(files)
    assert never_a_member(config, genesis, EpochHere(), files)


def test_a_vote_is_taken_with_the_ledger_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    begun = begin_vote(tmp_path)
    begun.noted(member_id=9)
    note = NoteFiles(tmp_path).read()
    assert note is not None
    assert (note.kind, note.set_aside, note.ledger_made, note.member_id) == (VOTE, True, True, 9)
    assert (tmp_path / "ledger").is_dir()
