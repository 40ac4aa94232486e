"""A hostile site lies to those who write and read: what they see, what is caught, by whom, with which proof, and that nothing that had a receipt is lost.

One running cluster serves all cases, in any order. Each test hands in its rows of `tests/MALICE.md` and
fails where the file says something else; `make malice` writes it anew.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from honest_sites import HONEST, HOSTILE, OTHER
from hostile_site import (
    ALONE_MS,
    FACT,
    NO_PROOF,
    WHY,
    HostileGround,
    at_hostile,
    draft,
    order,
    receipt_set,
    refused_with,
    running_ground,
    settled,
)
from live_sites import AUTHOR
from malice_table import Row, Table
from raw_calls import CALL_TIMEOUT_S, WriteStream, codes
from sento_client import session as session_module
from sento_client.confirming.values import Confirming
from sento_client.outbox import keeper
from sento_client.outbox.keeping import Settings
from sento_node.ordering.etcd.append import append_request
from sento_proto import fraud_building as build
from sento_proto.block import Lane, sign_block
from sento_proto.checkpoint import encode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.head_statement import HeadStatement, decode_statement
from sento_proto.keys import PublicKey, Signature, Signer
from sento_proto.merkle import inclusion_proof, root_of, subtree_reader
from sento_proto.submission import sign_submission
from sento_proto.v1 import client_pb2

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]
QUICK = Settings(cover_ms=2_000, check_ms=200, again_ms=200)
"""In place of 30 s until a record without a proof is sent to another site."""


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
    # The stronger one needs the record itself, and a site that is slow to give it leaves the quorum's word.
    proofs = ("head-omits", "head-against-quorum")
    assert await ground.proven(data, json.loads(data)["kind"], tmp_path) in {f"`{kind}`" for kind in proofs}
    table.add(
        Row(
            "answers from an old state",
            "signs a head statement that leaves the new version out, too",
            "the new version, by the word of the honest sites, and that the site is convicted",
            "the record that it left out stands in the tree that it signed",
            "client, at a confirmed read",
            "`head-omits`; `head-against-quorum` where the record cannot be had",
            await ground.lost(),
        )
    )
