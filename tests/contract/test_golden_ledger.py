"""Rules number 1 decide as they did when they were made: every block of the golden ledger, outcome by outcome and root by root."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from golden_ledger import EVERY_OUTCOME, result_value
from sento_node.ledger.apply import apply_block
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.state import LedgerState
from sento_node.ledger.store import LedgerStore
from sento_node.ordering.port import OrderedBlock
from sento_proto.errors import Code
from sento_proto.genesis import decode_genesis
from sento_proto.governance.state import from_genesis

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "ledger_rules_1.json"


@pytest.mark.parametrize("flush_every", [1, 3, 100])
@pytest.mark.parametrize("kind", ["lmdb", "memory"])
def test_the_golden_ledger_of_rules_1_is_decided_as_it_was(
    kind: str, flush_every: int, tmp_path: Path
) -> None:
    document = json.loads(GOLDEN.read_text(encoding="utf-8"))
    genesis = decode_genesis(document["genesis"].encode())
    store: LedgerStore = (
        LmdbStore.open(tmp_path, genesis.ledger_id)
        if kind == "lmdb"
        else MemoryStore(MemoryDisk(genesis.ledger_id))
    )
    try:
        state = LedgerState(from_genesis(genesis), store, store.tip)
        for number, block in enumerate(document["blocks"], start=1):
            data = bytes.fromhex(block["block"])
            result = apply_block(state, OrderedBlock(number, 2 * number, block["lane"], block["seq"], data))
            assert result_value(result) == block["then"], f"block {number}"
            batch = state.seal_batch() if number % flush_every == 0 else None
            if batch is not None:
                store.commit(batch)
                state.batch_flushed()
    finally:
        store.close()


def test_the_golden_ledger_meets_every_outcome() -> None:
    names: set[str] = set()
    for block in json.loads(GOLDEN.read_text(encoding="utf-8"))["blocks"]:
        names.add(block["then"]["refusal"])
        for submission in block["then"]["submissions"]:
            names |= (
                {submission}
                if isinstance(submission, str)
                else {outcome.split()[0] for outcome in submission}
            )
    assert {code.name for code in EVERY_OUTCOME} <= names
    assert Code.MALFORMED.name in names
