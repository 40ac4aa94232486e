"""What the ledger says of one KEK: its commitment, its seals by recipient, and the next free part.

The first record under the KEK's subject decides what the KEK is; its author's later records add seals. A record with another commitment, or about another
scope, counts for nothing and is named: whoever opened its seal would have another key than all others. Two programs that make a KEK at once both write
part 0 without a predecessor, so that only one of their KEKs can ever be the first. Pure.
"""

from __future__ import annotations

import hmac
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sento_client.recovery.standing import KekScope
from sento_proto.header import Header
from sento_proto.kek_record import KIND, REGISTRY, KekSeals, decode_kek_seals, subject_of_kek
from sento_proto.kek_seal import KekName, kek_commit, open_kek
from sento_proto.seal import SealOpener, decode_seal
from sento_proto.sealing import CannotOpen
from sento_proto.wire import Malformed


class SealTrouble(StrEnum):
    """Why the ledger's seals of a KEK give one recipient nothing. Programs compare them."""

    NO_KEK = "the author has made no key for it"
    NOT_SEALED = "the author's key for it is not sealed to this institution"
    DOES_NOT_OPEN = "the author's seal to this institution does not open"
    FILE_DOES_NOT_OPEN = (
        "the author's seal in the file keys.kek_seals does not open, and another key is not made beside it"
    )
    OTHER_KEK = "the author's seal to this institution opens to another key than the one that all others got"


class SealRecord(NamedTuple):
    """A verified record of registry `keys`, and whose it is."""

    position: int
    author: str
    header: Header


@dataclass(frozen=True, slots=True)
class StandingKek:
    """One KEK. `seals`: recipient key id -> its seals, oldest first; `strays`: positions of records that say something else of it.

    `next_part` 0: no record of it stands, its author holds it in a file."""

    scope: KekScope
    commitment: bytes
    seals: Mapping[bytes, tuple[bytes, ...]]
    next_part: int
    strays: tuple[int, ...] = ()


class Opened(NamedTuple):
    """The KEK that a recipient found, or why it found none; `why` adds what is wrong with the seal."""

    kek: bytes | None
    trouble: SealTrouble | None = None
    why: str = ""


def subject_of_scope(scope: KekScope) -> bytes:
    """The subject in registry `keys` under which the KEK's seals stand."""
    return subject_of_kek(*scope)


def scope_of_record(record: SealRecord) -> KekScope | None:
    """Which KEK of its author a record is about; None for one that is not in the form of KEK seals."""
    seals = _seals_in(record)
    return (
        None if seals is None else KekScope(record.author, seals.registry, seals.compartment, seals.key_epoch)
    )


class Gathering:
    """One KEK, gathered from records of its subject, oldest first. `keep`: whose seals are wanted, by recipient key id (None: everybody's); of the others
    it is only known that they stand, so that a hundred thousand KEKs fit into memory."""

    def __init__(self, scope: KekScope, keep: Container[bytes] | None = None) -> None:
        self._scope = scope
        self._keep = keep
        self._commitment: bytes | None = None
        self._seals: dict[bytes, tuple[bytes, ...]] = {}
        self._strays: list[int] = []
        self._next_part = 0

    def take(self, record: SealRecord) -> None:
        """The next record."""
        found = _seals_in(record)
        if found is None or scope_of_record(record) != self._scope:
            self._strays.append(record.position)
            return
        self._next_part = max(self._next_part, found.part + 1)
        if self._commitment is None:
            self._commitment = found.commitment
        if found.commitment != self._commitment:
            self._strays.append(record.position)
            return
        for sealed in found.seals:
            try:
                recipient = decode_seal(sealed).recipient_key_id
            except Malformed:
                self._strays.append(record.position)
                continue
            kept = self._keep is None or recipient in self._keep
            self._seals[recipient] = self._seals.get(recipient, ()) + ((sealed,) if kept else ())

    def result(self) -> StandingKek | None:
        """The KEK as the records have it; None where its author has made none."""
        if self._commitment is None:
            return None
        strays = tuple(dict.fromkeys(self._strays))
        return StandingKek(self._scope, self._commitment, self._seals, self._next_part, strays)


def standing_kek(scope: KekScope, oldest_first: Iterable[SealRecord]) -> StandingKek | None:
    """The KEK as these records of its subject have it; None where its author has made none."""
    gathering = Gathering(scope)
    for record in oldest_first:
        gathering.take(record)
    return gathering.result()


def open_standing(ledger_id: bytes, standing: StandingKek | None, opener: SealOpener) -> Opened:
    """The KEK for whoever holds `opener`: of its seals the newest that opens to the KEK committed to. Raises what an opener over a token raises."""
    if standing is None:
        return Opened(None, SealTrouble.NO_KEK)
    trouble = Opened(None, SealTrouble.NOT_SEALED)
    for sealed in reversed(standing.seals.get(opener.recipient_key_id, ())):
        try:
            kek = open_kek(sealed, KekName(ledger_id, *standing.scope), opener)
        except (CannotOpen, Malformed) as error:
            trouble = Opened(None, SealTrouble.DOES_NOT_OPEN, str(error))
            continue
        if hmac.compare_digest(kek_commit(kek), standing.commitment):
            return Opened(kek)
        trouble = Opened(None, SealTrouble.OTHER_KEK)
    return trouble


def open_file_seal(ledger_id: bytes, scope: KekScope, sealed: bytes, opener: SealOpener) -> Opened:
    """The KEK out of a seal that lies in a file, which has no commitment beside it. Raises what an opener over a token raises."""
    try:
        return Opened(open_kek(sealed, KekName(ledger_id, *scope), opener))
    except (CannotOpen, Malformed) as error:
        return Opened(None, SealTrouble.FILE_DOES_NOT_OPEN, str(error))


def _seals_in(record: SealRecord) -> KekSeals | None:
    header = record.header
    if (header.registry, header.kind, header.compartment) != (REGISTRY, KIND, ""):
        return None
    try:
        seals = decode_kek_seals(header.content)
    except Malformed:
        return None
    named = subject_of_kek(record.author, seals.registry, seals.compartment, seals.key_epoch)
    return seals if header.subject == named else None
