"""`sento relocate`: making a plan, its dry run, and signing it. Carrying it out, back and reporting is `relocate_run.py`'s."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit
from sento_client.cli.govern_common import run_governing
from sento_client.cli.parameters import whole_text
from sento_client.cli.prompts import person_to_ask
from sento_client.cli.recover_files import write_new
from sento_client.cli.relocate_common import (
    PLAN_FILE,
    accept_option,
    decided_of,
    followed_or_known,
    looked,
    operator_option,
    plan_value,
    print_plan,
    print_verdict,
    read_plan,
    run_relocating,
    verdict_value,
)
from sento_client.cli.relocate_run import back_out, report, return_, run
from sento_client.governing.client import GoverningClient
from sento_client.governing.following import Followed
from sento_client.placement.round_trips import RoundTrips, round_trips_of
from sento_client.relocating.live_world import LiveWorld
from sento_client.relocating.looking import of_this_ledger
from sento_client.relocating.making import DAY_MS, Wishes, make_plan
from sento_client.secret_files import write_secret
from sento_proto.errors import Code, SentoError
from sento_proto.relocation_plan import (
    RelocationPlan,
    RelocationRefused,
    Target,
    check_belongs,
    check_unsigned,
    encode_plan,
    offices_of,
    signed_plan,
)


@click.group(short_help="Move votes to other sites while writing goes on: plan, check, sign, run, return.")
def relocate() -> None:
    """Move the capital, or any votes, to other sites in time: under full write load, within the epoch, and back again.

    A plan is a file that k officers sign, with the way back signed in it. Any operator carries it out, and any other goes on where one was stopped. When the
    majority is gone already, it is sento recover that helps.

    \b
    In this order:
        sento relocate plan --target lu-betzdorf --retire jp-fukuoka --legal-basis "Decision 7/2027" --out plan.json
        sento relocate check plan.json
        sento relocate sign plan.json            at each officer's computer
        sento relocate run plan.json             at the operator's
        sento relocate report plan.json
    """


def _target(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[Target, ...]:
    """SITE or SITE=HOST:PORT or SITE=HOST:PORT,https://HOST:PORT."""
    found = []
    for value in values:
        site, _sign, place = value.partition("=")
        address, _comma, url = place.partition(",")
        found.append(Target(site.strip(), address.strip(), url.strip()))
    return tuple(found)


@relocate.command()
@click.option(
    "--target",
    "targets",
    multiple=True,
    required=True,
    callback=_target,
    metavar="SITE[=ADDRESS[,URL]]",
    help="A site that is to vote; with its node's address and its member's URL where governance has none, or others.",
)
@click.option(
    "--retire",
    "retire",
    multiple=True,
    required=True,
    metavar="SITE",
    help="A site that votes no more afterwards; its ledger stays a copy.",
)
@click.option(
    "--legal-basis",
    required=True,
    type=whole_text,
    metavar="TEXT",
    help="By what right; it stands in the acts for everybody to read.",
)
@click.option(
    "--registry",
    "registries",
    multiple=True,
    metavar="NAME",
    help="Registries in the order in which they matter; all, if none is named.",
)
@click.option(
    "--lead-to", default="", metavar="SITE", help="Who leads afterwards; the first target, if not named."
)
@accept_option
@click.option(
    "--valid-days",
    type=click.IntRange(1, 365),
    default=7,
    show_default=True,
    help="For how long the plan may be begun.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("plan.json"),
    show_default=True,
    metavar="FILE",
    help="Where the plan goes; nothing is written over.",
)
@operator_option
@pass_app
def plan(
    app: App,
    targets: tuple[Target, ...],
    retire: tuple[str, ...],
    legal_basis: str,
    registries: tuple[str, ...],
    lead_to: str,
    accepts: tuple[str, ...],
    valid_days: int,
    out: Path,
    operator: Path | None,
) -> None:
    """Write a plan into a file, judged against governance and the places of the sites as they are now. Nothing is changed.

    \b
    Example:
        sento relocate plan --target lu-betzdorf --target tw-taipei --retire jp-fukuoka --legal-basis "Decision 7/2027" --registry residency --registry health
    """  # fmt: skip
    if out.exists() or out.is_symlink():
        raise click.UsageError(f"{out} is there already; name another file with --out.")
    wishes = Wishes(targets, retire, legal_basis, registries, lead_to, accepts, valid_days * DAY_MS)

    async def work(world: LiveWorld) -> RelocationPlan:
        followed = await world.follow()
        epoch = max(world.client.epoch, followed.governance.epoch)
        trips = await measured(world, followed, epoch)
        return make_plan(followed.governance, epoch, wishes, world.client.wall_ms, trips)

    made = run_relocating(app, operator, work)
    write_new(out, encode_plan(made))

    def people(console: Console) -> None:
        print_plan(console, made)
        console.print(f"Written to {out}. Next: sento relocate check {out}", markup=False)

    app.show(plan_value(made) | {"file": str(out)}, people)


async def measured(world: LiveWorld, followed: Followed, epoch: int) -> RoundTrips:
    """The round trips that sites tell; none where this certificate is not told anything."""
    try:
        answers = await world.statuses()
    except SentoError as error:
        if error.code is not Code.IDENTITY_REFUSED:
            raise
        return RoundTrips()
    return round_trips_of(of_this_ledger(followed.governance, epoch, answers))


@relocate.command()
@click.argument("path", type=PLAN_FILE, metavar="PLAN")
@operator_option
@pass_app
def check(app: App, path: Path, operator: Path | None) -> None:
    """The dry run: does it fit, who has signed, where would votes stand, are the targets ready, how long would writing pause. Nothing is changed.

    Ends with 0 when it may be carried out now, with 5 when something is still open (signatures, a target that copies), with 1 when it is refused.

    \b
    Example:
        sento relocate check plan.json --operator /etc/sento/operator
    """
    known = read_plan(path)
    _, verdict = run_relocating(app, operator, lambda world: looked(world, known))

    def people(console: Console) -> None:
        print_plan(console, known)
        print_verdict(console, verdict)

    app.show(plan_value(known) | verdict_value(verdict), people)
    if verdict.wrong:
        sys.exit(Exit.REFUSED)
    sys.exit(Exit.OK if verdict.is_ready else Exit.DEGRADED)


@relocate.command()
@click.argument("path", type=PLAN_FILE, metavar="PLAN")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts that have looked themselves.")
@pass_app
def sign(app: App, path: Path, yes: bool) -> None:
    """Read the plan, say yes, and put this officer's signature into its file: under what gives votes, what takes them, and the way back.

    Refused are: a plan for another ledger or epoch, one that other acts overtook or that has expired, an altered one, a key that is not in office, and a
    second signature for one office. Where no site answers, it is judged by what this computer last followed.

    \b
    Example:
        sento relocate sign plan.json
    """
    known = read_plan(path)

    async def look(client: GoverningClient) -> Followed:
        followed = await followed_or_known(client)
        _require_signable(known, followed, max(client.epoch, followed.governance.epoch), client.wall_ms)
        return followed

    followed = run_governing(app, look)
    if not app.as_json:
        app.show({}, lambda console: print_plan(console, known, followed.governance))
    if not yes:
        confirm("Sign this?")

    async def put_under(client: GoverningClient) -> tuple[str, RelocationPlan]:
        signer = client.place.signer(person_to_ask())
        office = followed.governance.office_of_key(signer.public_key.key_id)
        if office is None:
            raise SentoError(Code.NOT_AN_OFFICER, "the key of this computer is of nobody in office")
        if office in offices_of(known, followed.governance):
            raise SentoError(
                Code.BAD_REQUEST, f"{office} signed this plan already; an officer and the deputy count once"
            )
        return office, await asyncio.to_thread(signed_plan, known, signer)

    office, after = run_governing(app, put_under, heading=False)
    write_secret(path, encode_plan(after))
    offices, needed = offices_of(after, followed.governance), followed.governance.officers.threshold

    def people(console: Console) -> None:
        have = f"{len(offices)} of {needed} officers needed ({', '.join(offices)})"
        console.print(f"Signed for {office}. {path} has {have}.", markup=False)
        if len(offices) >= needed:
            console.print(f"Next, at the operator's computer: sento relocate run {path}", markup=False)

    app.show(
        plan_value(after)
        | {
            "decided": decided_of(after, followed.governance),
            "office": office,
            "signed": list(offices),
            "needed": needed,
        },
        people,
    )


def _require_signable(known: RelocationPlan, followed: Followed, epoch: int, now_ms: int) -> None:
    """Raises SentoError."""
    try:
        check_belongs(known, followed.governance, epoch)
        check_unsigned(known, followed.governance, followed.position + 1, now_ms)
        offices_of(known, followed.governance)
    except RelocationRefused as error:
        raise SentoError(error.code, str(error)) from None


def confirm(question: str) -> None:
    """Ends the command unless the person says yes; raises click.UsageError where nobody sits."""
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask at: read what is shown, then give --yes.")
    if not click.confirm(question, err=True):
        sys.exit(Exit.INTERRUPTED)


relocate.add_command(run)
relocate.add_command(back_out)
relocate.add_command(return_)
relocate.add_command(report)
