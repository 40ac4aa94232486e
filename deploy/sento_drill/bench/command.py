"""The command `sento-drill bench`: its options, its progress, and its tables at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import click

from sento_drill.config_files import OrderingSettings

PARTS = ("1x1", "64x1", "256x1", "8x100", "reads", "leader_kill", "sealing")
_WIDTH = 120
SIDES = ("sento", "etcd", "postgresql")


@click.command("bench")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("/var/tmp"),  # noqa: S108 - a directory with a name of its own is made in it
    show_default=True,
    help="All sides keep their data in a new directory in here, which goes away. Name a disk, not memory.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("bench.json"),
    show_default=True,
    help="Where all figures are written.",
)
@click.option("--pairs", type=click.IntRange(1, 100), default=5, show_default=True, help="Of each work.")
@click.option(
    "--seconds", type=click.FloatRange(0.5, 3600), default=4.0, show_default=True, help="Of each window."
)
@click.option(
    "--warm-up", type=click.FloatRange(0.0, 600), default=1.5, show_default=True, help="Seconds before it."
)
@click.option(
    "--kills", type=click.IntRange(1, 1000), default=10, show_default=True, help="Of a leader, each side."
)
@click.option(
    "--only", "parts", multiple=True, type=click.Choice(PARTS), help="This part only; may be repeated."
)
@click.option(
    "--side", "sides", multiple=True, type=click.Choice(SIDES), help="This side only; may be repeated."
)
@click.option(
    "--lanes", type=click.IntRange(1, 32), default=4, show_default=True, help="Of our ordering log."
)
@click.option(
    "--block-kib", type=click.IntRange(64, 256), default=64, show_default=True, help="Of our blocks."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print bench.json instead of tables; progress goes to stderr."
)
def bench_command(
    directory: Path,
    output: Path,
    pairs: int,
    seconds: float,
    warm_up: float,
    kills: int,
    parts: tuple[str, ...],
    sides: tuple[str, ...],
    lanes: int,
    block_kib: int,
    as_json: bool,
) -> None:
    """Measure this registry, etcd and PostgreSQL in turns on this machine, and write bench.json.

    \b
    Works: 1, 64 and 256 callers of single records of 1 KiB, 8 callers with batches of 100; three servers each, flushing on.
    Then point reads, kill -9 of the leader, and sealing. About twenty minutes; for a short look:
        sento-drill bench --pairs 1 --seconds 2 --kills 1 --only 64x1

    A peer that is not installed is skipped, and bench.json says so. Exit code 1: something failed, bench.json has what was measured before.
    """
    from rich.console import Console

    from sento_drill.bench.document import Document
    from sento_drill.bench.measuring import Bench, BenchSettings
    from sento_drill.bench.works import Timing
    from sento_drill.display import make_display

    settings = BenchSettings(
        above=directory,
        output=output,
        pairs=pairs,
        timing=Timing(warm_up, seconds),
        kills=kills,
        parts=parts or PARTS,
        sides=sides or SIDES,
        ordering=OrderingSettings(lanes=lanes, block_kib=block_kib),
    )
    document = Document()
    display = make_display(sys.stderr if as_json else sys.stdout)
    with display.running():
        document.trouble += _carry_out(Bench(settings, display, document).run)
    document.save(output)
    if as_json:
        click.echo(document.text(), nl=False)
    else:
        console = Console()
        Console(width=None if console.is_terminal else _WIDTH).print(document.tables())
        click.echo(f"Everything: {output}")
    for problem in document.trouble:
        click.echo(f"sento-drill: {problem}", err=True)
    sys.exit(1 if document.trouble else 0)


def _carry_out(run: Callable[[], Coroutine[None, None, None]]) -> list[str]:
    """Run to the end; what stopped it comes back in words."""
    import asyncio

    from sento_client import SentoError, SetupError
    from sento_drill.bench.calls import LoadFailed
    from sento_drill.waiting import TooLate
    from sento_drill.world import NoWorld

    try:
        asyncio.run(run())  # uvloop forks for every program, which gRPC complains of; asyncio does not
    except (LoadFailed, TooLate, NoWorld, SentoError, SetupError, OSError) as error:
        return [str(error)]
    except KeyboardInterrupt:
        return ["interrupted"]
    return []
