"""The call log on disk: flushed before it is said to be written, whole lines only, one chain over all files, shut after a failed flush."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from sento_client.serving.call_log import CallLog
from sento_client.serving.log_chain import ChainBroken, ChainEnd, next_line, verify
from sento_client.serving.log_files import LogFiles, LogUnusable, log_lines, log_paths


def open_log(directory: Path, max_bytes: int = 1 << 20) -> CallLog:
    return CallLog.open(directory, max_bytes, lambda: "2026-11-22T00:00:00.000Z")


async def test_chain_goes_on_over_files_and_starts(tmp_path: Path) -> None:
    for _ in range(3):
        log = open_log(tmp_path, 500)
        for number in range(10):
            await log.write({"event": "names", "count": number})
        await log.close()
    assert len(log_paths(tmp_path)) > 3
    end = verify(log_lines(tmp_path))
    assert end.lines == 30
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in log_paths(tmp_path))


async def test_file_that_was_taken_out_breaks_the_chain(tmp_path: Path) -> None:
    log = open_log(tmp_path, 200)
    for number in range(10):
        await log.write({"event": "names", "count": number})
    await log.close()
    log_paths(tmp_path)[2].unlink()
    with pytest.raises(ChainBroken):
        verify(log_lines(tmp_path))


async def test_calls_that_come_together_share_flushes_and_each_has_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes: list[int] = []
    real = os.fdatasync

    def flush(file: int) -> None:
        flushes.append(file)
        real(file)

    monkeypatch.setattr(os, "fdatasync", flush)
    log = open_log(tmp_path)
    await asyncio.gather(*(log.write({"count": number}) for number in range(200)))
    await log.close()
    assert verify(log_lines(tmp_path)).lines == 200
    assert len(flushes) < 20


async def test_line_is_flushed_before_the_call_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    log = open_log(tmp_path)
    monkeypatch.setattr(os, "fdatasync", lambda _: flushed.append(len(list(log_lines(tmp_path)))))
    await log.write({"event": "names"})
    assert flushed == [1]
    await log.close()


async def test_flush_that_failed_shuts_the_log_until_it_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    await log.write({"count": 1})

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fails)
        with pytest.raises(LogUnusable, match="a flush failed"):
            await log.write({"count": 2})
    with pytest.raises(LogUnusable, match="a flush failed"):
        await log.write({"count": 3})
    await log.close()


async def test_write_that_failed_halfway_is_taken_back_and_the_next_one_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    await log.write({"count": 1})
    real = os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[: len(data) // 2])

    with monkeypatch.context() as full:
        full.setattr(os, "write", half)
        with pytest.raises(LogUnusable, match="No space left"):
            await log.write({"count": 2})
    await log.write({"count": 3})
    await log.close()
    assert verify(log_lines(tmp_path)).lines == 2


async def test_torn_line_is_cut_off_and_that_is_noted(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    await log.write({"count": 1})
    await log.close()
    (path,) = log_paths(tmp_path)
    path.write_bytes(path.read_bytes() + b'{"n":2,')
    log = open_log(tmp_path)
    await log.close()
    lines = list(log_lines(tmp_path))
    assert verify(lines).lines == 2
    assert b'"cut_bytes":7' in lines[1]


def test_log_that_ends_with_something_else_is_not_written_on(tmp_path: Path) -> None:
    (tmp_path / "calls-000000000001.jsonl").write_bytes(b"hello\n")
    with pytest.raises(LogUnusable, match="its last line is none of ours"):
        open_log(tmp_path)


def test_log_has_one_writer(tmp_path: Path) -> None:
    first = LogFiles(tmp_path, 1000)
    assert first.open().end == ChainEnd()
    with pytest.raises(LogUnusable, match="another pseudonym service"):
        LogFiles(tmp_path, 1000).open()
    first.close()


def test_line_put_in_between_breaks_the_chain() -> None:
    end, lines = ChainEnd(), []
    for number in range(4):
        line, end = next_line(end, {"count": number})
        lines.append(line)
    put_in, _ = next_line(verify(lines[:2]), {"count": 9})
    with pytest.raises(ChainBroken, match="line 4"):
        verify([*lines[:2], put_in, *lines[2:]])
    with pytest.raises(ChainBroken, match="line 4: it does not carry the hash"):
        verify([*lines[:2], put_in, *lines[3:]])
