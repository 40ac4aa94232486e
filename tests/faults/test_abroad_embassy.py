"""A record is to survive the country, with an embassy that is a process: it stands abroad, is pending while the embassy is dead, and stands when it is back."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from client_world import FactName
from live_sites import AUTHOR, running_sites
from sento_client import Acknowledgement, Durability, SentoClient
from sento_drill.plan import TIE_BREAKER_WORLD
from sento_drill.waiting import until
from sento_proto.checkpoint import cosigners
from sento_proto.governance.placing import keys_abroad

pytestmark = pytest.mark.asyncio
EMBASSY = "lu-betzdorf"


async def write(
    sento: SentoClient, fact: str, durability: Durability, deadline_ms: int = 30_000
) -> Acknowledgement:
    where = FactName(registry="residency", kind="residence/entry", subject="900000000115", fact=fact)
    return await sento.write(
        **where,
        compartment="basic",
        content={"town": "Iizuka"},
        durability=durability,
        deadline_ms=deadline_ms,
    )


async def test_a_record_stands_abroad_when_its_embassy_cosigned_and_waits_for_it_while_it_is_dead() -> None:
    async with running_sites(TIE_BREAKER_WORLD) as sites:  # noqa: SIM117 - the world first
        async with SentoClient.open(sites.world.institution(AUTHOR).config) as city:
            done = await write(city, "one", Durability.ABROAD)
            assert done.abroad is not None
            assert (done.abroad.stands, done.abroad.site) == (True, EMBASSY)

            await asyncio.to_thread(sites.cluster.kill_site, EMBASSY)
            pending = await write(city, "two", Durability.ABROAD, 8_000)
            assert pending.abroad is not None
            assert not pending.abroad.stands
            await write(city, "three", Durability.HOME)

            async def only_abroad_is_missing() -> bool:
                counts = city.outbox
                return (counts.sending, counts.uncovered, counts.abroad) == (0, 0, 1)

            await until(only_abroad_is_missing, deadline_s=60, what="the records for home are proven")
            sites.cluster.start(EMBASSY)

            facts = itertools.count()

            async def nothing_is_kept() -> bool:
                # A checkpoint comes with the next records: what was cosigned while the embassy was dead is not cosigned once more.
                await write(city, f"later {next(facts)}", Durability.HOME)
                return not city.outbox.abroad

            await until(nothing_is_kept, deadline_s=90, poll_s=1, what="the embassy cosigns")
            receipt = await city.receipt(pending)
            abroad = keys_abroad(city.followed.governance)
            assert set(cosigners(receipt.checkpoint, abroad)) == {EMBASSY}
