"""What the sites say of erasures: orders they still have to carry out, and their signed certificates, each verified by the site's own keys.

A certificate is a site's word about its own disks. An order is carried out when every site that holds a ledger has certified it, and nothing is left of it
anywhere when no certificate names a volume any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sento_client.transport import ERASURES
from sento_proto.checkpoint import SiteKeys
from sento_proto.erasure_certificate import (
    ErasureCertificate,
    SignedCertificate,
    Volume,
    certificate_holds,
    decode_certificate,
)
from sento_proto.errors import SentoError
from sento_proto.governance.state import Governance
from sento_proto.v1 import admin_pb2
from sento_proto.wire import Malformed

if TYPE_CHECKING:
    from sento_client.client import SentoClient


class Certificate(NamedTuple):
    """A certificate as a site gave it. `content` is None where it cannot be read; `why` says why it does not hold, empty where it does."""

    data: bytes
    content: ErasureCertificate | None
    why: str


class SiteErasures(NamedTuple):
    """A site's answer; with `trouble` it gave none. `pending`: positions of orders that it still has to carry out."""

    site: str
    pending: tuple[int, ...]
    certificates: tuple[Certificate, ...]
    trouble: str = ""


def keys_ever(governance: Governance, site: str) -> list[SiteKeys]:
    """Every set of keys that the site has or had, as far as governance was followed."""
    return list(governance.site_keys_since_genesis(site))


def judge_certificate(data: bytes, governance: Governance, site: str | None = None) -> Certificate:
    """Whether the certificate is this ledger's and signed by the site that it names, which is `site` where one is given."""
    try:
        signed = decode_certificate(data)
    except Malformed as error:
        return Certificate(data, None, str(error))
    return Certificate(data, signed.content, _why_not(signed, governance, site))


def _why_not(signed: SignedCertificate, governance: Governance, site: str | None) -> str:
    content = signed.content
    if content.ledger_id != governance.ledger_id:
        return "it is of another ledger"
    if site is not None and content.site != site:
        return f"{site} gave it and it names {content.site}"
    if not certificate_holds(signed, governance.ledger_id, keys_ever(governance, content.site)):
        return f"{content.site} did not sign it"
    order = governance.erasure_orders.get(content.order)
    if order is None or order.carried_out_at != content.carried_out:
        return f"no act at position {content.carried_out} carried an order of position {content.order} out"
    return ""


def volumes_left(certificates: Iterable[ErasureCertificate]) -> list[tuple[str, Volume]]:
    """(site, volume) of the volumes that still hold an erased payload, each once."""
    found = {(one.site, volume.number): volume for one in certificates for volume in one.volumes}
    return [(site, volume) for (site, _), volume in sorted(found.items())]


async def ask_erasures(
    sento: SentoClient, governance: Governance, *, timeout_ms: int, sites: Sequence[str] = ()
) -> list[SiteErasures]:
    """What every site (or those named) says; never raises for a site."""

    async def ask(site: str) -> SiteErasures:
        try:
            reply = await sento.call_site(site, ERASURES, admin_pb2.ErasuresRequest(), timeout_ms=timeout_ms)
        except SentoError as error:
            return SiteErasures(
                site, (), (), f"{error.code.name} ({error.detail})" if error.detail else error.code.name
            )
        judged = tuple(judge_certificate(data, governance, site) for data in reply.certificates)
        return SiteErasures(site, tuple(reply.pending), judged)

    return list(await asyncio.gather(*map(ask, sites or sento.sites)))
