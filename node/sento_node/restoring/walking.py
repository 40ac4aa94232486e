"""The way through a chain of volumes: the spine in whatever order its pieces lie, then payloads, then the cut to the moment that was asked for.

The spine is taken whole even when an older state is wanted: orders that came later destroyed payloads of earlier records, and those must not come back. Each
piece is tried when it goes on from the ledger's end; one that does not prove itself is named and passed over, for a set has its spine twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sento_node.epochs.forks import agreed_at_s, newest_by
from sento_node.ledger.adopt import NotProven
from sento_node.ledger.store import KeptCheckpoint
from sento_node.restoring.draft import Draft
from sento_node.restoring.volumes import Report, Scanned, Trouble, Volume, chunks_of, unsigned
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.chunk import Chunk, ChunkName, Kind, chunk_id, decode_chunk
from sento_proto.governance.state import Governance
from sento_proto.seal import SealOpener
from sento_proto.sealing import CannotOpen
from sento_proto.volume import label_of
from sento_proto.wire import Malformed

ALL_CHECKPOINTS = 1 << 40


class NothingThen(Exception):
    """There is no state that the volumes prove for the moment asked for. The text is one sentence of cause and one of remedy."""


class Restored(NamedTuple):
    """What a restore came to. `agreed_at_s`, `next_agreed_at_s`: when a quorum had cosigned this state and the next one that the volumes prove (None: none).

    `awaited`: payloads that no good volume holds; `erased`: those that orders had destroyed; `ended`: blocks of epochs that ended, left aside."""

    size: int
    block: int
    epoch: int
    agreed_at_s: int
    next_agreed_at_s: int | None
    awaited: int
    erased: int
    ended: int
    troubles: tuple[Trouble, ...]


class Walk:
    """One restore from scanned volumes into a draft."""

    def __init__(self, draft: Draft, scanned: Scanned, opener: SealOpener | None, report: Report) -> None:
        self._draft = draft
        self._scanned = scanned
        self._opener = opener
        self._report = report
        self._false: set[bytes] = set()
        self._false_names: set[tuple[str, ChunkName]] = set()
        self._ended = self._erased = 0
        self._troubles: list[Trouble] = list(scanned.troubles)

    def run(self, as_of_s: int | None) -> Restored:
        """Everything. Raises NothingThen, NoRoom, UnknownRules, LedgerFailed, LedgerDamaged, OSError."""
        self._spine()
        draft, governance = self._draft, self._draft.governance
        self._troubles += unsigned(self._scanned.volumes, governance)
        chosen, following = self._chosen(governance, as_of_s)
        self._payloads(chosen.size)
        self._erased += draft.erase_destroyed()
        if chosen.size < draft.store.tip.size:
            draft.cut(chosen.size, chosen.block, decode_checkpoint(chosen.note).epoch)
        return Restored(
            chosen.size,
            chosen.block,
            draft.store.tip.epoch,
            agreed_at_s(chosen.note, governance) or 0,
            following,
            len(draft.store.awaited(1 << 31)),
            self._erased,
            self._ended,
            tuple(self._troubles),
        )

    # -- the spine ------------------------------------------------------------------------------------------------------

    def _spine(self) -> None:
        while (volume := self._next_volume()) is not None:
            for data in self._chunks(volume):
                chunk = decode_chunk(data)
                if chunk.name.kind is Kind.SPINE and self._wanted(chunk.name):
                    self._take(volume, chunk, data)
        self._tell_a_short_spine()

    def _next_volume(self) -> Volume | None:
        """One that holds a piece that goes on from here; earlier epochs first, because a later one says where they end."""
        fits = [
            (name.epoch, name.after_block, label_of(volume.header), volume)
            for volume in self._scanned.volumes
            for name in volume.chunks
            if name.kind is Kind.SPINE
            and self._wanted(name)
            and (label_of(volume.header), name) not in self._false_names
        ]
        return min(fits, key=lambda one: one[:3])[3] if fits else None

    def _wanted(self, name: ChunkName) -> bool:
        tip = self._draft.store.tip
        if name.epoch > tip.epoch:
            return name.after_block <= tip.block
        return name.epoch == tip.epoch and name.after_block <= tip.block < name.through_block

    def _take(self, volume: Volume, chunk: Chunk, data: bytes) -> None:
        label, identity = label_of(volume.header), chunk_id(data)
        if identity in self._false:
            self._false_names.add((label, chunk.name))
            return
        try:
            self._adopt(chunk)
        except (NotProven, Malformed) as error:
            self._false.add(identity)
            self._false_names.add((label, chunk.name))
            blocks = f"blocks {chunk.name.after_block + 1} to {chunk.name.through_block}"
            self._troubles.append(Trouble(label, "damaged", f"{blocks} do not prove themselves: {error}"))
        self._report(self._draft.store.tip.size, self._goal_size())

    def _adopt(self, chunk: Chunk) -> None:
        """From the tip on, or, where it is of a later epoch that forked off below, from where it begins. Raises NotProven, Malformed."""
        draft, name = self._draft, chunk.name
        try:
            draft.adopt(chunk)
        except NotProven:
            tip = draft.store.tip
            if name.epoch <= tip.epoch or name.after_block >= tip.block:
                raise
            self._erased += draft.erase_destroyed()
            draft.cut_to_block(name.after_block)
            draft.adopt(chunk)
            ended = draft.governance.epochs[-1] if draft.governance.epochs else None
            self._ended += 0 if ended is None else max(0, tip.block - ended.block_base)

    def _goal_size(self) -> int:
        return max((volume.header.to_size for volume in self._scanned.volumes), default=0)

    def _tell_a_short_spine(self) -> None:
        tip = self._draft.store.tip
        newest = max((volume.header.epoch for volume in self._scanned.volumes), default=0)
        reach = [volume.header for volume in self._scanned.volumes if volume.header.epoch == newest]
        goal = max((header.to_block for header in reach), default=0)
        if tip.block < goal or tip.epoch < newest:
            words = (
                f"the spine ends at block {tip.block} of epoch {tip.epoch}, and the volumes reach block {goal} of epoch {newest}: "
                "no good volume holds what comes next"
            )
            self._troubles.append(Trouble("spine", "missing", words))

    # -- the moment, and payloads ---------------------------------------------------------------------------------------

    def _chosen(self, governance: Governance, as_of_s: int | None) -> tuple[KeptCheckpoint, int | None]:
        """The state that is wanted, and when the next one was cosigned. Raises NothingThen."""
        newest_first = self._draft.store.newest_checkpoints(ALL_CHECKPOINTS)
        if not newest_first:
            raise NothingThen(
                "The volumes prove no state of this ledger at all. Look at what is said of them, and put good copies there."
            )
        if as_of_s is None:
            return newest_first[0], None
        chosen = newest_by(newest_first, governance, as_of_s)
        if chosen is None:
            first = agreed_at_s(newest_first[-1].note, governance)
            raise NothingThen(
                f"The first state that these volumes prove was cosigned at {first} s since 1970, after that moment. Name a later one."
            )
        later = [kept for kept in newest_first if kept.size > chosen.size]
        return chosen, agreed_at_s(later[-1].note, governance) if later else None

    def _payloads(self, below: int) -> None:
        volumes = self._scanned.holding(Kind.PAYLOADS)
        total = sum(volume.path.stat().st_size for volume in volumes)
        done = 0
        for volume in volumes:
            false = 0
            if any(name.from_position < below for name in volume.chunks) and self._draft.store.awaited(1):
                for data in self._chunks(volume):
                    chunk = decode_chunk(data)
                    if chunk.name.kind is Kind.PAYLOADS:
                        false += self._draft.fill(chunk, below)
            if false:
                words = f"{false} of its payloads are not those that the records' authors signed"
                self._troubles.append(Trouble(label_of(volume.header), "damaged", words))
            done += volume.path.stat().st_size
            self._report(done, total)

    def _chunks(self, volume: Volume) -> Iterator[bytes]:
        """A volume's chunks; one that was changed since it was scanned is named, and not opened again."""
        try:
            yield from chunks_of(volume, self._opener)
        except (Malformed, CannotOpen) as error:
            label = label_of(volume.header)
            self._troubles.append(Trouble(label, "damaged", f"it changed meanwhile: {error}"))
            self._false_names.update((label, name) for name in volume.chunks)
