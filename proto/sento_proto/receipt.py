"""A receipt: a record's place under a checkpoint that a quorum of the receipt set cosigned, in one file that verifies without any site.

    {"format": "sento-receipt-1", "ledger_id": hex, "position": n, "record_hash": hex, "path": [hex], "checkpoint": "<C2SP note>",
     and where it was asked for "record": the record's header and signatures (`record_object.py`), without payload}

`*.receipt.json`, UTF-8. The path is the RFC 6962 audit path from the record hash up to the checkpoint's root. The receipt holds where at least the quorum of
the receipt set that was in force at the checkpoint's size cosigned, each site with all that its keys demand (Ed25519, and ML-DSA-44 where it has such a
key).

What it shows: that this hash stands at this position in the history that those sites agreed on. Only with `record` does it show who wrote it, and nothing
shows that no later version came after it. A receipt of an older epoch is good where its position lies below what a quorum is known to have agreed on when the
next one began, and lost at or above the place where that one forked off. Between the two (only after a recovery) it proves nothing by itself: the ledger went
on from one survivor's copy, and others may have come to another record there. What the ledger has at that position, proven under a checkpoint of a later epoch
(`shown`), tells. By whose keys: those of a governance that the reader followed for itself (`trust.json`), never of the receipt.

Pure. Source: RFC 6962 section 2.1.1; C2SP tlog-proof for the idea of a proof that carries its checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from sento_proto import limits
from sento_proto.checkpoint import Checkpoint, cosigners, decode_checkpoint, encode_checkpoint
from sento_proto.governance.doubts import doubted_by
from sento_proto.governance.epoch_parts import Epoch
from sento_proto.governance.state import Governance
from sento_proto.merkle import HASH_BYTES, verify_inclusion
from sento_proto.record_object import (
    POSITION_MAX,
    NotShown,
    RecordObject,
    author_of,
    checked_header,
    hexes,
    read_record_object,
    record_value,
)
from sento_proto.strict_json import Fields, load
from sento_proto.wire import Malformed

FORMAT = "sento-receipt-1"
RECEIPT_MAX_BYTES = 1024 * limits.KIB
FILE_SUFFIX = ".receipt.json"


class Receipt(NamedTuple):
    """A receipt in form. `record`: who wrote it and what its header says; None where the file has only the hash."""

    ledger_id: bytes
    position: int
    record_hash: bytes
    path: tuple[bytes, ...]
    checkpoint: Checkpoint
    record: RecordObject | None = None


class Step(NamedTuple):
    """One step of verifying: "ledger", "epoch" (where acts began one), "checkpoint", "inclusion", with a record "form", "hash", "author", "signature"; whether
    it holds; why."""

    check: str
    holds: bool
    why: str


class Verified(NamedTuple):
    """What verifying found, step by step. `cosigned`: sites of the receipt set that count, each with its time in s since 1970; `author`: who signed the
    record, empty where the receipt does not have it; `doubted`: all else holds, and only the ledger itself can tell whether the record stands in it."""

    steps: tuple[Step, ...]
    cosigned: dict[str, int]
    author: str
    doubted: bool = False

    @property
    def holds(self) -> bool:
        """Whether the receipt is good."""
        return all(step.holds for step in self.steps)

    @property
    def why(self) -> str:
        """The first step that failed, in words; empty when all hold."""
        return next((f"{step.check}: {step.why}" for step in self.steps if not step.holds), "")


def encode_receipt(receipt: Receipt) -> bytes:
    """The file's bytes."""
    value: dict[str, object] = {
        "format": FORMAT,
        "ledger_id": receipt.ledger_id.hex(),
        "position": receipt.position,
        "record_hash": receipt.record_hash.hex(),
        "path": hexes(receipt.path),
        "checkpoint": encode_checkpoint(receipt.checkpoint).decode(),
    }
    if receipt.record is not None:
        value["record"] = record_value(receipt.record._replace(payload=None))
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def decode_receipt(data: bytes) -> Receipt:
    """The receipt in `data`, form only: nothing is verified. Raises Malformed."""
    if len(data) > RECEIPT_MAX_BYTES:
        raise Malformed(f"receipt: over {RECEIPT_MAX_BYTES} bytes")
    fields = load(data, "receipt")
    fields.choice("format", (FORMAT,))
    receipt = Receipt(
        fields.hex("ledger_id", HASH_BYTES),
        fields.number("position", 0, POSITION_MAX),
        fields.hex("record_hash", HASH_BYTES),
        read_path(fields, "path"),
        read_note(fields, "checkpoint"),
        fields.inner("record", read_record_object) if fields.has("record") else None,
    )
    fields.end()
    _check_whole(receipt)
    return receipt


def _check_whole(receipt: Receipt) -> None:
    """What must agree within the file itself."""
    record = receipt.record
    if receipt.checkpoint.ledger_id != receipt.ledger_id:
        raise Malformed("receipt: ledger_id is not that of the checkpoint")
    if record is None:
        return
    if record.hidden or record.payload is not None:
        raise Malformed("receipt: record must show its header, and no payload")
    if (record.position, record.record_hash) != (receipt.position, receipt.record_hash):
        raise Malformed("receipt: record is another one than the receipt is of")


def read_note(fields: Fields, name: str) -> Checkpoint:
    """A checkpoint as text, form only. Raises Malformed."""
    value = fields.raw(name)
    if not isinstance(value, str):
        raise fields.wrong(name, "must be a checkpoint's text")
    try:
        return decode_checkpoint(value.encode("utf-8"))
    except UnicodeEncodeError:
        raise fields.wrong(name, "is not Unicode text") from None


def read_path(fields: Fields, name: str) -> tuple[bytes, ...]:
    """An inclusion path. Raises Malformed."""
    path = fields.hexes(name, HASH_BYTES)
    if len(path) > limits.PROOF_MAX_HASHES:
        raise fields.wrong(name, f"has more than {limits.PROOF_MAX_HASHES} hashes")
    return path


def verify_receipt(
    receipt: Receipt,
    governance: Governance,
    *,
    expected_hash: bytes | None = None,
    shown: Receipt | None = None,
) -> Verified:
    """Whether the receipt is good by this governance, which must reach to the checkpoint's size or be the newest that is known.

    `expected_hash`: the record that it should be of; without it a good receipt of another record passes for this one. `shown`: what stands at the receipt's
    position in the ledger that goes on, as a receipt of a later epoch; it counts where it is good itself, and only for a receipt that is in doubt."""
    checkpoint = receipt.checkpoint
    ledger = Step("ledger", governance.ledger_id == checkpoint.ledger_id, "it is of this ledger")
    if not ledger.holds:
        words = f"it is of ledger {checkpoint.ledger_id.hex()}, and what is trusted here is {governance.ledger_id.hex()}"
        return Verified((ledger._replace(why=words),), {}, "")
    steps = [ledger]
    if expected_hash is not None:
        same = receipt.record_hash == expected_hash
        words = "it is of the record that is meant" if same else "it is of another record than the one meant"
        steps.append(Step("record", same, words))
    doubted = False
    if governance.epochs:
        step, doubted = _judge_epoch(receipt, governance, shown)
        steps.append(step)
    quorum, cosigned = _judge_quorum(checkpoint, governance)
    found, author = ((), "") if receipt.record is None else _judge_record(receipt.record, governance)
    steps += [quorum, _judge_place(receipt), *found]
    doubted = doubted and all(step.holds for step in steps if step.check != "epoch")
    return Verified(tuple(steps), cosigned, author, doubted)


def _judge_epoch(receipt: Receipt, governance: Governance, shown: Receipt | None) -> tuple[Step, bool]:
    """What a quorum had agreed on stays; what stood above the place where a later epoch forked off is lost; between, what is shown to stand there tells. And
    whether it is in doubt."""
    epoch, position = receipt.checkpoint.epoch, receipt.position
    lost, doubt = (
        governance.lost_with(epoch, position + 1),
        doubted_by(governance, epoch, position + 1),
    )
    if doubt is not None:
        return _judge_shown(receipt, governance, shown, doubt)
    if lost is None:
        return Step(
            "epoch", True, f"position {position} of epoch {epoch} stands in epoch {governance.epoch}"
        ), False
    words = f"LOST WITH EPOCH {epoch}: epoch {lost.number} goes on from its first {lost.fork_size} records, and this one stood at position {position}"
    return Step("epoch", False, words), False


def _judge_shown(
    receipt: Receipt, governance: Governance, shown: Receipt | None, doubt: Epoch
) -> tuple[Step, bool]:
    """By what stands at the position in the ledger that goes on; without good proof of that, in doubt."""
    epoch, position = receipt.checkpoint.epoch, receipt.position
    if shown is None or not _shows(shown, receipt, governance):
        words = (
            f"not proven by this file alone: of epoch {epoch} a quorum is known to have agreed on {doubt.agreed_size} records, and behind them epoch "
            f"{doubt.number} went on from another copy; ask a site"
        )
        return Step("epoch", False, words), True
    later = shown.checkpoint.epoch
    if shown.record_hash == receipt.record_hash:
        return Step(
            "epoch", True, f"position {position} of epoch {epoch} is shown to stand in epoch {later}"
        ), False
    words = f"LOST WITH EPOCH {epoch}: epoch {doubt.number} went on from another copy, and another record is proven to stand at position {position}"
    return Step("epoch", False, words), False


def _shows(shown: Receipt, receipt: Receipt, governance: Governance) -> bool:
    """Whether this proves what stands at the receipt's position in the ledger that goes on."""
    later = shown.checkpoint
    same = (shown.ledger_id, shown.position) == (receipt.ledger_id, receipt.position)
    return (
        same
        and later.ledger_id == receipt.ledger_id
        and later.epoch > receipt.checkpoint.epoch
        and governance.lost_with(later.epoch, shown.position + 1) is None
        and doubted_by(governance, later.epoch, shown.position + 1) is None
        and _judge_quorum(later, governance)[0].holds
        and _judge_place(shown).holds
    )


def _judge_quorum(checkpoint: Checkpoint, governance: Governance) -> tuple[Step, dict[str, int]]:
    lost = governance.lost_with(checkpoint.epoch, checkpoint.size)
    wanted = governance.receipt_quorum_at(checkpoint.size if lost is None else lost.fork_size)
    cosigned = cosigners(checkpoint, wanted.keys)
    words = f"{len(cosigned)} of {len(wanted.keys)} sites of the receipt set cosigned size {checkpoint.size}"
    holds = len(cosigned) >= wanted.quorum
    if not holds:
        words += f"; {wanted.quorum} are needed"
    return Step("checkpoint", holds, words), cosigned


def _judge_place(receipt: Receipt) -> Step:
    checkpoint = receipt.checkpoint
    holds = verify_inclusion(
        receipt.record_hash, receipt.position, checkpoint.size, receipt.path, checkpoint.root
    )
    stands = "stands" if holds else "is not shown to stand"
    words = f"the record {stands} at position {receipt.position} of the tree of size {checkpoint.size}"
    return Step("inclusion", holds, words)


def _judge_record(record: RecordObject, governance: Governance) -> tuple[Sequence[Step], str]:
    try:
        header = checked_header(record)
        author = author_of(governance, header, record.record_hash, record.submission)
    except NotShown as error:
        return [Step(error.check, False, error.why)], ""
    return [
        Step("hash", True, "the record hash covers header and payload hash"),
        Step("signature", True, f"{author} signed it, by a key that governance knows"),
    ], author
