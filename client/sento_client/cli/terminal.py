"""The two streams that the command writes to: terminals of any width, pipes that close early, locales that cannot show every character.

Results go to standard output, everything else (errors, progress) to standard error, so that a pipe carries results alone.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
from typing import TextIO

from rich.console import Console


class PipeConsole(Console):
    """A console that lets a closed pipe be known, instead of ending the program by itself."""

    def on_broken_pipe(self) -> None:
        """Called by rich when whoever read the output is gone."""
        self.quiet = True
        raise BrokenPipeError(errno.EPIPE, "the reader of the output is gone")


def results_console() -> Console:
    """For people's results, on standard output. Sentences stay in one line each; print a table with `soft_wrap=False`, so that it fits the terminal."""
    return PipeConsole(soft_wrap=True, highlight=False)


def progress_console() -> Console:
    """For what is shown only while it lasts, on standard error."""
    return PipeConsole(stderr=True, highlight=False)


def prepare_streams() -> None:
    """What the locale cannot show comes out as \\u and its number: a name must not end a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def let_go_of_output() -> None:
    """After the reader of standard output is gone: nothing more may be written there, not even at the interpreter's end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, sys.stdout.fileno())
        finally:
            os.close(nowhere)


def json_text(value: object) -> str:
    """`value` as JSON in one line; in a locale without UTF-8, with escapes in place of what it cannot carry."""
    return json.dumps(value, ensure_ascii=not _carries_unicode(sys.stdout))


def _carries_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


def text_of(text: str) -> str:
    """Text of the command line or the environment: what the locale could not read is taken as UTF-8. Raises ValueError when it is neither."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return os.fsencode(text).decode("utf-8")


def printable(text: str) -> str:
    """Text from elsewhere for a terminal: what could move the cursor or colour the screen comes out as \\x and its number."""
    return "".join(
        character
        if character.isprintable() or character in "\n\t"
        else character.encode("unicode_escape").decode()
        for character in text
    )
