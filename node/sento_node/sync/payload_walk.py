"""In which order awaited payloads are fetched in bulk: registry by registry, each from the ledger's beginning, over several streams. Pure.

The ledger is walked in stretches, so that several streams have something to do and no site looks long for a registry's few payloads. A stretch with few
awaited payloads is left to be fetched by hash. A payload that a site does not have is not asked for twice in one walk: what it left out is for the next site,
or by hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from sento_node.sync.parts import Wanted
from sento_proto.chunk import Kind

STRETCH_RECORDS = 16_384
MANY = 128
"""From so many awaited payloads in a stretch on they are fetched in bulk."""


class Stretch(NamedTuple):
    """Positions [start, end) of which many are awaited."""

    start: int
    end: int


def stretches_of(size: int, awaited: Callable[[int, int], Sequence[int]]) -> Iterator[Stretch]:
    """Where many payloads are awaited. `awaited(limit, from_position)`: positions, rising."""
    at = 0
    while at < size:
        found = awaited(MANY, at)
        if not found:
            return
        start = found[0] - found[0] % STRETCH_RECORDS
        end = min(start + STRETCH_RECORDS, size)
        if len(found) == MANY and found[-1] < end:
            yield Stretch(found[0], end)
        at = end


def in_order(first: Sequence[str], registries: Iterable[str]) -> tuple[str, ...]:
    """The registries, those named `first` before the others."""
    known = set(registries)
    return tuple(name for name in first if name in known) + tuple(sorted(known - set(first)))


class Walk:
    """What to fetch next: each registry's stretches one after another, begun in order and gone on with where a chunk ended."""

    def __init__(self, registries: Iterable[str], stretches: Sequence[Stretch]) -> None:
        self._left = [
            Wanted(Kind.PAYLOADS, 0, 0, stretch.start, stretch.end, registry)
            for registry in registries
            for stretch in stretches
        ]

    def next(self) -> Wanted | None:
        """The next chunk to ask for, or None when none is left to begin."""
        return self._left.pop(0) if self._left else None

    def went_on(self, wanted: Wanted, to_position: int) -> None:
        """The chunk came and ends there: its rest is next."""
        if to_position < wanted.to_position:
            self._left.insert(0, wanted._replace(from_position=to_position))

    def again(self, wanted: Wanted) -> None:
        """The chunk did not come whole: it is next again."""
        self._left.insert(0, wanted)
