"""Commands of `sento` as people run them, for drills that show what is typed: in the own directory, and with a failure that tells what was said."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

COMMAND_TIMEOUT_S = 1_800.0
_SHOWN_CHARACTERS = 600


class CommandFailed(Exception):
    """A command ended otherwise than it may, or not at all; the text has the end of what it said."""


async def sento(
    directory: Path, *words: str, ends: Collection[int] = (0,), timeout_s: float = COMMAND_TIMEOUT_S
) -> str:
    """What `sento <words>` prints when the owner of `directory` types it there. Raises CommandFailed when its exit code is none of `ends`."""
    # In a thread: uvloop forks for every program, which gRPC complains of.
    return await asyncio.to_thread(_run, directory, words, ends, timeout_s)


def _run(directory: Path, words: tuple[str, ...], ends: Collection[int], timeout_s: float) -> str:
    called = f"sento {' '.join(words[:2])}"
    try:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("sento")), *words],
            cwd=directory,
            env={**os.environ, "COLUMNS": "160"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{called} has not ended after {timeout_s:g} s") from None
    if done.returncode not in ends:
        said = (done.stdout + done.stderr).strip()[-_SHOWN_CHARACTERS:]
        raise CommandFailed(f"{called} ended with {done.returncode}: {said}")
    return done.stdout
