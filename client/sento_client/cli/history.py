"""`sento history`: the versions of one fact, newest first, each shown to follow the next."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.parameters import purpose_options, read_subject, reading_options, subject_option
from sento_client.cli.show import history_table, version_value
from sento_client.client import SentoClient
from sento_client.results import Freshness, Version


@click.command()
@click.argument("registry")
@click.argument("kind")
@click.option("--fact", required=True, metavar="KEY", help="Natural key of the fact, as it was written.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many versions."
)
@subject_option
@purpose_options
@reading_options
@pass_app
def history(
    app: App,
    registry: str,
    kind: str,
    fact: str,
    limit: int,
    subject_file: Path | None,
    purpose: str,
    case_number: str,
    freshness: str,
    header_only: bool,
    site: str | None,
    deadline_ms: int | None,
) -> None:
    """List the versions of a fact about a person, newest first.

    KIND may be any kind of the fact's family: what counts is the part before its first slash. With --limit 1 this is the
    standing version. Contents are shown with --json, or one by one by sento read.

    \b
    Example:
        SENTO_SUBJECT=... sento history residency residence/entry --fact address --purpose "moving in" --case 2026-118
    """
    subject = read_subject(subject_file)

    async def work(sento: SentoClient) -> tuple[list[Version], bool]:
        versions: list[Version] = []
        async for version in sento.history(
            registry=registry,
            kind=kind,
            subject=subject,
            fact=fact,
            purpose=purpose,
            case_number=case_number,
            freshness=Freshness(freshness),
            header_only=header_only,
            site=site,
            deadline_ms=deadline_ms,
        ):
            if len(versions) == limit:
                return versions, True
            versions.append(version)
        return versions, False

    versions, more = app.run(work)

    def people(console: Console) -> None:
        console.print(history_table(versions))
        if more:
            console.print(f"There are older versions; --limit {limit} ends the list here.")

    app.show({"versions": [version_value(version) for version in versions], "more": more}, people)
