"""A volume: one file of a copy of the ledger that travels by hand or lies in a cupboard. It proves who made it, and is closed to everybody but its recipients.

    volume    = "sento-volume-1\\n" || u32 len, header || segments || u16 suite || u16 len, signature
    header    JSON, in clear: format, kind (courier, backup), ledger_id, set, number (from 1), of (0: more follow), epoch, from_block, from_size, to_block,
              to_size (what the set holds), content, made_at_ms, made_by_key, key_commit, recipients [{name, seal}] (none: the segments are in clear)
    segment   = u8 last (0, 1) || u32 len || data; 64 KiB of the body each, only the last one shorter
    body      = n x (u32 len || chunk of `chunk.py`)
    sealed    data is AES-256-GCM under the volume's own key, nonce = u88 counter || u8 last, AAD = SHA-256(header): no segment can be changed, left out,
              repeated, put elsewhere or after the end. The key is sealed to each recipient by HPKE (`seal.py`) for this ledger, set and number alone.
    signature PAE("application/vnd.sento.volume.v1", ledger id || SHA-256(everything before the signature))

A chunk lies in one volume whole, so that each volume is of use without the others. Only the closing volume of a set says how many there are (`of`, its own
number): how many it would take was not known before. GCM does not commit to its key, so the header does, and two recipients cannot be shown two contents.
Neither side ever holds more than a segment and a chunk in memory. Pure.

Source: the segments are the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015); RFC 9180 for the seals.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sento_proto.chunk import CHUNK_MAX_BYTES
from sento_proto.keys import KEY_ID_BYTES, PublicKey, Signature, Signer, verifies
from sento_proto.pae import TYPE_VOLUME, pae
from sento_proto.seal import SealOpener, decode_seal, open_parts, seal
from sento_proto.sealing import CannotOpen
from sento_proto.strict_json import Fields, load
from sento_proto.wire import Malformed, Reader, u8, u16, u32

MAGIC = b"sento-volume-1\n"
FORMAT = "sento-volume-1"
KINDS = ("courier", "backup")
CONTENTS = ("spine", "payloads", "close")
"""What a volume holds: blocks, payloads, or nothing: the end of its set."""
SEGMENT_BYTES = 64 * 1024
KEY_BYTES = 32
SET_ID_BYTES = 8
HEADER_MAX_BYTES = 1024 * 1024
RECIPIENTS_MAX = 256
VOLUMES_MAX = 1_000_000
SIGNATURE_MAX_BYTES = 16 * 1024
_TAG_BYTES = 16
_HASH_BYTES = 32
_SIZE_MAX = 2**63 - 1
_HASH = re.compile(r"[0-9a-f]{64}")
_RECIPIENT = re.compile(r"[a-z0-9][a-z0-9./-]{0,63}")


class Recipient(NamedTuple):
    """For whom a volume is sealed: a name for people, and the seal of the volume's key."""

    name: str
    seal: bytes


class VolumeHeader(NamedTuple):
    """What a volume says of itself in clear. `set_id`: 8 bytes, one for each export; `of`: how many volumes the set has, 0 in all but the closing one.

    The set holds the blocks in (from_block, to_block] with the records [from_size, to_size); `made_by_key` is the id of the key that signs."""

    kind: str
    ledger_id: bytes
    set_id: bytes
    number: int
    of: int
    epoch: int
    from_block: int
    from_size: int
    to_block: int
    to_size: int
    content: str
    made_at_ms: int
    made_by_key: bytes
    key_commit: bytes = b""
    recipients: tuple[Recipient, ...] = ()


def volume_name(set_id: bytes, number: int) -> str:
    """The name of a volume's file."""
    return f"{set_id.hex()}-{number:05}.sento-volume"


def label_of(header: VolumeHeader) -> str:
    """The number on a volume's label, as sites note it and certificates name it."""
    return f"{header.set_id.hex()}-{header.number:05}"


def volume_info(ledger_id: bytes, set_id: bytes, number: int) -> bytes:
    """What binds the seal of a volume's key to this volume."""
    return b"sento volume v1" + ledger_id + set_id + u32(number)


def key_commitment(key: bytes) -> bytes:
    """SHA-256("sento volume key v1" || key)."""
    return hashlib.sha256(b"sento volume key v1" + key).digest()


def sealed_to(header: VolumeHeader, key: bytes, recipients: Sequence[tuple[str, bytes]]) -> VolumeHeader:
    """The header with the volume's key sealed to each (name, public key). Raises Malformed when one of them is no key."""
    info = volume_info(header.ledger_id, header.set_id, header.number)
    seals = tuple(Recipient(name, seal(key, info, public)) for name, public in recipients)
    return header._replace(key_commit=key_commitment(key), recipients=seals)


def opened_key(header: VolumeHeader, opener: SealOpener) -> bytes:
    """The volume's key. Raises CannotOpen when none of the seals is to this key, or what it seals is not the key that was committed to; Malformed."""
    info = volume_info(header.ledger_id, header.set_id, header.number)
    for recipient in header.recipients:
        parts = decode_seal(recipient.seal)
        if parts.recipient_key_id != opener.recipient_key_id:
            continue
        key = open_parts(parts, info, opener)
        if key_commitment(key) != header.key_commit:
            raise CannotOpen("The seal holds another key than the volume was closed with.")
        return key
    raise CannotOpen("The volume is not sealed to this key.")


def _signed(ledger_id: bytes, digest: bytes) -> bytes:
    return pae(TYPE_VOLUME, ledger_id + digest)


def _encode_header(header: VolumeHeader) -> bytes:
    fields = header._asdict()
    value: dict[str, object] = {"format": FORMAT}
    for name, inner in fields.items():
        value["set" if name == "set_id" else name] = inner.hex() if isinstance(inner, bytes) else inner
    value["recipients"] = [{"name": one.name, "seal": one.seal.hex()} for one in header.recipients]
    return json.dumps(value, separators=(",", ":")).encode()


def decode_header(data: bytes) -> VolumeHeader:
    """The header in JSON, in its one form. Raises Malformed."""
    fields = load(data, "volume")
    fields.choice("format", (FORMAT,))
    header = VolumeHeader(
        kind=fields.choice("kind", KINDS),
        ledger_id=fields.hex("ledger_id", _HASH_BYTES),
        set_id=fields.hex("set", SET_ID_BYTES),
        number=fields.number("number", 1, VOLUMES_MAX),
        of=fields.number("of", 0, VOLUMES_MAX),
        epoch=fields.number("epoch", 0, 2**32 - 1),
        from_block=fields.number("from_block", 0, _SIZE_MAX),
        from_size=fields.number("from_size", 0, _SIZE_MAX),
        to_block=fields.number("to_block", 0, _SIZE_MAX),
        to_size=fields.number("to_size", 0, _SIZE_MAX),
        content=fields.choice("content", CONTENTS),
        made_at_ms=fields.number("made_at_ms", 0, _SIZE_MAX),
        made_by_key=fields.hex("made_by_key", KEY_ID_BYTES),
        key_commit=_commit(fields),
        recipients=fields.objects("recipients", _recipient),
    )
    fields.end()
    _check(header)
    if _encode_header(header) != data:
        raise Malformed("volume: the header is not in its one form")
    return header


def _commit(fields: Fields) -> bytes:
    text = fields.text("key_commit")
    if text and not _HASH.fullmatch(text):
        raise fields.wrong("key_commit", "must be 64 characters of 0-9 a-f, or empty")
    return bytes.fromhex(text)


def _recipient(fields: Fields) -> Recipient:
    name, text = fields.text("name"), fields.text("seal")
    if not _RECIPIENT.fullmatch(name):
        raise fields.wrong("name", "must be 1 to 64 characters of a-z 0-9 . / -")
    if not re.fullmatch(r"([0-9a-f]{2})+", text):
        raise fields.wrong("seal", "must be lower-case hex")
    sealed = bytes.fromhex(text)
    decode_seal(sealed)
    return Recipient(name, sealed)


def _check(header: VolumeHeader) -> None:
    if header.from_block > header.to_block or header.from_size > header.to_size:
        raise Malformed("volume: its set ends before it begins")
    if (header.content == "close") != (header.of != 0) or header.of not in (0, header.number):
        raise Malformed("volume: the closing volume, and no other, says how many there are")
    if len(header.recipients) > RECIPIENTS_MAX or bool(header.recipients) != bool(header.key_commit):
        raise Malformed("volume: recipients and the key's commitment do not belong together")


class VolumeWriter:
    """Makes one volume's bytes, piece by piece: `begin`, `add` for each chunk, `finish`. `key`: of 32 bytes, fresh; None for a volume in clear."""

    def __init__(self, header: VolumeHeader, key: bytes | None) -> None:
        if (key is None) == bool(header.recipients):
            raise ValueError("a key is for recipients, and recipients need a key")
        self._header = header
        encoded = _encode_header(header)
        decode_header(encoded)
        self._begin = MAGIC + u32(len(encoded)) + encoded
        self._aad = hashlib.sha256(encoded).digest()
        self._gcm = None if key is None else AESGCM(key)
        self._digest = hashlib.sha256()
        self._pending = bytearray()
        self._counter = 0
        self.size_bytes = 0
        """How many bytes were given out so far."""

    def begin(self) -> bytes:
        """The first bytes."""
        return self._out(self._begin)

    def add(self, chunk: bytes) -> Iterator[bytes]:
        """The bytes that can be written once this chunk is known. Take all of them before the next call."""
        if not 0 < len(chunk) <= CHUNK_MAX_BYTES:
            raise ValueError(f"a chunk has 1 to {CHUNK_MAX_BYTES} bytes")
        self._pending += u32(len(chunk))
        view, at = memoryview(chunk), 0
        while at < len(chunk):
            room = SEGMENT_BYTES - len(self._pending)
            if room <= 0:
                yield self._segment(last=False)
                continue
            self._pending += view[at : at + room]
            at += room

    def finish(self, signer: Signer) -> Iterator[bytes]:
        """The last bytes, with the signature."""
        while len(self._pending) > SEGMENT_BYTES:
            yield self._segment(last=False)
        yield self._segment(last=True)
        signature = signer.sign(_signed(self._header.ledger_id, self._digest.digest()))
        yield self._out(u16(signature.suite) + u16(len(signature.data)) + signature.data)

    def _segment(self, *, last: bool) -> bytes:
        plain = bytes(self._pending[:SEGMENT_BYTES])
        del self._pending[:SEGMENT_BYTES]
        nonce = _nonce(self._counter, last)
        data = plain if self._gcm is None else self._gcm.encrypt(nonce, plain, self._aad)
        self._counter += 1
        return self._out(u8(last) + u32(len(data)) + data)

    def _out(self, data: bytes) -> bytes:
        self._digest.update(data)
        self.size_bytes += len(data)
        return data


def _nonce(counter: int, last: bool) -> bytes:
    return counter.to_bytes(11, "big") + u8(last)


class VolumeReader:
    """Takes a volume's bytes in pieces of any size and gives its chunks. With `opener` None a sealed volume is looked at from outside alone: header, form,
    signature.

    What `feed` gives is not proven to be of whom it says before `end` has returned and `signed_by` says yes: a chunk has to prove itself anyway."""

    def __init__(self, opener: SealOpener | None) -> None:
        self._opener = opener
        self._buffer = bytearray()
        self._body = bytearray()
        self._digest = hashlib.sha256()
        self._header: VolumeHeader | None = None
        self._aad = b""
        self._gcm: AESGCM | None = None
        self._opens = False
        self._counter = 0
        self._last = False
        self._signature: Signature | None = None

    @property
    def header(self) -> VolumeHeader | None:
        """The header, once its bytes were there."""
        return self._header

    @property
    def opens(self) -> bool:
        """Whether the chunks can be read: the volume is in clear, or its key was opened."""
        return self._opens

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The chunks that are complete with these bytes. Raises Malformed; CannotOpen when the volume is sealed to others than `opener`, or was altered."""
        self._buffer += data
        if self._header is None and not self._take_header():
            return
        while not self._last and (segment := self._take_segment()) is not None:
            self._body += segment
            yield from self._chunks()
        if self._last and len(self._buffer) > 4 + SIGNATURE_MAX_BYTES:
            raise Malformed("volume: bytes after the end")

    def end(self) -> bytes:
        """All bytes were given: SHA-256 of the file. Raises Malformed when it is not whole."""
        if self._header is None or not self._last:
            raise Malformed("volume: it ends before its last segment")
        if self._body:
            raise Malformed("volume: it ends inside a chunk")
        reader = Reader(bytes(self._buffer), "volume's signature")
        suite, length = reader.u16("suite"), reader.u16("length")
        self._signature = Signature(suite, reader.take(length, "signature"))
        reader.end()
        whole = self._digest.copy()
        whole.update(self._buffer)
        return whole.digest()

    def signed_by(self, key: PublicKey) -> bool:
        """Whether the key made the signature; after `end`."""
        if self._header is None or self._signature is None:
            raise ValueError("the volume is not read to its end")
        message = _signed(self._header.ledger_id, self._digest.digest())
        return key.key_id == self._header.made_by_key and verifies(key, self._signature, message)

    def _take_header(self) -> bool:
        start = len(MAGIC) + 4
        if bytes(self._buffer[: len(MAGIC)]) != MAGIC[: len(self._buffer)]:
            raise Malformed("volume: it does not begin as a volume does")
        if len(self._buffer) < start:
            return False
        length = int.from_bytes(self._buffer[len(MAGIC) : start], "big")
        if length > HEADER_MAX_BYTES:
            raise Malformed(f"volume: a header over {HEADER_MAX_BYTES} bytes")
        if len(self._buffer) < start + length:
            return False
        encoded = bytes(self._buffer[start : start + length])
        self._header = decode_header(encoded)
        self._aad = hashlib.sha256(encoded).digest()
        self._consume(start + length)
        if not self._header.recipients:
            self._opens = True
        elif self._opener is not None:
            self._gcm = AESGCM(opened_key(self._header, self._opener))
            self._opens = True
        return True

    def _take_segment(self) -> bytes | None:
        """The plaintext of the next segment; empty for one that cannot be opened here; None while its bytes are not all there."""
        if len(self._buffer) < 5:
            return None
        last, length = self._buffer[0], int.from_bytes(self._buffer[1:5], "big")
        tag = _TAG_BYTES if self._header is not None and self._header.recipients else 0
        if (
            last > 1
            or length < tag
            or length > SEGMENT_BYTES + tag
            or (not last and length != SEGMENT_BYTES + tag)
        ):
            raise Malformed("volume: a segment of another length than segments have")
        if last and length == tag and self._counter:
            raise Malformed("volume: an empty segment at the end of a body that needs none")
        if len(self._buffer) < 5 + length:
            return None
        data = bytes(self._buffer[5 : 5 + length])
        self._consume(5 + length)
        nonce = _nonce(self._counter, bool(last))
        self._counter, self._last = self._counter + 1, bool(last)
        if not self._opens:
            return b""
        if self._gcm is None:
            return data
        try:
            return self._gcm.decrypt(nonce, data, self._aad)
        except InvalidTag:
            raise Malformed("volume: a segment was altered or is out of its place") from None

    def _consume(self, count: int) -> None:
        self._digest.update(self._buffer[:count])
        del self._buffer[:count]

    def _chunks(self) -> Iterator[bytes]:
        while len(self._body) >= 4:
            length = int.from_bytes(self._body[:4], "big")
            if not 0 < length <= CHUNK_MAX_BYTES:
                raise Malformed("volume: a chunk of a length that no chunk has")
            if len(self._body) < 4 + length:
                return
            chunk = bytes(self._body[4 : 4 + length])
            del self._body[: 4 + length]
            yield chunk
