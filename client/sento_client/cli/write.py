"""`sento write`: one version of one fact, from a file or standard input, acknowledged or refused; or, with --lines, many."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.abroad_words import abroad_value, abroad_words
from sento_client.cli.app import App, pass_app
from sento_client.cli.completers import complete_registry
from sento_client.cli.lines import Defaults
from sento_client.cli.parameters import (
    INPUT_FILE,
    deadline_option,
    read_input,
    read_subject,
    record_hash,
    subject_option,
    whole_text,
)
from sento_client.cli.write_lines import write_lines
from sento_client.client import SentoClient
from sento_client.config import load_config
from sento_client.results import Acknowledgement, Durability
from sento_proto.limits import CONTENT_OF_PAYLOAD_MAX_BYTES


@click.command(short_help="Write one version of a fact, or many from a file.")
@click.argument("registry", required=False, shell_complete=complete_registry)
@click.argument("kind", required=False)
@click.option(
    "--fact",
    type=whole_text,
    metavar="KEY",
    help="Natural key of the fact, such as address or assessment/2026.",
)
@click.option(
    "--content",
    "content_file",
    type=INPUT_FILE,
    metavar="FILE",
    help=f"File with the content, - for standard input; at most {CONTENT_OF_PAYLOAD_MAX_BYTES:,} bytes.",
)
@click.option(
    "--compartment", default="", metavar="NAME", help="Compartment of the registry (default: its open part)."
)
@click.option(
    "--previous",
    callback=record_hash,
    metavar="HASH",
    help="Record hash of the version this one follows; leave out for a first version.",
)
@click.option(
    "--lines",
    "lines_file",
    type=INPUT_FILE,
    metavar="FILE",
    help="Many records: a JSON object a line, - for standard input.",
)
@click.option(
    "--from-line",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="With --lines: begin at this line, where an earlier run ended.",
)
@click.option(
    "--abroad",
    is_flag=True,
    help="Say also whether a site in another country has cosigned a checkpoint over the record; wait for it within the deadline.",
)
@subject_option
@deadline_option
@pass_app
def write(
    app: App,
    registry: str | None,
    kind: str | None,
    fact: str | None,
    content_file: Path | None,
    compartment: str,
    previous: bytes | None,
    lines_file: Path | None,
    from_line: int | None,
    abroad: bool,
    subject_file: Path | None,
    deadline_ms: int | None,
) -> None:
    """Write one version of a fact about a person, or with --lines many.

    The content is sealed and signed here; sites see neither it nor the identifier. When the command ends with 0, the record
    is on the disks of a majority of the voting sites.

    With --abroad it also says whether the record stands abroad, under a checkpoint that a site in another country cosigned, or is pending at the deadline.
    Pending is no failure: the outbox keeps the record open until that is so, and sento outbox shows it.

    A line of --lines has the fields registry, kind, subject, fact and content; compartment and previous (a record hash) may be absent;
    content_base64 may stand in place of content. REGISTRY and KIND, if given, are those of lines without them. Lines stand or fall one
    by one and may be sent in any order. With --json each line's outcome is a JSON line, the last one has the sums.

    \b
    Examples:
        echo '{"town": "Honamimachi"}' > entry.json
        SENTO_SUBJECT=... sento write residency residence/entry --fact address --content entry.json
        SENTO_SUBJECT=... sento write residency residence/entry --fact address --content entry.json --abroad
        sento write residency residence/entry --lines entries.jsonl
    """
    if lines_file is not None:
        if fact is not None or content_file is not None or previous is not None or subject_file is not None:
            raise click.UsageError("With --lines, subject, fact, content and previous come from the lines.")
        defaults = Defaults(registry, kind, compartment)
        write_lines(app, lines_file, defaults, from_line or 1, deadline_ms, abroad=abroad)
        return
    if registry is None or kind is None or fact is None or content_file is None:
        raise click.UsageError("Give REGISTRY, KIND, --fact and --content; or --lines for many records.")
    if from_line is not None:
        raise click.UsageError("--from-line goes with --lines.")
    if str(content_file) == "-" and str(subject_file) == "-":
        raise click.UsageError("Standard input can give the content or the identifier, not both.")
    content = read_input(content_file, CONTENT_OF_PAYLOAD_MAX_BYTES)
    subject = read_subject(subject_file)

    async def work(sento: SentoClient) -> Acknowledgement:
        return await sento.write(
            registry=registry,
            kind=kind,
            subject=subject,
            fact=fact,
            content=content,
            previous=previous,
            compartment=compartment,
            deadline_ms=deadline_ms,
            durability=Durability.ABROAD if abroad else Durability.HOME,
        )

    done = app.run(work, deadline_ms=deadline_ms, if_interrupted=lambda: _interrupted_words(app))
    value = {
        "position": done.position,
        "record": done.record_hash.hex(),
        "record_id": done.record_id.hex(),
        "epoch": done.epoch,
        "site": done.site,
        "repeated": done.repeated,
        **abroad_value(done.abroad),
    }

    def people(console: Console) -> None:
        console.print(
            f"Acknowledged at position [bold]{done.position}[/] (epoch {done.epoch}, taken by {done.site})."
        )
        if done.abroad is not None:
            console.print(abroad_words(done.abroad, kept=load_config(app.config).outbox is not None))
        console.print(f"record {done.record_hash.hex()}")

    app.show(value, people)


def _interrupted_words(app: App) -> str:
    if load_config(app.config).outbox is not None:
        return "Interrupted. If the record is in the outbox, it goes on being sent from there: look with sento outbox before writing it anew."
    return "Interrupted. The record may or may not stand: look with sento history before writing it anew."
