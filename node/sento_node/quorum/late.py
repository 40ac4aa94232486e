"""Cosignatures that come after the quorum: for three seconds the proposer goes on gathering, and what came joins the checkpoint that is kept.

A quorum is reached by the two fastest sites, and a checkpoint with their lines alone would never tell that a far copy holds the records too. So each late line
is kept at once, and the checkpoint is handed to the other sites once more: when everybody has answered, or when the time is over and anything came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from sento_node.quorum.effects import LateCosigned
from sento_proto.checkpoint import Checkpoint, NoteSignature, SiteKeys, cosignature_of, merge_signatures

GATHER_MS: Final = 3_000
GATHERINGS_MAX: Final = 32
"""Ten proposals a second for three seconds, and a little."""


@dataclass(frozen=True, slots=True)
class _Gathering:
    checkpoint: Checkpoint
    block: int
    awaited: frozenset[str]
    ends_ms: int
    grown: bool = False


class LateCosignatures:
    """What one proposer still gathers, oldest first."""

    def __init__(self) -> None:
        self._gatherings: deque[_Gathering] = deque(maxlen=GATHERINGS_MAX)

    def begin(self, checkpoint: Checkpoint, block: int, awaited: Iterable[str], now_ms: int) -> None:
        """A quorum cosigned `checkpoint`; these sites were asked and have not answered yet."""
        names = frozenset(awaited)
        if names:
            self._gatherings.append(_Gathering(checkpoint, block, names, now_ms + GATHER_MS))

    def open_at(self, site: str, size: int) -> Checkpoint | None:
        """The checkpoint of that size which still waits for this site."""
        return next(
            (
                one.checkpoint
                for one in self._gatherings
                if one.checkpoint.size == size and site in one.awaited
            ),
            None,
        )

    def heard(
        self, site: str, size: int, lines: Iterable[NoteSignature], others: tuple[str, ...]
    ) -> list[LateCosigned]:
        """The site's verified lines for the checkpoint of that size. `others`: whom to hand it to when nobody is waited for any more."""
        for at, one in enumerate(self._gatherings):
            if one.checkpoint.size == size and site in one.awaited:
                grown = replace(
                    one,
                    checkpoint=merge_signatures(one.checkpoint, lines),
                    awaited=one.awaited - {site},
                    grown=True,
                )
                if grown.awaited:
                    self._gatherings[at] = grown
                    return [LateCosigned(grown.checkpoint, grown.block, ())]
                del self._gatherings[at]
                return [LateCosigned(grown.checkpoint, grown.block, others)]
        return []

    def tick(self, now_ms: int, others: tuple[str, ...]) -> list[LateCosigned]:
        """Time went by."""
        effects: list[LateCosigned] = []
        while self._gatherings and self._gatherings[0].ends_ms <= now_ms:
            over = self._gatherings.popleft()
            if over.grown:
                effects.append(LateCosigned(over.checkpoint, over.block, others))
        return effects


def verified_lines(checkpoint: Checkpoint, keys: Mapping[str, SiteKeys]) -> Checkpoint:
    """The same checkpoint with nothing but the cosignatures of known sites that hold."""
    good: list[NoteSignature] = []
    for name, known in keys.items():
        found = cosignature_of(checkpoint, checkpoint.signatures, name, known)
        good += () if found is None else found.lines
    return checkpoint._replace(signatures=tuple(good))
