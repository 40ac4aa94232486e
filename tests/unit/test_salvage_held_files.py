"""Reading a member's directory: what belongs to the log, what the member removes or writes meanwhile, and that damage counts only where it can matter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from sento_node.ordering.etcd.write_ahead import wal_directory
from sento_node.salvage.held_files import has_log, held_files, read_tail
from sento_node.salvage.wal import WalFile
from wal_files import WalWriter

LANE = "site-a/1/0"
BLOCKS, PER_FILE = 12, 3


@dataclass(frozen=True)
class Ledger:
    """A ledger that holds the first `blocks` of the lane."""

    blocks: int
    base: int = 0

    @property
    def last(self) -> tuple[int, int]:
        return self.blocks, self.blocks + 1

    def number_of(self, lane: str, seq: int) -> int | None:
        return seq if seq <= self.blocks else None

    def last_seq(self, lane: str) -> int:
        return self.blocks


@pytest.fixture
def writer() -> WalWriter:
    writer = WalWriter()
    for seq in range(1, BLOCKS + 1):
        writer.append(LANE, seq, b"block %d " % seq * 30)
        if seq % PER_FILE == 0 and seq < BLOCKS:
            writer.cut()
    return writer


def kept(directory: Path, files: list[WalFile]) -> Path:
    """A member's directory with these files, and beside them what a member leaves there that is no log."""
    wal = wal_directory(directory)
    wal.mkdir(parents=True)
    for file in files:
        (wal / file.name).write_bytes(file.data)
    (wal / "0.tmp").write_bytes(bytes(100))
    (wal / f"{files[0].name}.broken").write_bytes(b"half a file")
    return directory


def seqs(directory: Path, blocks: int) -> list[int]:
    tail = read_tail(directory, Ledger(blocks))
    assert tail.trouble == ""
    return [block.ordered.seq for block in tail.blocks]


@pytest.mark.parametrize("blocks", range(BLOCKS + 1))
def test_the_tail_is_found_in_whichever_file_the_ledger_ends(
    writer: WalWriter, tmp_path: Path, blocks: int
) -> None:
    assert seqs(kept(tmp_path, writer.files()), blocks) == list(range(blocks + 1, BLOCKS + 1))


@pytest.mark.parametrize("blocks", [0, 3, 4])
def test_a_ledger_that_ends_before_or_at_the_first_file_that_is_left_has_a_gap(
    writer: WalWriter, tmp_path: Path, blocks: int
) -> None:
    """At its first block too: that may be a repetition."""
    tail = read_tail(kept(tmp_path, writer.files(first=1)), Ledger(blocks))
    assert (tail.blocks, bool(tail.trouble)) == ((), True)


def test_damage_before_the_ledger_s_end_does_not_matter_and_behind_it_does(
    writer: WalWriter, tmp_path: Path
) -> None:
    files = writer.files()
    for number in range(1, PER_FILE):
        hurt = bytearray(files[2].data)
        hurt[writer.ends[2][1 + number] - 40] ^= 1
        copy = [*files[:2], files[2]._replace(data=bytes(hurt)), files[3]]
        directory = kept(tmp_path / str(number), copy)
        assert seqs(directory, 11) == [12]
        before = read_tail(directory, Ledger(2))
        assert "damaged" in before.trouble
        assert [block.ordered.seq for block in before.blocks] == list(range(3, 6 + number))


def test_a_file_that_the_member_removes_is_read_to_its_end_by_whoever_holds_it(
    writer: WalWriter, tmp_path: Path
) -> None:
    directory = kept(tmp_path, writer.files())
    with held_files(directory) as files:
        for path in wal_directory(directory).glob("*.wal"):
            path.unlink()
        assert [len(file.read()) for file in files] == [len(file.data) for file in writer.files()]


def test_a_record_that_the_member_is_writing_is_left_out_and_whole_at_the_next_look(
    writer: WalWriter, tmp_path: Path
) -> None:
    directory = kept(tmp_path, writer.files())
    newest = max(wal_directory(directory).glob("*.wal"))
    whole = newest.read_bytes()
    newest.write_bytes(whole[: writer.ends[3][-1] - 8])
    tail = read_tail(directory, Ledger(10))
    assert ([block.ordered.seq for block in tail.blocks], tail.trouble) == ([11], "")
    assert "torn" in tail.ended
    newest.write_bytes(whole)
    assert seqs(directory, 10) == [11, 12]


def other_member(blocks: int, *, term: int, cluster_id: int = 9) -> list[WalFile]:
    writer = WalWriter(cluster_id)
    for seq in range(1, blocks + 1):
        writer.append(LANE, seq, b"block %d " % seq * 30, term=term)
    return writer.files()


@pytest.mark.parametrize(
    ("term", "cluster_id", "hurt", "last"),
    [(1, 9, False, 14), (1, 8, False, 12), (1, 9, True, 12)],
    ids=["goes-further", "of-another-cluster", "damaged"],
)
def test_a_log_that_was_brought_here_counts_where_it_is_the_same_order_whole_and_goes_further(
    writer: WalWriter, tmp_path: Path, term: int, cluster_id: int, hurt: bool, last: int
) -> None:
    """A tie-breaker, say, which keeps no ledger, was the other that acknowledged the last blocks."""
    own = kept(tmp_path / "etcd", writer.files())
    files = other_member(14, term=term, cluster_id=cluster_id)
    if hurt:
        files = [file._replace(data=file.data[:-6_000] + b"x" + file.data[-5_999:]) for file in files]
    kept(tmp_path / "etcd-brought-tie-breaker", files)
    assert seqs(own, 10) == list(range(11, last + 1))


def test_a_log_that_was_brought_to_a_site_without_a_member_is_read(tmp_path: Path) -> None:
    kept(tmp_path / "etcd-brought-tie-breaker", other_member(3, term=1))
    assert has_log(tmp_path / "etcd")
    assert seqs(tmp_path / "etcd", 2) == [3]


def test_a_directory_without_a_log_has_none(tmp_path: Path) -> None:
    assert not has_log(tmp_path)
    wal_directory(tmp_path).mkdir(parents=True)
    assert not has_log(tmp_path)
