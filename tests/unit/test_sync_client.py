"""`SyncSentoClient`: many threads, lists left early, errors, Ctrl-C, and use outside of `with`; no call waits for what cannot come."""

from __future__ import annotations

import concurrent.futures
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType

import pytest

from client_world import NUMBER, WHY, address
from sento_client import Acknowledgement, Code, SentoError, SyncSentoClient, Version, WriteError
from sento_client.composing import Content
from sento_client.outbox import inspecting
from sento_client.outbox.keeping import Counts
from sento_client.testing import Registry

THREADS = 8
LONG_MS = 60_000


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def sento(registry: Registry, tmp_path: Path) -> Iterator[SyncSentoClient]:
    with SyncSentoClient(registry.client(outbox=tmp_path / "outbox")) as client:
        yield client


def write(sento: SyncSentoClient, fact: str = "address", deadline_ms: int | None = None) -> Acknowledgement:
    return sento.write(**address(fact), content={"town": "穂波町"}, deadline_ms=deadline_ms)


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread does."""
    end_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.001)


@contextmanager
def interrupted_when(condition: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C for the main thread as soon as the condition holds."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def send() -> None:
        until(condition)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)


def in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


# Threads.


def test_eight_threads_share_one_client(registry: Registry, sento: SyncSentoClient) -> None:
    def work(thread: int) -> list[int]:
        positions = [write(sento, f"{thread} {n}").position for n in range(5)]
        assert sento.read(positions[0], **WHY).content == '{"town":"穂波町"}'.encode()
        assert len(list(sento.subject_history(registry="residency", subject=NUMBER, **WHY))) >= 5
        return positions

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        positions = [position for found in pool.map(work, range(THREADS)) for position in found]
    assert sorted(positions) == list(range(THREADS * 5))
    until(lambda: sento.outbox == Counts(0, 0))


def test_end_of_the_client_ends_the_waits_of_other_threads(registry: Registry, tmp_path: Path) -> None:
    def follow(sento: SyncSentoClient) -> list[Version]:
        return list(sento.changes(registry="residency", from_position=0, follow=True, **WHY))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        sento = SyncSentoClient(registry.client(outbox=tmp_path)).__enter__()
        following = pool.submit(follow, sento)
        until(lambda: registry.sites[0].ledger.watchers)
        registry.everywhere.mute = True
        writing = pool.submit(write, sento, "address", LONG_MS)
        until(lambda: registry.sites[0].submissions)
        sento.__exit__(ValueError, ValueError(), None)
        refused = writing.exception(timeout=20)
        assert isinstance(refused, WriteError)
        assert (refused.code, refused.kept) == (Code.DEADLINE, True)
        assert following.exception(timeout=20) is not None


# Lists.


def test_list_left_early_is_closed_and_the_client_goes_on(registry: Registry, sento: SyncSentoClient) -> None:
    for n in range(5):
        write(sento, f"{n}")
    for _ in range(3):
        found = sento.changes(registry="residency", from_position=0, follow=True, **WHY)
        assert [version.position for version in islice(found, 2)] == [0, 1]
        found.close()  # type: ignore[attr-defined]
    until(lambda: not registry.sites[0].ledger.watchers)
    assert write(sento, "more").position == 5


def test_list_left_early_is_closed_before_close_returns(sento: SyncSentoClient) -> None:
    ended = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            ended.append(True)

    items = numbers()
    found = sento._iterate(items)
    assert next(found) == 1
    found.close()  # type: ignore[attr-defined]
    assert ended


def test_list_that_outlives_its_client_is_closed_with_it(registry: Registry) -> None:
    with SyncSentoClient(registry.client()) as sento:
        write(sento, "1")
        write(sento, "2")
        found = sento.changes(registry="residency", from_position=0, follow=True, **WHY)
        assert next(found).position == 0
    found.close()  # type: ignore[attr-defined]
    assert registry.sites[0].ledger.watchers == set()


def test_error_in_a_list_reaches_the_caller(sento: SyncSentoClient) -> None:
    with pytest.raises(SentoError) as refused:
        list(sento.history(**address(), purpose="", case_number="1"))
    assert refused.value.code is Code.PURPOSE_MISSING


# Errors.


def test_errors_are_those_of_the_other_client(registry: Registry, sento: SyncSentoClient) -> None:
    write(sento)
    with pytest.raises(WriteError) as stale:
        write(sento)
    assert (stale.value.code, stale.value.final) == (Code.STALE, True)
    registry.everywhere.down = True
    with pytest.raises(WriteError) as gone:
        write(sento, "phone", 400)
    assert (gone.value.code, gone.value.kept) == (Code.UNREACHABLE, True)
    registry.everywhere.down = False
    until(lambda: registry.size == 2)


def test_function_that_calls_the_client_is_told_that_it_would_wait_for_itself(
    registry: Registry, sento: SyncSentoClient
) -> None:
    def change(_: Version | None) -> Content:
        return sento.read(0, **WHY).content or b""

    def change_with_a_list(_: Version | None) -> Content:
        return next(sento.history(**address(), **WHY)).content or b""

    for wrong in (change, change_with_a_list):
        with pytest.raises(RuntimeError, match="wait for itself"):
            sento.update(**address(), **WHY, change=wrong)
    assert registry.size == 0
    assert sento.update(**address(), **WHY, change=lambda _: b"x") is not None


# Ctrl-C.


@pytest.mark.skipif(not in_main_thread(), reason="only the main thread is interrupted by a signal")
def test_interrupted_write_ends_the_wait_and_the_record_stands(
    registry: Registry, sento: SyncSentoClient
) -> None:
    registry.everywhere.mute = True
    with pytest.raises(KeyboardInterrupt), interrupted_when(lambda: registry.sites[0].submissions):
        write(sento, deadline_ms=LONG_MS)
    registry.everywhere.mute = False
    registry.sites[0].down = True
    until(lambda: registry.size == 1)
    assert write(sento, "phone").position == 1


@pytest.mark.skipif(not in_main_thread(), reason="only the main thread is interrupted by a signal")
def test_interrupted_list_is_closed(registry: Registry, sento: SyncSentoClient) -> None:
    write(sento)
    found = sento.changes(registry="residency", from_position=1, follow=True, **WHY)
    with pytest.raises(KeyboardInterrupt), interrupted_when(lambda: registry.sites[0].ledger.watchers):
        next(found)
    until(lambda: not registry.sites[0].ledger.watchers)
    assert list(islice(found, 1)) == []
    assert write(sento, "phone").position == 1


@pytest.mark.skipif(not in_main_thread(), reason="only the main thread is interrupted by a signal")
def test_program_that_is_interrupted_leaves_its_record_in_the_outbox(
    registry: Registry, tmp_path: Path
) -> None:
    registry.everywhere.mute = True
    with (
        pytest.raises(KeyboardInterrupt),
        SyncSentoClient(registry.client(outbox=tmp_path)) as sento,
        interrupted_when(lambda: registry.sites[0].submissions),
    ):
        write(sento, deadline_ms=LONG_MS)
    (look,) = inspecting.look(tmp_path)
    assert (look.in_use, look.records) == (False, 1)


# Outside of `with`.


def test_call_outside_of_with_is_an_error_and_not_a_wait(registry: Registry) -> None:
    sento = SyncSentoClient(registry.client())
    calls: list[Callable[[], object]] = [
        lambda: write(sento),
        sento.status,
        lambda: next(sento.history(**address(), **WHY)),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="inside its `with` block"):
            call()
    with sento:
        write(sento)
    for call in calls:
        with pytest.raises(RuntimeError, match="inside its `with` block"):
            call()
    assert registry.size == 1


def test_client_that_cannot_be_opened_leaves_no_thread_behind(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = registry.client()
    monkeypatch.setattr(client, "_make_transport", lambda _: 1 / 0)
    sento = SyncSentoClient(client)
    with pytest.raises(ZeroDivisionError), sento:
        pass
    assert not sento._thread.is_alive()
