"""Checkpoints: the ledger's (origin, size, root) as a signed note, and the cosignatures that make it a quorum's word.

A checkpoint's text is three lines: origin, size in decimal, root in base64. Origin is `<ledger id in hex>/<epoch>`. The proposing site signs the
text as a note (Ed25519, type 0x01). Every site that vouches for it, the proposer included, adds a cosignature, which carries a time:

    note key id        = SHA-256(name || 0x0A || type || public key)[:4]
    signature line     = "— " name " " base64(key id || signature)
    type 0x04          = u64 time s || Ed25519 over "cosignature/v1\\ntime <time>\\n" || text
    type 0x06          = u64 time s || ML-DSA-44 over "subtree/v1\\n\\0" || u8 length || name || u64 time s || u8 length || origin ||
                         u64 0 || u64 size || root                                                    (empty context)

A site that has an ML-DSA-44 key cosigns with both lines at one time, and counts only by both: whoever forges Ed25519 one day gains nothing by leaving the other
line out. Lines by keys or of types not known here are kept and not counted. Names are site names.

Source: C2SP signed-note, tlog-checkpoint, tlog-cosignature (types 0x04 and 0x06); FIPS 204.
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
from sento_proto.wire import Malformed, u8, u64

TYPE_ED25519 = 0x01
TYPE_COSIGNATURE = 0x04
TYPE_ML_DSA_44 = 0x06
_SUBTREE_LABEL = b"subtree/v1\n\0"
_ORIGIN = re.compile(r"([0-9a-f]{64})/(0|[1-9][0-9]{0,9})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_NAME = re.compile(r"[a-z0-9-]{1,32}")


class SiteKeys(NamedTuple):
    """The keys with which a site cosigns: Ed25519, and ML-DSA-44 beside it if it has one."""

    ed25519: PublicKey
    ml_dsa_44: PublicKey | None = None


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

    @property
    def origin(self) -> bytes:
        """Which ledger in which epoch: the first line without its end."""
        return b"%s/%d" % (self.ledger_id.hex().encode(), self.epoch)


class SiteSigners(NamedTuple):
    """What a site signs checkpoints with: Ed25519, and ML-DSA-44 beside it if it has such a key."""

    ed25519: Signer
    ml_dsa_44: Signer | None = None

    @property
    def keys(self) -> SiteKeys:
        """The keys that verify it."""
        second = None if self.ml_dsa_44 is None else self.ml_dsa_44.public_key
        return SiteKeys(self.ed25519.public_key, second)


class Cosignature(NamedTuple):
    """A valid cosignature of one site: when by that site's clock, and its lines."""

    time_s: int
    lines: tuple[NoteSignature, ...]


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


def subtree_bytes(checkpoint: Checkpoint, name: str, time_s: int) -> bytes:
    """What ML-DSA-44 signs. It commits to the cosigner's name and names the tree as its leaves from 0 to size."""
    cosigner, origin = name.encode("ascii"), checkpoint.origin
    named = _SUBTREE_LABEL + u8(len(cosigner)) + cosigner + u64(time_s) + u8(len(origin)) + origin
    return named + u64(0) + u64(checkpoint.size) + checkpoint.root


def cosign(checkpoint: Checkpoint, name: str, signer: Signer, time_s: int) -> NoteSignature:
    """A cosignature's line of type 0x04, with the time in seconds since 1970."""
    signature = signer.sign(_cosigned_bytes(checkpoint.text, time_s))
    return _timed_line(name, TYPE_COSIGNATURE, signer.public_key, time_s, signature)


def cosign_ml_dsa_44(checkpoint: Checkpoint, name: str, signer: Signer, time_s: int) -> NoteSignature:
    """A cosignature's line of type 0x06, with the time in seconds since 1970."""
    signature = signer.sign(subtree_bytes(checkpoint, name, time_s))
    return _timed_line(name, TYPE_ML_DSA_44, signer.public_key, time_s, signature)


def cosign_all(
    checkpoint: Checkpoint, name: str, signers: SiteSigners, time_s: int
) -> tuple[NoteSignature, ...]:
    """A site's whole cosignature: all lines that its keys demand, of one time."""
    first = cosign(checkpoint, name, signers.ed25519, time_s)
    if signers.ml_dsa_44 is None:
        return (first,)
    return first, cosign_ml_dsa_44(checkpoint, name, signers.ml_dsa_44, time_s)


def _timed_line(name: str, kind: int, key: PublicKey, time_s: int, signature: Signature) -> NoteSignature:
    return NoteSignature(name, note_key_hash(name, kind, key), u64(time_s) + signature.data)


def cosignature_of(
    checkpoint: Checkpoint, lines: Iterable[NoteSignature], site: str, keys: SiteKeys
) -> Cosignature | None:
    """The site's cosignature among `lines`, if all that its keys demand is there and verifies."""
    mine = [line for line in lines if line.name == site]
    for line in mine:
        time_s = _time_s(line, TYPE_COSIGNATURE, keys.ed25519)
        if time_s is None or not _holds(keys.ed25519, line, _cosigned_bytes(checkpoint.text, time_s)):
            continue
        if keys.ml_dsa_44 is None:
            return Cosignature(time_s, (line,))
        for second in mine:
            if _time_s(second, TYPE_ML_DSA_44, keys.ml_dsa_44) == time_s and _holds(
                keys.ml_dsa_44, second, subtree_bytes(checkpoint, site, time_s)
            ):
                return Cosignature(time_s, (line, second))
    return None


def _time_s(line: NoteSignature, kind: int, key: PublicKey) -> int | None:
    """The time in a line, if it says that it is of this type by this key."""
    if len(line.data) <= 8 or line.key_hash != note_key_hash(line.name, kind, key):
        return None
    time_s = int.from_bytes(line.data[:8], "big")
    return time_s if time_s < 1 << 63 else None


def _holds(key: PublicKey, line: NoteSignature, message: bytes) -> bool:
    return verifies(key, Signature(key.suite, line.data[8:]), message)


def cosigners(checkpoint: Checkpoint, keys: Mapping[str, SiteKeys]) -> dict[str, int]:
    """Sites in `keys` with a valid cosignature, each with its time in seconds, in the order of their first lines."""
    found: dict[str, int] = {}
    for name in dict.fromkeys(line.name for line in checkpoint.signatures):
        if name in keys:
            cosignature = cosignature_of(checkpoint, checkpoint.signatures, name, keys[name])
            if cosignature is not None:
                found[name] = cosignature.time_s
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
