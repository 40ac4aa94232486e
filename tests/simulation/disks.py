"""What a simulated site has on disk, and images of it to roll back to.

A site's disk holds its ledger, its own boot number with what it remembers of others, and the ordering member's directory with a copy of the number
beside it. Each part can be lost or replaced alone; that is what the boot rules are about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sento_node.compose import COSIGNED_NAME, FLOOR_NAME, encode_cosigned, recall_cosigned
from sento_node.joining.note import Note as JoiningNote
from sento_node.ledger.memory_store import FlushMoment, MemoryDisk, MemoryStore
from sento_node.ledger.state import FactHead, SubjectHead
from sento_node.ordering.boot import Announcement, BootMemory
from sento_node.rebuild.deciding import NOTE_NAME, OWN_BOOT_NAME, AgreedAt, Damage, Note, encode_note
from sento_node.sync.parts import Wanted
from sento_proto import header as header_layout
from sento_proto.chunk import Kind
from sento_proto.merkle import Frontier
from sento_proto.wire import u64

if TYPE_CHECKING:
    from tests.simulation.catch_up import Part


@dataclass(slots=True)
class NodeFiles:
    """The small files of one site: its number, the copy with the member's data, whether the member ever started, what it announced
    and nobody confirmed yet, how far the replacement of the disk is, and others' boots."""

    boot_number: int = 0
    ordering_boot_number: int = 0
    member_started: bool = False
    unconfirmed: Announcement | None = None
    joining: JoiningNote | None = None
    memories: dict[str, BootMemory] = field(default_factory=dict)

    def copy(self) -> NodeFiles:
        """An independent copy."""
        return replace(self, memories=dict(self.memories))


@dataclass(frozen=True, slots=True)
class DiskImage:
    """A whole disk as it was; `member_entries` is the length of the member's log."""

    ledger: MemoryDisk
    files: NodeFiles
    member_entries: int
    member_number: int


class SiteDisk:
    """The disk that a site has now. `at_flush` is asked at each flush and may raise OSError."""

    def __init__(self, ledger_id: bytes, at_flush: Callable[[FlushMoment], None]) -> None:
        self._ledger_id = ledger_id
        self._at_flush = at_flush
        self.files = NodeFiles()
        self.altered: list[Damage] = []
        self.parts: dict[tuple[str, Wanted], Part] = {}
        self.store = MemoryStore(MemoryDisk(ledger_id), at_flush=at_flush)

    def end_life(self) -> None:
        """What was not flushed is forgotten."""
        self.store = self.store.crash()

    def forget_parts(self, site: str = "", through_block: int | None = None) -> None:
        """Drop the parts that a site gave, or the spines that end at or before a block."""
        for giver, wanted in list(self.parts):
            of_site = bool(site) and giver == site
            is_used = through_block is not None and wanted.kind is Kind.SPINE
            if of_site or (is_used and wanted.through_block <= (through_block or 0)):
                del self.parts[giver, wanted]

    def image(self, member_entries: int, member_number: int) -> DiskImage:
        """The disk as it is now."""
        return DiskImage(self.store.snapshot(), self.files.copy(), member_entries, member_number)

    def restore(self, image: DiskImage) -> None:
        """Be as the image was."""
        self.altered = []
        self.parts = {}
        self.store = self.store.restore(image.ledger)
        self.files = image.files.copy()

    def replace(self, boot_number: int) -> None:
        """Be an empty disk under an operator's hand, who told it which boot number others remember."""
        self.altered = []
        self.parts = {}
        self.store = MemoryStore(MemoryDisk(self._ledger_id), at_flush=self._at_flush)
        self.files = NodeFiles(boot_number, boot_number)

    # -- the ledger alone ---------------------------------------------------------------------------------------------------

    def lose_ledger(self) -> None:
        """The ledger's directory is gone; member, boot numbers and what is remembered of others' boots are not."""
        self.altered = []
        self.store = MemoryStore(MemoryDisk(self._ledger_id), at_flush=self._at_flush)

    def old_ledger(self, image: DiskImage) -> None:
        """Somebody put back an older copy of the ledger alone."""
        self.altered = []
        self.store = self.store.restore(image.ledger)

    def alter_ledger(self, position: int) -> None:
        """Make the hash of a record another one, with the tree over it and the site's own note of what it cosigned."""
        disk = self.store.snapshot()
        disk.leaves[position] = bytes(32)
        disk.records[position] = disk.records[position]._replace(record_hash=bytes(32))
        disk.tip = disk.tip._replace(frontier=tuple(_tree(disk, disk.tip.size).hashes))
        cosigned = recall_cosigned(self.store)
        if cosigned is not None:
            root = _tree(disk, cosigned.size).root()
            disk.remembered[COSIGNED_NAME] = encode_cosigned(cosigned._replace(root=root))
        self.altered = [Damage(position, None)]
        self.store = self.store.restore(disk)

    def begin_anew(
        self, agreed: AgreedAt | None, note: Note, boot_number: int, goes_over: Mapping[str, bytes]
    ) -> None:
        """Put a new ledger in place: what the old one has up to its agreed size, or nothing; `goes_over`: what it remembers of the old one's small facts."""
        old = self.store.snapshot()
        disk = MemoryDisk(self._ledger_id) if agreed is None else cut_back(old, agreed)
        disk.remembered = {
            **dict(sorted(goes_over.items())),
            NOTE_NAME: encode_note(note),
            FLOOR_NAME: u64(note.floor_size),
            OWN_BOOT_NAME: u64(boot_number),
        }
        self.altered = []
        self.store = self.store.restore(disk)

    def lose_all(self) -> None:
        """Be an empty disk that nobody was told of."""
        self.replace(0)


def _tree(disk: MemoryDisk, size: int) -> Frontier:
    frontier = Frontier()
    for leaf in disk.leaves[:size]:
        frontier.append(leaf)
    return frontier


def cut_back(old: MemoryDisk, agreed: AgreedAt) -> MemoryDisk:
    """The disk as it was at the end of a block."""
    size = agreed.size
    blocks = old.blocks[: agreed.block]
    disk = MemoryDisk(old.ledger_id, records=old.records[:size], leaves=old.leaves[:size], blocks=blocks)
    disk.ids = {name: position for name, position in old.ids.items() if position < size}
    disk.hashes = {name: position for name, position in old.hashes.items() if position < size}
    for kept in disk.records:
        header = header_layout.decode(kept.header_bytes)
        disk.facts[header.registry, header.fact] = FactHead(kept.position, kept.record_hash)
        disk.subjects[header.registry, header.subject] = SubjectHead(kept.position, kept.link)
    disk.checkpoints = [one for one in old.checkpoints if one.size <= size]
    frontier = tuple(_tree(old, size).hashes)
    disk.tip = old.tip._replace(
        block=agreed.block, revision=blocks[-1].revision, size=size, frontier=frontier
    )
    return disk
