"""Power is lost at each step of a recovery and of the old capital's return, by the command that carries it out and by the sites together.

One embassy holds all that the plan stands on; the other one lost power before that and is behind the fork. The capital alone held more: records, and the
revocation of a stolen key, which the plan orders anew. Whoever stole the key writes all the while, at both embassies."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import closing
from pathlib import Path

import grpc.aio
import pytest
import pytest_asyncio
from click.testing import CliRunner

from killed_command import Computers, files_there, power_lost, sites_start
from live_sites import AUTHOR, OTHER_AUTHOR, WAIT_S, LiveSites, running_sites
from raw_calls import Author, Caller, StreamEnded, WriteStream
from recovered_sites import (
    EMBASSIES,
    OFFICERS,
    VOTERS,
    all_hold,
    is_open,
    nobody_answers,
    plan_of,
    signed,
    written,
)
from sento_client.cli.main import main
from sento_drill.plan import PREPARED
from sento_drill.waiting import TooLate, until
from sento_node.ledger.lmdb_store import LmdbStore
from sento_proto.act_chain import act_content
from sento_proto.epoch_plan import EpochPlan, acts_behind, decode_plan
from sento_proto.errors import STANDING_CODES, Code
from sento_proto.record import Record

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]
WHOLE, BEHIND = EMBASSIES
CAPITAL = VOTERS[0]
EARLY, BETWEEN, LOST = 10, 40, 60
PADDING_ACTS = 8
"""Acts behind the revocation that change little: so that the epoch is a while in opening."""
APPLY = ("recover", "apply")
ASK_S, AGAIN_S = 3.0, 0.05


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(PREPARED) as running:
        yield running


class Thief:
    """Whoever stole an author's key writes at these sites as long as the block lasts. `codes`: site -> what came of it."""

    def __init__(self, sites: LiveSites, *at: str) -> None:
        self._sites = sites
        self._author = sites.author(OTHER_AUTHOR)
        self.written: list[bytes] = []
        self.codes: dict[str, set[Code]] = {site: set() for site in at}
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Thief:
        self._tasks = [asyncio.create_task(self._write_on(site)) for site in self.codes]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def is_refused(self) -> None:
        """Wait until every site has said that the key is revoked."""

        async def told() -> bool:
            return all(Code.KEY_ENDED in codes for codes in self.codes.values())

        await until(told, deadline_s=WAIT_S, what=f"the key is not refused: {self.codes}")

    async def _write_on(self, site: str) -> None:
        async with self._sites.caller(OTHER_AUTHOR, site) as caller:
            while not self._stop.is_set():
                try:
                    await self._try(caller, site)
                except (StreamEnded, TimeoutError, grpc.aio.AioRpcError):
                    await asyncio.sleep(AGAIN_S)

    async def _try(self, caller: Caller, site: str) -> None:
        async with WriteStream(caller) as stream:
            while not self._stop.is_set():
                record = stolen_record(self._author)
                self.written.append(record.record_hash)
                reply = await stream.ask(self._author.submission(record), timeout_s=ASK_S)
                told = [reply.error.code] if reply.HasField("error") else [one.code for one in reply.outcomes]
                self.codes[site].update(map(Code, told))
                await asyncio.sleep(AGAIN_S)


def stolen_record(author: Author) -> Record:
    return author.record(registry="health", compartment="prescription", kind="health/prescription")


def revocation(sites: LiveSites) -> dict[str, object]:
    key_id = sites.author(OTHER_AUTHOR).signer.public_key.key_id.hex()
    return {"do": "revoke-key", "author": OTHER_AUTHOR, "key_id": key_id}


async def sento(sites: LiveSites, who: str, *words: str, codes: Collection[int] = (0,)) -> str:
    config = str(sites.world.officer(who).config)
    done = await asyncio.to_thread(CliRunner().invoke, main, ["--config", config, *words])
    assert done.exit_code in codes, done.output
    return done.output


async def revoked_at_home(sites: LiveSites, tmp_path: Path) -> None:
    """Officers revoke the key while the capital stands: their computers know it, and no embassy does."""
    wanted, act = tmp_path / "changes.json", tmp_path / "act.json"
    wanted.write_text(json.dumps({"changes": [revocation(sites)]}))
    await sento(
        sites, "ciso", "govern", "propose", "--reason", "stolen", "--out", str(act), "--file", str(wanted)
    )
    for officer in OFFICERS:
        await sento(sites, officer, "govern", "sign", str(act), "--yes")
    await sento(sites, "ciso", "govern", "submit", str(act))


async def one_by_one(sites: LiveSites, author: Author, site: str, records: Sequence[Record]) -> None:
    """Each record is a submission of its own, and all are acknowledged."""
    async with sites.caller(AUTHOR, site) as caller, WriteStream(caller) as stream:
        for record in records:
            [(code, _)] = await stream.outcomes(author.submission(record))
            assert code is Code.ACCEPTED


async def ruins(sites: LiveSites, tmp_path: Path) -> tuple[list[bytes], list[bytes], bytes]:
    """The capital is destroyed, and its disk kept aside: hashes that both sides had, hashes that it alone had, and a record under the stolen key."""
    early = await written(sites, CAPITAL, EARLY)
    await all_hold(sites, max(early.values()) + 1, *sites.names)
    await power_lost(sites, BEHIND)
    between = await written(sites, CAPITAL, BETWEEN)
    await all_hold(sites, max(between.values()) + 1, *VOTERS, WHOLE)
    await power_lost(sites, WHOLE)
    author, hospital = sites.author(), sites.author(OTHER_AUTHOR)
    lost, stolen = author.records(LOST), stolen_record(hospital)
    await one_by_one(sites, author, CAPITAL, lost)
    async with sites.caller(OTHER_AUTHOR, CAPITAL) as caller, WriteStream(caller) as stream:
        [(code, _)] = await stream.outcomes(hospital.submission(stolen))
    assert code is Code.ACCEPTED
    await revoked_at_home(sites, tmp_path)
    size = (await sites.status(CAPITAL)).applied_size
    await all_hold(sites, size, *VOTERS)
    await power_lost(sites, *VOTERS)
    shutil.copytree(sites.data(CAPITAL), tmp_path / CAPITAL, ignore=shutil.ignore_patterns("run"))
    for site in VOTERS:
        shutil.rmtree(sites.data(site))
    return [*early, *between], [one.record_hash for one in lost], stolen.record_hash


def plan_file(sites: LiveSites, tmp_path: Path) -> Path:
    """The officers' plan from what the whole embassy holds: the key is revoked before anything else."""
    first = act_content("revoked in the former epoch", [revocation(sites)])
    budgets = [
        act_content(
            "as it was",
            [{"do": "set-budget", "author": AUTHOR, "budget_per_10000_positions": {"records": 9_000 + number, "subjects": 9_000}}],
        )
        for number in range(PADDING_ACTS)
    ]  # fmt: skip
    known = plan_of(sites, sites.data(WHOLE) / "ledger")
    plan = plan_of(sites, sites.data(WHOLE) / "ledger", acts=(first, *budgets, *known.acts))
    file = tmp_path / "plan.json"
    file.write_bytes(signed(sites, plan))
    return file


def traces(sites: LiveSites, site: str, *, asked: bool = True) -> list[Path]:
    """Files of which one is there once the site was asked to begin, or once it begins."""
    data = sites.data(site)
    names = ["epoch-draft", "epoch-draft-ready", "epoch", *(["epoch-asked.plan.json"] if asked else [])]
    return [data / name for name in names]


async def is_asked(sites: LiveSites, *names: str) -> bool:
    return all([await files_there(*traces(sites, site)) for site in names])


async def answer(sites: LiveSites, *names: str) -> None:
    """Wait until these sites say anything, so that a command has somebody to talk to."""
    for site in names:
        try:
            await sites.wait_status(site, lambda _: True, "answers", deadline_s=30)
        except TooLate as error:
            error.add_note(sites.cluster.processes[site].log_tail(60))
            raise


async def killed_while_it_begins(sites: LiveSites, site: str) -> None:
    async def begins() -> bool:
        return await files_there(*traces(sites, site, asked=False))

    await until(begins, deadline_s=WAIT_S, poll_s=0.005, what=f"{site} does not begin")
    await power_lost(sites, site)
    await sites_start(sites, site)


async def said(sites: LiveSites, words: str, *names: str, before: int) -> None:
    """Wait until these sites' logs hold words once more than `before`."""

    async def found() -> bool:
        return sum(sites.log(site).count(words) for site in names) > before

    await until(found, deadline_s=WAIT_S, poll_s=0.01, what=f"none of {names} says: {words}")


def standing(sites: LiveSites, site: str, hashes: Sequence[bytes]) -> int:
    """How many of these stand in the ledger of a site that does not run."""
    with closing(LmdbStore.open(sites.data(site) / "ledger", sites.world.genesis.ledger_id)) as store:
        return sum(store.position_of_hash(one) is not None for one in hashes)


async def killed_at_the_fork(sites: LiveSites) -> None:
    """The embassy that is behind has copied up to the fork: it and the other one lose power before the epoch's first act can stand."""
    await said(sites, "to the fork of epoch", BEHIND, before=0)
    await power_lost(sites, *EMBASSIES)
    await sites_start(sites, *EMBASSIES)


async def killed_while_it_opens(sites: LiveSites, plan: EpochPlan) -> None:
    """Both embassies lose power twice: right behind the first act, and when some of the plan's further ones stand."""
    acts = [record.record_hash for record in acts_behind(plan)]

    async def some_stand() -> bool:
        return max([await stand_at(sites, site, acts) for site in EMBASSIES]) > 0

    await said(sites, '"epoch begun"', *EMBASSIES, before=0)
    for what in ("behind the first act", "between the acts"):
        if what == "between the acts":
            await until(some_stand, deadline_s=WAIT_S, poll_s=0.005, what="the plan's acts are not ordered")
        await power_lost(sites, *EMBASSIES)
        counts = [standing(sites, site, acts) for site in EMBASSIES]
        print(f"killed {what}: {counts} of {len(acts)} stood")
        await sites_start(sites, *EMBASSIES)


async def recovered(sites: LiveSites, computers: Computers, file: Path) -> None:
    """The plan is carried out, with power lost at every step of it."""
    begun_s, plan = time.monotonic(), decode_plan(file.read_bytes())
    # Killed as soon as one was asked, then again once both were.
    for names in (EMBASSIES[:1], EMBASSIES):

        async def asked(names: Sequence[str] = names) -> bool:
            return await is_asked(sites, *names)

        await computers.killed_when(file, *APPLY, condition=asked, what="the sites are asked")
        await power_lost(sites, *names)
        await sites_start(sites, *names)
        await answer(sites, *EMBASSIES)
    await asyncio.gather(*(killed_while_it_begins(sites, site) for site in EMBASSIES))
    await killed_at_the_fork(sites)
    await killed_while_it_opens(sites, plan)
    await answer(sites, *EMBASSIES)
    run = await computers.ends(file, *APPLY)
    assert "Epoch 1 serves at every voting site" in run.said()
    print(f"recovered, power lost at every step: {time.monotonic() - begun_s:.1f} s from the first command")


async def brought_over(sites: LiveSites, computers: Computers, file: Path, tmp_path: Path) -> None:
    """The old capital's disk is found, and is brought over to the epoch, with power lost on the way."""
    shutil.copytree(tmp_path / CAPITAL, sites.data(CAPITAL))
    await sites_start(sites, CAPITAL)
    await sites.wait_state(CAPITAL, "epoch-ended")

    async def asked() -> bool:
        return await is_asked(sites, CAPITAL)

    await computers.killed_when(
        file, *APPLY, "--site", CAPITAL, condition=asked, what="the capital was asked"
    )
    await power_lost(sites, CAPITAL)
    await sites_start(sites, CAPITAL)
    for _ in range(2):
        await killed_while_it_begins(sites, CAPITAL)
    await answer(sites, CAPITAL)
    await computers.ends(file, *APPLY, "--site", CAPITAL)
    await sites.wait_status(
        CAPITAL,
        lambda status: (status.state, status.role, status.epoch) == ("serving", "embassy", 1),
        "it follows the new epoch",
    )
    await is_open(sites, CAPITAL)


async def readmitted(
    sites: LiveSites, computers: Computers, lost: Sequence[bytes], stolen: bytes, tmp_path: Path
) -> None:
    """Its orphans come back, with power lost by the command, by the capital and by an embassy in between."""
    file = tmp_path / "orphans.json"
    listing = ("--site", CAPITAL, "--epoch", "0", "--out", str(file))
    await sento(sites, OFFICERS[0], "return", "orphans", *listing, codes=(0, 5))
    readmit = ("return", "readmit", "--site", CAPITAL, "--yes")
    for share, victims in ((1, (CAPITAL,)), (LOST // 3, (CAPITAL, WHOLE)), (2 * LOST // 3, ())):

        async def so_many(share: int = share) -> bool:
            return await stand_at(sites, BEHIND, lost) >= share

        await computers.killed_when(file, *readmit, condition=so_many, what=f"{share} stand again")
        await power_lost(sites, *victims)
        await sites_start(sites, *victims)
        await sites.cluster.wait_serving(*EMBASSIES, CAPITAL, deadline_s=WAIT_S)
    run = await computers.ends(file, *readmit, codes=(5,))
    size = (await sites.status(CAPITAL)).applied_size
    again = await computers.ends(run.file, *readmit, codes=(5,))
    assert stolen.hex()[:16] in again.said()
    assert (await sites.status(CAPITAL)).applied_size == size, "twice changes nothing"


async def stand_at(sites: LiveSites, site: str, hashes: Sequence[bytes]) -> int:
    """How many stand at a site that may not answer."""
    try:
        return await sites.cluster.stand(site, hashes)
    except grpc.aio.AioRpcError:
        return 0


async def test_power_lost_at_each_step_of_a_recovery_and_a_return_loses_nothing_and_never_lets_a_revoked_key_write(
    sites: LiveSites, tmp_path: Path
) -> None:
    both, lost, stolen = await ruins(sites, tmp_path)
    file = plan_file(sites, tmp_path)
    for site in EMBASSIES:
        sites.world.hand_over_certificates(site, 1)
    await sites_start(sites, *EMBASSIES)
    for site in EMBASSIES:
        await sites.wait_state(site, "waiting-for-boot-confirmation")
    fork = decode_plan(file.read_bytes()).parent.size
    assert (await sites.status(BEHIND)).flushed_size < fork, "it is behind the fork"
    await nobody_answers(sites, dict.fromkeys(EMBASSIES, file.read_bytes()))
    computers = Computers(sites, tmp_path, OFFICERS)
    async with Thief(sites, *EMBASSIES) as thief:
        await recovered(sites, computers, file)
        for site in EMBASSIES:
            await is_open(sites, site)
        await thief.is_refused()
    print(f"what the thief was told: {thief.codes}")
    assert not any(STANDING_CODES & codes for codes in thief.codes.values()), thief.codes
    fresh = list(await written(sites, WHOLE, 5) | await written(sites, BEHIND, 5))
    await brought_over(sites, computers, file, tmp_path)
    await readmitted(sites, computers, lost, stolen, tmp_path)
    size = (await sites.status(CAPITAL)).applied_size
    await all_hold(sites, size, *EMBASSIES, CAPITAL)
    for site in (*EMBASSIES, CAPITAL):
        sites.cluster.processes[site].stop()
    for site in (*EMBASSIES, CAPITAL):
        stands_once(sites, site, [*both, *lost, *fresh], [stolen, *thief.written])


def stands_once(sites: LiveSites, site: str, there: Sequence[bytes], not_there: Sequence[bytes]) -> None:
    """Each of these stands exactly once in a stopped site's ledger, and none of those."""
    with closing(LmdbStore.open(sites.data(site) / "ledger", sites.world.genesis.ledger_id)) as store:
        hashes = [record.record_hash for record in store.records(0, store.tip.size, with_payload=False)]
    assert all(hashes.count(one) == 1 for one in there)
    assert not {*not_there} & {*hashes}
