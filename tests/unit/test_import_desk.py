"""The import desk of a node: what was brought is adopted once, waits for what is missing, or is refused; also brought twice, by two at once, on a full disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from acts import carry_out_erasure, erase
from courier_world import CourierLedger, StoreSource, told_ledger
from genesis_builder import SITES, TestWorld, build_genesis
from ledger_driver import everything
from lone_runner import LoneSite, ManualClock
from sento_drill.waiting import until
from sento_node.condition import Condition
from sento_node.importing.deciding import Fate, Where, decide
from sento_node.importing.desk import ImportDesk, Report
from sento_node.importing.staging import Stage, StageFull
from sento_node.importing.taking import Direct
from sento_node.ledger.adopt import OfferedBlock
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.store import DiskSpace, LedgerFailed
from sento_node.runner import Runner
from sento_node.service.import_stream import import_reports
from sento_node.service.node_state import NodeState
from sento_node.sync.making import payload_chunk, spine_chunk
from sento_proto.arrival import ArrivedVolume, arrival_holds, decode_arrival
from sento_proto.checkpoint import Checkpoint, SiteKeys, SiteSigners
from sento_proto.chunk import (
    Chunk,
    ChunkName,
    Kind,
    Payload,
    chunk_id,
    decode_chunk,
    decode_payloads,
    encode_chunk,
    encode_payloads,
)
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import admin_pb2

SITE = SITES[0]


class BareNode:
    """A node that does not take part yet, with an empty ledger."""

    def __init__(self, world: TestWorld, directory: Path, disk: MemoryDisk | None = None) -> None:
        self.disk = disk or MemoryDisk(world.ledger_id)
        self.store = MemoryStore(self.disk)
        self.writer = ThreadPoolExecutor(max_workers=1)
        self.state = NodeState(
            config=cast("object", SimpleNamespace(site=SITE, data_dir=directory)),  # type: ignore[arg-type]
            genesis=world.genesis,
            store=self.store,
            clock=ManualClock(),
            writer=self.writer,
            condition=Condition(),
            certificate_expires_at_s=lambda: 0,
            signers=SiteSigners(world.site_signers[SITE], None),
        )
        self.desk = ImportDesk(self.state)


@pytest.fixture
def ledger() -> CourierLedger:
    return told_ledger()


@pytest.fixture
def node(ledger: CourierLedger, tmp_path: Path) -> Iterator[BareNode]:
    node = BareNode(ledger.world, tmp_path)
    yield node
    node.writer.shutdown()


def spines(ledger: CourierLedger) -> list[bytes]:
    plan = asyncio.run(StoreSource(ledger).plan(0))
    return [
        spine_chunk(ledger.store, ledger.governance, each.after_block, each.through_block)
        for each in plan.stretches
    ]


def payloads(ledger: CourierLedger) -> bytes:
    return payload_chunk(ledger.store, ledger.governance, "", 0, ledger.state.size)


def brought(node: BareNode, *chunks: bytes) -> list[Report]:
    async def bring() -> list[Report]:
        async with node.desk.courier() as visit:
            return [await visit.take(chunk) for chunk in chunks]

    return asyncio.run(bring())


def outcomes(node: BareNode, *chunks: bytes) -> list[str]:
    return [report.outcome for report in brought(node, *chunks)]


def awaited(node: BareNode) -> list[int]:
    return node.store.awaited(100)


def test_spine_and_payloads_make_the_ledger_they_came_from(ledger: CourierLedger, node: BareNode) -> None:
    chunks = spines(ledger)
    assert outcomes(node, *chunks) == ["adopted"] * len(chunks)
    assert awaited(node)
    assert outcomes(node, payloads(ledger)) == ["filled"]
    assert not awaited(node)
    assert everything(node.store) == everything(ledger.store)


def test_what_is_brought_twice_is_known(ledger: CourierLedger, node: BareNode) -> None:
    chunks = [*spines(ledger), payloads(ledger)]
    brought(node, *chunks)
    before = everything(node.store)
    assert set(outcomes(node, *chunks)) == {"known"}
    assert everything(node.store) == before


def test_killed_behind_any_chunk_the_same_volumes_make_the_same_ledger(
    ledger: CourierLedger, tmp_path: Path
) -> None:
    chunks = [*spines(ledger), payloads(ledger)]
    for taken in range(len(chunks) + 1):
        first = BareNode(ledger.world, tmp_path / str(taken))
        brought(first, *chunks[:taken])
        first.writer.shutdown()
        again = BareNode(ledger.world, tmp_path / str(taken), first.disk)
        brought(again, *chunks)
        again.writer.shutdown()
        assert everything(again.store) == everything(ledger.store)


def test_a_site_that_follows_the_order_is_given_payloads_and_no_blocks(tmp_path: Path) -> None:
    ledger = told_ledger()
    chunks, data = spines(ledger), payloads(ledger)
    lone = LoneSite(ledger.world)

    async def bring() -> list[str]:
        node = BareNode(ledger.world, tmp_path)
        node.state.store = lone.store
        async with lone.running() as runner, node.desk.courier() as visit:
            node.state.runner, node.state.writer = runner, runner._writer
            await until_follows(runner)
            told = [(await visit.take(chunk)).outcome for chunk in (chunks[0], data)]
            runner._follower.copies = True
            told += [(await visit.take(chunk)).outcome for chunk in (*chunks, data, chunks[0])]
        node.writer.shutdown()
        return told

    adopted = ["adopted"] * len(chunks)
    assert asyncio.run(bring()) == ["waiting", "waiting", *adopted, "filled", "known"]
    assert lone.store.tip.size == ledger.state.size
    assert not lone.store.awaited(100)


async def until_follows(runner: Runner) -> None:
    async def follows() -> bool:
        return not runner.copies

    await until(follows, deadline_s=30, what="the order is followed")


def test_spines_in_any_order_wait_for_each_other_over_a_restart_of_the_import(
    ledger: CourierLedger, node: BareNode
) -> None:
    chunks = spines(ledger)
    assert outcomes(node, *reversed(chunks[1:])) == ["waiting"] * (len(chunks) - 1)
    assert node.store.tip.size == 0
    assert outcomes(node, chunks[0]) == ["adopted"]
    assert node.store.tip.size == ledger.state.size, "what waited followed at once"


def test_a_chunk_that_holds_blocks_again_goes_on_behind_them(ledger: CourierLedger, node: BareNode) -> None:
    whole = spine_chunk(ledger.store, ledger.governance, 0, ledger.state.block)
    assert outcomes(node, spines(ledger)[0], whole) == ["adopted", "adopted"]
    assert node.store.tip.size == ledger.state.size


def test_payloads_that_come_before_their_spine_wait_and_are_brought_again(
    ledger: CourierLedger, node: BareNode
) -> None:
    chunks = spines(ledger)
    assert outcomes(node, payloads(ledger)) == ["waiting"]
    assert outcomes(node, chunks[0], payloads(ledger)) == ["adopted", "waiting"]
    brought(node, *chunks[1:], payloads(ledger))
    assert not awaited(node)


def test_false_chunks_are_refused_and_name_what_is_wrong(ledger: CourierLedger, node: BareNode) -> None:
    stranger = told_ledger(build_genesis(rules=4, name="another"))
    good = spines(ledger)[0]
    reports = brought(node, spines(stranger)[0], good[:-1], b"no chunk")
    assert [report.outcome for report in reports] == ["refused"] * 3
    assert "another ledger" in reports[0].words
    assert node.store.tip.size == 0


def test_a_payload_that_is_not_its_records_is_refused_and_its_neighbours_stay(
    ledger: CourierLedger, node: BareNode
) -> None:
    brought(node, *spines(ledger))
    chunk = decode_chunk(payloads(ledger))
    items = list(decode_payloads(chunk))
    items[1] = Payload(items[1].position, b"false")
    report = brought(node, encode_chunk(Chunk(chunk.name, encode_payloads(items), b"")))[0]
    assert report.outcome == "refused"
    assert "1 of its payloads" in report.words
    assert awaited(node) == [items[1].position]


def test_a_payload_destroyed_by_order_is_not_stored_from_an_older_copy(
    ledger: CourierLedger, node: BareNode
) -> None:
    older = payloads(ledger)
    victim = next(kept for kept in ledger.store.records(0, ledger.state.size) if kept.payload)
    assert ledger.act(erase(victim.record_hash)) is Code.ACCEPTED
    assert ledger.act(carry_out_erasure(ledger.state.size - 1)) is Code.ACCEPTED
    ledger.keep()
    assert set(outcomes(node, *spines(ledger), older)) == {"adopted", "filled"}
    assert node.store.record(victim.position).payload is None
    assert awaited(node) == [victim.position], "the site's own erasing ends the waiting"


def test_two_at_once_are_one_and_a_refusal(node: BareNode) -> None:
    async def both() -> None:
        async with node.desk.courier():
            with pytest.raises(SentoError) as caught:
                async with node.desk.courier():
                    pass
            assert caught.value.code is Code.IMPORT_RUNNING
        async with node.desk.courier():
            pass

    asyncio.run(both())


def test_a_disk_with_little_room_takes_nothing_and_the_ledger_goes_on(
    ledger: CourierLedger, node: BareNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.store, "space", lambda: DiskSpace(1 << 20, 1 << 30))
    with pytest.raises(SentoError) as caught:
        brought(node, spines(ledger)[0])
    assert caught.value.code is Code.DISK_LOW
    monkeypatch.undo()
    assert outcomes(node, spines(ledger)[0]) == ["adopted"]


@pytest.mark.parametrize("state", ["stopped", "refused", "diverged", "rebuilding", "stopping"])
def test_a_site_that_must_not_change_its_ledger_takes_nothing(
    ledger: CourierLedger, node: BareNode, state: str
) -> None:
    node.state.condition.state = state
    with pytest.raises(SentoError):
        brought(node, spines(ledger)[0])
    assert node.store.tip.size == 0


def test_a_ledger_that_is_only_stood_in_for_takes_nothing(ledger: CourierLedger, node: BareNode) -> None:
    node.state.stands_in = True
    with pytest.raises(SentoError):
        brought(node, spines(ledger)[0])


def test_the_arrival_receipt_is_the_sites_word(ledger: CourierLedger, node: BareNode) -> None:
    chunks = spines(ledger)

    async def bring() -> bytes:
        async with node.desk.courier() as visit:
            for chunk in chunks:
                await visit.take(chunk)
            return await visit.end("ab" * 8, [ArrivedVolume("ab" * 8 + "-00001", "used", bytes(32))])

    receipt = decode_arrival(asyncio.run(bring()))
    keys = SiteKeys(ledger.world.site_signers[SITE].public_key, None)
    assert arrival_holds(receipt, ledger.world.ledger_id, [keys])
    assert (receipt.content.size, receipt.content.root) == (ledger.state.size, ledger.state.frontier.root())
    assert receipt.content.payloads_awaited > 0
    other = SiteKeys(ledger.world.site_signers[SITES[1]].public_key, None)
    assert not arrival_holds(receipt, ledger.world.ledger_id, [other])


async def pieces_of(*messages: admin_pb2.ImportPiece) -> AsyncIterator[admin_pb2.ImportPiece]:
    for message in messages:
        yield message


def streamed(node: BareNode, *messages: admin_pb2.ImportPiece) -> list[admin_pb2.ImportReport]:
    async def run() -> list[admin_pb2.ImportReport]:
        return [report async for report in import_reports(node.desk, pieces_of(*messages))]

    return asyncio.run(run())


def test_a_stream_gives_a_report_for_each_chunk_and_the_receipt(
    ledger: CourierLedger, node: BareNode
) -> None:
    data = spines(ledger)[0]
    half = len(data) // 2
    reports = streamed(
        node,
        admin_pb2.ImportPiece(chunk_id=chunk_id(data), total_bytes=len(data), data=data[:half]),
        admin_pb2.ImportPiece(data=data[half:]),
        admin_pb2.ImportPiece(end=admin_pb2.ImportEnd(set="00")),
    )
    assert [report.outcome for report in reports] == ["adopted", ""]
    assert decode_arrival(reports[1].arrival).content.set_name == "00"


@pytest.mark.parametrize("wrong", ["id", "longer", "endless", "inside", "verdict", "set"])
def test_streams_that_are_not_in_form_are_refused(ledger: CourierLedger, node: BareNode, wrong: str) -> None:
    data = spines(ledger)[0]
    first = admin_pb2.ImportPiece(chunk_id=chunk_id(data), total_bytes=len(data), data=data)
    messages = [first]
    match wrong:
        case "id":
            first.chunk_id = bytes(32)
        case "longer":
            first.total_bytes -= 1
        case "endless":
            first.total_bytes = 1 << 40
        case "inside":
            first.data = data[:-1]
            messages.append(admin_pb2.ImportPiece(end=admin_pb2.ImportEnd(set="00")))
        case "verdict":
            end = admin_pb2.ImportEnd(set="00")
            end.volumes.add(number="1", verdict="lovely")
            messages = [admin_pb2.ImportPiece(end=end)]
        case "set":
            messages = [admin_pb2.ImportPiece(end=admin_pb2.ImportEnd(set="x" * 65))]
    with pytest.raises(SentoError) as caught:
        streamed(node, *messages)
    assert caught.value.code is Code.BAD_REQUEST
    assert node.store.tip.size == 0


def test_what_waits_is_bounded_and_survives_a_restart(tmp_path: Path) -> None:
    name = ChunkName(Kind.SPINE, bytes(32), 1, 5, 9, 10, 20)
    stage = Stage(tmp_path / "imported", max_bytes=100)
    stage.put(name, b"x" * 60)
    stage.put(name, b"x" * 60)
    with pytest.raises(StageFull):
        stage.put(name, b"y" * 60)
    (tmp_path / "imported" / "torn.new").write_bytes(b"")
    again = Stage(tmp_path / "imported")
    assert taken(again, 4) is None
    assert taken(again, 5) == b"x" * 60
    assert taken(again, 5) is None
    assert not list((tmp_path / "imported").iterdir())


def taken(stage: Stage, block: int) -> bytes | None:
    found = stage.next(block)
    if found is None:
        return None
    stage.done(found[0])
    return found[1]


def spine_from(block: int) -> ChunkName:
    return ChunkName(Kind.SPINE, bytes(32), 1, block, block + 5, 10, 20)


def test_spines_of_blocks_that_will_never_be_make_room_for_what_lies_nearer(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "imported", max_bytes=200, max_count=3)
    for at in range(3):
        stage.put(spine_from(10**15 + at), b"%d" % at * 60)
    stage.put(spine_from(5), b"near" * 15)
    with pytest.raises(StageFull):
        stage.put(spine_from(2 * 10**15), b"farther")
    stage.put(spine_from(10), b"next" * 15)
    again = Stage(tmp_path / "imported", max_bytes=200)
    assert taken(again, 5) == b"near" * 15
    assert taken(again, 10) == b"next" * 15
    assert len(list((tmp_path / "imported").iterdir())) == 1


def test_a_spine_that_waited_stays_on_the_disk_until_the_ledger_has_it(
    ledger: CourierLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = spines(ledger)
    node = BareNode(ledger.world, tmp_path)
    assert outcomes(node, second) == ["waiting"]
    adopt = Direct.adopt
    adopted: list[Sequence[OfferedBlock]] = []

    async def cut(self: Direct, blocks: Sequence[OfferedBlock], checkpoint: Checkpoint) -> None:
        if adopted:
            raise LedgerFailed("the power is cut here")
        adopted.append(blocks)
        await adopt(self, blocks, checkpoint)

    with monkeypatch.context() as patch:
        patch.setattr(Direct, "adopt", cut)
        with pytest.raises(LedgerFailed):
            brought(node, first)
    node.writer.shutdown()
    again = BareNode(ledger.world, tmp_path, node.disk)
    stage = Stage(tmp_path / "sync" / "imported")
    assert taken(stage, again.store.tip.block) == second
    again.writer.shutdown()


def test_what_waits_is_bounded_in_number_too(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "imported", max_count=2)
    stage.put(spine_from(5), b"1")
    stage.put(spine_from(6), b"2")
    with pytest.raises(StageFull):
        stage.put(spine_from(7), b"3")
    assert len(list((tmp_path / "imported").iterdir())) == 2


LEDGER = bytes(32)
SPINE = ChunkName(Kind.SPINE, LEDGER, 2, 10, 20, 100, 200)
PAYLOADS = ChunkName(Kind.PAYLOADS, LEDGER, 2, 0, 0, 100, 200, "tax")


@pytest.mark.parametrize(
    ("name", "where", "fate"),
    [
        (SPINE, Where(LEDGER, 2, 10, 100, False), Fate.GOES_ON),
        (SPINE, Where(LEDGER, 2, 15, 130, False), Fate.GOES_ON),
        (SPINE, Where(LEDGER, 2, 20, 200, False), Fate.KNOWN),
        (SPINE, Where(LEDGER, 2, 9, 90, False), Fate.WAITS),
        (SPINE, Where(LEDGER, 2, 10, 100, True), Fate.WAITS),
        (SPINE, Where(LEDGER, 2, 20, 200, True), Fate.KNOWN),
        (SPINE, Where(LEDGER, 3, 10, 100, False), Fate.REFUSED),
        (SPINE, Where(LEDGER, 3, 20, 200, False), Fate.KNOWN),
        (SPINE, Where(LEDGER, 1, 10, 100, False), Fate.GOES_ON),
        (SPINE, Where(b"\x01" * 32, 2, 10, 100, False), Fate.REFUSED),
        (PAYLOADS, Where(LEDGER, 2, 20, 200, True), Fate.GOES_ON),
        (PAYLOADS, Where(LEDGER, 2, 15, 150, False), Fate.GOES_ON),
        (PAYLOADS, Where(LEDGER, 2, 10, 100, False), Fate.WAITS),
        (PAYLOADS, Where(b"\x01" * 32, 2, 20, 200, False), Fate.REFUSED),
    ],
)
def test_the_fate_of_a_chunk(name: ChunkName, where: Where, fate: Fate) -> None:
    decided = decide(name, where)
    assert decided.fate is fate
    assert bool(decided.words) == (fate in (Fate.WAITS, Fate.REFUSED))
