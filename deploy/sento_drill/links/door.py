"""A door into a network namespace: ports of loopback here lead to the same ports of loopback in there, past the link.

    python -m sento_drill.links.door '{"namespace": "/proc/…/fd/5", "ports": [7101, 7103]}'

A socket belongs to the namespace in which it was made: this process listens first and enters then, so that it accepts out here and dials in there. Through it
a drill asks a site how it is without a byte on the link that is measured. Prints one line when it is open, and ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from functools import partial

from sento_drill.links.namespaces import enter_at
from sento_drill.links.splicing import splice
from sento_drill.ports import LOOPBACK


async def _pass(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        there = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        # Nobody listens in there yet: whoever knocked learns it by the closed connection, as it would without a door.
        writer.close()
        return
    await splice((reader, writer), there)


async def serve(listening: dict[int, socket.socket]) -> None:
    """Pass connections until standard input ends."""
    servers = [
        await asyncio.start_server(partial(_pass, port), sock=held) for port, held in listening.items()
    ]
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for server in servers:
        server.close()


def main(arguments: list[str]) -> None:
    """Listen here, enter, serve. Raises OSError when a port is taken or the namespace is gone."""
    settings = json.loads(arguments[0])
    listening = {port: socket.create_server((LOOPBACK, port)) for port in settings["ports"]}
    enter_at(settings["namespace"])
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(listening))


if __name__ == "__main__":
    main(sys.argv[1:])
