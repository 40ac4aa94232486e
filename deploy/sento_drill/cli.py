"""The command `sento-drill`: demonstrate, make worlds, run them, break them.

Each command says what it shows and what to try next. Exit codes: 0 it holds; 1 it does not; 2 the call is wrong.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sento_drill.bench.catching_up import bench_catch_up_command
from sento_drill.bench.command import bench_command
from sento_drill.bench.copying.courier_command import bench_courier_command
from sento_drill.bench.copying.sync_command import bench_sync_command
from sento_drill.bench.keys_command import bench_keys_command
from sento_drill.bench.proofs.command import bench_proofs_command
from sento_drill.carrying_out import BASE_PORT, carry_out, finish
from sento_drill.cli_worlds import cluster, world
from sento_drill.config_files import OrderingSettings

# Children are programs of their own from the first moment; what gRPC does at a fork would only write lines about it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

if TYPE_CHECKING:
    from sento_drill.display import Display
    from sento_drill.rehearsal import Rehearsal, RehearsalSettings
    from sento_drill.verdict import Verdict

RESIDENTS = click.option("--residents", type=click.IntRange(1, 200_000), default=1_000, show_default=True)
SEED = click.option("--seed", type=int, default=1, show_default=True, help="The same seed is the same town.")
BLOCK_KIB = click.option(
    "--block-kib",
    type=click.IntRange(64, 256),
    default=64,
    show_default=True,
    help="Size that blocks are packed to.",
)
WORLD = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".demo"),
    show_default=True,
    help="Where the world is made; an earlier world there is stopped and replaced.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Show on one machine that the registry keeps what it promised.

    \b
    sento-drill demo                  the capital killed, evacuated, lost and recovered under load; lose nothing
    sento-drill move                  its chapters about moving the capital alone
    sento-drill kill-rounds           the same again and again, with figures for each round
    sento-drill story-keys            officers, keys, readers, recovery: told with real commands
    sento-drill bench                 how fast, against etcd and PostgreSQL
    sento-drill bench-keys            how fast keys are sealed, opened, sealed again, unlocked
    sento-drill bench-proofs          how fast receipts, verifying, confirmed reads, the scrub, erasure
    sento-drill bench-catch-up        how fast a fresh site catches up, everything verified
    sento-drill bench-sync            a copy of a day's events over narrow, late, lossy links
    sento-drill bench-courier         a ledger on courier volumes: made, proven, imported
    sento-drill client-kills          kill writing programs, lose and double nothing
    sento-drill outage                all sites gone for minutes, and back
    sento-drill soak                  the ordering log does not grow with what was written
    sento-drill world .world          certificates, keys and configuration of a training ledger
    sento-drill cluster up .world     run it
    """


@main.command()
@WORLD
@RESIDENTS
@SEED
@BASE_PORT
@click.option("--stay", is_flag=True, help="Leave the sites running at the end and say what to try.")
def demo(directory: Path, residents: int, seed: int, base_port: int | None, stay: bool) -> None:
    """Load a town at five sites, two of them embassies abroad. While offices write: kill the leading site with kill -9, replace another's lost disk, fill an
    embassy that no cable reaches from courier volumes, evacuate the capital and bring it home, lose all three voting sites with their disks, go on at the
    embassies by three of five officers, take in what the old capital's disk still knows. Read everything back.

    The last line is for programs: acknowledged and present must be equal, unavailable_s is the longest silence that a writing office met, caught_up_s how long
    the killed site took from its start until it had everything again, disk_replaced_s from `sento-node replace-disk` until the site served and voted with
    everything, courier_import_s the import of the volumes, relocation_pause_s the longest silence while the capital moved, rto_s from the third signature to
    the first acknowledged write of the recovered epoch.
    """
    from sento_drill.copies import FAR
    from sento_drill.demo import run_demo
    from sento_drill.plan import PREPARED
    from sento_drill.rehearsal import RehearsalSettings
    from sento_drill.verdict import Verdict

    settings = RehearsalSettings(directory, residents, seed, stay, base_port, plan=PREPARED, later=(FAR,))
    _tell(run_demo, settings, Verdict())


@main.command()
@WORLD
@RESIDENTS
@SEED
@BASE_PORT
@click.option("--stay", is_flag=True, help="Leave the sites running at the end and say what to try.")
def move(directory: Path, residents: int, seed: int, base_port: int | None, stay: bool) -> None:
    """The demonstration's chapters about the capital alone: evacuated and home again, lost with its disks, recovered abroad, found again.

    With --residents 18000 about 100,000 records stand when the voting sites are lost. The last line is as the demonstration's.
    """
    from sento_drill.demo import run_move
    from sento_drill.plan import PREPARED
    from sento_drill.rehearsal import RehearsalSettings
    from sento_drill.verdict import OF_THE_MOVE, Verdict

    settings = RehearsalSettings(directory, residents, seed, stay, base_port, plan=PREPARED)
    _tell(run_move, settings, Verdict("move", OF_THE_MOVE))


def _tell(
    story: Callable[[RehearsalSettings, Display, Verdict], Coroutine[None, None, None]],
    settings: RehearsalSettings,
    verdict: Verdict,
) -> None:
    """Carry a story out, say what was wrong and its last line; the process ends."""
    from sento_drill.display import make_display

    display = make_display(sys.stdout)
    with display.running():
        trouble = carry_out(lambda: story(settings, display, verdict))
    for problem in (*verdict.problems, *trouble):
        click.echo(f"problem: {problem}", err=True)
    click.echo(verdict.last_line())
    sys.exit(0 if verdict.holds and not trouble else 1)


@main.command("kill-rounds")
@click.option("--rounds", type=click.IntRange(1, 10_000), default=20, show_default=True)
@WORLD
@RESIDENTS
@SEED
@BASE_PORT
def kill_rounds_command(
    rounds: int, directory: Path, residents: int, seed: int, base_port: int | None
) -> None:
    """Kill the leading site under load, round after round, and read everything back after each.

    Each line: which site was killed, how many records are acknowledged since the beginning and present at every site, and the longest silence
    between two acknowledgements.
    """
    from sento_drill.display import make_display
    from sento_drill.kill_rounds import Round, kill_rounds
    from sento_drill.rehearsal import Rehearsal, RehearsalSettings

    settings = RehearsalSettings(directory, residents, seed, False, base_port)
    display = make_display(sys.stdout)
    done: list[Round] = []

    async def drill() -> None:
        async with Rehearsal(settings, display) as rehearsal:
            await rehearsal.load()
            done.extend(await kill_rounds(rehearsal, rounds))

    with display.running():
        trouble = carry_out(drill)
    for problem in (*(problem for each in done for problem in each.problems[:5]), *trouble):
        click.echo(f"problem: {problem}", err=True)
    good = sum(each.holds for each in done)
    longest_s = max((each.longest_gap_s for each in done), default=0.0)
    click.echo(f"kill-rounds: rounds={rounds} without_loss={good} longest_gap_s={longest_s:.2f}")
    sys.exit(0 if good == rounds and not trouble else 1)


@main.command("story-keys")
@WORLD
def story_keys_command(directory: Path) -> None:
    """Tell governance and keys as a story at three real sites, with the commands that people type.

    Officers raise the rules, enrol clinics, rotate and revoke keys, admit a reader and let it go, hold a rewrite in the night, hold a ceremony, and unlock a
    registry with three shares of five. The last line: steps are comparisons that held, problems those that did not.
    """
    from sento_drill.story_keys.stage import Stage
    from sento_drill.story_keys.story import tell_story

    told: list[Stage] = []

    async def drill() -> None:
        told.append(await tell_story(directory, click.echo))

    trouble = carry_out(drill)
    finish(trouble)
    for problem in told[0].problems:
        click.echo(f"problem: {problem}", err=True)
    click.echo(told[0].last_line())
    sys.exit(1 if told[0].problems else 0)


@main.command("client-kills")
@click.option("--kills", type=click.IntRange(1, 100_000), default=1_000, show_default=True)
@click.option(
    "--side-by-side",
    type=click.IntRange(1, 16),
    default=3,
    show_default=True,
    help="Programs that write through one outbox at a time.",
)
@WORLD
@SEED
@BASE_PORT
def client_kills_command(
    kills: int, side_by_side: int, directory: Path, seed: int, base_port: int | None
) -> None:
    """Kill writing programs of a ministry with kill -9 at random moments, then compare the ledger with what they had noted.

    The last line: told and kept records must all stand (lost=0), none twice (doubled=0), none that nobody tried (foreign=0).
    """
    from sento_drill.client_kills import Sums, client_kills
    from sento_drill.display import make_display
    from sento_drill.plan import IIZUKA_CITY
    from sento_drill.rehearsal import Rehearsal, RehearsalSettings

    display = make_display(sys.stdout)
    sums: list[Sums] = []

    async def drill() -> None:
        async with Rehearsal(RehearsalSettings(directory, 1, seed, False, base_port), display) as rehearsal:
            done = 0
            rehearsal.stage("killing programs that write", kills, lambda: done)

            def count(so_far: int) -> None:
                nonlocal done
                done = so_far

            config = rehearsal.world.institution(IIZUKA_CITY.name).config
            notes = directory / "killed"
            notes.mkdir()
            sums.append(await client_kills(config, notes, kills, side_by_side, seed, count))

    with display.running():
        trouble = carry_out(drill)
    finish(trouble)
    click.echo(sums[0].line())
    sys.exit(0 if sums[0].holds else 1)


@main.command("outage")
@click.option(
    "--seconds", type=click.FloatRange(1, 86_400), default=600.0, show_default=True, help="Without any site."
)
@WORLD
@BASE_PORT
def outage_command(seconds: float, directory: Path, base_port: int | None) -> None:
    """Take all sites away while a program writes, bring them back, and compare the ledger with what the program was told.

    The last line as that of client-kills; kept counts the records whose caller was told that the outbox keeps them.
    """
    from sento_drill.client_kills import Sums
    from sento_drill.display import make_display
    from sento_drill.outage import outage
    from sento_drill.plan import IIZUKA_CITY
    from sento_drill.rehearsal import Rehearsal, RehearsalSettings

    display = make_display(sys.stdout)
    found: list[tuple[Sums, float]] = []

    async def drill() -> None:
        async with Rehearsal(RehearsalSettings(directory, 1, 1, False, base_port), display) as rehearsal:
            begun_s = time.monotonic()
            rehearsal.stage("all sites away", int(seconds), lambda: int(time.monotonic() - begun_s))
            notes = directory / "killed"
            notes.mkdir()
            config = rehearsal.world.institution(IIZUKA_CITY.name).config
            found.append(await outage(rehearsal.cluster, config, notes, seconds))

    with display.running():
        trouble = carry_out(drill)
    finish(trouble)
    sums, resident_mib = found[0]
    click.echo(f"{sums.line().replace('client-kills', 'outage')} program_mib={resident_mib:.0f}")
    sys.exit(0 if sums.holds else 1)


main.add_command(bench_command)
main.add_command(bench_catch_up_command)
main.add_command(bench_keys_command)
main.add_command(bench_proofs_command)
main.add_command(bench_sync_command)
main.add_command(bench_courier_command)
main.add_command(world)
main.add_command(cluster)


@main.command("soak")
@WORLD
@click.option(
    "--blocks", type=click.IntRange(1_000), default=30_000, show_default=True, help="How far to write."
)
@click.option(
    "--settled",
    type=click.IntRange(500),
    default=10_000,
    show_default=True,
    help="Nothing may grow after this.",
)
@BLOCK_KIB
def soak_command(directory: Path, blocks: int, settled: int, block_kib: int) -> None:
    """Write full blocks on and on, and see that the ordering log does not grow with them.

    What each ordering member holds in memory and on disk is read from outside every 500 blocks; after --settled blocks it must stay flat.
    """
    from sento_drill.soak import Sample, is_flat, soak

    samples: list[Sample] = []

    async def write_on(rehearsal: Rehearsal) -> None:
        samples.extend(await soak(rehearsal, blocks))

    trouble = _rehearse(directory, OrderingSettings(block_kib=block_kib), write_on)
    flat = is_flat(samples, settled)
    last = samples[-1].line() if samples else "soak: block=0"
    click.echo(f"{last} flat={'yes' if flat else 'no'}")
    finish(trouble)
    sys.exit(0 if flat else 1)


def _rehearse(
    directory: Path, ordering: OrderingSettings, act: Callable[[Rehearsal], Coroutine[None, None, None]]
) -> list[str]:
    """Run `act` on a fresh cluster without residents; what stopped it comes back in words."""
    from sento_drill.display import make_display
    from sento_drill.rehearsal import Rehearsal, RehearsalSettings

    display = make_display(sys.stdout)

    async def drill() -> None:
        async with Rehearsal(
            RehearsalSettings(directory, residents=1, ordering=ordering), display
        ) as rehearsal:
            await act(rehearsal)

    with display.running():
        return carry_out(drill)


if __name__ == "__main__":
    main()
