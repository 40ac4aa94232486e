"""`sento write`: one version of one fact, from a file or standard input, acknowledged or refused."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.parameters import deadline_option, read_subject, record_hash, subject_option
from sento_client.client import SentoClient
from sento_client.results import Acknowledgement
from sento_proto.limits import CONTENT_OF_PAYLOAD_MAX_BYTES


@click.command()
@click.argument("registry")
@click.argument("kind")
@click.option(
    "--fact",
    required=True,
    metavar="KEY",
    help="Natural key of the fact, such as address or assessment/2026.",
)
@click.option(
    "--content",
    "content_file",
    required=True,
    type=click.Path(allow_dash=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File with the content, - for standard input; at most 30 KiB.",
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
@subject_option
@deadline_option
@pass_app
def write(
    app: App,
    registry: str,
    kind: str,
    fact: str,
    content_file: Path,
    compartment: str,
    previous: bytes | None,
    subject_file: Path | None,
    deadline_ms: int | None,
) -> None:
    """Write one version of a fact about a person.

    The content is sealed and signed here; sites see neither it nor the identifier. When the command ends with 0, the record
    is on the disks of a majority of the voting sites.

    \b
    Example:
        echo '{"town": "Honamimachi"}' > entry.json
        SENTO_SUBJECT=... sento write residency residence/entry --fact address --content entry.json
    """
    if str(content_file) == "-" and str(subject_file) == "-":
        raise click.UsageError("Standard input can give the content or the identifier, not both.")
    with click.open_file(str(content_file), "rb") as file:
        content: bytes = file.read(CONTENT_OF_PAYLOAD_MAX_BYTES + 1)
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
        )

    done = app.run(work)
    value = {
        "position": done.position,
        "record": done.record_hash.hex(),
        "record_id": done.record_id.hex(),
        "epoch": done.epoch,
        "site": done.site,
        "repeated": done.repeated,
    }

    def people(console: Console) -> None:
        console.print(
            f"Acknowledged at position [bold]{done.position}[/] (epoch {done.epoch}, taken by {done.site})."
        )
        console.print(f"record {done.record_hash.hex()}")

    app.show(value, people)
