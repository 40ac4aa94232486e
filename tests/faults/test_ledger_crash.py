"""The ledger on disk under crashes and failing disks.

Survived: kill -9 at any moment (all of a commit or none of it, and what was said to be flushed is there), a torn segment tail, segment files that no commit
named. Stopped by, in words: a full disk, a failed write, a failed flush, a lock that is taken, another ledger's directory, flushed payloads that are gone.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import pytest

import ledger_writer
from genesis_builder import TestWorld, build_genesis
from ledger_driver import LedgerDriver, everything
from sento_node.ledger.lmdb_files import LedgerNotOpened, payloads_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.rows import position_key
from sento_node.ledger.segments import segment_numbers, segment_path
from sento_node.ledger.store import LedgerFailed
from sento_node.ledger.verify import Verification

SUPPORT = Path(ledger_writer.__file__).parent


@pytest.fixture
def world() -> TestWorld:
    return build_genesis()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def driver(world: TestWorld, directory: Path) -> Iterator[LedgerDriver]:
    store = LmdbStore.open(directory, world.ledger_id, segment_max_bytes=5_000)
    yield LedgerDriver(world, store)
    store.close()


def verified(directory: Path, world: TestWorld) -> int:
    """Verify the closed ledger, which must be sound; returns its size."""
    verification = Verification(directory, world.genesis)
    assert [str(finding) for finding in verification.findings()] == []
    assert verification.summary.sound
    return verification.summary.size


def writer(directory: Path, seed: int, *before: str) -> subprocess.Popen[str]:
    """A child that commits until it is killed or fails."""
    return subprocess.Popen(
        [*before, sys.executable, ledger_writer.__file__, str(directory), str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), *filter(None, sys.path)])},
        text=True,
    )


def sizes_said(text: str) -> list[int]:
    """The sizes of what the child said to be flushed; a last line cut short was not said."""
    return [int(line.split()[1]) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def test_killed_at_any_moment_all_that_was_said_is_there_and_nothing_by_halves(
    directory: Path, world: TestWorld
) -> None:
    chance, said = random.Random(20_260_101), 0
    for life in range(6):
        with writer(directory, life) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(chance.randint(1, 9))]
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(timeout=chance.random() * 0.004)
            child.send_signal(signal.SIGKILL)
            rest, _ = child.communicate()
        assert child.returncode == -signal.SIGKILL
        said = max([said, *sizes_said("".join(lines) + rest)])
        store = LmdbStore.open(directory, world.ledger_id)
        assert store.tip.size >= said > 0
        store.close()
        assert verified(directory, world) == store.tip.size


SYSCALLS = [
    *((call, count) for call in ("fdatasync", "pwrite64") for count in (2, 3, 4, 5)),
    ("writev", 3),
    ("fsync", 4),
]


@pytest.mark.parametrize(("call", "count"), SYSCALLS, ids=[f"{call}-{count}" for call, count in SYSCALLS])
def test_a_system_call_that_fails_once_ends_the_writer_in_words_and_leaves_whole_commits(
    directory: Path, world: TestWorld, call: str, count: int
) -> None:
    """The kernel's answer is replaced under the store and under LMDB alike; the first try of `call` after the start may be LMDB's or ours."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed, so system calls cannot be made to fail under LMDB")
    LmdbStore.open(directory, world.ledger_id).close()
    fault = f"inject={call}:error={'ENOSPC' if call != 'fdatasync' else 'EIO'}:when={count}"
    strace = ("strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", fault)
    with writer(directory, 1, *strace) as child:
        try:
            said_text, words = child.communicate(timeout=30)
        finally:
            child.kill()
    if "ptrace" in words.lower():
        pytest.skip(f"strace may not trace here: {words.strip()}")
    said = sizes_said(said_text)
    assert child.returncode == 1
    assert "sento_node.ledger.store.LedgerFailed" in words or "LedgerFailed: The ledger in" in words
    store = LmdbStore.open(directory, world.ledger_id)
    size = store.tip.size
    store.close()
    assert size >= max(said, default=0)
    assert verified(directory, world) == size


@pytest.mark.parametrize("content", [None, b"content" * 40], ids=["database", "segments"])
def test_a_disk_that_is_full_stops_the_store_and_keeps_the_prefix(
    tmp_path: Path, world: TestWorld, content: bytes | None
) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], capture_output=True, text=True
    )
    if made.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    store = LmdbStore.open(mount / "ledger", world.ledger_id, map_bytes=1 << 30, segment_max_bytes=1 << 20)
    try:
        driver = LedgerDriver(world, store)
        size = _fill_until_it_fails(driver, content)
        _refuses_on(driver)
        store.close()
        assert verified(mount / "ledger", world) == size > 0
    finally:
        store.close()
        subprocess.run(["umount", str(mount)], check=True)


def _fill_until_it_fails(driver: LedgerDriver, content: bytes | None) -> int:
    """Write until the disk is full; returns the size before the commit that failed."""
    for number in range(100):
        driver.fill(100, prefix=f"{number}", content=content, per_block=50)
        size = driver.store.tip.size
        try:
            driver.flush()
        except LedgerFailed as error:
            assert "Check the disk and its free space" in str(error)  # noqa: PT017 - which commit fails is not known
            return size
    raise AssertionError("the disk did not become full")


def test_a_torn_tail_and_unnamed_files_are_cut_off_at_the_next_start(
    driver: LedgerDriver, directory: Path, world: TestWorld
) -> None:
    driver.fill(10, content=b"content")
    driver.flush()
    before = everything(driver.store)
    driver.store.close()
    payloads = payloads_directory(directory)
    last = segment_numbers(payloads)[-1]
    with segment_path(payloads, last).open("ab") as file:
        file.write(b"half an entry")
    segment_path(payloads, last + 1).write_bytes(b"begun and never named")
    verification = Verification(directory, world.genesis)
    assert list(verification.findings()) == []
    assert verification.summary.unnamed_bytes == len(b"half an entry") + len(b"begun and never named")
    store = LmdbStore.open(directory, world.ledger_id, segment_max_bytes=5_000)
    assert everything(store) == before
    again = LedgerDriver(world, store)
    again.fill(10, prefix="after", content=b"content")
    again.flush()
    store.close()
    assert verified(directory, world) == 20


def test_a_file_that_may_not_grow_stops_the_store_and_keeps_the_prefix(
    driver: LedgerDriver, directory: Path, world: TestWorld
) -> None:
    driver.fill(10)
    driver.flush()
    before = everything(driver.store)
    driver.fill(400, prefix="late")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    restore = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        size = (directory / "database" / "data.mdb").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        with pytest.raises(LedgerFailed, match="can no longer be trusted"):
            driver.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, restore)
    _refuses_on(driver)
    _prefix_stands(driver, directory, world, before)


def test_a_full_map_stops_the_store_and_keeps_the_prefix(world: TestWorld, directory: Path) -> None:
    store = LmdbStore.open(directory, world.ledger_id, map_bytes=256 * 1024)
    driver = LedgerDriver(world, store)
    driver.fill(20)
    driver.flush()
    before = everything(store)
    driver.fill(800, prefix="late")
    with pytest.raises(LedgerFailed, match="MDB_MAP_FULL"):
        driver.flush()
    _refuses_on(driver)
    _prefix_stands(driver, directory, world, before)


class _FailingCommit:
    """An LMDB environment whose write transactions fail where they are flushed."""

    def __init__(self, environment: lmdb.Environment, error: lmdb.Error) -> None:
        self._environment = environment
        self._error = error

    def begin(self, write: bool = False) -> object:
        return self if write else self._environment.begin()

    def __enter__(self) -> lmdb.Transaction[bytes]:
        self._txn = self._environment.begin(write=True)
        return self._txn

    def __exit__(self, *args: object) -> None:
        self._txn.abort()
        if args[0] is None:
            raise self._error


@pytest.mark.parametrize(
    "error", [lmdb.DiskError("fdatasync: Input/output error"), lmdb.PanicError("MDB_PANIC")]
)
def test_a_failed_commit_of_the_database_stops_the_store_and_keeps_the_prefix(
    driver: LedgerDriver,
    directory: Path,
    world: TestWorld,
    error: lmdb.Error,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver.fill(10, content=b"content")
    driver.flush()
    before = everything(driver.store)
    driver.fill(3, prefix="late", content=b"flushed and never named")
    store = driver.store
    assert isinstance(store, LmdbStore)
    with monkeypatch.context() as broken:
        broken.setattr(store, "_env", _FailingCommit(store._env, error))
        with pytest.raises(LedgerFailed, match="so the site stops"):
            driver.flush()
    _refuses_on(driver)
    _prefix_stands(driver, directory, world, before)


@pytest.mark.parametrize("write", ["checkpoint", "remember"])
def test_a_failed_flush_of_a_small_fact_stops_the_store_too(
    driver: LedgerDriver, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.fill(1)
    driver.flush()
    store = driver.store
    assert isinstance(store, LmdbStore)
    monkeypatch.setattr(store, "_env", _FailingCommit(store._env, lmdb.DiskError("EIO")))
    with pytest.raises(LedgerFailed, match="so the site stops"):
        store.remember("name", b"") if write == "remember" else store.put_checkpoint(driver.checkpoint())
    monkeypatch.undo()
    _refuses_on(driver)


def _refuses_on(driver: LedgerDriver) -> None:
    batch = driver.state.seal_batch()
    assert batch is None, "the batch that failed is still out"
    asks: list[Callable[[], object]] = [
        lambda: driver.store.remember("name", b""),
        lambda: driver.store.record(0),
        lambda: driver.store.fact_head("residency", bytes(16)),
    ]
    for ask in asks:
        with pytest.raises(LedgerFailed):
            ask()


def _prefix_stands(
    driver: LedgerDriver, directory: Path, world: TestWorld, before: dict[str, object]
) -> None:
    driver.store.close()
    store = LmdbStore.open(directory, world.ledger_id, segment_max_bytes=5_000)
    assert everything(store) == before
    store.close()
    verified(directory, world)


def test_a_second_process_is_refused_while_the_first_has_the_ledger(
    driver: LedgerDriver, directory: Path, world: TestWorld
) -> None:
    with pytest.raises(LedgerNotOpened, match="Another process has the ledger"):
        LmdbStore.open(directory, world.ledger_id)
    with pytest.raises(LedgerNotOpened, match="Another process has the ledger"):
        list(Verification(directory, world.genesis).findings())


def test_another_ledgers_directory_is_refused_and_left_as_it_was(
    driver: LedgerDriver, directory: Path, world: TestWorld
) -> None:
    driver.fill(3, content=b"content")
    driver.flush()
    driver.store.close()
    with pytest.raises(LedgerNotOpened, match="which genesis file and which directory belong together"):
        LmdbStore.open(directory, build_genesis(name="training").ledger_id)
    assert verified(directory, world) == 3


def test_a_directory_of_a_later_format_is_refused(
    driver: LedgerDriver, directory: Path, world: TestWorld
) -> None:
    driver.store.close()
    with lmdb.open(str(directory / "database"), max_dbs=20) as env:
        meta = env.open_db(b"meta")
        with env.begin(write=True) as txn:
            txn.put(b"format", b"sento-ledger-2", db=meta)
    with pytest.raises(LedgerNotOpened, match="has format 'sento-ledger-2'"):
        LmdbStore.open(directory, world.ledger_id)


def test_segments_without_a_database_are_not_taken_for_a_new_ledger(
    driver: LedgerDriver, directory: Path, world: TestWorld
) -> None:
    driver.fill(3, content=b"content")
    driver.flush()
    driver.store.close()
    (directory / "database" / "data.mdb").unlink()
    with pytest.raises(LedgerNotOpened, match="payload segments and no database"):
        LmdbStore.open(directory, world.ledger_id)
    assert segment_numbers(payloads_directory(directory)) != []


def test_flushed_payloads_that_are_gone_refuse_the_start(
    driver: LedgerDriver, directory: Path, world: TestWorld
) -> None:
    driver.fill(30, content=b"content")
    driver.flush()
    driver.store.close()
    segment_path(payloads_directory(directory), 1).unlink()
    with pytest.raises(LedgerFailed, match=r"0000000001.segment is missing: flushed payloads are lost"):
        LmdbStore.open(directory, world.ledger_id)


def test_rows_behind_the_tip_are_never_written_over(
    driver: LedgerDriver, directory: Path, world: TestWorld
) -> None:
    driver.fill(3)
    driver.flush()
    driver.store.close()
    with lmdb.open(str(directory / "database"), max_dbs=20) as env:
        table = env.open_db(b"rows")
        with env.begin(write=True) as txn:
            txn.put(position_key(3), b"left by nobody knows whom", db=table)
    store = LmdbStore.open(directory, world.ledger_id)
    again = LedgerDriver(world, store)
    again.fill(1, prefix="next")
    with pytest.raises(LedgerFailed, match="stand already behind the tip"):
        again.flush()
    store.close()
