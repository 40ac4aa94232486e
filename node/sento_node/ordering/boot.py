"""Boot numbers: may this site's ordering member start under its old id?

An ordering member is its disk. A member that lost or rolled back its disk and comes back under its old id can lose acknowledged writes: it
votes again on what it had promised to remember. So a node raises its boot number on disk, flushed, and tells every other node; its member starts once
one other voting site's node has confirmed. It never starts when somebody remembers more than its own disk does:

 - the disk is empty and anybody remembers this site                     (a new disk)
 - anybody remembers a higher boot number                                (a rolled-back disk)
 - the ordering directory's own copy of the number is not the node's, nor one ahead of it (one of the two was replaced; the copy is written first)
 - the ordering directory is empty although the member had started         (the member's disk alone was lost)

The way back is the same for all: remove the member, add it as a learner, promote it (`joining/`). A roll-back that is hidden from every site that answers is
not detected. A disk that is new by its operator's word, and a site that has no member to protect, are not refused for what others remember: they take a
number above all of it, so that no two lives share a lane.

A ledger that is behind what this site once cosigned says nothing against its member while the boot numbers say that the member's disk is this life's: the
ledger is derived, and made anew from others (`rebuild/`). The largest size that anybody remembers comes with `Start`: nothing smaller is cosigned from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sento_proto.checkpoint import SiteKeys, cosigners, decode_checkpoint
from sento_proto.wire import Malformed


class LocalDisk(NamedTuple):
    """What this site's own disk says, before the number is raised. `boot_number` is the last life's (0: never booted); `ordering_boot_number`
    the copy kept with the member's data (0: none), which is written first; `member_started` whether a former life started the member;
    `member_has_data` whether the member's directory holds a log; `ledger_size` records flushed; `cosigned_size` the largest it noted down."""

    boot_number: int
    ordering_boot_number: int
    member_started: bool
    member_has_data: bool
    ledger_size: int
    cosigned_size: int


class PeerMemory(NamedTuple):
    """What another site remembers of this one: its highest boot number before this life's, the largest size it cosigned, and the note that shows it."""

    boot_number: int
    cosigned_size: int
    checkpoint: bytes = b""


def shown(memory: PeerMemory, ledger_id: bytes, site: str, keys: SiteKeys | None) -> PeerMemory:
    """The memory without a cosigned size that this site's own cosignature does not show: one false number would silence it for ever."""
    try:
        note = decode_checkpoint(memory.checkpoint)
    except Malformed:
        return memory._replace(cosigned_size=0)
    own = {} if keys is None else {site: keys}
    fits = note.ledger_id == ledger_id and note.size == memory.cosigned_size
    return memory if fits and cosigners(note, own) else memory._replace(cosigned_size=0)


class Announcement(NamedTuple):
    """A boot number and the life that it is announced for. Both are on disk, flushed, before anybody is told, until the number is confirmed."""

    boot_number: int
    life: bytes


def announcement_of(
    disk: LocalDisk, unconfirmed: Announcement | None, fresh_life: bytes
) -> tuple[Announcement, LocalDisk]:
    """(what this boot announces, the disk as it is to be judged by `decide_boot`). `unconfirmed` is what a former boot raised and nobody confirmed.

    Such a number is announced again for the same life and not raised further: a refused site that is started again and again would else climb
    over what the others remember, and start with the very disk that it was refused for."""
    if unconfirmed is None:
        return Announcement(disk.boot_number + 1, fresh_life), disk
    return unconfirmed, disk._replace(boot_number=unconfirmed.boot_number - 1)


class Wait(NamedTuple):
    """Not yet: nobody has confirmed. The ledger can be read meanwhile."""

    words: str


class Start(NamedTuple):
    """The member may start under `boot_number`. `cosigned_size`: the largest that this disk, or whoever answered, remembers of this site's cosignatures."""

    boot_number: int
    cosigned_size: int = 0


class Refuse(NamedTuple):
    """The member must never start under its old id."""

    words: str


class Raise(NamedTuple):
    """Announce this number instead: somebody remembers the one announced, or a higher one, of a former life."""

    boot_number: int


BootDecision = Wait | Start | Refuse | Raise
BOOTS_AHEAD_MAX = 1_000_000
"""So many boots at most are remembered of a disk that is gone, when one site alone says so."""

_REMEDY = (
    "Do not copy a data directory back. Run `sento-node replace-disk`, which takes this site's former member out of the ordering log and lets "
    "it join again with an empty directory (runbook: replace-disk)."
)


def decide_boot(
    disk: LocalDisk,
    announced: int,
    answers: Mapping[str, PeerMemory],
    voting_others: frozenset[str],
    *,
    takes_new_number: bool = False,
) -> BootDecision:
    """Whether the member may start as boot number `announced` (already flushed here). `answers` are by site, `voting_others` the other voters, tie-breakers
    among them. `takes_new_number`: the disk is new by its operator's word and its former member will not start, or this site has no member."""
    answers = believable(answers, announced)
    if takes_new_number:
        remembered_boot = max((memory.boot_number for memory in answers.values()), default=0)
        if remembered_boot >= announced:
            return Raise(remembered_boot + 1)
    else:
        refusal = refuse_locally(disk) or _refuse_by_memory(disk, announced, answers)
        if refusal is not None:
            return Refuse(f"{refusal} {_REMEDY}")
    if voting_others and not voting_others & answers.keys():
        return Wait(
            "Waiting for another voting site to confirm this site's boot number; none has answered yet. "
            "Reads of freshness LOCAL are served from the ledger as it stands on disk."
        )
    remembered = max([disk.cosigned_size, *(memory.cosigned_size for memory in answers.values())])
    return Start(announced, remembered)


def believable(answers: Mapping[str, PeerMemory], announced: int) -> Mapping[str, PeerMemory]:
    """The answers without those that remember more boots than can have been, unless another site remembers about as many: one false answer must not use up
    the numbers that this site will ever have, of which a lane's name holds twelve digits."""
    return {
        site: memory
        for site, memory in answers.items()
        if memory.boot_number <= announced + BOOTS_AHEAD_MAX
        or any(
            other != site and abs(known.boot_number - memory.boot_number) <= BOOTS_AHEAD_MAX
            for other, known in answers.items()
        )
    }


def steady(
    answers: Mapping[str, PeerMemory], first: Mapping[str, PeerMemory], announced: int
) -> Mapping[str, PeerMemory]:
    """The answers without those of sites that remember the number announced now, or a higher one, and did not by their `first` answer to this life: nobody
    announced one since but this life. Whoever heeded such a site would take higher and higher numbers and never start."""
    return {
        site: memory
        for site, memory in answers.items()
        if memory.boot_number < announced
        or site not in first
        or memory.boot_number <= first[site].boot_number
    }


def refuse_locally(disk: LocalDisk) -> str | None:
    """What this site's own disk says against a start."""
    if disk.ordering_boot_number not in (disk.boot_number, disk.boot_number + 1):
        return (
            f"This node's disk says boot {disk.boot_number} and its ordering member's directory says boot "
            f"{disk.ordering_boot_number}: one of the two was replaced or rolled back."
        )
    if disk.member_started and not disk.member_has_data:
        return f"The ordering member's directory is empty although it held this site's log by boot {disk.boot_number}."
    return None


def _refuse_by_memory(disk: LocalDisk, announced: int, answers: Mapping[str, PeerMemory]) -> str | None:
    for site, memory in sorted(answers.items()):
        if disk.boot_number == 0 and memory.boot_number:
            return f"This site's disk is empty and {site} remembers its boot {memory.boot_number}."
        if memory.boot_number >= announced:
            return f"This site's disk was rolled back: it would boot as {announced} and {site} remembers boot {memory.boot_number}."
    return None


class BootMemory(NamedTuple):
    """What a site keeps on disk about another one's boots: the highest number, the life that announced it, and the number before that life."""

    boot_number: int
    life: bytes
    before: int


UNSURE = 2**64 - 1
"""In place of the number before a life: what was remembered of this site was lost, so its boot cannot be confirmed by this memory."""


def remember_boot(
    memory: BootMemory | None, announced: int, life: bytes, *, unsure: bool = False
) -> tuple[BootMemory, int]:
    """(what to keep, the number remembered before this life). A repeated announcement of one life gets the same answer again.

    `unsure`: this site lost what it remembered. The first announcement that it hears is answered UNSURE, as often as it is repeated; a higher number is
    of a life behind one that somebody else confirmed, because an unconfirmed number is never raised (`announcement_of`)."""
    if memory is None:
        before = UNSURE if unsure else 0
        return BootMemory(announced, life, before), before
    if memory.life == life and memory.boot_number == announced:
        return memory, memory.before
    if announced <= memory.boot_number:
        return memory, memory.boot_number
    return BootMemory(announced, life, memory.boot_number), memory.boot_number
