"""A plan given to a running site is judged at once: who answers, what its own ledger is, whether its member could run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bare_node import node_config
from epochs import plan_here, signed
from genesis_builder import OFFICERS, SITES, build_genesis
from ledger_driver import LedgerDriver
from ordering_certs import OrderingCa
from sento_node.config import NodeConfig, Ordering
from sento_node.epochs.fitting import Fit, Surroundings, check_member, fit_here, majority_in_words
from sento_node.ledger.lmdb_store import LmdbStore
from sento_proto.epoch_plan import EpochPlan, PlanRefused

OWN, *OTHERS = SITES
URLS = tuple((site, f"https://127.0.0.1:{number}") for number, site in enumerate(SITES, 2))
ALL_DEAD = Surroundings(SITES, {OWN}, has_majority=False, begun_elsewhere=False)


@dataclass
class Running:
    """A site with a ledger that a test plans from, and the configuration of its member, whose certificates are the epoch's."""

    driver: LedgerDriver
    store: LmdbStore
    config: NodeConfig

    def plan(self, **fields: object) -> EpochPlan:
        """A recovery from the ledger's end in which all three sites vote."""
        plan = plan_here(self.driver, 1, **{"reason": "recover", "ordering": URLS, **fields})
        return replace(plan, agreed=plan.parent)

    def fit(self, plan: EpochPlan, config: NodeConfig | None = None) -> Fit:
        world = self.driver.world
        return fit_here(plan, world.genesis, self.store, self.driver.governance, config or self.config)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Running]:
    world = build_genesis(rules=5)
    with closing(LmdbStore.open(tmp_path / "data" / "ledger", world.ledger_id)) as store:
        driver = LedgerDriver(world, store)
        driver.codes([driver.record(f"f{at}") for at in range(4)])
        driver.flush()
        store.put_checkpoint(driver.checkpoint())
        OrderingCa().issue(tmp_path / "epoch-0001", OWN)
        table = Ordering(
            peer_url=URLS[0][1],
            ca=tmp_path / "epoch-{epoch}" / "ca.pem",
            certificate=tmp_path / "epoch-{epoch}" / "member.pem",
            key=tmp_path / "epoch-{epoch}" / "member.key",
        )
        config = node_config(tuple(OTHERS), tmp_path / "data").model_copy(update={"ordering": table})
        yield Running(driver, store, config)


# -- who answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answering", "has_majority", "words"),
    [
        ({OWN}, False, ""),
        ({OWN, OTHERS[0]}, False, "2 are a majority"),
        ({*OTHERS}, False, "2 are a majority"),
        ({OWN}, True, "has a lead"),
        ({OWN, "an-embassy"}, False, ""),
    ],
)
def test_nobody_recovers_quietly_while_a_majority_answers(
    site: Running, answering: set[str], has_majority: bool, words: str
) -> None:
    seen = Surroundings(SITES, answering, has_majority, begun_elsewhere=False)
    assert words in majority_in_words(site.plan(), seen)
    assert bool(words) == bool(majority_in_words(site.plan(), seen))


def test_a_plan_that_says_why_or_an_epoch_that_has_begun_goes_on_all_the_same(site: Running) -> None:
    seen = Surroundings(SITES, SITES, has_majority=True, begun_elsewhere=False)
    assert majority_in_words(site.plan(), seen)
    assert not majority_in_words(site.plan(although="the capital is in a stranger's hands"), seen)
    assert not majority_in_words(site.plan(), replace(seen, begun_elsewhere=True))
    assert not majority_in_words(replace(site.plan(), reason="restore"), seen), "officers undo a mass change"


# -- the ledger and the officers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["recover", "restore"])
def test_a_whole_plan_says_what_is_set_aside(site: Running, reason: str) -> None:
    plan = replace(site.plan(), reason=reason)
    site.driver.codes([site.driver.record(f"later{at}") for at in range(3)])
    site.driver.flush()
    fit = site.fit(signed(site.driver, plan))
    assert fit.set_aside == 3
    assert "3 records" in fit.words


@pytest.mark.parametrize("reason", ["recover", "restore"])
def test_a_ledger_that_is_behind_the_fork_is_told_that_it_catches_up(site: Running, reason: str) -> None:
    plan = replace(site.plan(), reason=reason)
    ahead = plan.parent._replace(size=plan.parent.size + 5, block=plan.parent.block + 5)
    fit = site.fit(signed(site.driver, replace(plan, parent=ahead)))
    assert fit.set_aside == 0
    assert "catches up" in fit.words


def test_too_few_officers_an_alteration_and_another_history_are_refused(site: Running) -> None:
    plan = site.plan()
    elsewhere = replace(plan, parent=plan.parent._replace(root=b"x" * 32))
    whole = signed(site.driver, plan)
    for wrong in (
        plan,
        signed(site.driver, plan, OFFICERS[:1]),
        replace(whole, readmit=(b"r" * 32,)),
        signed(site.driver, replace(plan, ledger_id=b"l" * 32)),
        signed(site.driver, replace(elsewhere, reason="restore")),
    ):
        with pytest.raises(PlanRefused):
            site.fit(wrong)


# -- the member --------------------------------------------------------------------------------------------------------


def test_a_voter_needs_its_table_the_plan_s_address_and_the_epoch_s_certificates(site: Running) -> None:
    plan, now = site.plan(), site.driver.governance
    check_member(plan, now, site.config)
    without = site.config.model_copy(update={"ordering": None})
    with pytest.raises(PlanRefused, match=r"no \[ordering\] table"):
        check_member(plan, now, without)
    with pytest.raises(PlanRefused, match=r"its node\.toml says"):
        check_member(replace(plan, ordering=((OWN, "https://127.0.0.1:9"),)), now, site.config)
    with pytest.raises(PlanRefused, match="certificates of epoch 2"):
        check_member(replace(plan, epoch=2), now, site.config)
    alone = site.config.model_copy(update={"peers": []})
    with pytest.raises(PlanRefused, match=f"member of {OTHERS[0]}"):
        check_member(replace(plan, ordering=URLS[:1]), now, alone)


def test_a_site_that_the_plan_gives_no_vote_needs_no_member(site: Running) -> None:
    plan = signed(site.driver, site.plan(voting=tuple(OTHERS)))
    without = site.config.model_copy(update={"ordering": None})
    assert site.fit(plan, without).set_aside == 0
