"""`sento restore`: a plan of a new epoch, read by people and signed by officers one after the other.

The plan is made at a site (`sento-node plan-epoch`) and carried out at each stopped site (`sento-node begin-epoch`). Here it is only read and signed: no site
is asked, because all of them may be stopped. By whose keys a signature counts is what this computer last followed; the sites judge it again, at the fork.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.prompts import person_to_ask
from sento_client.governing.place import GoverningPlace, open_place
from sento_client.governing.words import ledger_words
from sento_client.secret_files import write_secret
from sento_client.setup_errors import SetupError
from sento_proto.epoch_plan import (
    PLAN_MAX_BYTES,
    EpochPlan,
    PlanRefused,
    decode_plan,
    encode_plan,
    offices_of,
    plan_hash,
    signed_plan,
)
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.wire import Malformed

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


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
@click.argument("path", type=_FILE, metavar="PLAN")
@pass_app
def show(app: App, path: Path) -> None:
    """Say in words what a plan keeps, what it takes over again, what stands no more, and who has signed it.

    \b
    Example:
        sento restore show plan.json
    """
    plan, place, governance = _opened(app, path)
    _heading(app, place)
    app.show(_value(plan, governance), lambda console: _print(console, plan, governance))


@restore.command()
@click.argument("path", type=_FILE, metavar="PLAN")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts that have looked themselves.")
@pass_app
def sign(app: App, path: Path, yes: bool) -> None:
    """Read the plan, say yes, and put this officer's signature into its file.

    What is signed is the act that begins the epoch; it names the plan by its hash, so that a plan altered afterwards is another plan, which nobody signed.

    \b
    Example:
        sento restore sign plan.json
    """
    plan, place, governance = _opened(app, path)
    _heading(app, place)
    if not app.as_json:
        app.show({}, lambda console: _print(console, plan, governance))
    if not yes:
        _confirm()
    try:
        signer = place.signer(person_to_ask())
        office = governance.office_of_key(signer.public_key.key_id)
        if office is None:
            raise SentoError(
                Code.NOT_AN_OFFICER, "this key is not in office, by what this computer last followed"
            )
        if office in _signed_by(plan, governance):
            raise SentoError(
                Code.BAD_REQUEST, f"{office} signed this plan already; an officer and the deputy count once"
            )
        after = asyncio.run(asyncio.to_thread(signed_plan, plan, signer))
    except (SentoError, SetupError) as error:
        app.show_error(error)
        sys.exit(exit_of(error))
    write_secret(path, encode_plan(after))

    def people(console: Console) -> None:
        console.print(f"Signed for {office}. {_signatures(after, governance)}", markup=False)

    app.show(_value(after, governance) | {"office": office, "file": str(path)}, people)


def _opened(app: App, path: Path) -> tuple[EpochPlan, GoverningPlace, Governance]:
    """The plan, and who is in office as far as this computer has followed. Raises click.UsageError; ends the command where the plan is another ledger's."""
    try:
        with path.open("rb") as file:
            plan = decode_plan(file.read(PLAN_MAX_BYTES + 1))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except Malformed as error:
        raise click.UsageError(f"{path} is no plan of an epoch: {error}.") from None
    try:
        place = open_place(app.config)
        governance = place.trust_file.read().governance
        if plan.ledger_id != governance.ledger_id:
            raise SentoError(
                Code.WRONG_LEDGER, "the plan is of another ledger than the one in this configuration"
            )
        _signed_by(plan, governance)
    except (SentoError, SetupError) as error:
        app.show_error(error)
        sys.exit(exit_of(error))
    return plan, place, governance


def _signed_by(plan: EpochPlan, governance: Governance) -> list[str]:
    """The offices under the plan. Raises SentoError where a signature is not of somebody in office over this very plan."""
    try:
        return list(offices_of(plan, governance))
    except PlanRefused as error:
        raise SentoError(Code.BAD_SIGNATURE, str(error)) from None


def _heading(app: App, place: GoverningPlace) -> None:
    genesis = place.trust_file.genesis
    if not app.as_json:
        click.echo(ledger_words(genesis.purpose, genesis.name, genesis.ledger_id))


def _confirm() -> None:
    """Raises click.Abort unless the person says yes, click.UsageError where nobody sits."""
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask at: read what is shown, then give --yes.")
    if not click.confirm("Sign this?", err=True):
        sys.exit(Exit.INTERRUPTED)


def _signatures(plan: EpochPlan, governance: Governance) -> str:
    signed, needed = _signed_by(plan, governance), governance.officers.threshold
    names = f" ({', '.join(signed)})" if signed else ""
    if len(signed) >= needed:
        return f"Signed by {len(signed)} of {needed} officers needed{names}: it can be carried out."
    return f"Needs {needed} officers, has {len(signed)}{names}."


def _print(console: Console, plan: EpochPlan, governance: Governance) -> None:
    made = datetime.fromtimestamp(plan.made_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    console.print(
        f"Plan {plan_hash(plan).hex()[:16]} ({plan.reason}), made {made}. Legal basis: {plan.legal_basis}",
        markup=False,
    )
    for words in plan.words:
        console.print(f"  - {words}", markup=False)
    console.print(_signatures(plan, governance), markup=False)


def _value(plan: EpochPlan, governance: Governance) -> dict[str, object]:
    parent = plan.parent
    return {
        "plan": plan_hash(plan).hex(),
        "reason": plan.reason,
        "legal_basis": plan.legal_basis,
        "epoch": plan.epoch,
        "parent": {
            "epoch": parent.epoch,
            "size": parent.size,
            "root": parent.root.hex(),
            "block": parent.block,
        },
        "words": list(plan.words),
        "taken_over_again": len(plan.readmit),
        "signed": _signed_by(plan, governance),
        "needed": governance.officers.threshold,
    }
