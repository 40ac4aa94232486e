"""A set of volumes proven offline: with the trust file and, for sealed volumes, the key; without network and without any site.

Without the key it is the outside alone: form, numbers, signatures. With it: every segment's seal, every chunk's digest, the whole spine (`spine.py`), every
payload against its hash in the spine. A backup is a chain of sets, each going on where the one before it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sento_client.courier.reading import GOOD, Found, FoundSet, Judge, read_volume
from sento_client.courier.spine import SpineFalse, SpineJudge
from sento_client.governing.trust_file import Trusted
from sento_proto.chunk import Kind, decode_chunk
from sento_proto.wire import Malformed


class Verified(NamedTuple):
    """What was proven. `opened`: whether the contents could be read at all; `size` and `root`: of the tree that the spine gave; `troubles` in words.

    `payloads_left_out`: erased before, or awaited at the site where the set was made, or in a volume that is not good."""

    opened: bool
    size: int
    block: int
    root: bytes
    payloads: int
    payloads_left_out: int
    bad: tuple[Found, ...]
    troubles: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything that could be looked at is good."""
        return not self.bad and not self.troubles


def verify_sets(
    sets: Sequence[FoundSet],
    trusted: Trusted,
    judge: Judge,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Verified:
    """Prove a chain of sets, oldest first."""
    bad = [
        one
        for each in sets
        for one in each.others
        if one.verdict not in ("duplicate", "other-set", "foreign")
    ]
    first = sets[0].good[0].header
    if first is not None and first.recipients and judge.opener is None:
        return Verified(False, 0, 0, b"", 0, 0, tuple(bad), ())
    with SpineJudge(trusted.genesis, [each.header.from_block for each in sets]) as spine:
        walk = _Walk(spine, judge, sets, on_progress)
        for each in sets:
            walk.spine_of(each)
        for each in sets:
            walk.payloads_of(each)
        troubles = [*walk.troubles, *_against_trust(spine, trusted)]
        left_out = spine.payloads_expected - spine.payloads_seen
        return Verified(
            True,
            spine.size,
            spine.block,
            spine.frontier.root(),
            spine.payloads_seen,
            left_out,
            (*bad, *walk.bad),
            tuple(troubles),
        )


def _against_trust(spine: SpineJudge, trusted: Trusted) -> list[str]:
    """The acts in the spine and those in the trust file must be one history."""
    theirs = [step.stored.record_hash for step in trusted.followed.steps]
    ours = [step.stored.record_hash for step in spine.followed.steps]
    common = min(len(theirs), len(ours))
    if theirs[:common] != ours[:common]:
        return [
            "The officers' acts in the volumes are not those of the trust file: one of the two is another history."
        ]
    return []


class _Walk:
    """Through the volumes of a chain."""

    def __init__(
        self,
        spine: SpineJudge,
        judge: Judge,
        sets: Sequence[FoundSet],
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._spine = spine
        self._judge = judge
        self._on_progress = on_progress
        self._total = sum(len(each.good) for each in sets)
        self._done = 0
        self.troubles: list[str] = []
        self.bad: list[Found] = []

    def spine_of(self, found: FoundSet) -> None:
        """Take the spine from whichever volumes have the next piece; go round as long as that brings anything."""
        goal = found.header.to_block
        epoch, before = found.header.epoch, (-1, -1)
        while not self._has(epoch, goal) and self._at != before:
            before = self._at
            for volume in found.holding("spine"):
                self._read(volume, self._take_spine)
                if self._has(epoch, goal):
                    break
        if not self._has(epoch, goal):
            self.troubles.append(
                f"The spine of set {found.header.set_id.hex()} ends at block {self._spine.block} of {goal}: "
                "no good volume holds what comes next."
            )

    @property
    def _at(self) -> tuple[int, int]:
        return self._spine.epoch, self._spine.block

    def _has(self, epoch: int, block: int) -> bool:
        """Whether the spine goes so far, or on in a later epoch."""
        return self._at >= (epoch, block)

    def payloads_of(self, found: FoundSet) -> None:
        """Every payload against the spine."""
        for volume in found.holding("payloads"):
            self._read(volume, self._take_payloads)

    def _read(self, volume: Found, take: Callable[[Found, bytes], None]) -> None:
        assert volume.path is not None, "good volumes are files"
        self._done = min(self._done + 1, self._total)
        self._on_progress(self._done, self._total)
        again = read_volume(volume.path, self._judge, lambda chunk: take(volume, chunk))
        if again.verdict != GOOD and again not in self.bad:
            self.bad.append(again)

    def _take_spine(self, volume: Found, data: bytes) -> None:
        try:
            chunk = decode_chunk(data)
            if chunk.name.kind is not Kind.SPINE or chunk.name.ledger_id != self._judge.ledger_id:
                raise SpineFalse("it holds a chunk that it should not hold")
            self._spine.take(chunk)
        except (Malformed, SpineFalse) as error:
            self._trouble(f"{volume.label}: {error}.")

    def _take_payloads(self, volume: Found, data: bytes) -> None:
        try:
            chunk = decode_chunk(data)
            if chunk.name.kind is not Kind.PAYLOADS or chunk.name.ledger_id != self._judge.ledger_id:
                raise SpineFalse("it holds a chunk that it should not hold")
            _, wrong = self._spine.take_payloads(chunk)
            if wrong:
                raise SpineFalse(f"{wrong} payloads are not those that the records' authors signed")
        except (Malformed, SpineFalse) as error:
            self._trouble(f"{volume.label}: {error}.")

    def _trouble(self, words: str) -> None:
        if words not in self.troubles:
            self.troubles.append(words)
