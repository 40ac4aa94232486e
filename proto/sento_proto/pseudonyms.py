"""Pseudonyms: how a person and a fact are named without naming them.

    subject = HMAC-SHA-256(registry's pseudonym key, identifier)
    fact    = HMAC-SHA-256(registry's pseudonym key, subject || u8 len, kind family || natural key)[:16]
    tag     = HMAC-SHA-256(registry's index key, u8 len, name || composite)[:4]

Registries have different keys and cannot be joined without one. A fact's name does not depend on its author, so that two authors meet on one
fact. The kind family is the kind up to its first slash: `health/prescription` and `health/dispense` are versions of one fact if they share the natural key.
A tag is made of a composite of fields and never of one: 32 bits of a birth date alone would be a dictionary of birth dates.
"""

from __future__ import annotations

import hmac

from sento_proto.limits import TAG_BYTES
from sento_proto.wire import u8

PSEUDONYM_KEY_BYTES = 32


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def subject_of(pseudonym_key: bytes, identifier: str) -> bytes:
    """32-byte pseudonym of a person in the registry that the key belongs to."""
    return _mac(pseudonym_key, identifier.encode("utf-8"))


def kind_family(kind: str) -> str:
    """The part of a kind before its first slash."""
    return kind.partition("/")[0]


def fact_of(pseudonym_key: bytes, subject: bytes, kind: str, natural_key: str) -> bytes:
    """16-byte name of the fact `natural_key` about `subject`."""
    family = kind_family(kind).encode("ascii")
    return _mac(pseudonym_key, subject + u8(len(family)) + family + natural_key.encode("utf-8"))[:16]


def tag_of(index_key: bytes, name: str, composite: tuple[str, ...]) -> bytes:
    """4-byte search tag of a composite of at least two fields. Raises ValueError for one field."""
    if len(composite) < 2:
        raise ValueError("a tag over a single field would be a dictionary of that field")
    label = name.encode("ascii")
    fields = b"".join(
        len(data).to_bytes(2, "big") + data for data in (field.encode("utf-8") for field in composite)
    )
    return _mac(index_key, u8(len(label)) + label + fields)[:TAG_BYTES]
