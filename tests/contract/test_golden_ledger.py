"""Every rules number decides as it did when it was made: every block of its golden ledger, outcome by outcome, root by root, and what then governs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from golden_ledger import (
    EVERY_GOVERNED_OUTCOME,
    EVERY_OUTCOME,
    GOLDEN_LEDGERS,
    governance_digest,
    result_value,
)
from sento_node.ledger.apply import apply_block
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.state import LedgerState
from sento_node.ledger.store import LedgerStore
from sento_node.ordering.port import OrderedBlock
from sento_proto.block import decode_block
from sento_proto.errors import Code
from sento_proto.genesis import decode_genesis
from sento_proto.governance.acts import CHANGES, decode_act
from sento_proto.rules import RULES_KNOWN
from sento_proto.submission import decode_submission

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
Document = dict[str, Any]


def read(name: str) -> Document:
    document: Document = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize("flush_every", [1, 3, 100])
@pytest.mark.parametrize("kind", ["lmdb", "memory"])
@pytest.mark.parametrize("name", GOLDEN_LEDGERS)
def test_a_golden_ledger_is_decided_as_it_was(name: str, kind: str, flush_every: int, tmp_path: Path) -> None:
    document = read(name)
    genesis = decode_genesis(document["genesis"].encode())
    store: LedgerStore = (
        LmdbStore.open(tmp_path, genesis.ledger_id)
        if kind == "lmdb"
        else MemoryStore(MemoryDisk(genesis.ledger_id))
    )
    try:
        state = LedgerState(governance_of(genesis, store), store, store.tip)
        for number, block in enumerate(document["blocks"], start=1):
            data = bytes.fromhex(block["block"])
            if "epoch" in block:
                state.enter_epoch(block["epoch"])
            result = apply_block(state, OrderedBlock(number, 2 * number, block["lane"], block["seq"], data))
            then = result_value(result)
            if "governance" in block["then"]:
                then["governance"] = governance_digest(state.governance)
            assert then == block["then"], f"block {number}"
            batch = state.seal_batch() if number % flush_every == 0 else None
            if batch is not None:
                store.commit(batch)
                state.batch_flushed()
    finally:
        store.close()


def outcomes(name: str) -> set[str]:
    names: set[str] = set()
    for block in read(name)["blocks"]:
        names.add(block["then"]["refusal"])
        for submission in block["then"]["submissions"]:
            names |= (
                {submission}
                if isinstance(submission, str)
                else {outcome.split()[0] for outcome in submission}
            )
    return names


def test_the_golden_ledger_of_rules_1_meets_every_outcome() -> None:
    assert {code.name for code in EVERY_OUTCOME} <= outcomes("ledger_rules_1")
    assert Code.MALFORMED.name in outcomes("ledger_rules_1")


GOVERNED = {
    "ledger_rules_2": 2,
    "ledger_rules_3": 3,
    "ledger_rules_2_to_3": 3,
    "ledger_rules_4": 4,
    "ledger_rules_3_to_4": 4,
    "ledger_rules_5": 5,
    "ledger_rules_4_to_5": 5,
}
"""File name without ending -> the rules number at its end."""


@pytest.mark.parametrize("name", GOVERNED)
def test_the_golden_ledgers_of_governed_rules_meet_every_outcome_and_every_change(name: str) -> None:
    document = read(name)
    assert {code.name for code in EVERY_GOVERNED_OUTCOME} <= outcomes(name)
    stood: set[str] = set()
    for block in document["blocks"]:
        submissions = decode_block(bytes.fromhex(block["block"])).submissions
        for data, then in zip(submissions, block["then"]["submissions"], strict=True):
            if isinstance(then, list) and then[0].startswith("ACCEPTED"):
                submission = decode_submission(data)
                if submission.is_act:
                    stood |= {
                        change.DO for change in decode_act(submission.records[0].header.content).changes
                    }
    wanted = {change.DO for change in CHANGES.values() if GOVERNED[name] >= change.RULES}
    assert wanted - stood - {"set-rules"} == set()
    assert ("set-rules" in stood) == ("_to_" in name)
    assert document["blocks"][-1]["then"]["size"] >= 250


def test_every_rules_number_has_a_golden_ledger() -> None:
    assert {f"ledger_rules_{number}" for number in RULES_KNOWN} <= set(GOLDEN_LEDGERS)
    assert {path.stem for path in GOLDEN.glob("ledger_rules_*.json")} == set(GOLDEN_LEDGERS)
