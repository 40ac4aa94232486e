"""The record header: 180 fixed bytes, three names, and clear content where a registry may have it.

    u8 version || u8 suite || u16 zero || record id 16 || author key id 16 || u64 time ms || u32 key epoch || u32 payload length
    || subject 32 || fact 16 || previous 32 || group 16 || dek_commit 32
    || u8 length, registry || u8 length, compartment || u8 length, kind || u32 length, content

All big-endian, nothing after it. `decode` accepts exactly what `encode` makes and nothing else; whatever it refuses is MALFORMED at every site.
`previous` is the record hash of the fact's last version (zeros: the first); `group` ties records of one submission together (`submission.py`).

Source: DESIGN.md section "The record"; record id: RFC 9562 section 5.7 (UUID version 7).
"""

from __future__ import annotations

import functools
import re
import struct
from typing import NamedTuple

from sento_proto import limits
from sento_proto.wire import Malformed, Reader, u8, u32

VERSION = 1
SUITE_AES256GCM = 1
"""AES-256-GCM under a DEK of its own, DEK wrapped by RFC 3394 (`sealing.py`)."""
SUITES = frozenset({SUITE_AES256GCM})
ZERO16 = bytes(16)
ZERO32 = bytes(32)

_FIXED = struct.Struct(">BBH16s16sQII32s16s32s16s32s")
FIXED_BYTES = _FIXED.size
_BYTE_FIELDS = ((0, 16), (1, 16), (5, 32), (6, 16), (7, 32), (8, 16), (9, 32))
"""(index in Header, length): `struct` would pad or cut them in silence."""
_NAME = re.compile(rb"[a-z0-9/-]{1,32}")


class Header(NamedTuple):
    """One record's header. `time_ms` is the author's clock since 1970 UTC; byte fields have the lengths of the layout above."""

    record_id: bytes
    author_key_id: bytes
    time_ms: int
    key_epoch: int
    payload_bytes: int
    subject: bytes
    fact: bytes
    previous: bytes
    group: bytes
    dek_commit: bytes
    registry: str
    compartment: str
    kind: str
    content: bytes = b""
    suite: int = SUITE_AES256GCM

    @property
    def is_first_version(self) -> bool:
        """Whether this record opens its fact."""
        return self.previous == ZERO32


@functools.lru_cache(maxsize=4096)
def _name(data: bytes, field: str) -> str:
    if not _NAME.fullmatch(data):
        raise Malformed(f"header: {field} must be 1 to 32 characters of a-z 0-9 / -")
    return data.decode("ascii")


def check_name(text: str, field: str) -> bytes:
    """The ASCII form of a registry, compartment or kind. Raises Malformed with the field's name."""
    try:
        data = text.encode("ascii")
    except UnicodeEncodeError:
        raise Malformed(f"header: {field} must be 1 to 32 characters of a-z 0-9 / -") from None
    _name(data, field)
    return data


def _check(header: Header) -> None:
    record_id, _, _, _, payload_bytes, _, _, _, _, dek_commit, registry, _, _, content, suite = header
    if suite not in SUITES:
        raise Malformed(f"header: unknown suite {suite}")
    if record_id[6] >> 4 != 7 or record_id[8] >> 6 != 2:
        raise Malformed("header: record id is not a UUID of version 7")
    if payload_bytes > limits.PAYLOAD_MAX_BYTES:
        raise Malformed(f"header: payload length {payload_bytes} is over {limits.PAYLOAD_MAX_BYTES}")
    if (payload_bytes == 0) != (dek_commit == ZERO32):
        raise Malformed("header: a record has a DEK commitment exactly when it has a payload")
    if content and registry not in limits.CLEAR_CONTENT_REGISTRIES:
        raise Malformed("header: only registries governance and keys may have clear content")


def encode(header: Header) -> bytes:
    """Header bytes. Raises Malformed when a field is outside of the layout."""
    try:
        fixed = _FIXED.pack(VERSION, header.suite, 0, *header[:10])
    except struct.error as error:
        raise Malformed(f"header: {error}") from None
    for field, size in _BYTE_FIELDS:
        if len(header[field]) != size:  # type: ignore[arg-type]  # struct.pack took it, so it is bytes
            raise Malformed(f"header: {Header._fields[field]} must have {size} bytes")
    _check(header)
    if len(header.content) > limits.CONTENT_MAX_BYTES:
        raise Malformed(f"header: content is over {limits.CONTENT_MAX_BYTES} bytes")
    names = _encode_names(header.registry, header.compartment, header.kind)
    return b"".join((fixed, names, u32(len(header.content)), header.content))


@functools.lru_cache(maxsize=4096)
def _encode_names(registry: str, compartment: str, kind: str) -> bytes:
    parts = [check_name(registry, "registry"), check_name(compartment, "compartment") if compartment else b""]
    parts.append(check_name(kind, "kind"))
    return b"".join(u8(len(part)) + part for part in parts)


class _Names(NamedTuple):
    registry: str
    compartment: str
    kind: str
    content: bytes


def _decode_names(data: bytes) -> _Names:
    """What follows the fixed part. Raises Malformed."""
    reader = Reader(data, "header")
    registry = _name(reader.take(reader.u8("registry length"), "registry"), "registry")
    size = reader.u8("compartment length")
    compartment = _name(reader.take(size, "compartment"), "compartment") if size else ""
    kind = _name(reader.take(reader.u8("kind length"), "kind"), "kind")
    content = reader.sized32("content", limits.CONTENT_MAX_BYTES)
    reader.end()
    return _Names(registry, compartment, kind, content)


_NAMES_WITHOUT_CONTENT_BYTES = 3 * (1 + limits.NAME_MAX_BYTES) + 4
_remembered_names = functools.lru_cache(maxsize=4096)(_decode_names)
"""Few combinations of names carry nearly all records, and their bytes say everything: decoding them once is enough."""


def decode(data: bytes) -> Header:
    """The header in `data`, all of it. Raises Malformed."""
    if len(data) < FIXED_BYTES:
        raise Malformed("header: ends inside the fixed part")
    fixed = _FIXED.unpack_from(data)
    version, suite, zero = fixed[:3]
    if version != VERSION:
        raise Malformed(f"header: unknown version {version}")
    if zero:
        raise Malformed("header: reserved bytes are not zero")
    rest = data[FIXED_BYTES:]
    names = (_remembered_names if len(rest) <= _NAMES_WITHOUT_CONTENT_BYTES else _decode_names)(rest)
    header = Header._make(
        fixed[3:] + names + (suite,)
    )  # concatenated in half the time, for each record that is read
    _check(header)
    return header
