"""Putting a new ledger in place of a damaged one: kept up to its last agreed size where that verifies, else empty. The damaged one is set aside whole.

 1. the child derives everything in the old ledger anew: where is it damaged, which checkpoints does it keep?
 2. a draft is made beside it: a copy (segments are hard links but for the last one), cut back to the agreed size, verified whole; or an empty ledger
 3. what must not be forgotten goes into it: the floor, boot memories, this life's number, and the note that it is being made anew
 4. the draft is flushed and called ready; the old ledger becomes damaged-<n>, the draft becomes the ledger

A kill before "ready" leaves the old ledger where it was; one behind it is finished by the next start. What comes after is catching up (`follow.py`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import structlog

from sento_node.boot_keeper import BootFileDamaged, memory_name
from sento_node.compose import COSIGNED_NAME, FLOOR_NAME, decode_cosigned
from sento_node.durable_files import sync_directory, write_durably
from sento_node.ledger.lmdb_files import database_directory, payloads_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.segments import segment_numbers, segment_path
from sento_node.rebuild.asking import Answer, ask_aside
from sento_node.rebuild.boot_memories import LOST_NAME, memories_path, read_memories
from sento_node.rebuild.deciding import (
    NOTE_NAME,
    OWN_BOOT_NAME,
    AgreedAt,
    MakeAnew,
    Note,
    agreed_size,
    encode_note,
)
from sento_node.rebuild.places import Asked, Places
from sento_proto.genesis import Genesis
from sento_proto.wire import Malformed, Reader, u64

_OF_THIS_LEDGER = frozenset((NOTE_NAME, FLOOR_NAME, COSIGNED_NAME, OWN_BOOT_NAME, LOST_NAME))
"""What a ledger remembers of itself; all else that it remembers goes over into the new one."""


class Preparing:
    """One new ledger. `run` may be cancelled at any moment; the next start goes on or begins anew."""

    def __init__(self, places: Places, genesis: Genesis, genesis_path: Path, boot_number: int) -> None:
        self._places = places
        self._genesis = genesis
        self._genesis_path = genesis_path
        self._boot_number = boot_number
        self._log = structlog.get_logger("sento.node")

    async def run(self, decided: MakeAnew, asked: Asked) -> None:
        """Make the draft and put it in place. Raises OSError, LedgerFailed, LedgerNotOpened."""
        places = self._places
        shutil.rmtree(places.draft, ignore_errors=True)
        old = await self._examine()
        agreed = (
            None if decided.from_nothing else agreed_size(old.kept, old.damage, asked.disputed_size or None)
        )
        if agreed is not None and not await self._keep(agreed):
            agreed = None
        if agreed is None:
            shutil.rmtree(places.draft, ignore_errors=True)
        self._remember(decided.reason, asked.attempt, 0 if agreed is None else agreed.size, old.remembered)
        write_durably(places.ready, b"the draft is whole; it becomes the ledger\n")
        self._log.warning(
            "the ledger is made anew", why=decided.reason, kept_size=0 if agreed is None else agreed.size
        )
        put_in_place(places)

    async def _examine(self) -> Answer:
        """What of the old ledger can be used. Where its pages are damaged: what it remembers cannot be read either."""
        if not self._places.has_database:
            return Answer()
        answer = await ask_aside("whole", self._places.ledger, self._genesis_path)
        if answer.problem:
            answer.kept = []
        return answer

    # -- the draft ----------------------------------------------------------------------------------------------------------

    async def _keep(self, agreed: AgreedAt) -> bool:
        """Copy the old ledger and cut the copy back; whether it verifies whole."""
        draft, ledger = self._places.draft, self._places.ledger
        database, payloads = database_directory(draft), payloads_directory(draft)
        for path in (database, payloads):
            path.mkdir(parents=True, mode=0o750)
        shutil.copyfile(database_directory(ledger) / "data.mdb", database / "data.mdb")
        former = payloads_directory(ledger)
        for number in segment_numbers(former):
            os.link(segment_path(former, number), segment_path(payloads, number))
        cut = await ask_aside("cut", draft, self._genesis_path, agreed.size, agreed.block)
        if cut.problem or cut.ends is None:
            self._log.warning("the old ledger cannot be cut back", why=cut.problem)
            return False
        cut_segments(payloads, cut.ends)
        answer = await ask_aside("whole", draft, self._genesis_path)
        if answer.sound_size != agreed.size:
            self._log.warning(
                "what was kept of the old ledger does not verify", why=answer.problem or answer.damage[:3]
            )
            return False
        return True

    def _remember(self, reason: str, attempt: int, kept_size: int, remembered: Mapping[str, bytes]) -> None:
        """Write into the draft what must not be forgotten with the old ledger."""
        store = LmdbStore.open(self._places.draft, self._genesis.ledger_id)
        try:
            floor = floor_of(remembered)
            for name in sorted(remembered.keys() - _OF_THIS_LEDGER):
                if store.recall(name) != remembered[name]:
                    store.remember(name, remembered[name])
            store.remember(NOTE_NAME, encode_note(Note(reason, attempt, floor, kept_size)))
            store.remember(FLOOR_NAME, u64(floor))
            store.remember(COSIGNED_NAME, b"")
            store.remember(OWN_BOOT_NAME, u64(self._boot_number))
            if not any(name.startswith(memory_name("")) for name in remembered) and not self._knows_boots():
                store.remember(LOST_NAME, b"1")
        finally:
            store.close()

    def _knows_boots(self) -> bool:
        try:
            kept = read_memories(memories_path(self._places.data_dir))
        except BootFileDamaged:
            return False
        return kept is not None and not kept.lost


def floor_of(remembered: Mapping[str, bytes]) -> int:
    """The largest size that a ledger remembers of this site's cosignatures."""
    floor = 0
    try:
        floor = Reader(remembered.get(FLOOR_NAME) or bytes(8), "floor").u64("size")
        note = remembered.get(COSIGNED_NAME)
        return max(floor, decode_cosigned(note).size) if note else floor
    except Malformed:
        return floor


def put_in_place(places: Places) -> None:
    """Set the old ledger aside and let the draft take its place; does what is left of it after a crash. Raises OSError."""
    if places.draft.exists():
        if places.ledger.exists():
            number = max(places.aside(), default=0) + 1
            places.ledger.rename(places.data_dir / f"damaged-{number}")
        places.draft.rename(places.ledger)
        sync_directory(places.data_dir)
    places.no_longer_asked()
    places.ready.unlink(missing_ok=True)
    sync_directory(places.data_dir)


def cut_segments(payloads: Path, ends: Mapping[int, int]) -> None:
    """Bring the draft's segments to their ends. One that is cut, and the last, which will grow, become files of their own; the others are the old
    ledger's too."""
    last = max(ends, default=0)
    for number in segment_numbers(payloads):
        path = segment_path(payloads, number)
        if number not in ends:
            path.unlink()
        elif number == last or path.stat().st_size != ends[number]:
            copy = path.with_suffix(".copy")
            shutil.copyfile(path, copy)
            with copy.open("r+b") as file:
                file.truncate(ends[number])
                os.fsync(file.fileno())
            copy.replace(path)
    sync_directory(payloads)
