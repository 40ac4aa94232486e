"""Carrying a plan out at one stopped site: the ledger is cut and the old one kept whole, whatever is wrong is refused with nothing changed, and a kill at any
step is gone on with by the same command."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from acts import carry_out_erasure, erase, set_threshold
from epochs import plan_here, signed
from genesis_builder import OFFICERS, TestWorld, build_genesis, make_submission
from ledger_driver import LedgerDriver, everything
from sento_node.compose import COSIGNED_NAME, encode_cosigned
from sento_node.epochs import beginning
from sento_node.epochs.beginning import begin
from sento_node.epochs.here import epoch_here, finish_beginning
from sento_node.epochs.orphans import submissions_again
from sento_node.epochs.places import EpochPlaces, read_epoch
from sento_node.epochs.planning import Choice, LeaveOut, plan_from
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.store import KeptCheckpoint
from sento_node.ledger.verify import Verification
from sento_node.quorum.effects import Cosigned
from sento_proto.epoch_plan import EpochPlan, PlanRefused, act_bytes, plan_hash
from sento_proto.errors import Code

CITY, KAGA = "iizuka-city", "kaga-city"


class Told:
    """A stopped site's data directory: ten records below the fork, and behind it a change of five of them, three lawful records and an act."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.world: TestWorld = build_genesis(rules=5)
        with closing(LmdbStore.open(data_dir / "ledger", self.world.ledger_id)) as store:
            driver = LedgerDriver(self.world, store)
            before = [driver.record(f"f{at}", content=b"old") for at in range(10)]
            assert set(driver.codes(before)) == {Code.ACCEPTED}
            driver.flush()
            self.fork: KeptCheckpoint = driver.checkpoint()
            store.put_checkpoint(self.fork)
            self.unsigned = plan_here(driver)
            changed = [
                driver.record(f"f{at}", previous=before[at].record_hash, content=b"new") for at in range(5)
            ]
            assert set(driver.codes(changed)) == {Code.ACCEPTED}
            self.lawful = [driver.record(f"k{at}", author=KAGA, content=b"lawful") for at in range(3)]
            self.submission = make_submission(self.world, KAGA, self.lawful)
            driver.order([self.submission])
            on_top = driver.record("f0", author=KAGA, previous=changed[0].record_hash, content=b"on top")
            assert driver.codes([on_top], KAGA) == [Code.ACCEPTED]
            assert driver.act(set_threshold(3)) is Code.ACCEPTED
            driver.flush()
            store.put_checkpoint(driver.checkpoint())
            store.remember(
                COSIGNED_NAME, encode_cosigned(Cosigned(0, driver.state.size, driver.state.frontier.root()))
            )
            self.size = driver.state.size
            self.driver = driver
        self.plan = self.signed(self.unsigned)

    def signed(self, plan: EpochPlan) -> EpochPlan:
        return signed(self.driver, plan)

    def begin(self, plan: EpochPlan | None = None) -> str:
        return begin(self.data_dir, self.world.genesis, plan or self.plan)

    def whole(self) -> dict[str, object]:
        with closing(LmdbStore.open(self.data_dir / "ledger", self.world.ledger_id)) as store:
            return everything(store)


@pytest.fixture
def site(tmp_path: Path) -> Told:
    return Told(tmp_path / "data")


def assert_begun(site: Told) -> None:
    """The ledger ends at the fork and waits for epoch 1; the old one lies whole beside it."""
    assert read_epoch(site.data_dir) == 1
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        assert (store.tip.epoch, store.tip.size, store.tip.revision) == (1, site.fork.size, 0)
        assert store.recall(COSIGNED_NAME) is None
        kept = store.checkpoint()
        assert kept is not None
        assert kept.size == site.fork.size
        assert governance_of(site.world.genesis, store).acts == 0
    assert list(Verification(site.data_dir / "ledger", site.world.genesis).findings()) == []
    orphans = EpochPlaces(site.data_dir).orphans(0)
    with closing(LmdbStore.open(orphans, site.world.ledger_id)) as store:
        assert store.tip.size == site.size
    assert list(Verification(orphans, site.world.genesis).findings()) == []


def test_the_ledger_is_cut_to_the_fork_and_the_old_one_stays_whole(site: Told) -> None:
    assert "Epoch 1 begins here from 10 records" in site.begin()
    assert_begun(site)
    assert "nothing was changed" in site.begin()
    assert epoch_here(site.data_dir).plan == site.plan


@pytest.mark.parametrize("step", ["copy_ledger", "cut_to", "put_epoch", "verify_copy"])
def test_a_kill_before_the_draft_is_ready_leaves_the_site_as_it_was_and_the_command_begins_again(
    site: Told, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = site.whole()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(beginning, step, killed)
        with pytest.raises(KeyboardInterrupt):
            site.begin()
    assert read_epoch(site.data_dir) == 0
    assert site.whole() == before
    site.begin()
    assert_begun(site)


@pytest.mark.parametrize("renames", [0, 1, 2])
@pytest.mark.parametrize("by_run", [True, False])
def test_a_kill_while_the_draft_takes_its_place_is_finished_by_the_next_start(
    site: Told, renames: int, by_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        if renames < 2:
            with pytest.raises(KeyboardInterrupt):
                site.begin()
        else:
            site.begin()
    if by_run:
        finish_beginning(site.data_dir)
    else:
        site.begin()
    assert_begun(site)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda plan: replace(plan, parent=plan.parent._replace(root=b"\1" * 32)), "not the plan's parent"),
        (lambda plan: replace(plan, parent=plan.parent._replace(size=9)), "keeps no quorum checkpoint"),
        (lambda plan: replace(plan, parent=plan.parent._replace(block=9)), "keeps no quorum checkpoint"),
        (lambda plan: replace(plan, parent=plan.parent._replace(epoch=1)), "later epoch"),
        (lambda plan: replace(plan, last_act=b"\1" * 32), "another officers' act"),
        (lambda plan: replace(plan, ledger_id=b"\1" * 32), "ledger"),
        (lambda plan: replace(plan, signatures=plan.signatures[:1]), "Too few officers"),
    ],
    ids=["root", "size", "block", "epoch", "act", "ledger", "signatures"],
)
def test_a_plan_that_is_not_this_ledger_s_changes_nothing(
    site: Told, spoil: Callable[[EpochPlan], EpochPlan], why: str
) -> None:
    before = site.whole()
    plan = spoil(site.unsigned)
    plan = (
        spoil(site.signed(replace(plan, signatures=()))) if why == "Too few officers" else site.signed(plan)
    )
    with pytest.raises(PlanRefused, match=why):
        site.begin(plan)
    assert read_epoch(site.data_dir) == 0
    assert site.whole() == before
    assert not EpochPlaces(site.data_dir).orphans(0).exists()


def test_a_second_plan_for_one_parent_stops_and_says_so(site: Told) -> None:
    site.begin()
    other = site.signed(replace(site.unsigned, legal_basis="another decision"))
    with pytest.raises(PlanRefused, match="Two epochs with one parent"):
        site.begin(other)
    assert epoch_here(site.data_dir).plan == site.plan


def test_a_second_plan_while_the_first_is_half_done_stops_and_says_so(site: Told) -> None:
    EpochPlaces(site.data_dir).call_ready(site.plan)
    other = site.signed(replace(site.unsigned, legal_basis="another decision"))
    with pytest.raises(PlanRefused, match="Two plans must not be carried out"):
        site.begin(other)


def test_a_plan_takes_over_what_is_lawful_and_names_why_the_rest_is_not(site: Told) -> None:
    """The changes are left out by name; a record that stands on one of them cannot come back, and the act must be signed again."""
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        now = governance_of(site.world.genesis, store)
        choice = Choice("restore", "a test", 1, 1, leave_out=(LeaveOut(CITY, "residency"),))
        at_fork = now.changed(last_act=site.unsigned.last_act)
        plan = plan_from(store, at_fork, now, site.fork, choice)
        again = list(submissions_again(store, site.world.ledger_id, plan.readmit, site.fork.size))
    assert plan.readmit == tuple(one.record_hash for one in site.lawful)
    assert (plan.parent, plan.epoch) == (site.unsigned.parent, 1)
    words = " ".join(plan.words)
    assert "5 records are not taken over: left out by the officers' word" in words
    assert "1 records are not taken over: standing on a record that is left out" in words
    assert "1 records are not taken over: officers' acts" in words
    assert [(one.data, one.why) for one in again] == [(site.submission, "")]


def test_a_plan_says_which_erasures_it_undoes_so_that_no_copy_brings_their_payloads_back_unseen(
    tmp_path: Path,
) -> None:
    world = build_genesis(rules=5)
    with closing(LmdbStore.open(tmp_path / "ledger", world.ledger_id)) as store:
        driver = LedgerDriver(world, store)
        records = [driver.record(f"f{at}", content=b"old") for at in range(2)]
        driver.codes(records)
        for record in records:
            assert driver.act(erase(record.record_hash)) is Code.ACCEPTED
        ordered = sorted(driver.governance.erasure_orders)
        assert driver.act(carry_out_erasure(ordered[0])) is Code.ACCEPTED
        driver.flush()
        fork = driver.checkpoint()
        store.put_checkpoint(fork)
        at_fork = driver.governance
        choice = Choice("restore", "a test", 1, 1)
        assert "erasures" not in " ".join(plan_from(store, at_fork, at_fork, fork, choice).words)
        assert driver.act(carry_out_erasure(ordered[1])) is Code.ACCEPTED
        driver.flush()
        words = " ".join(plan_from(store, at_fork, driver.governance, fork, choice).words)
    assert "1 erasures carried out behind the fork are in force no more" in words


def test_a_submission_whose_other_records_are_not_listed_is_left_to_people(site: Told) -> None:
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        listed = [site.lawful[0].record_hash, b"\7" * 32]
        again = list(submissions_again(store, site.world.ledger_id, listed, site.fork.size))
    assert [one.data for one in again] == [b"", b""]
    assert "signed them together" in again[0].why
    assert "does not hold it" in again[1].why


def test_the_cut_ledger_goes_on_with_the_act_and_the_original_submission(site: Told) -> None:
    site.begin()
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        driver = LedgerDriver(site.world, store)
        driver.order([act_bytes(site.plan)])
        result = driver.order([site.submission])
        assert [one.code for one in result.submissions[0].outcomes] == [Code.ACCEPTED] * 3
        assert [one.record_hash for one in result.submissions[0].outcomes] == [
            one.record_hash for one in site.lawful
        ]
        assert driver.governance.epochs[-1].plan == plan_hash(site.plan)
        driver.flush()
        store.put_checkpoint(driver.checkpoint())
    assert list(Verification(site.data_dir / "ledger", site.world.genesis).findings()) == []
    assert len(OFFICERS) > 2
