"""A plan to move votes to other sites within an epoch: one file that people read, officers sign, and any operator carries out.

    {"format": "sento-relocation-1", "ledger_id": hex, "epoch": n, "last_act": hex (the newest act; or zeros), "legal_basis": "...",
     "registries": ["residency", ...] (in the order in which they matter), "targets": [{"site", "address", "ordering_url"}, ...] (empty: as governance says),
     "retire": [sites], "lead_to": site, "receipt_sets": {"before": {"sites", "quorum"}, "during": {...}, "after": {...}},
     "accepts": ["majority-country:JP", ...], "made_at_ms": t, "expires_at_ms": t, "words": ["...", ...],
     "signatures": [{"officer_key_id": hex, "suite": n, "give": base64, "retire": base64, "undo": base64}, ...]}

Three acts follow from it. `give` lets the targets vote; behind it stands either `retire`, by which the others vote no more, or `undo`, by which the targets do
not: both name `give` as the act before, so that only one of the two can ever stand. Every officer signs all three at once, and so nobody needs to be found
again in the middle of an evacuation. The plan's hash is SHA-256 over its canonical JSON without the signatures (members sorted, no spaces, UTF-8). Pure.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sento_proto.act_chain import act_content, planned_act, sign_acts, with_signatures
from sento_proto.errors import Code
from sento_proto.governance.acts import act_signatures_refusal, judge_act, with_act
from sento_proto.governance.epoch_changes import EPOCH_MAX
from sento_proto.governance.parts import ReceiptSet, read_address, read_ordering_url, read_receipt_set
from sento_proto.governance.state import Governance
from sento_proto.keys import Signature, Signer
from sento_proto.record import Record
from sento_proto.strict_json import Fields, load
from sento_proto.submission import OfficerSignature, encode_act
from sento_proto.wire import Malformed

FORMAT = "sento-relocation-1"
PLAN_MAX_BYTES = 1024 * 1024
SITES_MAX = 16
_TIME_MAX_MS = 2**48 - 1
_HASH_BYTES = 32
_KEY_ID_BYTES = 16


class RelocationRefused(Exception):
    """The plan does not hold for this ledger as it is. The text is one sentence of cause and one of remedy; `code` is stable."""

    def __init__(self, code: Code, words: str) -> None:
        self.code = code
        super().__init__(words)


class Step(StrEnum):
    """The plan's acts."""

    GIVE = "give"
    RETIRE = "retire"
    UNDO = "undo"


class Stage(StrEnum):
    """How far the plan's acts have come on a ledger. `overtaken`: `give` stands and another act came behind it, so that neither of the others fits any more."""

    NOT_BEGUN = "not begun"
    GIVEN = "given"
    RETIRED = "retired"
    UNDONE = "undone"
    STALE = "stale"
    OVERTAKEN = "overtaken"


@dataclass(frozen=True, slots=True)
class Target:
    """A site that is to vote. `address` (host:port) and `ordering_url` (https://host:port) replace governance's; empty: they stay."""

    site: str
    address: str = ""
    ordering_url: str = ""


@dataclass(frozen=True, slots=True)
class ReceiptSets:
    """Whose cosignatures count before anything was done, while both the former and the new sites vote, and once the former are retired."""

    before: ReceiptSet
    during: ReceiptSet
    after: ReceiptSet


@dataclass(frozen=True, slots=True)
class RelocationPlan:
    """What officers sign. Times in ms since 1970. `accepts`: names of placement findings that the officers accept; `words`: the plan in sentences, part of what
    is signed; `signatures`: of each act, one for each officer."""

    ledger_id: bytes
    epoch: int
    last_act: bytes
    legal_basis: str
    registries: tuple[str, ...]
    targets: tuple[Target, ...]
    retire: tuple[str, ...]
    lead_to: str
    receipt_sets: ReceiptSets
    accepts: tuple[str, ...]
    made_at_ms: int
    expires_at_ms: int
    words: tuple[str, ...] = ()
    signatures: Mapping[Step, tuple[OfficerSignature, ...]] | None = None

    @property
    def target_sites(self) -> tuple[str, ...]:
        """Names of the sites that are to vote."""
        return tuple(target.site for target in self.targets)

    def signed(self, step: Step) -> tuple[OfficerSignature, ...]:
        """The signatures under one of its acts."""
        return () if self.signatures is None else self.signatures[step]


# -- the file -----------------------------------------------------------------------------------------------------------


def _value(plan: RelocationPlan) -> dict[str, object]:
    """Everything but the signatures, as JSON."""
    sets = plan.receipt_sets
    return {
        "format": FORMAT,
        "ledger_id": plan.ledger_id.hex(),
        "epoch": plan.epoch,
        "last_act": plan.last_act.hex(),
        "legal_basis": plan.legal_basis,
        "registries": list(plan.registries),
        "targets": [
            {"site": one.site, "address": one.address, "ordering_url": one.ordering_url}
            for one in plan.targets
        ],
        "retire": list(plan.retire),
        "lead_to": plan.lead_to,
        "receipt_sets": {
            "before": _set_value(sets.before),
            "during": _set_value(sets.during),
            "after": _set_value(sets.after),
        },
        "accepts": list(plan.accepts),
        "made_at_ms": plan.made_at_ms,
        "expires_at_ms": plan.expires_at_ms,
        "words": list(plan.words),
    }


def _set_value(counted: ReceiptSet) -> dict[str, object]:
    return {"sites": list(counted.sites), "quorum": counted.quorum}


def plan_hash(plan: RelocationPlan) -> bytes:
    """SHA-256 of the plan without its signatures, 32 bytes."""
    text = json.dumps(_value(plan), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).digest()


def encode_plan(plan: RelocationPlan) -> bytes:
    """The file's bytes."""
    by_key = {one.officer_key_id: one.signature.suite for one in plan.signed(Step.GIVE)}
    signatures = [
        {"officer_key_id": key_id.hex(), "suite": int(by_key[key_id])}
        | {str(step): _data_of(plan.signed(step), key_id) for step in Step}
        for key_id in sorted(by_key)
    ]
    value = {**_value(plan), "signatures": signatures}
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8") + b"\n"


def _data_of(signed: Sequence[OfficerSignature], key_id: bytes) -> str:
    return next(
        base64.b64encode(one.signature.data).decode() for one in signed if one.officer_key_id == key_id
    )


def decode_plan(data: bytes) -> RelocationPlan:
    """The plan in `data`, form only: nothing is verified. Raises Malformed."""
    if len(data) > PLAN_MAX_BYTES:
        raise Malformed(f"relocation: over {PLAN_MAX_BYTES} bytes")
    fields = load(data, "relocation")
    fields.choice("format", (FORMAT,))
    plan = RelocationPlan(
        fields.hex("ledger_id", _HASH_BYTES),
        fields.number("epoch", 0, EPOCH_MAX),
        fields.hex("last_act", _HASH_BYTES),
        fields.text("legal_basis"),
        fields.names("registries"),
        fields.objects("targets", _read_target),
        fields.institutions("retire"),
        fields.institution("lead_to"),
        fields.inner("receipt_sets", _read_sets),
        fields.texts("accepts"),
        fields.number("made_at_ms", 0, _TIME_MAX_MS),
        fields.number("expires_at_ms", 0, _TIME_MAX_MS),
        fields.texts("words"),
    )
    signed = fields.objects("signatures", _read_signatures)
    fields.end()
    _check_form(plan)
    if len({key_id for key_id, _ in signed}) != len(signed):
        raise Malformed("relocation: an officer's key signed twice")
    if not signed:
        return plan
    by_step = {
        step: tuple(sorted(OfficerSignature(key_id, acts[step]) for key_id, acts in signed)) for step in Step
    }
    return replace(plan, signatures=by_step)


def _read_target(fields: Fields) -> Target:
    return Target(fields.institution("site"), read_address(fields), read_ordering_url(fields))


def _read_sets(fields: Fields) -> ReceiptSets:
    return ReceiptSets(
        fields.inner("before", read_receipt_set),
        fields.inner("during", read_receipt_set),
        fields.inner("after", read_receipt_set),
    )


def _read_signatures(fields: Fields) -> tuple[bytes, dict[Step, Signature]]:
    key_id, suite = fields.hex("officer_key_id", _KEY_ID_BYTES), fields.number("suite", 0, 255)
    return key_id, {step: Signature(suite, fields.blob(str(step))) for step in Step}


def _check_form(plan: RelocationPlan) -> None:
    """What must hold between fields, whatever the ledger. Raises Malformed."""
    targets, retire = plan.target_sites, plan.retire
    if not 1 <= len(targets) <= SITES_MAX or not 1 <= len(retire) <= SITES_MAX:
        raise Malformed(f"relocation: 1 to {SITES_MAX} targets, and as many sites to retire")
    if len({*targets, *retire}) != len(targets) + len(retire):
        raise Malformed("relocation: a site stands twice in targets and retire")
    if plan.lead_to in retire:
        raise Malformed("relocation: lead_to is a site that is retired")
    if not plan.legal_basis.strip():
        raise Malformed("relocation: legal_basis must say by what right")
    if plan.expires_at_ms <= plan.made_at_ms:
        raise Malformed("relocation: it expires before it was made")


# -- the acts that follow from it ---------------------------------------------------------------------------------------


def act_of(plan: RelocationPlan, step: Step) -> Record:
    """The record of one of its acts: equal plans give equal records. Raises Malformed."""
    previous = plan.last_act if step is Step.GIVE else act_of(plan, Step.GIVE).record_hash
    content = act_content(plan.legal_basis, _changes(plan, step))
    return planned_act(plan_hash(plan), str(step), plan.made_at_ms, content, previous)


def _changes(plan: RelocationPlan, step: Step) -> list[dict[str, object]]:
    sets = plan.receipt_sets
    if step is Step.GIVE:
        places: list[dict[str, object]] = [
            {
                "do": "set-site-place",
                "name": one.site,
                "address": one.address,
                "ordering_url": one.ordering_url,
            }
            for one in plan.targets
            if one.address or one.ordering_url
        ]
        return places + _votes(plan.target_sites, True) + _set_change(sets.before, sets.during)
    if step is Step.RETIRE:
        return _votes(plan.retire, False) + _set_change(sets.during, sets.after)
    return _votes(plan.target_sites, False) + _set_change(sets.during, sets.before)


def _votes(sites: Sequence[str], votes: bool) -> list[dict[str, object]]:
    return [{"do": "set-site-votes", "name": site, "votes": votes} for site in sites]


def _set_change(before: ReceiptSet, after: ReceiptSet) -> list[dict[str, object]]:
    return [] if before == after else [{"do": "set-receipt-set", **_set_value(after)}]


def act_bytes(plan: RelocationPlan, step: Step) -> bytes:
    """The submission of an act, as it is ordered. Raises Malformed: nobody signed."""
    return encode_act(plan.ledger_id, plan.epoch, act_of(plan, step), plan.signed(step))


def signed_plan(plan: RelocationPlan, officer: Signer) -> RelocationPlan:
    """The plan with one more signature under each of its acts; an officer who signs again signs once. Raises Malformed, SignerFailed."""
    records = [act_of(plan, step) for step in Step]
    more = sign_acts(plan.ledger_id, plan.epoch, records, officer)
    together = with_signatures([plan.signed(step) for step in Step], more)
    return replace(plan, signatures=dict(zip(Step, together, strict=True)))


def stage_of(plan: RelocationPlan, standing: Sequence[bytes]) -> Stage:
    """How far it is. `standing`: the record hashes of all acts that stand, oldest first."""
    give, retire, undo = (act_of(plan, step).record_hash for step in Step)
    if retire in standing:
        return Stage.RETIRED
    if undo in standing:
        return Stage.UNDONE
    newest = standing[-1] if standing else bytes(_HASH_BYTES)
    if give in standing:
        return Stage.GIVEN if newest == give else Stage.OVERTAKEN
    return Stage.NOT_BEGUN if newest == plan.last_act else Stage.STALE


# -- whether it holds ---------------------------------------------------------------------------------------------------


def offices_of(plan: RelocationPlan, governance: Governance) -> tuple[str, ...]:
    """The offices that signed. Raises RelocationRefused for a signature that is not of somebody in office over this very plan."""
    for step in Step:
        signed = plan.signed(step)
        refusal = act_signatures_refusal(governance, plan.epoch, act_of(plan, step).record_hash, signed)
        offices = [governance.office_of_key(one.officer_key_id) for one in signed]
        if refusal is not None or None in offices:
            raise RelocationRefused(
                Code.BAD_SIGNATURE,
                "A signature under the plan is not of an officer in office over this very plan: it was altered, or others signed it. "
                "Make the plan anew and have it signed again.",
            )
    names = {governance.office_of_key(one.officer_key_id) or "" for one in plan.signed(Step.GIVE)}
    return tuple(sorted(names))


def check_belongs(plan: RelocationPlan, governance: Governance, epoch: int) -> None:
    """Raises RelocationRefused for a plan of another ledger or of another epoch."""
    if plan.ledger_id != governance.ledger_id:
        raise RelocationRefused(
            Code.WRONG_LEDGER,
            f"The plan is for ledger {plan.ledger_id.hex()[:16]} and this is ledger {governance.ledger_id.hex()[:16]}. Use the plan of this ledger.",
        )
    if plan.epoch != epoch:
        raise RelocationRefused(
            Code.PLAN_NOT_FIT,
            f"The plan is for epoch {plan.epoch} and the ledger is in epoch {epoch}. Make the plan anew.",
        )


def check_unsigned(
    plan: RelocationPlan, governance: Governance, at: int, now_ms: int
) -> dict[Step, Governance]:
    """The governance behind each of its acts, were they signed. `governance`: as it is before `give`. Raises RelocationRefused, Malformed."""
    if plan.last_act != governance.last_act:
        raise RelocationRefused(
            Code.STALE,
            "Another officers' act stands since the plan was made, so the plan's acts can no longer be ordered. Make it anew with sento relocate plan.",
        )
    if now_ms >= plan.expires_at_ms:
        raise RelocationRefused(
            Code.PLAN_NOT_FIT, "The plan has expired. Make it anew with sento relocate plan."
        )
    if plan.receipt_sets.before != governance.receipt_set:
        raise RelocationRefused(
            Code.PLAN_NOT_FIT,
            "The plan starts from another receipt set than governance has. Make it anew with sento relocate plan.",
        )
    everybody = [officer.key.key_id for officer in governance.officers.people.values()]
    given = _after(plan, Step.GIVE, governance, everybody, at)
    return {
        Step.GIVE: given,
        Step.RETIRE: _after(plan, Step.RETIRE, given, everybody, at + 1),
        Step.UNDO: _after(plan, Step.UNDO, given, everybody, at + 1),
    }


def check_signed(plan: RelocationPlan, governance: Governance) -> tuple[str, ...]:
    """The offices that signed; raises RelocationRefused unless they are enough."""
    offices, needed = offices_of(plan, governance), governance.officers.threshold
    if len(offices) < needed or not needed:
        raise RelocationRefused(
            Code.TOO_FEW_OFFICERS,
            f"{len(offices)} officers signed and {needed} are needed; an officer and the deputy count once. Have it signed with sento relocate sign.",
        )
    return offices


def _after(
    plan: RelocationPlan, step: Step, governance: Governance, signers: Sequence[bytes], at: int
) -> Governance:
    record = act_of(plan, step)
    judged = judge_act(governance, record.header.content, signers, at)
    if judged.code is not Code.ACCEPTED:
        raise RelocationRefused(
            judged.code, f"The plan's act `{step}` does not fit the ledger: {judged.why} Make the plan anew."
        )
    return with_act(judged.after, record.record_hash, at)
