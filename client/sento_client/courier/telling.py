"""Telling sites of volumes: each heard note counts for that site's erasure certificates, and what a site did not hear is remembered (`untold.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sento_client.courier.untold import Owed
from sento_client.grpc_transport import GrpcTransport
from sento_client.transport import NOTE_VOLUME
from sento_proto.erasure_certificate import Volume
from sento_proto.errors import SentoError
from sento_proto.v1 import admin_pb2

NOTE_TIMEOUT_MS = 20_000


class Told:
    """Which sites do not know of a volume yet. `unheard`: the notes that no site heard at all."""

    def __init__(self, transport: GrpcTransport) -> None:
        self._transport = transport
        self.owed: list[Owed] = []
        self.unheard: list[str] = []

    @property
    def untold(self) -> dict[str, list[str]]:
        """The numbers that each site still has to be told."""
        numbers: dict[str, list[str]] = {}
        for one in self.owed:
            numbers.setdefault(one.site, []).append(one.volume.number)
        return numbers

    async def note_owed(self, owed: Sequence[Owed]) -> None:
        """Tell what sites did not hear before. A site that does not answer is not asked again for each."""
        away: set[str] = set()
        for one in owed:
            if one.site not in self._transport.sites:
                continue
            before = len(self.owed)
            if one.site in away:
                self.owed.append(one)
            else:
                await self._tell(one.volume, (one.site,))
                away |= {later.site for later in self.owed[before:]}

    async def note(self, volume: Volume, sites: Sequence[str] = ()) -> None:
        """Tell the sites, all of them or those; whoever does not hear it is remembered by name."""
        told = tuple(sites or self._transport.sites)
        before = len(self.owed)
        await self._tell(volume, told)
        if len(self.owed) - before == len(told):
            self.unheard.append(volume.number)

    async def _tell(self, volume: Volume, sites: Sequence[str]) -> None:
        request = admin_pb2.NoteVolumeRequest(
            number=volume.number, kind=volume.kind, state=volume.state, size=volume.size
        )

        async def tell(site: str) -> None:
            try:
                await self._transport.call(site, NOTE_VOLUME, request, NOTE_TIMEOUT_MS)
            except SentoError:
                self.owed.append(Owed(site, volume))

        await asyncio.gather(*(tell(site) for site in sites))
