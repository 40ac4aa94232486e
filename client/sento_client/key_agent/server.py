"""The key agent as a process: its client, its log and its certificates put together, started, and stopped in order.

It refuses to start, in words, when anything is not as configured; and it serves nobody whom the ledger, asked anew for each call, does not name.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import grpc.aio

from sento_client.asker import Terms
from sento_client.client import SentoClient
from sento_client.key_agent.config import AgentConfig
from sento_client.key_agent.servicer import KeyAgentServicer
from sento_client.key_agent.used_pairs import LogDamaged, used_pairs
from sento_client.keyring import Keyring
from sento_client.opening import open_installation
from sento_client.recovery.standing import KekScope
from sento_client.results import Freshness
from sento_client.serving.call_log import CallLog
from sento_client.serving.log_files import LogUnusable, log_lines
from sento_client.serving.saying import dialled, wall_clock
from sento_client.serving.tls import ServerCertificates
from sento_client.setup_errors import Setup, SetupError
from sento_client.trust import Trust
from sento_proto.identity import Identity
from sento_proto.limits import GRPC_MESSAGE_MAX_BYTES
from sento_proto.v1 import key_agent_pb2_grpc

STOP_GRACE_S = 5.0
KEK_TIMEOUT_MS = 5_000
_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", GRPC_MESSAGE_MAX_BYTES),
    ("grpc.max_concurrent_streams", 64),
]


class CannotServe(Exception):
    """The agent did not start. The text says what is in the way."""


class ClientLedger:
    """The agent's own client, as its servicer needs it."""

    def __init__(self, client: SentoClient, keyring: Keyring) -> None:
        self._client = client
        self._keyring = keyring

    async def trust(self) -> Trust:
        """Every act that stands: a reader whose rights ended is refused here, also where the site that answers is behind.

        It costs nobody an answer: what is unwrapped needs an access record under a fresh quorum checkpoint, which a site that is cut off has not either."""
        return Trust.of(await self._client.governance(freshness=Freshness.LINEARIZABLE))

    async def kek(self, scope: KekScope) -> bytes:
        """From the keyring, or from its seal in the ledger."""
        if not self._keyring.holds(*scope):
            terms = Terms("key agent", scope.words, Freshness.LOCAL, True, KEK_TIMEOUT_MS)
            await self._client.keks.fetch(scope, terms)
        return self._keyring.kek_for(*scope)


async def serve(config: AgentConfig, stop: asyncio.Event, say: Callable[[str], None]) -> None:
    """Serve until `stop`. `say` hears one line for each thing that operators should know. Raises SetupError, CannotServe."""
    installation = open_installation(config.client)
    if installation.config.institution != config.name:
        raise SetupError(
            Setup.CONFIG_INVALID,
            f"client: {config.client} is {installation.config.institution}'s, and the agent is {config.name}",
        )
    certificates = ServerCertificates(config.tls, Identity("key-agent", config.name), say)
    async with contextlib.AsyncExitStack() as opened:
        try:
            log = CallLog.open(config.log_directory, config.log_max_bytes, wall_clock)
            opened.push_async_callback(log.close)
            used = used_pairs(log_lines(config.log_directory))
            log.write_now({"event": "start", "used": len(used), "outcome": "OK"})
        except (LogUnusable, LogDamaged) as error:
            raise CannotServe(str(error)) from None
        client = await opened.enter_async_context(SentoClient(installation))
        ledger = ClientLedger(client, installation.keyring)
        server = grpc.aio.server(options=_OPTIONS)
        key_agent_pb2_grpc.add_KeyAgentServicer_to_server(
            KeyAgentServicer(config.name, ledger, log, used, say), server
        )
        try:
            port = server.add_secure_port(config.address, certificates.credentials())
        except RuntimeError:
            raise CannotServe(f"listen.address: nothing can listen at {config.address}") from None
        await server.start()
        try:
            say(f"{config.name} unwraps keys for access records at {dialled(config.address, port)}")
            await stop.wait()
        finally:
            await server.stop(STOP_GRACE_S)
            with contextlib.suppress(LogUnusable):
                await log.write({"event": "stop", "outcome": "OK"})
