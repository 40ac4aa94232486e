"""`sento write --lines`: a bulk load as people and programs see it: a progress bar or JSON lines, what was refused, where to go on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sento_client.cli.app import App
from sento_client.cli.bulk import LineResult, Load, Tally, result_value
from sento_client.cli.error_words import error_lines
from sento_client.cli.lines import Defaults
from sento_client.cli.source import Source, open_source
from sento_client.cli.terminal import json_text
from sento_client.cli.waiting import spinner_column
from sento_client.client import SentoClient
from sento_client.results import Acknowledgement, Durability, WriteError

REFUSALS_SHOWN = 20
"""Further ones are counted for people and listed for programs."""


def write_lines(
    app: App, path: Path, defaults: Defaults, from_line: int, deadline_ms: int | None, *, abroad: bool = False
) -> None:
    """Write the lines of a file or of standard input; ends the command when not every line stands."""
    tally = Tally(next_line=from_line)
    with open_source(path) as source:

        async def work(sento: SentoClient) -> None:
            with _shown(app, source) as (progress, task):

                def tell(results: list[LineResult]) -> None:
                    progress.update(task, completed=source.read_bytes, description=_so_far(tally))
                    if app.as_json:
                        _tell_programs(results)
                    else:
                        _tell_people(results, tally, progress)

                durability = Durability.ABROAD if abroad else Durability.HOME
                await Load(sento, defaults, deadline_ms, tally, tell, durability).run(source, from_line)

        try:
            app.run(work, waits=False, if_interrupted=tally.interrupted_words)
        except BrokenPipeError:
            click.echo(f"The reader of the output is gone. {tally.words()} {tally.resume_words()}", err=True)
            raise
        except OSError as error:
            raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    _conclude(app, tally)


def _conclude(app: App, tally: Tally) -> None:
    if app.as_json:
        app.show_line(tally.value())
    else:
        hidden = tally.without_success - REFUSALS_SHOWN
        if hidden > 0:
            click.echo(
                f"{hidden:,} more lines without success are not shown; --json lists them all.", err=True
            )
        click.echo(tally.words())
    if tally.stopped_by is not None:
        by_sites = isinstance(tally.stopped_by, WriteError)
        why = "no site takes records now" if by_sites else f"no names now ({tally.stopped_by.detail})"
        click.echo(f"Stopped by {tally.stopped_by.code.name}: {why}. {tally.resume_words()}", err=True)
    if tally.exit:
        sys.exit(tally.exit)


def _tell_programs(results: list[LineResult]) -> None:
    if results:
        click.echo("\n".join(json_text(result_value(each)) for each in results))


def _tell_people(results: list[LineResult], tally: Tally, progress: Progress) -> None:
    failed = [each for each in results if not isinstance(each.result, Acknowledgement)]
    shown_before = tally.without_success - len(failed)
    for each in failed[: max(0, REFUSALS_SHOWN - shown_before)]:
        if not isinstance(each.result, Acknowledgement):
            progress.console.print(
                f"line {each.line}: " + "\n".join(error_lines(each.result)), markup=False, soft_wrap=True
            )


def _so_far(tally: Tally) -> str:
    return f"line {tally.sent_to:,}: {tally.stand:,} stand, {tally.without_success:,} not"


@contextmanager
def _shown(app: App, source: Source) -> Iterator[tuple[Progress, TaskID]]:
    """A bar by bytes of the file; without a known size, what was counted so far."""
    console = app.progress_console()
    progress = Progress(
        spinner_column(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=app.as_json or not console.is_terminal,
    )
    task = progress.add_task("reading", total=source.size_bytes)
    with progress:
        yield progress, task
