"""`sento export`: the whole ledger in one file that an auditor proves on any computer, without network and without this program."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit
from sento_client.cli.parameters import deadline_option, purpose_options
from sento_client.cli.waiting import bar_of
from sento_client.client import SentoClient
from sento_client.exporting.face import Exported, Wanted
from sento_proto.governance.gaps import gap_sentence, gap_value
from sento_proto.strict_json import load
from sento_proto.wire import Malformed

CERTIFICATE_FORMAT = "sento-erasure-certificate-1"
CERTIFICATE_MAX_BYTES = 4 * 1024 * 1024


@click.command(short_help="Write the whole ledger to one file that proves itself.")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to; by custom NAME.sento-export, and NAME.sento-export.gz to compress it.",
)
@click.option(
    "--registry",
    "registries",
    multiple=True,
    metavar="NAME",
    help="Show records of this registry only, and of the others their hashes; may be repeated.",
)
@click.option(
    "--with-payloads", is_flag=True, help="With sealed payloads, where this institution may read them."
)
@click.option(
    "--certificates",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Put in the erasure certificates that lie there (*.json).",
)
@purpose_options
@deadline_option
@pass_app
def export(
    app: App,
    out: Path,
    registries: tuple[str, ...],
    with_payloads: bool,
    certificates: Path | None,
    purpose: str,
    case_number: str,
    deadline_ms: int | None,
) -> None:
    """Write every record up to the newest checkpoint that a quorum cosigned into one file, verified record by record on the way.

    Whoever has the file and the ledger id can prove all of it with audit_kit.py: signatures, chains, the tree, the officers' acts. Records that this
    institution may not see stand in it with their hash alone. The file gets its name when it is whole; until then it is FILE.part.

    \b
    Examples:
        sento export --out 2026.sento-export.gz --purpose "yearly audit" --case 2026-9
        python audit_kit.py --ledger-id 7d71e555... 2026.sento-export.gz
    """
    given = (
        [] if certificates is None else [_certificate(path) for path in sorted(certificates.glob("*.json"))]
    )
    wanted = Wanted(purpose, case_number, registries, with_payloads, given)

    async def work(sento: SentoClient) -> Exported:
        shown = not app.as_json
        with bar_of(app.progress_console(), "records exported", shown=shown, total=None) as (bar, task):

            def move(done: int, records: int) -> None:
                bar.update(task, completed=done, total=records)

            return await sento.export_ledger(out, wanted, on_progress=move, deadline_ms=deadline_ms)

    try:
        exported = app.run(
            work,
            deadline_ms=deadline_ms,
            waits=False,
            if_interrupted=lambda: f"Interrupted. {out} was not written.",
        )
    except OSError as error:
        click.echo(f"{out} cannot be written: {error.strerror}.", err=True)
        sys.exit(Exit.USAGE)
    _show(app, exported)


def _certificate(path: Path) -> object:
    """A certificate's file as JSON; whether it holds is the audit's to say."""
    try:
        with path.open("rb") as file:
            data = file.read(CERTIFICATE_MAX_BYTES + 1)
        if len(data) > CERTIFICATE_MAX_BYTES:
            raise Malformed(f"over {CERTIFICATE_MAX_BYTES} bytes")
        load(data, "certificate").choice("format", (CERTIFICATE_FORMAT,))
        value: object = json.loads(data)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except Malformed as error:
        raise click.UsageError(f"{path} is no erasure certificate ({error}).") from None
    return value


def _show(app: App, exported: Exported) -> None:
    checkpoint = exported.checkpoint
    value = {
        "file": str(exported.path),
        "ledger_id": checkpoint.ledger_id.hex(),
        "epoch": checkpoint.epoch,
        "records": checkpoint.size,
        "root": checkpoint.root.hex(),
        "hidden": exported.hidden,
        "payloads": exported.payloads,
        "older_checkpoints": exported.older_checkpoints,
        "erasure_certificates": exported.certificates,
        "fraud": exported.frauds,
        "size_bytes": exported.size_bytes,
        "gaps": [gap_value(gap) for gap in exported.gaps],
    }

    def people(console: Console) -> None:
        console.print(
            f"{exported.path}: {checkpoint.size} records of epoch {checkpoint.epoch}, {exported.size_bytes} bytes, proven to root "
            f"{checkpoint.root.hex()}."
        )
        if exported.hidden:
            console.print(f"{exported.hidden} of them with their hash alone.")
        for gap in exported.gaps:
            console.print(f"{gap_sentence(gap)} The file says so, too.")
        console.print(
            f"Prove it anywhere: python audit_kit.py --ledger-id {checkpoint.ledger_id.hex()} {exported.path}"
        )

    app.show(value, people)
