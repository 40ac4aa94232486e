"""Three real sites, and damage on the disk of one of them while it runs: found by its own background reading, not given out, healed from the others.

One arrangement takes every damage in turn; at its end the site is stopped, and `sento-node verify` has nothing to say.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from live_sites import AUTHOR, LiveSites, running_sites
from raw_calls import PURPOSE, WriteStream, refusal_of
from sento_node.ledger.segments import FRAME_BYTES, segment_numbers, segment_path
from sento_proto.errors import Code
from sento_proto.record import Record
from sento_proto.v1 import client_pb2, common_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")
HEALED_WITHIN_S = 30.0
SCRUB = "\n[scrub]\nmib_per_s = 200\npause_s = 0.5\n"


async def read_often(sites: LiveSites, site: str) -> None:
    """This site reads its disk all the time; each round is a process of its own, so the others do not."""
    await asyncio.to_thread(sites.cluster.processes[site].stop)
    path = sites.files(site).directory / "node.toml"
    path.write_text(path.read_text() + SCRUB)
    sites.cluster.start(site)
    await sites.wait_state(site, "serving")


class Hurt:
    """The three sites, the one that is hurt, and what stands."""

    def __init__(self, sites: LiveSites, site: str, boot_number: int) -> None:
        self.sites = sites
        self.site = site
        self.boot_number = boot_number
        self.records: list[tuple[int, Record]] = []

    @property
    def ledger(self) -> Path:
        return self.sites.data(self.site) / "ledger"

    @property
    def database(self) -> Path:
        return self.ledger / "database" / "data.mdb"

    @property
    def payloads(self) -> Path:
        return self.ledger / "payloads"

    async def write(self, count: int) -> None:
        """Records of one block or a few, flushed and covered by a checkpoint at the site."""
        author = self.sites.author()
        async with self.sites.caller(AUTHOR) as caller, WriteStream(caller) as stream:
            records = author.records(count)
            outcomes = await stream.outcomes(author.submission(*records))
        assert {code for code, _ in outcomes} == {Code.ACCEPTED}
        self.records += [(position, record) for (_, position), record in zip(outcomes, records, strict=True)]
        end = max(position for position, _ in self.records) + 1
        await self.sites.wait_status(
            self.site, lambda status: status.quorum_size >= end, "the records stand under a checkpoint"
        )

    async def read(self, position: int) -> client_pb2.ReadReply:
        request = client_pb2.ReadRequest(purpose=PURPOSE, position=position, freshness=common_pb2.LOCAL)
        async with self.sites.caller(AUTHOR, self.site) as caller:
            return await caller.registry.Read(request, timeout=20)

    async def healed(self, *, found: int) -> None:
        """The site found something more than `found` places in all, and nothing of it is left."""

        await self.sites.wait_status(
            self.site,
            lambda status: status.scrub.found > found,
            "the damage is found",
            deadline_s=HEALED_WITHIN_S,
        )
        await self.sites.wait_status(
            self.site,
            lambda status: (
                status.scrub.found == status.scrub.healed
                and status.scrub.fenced == 0
                and status.payloads_awaited == 0
                and not any("scrub" in alarm for alarm in status.alarms)
            ),
            "the damage is healed",
            deadline_s=HEALED_WITHIN_S,
        )

    async def found(self) -> int:
        return (await self.sites.status(self.site)).scrub.found

    async def everything_is_read(self) -> None:
        for position, record in self.records:
            reply = await self.read(position)
            assert (reply.record.header, reply.record.payload) == (record.header_bytes, record.payload)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hurt() -> AsyncIterator[Hurt]:
    async with running_sites() as sites:
        lead = await sites.cluster.lead_site()
        site = next(name for name in sites.names if name != lead)
        await read_often(sites, site)
        hurt = Hurt(sites, site, (await sites.status(site)).boot_number)
        await hurt.write(30)
        await hurt.write(20)
        yield hurt


def flip(path: Path, needle: bytes, at: int) -> int:
    """Change one byte of every place where the file holds these bytes; how many places there are."""
    data = path.read_bytes()
    count, found = 0, data.find(needle)
    with path.open("r+b") as file:
        while found >= 0:
            os.pwrite(file.fileno(), bytes([needle[at] ^ 1]), found + at)
            count, found = count + 1, data.find(needle, found + 1)
    return count


async def test_a_changed_byte_of_a_payload_is_refused_and_healed(hurt: Hurt) -> None:
    position, record = hurt.records[3]
    before = await hurt.found()
    segment = segment_path(hurt.payloads, segment_numbers(hurt.payloads)[-1])
    assert flip(segment, record.payload, 5) == 1
    refusal = await refusal_of(hurt.read(position))
    assert refusal.code is Code.DAMAGED
    await hurt.healed(found=before)
    await hurt.everything_is_read()


async def test_a_changed_byte_of_a_row_is_refused_and_healed(hurt: Hurt) -> None:
    position, record = hurt.records[10]
    before = await hurt.found()
    assert flip(hurt.database, record.header_bytes, 20)
    assert (await refusal_of(hurt.read(position))).code is Code.DAMAGED
    await hurt.healed(found=before)
    await hurt.everything_is_read()


async def test_a_changed_byte_of_a_block_is_found_and_healed(hurt: Hurt) -> None:
    position, _ = hurt.records[0]
    before = await hurt.found()
    signature = (await hurt.read(position)).record.submission.signatures[0].data
    assert flip(hurt.database, signature, 30)
    await hurt.healed(found=before)
    await hurt.everything_is_read()


async def test_a_changed_hash_in_tree_and_index_is_found_and_healed(hurt: Hurt) -> None:
    before = await hurt.found()
    assert flip(hurt.database, hurt.records[20][1].record_hash, 31)
    await hurt.healed(found=before)
    await hurt.everything_is_read()


async def test_a_removed_segment_file_is_found_and_its_payloads_come_back(hurt: Hurt) -> None:
    before = await hurt.found()
    segment_path(hurt.payloads, segment_numbers(hurt.payloads)[-1]).unlink()
    await hurt.healed(found=before)
    await hurt.everything_is_read()


async def test_a_segment_cut_short_under_a_running_site_is_healed(hurt: Hurt) -> None:
    before = await hurt.found()
    segment = segment_path(hurt.payloads, segment_numbers(hurt.payloads)[-1])
    os.truncate(segment, segment.stat().st_size // 2)
    await hurt.healed(found=before)
    await hurt.everything_is_read()


async def test_two_payloads_that_changed_places_are_found_and_healed(hurt: Hurt) -> None:
    before = await hurt.found()
    segment = segment_path(hurt.payloads, segment_numbers(hurt.payloads)[-1])
    data = segment.read_bytes()
    (one, two) = (data.find(record.payload) - FRAME_BYTES for _, record in hurt.records[30:32])
    length = FRAME_BYTES + len(hurt.records[30][1].payload)
    with segment.open("r+b") as file:
        os.pwrite(file.fileno(), data[two : two + length], one)
        os.pwrite(file.fileno(), data[one : one + length], two)
    await hurt.healed(found=before)
    await hurt.everything_is_read()


async def test_after_all_of_it_the_site_writes_on_and_verifies(hurt: Hurt) -> None:
    await hurt.write(5)
    await hurt.everything_is_read()
    assert (await hurt.sites.status(hurt.site)).boot_number == hurt.boot_number, (
        "nothing of it needed another life"
    )
    await asyncio.to_thread(hurt.sites.cluster.processes[hurt.site].stop)
    config = hurt.sites.files(hurt.site).directory / "node.toml"
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "sento_node.cli", "verify", "--config", str(config)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, "Nothing is wrong or missing." in done.stdout) == (0, True), done.stdout


async def test_a_broken_page_of_the_database_makes_the_ledger_anew(hurt: Hurt) -> None:
    hurt.sites.cluster.start(hurt.site)
    await hurt.sites.wait_state(hurt.site, "serving")
    data = hurt.database.read_bytes()
    header = hurt.records[7][1].header_bytes
    with hurt.database.open("r+b") as file:
        at = data.find(header)
        while at >= 0:
            os.pwrite(file.fileno(), b"\xff", at // 4_096 * 4_096 + 12)
            at = data.find(header, at + 1)
    await hurt.sites.wait_status(
        hurt.site,
        lambda status: status.state == "serving" and status.boot_number >= hurt.boot_number + 2,
        "the ledger was made anew in another life",
    )
    await hurt.everything_is_read()
