"""From drafts to results: composes under the key epoch in force, sends, and composes anew what officers' closing of an epoch refused.

Writing goes on by itself when officers start a key epoch: the author's key for it is taken from the ledger, or made, where it is first missed. Composing itself
stays synchronous; nothing here costs a record more than one comparison while the keys are at hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sento_client.asker import Terms
from sento_client.composing import Composer, Draft, Ports
from sento_client.governing.fitting import can_change
from sento_client.governing.follower import Follower
from sento_client.kek_keeping.keeper import KekKeeper
from sento_client.naming import Named
from sento_client.results import Freshness, WriteError, WriteResult
from sento_client.setup_errors import Setup, SetupError
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.record import Record

COMPOSED_AT_ONCE = 64
"""Records that are sealed (about 3 ms) before others get their turn on the event loop."""
KEEP_UP_EVERY_MS = 60_000
KEEP_UP_WAIT_MS = 1_000
KEYS_PURPOSE, KEYS_CASE = "opening keys", "keys"
"""Under which words seals are read; they have no payload, so no person's list of releases shows them."""


def key_terms(timeout_ms: int) -> Terms:
    """The terms under which an institution asks for seals on its own account."""
    return Terms(KEYS_PURPOSE, KEYS_CASE, timeout_ms=timeout_ms)


def epoch_to_write(governance: Governance, registry: str) -> int | None:
    """The key epoch to write under; None where no acts govern, so that the keys in the file decide."""
    state = governance.registries.get(registry)
    return state.key_epoch if state is not None and can_change(governance) else None


class Send(Protocol):
    """Delivers records that are composed; one result for each, in order."""

    async def __call__(
        self, records: Sequence[Record], timeout_ms: int, *, abroad: bool = False
    ) -> list[WriteResult]:
        """`abroad`: they are kept until a site abroad has cosigned."""
        ...


@dataclass(slots=True)
class DraftWriter:
    """Writes of one author."""

    composer: Composer
    keks: KekKeeper
    follower: Follower
    send: Send
    ports: Ports
    _looked_ms: int | None = None
    _looking: asyncio.Task[bool] | None = None

    async def close(self) -> None:
        """End what is under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def keep_up(self, timeout_ms: int) -> None:
        """Ask now and then whether officers changed something, as a key epoch: what is written under an old one is open to a reader that they revoked.

        The first writing waits a moment for the answer; nobody waits for sites that are not there."""
        now_ms, first = self.ports.steady_ms(), self._looked_ms is None
        if not can_change(self._governance):
            return
        if self._looked_ms is None or now_ms - self._looked_ms >= KEEP_UP_EVERY_MS:
            await self.close()
            self._looked_ms = now_ms
            self._looking = asyncio.create_task(self.follower.news())
            if first:
                await asyncio.wait([self._looking], timeout=min(KEEP_UP_WAIT_MS, timeout_ms / 2) / 1000)

    async def compose(self, draft: Draft, named: Named | None, timeout_ms: int) -> Record:
        """A sealed record; a key that is not at hand is taken from the ledger, or made. Raises as `Composer.compose` and `KekKeeper.prepare`, and SentoError
        DEADLINE."""
        try:
            return self.composer.compose(draft, named)
        except SetupError as error:
            await self._prepare(error, [draft], timeout_ms)
        return self.composer.compose(draft, named)

    async def write(
        self, drafts: Sequence[Draft], named: Sequence[Named] | None, timeout_ms: int, *, abroad: bool = False
    ) -> list[WriteResult]:
        """Compose and send; one result for each, in order. What its closed key epoch refused is composed anew, once: that refusal is final, so nothing
        stands twice."""
        left = self._countdown(timeout_ms)
        await self.keep_up(left())
        all_named = [None] * len(drafts) if named is None else named
        records: list[Record] = []
        for draft, one in zip(drafts, all_named, strict=True):
            records.append(await self.compose(draft, one, left()))
            if len(records) % COMPOSED_AT_ONCE == 0:
                await asyncio.sleep(0)
        results = await self.send(records, left(), abroad=abroad)
        closed = [at for at, result in enumerate(results) if _is_closed(result)]
        if closed and await self._moved_on(records[closed[0]], left()):
            again = [await self.compose(drafts[at], all_named[at], left()) for at in closed]
            for at, result in zip(closed, await self.send(again, left(), abroad=abroad), strict=True):
                results[at] = result
        return results

    async def write_group(
        self, drafts: Sequence[Draft], named: Sequence[Named] | None, timeout_ms: int, *, abroad: bool = False
    ) -> list[WriteResult]:
        """The same for records that stand or fall together."""
        left = self._countdown(timeout_ms)
        await self.keep_up(left())
        records = await self._compose_group(drafts, named, left())
        results = await self.send(records, left(), abroad=abroad)
        if any(map(_is_closed, results)) and await self._moved_on(records[0], left()):
            again = await self._compose_group(drafts, named, left())
            results = await self.send(again, left(), abroad=abroad)
        return results

    async def _compose_group(
        self, drafts: Sequence[Draft], named: Sequence[Named] | None, timeout_ms: int
    ) -> list[Record]:
        try:
            return self.composer.compose_group(drafts, named)
        except SetupError as error:
            await self._prepare(error, drafts, timeout_ms)
        return self.composer.compose_group(drafts, named)

    async def _prepare(self, error: SetupError, drafts: Sequence[Draft], timeout_ms: int) -> None:
        if error.code is not Setup.NO_KEK:
            raise error
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                for registry, compartment in dict.fromkeys((one.registry, one.compartment) for one in drafts):
                    await self.keks.prepare(registry, compartment, key_terms(timeout_ms))
        except TimeoutError:
            why = "the key to write with could not be had in time; nothing was sealed under it"
            raise SentoError(Code.DEADLINE, why) from None

    async def _moved_on(self, refused: Record, timeout_ms: int) -> bool:
        """Whether governance has another key epoch than the one that a record was refused for. Whoever cannot be asked leaves the refusal as it is."""
        header = refused.header
        if epoch_to_write(self._governance, header.registry) == header.key_epoch:
            try:
                await self.follower.refresh(timeout_ms, freshness=Freshness.LOCAL)
            except SentoError:
                return False
        return epoch_to_write(self._governance, header.registry) != header.key_epoch

    def _countdown(self, timeout_ms: int) -> Callable[[], int]:
        """What is left of the time, at least a millisecond."""
        end_ms = self.ports.steady_ms() + timeout_ms
        return lambda: max(1, end_ms - self.ports.steady_ms())

    @property
    def _governance(self) -> Governance:
        return self.follower.followed.governance


def _is_closed(result: WriteResult) -> bool:
    return isinstance(result, WriteError) and result.code is Code.KEY_EPOCH_CLOSED
