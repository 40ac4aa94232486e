"""What happens to a simulated capital, in steps with time between them: it is lost to a recovery, comes back, and is relocated.

Each voter that is lost is gone with its disk, is without power and comes back later, or is cut off and goes on with the offices that reach it: then two sides
acknowledge until they meet. Operators and officers are people of no speed in particular: whatever they do, sites crash meanwhile, and whoever is left does it
again from what can be seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.simulation.checkers import Violation
from tests.simulation.disks import DiskImage
from tests.simulation.epochs_host import Epoch
from tests.simulation.moving_site import MovingSite
from tests.simulation.recovering import (
    Asked,
    Surveyed,
    check_kept,
    choose,
    history_of,
    make_plan,
    quorum_of_officers,
    survey,
)
from tests.simulation.relocating import Relocation

from sento_node.ledger.memory_store import MemoryStore
from sento_proto.epoch_plan import PlanRefused
from sento_proto.errors import Code

if TYPE_CHECKING:
    from tests.simulation.moving import MovingWorld

LOOK_MS = 60
OPERATORS_LOOK_MS = 250
PLANNED_ANEW_MS = 9_000
FATES = ("gone", "off", "off", "cut", "cut")
THE_PLANS_OWN = ("set-site-votes", "set-receipt-set")
"""Who votes and whose cosignatures count, the plan says itself: a lost act about it would undo what the plan decides."""
WALL_MS = 1_767_225_600_000


class Story:
    """The story of one world. `ended`: whether nothing more happens by it; `waits_for`: what it waits for, in words."""

    lost_code = Code.DEADLINE

    def __init__(self, world: MovingWorld) -> None:
        self._world = world
        self._heap = world.heap
        self.ended = False
        self.waits_for = ""
        self._away: list[MovingSite] = []
        self._images: dict[str, DiskImage] = {}
        self._open: set[Epoch] = set()

    def tell(self) -> Iterator[int]:
        """Everything that happens; each number is how long the world goes on before the next step, in ms."""
        heap = self._heap
        heap.after(OPERATORS_LOOK_MS, self._operators)
        heap.after(heap.between(900, 2_200), self._keep_image)
        yield heap.between(2_200, 4_200)
        relocates_first = heap.chance(0.25)
        if relocates_first:
            yield from Relocation(self._world, self).tell()
        recoveries = 0 if relocates_first and heap.chance(0.5) else 2 if heap.chance(0.3) else 1
        for _ in range(recoveries):
            yield from self._recovered()
            yield heap.between(800, 3_000)
        self.waits_for = "who is away to come back"
        while self._away:
            yield LOOK_MS
        self.waits_for = "every site to come into the newest epoch"
        while any(
            not host.is_gone and host.epoch is not self._world.epochs[-1]
            for host in self._world.hosts.values()
        ):
            yield LOOK_MS
        if recoveries and heap.chance(0.5):
            yield from Relocation(self._world, self).tell()
        yield heap.between(300, 1_000)

    # -- loss -----------------------------------------------------------------------------------------------------------------

    def _recovered(self) -> Iterator[int]:
        heap, world = self._heap, self._world
        former = world.epochs[-1]
        self.waits_for = "enough sites for a recovery"
        while self._survivors_at_most(former) < 2 or not all(
            host.disk.store.tip.size for host in world.at_home()
        ):
            if not self._away and all(host.is_gone or host.epoch is former for host in world.hosts.values()):
                return
            yield LOOK_MS
        for _ in range(heap.between(0, 2)):
            self._revoke()
            yield heap.between(20, 250)
        lost = self._lose(former)
        survivors = [
            host for host in world.at_home() if host not in [*lost, *self._away] and not host.is_gone
        ]
        yield heap.between(200, 2_500)
        if heap.chance(0.25):
            self._put_back(heap.one_of(survivors))
        two = heap.chance(0.2)
        surveys = [survey(host, WALL_MS + heap.now_ms) for host in survivors]
        first = self._planned(surveys, former.number + 1, 0)
        yield heap.between(50, 600)
        if two:
            second = self._planned(
                [survey(host, WALL_MS + heap.now_ms) for host in survivors], former.number + 1, 2
            )
            yield from self._two_plans(survivors, first, second)
            surveys = [survey(host, WALL_MS + heap.now_ms) for host in survivors]
            first = self._planned(surveys, former.number + 2, 1)
        epoch = first
        for host in survivors:
            heap.after(heap.between(10, 900), self._give, host, epoch)
        self.waits_for = f"epoch {epoch.name} to open"
        waited_ms = 0
        while not self._is_open(epoch):
            waited_ms += LOOK_MS
            yield LOOK_MS
            if waited_ms > PLANNED_ANEW_MS:
                waited_ms = 0
                epoch = self._planned_anew(epoch)
        heap.fault("epoch recovered", epoch.name)
        self._open.add(epoch)
        world.officers_begin()

    def _planned_anew(self, former: Epoch) -> Epoch:
        """A plan that does not come to anything, because its sites went on meanwhile or are lost, too: whoever is there is surveyed once more."""
        heap, world = self._heap, self._world
        there = [host for host in world.hosts.values() if not host.is_gone and host not in self._away]
        if len(there) < 2:
            return former
        heap.fault("plan made anew")
        surveys = [survey(host, WALL_MS + heap.now_ms) for host in there]
        epoch = self._planned(surveys, world.epochs[-1].number + 1, 0)
        for host in there:
            heap.after(heap.between(10, 900), self._give, host, epoch)
        return epoch

    def _revoke(self) -> None:
        """A key is revoked a moment before the loss."""
        officers = self._world.officers[-1]
        governance = officers.sees()
        changes = [] if governance is None else officers.desk._revoke(governance)
        if governance is not None and changes:
            officers.act(governance, changes)

    def _survivors_at_most(self, epoch: Epoch) -> int:
        """How many sites of the epoch are left when just a majority of its voters is lost."""
        home = [host for host in self._world.at_home() if not host.is_gone and host not in self._away]
        return len(home) - (len(epoch.ordering.voters) // 2 + 1)

    def _lose(self, epoch: Epoch) -> list[MovingSite]:
        """A majority of the voters is lost, each in its way."""
        heap, world = self._heap, self._world
        voters = [world.hosts[name] for name in epoch.ordering.voters]
        heap.random.shuffle(voters)
        home = [host for host in world.at_home() if not host.is_gone and host not in self._away]
        least = len(voters) // 2 + 1
        lost = voters[: heap.between(least, min(len(voters), max(least, len(home) - 2)))]
        together = heap.chance(0.5)
        one_fate = heap.one_of(list(FATES))
        cut: list[MovingSite] = []
        for host in lost:
            fate = one_fate if together else heap.one_of(list(FATES))
            left = sum(not other.is_gone or other in self._away for other in world.hosts.values())
            if fate == "gone" and left <= 3:
                fate = "off"
            heap.fault(f"voter {fate}", host.name)
            if fate == "cut":
                cut.append(host)
            else:
                host.crash()
                host.is_gone = True
            if fate == "off":
                self._away.append(host)
                heap.after(heap.between(1_500, 7_000), self._power_on, host)
        if cut:
            self._cut_off(cut)
        return lost

    def _keep_image(self) -> None:
        """Somebody keeps a copy of each embassy's disk."""
        for host in self._world.at_home():
            if not host.votes and host.disk.files.boot_number and host.disk.store.tip.size:
                self._images[host.name] = host.disk.image(0, 0)

    def _put_back(self, host: MovingSite) -> None:
        """A survivor's disk is put back in time: it holds less than it once cosigned."""
        image = self._images.pop(host.name, None)
        if image is None or host.votes or host.epoch.number:
            return
        self._heap.fault("survivor's disk put back", host.name)
        host.crash()
        host.disk.restore(image)
        host.around.checkers.disk_replaced(host.name, host.disk.store.tip, host.others)
        self._heap.after(self._heap.between(100, 900), host.start)

    def _power_on(self, host: MovingSite) -> None:
        host.is_gone = False
        self._away.remove(host)
        host.start()

    def _cut_off(self, sites: list[MovingSite]) -> None:
        """These sites reach each other and nobody else, and some offices reach only these."""
        heap, network = self._heap, self._world.network
        for_ms = heap.between(1_500, 7_000)
        others = [host for host in self._world.hosts.values() if host not in sites]
        for host in sites:
            self._away.append(host)
            heap.after(for_ms, self._away.remove, host)
            for other in others:
                for pair in ((host.name, other.name), (other.name, host.name)):
                    network.cut(*pair)
                    heap.after(for_ms, network.mend, *pair)
        for client in self._world.clients:
            for host in heap.one_of([sites, others, []]):
                client.cut_off(host.name, for_ms)

    # -- officers and operators -----------------------------------------------------------------------------------------------

    def _planned(self, surveys: list[Surveyed], number: int, first_officer: int) -> Epoch:
        heap, world = self._heap, self._world
        chosen = choose(surveys)
        able = [one.host.name for one in surveys]
        count = heap.between(2, len(able))
        voting = tuple(sorted(heap.random.sample(able, count)))
        made_at_ms = WALL_MS + heap.now_ms
        gap = {"do": "set-gap", "epoch": number, "as_of_ms": made_at_ms, "known_missing": 0, "open": True}
        signers = quorum_of_officers(first_officer)
        acts: list[tuple[dict[str, object], ...]] = []
        plan = make_plan(chosen, surveys, Asked(number, voting, ((gap,),), made_at_ms), signers)
        for changes in self._lost_acts(chosen):
            try:
                asked = Asked(number, voting, (*acts, changes, (gap,)), made_at_ms)
                plan = make_plan(chosen, surveys, asked, signers)
                acts.append(changes)
                heap.faults["lost act signed again in a plan"] += 1
                heap.faults["lost revocation signed again in a plan"] += changes[0]["do"] == "revoke-key"
            except PlanRefused:
                heap.faults["lost act that fits no more"] += 1
        epoch = world.begin(plan, voting, history_of(chosen), chosen.host.epoch)
        heap.note(
            f"officers sign epoch {epoch.name} from {chosen.host.name}: {plan.parent.size} records, block {plan.parent.block}, {', '.join(voting)} vote"
        )
        tail = chosen.disk.tip.block - chosen.host.disk.store.tip.block
        heap.faults["blocks taken from a survivor's log"] += tail
        if words := check_kept(chosen, surveys, epoch):
            raise Violation("survivors-keep", words)
        return epoch

    def _lost_acts(self, chosen: Surveyed) -> list[tuple[dict[str, object], ...]]:
        """Changes of acts that officers were told stand, and that the chosen state does not hold, in their order."""
        store = MemoryStore(chosen.disk)
        officers = self._world.officers[-1]
        said = [act for act in officers.acts if act.said_to_stand_ms is not None]
        lost = [act for act in said if store.position_of_hash(act.record.record_hash) is None]
        changes = [tuple(json.loads(act.record.header.content)["changes"]) for act in lost]
        return [those for those in changes if not any(one["do"] in THE_PLANS_OWN for one in those)]

    def _two_plans(self, survivors: list[MovingSite], first: Epoch, second: Epoch) -> Iterator[int]:
        """Two groups of officers signed, and each gave its plan to some sites: who meets the other one's stops."""
        heap = self._heap
        self.waits_for = "sites by two plans to meet"
        heap.fault("two recoveries at once")
        heap.random.shuffle(survivors)
        heap.after(1, self._give, survivors[0], first)
        for host in survivors[1:]:
            heap.after(heap.between(1, 500), self._give, host, heap.one_of([first, second, second]))
        waited_ms = 0
        while waited_ms < 4_000 and sum(host.stopped == "two-epochs" for host in survivors) < 2:
            waited_ms += LOOK_MS
            yield LOOK_MS

    def _give(self, host: MovingSite, epoch: Epoch) -> None:
        """An operator gives a site the plan; now and then a kill comes right behind."""
        if host.epoch.number >= epoch.number or host.asked is epoch:
            return
        try:
            host.ask(epoch)
        except PlanRefused:
            return
        if self._heap.chance(0.3):
            self._heap.faults["site killed as it begins an epoch"] += 1
            self._heap.after(self._heap.between(1, 600), host.crash)
            self._heap.after(self._heap.between(700, 1_500), host.start)

    def _is_open(self, epoch: Epoch) -> bool:
        able = [host for host in self._world.at_home() if host.state == "running"]
        return any(host.epoch is epoch and host.serving and not host.site.opening for host in able)

    def _operators(self) -> None:
        """Whoever stopped because a later epoch was shown gets its plan from an operator; some get it before."""
        heap, newest = self._heap, self._world.epochs[-1]
        heap.after(OPERATORS_LOOK_MS, self._operators)
        for host in self._world.hosts.values():
            behind = newest in self._open and host.epoch.number < newest.number and host.asked is not newest
            reached = host not in self._away and not host.is_gone
            if behind and reached and (host.stopped or heap.chance(0.2)) and heap.chance(0.4):
                heap.faults["site brought over by an operator"] += 1
                self._give(host, newest)
            elif host.asked is newest and host.epoch is not newest and reached:
                host.start()
