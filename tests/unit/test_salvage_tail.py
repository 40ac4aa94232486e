"""From raft entries to blocks behind a ledger's end: repeated appends once, overwritten ones not, gaps said, and nothing believed that Sento did not write."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.append import append_request
from sento_node.ordering.etcd.erasing import MARK_PREFIX
from sento_node.ordering.etcd.keys import HEAD_KEY, block_key, lane_key
from sento_node.salvage.steps import step_of
from sento_node.salvage.tail import Tail, tail_of
from sento_node.salvage.wal import read_wal
from wal_files import WalWriter

A, B = "site-a/1/0", "site-b/1/0"


@dataclass
class Ledger:
    """A ledger of an epoch whose log begins behind block `base`."""

    blocks: list[tuple[str, int]] = field(default_factory=list)
    base: int = 0
    revision: int = 1

    @property
    def last(self) -> tuple[int, int]:
        return self.base + len(self.blocks), self.revision

    def number_of(self, lane: str, seq: int) -> int | None:
        return self.base + self.blocks.index((lane, seq)) + 1 if (lane, seq) in self.blocks else None

    def last_seq(self, lane: str) -> int:
        return max((seq for name, seq in self.blocks if name == lane), default=0)


def data(lane: str, seq: int) -> bytes:
    return f"{lane} {seq}".encode()


def appended(*places: tuple[str, int]) -> WalWriter:
    writer = WalWriter()
    for lane, seq in places:
        writer.append(lane, seq, data(lane, seq))
    return writer


def told(writer: WalWriter, ledger: Ledger, first_file: int = 0) -> Tail:
    return tail_of(read_wal(writer.files(first_file), step_of), ledger)


def places(tail: Tail) -> list[tuple[int, str, int]]:
    for block in tail.blocks:
        assert block.ordered.data == data(block.ordered.lane, block.ordered.seq)
    return [(block.ordered.number, block.ordered.lane, block.ordered.seq) for block in tail.blocks]


def test_blocks_behind_the_ledger_s_end_are_numbered_on_and_told_by_what_was_committed() -> None:
    writer = appended((A, 1), (B, 1), (A, 2), (A, 3))
    writer.state(3)
    tail = told(writer, Ledger([(A, 1), (B, 1)], base=40, revision=3))
    assert places(tail) == [(43, A, 2), (44, A, 3)]
    assert [(block.ordered.revision, block.committed) for block in tail.blocks] == [(4, True), (5, False)]
    assert (tail.uncommitted, tail.last_term, tail.last_index, tail.trouble) == (1, 1, 4, "")
    assert [block.number for block in tail.through(43)] == [43]


def test_a_repeated_append_makes_no_second_block() -> None:
    writer = appended((A, 1), (A, 2), (B, 1), (A, 2), (B, 1), (A, 1), (A, 3), (A, 3))
    assert places(told(writer, Ledger([(A, 1)], revision=2))) == [(2, A, 2), (3, B, 1), (4, A, 3)]


def test_an_append_that_would_leave_a_gap_is_not_ordered() -> None:
    assert places(told(appended((A, 1), (A, 3), (A, 2)), Ledger())) == [(1, A, 1), (2, A, 2)]


def test_a_ledger_without_blocks_of_this_log_takes_all_of_a_whole_log() -> None:
    tail = told(appended((A, 1), (B, 1)), Ledger(base=7, revision=0))
    assert places(tail) == [(8, A, 1), (9, B, 1)]
    assert [block.ordered.revision for block in tail.blocks] == [2, 3]


def test_entries_that_a_later_term_overwrote_are_no_blocks() -> None:
    writer = appended((A, 1), (A, 2))
    writer.append(B, 1, data(B, 1), term=2, index=2)
    tail = told(writer, Ledger([(A, 1)]))
    assert places(tail) == [(2, B, 1)]
    assert (tail.last_term, tail.last_index) == (2, 2)


def test_a_ledger_that_is_ahead_of_its_log_has_no_tail_and_no_trouble() -> None:
    tail = told(appended((A, 1), (A, 2)), Ledger([(A, 1), (A, 2), (A, 3)]))
    assert (tail.blocks, tail.trouble) == ((), "")


@pytest.mark.parametrize("first_file", [1, 2])
def test_a_log_that_begins_behind_the_ledger_s_end_is_a_gap(first_file: int) -> None:
    writer = WalWriter()
    for seq in range(1, 7):
        writer.append(A, seq, data(A, seq))
        if seq % 2 == 0:
            writer.cut()
    tail = told(writer, Ledger([(A, 1)]), first_file)
    assert (tail.blocks, tail.joined) == ((), False)
    assert "blocks between them may be missing" in tail.trouble


def test_a_log_of_which_the_first_files_are_gone_joins_where_the_ledger_s_last_two_blocks_stand() -> None:
    writer = WalWriter()
    for seq in range(1, 7):
        writer.append(A, seq, data(A, seq))
        if seq % 2 == 0:
            writer.cut()
    assert places(told(writer, Ledger([(A, 1), (A, 2), (A, 3), (A, 4)]), 1)) == [(5, A, 5), (6, A, 6)]


def test_a_repeated_append_at_the_beginning_is_not_taken_for_the_ledger_s_last_block() -> None:
    """The first of both, and a block behind it, lie in a file that is gone."""
    writer = appended((A, 1), (A, 2), (B, 1))
    writer.cut()
    writer.append(A, 2, data(A, 2))
    writer.append(B, 2, data(B, 2))
    tail = told(writer, Ledger([(A, 1), (A, 2)]), 1)
    assert tail.blocks == ()
    assert "may be missing" in tail.trouble
    assert places(told(writer, Ledger([(A, 1), (A, 2)]))) == [(3, B, 1), (4, B, 2)]


def test_trims_and_marks_take_revisions_and_what_was_trimmed_takes_none_again() -> None:
    writer = appended((A, 1), (A, 2))
    writer.trim({A: 1})
    writer.trim({A: 1})
    writer.put(MARK_PREFIX + b"x")
    writer.append(A, 3, data(A, 3))
    tail = told(writer, Ledger([(A, 1)], revision=2))
    assert [(block.ordered.seq, block.ordered.revision) for block in tail.blocks] == [(2, 3), (3, 6)]


def test_filler_and_changes_of_members_do_nothing() -> None:
    writer = appended((A, 1))
    never = pb.Compare(key=b"/filler", target=pb.Compare.VERSION, result=pb.Compare.LESS, version=0)
    put = pb.RequestOp(request_put=pb.PutRequest(key=b"/filler", value=bytes(100)))
    writer.request(pb.TxnRequest(compare=[never], success=[put]))
    writer.entry(b"\x08\x01\x10\x00\x18\x07", kind=1)
    writer.entry(b"\x08\x09\x12\x03PUT\x1a\x0a/0/version\x22\x053.4.0")
    writer.entry(b"")
    writer.append(A, 2, data(A, 2))
    tail = told(writer, Ledger([(A, 1)], revision=2))
    assert [(block.ordered.seq, block.ordered.revision) for block in tail.blocks] == [(2, 3)]
    assert tail.trouble == ""


def put_of(key: bytes) -> pb.TxnRequest:
    return pb.TxnRequest(success=[pb.RequestOp(request_put=pb.PutRequest(key=key, value=b"x"))])


def with_more(request: pb.TxnRequest) -> pb.TxnRequest:
    request.success.append(pb.RequestOp(request_put=pb.PutRequest(key=b"/more", value=b"x")))
    return request


@pytest.mark.parametrize(
    "request_",
    [
        put_of(block_key(A, 9)),
        put_of(lane_key(A)),
        put_of(HEAD_KEY),
        with_more(append_request(A, 2, b"x")),
        pb.TxnRequest(compare=append_request(B, 1, b"x").compare, success=append_request(A, 2, b"x").success),
    ],
    ids=["a-block", "a-lane", "the-head", "an-append-with-more", "an-append-under-another-lane"],
)
def test_what_somebody_else_wrote_ends_the_tail_in_words(request_: pb.TxnRequest) -> None:
    writer = appended((A, 1), (B, 1))
    writer.request(request_)
    writer.append(B, 2, data(B, 2))
    tail = told(writer, Ledger([(A, 1)]))
    assert places(tail) == [(2, B, 1)]
    assert "is not Sento's" in tail.trouble


def test_while_a_member_is_out_of_room_appends_are_refused_as_etcd_refuses_them() -> None:
    writer = appended((A, 1))
    writer.entry(b"\x52\x06\x08\x01\x10\x05\x18\x01")  # alarm: ACTIVATE, member 5, NOSPACE
    writer.append(A, 2, b"refused")
    writer.entry(b"\x52\x06\x08\x02\x10\x05\x18\x01")  # DEACTIVATE
    writer.append(A, 2, data(A, 2))
    assert places(told(writer, Ledger([(A, 1)]))) == [(2, A, 2)]


def test_damage_in_the_log_is_told_with_the_blocks_before_it() -> None:
    writer = appended((A, 1), (A, 2), (A, 3), (A, 4))
    file = writer.files()[0]
    hurt = bytearray(file.data)
    hurt[writer.ends[0][-2] - 30] ^= 1
    tail = tail_of(read_wal([file._replace(data=bytes(hurt))], step_of), Ledger([(A, 1)]))
    assert places(tail) == [(2, A, 2)]
    assert "damaged" in tail.trouble
