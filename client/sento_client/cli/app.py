"""What all commands share: the options given before the command, opening a client, waiting, and showing an error in one place.

People get sentences and tables; with `--json` a program gets JSON on standard output, also for an error: one value, or one a line from a command whose
list has no end.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from sento_client.cli.error_words import error_lines, error_value
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.prompts import open_asking
from sento_client.cli.terminal import json_text, progress_console, results_console
from sento_client.cli.waiting import PATIENCE_S, spinner_after
from sento_client.client import SentoClient
from sento_client.config import load_config
from sento_client.governing.client import GoverningClient
from sento_client.recovery.ledger_source import standing_of
from sento_client.recovery.standing import Standing
from sento_client.setup_errors import SetupError
from sento_proto.errors import SentoError

T = TypeVar("T")
ONLY_READ = "Interrupted. Nothing was written."


@dataclass(frozen=True, slots=True)
class App:
    """The options before the command. `open_client`, `patience_s` and the console are others in tests."""

    config: Path = Path("sento.toml")
    as_json: bool = False
    open_client: Callable[[Path], SentoClient] = open_asking
    patience_s: float = PATIENCE_S
    progress_console: Callable[[], Console] = progress_console
    recovery_standing: Callable[[Path], Standing] = standing_of
    open_governing: Callable[[Path], GoverningClient] = GoverningClient.open

    def with_options(self, config: Path, as_json: bool) -> App:
        """The same with what the command line said."""
        return replace(self, config=config, as_json=as_json)

    def run(
        self,
        work: Callable[[SentoClient], Awaitable[T]],
        *,
        site: str | None = None,
        deadline_ms: int | None = None,
        waits: bool = True,
        if_interrupted: Callable[[], str] = lambda: ONLY_READ,
    ) -> T:
        """Open the client, do the work, close it; an error is shown and ends the command with its exit code.

        `site`: the only one to be asked, which must be configured; `waits`: with a spinner after a while; False for work that shows its own
        progress. `if_interrupted` gives the words for Ctrl-C."""

        async def within() -> T:
            async with self.open_client(self.config) as sento:
                if site is not None and site not in sento.sites:
                    raise click.BadParameter(
                        f"{site} is not a site of {self.config}; it has {', '.join(sento.sites)}.",
                        param_hint="--site",
                    )
                if not waits:
                    return await work(sento)
                with self.waiting(sento, site, deadline_ms):
                    return await work(sento)

        try:
            return asyncio.run(within())
        except (SentoError, SetupError) as error:
            self.show_error(error)
            sys.exit(exit_of(error))
        except KeyboardInterrupt:
            click.echo(if_interrupted(), err=True)
            sys.exit(Exit.INTERRUPTED)

    @contextlib.contextmanager
    def waiting(
        self, sento: SentoClient, site: str | None, deadline_ms: int | None, *, shown: bool = True
    ) -> Iterator[None]:
        """A spinner for people once this has taken a while: who is to answer, and until when."""
        if self.as_json or not shown:
            yield
            return

        def words() -> str:
            who = site or ("1 site" if len(sento.sites) == 1 else f"one of {len(sento.sites)} sites")
            limit_ms = load_config(self.config).limits.deadline_ms if deadline_ms is None else deadline_ms
            return f"waiting for {who}, at most {limit_ms / 1000:g} s"

        with spinner_after(self.patience_s, self.progress_console(), words):
            yield

    def show(self, value: object, people: Callable[[Console], None]) -> None:
        """`value` as JSON for programs, or what `people` prints."""
        if self.as_json:
            self.show_line(value)
        else:
            people(results_console())

    def show_line(self, value: object) -> None:
        """One value of a stream for programs."""
        click.echo(json_text(value))

    def show_error(self, error: SentoError | SetupError) -> None:
        """Code and cause, the particulars, the remedy, on standard error; as JSON on standard output."""
        if self.as_json:
            self.show_line({"error": error_value(error)})
        else:
            click.echo("\n".join(error_lines(error)), err=True)


pass_app = click.make_pass_decorator(App)
