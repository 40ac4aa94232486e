"""What is due of erasure orders, and in which order: nothing is certified before payloads and ordering log are done, and a crash at any step begins again."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from concurrent.futures import ThreadPoolExecutor

import pytest

from acts import governed
from ledger_driver import LedgerDriver
from sento_node.erasure import kept
from sento_node.erasure.carrying_out import Eraser, EraserParts
from sento_node.erasure.covering import covered_positions
from sento_node.erasure.deciding import (
    FILL_AFTER_MS,
    FILL_AFTER_OTHERS_MS,
    BeginLogPass,
    Certify,
    ErasePayloads,
    Facts,
    ForgetHistory,
    LogPass,
    RemoveReleased,
    RewriteDatabase,
    Step,
    TrimThrough,
    WriteFiller,
    due_orders,
    next_step,
    still_holding,
    with_volume,
)
from sento_node.ledger.memory_store import MemoryStore
from sento_node.ordering.port import OutcomeUnknown
from sento_node.tallies import Tallies
from sento_proto.checkpoint import SiteKeys, SiteSigners
from sento_proto.erasure_certificate import Volume, certificate_holds, decode_certificate
from sento_proto.errors import Code
from sento_proto.governance.state import ErasureOrder
from sento_proto.keys import Ed25519Signer

SITE = "jp-fukuoka"
SIGNER = Ed25519Signer(bytes(range(32)))
NOTED = frozenset({"0.wal", "1.wal"})
FRESH = LogPass((7,), 40, 400)
FACTS = Facts(due=(7,), payloads_left=(), log=None, files=NOTED, is_lead=True, now_ms=100_000)


def a_pass(**fields: object) -> LogPass:
    return dataclasses.replace(FRESH, **fields)  # type: ignore[arg-type]


def after(log: LogPass | None, **fields: object) -> Step | None:
    return next_step(dataclasses.replace(FACTS, log=log, **fields))  # type: ignore[arg-type]


def test_payloads_go_first_then_the_log_in_its_order_and_the_certificate_last() -> None:
    assert next_step(dataclasses.replace(FACTS, due=())) is None
    assert next_step(dataclasses.replace(FACTS, due=(3, 7), payloads_left=(3, 7))) == ErasePayloads(3)
    assert after(None) == BeginLogPass((7,))
    assert after(FRESH) == TrimThrough(40)
    assert after(a_pass(trimmed=True)) == ForgetHistory()
    noted = a_pass(trimmed=True, forgotten=True, noted_files=NOTED, noted_ms=100_000 - FILL_AFTER_MS)
    assert after(noted) == WriteFiller()
    assert after(noted, files=frozenset({"1.wal", "2.wal"})) == WriteFiller()
    assert after(noted, files=frozenset({"2.wal"})) == RewriteDatabase()
    rewritten = dataclasses.replace(noted, rewritten=True)
    assert after(rewritten, files=frozenset({"2.wal"})) == Certify((7,))
    assert after(rewritten) == WriteFiller(), "a noted file that is there again is not passed over"


def test_one_site_fills_for_all_and_the_others_go_on_without_it_after_a_while() -> None:
    noted = a_pass(trimmed=True, forgotten=True, noted_files=NOTED, noted_ms=100_000)
    assert after(noted) == RemoveReleased()
    assert after(noted, now_ms=100_000 + FILL_AFTER_MS, is_lead=False) == RemoveReleased()
    assert after(noted, now_ms=100_000 + FILL_AFTER_OTHERS_MS, is_lead=False) == WriteFiller()


def test_an_order_that_comes_during_a_pass_waits_for_the_next() -> None:
    done = a_pass(trimmed=True, forgotten=True, noted_files=NOTED, rewritten=True)
    assert after(done, due=(7, 9), files=frozenset()) == Certify((7,))
    assert next_step(dataclasses.replace(FACTS, due=(9,), payloads_left=(9,))) == ErasePayloads(9)


def test_a_log_without_files_needs_no_pass() -> None:
    assert after(None, log_writes_files=False) == Certify((7,))


def test_only_what_a_second_act_carried_out_in_the_flushed_ledger_is_due() -> None:
    order = functools.partial(ErasureOrder, records=(), subjects=(), legal_basis="x")
    orders = [
        order(position=9, carried_out_at=12), order(position=5, carried_out_at=8), order(position=1),
        order(position=2, withdrawn_at=4), order(position=3, carried_out_at=6),
    ]  # fmt: skip
    assert due_orders(orders, (3,), 12) == (5,)
    assert due_orders(orders, (), 13) == (3, 5, 9)


def test_volumes_hold_a_payload_until_destroyed_or_brought_back_and_only_if_they_reach_it() -> None:
    volumes = with_volume((), Volume("V-1", "courier", "made", 100))
    volumes = with_volume(volumes, Volume("V-2", "backup", "made", 10))
    assert [one.number for one in still_holding(volumes, 9)] == ["V-1", "V-2"]
    assert [one.number for one in still_holding(volumes, 10)] == ["V-1"]
    assert still_holding(volumes, None) == ()
    volumes = with_volume(volumes, Volume("V-1", "courier", "destroyed", 0))
    assert volumes[0] == Volume("V-1", "courier", "destroyed", 100)
    assert [one.number for one in still_holding(volumes, 9)] == ["V-2"]
    assert still_holding(with_volume(volumes, Volume("V-2", "backup", "reimported", 0)), 9) == ()


# The shell, against a ledger in memory and a log whose files are names.


class Died(Exception):
    """The node died here."""


class FakeLog:
    """A log that holds blocks until asked to trim twice, and gives a file free with each filler. `dies_at` counts its calls down."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.files = [0]
        self.dies_at = -1
        self.silent = 0
        self.trimmed = 0

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.dies_at -= 1
        if self.dies_at == 0:
            raise Died
        if self.silent:
            self.silent -= 1
            raise OutcomeUnknown("no majority")

    async def holds_blocks(self, through_revision: int, *, timeout_ms: int) -> bool:
        self._called("holds")
        return self.trimmed < 2

    async def forget_history(self, mark: str, *, timeout_ms: int) -> None:
        self._called("forget")

    def write_ahead_files(self) -> frozenset[str]:
        return frozenset(map(str, self.files))

    async def write_filler(self, *, timeout_ms: int) -> None:
        self._called("fill")
        self.files.append(self.files[-1] + 1)

    def remove_released(self) -> None:
        self._called("remove")
        del self.files[:-1]

    async def rewrite_database(self, *, timeout_ms: int) -> None:
        self._called("rewrite")


class Ticking:
    """A clock that goes on by itself."""

    def __init__(self) -> None:
        self.at_ms = 0

    def now_ms(self) -> int:
        self.at_ms += 1_000
        return self.at_ms

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + self.at_ms


class AtRest(Exception):
    """Nothing is left to do."""


def order_carried_out(driver: LedgerDriver) -> tuple[int, list[int]]:
    """An order for two records and a subject, carried out; its position and the positions that it covers."""
    records = [driver.record(f"r{n}", content=b"%d" % n) for n in range(6)]
    records.append(driver.record("s2", about="s", content=b"2"))
    records.append(driver.record("s3", about="s"))
    assert set(driver.codes(records)) == {Code.ACCEPTED}
    names = [record.record_hash.hex() for record in records[1:3]]
    order = driver.state.size
    erase = {"do": "erase", "records": names, "legal_basis": "x"}
    subject = {
        "do": "erase-subject", "registry": "residency", "subject": records[6].header.subject.hex(), "legal_basis": "x", "wait": "1 day",
    }  # fmt: skip
    assert driver.act(erase, subject) is Code.ACCEPTED
    assert driver.act({"do": "carry-out-erasure", "order": order}) is Code.ACCEPTED
    assert driver.codes([driver.record("s4", about="s", content=b"after")]) == [Code.ACCEPTED]
    driver.flush()
    return order, [1, 2, 6]


def run(driver: LedgerDriver, log: FakeLog) -> None:
    """One life of an eraser: until nothing is left to do, or it dies."""
    writer = ThreadPoolExecutor(max_workers=1)

    def trim(_: int) -> None:
        log.trimmed += 1

    eraser = Eraser(
        EraserParts(
            site=SITE,
            ledger_id=driver.world.ledger_id,
            signers=SiteSigners(SIGNER),
            store=driver.store,
            writer=writer,
            clock=Ticking(),
            governance=lambda: driver.governance,
            log=log,
            trim_through=trim,
            is_lead=lambda: True,
            tallies=Tallies(),
        ),
        sleep=lambda _: _at_rest(eraser),
    )
    try:
        asyncio.run(eraser.run())
    except AtRest:
        return
    finally:
        writer.shutdown()


async def _at_rest(eraser: Eraser) -> None:
    if not eraser.pending:
        raise AtRest
    await asyncio.sleep(0)


def test_an_order_is_carried_out_and_certified_with_all_that_it_covers() -> None:
    driver = governed(rules=4)
    order, covered = order_carried_out(driver)
    assert covered_positions(driver.store, driver.governance.erasure_orders[order]) == tuple(covered)
    kept.remember_volumes(
        driver.store, (Volume("V-1", "courier", "made", 5), Volume("V-2", "backup", "made", 1))
    )
    log = FakeLog()
    log.silent = 2
    run(driver, log)
    assert [at for at in range(driver.store.tip.size) if driver.store.record(at).erased] == covered
    (data,) = kept.recall_certificates(driver.store)
    signed = decode_certificate(data)
    assert certificate_holds(signed, driver.world.ledger_id, [SiteKeys(SIGNER.public_key)])
    content = signed.content
    assert (content.order, content.carried_out, content.payloads_destroyed) == (order, order + 1, 3)
    assert content.records == tuple(driver.store.record_hash_at(at) for at in covered)
    assert [volume.number for volume in content.volumes] == ["V-1"]
    assert (log.calls[-1], log.files[0] > 0) == ("rewrite", True)


@pytest.mark.parametrize("dies_at", range(1, 24))
def test_a_site_that_dies_at_any_step_certifies_nothing_and_finishes_in_its_next_life(dies_at: int) -> None:
    driver = governed(rules=4)
    _, covered = order_carried_out(driver)
    log = FakeLog()
    log.dies_at = dies_at
    try:
        run(driver, log)
    except Died:
        assert kept.recall_certificates(driver.store) == []
    assert isinstance(driver.store, MemoryStore)
    driver = LedgerDriver(driver.world, driver.store.crash())
    log.calls, log.files = [], [5]
    run(driver, log)
    assert [at for at in range(driver.store.tip.size) if driver.store.record(at).erased] == covered
    assert len(kept.recall_certificates(driver.store)) == 1


def test_a_payload_that_a_ledger_made_anew_copied_is_erased_again_though_its_order_has_a_certificate() -> (
    None
):
    driver = governed(rules=4)
    order, covered = order_carried_out(driver)
    kept.remember_certificate(driver.store, order, b"of the former ledger")
    log = FakeLog()
    run(driver, log)
    assert [at for at in range(driver.store.tip.size) if driver.store.record(at).erased] == covered
    assert kept.recall_certificates(driver.store) == [b"of the former ledger"]
    assert log.calls == []
