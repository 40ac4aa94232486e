"""Officers decide in a drill: an act proposed, signed by as many as must, and submitted; and how long the submitting took."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from sento_client.governing.client import GoverningClient
from sento_client.governing.place import open_place
from sento_client.governing.proposal import act_content, make_proposal
from sento_drill.plan import OFFICERS, OFFICERS_THRESHOLD
from sento_drill.world import World
from sento_proto.ids import RANDOM_BYTES, uuid7


class Enacted(NamedTuple):
    """Where the act stands; seconds since 1970 when it was sent and when it was known to stand."""

    position: int
    sent_s: float
    stood_s: float


async def enact(world: World, reason: str, change: Mapping[str, object]) -> Enacted:
    """One change, decided by the first officers of the plan. Raises SentoError, SetupError, Malformed."""
    async with GoverningClient.open(world.officer(OFFICERS[0]).config) as client:
        followed = await client.follow()
        proposal = make_proposal(
            followed.governance.ledger_id,
            client.epoch,
            act_content(reason, [change]),
            followed.governance.last_act,
            record_id=uuid7(client.wall_ms, client.random_bytes(RANDOM_BYTES)),
            time_ms=client.wall_ms,
        )
        for officer in OFFICERS[:OFFICERS_THRESHOLD]:
            proposal = proposal.signed(open_place(world.officer(officer).config).signer())
        sent_s = time.time()
        standing = await client.submit(proposal)
        return Enacted(standing.position, sent_s, time.time())
