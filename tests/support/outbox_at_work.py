"""An outbox at work in a test: commits that can be held up or made to fail, submissions with their outcomes, and files that others have left."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from killed_shelf import BELONGS
from sento_client.outbox import inspecting
from sento_client.outbox.outbox import Outbox
from sento_client.outbox.shelf import Belongs, Changes, NewKept, Shelf
from sento_proto.errors import Code, SentoError

MAX_BYTES = 64 * 1024 * 1024
UNTIL_MOST_S = 20


class Outboxes:
    """Outboxes in one directory, closed at the end."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._opened: list[Outbox] = []

    def __call__(self, max_bytes: int = MAX_BYTES, belongs: Belongs = BELONGS) -> Outbox:
        outbox = Outbox.open(self._directory, belongs, max_bytes, lambda: 1_000 + len(self._opened))
        self._opened.append(outbox)
        return outbox

    async def close(self) -> None:
        for outbox in self._opened:
            await outbox.close()


async def until(condition: Callable[[], object]) -> None:
    """Let the others run until it holds. Raises TimeoutError when that takes too long for any machine."""
    async with asyncio.timeout(UNTIL_MOST_S):
        while not condition():  # noqa: ASYNC110 - it is the code's own state, which sets no event
            await asyncio.sleep(0.001)


class Commits:
    """Every shelf's commits from now on: those that came, and what is to go wrong with the next ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[Path, Changes]] = []
        self.begun = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.error: Callable[[Shelf], Exception | None] = lambda _: None
        commit = Shelf.commit

        def watched(shelf: Shelf, changes: Changes) -> None:
            self.begun.set()
            self.may_go_on.wait()
            error = self.error(shelf)
            if error is not None:
                raise error
            commit(shelf, changes)
            self.done.append((shelf.path, changes))

        monkeypatch.setattr(Shelf, "commit", watched)

    async def wait_begun(self) -> None:
        await asyncio.to_thread(self.begun.wait)


def sqlite_error(code: int, words: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = code
    return error


async def kept(outbox: Outbox, data: bytes = b"a submission", records: int = 1) -> int:
    """The submission's number once it is on disk. Raises the SentoError that its keeper was told."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def told(number: int, error: SentoError | None) -> None:
        if error is None:
            future.set_result(number)
        else:
            future.set_exception(error)

    number = outbox.keep(data, records, told)
    async with asyncio.timeout(UNTIL_MOST_S):
        assert await future == number
    return number


async def outcome(outbox: Outbox, data: bytes = b"a submission") -> Code | None:
    """The code by which it was refused; None when it is kept."""
    try:
        await kept(outbox, data)
    except SentoError as error:
        return error.code
    return None


async def committed(outbox: Outbox) -> None:
    """Wait until nothing is left to write."""
    async with asyncio.timeout(UNTIL_MOST_S):
        while outbox._committing is not None:
            await outbox._committing


def leave_behind(directory: Path, *submissions: bytes, name: str = "0-dead.outbox") -> Path:
    """A shelf whose process has ended."""
    path = directory / name
    shelf = Shelf.open(path, BELONGS)
    shelf.commit(Changes(keep=[NewKept(row, 7, 1, data) for row, data in enumerate(submissions, 1)]))
    shelf.close()
    return path


def on_disk(directory: Path) -> list[int]:
    """Submissions by file."""
    return [look.submissions for look in inspecting.look(directory)]
