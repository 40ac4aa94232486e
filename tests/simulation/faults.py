"""Faults, and how often: what a world must survive is stated here before anything is injected.

Survived by design, so injected without limit of time or number: crashes of sites and clients at any instant (also between two writes to disk), failed flushes,
slow disks, ordering members killed alone, lost, doubled and late messages, lost answers, links cut in one or both directions, leads moved or lost, streams that
stall with or without a word, garbage in the log under names of real sites' lanes, sites that acknowledge falsely what offices send them. A site's clock is set
wrong by up to ten minutes while all others' are right.

Limits, as the design states them:

* One disk at a time is lost or rolled back, and the next only when the site is whole again: more is a lost majority, which is recovered by officers.
* A disk is only rolled back to an image of a former life, and lost or rolled back only while every other site remembers the present life: a roll-back
  that is hidden from every site that answers is not detected, and the runbook says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.simulation.checkers import cosigned_by
from tests.simulation.client_host import ClientHost
from tests.simulation.disks import DiskImage
from tests.simulation.giving import begin_lying
from tests.simulation.heap import EventHeap
from tests.simulation.joining import PLACES
from tests.simulation.network import Network
from tests.simulation.ordering import SimOrdering
from tests.simulation.site_host import SiteHost

from sento_node.ledger.memory_store import FlushMoment
from sento_node.rebuild.deciding import OWN_BOOT_NAME
from sento_proto.block import Lane, sign_block

BOMBS = (
    "before a flush",
    "after a flush",
    "before a cosigned note",
    "after a cosigned note",
    "before a checkpoint is kept",
    "before a trim",
    "between the boot numbers",
)
ERASING_BOMBS = (
    "before payloads are erased",
    "after payloads are erased",
    "before an erasure is certified",
)
GARBAGE_BOOT = 900
FOCUS_WEIGHT = 25
"""One kind of fault is frequent in each world, another one in the next."""
_T = TypeVar("_T")
FLUSH_LOOKS = 300
LEDGER_WHERE_ERASED = 12
"""Ledgers are made anew more often where payloads are erased, so that they are copied from sites that erase."""


class Faults:
    """Injects faults into one world until `stop`. Which kinds, and how often, is drawn from the seed."""

    def __init__(
        self,
        heap: EventHeap,
        network: Network,
        ordering: SimOrdering,
        hosts: Sequence[SiteHost],
        clients: Sequence[ClientHost],
        seed: int,
    ) -> None:
        self._heap = heap
        self._network = network
        self._ordering = ordering
        self._hosts = list(hosts)
        self._voters = [host for host in hosts if host.votes]
        self._embassies = [host for host in hosts if not host.votes]
        self._clients = list(clients)
        self._images: dict[str, DiskImage] = {}
        self._ledgers: dict[str, DiskImage] = {}
        self._damaged: dict[str, int] = {}
        self._garbage_seq = dict.fromkeys((host.name for host in hosts), 0)
        self._kinds: list[tuple[Callable[[], None], float]] = [
            (self._crash, 10),
            (self._bomb, 7),
            (self._flush_fails, 2),
            (self._slow_disk, 4),
            (self._kill_member, 5),
            (self._isolate, 8),
            (self._cut_link, 6),
            (self._move_lead, 5),
            (self._stall, 5),
            (self._garbage, 3),
            (self._crash_client, 5),
            (self._cut_client, 5),
            (self._break_client_stream, 4),
            (self._burst, 5),
            (self._lie, 4),
            (self._give_falsely, 4),
            (self._clock_off, 3),
            (self._old_release, 4),
            (self._disk, 4),
            (self._embassy_disk, 8 if self._embassies else 0),
            (self._relay, 8 if self._embassies else 0),
            (self._ledger, LEDGER_WHERE_ERASED if self._hosts[0].around.erases else 4),
            (self._disk_at_the_worst_time, 5),
        ]
        # A world in which everything happens at once hides what needs quiet: each seed has some kinds often and some never.
        self._weights = [weight * heap.one_of([0.0, 1.0, 1.0, 3.0]) for _, weight in self._kinds]
        self._weights[seed % len(self._kinds)] += FOCUS_WEIGHT
        self._turns: dict[str, int] = {}
        self._seed = seed
        self._pause_ms = heap.one_of([250, 500, 900])
        self.running = True
        self.dead: SiteHost | None = None
        self._clock_is_off = False

    def start(self) -> None:
        """Begin."""
        if sum(self._weights) == 0:
            self._weights = [weight for _, weight in self._kinds]
        self._heap.after(self._heap.between(300, 1_500), self._next)

    def _next(self) -> None:
        if self.running:
            kind = self._heap.random.choices([kind for kind, _ in self._kinds], self._weights)[0]
            kind()
            self._heap.after(self._heap.between(self._pause_ms // 4, self._pause_ms * 2), self._next)

    def _turn(self, kind: str, ways: Sequence[_T]) -> _T:
        """The ways of a fault take turns, and worlds begin with different ones: few seeds have seen them all."""
        self._turns[kind] = turn = self._turns.get(kind, self._seed) + 1
        return ways[turn % len(ways)]

    def _host(self) -> SiteHost:
        return self._heap.one_of(self._hosts)

    def _voter(self) -> SiteHost:
        return self._heap.one_of(self._voters)

    def _short_or_long(self) -> int:
        return self._heap.between(100, 1_500) if self._heap.chance(0.7) else self._heap.between(2_000, 9_000)

    # -- sites ----------------------------------------------------------------------------------------------------------------

    def _crash(self) -> None:
        host = self._host()
        if host.state != "down":
            self._heap.fault("site crashed", f"{host.name} in state {host.state}")
            self._crash_and_return(host)

    def _crash_and_return(self, host: SiteHost) -> None:
        host.crash()
        self._maybe_image(host)
        if host.name not in self._ledgers and not host.rebuilding.goes_on:
            self._ledgers[host.name] = host.disk.image(0, self._member_number(host))
        self._heap.after(self._short_or_long(), self.start_site, host)

    def _member_number(self, host: SiteHost) -> int:
        return self._ordering.members[host.name].number if host.votes else 0

    def start_site(self, host: SiteHost) -> None:
        """Start a site that is down; one that a fault takes down later is started by that fault, and one that is dead for good by nobody."""
        if host is not self.dead:
            host.start()

    def _old_release(self) -> None:
        """Somebody starts one site with the release before this one, also when it had announced more."""
        if any(host.old_release for host in self._hosts):
            return
        host = self._host()
        self._heap.fault("site started with an old release", host.name)
        host.crash()
        host.old_release = True
        self._heap.after(self._heap.between(20, 800), self.start_site, host)
        self._heap.after(self._heap.between(2_000, 8_000), self._newer_release, host)

    def _newer_release(self, host: SiteHost) -> None:
        if host.old_release and host.state == "running":
            host.crash()
            host.old_release = False
            self._heap.after(self._heap.between(20, 800), self.start_site, host)

    def _bomb(self) -> None:
        host = self._host()
        place = self._turn("bomb", (*ERASING_BOMBS, *BOMBS) if host.around.erases else BOMBS)
        if host.joining.note is not None:
            place = self._heap.one_of(list(PLACES))
        if place == "between the boot numbers":
            host.crash()
        host.crash_at = place
        self._look_after(host, host.life)

    def _flush_fails(self) -> None:
        host = self._host()
        host.flush_fails = self._turn("flush", list(FlushMoment))
        self._look_after(host, host.life)

    def _look_after(self, host: SiteHost, life: int) -> None:
        """Whoever looks after a site starts it again when it is found down."""
        if host.state in ("down", "halted"):
            self._heap.after(self._short_or_long(), self.start_site, host)
        elif host.life == life and self.running:
            self._heap.after(300, self._look_after, host, life)

    def _slow_disk(self) -> None:
        host = self._host()
        self._heap.fault("slow disk", host.name)
        host.slow_until_ms = self._heap.now_ms + self._heap.between(500, 5_000)

    def _kill_member(self) -> None:
        host = self._voter()
        if host.state == "running" and self._ordering.members[host.name].up:
            self._heap.fault("member killed", host.name)
            self._ordering.stop_member(host.name)
            self._heap.after(self._heap.between(200, 3_000), self._member_back, host, host.life)

    def _member_back(self, host: SiteHost, life: int) -> None:
        if host.life == life and host.state == "running" and not host.joining.is_shut:
            self._ordering.start_member(host.name)

    # -- network ----------------------------------------------------------------------------------------------------------------

    def _isolate(self) -> None:
        host = self._lead_or_any()
        directions = self._turn("isolate", ("both", "in", "both", "out", "both"))
        self._heap.fault(f"site isolated ({directions})", host.name)
        self._network.isolate(host.name, self._short_or_long(), directions)

    def _clock_off(self) -> None:
        """Somebody sets a site's clock, and later sets it right: one at a time, because with two of three nobody can know the time."""
        if self._clock_is_off:
            return
        host = self._lead_or_any()
        skew_s, right_s = self._heap.one_of([-1, 1]) * self._heap.between(360, 600), host.wall_skew_s
        self._heap.fault("clock set wrong", f"{host.name} by {skew_s} s")
        self._clock_is_off = host.around.checkers.clock_was_off = True
        host.wall_skew_s = skew_s
        self._heap.after(self._heap.between(500, 9_000), self._clock_right, host, right_s)

    def _clock_right(self, host: SiteHost, skew_s: int) -> None:
        host.wall_skew_s = skew_s
        self._clock_is_off = False

    def _lead_or_any(self) -> SiteHost:
        lead = self._ordering.lead
        if lead is not None and self._heap.chance(0.5):
            return next(host for host in self._hosts if host.name == lead)
        return self._host()

    def _cut_link(self) -> None:
        one, other = self._heap.random.sample(self._hosts, 2)
        both = self._heap.chance(0.6)
        self._heap.fault("link cut" if both else "link cut one way", f"{one.name} {other.name}")
        for_ms = self._short_or_long()
        for sender, receiver in [(one, other), (other, one)][: 2 if both else 1]:
            self._network.cut(sender.name, receiver.name)
            self._heap.after(for_ms, self._network.mend, sender.name, receiver.name)

    def _relay(self) -> None:
        """The site whose log an embassy uses dies, or the line to it is cut, or it keeps back the order and goes on saying that it lives."""
        if not self._embassies:
            return
        embassy = self._heap.one_of(self._embassies)
        relay = embassy.relayed.relay
        match self._turn("relay", ("dies", "cut", "keeps back", "cut")):
            case "dies":
                self._heap.fault("relay dies", relay.name)
                self._crash_and_return(relay)
            case "cut":
                self._heap.fault("relay cut off", f"{relay.name} {embassy.name}")
                self._network.cut(relay.name, embassy.name)
                self._heap.after(self._short_or_long(), self._network.mend, relay.name, embassy.name)
            case _:
                self._heap.fault("relay keeps back the order", relay.name)
                self._ordering.watches.stall(embassy.name, 0, says_so=False)

    def _move_lead(self) -> None:
        host = self._voter()
        self._heap.fault("lead moved", host.name)
        self._ordering.hand_over(host.name)

    def _stall(self) -> None:
        host = self._host()
        says_so = self._heap.chance(0.5)
        self._heap.fault("stream stalled" if says_so else "stream silent for ever", host.name)
        self._ordering.watches.stall(host.name, self._heap.between(500, 4_000), says_so=says_so)

    def _garbage(self) -> None:
        """Blocks that no site would make, in the log under a lane of a life that never was."""
        host = self._voter()
        if not self._ordering.members[host.name].up:
            return
        world = host.around.genesis
        lane = Lane(host.name, GARBAGE_BOOT + self._garbage_seq[host.name], 0)
        self._garbage_seq[host.name] += 1
        signer, other = host.signer, self._hosts[0].signer
        epoch = host.disk.store.tip.epoch
        data = self._heap.one_of(
            [
                self._heap.random.randbytes(40),
                sign_block(bytes(32), epoch, lane, 1, [], signer),
                sign_block(world.ledger_id, epoch + 1, lane, 1, [], signer),
                sign_block(world.ledger_id, epoch, lane._replace(number=1), 1, [], signer),
                sign_block(world.ledger_id, epoch, lane, 1, [b"no submission"], signer),
                sign_block(world.ledger_id, epoch, lane, 1, [], signer)[:-1] + b"?",
                sign_block(world.ledger_id, epoch, lane, 1, [], other),
            ]
        )
        self._heap.fault("garbage ordered", host.name)
        self._ordering.append(host.name, str(lane), 1, data, _nobody)

    # -- clients ------------------------------------------------------------------------------------------------------------------

    def _lie(self) -> None:
        """A site lies to offices for a while; it has most to lie about when they send many records at once."""
        host = self._host()
        host.way_of_lying = self._turn("lie", ("drops", "flatters"))
        self._heap.fault(f"site {host.way_of_lying} what it takes", host.name)
        host.lies_until_ms = self._heap.now_ms + self._heap.between(100, 4_000)
        for client in self._clients if host.way_of_lying == "flatters" else ():
            self._heap.after(self._heap.between(0, 1_000), client.write_now, self._heap.between(4, 10))

    def _give_falsely(self) -> None:
        """A site lies to those who copy its ledger."""
        begin_lying(self._host())

    def _crash_client(self) -> None:
        client = self._heap.one_of(self._clients)
        if self._hosts[0].around.erases and self._heap.chance(0.5):
            self._crash_as_it_flushes(client, FLUSH_LOOKS)
        else:
            self._crash_and_start(client)

    def _crash_and_start(self, client: ClientHost) -> None:
        self._heap.fault("client crashed", client.name)
        client.crash()
        self._heap.after(self._heap.between(50, 1_500), client.start)

    def _crash_as_it_flushes(self, client: ClientHost, looks: int) -> None:
        """Crash when something is on its way to the outbox's disk."""
        if client.outbox.flushing or not looks:
            self._crash_and_start(client)
        else:
            self._heap.after(1, self._crash_as_it_flushes, client, looks - 1)

    def _cut_client(self) -> None:
        client, host = self._heap.one_of(self._clients), self._host()
        self._heap.fault("client cut off", f"{client.name} {host.name}")
        client.cut_off(host.name, self._short_or_long())

    def _break_client_stream(self) -> None:
        self._heap.one_of(self._clients).break_stream()

    def _burst(self) -> None:
        client = self._heap.one_of(self._clients)
        self._heap.fault("burst of writes", client.name)
        client.write_now(self._heap.between(4, 10))

    # -- disks ----------------------------------------------------------------------------------------------------------------------

    def _maybe_image(self, host: SiteHost) -> None:
        """Somebody keeps a copy of a disk that stands still."""
        if self._older_image(host) is None and host.disk.files.boot_number and self._heap.chance(0.7):
            entries = len(self._ordering.members[host.name].log) if host.votes else 0
            self._images[host.name] = host.disk.image(entries, self._member_number(host))

    def all_whole(self) -> bool:
        """Whether no disk fault is still being mended, and every site's present life is remembered by all others."""
        return all(self._whole(host) for host in self._voters)

    def _whole(self, host: SiteHost) -> bool:
        member = self._ordering.members[host.name]
        if member.number <= self._damaged.get(host.name, 0) or not member.votes or host.is_behind:
            return False
        return self._remembered(host)

    def _remembered(self, host: SiteHost) -> bool:
        number = host.disk.files.boot_number
        memories = [other.disk.files.memories.get(host.name) for other in host.others]
        return all(memory is not None and memory.boot_number >= number > 0 for memory in memories)

    def _disk(self) -> None:
        if not self.running or not self.all_whole():
            return
        rolling = [host for host in self._voters if self._older_image(host) is not None]
        host = self._heap.one_of(rolling) if rolling else self._voter()
        if not rolling and host.around.erases and self._heap.chance(0.7):
            self._crash_and_return(host)
            self._heap.after(self._heap.between(2_000, 4_000), self._disk)
            return
        self._damage(host)
        self._heap.after(self._heap.between(100, 1_500), self.start_site, host)

    def _damage(self, host: SiteHost) -> None:
        host.crash()
        member = self._ordering.members[host.name]
        self._damaged[host.name] = member.number
        image = self._older_image(host)
        if image is not None and self._heap.chance(0.9):
            self._heap.fault("disk rolled back", host.name)
            host.disk.restore(image)
            self._ordering.roll_back(host.name, image.member_entries)
            del self._images[host.name]
        else:
            self._lose(host)
        host.around.checkers.disk_changed(host.name, host.disk.store.tip)

    def _embassy_disk(self) -> None:
        """An embassy's disk is lost or rolled back; nobody has to be asked before it starts again."""
        if not self.running or not self._embassies or not self.all_whole():
            return
        host = self._heap.one_of(self._embassies)
        if not self._remembered(host) or host.is_behind:
            return
        image = self._older_image(host)
        if image is None and self._heap.chance(0.5):
            self._crash_and_return(host)
            self._heap.after(self._heap.between(2_000, 4_000), self._embassy_disk)
            return
        host.crash()
        if image is not None:
            self._heap.fault("embassy's disk rolled back", host.name)
            host.disk.restore(image)
            del self._images[host.name]
        else:
            self._heap.fault("embassy's disk lost", host.name)
            host.disk.lose_all()
        host.around.checkers.disk_replaced(host.name, host.disk.store.tip, host.others)
        self._heap.after(self._heap.between(100, 1_500), self.start_site, host)

    def _ledger(self) -> None:
        """The ledger alone is lost, put back in time, or altered; the member's disk is whole."""
        if not self.all_whole():
            return
        host = self._voter()
        store, checkers = host.disk.store, host.around.checkers
        if not host.disk.files.member_started or store.recall(OWN_BOOT_NAME) is None:
            return
        host.crash()
        host.rebuilding.hurt = True
        store = host.disk.store
        kept, image = store.checkpoint(), self._older_ledger(host)
        which = self._turn("ledger", ("lost", "old", "altered", "old", "altered"))
        if image is not None and host.around.erases:
            which = "old"
        if which == "altered" and kept is not None and kept.size:
            self._heap.fault("ledger altered", host.name)
            host.disk.alter_ledger(self._heap.between(0, kept.size - 1))
            checkers.ledger_changed(host.name, host.disk.store.tip)
        else:
            if which == "old" and image is not None:
                self._heap.fault("ledger put back in time", host.name)
                host.disk.old_ledger(image)
            else:
                self._heap.fault("ledger lost", host.name)
                host.disk.lose_ledger()
            checkers.ledger_changed(host.name, host.disk.store.tip)
            checkers.remembered(host.name, max(cosigned_by(other, host.name) for other in host.others))
        self._heap.after(self._heap.between(100, 1_500), self.start_site, host)

    def _older_ledger(self, host: SiteHost) -> DiskImage | None:
        """A copy of this site's ledger from a former life."""
        image = self._ledgers.pop(host.name, None)
        if image is None or image.member_number != self._member_number(host):
            return None
        return image if 0 < image.files.boot_number < host.disk.files.boot_number else None

    def _older_image(self, host: SiteHost) -> DiskImage | None:
        """An image of this very disk from a former life."""
        image = self._images.get(host.name)
        if image is None or image.member_number != self._member_number(host):
            return None
        return image if image.files.boot_number < host.disk.files.boot_number else None

    def _lose(self, host: SiteHost) -> None:
        self._ordering.lose_disk(host.name)
        match self._turn("lose", (0, 1, 0, 2)):
            case 0:
                self._heap.fault("disk lost", host.name)
                host.disk.lose_all()
            case 1:
                self._heap.fault("member's data lost", host.name)
            case _:
                self._heap.fault("member's directory lost", host.name)
                host.disk.files.ordering_boot_number = 0
                host.disk.files.member_started = False

    def _disk_at_the_worst_time(self) -> None:
        """Two sites hold what is acknowledged; one of them loses its disk and comes back with the third, without the other."""
        if not self.all_whole() or not self._ordering.serves or len(self._voters) != 3:
            return
        behind, loser, keeper = self._heap.random.sample(self._voters, 3)
        if self._ordering.lead == behind.name:
            behind, keeper = keeper, behind
        self._heap.fault("disk at the worst time", f"{behind.name} behind, {loser.name} loses")
        behind_ms = self._heap.between(1_000, 2_500)
        self._network.isolate(behind.name, behind_ms)
        self._heap.after(behind_ms - 50, self._worst_time, loser, keeper)

    def _worst_time(self, loser: SiteHost, keeper: SiteHost) -> None:
        if not self.running or not self.all_whole() or loser.state != "running" or keeper.state != "running":
            return
        self._damage(loser)
        keeper.crash()
        self._heap.after(self._heap.between(2_500, 5_000), self.start_site, keeper)
        self._heap.after(60, self.start_site, loser)

    def stop(self) -> None:
        """No further faults."""
        self.running = False


def _nobody(outcome: object) -> None:
    """Nobody waits for what becomes of garbage."""
