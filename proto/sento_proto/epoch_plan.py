"""A plan for a new epoch: one file that people read, officers sign, and each site is given.

    {"format": "sento-epoch-plan-1", "ledger_id": hex, "reason": "restore" | "recover" | "relocate", "epoch": n,
     "parent": {"epoch": m, "size": s, "root": hex, "block": b}, "last_act": hex (the newest act that stays; or zeros),
     "voting": [sites], "receipt_set": {"sites": [...], "quorum": k}, "readmit": [hex, ...], "legal_basis": "...", "as_of_ms": t, "made_at_ms": t,
     "words": ["...", ...], "signatures": [{"officer_key_id": hex, "suite": n, "data": base64}, ...]}

The plan's hash is SHA-256 over its canonical JSON without the signatures (members sorted, no spaces, UTF-8): who alters a plan has another plan. The act that
begins the epoch follows from the plan alone, its record id and its time too, so that every officer signs the same record hash, and two sites that both order
the act order one record. `readmit` lists records of the parent epoch above the fork that are submitted again as they were, in the order of their former
positions. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sento_proto.errors import Code
from sento_proto.governance.acts import FORMAT as ACT_FORMAT
from sento_proto.governance.acts import act_header, act_signatures_refusal, judge_act
from sento_proto.governance.epoch_changes import EPOCH_MAX, REASONS, Parent, read_parent
from sento_proto.governance.parts import ReceiptSet, read_receipt_set
from sento_proto.governance.state import Governance
from sento_proto.keys import Signature, Signer
from sento_proto.record import Record, make_record
from sento_proto.strict_json import Fields, load
from sento_proto.submission import OfficerSignature, act_signed_bytes, encode_act, sign_as_officer
from sento_proto.wire import Malformed

FORMAT = "sento-epoch-plan-1"
PLAN_MAX_BYTES = 64 * 1024 * 1024
_TIME_MAX_MS = 2**48 - 1
_HASH_BYTES = 32
_KEY_ID_BYTES = 16


class PlanRefused(Exception):
    """The plan does not hold for this ledger. The text is one sentence of cause and one of remedy."""


@dataclass(frozen=True, slots=True)
class EpochPlan:
    """What officers sign. Times in ms since 1970; `as_of_ms`: the moment whose state is kept; `words`: the plan in sentences, part of what is signed."""

    ledger_id: bytes
    reason: str
    epoch: int
    parent: Parent
    last_act: bytes
    voting: tuple[str, ...]
    receipt_set: ReceiptSet
    readmit: tuple[bytes, ...]
    legal_basis: str
    as_of_ms: int
    made_at_ms: int
    words: tuple[str, ...] = ()
    signatures: tuple[OfficerSignature, ...] = ()


def _value(plan: EpochPlan) -> dict[str, object]:
    """Everything but the signatures, as JSON."""
    parent, counted = plan.parent, plan.receipt_set
    return {
        "format": FORMAT,
        "ledger_id": plan.ledger_id.hex(),
        "reason": plan.reason,
        "epoch": plan.epoch,
        "parent": _parent_value(parent),
        "last_act": plan.last_act.hex(),
        "voting": list(plan.voting),
        "receipt_set": {"sites": list(counted.sites), "quorum": counted.quorum},
        "readmit": [record_hash.hex() for record_hash in plan.readmit],
        "legal_basis": plan.legal_basis,
        "as_of_ms": plan.as_of_ms,
        "made_at_ms": plan.made_at_ms,
        "words": list(plan.words),
    }


def _parent_value(parent: Parent) -> dict[str, object]:
    return {"epoch": parent.epoch, "size": parent.size, "root": parent.root.hex(), "block": parent.block}


def plan_hash(plan: EpochPlan) -> bytes:
    """SHA-256 of the plan without its signatures, 32 bytes."""
    text = json.dumps(_value(plan), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).digest()


def encode_plan(plan: EpochPlan) -> bytes:
    """The file's bytes."""
    signatures = [
        {"officer_key_id": key_id.hex(), "suite": int(one.suite), "data": base64.b64encode(one.data).decode()}
        for key_id, one in sorted(plan.signatures)
    ]
    value = {**_value(plan), "signatures": signatures}
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8") + b"\n"


def decode_plan(data: bytes) -> EpochPlan:
    """The plan in `data`, form only: nothing is verified. Raises Malformed."""
    if len(data) > PLAN_MAX_BYTES:
        raise Malformed(f"plan: over {PLAN_MAX_BYTES} bytes")
    fields = load(data, "plan")
    fields.choice("format", (FORMAT,))
    plan = EpochPlan(
        fields.hex("ledger_id", _HASH_BYTES),
        fields.choice("reason", REASONS),
        fields.number("epoch", 1, EPOCH_MAX),
        fields.inner("parent", read_parent),
        fields.hex("last_act", _HASH_BYTES),
        fields.institutions("voting"),
        fields.inner("receipt_set", read_receipt_set),
        fields.hexes("readmit", _HASH_BYTES),
        fields.text("legal_basis"),
        fields.number("as_of_ms", 0, _TIME_MAX_MS),
        fields.number("made_at_ms", 0, _TIME_MAX_MS),
        fields.texts("words"),
        fields.objects("signatures", _read_signature),
    )
    fields.end()
    if len(set(plan.readmit)) != len(plan.readmit):
        raise Malformed("plan: a record stands twice in readmit")
    if len({key_id for key_id, _ in plan.signatures}) != len(plan.signatures):
        raise Malformed("plan: an officer's key signed twice")
    return plan


def _read_signature(fields: Fields) -> OfficerSignature:
    key_id = fields.hex("officer_key_id", _KEY_ID_BYTES)
    return OfficerSignature(key_id, Signature(fields.number("suite", 0, 255), fields.blob("data")))


# -- the act that follows from it ---------------------------------------------------------------------------------------


def act_of(plan: EpochPlan) -> Record:
    """The record that begins the epoch: equal plans give equal records. Raises Malformed."""
    name = plan_hash(plan)
    change = {
        "do": "begin-epoch",
        "epoch": plan.epoch,
        "parent": _parent_value(plan.parent),
        "plan": name.hex(),
        "reason": plan.reason,
        "voting": list(plan.voting),
        "receipt_set": {"sites": list(plan.receipt_set.sites), "quorum": plan.receipt_set.quorum},
    }
    act = {"format": ACT_FORMAT, "reason": plan.legal_basis, "changes": [change]}
    content = json.dumps(act, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return make_record(act_header(_record_id(plan, name), plan.made_at_ms, content, plan.last_act), b"")


def _record_id(plan: EpochPlan, name: bytes) -> bytes:
    """A UUID of version 7 that follows from the plan."""
    return (
        plan.made_at_ms.to_bytes(6, "big")
        + bytes((0x70 | name[0] & 0x0F, name[1], 0x80 | name[2] & 0x3F))
        + name[3:10]
    )


def signed_plan(plan: EpochPlan, officer: Signer) -> EpochPlan:
    """The plan with one more signature; an officer who signs again signs once. Raises Malformed."""
    message = act_signed_bytes(plan.ledger_id, plan.epoch, act_of(plan).record_hash)
    signature = sign_as_officer(officer, message)
    others = [one for one in plan.signatures if one.officer_key_id != signature.officer_key_id]
    return replace(plan, signatures=tuple(sorted((*others, signature))))


def act_bytes(plan: EpochPlan) -> bytes:
    """The submission that begins the epoch, as it is ordered. Raises Malformed: nobody signed."""
    return encode_act(plan.ledger_id, plan.epoch, act_of(plan), plan.signatures)


def offices_of(plan: EpochPlan, governance: Governance) -> Sequence[str]:
    """Who signed: the offices, by the governance at the fork. Raises PlanRefused for a signature that is not of somebody in office over this very plan."""
    code = act_signatures_refusal(governance, plan.epoch, act_of(plan).record_hash, plan.signatures)
    offices = [governance.office_of_key(key_id) for key_id, _ in plan.signatures]
    if code is not None or None in offices:
        raise PlanRefused(
            "A signature under the plan is not of an officer in office at its fork over this very plan: it was altered, or others signed it. "
            "Have the plan made and signed again."
        )
    return sorted({office for office in offices if office is not None})


def check_plan(plan: EpochPlan, governance: Governance) -> Governance:
    """The governance that the plan's act makes of the one at its fork. Raises PlanRefused with the reason; Malformed."""
    if plan.ledger_id != governance.ledger_id:
        raise PlanRefused(
            f"The plan is for ledger {plan.ledger_id.hex()[:16]} and this is ledger {governance.ledger_id.hex()[:16]}. Use the plan of this ledger."
        )
    if plan.last_act != governance.last_act:
        raise PlanRefused(
            "The plan follows another officers' act than the newest one at its fork. Make the plan anew from the ledger as it is."
        )
    offices_of(plan, governance)
    signers = [one.officer_key_id for one in plan.signatures]
    judged = judge_act(governance, act_of(plan).header.content, signers, plan.parent.size, opens=plan.epoch)
    if judged.code is Code.TOO_FEW_OFFICERS:
        raise PlanRefused(f"Too few officers signed the plan: {judged.why} Have it signed by more.")
    if judged.code is not Code.ACCEPTED:
        raise PlanRefused(f"The plan does not fit the ledger at its fork: {judged.why} Make it anew.")
    return judged.after
