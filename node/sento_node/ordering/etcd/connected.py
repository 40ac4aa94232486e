"""Which other members the node's own member has a live connection to, by its metrics: whether a former member still runs is seen by who talks to it.

etcd serves its metrics on the member's client socket too, over HTTP/1.1; `etcd_network_active_peers` has one line for each peer, 1 while its connection is
up. Source: etcd 3.4 to 3.6, `rafthttp/metrics.go`.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

REPLY_BYTES_MAX: Final = 4 * 1024 * 1024
_LINE: Final = re.compile(
    rb'^etcd_network_active_peers\{Local="[0-9a-f]+",Remote="([0-9a-f]+)"\} ([0-9.e+]+)$', re.MULTILINE
)
_REQUEST: Final = b"GET /metrics HTTP/1.1\r\nHost: member\r\nAccept: text/plain\r\nConnection: close\r\n\r\n"


class MetricsSilent(Exception):
    """The member gave no metrics; the text says why, as a clause."""


async def connected_members(target: str, *, timeout_ms: int) -> frozenset[int]:
    """Ids of the members that the one behind `target` (`unix:<path>`) is connected to now. Raises MetricsSilent."""
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            page = await _page(target.removeprefix("unix:"))
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise MetricsSilent(f"it gave no metrics ({type(error).__name__})") from error
    if not page.startswith(b"HTTP/1.1 200"):
        raise MetricsSilent("it refused its metrics")
    return frozenset(int(remote, 16) for remote, up in _LINE.findall(page) if float(up) > 0)


async def _page(path: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(_REQUEST)
        await writer.drain()
        data = bytearray()
        while piece := await reader.read(65_536):
            data += piece
            if len(data) > REPLY_BYTES_MAX:
                raise MetricsSilent("its metrics are without end")
        return bytes(data)
    finally:
        writer.close()
