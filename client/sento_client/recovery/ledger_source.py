"""What the running ledger says about recovery, asked of its sites and verified: acts with their payloads, and every KEK seal of registry `keys`.

Acts are followed from the genesis file anew, because the trust file keeps no payloads. Seals are verified record by record. Scopes are those that authors
made a KEK for: which of them hold records is for a copy to say, made by somebody who may see headers.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from sento_client.asker import Terms, damaged
from sento_client.governing.client import GoverningClient
from sento_client.governing.following import Followed
from sento_client.messages import purpose_of, stored_of
from sento_client.recovery.ledger_view import LedgerView
from sento_client.transport import CHANGES
from sento_client.verifying import check_record
from sento_proto.errors import SentoError
from sento_proto.kek_record import REGISTRY
from sento_proto.v1 import client_pb2

PURPOSE, CASE_NUMBER = "recovery of keys", "officers' act"


def standing_of(config: Path) -> LedgerView:
    """The view of the ledger that the `sento.toml` at `config` names, an officer's or an institution's. Raises SentoError, SetupError."""

    async def within() -> LedgerView:
        async with GoverningClient.open(config) as client:
            return await gather(client)

    return asyncio.run(within())


async def gather(client: GoverningClient) -> LedgerView:
    """The same over a client that is open."""
    followed = await client.follow_anew()
    view = LedgerView(followed.genesis.ledger_id, followed.genesis.name)
    for step in followed.steps:
        if step.act is not None:
            view.take_act(step.position, step.header.content, step.stored.payload)
    await _take_seals(client, followed, view)
    return view


async def _take_seals(client: GoverningClient, followed: Followed, view: LedgerView) -> None:
    request = client_pb2.ChangesRequest(
        purpose=purpose_of(PURPOSE, CASE_NUMBER), registry=REGISTRY, header_only=True
    )
    trust, asker = followed.trust, client.asker
    terms = Terms(PURPOSE, CASE_NUMBER, timeout_ms=client.place.deadline_ms)
    plan = asker.plan(terms)
    while True:
        site = await asker.next_site(plan)
        try:
            async for message in asker.stream(site, CHANGES, request, endless=False):
                stored = stored_of(message)
                header, findings = check_record(stored, trust)
                if header is None or not findings.ok:
                    raise damaged(site, findings.why)
                if stored.position < request.from_position:
                    raise damaged(site, f"position {stored.position} comes out of order")
                request.from_position = stored.position + 1
                view.take_record(trust.author_name(header.author_key_id), header)
                plan = asker.plan(terms)
        except SentoError as error:
            plan.failed(error)
            continue
        return
