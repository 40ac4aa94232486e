"""What only a site's own ordering log holds of the former epoch lies among its orphans too, however its ledger comes to the fork."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bare_node import node_config
from sento_node.boot_keeper import BootFiles
from sento_node.epochs import asked, setting_aside
from sento_node.epochs.orphan_listing import orphan_submissions
from sento_node.epochs.places import EpochPlaces
from sento_node.epochs.setting_aside import complete_orphans
from sento_node.erasure.set_aside import remove_former_logs
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.set_aside_reading import reading_set_aside
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


def test_records_below_the_fork_s_size_that_only_this_site_holds_are_listed_as_orphans(
    site: Survivor,
) -> None:
    """The recovery chose another site's state, which is as long: what this one acknowledged meanwhile stands below the fork, in its own ledger alone."""
    other = site.elsewhere()
    other.driver.flush()
    for fork in (other.trees[COMMON + 1], other.trees[-1]):
        assert fork.size >= ON_DISK
    plan = site.plan(other.trees[-1])
    site.begin(plan)
    with reading_set_aside(site.data_dir / ASIDE, site.world.ledger_id) as aside:
        found = orphan_submissions(other.driver.store, [aside], site.world.ledger_id, plan.parent.size)
        listed = [orphan.record_hash for submission in found for orphan in submission.orphans]
        own = [aside.record_hash_at(position) for position in range(COMMON, ON_DISK)]
    assert listed == own


def test_a_kill_between_beginning_and_setting_aside_is_gone_on_with_by_the_next_start(
    site: Survivor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever command began: the node's start finishes it, and what only the ordering log holds is not forgotten."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(asked, "complete_orphans", killed)
        with pytest.raises(KeyboardInterrupt):
            asked.carry_out(site.data_dir, site.world.genesis, site.plan(site.all.trees[COMMON]))
    assert site.tip(ASIDE) == (0, ON_DISK, ON_DISK)
    monkeypatch.setattr(asked, "load_genesis", lambda _: site.world.genesis)
    asked.begin_asked(node_config(data_dir=site.data_dir))
    assert site.tip(ASIDE) == (0, IN_LOG, IN_LOG)
    assert not EpochPlaces(site.data_dir).is_asked


def test_an_erasure_takes_logs_of_former_epochs_whole_and_no_other(site: Survivor) -> None:
    """They hold every payload of their time, and what only they held lies among the orphans."""
    asked.carry_out(site.data_dir, site.world.genesis, site.plan(site.all.trees[-1]))
    former, now = (BootFiles(site.data_dir, epoch).member_dir for epoch in (0, 1))
    brought = former.with_name("etcd-brought-takamatsu")
    for log in (brought, now):
        shutil.copytree(former, log)
    assert remove_former_logs(site.data_dir, 0) == [], "a ledger that stands there yet"
    assert remove_former_logs(site.data_dir, 1) == [former, brought]
    assert [log.exists() for log in (former, brought, now)] == [False, False, True]


@pytest.mark.parametrize("log", [0, ON_DISK])
def test_a_log_that_holds_nothing_more_adds_nothing(tmp_path: Path, log: int) -> None:
    site = Survivor(tmp_path / "data", log=log)
    plan = site.plan(site.all.trees[-1], agreed=site.all.trees[ON_DISK - 1])
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

    plan = site.plan(site.elsewhere().trees[-1], agreed=site.all.trees[ON_DISK - 1])
    site.begin(plan)
    with monkeypatch.context() as patched:
        patched.setattr(setting_aside, "extend", killed)
        with pytest.raises(Killed):
            complete_orphans(site.data_dir, site.world.genesis, plan)
    assert not (site.data_dir / ASIDE).exists()
    complete_orphans(site.data_dir, site.world.genesis, plan)
    assert site.tip(ASIDE) == (0, IN_LOG, IN_LOG)
