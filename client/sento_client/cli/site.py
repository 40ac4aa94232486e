"""`sento site check`: whether copies and votes stand where one event could take too many, and what may be lost now and what not."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit
from sento_client.cli.parameters import INPUT_FILE, read_input
from sento_client.cli.relocate_common import (
    PLAN_FILE,
    accept_option,
    followed_or_known,
    operator_option,
    read_plan,
    run_relocating,
)
from sento_client.cli.terminal import printable
from sento_client.placement.judging import Placement, judge_placement, placement_value
from sento_client.relocating.live_world import LiveWorld
from sento_client.relocating.looking import Answers, of_this_ledger
from sento_client.relocating.making import voters_after
from sento_proto.errors import TABLE, Code, SentoError
from sento_proto.genesis import decode_genesis
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.limits import GENESIS_MAX_BYTES
from sento_proto.relocation_plan import RelocationPlan
from sento_proto.wire import Malformed


@click.group(short_help="Where copies and votes stand, and what one event could take.")
def site() -> None:
    """Judge the places of the sites."""


@site.command()
@click.option(
    "--plan",
    "plan_path",
    type=PLAN_FILE,
    metavar="FILE",
    help="Judge the votes as this relocation would leave them, with the findings that it accepts.",
)
@click.option(
    "--genesis",
    type=INPUT_FILE,
    metavar="FILE",
    help="Judge the sites of a genesis file, before a ledger runs.",
)
@accept_option
@operator_option
@pass_app
def check(
    app: App, plan_path: Path | None, genesis: Path | None, accepts: tuple[str, ...], operator: Path | None
) -> None:
    """Say what copies and votes share, and for each site, hazard zone, country, power company and carrier what its loss would take now.

    Refused are copies in one hazard zone, a majority of votes in one region or country or on one power company or carrier, and a vote over a satellite;
    unless accepted by name. Ends with 1 when something is refused, with 0 otherwise.

    \b
    Examples:
        sento site check
        sento site check --accept majority-country:JP
        sento site check --plan plan.json
        sento site check --genesis genesis.json
    """
    plan = None if plan_path is None else read_plan(plan_path)
    governance, answers = (
        (_of_genesis(genesis), None) if genesis is not None else run_relocating(app, operator, _look)
    )
    if plan is not None and plan.ledger_id != governance.ledger_id:
        error = SentoError(
            Code.WRONG_LEDGER,
            f"the plan is for ledger {plan.ledger_id.hex()[:16]} and this is {governance.ledger_id.hex()[:16]}",
        )
        app.show_error(error)
        sys.exit(Exit.REFUSED)
    placement = judge_placement(
        tuple(governance.sites.values()),
        _voters(governance, plan),
        (*accepts, *(() if plan is None else plan.accepts)),
        answers,
    )
    app.show(placement_value(placement), lambda console: _print(console, placement, answers))
    if placement.refused:
        sys.exit(Exit.REFUSED)


def _of_genesis(path: Path) -> Governance:
    try:
        return from_genesis(decode_genesis(read_input(path, GENESIS_MAX_BYTES)))
    except Malformed as error:
        raise click.UsageError(f"{path} is no genesis file: {error}.") from None


async def _look(world: LiveWorld) -> tuple[Governance, Answers | None]:
    """Governance, and what sites say of themselves; None where this certificate is not told."""
    followed = await followed_or_known(world.client)
    epoch = max(world.client.epoch, followed.governance.epoch)
    try:
        answers = await world.statuses()
    except SentoError as error:
        if error.code is not Code.IDENTITY_REFUSED:
            raise
        click.echo(f"Only places are judged: {error.detail}.", err=True)
        return followed.governance, None
    return followed.governance, of_this_ledger(followed.governance, epoch, answers)


def _voters(governance: Governance, plan: RelocationPlan | None) -> tuple[str, ...]:
    if plan is None:
        return governance.voting_sites
    return voters_after(governance, plan.target_sites, plan.retire)


def _print(console: Console, placement: Placement, answers: Answers | None) -> None:
    refused = placement.refused
    for one in placement.findings:
        mark = "NO" if one in refused else "accepted"
        console.print(f"{mark}  {printable(one.name)}: {printable(one.words)} {one.remedy}", markup=False)
    if not placement.findings:
        console.print(
            "No copies share a hazard zone, and no majority of votes shares anything that was looked at."
        )
    console.print("")
    console.print("What may be lost now:" if answers is not None else "What could be lost:")
    for loss in placement.losses:
        console.print(f"  - {printable(loss.words)}", markup=False)
    _print_timeouts(console, placement)
    if refused:
        entry = TABLE[Code.PLACEMENT_REFUSED]
        names = ", ".join(one.name for one in refused)
        console.print(
            f"\n{Code.PLACEMENT_REFUSED.name}: {entry.cause} ({names}) {entry.remedy}", markup=False
        )


def _print_timeouts(console: Console, placement: Placement) -> None:
    if placement.timeouts or placement.called_for is not None:
        console.print("")
        console.print("Timeouts of the ordering log:")
    for one in placement.timeouts:
        console.print(f"  - {one.words}.", markup=False)
    if placement.called_for is not None:
        wanted = placement.called_for
        console.print(
            f"  - Between these voters, round trips call for heartbeat {wanted.heartbeat_ms} ms and election {wanted.election_ms} ms."
        )
