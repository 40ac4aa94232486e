"""Trimmed blocks leave a real member's files: history, write-ahead files, database; the member is never stopped, and whoever follows goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from etcd_cluster import EtcdCluster, TestMember, append_surely, running_cluster, until
from sento_node.ordering.erasing import FILLER_ROUNDS_MIN
from sento_node.ordering.etcd.erasing import EtcdEraser
from sento_node.ordering.etcd.write_ahead import remove_leftovers, remove_released, wal_directory, wal_files
from sento_node.ordering.port import Compacted, Head, OrderedBlock

pytestmark = pytest.mark.asyncio
SECRET = b"what the law says must go " + bytes(range(64))
LANE = "a/1/0"
TIMEOUT_MS = 20_000


def eraser_of(member: TestMember) -> EtcdEraser:
    return EtcdEraser(member.member.client_target, member.settings.data_dir)


def holding(directory: Path) -> set[str]:
    """Which files hold the secret."""
    return {
        path.name
        for path in directory.rglob("*")
        if path.is_file() and not path.is_socket() and SECRET in path.read_bytes()
    }


async def erased_at(cluster: EtcdCluster, through: int, revision: int) -> None:
    """What three sites do, one of which writes the filler."""
    erasers = [eraser_of(member) for member in cluster.members]
    assert await erasers[0].holds_blocks(revision, timeout_ms=TIMEOUT_MS)
    await cluster.members[0].log.trim({LANE: through}, revision, timeout_ms=TIMEOUT_MS)
    assert not await erasers[0].holds_blocks(revision, timeout_ms=TIMEOUT_MS)
    await asyncio.gather(
        *(eraser.forget_history(f"site-{n}", timeout_ms=TIMEOUT_MS) for n, eraser in enumerate(erasers))
    )
    noted = [eraser.write_ahead_files() for eraser in erasers]

    async def rolled() -> bool:
        await erasers[0].write_filler(timeout_ms=TIMEOUT_MS)
        for eraser in erasers:
            eraser.remove_released()
        return not any(
            files & eraser.write_ahead_files() for files, eraser in zip(noted, erasers, strict=True)
        )

    for _ in range(FILLER_ROUNDS_MIN):
        await erasers[0].write_filler(timeout_ms=TIMEOUT_MS)
    await until(rolled, "the old write-ahead files are gone at every member", timeout_s=30)
    for eraser in erasers:
        await eraser.rewrite_database(timeout_ms=TIMEOUT_MS)
        await eraser.close()


async def test_trimmed_blocks_are_in_no_file_of_three_running_members_and_followers_miss_nothing(
    tmp_path: Path,
) -> None:
    async with running_cluster(tmp_path, "a", "b", "c") as cluster:
        log, behind = cluster.members[0].log, cluster.members[1].log
        for seq in range(1, 9):
            last = await append_surely(log, LANE, seq, SECRET + os.urandom(20_000))
        assert {name.rpartition(".")[2] for name in holding(tmp_path)} == {"wal", "db"}
        pids = [member.member.pid for member in cluster.members]
        size = (await log.status(timeout_ms=TIMEOUT_MS)).size_bytes
        await erased_at(cluster, 8, last.revision)
        assert holding(tmp_path) == set()
        assert pids == [member.member.pid for member in cluster.members], "no member was stopped"
        assert (await log.status(timeout_ms=TIMEOUT_MS)).size_bytes < size, "filler costs no database"

        async with contextlib.aclosing(behind.follow(Head(8, last.revision))) as events:
            first = asyncio.ensure_future(anext(events))
            await append_surely(log, LANE, 9, b"the next")
            event = await asyncio.wait_for(first, 10)
        assert isinstance(event, OrderedBlock)
        assert (event.number, event.data) == (9, b"the next")
        with pytest.raises(Compacted):
            async with contextlib.aclosing(behind.follow(Head(7, last.revision - 1))) as events:
                await anext(events)
        again = await cluster.members[2].renew()
        cluster.members[2] = again
        await again.start()
        await again.ready()
        assert (await again.log.head(timeout_ms=TIMEOUT_MS)).number == 9
        assert holding(tmp_path) == set()


_HOLD = """
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
print("held", flush=True)
sys.stdin.read()
"""


async def test_a_file_that_the_member_holds_and_the_newest_one_are_never_removed(tmp_path: Path) -> None:
    directory = wal_directory(tmp_path)
    directory.mkdir(parents=True)
    for number in range(5):
        (directory / f"{number:016x}-{number:016x}.wal").write_bytes(b"x")
    (directory / "1.tmp").write_bytes(b"prepared")
    names = wal_files(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(directory / names[2])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert remove_released(tmp_path) == names[:2]
        assert wal_files(tmp_path) == names[2:]
        holder.communicate("")
    assert remove_released(tmp_path) == names[2:4]
    assert wal_files(tmp_path) == names[4:]
    assert (directory / "1.tmp").exists()


async def test_what_a_member_left_half_written_goes_before_its_next_start_and_a_whole_snapshot_stays(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "member" / "snap"
    directory.mkdir(parents=True)
    for name in (
        "db",
        "db.tmp.1234",
        "tmp99",
        "0000000000000002-00000000000001f6.snap",
        "00000000000001f6.snap.db",
    ):
        (directory / name).write_bytes(SECRET)
    assert remove_leftovers(tmp_path) == ["db.tmp.1234", "tmp99"]
    assert len(list(directory.iterdir())) == 3


async def test_the_copy_that_etcd_keeps_of_a_torn_file_goes_with_the_first_that_are_removed(
    tmp_path: Path,
) -> None:
    directory = wal_directory(tmp_path)
    directory.mkdir(parents=True)
    newest = directory / f"{1:016x}-{1:016x}.wal"
    torn = directory / f"{0:016x}-{0:016x}.wal.broken"
    for path in (newest, torn):
        path.write_bytes(SECRET)
    assert remove_released(tmp_path) == [torn.name]
    assert list(directory.iterdir()) == [newest]
