"""What a finding means: what is not given out any more, and what mends it. Pure.

Damage to one record, block, tile, entry, checkpoint or segment is mended in place, from what this ledger or another site proves. Damage to the structure of the
database, or to anything that came back after it was mended `TRIES` times, is not: then the whole ledger is made anew from other sites.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from sento_node.ledger.findings import (
    ACCOUNT,
    CHECKPOINT,
    INDEX,
    META,
    PAGES,
    PAYLOAD,
    REMEMBERED,
    SEGMENT,
    TILE,
    Finding,
)
from sento_node.ledger.rows import AWAITED_PREFIX

TRIES = 4
"""How often one thing is mended before the ledger is made anew: more than one round, because one repair may uncover the next."""
OPEN_MAX = 100_000
"""So many findings at once are not mended one by one."""
DEATHS = 2
"""How often in a row the child may die by a signal."""


class MendBlock(NamedTuple):
    """Fetch the block, prove it, write what differs. `number` None: the block of `position`."""

    number: int | None
    position: int | None


class VacateSegment(NamedTuple):
    """Move what verifies out of a segment; the rest is awaited from other sites."""

    number: int
    named_end: int


class MendTile(NamedTuple):
    """Derive a tile from what lies below it."""

    level: int
    number: int


class MendEntry(NamedTuple):
    """Set or remove an index entry by the rows."""

    table: str
    key: bytes


class ReplaceCheckpoint(NamedTuple):
    """Put a checkpoint that proves the same blocks in place of one that does not verify."""

    size: int


class MendMeta(NamedTuple):
    """Write the database's own table anew."""


class ForgetNote(NamedTuple):
    """Remove a note that means nothing."""

    key: bytes


class TellPeople(NamedTuple):
    """Nobody but people can mend it."""

    words: str


class Rebuild(NamedTuple):
    """Make the whole ledger anew from other sites."""

    words: str


Remedy = (
    MendBlock
    | VacateSegment
    | MendTile
    | MendEntry
    | ReplaceCheckpoint
    | MendMeta
    | ForgetNote
    | TellPeople
    | Rebuild
)


def remedy_of(finding: Finding) -> Remedy:
    """What mends it, the first time it is found."""
    match finding.part:
        case part if part == PAGES:
            return Rebuild(finding.words)
        case part if part in (PAYLOAD, SEGMENT):
            return VacateSegment(finding.number, 0)
        case part if part == ACCOUNT:
            return VacateSegment(int.from_bytes(finding.key, "big"), finding.number)
        case part if part == TILE:
            return MendTile(finding.key[0], int.from_bytes(finding.key[1:], "big"))
        case part if part == CHECKPOINT:
            return ReplaceCheckpoint(finding.number)
        case part if part == META:
            return MendMeta()
        case part if part == REMEMBERED:
            if finding.key.startswith(AWAITED_PREFIX):
                return ForgetNote(finding.key)
            return TellPeople(finding.words)
        case part if part in INDEX.values():
            return MendEntry(next(name for name, value in INDEX.items() if value == part), finding.key)
    if finding.block is None and finding.position is None:
        return Rebuild(finding.words)
    return MendBlock(finding.block, finding.position)


@dataclass(slots=True)
class Mending:
    """What was found and is not healed yet, over the rounds of one life. `found` and `healed` only grow."""

    found: int = 0
    healed: int = 0
    fenced_records: frozenset[int] = frozenset()
    fenced_blocks: frozenset[int] = frozenset()
    index_in_doubt: bool = False
    """Whether an index entry was found wrong and is not known to be healed: it may lead to an older record than the newest."""
    _open: set[Finding] = field(default_factory=set)
    _of_round: set[Finding] = field(default_factory=set)
    _tried: Counter[Remedy] = field(default_factory=Counter)
    _deaths: int = 0

    @property
    def fenced(self) -> int:
        """Records and blocks that are not given out."""
        return len(self.fenced_records) + len(self.fenced_blocks)

    def found_now(self, finding: Finding) -> Remedy:
        """Something was found: fence what it is about, and say what is to be done."""
        if finding not in self._open:
            self.found += 1
        self._open.add(finding)
        self._of_round.add(finding)
        self._fence()
        remedy = remedy_of(finding)
        if isinstance(remedy, Rebuild | TellPeople):
            return remedy
        if len(self._open) > OPEN_MAX:
            return Rebuild(f"More than {OPEN_MAX} places of the ledger are damaged.")
        if self._tried[remedy] >= TRIES:
            return Rebuild(f"What was found came back after {TRIES} repairs: {finding.words}")
        return remedy

    def tried(self, remedy: Remedy) -> None:
        """A remedy was applied; whether it helped the next round tells."""
        self._tried[remedy] += 1

    def round_ended(self) -> bool:
        """The child read everything: what it did not find again is healed. Returns whether anything is left."""
        self._deaths = 0
        self.healed += len(self._open - self._of_round)
        self._open &= self._of_round
        self._of_round = set()
        if not self._open:
            self._tried.clear()
        self._fence()
        return bool(self._open)

    def died(self, at: str) -> Rebuild | None:
        """The child ended by a signal: a page led it astray. Once may be a page that was damaged at that moment; twice is the database."""
        self._deaths += 1
        self._of_round = set()
        if self._deaths < DEATHS:
            return None
        return Rebuild(f"Reading the database ended the reader {self._deaths} times, at last at {at}.")

    def _fence(self) -> None:
        fenced = [finding for finding in self._open if finding.part in ("", PAYLOAD)]
        self.fenced_records = frozenset(one.position for one in fenced if one.position is not None)
        self.fenced_blocks = frozenset(
            one.block for one in fenced if one.block is not None and one.position is None
        )
        self.index_in_doubt = any(finding.part in INDEX.values() for finding in self._open)
