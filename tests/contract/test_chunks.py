"""Chunks carry a ledger whole from one store into another; what was altered, cut, moved or taken from elsewhere on the way is refused, with nothing adopted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from acts import permit, set_threshold
from genesis_builder import OFFICERS, SITES, TestWorld, build_genesis, make_submission
from ledger_driver import LedgerDriver, everything
from sento_node.ledger import reading
from sento_node.ledger.adopt import NotProven, OfferedBlock, PayloadNotProven, adopt_chunk
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.state import LedgerState, Tip
from sento_node.ledger.store import KeptCheckpoint, LedgerStore
from sento_node.sync import entries, making
from sento_node.sync.entries import merged, offered_blocks
from sento_node.sync.making import NotPlanned, payload_chunk, plan, spine_chunk
from sento_proto import chunk as chunks
from sento_proto.checkpoint import decode_checkpoint, encode_checkpoint
from sento_proto.chunk import Chunk, Payload, decode_chunk, decode_payloads, encode_chunk, encode_entries
from sento_proto.errors import Code
from sento_proto.merkle import verify_consistency
from sento_proto.v1 import sync_pb2
from sento_proto.wire import Malformed

CITY = "iizuka-city"
Opened = Callable[[str], LedgerStore]


@pytest.fixture
def world() -> TestWorld:
    return build_genesis(rules=4)


@pytest.fixture(params=["memory", "lmdb"])
def opened(request: pytest.FixtureRequest, world: TestWorld, tmp_path: Path) -> Iterator[Opened]:
    """A new ledger under a name."""
    stores: list[LedgerStore] = []

    def open_one(name: str) -> LedgerStore:
        if request.param == "memory":
            stores.append(MemoryStore(MemoryDisk(world.ledger_id)))
        else:
            stores.append(LmdbStore.open(tmp_path / name, world.ledger_id, map_bytes=1 << 26))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


class Giver(LedgerDriver):
    """A ledger that keeps a checkpoint whenever it is told to."""

    def keep(self) -> None:
        self.flush()
        self.store.put_checkpoint(self.checkpoint())


def story(world: TestWorld, store: LedgerStore) -> Giver:
    """Records with and without payload, an act, an announcement, refusals of all kinds, a known record; four checkpoints."""
    giver = Giver(world, store)
    first = [giver.record(f"a{n}", content=b"x" * 300 * n) for n in range(5)]
    assert set(giver.codes(first)) == {Code.ACCEPTED}
    bare = giver.record("without payload")
    stale = giver.record("a1", content=b"again")
    assert giver.codes([first[2], bare, stale]) == [Code.KNOWN, Code.ACCEPTED, Code.STALE]
    giver.keep()
    assert giver.act(permit(CITY, "write", ("health", ""))) is Code.ACCEPTED
    health = giver.record("h", registry="health", content=b"rash")
    assert giver.codes([health]) == [Code.ACCEPTED]
    giver.keep()
    giver.order([b"no submission at all", make_submission(world, CITY, [giver.record("b", content=b"b")])])
    giver.order([], data=b"no block at all")
    giver.keep()
    assert giver.announce(SITES[1], [1, 2, 3, 4]) is Code.ACCEPTED
    assert giver.act(set_threshold(3)) is Code.ACCEPTED
    giver.fill(9, prefix="c", content=b"c" * 40)
    giver.keep()
    return giver


class Taker:
    """A site that catches up by chunks."""

    def __init__(self, world: TestWorld, store: LedgerStore) -> None:
        self.store = store
        self.state = LedgerState(governance_of(world.genesis, store), store, store.tip, store.window())

    def take(self, spine: bytes, payloads: dict[int, bytes] | None = None) -> None:
        chunk = decode_chunk(spine)
        blocks: tuple[OfferedBlock, ...] = offered_blocks(chunk)
        if payloads is not None:
            blocks = merged(blocks, payloads)
        checkpoint = decode_checkpoint(chunk.note)
        adopt_chunk(self.state, blocks, checkpoint)
        batch = self.state.seal_batch()
        assert batch is not None
        self.store.commit(batch)
        self.state.batch_flushed()

    def fill(self, payloads: bytes) -> int:
        return self.store.fill(list(decode_payloads(decode_chunk(payloads))))


def payloads_of(giver: Giver, registry: str = "") -> bytes:
    return payload_chunk(giver.store, giver.governance, registry, 0, giver.store.tip.size)


def spines(giver: Giver) -> list[bytes]:
    """Every gap between two checkpoints as a chunk of its own."""
    found, after = [], 0
    while (kept := giver.store.checkpoint_by_block(after + 1)) is not None:
        found.append(spine_chunk(giver.store, giver.governance, after, kept.block))
        after = kept.block
    return found


def without_checkpoints(store: LedgerStore) -> dict[str, object]:
    return everything(store) | {"checkpoint": None}


# -- the trip ------------------------------------------------------------------------------------------------------


def test_spines_and_then_payloads_make_an_equal_ledger(opened: Opened, world: TestWorld) -> None:
    giver = story(world, opened("giver"))
    taker = Taker(world, opened("taker"))
    for spine in spines(giver):
        taker.take(spine)
    awaited = taker.store.awaited(100)
    assert len(awaited) == 5 + 1 + 1 + 9
    assert taker.fill(payloads_of(giver)) == len(awaited)
    assert without_checkpoints(taker.store) == without_checkpoints(giver.store)
    assert taker.state.governance == giver.governance


def test_payloads_merged_into_spines_make_an_equal_ledger_without_anything_awaited_between(
    opened: Opened, world: TestWorld
) -> None:
    giver = story(world, opened("giver"))
    taker = Taker(world, opened("taker"))
    payloads = dict(decode_payloads(decode_chunk(payloads_of(giver))))
    for spine in spines(giver):
        taker.take(spine, payloads)
        assert taker.store.awaited(1) == []
    assert without_checkpoints(taker.store) == without_checkpoints(giver.store)


def test_a_ledger_made_of_chunks_makes_the_same_chunks(opened: Opened, world: TestWorld) -> None:
    giver = story(world, opened("giver"))
    taker = Taker(world, opened("taker"))
    payloads = dict(decode_payloads(decode_chunk(payloads_of(giver))))
    for spine in spines(giver):
        taker.take(spine, payloads)
        taker.store.put_checkpoint(taker_checkpoint(taker, spine))
    again = Giver(world, taker.store)
    assert spines(again) == spines(giver)
    assert payloads_of(again) == payloads_of(giver)


def taker_checkpoint(taker: Taker, spine: bytes) -> KeptCheckpoint:
    return KeptCheckpoint(taker.state.size, taker.state.block, decode_chunk(spine).note)


def test_a_spine_carries_no_payload_and_no_hash_of_what_stands(world: TestWorld) -> None:
    giver = story(world, MemoryStore(MemoryDisk(world.ledger_id)))
    for spine in spines(giver):
        for entry in chunks.decode_entries(decode_chunk(spine).body):
            for submission in sync_pb2.BlockEntry.FromString(entry).submissions:
                for record in submission.records:
                    assert not record.payload
                    assert bool(record.record_hash) == (record.code != Code.ACCEPTED)


def test_payloads_of_one_registry_are_those_alone(opened: Opened, world: TestWorld) -> None:
    giver = story(world, opened("giver"))
    (payload,) = decode_payloads(decode_chunk(payloads_of(giver, "health")))
    assert giver.store.record(payload.position).payload == payload.data
    assert list(decode_payloads(decode_chunk(payloads_of(giver, "tax")))) == []


def test_erased_and_awaited_payloads_are_left_out(opened: Opened, world: TestWorld) -> None:
    giver = story(world, opened("giver"))
    while not giver.store.erase([1, 2]).done:
        pass
    assert {payload.position for payload in decode_payloads(decode_chunk(payloads_of(giver)))} & set(
        range(5)
    ) == {0, 3, 4}
    taker = Taker(world, opened("taker"))
    for spine in spines(giver):
        taker.take(spine)
    assert list(decode_payloads(decode_chunk(payload_chunk(taker.store, giver.governance, "", 0, 9)))) == []


def test_what_an_order_had_destroyed_is_left_out_though_the_disk_still_holds_it(
    opened: Opened, world: TestWorld
) -> None:
    giver = story(world, opened("giver"))
    named = giver.store.record(3).record_hash.hex()
    order = giver.state.size
    change = {"do": "erase", "records": [named], "legal_basis": "x"}
    assert giver.act(change, officers=OFFICERS) is Code.ACCEPTED
    assert giver.act({"do": "carry-out-erasure", "order": order}, officers=OFFICERS) is Code.ACCEPTED
    giver.flush()
    assert giver.store.record(3).payload
    positions = {payload.position for payload in decode_payloads(decode_chunk(payloads_of(giver)))}
    assert positions & {2, 3, 4} == {2, 4}


def test_a_fenced_or_damaged_payload_is_left_out_and_its_neighbours_are_given(
    world: TestWorld, tmp_path: Path
) -> None:
    with_damage = LmdbStore.open(tmp_path / "damaged", world.ledger_id, map_bytes=1 << 26)
    giver = story(world, with_damage)
    payload = giver.store.record(3).payload
    assert payload
    (segment,) = (tmp_path / "damaged" / "payloads").iterdir()
    data = segment.read_bytes()
    at = data.index(payload)
    segment.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    giver.store.fence(frozenset({1}), frozenset())
    positions = {given.position for given in decode_payloads(decode_chunk(payloads_of(giver)))}
    with_damage.close()
    assert positions & set(range(5)) == {0, 2, 4}


def test_a_chunk_of_payloads_ends_with_the_record_that_fills_it_and_says_where(
    opened: Opened, world: TestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    giver = story(world, opened("giver"))
    monkeypatch.setattr(making, "PAYLOAD_CHUNK_BYTES", 1_000)
    end = giver.store.tip.size
    at, gathered, made = 0, [], 0
    while at < end:
        chunk = decode_chunk(payload_chunk(giver.store, giver.governance, "", at, end))
        assert (chunk.name.from_position, chunk.name.to_position > at) == (at, True)
        gathered += list(decode_payloads(chunk))
        at, made = chunk.name.to_position, made + 1
    monkeypatch.undo()
    assert made > 2
    assert gathered == list(decode_payloads(decode_chunk(payloads_of(giver))))


def test_what_the_ledger_does_not_hold_is_not_made(opened: Opened, world: TestWorld) -> None:
    giver = story(world, opened("giver"))
    tip = giver.store.tip
    for after, through in [(0, 1), (0, tip.block + 1), (tip.block, tip.block)]:
        with pytest.raises(NotPlanned):
            spine_chunk(giver.store, giver.governance, after, through)
    with pytest.raises(NotPlanned):
        payload_chunk(giver.store, giver.governance, "", tip.size, tip.size + 1)


# -- the plan ------------------------------------------------------------------------------------------------------


def test_a_plan_joins_checkpoints_and_ends_at_the_newest(
    opened: Opened, world: TestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    giver = story(world, opened("giver"))
    (whole,) = plan(giver.store, 0, 0, 10)
    assert (whole.after_block, whole.through_block) == (0, giver.store.tip.block)
    monkeypatch.setattr(making, "SPINE_RECORDS", 8)
    some = plan(giver.store, 0, 0, 10)
    assert [chunk.to_position for chunk in some] == [8, 9, giver.store.tip.size]
    assert [chunk.after_block for chunk in some] == [0, *(chunk.through_block for chunk in some[:-1])]
    assert plan(giver.store, some[0].through_block, 0, 10) == some[1:]
    assert plan(giver.store, 0, 0, 2) == some[:2]
    assert plan(giver.store, giver.store.tip.block, 0, 10) == []


@pytest.mark.parametrize("anchor_size", [3, 8, 9, 14])
def test_each_end_of_a_plan_is_proven_consistent_with_the_anchor_before_or_behind_it(
    opened: Opened, world: TestWorld, monkeypatch: pytest.MonkeyPatch, anchor_size: int
) -> None:
    giver = story(world, opened("giver"))
    monkeypatch.setattr(making, "SPINE_RECORDS", 1)
    anchor = reading.root_at(giver.store, anchor_size)
    planned = plan(giver.store, 0, anchor_size, 10)
    assert len(planned) == 4
    for chunk in planned:
        ends = sorted(
            [(anchor_size, anchor), (chunk.to_position, reading.root_at(giver.store, chunk.to_position))]
        )
        assert verify_consistency(*ends[0], *ends[1], chunk.consistency)
        if anchor_size != chunk.to_position:
            false = [(size, bytes(32) if size == anchor_size else root) for size, root in ends]
            assert not verify_consistency(*false[0], *false[1], chunk.consistency)


# -- on the way ----------------------------------------------------------------------------------------------------


class OnTheWay:
    """One spine of a story, what lies before it adopted already."""

    def __init__(self, world: TestWorld) -> None:
        self.world = world
        self.giver = story(world, MemoryStore(MemoryDisk(world.ledger_id)))
        first, self.spine, *_ = spines(self.giver)
        self.taker = Taker(world, MemoryStore(MemoryDisk(world.ledger_id)))
        self.taker.take(first)
        self.chunk = decode_chunk(self.spine)

    def refused(self, spine: bytes, payloads: dict[int, bytes] | None = None) -> None:
        """Refused with everything as it was; the good one is taken afterwards."""
        before = (self.taker.state.tip, self.taker.state.governance, everything(self.taker.store))
        with pytest.raises((Malformed, NotProven)):
            self.taker.take(spine, payloads)
        assert (self.taker.state.tip, self.taker.state.governance, everything(self.taker.store)) == before
        self.taker.take(self.spine)

    def entries(self) -> list[sync_pb2.BlockEntry]:
        return [sync_pb2.BlockEntry.FromString(data) for data in chunks.decode_entries(self.chunk.body)]

    def of(self, entries: list[sync_pb2.BlockEntry]) -> bytes:
        """A whole and sound chunk with these entries."""
        body = encode_entries(entry.SerializeToString() for entry in entries)
        return encode_chunk(self.chunk._replace(body=body))


@pytest.fixture
def on_the_way(world: TestWorld) -> OnTheWay:
    return OnTheWay(world)


def test_every_flipped_bit_and_every_cut_is_found_before_anything_is_looked_at(on_the_way: OnTheWay) -> None:
    spine = on_the_way.spine
    for at in range(0, len(spine), 97):
        with pytest.raises(Malformed):
            decode_chunk(spine[:at] + bytes([spine[at] ^ 0x10]) + spine[at + 1 :])
        with pytest.raises(Malformed):
            decode_chunk(spine[:at])


@pytest.mark.parametrize("field", ["header", "payload_hash"])
def test_an_altered_record_under_a_mended_digest_is_not_adopted(on_the_way: OnTheWay, field: str) -> None:
    entries = on_the_way.entries()
    record = entries[1].submissions[0].records[0]
    value = bytearray(getattr(record, field))
    value[30] ^= 1
    setattr(record, field, bytes(value))
    on_the_way.refused(on_the_way.of(entries))


def test_an_altered_signature_is_not_adopted(on_the_way: OnTheWay) -> None:
    entries = on_the_way.entries()
    signature = entries[1].submissions[0].signatures[0]
    signature.data = bytes([signature.data[0] ^ 1]) + signature.data[1:]
    on_the_way.refused(on_the_way.of(entries))


def test_blocks_that_changed_places_are_not_adopted(on_the_way: OnTheWay) -> None:
    on_the_way.refused(on_the_way.of(on_the_way.entries()[::-1]))


def test_a_chunk_short_of_its_last_block_is_not_adopted(on_the_way: OnTheWay) -> None:
    on_the_way.refused(on_the_way.of(on_the_way.entries()[:-1]))


def test_a_chunk_that_says_less_than_it_holds_is_not_adopted(on_the_way: OnTheWay) -> None:
    name = on_the_way.chunk.name
    through = name._replace(through_block=name.through_block - 1)
    on_the_way.refused(encode_chunk(on_the_way.chunk._replace(name=through)))


def test_an_entry_that_is_no_message_is_malformed(on_the_way: OnTheWay) -> None:
    on_the_way.refused(encode_chunk(on_the_way.chunk._replace(body=encode_entries([b"\xff" * 9]))))


def test_chunks_taken_out_of_their_order_are_not_adopted(on_the_way: OnTheWay) -> None:
    on_the_way.refused(spines(on_the_way.giver)[2])


def test_a_chunk_taken_twice_is_not_adopted_again(on_the_way: OnTheWay) -> None:
    on_the_way.refused(spines(on_the_way.giver)[0])


def test_a_chunk_of_another_ledger_is_not_adopted(on_the_way: OnTheWay) -> None:
    foreign = build_genesis(name="elsewhere", rules=4)
    on_the_way.refused(spines(story(foreign, MemoryStore(MemoryDisk(foreign.ledger_id))))[1])


def test_a_checkpoint_of_another_epoch_proves_nothing(on_the_way: OnTheWay) -> None:
    giver = on_the_way.giver
    other = MemoryStore(MemoryDisk(on_the_way.world.ledger_id, tip=Tip(1, 0, 0, 0, ())))
    elsewhere = story(on_the_way.world, other)
    assert elsewhere.state.epoch != giver.state.epoch
    note = decode_chunk(spines(elsewhere)[1]).note
    on_the_way.refused(encode_chunk(on_the_way.chunk._replace(note=note)))
    on_the_way_again = OnTheWay(on_the_way.world)
    on_the_way_again.refused(spines(elsewhere)[1])


def test_a_checkpoint_that_too_few_sites_cosigned_proves_nothing(on_the_way: OnTheWay) -> None:
    note = decode_checkpoint(on_the_way.chunk.note)
    few = encode_checkpoint(note._replace(signatures=note.signatures[:2]))
    on_the_way.refused(encode_chunk(on_the_way.chunk._replace(note=few)))


def test_a_payload_that_is_another_records_is_told_apart_from_a_false_spine(on_the_way: OnTheWay) -> None:
    position = on_the_way.chunk.name.from_position + 1
    with pytest.raises(PayloadNotProven, match=f"position {position}"):
        on_the_way.taker.take(on_the_way.spine, {position: b"something else"})
    good = on_the_way.giver.store.record(position).payload
    assert good
    same_length = bytes(len(good))
    on_the_way.refused(on_the_way.spine, {position: same_length})


def test_payloads_are_not_a_spine(on_the_way: OnTheWay) -> None:
    on_the_way.refused(payloads_of(on_the_way.giver))


def test_payloads_out_of_order_or_range_are_malformed(on_the_way: OnTheWay) -> None:
    chunk = decode_chunk(payloads_of(on_the_way.giver))
    two = list(decode_payloads(chunk))[:2]
    for payloads in (two[::-1], [two[0], two[0]], [Payload(chunk.name.to_position, b"x")]):
        with pytest.raises(Malformed):
            list(decode_payloads(chunk._replace(body=chunks.encode_payloads(payloads))))


def test_a_chunk_is_named_by_its_bytes(on_the_way: OnTheWay) -> None:
    again: Chunk = decode_chunk(on_the_way.spine)
    assert encode_chunk(again) == on_the_way.spine
    assert chunks.chunk_id(on_the_way.spine) == hashlib.sha256(on_the_way.spine).digest()


# -- what costs a liar nothing -------------------------------------------------------------------------------------------


def test_a_spine_that_claims_more_blocks_than_any_memory_holds_is_refused_at_once(
    on_the_way: OnTheWay,
) -> None:
    name = on_the_way.chunk.name._replace(through_block=2**63)
    on_the_way.refused(encode_chunk(on_the_way.chunk._replace(name=name)))


def test_a_spine_of_a_million_empty_entries_is_refused_at_the_first_of_them(
    on_the_way: OnTheWay, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[bytes] = []
    parse = sync_pb2.BlockEntry.FromString

    def counted(data: bytes) -> sync_pb2.BlockEntry:
        looked_at.append(data)
        return parse(data)

    monkeypatch.setattr(entries, "_parse", counted)
    name = on_the_way.chunk.name._replace(through_block=on_the_way.chunk.name.after_block + 1_000_000)
    bomb = on_the_way.chunk._replace(name=name, body=bytes(4_000_000))
    assert len(encode_chunk(bomb)) < 40_000, "a thousandth of it travels"
    with pytest.raises(Malformed):
        offered_blocks(decode_chunk(encode_chunk(bomb)))
    assert len(looked_at) == 1


def test_an_entry_larger_than_any_block_is_not_parsed(on_the_way: OnTheWay) -> None:
    (first, *_) = on_the_way.entries()
    first.lane = "x" * (1 << 21)
    on_the_way.refused(on_the_way.of([first, *on_the_way.entries()[1:]]))


def test_a_ledger_asked_for_in_one_spine_is_not_made_beyond_what_a_chunk_holds(
    world: TestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    giver = story(world, MemoryStore(MemoryDisk(world.ledger_id)))
    through = giver.store.tip.block
    whole = decode_chunk(spine_chunk(giver.store, giver.governance, 0, through))
    monkeypatch.setattr(making, "CHUNK_MAX_BYTES", len(whole.body) // 2)
    with pytest.raises(NotPlanned, match="more than a chunk holds"):
        spine_chunk(giver.store, giver.governance, 0, through)
