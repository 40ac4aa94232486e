"""From a release to the signed submission that records it: sealed under the site's own KEK, many together under one signature.

Pure: keys, ids, times and random bytes are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sento_node.releases.deciding import Placed
from sento_proto import limits, merkle
from sento_proto.access_record import access_header
from sento_proto.keys import Signature, Signer, sign_all
from sento_proto.record import Record
from sento_proto.sealing import seal_record
from sento_proto.submission import encode_submission, encoded_record_bytes, signed_bytes

TOGETHER_MAX = 256
"""Access records under one signature; their bytes bound them before, unless they are very small."""


class AccessEntry(NamedTuple):
    """An access record, and the DEK that opens it: the reader gets both."""

    record: Record
    dek: bytes


class SignedTogether(NamedTuple):
    """A submission of access records with what proves each of them: the signatures, and all record hashes in order."""

    data: bytes
    author_key_id: bytes
    signatures: tuple[Signature, ...]
    record_hashes: tuple[bytes, ...]

    def path(self, nth: int) -> list[bytes]:
        """The path of one record to the root that was signed."""
        hashes = self.record_hashes
        return merkle.inclusion_proof(merkle.subtree_reader(hashes), nth, len(hashes))


def make_entry(
    placed: Placed,
    *,
    registry: str,
    key_epoch: int,
    kek: bytes,
    dek: bytes,
    record_id: bytes,
    site_key_id: bytes,
    time_ms: int,
) -> AccessEntry:
    """The access record, sealed. `dek`: 32 fresh random bytes."""
    header = access_header(
        record_id,
        site_key_id,
        time_ms,
        registry=registry,
        key_epoch=key_epoch,
        subject=placed.subject,
        kind=placed.kind,
    )
    return AccessEntry(seal_record(header, placed.content, dek=dek, kek=kek), dek)


def sign_together(ledger_id: bytes, records: Sequence[Record], signer: Signer) -> SignedTogether:
    """One submission of these records, which are of one registry and fit (`fitting`)."""
    key_id = signer.public_key.key_id
    hashes = tuple(record.record_hash for record in records)
    signatures = tuple(
        sign_all(signer, signed_bytes(ledger_id, merkle.root_of(hashes), len(records), key_id))
    )
    data = encode_submission(ledger_id, key_id, records, signatures)
    return SignedTogether(data, key_id, signatures, hashes)


def fitting(records: Iterable[Record]) -> int:
    """How many of these, from the first, go into one submission: all of the first one's registry, no id twice, within the bounds. At least one, if any."""
    count, left = 0, limits.SUBMISSION_RECORDS_MAX_BYTES
    registry, ids = "", set[bytes]()
    for record in records:
        header = record.header
        left -= encoded_record_bytes(record)
        registry = registry or header.registry
        fits = left >= 0 and header.registry == registry and header.record_id not in ids
        if count and (not fits or count == TOGETHER_MAX):
            break
        ids.add(header.record_id)
        count += 1
    return count
