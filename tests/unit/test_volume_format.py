"""A volume is whole, of whom it says, and open to its recipients, or it is refused: every byte, every cut, every exchange."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import pytest

from genesis_builder import ed25519
from sento_proto import volume as volumes
from sento_proto.keys import PublicKey
from sento_proto.pae import TYPE_VOLUME, pae
from sento_proto.seal import XWingOpener
from sento_proto.sealing import CannotOpen
from sento_proto.volume import SEGMENT_BYTES, VolumeHeader, VolumeReader, VolumeWriter, sealed_to
from sento_proto.wire import Malformed

GOLDEN = Path(__file__).parent.parent / "golden"
SIGNER = ed25519("exporter")
OPENER, STRANGER = XWingOpener(bytes(range(96))), XWingOpener(bytes(range(1, 97)))
KEY = bytes(range(32))
HEADER = VolumeHeader(
    kind="courier",
    ledger_id=bytes(range(32)),
    set_id=b"12345678",
    number=3,
    of=0,
    epoch=1,
    from_block=0,
    from_size=0,
    to_block=40,
    to_size=900,
    content="payloads",
    made_at_ms=1_767_225_600_000,
    made_by_key=SIGNER.public_key.key_id,
)
SEALED = sealed_to(HEADER, KEY, [("relief-desk", OPENER.public_key)])
CHUNKS = [b"first chunk", b"2" * SEGMENT_BYTES, b"third" * 7]


def made(header: VolumeHeader = SEALED, chunks: list[bytes] = CHUNKS) -> bytes:
    writer = VolumeWriter(header, KEY if header.recipients else None)
    parts = [writer.begin()]
    for chunk in chunks:
        parts += writer.add(chunk)
    parts += writer.finish(SIGNER)
    data = b"".join(parts)
    assert writer.size_bytes == len(data)
    return data


def read(
    data: bytes, opener: XWingOpener | None = OPENER, step: int = 1 << 20
) -> tuple[list[bytes], VolumeReader]:
    reader = VolumeReader(opener)
    chunks = [chunk for at in range(0, len(data), step) for chunk in reader.feed(data[at : at + step])]
    reader.end()
    return chunks, reader


def accepted(data: bytes, key: PublicKey = SIGNER.public_key, opener: XWingOpener | None = OPENER) -> bool:
    """Whether anybody would use these bytes."""
    try:
        _, reader = read(data, opener)
        return reader.signed_by(key)
    except (Malformed, CannotOpen):
        return False


@pytest.mark.parametrize("step", [1, 1000, SEGMENT_BYTES, 1 << 20])
@pytest.mark.parametrize("header", [HEADER, SEALED], ids=["clear", "sealed"])
def test_chunks_come_out_as_they_went_in_whatever_the_pieces(header: VolumeHeader, step: int) -> None:
    data = made(header, CHUNKS if step > 1 else [b"short"])
    chunks, reader = read(data, step=step)
    assert chunks == (CHUNKS if step > 1 else [b"short"])
    assert reader.header == header
    assert reader.signed_by(SIGNER.public_key)


@pytest.mark.parametrize("size", [0, SEGMENT_BYTES - 4, SEGMENT_BYTES - 3, 2 * SEGMENT_BYTES - 4])
def test_bodies_that_end_with_a_segment_or_are_empty_come_out(size: int) -> None:
    header = HEADER._replace(content="close", of=3) if not size else HEADER
    chunks = [b"x" * size] if size else []
    assert read(made(header, chunks))[0] == chunks


@pytest.mark.parametrize("header", [HEADER, SEALED], ids=["clear", "sealed"])
def test_every_flipped_byte_is_found(header: VolumeHeader) -> None:
    data = made(header, [b"a small chunk"])
    for at in range(len(data)):
        spoiled = bytearray(data)
        spoiled[at] ^= 0x01
        assert not accepted(bytes(spoiled), opener=None), at
    middle = bytearray(data)
    middle[-80] ^= 0x01  # within the only segment
    with pytest.raises(Malformed, match="altered") if header.recipients else contextlib.nullcontext():
        read(bytes(middle))


def test_every_cut_and_every_byte_too_many_is_found() -> None:
    data = made(SEALED, [b"a small chunk"])
    assert accepted(data)
    assert not any(accepted(data[:end], opener=None) for end in range(len(data)))
    assert not accepted(data + b"\x00")
    assert not accepted(data + data)


def segments_of(data: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Head, segments and signature of a volume."""
    at = len(volumes.MAGIC)
    at += 4 + int.from_bytes(data[at : at + 4], "big")
    head, segments, last = data[:at], [], 0
    while not last:
        last, length = data[at], int.from_bytes(data[at + 1 : at + 5], "big")
        segments.append(data[at : at + 5 + length])
        at += 5 + length
    return head, segments, data[at:]


def signed_anew(head: bytes, segments: list[bytes]) -> bytes:
    """What somebody with the maker's key, and without the volume's, could make of segments."""
    before = head + b"".join(segments)
    signature = SIGNER.sign(pae(TYPE_VOLUME, HEADER.ledger_id + hashlib.sha256(before).digest()))
    return (
        before + signature.suite.to_bytes(2, "big") + len(signature.data).to_bytes(2, "big") + signature.data
    )


def test_segments_left_out_exchanged_or_taken_from_another_volume_do_not_open() -> None:
    head, segments, _ = segments_of(made())
    assert len(segments) == 2
    assert accepted(signed_anew(head, segments)), "the helper signs what is right"
    last = b"\x01" + segments[0][1:]
    other = segments_of(made(SEALED._replace(made_at_ms=1)))[1]
    for wrong in ([segments[1]], [segments[0], segments[0], segments[1]], [last], [other[0], segments[1]]):
        assert not accepted(signed_anew(head, wrong))


def test_a_key_sealed_for_one_volume_opens_no_other() -> None:
    moved = SEALED._replace(number=4)
    with pytest.raises(CannotOpen):
        read(made(moved))


def test_a_volume_sealed_to_others_stays_closed_and_shows_its_outside() -> None:
    data = made()
    with pytest.raises(CannotOpen, match="not sealed to this key"):
        read(data, STRANGER)
    chunks, reader = read(data, None)
    assert not chunks
    assert not reader.opens
    assert reader.signed_by(SIGNER.public_key)


def test_a_seal_of_another_key_than_was_committed_to_is_refused() -> None:
    lying = sealed_to(HEADER, bytes(32), [("relief-desk", OPENER.public_key)])._replace(
        key_commit=SEALED.key_commit
    )
    with pytest.raises(CannotOpen, match="another key"):
        read(made(lying))


def test_another_signer_does_not_count() -> None:
    data = made()
    assert accepted(data)
    assert not accepted(data, ed25519("somebody").public_key)


@pytest.mark.parametrize(
    "change",
    [
        {"of": 3},
        {"content": "close"},
        {"content": "close", "of": 4},
        {"from_block": 41},
        {"from_size": 901},
        {"number": 0},
        {"kind": "suitcase"},
        {"key_commit": b""},
        {"recipients": ()},
    ],
    ids=str,
)
def test_headers_that_contradict_themselves_are_not_made(change: dict[str, object]) -> None:
    with pytest.raises((Malformed, ValueError)):
        VolumeWriter(SEALED._replace(**change), KEY)  # type: ignore[arg-type]


@pytest.mark.parametrize("changed", [b' "kind"', b'"kind" ', b'"kinds"'])
def test_a_header_has_one_form(changed: bytes) -> None:
    head, segments, _ = segments_of(made(HEADER))
    body = head[len(volumes.MAGIC) + 4 :].replace(b'"kind"', changed)
    again = volumes.MAGIC + len(body).to_bytes(4, "big") + body
    assert not accepted(signed_anew(again, segments))


def test_lengths_beyond_every_volume_are_refused_before_they_are_waited_for() -> None:
    reader = VolumeReader(None)
    with pytest.raises(Malformed, match="header over"):
        list(reader.feed(volumes.MAGIC + b"\xff\xff\xff\xff"))
    head, _, _ = segments_of(made(HEADER))
    with pytest.raises(Malformed, match="length"):
        list(VolumeReader(None).feed(head + b"\x00\xff\xff\xff\xff"))
    with pytest.raises(Malformed, match="length"):
        list(VolumeReader(None).feed(head + b"\x01\x00\x00\x00\x04\xff\xff\xff\xff"))


def test_golden_volumes_are_read_and_made_as_ever() -> None:
    clear = bytes.fromhex((GOLDEN / "volume_clear.hex").read_text())
    assert made(HEADER, [b"golden", b"volume"]) == clear
    sealed = bytes.fromhex((GOLDEN / "volume_sealed.hex").read_text())
    chunks, reader = read(sealed)
    assert chunks == [b"golden", b"volume"]
    assert reader.signed_by(SIGNER.public_key)
    assert reader.header is not None
    assert reader.header._replace(recipients=(), key_commit=b"") == HEADER
