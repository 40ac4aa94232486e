"""Pre-authentication encoding: what a signature covers says what kind of thing it signs.

DSSE v1, "PAE(type, body)": the type and the body behind their decimal lengths, so that no two (type, body) pairs share bytes. Each kind of
signed thing has a type of its own here, and each body contains the ledger id (and the epoch where there is one): nothing signed
for a drill or for another purpose can be lifted into a real ledger. Checkpoints follow C2SP instead (`checkpoint.py`).

Source: Dead Simple Signing Envelope 1.0, protocol.md.
"""

from __future__ import annotations

TYPE_SUBMISSION = "application/vnd.sento.submission.v1"
TYPE_BLOCK = "application/vnd.sento.block.v1"
TYPE_OFFICERS_ACT = "application/vnd.sento.officers-act.v1"
TYPE_HEAD = "application/vnd.sento.head.v1"
TYPE_ERASURE_CERTIFICATE = "application/vnd.sento.erasure-certificate.v1"
TYPE_VOLUME = "application/vnd.sento.volume.v1"
TYPE_ARRIVAL = "application/vnd.sento.arrival.v1"
TYPE_EXTRACT = "application/vnd.sento.extract.v1"
TYPE_BOOTSTRAP = "application/vnd.sento.bootstrap.v1"


def pae(payload_type: str, body: bytes) -> bytes:
    """`DSSEv1 SP len(type) SP type SP len(body) SP body`."""
    kind = payload_type.encode("ascii")
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
