"""A new epoch asked for at a running site: what is kept for its next life, what a kill leaves, and what stands in the status when it could not be begun."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bare_node import node_config
from epochs import plan_here, signed
from genesis_builder import SITES, build_genesis
from ledger_driver import LedgerDriver
from lone_runner import ManualClock
from sento_node.condition import Condition
from sento_node.config import NodeConfig
from sento_node.epochs import asked
from sento_node.epochs.asked import ALARM, begin_asked, show_refused
from sento_node.epochs.ended import hold_back, shown_plan, standing_of, votes_here
from sento_node.epochs.here import epoch_here
from sento_node.epochs.places import EpochPlaces, read_epoch
from sento_node.epochs.showing import ENDED, NEXT_EPOCH, TWO, Standing
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.preflight import mistakes
from sento_node.service import epoch_service
from sento_node.service.epoch_service import EpochService, add_epoch, peer_state
from sento_node.service.node_state import NodeState
from sento_proto.epoch_plan import EpochPlan, encode_plan, plan_hash
from sento_proto.errors import Code, SentoError
from sento_proto.governance.parts import ReceiptSet
from sento_proto.v1 import admin_pb2, sync_pb2

OWN, *OTHERS = SITES


@dataclass
class Site:
    """A site's data directory with a ledger of four records, and plans of it in which the two other sites vote."""

    config: NodeConfig
    driver: LedgerDriver
    clock: ManualClock

    def plan(self, **fields: object) -> EpochPlan:
        parent = plan_here(self.driver).parent
        voting = tuple(OTHERS)
        chosen = {
            "reason": "recover",
            "agreed": parent,
            "voting": voting,
            "receipt_set": ReceiptSet(voting, 2),
        }
        return signed(self.driver, plan_here(self.driver, 1, **{**chosen, **fields}))

    def state(self, store: LmdbStore) -> NodeState:
        """A life of the site, as far as services see it."""
        node = NodeState(
            config=self.config,
            genesis=self.driver.world.genesis,
            store=store,
            clock=self.clock,
            writer=ThreadPoolExecutor(max_workers=1),
            condition=Condition(state="no-majority"),
            certificate_expires_at_s=lambda: 0,
        )
        node.epoch = epoch_here(self.config.data_dir, store.tip.epoch)
        return node


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    world = build_genesis(rules=5)
    with closing(LmdbStore.open(tmp_path / "ledger", world.ledger_id)) as store:
        driver = LedgerDriver(world, store)
        driver.codes([driver.record(f"f{at}") for at in range(4)])
        driver.flush()
        store.put_checkpoint(driver.checkpoint())
    monkeypatch.setattr(asked, "load_genesis", lambda _: world.genesis)
    config = node_config(tuple(OTHERS), tmp_path)
    return Site(config, driver, ManualClock())


@pytest.fixture
def node(site: Site) -> Iterator[NodeState]:
    with closing(LmdbStore.open(site.config.data_dir / "ledger", site.driver.world.ledger_id)) as store:
        yield site.state(store)


def ask(plan: EpochPlan, *, dry_run: bool = False) -> admin_pb2.BeginEpochRequest:
    return admin_pb2.BeginEpochRequest(plan=encode_plan(plan), dry_run=dry_run)


# -- asked -----------------------------------------------------------------------------------------------------------


async def test_a_plan_that_fits_is_kept_and_ends_the_life_and_a_dry_run_does_neither(
    site: Site, node: NodeState
) -> None:
    service, places = EpochService(node), EpochPlaces(site.config.data_dir)
    plan = site.plan()
    await service.begin(ask(plan, dry_run=True))
    assert (places.is_asked, node.ending) == (False, None)
    reply = await service.begin(ask(plan))
    assert not reply.begun_before
    assert places.asked() == plan
    assert node.condition.state == NEXT_EPOCH
    assert node.part_ends.is_set()
    assert node.next_epoch.is_set()
    assert (await service.begin(ask(plan))).begun_before, "asked for twice"
    with pytest.raises(SentoError) as refused:
        await service.begin(ask(site.plan(legal_basis="another decision")))
    assert refused.value.code is Code.PLAN_NOT_FIT


@pytest.mark.parametrize("state", ["serving", "no-majority"])
async def test_while_the_order_answers_nobody_recovers(site: Site, node: NodeState, state: str) -> None:
    node.condition.state = state
    node.heard(OTHERS[0], 4, 1)
    with pytest.raises(SentoError) as refused:
        await EpochService(node).begin(ask(site.plan()))
    assert refused.value.code is Code.MAJORITY_ANSWERS
    assert not EpochPlaces(site.config.data_dir).is_asked


async def test_a_claim_that_the_epoch_has_begun_lets_nobody_recover_and_a_plan_that_was_shown_does(
    site: Site, node: NodeState
) -> None:
    """A standing is one site's word; the officers' plan is proven when it is shown."""
    node.condition.state = "serving"
    node.heard(OTHERS[0], 4, 1)
    node.contacts[OTHERS[0]].standing = Standing(1, plan_hash(site.plan()))
    with pytest.raises(SentoError) as refused:
        await EpochService(node).begin(ask(site.plan(), dry_run=True))
    assert refused.value.code is Code.MAJORITY_ANSWERS
    await EpochService(node).shown(sync_pb2.ShowEpochRequest(plan=encode_plan(site.plan())))
    await EpochService(node).begin(ask(site.plan(), dry_run=True))


async def test_a_life_that_has_asked_nobody_yet_does_not_take_that_for_silence(
    site: Site, node: NodeState, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.condition.state = "starting"
    node.watched_since_ms = dict.fromkeys(OTHERS, 0)
    begun = asyncio.create_task(EpochService(node).begin(ask(site.plan())))
    monkeypatch.setattr(epoch_service, "ASKED_WITHIN_MS", 0)
    with pytest.raises(SentoError) as refused:
        await begun
    assert refused.value.code is Code.NOT_READY
    for other in OTHERS:  # they answer, and a majority with this one they are
        node.asked_once.add(other)
        node.heard(other, 4, 1)
    with pytest.raises(SentoError) as refused:
        await EpochService(node).begin(ask(site.plan()))
    assert refused.value.code is Code.MAJORITY_ANSWERS
    assert not EpochPlaces(site.config.data_dir).is_asked


@pytest.mark.parametrize("data", [b"", b"{}", b"not a plan"])
async def test_what_is_no_plan_is_refused(node: NodeState, data: bytes) -> None:
    with pytest.raises(SentoError) as refused:
        await EpochService(node).begin(admin_pb2.BeginEpochRequest(plan=data))
    assert refused.value.code is Code.PLAN_NOT_FIT


async def test_a_tie_breaker_has_nothing_to_begin_from_and_says_what_it_does_instead(
    site: Site, node: NodeState
) -> None:
    node.keeps_ledger = False
    with pytest.raises(SentoError) as refused:
        await EpochService(node).begin(ask(site.plan()))
    assert refused.value.code is Code.PLAN_NOT_FIT
    assert "bootstrap" in refused.value.detail


@pytest.mark.parametrize("state", ["stopping", "stopped"])
async def test_a_site_that_ends_takes_no_plan(site: Site, node: NodeState, state: str) -> None:
    node.condition.state = state
    with pytest.raises(SentoError) as refused:
        await EpochService(node).begin(ask(site.plan()))
    assert refused.value.code is node.condition.code
    assert not EpochPlaces(site.config.data_dir).is_asked


@pytest.mark.parametrize(
    "state", ["starting", "waiting-for-boot-confirmation", "catching-up", "refused", "diverged", ENDED, TWO]
)
async def test_a_survivor_takes_the_plan_in_whatever_state_it_is(
    site: Site, node: NodeState, state: str
) -> None:
    node.condition.state = state
    await EpochService(node).begin(ask(site.plan()))
    assert node.condition.state == NEXT_EPOCH


# -- the next life -----------------------------------------------------------------------------------------------------


def test_the_next_life_begins_the_epoch_once(site: Site) -> None:
    places, plan = EpochPlaces(site.config.data_dir), site.plan()
    places.ask(plan)
    begin_asked(site.config)
    assert (read_epoch(site.config.data_dir), places.is_asked, places.refused()) == (1, False, "")
    places.ask(plan)  # killed before the note was taken away
    begin_asked(site.config)
    assert (read_epoch(site.config.data_dir), places.is_asked, places.refused()) == (1, False, "")


def test_a_kill_while_the_epoch_is_begun_leaves_the_plan_asked_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Power is lost."""

    def killed(*_: object, **__: object) -> str:
        raise Killed

    places = EpochPlaces(site.config.data_dir)
    places.ask(site.plan())
    with monkeypatch.context() as patched:
        patched.setattr(asked, "begin", killed)
        with pytest.raises(Killed):
            begin_asked(site.config)
    assert places.is_asked
    begin_asked(site.config)
    assert read_epoch(site.config.data_dir) == 1


def test_an_epoch_that_cannot_be_begun_is_set_aside_with_the_reason_and_the_site_goes_on(
    site: Site, node: NodeState
) -> None:
    places = EpochPlaces(site.config.data_dir)
    places.ask(replace(site.plan(), signatures=()))
    begin_asked(site.config)
    assert (read_epoch(site.config.data_dir), places.is_asked) == (0, False)
    assert places.refused()
    show_refused(node)
    assert places.refused() in node.condition.alarms[ALARM]
    assert (site.config.data_dir / "epoch-asked.refused.plan.json").exists()
    places.ask(site.plan())
    assert places.refused() == ""


def test_a_plan_that_a_damaged_note_keeps_from_being_begun_is_set_aside_with_the_reason(site: Site) -> None:
    """The node must not fail with the same failure at each of its starts."""
    places = EpochPlaces(site.config.data_dir)
    places.ask(site.plan())
    (site.config.data_dir / "epoch").write_text("one")
    begin_asked(site.config)
    assert not places.is_asked
    assert "does not hold the number" in places.refused()


# -- shown -------------------------------------------------------------------------------------------------------------


async def test_a_shown_plan_ends_this_site_s_part_also_in_its_next_life(site: Site, node: NodeState) -> None:
    plan = site.plan()
    await EpochService(node).shown(sync_pb2.ShowEpochRequest(plan=encode_plan(plan)))
    assert (node.condition.state, node.condition.code) == (ENDED, Code.EPOCH_ENDED)
    assert node.part_ends.is_set()
    assert not node.next_epoch.is_set()
    later = site.state(node.store)  # type: ignore[arg-type]  # the store of this test
    assert hold_back(later)
    assert later.condition.state == ENDED
    await EpochService(node).begin(ask(plan))
    assert node.condition.state == NEXT_EPOCH


async def test_a_plan_that_is_not_the_officers_word_stops_nobody(site: Site, node: NodeState) -> None:
    for claim in (replace(site.plan(), signatures=()), replace(site.plan(), words=("Another.",))):
        with pytest.raises(SentoError) as refused:
            await EpochService(node).shown(sync_pb2.ShowEpochRequest(plan=encode_plan(claim)))
        assert refused.value.code is Code.NOT_PROVEN
    assert node.ending is None
    assert not hold_back(site.state(node.store))  # type: ignore[arg-type]  # the store of this test


async def test_another_plan_of_this_epoch_stops_the_site_and_its_own_does_not(site: Site) -> None:
    plan = site.plan()
    EpochPlaces(site.config.data_dir).ask(plan)
    begin_asked(site.config)
    with closing(LmdbStore.open(site.config.data_dir / "ledger", site.driver.world.ledger_id)) as store:
        node = site.state(store)
        assert await shown_plan(node, plan) == Standing(1, plan_hash(plan))
        assert node.ending is None
        await shown_plan(node, site.plan(legal_basis="another decision"))
        assert (node.condition.state, node.condition.code) == (TWO, Code.TWO_EPOCHS)
        again = site.state(store)
        assert hold_back(again)
        assert again.condition.state == TWO


async def test_a_site_whose_ledger_is_not_whole_is_not_stopped_by_what_it_is_to_copy(
    site: Site, node: NodeState
) -> None:
    node.condition.state, node.condition.joining = "joining", "It copies."
    with pytest.raises(SentoError) as refused:
        await shown_plan(node, site.plan())
    assert refused.value.code is Code.NOT_READY
    assert node.ending is None
    node.condition.state = "serving"  # one that is given a vote while it serves
    await shown_plan(node, site.plan())
    assert node.condition.state == ENDED


async def test_who_shows_plan_after_plan_is_judged_one_at_a_time_and_nobody_else_waits_for_more(
    site: Site, node: NodeState
) -> None:
    claim = sync_pb2.ShowEpochRequest(plan=encode_plan(replace(site.plan(), signatures=())))
    proven = sync_pb2.ShowEpochRequest(plan=encode_plan(site.plan()))
    service = EpochService(node)
    flood = [service.shown(claim, OTHERS[0]) for _ in range(20)]
    *refused, shown = await asyncio.gather(*flood, service.shown(proven, OTHERS[1]), return_exceptions=True)
    codes = [one.code for one in refused if isinstance(one, SentoError)]
    assert codes == [Code.NOT_PROVEN, *[Code.QUEUE_FULL] * 19]
    assert isinstance(shown, sync_pb2.ShowEpochReply)
    assert node.condition.state == ENDED


# -- where it stands ---------------------------------------------------------------------------------------------------


def test_status_and_peers_are_told_the_plan_and_a_site_left_behind_is_looked_at_once(site: Site) -> None:
    plan = site.plan()
    EpochPlaces(site.config.data_dir).ask(plan)
    begin_asked(site.config)
    with closing(LmdbStore.open(site.config.data_dir / "ledger", site.driver.world.ledger_id)) as store:
        node = site.state(store)
        status = admin_pb2.StatusReply()
        add_epoch(status, node)
        assert (status.epoch_plan, status.epoch_from_size) == (plan_hash(plan), plan.parent.size)
        told = peer_state(node, OTHERS[0], sync_pb2.PeerStateRequest(epoch=1, plan_hash=plan_hash(plan)))
        assert (told.epoch, told.plan_hash) == standing_of(node)
        assert not node.look_now
        peer_state(node, OTHERS[0], sync_pb2.PeerStateRequest())
        assert node.look_now[OTHERS[0]].is_set()
        node.look_now[OTHERS[0]].clear()
        node.heard(OTHERS[0], 4, 1)
        peer_state(node, OTHERS[0], sync_pb2.PeerStateRequest())
        assert not node.look_now[OTHERS[0]].is_set(), "two sites must not drive each other round and round"


def test_a_vote_in_the_epoch_is_the_plan_s_and_a_prepared_table_gives_none(site: Site) -> None:
    with closing(LmdbStore.open(site.config.data_dir / "ledger", site.driver.world.ledger_id)) as store:
        assert votes_here(site.state(store))
    EpochPlaces(site.config.data_dir).ask(site.plan())
    begin_asked(site.config)
    with closing(LmdbStore.open(site.config.data_dir / "ledger", site.driver.world.ledger_id)) as store:
        node = site.state(store)
        assert site.config.ordering is not None
        assert not votes_here(node)
        assert node.epoch.began_with(site.driver.world.genesis) == tuple(OTHERS)
        copied = replace(node.epoch, plan=None, plan_hash=b"")
        assert copied.began_with(site.driver.world.genesis) == (), "its member could only join"


def test_certificates_of_an_epoch_are_named_by_its_number(site: Site) -> None:
    table = site.config.ordering
    assert table is not None
    by_epoch = table.model_copy(update={"ca": Path("ca-{epoch}.pem"), "key": Path("{epoch}/member.key")})
    assert by_epoch.is_by_epoch
    assert not table.is_by_epoch
    made = by_epoch.of_epoch(12)
    assert (made.ca, made.certificate, made.key) == (
        Path("ca-0012.pem"),
        table.certificate,
        Path("0012/member.key"),
    )


def test_an_embassy_that_is_prepared_lacks_nothing_before_its_epoch(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*, votes: bool) -> list[str]:
        monkeypatch.setattr("sento_node.preflight._votes_by_genesis", lambda _: votes)
        table = site.config.ordering
        assert table is not None
        by_epoch = table.model_copy(update={"ca": Path("no-{epoch}.pem")})
        config = site.config.model_copy(update={"ordering": by_epoch})
        return [one for one in mistakes(config, datetime.now(UTC)) if one.startswith("ordering.ca")]

    assert told(votes=True) == ["ordering.ca: no-0000.pem cannot be read (No such file or directory)."]
    assert told(votes=False) == []
