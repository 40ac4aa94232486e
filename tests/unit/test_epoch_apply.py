"""An epoch begins by its act alone, as its first record, from the very ledger; what comes before it in the new log does nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import acts as do
from acts import governed
from epochs import begin_bytes, plan_here
from genesis_builder import OFFICERS, SITES, make_submission
from ledger_driver import LedgerDriver, code_of
from sento_node.ledger.forking import OtherFork
from sento_node.ledger.memory_store import MemoryStore
from sento_node.ledger.replay import governance_of
from sento_proto.act_chain import act_content
from sento_proto.epoch_plan import EpochPlan, act_of, plan_hash
from sento_proto.errors import Code
from sento_proto.governance.acts import judge_act
from sento_proto.governance.doubts import doubted_by, sure_size
from sento_proto.governance.epoch_changes import Parent
from sento_proto.governance.parts import ReceiptSet

CITY = "iizuka-city"


def begun(rules: int = 5) -> tuple[LedgerDriver, EpochPlan]:
    """A ledger of some records whose next block is that of epoch 1's log, and the plan that it is to begin by."""
    driver = governed(rules)
    driver.fill(3)
    plan = plan_here(driver)
    driver.state.enter_epoch(1)
    return driver, plan


def test_the_act_begins_the_epoch_and_the_records_behind_it_in_its_block_stand() -> None:
    driver, plan = begun()
    base, size = driver.state.block, driver.state.size
    first = make_submission(driver.world, CITY, [driver.record("behind")])
    result = driver.order([begin_bytes(driver, plan), first])
    assert [code_of(result, 0), code_of(result, 1)] == [Code.ACCEPTED, Code.ACCEPTED]
    epoch = driver.governance.epochs[-1]
    assert (epoch.number, epoch.parent, epoch.fork_size, epoch.block_base) == (1, 0, size, base)
    assert (epoch.plan, driver.governance.epoch) == (plan_hash(plan), 1)
    assert result.standing[0].position == size


def test_before_the_act_nothing_stands_in_the_new_log_and_the_act_still_begins_the_epoch() -> None:
    driver, plan = begun()
    early = make_submission(driver.world, CITY, [driver.record("early")])
    other_act = driver.act_bytes(do.set_threshold(3))
    result = driver.order([early, other_act])
    assert [one.refusal for one in result.submissions] == [Code.NOT_READY, None]
    assert code_of(result, 1) is Code.ACT_REFUSED
    assert code_of(driver.order([begin_bytes(driver, plan)])) is Code.ACCEPTED
    assert driver.codes([driver.record("early")]) == [Code.ACCEPTED]


def test_the_act_ordered_twice_by_two_sites_is_one_record() -> None:
    driver, plan = begun()
    act = begin_bytes(driver, plan)
    assert [code_of(driver.order([act])), code_of(driver.order([act]))] == [Code.ACCEPTED, Code.KNOWN]
    assert len(driver.governance.epochs) == 1


def test_within_an_epoch_no_act_begins_another() -> None:
    driver = governed(5)
    driver.fill(1)
    plan = plan_here(driver)
    assert code_of(driver.order([begin_bytes(driver, plan)])) is Code.WRONG_LEDGER
    judged = driver.judged(
        {
            "do": "begin-epoch",
            "epoch": 1,
            "parent": {"epoch": 0, "size": 1, "root": "00" * 32, "block": 1},
            "plan": "00" * 32,
            "reason": "restore",
            "voting": list(SITES),
            "receipt_set": {"sites": list(SITES), "quorum": 2},
        }
    )
    assert judged.code is Code.ACT_REFUSED
    assert "first record of a new ordering log" in judged.why


def test_under_rules_that_know_no_epochs_there_is_none_to_begin() -> None:
    driver, plan = begun(rules=4)
    assert code_of(driver.order([begin_bytes(driver, plan)])) is Code.ACT_REFUSED


def test_one_officer_short_begins_nothing() -> None:
    driver, plan = begun()
    assert code_of(driver.order([begin_bytes(driver, plan, OFFICERS[:1])])) is Code.TOO_FEW_OFFICERS
    assert driver.governance.epoch == 0


@pytest.mark.parametrize(
    "parent",
    [
        lambda real: real._replace(root=b"\7" * 32),
        lambda real: real._replace(size=real.size - 1),
        lambda real: real._replace(block=real.block + 1),
    ],
    ids=["root", "size", "block"],
)
def test_a_fork_elsewhere_that_enough_officers_signed_stops_the_site_before_the_block(parent: object) -> None:
    driver, plan = begun()
    elsewhere = replace(plan, parent=parent(plan.parent))  # type: ignore[operator]
    before = driver.state.tip
    with pytest.raises(OtherFork, match="two plans"):
        driver.order([begin_bytes(driver, elsewhere)])
    assert driver.state.tip == before
    assert isinstance(plan.parent, Parent)


def test_a_fork_elsewhere_that_too_few_signed_is_refused_like_any_act() -> None:
    driver, plan = begun()
    elsewhere = replace(plan, parent=plan.parent._replace(root=b"\7" * 32))
    assert code_of(driver.order([begin_bytes(driver, elsewhere, OFFICERS[:1])])) is Code.ACT_REFUSED


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"voting": ("jp-nowhere",)}, "There is no site jp-nowhere"),
        ({"voting": (SITES[0], SITES[0])}, "stands twice"),
        ({"receipt_set": ReceiptSet(SITES, 1)}, "more than half"),
        ({"receipt_set": ReceiptSet(("jp-nowhere",), 1)}, "There is no site"),
        ({"last_act": b"\1" * 32}, ""),
        ({"reason": "recover", "agreed": Parent(0, 1_000, bytes(32), 1)}, "below the fork"),
    ],
    ids=[
        "unknown voter",
        "a voter twice",
        "no majority",
        "unknown receipt site",
        "another predecessor",
        "more agreed on than the fork has",
    ],
)
def test_an_act_that_does_not_fit_the_ledger_begins_nothing(fields: dict[str, object], why: str) -> None:
    driver, plan = begun()
    code = code_of(driver.order([begin_bytes(driver, replace(plan, **fields))]))  # type: ignore[arg-type]
    assert code is (Code.ACT_REFUSED if why else Code.PREDECESSOR_MISSING)


def test_an_act_of_the_former_epoch_does_not_stand_in_the_new_one() -> None:
    driver, plan = begun()
    driver.order([begin_bytes(driver, plan)])
    driver.state.epoch = 0
    old = driver.act_bytes(do.set_threshold(3))
    driver.state.epoch = 1
    assert code_of(driver.order([old])) is Code.WRONG_LEDGER
    assert driver.act(do.set_threshold(3)) is Code.ACCEPTED


def test_a_restart_behind_the_act_and_one_before_it_go_on_where_they_were() -> None:
    driver, plan = begun()
    assert isinstance(driver.store, MemoryStore)
    driver.order([make_submission(driver.world, CITY, [driver.record("early")])])
    driver.flush()
    waiting = LedgerDriver(driver.world, driver.store.crash())
    assert (waiting.state.epoch, waiting.governance.epoch) == (1, 0)
    assert code_of(waiting.order([begin_bytes(waiting, plan)])) is Code.ACCEPTED
    waiting.flush()
    assert governance_of(driver.world.genesis, waiting.store) == waiting.governance


def test_what_stood_above_the_fork_is_lost_with_its_epoch_and_what_stood_below_is_not() -> None:
    driver, plan = begun()
    driver.order([begin_bytes(driver, plan)])
    fork = plan.parent.size
    assert driver.governance.lost_with(0, fork) is None
    lost = driver.governance.lost_with(0, fork + 1)
    assert lost is not None
    assert lost.number == 1
    assert driver.governance.lost_with(1, fork + 100) is None


def test_between_what_was_agreed_on_and_the_fork_of_a_recovery_it_is_in_doubt() -> None:
    driver = governed(5)
    driver.fill(4)
    fork = driver.state.size
    plan = plan_here(driver, reason="recover", alone=True, agreed=Parent(0, fork - 2, bytes(32), 1))
    driver.state.enter_epoch(1)
    assert code_of(driver.order([begin_bytes(driver, plan)])) is Code.ACCEPTED
    governance = driver.governance
    (begun_here,) = governance.epochs
    assert (begun_here.agreed_size, begun_here.fork_size) == (fork - 2, fork)
    sizes = range(fork - 3, fork + 2)
    assert [doubted_by(governance, 0, size) is not None for size in sizes] == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert [governance.lost_with(0, size) is not None for size in sizes] == [False, False, False, False, True]
    assert doubted_by(governance, 1, fork) is None
    assert sure_size(governance, 0, fork + 9) == fork - 2


def test_a_recovery_that_knows_of_no_agreement_doubts_nothing_below_the_fork_of_its_own_epoch() -> None:
    """Every copy of an epoch begins with that epoch's own fork."""
    driver, plan = begun()
    driver.order([begin_bytes(driver, plan)])
    driver.fill(2, prefix="again")
    again = plan_here(driver, 2, reason="recover", alone=True)
    driver.state.enter_epoch(2)
    driver.order([begin_bytes(driver, again)])
    assert driver.governance.epochs[-1].agreed_size == plan.parent.size
    assert doubted_by(driver.governance, 0, plan.parent.size) is None
    assert doubted_by(driver.governance, 1, plan.parent.size + 1) is not None


def test_only_a_recovery_says_what_was_agreed_on() -> None:
    driver, plan = begun()
    recovers = replace(plan, reason="recover", agreed=plan.parent)
    assert b'"agreed"' in act_of(recovers).header.content
    assert b'"agreed"' not in act_of(replace(plan, agreed=plan.parent)).header.content
    (change,) = json.loads(act_of(recovers).header.content)["changes"]
    judged = judge_act(
        driver.governance,
        act_content("a test", [{**change, "reason": "restore"}]),
        [driver.world.officer_signers[name].public_key.key_id for name in OFFICERS[:2]],
        plan.parent.size,
        1,
    )
    assert judged.code is Code.ACT_REFUSED
    assert "Only a recovery" in judged.why
