"""A cluster on one machine: a world's sites as real processes, asked how they stand over the same RPC that operators use.

Starting, killing and pausing are done to processes; what came of it is asked of the sites, never assumed. Everything that waits has a deadline and says
what it waited for, with the end of the log of the site concerned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType

import grpc

from sento_drill.processes import RUN, SiteProcesses, node_command
from sento_drill.waiting import TooLate, until
from sento_drill.world import SiteFiles, World
from sento_proto.identity import server_name
from sento_proto.v1 import admin_pb2, admin_pb2_grpc

SERVING = "serving"
STATUS_TIMEOUT_S = 1.0
CONNECT_TIMEOUT_MS = 5_000
"""How long a busy machine may take for TLS; gRPC names this by its other meaning, the shortest time between two attempts."""
START_DEADLINE_S = 60.0
STANDING_BATCH = 1_000
CATCH_UP_DEADLINE_S = 120.0

Status = admin_pb2.StatusReply
Statuses = Mapping[str, Status | None]
"""Site -> what it says of itself, or None when it does not answer."""


class LocalCluster:
    """The sites of a world on this machine. With `bound`, no site outlives this process.

    `inside`: site -> what goes in front of its node's command (`sento_drill.links`)."""

    def __init__(
        self, world: World, *, bound: bool = True, inside: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.world = world
        self.processes = self.processes_of(world, bound=bound, inside=inside)
        self._channels = {site.name: self._dial(site) for site in world.sites}

    @staticmethod
    def processes_of(
        world: World, *, bound: bool, inside: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, SiteProcesses]:
        """Control over each site's processes, running or not."""
        in_front = inside or {}
        commands = {
            site.name: [*in_front.get(site.name, ()), *node_command(site.config)] for site in world.sites
        }
        return {
            site.name: SiteProcesses(site.name, site.directory, commands[site.name], bound=bound)
            for site in world.sites
        }

    async def __aenter__(self) -> LocalCluster:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; sites go on."""
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))

    def start_all(self) -> None:
        """Start every site that does not run."""
        for processes in self.processes.values():
            if processes.node() is None:
                processes.start()

    def start(self, site: str, verb: str = RUN) -> None:
        """Start one site; `verb`: another command of its node that goes on into running."""
        self.processes[site].start(verb)

    def kill_site(self, site: str) -> None:
        """kill -9 for the site's node and ordering member together."""
        self.processes[site].kill()

    async def end_all(self) -> None:
        """Stop every site, kill what does not stop, and leave no process behind."""
        ends = (asyncio.to_thread(processes.end) for processes in self.processes.values())
        await asyncio.gather(*ends)

    async def status(self, site: str) -> Status | None:
        """What one site says, or None when it does not answer within a second."""
        stub = admin_pb2_grpc.AdminStub(self._channels[site])
        try:
            return await stub.Status(admin_pb2.StatusRequest(), timeout=STATUS_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return None

    async def stand(self, site: str, record_hashes: Sequence[bytes]) -> int:
        """How many of these records stand at a site. Raises grpc.aio.AioRpcError."""
        stub = admin_pb2_grpc.AdminStub(self._channels[site])
        count = 0
        for start in range(0, len(record_hashes), STANDING_BATCH):
            batch = record_hashes[start : start + STANDING_BATCH]
            request = admin_pb2.StandingRequest(record_hashes=batch)
            reply = await stub.Standing(request, timeout=CONNECT_TIMEOUT_MS / 1000)
            count += sum(place.stands for place in reply.places)
        return count

    async def statuses(self) -> Statuses:
        """What all sites say, asked at the same time."""
        names = list(self._channels)
        return dict(zip(names, await asyncio.gather(*map(self.status, names)), strict=True))

    async def wait_serving(self, *sites: str, deadline_s: float = START_DEADLINE_S) -> None:
        """Wait until these sites (all, if none is named) serve. Raises TooLate with what the others say."""
        names = sites or tuple(self.processes)

        async def all_serve() -> bool:
            self._check_running(names)
            answers = await self._ask(names)
            return all(status is not None and status.state == SERVING for status in answers)

        try:
            await until(all_serve, deadline_s=deadline_s, what="not every site serves")
        except TooLate as error:
            raise TooLate(f"{error}\n{await self.explain(names)}") from None

    async def lead_site(self, *, deadline_s: float = START_DEADLINE_S) -> str:
        """The site that leads now, when the sites that answer agree on one and it says so itself. Raises TooLate."""

        async def agreed() -> str | None:
            answers = [status for status in (await self.statuses()).values() if status is not None]
            leads = {status.site for status in answers if status.is_lead}
            named = {status.lead_site for status in answers}
            return leads.pop() if len(leads) == 1 and named == leads else None

        return await until(agreed, deadline_s=deadline_s, what="the sites do not agree on who leads")

    async def wait_caught_up(self, site: str, *, deadline_s: float = CATCH_UP_DEADLINE_S) -> int:
        """Wait until `site` serves and has flushed all that the others had flushed when this was called. Returns that size."""
        others = [status for name, status in (await self.statuses()).items() if name != site]
        goal = max((status.flushed_size for status in others if status is not None), default=0)

        async def caught_up() -> bool:
            self._check_running((site,))
            status = await self.status(site)
            return status is not None and status.state == SERVING and status.flushed_size >= goal

        try:
            await until(caught_up, deadline_s=deadline_s, what=f"{site} has not caught up to {goal} records")
        except TooLate as error:
            raise TooLate(f"{error}\n{await self.explain((site,))}") from None
        return goal

    async def explain(self, sites: tuple[str, ...] = ()) -> str:
        """For an error: what these sites (all, if none is named) say, and the end of the log of each that does not serve."""
        sites = sites or tuple(self.processes)
        lines: list[str] = []
        for name, status in zip(sites, await self._ask(sites), strict=True):
            lines.append(f"{name}: {status.state}: {status.explanation}" if status else f"{name}: no answer")
            if status is None or status.state != SERVING:
                lines.append(self.processes[name].log_tail())
        return "\n".join(lines)

    async def _ask(self, sites: tuple[str, ...]) -> list[Status | None]:
        return list(await asyncio.gather(*map(self.status, sites)))

    def _check_running(self, sites: tuple[str, ...]) -> None:
        for site in sites:
            processes = self.processes[site]
            if processes.node() is None:
                raise TooLate(f"{site} ended by itself; the end of its log:\n{processes.log_tail()}")

    def _dial(self, site: SiteFiles) -> grpc.aio.Channel:
        operator = self.world.operator
        credentials = grpc.ssl_channel_credentials(
            operator.ca.read_bytes(), operator.key.read_bytes(), operator.certificate.read_bytes()
        )
        options = [
            ("grpc.ssl_target_name_override", server_name(site.name)),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", CONNECT_TIMEOUT_MS),
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        return grpc.aio.secure_channel(site.address, credentials, options=options)
