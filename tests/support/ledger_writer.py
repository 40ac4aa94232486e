"""A process that commits for ever, to be killed: run as a program with a ledger directory and a seed.

After each commit it says `<block> <size>` on a line of its own: what it said was flushed before it was said.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

from genesis_builder import build_genesis
from ledger_driver import LedgerDriver
from sento_client.testing.world import Numbers
from sento_node.ledger.lmdb_store import LmdbStore

SEGMENT_MAX_BYTES = 30_000


def main() -> None:
    """Open the ledger and commit batches of 1 to 3 blocks of 1 to 12 records."""
    directory, seed = Path(sys.argv[1]), int(sys.argv[2])
    chance = random.Random(seed)
    world = replace(build_genesis(), numbers=Numbers(seed))
    store = LmdbStore.open(directory, world.ledger_id, segment_max_bytes=SEGMENT_MAX_BYTES)
    driver = LedgerDriver(world, store)
    while True:
        for _ in range(chance.randint(1, 3)):
            driver.fill(chance.randint(1, 12), prefix=f"{driver.state.block}", content=b"content")
        driver.flush()
        sys.stdout.write(f"{store.tip.block} {store.tip.size}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
