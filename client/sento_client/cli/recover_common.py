"""What the commands of `sento recover` that ask sites share: an operator's certificate, and the addresses of all sites that governance names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from sento_client.cli.app import ONLY_READ, App
from sento_client.cli.govern_common import run_governing
from sento_client.governing.client import GoverningClient
from sento_client.relocating.live_world import with_operator

T = TypeVar("T")


def run_recovering(
    app: App,
    operator: Path | None,
    work: Callable[[GoverningClient], Awaitable[T]],
    *,
    if_interrupted: Callable[[], str] = lambda: ONLY_READ,
    heading: bool = True,
) -> T:
    """Open, say which ledger it is, work, close; the work shows its own progress, and an error is shown and ends the command."""

    def opened(path: Path) -> GoverningClient:
        return with_operator(app.open_governing(path), operator)

    return run_governing(
        replace(app, open_governing=opened), work, waits=False, if_interrupted=if_interrupted, heading=heading
    )
