"""The ordering log as a port: one total order of opaque blocks, durable at a majority of voting members.

Two forms stand behind it: `etcd` (production: the node's own member) and `in_process` (tests, the single process). Both pass the same
contract suite (`tests/contract/test_ordering_log.py`). The log is not the store: blocks stay only until the ledgers hold them (`trim`).

What every form promises:

1. **One order.** Every follower sees the same blocks in the same order, each exactly once, with dense numbers 1, 2, 3, ... and strictly
   rising revisions (a revision is the engine's own resume mark; it need not be dense).
2. **Acknowledged is durable.** When `append` returns, a majority of voting members has flushed the block.
3. **Exactly once per (lane, seq).** `append(lane, seq)` of a pair that stands already returns the block's place if it can still be told
   (`Appended.repeated`), and never orders it twice, also after the block was trimmed. The lane's counter is never trimmed.
4. **Unknown is said.** A failure after which the block may or may not be ordered raises `OutcomeUnknown`; retrying the same (lane, seq, data) is safe.
5. **Fresh head.** `head` is linearizable: it covers every append that returned before the call began.
6. **Silence is not currency.** `follow` ends with `FollowBroken` when the member loses the majority: nobody takes a stalled stream for a quiet one.

What the caller owns: one append in flight per lane; lanes named so that no two lives of a node share one (`<site>/<boot number>/<k>`); trimming only what
a quorum checkpoint covers; a deadline on every call.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class OrderedBlock:
    """A block in the total order. `number` is dense from 1; `revision` is the engine's resume mark."""

    number: int
    revision: int
    lane: str
    seq: int
    data: bytes


@dataclass(frozen=True, slots=True)
class BlockRemoved:
    """A block left the log (trimming, or somebody's deletion: the follower judges which). `revision` is when it left."""

    revision: int
    lane: str
    seq: int


LogEvent = OrderedBlock | BlockRemoved


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an append stands. `number` is 0 and `revision` 0 when it is known to stand but was trimmed, so that its place cannot be told.

    `repeated` is true when an earlier try had already ordered it."""

    number: int
    revision: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The last block ordered: its dense number and revision; (0, 0) for an empty log."""

    number: int
    revision: int


@dataclass(frozen=True, slots=True)
class OrderingMember:
    """One member of the log as its own engine lists it."""

    member_id: int
    site: str
    votes: bool
    peer_url: str = ""


@dataclass(frozen=True, slots=True)
class OrderingStatus:
    """How this site's member stands; answered from local knowledge, also without a majority. `lead_site` is empty when no lead is known."""

    engine: str
    version: str
    cluster_id: int
    member_id: int
    lead_site: str
    is_lead: bool
    term: int
    size_bytes: int
    in_use_bytes: int
    quota_bytes: int
    resident_bytes: int
    alarms: tuple[str, ...]
    members: tuple[OrderingMember, ...]


class OrderingError(Exception):
    """Base of what an ordering log raises; the text is one sentence of cause and one of remedy."""


class OutcomeUnknown(OrderingError):
    """The block may or may not be ordered (lost answer, deadline, change of lead). Retry the same (lane, seq, data)."""


class OrderingRefused(OrderingError):
    """The engine refused and nothing was ordered; retrying the same call cannot help (for example a block over the size limit)."""


class LaneConflict(OrderingError):
    """(lane, seq) stands with other data, or seq would leave a gap: a programming error or a second node under this site's name."""


class OrderingFull(OrderingError):
    """The engine's quota is reached; nothing was ordered. Trim, or wait for trimming."""


class Compacted(OrderingError):
    """The revisions asked for were trimmed. `oldest_revision` is the first that can still be followed: catch up from a peer's ledger."""

    def __init__(self, oldest_revision: int) -> None:
        super().__init__(
            f"The ordering log no longer holds what was asked for; it begins at revision {oldest_revision}. "
            "Catch up from another site's ledger, then follow from there."
        )
        self.oldest_revision = oldest_revision


class FollowBroken(OrderingError):
    """The stream of blocks ended (member restarted, majority lost). Follow again from the last block seen."""


class OrderingLog(Protocol):
    """One site's access to the total order, through that site's own member."""

    async def append(self, lane: str, seq: int, data: bytes, *, timeout_ms: int) -> Appended:
        """Order `data` as (lane, seq); seq starts at 1 in each lane. Raises OutcomeUnknown, OrderingRefused, LaneConflict, OrderingFull."""
        ...

    def follow(self, after: Head) -> AsyncGenerator[LogEvent, None]:
        """Every event after `after` in order, for ever. Raises Compacted, FollowBroken."""
        ...

    async def head(self, *, timeout_ms: int) -> Head:
        """The linearizable head. Raises OutcomeUnknown when a majority does not answer in time."""
        ...

    async def trim(self, through_seq: Mapping[str, int], through_revision: int, *, timeout_ms: int) -> None:
        """Remove each lane's blocks up to its seq, and the history up to `through_revision`. Lane counters stay. Safe to repeat.

        Raises OutcomeUnknown."""
        ...

    async def status(self, *, timeout_ms: int) -> OrderingStatus:
        """Raises OutcomeUnknown when the member itself does not answer."""
        ...

    async def hand_over_lead(self, to_site: str, *, timeout_ms: int) -> None:
        """Move the lead from this member to `to_site`; nothing happens when this member does not lead. Raises OutcomeUnknown, OrderingRefused."""
        ...

    async def close(self) -> None:
        """Give back channels and tasks of this access; the member itself is stopped by its supervisor."""
        ...
