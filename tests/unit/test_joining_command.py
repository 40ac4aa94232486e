"""What `sento-node join` and `replace-disk` check before anything is begun: each refusal leaves the disk as it was, and says what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sento_drill.world import World, make_world
from sento_node.config import NodeConfig, load_config
from sento_node.joining.note import JOIN, NOTE_FILE, REPLACE_DISK, Note, NoteFiles
from sento_node.joining.starting import joining_at_start
from sento_node.joining_command import NotBegun, begin_join, begin_replace
from sento_node.keyfile import read_signer
from sento_node.ledger.lmdb_files import LedgerNotOpened
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.rebuild.deciding import NOTE_NAME, decode_note
from sento_node.rebuild.places import Places
from sento_node.sync.deciding import Anchor
from sento_proto.bootstrap import bootstrap_of, encode_bootstrap, sign_bootstrap, unsigned
from sento_proto.governance.state import from_genesis

SITE = "jp-fukuoka"
ROOT = b"\x07" * 32
OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "world")


@pytest.fixture
def config(world: World) -> NodeConfig:
    return load_config(next(site for site in world.sites if site.name == SITE).config)


def bootstrap_file(world: World, to: Path, *officers: str) -> Path:
    genesis_file = (world.directory / "genesis.json").read_bytes()
    signed = unsigned(bootstrap_of(from_genesis(world.genesis), genesis_file, (0, 10, ROOT), 1))
    for officer in officers:
        signed = sign_bootstrap(signed, read_signer(world.officer(officer).directory / "signing.key"))
    to.write_bytes(encode_bootstrap(signed))
    return to


def assert_not_begun(config: NodeConfig, begin: Callable[[], None], words: str) -> None:
    before = sorted(config.data_dir.rglob("*")) if config.data_dir.exists() else None
    with pytest.raises(NotBegun, match=words):
        begin()
    assert (sorted(config.data_dir.rglob("*")) if config.data_dir.exists() else None) == before


def test_a_join_from_nothing_is_noted_with_the_file_and_its_tree(
    world: World, config: NodeConfig, tmp_path: Path
) -> None:
    path = bootstrap_file(world, tmp_path / "file", *OFFICERS)
    begin_join(config, path)
    begun = joining_at_start(config.data_dir, world.genesis.ledger_id)
    assert begun is not None
    assert begun.note == Note(JOIN, set_aside=True, ledger_made=True)
    assert begun.anchor == Anchor(0, 10, ROOT)
    store = LmdbStore.open(Places(config.data_dir).ledger, world.genesis.ledger_id)
    note = decode_note(store.recall(NOTE_NAME))
    store.close()
    assert note is not None
    assert note.floor_size == 10, "nothing is answered below what the officers signed"
    path.unlink()
    begin_join(config, path)
    again = joining_at_start(config.data_dir, world.genesis.ledger_id)
    assert again is not None
    assert again.anchor == begun.anchor


def test_a_genesis_file_that_is_missing_comes_from_the_bootstrap_file(
    world: World, config: NodeConfig, tmp_path: Path
) -> None:
    config.genesis.unlink()
    begin_join(config, bootstrap_file(world, tmp_path / "file", *OFFICERS))
    assert config.genesis.read_bytes() == (world.directory / "genesis.json").read_bytes()


def test_too_few_officers_an_altered_file_and_none_begin_nothing(
    world: World, config: NodeConfig, tmp_path: Path
) -> None:
    short = bootstrap_file(world, tmp_path / "short", *OFFICERS[:2])
    assert_not_begun(config, lambda: begin_join(config, short), "2 officers signed the file and 3 are needed")
    good = bootstrap_file(world, tmp_path / "good", *OFFICERS).read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(good[: len(good) // 2])
    assert_not_begun(config, lambda: begin_join(config, cut), "not a bootstrap file that counts")
    assert_not_begun(config, lambda: begin_join(config, tmp_path / "none"), "cannot be read")


def test_the_file_of_another_ledger_begins_nothing(config: NodeConfig, tmp_path: Path) -> None:
    other = make_world(tmp_path / "other")
    path = bootstrap_file(other, tmp_path / "file", *OFFICERS)
    assert_not_begun(config, lambda: begin_join(config, path), "is another ledger's")


def test_a_disk_without_room_begins_nothing(
    world: World, config: NodeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bootstrap_file(world, tmp_path / "file", *OFFICERS)
    usage = shutil.disk_usage(tmp_path)._replace(free=1 << 30)
    monkeypatch.setattr("sento_node.joining_command.shutil.disk_usage", lambda _path: usage)
    assert_not_begun(config, lambda: begin_join(config, path), "1024 MiB free")
    assert_not_begun(config, lambda: begin_replace(config, None, anew=False), "Make room first")


def test_a_directory_that_holds_a_site_is_not_joined_and_is_set_aside_by_a_replacement(
    world: World, config: NodeConfig, tmp_path: Path
) -> None:
    config.data_dir.mkdir()
    (config.data_dir / "boot-number").write_text("4")
    path = bootstrap_file(world, tmp_path / "file", *OFFICERS)
    assert_not_begun(config, lambda: begin_join(config, path), "sento-node replace-disk")
    begin_replace(config, None, anew=False)
    begun = joining_at_start(config.data_dir, world.genesis.ledger_id)
    assert begun is not None
    assert begun.note == Note(REPLACE_DISK, aside=1, set_aside=True, ledger_made=True)
    assert begun.anchor is None
    assert (config.data_dir / "replaced-1" / "boot-number").read_text() == "4"
    begin_replace(config, None, anew=False)
    assert NoteFiles(config.data_dir).read() == begun.note, "the same command goes on"
    begin_replace(config, None, anew=True)
    assert NoteFiles(config.data_dir).read() == Note(REPLACE_DISK, aside=2)


def test_a_site_that_runs_is_not_replaced(world: World, config: NodeConfig) -> None:
    store = LmdbStore.open(Places(config.data_dir).ledger, world.genesis.ledger_id)
    try:
        with pytest.raises(LedgerNotOpened):
            begin_replace(config, None, anew=True)
    finally:
        store.close()
    assert not (config.data_dir / NOTE_FILE).exists()


def test_a_site_that_genesis_does_not_name_needs_the_bootstrap_file(config: NodeConfig) -> None:
    stranger = config.model_copy(update={"site": "jp-later"})
    config.data_dir.mkdir()
    (config.data_dir / "ledger").mkdir()
    assert_not_begun(stranger, lambda: begin_replace(stranger, None, anew=False), "--bootstrap FILE")
