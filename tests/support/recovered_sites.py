"""A recovery at real sites, without the commands that people use for it: a plan from a ledger's end, officers' signatures, and what sites answer to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from live_sites import AUTHOR, WAIT_S, LiveSites
from raw_calls import StreamEnded, WriteStream, refusal_of, seed_in
from sento_drill.waiting import until
from sento_node.compose import root_at
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.replay import governance_of
from sento_proto.act_chain import act_content
from sento_proto.epoch_plan import EpochPlan, encode_plan, signed_plan
from sento_proto.errors import Code
from sento_proto.governance.epoch_changes import Parent
from sento_proto.governance.parts import ReceiptSet
from sento_proto.keys import Ed25519Signer
from sento_proto.v1 import admin_pb2

OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")
VOTERS = ("jp-fukuoka", "jp-ishikawa", "jp-ibaraki")
EMBASSIES = ("tw-taipei", "lu-betzdorf")


def plan_of(sites: LiveSites, ledger: Path, voting: Sequence[str] = EMBASSIES, **fields: object) -> EpochPlan:
    """A recovery from the end of a ledger that nobody writes to, not signed; `fields` are set otherwise."""
    genesis = sites.world.genesis
    with closing(LmdbStore.open(ledger, genesis.ledger_id)) as store:
        tip, governance = store.tip, governance_of(genesis, store)
        parent = Parent(governance.epoch, tip.size, root_at(store, tip.size), tip.block)
    now_ms = time.time_ns() // 1_000_000
    epoch = fields.get("epoch", parent.epoch + 1)
    gap = {"do": "set-gap", "epoch": epoch, "as_of_ms": now_ms, "known_missing": 0, "open": True}
    plan = EpochPlan(
        genesis.ledger_id,
        "recover",
        parent.epoch + 1,
        parent,
        governance.last_act,
        tuple(voting),
        ReceiptSet(tuple(voting), len(voting)),
        (),
        "decision 12 of 2027",
        now_ms,
        now_ms,
        (f"{', '.join(voting)} go on.",),
        agreed=parent,
        ordering=tuple(sorted((site, governance.sites[site].ordering_url) for site in voting)),
        evidence=("No site at home answers.",),
        acts=(act_content("what is known to be missing", [gap]),),
        alone=len(voting) == 1,
    )
    return replace(plan, **fields)  # type: ignore[arg-type]  # each caller names fields of its own types


def signed(sites: LiveSites, plan: EpochPlan, officers: Sequence[str] = OFFICERS) -> bytes:
    """The plan's file under signatures of these officers and deputies."""
    for officer in officers:
        key = sites.world.officer(officer).directory / "signing.key"
        plan = signed_plan(plan, Ed25519Signer(seed_in(key)))
    return encode_plan(plan)


async def asked(
    sites: LiveSites, site: str, plan: bytes, *, dry_run: bool = False
) -> admin_pb2.BeginEpochReply:
    """What a site answers that is asked to begin the epoch."""
    async with sites.operator(site) as operator:
        request = admin_pb2.BeginEpochRequest(plan=plan, dry_run=dry_run)
        reply: admin_pb2.BeginEpochReply = await operator.admin.BeginEpoch(request, timeout=20)
    return reply


async def refused(sites: LiveSites, site: str, plan: bytes) -> Code | None:
    """The code by which a site refuses to begin the epoch."""
    async with sites.operator(site) as operator:
        request = admin_pb2.BeginEpochRequest(plan=plan, dry_run=True)
        return (await refusal_of(operator.admin.BeginEpoch(request, timeout=20))).code


async def nobody_answers(sites: LiveSites, plans: dict[str, bytes]) -> None:
    """Until the sites have noticed that the voters are gone, a recovery is refused as one too many. `plans`: by site."""

    async def fits() -> bool:
        for site, plan in plans.items():
            async with sites.operator(site) as operator:
                request = admin_pb2.BeginEpochRequest(plan=plan, dry_run=True)
                [answer] = await asyncio.gather(
                    operator.admin.BeginEpoch(request, timeout=20), return_exceptions=True
                )
            if isinstance(answer, BaseException):
                assert "MAJORITY_ANSWERS" in str(answer)
                return False
        return True

    await until(fits, deadline_s=WAIT_S, what="the plan is refused")


async def written(sites: LiveSites, site: str, count: int) -> dict[bytes, int]:
    """Records that are all acknowledged at this site: hash to position."""
    author = sites.author()
    records = author.records(count)
    async with sites.caller(AUTHOR, site) as caller, WriteStream(caller) as stream:
        outcomes = await stream.outcomes(author.submission(*records))
    assert {code for code, _ in outcomes} == {Code.ACCEPTED}
    return {one.record_hash: at for one, (_, at) in zip(records, outcomes, strict=True)}


async def taken(sites: LiveSites, site: str) -> Code | None:
    """The code by which a site refuses a submission; None when it takes it."""
    author = sites.author()
    async with sites.caller(AUTHOR, site) as caller, WriteStream(caller) as stream:
        [answer] = await asyncio.gather(
            stream.ask(author.submission(author.record())), return_exceptions=True
        )
    if isinstance(answer, StreamEnded):
        return None if answer.refusal is None else answer.refusal.code
    assert not isinstance(answer, BaseException)
    return Code(answer.error.code) if answer.HasField("error") else None


async def all_hold(sites: LiveSites, size: int, *names: str) -> None:
    """Wait until these sites keep a quorum's checkpoint over so many records."""
    for site in names:
        await sites.wait_status(site, lambda status: status.quorum_size >= size, f"{size} records agreed")


async def is_open(sites: LiveSites, site: str, epoch: int = 1) -> None:
    """Wait until a site has opened the epoch, and takes records in: the note on disk comes a moment before."""

    async def done() -> bool:
        return (sites.data(site) / f"epoch-{epoch:04d}.done").exists()

    async def takes() -> bool:
        return await taken(sites, site) is not Code.NOT_READY

    await until(done, deadline_s=WAIT_S, what=f"{site} opened the epoch")
    await until(takes, deadline_s=WAIT_S, what=f"{site} takes records in")


def holds(sites: LiveSites, ledger: Path, there: Sequence[bytes], not_there: Sequence[bytes] = ()) -> None:
    """A ledger that nobody has open holds these records, and none of those."""
    with closing(LmdbStore.open(ledger, sites.world.genesis.ledger_id)) as store:
        assert all(store.position_of_hash(one) is not None for one in there)
        assert all(store.position_of_hash(one) is None for one in not_there)
