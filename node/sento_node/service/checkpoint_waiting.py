"""The kept checkpoint that a caller wants: of at least a size, cosigned by a site of its choice, waited for.

A quorum's word comes first and a far site's cosignature a moment later, added to the same checkpoint. So whoever needs a copy abroad names the sites that
will do, and waits; what is kept is looked at again whenever it may have changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sento_node import bounds
from sento_node.ledger.store import KeptCheckpoint, LedgerStore
from sento_node.service.freshness import require_reads
from sento_node.service.node_state import NodeState
from sento_proto.checkpoint import SiteKeys, cosignature_of, decode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import client_pb2

WAIT_MAX_MS = 30_000
LOOK_EVERY_MS = 50
LOOKED_THROUGH = 64
"""Checkpoints from the wanted size on that are looked through for a cosignature; a far site that signed none of so many is away."""
SITES_MAX = 32


class CheckpointWaiting:
    """Answers `Registry.Checkpoint`."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._waiting = 0

    async def find(self, request: client_pb2.CheckpointRequest) -> KeptCheckpoint:
        """The checkpoint. Raises SentoError: NOT_FOUND when there is none in time, QUEUE_FULL, BAD_REQUEST."""
        keys = self._keys(request.cosigned_by)
        if request.wait_ms > WAIT_MAX_MS:
            raise SentoError(Code.BAD_REQUEST, f"wait_ms is at most {WAIT_MAX_MS}")
        seen: dict[bytes, bool] = {}
        found = self._find(request.at_least_size, keys, seen)
        if found is None and request.wait_ms:
            found = await self._wait(request, keys, seen)
        if found is None:
            by = f" that {' or '.join(keys)} cosigned" if keys else ""
            raise SentoError(Code.NOT_FOUND, f"no quorum checkpoint of that size{by} yet")
        return found

    async def _wait(
        self, request: client_pb2.CheckpointRequest, keys: dict[str, SiteKeys], seen: dict[bytes, bool]
    ) -> KeptCheckpoint | None:
        if self._waiting >= bounds.READS_WAITING_MAX:
            raise SentoError(Code.QUEUE_FULL)
        ends_ms = self._node.clock.now_ms() + request.wait_ms
        self._waiting += 1
        try:
            found = None
            while found is None and self._node.clock.now_ms() < ends_ms:
                await asyncio.sleep(LOOK_EVERY_MS / 1000)
                require_reads(self._node)
                found = self._find(request.at_least_size, keys, seen)
            return found
        finally:
            self._waiting -= 1

    def _keys(self, names: Sequence[str]) -> dict[str, SiteKeys]:
        known = self._node.governance.site_keys
        strange = [name for name in names if name not in known]
        if strange or len(names) > SITES_MAX:
            raise SentoError(Code.BAD_REQUEST, f"cosigned_by names at most {SITES_MAX} sites of this ledger")
        return {name: known[name] for name in names}

    def _find(
        self, at_least_size: int, keys: dict[str, SiteKeys], seen: dict[bytes, bool]
    ) -> KeptCheckpoint | None:
        if not keys:
            return self._node.store.checkpoint(at_least_size)
        for kept in _candidates(self._node.store, at_least_size):
            if kept.note not in seen:
                seen[kept.note] = _is_cosigned(kept, keys)
            if seen[kept.note]:
                return kept
        return None


def _candidates(store: LedgerStore, at_least_size: int) -> list[KeptCheckpoint]:
    """The newest first where no size is named; else from the named size on."""
    if not at_least_size:
        return store.newest_checkpoints(LOOKED_THROUGH)
    found: list[KeptCheckpoint] = []
    kept = store.checkpoint(at_least_size)
    while kept is not None and len(found) < LOOKED_THROUGH:
        found.append(kept)
        kept = store.checkpoint(kept.size + 1)
    return found


def _is_cosigned(kept: KeptCheckpoint, keys: dict[str, SiteKeys]) -> bool:
    note = decode_checkpoint(kept.note)
    return any(cosignature_of(note, note.signatures, name, known) is not None for name, known in keys.items())
