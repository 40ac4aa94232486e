"""Opening an epoch is killed before or behind each submission that it offers: the next life goes on, and each record on the plan's list stands exactly once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from acts import add_registry
from epochs import plan_here, signed
from genesis_builder import SITES, build_genesis, make_submission
from ledger_driver import LedgerDriver
from sento_node.condition import Condition
from sento_node.epochs.beginning import begin
from sento_node.epochs.opening import ACT_ALARM, Opener
from sento_node.epochs.places import EpochPlaces
from sento_node.erasure.set_aside import remove_from_aside
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.set_aside_reading import reading_set_aside
from sento_node.runner import Runner
from sento_node.site import Reply
from sento_proto.act_chain import act_content
from sento_proto.epoch_plan import EpochPlan, act_of, acts_behind, bytes_behind
from sento_proto.errors import Code
from sento_proto.genesis import Genesis

KAGA = "kaga-city"
SUBMISSIONS = 3
ACTS = tuple(
    act_content("known from a trust file", [add_registry(name)]) for name in ("first-lost", "second-lost")
)
OFFERS = 1 + len(ACTS) + SUBMISSIONS


class Killed(BaseException):
    """Power is lost."""


class Stopped:
    """A site that began epoch 1: below the fork three records; three submissions of two records each come back, and one that the plan lists in part."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.world = build_genesis(rules=5)
        with closing(LmdbStore.open(data_dir / "ledger", self.world.ledger_id, map_bytes=1 << 26)) as store:
            driver = LedgerDriver(self.world, store)
            driver.codes([driver.record(f"below-{at}", content=b"below") for at in range(3)])
            driver.flush()
            store.put_checkpoint(driver.checkpoint())
            bare = plan_here(driver)
            self.listed: list[bytes] = []
            for at in range(SUBMISSIONS):
                records = [driver.record(f"{at}-{n}", author=KAGA, content=b"lawful") for n in range(2)]
                driver.order([make_submission(self.world, KAGA, records)])
                self.listed += [one.record_hash for one in records]
            halves = [driver.record(f"half-{n}", author=KAGA, content=b"half") for n in range(2)]
            driver.order([make_submission(self.world, KAGA, halves)])
            self.in_part, self.unlisted = (one.record_hash for one in halves)
            driver.flush()
            store.put_checkpoint(driver.checkpoint())
            plan = replace(bare, readmit=(*self.listed, self.in_part), acts=ACTS)
            self.plan: EpochPlan = signed(driver, plan)
        begin(data_dir, self.genesis, self.plan)

    @property
    def genesis(self) -> Genesis:
        return self.world.genesis

    def life(self, submit: Callable[[Callable[[bytes], Reply], bytes], Reply]) -> None:
        """One life of the opening, over the ledger on disk: what is not flushed when it ends is ordered still, as the log has it. Raises Killed."""
        with closing(
            LmdbStore.open(self.data_dir / "ledger", self.world.ledger_id, map_bytes=1 << 26)
        ) as store:
            driver = LedgerDriver(self.world, store)

            def order(data: bytes) -> Reply:
                told = driver.order([data]).submissions[0]
                driver.flush()
                return Reply(1, 1, told.outcomes, told.refusal)

            async def offered(data: bytes, *, opens: bool = False) -> Reply:
                assert opens, "ingress is closed to everything else"
                return submit(order, data)

            runner = SimpleNamespace(
                site=SimpleNamespace(state=driver.state, opening=False),
                store=store,
                condition=(condition := Condition(state="serving")),
                submit=offered,
            )
            opener = Opener(cast("Runner", runner), EpochPlaces(self.data_dir), self.plan, SITES[0], SITES[0])
            try:
                asyncio.run(opener.run())
            finally:
                self.open = not runner.site.opening
                self.alarms = condition.alarms
                self.registries = driver.governance.registries

    def standing(self) -> Counter[bytes]:
        with closing(
            LmdbStore.open(self.data_dir / "ledger", self.world.ledger_id, map_bytes=1 << 26)
        ) as store:
            return Counter(one.record_hash for one in store.records(0, store.tip.size, with_payload=False))


def killed_at(offer: int, *, behind: bool) -> Callable[[Callable[[bytes], Reply], bytes], Reply]:
    """Counts offers: the act that begins the epoch is number 0, the plan's further acts follow, then the submissions."""
    count = -1

    def submit(order: Callable[[bytes], Reply], data: bytes) -> Reply:
        nonlocal count
        count += 1
        if count == offer and not behind:
            raise Killed
        reply = order(data)
        if count == offer:
            raise Killed
        return reply

    return submit


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("offer", range(OFFERS))
def test_killed_at_any_offer_each_listed_record_stands_once_in_the_end(
    tmp_path: Path, offer: int, behind: bool
) -> None:
    site = Stopped(tmp_path)
    places = EpochPlaces(tmp_path)
    with pytest.raises(Killed):
        site.life(killed_at(offer, behind=behind))
    assert not places.is_done(1)
    assert not site.open, "ingress stays closed"
    site.life(lambda order, data: order(data))
    assert site.open
    assert places.is_done(1)
    standing = site.standing()
    assert set(standing.values()) == {1}
    assert all(standing[one] == 1 for one in site.listed)
    order = [*standing]
    acts = [act_of(site.plan).record_hash, *(one.record_hash for one in acts_behind(site.plan))]
    assert order[site.plan.parent.size :] == [*acts, *site.listed], "acts first, then what is taken over"
    assert {"first-lost", "second-lost"} <= set(site.registries)
    assert site.in_part not in standing
    assert site.unlisted not in standing
    report = json.loads((tmp_path / "epoch-0001.done").read_bytes())
    assert report["stand"] == len(site.listed)
    assert list(report["not_taken_over"]) == [site.in_part.hex()]
    assert "not-taken-over" in site.alarms


def test_what_stands_already_by_another_site_s_offer_is_not_offered_again(tmp_path: Path) -> None:
    site = Stopped(tmp_path)
    site.life(lambda order, data: order(data))
    (tmp_path / "epoch-0001.done").unlink()
    offers: list[bytes] = []

    def counted(order: Callable[[bytes], Reply], data: bytes) -> Reply:
        offers.append(data)
        return order(data)

    site.life(counted)
    assert offers == []
    assert set(site.standing().values()) == {1}


def test_the_answer_that_is_lost_counts_nothing_twice(tmp_path: Path) -> None:
    """A submission was ordered and its answer was not: the same one is offered again, and is known."""
    site = Stopped(tmp_path)
    lost: list[bytes] = []

    def losing(order: Callable[[bytes], Reply], data: bytes) -> Reply:
        reply = order(data)
        if data in lost:
            return reply
        lost.append(data)
        return reply._replace(outcomes=(), code=Code.NO_ORDERING)

    site.life(losing)
    assert set(site.standing().values()) == {1}
    assert all(site.standing()[one] == 1 for one in site.listed)


def test_an_act_that_may_not_stand_keeps_the_epoch_shut_and_says_so(tmp_path: Path) -> None:
    """Officers decided it together with the epoch: what it revokes must not be used because a site skipped it."""
    site = Stopped(tmp_path)
    refused = 0

    def refusing(order: Callable[[bytes], Reply], data: bytes) -> Reply:
        nonlocal refused
        if data != bytes_behind(site.plan)[0]:
            return order(data)
        refused += 1
        if refused > 2:
            raise Killed
        return Reply(1, 1, (), Code.ACT_REFUSED)

    with pytest.raises(Killed):
        site.life(refusing)
    assert not site.open
    assert ACT_ALARM in site.alarms
    site.life(lambda order, data: order(data))
    assert site.open


def test_an_erasure_that_took_segments_from_what_was_set_aside_keeps_no_epoch_shut(tmp_path: Path) -> None:
    """What can still be offered is; the rest is named."""
    site = Stopped(tmp_path)
    with reading_set_aside(tmp_path / "epoch-0000-orphans", site.world.ledger_id) as aside:
        at = aside.position_of_hash(site.listed[0])
        assert at is not None
        payload_hash = aside.record(at).payload_hash
    assert remove_from_aside(tmp_path, (), [payload_hash])
    site.life(lambda order, data: order(data))
    assert site.open
    report = json.loads((tmp_path / "epoch-0001.done").read_bytes())
    assert site.listed[0].hex() in report["not_taken_over"]
    assert "not-taken-over" in site.alarms


def test_a_ledger_that_was_set_aside_later_is_looked_into_too(tmp_path: Path) -> None:
    """A second fork from one parent: the list is of the ledger that was set aside last."""
    site = Stopped(tmp_path)
    first = tmp_path / "epoch-0000-orphans"
    first.rename(tmp_path / "epoch-0000-orphans-2")
    LmdbStore.open(first, site.world.ledger_id).close()
    site.life(lambda order, data: order(data))
    assert all(site.standing()[one] == 1 for one in site.listed)
