"""What etcd's answers, events, errors and log lines mean: the pure parts of the etcd form, on hand-made messages."""

from __future__ import annotations

import hashlib

import pytest
from grpc import StatusCode

from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.append import PlaceToRead, append_request, judge_append
from sento_node.ordering.etcd.errors import HistoryForgotten, NotTheLead, ordering_error
from sento_node.ordering.etcd.events import EventReader
from sento_node.ordering.etcd.keys import (
    HEAD_KEY,
    WATCH_RANGE,
    block_key,
    blocks_through,
    lane_key,
    parse_block_key,
)
from sento_node.ordering.etcd.member_log import TAIL_LINES_MAX, MemberLog, read_line
from sento_node.ordering.etcd.member_state import alarms_in
from sento_node.ordering.etcd.trim import trim_requests
from sento_node.ordering.port import (
    Appended,
    BlockRemoved,
    Head,
    LaneConflict,
    OrderedBlock,
    OrderingError,
    OrderingFull,
    OrderingRefused,
    OutcomeUnknown,
)

LANE = "north/3/0"


# Keys.


def test_the_watched_range_covers_head_and_blocks_and_no_lane_counter() -> None:
    start, end = WATCH_RANGE
    assert start <= HEAD_KEY < block_key("0", 0) < block_key("zzz", 2**63 - 1) < end
    assert not start <= lane_key(LANE) < end


def test_a_lanes_range_holds_its_own_blocks_and_no_other_lanes() -> None:
    start, end = blocks_through("north/1", 9)
    assert start < block_key("north/1", 1) < block_key("north/1", 9) < end <= block_key("north/1", 10)
    for other in ("north/1/0", "north/10", "north/1-a", "north"):
        assert not start <= block_key(other, 5) < end


@pytest.mark.parametrize("seq", [1, 17, 2**63 - 1])
def test_a_blocks_key_names_its_lane_and_number(seq: int) -> None:
    assert parse_block_key(block_key(LANE, seq)) == (LANE, seq)


@pytest.mark.parametrize(
    "key",
    [
        b"/log/",
        b"/log/stray",
        b"/log/a:1",
        b"/log/:00000000000000000001",
        b"/log/a:0000000000000000000x",
        b"/last/a",
    ],
)
def test_a_key_of_another_hand_is_not_taken_for_a_blocks(key: bytes) -> None:
    assert parse_block_key(key) is None


# Appends.


def append_answer(succeeded: bool, *values: pb.KeyValue | None) -> pb.TxnResponse:
    def response(value: pb.KeyValue | None) -> pb.ResponseOp:
        return pb.ResponseOp(response_range=pb.RangeResponse(kvs=[value] if value else []))

    puts = [pb.ResponseOp(response_put=pb.PutResponse())] * 3 if succeeded else []
    return pb.TxnResponse(succeeded=succeeded, responses=[*puts, *(response(value) for value in values)])


def last(seq: int, data: bytes) -> pb.KeyValue:
    return pb.KeyValue(key=lane_key(LANE), version=seq, value=hashlib.sha256(data).digest())


def block(seq: int, data: bytes, revision: int) -> pb.KeyValue:
    return pb.KeyValue(key=block_key(LANE, seq), version=1, mod_revision=revision, value=data)


def head(number: int, revision: int) -> pb.KeyValue:
    return pb.KeyValue(key=HEAD_KEY, version=number, mod_revision=revision)


def test_an_append_compares_the_lanes_counter_and_writes_block_counter_and_head_together() -> None:
    request = append_request(LANE, 4, b"data")
    (compare,) = request.compare
    assert (compare.key, compare.target, compare.result, compare.version) == (
        lane_key(LANE),
        pb.Compare.VERSION,
        pb.Compare.EQUAL,
        3,
    )
    puts = [operation.request_put.key for operation in request.success if operation.HasField("request_put")]
    assert puts == [HEAD_KEY, block_key(LANE, 4), lane_key(LANE)]


def test_an_ordered_block_has_the_heads_version_as_its_number() -> None:
    assert judge_append(append_answer(True, head(9, 20)), LANE, 4, b"data") == Appended(9, 20)


def test_a_repeated_block_that_is_still_the_head_needs_no_second_read() -> None:
    answer = append_answer(False, last(4, b"data"), block(4, b"data", 20), head(9, 20))
    assert judge_append(answer, LANE, 4, b"data") == Appended(9, 20, repeated=True)


def test_a_repeated_block_below_the_head_is_to_be_read_at_its_revision() -> None:
    answer = append_answer(False, last(5, b"next"), block(4, b"data", 20), head(12, 31))
    assert judge_append(answer, LANE, 4, b"data") == PlaceToRead(20)


@pytest.mark.parametrize("latest", [4, 7])
def test_a_trimmed_block_stands_without_a_place(latest: int) -> None:
    answer = append_answer(False, last(latest, b"data"), None, head(12, 31))
    assert judge_append(answer, LANE, 4, b"data") == Appended(0, 0, repeated=True)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (append_answer(False, None, None, None), "gap: the lane stands at 0"),
        (append_answer(False, last(2, b"x"), None, head(2, 3)), "gap: the lane stands at 2"),
        (append_answer(False, last(4, b"other"), None, head(9, 20)), "other data"),
        (append_answer(False, last(4, b"other"), block(4, b"other", 20), head(9, 20)), "other data"),
        (append_answer(False, last(6, b"x"), block(4, b"other", 20), head(9, 20)), "other data"),
    ],
)
def test_gaps_and_other_data_are_conflicts(answer: pb.TxnResponse, words: str) -> None:
    with pytest.raises(LaneConflict, match=words):
        judge_append(answer, LANE, 4, b"data")


def test_trimming_many_lanes_is_cut_into_transactions_that_etcd_accepts() -> None:
    requests = list(trim_requests({f"lane/{k}": 5 for k in range(205)} | {"unused": 0}))
    assert [len(request.success) for request in requests] == [100, 100, 5]


# Events.


def put(value: pb.KeyValue) -> pb.Event:
    return pb.Event(type=pb.Event.PUT, kv=value)


def test_blocks_get_the_number_that_came_with_them_also_when_a_message_ends_between_the_two() -> None:
    reader = EventReader(Head(8, 18))
    assert list(reader.read([put(head(9, 20))])) == []
    assert list(reader.read([put(block(4, b"data", 20))])) == [OrderedBlock(9, 20, LANE, 4, b"data")]
    assert reader.last == Head(9, 20)


def test_a_deleted_block_is_a_removal_and_counts_nothing() -> None:
    reader = EventReader(Head(8, 18))
    gone = pb.Event(type=pb.Event.DELETE, kv=pb.KeyValue(key=block_key(LANE, 4), mod_revision=25))
    assert list(reader.read([gone])) == [BlockRemoved(25, LANE, 4)]
    assert reader.last == Head(8, 18)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([put(head(10, 20)), put(block(4, b"data", 20))], "must be dense"),
        ([put(block(4, b"data", 20))], "without its number"),
        ([put(head(9, 20)), put(block(4, b"data", 21))], "without its number"),
        ([put(pb.KeyValue(key=b"/log/stray", mod_revision=20))], "did not write"),
        ([pb.Event(type=pb.Event.DELETE, kv=pb.KeyValue(key=HEAD_KEY, mod_revision=20))], "head was deleted"),
    ],
)
def test_what_sento_did_not_write_stops_the_reader(events: list[pb.Event], words: str) -> None:
    with pytest.raises(OrderingRefused, match=words):
        list(EventReader(Head(8, 18)).read(events))


# Errors.


@pytest.mark.parametrize(
    ("code", "details", "error"),
    [
        (
            StatusCode.UNAVAILABLE,
            "etcdserver: request timed out, possibly due to previous leader failure",
            OutcomeUnknown,
        ),
        (StatusCode.UNAVAILABLE, "etcdserver: no leader", OutcomeUnknown),
        (StatusCode.UNAVAILABLE, "Stream removed (Socket closed)", OutcomeUnknown),
        (StatusCode.UNAVAILABLE, "etcdserver: rpc not supported for learner", OrderingRefused),
        (StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", OutcomeUnknown),
        (StatusCode.UNKNOWN, "raft proposal dropped", OutcomeUnknown),
        (StatusCode.CANCELLED, None, OutcomeUnknown),
        (StatusCode.INTERNAL, "Internal error from Core", OutcomeUnknown),
        (StatusCode.ABORTED, "a text that no row names", OutcomeUnknown),
        (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", OrderingFull),
        (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: too many requests", OutcomeUnknown),
        (StatusCode.RESOURCE_EXHAUSTED, "grpc: received message larger than max (9 vs. 8)", OrderingRefused),
        (StatusCode.RESOURCE_EXHAUSTED, "something new", OutcomeUnknown),
        (StatusCode.INVALID_ARGUMENT, "etcdserver: request is too large", OrderingRefused),
        (StatusCode.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted", HistoryForgotten),
        (
            StatusCode.OUT_OF_RANGE,
            "etcdserver: mvcc: required revision is a future revision",
            OrderingRefused,
        ),
        (StatusCode.FAILED_PRECONDITION, "etcdserver: not leader", NotTheLead),
        (StatusCode.FAILED_PRECONDITION, "etcdserver: bad leader transferee", OrderingRefused),
        (StatusCode.DATA_LOSS, "etcdserver: corrupt cluster", OrderingRefused),
    ],
)
def test_each_status_means_one_ordering_error(
    code: StatusCode, details: str | None, error: type[OrderingError]
) -> None:
    found = ordering_error("order a block", code, details)
    assert type(found) is error
    assert str(found).startswith("Could not order a block: ")
    assert code.name in str(found)


# The member's own words.


def test_alarms_are_read_from_the_errors_of_a_status() -> None:
    errors = [
        "etcdserver: no leader",
        "memberID:8211f1d0f64f3269 alarm:NOSPACE ",
        "memberID:1 alarm:NOSPACE ",
    ]
    assert alarms_in(errors) == ("NOSPACE",)
    assert alarms_in(["memberID:1 alarm:CORRUPT ", *errors]) == ("NOSPACE", "CORRUPT")


def test_a_log_line_is_read_whatever_its_form() -> None:
    line = read_line(
        b'{"level":"fatal","ts":"2025","caller":"x.go:1","msg":"discovery failed","error":"why","peer":"b"}'
    )
    assert (line.level, line.text) == ("fatal", "discovery failed: why (peer=b)")
    for raw in (b"panic: plain \xff text", b'{"level": "info"', b"[1, 2]", b'"msg"', b"7"):
        assert read_line(raw).level == ""


def test_the_log_keeps_its_last_lines_also_when_they_come_in_pieces() -> None:
    log = MemberLog()
    for number in range(TAIL_LINES_MAX + 5):
        log.feed(b"line %d\nli" % number if number == 3 else b"line %d\n" % number)
    log.feed(b"panic: cut off without an end of")
    log.finish()
    assert len(log.tail) == TAIL_LINES_MAX
    assert log.tail[-2:] == (f"line {TAIL_LINES_MAX + 4}", "panic: cut off without an end of")


def test_an_endless_line_is_bounded() -> None:
    log = MemberLog()
    for _ in range(100):
        log.feed(b"x" * 65_536)
    log.finish()
    assert len(log.tail[-1]) <= 600


def test_a_repair_of_the_write_ahead_log_is_noticed() -> None:
    log = MemberLog()
    log.feed(b'{"level":"info","msg":"repairing","path":"0.wal"}\n')
    assert not log.repaired
    log.feed(b'{"level":"info","msg":"repaired","path":"0.wal","error":"unexpected EOF"}\n')
    log.feed(b'{"level":"info","msg":"ready"}\n')
    assert log.repaired
