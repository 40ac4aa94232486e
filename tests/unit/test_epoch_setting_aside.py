"""What only a site's own ordering log holds of the former epoch lies among its orphans too, however its ledger comes to the fork."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sento_node.epochs import setting_aside
from sento_node.epochs.setting_aside import complete_orphans
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.verify import Verification
from sento_proto.governance.epoch_changes import Parent
from stopped_survivor import COMMON, IN_LOG, ON_DISK, Survivor

ASIDE = "epoch-0000-orphans"


@pytest.fixture
def site(tmp_path: Path) -> Survivor:
    return Survivor(tmp_path / "data")


@pytest.mark.parametrize(
    "fork_of",
    [
        lambda site: site.all.trees[-1],
        lambda site: site.all.trees[ON_DISK],
        lambda site: site.all.trees[ON_DISK - 1],
        lambda site: site.all.trees[COMMON],
        lambda site: site.elsewhere().trees[COMMON + 1],
        lambda site: site.elsewhere().trees[-1],
    ],
    ids=["extended", "extended-in-part", "at-the-end", "above", "another", "behind"],
)
def test_nothing_that_the_own_log_held_is_missing_among_the_orphans(
    site: Survivor, fork_of: Callable[[Survivor], Parent]
) -> None:
    plan = site.plan(fork_of(site))
    site.begin(plan)
    kept = site.tip()
    for words in (f"{IN_LOG - ON_DISK} blocks", ""):
        assert words in complete_orphans(site.data_dir, site.world.genesis, plan)
        assert site.tip(ASIDE) == (0, IN_LOG, IN_LOG)
    assert site.tip() == kept, "the ledger in use is left alone"
    for ledger in (ASIDE, "ledger"):
        assert list(Verification(site.data_dir / ledger, site.world.genesis).findings()) == []
    with closing(LmdbStore.open(site.data_dir / ASIDE, site.world.ledger_id)) as store:
        assert store.tip.size == site.all.trees[-1].size


@pytest.mark.parametrize("log", [0, ON_DISK])
def test_a_log_that_holds_nothing_more_adds_nothing(tmp_path: Path, log: int) -> None:
    site = Survivor(tmp_path / "data", log=log)
    plan = site.plan(site.all.trees[-1])
    site.begin(plan)
    assert complete_orphans(site.data_dir, site.world.genesis, plan) == ""
    assert not (site.data_dir / ASIDE).exists()


def test_a_kill_while_a_site_that_is_behind_sets_its_blocks_aside_is_gone_on_with(
    site: Survivor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Power is lost."""

    def killed(*_: object) -> None:
        raise Killed

    plan = site.plan(site.elsewhere().trees[-1])
    site.begin(plan)
    with monkeypatch.context() as patched:
        patched.setattr(setting_aside, "extend", killed)
        with pytest.raises(Killed):
            complete_orphans(site.data_dir, site.world.genesis, plan)
    assert not (site.data_dir / ASIDE).exists()
    complete_orphans(site.data_dir, site.world.genesis, plan)
    assert site.tip(ASIDE) == (0, IN_LOG, IN_LOG)
