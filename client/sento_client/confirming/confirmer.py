"""Asking several sites for their signed word on a subject's newest record, until a receipt quorum says the same.

    all sites ── Checkpoint ──► the largest that verifies ── Head at that size, all sites in parallel ──► weighed ──► Confirmed
                                        ▲                                                  │
                                        └──── not yet: some have not come so far ◄─────────┘──► words that differ: who lies, a proof in a file

Asking all for a checkpoint keeps one site from holding everybody at an old state. A site that is a moment behind is asked again; the question changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from sento_client.asker import Asker, Terms, damaged
from sento_client.confirming.accusing import Evidence, accusations, positions_to_look_at
from sento_client.confirming.judging import AskedHead, Unusable, Weighed, read_statement, weigh
from sento_client.confirming.values import Confirmed, Liar
from sento_client.messages import freshness_of, purpose_of, stored_of
from sento_client.proving import Prover
from sento_client.receipts.watch import CheckpointWatch
from sento_client.results import Freshness
from sento_client.transport import CHECKPOINT, HEAD, READ, Transport
from sento_client.trust import Trust
from sento_client.verifying import Asked, Verdict, check_record
from sento_proto.checkpoint import Checkpoint, cosigners, decode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.fraud import KnownSites, ProvenRecord
from sento_proto.head_statement import HeadStatement
from sento_proto.v1 import client_pb2
from sento_proto.wire import Malformed

SITE_TIMEOUT_MS = 3_000
PAUSE_MS = 50
ROUNDS_MAX = 20
_BEHIND = (Code.NOT_FOUND, Code.OUT_OF_RANGE, Code.NOT_READY, Code.RATE_LIMITED)
"""What a site says that has not come so far, and may have a moment later."""


class _Heard(NamedTuple):
    weighed: Weighed
    behind: bool
    """Whether a site that did not say it yet may say it soon."""


class Confirmer:
    """Confirms heads for one institution. `watch` keeps proofs of fraud; the word of a site that was convicted counts for nothing here."""

    def __init__(
        self,
        transport: Transport,
        asker: Asker,
        prover: Prover,
        trust: Callable[[], Trust],
        watch: CheckpointWatch,
    ) -> None:
        self._transport, self._asker, self._prover = transport, asker, prover
        self._trust, self._watch = trust, watch

    async def confirm(self, registry: str, subject: bytes, terms: Terms) -> Confirmed:
        """The confirmed head. Raises SentoError NOT_CONFIRMED; whoever can be convicted is, all the same."""
        until_ms = self._asker.now_ms + terms.timeout_ms
        for _ in range(ROUNDS_MAX):
            left_ms = until_ms - self._asker.now_ms
            checkpoint = await self._checkpoint(min(left_ms, SITE_TIMEOUT_MS))
            asked = AskedHead(checkpoint, registry, subject)
            heard = await self._hear(asked, max(1, min(until_ms - self._asker.now_ms, SITE_TIMEOUT_MS)))
            if heard.weighed.head is not None or not heard.behind:
                break
            if until_ms - self._asker.now_ms <= PAUSE_MS:
                break
            await asyncio.sleep(PAUSE_MS / 1000)
        weighed = heard.weighed
        liars = await self._convict(asked, weighed, terms, until_ms)
        if weighed.head is None:
            convicted = "".join(f"; {liar.words}" for liar in liars)
            raise SentoError(Code.NOT_CONFIRMED, f"size {checkpoint.size}: {weighed.words}{convicted}")
        sites = tuple(sorted(statement.site for statement in weighed.agreeing))
        time_s = _quorum_time_s(checkpoint, self._trust())
        return Confirmed(checkpoint.epoch, checkpoint.size, time_s, weighed.head, sites, liars)

    # -- asking ---------------------------------------------------------------------------------------------------------

    async def _checkpoint(self, timeout_ms: int) -> Checkpoint:
        """The largest checkpoint that verifies of those that all sites give. Raises the last site's SentoError where none does."""
        answers = await asyncio.gather(
            *(self._checkpoint_of(site, timeout_ms) for site in self._transport.sites)
        )
        good = [answer for answer in answers if isinstance(answer, Checkpoint)]
        if not good:
            failed = [answer for answer in answers if isinstance(answer, SentoError)]
            raise next((error for error in failed if error.code is not Code.UNREACHABLE), failed[-1])
        return max(good, key=lambda checkpoint: (checkpoint.epoch, checkpoint.size))

    async def _checkpoint_of(self, site: str, timeout_ms: int) -> Checkpoint | SentoError:
        def accept(site: str, reply: client_pb2.CheckpointReply) -> Checkpoint:
            try:
                checkpoint = decode_checkpoint(reply.checkpoint)
            except Malformed as error:
                raise damaged(site, str(error)) from None
            try:
                finding = self._prover.checked(checkpoint)
            except SentoError as error:
                raise damaged(site, error.detail) from None
            if finding.verdict is not Verdict.HOLDS:
                raise damaged(site, finding.why)
            return checkpoint

        try:
            reply = await self._transport.call(site, CHECKPOINT, client_pb2.CheckpointRequest(), timeout_ms)
            return await self._asker.taken(site, reply, accept)
        except SentoError as error:
            return error

    async def _hear(self, asked: AskedHead, timeout_ms: int) -> _Heard:
        receipt = self._trust().governance.receipt_quorum_at(asked.checkpoint.size)
        distrusted = self._watch.distrusted & receipt.keys.keys()
        sites = [site for site in self._transport.sites if site in receipt.keys and site not in distrusted]
        answers = await asyncio.gather(*(self._head_of(site, asked, timeout_ms) for site in sites))
        statements = [answer for answer in answers if isinstance(answer, HeadStatement)]
        errors = {
            site: answer
            for site, answer in zip(sites, answers, strict=True)
            if isinstance(answer, SentoError)
        }
        why = {site: _why(site, error) for site, error in errors.items()}
        for site in receipt.keys:
            if site not in sites:
                why[site] = (
                    "a proof of fraud lies against it" if site in distrusted else "it is not configured here"
                )
        weighed = weigh(asked, receipt, statements, why)
        return _Heard(weighed, any(error.code in _BEHIND for error in errors.values()))

    async def _head_of(self, site: str, asked: AskedHead, timeout_ms: int) -> HeadStatement | SentoError:
        def accept(site: str, reply: client_pb2.HeadReply) -> HeadStatement:
            try:
                return read_statement(reply.statement, site, asked, self._trust().governance.site_keys)
            except Unusable as error:
                raise damaged(site, str(error)) from None

        request = client_pb2.HeadRequest(
            registry=asked.registry, subject=asked.subject, size=asked.checkpoint.size
        )
        try:
            reply = await self._transport.call(site, HEAD, request, timeout_ms)
            return await self._asker.taken(site, reply, accept)
        except SentoError as error:
            return error

    # -- who lies -------------------------------------------------------------------------------------------------------

    async def _convict(
        self, asked: AskedHead, weighed: Weighed, terms: Terms, until_ms: int
    ) -> tuple[Liar, ...]:
        if not weighed.dissenting and not weighed.foreign:
            return ()
        evidence = []
        for position in positions_to_look_at(weighed):
            left_ms = max(1, min(until_ms - self._asker.now_ms, SITE_TIMEOUT_MS))
            try:
                evidence.append(await self._evidence(asked, position, terms._replace(timeout_ms=left_ms)))
            except SentoError:
                continue  # what cannot be had convicts nobody; a quorum's word may still
        known = KnownSites.of(self._trust().governance)
        found = accusations(known, weighed, asked.checkpoint, evidence)
        convicted = [self._watch.take(data) for data in found.values()]
        liars = [Liar(fraud.site, fraud.words, True) for fraud in convicted]
        liars += [
            Liar(one.site, f"{one.site} says another word, and cannot be shown to be wrong.", False)
            for one in (*weighed.dissenting, *weighed.foreign)
            if weighed.head is not None and one.site not in found
        ]
        return tuple(liars)

    async def _evidence(self, asked: AskedHead, position: int, terms: Terms) -> Evidence:
        """The record at a position with its path. Raises SentoError, as where this institution may not see it."""
        request = client_pb2.ReadRequest(
            purpose=purpose_of(terms.purpose, terms.case_number),
            freshness=freshness_of(Freshness.LOCAL),
            position=position,
            header_only=True,
        )

        def accept(site: str, reply: client_pb2.ReadReply) -> ProvenRecord:
            stored = stored_of(reply.record)
            header, findings = check_record(stored, self._trust(), Asked(position=position))
            if header is None or not findings.ok:
                raise damaged(site, findings.why)
            return ProvenRecord(position, stored.header_bytes, stored.payload_hash)

        record = await self._asker.ask(READ, request, accept, terms._replace(site=None))
        path = await self._prover.inclusion(position, record.record_hash, asked.checkpoint, terms.timeout_ms)
        return Evidence(record, path.path)


def _quorum_time_s(checkpoint: Checkpoint, trust: Trust) -> int:
    """By when a quorum had cosigned, as the sites' clocks say."""
    receipt = trust.governance.receipt_quorum_at(checkpoint.size)
    return sorted(cosigners(checkpoint, receipt.keys).values())[receipt.quorum - 1]


def _why(site: str, error: SentoError) -> str:
    words = error.detail.removeprefix(site).removeprefix(": ")
    return f"{error.code.name} ({words})" if words else error.code.name
