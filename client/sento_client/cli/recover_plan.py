"""`sento recover rehearse`, `plan` and `sign`: from what was collected to a plan under the signatures of k officers, who heard the evidence first."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import exit_of
from sento_client.cli.plan_signing import (
    PLAN_FILE,
    OpenedPlan,
    confirm,
    heading,
    must_be_recovery,
    open_plan,
    plan_value,
    print_plan,
    sign_plan,
    signatures_words,
    signed_by,
)
from sento_client.cli.recover_files import COLLECTED_FILE, OpenedCollection, open_collected, write_new
from sento_client.recovering.applying import too_old
from sento_client.recovering.forking import unknown_to
from sento_client.recovering.planning import Planned, Wishes, make_plan
from sento_client.setup_errors import SetupError
from sento_proto.epoch_plan import EpochPlan, decode_plan, encode_plan
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.wire import Malformed

CommandT = TypeVar("CommandT", bound=Callable[..., object])


def wishes_options(command: CommandT) -> CommandT:
    """What officers decide of a plan."""
    options = (
        click.option("--voting", multiple=True, metavar="SITE", help="Who votes; by default survivors with ledger and ordering URL."),
        click.option("--ordering", multiple=True, metavar="SITE=URL", help="Where the members reach a new voter: jp-embassy=https://host:port."),
        click.option("--receipt-site", "receipt_sites", multiple=True, metavar="SITE", help="Whose cosignatures count; by default those who vote."),
        click.option("--quorum", type=click.IntRange(1), metavar="N", help="How many of them a receipt needs; by default more than half."),
        click.option("--alone", is_flag=True, help="One voting member is enough. Its disk is then the only place of what it acknowledges."),
        click.option("--although", default="", metavar="REASON", help="Why, against a majority that answers or an old collection; stands in the plan."),
        click.option("--take", metavar="SITE", help="Take this survivor's state against the rule; stands in the plan."),
        click.option("--evidence", "said", multiple=True, metavar="TEXT", help="What people saw or were told, and when; stands in the plan."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command(short_help="What would happen, and how long it would take; writes nothing.")
@click.argument("path", type=COLLECTED_FILE, metavar="COLLECTED")
@wishes_options
@pass_app
def rehearse(app: App, /, path: Path, **given: object) -> None:
    """Choose and plan as in earnest, say what would be kept and lost, who would sign and how long it would take. No key is used, nothing is written.

    \b
    Example:
        sento recover rehearse collected.json
    """
    collection, planned = _planned(app, path, "Rehearsal", given)

    def people(console: Console) -> None:
        console.print("REHEARSAL: nothing is written, and nobody can sign this.", style="bold")
        print_plan(console, planned.plan, collection.followed.governance)

    app.show(_planned_value(planned, collection.followed.governance) | {"rehearsal": True}, people)


@click.command(short_help="Choose the best state and write the plan.")
@click.argument("path", type=COLLECTED_FILE, metavar="COLLECTED")
@click.option(
    "--legal-basis", required=True, metavar="TEXT", help="By which decision; stands in the ledger for good."
)
@wishes_options
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="A new file.",
)
@pass_app
def plan(app: App, /, path: Path, legal_basis: str, out: Path, **given: object) -> None:  # fmt: skip
    """Choose the best state that survives, and write the plan of the new epoch: what is kept, what may be lost, who votes, which acts come first.

    Refused while a majority of voting sites answers, for one voter without --alone, for two histories, and for a collection older than a day.

    \b
    Example:
        sento recover plan collected.json --legal-basis "Cabinet decision 2027-31" --evidence "Governor by telephone, 14:05: the hall burns" --out plan.json
    """
    if out.exists():
        raise click.UsageError(f"{out} is there already; name another file with --out.")
    collection, planned = _planned(app, path, legal_basis, given)
    file = encode_plan(planned.plan)
    try:
        decode_plan(file)
    except Malformed as error:
        raise click.UsageError(f"This gives no plan: {error}.") from None
    write_new(out, file)

    def people(console: Console) -> None:
        print_plan(console, planned.plan, collection.followed.governance)
        console.print(
            f"Written to {out}. Next, at each officer's computer: sento recover sign {out}", markup=False
        )

    app.show(_planned_value(planned, collection.followed.governance) | {"file": str(out)}, people)


def _planned(
    app: App, /, path: Path, legal_basis: str, given: Mapping[str, object]
) -> tuple[OpenedCollection, Planned]:
    """The plan, or the end of the command with the reason why there is none."""
    wishes = _wishes(legal_basis, given)
    try:
        collection = open_collected(app, path)
        planned = make_plan(collection.collected, collection.followed, wishes)
    except (SentoError, SetupError) as error:
        app.show_error(error)
        sys.exit(exit_of(error))
    heading(app, collection.place)
    return collection, planned


def _wishes(legal_basis: str, given: Mapping[str, object]) -> Wishes:
    """Raises click.UsageError."""
    texts = {name: tuple(map(str, value)) for name, value in given.items() if isinstance(value, tuple)}
    urls: dict[str, str] = {}
    for one in texts["ordering"]:
        site, equals, url = one.partition("=")
        if not equals or not url.startswith("https://"):
            raise click.UsageError(f"--ordering {one}: write SITE=https://host:port.")
        urls[site] = url
    quorum, take = given["quorum"], given["take"]
    return Wishes(
        legal_basis,
        time.time_ns() // 1_000_000,
        texts["voting"],
        tuple(sorted(urls.items())),
        texts["receipt_sites"],
        quorum if isinstance(quorum, int) else None,
        bool(given["alone"]),
        str(given["although"]),
        take if isinstance(take, str) else None,
        texts["said"],
    )


def _planned_value(planned: Planned, governance: Governance) -> dict[str, object]:
    choice = planned.choice
    return plan_value(planned.plan, governance) | {
        "taken_from": choice.best.site,
        "agreed": None if choice.agreed is None else choice.agreed.size,
        "quorum_size": choice.quorum_size,
        "alternatives": list(choice.alternatives),
        "known_missing": len(planned.missing),
        "lost_acts": len(planned.fork.lost),
        "takes_s": planned.takes_s,
    }


@click.command(short_help="Hear the evidence, then sign the plan.")
@click.argument("path", type=PLAN_FILE, metavar="PLAN")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts that have looked themselves.")
@pass_app
def sign(app: App, path: Path, yes: bool) -> None:
    """Read the evidence and the plan, confirm both, and put this officer's signature into its file, under each of its acts.

    Refused where this computer knows an officers' act behind the fork that the plan forgets, and where the epoch has begun already: then the plan is stale.

    \b
    Example:
        sento recover sign plan.json
    """
    opened = open_plan(app, path)
    must_be_recovery(opened.plan, wanted=True)
    try:
        check_not_stale(opened)
    except SentoError as error:
        app.show_error(error)
        sys.exit(exit_of(error))
    heading(app, opened.place)
    if not app.as_json:
        app.show({}, lambda console: print_plan(console, opened.plan, opened.governance))
    if not yes:
        confirm("Does the evidence agree with what you know yourself?")
        confirm("Sign this?")
    after, office = sign_plan(app, path, opened)

    def people(console: Console) -> None:
        console.print(f"Signed for {office}. {signatures_words(after, opened.governance)}", markup=False)
        if _is_enough(after, opened.governance):
            console.print(f"Next: sento recover apply {path}", markup=False)

    app.show(plan_value(after, opened.governance) | {"office": office, "file": str(path)}, people)


def check_not_stale(opened: OpenedPlan) -> None:
    """Raises SentoError where this computer knows more than the plan does."""
    plan, governance = opened.plan, opened.governance
    if governance.epoch >= plan.epoch:
        raise SentoError(
            Code.PLAN_NOT_FIT,
            f"the plan is stale: epoch {governance.epoch} has begun, and it would begin epoch {plan.epoch}",
        )
    if why := too_old(plan, {}, time.time_ns() // 1_000_000):
        raise SentoError(Code.PLAN_NOT_FIT, why)
    forgotten = unknown_to(plan, opened.followed)
    if forgotten:
        first = forgotten[0]
        reason = "" if first.act is None else f" ({first.act.reason})"
        raise SentoError(
            Code.PLAN_NOT_FIT,
            f"this computer knows {len(forgotten)} officers' acts that the plan would lose unseen, the first at position {first.position}{reason}. "
            "Collect again with this computer's trust.json (--trust) and make the plan anew",
        )


def _is_enough(plan: EpochPlan, governance: Governance) -> bool:
    return len(signed_by(plan, governance)) >= governance.officers.threshold
