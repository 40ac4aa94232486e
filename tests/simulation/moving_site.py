"""A simulated site in worlds whose capital moves: it takes part in one epoch at a time, and begins the next by a signed plan.

The counterpart of `node/sento_node/epochs`: a plan is noted on the disk first, and the next life begins the epoch before anything else, so that a kill anywhere
is gone on from. What stands above the fork is set aside whole. Whoever is shown a plan of a later epoch stops acknowledging; whoever is shown another plan of
the own epoch takes no further part. The plan, its acts, who signed and what they come to are product code (`epoch_plan`), and so is what a life does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.simulation.disks import NodeFiles, cut_back
from tests.simulation.epochs_host import Epoch, EpochOwnOrder, EpochRelayedOrder, replayed
from tests.simulation.site_host import SiteHost

from sento_node.epochs.at_fork import is_at_fork, is_behind_fork, kept_fork, officers_tree
from sento_node.epochs.copies import is_of_the_log
from sento_node.epochs.recovering import Way, judge_recovery
from sento_node.epochs.showing import TWO, Standing, is_officers_word, is_to_be_shown, state_by
from sento_node.ledger.apply import apply_block
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.state import LedgerState
from sento_node.ledger.store import KeptCheckpoint
from sento_node.ordering.port import Head
from sento_node.quorum.effects import Cosigned
from sento_node.rebuild.deciding import AgreedAt
from sento_node.site import Flush
from sento_proto.epoch_plan import (
    EpochPlan,
    PlanRefused,
    act_bytes,
    act_of,
    acts_behind,
    bytes_behind,
)
from sento_proto.genesis import Genesis
from sento_proto.keys import Signer

OPEN_AGAIN_MS = 150
GREET_MS = 400
TURN_MS = 1_200
"""A site that is not the plan's first waits so long before it orders what opens the epoch."""
NEXT_LIFE_MS = (50, 400)


class MovingSite(SiteHost):
    """One site in all its lives and epochs. `asked`: a plan noted on its disk; `aside`: ledgers that were set aside, with the size that they were cut to;
    `stopped`: why it takes no further part until a plan comes."""

    def __init__(self, epoch: Epoch, name: str, signer: Signer, peers: Mapping[str, MovingSite]) -> None:
        super().__init__(epoch.around, name, signer, peers)
        self.peers: Mapping[str, MovingSite] = peers
        self.copies_meet_liars = False
        self.epoch = epoch
        self.asked: Epoch | None = None
        self.aside: list[tuple[MemoryStore, int]] = []
        self.stopped = ""
        self._opened: set[int] = set()
        self._opening_ms = 0
        self._life_epoch = 0
        self._take_order()

    def _take_order(self) -> None:
        """How this site reaches its epoch's log: through its own member from the moment on in which that votes, and its ledger holds the fork."""
        if isinstance(self.relayed, EpochRelayedOrder):
            self.relayed.close()
        ordering = self.epoch.ordering
        self.votes = self.may_vote
        self.relayed = EpochRelayedOrder(self, ordering)
        self.order = EpochOwnOrder(self, ordering) if self.votes else self.relayed

    @property
    def may_vote(self) -> bool:
        """Whether this site's member takes part in majorities: not before its ledger holds what the epoch stands on."""
        behind = self.around.hooks.votes_late and is_behind_fork(self.disk.store, self.epoch.plan)
        return self.name in self.epoch.ordering.voters and not behind

    @property
    def kept_fork(self) -> KeptCheckpoint | None:
        """What this site gives chunks up to by the officers' word."""
        return kept_fork(self.disk.store, self.epoch.plan)

    def belongs(self, after: Head) -> bool:
        """Whether the ledger can be brought forward by this epoch's log."""
        return self.site.state.epoch >= self.epoch.number and after.number >= self.epoch.ordering.base

    # -- lives ------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a life; a plan that was asked for is carried out before anything else."""
        if self.is_gone or self.state not in ("down", "halted"):
            return
        if self.asked is not None and self.asked is not self.epoch:
            try:
                for epoch in self.asked.between(self.epoch):
                    self._begin(epoch)
            except PlanRefused as refused:
                self.heap.fault("plan refused by a site", f"{self.name}: {refused}")
                self.asked = None
        if self.stopped:
            return
        self._begin_at_fork()
        if self.votes != self.may_vote:
            self._take_order()
        super().start()
        self.later(GREET_MS, self._greet)

    def run(self, boot_number: int) -> None:
        """Take part; ingress is shut until the epoch is open."""
        self._life_epoch = self.disk.store.tip.epoch
        super().run(boot_number)
        plan = self.epoch.plan
        if self.state == "running":
            self.site.by_officers = officers_tree(plan)
        if self.state == "running" and not self.votes and self.name in self.epoch.ordering.members:
            self.epoch.ordering.start_member(self.name)
        if self.state == "running" and plan is not None and plan.epoch not in self._opened:
            self.site.opening = True
            self._opening_ms = self.heap.now_ms
            self.later(OPEN_AGAIN_MS, self._open, plan)

    def _greet(self) -> None:
        """Tell every other site which epoch this one is in, as long as it lives."""
        for peer in self.others:
            self.around.network.send(self.name, peer.name, _heard)
        self.later(GREET_MS, self._greet)

    def change_order(self) -> None:
        """The site's member got a vote, or lost it: from here on the log is reached the other way, within this life."""
        if self.votes == self.may_vote:
            return
        self._take_order()
        if self.state == "running":
            self.disk.files.member_started = self.disk.files.member_started or self.votes
            self.epoch.ordering.relayed.pop(self.name, None)
            self.epoch.ordering.watches.unfollow(self.name)
            if not self.catch_up.busy:
                self.follow()

    def _cosigns(self, cosigned: Cosigned) -> None:
        """A site is an embassy by governance: it may have been given a vote and have no member yet."""
        if self.name not in self.site.state.governance.voting_sites:
            self.around.checkers.embassy_decides(self.name, cosigned, self.agreeing.heard)
        self._write(self._note_cosigned, cosigned)

    def _commit(self, flush: Flush) -> None:
        super()._commit(flush)
        if self.state != "running":
            return
        entered = self.disk.store.tip.epoch > self._life_epoch
        if entered or is_at_fork(self.disk.store, self.epoch.plan):
            what = (
                "ledger came into the epoch from other sites"
                if entered
                else "fork copied by the officers' word"
            )
            self.heap.fault(what, self.name)
            self.crash()
            self.heap.after(self.heap.between(*NEXT_LIFE_MS), self.start)

    def _head(self, head: Head) -> None:
        if self.site.state.epoch >= self.epoch.number:
            super()._head(head)

    # -- beginning an epoch -------------------------------------------------------------------------------------------------

    def ask(self, epoch: Epoch) -> None:
        """An operator gives the plan: it is noted, this life ends, and the next one begins the epoch. Raises PlanRefused."""
        if self.asked is epoch or self.is_gone:
            return
        assert epoch.plan is not None
        if epoch.plan.epoch <= self.epoch.number:
            raise PlanRefused(
                "The plan is of an epoch that this site has come to already. Make one with a higher number."
            )
        self.asked = epoch
        self.heap.note(f"{self.name} is asked to begin epoch {epoch.name}")
        self.crash()
        self.heap.after(self.heap.between(*NEXT_LIFE_MS), self.start)

    def _begin(self, epoch: Epoch) -> None:
        plan, genesis = epoch.plan, self.around.genesis
        assert plan is not None
        kept, aside = begun_disk(self, plan, genesis)
        tip = kept.tip
        hooks = self.around.hooks
        kept = hooks.begun(self.disk.store.snapshot(), kept)
        if aside is not None:
            self.aside.append((aside, tip.size))
            self.heap.faults["records set aside with an epoch"] += aside.tip.size - tip.size
        self.heap.note(f"{self.name} begins epoch {epoch.name} with {tip.size} records, epoch {tip.epoch}")
        self.disk.store = self.disk.store.restore(kept)
        self.disk.files = NodeFiles()
        self.disk.parts, self.disk.altered = {}, []
        self.epoch, self.around, self.stopped = epoch, epoch.around, ""
        epoch.checkers.disk_changed(self.name, kept.tip)
        epoch.checkers.began_at(self.name, tip.block)
        self._take_order()

    def _begin_at_fork(self) -> None:
        """A ledger that was copied up to the fork waits for the act that begins the epoch (the counterpart of `at_fork.begin_at_fork`)."""
        plan, store = self.epoch.plan, self.disk.store
        if plan is None or not is_at_fork(store, plan):
            return
        disk = store.snapshot()
        disk.tip = disk.tip._replace(epoch=plan.epoch, revision=0)
        disk.remembered = {name: data for name, data in disk.remembered.items() if not is_of_the_log(name)}
        self.disk.store = store.restore(disk)
        self.disk.files.memories.clear()
        self.disk.parts = {}
        self.epoch.checkers.disk_changed(self.name, disk.tip)
        self.heap.note(f"{self.name} begins epoch {self.epoch.name} at its fork")

    # -- opening it -----------------------------------------------------------------------------------------------------------

    def _open(self, plan: EpochPlan) -> None:
        """Order the plan's acts, each once the one before it stands; then ingress opens."""
        acts = (act_of(plan), *acts_behind(plan))
        data = (act_bytes(plan), *bytes_behind(plan))
        count = self.around.hooks.acts_before_ingress(len(acts))
        left = [at for at in range(count) if self.disk.store.position_of_hash(acts[at].record_hash) is None]
        if not left:
            self._opened.add(plan.epoch)
            self.site.opening = False
            self.heap.note(f"{self.name} has epoch {self.epoch.name} open")
            return
        mine = plan.voting[0] == self.name or self.heap.now_ms - self._opening_ms > TURN_MS
        if mine and self.serving:
            self.answering.submit(_nobody, 0, data[left[0]], opens=True)
        self.later(OPEN_AGAIN_MS, self._open, plan)

    # -- other epochs -------------------------------------------------------------------------------------------------------------

    @property
    def standing(self) -> Standing:
        """Where this site stands, as it tells others."""
        return self.epoch.standing

    def shown(self, other: Epoch) -> None:
        """A site of another epoch was heard; where it stands ahead, or beside under another plan, its plan is read."""
        plan, own = other.plan, self.standing
        if (
            plan is None
            or not is_to_be_shown(other.standing, own)
            or self.state not in ("running", "booting")
        ):
            return
        governance = governance_of(self.around.genesis, self.disk.store)
        if self.asked is other or not is_officers_word(plan, (governance,)):
            return
        self.stopped_by(state_by(own, other.standing), other)

    def stopped_by(self, state: str, other: Epoch) -> None:
        """The other epoch's plan is proven to be officers' word: this site takes no further part."""
        if not state:
            return
        self.epoch.checkers.shown.add(self.name)
        two = state == TWO
        self.heap.fault("two epochs met" if two else "later epoch shown", f"{self.name} {other.name}")
        if self.around.hooks.stops_when_shown(two=two):
            self.stopped = state
            self.halt(state)


def begun_disk(host: MovingSite, plan: EpochPlan, genesis: Genesis) -> tuple[MemoryDisk, MemoryStore | None]:
    """What the site's disk is when it begins the plan's epoch, and the ledger that is set aside, if any record of it is. What becomes of the ledger is decided
    by product code; one that is another history is left for a new disk."""
    before = MemoryStore(host.disk.store.snapshot())
    disk, fork = before.snapshot(), plan.parent
    try:
        fit = judge_recovery(before, genesis, plan, _no_member)
        if fit.way in (Way.BEHIND, Way.BEHIND_AND_CUT):
            longer = extended(host, genesis, fork.block)
            reached = judge_recovery(MemoryStore(longer), genesis, plan, _no_member)
            disk, fit = (longer, reached) if reached.way is Way.AS_IT_IS else (disk, fit)
    except PlanRefused:
        if not host.stopped:
            raise
        host.heap.faults["site begun with a new disk"] += 1
        return MemoryDisk(genesis.ledger_id), before
    host.heap.faults[f"epoch begun: {fit.way.name}"] += 1
    aside = before if before.tip.block > fork.block or fit.set_aside else None
    if fit.way is Way.BEHIND:
        disk.remembered = {}
        return disk, None
    if fit.way is Way.FROM_NOTHING:
        return MemoryDisk(genesis.ledger_id), before
    if fit.way in (Way.CUT_TO_AGREED, Way.BEHIND_AND_CUT):
        assert plan.agreed is not None
        kept = cut_back(disk, AgreedAt(plan.agreed.size, plan.agreed.block))
        kept.tip = kept.tip._replace(epoch=plan.agreed.epoch)
        return kept, before
    kept = cut_back(disk, AgreedAt(fork.size, fork.block))
    kept.tip = kept.tip._replace(epoch=plan.epoch, revision=0)
    return kept, aside


def _no_member(epoch: int) -> Path:
    """There are no files of a member: what its log holds was applied before."""
    return Path("/nonexistent")


def extended(host: MovingSite, genesis: Genesis, upto_block: int | None = None) -> MemoryDisk:
    """A copy of the site's ledger with the blocks that its own ordering log holds behind it, committed or not."""
    store = MemoryStore(host.disk.store.snapshot())
    ordering = host.epoch.ordering
    if host.name not in ordering.members or store.tip.epoch < host.epoch.number:
        return store.snapshot()
    state = LedgerState(governance_of(genesis, store), store, store.tip, store.window())
    for block in host.around.hooks.tail(replayed(ordering.members[host.name].log, ordering.base)):
        if block.number != state.block + 1 or (upto_block is not None and block.number > upto_block):
            continue
        apply_block(state, block)
        batch = state.seal_batch()
        assert batch is not None
        store.commit(batch)
        state.batch_flushed()
    return store.snapshot()


def _heard() -> None:
    """A sign of life of a site in the same epoch."""


def _nobody(number: int, epoch: int, answers: list[tuple[int, int, bytes]], error: int) -> None:
    """Nobody waits: the ledger tells."""
