"""The ministry's side of Sento: seal, sign, send and keep trying; read and believe nothing unproven. `SentoClient` is the way in,
`SyncSentoClient` without `async`."""

from __future__ import annotations

from sento_client.client import SentoClient
from sento_client.composing import Draft, Ports
from sento_client.proving_face import Verification
from sento_client.receipts.checking import ReceiptJudge
from sento_client.results import (
    Abroad,
    Acknowledgement,
    AsOf,
    Durability,
    Freshness,
    HiddenTally,
    Outcome,
    RecordName,
    Version,
    WriteError,
    WriteResult,
)
from sento_client.setup_errors import Setup, SetupError
from sento_client.sync_client import SyncSentoClient
from sento_proto.errors import Code, SentoError

__all__ = [
    "Abroad",
    "Acknowledgement",
    "AsOf",
    "Code",
    "Draft",
    "Durability",
    "Freshness",
    "HiddenTally",
    "Outcome",
    "Ports",
    "ReceiptJudge",
    "RecordName",
    "SentoClient",
    "SentoError",
    "Setup",
    "SetupError",
    "SyncSentoClient",
    "Verification",
    "Version",
    "WriteError",
    "WriteResult",
]
