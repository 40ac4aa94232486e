"""The command `sento-drill bench-sync`: a day of residence events of all Japan copied to a fresh embassy over the links that are left when cables are cut."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sento_drill.bench.copying.arriving import Arrived, Run
    from sento_drill.bench.copying.source import Source

FORMAT = "sento-bench-sync-1"
RATIO_GOAL = 1.20
LOW_ORBIT_GOAL_S = 180.0
DAY = 67_000
NAMES = ("low-orbit", "geostationary", "telephone")

DIRECTORY = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("/var/tmp"),  # noqa: S108 - a directory with a name of its own is made in it
    show_default=True,
    help="Everything is kept in a new directory in here, which goes away.",
)
KEEP = click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Keep the filled source in this directory, and use the one that is there.",
)


@click.command("bench-sync")
@click.option("--records", type=click.IntRange(100, 10_000_000), default=DAY, show_default=True)
@click.option(
    "--only", "names", multiple=True, type=click.Choice(NAMES), help="This link only; may be repeated."
)
@click.option("--relay", is_flag=True, help="Relay bytes, also where packets are possible.")
@DIRECTORY
@KEEP
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("bench-sync.json"),
    show_default=True,
    help="Where all figures are written; the table comes beside it as .md.",
)
def bench_sync_command(
    records: int, names: tuple[str, ...], relay: bool, directory: Path, keep: Path | None, output: Path
) -> None:
    """Copy a day of residence events to a fresh embassy: the whole over 13.5 Mbit/s, 45 ms, 1 % loss, and over 2.5 Mbit/s, 650 ms; headers alone over
    64 kbit/s.

    \b
    The last takes most of an hour for 67,000 records. For a short look:
        sento-drill bench-sync --records 2000 --only low-orbit

    Bytes are what the link counted, both directions and what was lost included. With root the link carries real packets between network namespaces and
    TCP feels the loss; without, or with --relay, TCP connections are relayed late and slowly, and the result says so. Exit code 1: a goal was missed or
    a run failed.
    """
    from sento_drill.bench.machine import describe

    document: dict[str, object] = {
        "format": FORMAT,
        "machine": describe(directory, None),
        "goals": {"bytes_ratio": RATIO_GOAL, "low_orbit_s": LOW_ORBIT_GOAL_S},
    }
    with place_of_work(directory, keep, "sento-bench-sync-") as base:
        arrived, trouble = _measure(base, records, names or NAMES, not relay, say, document)
    document |= {"runs": [each.fields() for each in arrived], "trouble": trouble}
    output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    table = markdown(arrived)
    output.with_suffix(".md").write_text(table, encoding="utf-8")
    click.echo(table, nl=False)
    missed = [words for each in arrived for words in missed_goals(each)]
    for problem in (*trouble, *missed):
        click.echo(f"sento-drill: {problem}", err=True)
    sys.exit(1 if trouble or missed else 0)


def runs(names: Sequence[str]) -> list[Run]:
    """What is measured, by the names of the links."""
    from sento_drill.bench.copying.arriving import SPINE, WHOLE, Run
    from sento_drill.links.figures import LINKS

    what = {
        "low-orbit": (WHOLE, LOW_ORBIT_GOAL_S),
        "geostationary": (WHOLE, None),
        "telephone": (SPINE, None),
    }
    return [Run(name, LINKS[name], *what[name]) for name in NAMES if name in names]


def missed_goals(arrived: Arrived) -> list[str]:
    """In words: bytes, and the time where one was promised. The time is promised for a day."""
    missed = []
    if arrived.ratio > RATIO_GOAL:
        missed.append(
            f"{arrived.run.link}: {arrived.ratio:.2f} bytes on the link for each needed, at most {RATIO_GOAL}"
        )
    if arrived.run.goal_s is not None and arrived.seconds > arrived.run.goal_s:
        missed.append(f"{arrived.run.link}: {arrived.seconds:.0f} s, at most {arrived.run.goal_s:.0f}")
    return missed


def markdown(arrived: Sequence[Arrived]) -> str:
    """The table."""
    from sento_drill.links.figures import in_words
    from sento_drill.links.link import PACKETS

    lines = [
        "| link | what | time | records/s | bytes on the link / needed | link |",
        "|---|---|---|---|---|---|",
    ]
    for each in arrived:
        kind = "packets, TCP feels the loss" if each.kind == PACKETS else "relayed bytes"
        lines.append(
            f"| {in_words(each.run.shape)} | {each.run.what}, {each.records:,} records | {each.seconds:,.1f} s "
            f"| {each.records / each.seconds:,.0f} | {each.ratio:.3f} ({each.link_bytes / 1e6:,.1f} MB) | {kind} |"
        )
    return "\n".join(lines) + "\n"


def say(words: str) -> None:
    """A line of progress."""
    click.echo(f"  {words}", err=True)


@contextmanager
def place_of_work(directory: Path, keep: Path | None, prefix: str) -> Iterator[Path]:
    """Where a bench works: the directory that is kept, or one that goes away."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix=prefix, dir=directory) as base:
        yield Path(base)


def _measure(
    base: Path,
    records: int,
    names: Sequence[str],
    packets: bool,
    say: Callable[[str], None],
    document: dict[str, object],
) -> tuple[list[Arrived], list[str]]:
    """One run after the other; what failed is told, and the others go on."""
    from dataclasses import asdict

    from sento_client import SentoError, SetupError
    from sento_drill.bench.calls import LoadFailed
    from sento_drill.bench.copying.arriving import copy_over
    from sento_drill.bench.copying.day import events
    from sento_drill.bench.copying.source import make_source, open_source
    from sento_drill.links.link import NoLink
    from sento_drill.links.namespaces import CONGESTION, why_impossible
    from sento_drill.waiting import TooLate
    from sento_drill.world import NoWorld

    failures = (LoadFailed, NoLink, TooLate, NoWorld, SentoError, SetupError, OSError)
    arrived: list[Arrived] = []
    trouble: list[str] = []

    async def filled() -> Source:
        source = open_source(base)
        if source is None:
            click.echo(f"Writing {records:,} events at one site:", err=True)
            source = await make_source(base, events(records), packets=None if packets else False, tell=say)
        return source

    try:
        source = asyncio.run(filled())
    except failures as error:
        return [], [f"source: {error}"]
    document["source"] = asdict(source.written)
    document["tcp"] = CONGESTION
    document["no_packets_because"] = "asked for" if not packets else why_impossible()
    for run in runs(names):
        click.echo(f"{run.link}, {run.what}:", err=True)
        before = os.getloadavg()[0]
        try:
            found = asyncio.run(copy_over(source, run, say))
        except failures as error:
            trouble.append(f"{run.link}: {error}")
            continue
        say(f"{found.seconds:.1f} s, {found.ratio:.3f} bytes for each needed; load {before:.1f} before")
        arrived.append(found)
    return arrived, trouble
