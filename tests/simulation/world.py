"""A world: sites, ordering log, network, offices and faults from one seed; a phase of faults, then a phase in which everything must come to its end.

    python -m tests.simulation --seed 17

Constants that would need hours are small here (`scaled`): the budget window, and how long a silent site is waited for before trimming.
Everything else is product code as it is.
"""

from __future__ import annotations

import contextlib
import functools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from unittest import mock

from cryptography.exceptions import InvalidSignature
from tests.simulation.acts_desk import ActsDesk
from tests.simulation.acts_of_the_read_log import ReadLogDesk
from tests.simulation.agreeing import LIVE_WITHIN_MS
from tests.simulation.checkers import Checkers, Violation
from tests.simulation.client_host import ClientHost
from tests.simulation.faults import Faults
from tests.simulation.heap import EventHeap
from tests.simulation.hooks import Hooks
from tests.simulation.network import Network
from tests.simulation.officers_host import OfficersHost
from tests.simulation.ordering import SimOrdering
from tests.simulation.people import People, beginning
from tests.simulation.read_log import ReadLog
from tests.simulation.reference import OFFICERS
from tests.simulation.site_host import SiteHost, Surroundings
from tests.simulation.thieves import Thieves

from genesis_builder import SITES
from sento_proto.block import decode_block
from sento_proto.keys import Suite
from sento_proto.rules import NEWEST_RULES
from sento_proto.submission import decode_submission
from sento_proto.suites import ecdsa_p256, ed25519, ml_dsa

FIVE_SITES = (*SITES, "jp-sapporo", "jp-okinawa")
EMBASSIES = ("lu-betzdorf", "tw-taipei")
OFFICES = ("iizuka-city", "iizuka-hospital", "kaga-city", "soo-village", "iizuka-city")
WINDOW_POSITIONS = 60
FAULTS_MS = (5_000, 10_000)
BUSY_MS = (60, 250)
"""How often officers act where they have rules 4 to decide on too: an erasure is ordered, carried out and asked back in three acts."""
SMALL = {
    "sento_node.quorum.trimming.LIVE_WITHIN_MS": LIVE_WITHIN_MS,
    "sento_node.quorum.embassies.LIVE_WITHIN_MS": LIVE_WITHIN_MS,
    "sento_node.quorum.thinning.GAP_RECORDS": 16,
    "sento_node.sync.making.SPINE_RECORDS": 16,
    "sento_node.sync.making.PAYLOAD_CHUNK_BYTES": 4_000,
    "sento_node.sync.sources.REFUSED_MS": 5_000,
    "sento_node.sync.sources.OLD_REST_MS": 2_000,
    "sento_node.sync.sources.REST_MAX_MS": 2_000,
}
"""Ledgers are copied in several chunks though they are short, and who was called false is asked again while the world lasts."""
LOOK_MS = 100
READ_EVERY_MS = 150
DYING_MS = 4_000
SETTLE_MS = 60_000
"""Once faults have stopped everything must have come to its end within this much virtual time."""


def _records_releases(seed: int) -> bool:
    """Whether this is one of the worlds, one in four, that come to rules 4. The others are what they were before there were such rules."""
    return seed % 4 == 3


def _embassies_of(seed: int) -> tuple[str, ...]:
    """One world in three has an embassy, a third of those two: some of each kind come to rules 4."""
    if seed % 3 != 1:
        return ()
    return EMBASSIES if seed % 9 == 4 else EMBASSIES[:1]


def _rules_of(seed: int, drawn: int) -> int:
    """The rules number in the genesis file: three of four of those worlds begin with rules 4."""
    return NEWEST_RULES if _records_releases(seed) and seed % 16 != 3 and drawn > 1 else drawn


@dataclass(slots=True)
class Report:
    """What one world came to. `violation` is None when every promise held."""

    seed: int
    violation: Violation | None = None
    virtual_ms: int = 0
    settled_after_ms: int = 0
    wall_s: float = 0.0
    blocks: int = 0
    records: int = 0
    acknowledged: int = 0
    acts: int = 0
    decisions: int = 0
    events: int = 0
    trace_hash: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)


class World:
    """One world of one seed."""

    def __init__(self, seed: int, hooks: Hooks, *, show: bool) -> None:
        self.heap = heap = EventHeap(seed, show=show)
        self._hooks = hooks
        names = FIVE_SITES if heap.chance(0.15) else SITES
        embassies = _embassies_of(seed)
        people = beginning(names, _rules_of(seed, heap.one_of([1, 2, 2, 2, 2, 3, 3])), embassies)
        self.ground = people.world
        lossy = heap.one_of([0.0, 0.01, 0.05])
        everywhere = (*names, *embassies)
        self.network = Network(heap, everywhere, loss=lossy, doubling=lossy)
        self.checkers = Checkers(heap, self.ground.genesis, self.ground.genesis_bytes, 0, WINDOW_POSITIONS)
        self.ordering = SimOrdering(heap, self.network, names, self.checkers)
        self.ordering.answers_lost = heap.one_of([0.0, 0.02, 0.15])
        self.ordering.late_repeats = heap.one_of([0.0, 0.02, 0.1])
        self.hosts: dict[str, SiteHost] = {}
        around = Surroundings(
            heap,
            self.network,
            self.ordering,
            self.checkers,
            self.ground.genesis,
            hooks,
            _records_releases(seed),
        )
        for name in everywhere:
            self.hosts[name] = SiteHost(around, name, self.ground.site_signers[name], self.hosts)
        self.clients = [
            ClientHost(heap, self.ground, self.checkers, hooks, self.hosts, author, number)
            for number, author in enumerate(OFFICES)
        ]
        self.officers = OfficersHost(heap, self.checkers, self.hosts, ActsDesk(heap, everywhere, 0))
        self.thieves = Thieves(heap, people, self.ordering, self.hosts, self.officers)
        self.faults = Faults(heap, self.network, self.ordering, list(self.hosts.values()), self.clients, seed)
        self.read_log = self._read_log(people) if _records_releases(seed) else None

    def _read_log(self, people: People) -> ReadLog:
        """Officers go on to the rules under which sites record releases, and decide what those know."""
        desk = ReadLogDesk(self.heap, self.officers.desk, lambda: self.checkers.reference.facts)
        read_log = ReadLog(self.heap, people, self.hosts, desk)
        self.officers.desk.raised_to = NEWEST_RULES
        self.officers.pause_ms = self.thieves.pause_ms = BUSY_MS
        self.officers.desk.kinds += desk.kinds
        self.thieves.kinds += read_log.false_kinds * 3
        return read_log

    def run(self) -> int:
        """Both phases. Returns how long settling took, in virtual ms. Raises Violation."""
        heap = self.heap
        for host in self.hosts.values():
            heap.after(heap.between(0, 300), host.start)
        for client in self.clients:
            heap.after(heap.between(500, 1_500), client.start)
        self.officers.start()
        self.thieves.start()
        if self.read_log is not None:
            self.read_log.start()
        self.faults.start()
        heap.after(READ_EVERY_MS, self._read_locally, random.Random(heap.random.random()))
        heap.run_until(heap.between(*FAULTS_MS))
        self._end_faults()
        if self.faults.dead is not None and self.faults.dead.state != "down":
            heap.run_until(heap.now_ms + DYING_MS)
            self.faults.dead.crash()
        for client in self.clients:
            client.telling.writing = False
        self.officers.writing = False
        self.officers.dead = self.faults.dead
        begun_ms = heap.now_ms
        while not self._at_rest():
            if heap.now_ms >= begun_ms + SETTLE_MS:
                raise Violation("progress", self._unfinished())
            self.officers.look_after_receipts()
            heap.run_until(heap.now_ms + LOOK_MS)
        self._check_end()
        return heap.now_ms - begun_ms

    def _read_locally(self, chance: random.Random) -> None:
        """Somebody reads at some site, also one that is behind, copies, or boots."""
        host = chance.choice(list(self.hosts.values()))
        if host.answers_peers and not host.rebuilding.hurt:
            given = self.checkers.local_read(host.name, host.disk.store, chance)
            self.heap.faults["local read at an embassy"] += not host.votes
            self.heap.faults["local read with its payload"] += given
            self.heap.faults["local read while payloads are awaited"] += bool(host.disk.store.awaited(1))
        self.heap.after(READ_EVERY_MS, self._read_locally, chance)

    def _end_faults(self) -> None:
        """Faults stop for a majority: all sites come back, or all but one for good."""
        heap = self.heap
        heap.note("faults stop")
        self.faults.stop()
        self.thieves.stop()
        if self.read_log is not None:
            self.read_log.running = False
        self.network.heal()
        self.ordering.answers_lost = self.ordering.late_repeats = 0.0
        if self.faults.all_whole() and heap.chance(0.6):
            self._die()
        for host in self.hosts.values():
            host.crash_at = host.flush_fails = None
            host.copies_meet_liars = False
            host.slow_until_ms = host.lies_until_ms = host.gives_false_until_ms = 0
            host.old_release = host.old_release and host.state != "halted"
            if host is not self.faults.dead:
                host.start()
                if host.votes and host.state == "running":
                    self.ordering.start_member(host.name)
        for client in self.clients:
            client.mend()
            client.start()

    def _die(self) -> None:
        """One site is dead for good: at once, or as it trims what it wrote while one of the others was cut off and the other one did not hear from it."""
        heap = self.heap
        lead = self.hosts.get(self.ordering.lead or "")
        if lead is None or lead.state != "running" or len(self.ordering.members) != 3 or heap.chance(0.4):
            self.faults.dead = heap.one_of(list(self.hosts.values()))
            self.faults.dead.is_gone = True
            heap.fault("site dead for good", self.faults.dead.name)
            self.faults.dead.crash()
            return
        self.faults.dead = lead
        lead.is_gone = True
        heap.fault("site dead for good as it trims", lead.name)
        lead.dies_trimming = True
        self.network.isolate(heap.one_of(lead.others).name, DYING_MS)

    @property
    def _alive(self) -> list[SiteHost]:
        return [host for host in self.hosts.values() if host is not self.faults.dead]

    @property
    def _unerased(self) -> list[SiteHost]:
        return [host for host in self._alive if host.state == "running" and not host.erasing.settled]

    def _at_rest(self) -> bool:
        if not all(client.settled and client.outbox_empty for client in self.clients):
            return False
        if not self.officers.settled:
            return False
        head = self.ordering.engine.head.number
        return all(
            host.state == "running"
            and host.disk.store.tip.block == head == len(self.checkers.order)
            and host.erasing.settled
            for host in self._alive
        )

    def _unfinished(self) -> str:
        head = self.ordering.engine.head.number
        words = [f"{SETTLE_MS} ms after faults stopped the order has {head} blocks"]
        words += [f"{host.name} {host.state} at {host.disk.store.tip.block}" for host in self._alive]
        words += [f"{host.name} has payloads to erase or to fetch" for host in self._unerased]
        for client in self.clients:
            left = [write.kind for write in client.writes if not write.settled]
            if left:
                words.append(f"{client.name} waits for {len(left)} writes ({', '.join(left[:4])})")
            if client.outbox.disk:
                words.append(f"{client.name} keeps {len(client.outbox.disk)} submissions")
        words += [
            f"officers wait for an act, {act.tries} tries" for act in self.officers.acts if act.told is None
        ]
        return "; ".join(words)

    def _check_end(self) -> None:
        for host in self._alive:
            self.checkers.ledger_at_end(host.name, host.disk.store, self._hooks.head_in)
        for client in self.clients:
            for write in client.writes:
                client.checks.told_the_truth(write)
        self.officers.check_end()


class RememberingKey:
    """A public key that verifies each (signature, message) once: all sites of all worlds ask the same, and the answer is a function of the bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raises InvalidSignature."""
        if not _verifies(self._data, signature, message):
            raise InvalidSignature


_public_key = ed25519.key_of


@functools.lru_cache(maxsize=20_000)
def _verifies(data: bytes, signature: bytes, message: bytes) -> bool:
    try:
        _public_key(data).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


Verify = Callable[[bytes, bytes, bytes], None]


def _remembering(verify: Verify) -> Verify:
    """The same, each question asked once."""

    @functools.lru_cache(maxsize=5_000)
    def holds(data: bytes, signature: bytes, message: bytes) -> bool:
        try:
            verify(data, signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def remembered(data: bytes, signature: bytes, message: bytes) -> None:
        if not holds(data, signature, message):
            raise InvalidSignature

    return remembered


_decode_submission = functools.lru_cache(maxsize=2_000)(decode_submission)
_decode_block = functools.lru_cache(maxsize=2_000)(decode_block)
ONCE = {
    "sento_proto.suites.ed25519.key_of": RememberingKey,
    "sento_node.ledger.verified.decode_submission": _decode_submission,
    "sento_node.ledger.apply.decode_block": _decode_block,
    "tests.simulation.reference.decode_submission": _decode_submission,
    "tests.simulation.reference.decode_block": _decode_block,
}
"""Functions of bytes alone that every site, and the reference, would compute again for the same bytes."""


VERIFIED_ONCE = {
    Suite.ECDSA_P256: _remembering(ecdsa_p256.verify),
    Suite.ML_DSA_65: _remembering(ml_dsa.verify_65),
}


@contextlib.contextmanager
def scaled() -> Iterator[None]:
    """Small numbers in place of those that would need hours."""
    with contextlib.ExitStack() as patches:
        for name in (
            "sento_proto.governance.state.BUDGET_WINDOW_POSITIONS",
            "sento_proto.governance.author_changes.BUDGET_WINDOW_POSITIONS",
            "sento_node.ledger.state.BUDGET_WINDOW_POSITIONS",
            "sento_node.ledger.governing.BUDGET_WINDOW_POSITIONS",
            "sento_node.ledger.memory_store.BUDGET_WINDOW_POSITIONS",
            "sento_node.ledger.judging.BUDGET_WINDOW_POSITIONS",
        ):
            patches.enter_context(mock.patch(name, WINDOW_POSITIONS))
        patches.enter_context(mock.patch.dict("sento_proto.keys._VERIFIERS", VERIFIED_ONCE))
        for target, once in ONCE.items():
            patches.enter_context(mock.patch(target, once))
        for name, value in SMALL.items():
            patches.enter_context(mock.patch(name, value))
        yield


def simulate(seed: int, hooks: Hooks | None = None, *, show: bool = False) -> Report:
    """Run the world of one seed to its end, or to the first promise that does not hold."""
    report = Report(seed)
    began = time.perf_counter()
    with scaled():
        world = World(seed, hooks or Hooks(), show=show)
        try:
            report.settled_after_ms = world.run()
        except Violation as violation:
            report.violation = violation
        except Exception as error:  # noqa: BLE001 - whatever product code raises here, it did not foresee
            report.violation = Violation("nothing-unforeseen", f"{type(error).__name__}: {error}")
            report.violation.__cause__ = error
    report.wall_s = time.perf_counter() - began
    report.virtual_ms = world.heap.now_ms
    report.blocks, report.records = len(world.checkers.order), world.checkers.reference.size
    report.acknowledged = len(world.checkers.acknowledged)
    report.acts = sum(stand.author == OFFICERS for stand in world.checkers.reference.facts.stands)
    report.decisions = world.checkers.decisions.count
    report.events, report.trace_hash = world.heap.events, world.heap.trace_hash
    report.faults = world.heap.faults
    for judged in world.checkers.reference.blocks:
        if judged.refusal is not None:
            report.codes[f"block {judged.refusal.name}"] += 1
        for refusal, outcomes in judged.submissions:
            if refusal is not None:
                report.codes[f"submission {refusal.name}"] += 1
            report.codes.update(outcome.code.name for outcome in outcomes)
    return report
