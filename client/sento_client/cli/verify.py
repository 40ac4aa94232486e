"""`sento verify`: prove a record, or that the ledger's past is the one seen before.

The newest checkpoint that verified is remembered in a file beside the configuration; the next run demands that the ledger extends it. The file is
replaced only after everything held, so that a false checkpoint is never remembered.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit
from sento_client.cli.parameters import POSITION, deadline_option, record_name, whole_text
from sento_client.cli.show import findings_table, findings_value, version_value
from sento_client.cli.verify_range import verify_range
from sento_client.client import SentoClient
from sento_client.keyfiles import write_secret
from sento_client.proving_face import Verification
from sento_proto.checkpoint import Checkpoint, decode_checkpoint, encode_checkpoint
from sento_proto.governance.gaps import as_of_words
from sento_proto.limits import CHECKPOINT_MAX_BYTES
from sento_proto.wire import Malformed

REMEMBERED = "sento-checkpoint"
_Work = Callable[[SentoClient], Awaitable[Verification]]


@click.command(short_help="Prove records, or that the ledger's past still stands.")
@click.argument("name", callback=record_name, required=False, metavar="[POSITION|HASH]")
@click.option("--from", "first", type=POSITION, metavar="POSITION", help="Verify every record from here on.")
@click.option(
    "--to",
    "end",
    type=POSITION,
    metavar="POSITION",
    help="With --from: up to below this position (default: all that a quorum has cosigned).",
)
@click.option(
    "--purpose", type=whole_text, metavar="TEXT", help="Why records are read; needed with a record or --from."
)
@click.option(
    "--case",
    "case_number",
    type=whole_text,
    metavar="NUMBER",
    help="Case number; needed with a record or --from.",
)
@click.option(
    "--remembered",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"Checkpoint seen before (default: {REMEMBERED} beside the configuration).",
)
@deadline_option
@pass_app
def verify(
    app: App,
    name: int | bytes | None,
    first: int | None,
    end: int | None,
    purpose: str | None,
    case_number: str | None,
    remembered: Path | None,
    deadline_ms: int | None,
) -> None:
    """Verify a record or a range of them under a quorum's checkpoint, or the ledger against what was seen before.

    Without a record: the newest checkpoint must be cosigned by a quorum of the receipt set and must extend the one remembered
    from the last time; then it is remembered. Nothing that a single site says is believed.

    \b
    Examples:
        sento verify
        sento verify 17 --purpose audit --case 2026-7
        sento verify --from 0 --purpose audit --case 2026-7
    """
    if end is not None and (first is None or end < first):
        raise click.UsageError("--to goes with --from, and is not below it.")
    if name is not None and first is not None:
        raise click.UsageError("Give one record, or --from, not both.")
    if first is not None:
        verify_range(app, first, end, *_why(purpose, case_number), deadline_ms)
        return
    if name is not None:
        work = _of_record(name, *_why(purpose, case_number), deadline_ms)
        verification = app.run(work, deadline_ms=deadline_ms)
    else:
        place = remembered or app.config.parent / REMEMBERED
        verification = app.run(_of_ledger(_recall(place), deadline_ms), deadline_ms=deadline_ms)
        if verification.findings.ok:
            _remember(place, verification.checkpoint)
    _show(app, verification)
    if not verification.findings.ok:
        sys.exit(Exit.NOT_VERIFIED)


def _why(purpose: str | None, case_number: str | None) -> tuple[str, str]:
    if not purpose or not case_number:
        raise click.UsageError("To verify records, give --purpose and --case: they are read.")
    return purpose, case_number


def _of_record(name: int | bytes, purpose: str, case_number: str, deadline_ms: int | None) -> _Work:
    async def work(sento: SentoClient) -> Verification:
        return await sento.verify_record(
            name, purpose=purpose, case_number=case_number, deadline_ms=deadline_ms
        )

    return work


def _of_ledger(seen_before: Checkpoint | None, deadline_ms: int | None) -> _Work:
    async def work(sento: SentoClient) -> Verification:
        return await sento.verify_checkpoint(seen_before, deadline_ms=deadline_ms)

    return work


def _recall(place: Path) -> Checkpoint | None:
    """The checkpoint seen before; None at the first time. What cannot be read is never taken for nothing."""
    try:
        with place.open("rb") as file:
            return decode_checkpoint(file.read(CHECKPOINT_MAX_BYTES + 1))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise click.UsageError(f"{place} cannot be read: {error.strerror}.") from None
    except Malformed as error:
        raise click.UsageError(
            f"{place} is not a checkpoint ({error}); name another file with --remembered."
        ) from None


def _remember(place: Path, checkpoint: Checkpoint) -> None:
    try:
        write_secret(place, encode_checkpoint(checkpoint))
    except OSError as error:
        raise click.UsageError(
            f"The ledger verified, but {place} cannot be written ({error.strerror}); name another file with --remembered."
        ) from None


def _show(app: App, verification: Verification) -> None:
    checkpoint, findings, version = verification.checkpoint, verification.findings, verification.version
    value: dict[str, object] = {
        "verified": findings.ok,
        "why": findings.why,
        "checkpoint": {"epoch": checkpoint.epoch, "size": checkpoint.size, "root": checkpoint.root.hex()},
        "findings": findings_value(findings),
    }
    if version is not None:
        value["record"] = version_value(version)

    def people(console: Console) -> None:
        what = f"record at position {version.position}" if version is not None else "ledger"
        if findings.ok:
            console.print(f"Verified: the {what}, under size {checkpoint.size} of epoch {checkpoint.epoch}.")
            if version is not None and version.as_of_ms is not None:
                console.print(f"The record is {as_of_words(version.as_of_ms)}.")
        else:
            console.print(f"NOT VERIFIED: {findings.why}. Keep this output and tell the operators.")
        console.print(findings_table(findings), soft_wrap=False)

    app.show(value, people)
