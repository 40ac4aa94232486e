"""`trust.json`: the genesis file and everything that changed governance since, each with its signatures, as far as a client has followed it.

    {"format": "sento-trust-1", "genesis": base64 of the genesis file, "records": [{"position", "header": base64, "payload_hash": hex, "record_hash": hex,
      "submission": {"author_key_id": hex, "count", "index", "path": [hex], "signatures": [{"suite", "data": base64}],
                     "officers": [{"key_id": hex, "suite", "data": base64}], "epoch"}}]}

A client that starts cut off knows from it the newest that it ever saw, and whoever gets a receipt by hand can judge it by the file that comes along. Nothing in
it is believed: it is followed like a site's answer, each time that it is read. Payloads of acts are left out; their hashes are what was signed.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from sento_client.config import ClientConfig
from sento_client.governing.following import Followed, follow
from sento_client.secret_files import write_secret
from sento_client.setup_errors import Setup, SetupError
from sento_client.verifying import Stored, SubmissionPath
from sento_proto.errors import SentoError
from sento_proto.genesis import Genesis
from sento_proto.keys import KEY_ID_BYTES, Signature
from sento_proto.merkle import HASH_BYTES
from sento_proto.strict_json import Fields, load
from sento_proto.submission import OfficerSignature
from sento_proto.wire import Malformed

FORMAT = "sento-trust-1"
NAME = "trust.json"
FILE_MAX_BYTES = 256 * 1024 * 1024
_U32_MAX, _U63_MAX = 2**32 - 1, 2**63 - 1


def trust_path(config: ClientConfig) -> Path:
    """Where an institution's lies: beside the outbox, or beside the configuration where there is none."""
    return (config.path.parent if config.outbox is None else config.outbox.directory.parent) / NAME


def encode_trust(genesis_bytes: bytes, followed: Followed) -> bytes:
    """The file's bytes."""
    records = [_record_value(step.stored) for step in followed.steps]
    value = {"format": FORMAT, "genesis": _base64(genesis_bytes), "records": records}
    return json.dumps(value, indent=1).encode() + b"\n"


def decode_trust(data: bytes, genesis: Genesis, genesis_bytes: bytes) -> Followed:
    """What the file proves under this genesis file. Raises Malformed, SentoError DAMAGED, SetupError RULES_UNKNOWN."""
    fields = load(data, "trust")
    fields.choice("format", (FORMAT,))
    if fields.blob("genesis") != genesis_bytes:
        raise Malformed("trust: it is of another ledger")
    records = fields.objects("records", _read_record)
    fields.end()
    return follow(Followed.start(genesis), records, _U32_MAX)


@dataclass(frozen=True, slots=True)
class TrustFile:
    """The file at `path` of the ledger with this genesis file."""

    path: Path
    genesis: Genesis
    genesis_bytes: bytes

    def read(self) -> Followed:
        """What it proves; the beginning where there is none yet. Raises SetupError TRUST_INVALID, RULES_UNKNOWN."""
        try:
            with self.path.open("rb") as file:
                data = file.read(FILE_MAX_BYTES + 1)
        except FileNotFoundError:
            return Followed.start(self.genesis)
        except OSError as error:
            raise self._invalid(error.strerror) from None
        if len(data) > FILE_MAX_BYTES:
            raise self._invalid(f"over {FILE_MAX_BYTES} bytes")
        try:
            return decode_trust(data, self.genesis, self.genesis_bytes)
        except Malformed as error:
            raise self._invalid(str(error)) from None
        except SentoError as error:
            raise self._invalid(error.detail) from None

    def write(self, followed: Followed) -> None:
        """Put it there, whole or not at all, unless what lies there goes further: another program of this institution may have followed on.

        Raises SetupError TRUST_INVALID."""
        if self.read().position >= followed.position:
            return
        try:
            write_secret(self.path, encode_trust(self.genesis_bytes, followed))
        except OSError as error:
            raise self._invalid(error.strerror) from None

    def _invalid(self, why: str | None) -> SetupError:
        return SetupError(Setup.TRUST_INVALID, f"{self.path}: {why}")


def _record_value(stored: Stored) -> dict[str, object]:
    submission = stored.submission
    return {
        "position": stored.position,
        "header": _base64(stored.header_bytes),
        "payload_hash": stored.payload_hash.hex(),
        "record_hash": stored.record_hash.hex(),
        "submission": {
            "author_key_id": submission.author_key_id.hex(),
            "count": submission.records,
            "index": submission.place,
            "path": [step.hex() for step in submission.path],
            "signatures": [_signature_value(signature) for signature in submission.signatures],
            "officers": [
                {"key_id": officer.officer_key_id.hex(), **_signature_value(officer.signature)}
                for officer in submission.officers
            ],
            "epoch": submission.epoch,
        },
    }


def _signature_value(signature: Signature) -> dict[str, object]:
    return {"suite": signature.suite, "data": _base64(signature.data)}


def _read_record(fields: Fields) -> Stored:
    return Stored(
        position=fields.number("position", 0, _U63_MAX),
        header_bytes=fields.blob("header"),
        payload=b"",
        payload_hash=fields.hex("payload_hash", HASH_BYTES),
        record_hash=fields.hex("record_hash", HASH_BYTES),
        link=b"",
        previous_of_subject=None,
        payload_withheld=False,
        submission=fields.inner("submission", _read_submission),
    )


def _read_submission(fields: Fields) -> SubmissionPath:
    return SubmissionPath(
        fields.hex("author_key_id", KEY_ID_BYTES),
        fields.number("count", 1, _U32_MAX),
        fields.number("index", 0, _U32_MAX),
        fields.hexes("path", HASH_BYTES),
        fields.objects("signatures", read_signature),
        fields.objects("officers", read_officer_signature),
        fields.number("epoch", 0, _U32_MAX),
    )


def read_signature(fields: Fields) -> Signature:
    """{"suite", "data": base64}. Raises Malformed."""
    return Signature(fields.number("suite", 1, 255), fields.blob("data"))


def read_officer_signature(fields: Fields) -> OfficerSignature:
    """The same with "key_id". Raises Malformed."""
    return OfficerSignature(fields.hex("key_id", KEY_ID_BYTES), read_signature(fields))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
