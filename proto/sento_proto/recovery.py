"""Byte layouts of threshold recovery: a share, what is sealed to whom, and the payload of the act that sets a recovery key.

A year's recovery key is an X-Wing key expanded from a 32-byte seed. Officers hold shares of the seed, each sealed to its officer and the deputy; the
act commits to every share and names the public key, so that a wrong share is known by its index and a wrong result by itself.

    secret     = SHAKE256(seed, 96)              = ML-KEM-768 seed 64 || X25519 key 32
    share      = u8 1 || ceremony id 16 || u8 threshold || u8 index || value 32
    commitment = SHA-256("sento share v1" || share)
    info       = "sento share v1" || ledger id || ceremony id || u8 index || u8 len, holder                 seal of a share
    info       = "sento registry key v1" || ledger id || u8 kind || u8 len, registry                        seal of a registry's key
    payload    = u8 1 || ceremony id 16 || u16 count || count × (u8 kind || u8 len, name || u16 len, seal)

The payload is bound to its act by the record hash; nobody needs to read it to apply the act.

Source: draft-connolly-cfrg-xwing-kem section 5.2 (key expansion); RFC 9180 (info).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from sento_proto.limits import KIB
from sento_proto.seal import XWING_SECRET_BYTES, xwing_public
from sento_proto.shamir import SHARES_MAX
from sento_proto.wire import Malformed, Reader, u8, u16

FORMAT_SHARE = 1
FORMAT_PAYLOAD = 1
SEED_BYTES = 32
CEREMONY_ID_BYTES = 16
SHARE_BYTES = 1 + CEREMONY_ID_BYTES + 1 + 1 + SEED_BYTES
COMMITMENT_BYTES = 32
REGISTRY_KEY_BYTES = 32
HOLDER_MAX_BYTES = 64
PAYLOAD_MAX_BYTES = 30 * KIB
"""Longest payload of a set-recovery-key act; a record's payload has room for 32 KiB."""
SEALED_MAX_BYTES = 4 * KIB
ENTRIES_MAX = 256


class EntryKind(IntEnum):
    """What one entry of the payload holds. Numbers are part of HPKE infos and never change."""

    OFFICER_SHARE = 1
    DEPUTY_SHARE = 2
    PSEUDONYM_KEY = 3
    INDEX_KEY = 4


SHARE_KINDS = frozenset({EntryKind.OFFICER_SHARE, EntryKind.DEPUTY_SHARE})
REGISTRY_KEY_KINDS = frozenset({EntryKind.PSEUDONYM_KEY, EntryKind.INDEX_KEY})


@dataclass(frozen=True, slots=True, repr=False)
class RecoveryShare:
    """One share of a recovery key's seed; secret, so its repr shows only whose it is. `value`: 32 bytes."""

    ceremony_id: bytes
    threshold: int
    index: int
    value: bytes

    def __repr__(self) -> str:
        return f"RecoveryShare(ceremony {self.ceremony_id.hex()[:8]}, index {self.index})"

    def encode(self) -> bytes:
        """The 51 bytes of the layout. Raises ValueError when a field does not fit."""
        if len(self.ceremony_id) != CEREMONY_ID_BYTES or len(self.value) != SEED_BYTES:
            raise ValueError("a share has a ceremony id of 16 bytes and a value of 32")
        if not 1 <= self.index <= SHARES_MAX or not 1 <= self.threshold <= SHARES_MAX:
            raise ValueError(f"a share's index and threshold are from 1 to {SHARES_MAX}")
        return u8(FORMAT_SHARE) + self.ceremony_id + u8(self.threshold) + u8(self.index) + self.value

    @property
    def commitment(self) -> bytes:
        """SHA-256("sento share v1" || share): public, because the value has 256 bits that nobody can guess."""
        return hashlib.sha256(b"sento share v1" + self.encode()).digest()


def decode_share(data: bytes) -> RecoveryShare:
    """The share in its layout. Raises Malformed."""
    reader = Reader(data, "share")
    if reader.u8("format") != FORMAT_SHARE:
        raise Malformed("share: unknown format")
    ceremony_id = reader.take(CEREMONY_ID_BYTES, "ceremony id")
    threshold, index = reader.u8("threshold"), reader.u8("index")
    value = reader.take(SEED_BYTES, "value")
    reader.end()
    if not 1 <= index <= SHARES_MAX or not 1 <= threshold <= SHARES_MAX:
        raise Malformed(f"share: index and threshold must be from 1 to {SHARES_MAX}")
    return RecoveryShare(ceremony_id, threshold, index, value)


def recovery_secret(seed: bytes) -> bytes:
    """The 96-byte X-Wing secret of a 32-byte seed. Raises Malformed on another length."""
    if len(seed) != SEED_BYTES:
        raise Malformed(f"recovery key: a seed has {SEED_BYTES} bytes")
    return hashlib.shake_256(seed).digest(XWING_SECRET_BYTES)


def recovery_public(seed: bytes) -> bytes:
    """The 1,216-byte X-Wing public key of a seed."""
    return xwing_public(recovery_secret(seed))


def share_info(ledger_id: bytes, ceremony_id: bytes, index: int, holder: str) -> bytes:
    """HPKE info of a share's seal: it opens for this ledger, ceremony, index and holder, and for nothing else."""
    return b"sento share v1" + ledger_id + ceremony_id + u8(index) + _sized_name(holder)


def registry_key_info(ledger_id: bytes, kind: EntryKind, registry: str) -> bytes:
    """HPKE info of the seal of a registry's pseudonym or index key to the recovery key."""
    return b"sento registry key v1" + ledger_id + u8(kind) + _sized_name(registry)


def _sized_name(name: str) -> bytes:
    data = name.encode("utf-8")
    if not 1 <= len(data) <= HOLDER_MAX_BYTES:
        raise Malformed(f"recovery: a name has 1 to {HOLDER_MAX_BYTES} bytes")
    return u8(len(data)) + data


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """One sealed thing. `name`: the officer or deputy who holds the share, or the registry whose key it is."""

    kind: EntryKind
    name: str
    seal: bytes


@dataclass(frozen=True, slots=True)
class RecoveryPayload:
    """All that the act carries sealed. No two entries have the same kind and name."""

    ceremony_id: bytes
    entries: tuple[SealedEntry, ...]

    def find(self, kinds: Iterable[EntryKind], name: str) -> SealedEntry | None:
        """The entry of one of these kinds under this name."""
        wanted = frozenset(kinds)
        return next((entry for entry in self.entries if entry.kind in wanted and entry.name == name), None)

    def encode(self) -> bytes:
        """The layout. Raises Malformed when it is over 30 KiB or has one thing twice."""
        if len(self.ceremony_id) != CEREMONY_ID_BYTES or len(self.entries) > ENTRIES_MAX:
            raise Malformed(f"recovery payload: a ceremony id of 16 bytes and at most {ENTRIES_MAX} entries")
        _refuse_doubles(self.entries)
        parts = [u8(FORMAT_PAYLOAD), self.ceremony_id, u16(len(self.entries))]
        for entry in self.entries:
            if not 1 <= len(entry.seal) <= SEALED_MAX_BYTES:
                raise Malformed(f"recovery payload: a seal has 1 to {SEALED_MAX_BYTES} bytes")
            parts += [u8(entry.kind), _sized_name(entry.name), u16(len(entry.seal)), entry.seal]
        data = b"".join(parts)
        if len(data) > PAYLOAD_MAX_BYTES:
            raise Malformed(_too_large(self.entries, len(data)))
        return data


def decode_payload(data: bytes) -> RecoveryPayload:
    """The payload in its layout. Raises Malformed."""
    if len(data) > PAYLOAD_MAX_BYTES:
        raise Malformed(f"recovery payload: {len(data)} bytes, over the limit of {PAYLOAD_MAX_BYTES}")
    reader = Reader(data, "recovery payload")
    if reader.u8("format") != FORMAT_PAYLOAD:
        raise Malformed("recovery payload: unknown format")
    ceremony_id = reader.take(CEREMONY_ID_BYTES, "ceremony id")
    entries = tuple(_entry(reader) for _ in range(reader.u16("count")))
    reader.end()
    _refuse_doubles(entries)
    return RecoveryPayload(ceremony_id, entries)


def _entry(reader: Reader) -> SealedEntry:
    number = reader.u8("kind")
    try:
        kind = EntryKind(number)
    except ValueError:
        raise Malformed(f"recovery payload: unknown kind {number}") from None
    try:
        name = reader.take(reader.u8("name length"), "name").decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("recovery payload: a name is not UTF-8") from None
    _sized_name(name)
    return SealedEntry(kind, name, reader.sized16("seal", SEALED_MAX_BYTES))


def _refuse_doubles(entries: tuple[SealedEntry, ...]) -> None:
    # A holder may have one share, as officer or as deputy, so both kinds count as one here.
    seen = {(entry.kind if entry.kind in REGISTRY_KEY_KINDS else 0, entry.name) for entry in entries}
    if len(seen) != len(entries):
        raise Malformed("recovery payload: one holder or one registry's key stands in it twice")


def _too_large(entries: tuple[SealedEntry, ...], size_bytes: int) -> str:
    counts = {kind: sum(entry.kind is kind for entry in entries) for kind in EntryKind}
    return (
        f"recovery payload: {size_bytes} bytes for {counts[EntryKind.OFFICER_SHARE]} officers, "
        f"{counts[EntryKind.DEPUTY_SHARE]} deputies, {counts[EntryKind.PSEUDONYM_KEY]} pseudonym and "
        f"{counts[EntryKind.INDEX_KEY]} index keys, over the limit of {PAYLOAD_MAX_BYTES}"
    )
