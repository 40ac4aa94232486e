"""Vectors of what must be accepted, up to the record: ids, keys, names, headers, sealed payloads, record hashes, subject chains."""

from __future__ import annotations

from golden_vectors.ground import (
    AUTHOR,
    KEK,
    OFFICERS,
    OTHER_AUTHOR,
    SITES,
    TIME_MS,
    ZERO32,
    Group,
    Vector,
    digest,
    hexed,
    record_id,
)
from sento_proto import header as header_layout
from sento_proto.chain import FIRST_LINK, link_over
from sento_proto.errors import TABLE
from sento_proto.header import ZERO16, Header
from sento_proto.ids import uuid7
from sento_proto.keys import Ed25519Signer
from sento_proto.pae import TYPE_BLOCK, TYPE_OFFICERS_ACT, TYPE_SUBMISSION, pae
from sento_proto.pseudonyms import fact_of, subject_of, tag_of
from sento_proto.record import Record, make_record
from sento_proto.sealing import decode_payload, open_payload, seal_record

PLAIN = Header(
    record_id=record_id(0),
    author_key_id=AUTHOR.public_key.key_id,
    time_ms=TIME_MS,
    key_epoch=1,
    payload_bytes=0,
    subject=digest("subject"),
    fact=digest("fact", 16),
    previous=ZERO32,
    group=ZERO16,
    dek_commit=ZERO32,
    registry="residency",
    compartment="",
    kind="address",
)
"""The header that the others are changed from: no payload, no content, first version of its fact."""


def error_codes() -> Group:
    """Every stable code. Texts may be worded anew, numbers and names never."""
    return [
        {"number": int(code), "name": code.name, "standing": entry.standing.value, "grpc": entry.grpc_status}
        for code, entry in TABLE.items()
    ]


def key_ids() -> Group:
    """key id = SHA-256(suite || public key)[:16]."""
    named = [("author", AUTHOR), ("other author", OTHER_AUTHOR), *SITES.items()]
    named += [(f"officer {n}", officer) for n, officer in enumerate(OFFICERS, 1)]
    seeds = {digest(label): label for label in ("author", "other author", *SITES)}
    seeds |= {digest(f"officer {n}"): f"officer {n}" for n in (1, 2, 3)}
    by_key = {Ed25519Signer(seed).public_key.key_id: seed for seed in seeds}
    return [
        {
            "name": name,
            "seed": by_key[signer.public_key.key_id].hex(),
            "suite": int(signer.public_key.suite),
            "public_key": signer.public_key.data.hex(),
            "key_id": signer.public_key.key_id.hex(),
        }
        for name, signer in named
    ]


def paes() -> Group:
    """DSSE pre-authentication encoding for each type."""
    bodies = [
        (kind, digest("body", size))
        for kind, size in ((TYPE_SUBMISSION, 84), (TYPE_BLOCK, 32), (TYPE_OFFICERS_ACT, 68))
    ]
    bodies.append(("application/example", b""))
    return [{"type": kind, "body": body.hex(), "pae": pae(kind, body).hex()} for kind, body in bodies]


def uuids() -> Group:
    """UUIDv7 from time and 10 random bytes, of which six bits give way to version and variant."""
    cases = [(0, bytes(10)), ((1 << 48) - 1, b"\xff" * 10), (TIME_MS, digest("uuid", 10))]
    return [
        {"time_ms": str(time_ms), "random": random.hex(), "uuid": uuid7(time_ms, random).hex()}
        for time_ms, random in cases
    ]


def pseudonyms() -> Group:
    """Subjects, facts and tags. The identifiers are invented and have wrong check digits."""
    key, index_key = digest("pseudonym key"), digest("index key")
    cases = [
        ("000000000001", "address", ""),
        ("000000000001", "assessment/income", "2026"),
        ("000000000001", "assessment/correction", "2026"),
        ("識別子-2", "prescription", "17"),
    ]
    composites: list[tuple[str, tuple[str, ...]]] = [
        ("kana-birth-sex", ("ヤマダ ハナコ", "1999-12-31", "2")),
        ("kana-birth", ("ヤマダ ハナコ", "1999-12-31")),
        ("kana-birth", ("ヤマダ ハナコ1999-", "12-31")),
    ]
    group: Group = []
    for (identifier, kind, natural_key), (name, composite) in zip(
        cases, [*composites, composites[0]], strict=True
    ):
        subject = subject_of(key, identifier)
        vector: Vector = {"pseudonym_key": key.hex(), "identifier": identifier, "subject": subject.hex()}
        vector |= {"kind": kind, "natural_key": natural_key}
        vector |= {"fact": fact_of(key, subject, kind, natural_key).hex()}
        vector |= {"index_key": index_key.hex(), "tag_name": name, "composite": list(composite)}
        group.append({**vector, "tag": tag_of(index_key, name, composite).hex()})
    return group


def header_vector(name: str, header: Header) -> Vector:
    """A header's fields beside its bytes; 64-bit numbers as decimal text."""
    fields: Vector = {}
    for field, value in header._asdict().items():
        fields[field] = hexed(value) if isinstance(value, bytes) else value
    fields["time_ms"] = str(header.time_ms)
    return {"name": name, "fields": fields, "bytes": hexed(header_layout.encode(header))}


def headers() -> Group:
    """Good headers, with every field at its bounds."""
    longest = "abcdefghijklmnopqrstuvwxyz-0/9-z"
    sealed = PLAIN._replace(payload_bytes=320, dek_commit=digest("commit"))
    governance = PLAIN._replace(registry="governance", kind="act")
    cases = [
        ("no payload, first version", PLAIN),
        ("with payload", sealed),
        ("largest payload", sealed._replace(payload_bytes=32 * 1024)),
        (
            "further version in a group",
            sealed._replace(previous=digest("previous"), group=digest("group", 16)),
        ),
        ("time and key epoch zero", PLAIN._replace(time_ms=0, key_epoch=0)),
        ("time and key epoch at their largest", PLAIN._replace(time_ms=2**64 - 1, key_epoch=2**32 - 1)),
        ("with compartment", PLAIN._replace(registry="health", compartment="psychiatry")),
        ("longest names", PLAIN._replace(registry=longest, compartment=longest, kind=longest)),
        ("shortest names", PLAIN._replace(registry="a", compartment="/", kind="-")),
        ("content in clear in governance", governance._replace(content=b'{"rules":1}')),
        ("content in clear in keys", PLAIN._replace(registry="keys", content=bytes(range(256)))),
        ("longest content in clear", governance._replace(content=b"x" * 16 * 1024)),
        ("content in clear with payload", sealed._replace(registry="governance", content=b"{}")),
        ("smallest record id", PLAIN._replace(record_id=uuid7(0, bytes(10)))),
        ("largest record id", PLAIN._replace(record_id=uuid7(2**48 - 1, b"\xff" * 10))),
    ]
    return [header_vector(name, header) for name, header in cases]


def sealed_record(n: int, content: bytes, tags: tuple[bytes, ...] = (), **changes: object) -> Record:
    """The n-th sealed record of the vectors."""
    header = PLAIN._replace(record_id=record_id(n))._replace(**changes)  # type: ignore[arg-type]
    return seal_record(header, content, dek=digest(f"dek {n}"), kek=KEK, tags=tags)


def sealed() -> Group:
    """Records with payloads, opened: KEK unwraps the DEK, the DEK opens the ciphertext under the header."""
    two_tags = (digest("tag 1", 4), digest("tag 2", 4))
    cases = [
        ("short content", sealed_record(20, "飯塚市新立岩5番5号".encode()), 20),
        ("empty content is not no payload", sealed_record(21, b""), 21),
        ("fills its size class", sealed_record(22, b"y" * 252), 22),
        ("one byte over a size class", sealed_record(23, b"y" * 253), 23),
        ("with tags", sealed_record(24, b"tagged", two_tags), 24),
        ("with all 64 tags", sealed_record(25, b"tagged", tuple(digest(f"t{n}", 4) for n in range(64))), 25),
        (
            "further version in a compartment",
            sealed_record(26, b"v2", previous=digest("v1"), compartment="a/b"),
            26,
        ),
    ]
    group: Group = []
    for name, record, n in cases:
        frame = decode_payload(record.payload)
        group.append(
            {
                "name": name,
                "kek": KEK.hex(),
                "dek": digest(f"dek {n}").hex(),
                "tags": [tag.hex() for tag in frame.tags],
                "header": hexed(record.header_bytes),
                "payload": hexed(record.payload),
                "content": hexed(_content(record)),
                "payload_hash": record.payload_hash.hex(),
                "record_hash": record.record_hash.hex(),
            }
        )
    return group


def _content(record: Record) -> bytes:
    return open_payload(record.header_bytes, record.header, record.payload, kek=KEK)


def records() -> Group:
    """Record hashes where there is nothing to open: no payload, and a payload that was erased and left its hash."""
    empty = make_record(PLAIN, b"")
    erased = sealed_record(20, b"gone")
    return [
        {
            "name": name,
            "header": hexed(record.header_bytes),
            "payload_hash": record.payload_hash.hex(),
            "record_hash": record.record_hash.hex(),
        }
        for name, record in (("no payload", empty), ("payload erased, its hash stands", erased))
    ]


def chains() -> Group:
    """link = SHA-256(0x02 || previous link || record hash)."""
    hashes = [digest(f"chained {n}") for n in range(4)]
    return [
        {
            "record_hashes": [record_hash.hex() for record_hash in hashes],
            "links": [link_over(hashes[: n + 1]).hex() for n in range(4)],
            "first_after": FIRST_LINK.hex(),
        }
    ]
