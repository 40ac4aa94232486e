"""Admin.Orphans and Admin.Readmit: what this site set aside with a former epoch, listed for people, and offered again once they have looked.

Offered is a whole submission, under its author's own signature, through ordinary ingress: it is judged as if its author sent it now, and it stands once,
because it is one record by its id, however often it is offered. A submission of which a record was not reviewed is not offered. Ledgers set aside are opened
for one call at a time and only read; an erasure that takes from them meanwhile shows as a payload that is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, contextmanager
from itertools import islice
from pathlib import Path

from sento_node.epochs.orphan_listing import Orphan, OrphanSubmission, orphan_submissions
from sento_node.epochs.orphans import FormerLedger
from sento_node.epochs.taking_over import ledgers_set_aside
from sento_node.ledger.lmdb_files import LedgerNotOpened
from sento_node.ledger.results import NOWHERE
from sento_node.ledger.set_aside_reading import reading_set_aside
from sento_node.ledger.store import LedgerDamaged, LedgerFailed
from sento_node.runner import Runner
from sento_node.service.node_state import NodeState
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import admin_pb2

PORTION = 64
"""Submissions read from the disk at a time."""
REVIEWED_MAX = 10_000
OFFER_TIMEOUT_S = 30.0
FRESH_TIMEOUT_MS = 10_000
LOOK_AGAIN_S = 0.2
_TRY_AGAIN = frozenset((Code.NO_ORDERING, Code.NOT_READY, Code.QUEUE_FULL, Code.ORDERING_FULL, Code.DISK_LOW))


class OrphanService:
    """One node's. Lists and readmissions wait for each other."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._turn = asyncio.Lock()

    async def orphans(self, request: admin_pb2.OrphansRequest) -> AsyncGenerator[admin_pb2.Orphan]:
        """The orphans of an epoch, against everything that was acknowledged before. Raises SentoError BAD_REQUEST for one that has not ended here,
        NOT_READY, also while the epoch is being opened, which reads the same ledgers; NOT_FRESH while no majority answers."""
        self._fork_size(request.epoch)
        await self._opened_epoch().fresh(FRESH_TIMEOUT_MS)
        number = 0
        async with aclosing(self._submissions(request.epoch)) as found:
            async for submission in found:
                number += 1
                for orphan in submission.orphans:
                    yield _listed(orphan, number, submission.why_not)

    async def readmit(self, request: admin_pb2.ReadmitRequest) -> AsyncGenerator[admin_pb2.Readmitted]:
        """What became of each record that was asked for, once. Raises SentoError as `orphans`, or while this site takes no writes."""
        reviewed = set(request.record_hashes)
        if len(reviewed) > REVIEWED_MAX:
            raise SentoError(Code.BAD_REQUEST, f"record_hashes are at most {REVIEWED_MAX}")
        self._opened_epoch()
        if reviewed:
            async with aclosing(self._submissions(request.epoch)) as found:
                async for submission in found:
                    asked = {orphan.record_hash for orphan in submission.orphans} & reviewed
                    for answer in await self._offered(submission, asked) if asked else ():
                        reviewed.discard(answer.record_hash)
                        yield answer
        for record_hash in request.record_hashes:
            if record_hash in reviewed:
                reviewed.discard(record_hash)
                yield self._no_orphan(record_hash)

    def _opened_epoch(self) -> Runner:
        runner = self._node.running()
        if runner.site.opening:
            raise SentoError(Code.NOT_READY, "the epoch is being opened; ask again once it is")
        return runner

    async def _offered(self, submission: OrphanSubmission, asked: set[bytes]) -> list[admin_pb2.Readmitted]:
        def all_are(code: Code, words: str) -> list[admin_pb2.Readmitted]:
            return [
                admin_pb2.Readmitted(record_hash=orphan.record_hash, code=code, words=words)
                for orphan in submission.orphans
                if orphan.record_hash in asked
            ]

        if len(asked) < len(submission.orphans):
            return all_are(
                Code.BAD_REQUEST, "Its author signed it together with records that were not reviewed."
            )
        if not submission.data:
            return all_are(Code.BAD_REQUEST, submission.why_not)
        try:
            async with asyncio.timeout(OFFER_TIMEOUT_S):
                return await self._until_answered(submission, asked)
        except TimeoutError:
            return all_are(Code.NO_ORDERING, "It may yet come to stand; ask again.")

    async def _until_answered(
        self, submission: OrphanSubmission, asked: set[bytes]
    ) -> list[admin_pb2.Readmitted]:
        while True:
            code: Code | None
            try:
                reply = await self._node.running().submit(submission.data)
                code = reply.code
            except SentoError as error:
                code = error.code
            else:
                if code is None:
                    return [
                        _answer(one.record_hash, one.code, one.position)
                        for one in reply.outcomes
                        if one.record_hash in asked
                    ]
            if code not in _TRY_AGAIN:
                return [_answer(one, code, NOWHERE) for one in sorted(asked)]
            await asyncio.sleep(LOOK_AGAIN_S)

    def _no_orphan(self, record_hash: bytes) -> admin_pb2.Readmitted:
        position = self._node.store.position_of_hash(record_hash)
        if position is not None:
            return _answer(record_hash, Code.KNOWN, position)
        return admin_pb2.Readmitted(
            record_hash=record_hash, code=Code.NOT_FOUND, words="It is no orphan of this site."
        )

    # -- ledgers set aside ----------------------------------------------------------------------------------------------

    async def _submissions(self, epoch: int) -> AsyncGenerator[OrphanSubmission]:
        """Read in a thread of its own, a portion at a time. Raises SentoError."""
        fork_size = self._fork_size(epoch)
        paths = ledgers_set_aside(self._node.config.data_dir, epoch)
        async with self._turn:
            loop = asyncio.get_running_loop()
            with ThreadPoolExecutor(1, "orphans") as thread:
                stack = ExitStack()
                try:
                    ledgers = await loop.run_in_executor(thread, self._opened, stack, paths)
                    found = orphan_submissions(
                        self._node.store, ledgers, self._node.genesis.ledger_id, fork_size
                    )
                    while portion := await loop.run_in_executor(thread, _portion, found):
                        for submission in portion:
                            yield submission
                finally:
                    await loop.run_in_executor(thread, stack.close)

    def _opened(self, stack: ExitStack, paths: list[Path]) -> list[FormerLedger]:
        with _in_words():
            return [
                stack.enter_context(reading_set_aside(path, self._node.genesis.ledger_id)) for path in paths
            ]

    def _fork_size(self, epoch: int) -> int:
        """The lowest fork since. Raises SentoError BAD_REQUEST where no epoch has begun after it here."""
        forks = [one.fork_size for one in self._node.governance.epochs if one.number > epoch]
        if not forks:
            raise SentoError(
                Code.BAD_REQUEST, f"epoch {epoch} has not ended at this site, so nothing of it was set aside"
            )
        return min(forks)


def _portion(found: Iterator[OrphanSubmission]) -> list[OrphanSubmission]:
    with _in_words():
        return list(islice(found, PORTION))


@contextmanager
def _in_words() -> Iterator[None]:
    """Raises SentoError for a ledger set aside that cannot be read."""
    try:
        yield
    except LedgerNotOpened as error:
        raise SentoError(Code.NOT_READY, str(error)) from error
    except (LedgerDamaged, LedgerFailed) as error:
        raise SentoError(Code.DAMAGED, f"a ledger that was set aside cannot be read: {error}") from error


def _listed(orphan: Orphan, number: int, why_not: str) -> admin_pb2.Orphan:
    header = orphan.header
    return admin_pb2.Orphan(
        record_hash=orphan.record_hash,
        author=orphan.author,
        registry=header.registry,
        kind=header.kind,
        fact=header.fact,
        position=orphan.position,
        time_ms=header.time_ms,
        submission=number,
        why_not=why_not,
        stands_against=orphan.stands_against,
        record_id=header.record_id,
    )


def _answer(record_hash: bytes, code: Code, position: int) -> admin_pb2.Readmitted:
    answer = admin_pb2.Readmitted(record_hash=record_hash, code=code)
    if position != NOWHERE:
        answer.position = position
    return answer
