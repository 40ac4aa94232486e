"""What the golden vectors stand on: fixed keys and ids, and layouts written out by hand without any check.

The `raw_*` functions put bytes together exactly as the layouts say and take any value, so that wrong ones can be made. They share nothing with
the encoders under test; the vectors that must be accepted come from the encoders, and a unit test compares the two.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sento_proto.keys import Ed25519Signer

Vector = dict[str, object]
Group = list[Vector]


def digest(label: str, size: int = 32) -> bytes:
    """`size` bytes that belong to `label`: every fixed key, id and random number of the vectors."""
    return hashlib.shake_256(b"sento golden vectors 1/" + label.encode()).digest(size)


LEDGER_ID = digest("ledger id")
OTHER_LEDGER_ID = digest("another ledger id")
AUTHOR = Ed25519Signer(digest("author"))
OTHER_AUTHOR = Ed25519Signer(digest("other author"))
SITE_NAMES = ("jp-fukuoka", "jp-ishikawa", "jp-ibaraki")
SITES = {name: Ed25519Signer(digest(name)) for name in SITE_NAMES}
OFFICERS = tuple(
    sorted((Ed25519Signer(digest(f"officer {n}")) for n in (1, 2, 3)), key=lambda s: s.public_key.key_id)
)
KEK = digest("kek")
TIME_MS = 1_767_225_600_000
ZERO16, ZERO32 = bytes(16), bytes(32)

_RUN = re.compile(rb"(.)\1{63,}", re.DOTALL)


def hexed(data: bytes) -> str:
    """Hex, with a run of 64 or more equal bytes as `(bb*n)`: so that a vector of 60 KiB takes a line."""
    parts, at = [], 0
    for run in _RUN.finditer(data):
        parts += [data[at : run.start()].hex(), f"({run[1].hex()}*{len(run[0])})"]
        at = run.end()
    return "".join((*parts, data[at:].hex()))


_PIECE = re.compile(r"\(([0-9a-f]{2})\*([0-9]+)\)|((?:[0-9a-f]{2})+)")


def unhexed(text: str) -> bytes:
    """The bytes that `hexed` wrote. Raises ValueError."""
    parts, at = [], 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None:
            raise ValueError("not hex with runs")
        parts.append(bytes.fromhex(piece[3]) if piece[3] else bytes.fromhex(piece[1]) * int(piece[2]))
        at = piece.end()
    return b"".join(parts)


def number(value: int, size: int) -> bytes:
    """Big-endian."""
    return value.to_bytes(size, "big")


def record_id(n: int) -> bytes:
    """The n-th record id of the vectors, a UUIDv7."""
    random = digest(f"record id {n}", 10)
    return b"".join(
        (number(TIME_MS + n, 6), bytes((0x70 | random[0] & 15, random[1], 0x80 | random[2] & 63)), random[3:])
    )


@dataclass(frozen=True, slots=True)
class RawHeader:
    """A header of any values, right or wrong; the defaults make a good one without payload."""

    version: int = 1
    suite: int = 1
    reserved: int = 0
    record_id: bytes = record_id(0)
    author_key_id: bytes = AUTHOR.public_key.key_id
    time_ms: int = TIME_MS
    key_epoch: int = 1
    payload_bytes: int = 0
    subject: bytes = digest("subject")
    fact: bytes = digest("fact", 16)
    previous: bytes = ZERO32
    group: bytes = ZERO16
    dek_commit: bytes = ZERO32
    registry: bytes = b"residency"
    compartment: bytes = b""
    kind: bytes = b"address"
    content: bytes = b""
    content_bytes: int | None = None
    """What the length field says; None: the truth."""

    def fields(self) -> list[tuple[str, bytes]]:
        """Name and bytes of each field, in order."""
        said = len(self.content) if self.content_bytes is None else self.content_bytes
        return [
            ("version", number(self.version, 1)),
            ("suite", number(self.suite, 1)),
            ("reserved", number(self.reserved, 2)),
            ("record id", self.record_id),
            ("author key id", self.author_key_id),
            ("time", number(self.time_ms, 8)),
            ("key epoch", number(self.key_epoch, 4)),
            ("payload length", number(self.payload_bytes, 4)),
            ("subject", self.subject),
            ("fact", self.fact),
            ("previous", self.previous),
            ("group", self.group),
            ("DEK commitment", self.dek_commit),
            ("registry length", number(len(self.registry), 1)),
            ("registry", self.registry),
            ("compartment length", number(len(self.compartment), 1)),
            ("compartment", self.compartment),
            ("kind length", number(len(self.kind), 1)),
            ("kind", self.kind),
            ("content length", number(said, 4)),
            ("content", self.content),
        ]

    def encoded(self) -> bytes:
        """The header as it would travel."""
        return b"".join(data for _, data in self.fields())


def sized(data: bytes, length_bytes: int = 4) -> bytes:
    """`data` behind its length."""
    return number(len(data), length_bytes) + data


def raw_record(header: bytes, payload: bytes = b"") -> bytes:
    """A record's frame in a submission."""
    return sized(header) + sized(payload)


def raw_signature(data: bytes = digest("signature", 64), suite: int = 1) -> bytes:
    """A signature's frame."""
    return number(suite, 1) + sized(data, 2)


def raw_submission(
    records: Sequence[bytes],
    signatures: Sequence[bytes] = (raw_signature(),),
    *,
    form: int = 1,
    author_key_id: bytes = AUTHOR.public_key.key_id,
    count: int | None = None,
    signature_count: int | None = None,
) -> bytes:
    """A submission from its frames; `count` and `signature_count` say something else than the truth."""
    counted = number(len(records) if count is None else count, 4)
    signed = number(len(signatures) if signature_count is None else signature_count, 1)
    return b"".join((number(form, 1), LEDGER_ID, author_key_id, counted, *records, signed, *signatures))


def raw_act(
    records: Sequence[bytes],
    signatures: Sequence[tuple[bytes, bytes]],
    *,
    count: int | None = None,
    signature_count: int | None = None,
) -> bytes:
    """An officers' act from its frames; signatures are (officer key id, signature frame)."""
    counted = number(len(records) if count is None else count, 4)
    signed = number(len(signatures) if signature_count is None else signature_count, 1)
    frames = [officer + frame for officer, frame in signatures]
    return b"".join((number(2, 1), LEDGER_ID, number(1, 4), counted, *records, signed, *frames))


def raw_block(
    submissions: Sequence[bytes] = (),
    *,
    form: int = 1,
    lane: bytes = b"jp-fukuoka/3/0",
    seq: int = 1,
    count: int | None = None,
    signature: bytes = raw_signature(),
) -> bytes:
    """A block from its frames."""
    counted = number(len(submissions) if count is None else count, 4)
    site_key_id = SITES["jp-fukuoka"].public_key.key_id
    head = (number(form, 1), LEDGER_ID, number(1, 4), site_key_id, sized(lane, 1), number(seq, 8), counted)
    return b"".join((*head, *map(sized, submissions), signature))


def truncations(fields: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """A thing cut before each of its fields and inside each that has more than one byte."""
    cuts, so_far = [], b""
    for field, data in fields:
        if data:
            cuts.append((f"ends before its {field}", so_far))
        if len(data) > 1:
            cuts.append((f"ends inside its {field}", so_far + data[: len(data) // 2]))
        so_far += data
    return cuts
