"""One simulated site erases what orders say: payloads off its store, their blocks out of the ordering log, a certificate; and fetches what it awaits.

What is done next is product code (`next_step`, `covered_positions`, `fetched_payload`), as are the certificate and what is kept of it. Around it: one step at a
time through the one writer, questions through the network. The log's files are not simulated: history is forgotten, and there is nothing to roll or rewrite.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sento_node.erasure import kept
from sento_node.erasure.covering import covered_positions
from sento_node.erasure.deciding import (
    BeginLogPass,
    Certify,
    ErasePayloads,
    Facts,
    ForgetHistory,
    LogPass,
    RewriteDatabase,
    Step,
    TrimThrough,
    due_orders,
    next_step,
)
from sento_node.ledger.replay import governance_of
from sento_node.ledger.store import KeptRecord
from sento_node.ordering.engine import OrderEngine
from sento_node.site import PAYLOADS_AWAITED
from sento_node.sync.fetching import fetched_payload, is_destroyed
from sento_proto.checkpoint import SiteSigners
from sento_proto.chunk import Payload
from sento_proto.erasure_certificate import ErasureCertificate, sign_certificate
from sento_proto.governance.state import ErasureOrder, Governance
from sento_proto.v1 import sync_pb2

if TYPE_CHECKING:
    from tests.simulation.site_host import SiteHost

LOOK_EVERY_MS = 1_000
AWAITED_EVERY_MS = 300
REWRITING_MS = (50, 2_500)
"""How long it takes to write segments anew without the payloads; commits pass meanwhile."""
FETCHED_AT_ONCE = 8
LOG_WORDS = "no block up to the act of carrying out is left"


class Erasing:
    """One site's erasing in one world; a life begins with nothing known to be erased, as the node's eraser does."""

    def __init__(self, host: SiteHost) -> None:
        self._host = host
        self._new_life()

    def _new_life(self) -> None:
        self._clear: set[int] = set()
        self._pass: LogPass | None = None
        self._present_since: int | None = None
        self._givers: Iterator[SiteHost] = itertools.cycle(self._host.others)
        self._asked = 0

    @property
    def settled(self) -> bool:
        """Whether this site has certified what it must erase, and awaits no payload."""
        return not self._due() and not self._host.disk.store.awaited(1)

    def begin(self) -> None:
        """A life is composed."""
        self._new_life()
        self._host.later(AWAITED_EVERY_MS, self._look_for_awaited)
        if self._host.around.erases:
            self._host.later(LOOK_EVERY_MS, self._look)
        if self._host.around.erases or len(self._host.around.genesis.voting_sites) < len(self._host.peers):
            self._host.later(0, self._host.agreeing.ask_progress)

    # -- orders -------------------------------------------------------------------------------------------------------

    def _orders(self) -> list[ErasureOrder]:
        return list(self._host.site.state.governance.erasure_orders.values())

    def _due(self) -> tuple[int, ...]:
        store = self._host.disk.store
        return due_orders(self._orders(), kept.recall_erasures(store).certified, store.tip.size)

    def _facts(self) -> Facts:
        host = self._host
        due = self._due()
        left = host.around.hooks.payloads_left(
            self._orders(), due, self._clear, host.disk.store.tip.size, self._present_since
        )
        return Facts(due, left, self._pass, frozenset(), is_lead=False, now_ms=host.heap.now_ms)

    def _look(self) -> None:
        host = self._host
        if self._present_since is None and host.serving:
            self._present_since = host.site.state.size
        step = next_step(self._facts()) if host.state == "running" else None
        if step is None or not self._do(step):
            host.later(LOOK_EVERY_MS, self._look)

    def _do(self, step: Step) -> bool:
        """Do it; False when the next look has time. What goes through the writer or the network looks again itself."""
        host = self._host
        match step:
            case ErasePayloads(order):
                host.later(host.heap.between(*REWRITING_MS), host.write, self._erase, order)
            case BeginLogPass(orders):
                self._pass = self._begin(orders)
                host.later(0, self._look)
            case TrimThrough(block):
                host.order.ask(self._holds, functools.partial(self._trim, host.life, block))
                return False
            case ForgetHistory():
                assert self._pass is not None
                host.order.trim({}, self._pass.through_revision)
                self._pass = dataclasses.replace(self._pass, forgotten=True)
                host.later(0, self._look)
            case RewriteDatabase():
                assert self._pass is not None
                self._pass = dataclasses.replace(self._pass, rewritten=True)
                host.later(0, self._look)
            case Certify(orders):
                host.write(self._certify, orders)
            case _:
                raise AssertionError(f"{step} without write-ahead files")
        return True

    def _erase(self, number: int) -> None:
        host = self._host
        if host.bomb("before payloads are erased"):
            return
        store = host.disk.store
        positions = covered_positions(store, host.site.state.governance.erasure_orders[number])
        store.erase(positions)
        host.around.checkers.destroyed.erased(host.name, positions)
        host.heap.faults["payloads erased"] += len(positions)
        host.heap.note(f"{host.name} erased {len(positions)} payloads of order {number}")
        self._clear.add(number)
        if not host.bomb("after payloads are erased"):
            host.later(0, self._look)

    # -- the ordering log ---------------------------------------------------------------------------------------------

    def _begin(self, orders: tuple[int, ...]) -> LogPass:
        store, known = self._host.disk.store, self._host.site.state.governance.erasure_orders
        acts = [known[order].carried_out_at or 0 for order in orders]
        block = store.block(store.record(max(acts), with_payload=False).block)
        return LogPass(orders, block.number, block.revision)

    def _holds(self, engine: OrderEngine) -> bool:
        return self._pass is not None and holds_blocks(engine, self._pass.through_revision)

    def _trim(self, life: int, block: int, holds: bool) -> None:
        host = self._host
        if life != host.life or self._pass is None:
            return
        if holds:
            host.carry_out(host.site.trim_through(block, host.heap.now_ms))
        else:
            self._pass = dataclasses.replace(self._pass, trimmed=True)

    # -- the certificate ----------------------------------------------------------------------------------------------

    def _certify(self, orders: tuple[int, ...]) -> None:
        host = self._host
        store, governance = host.disk.store, host.site.state.governance
        for number in orders:
            if host.bomb("before an erasure is certified"):
                return
            order = governance.erasure_orders[number]
            positions = covered_positions(store, order)
            through = store.block(store.record(order.carried_out_at or 0, with_payload=False).block)
            log_holds = holds_blocks(host.around.ordering.engine, through.revision)
            host.around.checkers.destroyed.certified(host.name, order, positions, store, log_holds=log_holds)
            kept.remember_certificate(store, number, self._certificate(order, positions))
            host.heap.faults["erasure certified"] += 1
            host.heap.note(f"{host.name} certifies order {number}")
        self._pass = None
        host.later(0, self._look)

    def _certificate(self, order: ErasureOrder, positions: Sequence[int]) -> bytes:
        host = self._host
        store = host.disk.store
        hashes = tuple(store.record_hash_at(position) for position in positions)
        return sign_certificate(
            ErasureCertificate(
                host.around.genesis.ledger_id, store.tip.epoch, host.name, order.position, order.carried_out_at or 0,
                hashes, len(positions), 1, LOG_WORDS, (), host.wall_s,
            ),
            SiteSigners(host.signer),
        )  # fmt: skip

    # -- payloads that another site's ledger did not give -------------------------------------------------------------

    def _look_for_awaited(self) -> None:
        host = self._host
        store, site = host.disk.store, host.site
        is_flushed = store.tip.block == site.state.block
        wanted = [store.record(position, with_payload=False) for position in store.awaited(FETCHED_AT_ONCE)]
        destroyed = [one.position for one in wanted if is_destroyed(site.state.governance, one)]
        if destroyed:
            host.write(self._erase_awaited, destroyed)
        elif wanted:
            self._fetch(wanted)
        elif is_flushed:
            site.checkpoints.hold_back(PAYLOADS_AWAITED, on=False)
        host.later(AWAITED_EVERY_MS, self._look_for_awaited)

    def _erase_awaited(self, positions: Sequence[int]) -> None:
        self._host.disk.store.erase(positions)
        self._host.around.checkers.destroyed.erased(self._host.name, positions)
        self._host.heap.faults["awaited payload erased"] += len(positions)

    def _fetch(self, wanted: Sequence[KeptRecord]) -> None:
        host, giver = self._host, next(self._givers)
        hashes = [one.record_hash for one in wanted]
        host.heap.faults["awaited payload asked for"] += len(wanted)
        host.around.network.send(host.name, giver.name, _give, giver, host, host.life, hashes)

    def received(self, answers: Sequence[sync_pb2.FetchedPayload]) -> None:
        """Payloads arrive that were asked for in this life; each has to make the hash that this ledger knows."""
        store = self._host.disk.store
        by_hash = {one.record_hash: one for one in map(store.record, store.awaited(FETCHED_AT_ONCE))}
        came = [
            Payload(by_hash[answer.record_hash].position, answer.payload)
            for answer in answers
            if answer.record_hash in by_hash and not (answer.missing or answer.erased)
        ]
        if came:
            self._host.write(self._fill, came)

    def _fill(self, came: Sequence[Payload]) -> None:
        host = self._host
        store = host.disk.store
        awaited = [item for item in came if store.record(item.position, with_payload=False).awaited]
        filled = host.around.hooks.fill(store, host.site.state.governance, came)
        host.heap.faults["awaited payload fetched"] += filled
        host.around.checkers.filled(host.name, store, [item.position for item in awaited])


def governance_at(host: SiteHost) -> Governance:
    """What a site goes by when it gives something out: behind the last block applied, or of the flushed ledger while nothing runs."""
    if host.state == "running":
        return host.site.state.governance
    return governance_of(host.around.genesis, host.disk.store)


def holds_blocks(engine: OrderEngine, through_revision: int) -> bool:
    """Whether a block of this or an earlier revision still stands in the log."""
    lanes = engine._lanes.values()
    return any(block.revision <= through_revision for lane in lanes for block in lane.standing.values())


def _give(giver: SiteHost, asker: SiteHost, life: int, hashes: Sequence[bytes]) -> None:
    """The giving site's side: product code's answer for each record."""
    if not giver.answers_peers or giver.rebuilding.goes_on:
        return
    governance = governance_at(giver)
    answers = [fetched_payload(giver.disk.store, governance, record_hash) for record_hash in hashes]
    if giver.false_giving == "altered":
        giver.heap.faults["altered payload given"] += 1
        for answer in answers:
            answer.payload = answer.payload[:-1] + b"?"
    giver.around.network.send(giver.name, asker.name, asker.in_life, life, asker.erasing.received, answers)
