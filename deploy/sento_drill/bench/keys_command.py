"""The command `sento-drill bench-keys`: how fast KEKs are sealed, opened, sealed again for a new reader, and unlocked; with the machine it was measured on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import click

FORMAT = "sento-bench-keys-1"


@click.command("bench-keys")
@click.option(
    "--keks",
    type=click.IntRange(100, 10_000_000),
    default=100_000,
    show_default=True,
    help="How many KEKs are sealed again and unlocked.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=None,
    help="Beside one process, measure with so many (default: one for each core).",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("/var/tmp"),  # noqa: S108 - only the flush latency of the machine line is measured there
    show_default=True,
    help="On whose disk the machine line is measured.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("bench-keys.json"),
    show_default=True,
)
def bench_keys_command(keks: int, processes: int | None, directory: Path, output: Path) -> None:
    """Measure the work on KEKs: seals and openings a second of one core (X-Wing, P-256), and the time for 100,000 KEKs to be sealed to one new reader
    and to be unlocked with the recovery key.

    It is processor time of clients alone: what the ledger takes for the records with the seals comes on top (`sento-drill bench`).
    """
    from sento_drill.bench.machine import describe

    several = processes or os.cpu_count() or 1
    document: dict[str, object] = {"format": FORMAT, "machine": describe(directory, None)}
    document |= measure(keks, several, lambda words: click.echo(words, err=True))
    output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    click.echo(json.dumps({key: document[key] for key in ("rates", "reseal", "unlock")}, indent=1))
    click.echo(f"Everything: {output}")


def measure(keks: int, several: int, tell: Callable[[str], None], round_s: float = 1.0) -> dict[str, object]:
    """All figures. `several`: processes beside one; `tell`: progress."""
    from sento_drill.bench.kek_work import Workers, rates_per_s, reseal, unlock
    from sento_proto.kek_seal import XWING_SECRET_BYTES, xwing_public

    tell("rates of one core")
    rates = rates_per_s(round_s)
    secret, reader = os.urandom(XWING_SECRET_BYTES), xwing_public(os.urandom(XWING_SECRET_BYTES))
    workers = Workers(several)
    try:
        tell(f"making {keks:,} KEKs with their authors' seals, not counted")
        standing = list(workers.make(keks, secret))
        tell("sealing them to a new reader, in one process")
        resealed = {"keks": keks, **_timed("one_process", keks, lambda: reseal(standing, secret, reader))}
        tell(f"the same in {several} processes")
        resealed |= _timed("processes", keks, lambda: workers.reseal(standing, secret, reader))
        tell("unlocking them, in one process")
        unlocked = {"keks": keks, **_timed("one_process", keks, lambda: unlock(standing, secret, 1))}
        tell(f"the same in {several} processes, started anew")
        unlocked |= _timed("processes", keks, lambda: unlock(standing, secret, several))
    finally:
        workers.close()
    return {"settings": {"processes": several}, "rates": rates, "reseal": resealed, "unlock": unlocked}


def _timed(name: str, count: int, work: Callable[[], int]) -> dict[str, float]:
    start_s = time.perf_counter()
    done = work()
    took_s = time.perf_counter() - start_s
    if done != count:
        raise RuntimeError(f"{done} of {count} were done")
    return {f"{name}_s": round(took_s, 2), f"{name}_per_s": round(count / took_s)}
