"""From acknowledgement to receipt at the client: kept before the outbox forgets, in trouble and after it, and what two conflicting checkpoints become."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from google.protobuf.message import Message

from outbox_at_work import sqlite_error, until
from sento_client import Acknowledgement, Code, Draft, SentoClient, SentoError, SetupError, WriteError
from sento_client import session as session_module
from sento_client.governing.following import Followed
from sento_client.outbox import inspecting, keeper
from sento_client.outbox.keeping import Counts, Settings
from sento_client.receipts.checking import ReceiptJudge
from sento_client.receipts.store import ReceiptStore, look
from sento_client.testing import Registry
from sento_client.testing.registry import MINISTRY
from sento_proto.checkpoint import Checkpoint, cosign, decode_checkpoint, encode_checkpoint
from sento_proto.receipt import encode_receipt
from sento_proto.v1 import client_pb2

QUICK = Settings(
    cover_ms=20, check_ms=2, again_ms=2, not_yet_first_ms=2, not_yet_most_ms=10, store_again_ms=2
)
PATIENT = Settings(cover_ms=3_600_000, check_ms=2, again_ms=2, store_again_ms=2)
NOTHING = Counts(0, 0)


@pytest.fixture
def registry() -> Registry:
    return Registry(seed=7)


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, PATIENT)


def use(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(session_module, "Keeper", partial(keeper.Keeper, settings=settings))


def file_of(outbox: Path) -> Path:
    return outbox.parent / "receipts" / f"{MINISTRY.name}.receipts"


def receipts_in(outbox: Path) -> int:
    stands = look(file_of(outbox))
    return 0 if stands is None else stands.receipts


def judge(registry: Registry) -> ReceiptJudge:
    return ReceiptJudge(Followed.start(registry.genesis), None)


def draft(fact: str) -> Draft:
    return Draft("residency", "residence/entry", "123456789018", fact, {"town": "穂波町"})


async def write(sento: SentoClient, *facts: str) -> list[Acknowledgement]:
    done = []
    for result in await sento.send([sento.compose(draft(fact)) for fact in facts]):
        assert not isinstance(result, WriteError), result
        done.append(result)
    return done


# Kept, and good.


async def test_every_acknowledgement_becomes_a_receipt_that_verifies_when_all_sites_are_gone(
    registry: Registry, outbox: Path
) -> None:
    registry.put(draft("before"))
    async with registry.client(outbox=outbox) as sento:
        done = await write(sento, *(f"fact {n}" for n in range(9)))
        await until(lambda: sento.outbox == NOTHING)
    assert receipts_in(outbox) == 9
    registry.everywhere.down = True
    async with registry.client(outbox=outbox) as later:
        for acknowledged in done:
            receipt = await later.receipt(acknowledged)
            by_id = await later.receipt_of(acknowledged.record_id)
            by_hash = await later.receipt_of(acknowledged.record_hash)
            assert receipt == by_id == by_hash == await later.receipt_of(acknowledged.position)
            _, verified = judge(registry).verify(encode_receipt(receipt), acknowledged.record_hash)
            assert verified.why == ""


async def test_receipt_with_its_record_says_who_wrote_it(registry: Registry, outbox: Path) -> None:
    async with registry.client(outbox=outbox) as sento:
        (done,) = await write(sento, "address")
        receipt = await sento.receipt_of(done.position, with_record=True, purpose="test", case_number="1")
    _, verified = judge(registry).verify(encode_receipt(receipt))
    assert (verified.why, verified.author) == ("", MINISTRY.name)


async def test_receipt_of_a_record_that_another_wrote_is_proven_and_takes_a_purpose(
    registry: Registry, outbox: Path
) -> None:
    placed = registry.put(draft("address"))
    async with registry.client(outbox=outbox) as sento:
        with pytest.raises(SentoError) as refused:
            await sento.receipt_of(placed.record_hash)
        assert refused.value.code is Code.PURPOSE_MISSING
        receipt = await sento.receipt_of(placed.record_hash, purpose="test", case_number="1")
        assert judge(registry).verify(encode_receipt(receipt), placed.record_hash)[1].why == ""
        registry.everywhere.down = True
        assert await sento.receipt_of(placed.record_hash) == receipt


async def test_checkpoint_is_fetched_from_another_site_than_the_one_that_took_the_record(
    registry: Registry, outbox: Path
) -> None:
    gave: list[str] = []

    def noting(name: str) -> Callable[[Message], None]:
        def note(message: Message) -> None:
            if isinstance(message, client_pb2.CheckpointReply):
                gave.append(name)

        return note

    for site in registry.sites:
        site.alter = noting(site.name)
    async with registry.client(outbox=outbox) as sento:
        (done,) = await write(sento, "address")
        await until(lambda: sento.outbox == NOTHING)
        assert gave
        assert done.site not in gave
        gave.clear()
        registry.put(draft("another"))
        await sento.receipt(done._replace(position=1, record_hash=registry.records()[1].record_hash))
        assert gave
        assert done.site not in gave


async def test_false_acknowledgement_is_told_with_the_name_of_the_site(
    registry: Registry, outbox: Path
) -> None:
    registry.put(draft("another"))
    async with registry.client(outbox=outbox) as sento:
        (done,) = await write(sento, "address")
        with pytest.raises(SentoError, match=r"site-1.*another record is proven") as refused:
            await sento.receipt(done._replace(position=0))
        assert refused.value.code is Code.DAMAGED


# Before the outbox forgets.


async def test_record_is_in_the_outbox_until_its_receipt_is_on_disk(
    registry: Registry, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_meanwhile: list[int] = []
    put = ReceiptStore.put

    def watched(store: ReceiptStore, *args: object, **options: object) -> None:
        put(store, *args, **options)  # type: ignore[arg-type]
        kept_meanwhile.append(len(list(inspecting.kept_records(outbox))))

    monkeypatch.setattr(ReceiptStore, "put", watched)
    async with registry.client(outbox=outbox) as sento:
        await write(sento, "address")
        await until(lambda: sento.outbox == NOTHING)
    assert kept_meanwhile == [1]


async def test_full_disk_under_the_receipts_keeps_the_record_and_sends_nothing_again(
    registry: Registry, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, QUICK)
    put, tried = ReceiptStore.put, 0

    def full(store: ReceiptStore, *args: object, **options: object) -> None:
        nonlocal tried
        tried += 1
        raise sqlite_error(sqlite3.SQLITE_FULL, "disk is full")

    monkeypatch.setattr(ReceiptStore, "put", full)
    async with registry.client(outbox=outbox) as sento:
        await write(sento, "address")
        # Sixty times the pause after which something unproven would have been sent elsewhere.
        await until(lambda: tried > 12)
        assert sento.outbox == Counts(0, 1)
        assert sum(len(site.submissions) for site in registry.sites) == 1
        monkeypatch.setattr(ReceiptStore, "put", put)
        await until(lambda: sento.outbox == NOTHING)
    assert receipts_in(outbox) == 1


async def test_failed_flush_under_the_receipts_ends_storing_and_the_outbox_goes_on_keeping(
    registry: Registry, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def failing(store: ReceiptStore, *args: object, **options: object) -> None:
        tried.append(1)
        raise sqlite_error(sqlite3.SQLITE_IOERR, "disk I/O error")

    asked = 0

    def count(message: Message) -> None:
        nonlocal asked
        asked += isinstance(message, client_pb2.ProofReply)

    registry.everywhere.alter = count
    with monkeypatch.context() as patched:
        patched.setattr(ReceiptStore, "put", failing)
        async with registry.client(outbox=outbox) as sento:
            await write(sento, "address")
            await until(lambda: asked > 5)
            assert sento.outbox == Counts(0, 1)
    assert len(tried) == 1, "after a failed flush nothing that the disk says is believed"
    async with registry.client(outbox=outbox) as later:
        later.empty_outbox()
        await until(lambda: later.outbox == NOTHING)
    assert (registry.size, receipts_in(outbox)) == (1, 1)


async def test_two_programs_keep_their_receipts_in_one_file(registry: Registry, outbox: Path) -> None:
    async with registry.client(outbox=outbox) as one, registry.client(outbox=outbox) as other:
        for round_ in range(5):
            await write(one, f"one {round_}")
            await write(other, f"other {round_}")
        await until(lambda: one.outbox == other.outbox == NOTHING)
        for position in range(10):
            assert (await one.receipt_of(position)).position == position
    assert receipts_in(outbox) == 10


async def test_receipts_of_another_ledger_are_refused(registry: Registry, outbox: Path) -> None:
    async with registry.client(outbox=outbox) as sento:
        await write(sento, "address")
        await until(lambda: sento.outbox == NOTHING)
    with pytest.raises(SetupError, match="RECEIPTS_FOREIGN"):
        async with Registry(seed=8).client(outbox=outbox.parent / "other"):
            pass


async def test_altered_receipt_on_disk_is_not_given_out(registry: Registry, outbox: Path) -> None:
    async with registry.client(outbox=outbox) as sento:
        await write(sento, "one", "two", "three")
        await until(lambda: sento.outbox == NOTHING)
    with sqlite3.connect(file_of(outbox)) as database:
        database.execute("UPDATE runs SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB)")
    database.close()
    async with registry.client(outbox=outbox) as later:
        with pytest.raises(SetupError, match="do not verify any more"):
            await later.receipt_of(1)


# Two truths.


def forged(registry: Registry, sites: list[str]) -> bytes:
    """A checkpoint of another tree of the size that the sites have cosigned, cosigned by these."""
    true = decode_checkpoint(registry.sites[0].ledger.checkpoint())
    plain = Checkpoint(true.ledger_id, true.epoch, true.size, bytes(32))
    signers = registry.sites[0].ledger.world.site_signers
    return encode_checkpoint(
        plain._replace(signatures=tuple(cosign(plain, one, signers[one], 9) for one in sites))
    )


def fraud_files(outbox: Path) -> list[Path]:
    return sorted((outbox.parent / "receipts").glob("fraud-*.json"))


@pytest.mark.parametrize("liars", [["site-2"], ["site-2", "site-3"]], ids=["one site", "a quorum"])
async def test_site_that_cosigns_two_trees_of_one_size_is_named_and_counts_no_more(
    registry: Registry, outbox: Path, caplog: pytest.LogCaptureFixture, liars: list[str]
) -> None:
    async with registry.client(outbox=outbox) as sento:
        await write(sento, "address")
        await until(lambda: sento.outbox == NOTHING)
        lie = forged(registry, liars)

        def alter(message: Message) -> None:
            if isinstance(message, client_pb2.CheckpointReply):
                message.checkpoint = lie

        registry.everywhere.alter = alter
        with pytest.raises(SentoError):
            await sento.checkpoint(deadline_ms=300)
        assert sorted(fraud.site for fraud in sento.frauds) == liars
        assert len(fraud_files(outbox)) == len(liars)
        assert all(f"{site} signed two different trees of 1 records" in caplog.text for site in liars)
        registry.everywhere.alter = None
        if len(liars) == 1:
            assert (await sento.checkpoint()).size == 1, "two honest sites are a quorum without the liar"
        else:
            with pytest.raises(SentoError, match="1 of 3 sites"):
                await sento.checkpoint(deadline_ms=300)
    async with registry.client(outbox=outbox) as later:
        assert sorted(fraud.site for fraud in later.frauds) == liars, "the next program knows"
    for path in fraud_files(outbox):
        path.unlink()
    async with registry.client(outbox=outbox) as after_the_officers:
        assert (await after_the_officers.checkpoint()).size == 1


async def test_lie_that_comes_before_the_truth_convicts_its_site_and_does_not_stand_in_the_truths_way(
    registry: Registry, outbox: Path
) -> None:
    registry.put(draft("address"))
    liar = registry.sites[0]
    lie = forged(registry, [liar.name])

    def alter(message: Message) -> None:
        if isinstance(message, client_pb2.CheckpointReply):
            message.checkpoint = lie

    liar.alter = alter
    async with registry.client(outbox=outbox) as sento:
        assert (await sento.checkpoint(deadline_ms=2_000)).size == 1
        assert [fraud.site for fraud in sento.frauds] == [liar.name]


async def test_note_that_nobody_signed_convicts_nobody(registry: Registry, outbox: Path) -> None:
    async with registry.client(outbox=outbox) as sento:
        await write(sento, "address")
        await until(lambda: sento.outbox == NOTHING)
        lie = forged(registry, [])
        true = registry.sites[0].ledger.checkpoint()
        lines = true.partition(b"\n\n")[2]

        def alter(message: Message) -> None:
            if isinstance(message, client_pb2.CheckpointReply):
                message.checkpoint = lie + lines

        registry.everywhere.alter = alter
        with pytest.raises(SentoError):
            await sento.checkpoint(deadline_ms=300)
        registry.everywhere.alter = None
        assert (sento.frauds, fraud_files(outbox)) == ([], [])
        assert (await sento.checkpoint()).size == 1


async def test_sites_that_cosign_two_histories_are_convicted_by_a_receipt_and_nothing_is_forgotten(
    registry: Registry, outbox: Path
) -> None:
    """All sites show another ledger, longer and in itself consistent, in which a receipted record has given way to another."""
    async with registry.client(outbox=outbox) as sento:
        await write(sento, "address")
        await until(lambda: sento.outbox == NOTHING)
    fork = Registry(seed=7)
    fork.put(draft("what stands in its place"))
    fork.put(draft("and one more"))
    async with SentoClient(
        registry.installation(outbox=outbox), transport=fork.transport, ports=registry.ports
    ) as deceived:
        await write(deceived, "later")
        await until(lambda: len(deceived.frauds) == 3)
        assert {fraud.kind for fraud in deceived.frauds} == {"two-histories"}
        assert sorted(fraud.site for fraud in deceived.frauds) == ["site-1", "site-2", "site-3"]
        assert deceived.outbox == Counts(0, 1), "what stands in a history that is in doubt is not forgotten"
    assert len(fraud_files(outbox)) == 3
