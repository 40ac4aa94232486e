"""`sento-drill world` and `sento-drill cluster`: make a training ledger's world, run its sites, break them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sento_drill.carrying_out import BASE_PORT, DIRECTORY, carry_out, finish

if TYPE_CHECKING:
    from sento_drill.cluster import LocalCluster


@click.command()
@DIRECTORY
@BASE_PORT
@click.option("--embassies", "kind", flag_value="embassies", help="With two embassies: five sites.")
@click.option(
    "--tie-breaker", "kind", flag_value="tie-breaker", help="Two data sites, a tie-breaker and an embassy."
)
def world(directory: Path, base_port: int | None, kind: str | None) -> None:
    """Make a training ledger for three sites in DIRECTORY: genesis, certificates, keys, configuration.

    Every private key lies in it in plain files, readable by you alone. It is for drills, never for production.
    """
    from sento_drill.plan import FIVE_SITES, TIE_BREAKER_WORLD
    from sento_drill.world import NoWorld, make_world

    plan = {"embassies": FIVE_SITES, "tie-breaker": TIE_BREAKER_WORLD}.get(kind or "")
    try:
        made = make_world(directory, plan, base_port=base_port)
    except NoWorld as error:
        raise click.UsageError(str(error)) from None
    click.echo(f"ledger {made.genesis.ledger_id.hex()} ({made.genesis.purpose}) in {made.directory}")
    for site in made.sites:
        click.echo(f"  {site.name} will listen on {site.address}: {site.directory}")
        click.echo(f"    its metrics: http://{site.metrics_address}/metrics")
    click.echo(f"Next: sento-drill cluster up {directory}")


@click.group()
def cluster() -> None:
    """Run the sites of a world on this machine, and break them."""


@cluster.command()
@DIRECTORY
def up(directory: Path) -> None:
    """Start every site that does not run, and wait until all serve. They stay when this command ends."""

    async def start() -> None:
        async with _cluster(directory) as local:
            local.start_all()
            await local.wait_serving()

    finish(carry_out(start))
    click.echo(f"Next: sento --config {directory}/institutions/iizuka-city/sento.toml status")


@cluster.command()
@DIRECTORY
def down(directory: Path) -> None:
    """Stop every site in order; what does not stop within half a minute is killed."""

    async def stop() -> None:
        async with _cluster(directory) as local:
            await local.end_all()

    finish(carry_out(stop))


@cluster.command()
@DIRECTORY
@click.argument("site")
def kill(directory: Path, site: str) -> None:
    """Kill SITE's node and ordering member with kill -9, as a power cut would."""

    async def end() -> None:
        async with _cluster(directory) as local:
            if site not in local.processes:
                raise click.UsageError(
                    f"no site {site} in {directory}; there are {', '.join(local.processes)}"
                )
            local.kill_site(site)

    finish(carry_out(end))
    click.echo(f"{site} is dead. `sento-drill cluster up {directory}` brings it back; write meanwhile.")


@cluster.command()
@DIRECTORY
def status(directory: Path) -> None:
    """How the sites stand, in the words of `sento status`; ends with 1 when something is degraded."""
    from rich.console import Console

    from sento_client.cli.status_view import status_view
    from sento_drill.standing import standing

    degraded: list[bool] = []

    async def ask() -> None:
        async with _cluster(directory) as local:
            judgement = await standing(local)
            console = Console(highlight=False)
            console.print(status_view(console, judgement))
            degraded.append(judgement.degraded)

    finish(carry_out(ask))
    sys.exit(1 if any(degraded) else 0)


def _cluster(directory: Path) -> LocalCluster:
    from sento_drill.cluster import LocalCluster
    from sento_drill.world import NoWorld, open_world

    try:
        return LocalCluster(open_world(directory), bound=False)
    except NoWorld as error:
        raise click.UsageError(f"{error}; make one: sento-drill world {directory}") from None
