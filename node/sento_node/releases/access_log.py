"""The shell of releases: an access record stands, or lies flushed in the spool of a site that is cut off, before a payload leaves.

    the site serves           ordered: acknowledged by a majority; the reader waits one round trip. LOCAL reads too, while the site has its majority
    no majority, LOCAL        spooled: flushed to this site's disk, ordered when there is a majority again, under the same record id
    neither is possible       ACCESS_NOT_RECORDED, and no payload leaves

A LOCAL read whose record was sent and not answered in time is spooled as well: whichever way the record comes first, it stands once. What was recorded and
then not given out after all (the reader went away, the outcome stayed unknown) is recorded as released: too much rather than too little.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from sento_node.clock import Clock
from sento_node.condition import Condition
from sento_node.releases.deciding import Placed, Release, placed
from sento_node.releases.kek_file import KekPlace
from sento_node.releases.key_keeper import KeyKeeper
from sento_node.releases.making import AccessEntry, fitting, make_entry, sign_together
from sento_node.releases.ordering_line import OrderingLine, Written
from sento_node.releases.spool import Spool, SpoolFull
from sento_node.releases.throttle import Attempt, Throttle
from sento_node.site import Reply
from sento_proto.errors import STANDING_CODES, Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.keys import Signer
from sento_proto.record import Record
from sento_proto.sealing import DEK_BYTES, CannotOpen, open_payload, seal_record
from sento_proto.wire import Malformed

ISLAND_AFTER_MS = 1_500
"""How long a LOCAL read waits for its record to be ordered before it is spooled."""
ORDERED_AFTER_MS = 10_000
DRAIN_EVERY_MS = 500
DRAIN_TOGETHER_MAX = 64
_SETTLED = STANDING_CODES | {Code.RECORD_ID_REUSED, Code.STALE}
"""The record id stands: as it is, as it was before it was sealed anew, or, of an extract's opening that was reported twice, in another site's record: the
fact of an access record follows from its id, so that the ledger takes one."""
_SEAL_ANEW = frozenset({Code.KEY_EPOCH_CLOSED, Code.KEY_ENDED, Code.UNKNOWN_AUTHOR})


class AccessLog:
    """Records what one site releases. `submit`: the site's own ingress."""

    def __init__(
        self,
        site: str,
        ledger_id: bytes,
        signer: Signer,
        governance: Callable[[], Governance],
        clock: Clock,
        condition: Condition,
        keys: KeyKeeper,
        spool: Spool,
        submit: Callable[[bytes], Awaitable[Reply]],
    ) -> None:
        self.keys = keys
        self.spool = spool
        self.throttle = Throttle()
        self.written: Counter[str] = Counter(ordered=0, spooled=0, drained=0, not_recorded=0)
        """What became of access records in this life."""
        self._site = site
        self._signer = signer
        self._governance = governance
        self._clock = clock
        self._condition = condition
        self._submit = submit
        self._line = OrderingLine(ledger_id, signer, submit)
        self._disk = asyncio.Lock()
        self._stuck: set[bytes] = set()
        self._log = structlog.get_logger("sento.node").bind(site=site)
        if spool.damaged is not None:
            condition.raise_alarm(
                "access-spool-damaged",
                f"The spool of access records was damaged and lies in {spool.damaged}; what stood before the damage is ordered. "
                "Keep that file for whoever looks after releases (runbook: read log).",
            )

    async def released(self, releases: Sequence[Release], *, may_spool: bool) -> list[Written]:
        """Return when a record of each is safe: now the payloads may leave.

        `releases`: of one request, at least one. Raises SentoError ACCESS_NOT_RECORDED, or BAD_REQUEST for a purpose that no access record can hold;
        then nothing may leave."""
        spooling = may_spool and self._condition.state != "serving"
        reader = releases[0].asked.reader
        refused_before = self.throttle.take(reader)
        try:
            counts = itertools.chain([refused_before], itertools.repeat(0))
            entries = [
                await self._entry(release, count, cut_off=spooling)
                for release, count in zip(releases, counts, strict=False)
            ]
            return await (self._spooled(entries) if spooling else self._ordered(entries, may_spool))
        except BaseException:
            self.written["not_recorded"] += len(releases)
            self.throttle.give_back(reader, refused_before)
            raise

    async def refused(self, release: Release, code: Code) -> None:
        """Record a refused attempt, unless too many are recorded already; those are counted in the reader's next record."""
        attempt = Attempt(release.asked.reader, release.registry, release.subject, code)
        if not self.throttle.admits(attempt, self._clock.now_ms()):
            return
        try:
            await self.released([release._replace(outcome=code.name)], may_spool=True)
        except SentoError as error:
            self._log.warning("a refused attempt was not recorded", why=error.code.name)
            self.throttle.count(attempt.reader)

    # -- making ---------------------------------------------------------------------------------------------------------

    async def _entry(self, release: Release, refused_before: int, *, cut_off: bool) -> AccessEntry:
        time_ms = self._clock.wall_ms()
        content = self._placed(release, refused_before, time_ms)
        key = self.keys.usable(release.registry) if cut_off else await self.keys.need(release.registry)
        if key is None:
            raise SentoError(
                Code.ACCESS_NOT_RECORDED,
                "this site is cut off, and its key for access records does not stand in the ledger",
            )
        key_epoch, kek = key
        return make_entry(
            content,
            registry=release.registry,
            key_epoch=key_epoch,
            kek=kek,
            dek=os.urandom(DEK_BYTES),
            record_id=release.record_id or uuid7(time_ms, os.urandom(RANDOM_BYTES)),
            site_key_id=self._signer.public_key.key_id,
            time_ms=time_ms,
        )

    def _placed(self, release: Release, refused_before: int, time_ms: int) -> Placed:
        try:
            return placed(self._governance(), release, self._site, refused_before, time_ms)
        except Malformed as error:
            raise SentoError(
                Code.BAD_REQUEST, f"purpose and case number must be text in one line: {error}"
            ) from None

    # -- two ways to safety -----------------------------------------------------------------------------------------------

    async def _ordered(self, entries: list[AccessEntry], may_spool: bool) -> list[Written]:
        timeout_ms = ISLAND_AFTER_MS if may_spool else ORDERED_AFTER_MS
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                written = await self._line.stand(entries)
        except TimeoutError:
            why = "ordering it took too long"
        except SentoError as error:
            why = f"it was not ordered: {error.code.name}"
        else:
            self.written["ordered"] += len(entries)
            return written
        if not may_spool:
            raise SentoError(Code.ACCESS_NOT_RECORDED, why)
        return await self._spooled(entries)

    async def _spooled(self, entries: list[AccessEntry]) -> list[Written]:
        records = [entry.record for entry in entries]
        try:
            async with self._disk:
                await asyncio.to_thread(self.spool.append, records)
        except (OSError, SpoolFull) as error:
            self._condition.raise_alarm(
                "access-spool",
                f"Access records cannot be spooled ({type(error).__name__}), so this site releases nothing while it is cut off. "
                "Make room on the disk of its data directory.",
            )
            raise SentoError(
                Code.ACCESS_NOT_RECORDED, "the spool on this site's disk takes no more"
            ) from error
        self.written["spooled"] += len(entries)
        return [Written(entry) for entry in entries]

    # -- after the island -------------------------------------------------------------------------------------------------

    async def drain(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Order what is spooled whenever there is a majority, for as long as the site runs. Raises OSError when the disk fails."""
        while True:
            await sleep(DRAIN_EVERY_MS / 1000)
            while self._condition.state == "serving" and len(self.spool) > len(self._stuck):
                if not await self.drain_once():
                    break

    async def drain_once(self) -> bool:
        """Order the oldest of the spool. Whether any of them is settled now. Raises OSError."""
        oldest = self.spool.oldest(DRAIN_TOGETHER_MAX, self._stuck)
        records = oldest[: fitting(oldest)]
        if any(record.header.author_key_id != self._signer.public_key.key_id for record in records):
            return await self._seal_anew(records)
        signed = sign_together(self._governance().ledger_id, records, self._signer)
        try:
            reply = await self._submit(signed.data)
        except SentoError as error:
            self._log.info("spooled access records wait", why=error.code.name)
            return False
        codes = (
            [outcome.code for outcome in reply.outcomes]
            if reply.code is None
            else [reply.code] * len(records)
        )
        settled = [record for record, code in zip(records, codes, strict=True) if code in _SETTLED]
        anew = [record for record, code in zip(records, codes, strict=True) if code in _SEAL_ANEW]
        if settled:
            self.written["drained"] += len(settled)
            async with self._disk:
                await asyncio.to_thread(self.spool.ordered, [one.header.record_id for one in settled])
        if anew:
            await self._seal_anew(anew)
        self._set_aside(
            (record, code)
            for record, code in zip(records, codes, strict=True)
            if reply.code is None and code not in _SETTLED | _SEAL_ANEW
        )
        return bool(settled)

    def _set_aside(self, refused: Iterable[tuple[Record, Code]]) -> None:
        """Records that the ledger does not take stay in the spool, and do not hold up the others."""
        for record, code in refused:
            self._stuck.add(record.header.record_id)
            self._condition.raise_alarm(
                "access-record-refused",
                f"The ledger refuses a spooled access record ({code.name}); it stays in this site's spool. Report it with this site's log.",
            )

    async def _seal_anew(self, records: list[Record]) -> bool:
        """Under the key epoch and the site's key in force, with the same ids: as they were they can never stand."""
        fresh: list[Record] = []
        for record in records:
            try:
                fresh.append(await self._sealed_anew(record))
            except (CannotOpen, Malformed, SentoError) as error:
                self._log.error("a spooled access record cannot be sealed anew", why=type(error).__name__)
                if not isinstance(error, SentoError):
                    self._set_aside([(record, Code.KEY_EPOCH_CLOSED)])
        async with self._disk:
            await asyncio.to_thread(self.spool.renewed, fresh)
        return bool(fresh)

    async def _sealed_anew(self, record: Record) -> Record:
        header = record.header
        former = self.keys.own(KekPlace(header.registry, header.key_epoch))
        if former is None:
            raise CannotOpen("The key of this access record is not in this site's file any more.")
        content = open_payload(record.header_bytes, header, record.payload, kek=former)
        key_epoch, kek = await self.keys.need(header.registry)
        header = header._replace(key_epoch=key_epoch, author_key_id=self._signer.public_key.key_id)
        return seal_record(header, content, dek=os.urandom(DEK_BYTES), kek=kek)
