"""Confirmed reads and head statements at three real sites: all say the same of one tree, and what is not to be signed is refused."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from live_sites import AUTHOR, READER, LiveSites, running_sites
from raw_calls import refusal, refusal_of
from sento_client import Draft, SentoClient, Version
from sento_client.confirming.values import Confirmed, Confirming
from sento_drill.waiting import until
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.errors import Code
from sento_proto.governance.state import from_genesis
from sento_proto.head_statement import NO_HEAD, HeadStatement, decode_statement, statement_holds
from sento_proto.v1 import client_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUMBER = "900000000115"
WHY: dict[str, Any] = {"purpose": "own records", "case_number": "2026-31"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    """Three sites with five versions of one person's address."""
    async with running_sites() as running:
        async with SentoClient.open(running.world.institution(AUTHOR).config) as sento:
            previous: bytes | None = None
            for n in range(5):
                done = await sento.write(
                    registry="residency",
                    kind="residence/entry",
                    subject=NUMBER,
                    fact="address",
                    content={"n": n},
                    previous=previous,
                )
                previous = done.record_hash
        yield running


async def confirmed_list(sites: LiveSites, *, newest: int) -> tuple[Confirmed, list[Version]]:
    """The list, once a quorum's checkpoint covers `newest` records of it."""
    async with SentoClient.open(sites.world.institution(AUTHOR).config) as sento:

        async def covered() -> tuple[Confirmed, list[Version]] | None:
            told = Confirming()
            history = sento.subject_history(registry="residency", subject=NUMBER, confirmed=told, **WHY)
            versions = [version async for version in history]
            assert told.word is not None
            done = len([version for version in versions if version.confirmed]) >= newest
            return (told.word, versions) if done else None

        return await until(covered, deadline_s=30, what="no checkpoint covers what was written")


async def size_within_a_block(sites: LiveSites) -> int:
    """A size that no checkpoint can have, once a quorum's checkpoint is beyond it: checkpoints end at blocks, and a group lies in one."""
    drafts = [
        Draft(registry="residency", kind="residence/entry", subject=NUMBER, fact=fact, content={"n": 1})
        for fact in ("phone", "mail")
    ]
    async with SentoClient.open(sites.world.institution(AUTHOR).config) as sento:
        first, second = await sento.write_group(drafts)
    assert second.position == first.position + 1
    async with sites.caller(AUTHOR, sites.names[0]) as caller:

        async def passed() -> bool:
            newest = await caller.registry.Checkpoint(client_pb2.CheckpointRequest())
            return decode_checkpoint(newest.checkpoint).size > second.position

        await until(passed, deadline_s=30, what="no checkpoint covers the group")
    return second.position


async def statement_or_none(sites: LiveSites, site: str, size: int, subject: bytes) -> HeadStatement | None:
    """A site's statement; None while it does not know the checkpoint."""
    async with sites.caller(AUTHOR, site) as caller:
        try:
            reply = await caller.registry.Head(
                client_pb2.HeadRequest(registry="residency", subject=subject, size=size)
            )
        except grpc.aio.AioRpcError as error:
            if refusal(error).code in (Code.NOT_FOUND, Code.OUT_OF_RANGE):
                return None
            raise
    return decode_statement(reply.statement)


async def test_a_list_is_confirmed_by_a_quorum_of_real_sites_with_its_newest_record(sites: LiveSites) -> None:
    word, versions = await confirmed_list(sites, newest=5)
    assert len(word.sites) >= 2
    assert not word.liars
    assert word.head.last_position == versions[0].position
    assert [version.confirmed for version in versions] == [word] * 5
    async with SentoClient.open(sites.world.institution(AUTHOR).config) as sento:
        read = await sento.read(versions[1].position, confirmed=True, **WHY)
        assert read.confirmed is not None
        assert read.confirmed.superseded_by == versions[0].position
        standing = await sento.fact(
            registry="residency",
            kind="residence/entry",
            subject=NUMBER,
            fact="address",
            confirmed=True,
            **WHY,
        )
        assert (standing.record_hash, standing.confirmed is not None) == (versions[0].record_hash, True)


async def test_all_sites_sign_one_word_on_each_subject_at_one_size(sites: LiveSites) -> None:
    word, versions = await confirmed_list(sites, newest=5)
    governance = from_genesis(sites.world.genesis)
    for subject in (versions[0].header.subject, os.urandom(32)):

        async def all_know(subject: bytes = subject) -> list[HeadStatement] | None:
            said = []
            for site in sites.names:
                one = await statement_or_none(sites, site, word.size, subject)
                if one is None:
                    return None
                said.append(one)
            return said

        said = await until(all_know, deadline_s=20, what="a site does not know the checkpoint")
        assert len({one.about for one in said}) == len({one.head for one in said}) == 1
        assert (said[0].head == NO_HEAD) == (subject != versions[0].header.subject)
        for one in said:
            assert statement_holds(one, governance.site_keys[one.site])


async def test_a_size_that_no_quorum_cosigned_one_beyond_the_ledger_and_a_stranger_get_no_signature(
    sites: LiveSites,
) -> None:
    subject = os.urandom(32)
    site = sites.names[0]
    within_a_block = await size_within_a_block(sites)
    async with sites.caller(AUTHOR, site) as caller:
        newest = await caller.registry.Checkpoint(client_pb2.CheckpointRequest())
        size = decode_checkpoint(newest.checkpoint).size
        for request, code in (
            (
                client_pb2.HeadRequest(registry="residency", subject=subject, size=within_a_block),
                Code.NOT_FOUND,
            ),
            (
                client_pb2.HeadRequest(registry="residency", subject=subject, size=size + 10**6),
                Code.OUT_OF_RANGE,
            ),
            (client_pb2.HeadRequest(registry="residency", subject=b"short", size=size), Code.BAD_REQUEST),
            (client_pb2.HeadRequest(registry="nowhere", subject=subject, size=size), Code.NOT_PERMITTED),
        ):
            assert (await refusal_of(caller.registry.Head(request))).code == code, request
    request = client_pb2.HeadRequest(registry="tax", subject=subject)
    async with sites.operator(site) as operator, sites.caller(READER, site) as reader:
        assert (await refusal_of(operator.registry.Head(request))).code == Code.IDENTITY_REFUSED
        assert (await refusal_of(reader.registry.Head(request))).code == Code.NOT_PERMITTED


async def test_with_one_of_three_sites_gone_reads_are_still_confirmed(sites: LiveSites) -> None:
    gone = sites.names[2]
    sites.cluster.kill_site(gone)
    word, _ = await confirmed_list(sites, newest=5)
    assert word.sites == tuple(sorted(sites.names[:2]))
