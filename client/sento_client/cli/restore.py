"""`sento restore`: a plan of a new epoch, read by people and signed by officers one after the other.

The plan is made at a site (`sento-node plan-epoch`) and carried out at each stopped site (`sento-node begin-epoch`). Here it is only read and signed: no site
is asked, because all of them may be stopped. By whose keys a signature counts is what this computer last followed; the sites judge it again, at the fork.
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.plan_signing import (
    PLAN_FILE,
    confirm,
    heading,
    must_be_recovery,
    open_plan,
    plan_value,
    print_plan,
    sign_plan,
    signatures_words,
)


@click.group(short_help="A plan that goes back to an earlier state in a new epoch: show, sign.")
def restore() -> None:
    """Go back to the state at a moment, in a new epoch, and take over again what was lawful afterwards.

    \b
    In this order:
        sento-node plan-epoch --as-of 2027-03-01T01:59:00+09:00 ... --out plan.json    at a stopped site, or on a copy
        sento restore show plan.json
        sento restore sign plan.json                                                   at each officer's computer
        sento-node begin-epoch --config node.toml --plan plan.json                     at each stopped site
    """


@restore.command()
@click.argument("path", type=PLAN_FILE, metavar="PLAN")
@pass_app
def show(app: App, path: Path) -> None:
    """Say in words what a plan keeps, what it takes over again, what stands no more, and who has signed it.

    \b
    Example:
        sento restore show plan.json
    """
    opened = open_plan(app, path)
    heading(app, opened.place)
    app.show(
        plan_value(opened.plan, opened.governance),
        lambda console: print_plan(console, opened.plan, opened.governance),
    )


@restore.command()
@click.argument("path", type=PLAN_FILE, metavar="PLAN")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts that have looked themselves.")
@pass_app
def sign(app: App, path: Path, yes: bool) -> None:
    """Read the plan, say yes, and put this officer's signature into its file.

    What is signed is the act that begins the epoch; it names the plan by its hash, so that a plan altered afterwards is another plan, which nobody signed.

    \b
    Example:
        sento restore sign plan.json
    """
    opened = open_plan(app, path)
    must_be_recovery(opened.plan, wanted=False)
    heading(app, opened.place)
    if not app.as_json:
        app.show({}, lambda console: print_plan(console, opened.plan, opened.governance))
    if not yes:
        confirm("Sign this?")
    after, office = sign_plan(app, path, opened)

    def people(console: Console) -> None:
        console.print(f"Signed for {office}. {signatures_words(after, opened.governance)}", markup=False)

    app.show(plan_value(after, opened.governance) | {"office": office, "file": str(path)}, people)
