"""Receipts made by hand over a small ledger: of records that an author of `genesis_builder` signed, under checkpoints that its sites cosigned."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from genesis_builder import TestWorld, make_record, make_submission
from sento_client.testing.world import derived
from sento_proto import merkle
from sento_proto.checkpoint import Checkpoint, SiteSigners, cosign_all
from sento_proto.genesis import decode_genesis
from sento_proto.keys import Signer
from sento_proto.receipt import Receipt
from sento_proto.record import Record
from sento_proto.record_object import RecordObject, SubmissionPath
from sento_proto.software_signers import MlDsa44Signer
from sento_proto.submission import decode_submission

AUTHOR = "iizuka-city"
TIME_S = 1_800_000_000


def with_ml_dsa_44(world: TestWorld) -> tuple[TestWorld, dict[str, Signer]]:
    """The same world with an ML-DSA-44 key beside each site's Ed25519 one, and the signers."""
    document = json.loads(world.genesis_bytes)
    signers: dict[str, Signer] = {}
    for site in document["sites"]:
        signer = MlDsa44Signer(derived("ml-dsa-44", site["name"]))
        signers[site["name"]] = signer
        site["ml_dsa_44"] = base64.b64encode(signer.public_key.data).decode()
    data = json.dumps(document).encode()
    return replace(world, genesis=decode_genesis(data), genesis_bytes=data), signers


@dataclass(frozen=True, slots=True)
class SmallLedger:
    """Records in order, one submission each."""

    world: TestWorld
    records: tuple[Record, ...]
    submissions: tuple[bytes, ...]
    second_keys: Mapping[str, Signer] = field(default_factory=dict)
    """ML-DSA-44 signers of sites that have one in the genesis file."""

    @classmethod
    def of(cls, world: TestWorld, size: int, second_keys: Mapping[str, Signer] | None = None) -> SmallLedger:
        records = tuple(
            make_record(world, AUTHOR, "residency", "residence/entry", bytes(32), n.to_bytes(16, "big"))
            for n in range(size)
        )
        return cls(
            world, records, tuple(make_submission(world, AUTHOR, [one]) for one in records), second_keys or {}
        )

    @property
    def hashes(self) -> list[bytes]:
        return [record.record_hash for record in self.records]

    def checkpoint(
        self,
        size: int | None = None,
        *,
        sites: Sequence[str] | None = None,
        root: bytes | None = None,
        epoch: int = 0,
        time_s: int = TIME_S,
    ) -> Checkpoint:
        """A checkpoint of the first `size` records; `sites`: who cosigned it, None: all."""
        size = len(self.records) if size is None else size
        root = merkle.root_of(self.hashes[:size]) if root is None else root
        plain = Checkpoint(self.world.ledger_id, epoch, size, root)
        names = self.world.site_signers if sites is None else sites
        signers = {
            name: SiteSigners(self.world.site_signers[name], self.second_keys.get(name)) for name in names
        }
        lines = [line for name in names for line in cosign_all(plain, name, signers[name], time_s)]
        return plain._replace(signatures=tuple(lines))

    def receipt(self, position: int, checkpoint: Checkpoint, *, with_record: bool = False) -> Receipt:
        """Of one record."""
        read = merkle.subtree_reader(self.hashes[: checkpoint.size])
        path = merkle.inclusion_proof(read, position, checkpoint.size)
        record_hash = self.hashes[position]
        record = self.object(position) if with_record else None
        return Receipt(self.world.ledger_id, position, record_hash, tuple(path), checkpoint, record)

    def object(self, position: int) -> RecordObject:
        """The record as it stands in files."""
        record, submission = self.records[position], decode_submission(self.submissions[position])
        path = SubmissionPath(record.header.author_key_id, 1, 0, (), submission.signatures)
        return RecordObject(position, record.record_hash, record.header_bytes, record.payload_hash, path)
