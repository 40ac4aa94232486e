"""How fast a fresh site catches up: the program behind `sento-drill bench-catch-up`.

    python -m sento_node.sync.measuring GENESIS ORDER DIRECTORY ROUNDS

    ORDER     n x (u8 kind || u32 len || bytes): blocks of one log (kind 1) and the notes of quorum checkpoints between them (kind 2)

The order is applied to a ledger in DIRECTORY; then each round makes that ledger's chunks and catches up with them in a new directory, through the code that
a site runs, with every check and every flush. The program keeps to one core. It prints one JSON object a line: for each round the processor's microseconds a
record of each part, the records a second of the whole by the processor's clock and by the wall's, and what an Ed25519 signature took to verify meanwhile: on a
machine that others share, that says how fast it was just then.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from sento_node.ledger.adopt import adopt_chunk
from sento_node.ledger.apply import apply_block
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.state import LedgerState
from sento_node.ledger.store import KeptCheckpoint, LedgerStore
from sento_node.ordering.port import OrderedBlock
from sento_node.sync.entries import merged, offered_blocks
from sento_node.sync.making import PlannedChunk, payload_chunk, plan, spine_chunk
from sento_proto.block import decode_block
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.chunk import decode_chunk, decode_payloads
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.keys import Ed25519Signer, verifies
from sento_proto.wire import Reader

BLOCK, NOTE = 1, 2
PARTS = ("spine", "payloads", "decode", "adopt", "commit")
_GC_OBJECTS = 50_000
"""As a running node has it."""
_CHUNKS_MAX = 1 << 20
_MESSAGE = bytes(150)
"""As long as what an author signs."""


class Clock:
    """Processor time by part, in seconds."""

    def __init__(self) -> None:
        self.spent_s = dict.fromkeys(PARTS, 0.0)
        self.wall_s = 0.0
        self.verify_s: list[float] = []

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Inside, this part is at work."""
        begun_s, wall_s = time.process_time(), time.perf_counter()
        yield
        self.spent_s[part] += time.process_time() - begun_s
        if part in PARTS[2:]:
            self.wall_s += time.perf_counter() - wall_s

    def figures(self, records: int) -> dict[str, float]:
        """Of a round over so many records."""
        taking_s = sum(self.spent_s[part] for part in PARTS[2:])
        parts = {f"{part}_us": round(spent / records * 1e6, 2) for part, spent in self.spent_s.items()}
        return parts | {
            "ed25519_verify_us": round(median(self.verify_s) * 1e6, 1),
            "records_per_cpu_s": round(records / taking_s),
            "records_per_s": round(records / self.wall_s),
        }


def fresh_state(genesis: Genesis, store: LedgerStore) -> LedgerState:
    """The state of a ledger as it lies on disk."""
    return LedgerState(governance_of(genesis, store), store, store.tip, store.window())


def write_order(genesis: Genesis, store: LedgerStore, order: bytes) -> None:
    """Apply an order, flushed at each checkpoint. Raises ValueError for one that does not reach the checkpoints' roots."""
    state, reader = fresh_state(genesis, store), Reader(order, "order")
    while reader.at < len(order):
        kind, data = reader.u8("kind"), reader.take(reader.u32("length"), "entry")
        if kind == BLOCK:
            block = decode_block(data)
            place = OrderedBlock(state.block + 1, state.revision + 2, str(block.lane), block.seq, data)
            apply_block(state, place)
            continue
        flush(state, store)
        checkpoint = decode_checkpoint(data)
        if (checkpoint.size, checkpoint.root) != (state.size, state.frontier.root()):
            raise ValueError(f"the order does not lead to its checkpoint over {checkpoint.size} records")
        store.put_checkpoint(KeptCheckpoint(state.size, state.block, data))


def flush(state: LedgerState, store: LedgerStore) -> None:
    """Commit what is pending."""
    batch = state.seal_batch()
    if batch is not None:
        store.commit(batch)
        state.batch_flushed()


def catch_up(genesis: Genesis, giver: LedgerStore, directory: Path) -> Clock:
    """One round in a new directory."""
    clock = Clock()
    governance, signer = governance_of(genesis, giver), Ed25519Signer(bytes(32))
    signature = signer.sign(_MESSAGE)
    taker = LmdbStore.open(directory, genesis.ledger_id)
    try:
        state = fresh_state(genesis, taker)
        for planned in plan(giver, 0, 0, _CHUNKS_MAX):
            with clock.on("spine"):
                spine = spine_chunk(giver, governance, planned.after_block, planned.through_block)
            with clock.on("payloads"):
                payloads = list(_payload_chunks(giver, genesis, planned))
            with clock.on("decode"):
                chunk = decode_chunk(spine)
                given = dict(item for data in payloads for item in decode_payloads(decode_chunk(data)))
                blocks, checkpoint = merged(offered_blocks(chunk), given), decode_checkpoint(chunk.note)
            with clock.on("adopt"):
                adopt_chunk(state, blocks, checkpoint)
            with clock.on("commit"):
                flush(state, taker)
            begun_s = time.process_time()
            verifies(signer.public_key, signature, _MESSAGE)
            clock.verify_s.append(time.process_time() - begun_s)
        if taker.tip != giver.tip or taker.awaited(1):
            raise ValueError("the ledger that was caught up is not the one that was given")
    finally:
        taker.close()
    return clock


def _payload_chunks(giver: LedgerStore, genesis: Genesis, planned: PlannedChunk) -> Iterator[bytes]:
    governance, at = governance_of(genesis, giver), planned.from_position
    while at < planned.to_position:
        data = payload_chunk(giver, governance, "", at, planned.to_position)
        at = decode_chunk(data).name.to_position
        yield data


def main(words: list[str]) -> None:
    """See above."""
    genesis_path, order, directory, rounds = words
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    genesis = decode_genesis(Path(genesis_path).read_bytes())
    giver = LmdbStore.open(Path(directory) / "giver", genesis.ledger_id)
    write_order(genesis, giver, Path(order).read_bytes())
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_OBJECTS, 20, 50)
    for number in range(int(rounds)):
        clock = catch_up(genesis, giver, Path(directory) / f"round-{number}")
        print(json.dumps(clock.figures(giver.tip.size)), flush=True)
    giver.close()


if __name__ == "__main__":
    main(sys.argv[1:])
