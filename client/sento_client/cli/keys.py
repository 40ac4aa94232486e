"""`sento keys`: what keys this installation has, whether each is in order, and what to do where one is not."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sento_client.cli.app import App
from sento_client.cli.exits import Exit
from sento_client.cli.findings import Finding, State
from sento_client.cli.group import Commands
from sento_client.cli.key_checks import check_installation
from sento_client.cli.key_files import encrypt, new
from sento_client.cli.ledger_keys import make, reseal, show
from sento_client.cli.prompts import person_to_ask

_STYLE = {State.IN_ORDER: "green", State.SOON: "yellow", State.WRONG: "bold red"}


@click.group(
    cls=Commands,
    invoke_without_command=True,
    short_help="Look at every key and certificate of this installation; make and seal keys.",
)
@click.pass_context
def keys(context: click.Context) -> None:
    """Look at every key and certificate of this installation; no site is asked and no secret shown.

    Says of each key whether its file is encrypted, or which token holds it. A passphrase or PIN that is in no file and not in the environment is asked for
    once.

    In an officer's directory it says whether officer and key are in office, as far as this computer has followed the ledger (sento govern show follows it).

    Ends with 0 when all are in order, with 5 when one ends within 14 days, with 2 when one is missing, unreadable, open to others, not enrolled or
    does not fit. Each mistake is listed with its remedy, also those that keep the other commands from starting.

    \b
    Examples:
        sento keys
        sento --json keys | jq '.findings[] | select(.state != "in order")'
    """
    app = context.find_object(App)
    if context.invoked_subcommand is not None or app is None:
        return
    findings = check_installation(app.config, dt.datetime.now(dt.UTC), ask=person_to_ask())
    troubled = [finding for finding in findings if finding.state is not State.IN_ORDER]
    wrong = [finding for finding in troubled if finding.state is State.WRONG]
    sentence = _sentence(len(findings), len(wrong), len(troubled) - len(wrong))

    def people(console: Console) -> None:
        console.print(sentence)
        console.print(_table(findings), soft_wrap=False)
        for remedy, items in _remedies(troubled).items():
            console.print(f"{', '.join(items)}: {remedy}", markup=False)

    value = {
        "in_order": not troubled,
        "sentence": sentence,
        "findings": [_value(finding) for finding in findings],
    }
    app.show(value, people)
    if wrong:
        sys.exit(Exit.USAGE)
    if troubled:
        sys.exit(Exit.DEGRADED)


for command in (show, make, reseal, new, encrypt):
    keys.add_command(command)


def _sentence(looked_at: int, wrong: int, soon: int) -> str:
    if not wrong and not soon:
        return f"Keys, certificates and configuration are in order: {looked_at} looked at."
    parts = [f"{wrong} wrong"] if wrong else []
    parts += [f"{soon} near the end"] if soon else []
    return f"Keys, certificates and configuration need attention: {looked_at} looked at, {', '.join(parts)}."


def _table(findings: Sequence[Finding]) -> Table:
    table = Table("what", "state", "found", box=SIMPLE_HEAD, pad_edge=False)
    for finding in findings:
        table.add_row(
            finding.item, Text(finding.state, _STYLE[finding.state]), Text(finding.words, overflow="fold")
        )
    return table


def _remedies(troubled: Sequence[Finding]) -> dict[str, list[str]]:
    """Each remedy once, with the codes that it is for."""
    remedies: dict[str, list[str]] = {}
    for finding in troubled:
        codes = remedies.setdefault(finding.remedy, [])
        if finding.code not in codes:
            codes.append(finding.code)
    return remedies


def _value(finding: Finding) -> dict[str, object]:
    value: dict[str, object] = {"item": finding.item, "state": str(finding.state), "found": finding.words}
    if finding.state is not State.IN_ORDER:
        value |= {"code": finding.code, "remedy": finding.remedy}
    return value | dict(finding.value)
