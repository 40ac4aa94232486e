"""Ports of a world: free ones by asking the OS, or fixed ones that a person can remember.

Free ports are taken outside of the range from which the kernel serves outgoing connections: a site that was killed must find its own ports free
when it comes back, although its clients opened a thousand connections in between.

Source: ip(7), ip_local_port_range.
"""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
ANYWHERE = "0.0.0.0"  # noqa: S104 - inside a network namespace of the site's own
_LOWEST_PORT = 10_000
_FEWEST_CANDIDATES = 2_000
_SITE_STRIDE = 10
_PORTS_A_SITE = 3
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass(frozen=True, slots=True)
class SitePorts:
    """Where one site listens: for gRPC, for other sites' ordering members, for monitoring.

    `host` and `peer_port` are where the other sites find its node, when a link stands between (`sento_drill.links`); clients always dial `listen` on
    loopback."""

    listen: int
    ordering_peer: int
    metrics: int
    host: str = LOOPBACK
    peer_port: int = 0

    @property
    def address(self) -> str:
        """host:port for gRPC, as clients dial it."""
        return f"{LOOPBACK}:{self.listen}"

    @property
    def listen_address(self) -> str:
        """host:port that the node listens on: loopback alone, unless other sites reach it elsewhere too."""
        return self.address if self.host == LOOPBACK else f"{ANYWHERE}:{self.listen}"

    @property
    def peer_address(self) -> str:
        """host:port for gRPC, as other sites dial it."""
        return f"{self.host}:{self.peer_port or self.listen}"

    @property
    def ordering_peer_url(self) -> str:
        """The URL that other members dial."""
        return f"https://{self.host}:{self.ordering_peer}"

    @property
    def metrics_address(self) -> str:
        """host:port of the metrics endpoint."""
        return f"{LOOPBACK}:{self.metrics}"


def fixed_ports(base_port: int, sites: int) -> tuple[SitePorts, ...]:
    """base + 1, + 2 and + 3 for the first site, ten more for each further one."""
    starts = (base_port + index * _SITE_STRIDE for index in range(sites))
    return tuple(SitePorts(start + 1, start + 2, start + 3) for start in starts)


def free_ports(sites: int) -> tuple[SitePorts, ...]:
    """Ports that nobody held a moment ago. Raises OSError when there are none."""
    with ExitStack() as held:
        ports = [_bind_somewhere(held) for _ in range(_PORTS_A_SITE * sites)]
    return tuple(SitePorts(*of_site) for of_site in zip(*[iter(ports)] * _PORTS_A_SITE, strict=True))


def _bind_somewhere(held: ExitStack) -> int:
    """Bind one port and hold it until `held` closes, so that it is not found twice."""
    highest = _first_ephemeral_port()
    candidates = highest - _LOWEST_PORT
    attempts = 100 if candidates >= _FEWEST_CANDIDATES else 0
    for _ in range(attempts):
        holder = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        port = _LOWEST_PORT + secrets.randbelow(candidates)
        try:
            holder.bind((LOOPBACK, port))
        except OSError:
            continue
        return port
    holder = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    holder.bind((LOOPBACK, 0))
    return int(holder.getsockname()[1])


def _first_ephemeral_port() -> int:
    try:
        return int(_RANGE_FILE.read_text(encoding="ascii").split()[0])
    except FileNotFoundError:
        return 0
