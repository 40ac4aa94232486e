"""The file that goes from officer to officer: an act before it stands, and the signatures under it so far.

    {"format": "sento-act-proposal-1", "ledger": hex, "epoch": number, "header": base64, "payload": base64,
     "signatures": [{"key_id": hex, "suite": number, "data": base64}]}

The header is the record's, byte for byte: what officers sign is its hash, so that nobody can change a letter of the act on the way. Nothing in it is secret.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sento_proto import header as header_layout
from sento_proto.governance.acts import FORMAT as ACT_FORMAT
from sento_proto.governance.acts import Act, act_header, decode_act, is_act_header
from sento_proto.header import ZERO32
from sento_proto.keys import Signer
from sento_proto.record import Record, make_record, record_of
from sento_proto.record_object import read_officer_signature
from sento_proto.strict_json import load
from sento_proto.submission import (
    OfficerSignature,
    act_signed_bytes,
    encode_act,
    sign_as_officer,
)
from sento_proto.wire import Malformed

FORMAT = "sento-act-proposal-1"
FILE_MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Proposal:
    """An act on its way. `officers`: who signed so far, in the order in which they did."""

    ledger_id: bytes
    epoch: int
    record: Record
    officers: tuple[OfficerSignature, ...] = ()

    @property
    def act(self) -> Act:
        """What it says. Raises Malformed."""
        return decode_act(self.record.header.content)

    @property
    def previous(self) -> bytes:
        """Record hash of the act that it follows, zeros for a first."""
        return self.record.header.previous

    @property
    def signed_bytes(self) -> bytes:
        """What each officer signs."""
        return act_signed_bytes(self.ledger_id, self.epoch, self.record.record_hash)

    def signed(self, signer: Signer) -> Proposal:
        """The same with one signature more. What a token raises goes through."""
        return replace(self, officers=(*self.officers, sign_as_officer(signer, self.signed_bytes)))

    def encode_act(self) -> bytes:
        """The act's bytes as sites take them. Raises Malformed without any signature."""
        return encode_act(self.ledger_id, self.epoch, self.record, self.officers)


def act_content(reason: str, changes: Sequence[Mapping[str, object]]) -> bytes:
    """The act's JSON. Raises Malformed with the path of the field that is wrong."""
    value = {"format": ACT_FORMAT, "reason": reason, "changes": list(changes)}
    content = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    decode_act(content)
    return content


def make_proposal(
    ledger_id: bytes,
    epoch: int,
    content: bytes,
    previous: bytes,
    *,
    record_id: bytes,
    time_ms: int,
    payload: bytes = b"",
) -> Proposal:
    """An act with this content that follows the act with record hash `previous`. Raises Malformed where it is too long."""
    # A header commits to something wherever there is a payload; an act's is not sealed under a DEK, so it commits to the payload itself.
    commit = hashlib.sha256(b"sento act payload v1" + payload).digest() if payload else ZERO32
    header = act_header(record_id, time_ms, content, previous, payload_bytes=len(payload), dek_commit=commit)
    return Proposal(ledger_id, epoch, make_record(header, payload))


def encode_proposal(proposal: Proposal) -> bytes:
    """The file's bytes."""
    value = {
        "format": FORMAT,
        "ledger": proposal.ledger_id.hex(),
        "epoch": proposal.epoch,
        "header": base64.b64encode(proposal.record.header_bytes).decode(),
        "payload": base64.b64encode(proposal.record.payload).decode(),
        "signatures": [
            {
                "key_id": key_id.hex(),
                "suite": signature.suite,
                "data": base64.b64encode(signature.data).decode(),
            }
            for key_id, signature in proposal.officers
        ],
    }
    return json.dumps(value, indent=1).encode() + b"\n"


def decode_proposal(data: bytes) -> Proposal:
    """The proposal in the file; form only, no signature is verified. Raises Malformed."""
    fields = load(data, "proposal")
    fields.choice("format", (FORMAT,))
    ledger_id, epoch = fields.hex("ledger", 32), fields.number("epoch", 0, 2**32 - 1)
    header_bytes, payload = fields.blob("header"), fields.blob("payload")
    officers = fields.objects("signatures", read_officer_signature)
    fields.end()
    header = header_layout.decode(header_bytes)
    if not is_act_header(header) or header.payload_bytes != len(payload):
        raise Malformed("proposal: its header is not that of an act with this payload")
    decode_act(header.content)
    if len({officer.officer_key_id for officer in officers}) != len(officers):
        raise Malformed("proposal: one key signed twice")
    return Proposal(ledger_id, epoch, record_of(header, header_bytes, payload), officers)
