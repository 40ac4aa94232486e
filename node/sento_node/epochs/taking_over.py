"""What a plan takes over again, read from the ledgers that this site set aside, in a thread of its own: a list may be long, and the site goes on meanwhile.

An epoch's ledger may have been set aside more than once, after a second fork from one parent: what the newest does not hold is looked for in the older ones.
The ledgers are only read. An erasure may have taken segments from them on purpose, and what is left is still wanted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from sento_node.epochs.orphans import FormerLedger, Readmitted, submissions_again
from sento_node.epochs.places import EpochPlaces
from sento_node.ledger.lmdb_files import database_directory
from sento_node.ledger.set_aside_reading import reading_set_aside
from sento_proto.epoch_plan import EpochPlan

HELD_NOWHERE = "No ledger that this site set aside holds it."


def ledgers_set_aside(data_dir: Path, epoch: int) -> list[Path]:
    """The directories of the epoch's ledgers that were set aside, the first one first."""
    first = EpochPlaces(data_dir).orphans(epoch)
    found = [
        path for path in data_dir.glob(f"{first.name}*") if (database_directory(path) / "data.mdb").exists()
    ]
    return sorted(found, key=lambda path: (len(path.name), path.name))


async def taken_over(data_dir: Path, plan: EpochPlan) -> AsyncGenerator[Readmitted]:
    """Each submission of the plan's list, once; nothing where the site set no ledger of the former epoch aside. Raises LedgerFailed."""
    paths = ledgers_set_aside(data_dir, plan.parent.epoch) if plan.readmit else []
    if not paths:
        return
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "take-over") as thread:
        stack = ExitStack()
        try:
            ledgers = await loop.run_in_executor(thread, _opened, stack, paths[::-1], plan.ledger_id)
            found = _submissions(ledgers, plan)
            while (item := await loop.run_in_executor(thread, next, found, None)) is not None:
                yield item
        finally:
            await loop.run_in_executor(thread, stack.close)


def _opened(stack: ExitStack, paths: Sequence[Path], ledger_id: bytes) -> list[FormerLedger]:
    return [stack.enter_context(reading_set_aside(path, ledger_id)) for path in paths]


def _submissions(newest_first: Sequence[FormerLedger], plan: EpochPlan) -> Iterator[Readmitted]:
    left = list(plan.readmit)
    for ledger in newest_first:
        held = [one for one in left if ledger.position_of_hash(one) is not None]
        yield from submissions_again(ledger, plan.ledger_id, held, plan.parent.size)
        found = frozenset(held)
        left = [one for one in left if one not in found]
    for record_hash in left:
        yield Readmitted((record_hash,), b"", HELD_NOWHERE)
