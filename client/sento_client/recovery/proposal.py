"""The file that a ceremony hands to the officers: the act that they are to sign, and its payload with everything sealed.

    {"format": "sento-proposal-1", "ledger": hex, "ledger_name": "...", "payload": base64,
     "act": {"format": "sento-act-1", "reason": "...", "changes": [{"do": "set-recovery-key", ...}]}}

Nothing in it is secret to anybody: shares stand in it sealed, and by their commitments.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from sento_client.recovery.refusals import RecoveryRefused, Refusal
from sento_client.recovery.standing import Ceremony, StandingCeremony, check_payload, read_ceremony
from sento_proto.recovery import RecoveryPayload, decode_payload
from sento_proto.strict_json import Fields, load
from sento_proto.wire import Malformed

PROPOSAL_FORMAT = "sento-proposal-1"
ACT_FORMAT = "sento-act-1"
PROPOSAL_MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the officers are asked to sign."""

    ledger_id: bytes
    ledger_name: str
    reason: str
    ceremony: Ceremony
    payload: RecoveryPayload

    @property
    def standing(self) -> StandingCeremony:
        """As it will stand, for whoever checks a share before signing."""
        return StandingCeremony(self.ceremony, self.payload)


def change_of(ceremony: Ceremony) -> dict[str, object]:
    """The change `set-recovery-key`, which `read_ceremony` reads back."""
    return {
        "do": "set-recovery-key",
        "name": ceremony.name,
        "public_key": base64.b64encode(ceremony.public_key).decode(),
        "threshold": ceremony.threshold,
        "ceremony": ceremony.ceremony_id.hex(),
        "shares": [
            {"index": share.number, "officer": share.officer, "commitment": share.commitment.hex()}
            for share in ceremony.shares
        ],
    }


def encode_proposal(proposal: Proposal) -> bytes:
    """The file's bytes."""
    value = {
        "format": PROPOSAL_FORMAT,
        "ledger": proposal.ledger_id.hex(),
        "ledger_name": proposal.ledger_name,
        "act": {"format": ACT_FORMAT, "reason": proposal.reason, "changes": [change_of(proposal.ceremony)]},
        "payload": base64.b64encode(proposal.payload.encode()).decode(),
    }
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def decode_proposal(data: bytes) -> Proposal:
    """The proposal in the file. Raises Malformed."""
    root = load(data, "proposal")
    root.choice("format", (PROPOSAL_FORMAT,))
    ledger_id, ledger_name = root.hex("ledger", 32), root.text("ledger_name")
    reason, ceremonies = root.inner("act", _read_act)
    payload = decode_payload(root.blob("payload"))
    root.end()
    if len(ceremonies) != 1:
        raise Malformed("proposal: its act must have exactly one change, set-recovery-key")
    check_payload(ceremonies[0], payload)
    return Proposal(ledger_id, ledger_name, reason, ceremonies[0], payload)


def _read_act(fields: Fields) -> tuple[str, tuple[Ceremony, ...]]:
    fields.choice("format", (ACT_FORMAT,))
    return fields.text("reason"), fields.objects("changes", read_ceremony)


def read_proposal(path: Path) -> Proposal:
    """The proposal at `path`. Raises RecoveryRefused FILE_INVALID."""
    try:
        with path.open("rb") as file:
            data = file.read(PROPOSAL_MAX_BYTES + 1)
        if len(data) > PROPOSAL_MAX_BYTES:
            raise Malformed(f"over {PROPOSAL_MAX_BYTES} bytes")
        return decode_proposal(data)
    except OSError as error:
        raise RecoveryRefused(Refusal.FILE_INVALID, f"{path}: {error.strerror}") from None
    except Malformed as error:
        raise RecoveryRefused(Refusal.FILE_INVALID, f"{path}: {error}") from None
