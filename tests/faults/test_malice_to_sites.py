"""A hostile site does its worst to the other sites: what users see, what is caught, by whom, with which proof, and that nothing that had a receipt is lost.

One running cluster serves all cases, in the order of the file: the last two leave marks. Each test hands in its rows of `tests/MALICE.md` and
fails where the file says something else; `make malice` writes it anew.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from honest_sites import HONEST, HOSTILE, OTHER
from hostile_node import flipped
from hostile_site import (
    ALONE_MS,
    NO_PROOF,
    WHY,
    HostileGround,
    at_hostile,
    draft,
    refused_with,
    running_ground,
)
from malice_table import Row, Table
from sento_client import WriteError
from sento_drill import procfs
from sento_drill.cluster import Status
from sento_node.ordering.etcd.api import etcd_pb2 as etcd
from sento_node.ordering.etcd.append import append_request
from sento_proto.block import Lane, sign_block
from sento_proto.checkpoint import cosigners
from sento_proto.errors import Code
from sento_proto.governance.state import from_genesis

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground() -> AsyncIterator[HostileGround]:
    async with running_ground() as running:
        yield running


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    made = Table()
    yield made
    made.close()


# Deletes or compacts the ordering log.


async def test_blocks_that_no_checkpoint_covers_are_deleted_and_others_raise_the_alarm_and_go_on(
    ground: HostileGround, table: Table, tmp_path: Path
) -> None:
    """Two sites are made slow to cosign, because a block is covered within a second otherwise: the hostile one by itself, the other by standing still."""
    still = ground.sites.cluster.processes[OTHER].node()
    assert still is not None
    async with ground.client(tmp_path, first=HONEST) as sento:
        await ground.write(sento)
        with ground.evil(mute=True):
            procfs.send(still, signal.SIGSTOP)
            try:
                done = await sento.write(**draft(ground))
                assert done.site == HONEST
                async with ground.etcd() as client:
                    delete = etcd.DeleteRangeRequest(key=b"/log/", range_end=b"/log0")
                    operation = etcd.RequestOp(request_delete_range=delete)
                    gone = await client.txn("delete", etcd.TxnRequest(success=[operation]), timeout_ms=5_000)
                    forget = etcd.CompactionRequest(revision=gone.header.revision)
                    await client.compact("compact", forget, timeout_ms=5_000)
                said = await ground.sites.wait_status(HONEST, _has("uncovered-removal"), "the alarm")
                assert said.state == "serving"
            finally:
                procfs.send(still, signal.SIGCONT)
            receipt = await sento.receipt(done)
            ground.receipts.append(receipt)
            assert HOSTILE not in cosigners(
                receipt.checkpoint, from_genesis(ground.sites.world.genesis).site_keys
            )
    table.add(
        Row(
            "deletes or compacts the ordering log",
            "deletes all blocks and compacts the history, while no quorum covers the newest ones",
            "writes go on; receipts come once a quorum cosigns",
            "alarm `uncovered-removal` at the others; who applied the blocks has them, and receipts come from there. "
            "A block that a quorum covers within 5 s raises none",
            "the other sites",
            NO_PROOF + "etcd does not say who deleted",
            await ground.lost(),
        )
    )


def _has(alarm: str) -> Callable[[Status], bool]:
    return lambda status: any(alarm in one for one in status.alarms)


# Sends garbage blocks.


async def test_garbage_blocks_are_numbered_no_ops_with_the_same_reason_at_all_sites(
    ground: HostileGround, table: Table, tmp_path: Path
) -> None:
    author, own = ground.sites.author(), ground.signers.ed25519
    submissions = [author.submission(author.record())]

    def block(lane: Lane, ledger_id: bytes = author.ledger_id) -> bytes:
        return sign_block(ledger_id, 0, lane, 1, submissions, own)

    lanes = [Lane(HOSTILE, 902, k) for k in range(7)]
    foreign = Lane(HONEST, 902, 0)
    sent = [
        (lanes[0], b"garbage", Code.MALFORMED),
        (lanes[1], flipped(block(lanes[1]), -1), Code.BAD_SIGNATURE),
        (lanes[2], block(lanes[2], os.urandom(32)), Code.WRONG_LEDGER),
        (lanes[3], block(lanes[4]), Code.MALFORMED),
        (foreign, block(foreign), Code.NOT_PERMITTED),
        (lanes[5], bytes(1_200_000), Code.MALFORMED),
        (lanes[6], b"", Code.MALFORMED),
    ]
    async with ground.client(tmp_path, first=HONEST) as sento:
        await ground.write(sento)
        size = (await ground.sites.status(HONEST)).applied_size
        async with ground.etcd() as client:
            numbers = []
            for lane, data, _ in sent:
                answer = await client.txn("order", append_request(str(lane), 1, data), timeout_ms=5_000)
                assert answer.succeeded
                numbers.append(answer.responses[3].response_range.kvs[0].version)
        await ground.write(sento)
    same = await ground.same_blocks(numbers)
    assert [Code(one.refusal) for one in same] == [code for *_, code in sent]
    assert {one.size_before for one in same} == {size}
    for site in ground.honest:
        assert (await ground.sites.status(site)).state == "serving"
    table.add(
        Row(
            "sends garbage blocks",
            "orders noise, a wrong signature, another ledger's block, one of another lane, one in another site's name, one of 1.2 MB, an empty one",
            "nothing",
            "numbered no-ops, `MALFORMED`, `BAD_SIGNATURE`, `WRONG_LEDGER` or `NOT_PERMITTED`, the same at all sites, no record in them",
            "every site, at apply",
            NO_PROOF + "what is not well signed convicts nobody",
            await ground.lost(),
        )
    )


# Spoils a wrap.


async def test_a_spoilt_wrap_in_an_answer_in_a_block_or_in_sync_does_not_pass(
    ground: HostileGround, table: Table, tmp_path: Path
) -> None:
    async with ground.client(tmp_path / "client") as sento:
        position = (await ground.write(sento))[0].position
        with ground.evil(answer="spoilt-wrap"):
            error = await at_hostile(sento, position)
            assert error.code is Code.DAMAGED
            assert "payload" in error.detail
            assert HOSTILE in error.detail
            assert (await sento.read(position, **WHY)).content == b'{"n":0}'
    table.add(
        Row(
            "spoils a wrap",
            "gives out a payload with one bit of its wrapped key changed",
            "the true record, from the next site; `DAMAGED` with the site's name where it alone is asked",
            "the payload's hash is not the record's",
            "client, at the read",
            NO_PROOF + "answers are not signed",
            await ground.lost(),
        )
    )

    async with ground.client(tmp_path / "block") as sento:
        with ground.evil(pack="spoilt-wrap"):
            refused = await refused_with(sento.write(**draft(ground)))
            assert isinstance(refused, WriteError)
            assert (refused.code, refused.final) == (Code.BAD_SIGNATURE, True)
            assert HOSTILE in refused.detail
        await ground.write(sento)
    table.add(
        Row(
            "spoils a wrap",
            "packs a submission into a block with one bit of a wrapped key changed",
            "`BAD_SIGNATURE` from that site, **which is final, though the author signed well**: the record is not kept, and is written anew",
            "the signature does not cover the record, so it is refused, the same at all sites; that the site did it is not shown",
            "every site, at apply; the author, who knows what was signed",
            NO_PROOF + "an author may have sent it so",
            await ground.lost(),
        )
    )

    with ground.evil(sync="spoilt-wrap"):
        await ground.make_anew(OTHER)
        said = await ground.sites.wait_status(OTHER, _has("unproven-chunk"), "the alarm")
        assert any(f"{HOSTILE} offered a ledger that does not prove itself" in one for one in said.alarms)
        await ground.sites.wait_state(OTHER, "serving")
    async with ground.client(tmp_path / "sync", first=OTHER) as sento:
        assert (await sento.read(position, site=OTHER, **WHY)).content == b'{"n":0}'
        await ground.write(sento)
    table.add(
        Row(
            "spoils a wrap",
            "gives a site that makes its ledger anew payloads with one bit changed",
            "nothing: that site answers once it is whole",
            "the chunk does not prove itself; alarm `unproven-chunk` with the site's name, and another site's ledger is copied",
            "the other site, before it takes anything in",
            NO_PROOF + "what sites copy is not signed by who gives it",
            await ground.lost(),
        )
    )


# Keeps an erased payload.


async def test_a_payload_kept_against_an_order_goes_nowhere_and_is_not_believed_gone_by_a_signature(
    ground: HostileGround, table: Table, tmp_path: Path
) -> None:
    async with ground.client(tmp_path, first=HONEST) as sento:
        gone, *_ = await ground.write(sento)
        with ground.evil(keep_erased=True):
            change: dict[str, object] = {
                "do": "erase",
                "records": [gone.record_hash.hex()],
                "legal_basis": "Residents Act 22",
            }
            ordered_at = await ground.act(change)
            await ground.act({"do": "carry-out-erasure", "order": ordered_at})
            await sento.governance()
            certificate = await ground.certificate_of(ordered_at)
            assert certificate.payloads_destroyed == 1
            error = await at_hostile(sento, gone.position)
            assert error.code is Code.DAMAGED
            assert "officers ordered erased" in error.detail
            error = await refused_with(sento.read(gone.position, site=HONEST, deadline_ms=ALONE_MS, **WHY))
            assert error.code is Code.ERASED
            kept = await ground.payload_at(HOSTILE, gone.record_hash)
            assert kept.payload, "the certificate is false, and only who is given the payload can know"
            for site in ground.honest:
                await ground.payload_gone(site, kept.payload)
                assert (await ground.payload_at(site, gone.record_hash)).erased
        await ground.write(sento)
    table.add(
        Row(
            "keeps an erased payload",
            "destroys nothing, signs that it did, and gives the payload out",
            "`ERASED` from the honest sites; `DAMAGED` with the site's name where it alone is asked, by a client that has followed the order",
            "a payload comes that an order withholds. **That it is only kept is not caught**: whoever has it can keep it",
            "client, at the read; other sites ask for nothing that is erased and take nothing in",
            NO_PROOF
            + "that it has the payload is not signed. The false certificate beside the payload is evidence for officers",
            await ground.lost(),
        )
    )


# Removes a member.


async def test_a_member_taken_out_by_another_sites_member_is_told_by_all_and_writing_goes_on(
    ground: HostileGround, table: Table, tmp_path: Path
) -> None:
    async with ground.client(tmp_path, first=HONEST) as sento:
        await ground.write(sento)
        async with ground.etcd() as client:
            members = await client.members(timeout_ms=5_000)
            (victim,) = [member.ID for member in members if member.name == OTHER]
            remove = etcd.MemberRemoveRequest(ID=victim)
            await client.cluster.MemberRemove(remove, timeout=5)
        said = await ground.sites.wait_status(HONEST, _has("ordering-members"), "the alarm")
        assert any(f"{OTHER} does not vote" in one for one in said.alarms)
        assert await ground.sites.wait_ended(OTHER) == 1
        assert "removed this member, and its identity cannot return" in ground.sites.log(OTHER)
        await ground.write(sento)
    table.add(
        Row(
            "removes a member",
            "takes an honest site's member out of the ordering log, by its own",
            "writes go on with two; the removed site stops in words",
            "alarm `ordering-members` at the others; the removed site says that its identity cannot return (runbook: ordering-members)",
            "the other sites, and the removed one",
            NO_PROOF + "etcd does not say who removed",
            await ground.lost(HONEST),
        )
    )
