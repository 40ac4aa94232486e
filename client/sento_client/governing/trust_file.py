"""`trust.json`: the genesis file and everything that changed governance since, each with its signatures and its place, as far as a client has followed it.

    {"format": "sento-trust-2", "genesis": base64 of the genesis file, "records": [record object of each act and announcement, without payload],
     "checkpoint": "<C2SP note>", "proofs": [[hex]]}          one inclusion path a record, all under this checkpoint
    {"format": "sento-trust-1", "genesis", "records"}         before there were proofs; still read

Record objects are those of `sento_proto.record_object`. A client that starts cut off knows from the file the newest that it ever saw, and whoever gets a
receipt by hand can judge it by the file that comes along. Nothing in it is believed: it is followed like a site's answer, each time that it is read, and with
proofs each record must stand at its position under a checkpoint that a quorum of the receipt set, as those records make it, cosigned. What the file cannot
show is that no later act exists: whoever made it may have left the newest ones out.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sento_client.config import ClientConfig
from sento_client.governing.following import Followed, follow
from sento_client.record_objects import object_of, stored_in
from sento_client.secret_files import write_secret
from sento_client.setup_errors import Setup, SetupError
from sento_client.verifying import Verdict, check_checkpoint
from sento_proto import limits
from sento_proto.checkpoint import Checkpoint, encode_checkpoint
from sento_proto.errors import SentoError
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.merkle import HASH_BYTES, verify_inclusion
from sento_proto.receipt import read_note
from sento_proto.record_object import RecordObject, hexes, read_record_object, record_value
from sento_proto.strict_json import Fields, load
from sento_proto.wire import Malformed

FORMAT_1 = "sento-trust-1"
FORMAT_2 = "sento-trust-2"
NAME = "trust.json"
FILE_MAX_BYTES = 256 * 1024 * 1024
_U32_MAX = 2**32 - 1


class TrustProof(NamedTuple):
    """That each record followed stands at its position: paths in the order of the steps, under one checkpoint."""

    checkpoint: Checkpoint
    paths: tuple[tuple[bytes, ...], ...]


class Trusted(NamedTuple):
    """What a trust file holds, followed and proven. `proof`: None in a file of format 1, which shows no positions."""

    genesis: Genesis
    followed: Followed
    proof: TrustProof | None


def trust_path(config: ClientConfig) -> Path:
    """Where an institution's lies: beside the outbox, or beside the configuration where there is none."""
    return (config.path.parent if config.outbox is None else config.outbox.directory.parent) / NAME


def encode_trust(genesis_bytes: bytes, followed: Followed, proof: TrustProof | None = None) -> bytes:
    """The file's bytes; of format 1 where there is no proof."""
    value: dict[str, object] = {
        "format": FORMAT_1 if proof is None else FORMAT_2,
        "genesis": base64.b64encode(genesis_bytes).decode(),
        "records": [record_value(object_of(step.stored)) for step in followed.steps],
    }
    if proof is not None:
        value["checkpoint"] = encode_checkpoint(proof.checkpoint).decode()
        value["proofs"] = [hexes(path) for path in proof.paths]
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def decode_trust(data: bytes, genesis: Genesis, genesis_bytes: bytes) -> Trusted:
    """What the file proves under this genesis file. Raises Malformed, SetupError RULES_UNKNOWN."""
    fields = load(data, "trust")
    if _genesis_in(fields) != genesis_bytes:
        raise Malformed("trust: it is of another ledger")
    return _read(fields, genesis)


def decode_trust_alone(data: bytes) -> Trusted:
    """What the file proves under the genesis file in it, which the reader must know by its ledger id. Raises as `decode_trust`."""
    if len(data) > FILE_MAX_BYTES:
        raise Malformed(f"trust: over {FILE_MAX_BYTES} bytes")
    fields = load(data, "trust")
    return _read(fields, decode_genesis(_genesis_in(fields)))


def _genesis_in(fields: Fields) -> bytes:
    return fields.blob("genesis")


def _read(fields: Fields, genesis: Genesis) -> Trusted:
    form = fields.choice("format", (FORMAT_1, FORMAT_2))
    records = fields.objects("records", read_record_object)
    proof = _read_proof(fields) if form == FORMAT_2 else None
    fields.end()
    if any(record.hidden for record in records):
        raise Malformed("trust: a record that changed governance is never hidden")
    try:
        followed = follow(Followed.start(genesis), map(stored_in, records), _U32_MAX)
    except SentoError as error:
        # It is the file that is wrong here, and no site.
        raise Malformed(f"trust: {error.detail}") from None
    if proof is not None:
        _must_prove(proof, followed, records)
    return Trusted(genesis, followed, proof)


def _read_proof(fields: Fields) -> TrustProof:
    note = read_note(fields, "checkpoint")
    lists = fields.raw("proofs")
    if not isinstance(lists, list):
        raise fields.wrong("proofs", "must be a list")
    inner = Fields({str(index): path for index, path in enumerate(lists)}, "proofs", "trust")
    return TrustProof(note, tuple(inner.hexes(str(index), HASH_BYTES) for index in range(len(lists))))


def _must_prove(proof: TrustProof, followed: Followed, records: Sequence[RecordObject]) -> None:
    """Raises Malformed."""
    checkpoint = proof.checkpoint
    finding = check_checkpoint(checkpoint, followed.trust)
    if finding.verdict is not Verdict.HOLDS:
        raise Malformed(f"trust: its checkpoint is not good: {finding.why}")
    if len(proof.paths) != len(records):
        raise Malformed(f"trust: {len(records)} records and {len(proof.paths)} proofs")
    for record, path in zip(records, proof.paths, strict=True):
        fits = len(path) <= limits.PROOF_MAX_HASHES
        if not fits or not verify_inclusion(
            record.record_hash, record.position, checkpoint.size, path, checkpoint.root
        ):
            raise Malformed(
                f"trust: the record at position {record.position} is not shown to stand there under its checkpoint"
            )


@dataclass(frozen=True, slots=True)
class TrustFile:
    """The file at `path` of the ledger with this genesis file."""

    path: Path
    genesis: Genesis
    genesis_bytes: bytes

    def read(self) -> Followed:
        """What it proves; the beginning where there is none yet. Raises SetupError TRUST_INVALID, RULES_UNKNOWN."""
        return self.read_all().followed

    def read_all(self) -> Trusted:
        """The same with the places of acts, where the file shows them. Raises as `read`."""
        try:
            with self.path.open("rb") as file:
                data = file.read(FILE_MAX_BYTES + 1)
        except FileNotFoundError:
            return Trusted(self.genesis, Followed.start(self.genesis), None)
        except OSError as error:
            raise self._invalid(error.strerror) from None
        if len(data) > FILE_MAX_BYTES:
            raise self._invalid(f"over {FILE_MAX_BYTES} bytes")
        try:
            return decode_trust(data, self.genesis, self.genesis_bytes)
        except Malformed as error:
            raise self._invalid(str(error)) from None

    def write(self, followed: Followed, proof: TrustProof | None = None) -> None:
        """Put it there, with its proof where there is one, whole or not at all. What lies there and says as much stays: another program of this institution
        may have followed on.

        Raises SetupError TRUST_INVALID."""
        known = self.read_all()
        if known.followed.governance.epoch > followed.governance.epoch:
            return
        same_epoch = known.followed.governance.epoch == followed.governance.epoch
        if same_epoch and known.followed.position > followed.position:
            return
        if (
            same_epoch
            and known.followed.position == followed.position
            and (proof is None or known.proof is not None)
        ):
            return
        try:
            write_secret(self.path, encode_trust(self.genesis_bytes, followed, proof))
        except OSError as error:
            raise self._invalid(error.strerror) from None

    def _invalid(self, why: str | None) -> SetupError:
        return SetupError(Setup.TRUST_INVALID, f"{self.path}: {why}")
