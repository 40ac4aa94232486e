"""Officers' acts decided ahead, one behind the other, that a plan carries and its signers sign with it.

Acts are versions of one fact, each naming the one before it, and so can be signed before they are ordered only as a chain: nobody may put another act between
them. Each record follows from the plan's hash alone, its record id and time too, so that whoever orders a planned act, and how often, orders one record.
Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from sento_proto.governance.acts import FORMAT, act_header
from sento_proto.keys import Signer
from sento_proto.record import Record, make_record
from sento_proto.submission import OfficerSignature, act_signed_bytes, encode_act, sign_as_officer


def act_content(reason: str, changes: Sequence[Mapping[str, object]]) -> bytes:
    """An act's content in the encoding that plans use."""
    act = {"format": FORMAT, "reason": reason, "changes": [dict(change) for change in changes]}
    return json.dumps(act, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def planned_record_id(plan: bytes, step: str, time_ms: int) -> bytes:
    """A UUID of version 7 that follows from the plan's hash, 32 bytes, and the name of the step in it (RFC 9562, 5.7)."""
    return _uuid7(hashlib.sha256(plan + step.encode("utf-8")).digest(), time_ms)


def _uuid7(name: bytes, time_ms: int) -> bytes:
    return (
        time_ms.to_bytes(6, "big")
        + bytes((0x70 | name[0] & 0x0F, name[1], 0x80 | name[2] & 0x3F))
        + name[3:10]
    )


def planned_act(plan: bytes, step: str, time_ms: int, content: bytes, previous: bytes) -> Record:
    """The record of one planned act that follows the act with record hash `previous`. Raises Malformed."""
    return make_record(act_header(planned_record_id(plan, step, time_ms), time_ms, content, previous), b"")


def first_act(plan: bytes, time_ms: int, content: bytes, previous: bytes) -> Record:
    """The record of the act that the plan is about, whose record id follows from the plan's hash itself, without a step. Raises Malformed."""
    return make_record(act_header(_uuid7(plan, time_ms), time_ms, content, previous), b"")


def chained_acts(
    plan: bytes, step: str, time_ms: int, contents: Sequence[bytes], previous: bytes
) -> tuple[Record, ...]:
    """The records of acts that follow each other behind `previous`. Raises Malformed."""
    records: list[Record] = []
    for number, content in enumerate(contents, 1):
        records.append(planned_act(plan, f"{step} {number}", time_ms, content, previous))
        previous = records[-1].record_hash
    return tuple(records)


def sign_acts(
    ledger_id: bytes, epoch: int, records: Sequence[Record], officer: Signer
) -> tuple[OfficerSignature, ...]:
    """One officer's signature under each. Raises SignerFailed."""
    return tuple(
        sign_as_officer(officer, act_signed_bytes(ledger_id, epoch, record.record_hash)) for record in records
    )


def with_signatures(
    signed: Sequence[Sequence[OfficerSignature]], more: Sequence[OfficerSignature]
) -> tuple[tuple[OfficerSignature, ...], ...]:
    """Each act's signatures with one more each; an officer who signs again signs once."""
    before = signed or [()] * len(more)
    return tuple(
        tuple(sorted((*(each for each in others if each.officer_key_id != one.officer_key_id), one)))
        for others, one in zip(before, more, strict=True)
    )


def act_submissions(
    ledger_id: bytes, epoch: int, records: Sequence[Record], signed: Sequence[Sequence[OfficerSignature]]
) -> tuple[bytes, ...]:
    """The submissions, as they are ordered. Raises Malformed: nobody signed."""
    return tuple(
        encode_act(ledger_id, epoch, record, signatures)
        for record, signatures in zip(records, signed, strict=True)
    )
