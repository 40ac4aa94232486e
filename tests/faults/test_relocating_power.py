"""Power is lost at each step of a relocation, by the operator's computer and by sites together, while records are written; whoever goes on has the plan alone.

There, the site that the step is about is killed with the operator. Back, all sites are. Then a retired site stays dead, so that its member is taken out by
others, and a learner cannot follow. Behind each move the members are those that governance names, and nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
from click.testing import CliRunner

from killed_command import Computers, power_lost, sites_start
from live_sites import WAIT_S, LiveSites, running_sites
from sento_client.cli.main import main
from sento_drill import procfs
from sento_drill.places import LU_BETZDORF, PLACES
from sento_drill.plan import WorldPlan
from sento_drill.procfs import ProcessId
from sento_drill.waiting import until
from sento_node.joining.note import NOTE_FILE
from sento_node.ordering.etcd.members import ChangeNotYet, MemberChanges
from sento_node.ordering.etcd.settings import CLIENT_SOCKET
from sento_proto.relocation_plan import RelocationPlan, Step, act_of, decode_plan
from steady_writer import SteadyWriter, nothing_is_lost

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

FUKUOKA, ISHIKAWA, IBARAKI = (place.site for place in PLACES)
EMBASSY = LU_BETZDORF.site
STAYING = (ISHIKAWA, IBARAKI)
PLAN = WorldPlan(name="sento-relocating-power", sites=(*PLACES, LU_BETZDORF), stand_by=True)
OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")
ACCEPTED = ("--legal-basis", "Decision 7/2027", "--accept", "majority-country:JP")
PAUSED_S = 8
"""For an operator who is told for what is waited."""
RUN = ("relocate", "run", "--timeout", "200")
REMOVAL_S = 120.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(PLAN) as running:
        for file in (running.world.directory / "safe" / "epoch-0000" / EMBASSY).iterdir():
            shutil.copy(file, running.files(EMBASSY).directory / file.name)
        yield running


class Move(NamedTuple):
    """A signed plan: `comes` is given a vote and the lead, `leaves` is retired."""

    sites: LiveSites
    file: Path
    plan: RelocationPlan
    comes: str
    leaves: str

    async def stands(self, step: Step) -> bool:
        """Whether one of its acts stands at a site that neither comes nor leaves."""
        found = await self.sites.cluster.stand(STAYING[0], [act_of(self.plan, step).record_hash])
        return found == 1

    async def members(self) -> dict[str, bool]:
        """The members by the word of a site that stays: site -> whether it votes."""
        status = await self.sites.cluster.status(STAYING[0])
        return {} if status is None else {one.site: one.votes for one in status.ordering_members}

    async def is_given(self) -> bool:
        return await self.stands(Step.GIVE)

    async def is_learner(self) -> bool:
        """The site noted a learner for itself; others may not know its name before it starts."""
        try:
            noted = '"member_id": 0' not in (self.sites.data(self.comes) / NOTE_FILE).read_text()
        except FileNotFoundError:
            noted = False
        return noted or self.comes in await self.members()

    async def is_promoted(self) -> bool:
        return (await self.members()).get(self.comes, False)

    async def leads(self) -> bool:
        status = await self.sites.cluster.status(self.comes)
        return (status is not None and status.is_lead) or await self.is_retired()

    async def is_retired(self) -> bool:
        return await self.stands(Step.RETIRE)

    async def has_left(self) -> bool:
        members = await self.members()
        return bool(members) and self.leaves not in members


async def sento(sites: LiveSites, who: str, *arguments: str) -> str:
    config = str(sites.world.officer(who).config)
    done = await asyncio.to_thread(CliRunner().invoke, main, ["--config", config, *arguments])
    assert done.exit_code == 0, done.output
    return done.output


async def planned(sites: LiveSites, file: Path) -> Move:
    """A signed plan that lets the one of two sites vote that does not, and retires the other: whichever test ran before."""
    away = (await sites.status(EMBASSY)).role == "embassy"
    comes, leaves = (EMBASSY, FUKUOKA) if away else (FUKUOKA, EMBASSY)
    return await signed(sites, file, comes, leaves, "plan", "--target", comes, "--retire", leaves)


async def signed(sites: LiveSites, file: Path, comes: str, leaves: str, *words: str) -> Move:
    """A plan made by `sento relocate <words>`, with three signatures."""
    operator = ("--operator", str(sites.world.operator.directory))
    await sento(sites, "ciso", "relocate", *words, *ACCEPTED, "--out", str(file), *operator)
    for officer in OFFICERS:
        await sento(sites, officer, "relocate", "sign", str(file), "--yes")
    return Move(sites, file, decode_plan(file.read_bytes()), comes, leaves)


def steps_of(move: Move) -> tuple[tuple[str, Callable[[], Awaitable[bool]], str], ...]:
    """What has come true by the end of each step, and which site the step is about."""
    return (
        ("the vote is given", move.is_given, move.comes),
        ("a learner is added", move.is_learner, move.comes),
        ("it is promoted", move.is_promoted, move.comes),
        ("the lead has moved", move.leads, move.comes),
        ("the retirement stands", move.is_retired, move.leaves),
        ("the retired member has left", move.has_left, move.leaves),
    )


async def serve_again(sites: LiveSites) -> None:
    await sites_start(sites, *sites.names)
    await sites.cluster.wait_serving(deadline_s=WAIT_S)


async def settled(sites: LiveSites, move: Move) -> None:
    """Everybody serves; the members are the voters that governance names now, and the site that was to lead leads."""
    voting = sorted((move.comes, *STAYING))
    for site in voting:
        await sites.wait_status(
            site,
            lambda status: (
                status.state == "serving"
                and sorted(member.site for member in status.ordering_members if member.votes) == voting
                and len(status.ordering_members) == len(voting)
                and status.lead_site == move.comes
            ),
            f"the members are {voting}",
            deadline_s=REMOVAL_S,
        )
    await sites.wait_status(
        move.leaves,
        lambda status: (status.state, status.role) == ("serving", "embassy") and not status.ordering_members,
        "the retired site goes on as an embassy",
        deadline_s=REMOVAL_S,
    )


async def carried_out(
    sites: LiveSites, computers: Computers, move: Move, writer: SteadyWriter, *, everybody: bool
) -> None:
    """Power is lost at the end of each step: the operator's computer and the site concerned, or all of them. Then once more, to the end."""
    for name, condition, concerned in steps_of(move):
        begun_s = time.monotonic()
        await computers.killed_when(move.file, *RUN, condition=condition, what=name)
        await power_lost(sites, *(sites.names if everybody else (concerned,)))
        if name == "a learner is added" and not everybody:
            await nobody_promotes(sites, move)
        await sites_start(sites, *sites.names)
        await writer.more(10)
        print(f"{name}, power lost: {time.monotonic() - begun_s:.1f} s until ten more were acknowledged")
    run = await computers.ends(move.file, *RUN)
    assert f"{move.comes} leads" in run.said()
    await settled(sites, move)


async def nobody_promotes(sites: LiveSites, move: Move) -> None:
    """A learner that does not answer is no voter for anybody: the ordering log refuses it."""
    changes = MemberChanges(f"unix:{sites.data(STAYING[0])}/ordering/epoch-0000/run/{CLIENT_SOCKET}")
    try:
        learners = [one for one in await changes.listed(timeout_ms=5_000) if not one.votes]
        assert learners or await move.is_promoted()
        for learner in learners:
            with pytest.raises(ChangeNotYet):
                await changes.promote(learner.member_id, timeout_ms=5_000)
    finally:
        await changes.close()


async def test_power_lost_at_each_step_leaves_a_move_that_the_plan_alone_brings_to_its_end(
    sites: LiveSites, tmp_path: Path
) -> None:
    computers = Computers(sites, tmp_path, OFFICERS)
    async with SteadyWriter(sites, callers=2) as writer:
        await writer.more(20)
        there = await planned(sites, tmp_path / "there.json")
        await carried_out(sites, computers, there, writer, everybody=False)
        back = await signed(
            sites, tmp_path / "back.json", there.leaves, there.comes, "return", str(there.file)
        )
        await carried_out(sites, computers, back, writer, everybody=True)
    await nothing_is_lost(sites, writer, "power was lost at each step, there and back")


async def test_a_retired_site_that_dies_before_it_leaves_is_taken_out_though_the_operator_dies_as_well(
    sites: LiveSites, tmp_path: Path
) -> None:
    computers = Computers(sites, tmp_path, OFFICERS)
    async with SteadyWriter(sites, callers=2) as writer:
        await writer.more(20)
        move = await planned(sites, tmp_path / "plan.json")
        await computers.killed_when(move.file, *RUN, condition=move.leads, what="the lead has moved")
        await power_lost(sites, move.leaves)
        await computers.killed_when(move.file, *RUN, condition=move.is_retired, what="it is retired")
        await computers.killed_when(move.file, *RUN, condition=move.has_left, what="it was taken out")
        await computers.ends(move.file, *RUN)
        await writer.more(10)
        await serve_again(sites)
        await settled(sites, move)
    await nothing_is_lost(sites, writer, "a dead site was retired")


async def test_a_learner_that_cannot_follow_is_promoted_by_nobody_and_nobody_is_retired_for_it(
    sites: LiveSites, tmp_path: Path
) -> None:
    computers = Computers(sites, tmp_path, OFFICERS)
    async with SteadyWriter(sites, callers=2) as writer:
        await writer.more(20)
        move = await planned(sites, tmp_path / "plan.json")
        async with computers.running(move.file, *RUN) as first, paused_learner(sites, move.comes):
            first.kill()
            # More entries than a learner may lack when it is promoted.
            await writer.more(600, deadline_s=120)
            await nobody_promotes(sites, move)
            run = await computers.ends(move.file, "relocate", "run", "--timeout", str(PAUSED_S), codes=(6,))
            # Before the member told its name, the learner is not known to be this site's.
            assert "learner" in run.said()
            assert not await move.is_promoted()
            assert not await move.is_retired()
        await computers.ends(move.file, *RUN)
        await settled(sites, move)
    await nothing_is_lost(sites, writer, "a learner that could not follow for a while")


@contextlib.asynccontextmanager
async def paused_learner(sites: LiveSites, site: str) -> AsyncIterator[None]:
    """A site's new member is stopped (SIGSTOP) as soon as it keeps a log, and goes on behind the block; its node goes on all the while."""
    log = sites.data(site) / "ordering" / "epoch-0000" / "etcd" / "member" / "wal"

    async def runs() -> ProcessId | None:
        return sites.cluster.processes[site].member() if log.exists() else None

    member = await until(runs, deadline_s=WAIT_S, poll_s=0.005, what=f"no member of {site} starts")
    procfs.send(member, signal.SIGSTOP)
    try:
        yield
    finally:
        procfs.send(member, signal.SIGCONT)
