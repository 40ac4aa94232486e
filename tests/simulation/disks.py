"""What a simulated site has on disk, and images of it to roll back to.

A site's disk holds its ledger, its own boot number with what it remembers of others, and the ordering member's directory with a copy of the number
beside it. Each part can be lost or replaced alone; that is what the boot rules are about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sento_node.ledger.memory_store import FlushMoment, MemoryDisk, MemoryStore
from sento_node.ordering.boot import Announcement, BootMemory


@dataclass(slots=True)
class NodeFiles:
    """The small files of one site: its number, the copy with the member's data, whether the member ever started, what it announced
    and nobody confirmed yet, and others' boots."""

    boot_number: int = 0
    ordering_boot_number: int = 0
    member_started: bool = False
    unconfirmed: Announcement | None = None
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
        self.store = MemoryStore(MemoryDisk(ledger_id), at_flush=at_flush)

    def end_life(self) -> None:
        """What was not flushed is forgotten."""
        self.store = self.store.crash()

    def image(self, member_entries: int, member_number: int) -> DiskImage:
        """The disk as it is now."""
        return DiskImage(self.store.snapshot(), self.files.copy(), member_entries, member_number)

    def restore(self, image: DiskImage) -> None:
        """Be as the image was."""
        self.store = self.store.restore(image.ledger)
        self.files = image.files.copy()

    def replace(self, boot_number: int) -> None:
        """Be an empty disk under an operator's hand, who told it which boot number others remember."""
        self.store = MemoryStore(MemoryDisk(self._ledger_id), at_flush=self._at_flush)
        self.files = NodeFiles(boot_number, boot_number)

    def lose_all(self) -> None:
        """Be an empty disk that nobody was told of."""
        self.replace(0)
