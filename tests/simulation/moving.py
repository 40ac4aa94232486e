"""A world whose capital moves: it is lost to an embassy's recovery, returns, and is relocated, from one seed; then everything must come to its end.

    python -m tests.simulation --moving --seed 17

Three sites vote at first, and two embassies follow them. What happens to them is a story (`Story`) of steps with virtual time between them, beside the small
faults that go on all the while. Everything else is as in the other worlds, and product code where those have it.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence

from tests.simulation.acts_desk import ActsDesk
from tests.simulation.checkers import Violation
from tests.simulation.epochs_host import Epoch, EpochCheckers, EpochNetwork, EpochOrdering
from tests.simulation.heap import EventHeap
from tests.simulation.hooks import Hooks
from tests.simulation.moving_checks import check_end
from tests.simulation.moving_faults import MovingFaults
from tests.simulation.moving_offices import MovingClient
from tests.simulation.moving_site import MovingSite
from tests.simulation.moving_story import Story
from tests.simulation.network import Network
from tests.simulation.officers_host import OfficersHost
from tests.simulation.people import beginning
from tests.simulation.returning import Returning
from tests.simulation.site_host import Surroundings
from tests.simulation.world import EMBASSIES, LOOK_MS, SETTLE_MS, WINDOW_POSITIONS, Report, scaled

from genesis_builder import SITES
from sento_node.ordering.port import OrderedBlock
from sento_proto.epoch_plan import EpochPlan

OFFICES = ("iizuka-city", "iizuka-hospital", "kaga-city", "soo-village")
RULES = 5
STEP_MS = 20


class MovingWorld:
    """One such world of one seed."""

    def __init__(self, seed: int, hooks: Hooks, *, show: bool) -> None:
        self.heap = heap = EventHeap(seed, show=show)
        self.hooks = hooks
        self.ground = beginning(SITES, RULES, EMBASSIES).world
        lossy = heap.one_of([0.0, 0.01])
        everywhere = (*SITES, *EMBASSIES)
        self.network = Network(heap, everywhere, loss=lossy, doubling=lossy)
        self.hosts: dict[str, MovingSite] = {}
        self.epochs: list[Epoch] = []
        first = self.begin(None, SITES, ())
        for name in everywhere:
            self.hosts[name] = MovingSite(first, name, self.ground.site_signers[name], self.hosts)
        self.lost: set[bytes] = set()
        self.clients = [
            MovingClient(
                heap, self.ground, hooks, self.hosts, author, number, lambda: self.epochs, self._is_lost
            )
            for number, author in enumerate(OFFICES)
        ]
        self.officers: list[OfficersHost] = []
        self.faults = MovingFaults(heap, self.network, self.hosts, self.clients, lambda: self.epochs[-1])
        self.returning = Returning(heap, hooks, self.at_home)
        self.story = Story(self)

    # -- epochs -----------------------------------------------------------------------------------------------------------

    def begin(
        self,
        plan: EpochPlan | None,
        voters: Sequence[str],
        kept: Sequence[OrderedBlock],
        parent: Epoch | None = None,
    ) -> Epoch:
        """An epoch's log and checkers; no site takes part yet."""
        number = 0 if plan is None else plan.epoch
        before = None if parent is None else parent.checkers
        checkers = EpochCheckers(
            self.heap, self.ground.genesis, self.ground.genesis_bytes, WINDOW_POSITIONS, before, kept, plan
        )
        ordering = EpochOrdering(self.heap, self.network, voters, checkers, len(kept))
        ordering.answers_lost = self.heap.one_of([0.0, 0.05])
        epoch: list[Epoch] = []
        network = EpochNetwork(self.network, lambda name: self.hosts[name].epoch is epoch[0], self._meets)
        around = Surroundings(
            self.heap, network, ordering, checkers, self.ground.genesis, self.hooks, erases=False
        )
        epoch.append(Epoch(number, plan, ordering, checkers, around, parent))
        self.epochs.append(epoch[0])
        return epoch[0]

    def at_home(self) -> list[MovingSite]:
        """Sites that take part in the newest epoch."""
        return [host for host in self.hosts.values() if host.epoch is self.epochs[-1]]

    def _meets(self, sender: str, receiver: str) -> None:
        """A message crossed from one epoch into another: both sites learn of the other's plan."""
        one, other = self.hosts[sender], self.hosts[receiver]
        if other.answers_peers:
            other.shown(one.epoch)
            self.network.send(receiver, sender, one.shown, other.epoch)

    def officers_begin(self) -> None:
        """Officers decide in the newest epoch; acts of the former one that have no end are lost or not, and nobody sends them again."""
        number = self.epochs[-1].number
        for former in self.officers:
            former.writing = False
            for act in former.acts:
                act.told = act.told or self.story.lost_code
        sites = {host.name: host for host in self.at_home()}
        desk = ActsDesk(self.heap, list(sites), number)
        desk.kinds = [(desk.enrol_key, 4), (desk._revoke, 3), (desk._grant, 5), (desk._seal_key, 2)]
        officers = OfficersHost(self.heap, self.epochs[-1].checkers, sites, desk)
        officers.pause_ms = (300, 900)
        self.officers.append(officers)
        officers.start()

    def _is_lost(self, record_hash: bytes) -> bool:
        """Whether the record stood in an epoch, by the word of a site, and does not stand in the newest one."""
        if record_hash in self.epochs[-1].checkers.hashes_standing():
            return False
        return any(record_hash in epoch.checkers.hashes_standing() for epoch in self.epochs[:-1])

    # -- the course of it -----------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """The story, then rest. Returns how long settling took, in virtual ms. Raises Violation."""
        heap = self.heap
        for host in self.hosts.values():
            heap.after(heap.between(0, 200), host.start)
        for client in self.clients:
            heap.after(heap.between(400, 900), client.start)
        self.officers_begin()
        self.faults.start()
        self._tell(self.story.tell())
        while not self.story.ended:
            heap.run_until(heap.now_ms + LOOK_MS)
            if heap.now_ms > 4 * SETTLE_MS:
                raise Violation("progress", f"the story stands still: {self.story.waits_for}")
        self._end_faults()
        begun_ms = heap.now_ms
        while (words := self._unfinished()) and heap.now_ms < begun_ms + SETTLE_MS:
            self.returning.look(self.at_home())
            heap.run_until(heap.now_ms + LOOK_MS)
        if words:
            raise Violation("progress", f"{SETTLE_MS} ms after faults stopped: {words}")
        check_end(self)
        return heap.now_ms - begun_ms

    def _tell(self, story: Iterator[int]) -> None:
        """The story's next step, after as many ms as it says."""
        wait_ms = next(story, None)
        if wait_ms is None:
            self.story.ended = True
        else:
            self.heap.after(wait_ms, self._tell, story)

    def _end_faults(self) -> None:
        self.heap.note("faults stop")
        self.faults.stop()
        self.network.heal()
        self.epochs[-1].ordering.answers_lost = 0.0
        self.officers[-1].writing = False
        for host in self.hosts.values():
            host.crash_at = host.flush_fails = None
            host.slow_until_ms = 0
            host.start()
            if host.votes and host.state == "running" and host.epoch is self.epochs[-1]:
                host.epoch.ordering.start_member(host.name)
        for client in self.clients:
            client.telling.writing = False
            client.mend()
            client.start()

    def _unfinished(self) -> str:
        """What is not at its end, in words; "" when everything is."""
        newest = self.epochs[-1]
        head = newest.ordering.engine.head.number
        words = [f"epoch {newest.name} has {head} blocks"] if head != len(newest.checkers.order) else []
        for host in self.hosts.values():
            if host.is_gone:
                continue
            at_end = host.state == "running" and host.disk.store.tip.block == head and host.epoch is newest
            if not at_end or host.site.opening or not host.erasing.settled:
                words.append(
                    f"{host.name} {host.state} {host.stopped} in epoch {host.epoch.name} at {host.disk.store.tip.block} of {head}"
                )
        for client in self.clients:
            left = [write.kind for write in client.writes if not write.settled]
            if left:
                words.append(f"{client.name} waits for {len(left)} writes ({', '.join(left[:4])})")
            if client.outbox.waiting:
                words.append(f"{client.name} keeps {client.outbox.waiting} submissions")
        if not self.officers[-1].settled:
            words.append("officers wait for an act")
        if not self.returning.done or any(
            host.aside and host.epoch is not newest and not host.is_gone for host in self.hosts.values()
        ):
            words.append("orphans wait")
        return "; ".join(words)


def simulate_moving(seed: int, hooks: Hooks | None = None, *, show: bool = False) -> Report:
    """Run one world to its end, or to the first promise that does not hold."""
    report = Report(seed)
    began = time.perf_counter()
    with scaled():
        world = MovingWorld(seed, hooks or Hooks(), show=show)
        try:
            report.settled_after_ms = world.run()
        except Violation as violation:
            report.violation = violation
        except Exception as error:  # noqa: BLE001 - whatever product code raises here, it did not foresee
            report.violation = Violation("nothing-unforeseen", f"{type(error).__name__}: {error}")
            report.violation.__cause__ = error
            if show:
                traceback.print_exception(error)
    report.wall_s = time.perf_counter() - began
    report.virtual_ms, report.events = world.heap.now_ms, world.heap.events
    newest = world.epochs[-1].checkers
    report.blocks, report.records = len(newest.order), newest.reference.size
    report.acknowledged = sum(len(epoch.checkers.acknowledged) for epoch in world.epochs)
    report.decisions = sum(epoch.checkers.decisions.count for epoch in world.epochs)
    report.trace_hash = world.heap.trace_hash
    report.faults = world.heap.faults
    return report
