"""Lanes: packing what waits into signed blocks, one append in flight on each lane, exactly once.

A lane is `<site>/<boot number>/<k>`; its blocks are numbered 1, 2, 3, ... by `seq`, and the ordering log takes seq n+1 only after n. A failed append has an
unknown outcome, so the same (lane, seq, bytes) is tried until it is known. After `TRIES_BEFORE_UNKNOWN` failures the clients are told
NO_ORDERING and go elsewhere with the same record ids; the lane goes on trying, for its number must be settled before the next.

An author keeps to one lane while one is enough, so that a record's predecessor is ordered before it; an author with more than
`SPREAD_BYTES` in line may use every idle lane. A block stays here until a quorum checkpoint covers it: if the log acknowledged it and then passed its revision
without it, it vanished, and its submissions are ordered again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from sento_node.intake.queues import FairQueues, Waiting
from sento_node.ordering.port import Appended
from sento_proto import limits
from sento_proto.block import FRAME_MAX_BYTES, Lane, sign_block
from sento_proto.keys import Signer

TRIES_BEFORE_UNKNOWN = 2
SPREAD_BYTES = 2 * limits.BLOCK_MAX_BYTES
SUBMISSION_FRAME_BYTES = 4
KEPT_MAX_BYTES = 256 * 1024 * 1024
"""Own blocks not yet covered by a quorum checkpoint; over it ingress answers ORDERING_FULL."""


class Append(NamedTuple):
    """Append this block now; answer with `appended` or `append_failed`."""

    lane: str
    seq: int
    data: bytes


class Unknown(NamedTuple):
    """These tickets cannot be answered in time: outcome unknown."""

    tickets: tuple[int, ...]


@dataclass(slots=True)
class OwnBlock:
    """A block of ours: in flight, or ordered and not yet covered by a checkpoint."""

    lane: str
    seq: int
    data: bytes
    items: tuple[Waiting, ...]
    tries: int = 0
    revision: int = 0
    seen_as: int = 0
    told_unknown: bool = False


@dataclass(slots=True)
class _LaneState:
    lane: Lane
    next_seq: int = 1
    in_flight: OwnBlock | None = None
    authors: set[str] = field(default_factory=set)


class Lanes:
    """All lanes of one life of one site. `block_max_bytes` bounds a block, `count` is the number of lanes."""

    def __init__(
        self,
        *,
        ledger_id: bytes,
        epoch: int,
        site: str,
        boot_number: int,
        count: int,
        signer: Signer,
        block_max_bytes: int = limits.BLOCK_MAX_BYTES,
    ) -> None:
        self._ledger_id = ledger_id
        self._epoch = epoch
        self._signer = signer
        self._room_bytes = block_max_bytes - FRAME_MAX_BYTES
        self._lanes = {
            str(Lane(site, boot_number, k)): _LaneState(Lane(site, boot_number, k)) for k in range(count)
        }
        self._next_lane = count
        self._lane_of_author: dict[str, str] = {}
        self._kept: dict[tuple[str, int], OwnBlock] = {}
        self.queues = FairQueues()
        self.kept_bytes = 0

    @property
    def in_flight(self) -> int:
        """Appends not yet settled."""
        return sum(1 for lane in self._lanes.values() if lane.in_flight is not None)

    def start_blocks(self) -> list[Append]:
        """A new block for each idle lane that has somebody to serve."""
        appends: list[Append] = []
        for name, lane in self._lanes.items():
            if lane.in_flight is None and self.queues.count:
                items = self.queues.take(self._room_bytes, SUBMISSION_FRAME_BYTES, self._allowed_on(name))
                if items:
                    appends.append(self._start(name, lane, items))
        return appends

    def _allowed_on(self, name: str) -> set[str]:
        """Authors that may use this idle lane: those whose lane it is, those without one, those with too much for one."""
        allowed = set()
        for author in self.queues.authors():
            own = self._lane_of_author.get(author)
            if own is None or own == name or self._lanes[own].in_flight is None:
                self._lane_of_author[author] = name
                allowed.add(author)
            elif self.queues.bytes_of(author) > SPREAD_BYTES:
                allowed.add(author)
        return allowed

    def _start(self, name: str, lane: _LaneState, items: list[Waiting]) -> Append:
        data = sign_block(
            self._ledger_id,
            self._epoch,
            lane.lane,
            lane.next_seq,
            [item.data for item in items],
            self._signer,
        )
        own = OwnBlock(name, lane.next_seq, data, tuple(items))
        lane.next_seq += 1
        lane.in_flight = own
        self._kept[name, own.seq] = own
        self.kept_bytes += len(data)
        return Append(name, own.seq, data)

    def appended(self, lane_name: str, seq: int, place: Appended) -> None:
        """The log holds the block durably; its lane is free."""
        own = self._kept.get((lane_name, seq))
        lane = self._lanes.get(lane_name)
        if lane is not None and lane.in_flight is not None and lane.in_flight.seq == seq:
            lane.in_flight = None
        if own is not None:
            own.revision = place.revision

    def append_failed(self, lane_name: str, seq: int) -> tuple[Append | None, Unknown | None]:
        """A try failed with unknown outcome: the append to repeat, and whom to tell, once, that it is unknown.

        (None, None) when the block went by in the order meanwhile, or is even covered: there is nothing left to find out."""
        own = self._kept.get((lane_name, seq))
        if own is None or own.seen_as:
            return None, None
        own.tries += 1
        again = Append(lane_name, seq, own.data)
        if own.tries < TRIES_BEFORE_UNKNOWN or own.told_unknown:
            return again, None
        own.told_unknown = True
        return again, Unknown(tuple(item.ticket for item in own.items))

    def seen(self, lane_name: str, seq: int, data: bytes, number: int) -> OwnBlock | None:
        """A block went by in the order: ours if it is the very bytes that we sent. It is kept until a checkpoint covers it."""
        own = self._kept.get((lane_name, seq))
        if own is None or own.data != data:
            return None
        own.seen_as = number
        lane = self._lanes.get(lane_name)
        if lane is not None and lane.in_flight is own:
            lane.in_flight = None
        return own

    def covered(self, through_block: int) -> None:
        """A quorum checkpoint covers blocks up to here: they need not be kept."""
        for key in [key for key, own in self._kept.items() if 0 < own.seen_as <= through_block]:
            self.kept_bytes -= len(self._kept.pop(key).data)

    def vanished(self, passed_revision: int) -> list[OwnBlock]:
        """Blocks that the log acknowledged and then did not show: their submissions are put in line again, under a new seq."""
        lost = [
            own
            for own in self._kept.values()
            if own.revision and not own.seen_as and own.revision <= passed_revision
        ]
        for own in lost:
            self.kept_bytes -= len(self._kept.pop((own.lane, own.seq)).data)
            self.queues.put_back(list(own.items))
        for name in {own.lane for own in lost}:
            self._replace(name)
        return lost

    def is_retired(self, name: str) -> bool:
        """Whether the lane was replaced: what its last append comes to does not matter any more."""
        return name not in self._lanes

    def _replace(self, name: str) -> None:
        """A lane whose blocks vanished has lost its counter in the log too: its next number would be a gap for ever. A fresh lane takes its place."""
        old = self._lanes.pop(name)
        if old.in_flight is not None and (name, old.in_flight.seq) in self._kept:
            self.kept_bytes -= len(self._kept.pop((name, old.in_flight.seq)).data)
            self.queues.put_back(list(old.in_flight.items))
        fresh = Lane(old.lane.site, old.lane.boot_number, self._next_lane)
        self._next_lane += 1
        self._lanes[str(fresh)] = _LaneState(fresh)
        for author in [author for author, lane in self._lane_of_author.items() if lane == name]:
            self._lane_of_author[author] = str(fresh)

    def settled_elsewhere(self, blocks: Iterable[tuple[str, int, int]]) -> list[OwnBlock]:
        """Blocks (lane, seq, number) learned by sync instead of the log: those of them that were ours."""
        found = []
        for lane, seq, number in blocks:
            own = self._kept.get((lane, seq))
            if own is not None:
                own.seen_as = number
                state = self._lanes.get(lane)
                if state is not None and state.in_flight is own:
                    state.in_flight = None
                found.append(own)
        return found
