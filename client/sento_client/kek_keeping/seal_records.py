"""From a KEK and its recipients to the records that carry its seals: as many parts as the seals need.

Seals stand in clear in the record's content, and there is no payload: whoever asks a site gets them, and only the recipient of each can open it. Making a seal
costs some 0.1 ms (P-256) to 0.2 ms (X-Wing) of one core.
"""

from __future__ import annotations

from collections.abc import Sequence

from sento_client.kek_keeping.recipients import Recipient
from sento_client.recovery.standing import KekScope
from sento_proto.header import ZERO32
from sento_proto.kek_record import KekSeals, kek_seals_header, seals_that_fit
from sento_proto.kek_seal import KekName, kek_commit, seal_kek
from sento_proto.record import Record, make_record


def sealed_parts(
    ledger_id: bytes, scope: KekScope, kek: bytes, recipients: Sequence[Recipient], first_part: int
) -> list[KekSeals]:
    """The KEK sealed to each recipient, in parts from `first_part` on. Raises Malformed when a recipient's key is none."""
    name = KekName(ledger_id, *scope)
    seals = [seal_kek(kek, name, one.public_key) for one in recipients]
    commitment = kek_commit(kek)
    per_part = seals_that_fit(max(map(len, seals), default=1))
    return [
        KekSeals(
            commitment,
            scope.registry,
            scope.compartment,
            scope.key_epoch,
            first_part + number,
            tuple(seals[at : at + per_part]),
        )
        for number, at in enumerate(range(0, len(seals), per_part))
    ]


def seal_record_of(
    author: str, author_key_id: bytes, record_id: bytes, time_ms: int, seals: KekSeals
) -> Record:
    """The record that carries one new part."""
    return make_record(kek_seals_header(record_id, author, author_key_id, time_ms, seals, ZERO32), b"")
