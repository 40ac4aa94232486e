"""The other sites that this node can reach: those of node.toml, which win, those of a bootstrap file, and those whose address governance tells.

A site that an act enrolled is reached without anybody editing a file; one whose address an act changed is dialled there from then on, by whoever holds its
`PeerNode`; one that was retired leaves the book. Iterating it is safe while it changes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import structlog

from sento_node.config import NodeConfig, Peer
from sento_node.peer_watch import watch_peer
from sento_node.peers import PeerNode
from sento_node.service.node_state import NodeState

LOOK_EVERY_MS = 1_000


class Reached(NamedTuple):
    """Where somebody says that a site is reached; empty: not said."""

    name: str
    address: str
    ordering_url: str


class PeerBook(Mapping[str, PeerNode]):
    """Other sites by name."""

    def __init__(self, config: NodeConfig) -> None:
        self._own = config.site
        self._tls = config.tls
        self._fixed = {peer.name for peer in config.peers}
        self._peers = {peer.name: PeerNode(peer, config.tls) for peer in config.peers}
        self._addresses = {peer.name: peer.address for peer in config.peers}
        self._gone: list[PeerNode] = []

    def __getitem__(self, name: str) -> PeerNode:
        return self._peers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._peers))

    def __len__(self) -> int:
        return len(self._peers)

    async def follow(self, sites: Iterable[Reached], *, whole: bool = True) -> list[str]:
        """Take over what is said of the other sites; the names that are new. `whole`: who is not among them and not in node.toml is no site any more."""
        told = {site.name: site for site in sites if site.name != self._own}
        new: list[str] = []
        for name, site in told.items():
            if name in self._fixed or not site.address:
                continue
            if name not in self._peers:
                self._peers[name] = PeerNode(_peer(site), self._tls)
                new.append(name)
            elif self._addresses[name] != site.address:
                await self._peers[name].move_to(_peer(site))
            self._addresses[name] = site.address
        if whole:
            for name in [name for name in self._peers if name not in self._fixed and name not in told]:
                self._gone.append(self._peers.pop(name))
        return new

    async def close(self) -> None:
        """Give all channels back."""
        for peer in (*self._peers.values(), *self._gone):
            await peer.close()


def _peer(site: Reached) -> Peer:
    return Peer(name=site.name, address=site.address, ordering_peer_url=site.ordering_url or None)


async def keep_book(node: NodeState, book: PeerBook) -> None:
    """For ever: what governance says of the other sites goes into the book, and whoever is new there is watched like the others."""
    log = structlog.get_logger("sento.node").bind(site=node.config.site)
    known = None
    async with asyncio.TaskGroup() as group:
        while True:
            sites = node.governance.sites
            joins = node.condition.rebuilding is not None
            if sites is not known:
                known = sites
                said = [Reached(site.name, site.address, site.ordering_url) for site in sites.values()]
                for name in await book.follow(said, whole=not joins):
                    log.info("another site is known by governance", peer=name)
                    group.create_task(_watched(node, book, name), name=f"watch-{name}")
            await asyncio.sleep(LOOK_EVERY_MS / 1000)


async def _watched(node: NodeState, book: PeerBook, name: str) -> None:
    """Watch the site for as long as it is in the book."""
    watching = asyncio.create_task(watch_peer(node, book[name]))
    try:
        while name in book:
            done, _ = await asyncio.wait({watching}, timeout=LOOK_EVERY_MS / 1000)
            for ended in done:
                ended.result()
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
