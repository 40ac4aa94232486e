"""Checkpoints: the ledger's (origin, size, root) as a signed note, and the cosignatures that make it a quorum's word.

A checkpoint's text is three lines: origin, size in decimal, root in base64. Origin is `<ledger id in hex>/<epoch>`. The proposing site signs the
text as a note (Ed25519, type 0x01). Every site that vouches for it, the proposer included, adds a cosignature (type 0x04), which carries a time:

    note key id        = SHA-256(name || 0x0A || type || public key)[:4]
    signature line     = "— " name " " base64(key id || signature)
    cosignature        = u64 time s || Ed25519 over "cosignature/v1\\ntime <time>\\n" || text

Lines by keys or of types not known here are kept and not counted (type 0x06, ML-DSA-44, will stand beside). Names are site names.

Source: C2SP signed-note, tlog-checkpoint, tlog-cosignature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sento_proto import limits
from sento_proto.keys import PublicKey, Signature, Signer, Suite, verifies
from sento_proto.wire import Malformed, u64

TYPE_ED25519 = 0x01
TYPE_COSIGNATURE = 0x04
_ORIGIN = re.compile(r"([0-9a-f]{64})/(0|[1-9][0-9]{0,9})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_NAME = re.compile(r"[a-z0-9-]{1,32}")


class NoteSignature(NamedTuple):
    """One signature line: who by name, the key id's four bytes, and what follows them."""

    name: str
    key_hash: bytes
    data: bytes


class Checkpoint(NamedTuple):
    """A tree head of one ledger in one epoch, with the signature lines under it."""

    ledger_id: bytes
    epoch: int
    size: int
    root: bytes
    signatures: tuple[NoteSignature, ...] = ()

    @property
    def text(self) -> bytes:
        """What is signed: the three lines."""
        return checkpoint_text(self.ledger_id, self.epoch, self.size, self.root)


class Cosigner(NamedTuple):
    """A valid cosignature: which site, and when by that site's clock."""

    site: str
    time_s: int


def checkpoint_text(ledger_id: bytes, epoch: int, size: int, root: bytes) -> bytes:
    """Origin, size, root, each on a line."""
    return b"%s/%d\n%d\n%s\n" % (ledger_id.hex().encode(), epoch, size, base64.b64encode(root))


def note_key_hash(name: str, kind: int, key: PublicKey) -> bytes:
    """SHA-256(name || 0x0A || type || public key)[:4]."""
    return hashlib.sha256(name.encode("ascii") + b"\n" + bytes((kind,)) + key.data).digest()[:4]


def sign_note(checkpoint: Checkpoint, name: str, signer: Signer) -> NoteSignature:
    """The proposer's own signature, type 0x01."""
    key = signer.public_key
    return NoteSignature(name, note_key_hash(name, TYPE_ED25519, key), signer.sign(checkpoint.text).data)


def _cosigned_bytes(text: bytes, time_s: int) -> bytes:
    return b"cosignature/v1\ntime %d\n" % time_s + text


def cosign(checkpoint: Checkpoint, name: str, signer: Signer, time_s: int) -> NoteSignature:
    """A cosignature, type 0x04, with the time in seconds since 1970."""
    data = u64(time_s) + signer.sign(_cosigned_bytes(checkpoint.text, time_s)).data
    return NoteSignature(name, note_key_hash(name, TYPE_COSIGNATURE, signer.public_key), data)


def cosigner_of(
    checkpoint: Checkpoint, line: NoteSignature, keys: Mapping[str, PublicKey]
) -> Cosigner | None:
    """Who cosigned with this line, if it is a valid cosignature by a site in `keys`."""
    key = keys.get(line.name)
    if (
        key is None
        or len(line.data) != 72
        or line.key_hash != note_key_hash(line.name, TYPE_COSIGNATURE, key)
    ):
        return None
    time_s = int.from_bytes(line.data[:8], "big")
    signature = Signature(Suite.ED25519, line.data[8:])
    if not verifies(key, signature, _cosigned_bytes(checkpoint.text, time_s)):
        return None
    return Cosigner(line.name, time_s)


def cosigners(checkpoint: Checkpoint, keys: Mapping[str, PublicKey]) -> dict[str, int]:
    """Sites in `keys` with a valid cosignature, each with its time in seconds."""
    found: dict[str, int] = {}
    for line in checkpoint.signatures:
        cosigner = cosigner_of(checkpoint, line, keys)
        if cosigner is not None:
            found.setdefault(cosigner.site, cosigner.time_s)
    return found


def note_signature_holds(checkpoint: Checkpoint, name: str, key: PublicKey) -> bool:
    """Whether the site `name` signed the note itself (type 0x01)."""
    wanted = note_key_hash(name, TYPE_ED25519, key)
    return any(
        line.name == name
        and line.key_hash == wanted
        and verifies(key, Signature(Suite.ED25519, line.data), checkpoint.text)
        for line in checkpoint.signatures
    )


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The note: text, empty line, signature lines."""
    return checkpoint.text + b"\n" + b"".join(map(encode_signature_line, checkpoint.signatures))


def encode_signature_line(line: NoteSignature) -> bytes:
    """`— name base64(key id || signature)` with its newline."""
    return f"— {line.name} {base64.b64encode(line.key_hash + line.data).decode()}\n".encode()


def decode_checkpoint(data: bytes) -> Checkpoint:
    """The checkpoint in `data`, form only: no signature is verified. Raises Malformed."""
    if len(data) > limits.CHECKPOINT_MAX_BYTES:
        raise Malformed(f"checkpoint: over {limits.CHECKPOINT_MAX_BYTES} bytes")
    try:
        text, separator, rest = data.decode("utf-8").partition("\n\n")
    except UnicodeDecodeError:
        raise Malformed("checkpoint: not UTF-8") from None
    lines = text.split("\n")
    if not separator or len(lines) != 3:
        raise Malformed("checkpoint: not three lines and an empty one")
    origin = _ORIGIN.fullmatch(lines[0])
    if origin is None or int(origin[2]) > 0xFFFFFFFF:
        raise Malformed("checkpoint: the origin is not <ledger id>/<epoch>")
    if not _SIZE.fullmatch(lines[1]):
        raise Malformed("checkpoint: the size is not a decimal number")
    root = _base64(lines[2], "root")
    if len(root) != 32:
        raise Malformed("checkpoint: the root does not have 32 bytes")
    return Checkpoint(
        bytes.fromhex(origin[1]), int(origin[2]), int(lines[1]), root, tuple(_decode_lines(rest))
    )


def _decode_lines(rest: str) -> Iterable[NoteSignature]:
    if rest and not rest.endswith("\n"):
        raise Malformed("checkpoint: the last line has no end")
    lines = rest.split("\n")[:-1]
    if len(lines) > limits.CHECKPOINT_MAX_SIGNATURES:
        raise Malformed(f"checkpoint: over {limits.CHECKPOINT_MAX_SIGNATURES} signature lines")
    for line in lines:
        yield decode_signature_line(line)


def decode_signature_line(line: str) -> NoteSignature:
    """One signature line without its newline. Raises Malformed."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—" or not _NAME.fullmatch(name):
        raise Malformed("checkpoint: a signature line is not '— name base64'")
    blob = _base64(encoded, "signature")
    if len(blob) < 5:
        raise Malformed("checkpoint: a signature is too short")
    return NoteSignature(name, blob[:4], blob[4:])


def _base64(text: str, field: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(f"checkpoint: the {field} is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise Malformed(f"checkpoint: the {field} is not in its one base64 form")
    return data


def merge_signatures(checkpoint: Checkpoint, lines: Iterable[NoteSignature]) -> Checkpoint:
    """The same checkpoint with more lines; the first line of each (name, key) stays.

    Nothing is verified here: merge only lines whose cosignature holds, or a false line keeps out the true one."""
    merged: dict[tuple[str, bytes], NoteSignature] = {}
    for line in (*checkpoint.signatures, *lines):
        merged.setdefault((line.name, line.key_hash), line)
    return checkpoint._replace(signatures=tuple(merged.values()))
