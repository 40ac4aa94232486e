"""What all commands share: the options given before the command, opening a client, and showing an error in one place.

People get sentences and tables; with `--json` a program gets one JSON value on standard output, also for an error.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from sento_client.cli.exits import Exit, exit_of
from sento_client.client import SentoClient
from sento_client.results import WriteError
from sento_client.setup_errors import TABLE as SETUP_TABLE
from sento_client.setup_errors import SetupError
from sento_proto.errors import TABLE, SentoError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class App:
    """The options before the command. `open_client` is another one in tests."""

    config: Path = Path("sento.toml")
    as_json: bool = False
    open_client: Callable[[Path], SentoClient] = SentoClient.open

    def with_options(self, config: Path, as_json: bool) -> App:
        """The same with what the command line said."""
        return replace(self, config=config, as_json=as_json)

    def run(self, work: Callable[[SentoClient], Awaitable[T]]) -> T:
        """Open the client, do the work, close it; an error is shown and ends the command with its exit code."""

        async def within() -> T:
            async with self.open_client(self.config) as sento:
                return await work(sento)

        try:
            return asyncio.run(within())
        except (SentoError, SetupError) as error:
            self.show_error(error)
            sys.exit(exit_of(error))

    def show(self, value: object, people: Callable[[Console], None]) -> None:
        """`value` as JSON for programs, or what `people` prints."""
        if self.as_json:
            click.echo(json.dumps(value, ensure_ascii=False))
        else:
            people(Console(soft_wrap=True, highlight=False))

    def show_error(self, error: SentoError | SetupError) -> None:
        """One sentence of cause, one of remedy, on standard error; as JSON on standard output."""
        if self.as_json:
            click.echo(json.dumps({"error": _error_value(error)}, ensure_ascii=False))
        elif isinstance(error, SetupError):
            words = SETUP_TABLE[error.code]
            lines = [
                f"{error.code}: {words.cause}",
                *(f"  - {detail}" for detail in error.details),
                words.remedy,
            ]
            click.echo("\n".join(lines), err=True)
        else:
            click.echo(str(error), err=True)


def _error_value(error: SentoError | SetupError) -> dict[str, object]:
    if isinstance(error, SetupError):
        cause, remedy = SETUP_TABLE[error.code]
        return {
            "code": str(error.code),
            "details": list(error.details),
            "cause": cause,
            "remedy": remedy,
            "exit": int(Exit.USAGE),
        }
    entry = TABLE[error.code]
    value: dict[str, object] = {
        "code": error.code.name,
        "standing": entry.standing.value,
        "detail": error.detail,
        "cause": entry.cause,
        "remedy": entry.remedy,
        "exit": int(exit_of(error)),
    }
    if isinstance(error, WriteError):
        value |= {"may_stand": error.may_stand, "final": error.final}
    return value


pass_app = click.make_pass_decorator(App)
