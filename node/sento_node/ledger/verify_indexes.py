"""Verification of indexes from their own side: nothing in them that is not a record's, and one chain for each name.

The walk over all records found every entry that must be there. If a table has as many entries as were found to name their own record, it has nothing else.
A name's records form chains, since each names an older one of its name and no two the same; if there are as many beginnings as entries, there is one chain for
each name, so every pointer names the last version before it and every entry the last of all. Only where a count is off are the tables walked to say where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import lmdb

from sento_node.ledger import rows
from sento_node.ledger.findings import INDEX, Finding, Kind
from sento_node.ledger.results import NOWHERE
from sento_node.ledger.rows import named_key, number_of, position_key
from sento_node.ledger.tiles import tiles_of
from sento_node.ledger.verify_image import Image, SeenRecord
from sento_node.ledger.verify_records import Tallies, fact_name, subject_name
from sento_proto.wire import Malformed

_Name = Callable[[SeenRecord], bytes]
_Previous = Callable[[SeenRecord], int]


def verify_indexes(image: Image, tallies: Tallies, size: int) -> Iterator[Finding]:
    """What the four indexes hold that no record accounts for, and names whose chain begins twice."""
    tables = image.tables
    for names, tally, words, of in (
        (tables.ids, tallies.ids, "record ids", _id),
        (tables.hashes, tallies.hashes, "record hashes", _hash),
    ):
        accounted = tally.own_entries == size and image.entries(names) == image.size_now(size)
        yield from _extras(image, names, words, of, accounted=accounted)
    for table, tally, what, name, previous in (
        (tables.facts, tallies.facts, "facts", _fact, lambda seen: seen.row.previous_of_fact),
        (tables.subjects, tallies.subjects, "subjects", _subject, lambda seen: seen.row.previous_of_subject),
    ):
        entries = image.entries(table)
        grown = image.size_now(size) - size
        accounted = tally.heads == tally.firsts and tally.firsts <= entries <= tally.firsts + grown
        yield from _extras(image, table, what, name, accounted=accounted)
        if tally.firsts > entries:
            yield from _second_beginnings(image, size, what, name, previous)


def _id(seen: SeenRecord) -> bytes:
    return named_key(seen.row.author, seen.header.record_id)


def _hash(seen: SeenRecord) -> bytes:
    return seen.record_hash


def _fact(seen: SeenRecord) -> bytes:
    return fact_name(seen.header)


def _subject(seen: SeenRecord) -> bytes:
    return subject_name(seen.header)


def _extras(
    image: Image, table: lmdb._Database, what: str, name: _Name, *, accounted: bool
) -> Iterator[Finding]:
    if accounted:
        return
    part = INDEX[next(name for name in INDEX if getattr(image.tables, name) is table)]
    for key, value in image.scan(table):
        with suppress(Malformed):
            position = number_of(value)
            seen = image.seen(position)
            if not isinstance(seen, SeenRecord) and seen.kind is Kind.WRONG:
                continue
            if not isinstance(seen, SeenRecord) or name(seen) != key:
                words = f"The index of {what} has an entry that names this position and is not its record's."
                yield Finding(position, None, Kind.WRONG, words, part, key, -1)
            continue
        words = f"The index of {what} has an entry that is no position."
        yield Finding(None, None, Kind.WRONG, words, part, key, -1)


def _second_beginnings(
    image: Image, size: int, what: str, name: _Name, previous: _Previous
) -> Iterator[Finding]:
    begun: set[bytes] = set()
    for position in range(size):
        seen = image.seen(position)
        if isinstance(seen, SeenRecord) and previous(seen) == NOWHERE:
            if name(seen) in begun:
                words = f"The record begins a chain in {what} that had begun before."
                yield Finding(position, None, Kind.WRONG, words)
            begun.add(name(seen))


def verify_ends(image: Image, size: int, last_block: int) -> Iterator[Finding]:
    """Rows, blocks and tiles beyond the tip, or under keys that are none."""
    tables = image.tables
    for table, first, count, what in (
        (tables.rows, 0, size, "record row"),
        (tables.blocks, 1, last_block, "block row"),
    ):
        for key, _ in image.scan(table, position_key(first + count)):
            yield Finding(
                None,
                None,
                Kind.WRONG,
                f"A {what} stands beyond the tip, or under no number: {len(key)} bytes of key.",
            )
    expected = (
        {rows.tile_key(level, index) for level, index, _ in tiles_of(size)}
        if _more_tiles(image, size)
        else None
    )
    for key, _ in image.scan(tables.tiles) if expected is not None else ():
        if expected is not None and key not in expected:
            yield Finding(None, None, Kind.WRONG, "The tree has a tile that its size has no place for.")


def _more_tiles(image: Image, size: int) -> bool:
    return image.entries(image.tables.tiles) > sum(1 for _ in tiles_of(size))
