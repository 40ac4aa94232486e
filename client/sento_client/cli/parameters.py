"""Options that several commands have, and how their values are read.

A person's identifier is never an argument: other users of the computer could see it in the list of processes, and the shell would keep it. It comes
from a file, from standard input, from the environment variable SENTO_SUBJECT, or is asked for without being shown.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from sento_client.cli.completers import complete_registry, complete_site
from sento_client.cli.terminal import text_of
from sento_client.results import Freshness

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
SUBJECT_VARIABLE = "SENTO_SUBJECT"
SUBJECT_MAX_BYTES = 1024
LIST_LIMIT = 50
POSITION = click.IntRange(0, 2**63 - 1)
INPUT_FILE = click.Path(allow_dash=True, dir_okay=False, path_type=Path)


def whole_text(value: str) -> str:
    """Text of the command line, whole characters whatever the locale is: the type of options that carry text."""
    try:
        return text_of(value)
    except UnicodeDecodeError:
        # What it is instead is not repeated: it may be about a person.
        raise click.BadParameter("it is neither in the locale's encoding nor in UTF-8") from None


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


def registry_argument(command: CommandT) -> CommandT:
    """REGISTRY."""
    return click.argument("registry", shell_complete=complete_registry)(command)


def fact_option(command: CommandT) -> CommandT:
    """--fact."""
    return click.option(
        "--fact",
        required=True,
        type=whole_text,
        metavar="KEY",
        help="Natural key of the fact, as it was written.",
    )(command)


def purpose_options(command: CommandT) -> CommandT:
    """--purpose and --case, without which nobody's records are read."""
    case = click.option(
        "--case",
        "case_number",
        required=True,
        type=whole_text,
        metavar="NUMBER",
        help="Case number; shown to the person concerned.",
    )
    purpose = click.option(
        "--purpose",
        required=True,
        type=whole_text,
        metavar="TEXT",
        help="Why this is read; shown to the person concerned.",
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
    return local(stream_options(command))


def stream_options(command: CommandT) -> CommandT:
    """Headers only, one site, deadline: what also a stream of answers has."""
    header = click.option("--header-only", is_flag=True, help="Do not ask for the payload.")
    site = click.option(
        "--site", metavar="NAME", shell_complete=complete_site, help="Ask this site and no other."
    )
    return deadline_option(header(site(command)))


def confirmed_option(command: CommandT) -> CommandT:
    """--confirmed."""
    return click.option(
        "--confirmed",
        is_flag=True,
        help="Have a quorum of sites sign which record about the person is the last, and hold the answer against it.",
    )(command)


def page_options(command: CommandT) -> CommandT:
    """--limit and --before of lists that go back in time."""
    limit = click.option(
        "--limit",
        type=click.IntRange(1, 100_000),
        default=LIST_LIMIT,
        show_default=True,
        help="At most so many, newest first.",
    )
    before = click.option(
        "--before",
        type=POSITION,
        metavar="POSITION",
        help="Go on below this position, where an earlier list ended.",
    )
    return limit(before(command))


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
        help="Give up after this time (default: limits.deadline_ms of the configuration, 30 s where it has none).",
    )(command)


def subject_option(command: CommandT) -> CommandT:
    """--subject-file."""
    return click.option(
        "--subject-file",
        type=INPUT_FILE,
        metavar="FILE",
        help=f"File with the person's identifier, - for standard input. Without it: ${SUBJECT_VARIABLE}, else you are asked.",
    )(command)


def read_subject(subject_file: Path | None) -> str:
    """The person's identifier; surrounding white space is not part of it. Raises click.UsageError, which never repeats it."""
    try:
        if subject_file is not None:
            data = read_input(subject_file, SUBJECT_MAX_BYTES)
            if len(data) > SUBJECT_MAX_BYTES:
                raise click.UsageError(
                    f"{subject_file} is over {SUBJECT_MAX_BYTES} bytes: no identifier is so long."
                )
            text = data.decode("utf-8")
        else:
            text = text_of(os.environ.get(SUBJECT_VARIABLE) or _ask_for_subject())
    except UnicodeDecodeError:
        raise click.UsageError("The person's identifier is not text in UTF-8.") from None
    subject = text.strip()
    if not subject:
        raise click.UsageError("The person's identifier is empty.")
    return subject


def _ask_for_subject() -> str:
    try:
        return str(click.prompt("Identifier of the person", hide_input=True, err=True))
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise click.UsageError(
            f"There is no terminal to ask for the person's identifier: set {SUBJECT_VARIABLE}, or name a --subject-file."
        ) from None


def read_input(path: Path, max_bytes: int) -> bytes:
    """A small file, or standard input for "-"; one byte over `max_bytes` at most, which shows that it is too large. Raises click.UsageError."""
    try:
        with click.open_file(str(path), "rb") as file:
            data: bytes = file.read(max_bytes + 1)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    return data
