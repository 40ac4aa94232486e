"""Pseudonyms: how a person and a fact are named without naming them.

    subject = HMAC-SHA-256(registry's pseudonym key, identifier)
    fact    = HMAC-SHA-256(registry's pseudonym key, subject || u8 len, kind family || natural key)[:16]
    tag     = HMAC-SHA-256(registry's index key, u8 len, name || composite)[:4]

Registries have different keys and cannot be joined without one. A fact's name does not depend on its author, so that two authors meet on one
fact. The kind family is the kind up to its first slash: `health/prescription` and `health/dispense` are versions of one fact if they share the natural key.
A tag is made of a composite of fields and never of one: 32 bits of a birth date alone would be a dictionary of birth dates.

Whoever has the key as bytes computes these at once; where the key sits in a service or a token, the functions `*_message` say over what the MAC goes.
A key is compared by its id, which shows nothing of it; how both are sealed to the recovery key stands in `recovery.py`.

    key id = SHA-256("sento registry key id v1" || HMAC-SHA-256(key, "sento registry key check v1" || u8 kind || registry))[:16]
"""

from __future__ import annotations

import hashlib
import hmac
from enum import IntEnum

from sento_proto.limits import TAG_BYTES
from sento_proto.wire import u8

PSEUDONYM_KEY_BYTES = 32
"""Pseudonym and index keys have this size."""
FACT_BYTES = 16


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


class KeyKind(IntEnum):
    """What a registry's key is for. Numbers are part of key ids and, the same, of seals (`recovery.EntryKind`); they never change."""

    PSEUDONYM = 3
    INDEX = 4

    @property
    def word(self) -> str:
        """`pseudonym` or `index`."""
        return self.name.lower()


def subject_message(identifier: str) -> bytes:
    """What the pseudonym key's MAC for a person goes over. Raises UnicodeEncodeError for text that UTF-8 has no form for."""
    return identifier.encode("utf-8")


def subject_of(pseudonym_key: bytes, identifier: str) -> bytes:
    """32-byte pseudonym of a person in the registry that the key belongs to."""
    return _mac(pseudonym_key, subject_message(identifier))


def kind_family(kind: str) -> str:
    """The part of a kind before its first slash."""
    return kind.partition("/")[0]


def fact_message(subject: bytes, kind: str, natural_key: str) -> bytes:
    """What the pseudonym key's MAC for a fact goes over; the fact's name is its first FACT_BYTES."""
    family = kind_family(kind).encode("ascii")
    return subject + u8(len(family)) + family + natural_key.encode("utf-8")


def fact_of(pseudonym_key: bytes, subject: bytes, kind: str, natural_key: str) -> bytes:
    """16-byte name of the fact `natural_key` about `subject`."""
    return _mac(pseudonym_key, fact_message(subject, kind, natural_key))[:FACT_BYTES]


def tag_message(name: str, composite: tuple[str, ...]) -> bytes:
    """What the index key's MAC for a tag goes over; the tag is its first TAG_BYTES. Raises ValueError for one field."""
    if len(composite) < 2:
        raise ValueError("a tag over a single field would be a dictionary of that field")
    label = name.encode("ascii")
    fields = b"".join(
        len(data).to_bytes(2, "big") + data for data in (field.encode("utf-8") for field in composite)
    )
    return u8(len(label)) + label + fields


def tag_of(index_key: bytes, name: str, composite: tuple[str, ...]) -> bytes:
    """4-byte search tag of a composite of at least two fields. Raises ValueError for one field."""
    return _mac(index_key, tag_message(name, composite))[:TAG_BYTES]


def check_message(kind: KeyKind, registry: str) -> bytes:
    """What a key's MAC for its own id goes over."""
    return b"sento registry key check v1" + u8(kind) + registry.encode("ascii")


def registry_key_id(check_mac: bytes) -> bytes:
    """16-byte id of a registry's key from its MAC over `check_message`: two with one id are the same key."""
    return hashlib.sha256(b"sento registry key id v1" + check_mac).digest()[:16]
