"""The command `sento-drill bench-proofs`: its options, the parts one after the other, and the files at the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sento_drill.bench.proofs.document import ProofsDocument
    from sento_drill.bench.proofs.parts import Part
    from sento_drill.bench.proofs.sizes import Sizes

NAMES = ("receipts", "verify", "latency", "export", "reads", "scrub", "scrub-cost", "erasure")


@click.command("bench-proofs")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("/var/tmp"),  # noqa: S108 - a directory with a name of its own is made in it
    show_default=True,
    help="Everything is kept in a new directory in here, which goes away. Name a disk, not memory.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("bench-proofs.json"),
    show_default=True,
    help="Where all figures are written; the tables come beside it as .md.",
)
@click.option(
    "--only", "names", multiple=True, type=click.Choice(NAMES), help="This part only; may be repeated."
)
@click.option("--quick", is_flag=True, help="So little that every part has just run: some minutes.")
def bench_proofs_command(directory: Path, output: Path, names: tuple[str, ...], quick: bool) -> None:
    """Measure proofs: receipts, verifying, from write to receipt, export, ways to read, the scrub and what it costs, erasure.

    \b
    About twenty minutes on two cores. For a short look:
        sento-drill bench-proofs --quick --only latency

    Progress goes to stderr, the tables to stdout. Every part says the machine's load average before and after it: where it is above the number of cores, others
    were there too, and ratios and CPU seconds say more than the clock. Exit code 1: a part failed, and the files say why.
    """
    from sento_drill.bench.machine import describe
    from sento_drill.bench.proofs.document import ProofsDocument
    from sento_drill.bench.proofs.sizes import FULL, QUICK

    sizes = QUICK if quick else FULL
    document = ProofsDocument(quick, describe(directory, None), sizes.fields())
    chosen = [part for part in all_parts() if not names or part.name in names]
    try:
        _measure_all(document, chosen, directory, sizes, lambda: document.save(output))
        document.complete = not names and not document.trouble
    except KeyboardInterrupt:
        document.trouble.append("interrupted")
    document.save(output)
    click.echo(document.markdown(), nl=False)
    click.echo(f"Everything: {output}", err=True)
    for problem in document.trouble:
        click.echo(f"sento-drill: {problem}", err=True)
    sys.exit(1 if document.trouble else 0)


def all_parts() -> list[Part]:
    """The parts in their order, by name as in `NAMES`."""
    from sento_drill.bench.proofs.erasing import measure_erasure
    from sento_drill.bench.proofs.exporting import measure_exporting
    from sento_drill.bench.proofs.parts import Part
    from sento_drill.bench.proofs.reading import measure_reading
    from sento_drill.bench.proofs.receipt_latency import measure_latency
    from sento_drill.bench.proofs.receipts_alone import measure_receipts
    from sento_drill.bench.proofs.scrub_cost import measure_scrub_cost
    from sento_drill.bench.proofs.scrub_speed import measure_scrub
    from sento_drill.bench.proofs.verifying import measure_verifying

    return [
        Part("receipts", "Receipts in a client, without sites", measure_receipts),
        Part("verify", "Verifying receipts", measure_verifying),
        Part("latency", "From write to stored receipt, three sites", measure_latency),
        Part("export", "Exported ledgers", measure_exporting),
        Part("reads", "Ways to read, and the cost of a release", measure_reading),
        Part("scrub", "The scrub", measure_scrub),
        Part("scrub-cost", "What the scrub costs writers", measure_scrub_cost),
        Part("erasure", "Erasure from end to end, three sites", measure_erasure),
    ]


def _measure_all(
    document: ProofsDocument,
    parts: Sequence[Part],
    above: Path,
    sizes: Sizes,
    save: Callable[[], None],
) -> None:
    """One part after the other; what failed is written down, and the others go on."""
    from sento_client import SentoError, SetupError
    from sento_drill.bench.calls import LoadFailed
    from sento_drill.bench.proofs.document import Measured
    from sento_drill.bench.proofs.parts import Place
    from sento_drill.waiting import TooLate
    from sento_drill.world import NoWorld

    base = Path(tempfile.mkdtemp(prefix="sento-bench-proofs-", dir=above))
    try:
        for part in parts:
            click.echo(f"{part.title}:", err=True)
            directory = base / part.name
            directory.mkdir()
            place = Place(directory, sizes, lambda words: click.echo(f"  {words}", err=True))
            load_before, began_s = os.getloadavg()[0], time.monotonic()
            try:
                # asyncio's own loop: uvloop forks for every program, which gRPC complains of.
                found = asyncio.run(part.measure(place))
            except (LoadFailed, TooLate, NoWorld, SentoError, SetupError, OSError) as error:
                document.trouble.append(f"{part.name}: {error}")
                click.echo(f"  failed: {error}", err=True)
            else:
                took_s = time.monotonic() - began_s
                document.parts.append(Measured(part, found, load_before, os.getloadavg()[0], took_s))
            shutil.rmtree(directory, ignore_errors=True)
            save()
    finally:
        shutil.rmtree(base, ignore_errors=True)
