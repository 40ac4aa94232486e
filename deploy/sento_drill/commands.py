"""Commands of `sento` as a person's program runs them, for drills that show what people type: in the own directory, and with a failure that says what it said."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

COMMAND_TIMEOUT_S = 1_800.0
_END_DEADLINE_S = 10.0
_SHOWN_CHARACTERS = 600


class CommandFailed(Exception):
    """A command ended otherwise than with 0, or not at all; the text has the end of what it said."""


async def sento(directory: Path, *words: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
    """What `sento <words>` prints when the owner of `directory` types it there. Raises CommandFailed."""
    program = Path(sys.executable).with_name("sento")
    process = await asyncio.create_subprocess_exec(
        program,
        *words,
        cwd=directory,
        env={**os.environ, "COLUMNS": "160"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, said = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        raise CommandFailed(f"sento {' '.join(words[:2])} has not ended after {timeout_s:g} s") from None
    finally:
        await _end(process)
    text = out.decode("utf-8", "replace")
    if process.returncode:
        both = text + said.decode("utf-8", "replace")
        raise CommandFailed(
            f"sento {' '.join(words[:2])} ended with {process.returncode}: {both.strip()[-_SHOWN_CHARACTERS:]}"
        )
    return text


async def _end(process: asyncio.subprocess.Process) -> None:
    """Also when whoever waited for it was cancelled."""
    if process.returncode is None:
        process.kill()
        await asyncio.wait_for(process.wait(), _END_DEADLINE_S)
