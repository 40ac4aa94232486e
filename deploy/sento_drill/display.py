"""What people see while a drill runs: a progress bar and a live table of the sites on a terminal, plain lines elsewhere.

A drill tells a display what happens and never asks whether somebody looks. In a log file each stage is a line, and so is each change of a site's state:
a line for every tick would bury what matters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from sento_drill.cluster import SERVING, Statuses

_GONE = "no answer"


class Display(Protocol):
    """Where a drill says what happens."""

    def running(self) -> AbstractContextManager[object]:
        """While inside, the display may draw."""
        ...

    def stage(self, title: str, total: int | None = None) -> None:
        """The next part begins; `total`: how many steps it has, if that is known."""
        ...

    def advance(self, done: int) -> None:
        """So many steps of this part are done."""
        ...

    def sites(self, statuses: Statuses) -> None:
        """How the sites stand now."""
        ...

    def say(self, text: str) -> None:
        """A line that stays."""
        ...


def make_display(stream: TextIO, *, now: Callable[[], float] = time.monotonic) -> Display:
    """A live display for a terminal, plain lines for anything else. `now`: seconds of a monotonic clock."""
    console = Console(file=stream, highlight=False)
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(stream, now)


class PlainDisplay:
    """Lines with the seconds since the start, for logs."""

    def __init__(self, stream: TextIO, now: Callable[[], float]) -> None:
        self._stream = stream
        self._now = now
        self._start_s = now()
        self._states: dict[str, str] = {}

    def running(self) -> AbstractContextManager[object]:
        """Nothing to draw."""
        return nullcontext()

    def stage(self, title: str, total: int | None = None) -> None:
        """One line."""
        self._line(f"== {title}" + (f" ({total:,})" if total else ""))

    def advance(self, done: int) -> None:
        """Not shown."""

    def sites(self, statuses: Statuses) -> None:
        """A line for each site whose state changed."""
        for site, status in statuses.items():
            state = _GONE if status is None else status.state + (", leads" if status.is_lead else "")
            if self._states.get(site) != state:
                self._states[site] = state
                size = "" if status is None else f", {status.flushed_size:,} records"
                self._line(f"   {site}: {state}{size}")

    def say(self, text: str) -> None:
        """One line."""
        self._line(f"   {text}")

    def _line(self, text: str) -> None:
        print(f"{self._now() - self._start_s:6.1f} s {text}", file=self._stream, flush=True)


class LiveDisplay:
    """A progress bar above a table of the sites, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._progress.add_task("starting", total=None)
        self._table: RenderableType = Text("")
        self._live = Live(console=console, refresh_per_second=8, get_renderable=self._render)

    def running(self) -> AbstractContextManager[object]:
        """While inside, bar and table are drawn below the lines."""
        return self._live

    def stage(self, title: str, total: int | None = None) -> None:
        """Start the bar anew."""
        self._progress.reset(self._task, total=total, completed=0, description=title)
        self._live.console.print(title, style="bold", markup=False)

    def advance(self, done: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done)

    def sites(self, statuses: Statuses) -> None:
        """Draw the table with these rows from now on."""
        self._table = site_table(statuses)

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._live.console.print(text, markup=False)

    def _render(self) -> RenderableType:
        return Group(self._progress, self._table)


def site_table(statuses: Statuses) -> Table:
    """The sites side by side: records flushed, records cosigned by a quorum, blocks that are ordered and not flushed, the log's size."""
    table = Table(expand=False)
    for title in ("site", "state", "lead"):
        table.add_column(title, no_wrap=True)
    for title in ("flushed", "cosigned", "behind", "log"):
        table.add_column(title, justify="right", no_wrap=True)
    for site, status in statuses.items():
        if status is None:
            table.add_row(site, f"[red]{_GONE}[/red]", "", "", "", "", "")
            continue
        colour = "green" if status.state == SERVING else "yellow"
        behind = max(0, status.ordered_block - status.flushed_block)
        table.add_row(
            site,
            f"[{colour}]{status.state}[/{colour}]",
            "capital" if status.is_lead else "",
            f"{status.flushed_size:,}",
            f"{status.quorum_size:,}",
            f"{behind:,}",
            f"{status.ordering_in_use_bytes / 2**20:.1f} MiB",
        )
    return table
