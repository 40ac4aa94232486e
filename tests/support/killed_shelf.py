"""A program that commits to a shelf until it is killed, and says each commit's number after it has returned.

Run as a program it forks such a committer for each directory that it reads from standard input: importing the client costs half a second, a fork almost
nothing. On standard output: `pid N`, then a line for each commit, then `dead` once the committer has ended.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sento_client.outbox.shelf import SUFFIX, Belongs, Changes, NewKept, NewRefused, Shelf

BELONGS = Belongs(bytes(32), "iizuka-city")
KEPT_FOR = 5
"""Commit n keeps submission n and forgets n - 5."""


def submission(number: int) -> bytes:
    """Bytes of the number's own, from a part of a page to several pages."""
    return random.Random(number).randbytes(50 + number * 997 % 9_000)


def changes(number: int) -> Changes:
    """What the commit of that number does: something in each table."""
    return Changes(
        keep=[NewKept(number, 1_000 + number, 1, submission(number))],
        forget=[number - KEPT_FOR] if number > KEPT_FOR else (),
        notes=[(number - 1, number, 62)] if number > 1 else (),
        refuse=[NewRefused(number.to_bytes(16, "big"), number, 20, b"header", b"payload")],
    )


def committed(shelf: Shelf) -> int:
    """After how many whole commits the shelf is as it is. Fails where it is as after none."""
    rows = shelf.rows()
    count = rows[-1].row if rows else 0
    assert [row.row for row in rows] == list(range(max(1, count - KEPT_FOR + 1), count + 1))
    assert all(shelf.load(row.row) == submission(row.row) for row in rows)
    notes = shelf._database.execute("SELECT id, rounds FROM kept ORDER BY id").fetchall()
    assert notes == [(row.row, 0 if row.row == count else row.row + 1) for row in rows]
    refused = shelf._database.execute("SELECT at_ms FROM refused ORDER BY at_ms").fetchall()
    assert [at_ms for (at_ms,) in refused] == list(range(1, count + 1))
    return count


class Committers:
    """The program at work: one committer after the other."""

    def __init__(self, program: subprocess.Popen[str]) -> None:
        self._program = program

    def kill_one(self, directory: Path, lines: int, wait_s: float) -> int:
        """Start a committer in `directory`, kill it `wait_s` after its `lines`-th commit; the last commit that it said had returned."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        print(directory, file=self._program.stdin, flush=True)
        pid = int(self._program.stdout.readline().removeprefix("pid "))
        said = [int(self._program.stdout.readline()) for _ in range(lines)]
        time.sleep(wait_s)
        os.kill(pid, signal.SIGKILL)
        said += [int(line) for line in iter(self._program.stdout.readline, "dead\n")]
        assert said == list(range(1, len(said) + 1))
        return len(said)


@contextmanager
def committers() -> Iterator[Committers]:
    """The program, until the end of the block."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            yield Committers(program)
        finally:
            program.kill()


def _commit_for_ever(directory: Path) -> None:
    shelf = Shelf.open(directory / f"killed{SUFFIX}", BELONGS)
    for number in itertools.count(1):
        shelf.commit(changes(number))
        os.write(1, f"{number}\n".encode())


def _serve() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            try:
                _commit_for_ever(Path(line.strip()))
            finally:
                os._exit(1)
        os.write(1, f"pid {pid}\n".encode())
        os.waitpid(pid, 0)
        os.write(1, b"dead\n")


if __name__ == "__main__":
    _serve()
