"""Several TCP connections to one other site: one for each stream of chunks, because a single one over a lossy or long line cannot fill it.

A connection's rate is bounded by its window over the round trip, and by losses (Mathis et al. 1997: about 1.2 x segment / (round trip x root of the loss));
several of them add up. gRPC shares one connection among equal channels unless each has a pool of its own. Windows are fixed and small: what is under way to a
site on a 64 kbit/s line is then a minute's worth and not an hour's, and signs of life pass in time. Each stream's connection is made anew when certificates
changed.
"""

from __future__ import annotations

import grpc
import grpc.aio

from sento_node import bounds
from sento_node.config import Peer, Tls
from sento_node.tls import channel_credentials, read_files, stamp
from sento_proto.identity import server_name
from sento_proto.v1 import sync_pb2_grpc


class Connections:
    """The connections for chunks to one site, by stream."""

    def __init__(self, peer: Peer, tls: Tls) -> None:
        self._peer = peer
        self._tls = tls
        self._channels: dict[int, tuple[tuple[int, ...], grpc.aio.Channel]] = {}

    async def stub(self, stream: int) -> sync_pb2_grpc.SyncAsyncStub:
        """The Sync service over this stream's connection. Raises ConfigMistake, OSError."""
        now = stamp(self._tls)
        made = self._channels.get(stream)
        if made is None or made[0] != now:
            await self.close(stream)
            options = (
                *bounds.CHUNK_CHANNEL_OPTIONS,
                ("grpc.ssl_target_name_override", server_name(self._peer.name)),
            )
            credentials = channel_credentials(read_files(self._tls))
            made = self._channels[stream] = (
                now,
                grpc.aio.secure_channel(self._peer.address, credentials, options),
            )
        return sync_pb2_grpc.SyncStub(made[1])

    async def close(self, stream: int | None = None) -> None:
        """Give one connection back, or all: the next call over it dials at once, without gRPC's pause."""
        for number in [stream] if stream is not None else list(self._channels):
            made = self._channels.pop(number, None)
            if made is not None:
                await made[1].close()
