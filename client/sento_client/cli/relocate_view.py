"""How a relocation looks while it goes on: what is done now, each registry and where it is taken in, and one line a site."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sento_client.cli.app import App
from sento_client.cli.terminal import printable, progress_console
from sento_client.relocating.deciding import SERVING, Done, Next, Seen
from sento_client.relocating.measuring import Growth
from sento_client.relocating.running import step_words
from sento_proto.relocation_plan import RelocationPlan

REDRAWS_PER_S = 4


@contextmanager
def shown(
    app: App, plan: RelocationPlan, growth: Callable[[], Growth]
) -> Iterator[Callable[[Seen, Next, str], None]]:
    """While inside, each look is shown: as a table that is drawn anew in place at a terminal, line by line elsewhere, not at all for programs."""
    console = progress_console()
    said: list[str] = []

    def lines(seen: Seen, step: Next, trouble: str) -> None:
        words = step_words(step) + (f" ({trouble})" if trouble else "")
        if not app.as_json and words not in said[-1:] and not isinstance(step, Done):
            said.append(words)
            click.echo(printable(words), err=True)

    if app.as_json or not console.is_terminal:
        yield lines
        return
    with Live(console=console, refresh_per_second=REDRAWS_PER_S) as live:

        def table(seen: Seen, step: Next, trouble: str) -> None:
            live.update(view(plan, seen, step, trouble, growth()))

        yield table


def view(plan: RelocationPlan, seen: Seen, step: Next, trouble: str, growth: Growth) -> RenderableType:
    """The whole page."""
    head = max((site.flushed_size for site in seen.sites.values()), default=0)
    parts: list[RenderableType] = [Text(printable(step_words(step)), "bold")]
    if trouble:
        parts.append(Text(printable(trouble), "yellow"))
    return Group(*parts, _registries(plan, seen, head), _sites(plan, seen, head), _written(growth))


def _registries(plan: RelocationPlan, seen: Seen, head: int) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("registry", "state", "ledger's records", "lag"):
        table.add_column(title)
    lead = seen.site(seen.lead) if seen.lead else None
    at = (
        f"{'ACTIVE' if seen.lead == plan.lead_to else 'active'} at {seen.lead}"
        if seen.lead
        else "the lead moves"
    )
    lag = "" if lead is None else f"{max(0, head - lead.flushed_size):,}"
    for registry in plan.registries:
        table.add_row(
            registry, Text(at, "green" if seen.lead == plan.lead_to else "yellow"), f"{head:,}", lag
        )
    return table


def _sites(plan: RelocationPlan, seen: Seen, head: int) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("site", "part", "records", "behind", "state"):
        table.add_column(title)
    for name, site in seen.sites.items():
        behind = f"{max(0, head - site.flushed_size):,}" if site.answers else ""
        words = site.joining or site.state or "no answer"
        table.add_row(
            name,
            _part(plan, seen, name),
            f"{site.flushed_size:,}" if site.answers else "",
            behind,
            Text(printable(words), "green" if site.state == SERVING and not site.joining else "yellow"),
        )
    return table


def _part(plan: RelocationPlan, seen: Seen, name: str) -> str:
    votes = (seen.members or {}).get(name)
    part = {True: "votes", False: "learns", None: "no member"}[votes]
    if name == seen.lead:
        part += ", leads"
    if name in plan.target_sites:
        part += ", target"
    return part + (", to be retired" if name in plan.retire else "")


def _written(growth: Growth) -> Text:
    return Text(
        f"{growth.records:,} records came meanwhile; longest time without one so far: {growth.longest_ms / 1000:.1f} s.",
        "dim",
    )


def print_lines(console: Console, lines: tuple[str, ...]) -> None:
    """Sentences, one a line."""
    for line in lines:
        console.print(printable(line), markup=False)
