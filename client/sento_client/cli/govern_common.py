"""What the commands of `sento govern` share: which ledger it is in the first line, opening a client, and the file of a proposal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from sento_client.cli.app import ONLY_READ, App
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.waiting import spinner_after
from sento_client.governing.client import GoverningClient
from sento_client.governing.proposal import FILE_MAX_BYTES, Proposal, decode_proposal
from sento_client.governing.reviewing import Review
from sento_client.governing.words import ledger_words
from sento_client.setup_errors import SetupError
from sento_proto.errors import SentoError
from sento_proto.governance.state import Governance
from sento_proto.wire import Malformed

T = TypeVar("T")
PROPOSAL_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def run_governing(
    app: App,
    work: Callable[[GoverningClient], Awaitable[T]],
    *,
    exit_code: Callable[[SentoError | SetupError], Exit] = exit_of,
    if_interrupted: Callable[[], str] = lambda: ONLY_READ,
    heading: bool = True,
    waits: bool = True,
) -> T:
    """Open, say which ledger it is, work, close; an error is shown and ends the command. `waits`: with a spinner; False for work with its own."""

    async def within() -> T:
        client = app.open_governing(app.config)
        genesis = client.place.trust_file.genesis
        if heading and not app.as_json:
            click.echo(ledger_words(genesis.purpose, genesis.name, genesis.ledger_id))
        async with client:
            if app.as_json or not waits:
                return await work(client)
            limit_s = client.place.deadline_ms / 1000
            with spinner_after(
                app.patience_s,
                app.progress_console(),
                lambda: f"waiting for the sites, at most {limit_s:g} s a question",
            ):
                return await work(client)

    try:
        return asyncio.run(within())
    except (SentoError, SetupError) as error:
        app.show_error(error)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        click.echo(if_interrupted(), err=True)
        sys.exit(Exit.INTERRUPTED)


def read_proposal(path: Path) -> Proposal:
    """The proposal in the file. Raises click.UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_MAX_BYTES + 1)
        if len(data) > FILE_MAX_BYTES:
            raise Malformed(f"over {FILE_MAX_BYTES} bytes")
        return decode_proposal(data)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except Malformed as error:
        raise click.UsageError(f"{path} is no proposal of an act: {error}.") from None


def ledger_value(governance: Governance) -> dict[str, object]:
    """Which ledger, for programs."""
    return {
        "name": governance.name,
        "purpose": governance.purpose,
        "id": governance.ledger_id.hex(),
        "rules": governance.rules,
    }


def print_review(console: Console, review: Review) -> None:
    """The dry run for people."""
    console.print(f"Reason: {review.reason}", markup=False)
    console.print(f"From position {review.at + 1} on, if the act stands at {review.at}, the next one:")
    for words in review.words:
        console.print(f"  - {words}", markup=False)
    console.print("No record that stands is changed, removed or opened by this.")
    console.print(f"Signatures: {review.signatures_words}", markup=False)


def review_value(governance: Governance, review: Review) -> dict[str, object]:
    """The same for programs."""
    return {
        "ledger": ledger_value(governance),
        "reason": review.reason,
        "from_position": review.at + 1,
        "changes": list(review.words),
        "signed": list(review.signed),
        "waiting": list(review.waiting),
        "needed": review.needed,
        "enough": review.is_enough,
    }
