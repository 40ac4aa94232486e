"""To whom a site's KEK for access records must be sealed, and what of that the ledger lacks.

Readers of (registry, `access`) and the recovery key in force hold a seal each. The first record of a KEK's subject decides which KEK it is; later ones add
seals for readers that came later. A site that finds another KEK under its own name than the one in its file has lost that file, and must not go on. Pure.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sento_proto.access_record import COMPARTMENT
from sento_proto.governance.state import Governance, covered, site_author
from sento_proto.header import Header
from sento_proto.kek_record import (
    KIND,
    REGISTRY,
    KekSeals,
    decode_kek_seals,
    kek_seals_header,
    seals_that_fit,
    subject_of_kek,
)
from sento_proto.kek_seal import KekName, kek_commit, seal_kek
from sento_proto.record import Record, make_record
from sento_proto.seal import decode_seal, recipient_key_id, seal_suite_of
from sento_proto.wire import Malformed


class Recipient(NamedTuple):
    """A public key that should hold a seal, and its key id in seals."""

    key_id: bytes
    public_key: bytes


class Sealed(NamedTuple):
    """What stands of one KEK: its commitment (None: nothing stands), key ids of those who hold a seal, the next free part."""

    commitment: bytes | None
    holders: frozenset[bytes]
    next_part: int


def recipients_of(governance: Governance, registry: str) -> tuple[Recipient, ...]:
    """Who should hold a seal now: the recovery key first, because it must be in the first part."""
    keys = [] if governance.recovery_key is None else [governance.recovery_key.public_key]
    keys += [
        reader.seal_key
        for reader in governance.readers.values()
        if covered(reader.may_read, registry, COMPARTMENT)
    ]
    found = [Recipient(recipient_key_id(seal_suite_of(key), key), key) for key in keys]
    return tuple({one.key_id: one for one in reversed(found)}.values())[::-1]


def kek_name(governance: Governance, site: str, registry: str, key_epoch: int) -> KekName:
    """What the KEK is for."""
    return KekName(governance.ledger_id, site_author(site), registry, COMPARTMENT, key_epoch)


def subject_of_own(site: str, registry: str, key_epoch: int) -> bytes:
    """The subject in registry `keys` under which the KEK's seals stand."""
    return subject_of_kek(site_author(site), registry, COMPARTMENT, key_epoch)


def what_stands(oldest_first: Iterable[Header]) -> Sealed:
    """What the records of a KEK's subject say of it, as its readers understand them."""
    commitment: bytes | None = None
    holders: set[bytes] = set()
    next_part = 0
    for header in oldest_first:
        if (header.registry, header.kind) != (REGISTRY, KIND):
            continue
        seals = decode_kek_seals(header.content)
        next_part = max(next_part, seals.part + 1)
        commitment = commitment or seals.commitment
        if hmac.compare_digest(seals.commitment, commitment):
            holders.update(_holders(seals))
    return Sealed(commitment, frozenset(holders), next_part)


def _holders(seals: KekSeals) -> list[bytes]:
    found = []
    for sealed in seals.seals:
        try:
            found.append(decode_seal(sealed).recipient_key_id)
        except Malformed:  # nobody can open it, so nobody holds it
            continue
    return found


def is_other_kek(sealed: Sealed, kek: bytes | None) -> bool:
    """Whether another KEK stands under this name than the one at hand; `None`: none is at hand."""
    if sealed.commitment is None:
        return False
    return kek is None or not hmac.compare_digest(kek_commit(kek), sealed.commitment)


def seals_due(wanted: Sequence[Recipient], sealed: Sealed) -> tuple[Recipient, ...]:
    """Those who should hold a seal and have none."""
    return tuple(one for one in wanted if one.key_id not in sealed.holders)


def seal_parts(name: KekName, kek: bytes, recipients: Sequence[Recipient], first_part: int) -> list[KekSeals]:
    """The KEK sealed to each, in as many parts as they need. Randomness is HPKE's own."""
    seals = [seal_kek(kek, name, one.public_key) for one in recipients]
    per_part = seals_that_fit(max(map(len, seals), default=1))
    return [
        KekSeals(
            kek_commit(kek),
            name.registry,
            name.compartment,
            name.key_epoch,
            first_part + number,
            tuple(seals[at : at + per_part]),
        )
        for number, at in enumerate(range(0, len(seals), per_part))
    ]


def seals_record(site: str, key_id: bytes, record_id: bytes, time_ms: int, part: KekSeals) -> Record:
    """The record that carries one new part."""
    return make_record(kek_seals_header(record_id, site_author(site), key_id, time_ms, part), b"")
