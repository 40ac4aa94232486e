"""The command `sento` in this process, over sites in memory: what it prints and how it exits."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from rich.console import Console

from client_world import NUMBER, ClientWorld, address
from sento_client.cli.app import App
from sento_client.cli.main import main
from sento_client.client import SentoClient
from sento_client.opening import open_installation
from sento_client.testing.transport import MemoryTransport

WHY = ["--purpose", "address proof", "--case", "2026-118"]


class Terminal:
    """Runs commands against the sites of a client world, each with a connection of its own, as processes have. `progress` holds what a terminal's
    spinner or bar drew, if `watch` was called."""

    def __init__(self, place: ClientWorld, columns: int = 200) -> None:
        self.place = place
        self.columns = columns
        self.content = place.config.parent / "entry.json"
        self.content.write_text('{"town": "穂波町"}')
        self.progress = io.StringIO()
        self.app = App(open_client=self._open)

    def _open(self, config: Path) -> SentoClient:
        return SentoClient(open_installation(config), transport=lambda _: MemoryTransport(self.place.sites))

    def watch(self) -> None:
        """Show progress from the first moment, as to a person at a terminal."""

        def console() -> Console:
            return Console(file=self.progress, force_terminal=True, width=self.columns)

        self.app = replace(self.app, patience_s=0.0, progress_console=console)

    def run(
        self, *args: str, subject: str | None = NUMBER, text: str | None = None, columns: int | None = None
    ) -> Result:
        env = {
            "SENTO_SUBJECT": subject,
            "SENTO_CONFIG": str(self.place.config),
            "COLUMNS": str(columns or self.columns),
        }
        return CliRunner().invoke(main, list(args), obj=self.app, env=env, input=text)

    def write(self, *more: str, fact: str = "address") -> Result:
        args = ["residency", "residence/entry", "--fact", fact, "--content", str(self.content), *more]
        return self.run("--json", "write", *args)

    def write_versions(self, count: int) -> None:
        """So many versions of one fact, one after the other, by one client."""

        async def write() -> None:
            async with self._open(self.place.config) as sento:
                previous: bytes | None = None
                for _ in range(count):
                    done = await sento.write(
                        **address(), content=self.content.read_bytes(), previous=previous
                    )
                    previous = done.record_hash

        asyncio.run(write())

    def value(self, *args: str) -> Any:
        """The one JSON value."""
        return json.loads(self.run("--json", *args).stdout)

    def values(self, *args: str, text: str | None = None) -> list[Any]:
        """The JSON lines."""
        return [json.loads(line) for line in self.run("--json", *args, text=text).stdout.splitlines()]
