"""The command `sento-drill bench-catch-up`: how many records a second a fresh site proves and keeps on one core, and what the chunks for it cost another.

The drill makes an order of records as ministries make them, sealed, signed and full to the limit of a submission; the node's own program applies it and then
catches up with it again and again, each time in a new directory (`sento_node/sync/measuring.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import click

from sento_client.testing.world import Numbers, World, build_world, derived
from sento_proto.block import Lane, sign_block
from sento_proto.checkpoint import Checkpoint, cosign, encode_checkpoint, sign_note
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.limits import SUBMISSION_RECORDS_MAX_BYTES
from sento_proto.merkle import Frontier
from sento_proto.record import Record
from sento_proto.sealing import seal_record
from sento_proto.submission import sign_submission
from sento_proto.wire import sized32, u8

FORMAT = "sento-bench-catch-up-1"
SITES = ("jp-fukuoka", "jp-ishikawa", "jp-ibaraki")
AUTHOR, REGISTRY = "iizuka-city", "residency"
CHECKPOINT_RECORDS = 1_000
CONTENT_BYTES = {"2 KB": 1_900, "1 KB": 900}
"""Content by the size class that it is padded to; a payload is 80 bytes longer."""
GOAL_PER_S = 20_000
EPOCH = 0
"""A ledger's first."""
_BLOCK, _NOTE = 1, 2
_TIMEOUT_S = 7_200.0


@click.command("bench-catch-up")
@click.option("--records", type=click.IntRange(1_000, 10_000_000), default=100_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Of each size.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("/var/tmp"),  # noqa: S108 - a directory with a name of its own is made in it
    show_default=True,
    help="The ledgers are kept in a new directory in here, which goes away. Name a disk, not memory.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("bench-catch-up.json"),
    show_default=True,
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the JSON instead of words; progress goes to stderr."
)
def bench_catch_up_command(records: int, rounds: int, directory: Path, output: Path, as_json: bool) -> None:
    """Measure how fast a fresh site catches up, everything verified, on one core, with payloads of 2 KB and of 1 KB.

    \b
    For a short look:  sento-drill bench-catch-up --records 20000 --rounds 3

    Medians of rounds. "CPU" leaves out waiting for the disk and for other programs; what the network takes is measured by bench-sync.
    """
    from sento_drill.bench.machine import describe

    with tempfile.TemporaryDirectory(prefix="sento-catch-up-", dir=directory) as made:
        document: dict[str, object] = {
            "format": FORMAT,
            "machine": describe(Path(made), None),
            "settings": {"records": records, "rounds": rounds, "goal_records_per_s": GOAL_PER_S},
        }
        document |= measure(records, rounds, Path(made), lambda words: click.echo(words, err=True))
    output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        click.echo("\n".join(words(document)))
        click.echo(f"Everything: {output}")


def measure(records: int, rounds: int, directory: Path, tell: Callable[[str], None]) -> dict[str, object]:
    """All rounds of each size, and their medians. Raises CalledProcessError."""
    runs: dict[str, list[dict[str, float]]] = {}
    world = build_world(
        "sento-catch-up",
        sites=SITES,
        authors={AUTHOR: ((REGISTRY, ""),)},
        readers={},
        registries=("governance", "keys", REGISTRY),
    )
    genesis = directory / "genesis.json"
    genesis.write_bytes(world.genesis_bytes)
    for size, content_bytes in CONTENT_BYTES.items():
        place = directory / size.replace(" ", "-")
        place.mkdir()
        order = place / "order"
        tell(f"making {records:,} records of {size}, not counted")
        with order.open("wb") as file:
            file.writelines(order_of(world, records, content_bytes))
        tell(f"catching up with them, {rounds} times")
        command = [sys.executable, "-m", "sento_node.sync.measuring", str(genesis), str(order), str(place)]
        said = subprocess.run(
            [*command, str(rounds)], stdout=subprocess.PIPE, text=True, check=True, timeout=_TIMEOUT_S
        )
        runs[size] = [json.loads(line) for line in said.stdout.splitlines()]
    medians = {
        size: {name: round(median(run[name] for run in found), 2) for name in found[0]}
        for size, found in runs.items()
    }
    return {"runs": runs, "medians": medians}


def order_of(world: World, records: int, content_bytes: int) -> Iterator[bytes]:
    """The order as the node's program reads it: blocks of one full submission, a quorum's checkpoint after each 1,000 records and at the end."""
    numbers, frontier, covered, seq = Numbers(records), Frontier(), 0, 0
    waiting: list[Record] = []
    waiting_bytes = 0

    def block() -> bytes:
        nonlocal seq, waiting, waiting_bytes
        seq += 1
        submission = sign_submission(world.ledger_id, waiting, world.author_signers[AUTHOR])
        frontier.extend([record.record_hash for record in waiting])
        waiting, waiting_bytes = [], 0
        lane = Lane(SITES[0], 1, 0)
        data = sign_block(world.ledger_id, EPOCH, lane, seq, [submission], world.site_signers[SITES[0]])
        return u8(_BLOCK) + sized32(data)

    for _ in range(records):
        record = _record(world, numbers, content_bytes)
        size_bytes = 8 + len(record.header_bytes) + len(record.payload)
        if waiting_bytes + size_bytes > SUBMISSION_RECORDS_MAX_BYTES:
            yield block()
            if frontier.size - covered >= CHECKPOINT_RECORDS:
                yield _checkpoint(world, frontier)
                covered = frontier.size
        waiting.append(record)
        waiting_bytes += size_bytes
    yield block()
    yield _checkpoint(world, frontier)


def _record(world: World, numbers: Numbers, content_bytes: int) -> Record:
    header = Header(
        record_id=numbers.record_id(),
        author_key_id=world.key_id(AUTHOR),
        time_ms=numbers.next_time_ms(),
        key_epoch=1,
        payload_bytes=0,
        subject=numbers.take(32),
        fact=numbers.take(16),
        previous=ZERO32,
        group=ZERO16,
        dek_commit=ZERO32,
        registry=REGISTRY,
        compartment="",
        kind="residence/move-in",
    )
    content = numbers.take(content_bytes)
    return seal_record(header, content, dek=numbers.take(32), kek=derived("catch-up", "kek"))


def _checkpoint(world: World, frontier: Frontier) -> bytes:
    bare = Checkpoint(world.ledger_id, EPOCH, frontier.size, frontier.root())
    lines = [sign_note(bare, SITES[0], world.site_signers[SITES[0]])]
    lines += [cosign(bare, site, world.site_signers[site], 1_767_225_600) for site in SITES[:2]]
    return u8(_NOTE) + sized32(encode_checkpoint(bare._replace(signatures=tuple(lines))))


def words(document: dict[str, object]) -> list[str]:
    """The medians for people."""
    told = []
    medians = document["medians"]
    assert isinstance(medians, dict)
    for size, found in medians.items():
        reached = "reached" if found["records_per_cpu_s"] >= GOAL_PER_S else "not reached"
        rates = f"{found['records_per_cpu_s']:,.0f} records a second of one core ({found['records_per_s']:,.0f} by the wall)"
        took = f"decode {found['decode_us']}, adopt {found['adopt_us']}, commit {found['commit_us']}"
        making = f"spine {found['spine_us']}, payloads {found['payloads_us']}"
        told.append(f"Payloads of {size}: {rates}; the goal of {GOAL_PER_S:,} is {reached}.")
        told.append(f"  microseconds a record: {took}; to make them: {making}.")
        told.append(f"  An Ed25519 signature took {found['ed25519_verify_us']} us to verify meanwhile.")
    return told
