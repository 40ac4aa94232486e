"""Gathering records into submissions: the limits, the order, the wait."""

from __future__ import annotations

import pytest

from genesis_builder import TestWorld, build_genesis, make_record
from sento_client.batching import Batcher, Waiting
from sento_proto import limits
from sento_proto.errors import Code, SentoError
from sento_proto.record import Record
from sento_proto.submission import decode_submission, encoded_record_bytes, sign_submission

AUTHOR = "iizuka-city"
LINGER_MS = 2


@pytest.fixture(scope="module")
def world() -> TestWorld:
    return build_genesis()


def records_of(
    world: TestWorld, count: int, size_bytes: int = 900, registry: str = "residency"
) -> list[Record]:
    return [
        make_record(
            world, AUTHOR, registry, "kind", bytes(32), bytes([n % 256]) * 16, content=bytes(size_bytes)
        )
        for n in range(count)
    ]


def alone(record: Record, owner: int = 0) -> list[Waiting[int]]:
    return [Waiting(record, encoded_record_bytes(record), 1_000, owner)]


def test_lone_record_is_due_at_once_and_company_waits_for_the_linger(world: TestWorld) -> None:
    batcher: Batcher[int] = Batcher(LINGER_MS)
    one, two = records_of(world, 2)
    assert batcher.add(alone(one), 100, busy=False) == []
    assert batcher.due_at_ms == 100
    (batch,) = batcher.take_due(100)
    assert [waiting.record for waiting in batch] == [one]
    batcher.add(alone(two), 100, busy=True)
    assert batcher.take_due(101) == []
    assert batcher.due_at_ms == 102
    assert len(batcher.take_due(102)) == 1
    assert batcher.due_at_ms is None


def test_batches_fill_to_the_limit_and_make_valid_submissions(world: TestWorld) -> None:
    batcher: Batcher[int] = Batcher(LINGER_MS)
    batches = []
    records = records_of(world, 100)
    for owner, record in enumerate(records):
        batches += batcher.add(alone(record, owner), 0, busy=True)
    batches += batcher.take_all()
    assert [len(batch) for batch in batches] == [44, 44, 12]
    assert [waiting.owner for batch in batches for waiting in batch] == list(range(100))
    for batch in batches:
        size = sum(encoded_record_bytes(waiting.record) for waiting in batch)
        assert size <= limits.SUBMISSION_RECORDS_MAX_BYTES
        data = sign_submission(world.ledger_id, [w.record for w in batch], world.author_signers[AUTHOR])
        assert len(decode_submission(data).records) == len(batch)


def test_full_batch_leaves_without_waiting_for_one_more(world: TestWorld) -> None:
    batcher: Batcher[int] = Batcher(1_000)
    leaving = [batcher.add(alone(record), 0, busy=True) for record in records_of(world, 44)]
    assert [len(batches) for batches in leaving] == [0] * 43 + [1]


def test_registries_are_never_mixed(world: TestWorld) -> None:
    batcher: Batcher[int] = Batcher(LINGER_MS)
    for record in (*records_of(world, 2), *records_of(world, 1, registry="tax")):
        batcher.add(alone(record), 0, busy=True)
    registries = [{waiting.record.header.registry for waiting in batch} for batch in batcher.take_all()]
    assert registries == [{"residency"}, {"tax"}]


def test_group_is_never_split(world: TestWorld) -> None:
    batcher: Batcher[int] = Batcher(LINGER_MS)
    records = records_of(world, 60)
    batches = []
    for start in range(0, 60, 20):
        piece = [waiting for record in records[start : start + 20] for waiting in alone(record, start)]
        batches += batcher.add(piece, 0, busy=True)
    batches += batcher.take_all()
    assert [[waiting.owner for waiting in batch] for batch in batches] == [[0] * 20 + [20] * 20, [40] * 20]


def test_group_that_never_fits_one_submission_is_refused_and_disturbs_nobody(world: TestWorld) -> None:
    batcher: Batcher[int] = Batcher(LINGER_MS)
    records = records_of(world, 50)
    batcher.add(alone(records[0]), 0, busy=True)
    with pytest.raises(SentoError) as refused:
        batcher.add([waiting for record in records for waiting in alone(record)], 0, busy=True)
    assert refused.value.code is Code.TOO_LARGE
    (batch,) = batcher.take_all()
    assert [waiting.record for waiting in batch] == [records[0]]


def test_count_is_bounded_also_for_records_without_payload(world: TestWorld) -> None:
    batcher: Batcher[int] = Batcher(LINGER_MS)
    world = build_genesis()
    batches = []
    for _ in range(300):
        record = make_record(world, AUTHOR, "residency", "k", bytes(32), bytes(16), content=None)
        batches += batcher.add(alone(record), 0, busy=True)
    batches += batcher.take_all()
    assert sum(map(len, batches)) == 300
    assert max(map(len, batches)) <= limits.SUBMISSION_MAX_RECORDS


def test_record_that_is_sent_twice_at_the_same_time_goes_into_two_submissions(world: TestWorld) -> None:
    batcher: Batcher[int] = Batcher(LINGER_MS)
    (record,) = records_of(world, 1)
    assert batcher.add(alone(record, 1), 0, busy=True) == []
    (first,) = batcher.add(alone(record, 2), 0, busy=True)
    (second,) = batcher.take_all()
    assert [first[0].owner, second[0].owner] == [1, 2]
    with pytest.raises(SentoError) as refused:
        batcher.add([*alone(record), *alone(record)], 0, busy=True)
    assert refused.value.code is Code.BAD_REQUEST
