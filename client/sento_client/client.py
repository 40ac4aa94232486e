"""`SentoClient`: the registry as a ministry's program sees it.

    async with SentoClient.open("sento.toml") as sento:
        done = await sento.write(registry="residency", kind="residence/entry", subject=number, fact="address", content={"town": "..."})
        page = await sento.read(done.position, purpose="address proof", case_number="2026-118")

A write comes to an `Acknowledgement` or raises; a read comes to a verified `Version` or raises. Errors are SentoError with a stable code
(SetupError for what is wrong on this computer), and no call waits beyond its deadline. A deadline that is not given is the configuration's.
"""

from __future__ import annotations

import asyncio

from sento_client.exporting.face import ExportingFace
from sento_client.extracts.face import ExtractFace
from sento_client.governing.following import Followed
from sento_client.proving_face import ProvingFace
from sento_client.read_log.face import ReadLogFace
from sento_client.receipt_face import ReceiptFace
from sento_client.results import Freshness
from sento_client.site_status import SiteReport
from sento_client.transport import STATUS, Method, ReplyT, RequestT
from sento_client.writing_face import WritingFace
from sento_proto.errors import SentoError
from sento_proto.governance.state import Governance
from sento_proto.v1 import admin_pb2

STATUS_TIMEOUT_MS = 3_000


class SentoClient(WritingFace, ProvingFace, ReceiptFace, ReadLogFace, ExportingFace, ExtractFace):
    """One institution's client. Use it with `async with`; one instance serves any number of concurrent callers."""

    async def status(self, *, timeout_ms: int = STATUS_TIMEOUT_MS) -> list[SiteReport]:
        """What every configured site says of itself, or why it does not; never raises for a site."""

        async def ask(site: str) -> SiteReport:
            asked_ms = self._ports.steady_ms()
            try:
                status = await self._transport.call(site, STATUS, admin_pb2.StatusRequest(), timeout_ms)
            except SentoError as error:
                words = error.detail.removeprefix(site).removeprefix(": ")
                trouble = f"{error.code.name} ({words})" if words else error.code.name
                return SiteReport(site, None, trouble, error.code, self._ports.steady_ms() - asked_ms)
            return SiteReport(site, status, "", took_ms=self._ports.steady_ms() - asked_ms)

        return list(await asyncio.gather(*map(ask, self.sites)))

    async def call_site(
        self, site: str, method: Method[RequestT, ReplyT], request: RequestT, *, timeout_ms: int
    ) -> ReplyT:
        """One question to one site, answered or not; nothing is verified here. Raises SentoError."""
        return await self._transport.call(site, method, request, timeout_ms)

    async def governance(
        self, *, freshness: Freshness = Freshness.LINEARIZABLE, deadline_ms: int | None = None
    ) -> Governance:
        """Who may do what now, every act verified: from the genesis file to the newest that the sites know. Raises SentoError, SetupError RULES_UNKNOWN."""
        followed = await self._follower.refresh(self._deadline(deadline_ms), freshness=freshness)
        return followed.governance

    @property
    def followed(self) -> Followed:
        """Governance as far as this client has followed it, with the acts; `governance` follows on."""
        return self._follower.followed
