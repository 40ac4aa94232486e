"""After an epoch forked off: a receipt of the older one is good below the fork and lost with its epoch above it, for library and audit kit alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_files import run_kit
from audit_ledgers import golden_audit_ledger
from genesis_builder import SITES, build_genesis
from receipts_made import SmallLedger
from sento_proto.governance.epoch_parts import Epoch
from sento_proto.governance.parts import ReceiptSet
from sento_proto.governance.site_keys import receipt_quorum
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.receipt import verify_receipt

FORK, SIZE = 5, 9


@pytest.fixture(scope="module")
def ledger() -> SmallLedger:
    return SmallLedger.of(build_genesis(rules=5), SIZE)


@pytest.fixture(scope="module")
def governance(ledger: SmallLedger) -> Governance:
    """Of the new epoch, in which one site alone cosigns."""
    before = from_genesis(ledger.world.genesis)
    old = ledger.checkpoint(FORK)
    begun = Epoch(old.epoch + 1, old.epoch, FORK, old.root, FORK, 3, bytes(32), "restore")
    alone = receipt_quorum(before.sites, ReceiptSet(SITES[2:], 1), FORK + 1)
    return before.changed(epochs=(begun,), receipt_quorums=(*before.receipt_quorums, alone))


@pytest.mark.parametrize("position", range(SIZE))
def test_a_receipt_of_the_former_epoch_is_good_exactly_below_the_fork(
    ledger: SmallLedger, governance: Governance, position: int
) -> None:
    """Also under a checkpoint above the fork, which the sites of the former epoch cosigned."""
    receipt = ledger.receipt(position, ledger.checkpoint(SIZE, sites=SITES[:2]))
    verified = verify_receipt(receipt, governance)
    assert verified.holds is (position < FORK)
    if position >= FORK:
        assert f"LOST WITH EPOCH {receipt.checkpoint.epoch}" in verified.why


def test_before_any_act_began_an_epoch_nothing_is_lost(ledger: SmallLedger) -> None:
    receipt = ledger.receipt(SIZE - 1, ledger.checkpoint(SIZE))
    assert verify_receipt(receipt, from_genesis(ledger.world.genesis)).holds


@pytest.mark.parametrize(("position", "result"), [(0, "ok"), (1, "lost with epoch")])
def test_the_audit_kit_says_the_same_of_a_receipt_of_the_former_epoch(
    tmp_path: Path, position: int, result: str
) -> None:
    """The kit learns of the fork from the acts in an export alone: the golden ledger of rules 5 goes on from its own end, so one is forked here again."""
    ledger = golden_audit_ledger("ledger_rules_5")
    newest = ledger.governance.epochs[-1]
    at = newest.fork_size - 1 + position
    ledger_id = ledger.world.ledger_id.hex()
    (tmp_path / "all.sento-export").write_bytes(ledger.export(payloads=True))
    ledger.driver.state.epoch = newest.parent
    try:
        (tmp_path / "one.receipt.json").write_bytes(ledger.receipt(at))
    finally:
        ledger.driver.state.epoch = newest.number
    kit = run_kit(tmp_path, "--json", "--ledger-id", ledger_id, "all.sento-export", "one.receipt.json")
    assert kit.stderr == ""
    assert kit.of("sento-export-1") == ["ok"]
    assert kit.of("sento-receipt-1") == [result]
