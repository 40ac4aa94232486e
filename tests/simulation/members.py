"""Members of the simulated ordering log and what is on their disks: entries with terms, and who may become the lead.

An entry is in a member's log exactly when it is flushed there. Two logs that share an entry share everything before it, so comparing goes by identity
from the end. Which log is more recent is decided as in Raft: by the last term, then by length.

Source: D. Ongaro and J. Ousterhout, "In Search of an Understandable Consensus Algorithm", sections 5.3 and 5.4.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sento_node.ordering.port import Appended, OrderingError

Answer = Callable[[Appended | OrderingError], None]


@dataclass(slots=True, eq=False)
class AppendOp:
    """A block to order, asked for by `site`; `answer` is told the outcome if the answer gets through."""

    site: str
    lane: str
    seq: int
    data: bytes
    answer: Answer


@dataclass(slots=True, eq=False)
class TrimOp:
    """Blocks to remove, asked for by `site`."""

    site: str
    through_seq: Mapping[str, int]
    through_revision: int


@dataclass(slots=True, eq=False)
class Entry:
    """One entry of the replicated log; `op` is None for the one with which a lead begins its term."""

    term: int
    op: AppendOp | TrimOp | None


@dataclass(slots=True, eq=False)
class Member:
    """One member. `number` changes when it is replaced; `has_files` since its first start, while its disk is there; `visible` is how many
    entries it knows to be committed; `removed`: it is no member now; `leads_term` is not 0 while it believes that it leads."""

    site: str
    number: int
    votes: bool = True
    removed: bool = False
    up: bool = False
    has_files: bool = False
    log: list[Entry] = field(default_factory=list)
    visible: int = 0
    leads_term: int = 0
    heard_ms: int = 0

    @property
    def recency(self) -> tuple[int, int]:
        """(last term, length): who has more may lead."""
        return (self.log[-1].term if self.log else 0, len(self.log))


def shared_prefix(one: Sequence[Entry], other: Sequence[Entry]) -> int:
    """How many entries two logs have in common."""
    count = min(len(one), len(other))
    while count and one[count - 1] is not other[count - 1]:
        count -= 1
    return count


def take_over(member: Member, lead_log: Sequence[Entry], upto: int) -> None:
    """Make the member's log equal to the first `upto` entries of the lead's; what it holds beyond is kept only if it is the lead's too."""
    common = shared_prefix(member.log, lead_log)
    if common < len(member.log):
        del member.log[common:]
    if common < upto:
        member.log.extend(lead_log[common:upto])
    member.visible = min(member.visible, len(member.log))
