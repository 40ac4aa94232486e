"""What people see while a command waits: nothing for two seconds, then a spinner that says for what and until when.

Only on a terminal and never with --json: a log or a program has no use for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

PATIENCE_S = 2.0
_SPINNER = "line"
"""The one of rich's spinners that every locale can show."""


def spinner_column() -> SpinnerColumn:
    """The moving part, alike in every command."""
    return SpinnerColumn(_SPINNER)


@contextlib.contextmanager
def bar_of(
    console: Console, words: str, *, shown: bool, total: int | None
) -> Iterator[tuple[Progress, TaskID]]:
    """A bar with `words` before it while inside, to be moved on with `update`. Nothing is shown unless `shown`, nor where `console` is no terminal."""
    progress = Progress(
        spinner_column(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    )
    task = progress.add_task(words, total=total)
    with progress:
        yield progress, task


@contextlib.contextmanager
def spinner_after(patience_s: float, console: Console, words: Callable[[], str]) -> Iterator[None]:
    """While inside for longer than `patience_s`, `words()` stand beside a spinner with the seconds since the beginning.

    For use on a running event loop. Nothing is shown where `console` is no terminal."""
    if not console.is_terminal:
        yield
        return
    progress = Progress(
        spinner_column(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    task = progress.add_task("")

    def show() -> None:
        progress.update(task, description=words())
        progress.start()

    timer = asyncio.get_running_loop().call_later(patience_s, show)
    try:
        yield
    finally:
        timer.cancel()
        progress.stop()
