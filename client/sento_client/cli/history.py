"""`sento history`: the versions of one fact, newest first, each shown to follow the next."""

from __future__ import annotations

from pathlib import Path

import click

from sento_client.cli.app import App, pass_app
from sento_client.cli.listing import show_part
from sento_client.cli.parameters import (
    confirmed_option,
    fact_option,
    page_options,
    purpose_options,
    read_subject,
    reading_options,
    registry_argument,
    subject_option,
)
from sento_client.results import Freshness


@click.command(short_help="List the versions of a fact, newest first.")
@registry_argument
@click.argument("kind")
@fact_option
@page_options
@subject_option
@purpose_options
@reading_options
@confirmed_option
@pass_app
def history(
    app: App,
    registry: str,
    kind: str,
    fact: str,
    limit: int,
    before: int | None,
    subject_file: Path | None,
    purpose: str,
    case_number: str,
    freshness: str,
    header_only: bool,
    site: str | None,
    deadline_ms: int | None,
    confirmed: bool,
) -> None:
    """List the versions of a fact about a person, newest first.

    KIND may be any kind of the fact's family: what counts is the part before its first slash. With --limit 1 this is the
    standing version. Contents are shown with --json, or one by one by sento read.

    With --confirmed a quorum of sites signs which record about the person is the last as of a recent checkpoint, and all versions below it are shown to be
    there; what is newer is called so. Where too few sites say the same: NOT_CONFIRMED.

    \b
    Example:
        SENTO_SUBJECT=... sento history residency residence/entry --fact address --purpose "moving in" --case 2026-118
    """
    subject = read_subject(subject_file)
    show_part(
        app,
        lambda sento, hidden, told: sento.history(
            registry=registry,
            kind=kind,
            subject=subject,
            fact=fact,
            purpose=purpose,
            case_number=case_number,
            freshness=Freshness(freshness),
            before=before,
            limit=limit,
            hidden=hidden,
            header_only=header_only,
            site=site,
            deadline_ms=deadline_ms,
            confirmed=told if told is not None else False,
        ),
        lambda version: version.previous is not None,
        lambda _hidden: True,
        site=site,
        deadline_ms=deadline_ms,
        confirmed=confirmed,
    )
