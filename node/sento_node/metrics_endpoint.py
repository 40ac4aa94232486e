"""Where Prometheus asks: one page over plain HTTP, served by the node's own event loop.

The loop serves it, and not a thread beside it, for three reasons. What is read belongs to the loop's thread, so nothing is half changed while it is read.
A node whose loop hangs must not look well to a thread that still answers. And connections are bounded here, in number and in time: someone who opens a
hundred and says nothing costs nothing.

Plain HTTP is enough because the page holds counts, sizes and names of sites, and takes no orders. Whoever reaches it learns how busy a site is: that is why
it has an address of its own, to be bound to the network of the monitoring.

Source: RFC 9112 (HTTP/1.1), as far as one method and one page need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

PATH = "/metrics"
REQUEST_MAX_BYTES = 8 * 1024
REQUEST_TIMEOUT_S = 5.0
"""From the connection to the last byte of the answer."""
CONNECTIONS_MAX = 16


class MetricsEndpoint:
    """A listening endpoint; `open` makes one, `close` ends it with all its connections."""

    def __init__(self, render: Callable[[], Awaitable[bytes]]) -> None:
        self._render = render
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[object]] = set()

    @classmethod
    async def open(cls, address: str, render: Callable[[], Awaitable[bytes]]) -> MetricsEndpoint:
        """Listen on host:port; `render` makes the page. Raises OSError when that cannot be listened on."""
        endpoint = cls(render)
        host, _, port = address.rpartition(":")
        endpoint._server = await asyncio.start_server(
            endpoint._serve, host.strip("[]"), int(port), limit=REQUEST_MAX_BYTES
        )
        return endpoint

    async def close(self) -> None:
        """Take nothing more and end what is open."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._serving) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._serving.add(task)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                writer.write(await self._answer(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # who asks too slowly, too long or goes away asks again
        finally:
            writer.transport.abort()
            self._serving.discard(task)

    async def _answer(self, request: bytes) -> bytes:
        """The whole response to a request's head."""
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method != b"GET":
            return _response("405 Method Not Allowed", b"Only GET.\n", more="Allow: GET\r\n")
        if path != PATH.encode():
            return _response("404 Not Found", f"Metrics are at {PATH}.\n".encode())
        try:
            page = await self._render()
        except Exception:  # noqa: BLE001 - the boundary: a page that cannot be made says so, and the node goes on
            structlog.get_logger("sento.node").exception("the metrics could not be read")
            return _response("500 Internal Server Error", b"The node could not read its metrics.\n")
        return _response("200 OK", page, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _response(
    status: str, body: bytes, *, content_type: str = "text/plain; charset=utf-8", more: str = ""
) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    return head.encode("ascii") + body
