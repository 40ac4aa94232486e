"""A hostile site does its worst, in turn: what users see, what is caught, by whom, with which proof, and that nothing that had a receipt is lost.

One running cluster serves all cases, in the order of `malice_table.MALICES`: the last two leave marks. Each test hands in its rows of `tests/MALICE.md` and
fails where the file says something else; `make malice` writes it anew.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from hostile_node import flipped
from hostile_site import FACT, HONEST, HOSTILE, OTHER, WHY, HostileGround, refused_with, running_ground
from live_sites import AUTHOR
from malice_table import Row, Table
from raw_calls import CALL_TIMEOUT_S, WriteStream, codes
from sento_client import SentoClient, WriteError
from sento_client import session as session_module
from sento_client.confirming.values import Confirming
from sento_client.outbox import keeper
from sento_client.outbox.keeping import Counts, Settings
from sento_drill import procfs
from sento_drill.cluster import Status
from sento_drill.waiting import until
from sento_node.ordering.etcd.api import etcd_pb2 as etcd
from sento_node.ordering.etcd.append import append_request
from sento_proto import fraud_building as build
from sento_proto.block import Lane, sign_block
from sento_proto.checkpoint import cosigners, encode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import from_genesis
from sento_proto.head_statement import HeadStatement, decode_statement
from sento_proto.keys import PublicKey, Signature, Signer
from sento_proto.merkle import inclusion_proof, root_of, subtree_reader
from sento_proto.submission import sign_submission
from sento_proto.v1 import client_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")
QUICK = Settings(cover_ms=2_000, check_ms=200, again_ms=200)
"""In place of 30 s until a record without a proof is sent to another site."""
NO_PROOF = "no transferable proof: "
ALONE_MS = 2_000
"""For questions that only the hostile site is asked: nobody waits long for a better answer of the same site."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground() -> AsyncIterator[HostileGround]:
    async with running_ground() as running:
        yield running


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    made = Table()
    yield made
    made.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "Keeper", partial(keeper.Keeper, settings=QUICK))


class InAnothersName(NamedTuple):
    """Signs with one key and says that it was another."""

    public_key: PublicKey
    own: Signer

    def sign(self, message: bytes) -> Signature:
        """The signature of the wrong key."""
        return self.own.sign(message)


def draft(ground: HostileGround) -> dict[str, Any]:
    """A new fact."""
    return {**FACT, "fact": ground.fact(), "content": {"n": 1}}


async def settled(sento: SentoClient) -> None:
    """Wait until the outbox is empty: everything has its receipt."""

    async def empty() -> bool:
        return sento.outbox == Counts(0, 0)

    await until(empty, deadline_s=30, what="something is still in the outbox")


async def at_hostile(sento: SentoClient, position: int) -> SentoError:
    """How reading a record ends where nobody but the hostile site is asked."""
    return await refused_with(sento.read(position, site=HOSTILE, deadline_ms=ALONE_MS, **WHY))


def receipt_set(*sites: str) -> dict[str, object]:
    """The change that makes these the receipt set."""
    return {"do": "set-receipt-set", "sites": list(sites), "quorum": 2}


async def order(ground: HostileGround, k: int, *submissions: bytes) -> int:
    """The hostile site orders what nobody gave it, in a well-formed block of a lane of its own; the block's number."""
    lane = Lane(HOSTILE, 900, k)
    data = sign_block(ground.known.ledger_id, 0, lane, 1, submissions, ground.signers.ed25519)
    async with ground.log() as log:
        return (await log.append(str(lane), 1, data, timeout_ms=5_000)).number


async def said_head(ground: HostileGround, registry: str, subject: bytes, size: int) -> HeadStatement:
    """The hostile site's signed word."""
    request = client_pb2.HeadRequest(registry=registry, subject=subject, size=size)
    async with ground.sites.caller(AUTHOR, HOSTILE) as caller:
        reply = await caller.registry.Head(request, timeout=CALL_TIMEOUT_S)
    return decode_statement(reply.statement)


# Forges.


async def test_what_a_site_forges_as_records_acts_or_submissions_is_believed_by_nobody(
    ground: HostileGround, table: Table, tmp_path: Path
) -> None:
    async with ground.client(tmp_path / "before", first=HONEST) as sento:
        position = (await ground.write(sento))[0].position
    with ground.evil(answer="other-content"):
        async with ground.client(tmp_path / "client") as sento:
            error = await at_hostile(sento, position)
            assert error.code is Code.DAMAGED
            assert HOSTILE in error.detail
            version = await sento.read(position, **WHY)
            assert version.content == b'{"n":0}'
            assert version.as_of.site != HOSTILE
            await ground.write(sento)
    table.add(
        Row(
            "forges",
            "gives out other content under a record's name, its hashes made to fit",
            "the true record, from the next site; `DAMAGED` with the site's name where it alone is asked",
            "the author's signature is over another record",
            "client, at the read",
            NO_PROOF + "answers are not signed",
            await ground.lost(),
        )
    )

    with ground.evil(act=ground.invented_act()):
        async with ground.client(tmp_path / "acts") as sento:
            governance = await sento.governance()
            assert len(governance.receipt_set.sites) == 3
            await ground.write(sento)
        async with ground.client(tmp_path / "alone", only=True) as sento:
            error = await refused_with(sento.governance(deadline_ms=ALONE_MS))
            assert error.code is Code.DAMAGED
            assert HOSTILE in error.detail
    table.add(
        Row(
            "forges",
            "shows an act that no officer signed and that makes it the whole receipt set",
            "nothing; `DAMAGED` with the site's name where it alone is asked",
            "the signatures are not those of officers in office",
            "client, as it follows governance",
            NO_PROOF + "answers are not signed",
            await ground.lost(),
        )
    )

    author, thief = ground.sites.author(), ground.signers.ed25519
    record = author.record()
    forged = sign_submission(author.ledger_id, [record], InAnothersName(author.signer.public_key, thief))
    async with ground.client(tmp_path / "block", first=HONEST) as sento:
        number = await order(ground, 0, forged)
        await ground.write(sento)
    (block,) = await ground.same_blocks([number])
    (submission,) = block.submissions
    assert Code(submission.refusal) is Code.BAD_SIGNATURE
    assert record.record_hash not in (await ground.hashes()).values()
    table.add(
        Row(
            "forges",
            "orders a submission in an author's name under a signature of its own",
            "nothing",
            "refused with `BAD_SIGNATURE` in a numbered block of the site, the same at all sites",
            "every site, at apply",
            NO_PROOF + "a site may order what a stranger gave it",
            await ground.lost(),
        )
    )


# Drops.


@pytest.mark.parametrize("lie", ["nowhere", "taken"])
async def test_what_a_site_acknowledged_and_never_ordered_is_sent_elsewhere_and_stands_once(
    ground: HostileGround,
    table: Table,
    tmp_path: Path,
    quick: None,
    caplog: pytest.LogCaptureFixture,
    lie: str,
) -> None:
    async with ground.client(tmp_path) as sento:
        await ground.write(sento)
        with ground.evil(acknowledge=lie):
            done = await sento.write(**draft(ground))
            assert done.site == HOSTILE
            await settled(sento)
        receipt = await sento.receipt_of(done.record_id)
        ground.receipts.append(receipt)
    assert receipt.position != done.position
    assert list((await ground.hashes()).values()).count(done.record_hash) == 1
    caught_by_proof = "a site acknowledged records that do not stand where it said" in caplog.text
    assert caught_by_proof == (lie == "taken")
    how = {
        "nowhere": ("that the ledger does not reach", "no proof comes within the cover time (30 s)"),
        "taken": ("where another record stands", "the proof of that position is of another record, at the first checkpoint"),
    }[lie]  # fmt: skip
    table.add(
        Row(
            "drops",
            f"acknowledges a record and never orders it, and names a position {how[0]}",
            "an acknowledgement; the receipt comes later than usual, and tells another position",
            f"{how[1]}; the record is sent to another site and stands once",
            "client, by its outbox",
            NO_PROOF + "acknowledgements are not signed",
            await ground.lost(),
        )
    )


# Reorders.


async def test_swapped_positions_reversed_lists_and_a_lane_out_of_order_change_nothing(
    ground: HostileGround, table: Table, tmp_path: Path
) -> None:
    async with ground.client(tmp_path / "client") as sento:
        first, *_, last = await ground.write(sento)
        with ground.evil(lists="reversed"):
            names = {**FACT, **WHY}
            del names["kind"]
            listed = [version.position async for version in sento.subject_history(**names)]
            assert listed == sorted(listed, reverse=True)
            assert {first.position, last.position} <= set(listed)
            changes = sento.changes(registry="residency", from_position=first.position, **WHY)
            positions = [version.position async for version in changes]
            assert positions == sorted(positions)
        async with ground.client(tmp_path / "alone", only=True) as alone:
            with ground.evil(lists="reversed"):
                history = alone.subject_history(**names, deadline_ms=ALONE_MS)
                error = await refused_with(anext(aiter(history)))
        assert error.code is Code.DAMAGED
        assert HOSTILE in error.detail
        with ground.evil(answer="other-position"):
            error = await at_hostile(sento, first.position)
            assert error.code is Code.DAMAGED
            assert (await sento.read(first.position, **WHY)).record_hash == first.record_hash
    table.add(
        Row(
            "reorders",
            "reverses lists and changes, gives records under other positions",
            "the true order, from the next site; `DAMAGED` with the site's name where it alone is asked",
            "chains do not join, positions do not fall, a record is not the one that was asked for",
            "client, at the read",
            NO_PROOF + "answers are not signed",
            await ground.lost(),
        )
    )

    author = ground.sites.author()
    old = author.record()
    new = author.record(subject=old.header.subject, fact=old.header.fact, previous=old.record_hash)
    later = await order(ground, 1, author.submission(new))
    earlier = await order(ground, 2, author.submission(old))
    async with ground.client(tmp_path / "block", first=HONEST) as sento:
        await ground.write(sento)
    outcomes = [
        Code(block.submissions[0].records[0].code) for block in await ground.same_blocks([later, earlier])
    ]
    assert outcomes == [Code.PREDECESSOR_MISSING, Code.ACCEPTED]
    async with ground.sites.caller(AUTHOR, HONEST) as caller, WriteStream(caller) as stream:
        assert codes(await stream.outcomes(author.submission(new))) == [Code.ACCEPTED]
    table.add(
        Row(
            "reorders",
            "orders a version before the one that it follows",
            "`PREDECESSOR_MISSING`, which is not final: the client's outbox sends it again, and it stands",
            "refused at that place, the same at all sites",
            "every site, at apply",
            NO_PROOF + "which came first is the site's to say",
            await ground.lost(),
        )
    )


# Rolls back.


async def test_an_old_checkpoint_delays_receipts_and_a_smaller_tree_of_another_history_convicts(
    ground: HostileGround, table: Table, tmp_path: Path, quick: None
) -> None:
    async with ground.client(tmp_path / "before", first=HONEST) as sento:
        await ground.write(sento)
    old = await ground.newest(HONEST)
    async with ground.client(tmp_path / "client", first=HONEST) as sento:
        with ground.evil(checkpoint=encode_checkpoint(old).decode()):
            receipts = await ground.write(sento)
            await settled(sento)
        assert min(receipt.checkpoint.size for receipt in receipts) > old.size
    table.add(
        Row(
            "rolls back",
            "serves an old checkpoint for its newest",
            "the outbox gets its receipts late, after the cover time (30 s)",
            "it does not cover the record: after the cover time the record is sent again, and a checkpoint is asked of another site",
            "client, by its outbox; confirmed reads ask all sites and take the largest",
            NO_PROOF + "an old checkpoint is true",
            await ground.lost(),
        )
    )

    async with ground.client(tmp_path / "later", first=HONEST) as sento:
        last = (await ground.write(sento))[-1]
    true = await ground.cosigned_by_hostile(last.position + 1)
    async with ground.sites.caller(AUTHOR, HONEST) as caller:
        proof = await caller.registry.Proof(
            client_pb2.ProofRequest(size=true.size, positions=[last.position]), timeout=CALL_TIMEOUT_S
        )
    leaves = [bytes([n % 256]) * 32 for n in range(last.position + 1)]
    smaller = true._replace(size=len(leaves), root=root_of(leaves))
    if smaller.size == true.size:
        smaller = true._replace(size=len(leaves) + 1, root=root_of([*leaves, leaves[0]]))
        leaves.append(leaves[0])
    path = inclusion_proof(subtree_reader(leaves), last.position, smaller.size)
    data = build.two_histories(
        ground.known,
        HOSTILE,
        ground.note(smaller),
        true,
        last.position,
        (leaves[last.position], path),
        (last.record_hash, tuple(proof.inclusions[0].path)),
    )
    table.add(
        Row(
            "rolls back",
            "cosigns a tree of another size in which another record has a receipt's place",
            "nothing: one cosignature is no quorum",
            "two records at one position under its name",
            "whoever has a receipt and is shown the other tree",
            await ground.proven(data, "two-histories", tmp_path),
            await ground.lost(),
        )
    )


# Equivocates.


async def test_two_truths_under_its_name_convict_a_site_from_its_own_signatures(
    ground: HostileGround, table: Table, tmp_path: Path
) -> None:
    async with ground.client(tmp_path / "before", first=HONEST) as sento:
        written = (await ground.write(sento))[-1]
    true = await ground.cosigned_by_hostile(written.position + 1)
    lie = encode_checkpoint(ground.note(true._replace(root=bytes(32)))).decode()
    with ground.evil(checkpoint=lie):
        async with ground.client(tmp_path / "client") as sento:
            with contextlib.suppress(
                SentoError
            ):  # the true one may be without a quorum where the liar does not count
                await sento.checkpoint(true.size, deadline_ms=ALONE_MS)
            assert {fraud.site for fraud in sento.frauds} == {HOSTILE}
            await ground.act(receipt_set(HONEST, OTHER))
            try:
                receipts = await ground.write(sento)
            finally:
                await ground.act(receipt_set(HOSTILE, HONEST, OTHER))
    assert all(receipt.checkpoint.size > true.size for receipt in receipts)
    (data,) = ground.fraud_files(tmp_path / "client")
    table.add(
        Row(
            "equivocates",
            "cosigns two trees of one size",
            "in the log and in `sento fraud list` that it is convicted; **receipts may wait from there on**, because a checkpoint "
            "names a quorum and not all who would cosign it, until officers take the site out of the receipt set",
            "two roots of one size under its name; its cosignatures count no more at that client",
            "client, as soon as it has seen both",
            await ground.proven(data, "two-checkpoints", tmp_path),
            await ground.lost(),
        )
    )

    async with ground.client(tmp_path / "heads", first=HONEST) as sento:
        position = (await ground.write(sento))[-1].position
        header = (await sento.read(position, **WHY)).header
    size = (await ground.newest(HOSTILE, position + 1)).size
    one = await said_head(ground, header.registry, header.subject, size)
    with ground.evil(head_as_of=position):
        other = await said_head(ground, header.registry, header.subject, size)
    data = build.two_heads(ground.known, HOSTILE, one, other)
    table.add(
        Row(
            "equivocates",
            "signs two words on one subject's last record in one tree",
            "with `confirmed` the word of the others; else nothing",
            "two statements that cannot both be true",
            "whoever has both",
            await ground.proven(data, "two-heads", tmp_path),
            await ground.lost(),
        )
    )

    author, lane = ground.sites.author(), Lane(HOSTILE, 901, 0)
    blocks = [
        sign_block(author.ledger_id, 0, lane, 1, [author.submission(author.record())], ground.signers.ed25519)
        for _ in range(2)
    ]
    async with ground.log() as log:
        first = await log.append(str(lane), 1, blocks[0], timeout_ms=5_000)
    async with ground.etcd() as client:
        again = append_request(str(lane), 1, blocks[1])
        del again.compare[:]
        await client.txn("order a second block under one number", again, timeout_ms=5_000)
    async with ground.client(tmp_path / "blocks", first=HONEST) as sento:
        await ground.write(sento)
    same = await ground.same_blocks([first.number, first.number + 1])
    assert [(block.lane, block.seq) for block in same] == [(str(lane), 1)] * 2
    data = build.two_blocks(ground.known, HOSTILE, *blocks)
    table.add(
        Row(
            "equivocates",
            "orders two blocks under one number of one lane",
            "nothing",
            "nothing is harmed: both are numbered, and apply the same at all sites. The two blocks convict it while they are in the ordering log",
            "officers who read any member's ordering log; no site looks for it",
            await ground.proven(data, "two-blocks", tmp_path),
            await ground.lost(),
        )
    )


# Answers from an old state.


async def test_an_old_state_passes_a_plain_read_and_not_a_confirmed_one(
    ground: HostileGround, table: Table, tmp_path: Path
) -> None:
    fact = {**FACT, "fact": ground.fact()}
    async with ground.client(tmp_path / "before", first=HONEST) as sento:
        old = await sento.write(**fact, content={"town": "old"})
        new = await sento.write(**fact, content={"town": "new"}, previous=old.record_hash)
        ground.receipts += [await sento.receipt(old), await sento.receipt(new)]
    await ground.newest(HOSTILE, new.position + 1)
    until_old = old.position + 1
    with ground.evil(as_of=until_old):
        async with ground.client(tmp_path / "plain") as sento:
            version = await sento.fact(**fact, **WHY)
            assert (version.position, version.as_of.site) == (old.position, HOSTILE), "nothing shows it"
            confirmed = await sento.fact(**fact, **WHY, confirmed=True)
            assert confirmed.position == new.position
            assert confirmed.as_of.site != HOSTILE
            assert sento.frauds == []
    table.add(
        Row(
            "answers from an old state",
            "gives the version before as the standing one, and says that it is current",
            "**a plain read, `LINEARIZABLE` too, shows the old version**; with `confirmed` the new one",
            "**not caught by a plain read**; the list does not pass through the confirmed head",
            "client, at a confirmed read",
            NO_PROOF + "answers are not signed, only head statements are",
            await ground.lost(),
        )
    )
    with ground.evil(as_of=until_old, head_as_of=until_old):
        async with ground.client(tmp_path / "confirmed") as sento:
            told = Confirming()
            confirmed = await sento.fact(**fact, **WHY, confirmed=told)
            assert confirmed.position == new.position
            assert told.word is not None
            assert HOSTILE not in told.word.sites
    async with ground.client(tmp_path / "after", first=HONEST) as sento:
        await ground.write(sento)
    (data,) = ground.fraud_files(tmp_path / "confirmed")
    table.add(
        Row(
            "answers from an old state",
            "signs a head statement that leaves the new version out, too",
            "the new version, by the word of the honest sites, and that the site is convicted",
            "the record that it left out stands in the tree that it signed",
            "client, at a confirmed read",
            await ground.proven(data, "head-omits", tmp_path),
            await ground.lost(),
        )
    )


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
