"""The shell around orphans: fetches the list from the site that set them aside, and offers portions of it again there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from sento_client.asker import damaged
from sento_client.delivery_values import code_of
from sento_client.governing.client import GoverningClient
from sento_client.returning.orphans_file import NOWHERE, Answer, Orphan
from sento_client.transport import ORPHANS, READMIT
from sento_proto.errors import STANDING_CODES
from sento_proto.v1 import admin_pb2

SILENCE_MS = 60_000
"""The site's own patience with one submission, twice."""


async def fetch_orphans(
    client: GoverningClient, site: str, epoch: int, heard: Callable[[int], None]
) -> list[Orphan]:
    """Every orphan of the epoch at the site. `heard`: told how many came so far. Raises SentoError."""
    found: list[Orphan] = []
    request = admin_pb2.OrphansRequest(epoch=epoch)
    async for one in client.stream_site(site, ORPHANS, request, silence_ms=SILENCE_MS):
        found.append(_orphan(one))
        heard(len(found))
    return found


async def readmit(
    client: GoverningClient, site: str, epoch: int, record_hashes: Sequence[bytes]
) -> AsyncIterator[Answer]:
    """What became of each, once. Raises SentoError; DAMAGED where the site answers for other records, or not for all."""
    left = set(record_hashes)
    request = admin_pb2.ReadmitRequest(epoch=epoch, record_hashes=record_hashes)
    async for one in client.stream_site(site, READMIT, request, silence_ms=SILENCE_MS):
        if one.record_hash not in left:
            raise damaged(site, "it answered for a record that was not offered")
        left.discard(one.record_hash)
        code = code_of(one.code)
        stands = code in STANDING_CODES
        yield Answer(one.record_hash, code.name, one.position if stands else NOWHERE, one.words)
    if left:
        raise damaged(site, f"it did not answer for {len(left)} records")


def _orphan(one: admin_pb2.Orphan) -> Orphan:
    return Orphan(
        one.record_hash,
        one.record_id,
        one.author,
        one.registry,
        one.kind,
        one.fact,
        one.position,
        one.time_ms,
        one.submission,
        one.why_not,
        one.stands_against if one.HasField("stands_against") else NOWHERE,
    )
