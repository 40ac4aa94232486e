"""Surveys of real sites: signed by the site in every state in which it answers, the same from its stopped disk, and with every record in it that was
acknowledged before the majority was killed under load."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from live_sites import AUTHOR, WAIT_S, LiveSites, running_sites
from raw_calls import CALL_TIMEOUT_S, StreamEnded, WriteStream, refusal_of
from sento_drill.waiting import until
from sento_node.epochs.copies import copy_ledger
from sento_node.epochs.recovering import member_dir_of
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.salvage.extending import extend, foresee
from sento_proto.governance.state import from_genesis
from sento_proto.site_word import decode_word, word_holds
from sento_proto.strict_json import load
from sento_proto.survey import SURVEY, Survey, decode_survey
from sento_proto.v1 import admin_pb2

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

ACKNOWLEDGED = 40
COMMAND_S = 30
SOCKETS = shutil.ignore_patterns("run")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites() as sites:
        yield sites


def opened(sites: LiveSites, data: bytes) -> Survey:
    """The survey, whose signature must be its site's."""
    word = decode_word(SURVEY, data)
    genesis = sites.world.genesis
    keys = from_genesis(genesis).site_keys_since_genesis(word.site)
    assert word_holds(SURVEY, genesis.ledger_id, word.body, word.signatures, keys)
    survey = decode_survey(word.body)
    assert survey.site == word.site
    return survey


async def surveyed(sites: LiveSites, site: str) -> Survey:
    async with sites.operator(site) as caller:
        reply = await caller.admin.Survey(admin_pb2.SurveyRequest(), timeout=CALL_TIMEOUT_S)
    return opened(sites, reply.survey)


async def command(*args: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sento_node.cli", "survey", *(str(arg) for arg in args),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), COMMAND_S)
    assert process.returncode == 0, out.decode()
    return out.decode()


async def write_until_killed(sites: LiveSites, site: str, acknowledged: list[bytes]) -> None:
    """Writes records through a site until that ends; those that it acknowledged are noted."""
    author = sites.author()
    async with sites.caller(AUTHOR, site) as caller, WriteStream(caller) as stream:
        with contextlib.suppress(StreamEnded, grpc.aio.AioRpcError):
            while True:
                record = author.record()
                reply = await stream.ask(author.submission(record))
                if not reply.HasField("error"):
                    acknowledged.append(record.record_hash)


async def test_a_survivor_of_a_majority_killed_under_load_tells_everything_that_was_acknowledged(
    sites: LiveSites, tmp_path: Path
) -> None:
    """One test in the order of a disaster: peace, a site lost, the lead and with it the majority lost, the survivor's disk, the survivor alone."""
    names, genesis = set(sites.names), sites.world.genesis
    lead = await sites.cluster.lead_site()
    survivor, first = sorted(names - {lead})
    peace = await surveyed(sites, survivor)
    assert peace.has_majority
    assert {one.site for one in peace.contacts} == names - {survivor}
    async with sites.caller(AUTHOR, survivor) as caller:
        refused = await refusal_of(caller.admin.Survey(admin_pb2.SurveyRequest(), timeout=CALL_TIMEOUT_S))
    assert refused.status is grpc.StatusCode.PERMISSION_DENIED

    sites.cluster.kill_site(first)
    acknowledged: list[bytes] = []
    writing = asyncio.create_task(write_until_killed(sites, lead, acknowledged))

    async def enough() -> bool:
        return len(acknowledged) >= ACKNOWLEDGED

    await until(enough, deadline_s=WAIT_S, what="records are acknowledged by the lead and the survivor")
    sites.cluster.kill_site(survivor)
    sites.cluster.kill_site(lead)
    await writing

    out = tmp_path / "survivor.survey"
    config = sites.files(survivor).directory / "node.toml"
    said = await command("--config", config, "--out", out)
    assert "signed by the site" in said
    stopped = opened(sites, out.read_bytes())
    assert (stopped.tail is not None, stopped.has_majority) == (True, False)
    assert stopped.tail is not None
    assert stopped.tail.trouble == ""
    assert stopped.extended.size >= len(acknowledged)

    copy = tmp_path / "copy"
    shutil.copytree(sites.data(survivor) / "ordering", copy / "ordering", ignore=SOCKETS)
    copy_ledger(sites.data(survivor) / "ledger", copy / "ledger", link=False)
    with contextlib.closing(LmdbStore.open(copy / "ledger", genesis.ledger_id)) as store:
        foreseen = foresee(store, genesis, member_dir_of(copy))
    assert foreseen.extended == stopped.extended
    await command("--data-dir", copy, "--genesis", sites.files(survivor).directory / "genesis.json",
                  "--site", survivor, "--out", tmp_path / "copy.survey")  # fmt: skip
    envelope = load((tmp_path / "copy.survey").read_bytes(), "survey")
    assert decode_survey(envelope.blob("body")).extended == stopped.extended
    assert envelope.raw("signatures") == []
    assert extend(copy / "ledger", genesis, foreseen.blocks) == stopped.extended
    with contextlib.closing(LmdbStore.open(copy / "ledger", genesis.ledger_id)) as store:
        lost = [one.hex() for one in acknowledged if store.position_of_hash(one) is None]
    assert lost == []

    sites.cluster.start(survivor)
    alone = await sites.wait_status(
        survivor, lambda status: status.state != "serving", "it answers and does not serve"
    )
    told = await surveyed(sites, survivor)
    assert told.extended == stopped.extended, alone
    assert not told.has_majority
    assert not any(one.reached for one in told.contacts)
