"""`sento status`: a sentence first, then what is noted, then the sites; once, or again and again in place.

A look that may only have met a passing moment is taken again before anybody is alarmed; with --watch each look is compared with one from some seconds
ago instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click
from rich.console import Console, RenderableType
from rich.live import Live

from sento_client.cli.app import App, pass_app
from sento_client.cli.courier_common import operator_option
from sento_client.cli.exits import Exit
from sento_client.cli.recover_common import run_recovering
from sento_client.cli.status_source import GoverningSource, StatusSource, governs
from sento_client.cli.status_view import status_view
from sento_client.cli.terminal import results_console
from sento_client.cli.waiting import spinner_after
from sento_client.results import Freshness
from sento_client.setup_errors import SetupError
from sento_client.site_status import Judgement, judge, status_value
from sento_client.site_status.governed import governed
from sento_client.site_status.judging import SECOND_LOOK_MS
from sento_proto.errors import SentoError
from sento_proto.governance.gaps import open_gaps
from sento_proto.governance.state import Governance

REDRAWS_PER_S = 2
WATCH_EVERY_S = 2.0


@click.command()
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 60),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="For each site; all are asked at the same time.",
)
@click.option(
    "--watch",
    "watch_s",
    type=click.FloatRange(0.2, 3600),
    is_flag=False,
    flag_value=WATCH_EVERY_S,
    metavar="[SECONDS]",
    help=f"Look again so often ({WATCH_EVERY_S:g} without a number) until Ctrl-C; with --json one object a line.",
)
@operator_option
@pass_app
def status(app: App, timeout_s: float, watch_s: float | None, operator: Path | None) -> None:
    """Say how the registry stands: what is fine, what may be lost now, whose loss would stop writing, and each site's part in it.

    Ends with 0 only when nothing is degraded, with 5 when something is, with 3 when no site answers; with --watch by what was seen last.
    Where the first look may have met a passing moment, it takes four seconds more and looks again.

    \b
    Example:
        sento status
        sento status --watch
        sento status --operator /etc/sento/operator
        sento --json status | jq '.writing, .critical_sites'
    """
    seen: deque[Judgement] = deque(maxlen=1)

    async def work(sento: StatusSource) -> None:
        if watch_s is not None:
            # Ctrl-C is how watching ends, not a failure of it.
            with contextlib.suppress(asyncio.CancelledError):
                await _watch(app, sento, timeout_s, watch_s, seen)
        else:
            seen.append(await _settled(app, sento, timeout_s))

    if governs(app.config, operator):
        run_recovering(app, operator, lambda client: work(GoverningSource(client)), heading=False)
    else:
        app.run(work, waits=False)
    if seen and watch_s is None:
        app.show(status_value(seen[-1]), lambda console: _print(console, seen[-1]))
    sys.exit(_exit_of(seen[-1] if seen else None))


def wall_ms() -> int:
    """This computer's clock, with which the sites' are compared."""
    return time.time_ns() // 1_000_000


def _exit_of(judgement: Judgement | None) -> Exit:
    if judgement is None or not judgement.reachable:
        return Exit.UNREACHABLE
    return Exit.DEGRADED if judgement.degraded else Exit.OK


async def _look(sento: StatusSource, timeout_s: float, before: Judgement | None = None) -> Judgement:
    asked_at_ms = wall_ms()
    timeout_ms = int(timeout_s * 1000)
    reports, governance = await asyncio.gather(
        sento.status(timeout_ms=timeout_ms), _governance(sento, timeout_ms)
    )
    genesis = governed(sento.genesis, governance)
    return judge(genesis, reports, asked_at_ms, before, open_gaps(governance))


async def _governance(sento: StatusSource, timeout_ms: int) -> Governance:
    """Who votes and which gaps are open, as any site knows it now. Where none tells, what was followed before still stands; that sites are silent is told by
    their reports."""
    try:
        return await sento.governance(freshness=Freshness.LOCAL, deadline_ms=timeout_ms)
    except (SentoError, SetupError):
        return sento.followed.governance


async def _settled(app: App, sento: StatusSource, timeout_s: float) -> Judgement:
    """One look, or a second one where the first may have met a passing moment."""
    words = f"asking {len(sento.sites)} sites, each at most {timeout_s:g} s"
    with (
        nullcontext() if app.as_json else spinner_after(app.patience_s, app.progress_console(), lambda: words)
    ):
        first = await _look(sento, timeout_s)
        if not first.look_again:
            return first
        words = "something may be passing: looking again"
        await asyncio.sleep(SECOND_LOOK_MS / 1000)
        return await _look(sento, timeout_s, first)


async def _watch(
    app: App, sento: StatusSource, timeout_s: float, every_s: float, seen: deque[Judgement]
) -> None:
    """Look and show until cancelled; `seen` holds the last judgement."""
    past: deque[Judgement] = deque()
    screen = _Screen(app)
    with screen.running():
        while True:
            began_s = time.monotonic()
            now_ms = wall_ms()
            while len(past) > 1 and now_ms - past[1].look.asked_at_ms >= SECOND_LOOK_MS:
                past.popleft()
            old_enough = bool(past) and now_ms - past[0].look.asked_at_ms >= SECOND_LOOK_MS
            judgement = await _look(sento, timeout_s, past[0] if old_enough else None)
            past.append(judgement)
            seen.append(judgement)
            screen.show(judgement)
            await asyncio.sleep(max(0.0, every_s - (time.monotonic() - began_s)))


class _Screen:
    """Where --watch shows what it sees: in place on a terminal, page after page elsewhere, an object a line for programs."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._console = results_console()
        self._console.soft_wrap = False  # a live page is cut where it is not wrapped
        self._shown: tuple[Judgement, float] | None = None
        self._live: Live | None = None
        if self._console.is_terminal and not app.as_json:
            self._live = Live(
                console=self._console, refresh_per_second=REDRAWS_PER_S, get_renderable=self._page
            )

    def running(self) -> AbstractContextManager[object]:
        """While inside, the page may be drawn."""
        return self._live or nullcontext()

    def show(self, judgement: Judgement) -> None:
        """What was just seen."""
        self._shown = (judgement, time.monotonic())
        if self._app.as_json:
            self._app.show_line(status_value(judgement))
        elif self._live is not None:
            self._live.refresh()
        else:
            _print(self._console, judgement)

    def _page(self) -> RenderableType:
        if self._shown is None:
            return "Asking the sites ..."
        judgement, at_s = self._shown
        return status_view(self._console, judgement, int((time.monotonic() - at_s) * 1000))


def _print(console: Console, judgement: Judgement) -> None:
    console.print(status_view(console, judgement), soft_wrap=False)
