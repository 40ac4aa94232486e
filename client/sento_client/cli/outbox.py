"""`sento outbox`: what this institution has handed over and no quorum holds yet; sending it, and looking after what was refused."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit
from sento_client.cli.outbox_view import (
    file_value,
    kept_table,
    kept_value,
    receipts_sentence,
    refused_table,
    refused_value,
    sentence,
)
from sento_client.cli.receipt_place import config_of, receipts_look, store_value
from sento_client.cli.waiting import spinner_column
from sento_client.client import SentoClient
from sento_client.config import load_config
from sento_client.outbox import inspecting
from sento_client.setup_errors import SetupError

_LOOK_EVERY_S = 0.2
ABROAD_PATIENCE_S = 10.0
"""How long a site abroad is waited for once everything else is done: an embassy that is lost must not hold the command up."""


class _RecordId(click.ParamType[bytes]):
    name = "record id"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        try:
            record_id = bytes.fromhex(str(value))
        except ValueError:
            record_id = b""
        if len(record_id) != 16:
            self.fail("a record id has 32 hexadecimal digits, as sento outbox shows them", param, ctx)
        return record_id


@click.group(invoke_without_command=True, short_help="Look at what waits to be sent, or was refused.")
@click.option(
    "--limit",
    type=click.IntRange(0, 10_000),
    default=20,
    show_default=True,
    help="List at most so many records of each kind.",
)
@pass_app
@click.pass_context
def outbox(ctx: click.Context, app: App, limit: int) -> None:
    """Look at what this institution has handed over and no quorum holds yet; no site is asked.

    Records stay in the outbox until a quorum of sites has cosigned a ledger that holds them; programs that run send them, and take over what others left.
    Where the ledger has sites abroad, what stands is held on until one of them has it, so that it is sent again should all sites at home be lost.
    Ends with 0 when nothing needs a person, with 5 when a record was refused with nobody there to be told, or a file is damaged.

    \b
    Examples:
        sento outbox
        sento outbox send
        sento outbox discard 0192f0c1a2b37c4d8e9f000102030405
    """
    if ctx.invoked_subcommand is not None:
        return
    directory = _directory(app)
    receipts = receipts_look(config_of(app))
    shelves = inspecting.look(directory)
    kept = list(islice(inspecting.kept_records(directory), limit))
    refused = list(islice(inspecting.refused_records(directory), limit))
    records, needs_people = (
        sum(shelf.records for shelf in shelves),
        any(s.refused or s.trouble for s in shelves),
    )
    first = sentence(shelves)
    value = {
        "directory": str(directory),
        "sentence": first,
        "needs_people": needs_people,
        "records": records,
        "refused": sum(shelf.refused for shelf in shelves),
        "held_for_abroad": sum(shelf.held for shelf in shelves),
        "let_go_for_room": sum(shelf.let_go for shelf in shelves),
        "files": [file_value(shelf) for shelf in shelves],
        "kept_records": [kept_value(record) for record in kept],
        "refused_records": [refused_value(record) for record in refused],
        "receipts": store_value(receipts),
    }

    def people(console: Console) -> None:
        console.print(first)
        if receipts is not None:
            console.print(receipts_sentence(receipts), markup=False)
        for shelf in shelves:
            if shelf.trouble:
                console.print(f"{shelf.path} cannot be read: {shelf.trouble}", markup=False)
        if kept:
            console.print(kept_table(kept), soft_wrap=False)
            if records > len(kept):
                console.print(f"{records - len(kept)} more: sento outbox --limit {records}")
        if refused:
            console.print(refused_table(refused), soft_wrap=False)
            console.print(
                "Refused for good. Look at why (sento errors CODE), write anew what is meant, then: sento outbox discard ID"
            )

    app.show(value, people)
    if needs_people:
        sys.exit(Exit.DEGRADED)


@outbox.command()
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 86_400),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Stop waiting after it; what is left stays.",
)
@pass_app
def send(app: App, timeout: float) -> None:
    """Take over what programs that ended have left, send it, and wait until a quorum holds it.

    Ends with 0 when the outbox is empty, or holds only what a quorum has and a site abroad is to cosign, too; with 6 when anything else is left."""

    async def work(sento: SentoClient) -> tuple[int, int]:
        counts = sento.empty_outbox()
        total, began_s = counts.sending + counts.uncovered, time.monotonic()
        end_s = began_s + timeout
        bar = Progress(
            spinner_column(), TextColumn("submissions"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=app.progress_console(), transient=True, disable=app.as_json,
        )  # fmt: skip
        with bar:
            task = bar.add_task("", total=total)
            abroad_end_s = began_s + ABROAD_PATIENCE_S
            while (now_s := time.monotonic()) < end_s:
                left = sento.outbox.sending + sento.outbox.uncovered
                bar.update(task, completed=total - left)
                if left:
                    abroad_end_s = now_s + ABROAD_PATIENCE_S
                elif not sento.outbox.abroad or now_s >= abroad_end_s:
                    break
                await asyncio.sleep(_LOOK_EVERY_S)
            left = sento.outbox.sending + sento.outbox.uncovered
        return left, sento.outbox.abroad

    left, abroad = app.run(
        work, waits=False, if_interrupted=lambda: "Interrupted. What was not sent stays in the outbox."
    )
    app.show(
        {"submissions_left": left, "pending_abroad": abroad},
        lambda console: console.print(
            f"{left} submissions are left; see sento outbox."
            if left
            else "Everything stands under a quorum's checkpoint."
            + (f" {abroad} submissions wait for a site abroad: they are kept." if abroad else "")
        ),
    )
    if left:
        sys.exit(Exit.OUTCOME_UNKNOWN)


@outbox.command()
@click.argument("record_ids", nargs=-1, required=True, type=_RecordId(), metavar="RECORD_ID...")
@click.option(
    "--unsent",
    is_flag=True,
    help="Also discard a record that still waits; the records that travel with it go too.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_app
def discard(app: App, record_ids: tuple[bytes, ...], unsent: bool, yes: bool) -> None:
    """Remove records that were refused for good; with --unsent also one that waits.

    A record that waits may be on its way at this moment, so it may stand nevertheless. Ends with 1 when an id is not in the outbox.

    \b
    Example:
        sento outbox discard 0192f0c1a2b37c4d8e9f000102030405
    """
    directory = _directory(app)
    if unsent and not yes:
        click.confirm(
            "Whoever wrote these records was told that they would be sent. Discard them?",
            abort=True,
            err=True,
        )
    try:
        gone = inspecting.discard_refused(directory, record_ids)
        if unsent:
            for record_id in record_ids:
                if record_id not in gone:
                    gone += inspecting.discard_kept(directory, record_id)
    except sqlite3.Error as error:
        raise click.ClickException(
            f"A file of the outbox cannot be changed: {error}. Nothing more was discarded."
        ) from error
    missing = [record_id for record_id in record_ids if record_id not in gone]
    app.show(
        {"discarded": [one.hex() for one in gone], "not_found": [one.hex() for one in missing]},
        lambda console: console.print(
            "\n".join(
                [f"discarded {one.hex()}" for one in gone]
                + [f"not in the outbox: {one.hex()}" for one in missing]
            )
        ),
    )
    if missing:
        sys.exit(Exit.REFUSED)


def _directory(app: App) -> Path:
    try:
        place = load_config(app.config).outbox
    except SetupError as error:
        app.show_error(error)
        sys.exit(Exit.USAGE)
    if place is None:
        raise click.UsageError(f"{app.config} has switched the outbox off (outbox.enabled = false).")
    return place.directory
