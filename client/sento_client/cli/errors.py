"""`sento errors`: every error code with its cause, its remedy, and whether to try again; also as the document ERRORS.md.

The tables of the library are the only source: what is shown here is what the programs raise.
"""

from __future__ import annotations

from typing import NamedTuple

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sento_client.cli.app import App, pass_app
from sento_client.cli.completers import complete_code
from sento_client.cli.show import TABLE_MIN_COLUMNS
from sento_client.setup_errors import TABLE as SETUP_TABLE
from sento_proto.errors import TABLE, Code, Standing

SETUP_STANDING = "this computer"
"""Where codes come from that are found before any site is asked."""
AGAIN = {
    Standing.STANDS: "not needed",
    Standing.FINAL: "never the same record",
    Standing.NOT_YET: "the same record, once the cause is gone",
    Standing.UNKNOWN: "the same record with the same id, anywhere",
    Standing.TRY_AGAIN: "yes, here or at another site",
    Standing.FIX_CALL: "not before the call is mended",
}
_SETUP_AGAIN = "not before it is mended here"


class Row(NamedTuple):
    """One code. `number`: as it travels; None for codes of this computer, which do not."""

    code: str
    number: int | None
    standing: str
    again: str
    cause: str
    remedy: str


def rows() -> list[Row]:
    """Every code: those that travel by number, then those of this computer."""
    travelling = [
        Row(code.name, int(code), entry.standing.value, AGAIN[entry.standing], entry.cause, entry.remedy)
        for code, entry in TABLE.items()
    ]
    local = [
        Row(str(code), None, SETUP_STANDING, _SETUP_AGAIN, words.cause, words.remedy)
        for code, words in SETUP_TABLE.items()
    ]
    return travelling + local


@click.command(short_help="Explain error codes: cause, remedy, whether to retry.")
@click.argument("code", required=False, shell_complete=complete_code)
@click.option("--markdown", is_flag=True, help="All of them as the document ERRORS.md.")
@pass_app
def errors(app: App, code: str | None, markdown: bool) -> None:
    """Explain an error code, or list all: what happened, what to do, whether to try again.

    Codes are stable: programs may compare them. CODE may be a name or the number that travels.

    \b
    Examples:
        sento errors STALE
        sento --json errors | jq -r .[].code
    """
    if markdown:
        if code is not None or app.as_json:
            raise click.UsageError(
                "--markdown is for the whole table, and neither for one code nor with --json."
            )
        click.echo(markdown_text(), nl=False)
        return
    if code is None:
        listed = rows()
        app.show([row._asdict() for row in listed], lambda console: _print_table(console, listed))
        return
    row = _find(code)
    app.show(row._asdict(), lambda console: _print_one(console, row))


def _find(code: str) -> Row:
    wanted = code.upper().replace("-", "_")
    for row in rows():
        if wanted in (row.code, str(row.number)):
            return row
    near = [row.code for row in rows() if wanted[:4] and row.code.startswith(wanted[:4])]
    hint = f" Did you mean {' or '.join(near)}?" if near else " sento errors lists all."
    raise click.BadParameter(f"{code} is no error code.{hint}", param_hint="CODE")


def _print_one(console: Console, row: Row) -> None:
    console.print(f"[bold]{row.code}[/] ({row.standing})")
    for name, words in (("cause", row.cause), ("remedy", row.remedy), ("again", row.again)):
        console.print(f"  {name + ':':8}{words}", markup=False)


def _print_table(console: Console, listed: list[Row]) -> None:
    if console.width < TABLE_MIN_COLUMNS:
        for row in listed:
            _print_one(console, row)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("code", no_wrap=True)
    for name in ("send again", "cause", "remedy"):
        table.add_column(name, overflow="fold")
    for row in listed:
        table.add_row(row.code, row.again, row.cause, row.remedy)
    console.print(table, soft_wrap=False)


_HEAD = """\
# Error codes

Made by `sento errors --markdown` from the tables that the programs use; a test compares them. Codes are stable: programs may compare them.
`sento errors CODE` explains one. Each error also says what is particular to its case, never a name, a number or a key of a person.

"""
_LOCAL_HEAD = """\

## Found on this computer

Raised as `SetupError` before any site is asked; every one ends the command with exit code 2.

"""


def markdown_text() -> str:
    """The document ERRORS.md."""
    listed = rows()
    travelling = [row for row in listed if row.number is not None]
    local = [row for row in listed if row.number is None]
    standings = "".join(f"| {standing.value} | {again} |\n" for standing, again in AGAIN.items())
    return (
        _HEAD
        + "| standing | send again? |\n|---|---|\n"
        + standings
        + "\n## From sites and the client\n\n"
        + "| code | number | gRPC status | standing | cause | remedy |\n|---|---|---|---|---|---|\n"
        + "".join(
            f"| `{row.code}` | {row.number} | {TABLE[Code[row.code]].grpc_status} | {row.standing} "
            f"| {row.cause} | {row.remedy} |\n"
            for row in travelling
        )
        + _LOCAL_HEAD
        + "| code | cause | remedy |\n|---|---|---|\n"
        + "".join(f"| `{row.code}` | {row.cause} | {row.remedy} |\n" for row in local)
    )
