"""A sealed extract: records of some persons that a site hands to one reader, to be opened for a while where no site can be reached.

    extract = u8 1 || u32 len, header || u32 len, sealed key || u32 len, ciphertext || u8 n || n x (u8 suite || u16 len || signature)
    header  = JSON, in clear: {"format": "sento-extract-1", "ledger_id": hex, "epoch": n, "site", "extract_id": hex 16, "size": n, "checkpoint": base64 note,
              "confirmed_at_ms": n, "registry", "reader", "recipient_key_id": hex 16, "purpose", "case_hash": hex 32, "made_at_ms": n, "ends_at_ms": n}
    body    = JSON, sealed: {"case_number", "subjects": [{"subject": hex 32, "records": [ENTRY, newest first]}], "keys": [{"records": [ENTRY, oldest first]}]}
    ENTRY   = {"record": a record object (`record_object.py`) with its link and, where it is given out, its payload; "path": [hex], to the checkpoint's root}

    sealed key = seal of 32 fresh bytes to the reader's seal key, info = "sento extract v1" || SHA-256(header)
    ciphertext = AES-256-GCM(key, nonce of 12 zero bytes, body, AAD = header)
    signed     = PAE("application/vnd.sento.extract.v1", ledger id || SHA-256(all before the signatures)), by the site's Ed25519 key, and its ML-DSA-44 key
                 where it has one, in rising order of suite

`keys` holds the records of registry `keys` under which the KEKs of the payloads stand sealed, so that the reader needs nothing but its seal key. Nothing in
an extract is believed for the site's sake: the records verify by their authors' signatures and by their paths to a checkpoint that a quorum cosigned. What the
site alone vouches for is that it left out no record about a person up to that checkpoint, and its times.

Record ids of what is written about an extract follow from it, so that each thing is recorded once whoever records it: `release_record_id`, `use_record_id`.

Source: RFC 9180 (HPKE), NIST SP 800-38D (GCM); the ids are UUIDv7 (RFC 9562) whose random part is a hash.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sento_proto import limits
from sento_proto.checkpoint import Checkpoint, SiteKeys, SiteSigners, decode_checkpoint, encode_checkpoint
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.keys import Signature, verifies
from sento_proto.merkle import HASH_BYTES
from sento_proto.pae import TYPE_EXTRACT, pae
from sento_proto.record_object import RecordObject, hexes, read_record_object, record_value
from sento_proto.seal import SealOpener, open_seal, recipient_key_id, seal, seal_suite_of
from sento_proto.sealing import CannotOpen
from sento_proto.strict_json import Fields, load
from sento_proto.submission import LEDGER_ID_BYTES, decode_signature, encode_signature
from sento_proto.wire import Malformed, Reader, sized32, u8

FORMAT = "sento-extract-1"
FORMAT_EXTRACT = 1
EXTRACT_MAX_BYTES = limits.GRPC_MESSAGE_MAX_BYTES - 64 * limits.KIB
HEADER_MAX_BYTES = limits.CHECKPOINT_MAX_BYTES * 2
SEALED_KEY_MAX_BYTES = 2048
KEY_BYTES = 32
ID_BYTES = 16
SUBJECT_BYTES = 32
SUBJECTS_MAX = 64
VALID_DEFAULT_S = 24 * 3_600
VALID_MAX_S = 7 * 24 * 3_600
TIME_MAX_MS = (1 << 48) - 1
_SIZE_MAX = 2**63 - 1
_NONCE = bytes(12)
_WHAT = "extract"


class ExtractHeader(NamedTuple):
    """What stands in clear. `confirmed_at_ms`: when the site last knew from a majority that its ledger was current; `case_hash`: `case_hash(case number)`;
    times in ms since 1970 by the site's clock."""

    ledger_id: bytes
    epoch: int
    site: str
    extract_id: bytes
    checkpoint: Checkpoint
    confirmed_at_ms: int
    registry: str
    reader: str
    recipient_key_id: bytes
    purpose: str
    case_hash: bytes
    made_at_ms: int
    ends_at_ms: int


class ExtractEntry(NamedTuple):
    """A record and its path to the checkpoint's root."""

    record: RecordObject
    path: tuple[bytes, ...]


class ExtractSubject(NamedTuple):
    """One person's records, newest first: all up to the checkpoint, those that the reader may not see as hidden entries."""

    subject: bytes
    entries: tuple[ExtractEntry, ...]


class ExtractBody(NamedTuple):
    """What is sealed. `keys`: for each KEK the records of its subject in registry `keys`, oldest first."""

    case_number: str
    subjects: tuple[ExtractSubject, ...]
    keys: tuple[tuple[ExtractEntry, ...], ...]


class SealedExtract(NamedTuple):
    """A decoded extract. Whether its signatures hold is asked by `extract_holds`."""

    header: ExtractHeader
    header_bytes: bytes
    sealed_key: bytes
    ciphertext: bytes
    signed_digest: bytes
    signatures: tuple[Signature, ...]


# Ids.


def case_hash(case_number: str) -> bytes:
    """SHA-256("sento extract case" || case number): shows whether a number is the one, and not the number. Whoever guesses it can check the guess."""
    return hashlib.sha256(b"sento extract case" + case_number.encode("utf-8")).digest()


def release_record_id(extract_id: bytes, reader: str, subject: bytes) -> bytes:
    """The id of the access record that says that the person's records went into the extract."""
    return _derived_id(extract_id, b"sento extract release", reader, subject)


def use_record_id(extract_id: bytes, reader: str, use_id: bytes) -> bytes:
    """The id of the access record that says that the extract was opened: one use has one record, at whichever site and however often it is reported."""
    return _derived_id(extract_id, b"sento extract use", reader, use_id)


def _derived_id(extract_id: bytes, label: bytes, reader: str, last: bytes) -> bytes:
    if len(extract_id) != ID_BYTES:
        raise Malformed("extract: an extract id has 16 bytes")
    name = reader.encode("ascii")
    digest = hashlib.sha256(label + extract_id + u8(len(name)) + name + last).digest()
    return uuid7(int.from_bytes(extract_id[:6], "big"), digest[:RANDOM_BYTES])


# Making.


def seal_extract(
    header: ExtractHeader, body: ExtractBody, *, body_key: bytes, recipient: bytes, signers: SiteSigners
) -> bytes:
    """The extract's bytes. `body_key`: 32 fresh random bytes, used for this extract alone; `recipient`: the reader's public seal key.

    Raises Malformed when a field is outside of the layout, or all of it is over `EXTRACT_MAX_BYTES`."""
    if len(body_key) != KEY_BYTES:
        raise Malformed("extract: its key has 32 bytes")
    header = header._replace(recipient_key_id=recipient_key_id(seal_suite_of(recipient), recipient))
    header_bytes = _encode_header(header)
    sealed_key = seal(body_key, _info(header_bytes), recipient)
    ciphertext = AESGCM(body_key).encrypt(_NONCE, _encode_body(body), header_bytes)
    front = u8(FORMAT_EXTRACT) + sized32(header_bytes) + sized32(sealed_key) + sized32(ciphertext)
    message = _message(header.ledger_id, hashlib.sha256(front).digest())
    signatures = [signers.ed25519.sign(message)]
    if signers.ml_dsa_44 is not None:
        signatures.append(signers.ml_dsa_44.sign(message))
    data = front + u8(len(signatures)) + b"".join(map(encode_signature, signatures))
    if len(data) > EXTRACT_MAX_BYTES:
        raise Malformed(f"extract: over {EXTRACT_MAX_BYTES} bytes")
    return data


def _message(ledger_id: bytes, digest: bytes) -> bytes:
    return pae(TYPE_EXTRACT, ledger_id + digest)


def _info(header_bytes: bytes) -> bytes:
    return b"sento extract v1" + hashlib.sha256(header_bytes).digest()


def _encode_header(header: ExtractHeader) -> bytes:
    value = {
        "format": FORMAT,
        "ledger_id": header.ledger_id.hex(),
        "epoch": header.epoch,
        "site": header.site,
        "extract_id": header.extract_id.hex(),
        "size": header.checkpoint.size,
        "checkpoint": base64.b64encode(encode_checkpoint(header.checkpoint)).decode(),
        "confirmed_at_ms": header.confirmed_at_ms,
        "registry": header.registry,
        "reader": header.reader,
        "recipient_key_id": header.recipient_key_id.hex(),
        "purpose": header.purpose,
        "case_hash": header.case_hash.hex(),
        "made_at_ms": header.made_at_ms,
        "ends_at_ms": header.ends_at_ms,
    }
    data = _json(value)
    _read_header(data)
    return data


def _encode_body(body: ExtractBody) -> bytes:
    value = {
        "case_number": body.case_number,
        "subjects": [
            {"subject": one.subject.hex(), "records": [_entry_value(entry) for entry in one.entries]}
            for one in body.subjects
        ],
        "keys": [{"records": [_entry_value(entry) for entry in records]} for records in body.keys],
    }
    data = _json(value)
    _read_body(data)
    return data


def _entry_value(entry: ExtractEntry) -> dict[str, object]:
    return {"record": record_value(entry.record), "path": hexes(entry.path)}


def _json(value: object) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Malformed("extract: a text is no Unicode") from None


# Reading.


def decode_extract(data: bytes) -> SealedExtract:
    """The extract in `data`, all of it; form only, no signature is verified and nothing is opened. Raises Malformed."""
    if len(data) > EXTRACT_MAX_BYTES:
        raise Malformed(f"extract: over {EXTRACT_MAX_BYTES} bytes")
    reader = Reader(data, _WHAT)
    form = reader.u8("format")
    if form != FORMAT_EXTRACT:
        raise Malformed(f"extract: unknown format {form}")
    header_bytes = reader.sized32("header", HEADER_MAX_BYTES)
    sealed_key = reader.sized32("sealed key", SEALED_KEY_MAX_BYTES)
    ciphertext = reader.sized32("ciphertext", EXTRACT_MAX_BYTES)
    digest = hashlib.sha256(data[: reader.at]).digest()
    count = reader.u8("signature count")
    if not 1 <= count <= 2:
        raise Malformed(f"extract: {count} signatures; 1 or 2 are allowed")
    signatures = tuple(decode_signature(reader) for _ in range(count))
    reader.end()
    if any(later.suite <= earlier.suite for earlier, later in itertools.pairwise(signatures)):
        raise Malformed("extract: signatures are not in their one order, or one stands twice")
    return SealedExtract(_read_header(header_bytes), header_bytes, sealed_key, ciphertext, digest, signatures)


def extract_holds(extract: SealedExtract, keys: SiteKeys) -> bool:
    """Whether exactly these keys signed the extract, with none left out."""
    wanted = [keys.ed25519] if keys.ml_dsa_44 is None else [keys.ed25519, keys.ml_dsa_44]
    if len(extract.signatures) != len(wanted):
        return False
    message = _message(extract.header.ledger_id, extract.signed_digest)
    return all(
        verifies(key, signature, message) for key, signature in zip(wanted, extract.signatures, strict=True)
    )


def open_extract(extract: SealedExtract, opener: SealOpener) -> ExtractBody:
    """What is sealed. Raises CannotOpen when it is sealed to another key or was altered, Malformed when it is not in form."""
    key = open_seal(extract.sealed_key, _info(extract.header_bytes), opener)
    if len(key) != KEY_BYTES:
        raise CannotOpen("The extract's key has another length.")
    try:
        data = AESGCM(key).decrypt(_NONCE, extract.ciphertext, extract.header_bytes)
    except InvalidTag:
        raise CannotOpen("The extract was altered.") from None
    body = _read_body(data)
    if case_hash(body.case_number) != extract.header.case_hash:
        raise Malformed("extract: the case number inside is not the one outside")
    return body


def _read_header(data: bytes) -> ExtractHeader:
    fields = load(data, _WHAT)
    if fields.text("format") != FORMAT:
        raise Malformed(f"extract: format must be {FORMAT}")
    ledger_id = fields.hex("ledger_id", LEDGER_ID_BYTES)
    epoch = fields.number("epoch", 0, 2**32 - 1)
    site = fields.institution("site")
    extract_id = fields.hex("extract_id", ID_BYTES)
    size = fields.number("size", 1, _SIZE_MAX)
    checkpoint = decode_checkpoint(fields.blob("checkpoint"))
    header = ExtractHeader(
        ledger_id,
        epoch,
        site,
        extract_id,
        checkpoint,
        confirmed_at_ms=fields.number("confirmed_at_ms", 0, TIME_MAX_MS),
        registry=fields.name("registry"),
        reader=fields.institution("reader"),
        recipient_key_id=fields.hex("recipient_key_id", ID_BYTES),
        purpose=fields.text("purpose"),
        case_hash=fields.hex("case_hash", HASH_BYTES),
        made_at_ms=fields.number("made_at_ms", 0, TIME_MAX_MS),
        ends_at_ms=fields.number("ends_at_ms", 0, TIME_MAX_MS),
    )
    fields.end()
    if (checkpoint.ledger_id, checkpoint.epoch, checkpoint.size) != (ledger_id, epoch, size):
        raise Malformed("extract: the checkpoint is of another ledger, epoch or size")
    if not 0 < header.ends_at_ms - header.made_at_ms <= VALID_MAX_S * 1000:
        raise Malformed("extract: it is valid for no time, or for more than seven days")
    return header


def _read_body(data: bytes) -> ExtractBody:
    fields = load(data, _WHAT)
    body = ExtractBody(
        fields.text("case_number"),
        fields.objects("subjects", _read_subject),
        fields.objects("keys", lambda one: one.objects("records", _read_entry)),
    )
    fields.end()
    names: Sequence[bytes] = [one.subject for one in body.subjects]
    if not 1 <= len(names) <= SUBJECTS_MAX or len(set(names)) != len(names):
        raise Malformed(f"extract: 1 to {SUBJECTS_MAX} persons, each once")
    return body


def _read_subject(fields: Fields) -> ExtractSubject:
    return ExtractSubject(fields.hex("subject", SUBJECT_BYTES), fields.objects("records", _read_entry))


def _read_entry(fields: Fields) -> ExtractEntry:
    path = fields.hexes("path", HASH_BYTES)
    if len(path) > limits.PROOF_MAX_HASHES:
        raise fields.wrong("path", f"has over {limits.PROOF_MAX_HASHES} hashes")
    return ExtractEntry(fields.inner("record", read_record_object), path)
