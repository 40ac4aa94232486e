"""What this site remembers of other sites' boots, in two places: its ledger, and a file that outlives the ledger.

A site that comes back with a rolled-back disk is found out by what the others remember of it, so a ledger that is made anew must not make this site
forget. The file is written first; where the two differ, the higher number counts. When neither holds anything for a site because both were lost, this site
is *unsure*: it notes what it is told, and confirms nobody by it; a later life of that site, which somebody with a memory confirmed, it knows again.

    data/boot-memories    JSON {"format":"sento-boot-memories-1","sites":{"<site>":"<hex of boot_keeper.encode_memory>"},"lost":true}

`lost` stands in the file as well as in the ledger, and only where something was lost: the file is begun by whoever is unsure too, and must not look whole then.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from sento_node.boot_keeper import BootFileDamaged, decode_memory, encode_memory, memory_name
from sento_node.durable_files import write_durably
from sento_node.ledger.store import LedgerStore
from sento_node.ordering.boot import UNSURE, BootMemory, remember_boot
from sento_proto.wire import Malformed

FORMAT = "sento-boot-memories-1"
LOST_NAME = "boot-memories-lost"
"""A ledger remembers under this name that it began without what the former one remembered of boots."""
_LOST = "lost"


def memories_path(data_dir: Path) -> Path:
    """Where the file is."""
    return data_dir / "boot-memories"


class KeptMemories(NamedTuple):
    """What the file says: memories by site, and whether it was begun without what was remembered before it."""

    sites: dict[str, BootMemory]
    lost: bool


def read_memories(path: Path) -> KeptMemories | None:
    """The file; None when there is none. Raises BootFileDamaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError("another format")
        sites = {str(site): decode_memory(bytes.fromhex(data)) for site, data in found["sites"].items()}
        return KeptMemories(sites, bool(found.get(_LOST)))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, Malformed) as error:
        raise BootFileDamaged(
            f"{path} does not hold what this site remembers of other sites' boots ({type(error).__name__}). "
            "Check the disk, and move the file away: this site then confirms no other site's boot until it has heard of one that others confirmed."
        ) from error


class BootMemories:
    """The memories of one site. One thread owns it, the ledger's writer."""

    def __init__(self, path: Path, store: LedgerStore) -> None:
        """Raises BootFileDamaged."""
        self._path = path
        self._store = store
        found = read_memories(path) or KeptMemories({}, lost=False)
        self._kept = found.sites
        self._lost = found.lost or bool(store.recall(LOST_NAME))

    def complete(self, sites: list[str]) -> None:
        """Bring file and ledger to what either knows. Raises OSError, LedgerFailed."""
        for site in sites:
            memory = self.recall(site)
            if memory is not None and self._kept.get(site) != memory:
                self._write(site, memory)
            if memory is not None and self._store.recall(memory_name(site)) != encode_memory(memory):
                self._store.remember(memory_name(site), encode_memory(memory))
        if not self._path.exists():
            self._save()

    def recall(self, site: str) -> BootMemory | None:
        """What is remembered of a site's boots: the higher number of both places."""
        data = self._store.recall(memory_name(site))
        known = [
            memory
            for memory in (self._kept.get(site), None if data is None else decode_memory(data))
            if memory
        ]
        return max(known, default=None)

    def announced(self, site: str, number: int, life: bytes) -> int | None:
        """Remember an announcement, flushed in both places: the number remembered before that life; None when this site is unsure.

        Raises OSError, LedgerFailed."""
        memory, before = remember_boot(self.recall(site), number, life, unsure=self._lost)
        self._write(site, memory)
        self._store.remember(memory_name(site), encode_memory(memory))
        return None if before == UNSURE else before

    def _write(self, site: str, memory: BootMemory) -> None:
        if self._kept.get(site) != memory:
            self._kept[site] = memory
            self._save()

    def _save(self) -> None:
        sites = {site: encode_memory(memory).hex() for site, memory in sorted(self._kept.items())}
        words: dict[str, object] = {"format": FORMAT, "sites": sites}
        if self._lost:
            words[_LOST] = True
        write_durably(self._path, json.dumps(words).encode())
