"""`sento subject`: all records about one person in one registry, newest first, linked so that none is left out."""

from __future__ import annotations

from pathlib import Path

import click

from sento_client.cli.app import App, pass_app
from sento_client.cli.listing import show_part
from sento_client.cli.parameters import (
    confirmed_option,
    page_options,
    purpose_options,
    read_subject,
    reading_options,
    registry_argument,
    subject_option,
)
from sento_client.results import Freshness


@click.command(short_help="List all records about a person in a registry.")
@registry_argument
@page_options
@subject_option
@purpose_options
@reading_options
@confirmed_option
@pass_app
def subject(
    app: App,
    registry: str,
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
    """List all records about a person in a registry, newest first.

    Registries cannot be joined: ask each one for itself. Contents are shown with --json, or one by one by sento read.

    With --confirmed a quorum of sites signs which record about the person is the last as of a recent checkpoint, and the list is shown to leave none out below
    it; what is newer is called so. Where too few sites say the same: NOT_CONFIRMED.

    \b
    Example:
        SENTO_SUBJECT=... sento subject residency --purpose "own records" --case 2026-31
    """
    identifier = read_subject(subject_file)
    show_part(
        app,
        lambda sento, hidden, told: sento.subject_history(
            registry=registry,
            subject=identifier,
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
        lambda version: version.stored.previous_of_subject is not None,
        lambda hidden: hidden.previous_of_subject is not None,
        site=site,
        deadline_ms=deadline_ms,
        confirmed=confirmed,
    )
