"""The process that is a link of packets: it holds two network namespaces and carries IP packets between them as the shape says.

    python -m sento_drill.links.forwarder '{"there": {...}, "back": {...}, "addresses": ["10.77.0.1", "10.77.0.2"], "seed": 1}'

The first line it prints names the namespaces; afterwards each line it reads is answered with its counters as one line of JSON. It ends when its input does.
What TCP makes of loss, delay and a full queue is the kernel's own doing, as over a real link.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import select
import sys
import time
from dataclasses import asdict

from sento_drill.links.namespaces import MTU_BYTES, make_namespace, open_tun
from sento_drill.links.shaping import Direction, Shape

_LONGEST_WAIT_S = 0.5
_PACKETS_A_TURN = 32


class Forwarder:
    """Two ends; what enters at one leaves at the other. `dice` draws what is lost."""

    def __init__(self, ends: tuple[int, int], shapes: tuple[Shape, Shape], dice: random.Random) -> None:
        self._other = {ends[0]: ends[1], ends[1]: ends[0]}
        self.directions = {ends[0]: Direction(shapes[0]), ends[1]: Direction(shapes[1])}
        self._dice = dice
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._taken = 0

    def wait_s(self, now_s: float) -> float:
        """How long nothing has to be delivered."""
        return (
            min(_LONGEST_WAIT_S, max(0.0, self._under_way[0][0] - now_s))
            if self._under_way
            else _LONGEST_WAIT_S
        )

    def take(self, end: int, now_s: float) -> None:
        """Read what waits at an end."""
        for _ in range(_PACKETS_A_TURN):
            try:
                packet = os.read(end, MTU_BYTES)
            except BlockingIOError:
                return
            if packet[0] >> 4 != 4:
                # The kernel looks for IPv6 neighbours of its own accord; nobody on this link speaks it.
                continue
            due_s = self.directions[end].offer(now_s, len(packet), self._dice.random())
            if due_s is not None:
                self._taken += 1
                heapq.heappush(self._under_way, (due_s, self._taken, self._other[end], packet))

    def deliver(self, now_s: float) -> None:
        """Write out what is due."""
        while self._under_way and self._under_way[0][0] <= now_s:
            _, _, end, packet = heapq.heappop(self._under_way)
            os.write(end, packet)


def run(forwarder: Forwarder, ends: tuple[int, int]) -> None:
    """Forward until standard input ends; answer each line of it with the counters."""
    poll = select.epoll()
    control = sys.stdin.fileno()
    for descriptor in (*ends, control):
        poll.register(descriptor, select.EPOLLIN)
    while True:
        for descriptor, _ in poll.poll(forwarder.wait_s(time.monotonic())):
            if descriptor != control:
                forwarder.take(descriptor, time.monotonic())
            elif os.read(control, 4096):
                counters = [asdict(forwarder.directions[end].counters) for end in ends]
                print(json.dumps(dict(zip(("there", "back"), counters, strict=True))), flush=True)
            else:
                return
        forwarder.deliver(time.monotonic())


def main(arguments: list[str]) -> None:
    """Make both namespaces, say where they are, forward. Raises OSError when the kernel refuses."""
    settings = json.loads(arguments[0])
    namespaces = [make_namespace() for _ in range(2)]
    there, back = (
        open_tun(namespace, address)
        for namespace, address in zip(namespaces, settings["addresses"], strict=True)
    )
    shapes = Shape(**settings["there"]), Shape(**settings["back"])
    dice = random.Random(settings["seed"])  # noqa: S311 - what is lost is no secret and is the same again
    print(
        json.dumps({"namespaces": [f"/proc/{os.getpid()}/fd/{namespace}" for namespace in namespaces]}),
        flush=True,
    )
    run(Forwarder((there, back), shapes, dice), (there, back))


if __name__ == "__main__":
    main(sys.argv[1:])
