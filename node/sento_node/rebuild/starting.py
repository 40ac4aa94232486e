"""A start's look at the ledger: opened as it is, or a stand-in while a new one is prepared.

The check of the database runs in a child process, because a damaged page can kill whoever reads it. It is left out when the files are as a node closed
them in order. While a new ledger is prepared the node serves from an empty stand-in in memory: it says how it stands and confirms other sites' boots from
what it remembers in a file, and refuses everything else with REBUILDING.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sento_node.boot_keeper import BootFileDamaged, BootFiles
from sento_node.compose import recall_rebuild
from sento_node.config import NodeConfig
from sento_node.ledger.lmdb_files import free_bytes
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.store import DiskSpace, LedgerFailed, LedgerStore
from sento_node.ordering.boot import LocalDisk, refuse_locally
from sento_node.rebuild.asking import Answer, ask
from sento_node.rebuild.boot_memories import LOST_NAME, BootMemories, memories_path
from sento_node.rebuild.deciding import OWN_BOOT_NAME, Look, MakeAnew, Note, Stop, decide_start
from sento_node.rebuild.places import Asked, Places
from sento_node.rebuild.preparing import Preparing, put_in_place
from sento_proto.genesis import Genesis
from sento_proto.wire import Malformed, Reader


@dataclass(frozen=True, slots=True)
class Opened:
    """What a life begins with. `preparing` makes the new ledger first, in place of which `store` stands in; `note`: the ledger is being made anew."""

    store: LedgerStore
    memories: BootMemories
    note: Note | None = None
    preparing: Prepare | None = None


@dataclass(frozen=True, slots=True)
class Prepare:
    """A new ledger to be made, and why."""

    preparing: Preparing
    decided: MakeAnew
    asked: Asked

    async def run(self) -> None:
        """Put it in place. Raises OSError, LedgerFailed, LedgerNotOpened."""
        await self.preparing.run(self.decided, self.asked)


_UNREADABLE = LocalDisk(
    0, 1 << 32, member_started=False, member_has_data=False, ledger_size=0, cosigned_size=0
)
"""Boot numbers that are none: nothing is made anew for them, and the boot says in words what is wrong."""


def open_at_start(config: NodeConfig, genesis: Genesis, files: BootFiles) -> Opened:
    """Look, decide, open. Raises LedgerFailed, LedgerNotOpened, BootFileDamaged, OSError."""
    places = Places(config.data_dir)
    if places.ready.exists():
        put_in_place(places)
    places.drop_draft()
    asked = places.asked()
    disk = _local_disk(files)
    others = len(genesis.sites) > 1
    answer = Answer()
    if places.has_database and not places.as_closed():
        answer = ask("look", places.ledger, config.genesis)
    look = _look(places, disk, answer, asked, others=others)
    anew = _made_anew(look)
    if anew is not None:
        return _stand_in(config, genesis, places, disk, anew, asked)
    store = LmdbStore.open(places.ledger, genesis.ledger_id)
    try:
        # Files that nobody touched are not looked at, so their own word on their age is heard here.
        own = _own_boot(store.recall(OWN_BOOT_NAME))
        anew = _made_anew(look._replace(ledger_boot=own))
        if anew is not None:
            store.close()
            return _stand_in(config, genesis, places, disk, anew, asked)
        places.opened()
        memories = BootMemories(memories_path(config.data_dir), store)
        memories.complete([site.name for site in genesis.sites])
        return Opened(store, memories, recall_rebuild(store))
    except BaseException:
        store.close()
        raise


def _made_anew(look: Look) -> MakeAnew | None:
    """How the ledger is made anew, or None to open it as it is. Raises LedgerFailed where neither can be."""
    decided = decide_start(look)
    if isinstance(decided, Stop):
        raise LedgerFailed(decided.words)
    return decided if isinstance(decided, MakeAnew) else None


def _stand_in(
    config: NodeConfig,
    genesis: Genesis,
    places: Places,
    disk: LocalDisk,
    decided: MakeAnew,
    asked: Asked | None,
) -> Opened:
    space = DiskSpace(*free_bytes(config.data_dir))
    store = MemoryStore(MemoryDisk(genesis.ledger_id), space=space)
    path = memories_path(config.data_dir)
    if not path.exists():
        store.remember(LOST_NAME, b"1")
    preparing = Preparing(places, genesis, config.genesis, disk.boot_number)
    wanted = asked or Asked(decided.reason)
    return Opened(store, BootMemories(path, store), preparing=Prepare(preparing, decided, wanted))


def _look(places: Places, disk: LocalDisk, answer: Answer, asked: Asked | None, *, others: bool) -> Look:
    return Look(
        had_life=disk is not _UNREADABLE and max(disk.boot_number, disk.ordering_boot_number) > 0,
        refusal=refuse_locally(disk),
        present=places.has_database and not answer.unbegun,
        problem=answer.problem,
        ledger_boot=_own_boot(answer.remembered.get(OWN_BOOT_NAME)),
        boot_number=disk.boot_number,
        asked="" if asked is None else asked.reason,
        attempt=0 if asked is None else asked.attempt,
        others=others,
        aside=len(places.aside()),
    )


def _own_boot(data: bytes | None) -> int | None:
    try:
        return None if data is None else Reader(data, "own boot").u64("number")
    except Malformed:
        return None


def _local_disk(files: BootFiles) -> LocalDisk:
    """The boot numbers; a file that holds none counts as a disk that is not whole, and is told by the boot itself."""
    try:
        return files.read(0, 0)
    except BootFileDamaged:
        return _UNREADABLE


def ask_again(config: NodeConfig, reason: str, note: Note | None, disputed_size: int = 0) -> None:
    """Ask for a new ledger at the next start, flushed; `note`: what this one was made by, if it is not whole yet. Raises OSError."""
    attempt = 1 if note is None else note.attempt + 1
    Places(config.data_dir).ask(Asked(reason, attempt, disputed_size))


def note_closed(data_dir: Path) -> None:
    """The ledger was closed in order. Raises OSError."""
    Places(data_dir).note_closed()
