"""Verification of one record after another: its row, its payload, its place in the chains of subject and fact, and its index entries.

Whether a previous pointer names the *last* version before it is not decided from one record: here it is made sure that it names an older record of the
same name and that no two records name the same one; `verify_indexes.py` counts the beginnings, and both together leave one chain for each name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import lmdb

from sento_node.ledger import rows
from sento_node.ledger.findings import PAYLOAD, Finding, Kind, Summary
from sento_node.ledger.results import NOWHERE
from sento_node.ledger.rows import named_key
from sento_node.ledger.segments import FRAME_BYTES, PayloadMissing, PayloadWrong, SegmentReader
from sento_node.ledger.verify_blocks import author_of
from sento_node.ledger.verify_image import Image, SeenRecord
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.governance.state import Governance
from sento_proto.header import ZERO32, Header

AWAITED_WORDS = "The payload is not here yet: it is awaited from another site."
_Report = Callable[[Kind, str], Finding]


class PositionSet:
    """A set of positions, one bit each."""

    __slots__ = ("_bits",)

    def __init__(self, size: int) -> None:
        self._bits = bytearray(size // 8 + 1)

    def add(self, position: int) -> bool:
        """Put it in; False when it was in already."""
        bit, new = 1 << position % 8, not self._bits[position // 8] & 1 << position % 8
        self._bits[position // 8] |= bit
        return new

    def without(self, other: PositionSet) -> int:
        """How many positions are in this set and not in the other."""
        mine, theirs = (int.from_bytes(one._bits, "little") for one in (self, other))
        return (mine & ~theirs).bit_count()


@dataclass(slots=True)
class IndexTally:
    """What the walk over all records found of one index: entries that name the record itself, and (for heads) first versions, and the positions whose entry
    names a record beyond the walk (`moved`) or that another record follows (`followed`), one bit each."""

    own_entries: int = 0
    firsts: int = 0
    moved: PositionSet = field(default_factory=lambda: PositionSet(0))
    followed: PositionSet = field(default_factory=lambda: PositionSet(0))

    @property
    def heads(self) -> int:
        """Entries that name a chain's last record: here, or beyond the walk."""
        return self.own_entries + self.moved.without(self.followed)


@dataclass(slots=True)
class Tallies:
    """One for each index."""

    ids: IndexTally = field(default_factory=IndexTally)
    hashes: IndexTally = field(default_factory=IndexTally)
    facts: IndexTally = field(default_factory=IndexTally)
    subjects: IndexTally = field(default_factory=IndexTally)


def subject_name(header: Header) -> bytes:
    """The key of the record's subject in its registry."""
    return named_key(header.registry, header.subject)


def fact_name(header: Header) -> bytes:
    """The key of the record's fact in its registry."""
    return named_key(header.registry, header.fact)


class RecordVerifier:
    """Verifies records in order of position."""

    def __init__(
        self, image: Image, payloads: SegmentReader, governance: Governance, size: int, summary: Summary
    ) -> None:
        self._image = image
        self._payloads = payloads
        self._governance = governance
        self._summary = summary
        self._size = size
        self.tallies = Tallies()
        for heads in (self.tallies.subjects, self.tallies.facts):
            heads.followed, heads.moved = PositionSet(size), PositionSet(size)
        self._followed_in_subject = self.tallies.subjects.followed
        self._followed_in_fact = self.tallies.facts.followed
        self.segment_bytes: dict[int, int] = {}

    def verify(self, seen: SeenRecord, block: int) -> Iterator[Finding]:
        """Everything about one record but its hash and its author's signature, which its submission decides."""

        def report(kind: Kind, words: str) -> Finding:
            return Finding(seen.position, block, kind, words)

        if author_of(self._governance, seen.header.author_key_id) != seen.row.author:
            yield report(Kind.WRONG, "The row names another author than the header's key.")
        yield from self._payload(seen, report)
        yield from self._subject(seen, report)
        yield from self._fact(seen, report)
        yield from self._entries(seen, report)

    def _payload(self, seen: SeenRecord, report: _Report) -> Iterator[Finding]:
        locator = seen.row.locator
        if locator.length != seen.header.payload_bytes:
            yield report(Kind.WRONG, "The payload's length is not the one that the header names.")
        if locator.kind == rows.NO_PAYLOAD:
            return
        if locator.segment:
            taken = self.segment_bytes.get(locator.segment, 0)
            self.segment_bytes[locator.segment] = taken + FRAME_BYTES + locator.length
        if locator.kind == rows.ERASED:
            yield report(Kind.ERASED, "The payload was erased by order.")
            return
        if locator.kind == rows.AWAITED:
            yield report(Kind.MISSING, AWAITED_WORDS)
            return
        try:
            self._image.read_payload(self._payloads, seen)
            self._summary.payload_bytes += locator.length
        except (PayloadMissing, PayloadWrong) as error:
            missing = isinstance(error, PayloadMissing)
            found = report(
                Kind.MISSING if missing else Kind.WRONG,
                f"The payload is {'missing' if missing else 'wrong'}: {error}.",
            )
            yield found._replace(part=PAYLOAD, number=locator.segment)

    def _subject(self, seen: SeenRecord, report: _Report) -> Iterator[Finding]:
        at = seen.row.previous_of_subject
        link: bytes | None = FIRST_LINK
        if at == NOWHERE:
            self.tallies.subjects.firsts += 1
        else:
            previous = self._older(seen, at)
            link = None
            if isinstance(previous, SeenRecord):
                link = previous.row.link
                if subject_name(previous.header) != subject_name(seen.header):
                    previous = "it is about another subject"
                elif not self._followed_in_subject.add(at):
                    previous = "another record follows it already"
            if isinstance(previous, str):
                yield report(Kind.WRONG, f"The pointer to the subject's record before is wrong: {previous}.")
        if link is not None and seen.row.link != next_link(link, seen.record_hash):
            yield report(Kind.WRONG, "The link does not follow from the link before and the record's hash.")

    def _fact(self, seen: SeenRecord, report: _Report) -> Iterator[Finding]:
        at = seen.row.previous_of_fact
        if at == NOWHERE:
            self.tallies.facts.firsts += 1
            if seen.header.previous != ZERO32:
                yield report(Kind.WRONG, "The header names a version before and the row none.")
            return
        previous = self._older(seen, at)
        if isinstance(previous, SeenRecord):
            if fact_name(previous.header) != fact_name(seen.header):
                previous = "it is of another fact"
            elif seen.header.previous not in (previous.record_hash, self._image.leaf(at)):
                previous = "the header names another one"
            elif not self._followed_in_fact.add(at):
                previous = "another version follows it already"
        if isinstance(previous, str):
            yield report(Kind.WRONG, f"The pointer to the fact's version before is wrong: {previous}.")

    def _older(self, seen: SeenRecord, at: int) -> SeenRecord | str | None:
        """The record that a pointer names; why it cannot be the one; None when that record has a finding of its own."""
        if at >= seen.position:
            return "it does not go back"
        previous = self._image.seen(at)
        return previous if isinstance(previous, SeenRecord) else None

    def _entries(self, seen: SeenRecord, report: _Report) -> Iterator[Finding]:
        tables, tallies = self._image.tables, self.tallies
        for table, key, tally, what in (
            (tables.ids, named_key(seen.row.author, seen.header.record_id), tallies.ids, "record id"),
            (tables.hashes, seen.record_hash, tallies.hashes, "record hash"),
        ):
            yield from self._entry(seen.position, table, key, tally, what, report)
        for table, key, tally, what in (
            (tables.facts, fact_name(seen.header), tallies.facts, "fact"),
            (tables.subjects, subject_name(seen.header), tallies.subjects, "subject"),
        ):
            yield from self._entry(seen.position, table, key, tally, what, report, is_head=True)

    def _entry(
        self,
        position: int,
        table: lmdb._Database,
        key: bytes,
        tally: IndexTally,
        what: str,
        report: _Report,
        *,
        is_head: bool = False,
    ) -> Iterator[Finding]:
        """An index entry must be there and name this record; a head's may name a later one, which is verified in its turn."""
        found = self._image.index_entry(table, key)
        if found is None:
            yield report(Kind.MISSING, f"The index entry of its {what} is missing.")
        elif found == position:
            tally.own_entries += 1
        elif not is_head or found < position:
            yield report(Kind.WRONG, f"The index entry of its {what} names another position.")
        elif found >= self._size and self._image.grows:
            later = self._image.seen(found)
            name = subject_name if table is self._image.tables.subjects else fact_name
            if isinstance(later, SeenRecord) and name(later.header) == key:
                tally.moved.add(position)
            else:
                yield report(Kind.WRONG, f"The index entry of its {what} names no record of it.")
