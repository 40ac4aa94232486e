"""A ledger that is lost, damaged, old or not what a quorum cosigned is made anew from the other sites, by the site itself, while its member's disk is whole.

One world for all: in turn something is done to one stopped site's ledger, it is started again, and it must come back by itself with everything that was
acknowledged. The others acknowledge all the while. What was damaged lies aside afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from hurt_ledgers import alter_consistently, database, write_garbage
from live_sites import AUDITOR, AUTHOR, WAIT_S, LiveSites, running_sites
from raw_calls import PURPOSE, StreamEnded, WriteStream, refusal_of
from sento_drill.waiting import until
from sento_node.ledger.lmdb_files import payloads_directory
from sento_node.ledger.segments import segment_path
from sento_proto.errors import Code
from sento_proto.limits import LIST_PAGE_MAX
from sento_proto.record import Record
from sento_proto.v1 import client_pb2, common_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUBMISSION_RECORDS = 40
KEPT_EVERY_RECORDS = 1_100
"""Of checkpoints closer to each other than a thousand records only the newest is kept."""
VICTIM, HELPER, THIRD = "jp-fukuoka", "jp-ishikawa", "jp-ibaraki"


class Told:
    """What was acknowledged so far: position and hash by record id."""

    def __init__(self, sites: LiveSites) -> None:
        self.sites = sites
        self.stands: dict[bytes, tuple[int, bytes]] = {}

    async def write(self, site: str, count: int = 3) -> None:
        """Write so many records, each acknowledged."""
        author = self.sites.author()
        async with self.sites.caller(AUTHOR, site) as caller, WriteStream(caller) as stream:
            while count > 0:
                records: list[Record] = author.records(min(count, SUBMISSION_RECORDS))
                outcomes = await stream.outcomes(author.submission(*records))
                count -= len(records)
                for (code, position), record in zip(outcomes, records, strict=True):
                    assert code is Code.ACCEPTED
                    self.stands[record.header.record_id] = (position, record.record_hash)

    async def is_all_at(self, site: str) -> None:
        """Every acknowledged record, from this site's own ledger."""
        ids = list(self.stands)
        async with self.sites.caller(AUTHOR, site) as caller:
            for start in range(0, len(ids), LIST_PAGE_MAX):
                page = ids[start : start + LIST_PAGE_MAX]
                names = [client_pb2.RecordName(author=AUTHOR, record_id=record_id) for record_id in page]
                reply = await caller.registry.Outcomes(client_pb2.OutcomesRequest(records=names), timeout=20)
                told = [(outcome.position, outcome.record_hash) for outcome in reply.outcomes]
                assert told == [self.stands[record_id] for record_id in page]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told() -> AsyncIterator[Told]:
    async with running_sites() as sites:
        yield Told(sites)


def ledger(sites: LiveSites, site: str) -> Path:
    return sites.data(site) / "ledger"


def aside(sites: LiveSites, site: str) -> int:
    return len(list(sites.data(site).glob("damaged-*")))


async def stop(sites: LiveSites, site: str) -> None:
    await asyncio.to_thread(sites.cluster.processes[site].stop)


async def quorum_covers(sites: LiveSites, site: str) -> None:
    """Wait until the site keeps a quorum's checkpoint over everything that it holds."""
    await sites.wait_status(
        site, lambda status: status.quorum_size == status.flushed_size > 0, "a quorum covers its ledger"
    )


async def comes_back(told: Told, site: str = VICTIM) -> None:
    """The site serves by itself, holds what was acknowledged, takes part in a quorum that needs it, and its disk verifies."""
    sites = told.sites
    await sites.cluster.wait_caught_up(site)
    await told.write(site)
    await told.is_all_at(site)
    await quorum_covers(sites, site)
    await stop(sites, site)
    command = [sys.executable, "-m", "sento_node.cli", "verify", "--config", str(sites.files(site).config)]
    verified = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    sites.cluster.start(site)
    await sites.cluster.wait_caught_up(site)
    assert not (sites.data(site) / "ledger-draft").exists()


def remove_database(path: Path) -> None:
    database(path).unlink()


def cut_database(path: Path) -> None:
    os.truncate(database(path), database(path).stat().st_size // 2)


def spoil_pages(path: Path) -> None:
    write_garbage(database(path))


def remove_all(path: Path) -> None:
    shutil.rmtree(path)


def remove_segment(path: Path) -> None:
    segment_path(payloads_directory(path), 1).unlink()


@pytest.mark.parametrize(
    "hurt",
    [
        pytest.param(cut_database, marks=pytest.mark.long),
        spoil_pages,
        remove_all,
        pytest.param(remove_database, marks=pytest.mark.long),
        pytest.param(remove_segment, marks=pytest.mark.long),
    ],
    ids=lambda hurt: hurt.__name__,
)
async def test_a_site_whose_ledger_alone_is_hurt_makes_it_anew_by_itself(
    told: Told, hurt: Callable[[Path], None]
) -> None:
    sites = told.sites
    await told.write(VICTIM)
    await quorum_covers(sites, VICTIM)
    await stop(sites, VICTIM)
    before = aside(sites, VICTIM)
    hurt(ledger(sites, VICTIM))
    await told.write(HELPER)
    sites.cluster.start(VICTIM)
    await comes_back(told)
    kept = list(sites.data(VICTIM).glob("damaged-*"))
    assert len(kept) == before + (hurt is not remove_all), "what was damaged is kept aside"
    for path in kept:
        shutil.rmtree(path)


@pytest.mark.long
async def test_yesterdays_database_under_todays_member_is_found_out_and_made_whole(
    told: Told, tmp_path: Path
) -> None:
    sites = told.sites
    await told.write(VICTIM)
    await quorum_covers(sites, VICTIM)
    await stop(sites, VICTIM)
    shutil.copyfile(database(ledger(sites, VICTIM)), tmp_path / "yesterday")
    sites.cluster.start(VICTIM)
    await sites.cluster.wait_serving()
    await told.write(VICTIM)
    await quorum_covers(sites, VICTIM)
    await stop(sites, VICTIM)
    shutil.copyfile(tmp_path / "yesterday", database(ledger(sites, VICTIM)))
    sites.cluster.start(VICTIM)
    await comes_back(told)
    assert "older copy" in sites.log(VICTIM)


async def test_a_site_whose_tree_is_not_the_quorums_answers_nothing_and_rebuilds_from_its_agreed_size(
    told: Told,
) -> None:
    """Row, tree and the site's own notes agree with each other: only a quorum's checkpoint can tell it, and everything before the last record is kept."""
    sites = told.sites
    await quorum_covers(sites, VICTIM)
    await told.write(VICTIM, count=KEPT_EVERY_RECORDS)
    await quorum_covers(sites, VICTIM)
    await told.write(VICTIM, count=KEPT_EVERY_RECORDS)
    await quorum_covers(sites, VICTIM)
    size = (await sites.status(VICTIM)).flushed_size
    await stop(sites, VICTIM)
    alter_consistently(ledger(sites, VICTIM), size - 1)
    sites.cluster.start(VICTIM)
    before = aside(sites, VICTIM)

    async def set_aside() -> bool:
        await told.write(HELPER)
        return aside(sites, VICTIM) > before

    try:
        await until(
            set_aside, deadline_s=60, what="no quorum's checkpoint tells the site that its tree is another"
        )
    except Exception as error:
        error.add_note(sites.log(VICTIM)[-3_000:])
        raise
    await comes_back(told)
    kept = [int(found) for found in re.findall(r"kept_size[^0-9]+(\d+)", sites.log(VICTIM))]
    assert 0 < kept[-1] < size, "it was rebuilt from its last agreed size, not from nothing"
    assert "is not the one that a quorum cosigned" in sites.log(VICTIM)


async def test_while_it_rebuilds_a_site_refuses_readers_and_writers_and_a_kill_begins_it_anew(
    told: Told,
) -> None:
    """Both others' nodes are stopped, so that the rebuild must wait: what the site says meanwhile can be looked at."""
    sites = told.sites
    await told.write(VICTIM)
    await quorum_covers(sites, VICTIM)
    await stop(sites, VICTIM)
    await stop(sites, HELPER)
    await stop(sites, THIRD)
    remove_all(ledger(sites, VICTIM))
    sites.cluster.start(VICTIM)
    said = await sites.wait_state(VICTIM, "rebuilding")
    assert "makes its ledger anew" in said.explanation
    request = client_pb2.ReadRequest(purpose=PURPOSE, position=0, freshness=common_pb2.LOCAL)

    async def read_refused() -> Code | None:
        async with sites.caller(AUDITOR, VICTIM) as caller:
            return (await refusal_of(caller.registry.Read(request, timeout=10))).code

    async def write_refused() -> Code | None:
        author = sites.author()
        async with sites.caller(AUTHOR, VICTIM) as caller, WriteStream(caller) as stream:
            with contextlib.suppress(StreamEnded):
                return await stream.refused(author.submission(author.record()))
        return None

    # Between the life that prepares and the one that fills the new ledger nobody listens for a moment: that is no answer, and not a wrong one.
    for refused in (read_refused, write_refused):
        assert await until(refused, deadline_s=WAIT_S, what="no answer") is Code.REBUILDING
    sites.cluster.kill_site(VICTIM)
    sites.cluster.start(VICTIM)
    await sites.wait_state(VICTIM, "rebuilding")
    sites.cluster.start(HELPER)
    sites.cluster.start(THIRD)
    await comes_back(told)
