"""The outbox of one process: commits in groups on a thread of its own, within a bound, over its own shelf and those it has taken over.

While a commit is being flushed the next submissions gather, so that many share one flush. Nothing is reported as kept before its commit has returned.
A full disk refuses what could not be written and goes on; any other failure of the disk ends writing through this outbox, because what a failed flush has
left on disk is not known until the file is opened anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from sento_client.outbox.committing import commit, is_full
from sento_client.outbox.shelf import Belongs, Changes, HeldAs, NewKept, NewRefused, Row, Shelf
from sento_client.outbox.taking_over import Taken, flush_directory, let_go_of, new_shelf, take_over
from sento_client.setup_errors import Setup, SetupError
from sento_proto.errors import Code, SentoError

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
KEPT_MOST = 100_000
"""Submissions of one process; each costs some hundred bytes of memory beside its place on disk."""
HELD_FILES_MOST = 64
"""Files that earlier programs left with nothing but what is held; of more the oldest are let go, so that short programs do not open more and more of them."""
FULL_AGAIN_S = 1.0
RESERVE_BYTES = 8 * 1024 * 1024
"""What keeping leaves free on the disk: removing needs room, too, twice what SQLite's log holds. Without it an outbox that fills its disk never empties."""
CLOSE_TIMEOUT_S = 5.0
"""How long closing waits for a disk that does not answer."""
Told = Callable[[int, SentoError | None], None]
"""Called once with the submission's number: with None when it is on disk, else with the reason why it is not kept."""


class Found(NamedTuple):
    """A submission that was taken over."""

    kept: int
    records: int


class _Place(NamedTuple):
    shelf: Shelf
    row: int
    size_bytes: int
    records: int
    abroad: bool = False
    held: HeldAs | None = None


class Outbox:
    """Open with `open`, take over with `adopt` what others left behind, now and then, and end with `close`. Used on one event loop."""

    def __init__(
        self,
        directory: Path,
        belongs: Belongs,
        max_bytes: int,
        wall_ms: Callable[[], int],
        hold_bytes: int = 0,
    ) -> None:
        self._directory = directory
        self._belongs = belongs
        self._max_bytes = max_bytes
        self._wall_ms = wall_ms
        self._shelves: list[Shelf] = []
        self._places: dict[int, _Place] = {}
        self._held_bytes = 0
        self._others_bytes = 0
        self._hold_bytes = hold_bytes
        self._holding: set[int] = set()
        self._next = 1
        self._next_row = 1
        self._new: list[tuple[int, NewKept, Told]] = []
        self._forget: dict[Shelf, list[int]] = {}
        self._notes: dict[Shelf, list[tuple[int, int, int]]] = {}
        self._at_home: dict[Shelf, list[tuple[int, int]]] = {}
        self._refuse: list[NewRefused] = []
        self._hold: dict[Shelf, list[tuple[int, HeldAs]]] = {}
        self._let_go = 0
        self.when_full: Callable[[], None] = lambda: None
        """Called when the disk has no room for what is new, so that something may be let go."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sento-outbox")
        self._committing: asyncio.Task[None] | None = None
        self._in_commit: frozenset[Shelf] = frozenset()
        self._damaged: set[Path] = set()
        self._closing = False
        self._came = asyncio.Event()
        self._failed: SentoError | None = None
        self.left_behind: list[Found] = []
        """What `open` found of processes that had ended."""

    @classmethod
    def open(
        cls,
        directory: Path,
        belongs: Belongs,
        max_bytes: int,
        wall_ms: Callable[[], int],
        hold_bytes: int = 0,
    ) -> Outbox:
        """Make the directory and this process's shelf. `hold_bytes`: what each program may hold beyond `max_bytes` for the sake of sites abroad.

        Raises SetupError OUTBOX_UNUSABLE or OUTBOX_FOREIGN."""
        outbox = cls(directory, belongs, max_bytes, wall_ms, hold_bytes)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(Setup.OUTBOX_UNUSABLE, f"{directory}: {error.strerror}") from None
        own = new_shelf(directory, belongs, wall_ms())
        outbox._shelves.append(own)
        try:
            flush_directory(directory)
            outbox.left_behind = outbox._take(*take_over(directory, belongs, {own.path}, hold_bytes))
        except BaseException as error:
            own.close()
            if isinstance(error, OSError):
                raise SetupError(Setup.OUTBOX_UNUSABLE, f"{directory}: {error.strerror}") from None
            raise
        return outbox

    @property
    def held_bytes(self) -> int:
        """Submissions that this process keeps, without those that it holds for the sake of sites abroad alone."""
        return self._held_bytes

    def keep(self, submission: bytes, records: int, told: Told, *, abroad: bool = False) -> int:
        """Put a submission on disk; returns its number here. `abroad`: it is to survive the country, which stands beside it.

        Raises SentoError OUTBOX_FULL or OUTBOX_FAILED at once when it cannot be taken."""
        if self._failed is not None:
            raise self._failed
        size_bytes = len(submission)
        if self._held_bytes + self._others_bytes + size_bytes > self._max_bytes:
            raise SentoError(Code.OUTBOX_FULL, f"its bound is {self._max_bytes} bytes")
        if len(self._places) - len(self._holding) >= KEPT_MOST:
            raise SentoError(Code.OUTBOX_FULL, f"its bound is {KEPT_MOST} submissions")
        kept, self._next = self._next, self._next + 1
        row, self._next_row = self._next_row, self._next_row + 1
        self._places[kept] = _Place(self._shelves[0], row, size_bytes, records, abroad)
        self._held_bytes += size_bytes
        self._new.append((kept, NewKept(row, self._wall_ms(), records, submission, abroad), told))
        self._came.set()
        self._plan_commit()
        return kept

    def forget(self, kept: int) -> None:
        """Remove a submission; on disk with the next commit, for nothing is lost if that never comes."""
        place = self._places.pop(kept)
        if kept in self._holding:
            self._holding.remove(kept)
        else:
            self._held_bytes -= place.size_bytes
        self._forget.setdefault(place.shelf, []).append(place.row)
        self._plan_commit()

    def note(self, kept: int, rounds: int, code: Code) -> None:
        """Write beside a submission why it still waits."""
        place = self._places[kept]
        self._notes.setdefault(place.shelf, []).append((place.row, rounds, int(code)))
        self._plan_commit()

    def is_abroad(self, kept: int) -> bool:
        """Whether it is to survive the country."""
        return self._places[kept].abroad

    def note_at_home(self, kept: int) -> None:
        """Write beside a submission that a quorum has it now, and only a site abroad is waited for."""
        place = self._places[kept]
        self._at_home.setdefault(place.shelf, []).append((place.row, self._wall_ms()))
        self._plan_commit()

    def hold(self, kept: int, held: HeldAs) -> None:
        """Keep a submission for the sake of a site abroad alone, out of callers' room until it is forgotten; on disk with the next commit that there is."""
        place = self._places[kept]
        if kept not in self._holding:
            self._holding.add(kept)
            self._held_bytes -= place.size_bytes
        self._places[kept] = place._replace(held=held)
        self._hold.setdefault(place.shelf, []).append((place.row, held))

    def let_go(self, kept: Sequence[int], *, uncovered: bool) -> None:
        """Remove what was held. `uncovered`: without a site abroad that has it, which is counted on disk."""
        for each in kept:
            self.forget(each)
        if uncovered:
            self._let_go += len(kept)

    def held_as(self, kept: int) -> HeldAs | None:
        """As what it is held; None when it is not."""
        return self._places[kept].held

    def size_of(self, kept: int) -> tuple[int, int]:
        """How many records, and bytes."""
        place = self._places[kept]
        return place.records, place.size_bytes

    def set_aside(self, refused: NewRefused) -> None:
        """Keep a record that was refused for good, for people to see."""
        self._refuse.append(refused)
        self._plan_commit()

    async def load(self, kept: int) -> bytes | None:
        """The bytes of a submission; None when somebody discarded it, b"" when a file that was taken over is damaged there.
        Raises SentoError OUTBOX_FAILED."""
        place = self._places[kept]
        try:
            return await self._run(place.shelf.load, place.row)
        except sqlite3.Error as error:
            if place.shelf is self._shelves[0]:
                raise self._fail(error) from error
            self._note_damage(place.shelf, error)
            return b""

    async def adopt(self) -> list[Found]:
        """Take over what processes that ended have left, and give back shelves that are empty by now. Raises SetupError OUTBOX_FOREIGN, OUTBOX_UNUSABLE."""
        in_use = {place.shelf for place in self._places.values()} | {
            *self._forget,
            *self._notes,
            *self._at_home,
            *self._hold,
        }
        for shelf in [shelf for shelf in self._shelves[1:] if shelf not in in_use | self._in_commit]:
            self._shelves.remove(shelf)
            await self._run(shelf.close)
        known = {shelf.path for shelf in self._shelves} | self._damaged
        taking = asyncio.ensure_future(
            self._run(take_over, self._directory, self._belongs, known, self._hold_bytes)
        )
        try:
            return self._take(*await asyncio.shield(taking))
        except asyncio.CancelledError:
            # The thread goes on all the same; what it takes over is let go of again, for the next process.
            taking.add_done_callback(_let_go)
            raise

    def _take(self, taken: Sequence[tuple[Shelf, Sequence[Row]]], others_bytes: int) -> list[Found]:
        self._others_bytes = others_bytes
        found: list[Found] = []
        too_many = [shelf for shelf, rows in taken if all(row.held for row in rows)][:-HELD_FILES_MOST]
        for shelf, rows in taken:
            self._shelves.append(shelf)
            if shelf in too_many:
                self._forget[shelf] = [row.row for row in rows]
                self._let_go += len(rows)
                continue
            for row, records, size_bytes, abroad, held in rows:
                kept, self._next = self._next, self._next + 1
                self._places[kept] = _Place(shelf, row, size_bytes, records, bool(abroad), held)
                if held is None:
                    self._held_bytes += size_bytes
                else:
                    self._holding.add(kept)
                found.append(Found(kept, records))
        return found

    async def close(self) -> None:
        """Finish what is being written and let go of the files; what is kept stays for the next process.

        A disk that is full or does not answer is not waited for. A second call does nothing."""
        if self._closing:
            return
        self._closing = True
        finishing = asyncio.get_running_loop().create_task(self._finish())
        done, _ = await asyncio.wait([finishing], timeout=CLOSE_TIMEOUT_S)
        if done:
            finishing.result()
        else:
            _LOG.error(
                "the disk under the outbox does not answer; what it has kept is sent by the next program"
            )

    async def _finish(self) -> None:
        while self._committing is not None:
            await self._committing
        if self._failed is None:
            with contextlib.suppress(SentoError):
                await self._commit_once()
        shelves, self._shelves = self._shelves, []
        for shelf in shelves:
            await self._run(shelf.close)
        self._thread.shutdown(wait=False)

    # How it is done.

    async def _run(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def _plan_commit(self) -> None:
        if self._committing is None and self._failed is None:
            self._committing = asyncio.get_running_loop().create_task(self._commit_all())

    async def _commit_all(self) -> None:
        """Commit until nothing is left; what comes meanwhile goes with the next round."""
        try:
            while self._failed is None and (
                self._new or self._forget or self._notes or self._at_home or self._refuse
            ):
                full = await self._commit_once()
                if full and not self._new:
                    if self._closing:
                        return
                    # Who comes meanwhile is told at once.
                    self._came.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(FULL_AGAIN_S):
                            await self._came.wait()
        except SentoError:
            # It has been told to every caller, and `keep` tells it to those who come.
            pass
        finally:
            self._committing = None

    async def _commit_once(self) -> bool:
        """One commit on each shelf that has something to do; True when the disk was full. Raises SentoError OUTBOX_FAILED."""
        new, self._new = self._new, []
        forget, self._forget = self._forget, {}
        notes, self._notes = self._notes, {}
        at_home, self._at_home = self._at_home, {}
        refuse, self._refuse = self._refuse, []
        hold, self._hold = self._hold, {}
        let_go, self._let_go = self._let_go, 0
        own = self._shelves[0]
        # This process's shelf goes first: a record stands there set aside before its submission is forgotten elsewhere.
        keep = [each[1] for each in new]

        def changes(shelf: Shelf) -> Changes:
            return Changes(
                (),
                forget.get(shelf, ()),
                notes.get(shelf, ()),
                (),
                at_home.get(shelf, ()),
                hold.get(shelf, ()),
            )

        work = {own: changes(own)._replace(keep=keep, refuse=refuse, let_go=let_go)}
        for shelf in (*forget, *notes, *at_home, *hold):
            if shelf is not own:
                work[shelf] = changes(shelf)
        self._in_commit = frozenset(work)
        room, errors = await self._run(commit, self._directory, list(work.items()), RESERVE_BYTES)
        full = [shelf for shelf, error in errors.items() if is_full(error)]
        for shelf in full:
            self._forget.setdefault(shelf, []).extend(forget.get(shelf, ()))
            self._notes.setdefault(shelf, []).extend(notes.get(shelf, ()))
            self._at_home.setdefault(shelf, []).extend(at_home.get(shelf, ()))
            self._hold.setdefault(shelf, []).extend(hold.get(shelf, ()))
        self._in_commit = frozenset()
        if own in full or not room:
            self.when_full()
        if own in full:
            self._refuse += refuse
            self._let_go += let_go
            self._refuse_new(new, SentoError(Code.OUTBOX_FULL, "its disk is full"))
        elif not room and own not in errors:
            self._refuse_new(
                new, SentoError(Code.OUTBOX_FULL, f"its disk has under {_mib(RESERVE_BYTES)} free")
            )
        elif own in errors:
            error = self._fail(errors[own])
            self._refuse_new(new, error)
            raise error
        for shelf, reason in errors.items():
            if shelf not in full:
                self._note_damage(shelf, reason)
        if room and own not in errors:
            for kept, _, told in new:
                told(kept, None)
        return bool(full)

    def _refuse_new(self, new: Sequence[tuple[int, NewKept, Told]], error: SentoError) -> None:
        for kept, _, told in new:
            self._held_bytes -= self._places.pop(kept).size_bytes
            told(kept, error)

    def _note_damage(self, shelf: Shelf, error: sqlite3.Error) -> None:
        """A file that was taken over cannot be used after all: it stays for people to see, and is not taken over again."""
        if shelf.path not in self._damaged:
            self._damaged.add(shelf.path)
            _LOG.error("%s", SetupError(Setup.OUTBOX_UNUSABLE, f"{shelf.path}: {error}"))

    def _fail(self, error: Exception) -> SentoError:
        """From now on nothing is kept."""
        if self._failed is None:
            self._failed = SentoError(Code.OUTBOX_FAILED, f"{type(error).__name__}: {error}")
            new, self._new = self._new, []
            self._refuse_new(new, self._failed)
        return self._failed


def _mib(size_bytes: int) -> str:
    return f"{size_bytes // (1024 * 1024)} MiB"


def _let_go(taking: asyncio.Future[Taken]) -> None:
    if not taking.cancelled() and taking.exception() is None:
        let_go_of(taking.result()[0])
