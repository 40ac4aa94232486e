"""Headers and payload frames that every decoder must refuse, each under the name of its fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from golden_vectors.ground import Group, RawHeader, digest, hexed, number, record_id, sized, truncations

GOOD = RawHeader()
GOVERNANCE = replace(GOOD, registry=b"governance", kind=b"act")
_COMMIT = digest("commit")

_BAD_NAMES = (
    ("an upper-case letter", b"Residency"),
    ("an underscore", b"resi_dency"),
    ("a space", b"resi dency"),
    ("a full stop", b"resi.dency"),
    ("a star", b"*"),
    ("a colon", b"a:b"),
    ("a zero byte", b"resi\x00dency"),
    ("a line feed at its end", b"residency\n"),
    ("a carriage return", b"residency\r"),
    ("a backslash", b"a\\b"),
    ("the character before a digit's range but after the slash's", b"a\x2eb"),
    ("the character after nine", b"a:"),
    ("the character before a", b"a`"),
    ("the character after z", b"a{"),
    ("a byte over 127", b"resi\x80dency"),
    ("Latin-1", b"r\xe9sidence"),
    ("a full-width digit", "resi１".encode()),
    ("kanji", "住民".encode()),
    ("a byte order mark", b"\xef\xbb\xbfresidency"),
    ("33 characters", b"a" * 33),
    ("255 characters", b"a" * 255),
)


def _with_id(at: int, value: int) -> RawHeader:
    changed = bytearray(record_id(0))
    changed[at] = value
    return replace(GOOD, record_id=bytes(changed))


def _fixed_part() -> Iterator[tuple[str, bytes]]:
    rid = record_id(0)
    sealed = replace(GOOD, payload_bytes=320, dek_commit=_COMMIT)
    changes = (
        ("version 0", replace(GOOD, version=0)),
        ("version 2", replace(GOOD, version=2)),
        ("version 255", replace(GOOD, version=255)),
        ("suite 0", replace(GOOD, suite=0)),
        ("suite 2", replace(GOOD, suite=2)),
        ("suite 255", replace(GOOD, suite=255)),
        ("reserved first byte set", replace(GOOD, reserved=0x0100)),
        ("reserved second byte set", replace(GOOD, reserved=0x0001)),
        ("record id of UUID version 0", _with_id(6, rid[6] & 0x0F)),
        ("record id of UUID version 1", _with_id(6, 0x10 | rid[6] & 0x0F)),
        ("record id of UUID version 4", _with_id(6, 0x40 | rid[6] & 0x0F)),
        ("record id of UUID version 6", _with_id(6, 0x60 | rid[6] & 0x0F)),
        ("record id of UUID version 8", _with_id(6, 0x80 | rid[6] & 0x0F)),
        ("record id of UUID version 15", _with_id(6, 0xF0 | rid[6] & 0x0F)),
        ("record id of the NCS variant", _with_id(8, rid[8] & 0x3F)),
        ("record id of the variant next to the NCS one", _with_id(8, 0x40 | rid[8] & 0x3F)),
        ("record id of the Microsoft variant", _with_id(8, 0xC0 | rid[8] & 0x1F)),
        ("record id of the future variant", _with_id(8, 0xE0 | rid[8] & 0x1F)),
        ("record id nil", replace(GOOD, record_id=bytes(16))),
        ("record id all ones", replace(GOOD, record_id=b"\xff" * 16)),
        ("payload one byte over 32 KiB", replace(sealed, payload_bytes=32 * 1024 + 1)),
        ("payload of 4 GiB", replace(sealed, payload_bytes=2**32 - 1)),
        ("DEK commitment without payload", replace(GOOD, dek_commit=_COMMIT)),
        ("DEK commitment of one bit without payload", replace(GOOD, dek_commit=bytes(31) + b"\x01")),
        ("payload without DEK commitment", replace(sealed, dek_commit=bytes(32))),
        ("a fixed field one byte short", replace(GOOD, subject=GOOD.subject[1:])),
        ("a fixed field one byte long", replace(GOOD, subject=GOOD.subject + b"\x00")),
    )
    for fault, header in changes:
        yield fault, header.encoded()


def _names() -> Iterator[tuple[str, bytes]]:
    for field in ("registry", "compartment", "kind"):
        for fault, name in _BAD_NAMES:
            yield f"{field} with {fault}", replace(GOOD, **{field: name}).encoded()  # type: ignore[arg-type]
    yield "registry empty", replace(GOOD, registry=b"").encoded()
    yield "kind empty", replace(GOOD, kind=b"").encoded()
    yield "all names empty", replace(GOOD, registry=b"", kind=b"").encoded()


def _content() -> Iterator[tuple[str, bytes]]:
    changes = (
        ("content in clear in residency", replace(GOOD, content=b"x")),
        (
            "content in clear in a registry that only begins like governance",
            replace(GOVERNANCE, registry=b"governance/x", content=b"x"),
        ),
        (
            "content in clear in a registry that only begins like keys",
            replace(GOOD, registry=b"keys-2", content=b"x"),
        ),
        (
            "content in clear in a compartment named governance",
            replace(GOOD, compartment=b"governance", content=b"x"),
        ),
        ("content one byte over 16 KiB", replace(GOVERNANCE, content=b"x" * (16 * 1024 + 1))),
        ("content length one too large", replace(GOVERNANCE, content=b"{}", content_bytes=3)),
        ("content length one too small", replace(GOVERNANCE, content=b"{}", content_bytes=1)),
        ("content length of 4 GiB", replace(GOVERNANCE, content=b"{}", content_bytes=2**32 - 1)),
        ("content length as if little-endian", replace(GOVERNANCE, content=b"{}", content_bytes=0x02000000)),
    )
    for fault, header in changes:
        yield fault, header.encoded()
    yield "one byte after the end", GOOD.encoded() + b"\x00"
    yield "a second header after the end", GOOD.encoded() * 2
    yield "behind a length", sized(GOOD.encoded())


def headers() -> Group:
    """Headers to refuse."""
    whole = replace(GOVERNANCE, compartment=b"a/b", content=b'{"rules":1}')
    cases = [*truncations(whole.fields()), *_fixed_part(), *_names(), *_content()]
    return [{"name": fault, "bytes": hexed(data)} for fault, data in cases]


def _payload(wrapped: bytes, tags: bytes, ciphertext: bytes) -> bytes:
    return sized(wrapped) + sized(tags) + ciphertext


def payloads() -> Group:
    """Payload frames to refuse, each behind no header at all: the frame alone says that it is wrong."""
    wrapped, tag, ciphertext = digest("wrapped", 40), digest("tag", 4), digest("ciphertext", 272)
    fields = [
        ("wrapped DEK length", number(40, 4)),
        ("wrapped DEK", wrapped),
        ("tags length", number(8, 4)),
        ("tags", tag * 2),
        ("ciphertext", ciphertext),
    ]
    cases = [
        *truncations(fields),
        ("wrapped DEK missing", _payload(b"", tag, ciphertext)),
        ("wrapped DEK of a 16-byte key", _payload(wrapped[:24], tag, ciphertext)),
        ("wrapped DEK one byte short", _payload(wrapped[:39], tag, ciphertext)),
        ("wrapped DEK one byte long", _payload(wrapped + b"\x00", tag, ciphertext)),
        ("wrapped DEK length of 4 GiB", number(2**32 - 1, 4) + wrapped + sized(tag) + ciphertext),
        ("tags of three bytes", _payload(wrapped, tag[:3], ciphertext)),
        ("tags of five bytes", _payload(wrapped, tag + b"\x00", ciphertext)),
        ("65 tags", _payload(wrapped, tag * 65, ciphertext)),
        ("tags length of 4 GiB", sized(wrapped) + number(2**32 - 1, 4) + tag + ciphertext),
        ("no ciphertext", _payload(wrapped, b"", b"")),
        ("ciphertext of the GCM tag alone", _payload(wrapped, b"", ciphertext[:16])),
        ("ciphertext without GCM tag", _payload(wrapped, b"", ciphertext[:256])),
        ("ciphertext one byte short of its class", _payload(wrapped, b"", ciphertext[:271])),
        ("ciphertext one byte over its class", _payload(wrapped, b"", ciphertext + b"\x00")),
        ("ciphertext between two classes", _payload(wrapped, b"", bytes(384 + 16))),
        ("ciphertext of 32 KiB", _payload(wrapped, b"", bytes(32 * 1024 + 16))),
        ("ciphertext one byte over the largest class", _payload(wrapped, b"", bytes(30 * 1024 + 17))),
    ]
    return [{"name": fault, "bytes": hexed(data)} for fault, data in cases]
