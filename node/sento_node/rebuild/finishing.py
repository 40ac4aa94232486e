"""The end of a rebuild: every other site has said what it remembers of this one, the ledger holds it all, and so this site answers and cosigns again.

An announcement of this life is repeated to whoever has not answered yet: its answer names the largest size that this site's cosignature is kept under. It
may be more than what those that answered remember, so nothing is vouched for before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from sento_node.boot_keeper import announce
from sento_node.compose import REBUILDING, remember_whole
from sento_node.condition import Condition
from sento_node.ledger.store import LedgerDamaged, LedgerStore
from sento_node.peers import Peers
from sento_node.rebuild.deciding import Rebuild
from sento_node.site import Site
from sento_proto.checkpoint import SiteKeys
from sento_proto.v1 import sync_pb2

LOOK_EVERY_MS = 200


def _proven() -> str:
    return ""


async def finish(
    rebuild: Rebuild,
    site: Site,
    store: LedgerStore,
    peers: Peers,
    request: sync_pb2.AnnounceBootRequest,
    keys: SiteKeys,
    condition: Condition,
    in_writer: Callable[[Callable[[], None]], Awaitable[None]],
    unproven: Callable[[], str] = _proven,
) -> None:
    """Ask and look until the ledger is whole. `request` announces this life, which is confirmed already; `keys`: this site's own; `unproven`: why the whole
    ledger is not the one that was to be copied, "" when it is. Raises LedgerFailed, LedgerDamaged."""
    while True:
        silent = {name: peer for name, peer in peers.items() if name not in rebuild.told}
        answers, _ = await announce(silent, request, keys)
        for name, memory in answers.items():
            rebuild.heard(name, memory.cosigned_size)
        site.checkpoints.raise_floor(rebuild.floor_size)
        if condition.rebuilding is not None:
            condition.rebuilding.target_size = rebuild.floor_size
        others = set(site.state.governance.receipt_set.sites) - {request.site}
        current = condition.state == "serving" and site.current_since_ms is not None
        if rebuild.is_whole(site.flushed_size, current=current, others=others):
            break
        condition.explanation = _words(rebuild, others)
        await asyncio.sleep(LOOK_EVERY_MS / 1000)
    if why := unproven():
        raise LedgerDamaged(why)
    await in_writer(lambda: remember_whole(store, rebuild))
    site.checkpoints.hold_back(REBUILDING, on=False)
    condition.rebuilding = None
    condition.explanation = "The site takes part and answers."
    structlog.get_logger("sento.node").warning(
        "the ledger is whole again", size=site.flushed_size, floor=rebuild.floor_size
    )


def _words(rebuild: Rebuild, others: set[str]) -> str:
    if not rebuild.copied:
        return "Another site's ledger is being copied."
    silent = sorted(others - rebuild.told)
    if silent:
        return f"It waits to hear from {', '.join(silent)} what was cosigned here; start that site, or let officers take it out of the receipt set."
    return "It reads the order of the blocks that came since."
