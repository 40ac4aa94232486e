"""`sento-node verify`: everything on a site's disk derived anew, told to a person or a program.

    sento-node verify --config node.toml               this site's ledger; the site must be stopped
    sento-node verify --config node.toml --data-dir D  a copy of it elsewhere
    sento-node verify --genesis genesis.json --data-dir D
    ... --json                                         one JSON object a line: each finding, then the summary

What is found, and what each kind means, is decided in `ledger/verify.py`. Exit codes: 0 nothing wrong or missing, 1 something is, 2 it could not be looked at.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from sento_node.config import load_config
from sento_node.config_mistake import ConfigMistake
from sento_node.genesis_file import read_genesis
from sento_node.ledger.findings import Finding, Summary
from sento_node.ledger.lmdb_files import LedgerNotOpened
from sento_node.ledger.verify import Verification
from sento_node.ledger.verify_walk import Progress, no_progress
from sento_proto.genesis import Genesis

LEDGER_DIR = "ledger"
EXIT_SOUND, EXIT_FOUND, EXIT_MISTAKE = 0, 1, 2
REMEDY = (
    "Set this data directory aside and let the site catch up from another one (runbook: a site with a new disk). "
    "What is missing or wrong here still stands at the other sites."
)


def verify(
    config: Path, data_dir: Path | None, genesis: Path | None, *, as_json: bool, progress: bool
) -> int:
    """Verify and tell. Returns the exit code."""
    try:
        what, directory = _target(config, data_dir, genesis)
        with _bar(shown=progress) as report:
            verification = Verification(directory, what, report)
            for finding in verification.findings():
                click.echo(json.dumps(_finding(finding)) if as_json else str(finding))
    except (ConfigMistake, LedgerNotOpened) as error:
        click.echo(json.dumps({"error": str(error)}) if as_json else f"sento-node: {error}", err=not as_json)
        return EXIT_MISTAKE
    summary = verification.summary
    click.echo(json.dumps({"summary": _numbers(summary)}) if as_json else _words(summary))
    return EXIT_SOUND if summary.sound else EXIT_FOUND


def _target(config: Path, data_dir: Path | None, genesis: Path | None) -> tuple[Genesis, Path]:
    """(the ledger's genesis, its directory). Raises ConfigMistake."""
    if genesis is not None:
        if data_dir is None:
            raise ConfigMistake("--genesis goes with --data-dir: name the data directory to verify.")
        return read_genesis(genesis), data_dir / LEDGER_DIR
    loaded = load_config(config)
    return read_genesis(loaded.genesis), (data_dir or loaded.data_dir) / LEDGER_DIR


@contextlib.contextmanager
def _bar(*, shown: bool) -> Iterator[Progress]:
    if not shown:
        yield no_progress
        return
    with click.progressbar(length=1, label="Verifying records", show_pos=True, file=sys.stderr) as bar:

        def report(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield report


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind.value,
        "position": finding.position,
        "block": finding.block,
        "words": finding.words,
    }


def _numbers(summary: Summary) -> dict[str, object]:
    return {
        "sound": summary.sound,
        "blocks": summary.blocks,
        "records": summary.records,
        "payload_bytes": summary.payload_bytes,
        "checkpoints": summary.checkpoints,
        "wrong": summary.wrong,
        "missing": summary.missing,
        "erased": summary.erased,
        "unnamed_bytes": summary.unnamed_bytes,
        "size": summary.size,
        "root": summary.root.hex(),
    }


def _words(summary: Summary) -> str:
    lines = [
        f"{summary.records} records in {summary.blocks} blocks, {summary.payload_bytes} bytes of payload, {summary.checkpoints} checkpoints.",
        f"Root of the first {summary.size}: {summary.root.hex()}",
    ]
    if summary.unnamed_bytes:
        lines.append(
            f"{summary.unnamed_bytes} bytes of a commit that did not come to be; they go at the next start."
        )
    if summary.erased:
        lines.append(f"{summary.erased} payloads were erased by order; their headers and proofs stand.")
    if summary.sound:
        lines.append("Nothing is wrong or missing.")
    else:
        lines.append(f"{summary.wrong} wrong, {summary.missing} missing. {REMEDY}")
    return "\n".join(lines)
