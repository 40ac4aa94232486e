"""What `Checkpoints` knows of trees and asks of its shell, as plain data."""

from __future__ import annotations

from typing import NamedTuple

from sento_proto.checkpoint import Checkpoint, NoteSignature
from sento_proto.errors import Code


class TreeAt(NamedTuple):
    """The tree at a block's end."""

    block: int
    size: int
    root: bytes


class Cosigned(NamedTuple):
    """What this site last put its cosignature under."""

    epoch: int
    size: int
    root: bytes


class WriteCosigned(NamedTuple):
    """Write this down, flushed, then call `cosigned_written`."""

    cosigned: Cosigned


class AskCosign(NamedTuple):
    """Ask a site for its cosignature; answer with `cosign_reply` or nothing."""

    site: str
    checkpoint: Checkpoint
    block: int


class AnswerCosign(NamedTuple):
    """Answer a site's request: the cosignature's lines, or the code why not."""

    ticket: int
    lines: tuple[NoteSignature, ...]
    code: Code | None


class ClockHeard(NamedTuple):
    """A cosignature told the time at a site: so far ahead of this site's clock, in seconds."""

    site: str
    off_s: int


class QuorumReached(NamedTuple):
    """Keep this checkpoint; `publish_to` names the sites to hand it to (empty when it came from one)."""

    checkpoint: Checkpoint
    block: int
    publish_to: tuple[str, ...]


class Diverged(NamedTuple):
    """A quorum holds another root than this site at the same size: stop answering."""

    size: int


class LateCosigned(NamedTuple):
    """Cosignatures came after the quorum: add these lines to the kept checkpoint of that size, if there is one. `publish_to` names the sites to hand it to."""

    checkpoint: Checkpoint
    block: int
    publish_to: tuple[str, ...]


CheckpointEffect = (
    WriteCosigned | AskCosign | AnswerCosign | ClockHeard | QuorumReached | LateCosigned | Diverged
)
