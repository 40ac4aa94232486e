"""`sento reads`: who was given what of a person's records, when and why; each entry with its proof."""

from __future__ import annotations

from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sento_client.cli.app import App, pass_app
from sento_client.cli.completers import complete_registry, complete_site
from sento_client.cli.parameters import (
    INPUT_FILE,
    SUBJECT_VARIABLE,
    deadline_option,
    purpose_options,
    read_subject,
)
from sento_client.cli.show import findings_value, time_text
from sento_client.cli.terminal import printable
from sento_client.read_log.values import COMPLETE_FOR, ReadEntry, ReadLog, reading_words
from sento_client.results import Freshness


@click.command(short_help="Who read a person's records, when and why.")
@click.option(
    "--of",
    "subject_file",
    type=INPUT_FILE,
    metavar="FILE",
    help=f"File with the person's identifier, - for standard input. Without it: ${SUBJECT_VARIABLE}, else you are asked.",
)
@click.option("--registry", required=True, metavar="NAME", shell_complete=complete_registry)
@click.option(
    "--limit", type=click.IntRange(1, 100_000), help="The newest so many (default: all that there are)."
)
@click.option(
    "--confirmed", is_flag=True, help="Have a quorum of sites sign that no newer entry is left out."
)
@click.option(
    "--local",
    "freshness",
    flag_value=Freshness.LOCAL.value,
    default=Freshness.LINEARIZABLE.value,
    help="From one site's ledger at once, also when it is cut off.",
)
@click.option("--site", metavar="NAME", shell_complete=complete_site, help="Ask this site and no other.")
@purpose_options
@deadline_option
@pass_app
def reads(
    app: App,
    subject_file: Path | None,
    registry: str,
    limit: int | None,
    confirmed: bool,
    freshness: str,
    site: str | None,
    purpose: str,
    case_number: str,
    deadline_ms: int | None,
) -> None:
    """Who was given what of a person's records in a registry, and who was refused, newest first.

    Sites write an access record into the ledger before they give anything out. The list holds every release by an honest site. It cannot hold what a reader
    sees in an old copy with a key it has, unless a key agent opens that compartment; nor readings that officers delay, nor those of a site that is still
    without a link. Each entry is proven to stand under a checkpoint that a quorum of sites signed; --json has the proofs' findings.

    \b
    Example:
        sento reads --of person.txt --registry residency --purpose "own access log" --case 2026-31
    """
    identifier = read_subject(subject_file)
    log = app.run(
        lambda sento: sento.reads_of(
            identifier,
            registry=registry,
            purpose=purpose,
            case_number=case_number,
            limit=limit,
            confirmed=confirmed,
            freshness=Freshness(freshness),
            site=site,
            deadline_ms=deadline_ms,
        ),
        site=site,
        deadline_ms=deadline_ms,
    )
    app.show(log_value(log), lambda console: _print(console, log))


def log_value(log: ReadLog) -> dict[str, object]:
    """The list as a JSON object."""
    checkpoint = log.checkpoint
    return {
        "reads": [entry_value(entry) for entry in log.entries],
        "checkpoint": None
        if checkpoint is None
        else {"size": checkpoint.size, "epoch": checkpoint.epoch, "root": checkpoint.root.hex()},
        "confirmed": log.confirmed is not None,
        "hidden": log.hidden,
        "released_delays": list(log.delays),
        "delays_in_force": log.withheld_delays,
        "completeness": list(COMPLETE_FOR),
    }


def entry_value(entry: ReadEntry) -> dict[str, object]:
    """An entry as a JSON object."""
    access = entry.access
    said = (
        None
        if access is None
        else {
            "site": access.site,
            "reader": access.reader,
            "role": access.role,
            "purpose": access.purpose,
            "case_number": access.case_number,
            "method": access.method,
            "records": [record.hex() for record in access.records],
            "more": access.more,
            "outcome": access.outcome,
            "refused_before": access.refused_before,
            "asked_at_ms": access.asked_at_ms,
            "delay": access.delay,
            "extract": None if access.extract is None else access.extract.hex(),
        }
    )
    return {
        "position": entry.position,
        "record": entry.record_hash.hex(),
        "signed_by": entry.site,
        "recorded_ms": entry.recorded_ms,
        "kind": entry.kind,
        "access": said,
        "closed_because": entry.closed_because,
        "findings": findings_value(entry.findings),
    }


def _print(console: Console, log: ReadLog) -> None:
    if not log.entries:
        console.print("Nobody was given anything, and nobody was refused, as far as this ledger says.")
    else:
        table = Table("position", "when", "who and what", "why", box=SIMPLE_HEAD, pad_edge=False)
        for entry in log.entries:
            access = entry.access
            why = "" if access is None else f"{access.purpose} ({access.case_number})"
            when = entry.recorded_ms if access is None else access.asked_at_ms
            table.add_row(
                str(entry.position),
                time_text(when),
                Text(printable(reading_words(entry))),
                Text(printable(why)),
            )
        console.print(table)
    for words in _words_below(log):
        console.print(words, markup=False)


def _words_below(log: ReadLog) -> list[str]:
    """What stands under the list: how it is proven, and what it does not hold."""
    words = []
    if log.checkpoint is not None:
        words.append(f"Each stands under a quorum's checkpoint of size {log.checkpoint.size}.")
    if log.confirmed is not None:
        words.append("A quorum of sites signed that the list goes to the newest record about this person.")
    if log.delays:
        words.append(f"Readings that were delayed are among them: {', '.join(log.delays)}.")
    if log.withheld_delays:
        count = log.withheld_delays
        words.append(
            f"Officers delay readings in this registry ({count} order{'' if count == 1 else 's'}); they appear when released."
        )
    if log.hidden:
        words.append(
            f"{log.hidden} records about this person are in compartments that this institution may not see."
        )
    return [*words, *COMPLETE_FOR]
