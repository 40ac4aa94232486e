"""What waits in one site's checkpoints: requests that are ahead of it, and its own proposal."""

from __future__ import annotations

from dataclasses import dataclass, field

from sento_node.quorum.effects import TreeAt
from sento_proto.checkpoint import Checkpoint, NoteSignature


@dataclass(slots=True)
class Parked:
    """A request for this site's cosignature that cannot be answered yet; since when, in milliseconds of the caller's clock."""

    ticket: int
    checkpoint: Checkpoint
    block: int
    since_ms: int


@dataclass(slots=True)
class Proposal:
    """This site's own checkpoint while cosignatures come in, by site. `asked_again`: embassies were shown who else has signed."""

    tree: TreeAt
    checkpoint: Checkpoint
    started_ms: int
    lines: dict[str, tuple[NoteSignature, ...]] = field(default_factory=dict)
    asked_again: bool = False
