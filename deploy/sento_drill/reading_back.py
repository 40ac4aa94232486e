"""Reading everything back: every record of every site, by an auditor without keys, against what was acknowledged and what a quorum cosigned.

Headers of all, payloads of a sample: each payload that leaves a site is a release which the person concerned will see, so an auditor asks for few. That a
site holds all of them is what it says by cosigning, and what its scrub looks at. The sites are read side by side, none far ahead of another: a submission's
signature that was verified for one site is not verified again for the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sento_client import Freshness, SentoClient, SentoError
from sento_drill.audit import LedgerAudit
from sento_drill.offices import CASE_NUMBER, PURPOSE
from sento_drill.tally import Tally, present_everywhere
from sento_proto.checkpoint import Checkpoint

CHECKPOINT_DEADLINE_MS = 60_000
PAYLOADS_SAMPLED = 40
"""Payloads read of each site, spread evenly over its ledger."""
_YIELD_EVERY = 50
_AHEAD_MAX = 500
"""So many records a site may be ahead of the slowest; fewer than the submissions whose signatures are remembered."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What was found. `present`: acknowledged records that every site holds; `problems` is empty when all is well."""

    present: int
    records: int
    submissions: int
    checkpoint: Checkpoint
    problems: tuple[str, ...]


class ReadingBack:
    """One reading of sites at the same time: of all in the auditor's configuration, or of these. `fork`: see `present_everywhere`."""

    def __init__(
        self,
        auditor: SentoClient,
        tally: Tally,
        sites: Sequence[str] | None = None,
        fork: int | None = None,
    ) -> None:
        self._auditor = auditor
        self._tally = tally
        self._fork = fork
        self.audits = {site: LedgerAudit() for site in (auditor.sites if sites is None else sites)}
        self._reading = set(self.audits)
        self._moved = asyncio.Condition()

    def taken(self) -> int:
        """How many records were taken so far, all sites together."""
        return sum(audit.size for audit in self.audits.values())

    async def run(self) -> ReadBack:
        """Read and check. Waits for a quorum checkpoint that covers every acknowledged record; raises SentoError when there is none in time."""
        checkpoint = await self._auditor.checkpoint(self._tally.size, deadline_ms=CHECKPOINT_DEADLINE_MS)
        await asyncio.gather(*(self._read(site, audit) for site, audit in self.audits.items()))
        trust = self._auditor.followed.trust
        for audit in self.audits.values():
            audit.check_checkpoint(checkpoint, trust)
        held = {site: audit.record_hashes for site, audit in self.audits.items()}
        present, missing = present_everywhere(self._tally, held, self._fork)
        findings = [f"{site}: {finding}" for site, audit in self.audits.items() for finding in audit.findings]
        return ReadBack(
            present,
            self.taken(),
            sum(audit.submissions for audit in self.audits.values()),
            checkpoint,
            (*self._tally.contradictions, *missing, *findings),
        )

    async def _read(self, site: str, audit: LedgerAudit) -> None:
        """One site's ledger from position 0 to its end; what the site cannot show is a finding."""
        changes = self._auditor.changes(
            registry="",
            from_position=0,
            purpose=PURPOSE,
            case_number=CASE_NUMBER,
            site=site,
            header_only=True,
        )
        sampled: list[int] = []
        try:
            async for version in changes:
                audit.take(version)
                if version.header.payload_bytes:
                    sampled.append(version.position)
                if audit.size % _YIELD_EVERY == 0:
                    await self._keep_pace(audit)
            await self._at_end(site)
            for position in sampled[:: 1 + len(sampled) // PAYLOADS_SAMPLED]:
                audit.take_payload(
                    await self._auditor.read(
                        position,
                        purpose=PURPOSE,
                        case_number=CASE_NUMBER,
                        site=site,
                        freshness=Freshness.LOCAL,
                    )
                )
        except SentoError as error:
            audit.find(audit.size, str(error))
        finally:
            await self._at_end(site)

    async def _keep_pace(self, audit: LedgerAudit) -> None:
        """Let the display and the other sites' streams have their turn, and wait for the slowest of them."""
        await asyncio.sleep(0)
        async with self._moved:
            self._moved.notify_all()
            await self._moved.wait_for(
                lambda: audit.size <= _AHEAD_MAX + min(self.audits[site].size for site in self._reading)
            )

    async def _at_end(self, site: str) -> None:
        """Nobody waits for this site any more."""
        async with self._moved:
            self._reading.discard(site)
            self._moved.notify_all()
