"""A plan for a new epoch: one file that people read, officers sign, and each site is given.

    {"format": "sento-epoch-plan-1", "ledger_id": hex, "reason": "restore" | "recover" | "relocate", "epoch": n,
     "parent": {"epoch": m, "size": s, "root": hex, "block": b}, "last_act": hex (the newest act that stays; or zeros),
     "voting": [sites], "receipt_set": {"sites": [...], "quorum": k}, "readmit": [hex, ...], "legal_basis": "...", "as_of_ms": t, "made_at_ms": t,
     "words": ["...", ...], "signatures": [{"officer_key_id": hex, "suite": n, "data": base64, "acts": [base64, ...]}, ...]}

and of a recovery, where the former majority is gone (each may be absent):

    {"agreed": {"epoch", "size", "root", "block"} (the largest tree known that a quorum cosigned), "ordering": {site: "https://host:port", ...},
     "alone": true (one voting member is enough), "although": "..." (why it goes on while a majority answers), "evidence": ["...", ...],
     "acts": [base64, ...] (contents of acts behind the one that begins the epoch, before anything else is taken in)}

The plan's hash is SHA-256 over its canonical JSON without the signatures (members sorted, no spaces, UTF-8): who alters a plan has another plan. The act that
begins the epoch follows from the plan alone, its record id and its time too, so that every officer signs the same record hash, and two sites that both order
the act order one record. `readmit` lists records of the parent epoch above the fork that are submitted again as they were, in the order of their former
positions. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sento_proto.act_chain import (
    act_content,
    act_submissions,
    chained_acts,
    first_act,
    sign_acts,
    with_signatures,
)
from sento_proto.errors import Code
from sento_proto.governance import epoch_changes
from sento_proto.governance.acts import act_signatures_refusal, judge_act, with_act
from sento_proto.governance.epoch_changes import EPOCH_MAX, REASONS, Parent, read_parent
from sento_proto.governance.parts import ReceiptSet, read_receipt_set
from sento_proto.governance.state import Governance
from sento_proto.keys import Signature, Signer
from sento_proto.record import Record
from sento_proto.strict_json import Fields, load
from sento_proto.submission import OfficerSignature, act_signed_bytes, encode_act, sign_as_officer
from sento_proto.wire import Malformed

FORMAT = "sento-epoch-plan-1"
PLAN_MAX_BYTES = 64 * 1024 * 1024
_TIME_MAX_MS = 2**48 - 1
_HASH_BYTES = 32
_KEY_ID_BYTES = 16
RECOVER = epoch_changes.RECOVER
ACTS_MAX = 64
_URL = re.compile(r"https://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[1-9][0-9]{0,4}")


class PlanRefused(Exception):
    """The plan does not hold for this ledger. The text is one sentence of cause and one of remedy."""


@dataclass(frozen=True, slots=True)
class EpochPlan:
    """What officers sign. Times in ms since 1970; `as_of_ms`: the moment whose state is kept; `words`: the plan in sentences, part of what is signed.

    Of a recovery: `agreed`, the largest tree known that a quorum cosigned, at or below the parent; `ordering`, where the new members reach each other; `alone`,
    that one voting member is enough; `although`, why it is carried out while a majority of the former epoch answers; `evidence`, who answered whom since when;
    `acts`, contents of acts that are ordered behind the first record and before anything is taken in; `act_signatures`, one tuple for each."""

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
    agreed: Parent | None = None
    ordering: tuple[tuple[str, str], ...] = ()
    alone: bool = False
    although: str = ""
    evidence: tuple[str, ...] = ()
    acts: tuple[bytes, ...] = ()
    act_signatures: tuple[tuple[OfficerSignature, ...], ...] = ()


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
        **_recovery_value(plan),
    }


def _recovery_value(plan: EpochPlan) -> dict[str, object]:
    """What only some plans have, each left out where it says nothing."""
    value: dict[str, object] = {
        "agreed": None if plan.agreed is None else _parent_value(plan.agreed),
        "ordering": dict(sorted(plan.ordering)),
        "alone": plan.alone,
        "although": plan.although,
        "evidence": list(plan.evidence),
        "acts": [base64.b64encode(content).decode() for content in plan.acts],
    }
    return {name: one for name, one in value.items() if one}


def _parent_value(parent: Parent) -> dict[str, object]:
    return {"epoch": parent.epoch, "size": parent.size, "root": parent.root.hex(), "block": parent.block}


def plan_hash(plan: EpochPlan) -> bytes:
    """SHA-256 of the plan without its signatures, 32 bytes."""
    text = json.dumps(_value(plan), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).digest()


def encode_plan(plan: EpochPlan) -> bytes:
    """The file's bytes."""
    signatures = [_signature_value(plan, one) for one in sorted(plan.signatures)]
    value = {**_value(plan), "signatures": signatures}
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8") + b"\n"


def _signature_value(plan: EpochPlan, signed: OfficerSignature) -> dict[str, object]:
    def data(one: OfficerSignature) -> str:
        return base64.b64encode(one.signature.data).decode()

    of_acts = [
        one for act in plan.act_signatures for one in act if one.officer_key_id == signed.officer_key_id
    ]
    value: dict[str, object] = {
        "officer_key_id": signed.officer_key_id.hex(),
        "suite": int(signed.signature.suite),
        "data": data(signed),
    }
    return value | ({"acts": [data(one) for one in of_acts]} if of_acts else {})


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
        agreed=fields.inner("agreed", read_parent) if fields.has("agreed") else None,
        ordering=fields.inner("ordering", _read_urls) if fields.has("ordering") else (),
        alone=fields.has("alone") and fields.flag("alone"),
        although=fields.text("although") if fields.has("although") else "",
        evidence=fields.texts("evidence") if fields.has("evidence") else (),
        acts=fields.blobs("acts") if fields.has("acts") else (),
    )
    signed = fields.objects("signatures", _read_signature)
    fields.end()
    if len(plan.acts) > ACTS_MAX:
        raise Malformed(f"plan: over {ACTS_MAX} acts")
    if any(len(acts) != len(plan.acts) for _, acts in signed):
        raise Malformed("plan: a signature does not stand under each of the plan's acts")
    plan = replace(
        plan,
        signatures=tuple(one for one, _ in signed),
        act_signatures=tuple(
            tuple(sorted(OfficerSignature(one.officer_key_id, acts[number]) for one, acts in signed))
            for number in range(len(plan.acts))
        ),
    )
    if len(set(plan.readmit)) != len(plan.readmit):
        raise Malformed("plan: a record stands twice in readmit")
    if len({key_id for key_id, _ in plan.signatures}) != len(plan.signatures):
        raise Malformed("plan: an officer's key signed twice")
    return plan


def _read_signature(fields: Fields) -> tuple[OfficerSignature, tuple[Signature, ...]]:
    """An officer's signature under the act that begins the epoch, and those under the acts behind it."""
    key_id = fields.hex("officer_key_id", _KEY_ID_BYTES)
    suite = fields.number("suite", 0, 255)
    first = OfficerSignature(key_id, Signature(suite, fields.blob("data")))
    acts = fields.blobs("acts") if fields.has("acts") else ()
    return first, tuple(Signature(suite, data) for data in acts)


def _read_urls(fields: Fields) -> tuple[tuple[str, str], ...]:
    """Site -> URL of its ordering member."""
    urls = fields.rest()
    for site, url in urls.items():
        if not isinstance(url, str) or not _URL.fullmatch(url):
            raise fields.wrong(site, "must be https://host:port")
    return tuple(sorted((site, str(url)) for site, url in urls.items()))


# -- the act that follows from it ---------------------------------------------------------------------------------------


def act_of(plan: EpochPlan) -> Record:
    """The record that begins the epoch: equal plans give equal records. Raises Malformed."""
    name = plan_hash(plan)
    change: dict[str, object] = {
        "do": "begin-epoch",
        "epoch": plan.epoch,
        "parent": _parent_value(plan.parent),
        "plan": name.hex(),
        "reason": plan.reason,
        "voting": list(plan.voting),
        "receipt_set": {"sites": list(plan.receipt_set.sites), "quorum": plan.receipt_set.quorum},
    }
    if plan.reason == RECOVER and plan.agreed is not None:
        change["agreed"] = plan.agreed.size
    return first_act(name, plan.made_at_ms, act_content(plan.legal_basis, [change]), plan.last_act)


def acts_behind(plan: EpochPlan) -> tuple[Record, ...]:
    """The records of the acts that follow the first one, in their order. Raises Malformed."""
    return chained_acts(plan_hash(plan), "act", plan.made_at_ms, plan.acts, act_of(plan).record_hash)


def signed_plan(plan: EpochPlan, officer: Signer) -> EpochPlan:
    """The plan with one more signature under each of its acts; an officer who signs again signs once. Raises Malformed."""
    message = act_signed_bytes(plan.ledger_id, plan.epoch, act_of(plan).record_hash)
    signature = sign_as_officer(officer, message)
    others = [one for one in plan.signatures if one.officer_key_id != signature.officer_key_id]
    behind = sign_acts(plan.ledger_id, plan.epoch, acts_behind(plan), officer)
    return replace(
        plan,
        signatures=tuple(sorted((*others, signature))),
        act_signatures=with_signatures(plan.act_signatures, behind) if behind else (),
    )


def bytes_behind(plan: EpochPlan) -> tuple[bytes, ...]:
    """The submissions of the acts that follow the first one, as they are ordered. Raises Malformed."""
    return act_submissions(plan.ledger_id, plan.epoch, acts_behind(plan), plan.act_signatures)


def act_bytes(plan: EpochPlan) -> bytes:
    """The submission that begins the epoch, as it is ordered. Raises Malformed: nobody signed."""
    return encode_act(plan.ledger_id, plan.epoch, act_of(plan), plan.signatures)


def offices_of(plan: EpochPlan, governance: Governance) -> Sequence[str]:
    """Who signed: the offices, by the governance at the fork. Raises PlanRefused for a signature that is not of somebody in office over this very plan."""
    code = act_signatures_refusal(governance, plan.epoch, act_of(plan).record_hash, plan.signatures)
    for record, signed in zip(acts_behind(plan), plan.act_signatures, strict=False):
        code = code or act_signatures_refusal(governance, plan.epoch, record.record_hash, signed)
    offices = [governance.office_of_key(key_id) for key_id, _ in plan.signatures]
    if code is not None or None in offices:
        raise PlanRefused(
            "A signature under the plan is not of an officer in office at its fork over this very plan: it was altered, or others signed it. "
            "Have the plan made and signed again."
        )
    return sorted({office for office in offices if office is not None})


def check_members(plan: EpochPlan) -> None:
    """A recovered epoch acknowledges with two members, unless its plan says otherwise. Raises PlanRefused."""
    if plan.reason == RECOVER and len(plan.voting) < 2 and not plan.alone:
        raise PlanRefused(
            "The recovered epoch would have one voting member only: its disk would be the only place of what it acknowledges. "
            "Name two, or have the plan say that one is enough."
        )


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
    check_members(plan)
    signers = [one.officer_key_id for one in plan.signatures]
    judged = judge_act(governance, act_of(plan).header.content, signers, plan.parent.size, opens=plan.epoch)
    if judged.code is Code.TOO_FEW_OFFICERS:
        raise PlanRefused(f"Too few officers signed the plan: {judged.why} Have it signed by more.")
    if judged.code is not Code.ACCEPTED:
        raise PlanRefused(f"The plan does not fit the ledger at its fork: {judged.why} Make it anew.")
    return _with_acts_behind(plan, with_act(judged.after, act_of(plan).record_hash, plan.parent.size))


def _with_acts_behind(plan: EpochPlan, governance: Governance) -> Governance:
    """The governance behind the plan's further acts, each signed by as many. Raises PlanRefused."""
    for number, (record, content) in enumerate(zip(acts_behind(plan), plan.acts, strict=True), 1):
        signers = (
            [one.officer_key_id for one in plan.act_signatures[number - 1]] if plan.act_signatures else []
        )
        at = plan.parent.size + number
        judged = judge_act(governance, content, signers, at)
        if judged.code is not Code.ACCEPTED:
            raise PlanRefused(f"Act {number} of the plan may not stand: {judged.why} Make the plan anew.")
        governance = with_act(judged.after, record.record_hash, at)
    return governance
