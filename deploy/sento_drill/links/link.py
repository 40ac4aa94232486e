"""A link between two sites, from the drill's side: made, asked for its counters, ended by its process id.

Of packets where this machine allows it, of relayed bytes elsewhere. `LinkPlace.kind` says which, because the two do not show the same: only over packets
does TCP itself feel the loss.

    place = place_link(("jp-fukuoka", "lu-betzdorf"), ports)
    world = make_world(..., ports=place.ports)
    with open_link(place, Shape(...)) as link, LocalCluster(world, inside=link.inside) as cluster:
        ...
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from sento_drill.links.inside import inside_command
from sento_drill.links.namespaces import why_impossible
from sento_drill.links.shaping import Counters, Shape
from sento_drill.ports import SitePorts, free_ports

ADDRESSES = ("10.77.0.1", "10.77.0.2")
PACKETS, RELAY = "packets", "relay"
_END_DEADLINE_S = 5.0


class NoLink(Exception):
    """The process that is to be a link did not begin; the text says what it said."""


class Helper:
    """A process of ours that answers lines with lines and ends when nobody holds its input any more."""

    def __init__(self, module: str, settings: Mapping[str, object]) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """Its next line. Raises NoLink when it ended instead."""
        assert self._process.stdout is not None, "made with a pipe"
        line = self._process.stdout.readline()
        if not line:
            _, said = self._process.communicate(timeout=_END_DEADLINE_S)
            raise NoLink(f"{self._module} ended: {said.strip()[-400:]}")
        return line

    def ask(self) -> str:
        """Send it an empty line; what it answers. Raises NoLink when it ended."""
        assert self._process.stdin is not None, "made with a pipe"
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # `line` tells what it said before it ended
        return self.line()

    def end(self) -> None:
        """Close its input and wait for it; kill it when that does not help."""
        try:
            self._process.communicate(timeout=_END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


@dataclass(frozen=True, slots=True)
class LinkPlace:
    """Where a link is to be made: between two sites that listen on `ports`, which say too where each of them finds the other."""

    kind: str
    sites: tuple[str, str]
    ports: Mapping[str, SitePorts]


@dataclass(frozen=True, slots=True)
class Link:
    """A link at work. `there` is from the first site to the second. `inside`: site -> what goes in front of its node's command."""

    place: LinkPlace
    shape: Shape
    inside: Mapping[str, Sequence[str]]
    _helper: Helper = field(repr=False)

    def counters(self) -> tuple[Counters, Counters]:
        """There and back, since the link was made. Raises NoLink when its process ended."""
        counted = json.loads(self._helper.ask())
        return Counters(**counted["there"]), Counters(**counted["back"])


def place_link(
    sites: tuple[str, str], ports: Mapping[str, SitePorts], *, packets: bool | None = None
) -> LinkPlace:
    """Before a world is made: its sites' ports, with where they will find each other. `packets`: None takes packets where they are possible."""
    if packets is None:
        packets = not why_impossible()
    if packets:
        hosts = dict(zip(sites, ADDRESSES, strict=True))
        return LinkPlace(PACKETS, sites, {site: replace(ports[site], host=hosts[site]) for site in sites})
    relays = dict(zip(sites, free_ports(2), strict=True))
    found = {site: replace(ports[site], peer_port=relays[site].listen) for site in sites}
    return LinkPlace(RELAY, sites, found)


@contextlib.contextmanager
def open_link(place: LinkPlace, shape: Shape, *, seed: int = 1) -> Iterator[Link]:
    """A link of this shape in both directions. Raises NoLink when its process does not begin."""
    opened = _packet_link if place.kind == PACKETS else _relayed
    with opened(place, shape, seed) as link:
        yield link


@contextlib.contextmanager
def _packet_link(place: LinkPlace, shape: Shape, seed: int) -> Iterator[Link]:
    hosts = [place.ports[site].host for site in place.sites]
    settings = {"there": asdict(shape), "back": asdict(shape), "addresses": hosts, "seed": seed}
    with _helper("sento_drill.links.forwarder", settings) as forwarder, contextlib.ExitStack() as doors:
        namespaces: list[str] = json.loads(forwarder.line())["namespaces"]
        inside = {site: inside_command(path) for site, path in zip(place.sites, namespaces, strict=True)}
        for site, namespace in zip(place.sites, namespaces, strict=True):
            listening = [place.ports[site].listen, place.ports[site].metrics]
            door = {"namespace": namespace, "ports": listening}
            doors.enter_context(_helper("sento_drill.links.door", door)).line()
        yield Link(place, shape, inside, forwarder)


@contextlib.contextmanager
def _relayed(place: LinkPlace, shape: Shape, seed: int) -> Iterator[Link]:
    first, second = (place.ports[site] for site in place.sites)
    triples = [(first.peer_port, first.listen, "there"), (second.peer_port, second.listen, "back")]
    settings = {"there": asdict(shape), "back": asdict(shape), "ports": triples, "seed": seed}
    with _helper("sento_drill.links.relay", settings) as relay:
        relay.line()
        yield Link(place, shape, {}, relay)


@contextlib.contextmanager
def _helper(module: str, settings: Mapping[str, object]) -> Iterator[Helper]:
    helper = Helper(module, settings)
    try:
        yield helper
    finally:
        helper.end()
