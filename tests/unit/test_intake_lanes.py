"""Lanes: one append in flight each, exactly once, and a fresh lane where the log forgot what it had acknowledged."""

from __future__ import annotations

from genesis_builder import build_genesis
from sento_node.intake.lanes import Append, Lanes
from sento_node.intake.queues import Waiting
from sento_node.ordering.port import Appended
from sento_proto.block import decode_block

SITE = "jp-fukuoka"


def new_lanes(count: int = 1) -> Lanes:
    world = build_genesis()
    return Lanes(
        ledger_id=world.ledger_id,
        epoch=0,
        site=SITE,
        boot_number=3,
        count=count,
        signer=world.site_signers[SITE],
    )


def offer(lanes: Lanes, ticket: int, data: bytes = b"submission", author: str = "a") -> list[Append]:
    assert lanes.queues.offer(Waiting(ticket, author, data))
    return lanes.start_blocks()


def test_a_lane_takes_the_next_block_only_when_the_one_before_is_settled() -> None:
    lanes = new_lanes()
    (first,) = offer(lanes, 1)
    assert offer(lanes, 2) == []
    lanes.appended(first.lane, first.seq, Appended(1, 10))
    (second,) = lanes.start_blocks()
    assert (first.seq, second.seq) == (1, 2)


def test_a_block_is_given_up_after_two_tries_and_its_client_told_once() -> None:
    lanes = new_lanes()
    (append,) = offer(lanes, 7)
    assert lanes.append_failed(append.lane, 1) == (append, None)
    again, unknown = lanes.append_failed(append.lane, 1)
    assert again == append
    assert unknown is not None
    assert unknown.tickets == (7,)
    assert lanes.append_failed(append.lane, 1) == (append, None)


def test_a_block_that_the_log_acknowledged_and_lost_is_ordered_again_on_a_fresh_lane() -> None:
    lanes = new_lanes()
    (first,) = offer(lanes, 1, b"first")
    lanes.appended(first.lane, 1, Appended(1, 10))
    (second,) = offer(lanes, 2, b"second")
    assert lanes.vanished(9) == []
    (lost,) = lanes.vanished(10)
    assert lost.data == first.data
    assert lanes.is_retired(first.lane)
    (fresh,) = lanes.start_blocks()
    assert (fresh.lane, fresh.seq) == (f"{SITE}/3/1", 1)
    assert sorted(decode_block(fresh.data).submissions) == [b"first", b"second"]
    assert lanes.append_failed(second.lane, second.seq) == (None, None)


def test_an_author_keeps_to_one_lane_while_one_is_enough() -> None:
    lanes = new_lanes(count=2)
    (first,) = offer(lanes, 1, author="a")
    assert offer(lanes, 2, author="a") == []
    (other,) = offer(lanes, 3, author="b")
    assert first.lane != other.lane


def test_covered_blocks_are_not_kept() -> None:
    lanes = new_lanes()
    (append,) = offer(lanes, 1)
    lanes.appended(append.lane, 1, Appended(5, 10))
    assert lanes.seen(append.lane, 1, append.data, 5) is not None
    lanes.covered(4)
    assert lanes.kept_bytes == len(append.data)
    lanes.covered(5)
    assert lanes.kept_bytes == 0
