"""A KEK's seals in the ledger: a record by its author in registry `keys`, with the seals in clear. A site is the author of the KEKs of its access records.

    content  = u8 1 || kek commitment 32 || u8 len, registry || u8 len, compartment || u32 key epoch || u16 part || u16 n || n x (u16 len || seal)
    subject  = SHA-256("sento kek seals" || u8 len, author || u8 len, registry || u8 len, compartment || u32 key epoch)
    fact     = SHA-256(subject || u16 part)[:16]

All parts of one KEK stand under one subject, so that its seals are listed together; further seals, for a reader that came later, are the next part or a further
version of a part. Adding a reader therefore opens to it all that an author wrote in one compartment of one registry in one key epoch, and nothing finer. The
commitment lets each recipient check that the KEK it opened is the one that all others got: a seal over another key is found by whoever opens it.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from sento_proto import limits
from sento_proto.errors import Code
from sento_proto.governance.state import ACCESS_COMPARTMENT, Governance, site_of_author
from sento_proto.header import ZERO16, ZERO32, Header, check_name
from sento_proto.rules import RULES
from sento_proto.wire import Malformed, Reader, sized16, u8, u16, u32

FORMAT = 1
REGISTRY = "keys"
KIND = "kek-seals"
COMMITMENT_BYTES = 32
SEAL_MAX_BYTES = 1400
PARTS_MAX = 0xFFFF


class KekSeals(NamedTuple):
    """What one record carries: seals of one KEK of its author. `commitment` is the KEK's (`kek_seal.kek_commit`)."""

    commitment: bytes
    registry: str
    compartment: str
    key_epoch: int
    part: int
    seals: tuple[bytes, ...]


def encode_kek_seals(seals: KekSeals) -> bytes:
    """The clear content. Raises Malformed when it does not fit one record."""
    parts = [u8(FORMAT), seals.commitment, _name(seals.registry), _name(seals.compartment)]
    parts += [u32(seals.key_epoch), u16(seals.part), u16(len(seals.seals))]
    parts += [sized16(seal) for seal in seals.seals]
    content = b"".join(parts)
    decode_kek_seals(content)
    return content


def decode_kek_seals(content: bytes) -> KekSeals:
    """The seals in clear content. Raises Malformed."""
    if len(content) > limits.CONTENT_MAX_BYTES:
        raise Malformed(f"kek seals: over {limits.CONTENT_MAX_BYTES} bytes")
    reader = Reader(content, "kek seals")
    if reader.u8("format") != FORMAT:
        raise Malformed("kek seals: unknown format")
    commitment = reader.take(COMMITMENT_BYTES, "commitment")
    registry, compartment = _read_name(reader, "registry"), _read_name(reader, "compartment")
    key_epoch, part, count = reader.u32("key epoch"), reader.u16("part"), reader.u16("count")
    seals = tuple(reader.sized16("seal", SEAL_MAX_BYTES) for _ in range(count))
    reader.end()
    if not registry or not seals or not key_epoch:
        raise Malformed("kek seals: registry, key epoch and at least one seal are needed")
    return KekSeals(commitment, registry, compartment, key_epoch, part, seals)


def seals_that_fit(seal_bytes: int) -> int:
    """How many seals of this length one record has room for."""
    frame = 1 + COMMITMENT_BYTES + 2 * (1 + limits.NAME_MAX_BYTES) + 4 + 2 + 2
    return (limits.CONTENT_MAX_BYTES - frame) // (2 + seal_bytes)


def subject_of_kek(author: str, registry: str, compartment: str, key_epoch: int) -> bytes:
    """The subject under which all parts of one KEK's seals stand, 32 bytes."""
    name = b"".join((_author_name(author), _name(registry), _name(compartment)))
    return hashlib.sha256(b"sento kek seals" + name + u32(key_epoch)).digest()


def fact_of_kek(subject: bytes, part: int) -> bytes:
    """The fact of one part, 16 bytes."""
    return hashlib.sha256(subject + u16(part)).digest()[:16]


def kek_seals_header(
    record_id: bytes,
    author: str,
    author_key_id: bytes,
    time_ms: int,
    seals: KekSeals,
    previous: bytes = ZERO32,
) -> Header:
    """The header of a record that carries these seals. Raises Malformed when they do not fit."""
    subject = subject_of_kek(author, seals.registry, seals.compartment, seals.key_epoch)
    return Header(
        record_id=record_id,
        author_key_id=author_key_id,
        time_ms=time_ms,
        key_epoch=0,
        payload_bytes=0,
        subject=subject,
        fact=fact_of_kek(subject, seals.part),
        previous=previous,
        group=ZERO16,
        dek_commit=ZERO32,
        registry=REGISTRY,
        compartment="",
        kind=KIND,
        content=encode_kek_seals(seals),
    )


def kek_seals_refusal(governance: Governance, author: str, header: Header) -> Code | None:
    """Why a record in registry `keys` may not stand; None when it may.

    No KEK is made before its key epoch: a thief of a signing key could make the next epoch's, and an author whose key was revoked would seal under it.
    A site has KEKs for access records alone; whether the record is under its key in force is asked elsewhere."""
    try:
        seals = decode_kek_seals(header.content)
    except Malformed:
        return Code.MALFORMED
    subject = subject_of_kek(author, seals.registry, seals.compartment, seals.key_epoch)
    fixed = (header.subject, header.fact, header.compartment, header.kind, header.payload_bytes)
    if fixed != (subject, fact_of_kek(subject, seals.part), "", KIND, 0):
        return Code.MALFORMED
    state = governance.registries.get(seals.registry)
    if state is None or seals.key_epoch > state.key_epoch:
        return Code.NOT_PERMITTED
    return None if _may_seal(governance, author, seals) else Code.NOT_PERMITTED


def _may_seal(governance: Governance, author: str, seals: KekSeals) -> bool:
    if site_of_author(author) is None:
        return governance.may_write(author, seals.registry, seals.compartment)
    has_payloads = seals.registry not in limits.CLEAR_CONTENT_REGISTRIES
    return RULES[governance.rules].read_log and has_payloads and seals.compartment == ACCESS_COMPARTMENT


def _author_name(author: str) -> bytes:
    """A site as an author has more in front of its name, so it may be longer than a name in a header."""
    site = site_of_author(author)
    if site is None:
        return _name(author)
    check_name(site, "site")
    data = author.encode("ascii")
    return u8(len(data)) + data


def _name(name: str) -> bytes:
    data = check_name(name, "name") if name else b""
    return u8(len(data)) + data


def _read_name(reader: Reader, field: str) -> str:
    data = reader.take(reader.u8(f"{field} length"), field)
    if not data:
        return ""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed(f"kek seals: {field} is not a name") from None
    check_name(text, field)
    return text
