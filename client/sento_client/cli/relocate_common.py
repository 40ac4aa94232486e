"""What the commands of `sento relocate` and `sento site` share: opening with an operator's certificate, the plan's file, and how a plan and a verdict look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from sento_client.cli.app import App
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.govern_common import run_governing
from sento_client.cli.parameters import whole_text
from sento_client.cli.terminal import printable
from sento_client.governing.client import GoverningClient
from sento_client.governing.deciding_words import decided_words
from sento_client.governing.following import Followed
from sento_client.relocating.judging import State, Verdict, judge_plan
from sento_client.relocating.live_world import LiveWorld, with_operator
from sento_client.relocating.looking import head_of, of_this_ledger
from sento_client.relocating.running import LOOK_EVERY_MS
from sento_client.setup_errors import SetupError
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.relocation_plan import PLAN_MAX_BYTES, RelocationPlan, Step, act_of, decode_plan, plan_hash
from sento_proto.wire import Malformed

T = TypeVar("T")
PLAN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
operator_option = click.option(
    "--operator",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="An operator's client.pem and client.key, where sento.toml has another's certificate.",
)
accept_option = click.option(
    "--accept",
    "accepts",
    multiple=True,
    type=whole_text,
    metavar="FINDING",
    help="A finding of sento site check that the officers accept, by its name; may be repeated.",
)
_NOBODY = frozenset({Code.UNREACHABLE, Code.DEADLINE, Code.NOT_FRESH})
_MARKS = {State.GOOD: "ok", State.NOTE: "", State.OPEN: "open", State.WRONG: "NO"}


def run_relocating(
    app: App,
    operator: Path | None,
    work: Callable[[LiveWorld], Awaitable[T]],
    *,
    if_interrupted: Callable[[], str] | None = None,
    exit_code: Callable[[SentoError | SetupError], Exit] = exit_of,
    shown: bool = True,
) -> T:
    """Open, say which ledger it is, work, close; an error is shown and ends the command. `shown`: with a spinner; False where the work shows itself."""

    def opened(path: Path) -> GoverningClient:
        return with_operator(app.open_governing(path), operator)

    async def within(client: GoverningClient) -> T:
        return await work(LiveWorld(client))

    inner = replace(app, open_governing=opened, patience_s=app.patience_s if shown else 1e9)
    if if_interrupted is None:
        return run_governing(inner, within, exit_code=exit_code)
    return run_governing(inner, within, exit_code=exit_code, if_interrupted=if_interrupted)


def read_plan(path: Path) -> RelocationPlan:
    """The plan in the file. Raises click.UsageError."""
    try:
        with path.open("rb") as file:
            return decode_plan(file.read(PLAN_MAX_BYTES + 1))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except Malformed as error:
        raise click.UsageError(f"{path} is no plan of a relocation: {error}.") from None


async def followed_or_known(client: GoverningClient) -> Followed:
    """Governance as a site tells it, or as this computer last followed it where none answers. Raises SentoError, SetupError."""
    try:
        return await client.follow(local=True)
    except SentoError as error:
        if error.code not in _NOBODY:
            raise
        click.echo("No site answers: judged by what this computer last followed of governance.", err=True)
        return client.place.trust_file.read()


async def looked(world: LiveWorld, plan: RelocationPlan) -> tuple[Followed, Verdict]:
    """Governance, and the dry run from two looks a moment apart: who reached by the second what was known at the first has caught up."""
    client = world.client
    followed = await world.follow()
    epoch = max(client.epoch, followed.governance.epoch)
    first = of_this_ledger(followed.governance, epoch, await world.statuses())
    await asyncio.sleep(LOOK_EVERY_MS / 1000)
    answers = await world.statuses()
    return followed, judge_plan(plan, followed, epoch, answers, client.wall_ms, head_of(first))


def require_not_wrong(verdict: Verdict) -> None:
    """Raises SentoError with the first code and all that is wrong."""
    if not verdict.wrong:
        return
    words = "; ".join(f"{line.item}: {line.words}" for line in verdict.wrong)
    raise SentoError(verdict.wrong[0].code or Code.PLAN_NOT_FIT, words)


def decided_of(plan: RelocationPlan, governance: Governance) -> list[str]:
    """What the plan's three acts decide, whatever its sentences say. `governance`: as it is before the first."""
    given, behind = decided_words(governance, act_of(plan, Step.GIVE).header.content, 0)
    words = [f"give: {one}" for one in given]
    for step in (Step.RETIRE, Step.UNDO):
        said, _ = decided_words(behind, act_of(plan, step).header.content, 1)
        words += [f"{step}: {one}" for one in said]
    return [
        *words,
        f"The lead is asked to go to {plan.lead_to}; findings accepted: {', '.join(plan.accepts) or 'none'}.",
    ]


def print_plan(console: Console, plan: RelocationPlan, governance: Governance | None = None) -> None:
    """What officers read before they sign. `governance`: as it is before the plan, for a file that another computer may have made."""
    console.print(
        f"Plan {plan_hash(plan).hex()[:16]}. Legal basis: {printable(plan.legal_basis)}", markup=False
    )
    for words in plan.words:
        console.print(f"  - {printable(words)}", markup=False)
    if governance is None:
        return
    console.print(
        "What is signed, read from the plan's acts by this program; where the two differ, do not sign:"
    )
    for words in decided_of(plan, governance):
        console.print(f"  = {printable(words)}", markup=False)


def print_verdict(console: Console, verdict: Verdict) -> None:
    """The dry run for people."""
    for line in verdict.lines:
        console.print(f"{_MARKS[line.state]:>4}  {line.item}: {printable(line.words)}", markup=False)


def plan_value(plan: RelocationPlan) -> dict[str, object]:
    """The plan for programs."""
    return {
        "plan": plan_hash(plan).hex(),
        "ledger": plan.ledger_id.hex(),
        "epoch": plan.epoch,
        "legal_basis": plan.legal_basis,
        "registries": list(plan.registries),
        "targets": list(plan.target_sites),
        "retire": list(plan.retire),
        "lead_to": plan.lead_to,
        "accepts": list(plan.accepts),
        "expires_at_ms": plan.expires_at_ms,
        "words": list(plan.words),
    }


def verdict_value(verdict: Verdict) -> dict[str, object]:
    """The dry run for programs."""
    return {
        "stage": None if verdict.stage is None else str(verdict.stage),
        "ready": verdict.is_ready,
        "lines": [
            {
                "item": line.item,
                "state": str(line.state),
                "words": line.words,
                "code": None if line.code is None else line.code.name,
            }
            for line in verdict.lines
        ],
    }
