"""When a ledger is made anew, from which size on, and when it is whole again. Pure.

A ledger is a derived store: every record in it stands at the other sites too, with its proofs. The ordering member is none: what it promised
stands nowhere else. So a ledger that is lost, damaged, old, or not what a quorum cosigned is made anew; a member never is (`ordering/boot.py`).

What a ledger remembers besides records must not be forgotten with it: the largest size that this site cosigned (the floor: it cosigns nothing smaller
ever again), and other sites' boot numbers (`boot_memories.py`). Why this is safe: decisions/0010.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from sento_proto.wire import Reader, u32, u64

ASIDE_MAX = 5
"""So many ledgers set aside are kept; then a person must look why this site's go wrong."""
REASON_MAX_BYTES = 400
NOTE_NAME = "rebuild"
OWN_BOOT_NAME = "own-boot"
"""Under these names a ledger remembers that it is being made anew, and which life of this site wrote to it last."""


class Look(NamedTuple):
    """What a start finds. `had_life`: the boot numbers say that this disk had a life. `refusal`: what the disk says against the ordering member, or None.
    `present`: the ledger's database is there. `problem`: why it cannot be opened, or "". `ledger_boot` and `boot_number`: the last life's number by the
    ledger (None: it does not say) and by the node. `asked`: why somebody asked for a new ledger, or "". `attempt`: how often that was tried in a row.
    `others`: whether there are other sites. `aside`: how many ledgers were set aside."""

    had_life: bool
    refusal: str | None
    present: bool
    problem: str
    ledger_boot: int | None
    boot_number: int
    asked: str
    attempt: int
    others: bool
    aside: int


class OpenLedger(NamedTuple):
    """Open the ledger as it is, or a new one where this disk never had a life."""


class MakeAnew(NamedTuple):
    """Make the ledger anew: from its last agreed size, or from nothing."""

    reason: str
    from_nothing: bool


class Stop(NamedTuple):
    """Neither can be done. The text is one sentence of cause and one of remedy."""

    words: str


def decide_start(look: Look) -> OpenLedger | MakeAnew | Stop:
    """What a start does about its ledger. The ordering member is judged later, by its own rules, whatever comes of this."""
    if not look.present and not look.had_life:
        return OpenLedger()
    reason = trouble(look)
    if not reason:
        return OpenLedger()
    if look.refusal is not None:
        if look.present and not look.problem:
            return OpenLedger()
        return Stop(f"{reason} It is not made anew, because this disk is not whole otherwise: {look.refusal}")
    if not look.others:
        return Stop(
            f"{reason} This ledger has no other site, so there is nobody to copy it from. "
            "Put back the newest copy of the whole data directory that you have (runbook: rebuild)."
        )
    if look.aside >= ASIDE_MAX:
        return Stop(
            f"{reason} {look.aside} ledgers were set aside here already, so something spoils them. "
            "Check disk and memory of this machine, move the directories damaged-* away, and start the site again."
        )
    return MakeAnew(reason, look.attempt >= 2)


def trouble(look: Look) -> str:
    """Why the ledger must be made anew, in one sentence; "" when it need not be."""
    if look.asked:
        return look.asked
    if not look.present:
        return "The ledger's database is missing, and the ordering member's data are there."
    if look.problem:
        return look.problem
    if look.ledger_boot is not None and look.ledger_boot < look.boot_number:
        return f"The ledger is an older copy: it was written last in boot {look.ledger_boot}, and this site's last was {look.boot_number}."
    return ""


class Damage(NamedTuple):
    """Where something is wrong; None where it is not about one place."""

    position: int | None
    block: int | None


class AgreedAt(NamedTuple):
    """A checkpoint that a quorum cosigned and this ledger keeps: its size, and the block that it ends."""

    size: int
    block: int


def agreed_size(
    kept: Iterable[AgreedAt], damage: Iterable[Damage], disputed_size: int | None = None
) -> AgreedAt | None:
    """The largest kept checkpoint before everything that is damaged, and below `disputed_size`, where a quorum has another root; None: from nothing.

    `kept` are those whose root is the tree's own; damage without a place bounds nothing, and whoever cuts the ledger back verifies what is left."""
    found = list(damage)
    positions = [item.position for item in found if item.position is not None]
    blocks = [item.block for item in found if item.block is not None]
    below = min(positions, default=None)
    block_below = min(blocks, default=None)
    sound = [
        item
        for item in kept
        if item.size > 0
        and (below is None or item.size <= below)
        and (block_below is None or item.block < block_below)
        and (disputed_size is None or item.size < disputed_size)
    ]
    return max(sound, default=None)


class Note(NamedTuple):
    """What a ledger that is being made anew remembers of it: nothing is answered or cosigned while it stands.

    `floor_size`: the largest size that anybody is known to remember of this site's cosignatures. `from_size`: what was kept of the old ledger."""

    reason: str
    attempt: int
    floor_size: int
    from_size: int


def encode_note(note: Note) -> bytes:
    """u32 attempt || u64 floor || u64 from || reason, UTF-8, cut to REASON_MAX_BYTES."""
    reason = note.reason.encode()[:REASON_MAX_BYTES]
    return u32(note.attempt) + u64(note.floor_size) + u64(note.from_size) + reason


def decode_note(data: bytes | None) -> Note | None:
    """The reverse of `encode_note`; None for no note, or an empty one: it was done. Raises Malformed."""
    if not data:
        return None
    reader = Reader(data[:20], "rebuild note")
    attempt, floor_size, from_size = reader.u32("attempt"), reader.u64("floor"), reader.u64("from")
    reader.end()
    return Note(data[20:].decode(errors="replace"), attempt, floor_size, from_size)


@dataclass(slots=True)
class Rebuild:
    """How far a ledger that is being made anew has come, in one life.

    `copied`: another site's ledger was read to its end, proven. `told`: the sites that said what they remember of this one's cosignatures."""

    note: Note
    floor_size: int = 0
    copied: bool = False
    told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.floor_size = max(self.floor_size, self.note.floor_size)

    def heard(self, site: str, cosigned_size: int) -> None:
        """Another site said the largest size that it has this site's cosignature under."""
        self.told.add(site)
        self.floor_size = max(self.floor_size, cosigned_size)

    def is_whole(self, flushed_size: int, *, current: bool, others: Collection[str]) -> bool:
        """Whether the ledger may be answered from and vouched for again. `others`: the other sites of the receipt set in force; any of them may
        remember more than those that answered, so all are heard first. `current`: all of the order has been read."""
        return self.copied and current and flushed_size >= self.floor_size and set(others) <= self.told
