"""What a start does about a ledger that says itself that it is older than its site: made anew where others have it, stopped in words where nobody has."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from genesis_builder import SITES, build_genesis
from sento_node.boot_keeper import BootFiles
from sento_node.config import NodeConfig
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.store import LedgerFailed
from sento_node.rebuild.deciding import OWN_BOOT_NAME
from sento_node.rebuild.places import Places
from sento_node.rebuild.starting import Opened, open_at_start
from sento_proto.wire import u64


def started(data_dir: Path, sites: tuple[str, ...], *, ledger_boot: int, boot: int) -> Opened:
    """A start over a ledger whose files are as a node closed them, written last in one boot, at a site whose last was another."""
    world = build_genesis(sites)
    genesis = data_dir / "genesis.json"
    genesis.write_bytes(world.genesis_bytes)
    places = Places(data_dir)
    store = LmdbStore.open(places.ledger, world.ledger_id, map_bytes=1 << 24)
    store.remember(OWN_BOOT_NAME, u64(ledger_boot))
    store.close()
    places.note_closed()
    assert places.as_closed()
    files = BootFiles(data_dir, 0)
    files.raise_to(boot)
    config = cast("NodeConfig", SimpleNamespace(data_dir=data_dir, genesis=genesis))
    return open_at_start(config, world.genesis, files)


def test_an_older_ledger_of_a_lone_site_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(LedgerFailed, match=r"older copy.*nobody to copy it from"):
        started(tmp_path, SITES[:1], ledger_boot=1, boot=3)


def test_an_older_ledger_is_made_anew_where_others_have_it(tmp_path: Path) -> None:
    assert started(tmp_path, SITES, ledger_boot=1, boot=3).preparing is not None


def test_a_ledger_of_the_last_boot_is_opened_as_it_is(tmp_path: Path) -> None:
    opened = started(tmp_path, SITES[:1], ledger_boot=3, boot=3)
    assert opened.preparing is None
    opened.store.close()
