"""The ledgers that the audit kit is tried on: golden ones of every rules number, told again in memory."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from audit_files import AuditLedger
from golden_ledger import golden_world
from governed_story import story_world
from ledger_driver import LedgerDriver
from sento_node.ledger.apply import apply_block
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ordering.port import OrderedBlock

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@cache
def golden_audit_ledger(name: str) -> AuditLedger:
    """The ledger of a golden document, all of it flushed. Nobody may write to it: it is shared."""
    document = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    title = json.loads(document["genesis"])["name"]
    world = golden_world() if document["rules"] == 1 else story_world(title, document["rules"])
    assert world.genesis_bytes.decode() == document["genesis"]
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    for number, block in enumerate(document["blocks"], start=1):
        data = bytes.fromhex(block["block"])
        if "epoch" in block:
            driver.state.enter_epoch(block["epoch"])
        apply_block(driver.state, OrderedBlock(number, 2 * number, block["lane"], block["seq"], data))
    driver.flush()
    return AuditLedger(driver)
