"""Options that several commands have, and how their values are read.

A person's identifier is never an argument: other users of the computer could see it in the list of processes, and the shell would keep it. It comes
from a file, from standard input, from the environment variable SENTO_SUBJECT, or is asked for without being shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from sento_client.results import Freshness

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
SUBJECT_VARIABLE = "SENTO_SUBJECT"
SUBJECT_MAX_BYTES = 1024


def record_name(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | bytes | None:
    """A position, or a record hash of 64 hexadecimal digits as 32 bytes."""
    if value is None:
        return None
    if value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    if len(value) == 64:
        return _hash(value)
    raise click.BadParameter("expected a position (a number) or a record hash (64 hexadecimal digits)")


def record_hash(_ctx: click.Context, _param: click.Parameter, value: str | None) -> bytes | None:
    """A record hash of 64 hexadecimal digits as 32 bytes."""
    return None if value is None else _hash(value)


def _hash(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise click.BadParameter("a record hash has 64 hexadecimal digits")
    return bytes.fromhex(text)


def purpose_options(command: CommandT) -> CommandT:
    """--purpose and --case, without which nobody's records are read."""
    case = click.option(
        "--case",
        "case_number",
        required=True,
        metavar="NUMBER",
        help="Case number; shown to the person concerned.",
    )
    purpose = click.option(
        "--purpose", required=True, metavar="TEXT", help="Why this is read; shown to the person concerned."
    )
    return purpose(case(command))


def reading_options(command: CommandT) -> CommandT:
    """How an answer is wanted: freshness, headers only, one site, deadline."""
    local = click.option(
        "--local",
        "freshness",
        flag_value=Freshness.LOCAL.value,
        default=Freshness.LINEARIZABLE.value,
        help="Answer from one site's ledger at once, also when it is cut off; the answer says as of when.",
    )
    header = click.option("--header-only", is_flag=True, help="Do not ask for the payload.")
    site = click.option("--site", metavar="NAME", help="Ask this site and no other.")
    return deadline_option(local(header(site(command))))


def deadline_option(command: CommandT) -> CommandT:
    """--deadline in seconds."""

    def to_ms(_ctx: click.Context, _param: click.Parameter, value: float | None) -> int | None:
        return None if value is None else int(value * 1000)

    return click.option(
        "--deadline",
        "deadline_ms",
        type=click.FloatRange(0.1, 3600),
        callback=to_ms,
        metavar="SECONDS",
        help="Give up after this time (default: limits.deadline_ms of the configuration).",
    )(command)


def subject_option(command: CommandT) -> CommandT:
    """--subject-file."""
    return click.option(
        "--subject-file",
        type=click.Path(allow_dash=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help=f"File with the person's identifier, - for standard input. Without it: ${SUBJECT_VARIABLE}, else you are asked.",
    )(command)


def read_subject(subject_file: Path | None) -> str:
    """The person's identifier; surrounding white space is not part of it."""
    if subject_file is not None:
        with click.open_file(str(subject_file), encoding="utf-8") as file:
            text = file.read(SUBJECT_MAX_BYTES)
    else:
        text = os.environ.get(SUBJECT_VARIABLE) or click.prompt(
            "Identifier of the person", hide_input=True, err=True
        )
    subject = str(text).strip()
    if not subject:
        raise click.UsageError("The person's identifier is empty.")
    return subject
