"""Endless writing: the ordering log must stay as large as it was after its first 10,000 blocks, in memory and on disk.

A log that keeps a little of every block is full one day, and then nobody can write. So full blocks are written on and on, and what each ordering member
holds in memory and in its directory is read from outside: from /proc and from the file system, not from what it says of itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sento_drill import procfs
from sento_drill.bench.works import drafts
from sento_drill.plan import IIZUKA_CITY
from sento_drill.rehearsal import Rehearsal

GROWTH_ALLOWED = 1.25
"""Largest of later samples against the largest until the log had settled: write-ahead segments come and go in steps."""
CALLERS = 8
BATCH = 160
"""Records of a call: enough for several full blocks."""
SAMPLE_EVERY_BLOCKS = 500


@dataclass(frozen=True, slots=True)
class Sample:
    """What the largest ordering member held when the log had come to that block."""

    block: int
    resident_bytes: int
    disk_bytes: int

    def line(self) -> str:
        """For people and programs."""
        return (
            f"soak: block={self.block} resident_mib={self.resident_bytes / 2**20:.0f} "
            f"disk_mib={self.disk_bytes / 2**20:.0f}"
        )


def is_flat(samples: Sequence[Sample], settled_block: int) -> bool:
    """Whether neither memory nor disk grew after the log had settled. Without samples on both sides nothing was shown."""
    before = [sample for sample in samples if sample.block <= settled_block]
    after = [sample for sample in samples if sample.block > settled_block]
    if not before or not after:
        return False
    return all(
        max(map(size, after)) <= GROWTH_ALLOWED * max(map(size, before)) for size in (_resident, _disk)
    )


def _resident(sample: Sample) -> int:
    return sample.resident_bytes


def _disk(sample: Sample) -> int:
    return sample.disk_bytes


async def soak(drill: Rehearsal, blocks: int) -> list[Sample]:
    """Write until the log has come to that block, with a sample every 500 blocks."""
    client = drill.offices[IIZUKA_CITY.name]
    source = drafts()
    samples: list[Sample] = []
    done = asyncio.Event()

    async def caller() -> None:
        while not done.is_set():
            await client.write_many([next(source) for _ in range(BATCH)])

    start_s = time.monotonic()
    drill.stage("writing full blocks", blocks, lambda: samples[-1].block if samples else 0)
    writing = asyncio.gather(*(caller() for _ in range(CALLERS)))
    try:
        while not samples or samples[-1].block < blocks:
            block = await _ordered_block(drill)
            if block >= (samples[-1].block if samples else 0) + SAMPLE_EVERY_BLOCKS:
                samples.append(Sample(block, *await asyncio.to_thread(_largest_member, drill)))
                drill.display.say(f"{samples[-1].line()} after {time.monotonic() - start_s:.0f} s")
            elif writing.done():
                break
            await asyncio.sleep(0.2)
    finally:
        done.set()
        await writing
    return samples


async def _ordered_block(drill: Rehearsal) -> int:
    statuses = (await drill.cluster.statuses()).values()
    return max((status.ordered_block for status in statuses if status is not None), default=0)


def _largest_member(drill: Rehearsal) -> tuple[int, int]:
    """Resident memory and directory size of the largest member, each in bytes."""
    resident, disk = [0], [0]
    for processes in drill.cluster.processes.values():
        member = processes.member()
        if member is not None:
            resident.append(procfs.resident_bytes(member) or 0)
        disk += [
            _size_of(directory) for directory in processes.directory.rglob("member") if directory.is_dir()
        ]
    return max(resident), max(disk)


def _size_of(directory: Path) -> int:
    """Blocks really taken on disk; a file that goes away meanwhile counts as nothing."""
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total
