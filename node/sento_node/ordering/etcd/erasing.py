"""`OrderingEraser` on etcd: compaction that is waited for, filler that costs no database, and the member's files.

Filler is a transaction under a condition that never holds: etcd writes it into every member's write-ahead log, finds at applying that nothing is to be
done, and its database does not grow. 5,600 entries of 12 KiB fill a write-ahead file of 64 MB and a snapshot follows within 500 entries, so that the
member gives the files before free. History is forgotten at a revision of this site's own making: a compaction that another site asked for first would
not be waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sento_node.ordering.erasing import FILLER_ROUND
from sento_node.ordering.etcd import write_ahead
from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.client import EtcdClient
from sento_node.ordering.etcd.deadline import Deadline
from sento_node.ordering.etcd.errors import HistoryForgotten
from sento_node.ordering.etcd.keys import WATCH_RANGE

FILLER_BYTES: Final = 12 * 1024
FILLERS_AT_ONCE: Final = 8
MARK_PREFIX: Final = b"/erasing/"
"""Outside of the range that followers watch."""
_FILLER_KEY: Final = b"/filler"
_BLOCKS_FROM: Final = b"/log/"


class EtcdEraser:
    """The files under `data_dir`, and the member that listens at `target`."""

    def __init__(self, target: str, data_dir: Path, *, expected_cluster_id: int = 0) -> None:
        self._client = EtcdClient(target, expected_cluster_id=expected_cluster_id)
        self._data_dir = data_dir

    async def holds_blocks(self, through_revision: int, *, timeout_ms: int) -> bool:
        """See `OrderingEraser.holds_blocks`."""
        request = pb.RangeRequest(key=_BLOCKS_FROM, range_end=WATCH_RANGE[1], keys_only=True)
        answer = await self._client.range("look for erased blocks", request, timeout_ms=timeout_ms)
        return any(kv.mod_revision <= through_revision for kv in answer.kvs)

    async def forget_history(self, mark: str, *, timeout_ms: int) -> None:
        """See `OrderingEraser.forget_history`."""
        deadline = Deadline(timeout_ms)
        put = pb.PutRequest(key=MARK_PREFIX + mark.encode("ascii"), value=b"")
        while True:
            marked = await self._client.txn(
                "mark an erasure",
                pb.TxnRequest(success=[pb.RequestOp(request_put=put)]),
                timeout_ms=deadline.left_ms,
            )
            request = pb.CompactionRequest(revision=marked.header.revision, physical=True)
            try:
                await self._client.compact("forget history", request, timeout_ms=deadline.left_ms)
            except HistoryForgotten:
                continue  # another site went further in between, and its compaction is not waited for
            return

    def write_ahead_files(self) -> frozenset[str]:
        """See `OrderingEraser.write_ahead_files`."""
        return frozenset(write_ahead.wal_files(self._data_dir))

    async def write_filler(self, *, timeout_ms: int) -> None:
        """See `OrderingEraser.write_filler`."""
        deadline = Deadline(timeout_ms)
        never = pb.Compare(key=_FILLER_KEY, target=pb.Compare.VERSION, result=pb.Compare.LESS, version=0)
        put = pb.PutRequest(key=_FILLER_KEY, value=bytes(FILLER_BYTES))
        request = pb.TxnRequest(compare=[never], success=[pb.RequestOp(request_put=put)])
        left = iter(range(FILLER_ROUND))

        async def write(share: Iterator[int]) -> None:
            for _ in share:
                await self._client.txn("write filler", request, timeout_ms=deadline.left_ms)

        await asyncio.gather(*(write(left) for _ in range(FILLERS_AT_ONCE)))

    def remove_released(self) -> None:
        """See `OrderingEraser.remove_released`."""
        write_ahead.remove_released(self._data_dir)

    async def rewrite_database(self, *, timeout_ms: int) -> None:
        """See `OrderingEraser.rewrite_database`."""
        await self._client.defragment(timeout_ms=timeout_ms)

    async def close(self) -> None:
        """Give the channel back."""
        await self._client.close()
