"""From what a ministry means to a record that can travel: ids, pseudonyms, key, seal.

A `Draft` is in the ministry's words: a person's identifier, a natural key, content. A `Record` has none of them left in clear. Composing draws the
record id, so whoever keeps the record can send it again, here or elsewhere, and it will stand once.

Clock and randomness come through `Ports`; the same ports give the same bytes.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sento_client.keyring import Keyring
from sento_client.naming import Asked, Named
from sento_proto.errors import Code, SentoError
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.limits import CONTENT_OF_PAYLOAD_MAX_BYTES
from sento_proto.record import Record
from sento_proto.sealing import DEK_BYTES, seal_record
from sento_proto.submission import group_value
from sento_proto.wire import Malformed

Content = bytes | str | Mapping[str, object]
"""Bytes as they are, text as UTF-8, anything else as JSON in UTF-8."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where time and chance come from. `wall_ms` since 1970 UTC goes into headers; `steady_ms` never jumps and measures deadlines; `jitter` is in [0, 1)."""

    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    steady_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000
    random_bytes: Callable[[int], bytes] = os.urandom
    jitter: Callable[[], float] = random.random


class Draft(NamedTuple):
    """One version of one fact before sealing.

    `subject` is the person's identifier and `fact` the natural key, both never sent; `previous` is the record hash of the version
    that this one follows, None for a first version."""

    registry: str
    kind: str
    subject: str
    fact: str
    content: Content
    previous: bytes | None = None
    compartment: str = ""

    @property
    def asked(self) -> Asked:
        """What must be named for it."""
        return Asked(self.registry, self.subject, self.kind, self.fact)


class Composer:
    """Makes records of one author under one signing key."""

    def __init__(
        self,
        author: str,
        author_key_id: bytes,
        keyring: Keyring,
        ports: Ports,
        key_epoch: Callable[[str], int | None] = lambda registry: None,
    ) -> None:
        """`key_epoch`: the one in force in a registry; None where governance has none, so that the newest of the keyring's file counts."""
        self._key_epoch = key_epoch
        self._author = author
        self._author_key_id = author_key_id
        self._keyring = keyring
        self._ports = ports

    def compose(self, draft: Draft, named: Named | None = None) -> Record:
        """A sealed record with a fresh id; without `named` the keyring names person and fact.

        Raises SentoError TOO_LARGE or BAD_REQUEST, SetupError NO_KEK or NO_PSEUDONYM_KEY."""
        random_bytes = self._ports.random_bytes(DEK_BYTES + RANDOM_BYTES)
        time_ms = self._ports.wall_ms()
        record_id = uuid7(time_ms, random_bytes[DEK_BYTES:])
        return self._seal(draft, named, record_id, time_ms, random_bytes[:DEK_BYTES], ZERO16)

    def compose_group(self, drafts: Sequence[Draft], named: Sequence[Named] | None = None) -> list[Record]:
        """Records that stand or fall together: one registry, one submission. Raises as `compose`."""
        time_ms = self._ports.wall_ms()
        record_ids = [uuid7(time_ms, self._ports.random_bytes(RANDOM_BYTES)) for _ in drafts]
        group = group_value(record_ids)
        all_named = [None] * len(drafts) if named is None else named
        return [
            self._seal(draft, one, record_id, time_ms, self._ports.random_bytes(DEK_BYTES), group)
            for draft, one, record_id in zip(drafts, all_named, record_ids, strict=True)
        ]

    def _seal(
        self, draft: Draft, named: Named | None, record_id: bytes, time_ms: int, dek: bytes, group: bytes
    ) -> Record:
        registry, compartment, keyring = draft.registry, draft.compartment, self._keyring
        key_epoch = self._key_epoch(registry)
        if key_epoch is None:
            key_epoch = keyring.newest_key_epoch(self._author, registry, compartment)
        previous = ZERO32 if draft.previous is None else draft.previous
        content = encode_content(draft.content)
        try:
            if named is None:
                subject = keyring.subject(registry, draft.subject)
                fact = keyring.fact(registry, subject, draft.kind, draft.fact)
            else:
                subject, fact = named
            header = Header(
                record_id,
                self._author_key_id,
                time_ms,
                key_epoch,
                0,
                subject,
                fact,
                previous,
                group,
                ZERO32,
                registry,
                compartment,
                draft.kind,
            )
            kek = keyring.kek_for(self._author, registry, compartment, key_epoch)
            return seal_record(header, content, dek=dek, kek=kek)
        except Malformed as error:
            # What this package fills in is well formed, so the field is one of the caller's; the text of Malformed names it.
            raise SentoError(Code.BAD_REQUEST, str(error)) from None
        except UnicodeEncodeError:
            # Python's text would quote the character, which may be a person's.
            raise SentoError(
                Code.BAD_REQUEST, "kind, subject or fact has a character that it may not"
            ) from None


def encode_content(content: Content) -> bytes:
    """Content as bytes. Raises SentoError TOO_LARGE when it does not fit one record, BAD_REQUEST when JSON cannot hold it."""
    try:
        if isinstance(content, bytes):
            data = content
        elif isinstance(content, str):
            data = content.encode("utf-8")
        else:
            text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            data = text.encode("utf-8")
    except (TypeError, ValueError):
        raise SentoError(Code.BAD_REQUEST, "the content holds something that JSON or UTF-8 cannot") from None
    if len(data) > CONTENT_OF_PAYLOAD_MAX_BYTES:
        raise SentoError(Code.TOO_LARGE, f"the content has {len(data)} bytes")
    return data
