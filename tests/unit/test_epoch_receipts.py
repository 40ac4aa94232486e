"""After an epoch forked off: a receipt of the older one is good below what was agreed on, lost with its epoch above the fork, and in doubt between, for library
and audit kit alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_files import AuditLedger, run_kit
from audit_ledgers import golden_audit_ledger
from genesis_builder import SITES, build_genesis
from receipts_made import SmallLedger
from sento_proto.checkpoint import cosign
from sento_proto.governance.epoch_parts import Epoch
from sento_proto.governance.parts import ReceiptSet
from sento_proto.governance.site_keys import receipt_quorum
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.receipt import Receipt, verify_receipt

AGREED, FORK, SIZE = 3, 5, 9


@pytest.fixture(scope="module")
def ledger() -> SmallLedger:
    return SmallLedger.of(build_genesis(rules=5), SIZE)


@pytest.fixture(scope="module")
def governance(ledger: SmallLedger) -> Governance:
    """Of the new epoch, in which one site alone cosigns."""
    before = from_genesis(ledger.world.genesis)
    old = ledger.checkpoint(FORK)
    begun = Epoch(old.epoch + 1, old.epoch, FORK, old.root, FORK, 3, bytes(32), "restore", FORK)
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


@pytest.fixture(scope="module")
def recovered(governance: Governance) -> Governance:
    """The same, where a recovery went on from a copy of which a quorum is known to have agreed on less than its end."""
    (begun,) = governance.epochs
    return governance.changed(epochs=(begun._replace(reason="recover", agreed_size=AGREED),))


def later(ledger: SmallLedger, position: int, **said: object) -> Receipt:
    """What stands at a position, under a checkpoint of the epoch that goes on; `said`: other than it is."""
    bare = ledger.checkpoint(SIZE)._replace(epoch=ledger.checkpoint(SIZE).epoch + 1, signatures=())
    line = cosign(bare, SITES[2], ledger.world.site_signers[SITES[2]], 1_800_000_000)
    receipt = ledger.receipt(position, ledger.checkpoint(SIZE))
    return receipt._replace(checkpoint=bare._replace(signatures=(line,)), record=None)._replace(**said)  # type: ignore[arg-type]  # each caller names fields of its own types


@pytest.mark.parametrize("position", range(SIZE))
def test_after_a_recovery_a_receipt_between_what_was_agreed_on_and_the_fork_is_neither_good_nor_lost(
    ledger: SmallLedger, recovered: Governance, position: int
) -> None:
    receipt = ledger.receipt(position, ledger.checkpoint(SIZE, sites=SITES[:2]))
    verified = verify_receipt(receipt, recovered)
    assert verified.holds is (position < AGREED)
    assert verified.doubted is (AGREED <= position < FORK)
    assert ("LOST WITH EPOCH" in verified.why) is (position >= FORK)
    assert ("ask a site" in verified.why) is verified.doubted


def test_what_a_site_shows_at_the_position_in_the_later_epoch_tells_good_from_lost(
    ledger: SmallLedger, recovered: Governance
) -> None:
    receipt = ledger.receipt(AGREED, ledger.checkpoint(FORK, sites=SITES[:2]))
    good = verify_receipt(receipt, recovered, shown=later(ledger, AGREED))
    assert (good.holds, good.doubted) == (True, False)
    cut_off = SmallLedger.of(ledger.world, SIZE)
    theirs = cut_off.receipt(AGREED, cut_off.checkpoint(FORK, sites=SITES[:2]))
    assert verify_receipt(theirs, recovered).doubted
    lost = verify_receipt(theirs, recovered, shown=later(ledger, AGREED))
    assert (lost.holds, lost.doubted) == (False, False)
    assert "LOST WITH EPOCH" in lost.why


def test_what_proves_nothing_of_the_later_epoch_leaves_a_receipt_in_doubt(
    ledger: SmallLedger, recovered: Governance
) -> None:
    """Another position, the former epoch's own word, a checkpoint that nobody of the new epoch cosigned, a path that leads nowhere, nothing at all."""
    receipt = ledger.receipt(AGREED, ledger.checkpoint(FORK, sites=SITES[:2]))
    right = later(ledger, AGREED)
    shown = [
        later(ledger, AGREED + 1),
        receipt,
        later(ledger, AGREED, checkpoint=right.checkpoint._replace(signatures=())),
        later(ledger, AGREED, path=right.path[:-1]),
        later(ledger, AGREED, record_hash=bytes(32)),
        None,
    ]
    assert [verify_receipt(receipt, recovered, shown=one).doubted for one in shown] == [True] * len(shown)


def test_what_is_shown_saves_no_receipt_that_is_false_otherwise_or_lost(
    ledger: SmallLedger, recovered: Governance
) -> None:
    few = ledger.receipt(AGREED, ledger.checkpoint(FORK, sites=SITES[:1]))
    verified = verify_receipt(few, recovered)
    assert (verified.holds, verified.doubted) == (False, False)
    assert not verify_receipt(few, recovered, shown=later(ledger, AGREED)).holds
    above = ledger.receipt(FORK, ledger.checkpoint(SIZE, sites=SITES[:2]))
    assert "LOST WITH EPOCH" in verify_receipt(above, recovered, shown=later(ledger, FORK)).why


def receipt_of_the_former_epoch(ledger: AuditLedger, at: int) -> bytes:
    """By the sites of the epoch that the newest one left."""
    newest = ledger.governance.epochs[-1]
    ledger.driver.state.epoch = newest.parent
    try:
        return ledger.receipt(at)
    finally:
        ledger.driver.state.epoch = newest.number


@pytest.mark.parametrize(
    ("places", "result"),
    [
        ("below what was agreed on", "ok"),
        ("below the fork", "could not check"),
        ("above the fork", "lost with epoch"),
    ],
)
def test_the_audit_kit_says_the_same_of_a_receipt_of_the_former_epoch(
    tmp_path: Path, places: str, result: str
) -> None:
    """The kit learns of the fork from the acts in an export alone: the golden ledger of rules 5 goes on from its own end, so one is forked here again."""
    ledger = golden_audit_ledger("ledger_rules_5")
    newest = ledger.governance.epochs[-1]
    assert newest.agreed_size < newest.fork_size
    at = {
        "below what was agreed on": newest.agreed_size - 1,
        "below the fork": newest.agreed_size,
        "above the fork": newest.fork_size,
    }[places]
    ledger_id = ledger.world.ledger_id.hex()
    (tmp_path / "all.sento-export").write_bytes(ledger.export(payloads=True))
    (tmp_path / "one.receipt.json").write_bytes(receipt_of_the_former_epoch(ledger, at))
    kit = run_kit(tmp_path, "--json", "--ledger-id", ledger_id, "all.sento-export", "one.receipt.json")
    assert kit.stderr == ""
    assert kit.of("sento-export-1") == ["ok"]
    assert kit.of("sento-receipt-1") == [result]
