"""A real site, and offices without a file of seals: keys are made in the ledger by whoever writes, and found there by whoever reads."""

from __future__ import annotations

import asyncio
from pathlib import Path

from click.testing import CliRunner

from client_world import WHY, FactName
from live_sites import AUTHOR, ONE_SITE, READER
from sento_client import SentoClient
from sento_client.asker import Terms
from sento_client.cli.main import main
from sento_client.kek_keeping.standing_kek import StandingKek
from sento_drill.cluster import LocalCluster
from sento_drill.world import World, make_world
from sento_proto.governance.state import site_of_author

TERMS = Terms("opening keys", "keys")


def without_seal_files(world: World, *institutions: str) -> None:
    """Take the files away, and their names out of the configurations."""
    for name in institutions:
        config = world.institution(name).config
        lines = config.read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith("kek_seals")]
        assert len(kept) == len(lines) - 1
        config.write_text("".join(kept))
        (config.parent / "kek-seals.json").unlink()


async def of_offices(sento: SentoClient) -> list[StandingKek]:
    """The KEKs that institutions made: sites have some of their own, for access records."""
    return [kek for kek in await sento.keks.survey(TERMS) if site_of_author(kek.scope.author) is None]


async def test_offices_without_files_of_seals_write_and_read_by_the_ledger_alone(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", ONE_SITE)
    without_seal_files(world, AUTHOR, READER)
    fact = FactName(registry="health", kind="health/coverage", subject="900000000115", fact="coverage")
    async with LocalCluster(world) as cluster:
        try:
            cluster.start_all()
            await cluster.wait_serving()
            async with SentoClient.open(world.institution(AUTHOR).config) as city:
                done = await city.write(**fact, content=b"insured", compartment="coverage")
                (made,) = await of_offices(city)
                assert (made.scope.author, made.scope.compartment) == (AUTHOR, "coverage")
            async with SentoClient.open(world.institution(AUTHOR).config) as city:
                again = await city.write(
                    **fact, content=b"insured still", compartment="coverage", previous=done.record_hash
                )
                assert await of_offices(city) == [made], "a second program makes no second key"
            async with SentoClient.open(world.institution(READER).config) as team:
                version = await team.fact(**fact, **WHY)
            assert (version.position, version.content) == (again.position, b"insured still")
        finally:
            await cluster.end_all()


async def test_key_that_an_office_has_only_in_its_file_stands_after_reseal_and_opens_what_was_written_before(
    tmp_path: Path,
) -> None:
    world = make_world(tmp_path / "world", ONE_SITE)
    without_seal_files(world, READER)
    fact = FactName(registry="health", kind="health/coverage", subject="900000000115", fact="coverage")
    config = world.institution(AUTHOR).config
    async with LocalCluster(world) as cluster:
        try:
            cluster.start_all()
            await cluster.wait_serving()
            async with SentoClient.open(config) as city:
                await city.write(**fact, content=b"insured", compartment="coverage")
                assert await of_offices(city) == []
            async with SentoClient.open(world.institution(READER).config) as team:
                assert (await team.fact(**fact, **WHY)).content is None
            done = await asyncio.to_thread(
                CliRunner().invoke, main, ["--config", str(config), "keys", "reseal"]
            )
            assert done.exit_code == 0, done.output
            assert "seals made" in done.output
            async with SentoClient.open(world.institution(READER).config) as team:
                assert (await team.fact(**fact, **WHY)).content == b"insured"
        finally:
            await cluster.end_all()
