"""An epoch of a simulated ledger: its ordering log, its checkers, and what its sites see of the network and of each other.

Each epoch has a log of its own, whose members are the plan's voters, and checkers of its own, whose reference begins with the history that the epoch keeps.
A message carries the epoch of its sender: a site of another epoch does not look into it, and both learn by it that there are two (`Meets`). This is the
counterpart of `ordering/based.py` and of the epoch in every call between nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulation.checkers import Checkers, Violation
from tests.simulation.heap import EventHeap
from tests.simulation.members import AppendOp, Entry, Member, TrimOp
from tests.simulation.network import Network
from tests.simulation.ordering import QUOTA_BYTES, OrderFeed, SimOrdering
from tests.simulation.reference import Judged
from tests.simulation.relaying import OwnOrder, RelayedOrder
from tests.simulation.watch import Broken, Deliver

from sento_node.epochs.showing import Standing
from sento_node.ledger.results import BlockResult
from sento_node.ledger.store import KeptBlock
from sento_node.ordering.based import NEVER_IN_THIS_LOG
from sento_node.ordering.engine import OrderEngine
from sento_node.ordering.port import Compacted, Head, OrderedBlock, OrderingError
from sento_node.site import Reply
from sento_proto.epoch_plan import EpochPlan, act_of, acts_behind, plan_hash
from sento_proto.errors import STANDING_CODES
from sento_proto.genesis import Genesis

if TYPE_CHECKING:
    from tests.simulation.moving_site import MovingSite
    from tests.simulation.site_host import Surroundings

Meets = Callable[[str, str], None]
"""A message of the first site reached the second one, and they are in different epochs."""


class BasedEngine(OrderEngine):
    """A log whose first block has the number behind `base`."""

    def __init__(self, base: int) -> None:
        super().__init__(quota_bytes=QUOTA_BYTES)
        self._head = Head(base, 0)


class EpochOrdering(SimOrdering):
    """The log of one epoch. Members may come and go within it."""

    def __init__(
        self, heap: EventHeap, network: Network, sites: Sequence[str], feed: OrderFeed, base: int
    ) -> None:
        self.base = base
        super().__init__(heap, network, sites, feed)

    def _new_engine(self) -> OrderEngine:
        return BasedEngine(self.base)

    def add_learner(self, site: str, number: int) -> None:
        """Add a learner for a site that has no member, or whose former one was removed."""
        if site in self.members:
            super().add_learner(site, number)
        elif self._may_change(site):
            self.members[site] = Member(site, 1, votes=False)

    @property
    def voters(self) -> list[str]:
        """Sites whose members vote."""
        return [member.site for member in self._voters()]


def replayed(log: Sequence[Entry], base: int) -> list[OrderedBlock]:
    """The blocks that a member's log holds, committed or not, as the ledger counts them."""
    engine = BasedEngine(base)
    blocks: list[OrderedBlock] = []
    for entry in log:
        op = entry.op
        try:
            if isinstance(op, AppendOp):
                place = engine.append(op.lane, op.seq, op.data)
                if not place.repeated:
                    blocks.append(OrderedBlock(place.number, place.revision, op.lane, op.seq, op.data))
            elif isinstance(op, TrimOp):
                engine.trim(op.through_seq, op.through_revision)
        except OrderingError:
            continue
    return blocks


class EpochCheckers(Checkers):
    """The checkers of one epoch. `shown`: sites that were shown a later epoch, and may acknowledge nothing in this one any more."""

    def __init__(
        self,
        heap: EventHeap,
        genesis: Genesis,
        genesis_bytes: bytes,
        window: int,
        parent: EpochCheckers | None = None,
        kept: Sequence[OrderedBlock] = (),
        plan: EpochPlan | None = None,
    ) -> None:
        super().__init__(heap, genesis, genesis_bytes, 0, window)
        self.shown: set[str] = set()
        if parent is not None:
            self._signed = parent._signed
        before: dict[int, int] = {} if parent is None else parent.began
        self.began: dict[int, int] = {epoch: base for epoch, base in before.items() if base < len(kept)}
        self._first: list[bytes] = []
        if plan is not None:
            self.began[plan.epoch] = len(kept)
            self._first = [act_of(plan).record_hash, *(act.record_hash for act in acts_behind(plan))]
        for epoch, base in self.began.items():
            self.reference.begins_at(base, epoch)
        for block in kept:
            self.order.append(block)
            self.reference.apply(block)
        self.fork_size, self.fork_block = self.reference.size, len(self.order)

    def ordered(self, block: OrderedBlock) -> None:
        """A block was committed; an epoch's first records are the plan's acts, and nothing comes between them."""
        super().ordered(block)
        for stand in self.reference.blocks[-1].standing:
            at = stand.position - self.fork_size
            if at < len(self._first) and stand.record.record_hash != self._first[at]:
                raise Violation(
                    "plan-before-ingress", f"position {stand.position} is not act {at} of the epoch's plan"
                )

    def _same(self, site: str, result: BlockResult, judged: Judged) -> None:
        """Below the fork a block that brought no record may be another one: a plan names tree and number, and such a block changes no tree."""
        if result.number > self.fork_block or result.standing or judged.standing:
            super()._same(site, result, judged)
        elif (result.size_after, result.root) != (judged.size_after, judged.root):
            raise Violation(
                "same-ledger", f"{site} and the reference differ at block {result.number} in size or root"
            )

    def _same_block(self, site: str, one: KeptBlock, judged: Judged, block: OrderedBlock) -> None:
        if judged.number > self.fork_block or judged.standing:
            super()._same_block(site, one, judged, block)
        elif one.size_after != judged.size_after:
            raise Violation("same-ledger", f"{site} keeps another block {judged.number}")
        else:
            self._heap.faults["other block without records below a fork"] += (one.lane, one.seq) != (
                block.lane,
                block.seq,
            )

    def replied(self, site: str, data: bytes, reply: Reply) -> None:
        """A site answered a submission."""
        if site in self.shown and any(one.code in STANDING_CODES for one in reply.outcomes):
            raise Violation("ended-is-silent", f"{site} was shown a later epoch and goes on acknowledging")
        super().replied(site, data, reply)

    @property
    def signed(self) -> Mapping[tuple[int, bytes], Set[str]]:
        """Who signed which tree, of any epoch."""
        return self._signed

    def began_at(self, site: str, block: int) -> None:
        """The site begins this epoch with a ledger up to there."""
        self.flushed_ever[site] = block


class EpochNetwork(Network):
    """The world's network as one epoch's sites use it."""

    def __init__(self, network: Network, within: Callable[[str], bool], meets: Meets) -> None:
        self._network = network
        self._within = within
        self._meets = meets

    def linked(self, sender: str, receiver: str) -> bool:
        """Whether messages pass in this direction."""
        return self._network.linked(sender, receiver)

    def cut(self, sender: str, receiver: str) -> None:
        """Let nothing pass in this direction."""
        self._network.cut(sender, receiver)

    def delay_ms(self, sender: str, receiver: str) -> int:
        """How long a message takes now."""
        return self._network.delay_ms(sender, receiver)

    def send(
        self, sender: str, receiver: str, act: Callable[..., None], *args: object, may_double: bool = False
    ) -> None:
        """Deliver `act(*args)` at the receiver if it is in this epoch, or lose it."""
        self._network.send(sender, receiver, self._open, sender, receiver, act, args, may_double=may_double)

    def _open(self, sender: str, receiver: str, act: Callable[..., None], args: tuple[object, ...]) -> None:
        if self._within(sender) and self._within(receiver):
            act(*args)
        elif self._within(sender):
            self._meets(sender, receiver)


@dataclass(slots=True, eq=False)
class Epoch:
    """One epoch by one plan; the first has none."""

    number: int
    plan: EpochPlan | None
    ordering: EpochOrdering
    checkers: EpochCheckers
    around: Surroundings
    parent: Epoch | None = None

    def between(self, other: Epoch) -> list[Epoch]:
        """This epoch and those before it that come after the other one, oldest first: a site is brought over by each plan in turn."""
        chain: list[Epoch] = []
        epoch: Epoch | None = self
        while epoch is not None and epoch.number > other.number:
            chain.insert(0, epoch)
            epoch = epoch.parent
        return chain

    @property
    def standing(self) -> Standing:
        """As its sites tell it to others."""
        return Standing(self.number, b"" if self.plan is None else plan_hash(self.plan))

    @property
    def name(self) -> str:
        """As it stands in the trace."""
        return str(self.number) if self.plan is None else f"{self.number}/{plan_hash(self.plan).hex()[:6]}"


def _never(broken: Broken) -> None:
    broken(Compacted(NEVER_IN_THIS_LOG))


class EpochOwnOrder(OwnOrder):
    """An epoch's log through the own member: a ledger that stands in a former epoch is not brought forward by it."""

    def __init__(self, host: MovingSite, ordering: SimOrdering) -> None:
        super().__init__(host, ordering)
        self._host = host

    def follow(self, after: Head, deliver: Deliver, broken: Broken) -> None:
        """See `Order`."""
        if self._host.belongs(after):
            super().follow(after, deliver, broken)
        else:
            self._host.later(1, _never, broken)


class EpochRelayedOrder(RelayedOrder):
    """An epoch's log through one of its voters."""

    def __init__(self, host: MovingSite, ordering: EpochOrdering) -> None:
        super().__init__(host, ordering)
        self._moving = host
        self._log = ordering

    def close(self) -> None:
        """This site has a member of its own now, or begins another epoch: what was asked for in its streams is not heard any more."""
        self._stream += 1
        self._broken_stream = self._stream

    @property
    def relay(self) -> MovingSite:
        """The site whose log is used now."""
        voters = [name for name in self._log.voters if name != self._moving.name]
        return self._moving.peers[voters[self._at % len(voters)]]

    def follow(self, after: Head, deliver: Deliver, broken: Broken) -> None:
        """See `Order`."""
        if self._moving.belongs(after):
            super().follow(after, deliver, broken)
        else:
            self._moving.later(1, _never, broken)
