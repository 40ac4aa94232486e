"""What a node answers on its address: the services, health, and reflection, from before it takes part until it has stopped.

The services answer as soon as the ledger is open: another site's boot may wait for this one. Health says `serving` only while the node does.
"""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from sento_node import bounds, tls
from sento_node.service.admin_service import AdminService
from sento_node.service.governance_service import GovernanceService
from sento_node.service.no_ledger import NoLedgerHere
from sento_node.service.node_state import NodeState
from sento_node.service.refusals import Refusals
from sento_node.service.registry_service import RegistryService
from sento_node.service.sync_service import SyncService
from sento_proto.v1 import (
    admin_pb2,
    client_pb2,
    governance_pb2,
    governance_pb2_grpc,
    sync_pb2,
    sync_pb2_grpc,
)
from sento_proto.v1.admin_pb2_grpc import add_AdminServicer_to_server
from sento_proto.v1.client_pb2_grpc import add_RegistryServicer_to_server

STOP_GRACE_S = 1.0
HEALTH_EVERY_S = 0.2
_SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (client_pb2, "Registry"),
        (admin_pb2, "Admin"),
        (governance_pb2, "Governance"),
        (sync_pb2, "Sync"),
    )
)


class CannotListen(Exception):
    """The node's address is taken or not ours. The text is one sentence of cause and one of remedy."""


class Services:
    """The server of one node. Made anywhere, used on one running event loop."""

    def __init__(
        self,
        node: NodeState,
        certificates: tls.ServerCertificates,
        *,
        has_ledger: bool = True,
        for_sites: bool = True,
    ) -> None:
        """`for_sites`: whether other sites are answered too; a ledger that is only looked at confirms no boot and gives nothing to copy."""
        self._node = node
        self._for_sites = for_sites
        self._has_ledger = has_ledger
        self._certificates = certificates
        self._health = health.aio.HealthServicer()
        self._server: grpc.aio.Server | None = None

    async def listen(self) -> None:
        """Answer from now on. Raises CannotListen."""
        node = self._node
        server = grpc.aio.server(
            interceptors=[
                Refusals(node.tallies, node.clock.wall_ms),
                *([] if self._has_ledger else [NoLedgerHere()]),
            ],
            options=bounds.SERVER_OPTIONS,
        )
        add_RegistryServicer_to_server(RegistryService(node), server)
        add_AdminServicer_to_server(AdminService(node), server)
        governance_pb2_grpc.add_GovernanceServicer_to_server(GovernanceService(node), server)
        if self._for_sites:
            sync_pb2_grpc.add_SyncServicer_to_server(SyncService(node), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server
        )
        address = node.config.listen.address
        try:
            server.add_secure_port(address, self._certificates.credentials())
        except RuntimeError as error:
            raise cannot_listen("listen.address", address) from error
        await self.say(serving=False)
        await server.start()
        self._server = server
        log = structlog.get_logger("sento.node").bind(site=node.config.site)
        log.info("listening", address=address, ledger=node.genesis.name)

    async def stop(self) -> None:
        """Answer nothing new, and end."""
        if self._server is not None:
            await self._server.stop(STOP_GRACE_S)

    async def say(self, *, serving: bool) -> None:
        """What health says from now on."""
        state = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *_SERVICES):
            await self._health.set(name, state)

    async def keep_saying(self) -> None:
        """Keep health at what the node's state is, until cancelled."""
        while True:
            await self.say(serving=self._node.condition.shown_state == "serving")
            await asyncio.sleep(HEALTH_EVERY_S)


def cannot_listen(setting: str, address: str) -> CannotListen:
    """The error for an address that a setting names."""
    return CannotListen(
        f"{setting}: {address} cannot be listened on, because another program does or the address is not this machine's. "
        "Find and stop that program, or change the address."
    )
