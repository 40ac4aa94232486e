"""One DEK on its way from the agent to the reader: unwrapped, and sealed to the reader's own key so that nothing between them holds it.

    info   = "sento unwrapped dek v1" || ledger id || record hash || access record hash
    sealed = HPKE seal of the 32-byte DEK (sento_proto/seal.py), X-Wing or P-256 by the reader's key

The access record's hash is in `info`, so that an answer to one release opens nothing in the name of another.
"""

from __future__ import annotations

from sento_proto.header import Header
from sento_proto.seal import SealOpener, open_seal, seal
from sento_proto.sealing import unwrap_dek

_LABEL = b"sento unwrapped dek v1"


def sealed_dek(
    ledger_id: bytes, pair: bytes, header: Header, payload: bytes, *, kek: bytes, reader_public: bytes
) -> bytes:
    """The record's DEK for one reader. `pair`: access record hash || record hash. Raises CannotOpen, Malformed."""
    return seal(unwrap_dek(header, payload, kek=kek), _info(ledger_id, pair), reader_public)


def open_sealed_dek(ledger_id: bytes, pair: bytes, sealed: bytes, opener: SealOpener) -> bytes:
    """The reverse of `sealed_dek`, by the reader. Raises CannotOpen, Malformed."""
    return open_seal(sealed, _info(ledger_id, pair), opener)


def _info(ledger_id: bytes, pair: bytes) -> bytes:
    access, record = pair[:32], pair[32:]
    return _LABEL + ledger_id + record + access
