"""A courier brings volumes to a site without a line: chunks out of another site's ledger, some missing, some twice, in any order; the difference comes by link.

What becomes of a chunk is product code (`importing/deciding.py`), as are the chunks, their proof and the filling in of payloads (`adopt_chunk`,
`fill_awaited`). Around it: before a life's decisions run, chunks go straight into the flushed ledger, each committed before the next; afterwards through the
site, for as long as it copies ledgers. Spines that come too early wait at the desk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sento_node.importing.deciding import Fate, Where, decide
from sento_node.ledger.adopt import OfferedBlock, adopt_chunk
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.replay import governance_of
from sento_node.ledger.state import LedgerState
from sento_node.ledger.store import KeptCheckpoint, LedgerFailed
from sento_node.sync.entries import offered_blocks
from sento_node.sync.making import plan, spine_chunk
from sento_proto.checkpoint import Checkpoint, decode_checkpoint, encode_checkpoint
from sento_proto.chunk import Chunk, Kind, decode_chunk, decode_payloads

if TYPE_CHECKING:
    from tests.simulation.site_host import SiteHost

BETWEEN_CHUNKS_MS = (5, 60)
FLUSH_LOOK_MS = 10
PLANNED_MAX = 64


class Courier:
    """One journey to one site."""

    def __init__(self, host: SiteHost, chunks: list[bytes]) -> None:
        self._host = host
        self._chunks = chunks
        self._staged: dict[int, Chunk] = {}

    def arrives(self) -> None:
        """The next chunk, until there is none."""
        if not self._chunks:
            return
        host, data = self._host, self._chunks.pop(0)
        try:
            self._take(decode_chunk(data))
        except UnknownRules:
            return
        except LedgerFailed as error:
            host.halt(str(error))
            return
        host.heap.after(host.heap.between(*BETWEEN_CHUNKS_MS), self.arrives)

    def _take(self, chunk: Chunk) -> None:
        host = self._host
        where = self._where()
        if where is None:
            return  # the site is down, or serves by now: what is left goes back with the courier
        fate = decide(chunk.name, where).fate
        host.heap.faults[f"brought chunk {fate.value}"] += 1
        if fate is Fate.WAITS and chunk.name.kind is Kind.SPINE and not where.follows_order:
            self._staged[chunk.name.after_block] = chunk
        elif fate is Fate.GOES_ON and chunk.name.kind is Kind.PAYLOADS:
            self._fill(chunk)
        elif fate is Fate.GOES_ON:
            self._adopt(chunk, where.block)
            self._take_staged()

    def _take_staged(self) -> None:
        where = self._where()
        for after in sorted(self._staged):
            if where is not None and after <= where.block:
                self._take(self._staged.pop(after))
                return

    @property
    def _is_direct(self) -> bool:
        return self._host.state in ("booting", "joining") and self._host.joining.note is not None

    def _where(self) -> Where | None:
        host = self._host
        ledger_id = host.around.genesis.ledger_id
        if host.state == "running":
            state = host.site.state
            return Where(ledger_id, state.epoch, state.block, state.size, not host.catch_up.busy)
        tip = host.disk.store.tip
        return Where(ledger_id, tip.epoch, tip.block, tip.size, False) if self._is_direct else None

    def _adopt(self, chunk: Chunk, block: int) -> None:
        host = self._host
        checkpoint = decode_checkpoint(chunk.note)
        blocks = [one for one in offered_blocks(chunk) if one.number > block]
        if self._is_direct:
            self._adopt_directly(blocks, checkpoint)
        else:
            host.carry_out(host.site.adopt(blocks, checkpoint, host.heap.now_ms))
            host.around.checkers.governed(host.name, host.site.state)
            host.later(0, self._flush, checkpoint)
        host.heap.note(f"{host.name} was brought the order through block {chunk.name.through_block}")

    def _flush(self, checkpoint: Checkpoint) -> None:
        host = self._host
        if host.site.state.pending_blocks:
            host.carry_out(host.site.flush_now())
            host.later(FLUSH_LOOK_MS, self._flush, checkpoint)
        else:
            host.carry_out(host.site.published(checkpoint, host.site.state.block, host.heap.now_ms))

    def _adopt_directly(self, blocks: list[OfferedBlock], checkpoint: Checkpoint) -> None:
        host, store = self._host, self._host.disk.store
        state = LedgerState(governance_of(host.around.genesis, store), store, store.tip, store.window())
        adopt_chunk(state, blocks, checkpoint)
        host.around.checkers.governed(host.name, state)
        batch = state.seal_batch()
        if batch is None:
            return
        host.around.checkers.sealed(host.name, batch)
        store.commit(batch)
        store.put_checkpoint(KeptCheckpoint(checkpoint.size, batch.tip.block, encode_checkpoint(checkpoint)))
        host.around.checkers.committed(host.name, batch.tip)
        host.heap.faults["brought into a ledger without a life"] += 1

    def _fill(self, chunk: Chunk) -> None:
        host, store = self._host, self._host.disk.store
        governance = (
            host.site.state.governance
            if host.state == "running"
            else governance_of(host.around.genesis, store)
        )
        payloads = list(decode_payloads(chunk))
        stored = host.around.hooks.fill(store, governance, payloads)
        host.heap.faults["brought payload stored"] += stored
        there = [one.position for one in payloads if one.position < store.tip.size]
        host.around.checkers.filled(host.name, store, there)


def send_courier(host: SiteHost) -> None:
    """Volumes are exported at one of the other sites now, and brought while the line is cut."""
    heap = host.heap
    givers = [peer for peer in host.others if peer.state == "running" and not peer.is_behind]
    if not givers:
        return
    giver = heap.one_of(givers)
    store, governance = giver.disk.store, giver.site.state.governance
    spines, payloads = [], []
    for one in plan(store, 0, 0, PLANNED_MAX):
        spines.append(spine_chunk(store, governance, one.after_block, one.through_block))
        at = one.from_position
        while at < one.to_position:
            payloads.append(host.around.hooks.payload_chunk(store, governance, "", at, one.to_position))
            at = decode_chunk(payloads[-1]).name.to_position
    brought = []
    for data in (*spines, *payloads, *spines):
        brought += [data] * heap.one_of([0, 1, 1, 1, 1, 2])
    if heap.chance(0.5):
        heap.random.shuffle(brought)
    heap.fault("courier sent", f"{giver.name} to {host.name}, {len(brought)} chunks")
    host.around.network.isolate(host.name, heap.between(100, 2_000))
    heap.after(heap.between(1, 200), Courier(host, brought).arrives)
