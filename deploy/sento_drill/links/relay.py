"""The process that is a link where packets cannot be made: it relays TCP connections between two sites and holds their bytes back as the shape says.

    python -m sento_drill.links.relay '{"there": {...}, "back": {...}, "ports": [[4001, 7101, "back"], [4002, 7111, "there"]], "seed": 1}'

Each triple is the port it listens on, the port it dials, and the direction that bytes from the dialled side take. Bytes are counted as the packets that would
carry them. A packet that would be lost holds its connection up for one retransmission time-out and is sent once more. What this does not show: TCP that slows
down after loss, hand-shakes, acknowledgements. Where root is at hand `forwarder.py` shows them, and a result says which of the two was used.

Source: RFC 6298 (retransmission time-out; the least of 200 ms is Linux's).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from sento_drill.links.shaping import Counters, Direction, Shape
from sento_drill.ports import LOOPBACK

SEGMENT_BYTES = 1448
"""What a packet of 1,500 bytes carries of a TCP stream with time stamps."""
HEADERS_BYTES = 52
_LEAST_TIMEOUT_MS = 200.0
_AHEAD_SEGMENTS = 4096
"""How much of a connection may be under way: what TCP's window would allow on a long link."""

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class ByteDirection:
    """One direction, shared by all connections. A full queue makes senders wait, as TCP's would learn to."""

    def __init__(self, shape: Shape, dice: random.Random) -> None:
        self._shape = shape
        self._lossless = Direction(Shape(shape.rate_bits_per_s, shape.delay_ms, 0.0, float("inf")))
        self._dice = dice
        self._lost = Counters()

    @property
    def counters(self) -> Counters:
        """Segments with what would be their headers."""
        seen = Counters(lost_packets=self._lost.lost_packets, lost_bytes=self._lost.lost_bytes)
        seen.add(self._lossless.counters)
        return seen

    def due_s(self, now_s: float, data_bytes: int) -> float:
        """When a segment that enters now is out at the other end, with the time-outs of those sendings that were lost."""
        size_bytes = data_bytes + HEADERS_BYTES
        due_s = self._send(now_s, size_bytes)
        while self._dice.random() < self._shape.loss:
            self._lost.lost_packets += 1
            self._lost.lost_bytes += size_bytes
            timeout_ms = max(_LEAST_TIMEOUT_MS, 2 * self._shape.round_trip_ms)
            due_s = max(self._send(now_s, size_bytes), due_s + timeout_ms / 1000)
        return due_s

    def _send(self, now_s: float, size_bytes: int) -> float:
        due_s = self._lossless.offer(now_s, size_bytes, 1.0)
        assert due_s is not None, "nothing is lost or refused by a queue without end"
        return due_s


async def shape(one: asyncio.StreamReader, other: asyncio.StreamWriter, direction: ByteDirection) -> None:
    """Carry one direction of one connection to its end."""
    clock = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_AHEAD_SEGMENTS)

    async def deliver() -> None:
        while True:
            due_s, data = await under_way.get()
            await asyncio.sleep(due_s - clock())
            if not data:
                return
            other.write(data)
            await other.drain()

    async def take() -> None:
        latest_s = 0.0
        with contextlib.suppress(ConnectionError):
            while data := await one.read(SEGMENT_BYTES):
                # Bytes of one connection arrive in order: one that is late makes those behind it late.
                latest_s = max(latest_s, direction.due_s(clock(), len(data)))
                await under_way.put((latest_s, data))
        await under_way.put((latest_s, b""))

    with contextlib.suppress(ConnectionError):
        await asyncio.gather(take(), deliver())
    with contextlib.suppress(OSError, RuntimeError):
        other.write_eof()


async def serve(ports: list[list[object]], directions: dict[str, ByteDirection]) -> None:
    """Relay until standard input ends; answer each line of it with the counters."""
    opposite = {"there": "back", "back": "there"}

    def relaying(dialled: int, coming: str) -> Connected:
        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                there: Ends = await asyncio.open_connection(LOOPBACK, dialled)
            except OSError:
                # Nobody listens there yet: the closed connection says so, as a refused one would.
                writer.close()
                return
            try:
                await asyncio.gather(
                    shape(reader, there[1], directions[opposite[coming]]),
                    shape(there[0], writer, directions[coming]),
                )
            finally:
                writer.close()
                there[1].close()

        return relay

    servers = [
        await asyncio.start_server(relaying(int(str(dialled)), str(coming)), LOOPBACK, int(str(listening)))
        for listening, dialled, coming in ports
    ]
    print(json.dumps({"namespaces": []}), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        counters = {name: asdict(direction.counters) for name, direction in directions.items()}
        print(json.dumps(counters), flush=True)
    for server in servers:
        server.close()


def main(arguments: list[str]) -> None:
    """Relay as the settings say. Raises OSError when a port is taken."""
    settings = json.loads(arguments[0])
    dice = random.Random(settings["seed"])  # noqa: S311 - what is lost is no secret and is the same again
    directions = {name: ByteDirection(Shape(**settings[name]), dice) for name in ("there", "back")}
    asyncio.run(serve(settings["ports"], directions))


if __name__ == "__main__":
    main(sys.argv[1:])
