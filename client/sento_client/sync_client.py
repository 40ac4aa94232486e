"""`SyncSentoClient`: the same client for ordinary programs, without `async`.

    with SyncSentoClient.open("sento.toml") as sento:
        done = sento.write(registry="residency", kind="residence/entry", subject=number, fact="address", content={"town": "..."})

An event loop runs in a thread of its own, and each call waits there for its answer. Any number of threads may use one client at a time, and their records
share submissions. Arguments, results, errors and deadlines are those of `SentoClient`'s method of the same name. Interrupting a waiting call (Ctrl-C) ends
the wait; the record stays on its way, and in the outbox.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from sento_client.client import SentoClient
from sento_client.composing import Draft
from sento_client.naming import Named
from sento_client.outbox.keeping import Counts
from sento_proto.genesis import Genesis
from sento_proto.record import Record

P = ParamSpec("P")
T = TypeVar("T")
CANCEL_AGAIN_S = 0.1


def _waits(
    method: Callable[Concatenate[SentoClient, P], Coroutine[object, object, T]],
) -> Callable[Concatenate[SyncSentoClient, P], T]:
    """The method, waiting for its answer."""

    @functools.wraps(method)
    def wait(self: SyncSentoClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_open()
        return self._run(method(self._client, *args, **kwargs))

    return wait


def _iterates(
    method: Callable[Concatenate[SentoClient, P], AsyncIterator[T]],
) -> Callable[Concatenate[SyncSentoClient, P], Iterator[T]]:
    """The method, whose items are waited for one by one."""

    @functools.wraps(method)
    def iterate(self: SyncSentoClient, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        self._check_open()
        return self._iterate(method(self._client, *args, **kwargs))

    return iterate


class SyncSentoClient:
    """One institution's client for any number of threads. Use it with `with`."""

    def __init__(self, client: SentoClient) -> None:
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sento-client", daemon=True)
        self._open = False
        self._gate = threading.Lock()

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The client that the configuration file describes. Raises SetupError with every mistake in it."""
        return cls(SentoClient.open(path))

    @property
    def genesis(self) -> Genesis:
        """The ledger's genesis file."""
        return self._client.genesis

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the configured sites, in order."""
        return self._client.sites

    @property
    def outbox(self) -> Counts:
        """Submissions that this client keeps."""
        return self._client.outbox

    def __enter__(self) -> Self:
        self._thread.start()
        self._open = True
        try:
            self._run(self._client.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._run(self._client.__aexit__(kind, error, trace))
        finally:
            self._stop()

    def compose(self, draft: Draft, named: Named | None = None) -> Record:
        """A sealed record with an id, not sent yet. Raises SentoError, SetupError."""
        return self._client.compose(draft, named)

    def compose_group(self, drafts: Sequence[Draft], named: Sequence[Named] | None = None) -> list[Record]:
        """Sealed records that stand or fall together."""
        return self._client.compose_group(drafts, named)

    def empty_outbox(self) -> Counts:
        """Begin to send what earlier programs left in the outbox; returns what is kept now. Raises SetupError."""

        async def begin() -> Counts:
            return self._client.empty_outbox()

        return self._run(begin())

    compose_named = _waits(SentoClient.compose_named)
    prepare = _waits(SentoClient.prepare)
    names = _waits(SentoClient.names)
    write = _waits(SentoClient.write)
    update = _waits(SentoClient.update)
    write_many = _waits(SentoClient.write_many)
    write_group = _waits(SentoClient.write_group)
    send = _waits(SentoClient.send)
    see_abroad = _waits(SentoClient.see_abroad)
    outcomes = _waits(SentoClient.outcomes)
    receipt = _waits(SentoClient.receipt)
    receipt_of = _waits(SentoClient.receipt_of)
    read = _waits(SentoClient.read)
    fact = _waits(SentoClient.fact)
    history = _iterates(SentoClient.history)
    subject_history = _iterates(SentoClient.subject_history)
    changes = _iterates(SentoClient.changes)
    checkpoint = _waits(SentoClient.checkpoint)
    verify_record = _waits(SentoClient.verify_record)
    verify_checkpoint = _waits(SentoClient.verify_checkpoint)
    status = _waits(SentoClient.status)

    def _check_open(self) -> None:
        if not self._open:
            raise RuntimeError("the client is used inside its `with` block only: there its event loop runs")

    def _run(self, work: Coroutine[object, object, T]) -> T:
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError(
                "a function that the client calls may not call the client: it would wait for itself"
            )
        with self._gate:
            if not self._open:
                work.close()
                self._check_open()
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        # An interrupted wait is still ending when the list is closed.
        one_at_a_time = asyncio.Lock()

        async def next_item() -> tuple[T] | None:
            async with one_at_a_time:
                try:
                    return (await anext(items),)
                except StopAsyncIteration:
                    return None

        async def end() -> None:
            # Every list here is an async generator, which holds a stream until it is closed.
            async with one_at_a_time:
                await items.aclose()  # type: ignore[attr-defined]

        try:
            while (item := self._run(next_item())) is not None:
                yield item[0]
        finally:
            # Once the client is closed its lists are, too.
            if self._open:
                self._run(end())

    def _stop(self) -> None:
        """End what other threads still wait for, then the loop."""
        with self._gate:
            self._open = False
        asyncio.run_coroutine_threadsafe(_end_the_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _end_the_others() -> None:
    """Cancel every other task of this loop and close its async generators: threads that wait for them hear of it."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in others:
            task.cancel()
        # A cancellation may meet an answer in `wait_for`, which then forgets it: so again until all have ended.
        done, _ = await asyncio.wait(others, timeout=CANCEL_AGAIN_S)
        for task in done:
            if not task.cancelled():
                task.exception()
    await asyncio.get_running_loop().shutdown_asyncgens()
