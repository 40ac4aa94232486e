"""`sento relocate run`, `back-out`, `return` and `report`: carrying a signed plan out, backing out of it, the reverse plan, and what it came to."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.parameters import whole_text
from sento_client.cli.recover_files import write_new
from sento_client.cli.relocate_common import (
    PLAN_FILE,
    accept_option,
    looked,
    operator_option,
    plan_value,
    print_plan,
    read_plan,
    require_not_wrong,
    run_relocating,
)
from sento_client.cli.relocate_view import print_lines, shown
from sento_client.composing import Ports
from sento_client.placement.round_trips import round_trips_of
from sento_client.relocating.deciding import SERVING, Next, Seen, catching_up_words, next_step, step_back
from sento_client.relocating.journal import JournalFile, Stand
from sento_client.relocating.judging import State, Verdict
from sento_client.relocating.live_world import LiveWorld, watching
from sento_client.relocating.looking import Answers, head_of, of_this_ledger, site_seen, standing_acts
from sento_client.relocating.making import make_plan, reverse_wishes
from sento_client.relocating.reporting import Ending, registry_lines, report_lines, report_value
from sento_client.relocating.running import LOOK_EVERY_MS, carry_out, step_words
from sento_client.setup_errors import SetupError
from sento_client.site_status.wording import listed
from sento_client.verifying import Verdict as Proven
from sento_proto.errors import Code, SentoError
from sento_proto.relocation_plan import RelocationPlan, Stage, encode_plan, plan_hash, stage_of

GOES_ON = "Interrupted. Run the same command again, here or at another computer with the plan: it goes on where it stands."
_AT_LEAST = click.IntRange(1, 86_400)
timeout_option = click.option(
    "--timeout", "timeout_s", type=_AT_LEAST, default=1_800, show_default=True, metavar="SECONDS", help="How long it may take; run again, it goes on."
)  # fmt: skip


@click.command()
@click.argument("path", type=PLAN_FILE, metavar="PLAN")
@timeout_option
@operator_option
@pass_app
def run(app: App, path: Path, timeout_s: int, operator: Path | None) -> None:
    """Carry a signed plan out while records are written, and say at the end what it came to.

    Stopped at any step, it goes on when it is run again, at any computer that has the plan. Until the retirement stands, sento relocate back-out leads back.
    Ends with 6 when it took longer than --timeout and is to be run again.

    \b
    Example:
        sento relocate run plan.json --operator /etc/sento/operator
    """
    _carry(app, path, operator, next_step, timeout_s, _require_ready)


@click.command("back-out")
@click.argument("path", type=PLAN_FILE, metavar="PLAN")
@timeout_option
@operator_option
@pass_app
def back_out(app: App, path: Path, timeout_s: int, operator: Path | None) -> None:
    """Take the new votes back: possible until the retirement stands. The officers signed it with the plan.

    \b
    Example:
        sento relocate back-out plan.json
    """
    _carry(app, path, operator, step_back, timeout_s, _require_signed)


def _require_ready(verdict: Verdict) -> None:
    """Raises SentoError for a plan that may not be begun; one that was begun goes on whatever has become of the sites since."""
    if verdict.stage is Stage.NOT_BEGUN:
        require_not_wrong(verdict)
    _require_signed(verdict)


def _require_signed(verdict: Verdict) -> None:
    """Raises SentoError TOO_FEW_OFFICERS, or what else is wrong with the signatures and whose plan it is."""
    for line in verdict.lines:
        if line.item in ("plan", "signatures"):
            if line.state is State.WRONG:
                raise SentoError(line.code or Code.PLAN_NOT_FIT, line.words)
            if line.state is State.OPEN:
                raise SentoError(Code.TOO_FEW_OFFICERS, line.words)


def _carry(
    app: App,
    path: Path,
    operator: Path | None,
    decide: Callable[[RelocationPlan, Seen], Next],
    timeout_s: int,
    require: Callable[[Verdict], None],
) -> None:
    known, ports = read_plan(path), Ports()
    file = JournalFile.of(path, plan_hash(known))

    async def work(world: LiveWorld) -> tuple[str, Ending]:
        _, verdict = await looked(world, known)
        require(verdict)
        if file.journal.before is None:
            before = await _stand(world, ports)
            file.write(replace(file.journal, before=before))
        async with watching(world.client, ports) as growth:
            try:
                with shown(app, known, growth) as tell:

                    def told(seen: Seen, step: Next, trouble: str) -> None:
                        journal = file.journal.noted(ports.wall_ms(), step_words(step))
                        if journal is not file.journal:
                            file.write(journal)
                        tell(seen, step, trouble)

                    words = await carry_out(known, world, decide, told, ports, patience_ms=timeout_s * 1000)
            finally:
                file.write(replace(file.journal, watched=(*file.journal.watched, growth())))
        return words, await _ending(world, known, file, ports)

    words, ending = run_relocating(
        app, operator, work, if_interrupted=lambda: GOES_ON, exit_code=_exit, shown=False
    )
    if ending.now is not None:
        file.write(replace(file.journal, after=ending.now))
    _show_ending(app, known, file, ending, (words,))


async def _stand(world: LiveWorld, ports: Ports) -> Stand | None:
    """How the ledger stands; None where it cannot be had now: a measurement is never worth a stop."""
    try:
        return await world.stand(ports.wall_ms())
    except SentoError as error:
        click.echo(f"How the ledger stands cannot be told for the report now: {error.code.name}.", err=True)
        return None


async def _ending(world: LiveWorld, plan: RelocationPlan, file: JournalFile, ports: Ports) -> Ending:
    """How it stands at the end, with the proof that the head before is its beginning."""
    followed = await world.follow()
    stage = stage_of(plan, standing_acts(followed))
    now, before = await _stand(world, ports), file.journal.before
    same: bool | None = None
    if now is not None and before is not None:
        try:
            found = await world.client.prove_older(before.tree, now.tree)
            same = found.verdict is Proven.HOLDS
        except SentoError as error:
            if error.code is not Code.DAMAGED:
                raise
            same = False
    return Ending(stage, "" if now is None else now.lead, same, now)


def _show_ending(
    app: App, plan: RelocationPlan, file: JournalFile, ending: Ending, words: tuple[str, ...] = ()
) -> None:
    def people(console: Console) -> None:
        print_lines(console, words)
        print_lines(console, registry_lines(plan, ending.lead, ending.now))
        print_lines(console, report_lines(plan, file.journal, ending))

    app.show(report_value(plan, file.journal, ending), people)
    if ending.same_head is False:
        sys.exit(Exit.NOT_VERIFIED)


def _exit(error: SentoError | SetupError) -> Exit:
    """What may have been done in part is to be run again."""
    if isinstance(error, SentoError) and error.code is Code.DEADLINE:
        return Exit.OUTCOME_UNKNOWN
    return exit_of(error)


@click.command()
@click.argument("path", type=PLAN_FILE, metavar="PLAN")
@operator_option
@pass_app
def report(app: App, path: Path, operator: Path | None) -> None:
    """Say what a plan came to: the same head, nothing lost, the longest time without a record, the round trips before and after.

    What was measured stands in the journal beside the plan, on the computer that carried it out; the heads are compared anew, with a proof.

    \b
    Example:
        sento relocate report plan.json
    """
    known, ports = read_plan(path), Ports()
    file = JournalFile.of(path, plan_hash(known))
    ending = run_relocating(app, operator, lambda world: _ending(world, known, file, ports))
    _show_ending(app, known, file, ending)


@click.command("return")
@click.argument("path", type=PLAN_FILE, metavar="PLAN")
@click.option(
    "--legal-basis", required=True, type=whole_text, metavar="TEXT", help="By what right it returns."
)
@accept_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("return.json"),
    show_default=True,
    metavar="FILE",
    help="Where the reverse plan goes; nothing is written over.",
)
@operator_option
@pass_app
def return_(
    app: App, path: Path, legal_basis: str, accepts: tuple[str, ...], out: Path, operator: Path | None
) -> None:
    """Write the reverse of a plan that was carried out: who was retired votes again. It is checked, signed and run like any plan.

    Refused while one of those who return does not answer or lacks a part of the ledger.

    \b
    Example:
        sento relocate return plan.json --legal-basis "Decision 9/2027" --out return.json
    """  # fmt: skip
    if out.exists() or out.is_symlink():
        raise click.UsageError(f"{out} is there already; name another file with --out.")
    known = read_plan(path)

    async def work(world: LiveWorld) -> RelocationPlan:
        followed = await world.follow()
        if stage_of(known, standing_acts(followed)) is not Stage.RETIRED:
            raise SentoError(
                Code.PLAN_NOT_FIT,
                "the plan was not carried out to its retirement; use sento relocate back-out",
            )
        epoch = max(world.client.epoch, followed.governance.epoch)
        first = of_this_ledger(followed.governance, epoch, await world.statuses())
        await asyncio.sleep(LOOK_EVERY_MS / 1000)
        answers = of_this_ledger(followed.governance, epoch, await world.statuses())
        _require_ledgers(known.retire, answers, head_of(first))
        wishes = reverse_wishes(known, legal_basis, accepts)
        trips = round_trips_of(answers)
        return make_plan(followed.governance, epoch, wishes, world.client.wall_ms, trips)

    made = run_relocating(app, operator, work)
    write_new(out, encode_plan(made))

    def people(console: Console) -> None:
        print_plan(console, made)
        console.print(
            f"Written to {out}. Next: sento relocate check {out}, then sign and run it.", markup=False
        )

    app.show(plan_value(made) | {"file": str(out)}, people)


def _require_ledgers(sites: Sequence[str], answers: Answers, head_before: int) -> None:
    """Raises SentoError PLAN_NOT_FIT unless each of them serves and has all that was known a moment ago."""
    why = []
    for site in sites:
        one = site_seen(answers.get(site))
        lacks = catching_up_words(one, head_before)
        if one.state != SERVING:
            why.append(f"{site} {f'is {one.state}' if one.answers else 'does not answer'}")
        elif lacks:
            why.append(f"{site}: {lacks}")
    if why:
        raise SentoError(Code.PLAN_NOT_FIT, f"who returns needs the whole ledger first: {listed(why)}")
