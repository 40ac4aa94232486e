"""A reader's way to a key agent: the record, the access record that came with it, and the proof that it stands go there; one key comes back.

An access record stands under a quorum's checkpoint about a second after the read. Until then the proof is asked for again; each opening costs that second,
and that is what the compartment asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from sento_client.composing import Ports
from sento_client.config import ServiceAddress, SiteAddress, TlsFiles
from sento_client.grpc_transport import GrpcTransport
from sento_client.key_agent.unwrapping import open_sealed_dek
from sento_client.proving import Prover
from sento_client.transport import Method
from sento_client.verifying import Inclusion
from sento_proto.checkpoint import Checkpoint, encode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.identity import agent_host
from sento_proto.keys import is_blocking
from sento_proto.seal import SealOpener
from sento_proto.sealing import CannotOpen
from sento_proto.v1 import client_pb2, common_pb2, key_agent_pb2
from sento_proto.wire import Malformed

UNWRAP = Method("KeyAgent", "Unwrap", key_agent_pb2.UnwrapRequest, key_agent_pb2.UnwrapReply)
DESCRIBE = Method(
    "KeyAgent", "Describe", key_agent_pb2.DescribeAgentRequest, key_agent_pb2.DescribeAgentReply
)


class ToOpen(NamedTuple):
    """A record as a site gave it out, and the access record that the site wrote first."""

    record: common_pb2.StoredRecord
    access: client_pb2.AccessProof


class KeyAgents:
    """The configured agents, by name. Made and used on one running event loop. Raises SetupError when the TLS files cannot be used."""

    def __init__(
        self,
        agents: Mapping[str, ServiceAddress],
        tls: TlsFiles,
        prover: Prover,
        ledger_id: bytes,
        opener: SealOpener | None,
        ports: Ports,
    ) -> None:
        self._hosts = {name: agent_host(name) for name in agents}
        self._transport = GrpcTransport(
            [SiteAddress(self._hosts[name], place.address) for name, place in agents.items()], tls
        )
        self._prover = prover
        self._ledger_id = ledger_id
        self._opener = opener
        self._ports = ports

    async def dek(self, agent: str, asked: ToOpen, timeout_ms: int) -> bytes:
        """The record's DEK. Raises SentoError, among others KEY_AGENT_ONLY when the agent's address is not configured."""
        host = self._hosts.get(agent)
        if host is None or self._opener is None:
            raise SentoError(Code.KEY_AGENT_ONLY, f"key agent {agent}")
        ends_ms = self._ports.steady_ms() + timeout_ms
        inclusion, checkpoint = await self._proof(asked.access.record, ends_ms)
        request = key_agent_pb2.UnwrapRequest(
            record=asked.record,
            access=asked.access,
            inclusion=client_pb2.InclusionProof(
                position=inclusion.position, record_hash=inclusion.record_hash, path=inclusion.path
            ),
            checkpoint=encode_checkpoint(checkpoint),
        )
        reply = await self._transport.call(host, UNWRAP, request, self._left_ms(ends_ms))
        pair = asked.access.record.record_hash + asked.record.record_hash
        arguments = (self._ledger_id, pair, reply.sealed_dek, self._opener)
        try:
            if is_blocking(self._opener):
                return await asyncio.to_thread(open_sealed_dek, *arguments)
            return open_sealed_dek(*arguments)
        except (CannotOpen, Malformed) as error:
            raise SentoError(Code.DAMAGED, f"key agent {agent}: {error}") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _proof(self, access: common_pb2.StoredRecord, ends_ms: int) -> tuple[Inclusion, Checkpoint]:
        """The access record's place under a quorum's checkpoint, once there is one that covers it."""
        checkpoint = await self._prover.checkpoint(access.position + 1, self._left_ms(ends_ms))
        inclusion = await self._prover.inclusion(
            access.position, access.record_hash, checkpoint, self._left_ms(ends_ms)
        )
        return inclusion, checkpoint

    def _left_ms(self, ends_ms: int) -> int:
        return max(1, ends_ms - self._ports.steady_ms())
