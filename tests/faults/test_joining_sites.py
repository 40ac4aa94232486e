"""Sites that the genesis file does not name: enrolled by act while the ledger runs, joined with a bootstrap file from nothing, as an embassy and as a voter.

No file of another site is edited: they learn where the new site is reached from the act that enrols it.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import shutil
import tempfile
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from live_sites import AUDITOR, WAIT_S, LiveSites, announcements_stand, writes_again
from sento_client.cli.main import main
from sento_drill.cluster import LocalCluster
from sento_drill.places import LU_BETZDORF, PLACES
from sento_drill.plan import WorldPlan
from sento_drill.processes import SiteProcesses, node_command
from sento_drill.waiting import until
from sento_drill.world import SiteFiles, World, make_world, open_world
from sento_node.joining.note import NOTE_FILE
from sento_proto.bootstrap import decode_bootstrap
from steady_writer import SteadyWriter, missing_anywhere

pytestmark = pytest.mark.asyncio(loop_scope="module")

EMBASSY, VOTER = "lu-betzdorf", "jp-later"
PLAN = WorldPlan(sites=(*PLACES, dataclasses.replace(PLACES[0], site=VOTER), LU_BETZDORF))
STANDING = tuple(place.site for place in PLACES)
OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")


class Country:
    """Three sites of the genesis that run, and two that are enrolled later."""

    def __init__(
        self, sites: LiveSites, later: dict[str, SiteFiles], described: dict[str, dict[str, object]]
    ) -> None:
        self.sites = sites
        self.later = later
        self.described = described
        self.begun: list[SiteProcesses] = []
        """Every joining that was started; kept until all have ended, and then waited for."""

    async def sento(self, who: str, *arguments: str, code: int = 0) -> Result:
        config = str(self.sites.world.officer(who).config)
        result = await asyncio.to_thread(CliRunner().invoke, main, ["--config", config, *arguments])
        assert result.exit_code == code, result.output
        return result

    async def enact(self, directory: Path, change: dict[str, object]) -> None:
        """Propose, sign by three, submit."""
        wanted, act = directory / "change.json", directory / "act.json"
        wanted.write_text(json.dumps({"changes": [change]}))
        act.unlink(missing_ok=True)
        await self.sento(
            "ciso", "govern", "propose", "--reason", "test", "--out", str(act), "--file", str(wanted)
        )
        for officer in OFFICERS:
            await self.sento(officer, "govern", "sign", str(act), "--yes")
        await self.sento("ciso", "govern", "submit", str(act))

    async def bootstrap(self, directory: Path, *signers: str) -> Path:
        """A bootstrap file of now, signed by these."""
        path = directory / f"{len(list(directory.iterdir()))}.sento-bootstrap"
        await self.sento("ciso", "bootstrap", "make", "--out", str(path))
        for officer in signers:
            await self.sento(officer, "bootstrap", "sign", str(path), "--yes")
        return path

    def joining(self, site: str, bootstrap: Path) -> SiteProcesses:
        """Control over a later site that is started by `join`."""
        files = self.later[site]
        command = [*node_command(files.config), "--bootstrap", str(bootstrap)]
        processes = SiteProcesses(site, files.directory, command)
        self.begun.append(processes)
        return processes


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def country() -> AsyncIterator[Country]:
    directory = Path(tempfile.mkdtemp(prefix="sento-join-"))
    try:
        made = make_world(directory / "world", PLAN)
        later = {files.name: files for files in made.sites if files.name in (EMBASSY, VOTER)}
        described = without_later_sites(made)
        world = open_world(directory / "world")
        assert tuple(site.name for site in world.sites) == STANDING
        reach_all = dataclasses.replace(world, sites=(*world.sites, *later.values()))
        async with LocalCluster(reach_all) as cluster:
            sites = LiveSites(reach_all, cluster)
            sites.names = STANDING
            try:
                for name in STANDING:
                    cluster.start(name)
                await cluster.wait_serving(*STANDING, deadline_s=WAIT_S)
                await announcements_stand(sites)
                country = Country(sites, later, described)
                yield country
                for processes in country.begun:
                    await asyncio.to_thread(processes.end)
            finally:
                await cluster.end_all()
    finally:
        shutil.rmtree(directory)


def without_later_sites(world: World) -> dict[str, dict[str, object]]:
    """Take the later sites out of every genesis file, and out of what the standing sites and the clients know; how an act would enrol them."""
    genesis = json.loads((world.directory / "genesis.json").read_bytes())
    described = {site["name"]: site for site in genesis["sites"] if site["name"] in (EMBASSY, VOTER)}
    genesis["sites"] = [site for site in genesis["sites"] if site["name"] not in described]
    genesis["receipt_set"] = {"sites": list(STANDING), "quorum": 2}
    for path in world.directory.rglob("genesis.json"):
        path.chmod(0o644)
        path.write_text(json.dumps(genesis))
    for path in [*world.directory.rglob("node.toml"), *world.directory.rglob("sento.toml")]:
        if path.parent.name not in described:
            head, *tables = path.read_text().split("\n[[")
            kept = [table for table in tables if not any(f'"{name}"' in table for name in described)]
            path.write_text("\n[[".join([head, *kept]))
            tomllib.loads(path.read_text())
    for name, site in described.items():
        config = tomllib.loads((world.sites_directory / name / "node.toml").read_text())
        site["address"] = config["listen"]["address"].replace("0.0.0.0", "127.0.0.1")
        if "ordering" in config:
            site["ordering_url"] = config["ordering"]["peer_url"]
        (world.sites_directory / name / "genesis.json").unlink()
    return described


async def joined(country: Country, site: str) -> None:
    await country.sites.wait_state(site, "serving", deadline_s=90)

    async def over() -> bool:
        return not (country.later[site].directory / "data" / NOTE_FILE).exists()

    await until(over, deadline_s=30, what="the joining is over")


def altered(path: Path, to: Path, **fields: object) -> Path:
    """The file with its body changed."""
    value = json.loads(path.read_bytes())
    body = json.loads(base64.b64decode(value["body"])) | fields
    value["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    to.write_text(json.dumps(value))
    return to


async def refused(country: Country, site: str, bootstrap: Path) -> str:
    """Start a joining that is not begun: what it said."""
    processes = country.joining(site, bootstrap)
    before = len(processes.log_tail(lines=100_000))
    processes.start("join")

    async def ended() -> int | None:
        return processes.exit_code()

    code = await until(ended, deadline_s=WAIT_S, what="the command ends")
    assert code == 2, processes.log_tail()
    assert not (country.later[site].directory / "data" / NOTE_FILE).exists()
    return processes.log_tail(lines=100_000)[before:]


async def test_an_embassy_that_genesis_does_not_name_joins_from_nothing_under_writes(
    country: Country, tmp_path: Path
) -> None:
    sites = country.sites
    early = await country.bootstrap(tmp_path, *OFFICERS)
    assert "does not name lu-betzdorf" in await refused(country, EMBASSY, early)
    async with SteadyWriter(sites, callers=2) as writer:
        await writer.more(50)
        await country.enact(tmp_path, {"do": "enrol-site", "site": country.described[EMBASSY]})
        short = await country.bootstrap(tmp_path, *OFFICERS[:2])
        assert "2 officers signed the file and 3 are needed" in await refused(country, EMBASSY, short)
        await country.sento(OFFICERS[2], "bootstrap", "sign", str(short), "--yes")
        whole = short
        assert "altered" in await refused(country, EMBASSY, altered(whole, tmp_path / "root", root="00" * 32))
        assert "altered" in await refused(country, EMBASSY, altered(whole, tmp_path / "epoch", epoch=1))
        content = decode_bootstrap(whole.read_bytes()).content
        processes = country.joining(EMBASSY, whole)
        processes.start("join")
        await joined(country, EMBASSY)
        await writer.more(50)
    status = await sites.status(EMBASSY)
    assert status.role == "embassy"
    assert status.flushed_size >= content.size
    await sites.cluster.wait_caught_up(EMBASSY)
    sites.names = (*STANDING, EMBASSY)
    for name in sites.names:
        await sites.wait_status(
            name, lambda status: status.flushed_size > max(writer.acknowledged), "all of it is flushed"
        )
    missing = await missing_anywhere(sites, writer.acknowledged, AUDITOR)
    assert not any(missing.values()), missing

    async def known() -> bool:
        said = await sites.status(STANDING[0])
        return any(peer.site == EMBASSY and peer.reachable for peer in said.peers)

    await until(known, deadline_s=WAIT_S, what="a standing site reaches the new one, by the act alone")


async def test_a_voter_that_genesis_does_not_name_joins_killed_on_the_way_and_votes(
    country: Country, tmp_path: Path
) -> None:
    sites = country.sites
    await country.enact(tmp_path, {"do": "enrol-site", "site": country.described[VOTER]})
    path = await country.bootstrap(tmp_path, *OFFICERS)
    processes = country.joining(VOTER, path)
    processes.start("join")

    async def learner() -> bool:
        note = country.later[VOTER].directory / "data" / NOTE_FILE
        return note.exists() and json.loads(note.read_bytes())["member_id"] != 0

    await until(learner, deadline_s=WAIT_S, poll_s=0.01, what="it became a member")
    processes.kill()
    sites.cluster.start(VOTER)
    await joined(country, VOTER)
    assert (await sites.status(VOTER)).role == "voting"

    async def votes() -> bool:
        alarms = (await sites.status(STANDING[0])).alarms
        return not any("ordering-members" in alarm or "other members" in alarm for alarm in alarms)

    await until(votes, deadline_s=WAIT_S, what="members are the sites that governance lets vote")
    await writes_again(sites, VOTER)


async def test_a_site_whose_vote_was_ended_takes_its_member_out_at_its_next_start_and_goes_on(
    country: Country, tmp_path: Path
) -> None:
    sites = country.sites
    await country.enact(tmp_path, {"do": "set-site-votes", "name": VOTER, "votes": False})
    processes = sites.cluster.processes[VOTER]
    await asyncio.to_thread(processes.stop)
    sites.cluster.start(VOTER)
    await sites.wait_state(VOTER, "serving")
    assert (await sites.status(VOTER)).role == "embassy"
    assert processes.member() is None

    async def left() -> bool:
        return not any("other members" in alarm for alarm in (await sites.status(STANDING[0])).alarms)

    await until(left, deadline_s=WAIT_S, what="the members are the sites that governance lets vote")
    await writes_again(sites, VOTER)


async def test_the_file_of_another_ledger_is_named_by_whoever_verifies_it(
    country: Country, tmp_path: Path
) -> None:
    path = await country.bootstrap(tmp_path, *OFFICERS)
    shown = await country.sento("ciso", "bootstrap", "verify", str(path))
    assert "enough officers signed it" in shown.output
    newer = altered(path, tmp_path / "newer", size=10_000_000)
    result = await country.sento("ciso", "bootstrap", "verify", str(newer), code=1)
    assert "NOT_PROVEN" in result.output
    other = altered(path, tmp_path / "root", root="11" * 32)
    result = await country.sento("ciso", "bootstrap", "sign", str(other), "--yes", code=1)
    assert "NOT_PROVEN" in result.output
