"""`sento recover apply`: the signed plan, carried out at each of its sites, with what they say in a live table until the new epoch serves.

What is done is seen at the sites alone, so that the same command goes on after Ctrl-C, and from any other computer. No site begins before a dry run went
through at all that answer.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import click
from rich.live import Live

from sento_client.cli.app import App, pass_app
from sento_client.cli.courier_common import operator_option
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.plan_signing import (
    PLAN_FILE,
    OpenedPlan,
    must_be_recovery,
    open_plan,
    signatures_words,
    signed_by,
)
from sento_client.cli.recover_common import run_recovering
from sento_client.cli.recover_files import write_anew
from sento_client.cli.recover_view import states_table, states_value
from sento_client.cli.terminal import printable, results_console
from sento_client.governing.client import GoverningClient
from sento_client.recovering.applying import (
    Applied,
    SiteState,
    Stage,
    all_serve,
    answered,
    decode_applied,
    encode_applied,
    failed,
    may_begin,
    seen,
    serves,
    sites_of,
    too_old,
)
from sento_client.transport import BEGIN_EPOCH, STATUS
from sento_proto.epoch_plan import EpochPlan, encode_plan, plan_hash
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import admin_pb2
from sento_proto.wire import Malformed

LOOK_EVERY_S = 0.5
STATUS_TIMEOUT_MS = 3_000
BEGIN_TIMEOUT_MS = 60_000
"""Judging reads the site's ledger and its ordering log."""
_MAY_BE_ASKED = (Stage.WAITING, Stage.FIT, Stage.SILENT)
_STAYS = "Interrupted. What the sites have begun goes on; the same command shows it."


@click.command(short_help="Carry the signed plan out at its sites.")
@click.argument("path", type=PLAN_FILE, metavar="PLAN")
@click.option("--dry-run", is_flag=True, help="Every site judges the plan and changes nothing.")
@click.option(
    "--site",
    "also",
    multiple=True,
    metavar="SITE",
    help="Bring this site over as well, which has no part in the plan: an old capital that is back, an embassy.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 86_400),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="For the new epoch to serve.",
)
@operator_option
@pass_app
def apply(
    app: App, path: Path, dry_run: bool, also: tuple[str, ...], wait_s: float, operator: Path | None
) -> None:
    """Have every site of the plan judge it, then carry it out, and watch until the new epoch serves.

    Nothing begins where a site that answers refuses the plan, or where no majority of its voters answers. A site that cannot be asked here takes the same file
    with `sento-node begin-epoch`. Repeating it is safe.

    \b
    Ends with
        0  every voting site of the plan serves in the new epoch
        5  the epoch serves, or is about to, and a site is not there yet
        1  a site refuses; nothing was begun unless the table says so
        3  no site of the plan answers

    \b
    Example:
        sento recover apply plan.json --dry-run
        sento recover apply plan.json
        sento recover apply plan.json --site jp-fukuoka
    """
    opened = open_plan(app, path)
    must_be_recovery(opened.plan, wanted=True)
    _must_be_signed(app, opened)
    journal = path.with_name(f"{path.name}.applied")

    async def work(client: GoverningClient) -> dict[str, SiteState]:
        unknown = sorted(set(also) - set(client.sites))
        if unknown:
            raise SentoError(Code.BAD_REQUEST, f"this computer has no address of {unknown[0]}")
        applying = _Applying(client, opened.plan, _Screen(app), also)
        if not applying.states:
            raise SentoError(Code.BAD_REQUEST, "this computer has the address of no site of the plan")
        with applying.screen.running():
            await applying.judge()
            if why := too_old(opened.plan, applying.states, time.time_ns() // 1_000_000):
                raise SentoError(Code.PLAN_NOT_FIT, why)
            if dry_run or not may_begin(opened.plan, applying.states):
                return applying.states
            applied = note_applied(journal, opened.plan, client.wall_ms)
            await applying.carry_out(wait_s)
            if serves(opened.plan, applying.states) and not applied.serving_at_ms:
                write_anew(journal, encode_applied(applied._replace(serving_at_ms=client.wall_ms)))
        return applying.states

    states = run_recovering(app, operator, work, if_interrupted=lambda: _STAYS)
    code = _exit_of(opened.plan, states, dry_run=dry_run)
    value = {"plan": plan_hash(opened.plan).hex(), "epoch": opened.plan.epoch, "dry_run": dry_run}
    app.show(
        value | {"sites": states_value(states.values()), "serves": serves(opened.plan, states)},
        lambda console: console.print(_sentence(opened.plan, states, dry_run=dry_run), markup=False),
    )
    sys.exit(code)


def _must_be_signed(app: App, opened: OpenedPlan) -> None:
    """Ends the command where too few signed, before any site is asked."""
    plan, governance = opened.plan, opened.governance
    if len(signed_by(plan, governance)) < governance.officers.threshold:
        error = SentoError(Code.TOO_FEW_OFFICERS, signatures_words(plan, governance))
        app.show_error(error)
        sys.exit(exit_of(error))


def note_applied(path: Path, plan: EpochPlan, now_ms: int) -> Applied:
    """When this plan was first carried out, kept beside it for the result sheet; a file of another plan, or a damaged one, is written anew."""
    name = plan_hash(plan)
    before = read_applied(path)
    if before is not None and before.plan == name:
        return before
    applied = Applied(name, now_ms)
    write_anew(path, encode_applied(applied))
    return applied


def read_applied(path: Path) -> Applied | None:
    """What was noted; None where nothing readable is. It is for the sheet alone, and nothing depends on it."""
    try:
        return decode_applied(path.read_bytes())
    except (OSError, Malformed):
        return None


class _Applying:
    """One run of the command. `states`: each site of the plan as it was last seen."""

    def __init__(
        self, client: GoverningClient, plan: EpochPlan, screen: _Screen, also: tuple[str, ...] = ()
    ) -> None:
        self._client = client
        self._plan = plan
        self._file = encode_plan(plan)
        self.screen = screen
        self.states = {site: SiteState(site, Stage.WAITING) for site in sites_of(plan, client.sites, also)}

    async def judge(self) -> None:
        """A look, and a dry run at every site that has not begun."""
        await self._look()
        await self._ask(dry_run=True)

    async def carry_out(self, wait_s: float) -> None:
        """Ask for real and look, again and again, until every site serves, or only silent ones are left of an epoch that does, or the time is over."""
        until_s = time.monotonic() + wait_s
        while True:
            await self._ask(dry_run=False)
            await self._look()
            left = [state.stage for state in self.states.values() if state.stage is not Stage.SERVING]
            done = serves(self._plan, self.states) and all(
                stage in (Stage.SILENT, Stage.REFUSED) for stage in left
            )
            if done or not self._may_come(left) or time.monotonic() >= until_s:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    def _may_come(self, left: Iterable[Stage]) -> bool:
        """Whether waiting can bring anything: somebody begins, or may still answer."""
        return any(stage is not Stage.REFUSED for stage in left)

    async def _ask(self, *, dry_run: bool) -> None:
        async def ask(site: str) -> None:
            request = admin_pb2.BeginEpochRequest(plan=self._file, dry_run=dry_run)
            try:
                reply = await self._client.call_site(site, BEGIN_EPOCH, request, timeout_ms=BEGIN_TIMEOUT_MS)
            except SentoError as error:
                self._put(failed(site, error.code, _words(error, site)))
            else:
                self._put(answered(site, reply, dry_run=dry_run))

        asked = [site for site, state in self.states.items() if state.stage in _MAY_BE_ASKED]
        await asyncio.gather(*map(ask, asked))

    async def _look(self) -> None:
        async def look(site: str) -> None:
            request = admin_pb2.StatusRequest()
            try:
                status = await self._client.call_site(site, STATUS, request, timeout_ms=STATUS_TIMEOUT_MS)
            except SentoError:
                # Between two lives a site answers nothing; what it said last stays until it does.
                return
            if status.ledger_id == self._plan.ledger_id:
                self._put(seen(self._plan, self.states[site], status))

        await asyncio.gather(*map(look, self.states))

    def _put(self, state: SiteState) -> None:
        before = self.states[state.site]
        self.states[state.site] = state
        self.screen.show(self.states.values(), state if state.stage is not before.stage else None)


class _Screen:
    """In place on a terminal, a line for each change elsewhere, nothing for programs."""

    def __init__(self, app: App) -> None:
        self._console = results_console()
        self._quiet = app.as_json
        self._live = (
            Live(console=self._console, auto_refresh=False)
            if self._console.is_terminal and not app.as_json
            else None
        )

    def running(self) -> Live | _Nothing:
        """While inside, the table may be drawn."""
        return self._live or _Nothing()

    def show(self, states: Iterable[SiteState], changed: SiteState | None) -> None:
        """The table, or the site whose stage changed."""
        if self._live is not None:
            self._live.update(states_table(states), refresh=True)
        elif changed is not None and not self._quiet:
            words = f": {printable(changed.words)}" if changed.words else ""
            self._console.print(f"{changed.site}: {changed.stage.value}{words}", markup=False)


class _Nothing:
    """Where nothing is drawn."""

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        return


def _words(error: SentoError, site: str) -> str:
    detail = error.detail.removeprefix(site).removeprefix(": ")
    return f"{error.code.name} {detail}".strip()


def _exit_of(plan: EpochPlan, states: dict[str, SiteState], *, dry_run: bool) -> Exit:
    stages = [state.stage for state in states.values()]
    if all(stage is Stage.SILENT for stage in stages):
        return Exit.UNREACHABLE
    if dry_run:
        voters = [states[site].stage for site in plan.voting if site in states]
        fit = may_begin(plan, states) and Stage.SILENT not in voters and len(voters) == len(plan.voting)
        return Exit.OK if fit else Exit.REFUSED if Stage.REFUSED in stages else Exit.DEGRADED
    if all_serve(plan, states):
        return Exit.OK
    if Stage.REFUSED in stages and not serves(plan, states):
        return Exit.REFUSED
    return Exit.DEGRADED


def _sentence(plan: EpochPlan, states: dict[str, SiteState], *, dry_run: bool) -> str:
    """What it comes to."""
    begun = {Stage.BEGINNING, Stage.SERVING} & {state.stage for state in states.values()}
    if all_serve(plan, states):
        return f"Epoch {plan.epoch} serves at every voting site. Next: sento recover verify PLAN COLLECTED --out DIR"
    if dry_run and may_begin(plan, states):
        return "The plan fits at every site that answers; nothing was changed."
    if serves(plan, states):
        return f"Epoch {plan.epoch} serves; not every site is there yet: repeat this, or give those the plan with sento-node begin-epoch."
    if all(state.stage is Stage.SILENT for state in states.values()):
        return "No site of the plan answers; what one of them has begun goes on there. Repeat this command."
    if not begun:
        return "Nothing was begun: no majority of the plan's voters would carry it out, or a site refuses. Its words say why."
    return f"Epoch {plan.epoch} does not serve yet: repeat this command; it goes on where the sites are."
