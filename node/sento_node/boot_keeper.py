"""Boot numbers on disk and on the wire: what `ordering/boot.py` decides about, kept and told.

    data/boot-number                        this node's own number, decimal
    data/ordering/epoch-0000/boot-number    the copy beside the member's data, written first
    data/boot-unconfirmed                   the number and the life that announces it, from before the number is raised until it is confirmed
    data/ordering/epoch-0000/started        made when the member has begun its log, a second before it can vote
    data/ordering/epoch-0000/left           made when a member of this site was taken out of the log for good

A later epoch has a log of its own, whose members nobody remembers: its numbers begin anew, in data/boot-number-<epoch> and so on.

Each is written whole, flushed, and renamed into place. A life draws random bytes once, so that an announcement whose answer was lost can be repeated;
they are kept until the number is confirmed, so that a refused site that is started again announces the same number and is refused again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from sento_node.durable_files import sync_directory, write_durably
from sento_node.ordering.boot import (
    Announcement,
    BootMemory,
    LocalDisk,
    PeerMemory,
    shown,
)
from sento_node.peers import Peers, PeerSilent
from sento_proto.checkpoint import SiteKeys
from sento_proto.v1 import sync_pb2
from sento_proto.wire import Malformed, Reader, u64

ANNOUNCE_TIMEOUT_MS = 1_000
ANNOUNCE_TIMEOUT_MAX_MS = 16_000
"""A round that brought too few answers is followed by one of twice the patience: over a satellite at 64 kbit/s the first handshake alone takes three."""
LIFE_BYTES = 16


class BootFileDamaged(Exception):
    """A boot number's file holds something else. The text is one sentence of cause and one of remedy."""


class BootFiles:
    """The files of one site and epoch."""

    def __init__(self, data_dir: Path, epoch: int) -> None:
        self.epoch_dir = data_dir / "ordering" / f"epoch-{epoch:04d}"
        self.member_dir = self.epoch_dir / "etcd"
        self._own = data_dir / (f"boot-number-{epoch:04d}" if epoch else "boot-number")
        self._copy = self.epoch_dir / "boot-number"
        self._unconfirmed = data_dir / (f"boot-unconfirmed-{epoch:04d}" if epoch else "boot-unconfirmed")
        self._started = self.epoch_dir / "started"
        self._left = self.epoch_dir / "left"

    def read(self, ledger_size: int, cosigned_size: int) -> LocalDisk:
        """What the disk says now. Raises OSError, and BootFileDamaged for a file that is not a number."""
        return LocalDisk(
            boot_number=_read_number(self._own),
            ordering_boot_number=_read_number(self._copy),
            member_started=self._started.exists(),
            member_has_data=self._holds_log(),
            ledger_size=ledger_size,
            cosigned_size=cosigned_size,
        )

    def unconfirmed(self) -> Announcement | None:
        """The announcement of a former start that nobody confirmed. Raises BootFileDamaged."""
        try:
            data = self._unconfirmed.read_bytes()
        except FileNotFoundError:
            return None
        try:
            reader = Reader(data, "boot-unconfirmed")
            announcement = Announcement(reader.u64("boot number"), reader.take(LIFE_BYTES, "life"))
            reader.end()
        except Malformed as error:
            raise BootFileDamaged(
                f"{self._unconfirmed} does not hold an announcement ({error}). "
                "Check the disk, and let the site join again as one with a new disk (runbook)."
            ) from error
        return announcement

    def note_unconfirmed(self, announcement: Announcement) -> None:
        """Keep the announcement, flushed, before its number is raised."""
        self._own.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_durably(self._unconfirmed, u64(announcement.boot_number) + announcement.life)

    def note_confirmed(self) -> None:
        """The number is confirmed: the next start raises it again. Before the member starts, so that no two lives share a number."""
        self._unconfirmed.unlink(missing_ok=True)
        sync_directory(self._unconfirmed.parent)

    def raise_to(self, number: int) -> None:
        """Write the number in both places, flushed, the copy first."""
        self.epoch_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_durably(self._copy, str(number).encode())
        write_durably(self._own, str(number).encode())

    def note_begun(self) -> bool:
        """Whether the member has begun a log; from then on, noted on disk, its directory must not be empty. A member that was killed before has
        promised nobody anything, and its next start is its first."""
        if not self._holds_log():
            return False
        if not self._started.exists():
            write_durably(self._started, b"the member has begun its log in this directory\n")
        return True

    def note_left(self) -> None:
        """The member was taken out of the log of this epoch, so that its directory may be empty: a log of this site's begins as a learner's from now on."""
        write_durably(self._left, b"this site's member left the ordering log of this epoch\n")
        self._started.unlink(missing_ok=True)
        sync_directory(self.epoch_dir)

    @property
    def has_left(self) -> bool:
        """Whether a member of this site was taken out of the log of this epoch before."""
        return self._left.exists()

    def _holds_log(self) -> bool:
        return (self.member_dir / "member" / "wal").is_dir()


def _read_number(path: Path) -> int:
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return 0
    except UnicodeDecodeError:
        text = ""
    if not text.isdigit():
        raise BootFileDamaged(
            f"{path} does not hold a boot number, so this disk cannot be told from one that was replaced. "
            "Check the disk, and let the site join again as one with a new disk (runbook)."
        )
    return int(text)


def memory_name(site: str) -> str:
    """Under which name a store remembers another site's boots."""
    return f"boot/{site}"


def encode_memory(memory: BootMemory) -> bytes:
    """u64 boot number || u64 number before || life."""
    return u64(memory.boot_number) + u64(memory.before) + memory.life


def decode_memory(data: bytes) -> BootMemory:
    """The reverse of `encode_memory`. Raises Malformed."""
    reader = Reader(data, "boot memory")
    number, before = reader.u64("boot number"), reader.u64("before")
    return BootMemory(number, reader.take(LIFE_BYTES, "life"), before)


async def announce(
    peers: Peers,
    request: sync_pb2.AnnounceBootRequest,
    keys: SiteKeys | None,
    timeout_ms: int = ANNOUNCE_TIMEOUT_MS,
) -> tuple[dict[str, PeerMemory], dict[str, str]]:
    """Tell all other sites at once: (the answers of those that gave one, why there is none from the others). `keys`: this site's own, by which what they
    say about its cosignatures is believed; a tie-breaker cosigns nothing and has none."""
    silence: dict[str, str] = {}

    async def ask(name: str) -> tuple[str, PeerMemory] | None:
        try:
            memory = await peers[name].announce_boot(request, timeout_ms)
            return name, shown(memory, request.ledger_id, request.site, keys)
        except PeerSilent as error:
            silence[name] = str(error)
            return None

    answers = await asyncio.gather(*(ask(name) for name in peers))
    return dict(answer for answer in answers if answer is not None), silence


def silence_in_words(silence: Mapping[str, str]) -> str:
    """What an operator should know of sites that did not confirm: a stranger's certificate looks like a cut line otherwise."""
    return " ".join(f"{site} says: {why[:160]}." for site, why in sorted(silence.items()))
