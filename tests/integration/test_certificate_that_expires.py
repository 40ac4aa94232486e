"""A certificate that expires while the connection lasts: a real site refuses what comes after in words, a renewed file lets writing go on, and nothing is lost.

The authority of these certificates is the test's own: the site trusts it beside its world's, so that certificates of a few seconds can be made.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from client_world import WHY
from live_sites import AUTHOR, ONE_SITE, LiveSites, running_sites
from raw_calls import PURPOSE, Pems, WriteStream, refusal_of
from sento_client import Acknowledgement, Code, RecordName, SentoClient, WriteError
from sento_client.keyfiles import write_secret
from sento_drill.pki import Authority, KeyPair, Validity, issue_client, now_utc
from sento_drill.waiting import until
from sento_drill.world import World
from sento_proto.identity import Identity
from sento_proto.v1 import client_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")
WHOLE_DAY = Validity.around(now_utc(), days=1)
LIFE_S = 4
AUTHORITY = Authority("certificates of a few seconds", WHOLE_DAY)


def also_trusted(world: World) -> None:
    """The sites trust the test's authority beside their own."""
    for site in world.sites:
        path = site.directory / "node-ca.pem"
        path.write_bytes(path.read_bytes() + AUTHORITY.certificate_pem)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(ONE_SITE, prepare=also_trusted) as running:
        yield running


def short_lived() -> tuple[KeyPair, dt.datetime]:
    """A certificate of the author's that ends in a few seconds, and when."""
    end = now_utc() + dt.timedelta(seconds=LIFE_S)
    return issue_client(AUTHORITY, Identity("author", AUTHOR), Validity(WHOLE_DAY.not_before, end)), end


async def ended(end: dt.datetime) -> None:
    """Return when a certificate that holds through the second `end` has ended."""

    async def is_over() -> bool:
        return dt.datetime.now(dt.UTC) >= end + dt.timedelta(seconds=1)

    await until(is_over, deadline_s=LIFE_S + 10, what="the certificate does not end")


def pems(sites: LiveSites, pair: KeyPair) -> Pems:
    return Pems(sites.world.institution(AUTHOR).ca.read_bytes(), pair.certificate_pem, pair.key_pem)


async def test_an_open_stream_refuses_further_records_and_takes_what_came_before(sites: LiveSites) -> None:
    author = sites.author()
    pair, end = short_lived()
    before, after = author.submission(author.record()), author.submission(author.record())
    async with sites.with_pems(pems(sites, pair)) as caller, WriteStream(caller) as stream:
        ((code, position),) = await stream.outcomes(before)
        assert code is Code.ACCEPTED
        await ended(end)
        assert await stream.refused(after) is Code.IDENTITY_EXPIRED
        assert await stream.refused(before) is Code.IDENTITY_EXPIRED
        request = client_pb2.ReadRequest(purpose=PURPOSE, position=position)
        refused = await refusal_of(caller.registry.Read(request, timeout=10))
        assert refused.code is Code.IDENTITY_EXPIRED
        assert "Renew the certificate" in refused.words
        assert "by this site's clock" in refused.words
    async with sites.caller(AUTHOR) as caller, WriteStream(caller) as stream:
        assert await stream.outcomes(before) == [(Code.KNOWN, position)]
        ((code, _),) = await stream.outcomes(after)
        assert code is Code.ACCEPTED, "the refused record was never ordered"


async def test_a_stream_that_follows_ends_with_the_certificate(sites: LiveSites) -> None:
    pair, end = short_lived()
    async with sites.with_pems(pems(sites, pair)) as caller:
        request = client_pb2.ChangesRequest(purpose=PURPOSE, from_position=0, follow=True)
        call = caller.registry.Changes(request)

        async def follow() -> None:
            async for _ in call:
                continue

        refused = await asyncio.wait_for(refusal_of(follow()), LIFE_S + 5)
        late_s = (dt.datetime.now(dt.UTC) - end).total_seconds()
        assert refused.code is Code.IDENTITY_EXPIRED
        assert 1 <= late_s < 4, "not before its time, and without waiting for a message"


async def test_the_client_goes_on_under_a_renewed_certificate_with_the_same_record_ids(
    sites: LiveSites,
) -> None:
    files = sites.world.institution(AUTHOR)

    def hold(pair: KeyPair) -> None:
        files.certificate.write_bytes(pair.certificate_pem)
        write_secret(files.key, pair.key_pem)

    pair, end = short_lived()
    hold(pair)
    async with SentoClient.open(files.config) as sento:

        async def write(fact: str, deadline_ms: int = 20_000) -> Acknowledgement:
            return await sento.write(
                registry="residency",
                compartment="basic",
                kind="residence/entry",
                subject="123456789018",
                fact=fact,
                content={"town": fact},
                deadline_ms=deadline_ms,
            )

        done = [await write("before")]
        await ended(end)
        with pytest.raises(WriteError) as told:
            await write("after", 3_000)
        assert told.value.code is Code.IDENTITY_EXPIRED
        assert not told.value.may_stand, "the site said that it did not take the record"
        assert "Renew the certificate" in str(told.value)
        assert sento.outbox.sending == 1, "the record is kept"

        hold(issue_client(AUTHORITY, Identity("author", AUTHOR), WHOLE_DAY))
        done.append(await write("renewed"))

        async def kept_record_stands() -> bool:
            return sento.outbox.sending == 0

        await until(
            kept_record_stands, deadline_s=30, what="the kept record is not sent under the new certificate"
        )
        name = RecordName(AUTHOR, told.value.record.header.record_id)
        assert (await sento.read(name, **WHY)).record_hash == told.value.record.record_hash
        for one in done:
            assert (await sento.read(one.position, **WHY)).record_hash == one.record_hash
