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
    return AuditLedger(_told_again(name))


def left_behind(name: str, blocks: int | None = None) -> AuditLedger:
    """The same ledger up to where its document begins an epoch, or so many blocks of it; then five records of its own, in the epoch that was left."""
    document = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    fork = next(at for at, block in enumerate(document["blocks"]) if "epoch" in block)
    driver = _told_again(name, fork if blocks is None else blocks)
    for number in range(5):
        driver.write(
            [
                driver.record(
                    f"left-behind-{number}", key_epoch=driver.governance.registries["residency"].key_epoch
                )
            ]
        )
    driver.flush()
    return AuditLedger(driver)


def blocks_before(name: str, epoch: int) -> int:
    """How many blocks of a golden document lie before the one that begins this epoch's log."""
    document = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return next(at for at, block in enumerate(document["blocks"]) if block.get("epoch") == epoch)


def _told_again(name: str, blocks: int | None = None) -> LedgerDriver:
    document = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    title = json.loads(document["genesis"])["name"]
    world = golden_world() if document["rules"] == 1 else story_world(title, document["rules"])
    assert world.genesis_bytes.decode() == document["genesis"]
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    for number, block in enumerate(document["blocks"][:blocks], start=1):
        data = bytes.fromhex(block["block"])
        if "epoch" in block:
            driver.state.enter_epoch(block["epoch"])
        apply_block(driver.state, OrderedBlock(number, 2 * number, block["lane"], block["seq"], data))
    driver.seq = max((block["seq"] for block in document["blocks"][:blocks]), default=0)
    driver.flush()
    return driver
