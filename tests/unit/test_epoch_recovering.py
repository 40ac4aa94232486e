"""Bringing a site to the fork of a recovered epoch: extended by its own log, cut, set aside or left behind as the fork demands, and a kill at any step is gone
on with by the same command."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from epochs import signed
from genesis_builder import OFFICERS
from ledger_driver import LedgerDriver
from sento_node.compose import COSIGNED_NAME, encode_cosigned
from sento_node.epochs import beginning, recovering
from sento_node.epochs.places import EpochPlaces, read_epoch
from sento_node.epochs.recovering import judge_recovery, member_dir_of
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.verify import Verification
from sento_node.quorum.effects import Cosigned
from sento_proto.epoch_plan import PlanRefused, act_bytes
from sento_proto.errors import Code
from sento_proto.governance.epoch_changes import Parent
from stopped_survivor import COMMON, IN_LOG, ON_DISK, Survivor


@pytest.fixture
def site(tmp_path: Path) -> Survivor:
    return Survivor(tmp_path / "data")


def assert_at(site: Survivor, fork: Parent, former: int = ON_DISK) -> None:
    """The ledger is the fork's tree, whole, and waits for epoch 1; the former one lies whole beside it."""
    assert read_epoch(site.data_dir) == 1
    assert site.tip() == (1, fork.size, fork.block)
    assert list(Verification(site.data_dir / "ledger", site.world.genesis).findings()) == []
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        assert recovering._holds(store, fork)
        assert store.recall(COSIGNED_NAME) is None
    assert site.tip("epoch-0000-orphans") == (0, former, former)
    assert list(Verification(site.data_dir / "epoch-0000-orphans", site.world.genesis).findings()) == []


def test_the_ledger_is_extended_from_the_own_log_up_to_the_fork_at_its_very_end(site: Survivor) -> None:
    fork = site.all.trees[-1]
    assert "3 of them from this site's own ordering log" in site.begin(site.plan(fork))
    assert_at(site, fork)
    assert "nothing was changed" in site.begin(site.plan(fork))


def test_the_ledger_is_extended_no_further_than_to_the_fork(site: Survivor) -> None:
    fork = site.all.trees[ON_DISK]
    site.begin(site.plan(fork))
    assert_at(site, fork)


def test_the_extended_ledger_goes_on_with_the_act_of_the_epoch(site: Survivor) -> None:
    plan = site.plan(site.all.trees[-1])
    site.begin(plan)
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        driver = LedgerDriver(site.world, store)
        assert [one.code for one in driver.order([act_bytes(plan)]).submissions[0].outcomes] == [
            Code.ACCEPTED
        ]
        assert driver.governance.epoch == 1


def test_a_fork_at_the_ledger_s_end_needs_no_log_no_checkpoint_and_no_verification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Survivor(tmp_path / "data", log=0)
    fork = site.all.trees[ON_DISK - 1]
    monkeypatch.setattr(recovering, "verify_copy", lambda *_: pytest.fail("verified anew"))
    assert "0 records are set aside" in site.begin(site.plan(fork))
    assert_at(site, fork)


def test_a_ledger_above_the_fork_is_cut_to_it_and_says_what_is_set_aside(site: Survivor) -> None:
    fork = site.all.trees[COMMON]
    assert "1 records are set aside in epoch-0000-orphans" in site.begin(site.plan(fork))
    assert_at(site, fork)


def test_a_ledger_above_the_fork_with_a_quorum_s_checkpoint_there_says_that_it_was_acknowledged(
    site: Survivor,
) -> None:
    fork = site.all.trees[2]
    words = site.begin(site.plan(fork, agreed=None))
    assert "5 records are set aside" in words
    assert f"A quorum had cosigned a tree of {COMMON} records among them" in words
    assert_at(site, fork)


@pytest.mark.parametrize("blocks", [ON_DISK, IN_LOG - 1], ids=["at-the-ledger-s-end", "extended"])
def test_a_checkpoint_of_a_tree_that_nobody_holds_any_more_is_not_kept(site: Survivor, blocks: int) -> None:
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        store.put_checkpoint(site.all.driver.checkpoint())
    fork = site.all.trees[blocks - 1]
    assert "A quorum" not in site.begin(site.plan(fork))
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        kept = store.checkpoint()
        assert kept is not None
        assert kept.size == COMMON
    assert site.tip() == (1, fork.size, fork.block)
    assert list(Verification(site.data_dir / "ledger", site.world.genesis).findings()) == []


def test_a_ledger_that_is_another_above_the_agreed_tree_is_cut_back_to_that(site: Survivor) -> None:
    fork = site.elsewhere().trees[COMMON + 1]
    words = site.begin(site.plan(fork))
    assert f"{COMMON} records stay" in words
    assert "2 records are set aside" in words
    assert read_epoch(site.data_dir) == 1
    assert site.tip() == (0, COMMON, COMMON)
    assert list(Verification(site.data_dir / "ledger", site.world.genesis).findings()) == []
    assert site.tip("epoch-0000-orphans") == (0, ON_DISK, ON_DISK)


def test_a_ledger_that_is_another_where_nothing_was_ever_agreed_begins_empty(site: Survivor) -> None:
    fork = site.elsewhere().trees[COMMON + 1]
    assert "0 records stay" in site.begin(site.plan(fork, agreed=None))
    assert site.tip() == (0, 0, 0)
    assert site.tip("epoch-0000-orphans") == (0, ON_DISK, ON_DISK)


def test_a_ledger_that_contradicts_what_a_quorum_cosigned_is_refused_untouched(site: Survivor) -> None:
    before, other = site.whole(), site.elsewhere()
    plan = site.plan(other.trees[COMMON + 1], agreed=other.trees[COMMON])
    with pytest.raises(PlanRefused, match="another history"):
        site.begin(plan)
    assert (site.whole(), read_epoch(site.data_dir)) == (before, 0)


@pytest.mark.parametrize("log", [0, ON_DISK, IN_LOG - 1])
def test_a_ledger_whose_log_does_not_reach_the_fork_stays_as_it_is_and_catches_up(
    tmp_path: Path, log: int
) -> None:
    site = Survivor(tmp_path / "data", log=log)
    words = site.begin(site.plan(site.all.trees[-1], agreed=site.all.trees[ON_DISK - 1]))
    assert "catches up from sites of epoch 1" in words
    assert read_epoch(site.data_dir) == 1
    assert site.tip() == (0, ON_DISK, ON_DISK)
    assert not (site.data_dir / "epoch-0000-orphans").exists()
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        assert store.recall(COSIGNED_NAME) is None


def test_a_log_that_goes_on_otherwise_than_the_fork_adds_nothing(site: Survivor) -> None:
    """The best state that survived had other uncommitted blocks than this site's log."""
    other = site.elsewhere()
    fork = other.trees[-1]
    assert fork.block > ON_DISK
    assert "catches up" in site.begin(site.plan(fork, agreed=site.all.trees[ON_DISK - 1]))
    assert site.tip() == (0, ON_DISK, ON_DISK)


def test_a_ledger_behind_the_fork_that_may_be_another_above_the_agreed_tree_is_cut_back_to_that(
    site: Survivor,
) -> None:
    """An old capital that acknowledged fewer blocks than the fork has, and others: by its length it would pass for one that is merely behind."""
    fork = site.elsewhere().trees[-1]
    assert fork.block > ON_DISK
    words = site.begin(site.plan(fork))
    assert f"{COMMON} records stay" in words
    assert f"{ON_DISK - COMMON} records are set aside in epoch-0000-orphans" in words
    assert read_epoch(site.data_dir) == 1
    assert site.tip() == (0, COMMON, COMMON)
    assert list(Verification(site.data_dir / "ledger", site.world.genesis).findings()) == []
    assert site.tip("epoch-0000-orphans") == (0, ON_DISK, ON_DISK)
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        assert store.recall(COSIGNED_NAME) is None


def test_a_site_that_is_behind_refuses_one_member_as_any_other_does_unless_the_plan_says_so(
    site: Survivor,
) -> None:
    fork = site.all.trees[-1]._replace(block=IN_LOG + 5, size=IN_LOG + 5)
    single = site.plan(fork, agreed=None).voting[:1]
    with pytest.raises(PlanRefused, match="one voting member only"):
        site.begin(site.plan(fork, agreed=None, voting=single))
    assert "catches up" in site.begin(site.plan(fork, agreed=None, voting=single, alone=True))


def test_a_site_that_is_behind_forgets_what_it_cosigned_only_with_its_epoch(
    site: Survivor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the plan is to be called ready: the site goes on in its former epoch, and must know its own word there."""

    def full(*_: object) -> None:
        raise OSError("no space")

    plan = site.plan(site.all.trees[-1]._replace(block=IN_LOG + 5, size=IN_LOG + 5), agreed=None)
    with monkeypatch.context() as patched:
        patched.setattr(EpochPlaces, "call_ready", full)
        with pytest.raises(OSError, match="no space"):
            site.begin(plan)
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        assert store.recall(COSIGNED_NAME)
    assert read_epoch(site.data_dir) == 0
    site.begin(plan)
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        assert store.recall(COSIGNED_NAME) is None


def test_what_is_left_of_a_draft_never_takes_the_ledger_s_place(
    site: Survivor, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = site.plan(site.all.trees[-1]._replace(block=IN_LOG + 5, size=IN_LOG + 5), agreed=None)
    (site.data_dir / "epoch-draft" / "db").mkdir(parents=True)

    def denied(path: Path, ignore_errors: bool = False, **_: object) -> None:
        if not ignore_errors:
            raise PermissionError(f"{path} is another's")

    before = site.whole()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", denied)
        with pytest.raises(PermissionError):
            site.begin(plan)
    assert (site.whole(), read_epoch(site.data_dir)) == (before, 0)


def test_a_disk_that_was_put_back_in_time_is_simply_behind_and_extended(site: Survivor) -> None:
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        top = site.all.trees[-1]
        store.remember(COSIGNED_NAME, encode_cosigned(Cosigned(0, top.size, top.root)))
    site.begin(site.plan(top))
    assert_at(site, top)


@pytest.mark.parametrize(
    "fork_of",
    [
        lambda site: site.all.trees[-1],
        lambda site: site.all.trees[ON_DISK - 1],
        lambda site: site.all.trees[COMMON],
        lambda site: site.elsewhere().trees[COMMON + 1],
        lambda site: site.all.trees[-1]._replace(block=IN_LOG + 5, size=IN_LOG + 5),
    ],
    ids=["extended", "at-the-end", "above", "another", "behind"],
)
def test_a_plan_that_too_few_officers_signed_changes_nothing_however_the_ledger_stands(
    site: Survivor, fork_of: Callable[[Survivor], Parent]
) -> None:
    before = site.whole()
    plan = replace(site.plan(fork_of(site)), signatures=())
    with pytest.raises(PlanRefused, match=r"Too few officers|signed the plan"):
        site.begin(signed(site.all.driver, plan, OFFICERS[:1]))
    assert (site.whole(), read_epoch(site.data_dir)) == (before, 0)
    assert not (site.data_dir / "epoch-0000-orphans").exists()


@pytest.mark.parametrize("step", ["copy_ledger", "extend", "put_epoch", "_check_draft"])
def test_a_kill_while_the_draft_is_made_leaves_the_site_as_it_was_and_the_command_begins_again(
    site: Survivor, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, plan = site.whole(), site.plan(site.all.trees[-1])

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(recovering, step, killed)
        with pytest.raises(KeyboardInterrupt):
            site.begin(plan)
    assert (site.whole(), read_epoch(site.data_dir)) == (before, 0)
    site.begin(plan)
    assert_at(site, plan.parent)


@pytest.mark.parametrize("moment", ["call_ready", "finish"])
def test_a_kill_when_the_draft_is_made_is_gone_on_with(
    site: Survivor, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = site.plan(site.all.trees[-1])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(EpochPlaces, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            site.begin(plan)
    site.begin(plan)
    assert_at(site, plan.parent)


@pytest.mark.parametrize("renames", [0, 1])
def test_a_kill_while_the_draft_takes_its_place_is_gone_on_with(
    site: Survivor, renames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = site.plan(site.all.trees[-1])
    rename, done = Path.rename, 0

    def killed(path: Path, to: Path) -> Path:
        nonlocal done
        if path.name in ("ledger", "epoch-draft"):
            if done == renames:
                raise KeyboardInterrupt
            done += 1
        return rename(path, to)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            site.begin(plan)
    site.begin(plan)
    assert_at(site, plan.parent)


def test_judging_says_beforehand_what_beginning_does_and_changes_nothing(site: Survivor) -> None:
    plan, before = site.plan(site.all.trees[-1]), site.whole()
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        fit = judge_recovery(store, site.world.genesis, plan, member_dir_of(site.data_dir))
    assert site.whole() == before
    assert fit.words(plan, "epoch-0000-orphans") == beginning.begin(site.data_dir, site.world.genesis, plan)
