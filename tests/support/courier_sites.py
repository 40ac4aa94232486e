"""What people at the sites type for volumes: `sento` in this process, with an officer's configuration and the operator's certificate."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner

from live_sites import LiveSites
from sento_client.cli.app import App
from sento_client.cli.main import main


class Ended(NamedTuple):
    """How a command ended: its exit code, what it printed as JSON, and its other words."""

    code: int
    value: dict[str, object]
    words: str


class CourierDesk:
    """An officer's computer."""

    def __init__(self, sites: LiveSites, officer: str) -> None:
        self.directory = sites.world.officer(officer).directory
        self.officer = officer
        self.operator = sites.world.operator.directory
        self.config = self.directory / "sento.toml"

    async def run(self, *arguments: str | Path) -> Ended:
        """`sento --json ...`, beside the sites."""
        return await asyncio.to_thread(self._run, [str(one) for one in arguments])

    async def with_operator(self, *arguments: str | Path) -> Ended:
        """The same with the operator's certificate."""
        return await self.run(*arguments, "--operator", self.operator)

    def _run(self, arguments: list[str]) -> Ended:
        result = CliRunner().invoke(
            main, ["--config", str(self.config), "--json", *arguments], obj=App(), catch_exceptions=False
        )
        lines = result.stdout.strip().splitlines()
        value = json.loads(lines[-1]) if lines else {}
        return Ended(result.exit_code, value, result.output)
