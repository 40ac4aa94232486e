"""`sento extract`: records for a place without a link: got sealed while there is one, opened there, reported when it is back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.completers import complete_registry, complete_site
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.parameters import (
    INPUT_FILE,
    SUBJECT_VARIABLE,
    deadline_option,
    purpose_options,
    read_input,
    read_subject,
)
from sento_client.cli.show import age_text, time_text, version_table, version_value
from sento_client.client import SentoClient
from sento_client.composing import Ports
from sento_client.extracts.face import GotExtract, Reported, time_left_ms
from sento_client.extracts.opening import Shown
from sento_client.secret_files import write_secret
from sento_client.setup_errors import SetupError
from sento_proto.errors import Code, SentoError
from sento_proto.extract import EXTRACT_MAX_BYTES, SUBJECTS_MAX, ExtractHeader, decode_extract
from sento_proto.wire import Malformed

T = TypeVar("T")
PERSONS_MAX_BYTES = 16 * 1024
NAMES_MAX_BYTES = 64 * 1024
NAMES_SUFFIX = ".names"
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class _Duration(click.ParamType[int]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        number, unit = text[:-1], _UNITS_S.get(text[-1:], 0)
        if not number.isascii() or not number.isdigit() or not unit:
            self.fail("expected a whole number with s, m, h or d, such as 24h", param, ctx)
        return int(number) * unit


@click.group(short_help="Take records along to where no site can be reached.")
def extract() -> None:
    """Records of some persons, sealed to this institution, for a place without a link and for a limited time.

    Whoever is in an extract sees that it was made, and, once the uses are reported, each time that it was opened for them, when and why.

    \b
    Example, at the ministry, then in the shelter, then when the link is back:
        sento extract get --registry health --of persons.txt --valid 24h --purpose "shelter clinic" --case 2026-7 --out today.extract
        sento extract open today.extract --of person.txt --purpose "treatment" --case 2026-7
        sento extract report
    """


@extract.command()
@click.option("--registry", required=True, metavar="NAME", shell_complete=complete_registry)
@click.option(
    "--of",
    "persons_file",
    type=INPUT_FILE,
    required=True,
    metavar="FILE",
    help=f"File with the persons' identifiers, one a line, at most {SUBJECTS_MAX}; - for standard input.",
)
@click.option(
    "--valid",
    "valid_s",
    type=_Duration(),
    default="24h",
    show_default=True,
    metavar="TIME",
    help="At most 7d.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE")
@click.option("--site", metavar="NAME", shell_complete=complete_site, help="Ask this site and no other.")
@purpose_options
@deadline_option
@pass_app
def get(
    app: App,
    registry: str,
    persons_file: Path,
    valid_s: int,
    out: Path,
    site: str | None,
    purpose: str,
    case_number: str,
    deadline_ms: int | None,
) -> None:
    """Get an extract, also of a site that is cut off, and verify it. Uses of earlier extracts that wait are reported first.

    \b
    Example:
        sento extract get --registry health --of persons.txt --valid 24h --purpose "shelter clinic" --case 2026-7 --out today.extract
    """
    persons = _persons(persons_file)

    async def work(sento: SentoClient) -> tuple[GotExtract, Reported]:
        reported = await sento.report_extract_uses(deadline_ms=deadline_ms)
        got = await sento.get_extract(
            registry=registry,
            subjects=persons,
            purpose=purpose,
            case_number=case_number,
            valid_s=valid_s,
            site=site,
            deadline_ms=deadline_ms,
        )
        return got, reported

    got, reported = app.run(work, site=site, deadline_ms=deadline_ms)
    try:
        if got.names:
            write_secret(out.with_name(out.name + NAMES_SUFFIX), got.names)
        write_secret(out, got.data)
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error.strerror}.") from None
    header = got.header

    def people(console: Console) -> None:
        console.print(
            f"{out}: {got.records} records of {len(persons)} persons, as of size {header.checkpoint.size} by {header.site}; "
            f"to be opened until {time_text(header.ends_at_ms)}."
        )
        if reported.recorded:
            console.print(f"{reported.recorded} uses of earlier extracts were reported.")

    app.show({**header_value(header), "records": got.records, "reported": reported.recorded}, people)


@extract.command(name="open")
@click.argument("file", type=INPUT_FILE)
@click.option(
    "--of",
    "subject_file",
    type=INPUT_FILE,
    metavar="FILE",
    help=f"File with the person's identifier, - for standard input. Without it: ${SUBJECT_VARIABLE}, else you are asked.",
)
@purpose_options
@pass_app
def open_(app: App, file: Path, subject_file: Path | None, purpose: str, case_number: str) -> None:
    """Open an extract for one person. No site is asked.

    Everything is verified first, and the use is written into this computer's log before anything is shown. An extract that has ended opens no more,
    also when the clock is set back (EXTRACT_ENDED).

    \b
    Example:
        sento extract open today.extract --of person.txt --purpose "treatment" --case 2026-7
    """
    data, identifier = read_input(file, EXTRACT_MAX_BYTES), read_subject(subject_file)
    names_file = file.with_name(file.name + NAMES_SUFFIX)
    names = read_input(names_file, NAMES_MAX_BYTES) if names_file.exists() else b""

    def work() -> tuple[Shown, int]:
        sento = app.open_client(app.config)
        shown = sento.open_extract(data, identifier, purpose=purpose, case_number=case_number, names=names)
        return shown, sento.uses_waiting

    shown, waiting = _offline(app, work)
    header = shown.header

    def people(console: Console) -> None:
        console.print(
            f"As of {time_text(header.confirmed_at_ms)}, size {header.checkpoint.size}, by site {header.site}: {age_text(shown.age_ms)}. "
            f"To be opened until {time_text(header.ends_at_ms)}."
        )
        if shown.clock_behind_ms:
            console.print(
                f"This computer's clock is {age_text(shown.clock_behind_ms).removesuffix(' old')} behind what it has shown before: set it right."
            )
        for version in shown.versions:
            console.print(version_table(version), soft_wrap=False)
            console.print()
        if not shown.versions:
            console.print("Nothing that this institution may see stands about the person.")
        if shown.hidden:
            console.print(f"{shown.hidden} records are hidden from this institution.")

    value = {
        **header_value(header),
        "age_ms": shown.age_ms,
        "clock_behind_ms": shown.clock_behind_ms,
        "hidden": shown.hidden,
        "versions": [version_value(version) for version in shown.versions],
        "uses_waiting": waiting,
    }
    app.show(value, people)
    if waiting and not app.as_json:
        click.echo(
            f"{waiting} uses wait to be reported: sento extract report, when there is a link.", err=True
        )


@extract.command()
@deadline_option
@pass_app
def report(app: App, deadline_ms: int | None) -> None:
    """Hand in what was opened, so that the persons see it. Safe to repeat: each use is recorded once.

    Ends with 0 when nothing waits any more, with 6 when something does: its extract's site has not been heard since, or no site answers."""

    async def work(sento: SentoClient) -> Reported:
        return await sento.report_extract_uses(deadline_ms=deadline_ms)

    done = app.run(work, deadline_ms=deadline_ms)
    why = "" if done.trouble is None else f" ({done.trouble.code.name})"

    def people(console: Console) -> None:
        if done.waiting:
            console.print(
                f"{done.recorded} uses are recorded, {done.waiting} wait on: no site that answered knows their extract yet{why}."
            )
        else:
            console.print(f"{done.recorded} uses are recorded; none waits.")

    code = None if done.trouble is None else done.trouble.code.name
    app.show({"recorded": done.recorded, "waiting": done.waiting, "trouble": code}, people)
    if done.waiting:
        sys.exit(Exit.OUTCOME_UNKNOWN)


@extract.command()
@click.argument("file", type=INPUT_FILE)
@pass_app
def show(app: App, file: Path) -> None:
    """Show what an extract says of itself. Nothing is opened, verified or logged, and no configuration is needed."""
    data = read_input(file, EXTRACT_MAX_BYTES)

    def work() -> ExtractHeader:
        try:
            return decode_extract(data).header
        except Malformed as error:
            raise SentoError(Code.DAMAGED, str(error)) from None

    header = _offline(app, work)
    left_ms = time_left_ms(header, Ports().wall_ms())

    def people(console: Console) -> None:
        ends = (
            f"until {time_text(header.ends_at_ms)}"
            if left_ms
            else f"no more: it ended {time_text(header.ends_at_ms)}"
        )
        console.print(
            f"Extract {header.extract_id.hex()} of registry {header.registry} for {header.reader}, by site {header.site}: purpose {header.purpose!r}.",
            markup=False,
        )
        console.print(
            f"As of {time_text(header.confirmed_at_ms)}, size {header.checkpoint.size}; to be opened {ends}."
        )

    app.show({**header_value(header), "ended": not left_ms}, people)


def header_value(header: ExtractHeader) -> dict[str, object]:
    """What stands in clear, for programs."""
    return {
        "extract_id": header.extract_id.hex(),
        "ledger_id": header.ledger_id.hex(),
        "epoch": header.epoch,
        "site": header.site,
        "size": header.checkpoint.size,
        "confirmed_at_ms": header.confirmed_at_ms,
        "registry": header.registry,
        "reader": header.reader,
        "purpose": header.purpose,
        "made_at_ms": header.made_at_ms,
        "ends_at_ms": header.ends_at_ms,
    }


def _persons(path: Path) -> list[str]:
    data = read_input(path, PERSONS_MAX_BYTES)
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise click.UsageError("The persons' identifiers are not text in UTF-8.") from None
    persons = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not 1 <= len(persons) <= SUBJECTS_MAX:
        raise click.UsageError(f"1 to {SUBJECTS_MAX} persons, one a line; {path} has {len(persons)}.")
    return persons


def _offline(app: App, work: Callable[[], T]) -> T:
    """Work without a site; an error is shown and ends the command with its exit code."""
    try:
        return work()
    except (SentoError, SetupError) as error:
        app.show_error(error)
        sys.exit(exit_of(error))
