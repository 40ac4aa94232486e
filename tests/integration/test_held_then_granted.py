"""The night-time rewrite at a real site: what is above an author's budget is held and kept, officers see it and grant, the outbox sends it by itself."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from live_sites import AUTHOR, ONE_SITE, running_sites
from outbox_at_work import until
from sento_client import Acknowledgement, Draft, SentoClient, WriteError
from sento_client import session as session_module
from sento_client.cli.main import main
from sento_client.governing.client import GoverningClient
from sento_client.governing.sections import AuthorUse
from sento_client.outbox import inspecting, keeper
from sento_client.outbox.keeping import Counts, Settings
from sento_drill.world import World
from sento_proto.errors import Code

OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")
BUDGET_SUBJECTS, WRITTEN = 5, 8
NOTHING = Counts(0, 0)
DEADLINE_MS = 3_000
"""What is held is tried again until the deadline, so this is how long the caller waits to be told."""
QUICK = Settings(check_ms=50, again_ms=50, not_yet_first_ms=50, not_yet_most_ms=200)
"""An outbox that asks again soon: a ministry's waits up to five minutes."""


async def govern(world: World, who: str, *arguments: str) -> str:
    """`sento govern` at an officer's computer."""
    config = str(world.officer(who).config)
    result = await asyncio.to_thread(CliRunner().invoke, main, ["--config", config, "govern", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


async def enact(world: World, act: Path, *change: str) -> None:
    """Propose, sign by three, submit."""
    await govern(world, "ciso", "propose", "--reason", "a drill", "--out", str(act), *change)
    for officer in OFFICERS:
        await govern(world, officer, "sign", str(act), "--yes")
    await govern(world, "ciso", "submit", str(act))


async def use_of(world: World) -> AuthorUse:
    """How full the author's budget is, as an officer's program sees it."""
    async with GoverningClient.open(world.officer("ciso").config) as client:
        return {use.author: use for use in await client.usage()}[AUTHOR]


def draft(number: int) -> Draft:
    return Draft("tax", "tax/assessment", f"person {number}", "2026", {"yen": number})


async def test_records_above_the_budget_are_held_kept_and_stand_once_each_after_officers_grant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "Keeper", partial(keeper.Keeper, settings=QUICK))
    async with running_sites(ONE_SITE) as sites:
        world = sites.world
        await enact(world, tmp_path / "tight.json", "set-budget", AUTHOR, "10000", str(BUDGET_SUBJECTS))
        outbox = world.institution(AUTHOR).directory / "outbox"
        async with SentoClient.open(world.institution(AUTHOR).config) as sento:
            results = await sento.write_many(
                [draft(number) for number in range(WRITTEN)], deadline_ms=DEADLINE_MS
            )
            stand = [one for one in results if isinstance(one, Acknowledgement)]
            held = [one for one in results if isinstance(one, WriteError)]
            assert len(stand) == BUDGET_SUBJECTS
            assert [(one.code, one.kept) for one in held] == [(Code.HELD, True)] * (WRITTEN - BUDGET_SUBJECTS)
            held_ids = {one.record.header.record_id for one in held}
            assert held_ids <= {one.record_id for one in inspecting.kept_records(outbox)}
            use = await use_of(world)
            assert (use.subjects, use.full_at) == (BUDGET_SUBJECTS, max(one.position for one in stand))
            shown = " ".join((await govern(world, "ciso", "show")).split())
            assert (
                f"{BUDGET_SUBJECTS} of {BUDGET_SUBJECTS} subjects; FULL since position {use.full_at}" in shown
            )

            await enact(world, tmp_path / "grant.json", "grant-budget", AUTHOR, "10", "10")
            await until(lambda: sento.outbox == NOTHING)

            listed = sento.changes(registry="tax", from_position=0, purpose="drill", case_number="1")
            versions = [version async for version in listed if version.author == AUTHOR]
            assert len(versions) == WRITTEN
            ids = [version.header.record_id for version in versions]
            assert set(ids) == held_ids | {one.record_id for one in stand}
            assert {version.content for version in versions} == {b'{"yen":%d}' % n for n in range(WRITTEN)}
        assert not list(inspecting.refused_records(outbox))
        assert (await use_of(world)).full_at is None
