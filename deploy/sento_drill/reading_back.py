"""Reading everything back: every record of every site, by an auditor without keys, against what was acknowledged and what a quorum cosigned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from sento_client import SentoClient, SentoError
from sento_client.verifying import Trust
from sento_drill.audit import LedgerAudit
from sento_drill.offices import CASE_NUMBER, PURPOSE
from sento_drill.tally import Tally, present_everywhere
from sento_proto.checkpoint import Checkpoint

CHECKPOINT_DEADLINE_MS = 60_000
_YIELD_EVERY = 100


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What was found. `present`: acknowledged records that every site holds; `problems` is empty when all is well."""

    present: int
    checkpoint: Checkpoint
    audits: Mapping[str, LedgerAudit]
    problems: tuple[str, ...]


async def read_back(
    auditor: SentoClient, tally: Tally, on_progress: Callable[[int], None] = lambda _: None
) -> ReadBack:
    """Read and check all sites of the auditor's configuration, one after the other.

    Waits for a quorum checkpoint that covers every acknowledged record. Raises SentoError when there is none in time."""
    trust = Trust.of(auditor.genesis)
    acknowledged = tally.all()
    size = acknowledged[-1].position + 1 if acknowledged else 0
    checkpoint = await auditor.checkpoint(size, deadline_ms=CHECKPOINT_DEADLINE_MS)
    audits: dict[str, LedgerAudit] = {}
    for site in auditor.sites:
        read_before = sum(audit.size for audit in audits.values())
        audits[site] = LedgerAudit()
        async for taken in audit_site(auditor, site, audits[site]):
            on_progress(read_before + taken)
        audits[site].check_checkpoint(checkpoint, trust)
    held = {site: audit.record_hashes for site, audit in audits.items()}
    present, missing = present_everywhere(tally, held)
    problems = [f"{site}: {finding}" for site, audit in audits.items() for finding in audit.findings]
    return ReadBack(present, checkpoint, audits, (*tally.contradictions, *missing, *problems))


async def audit_site(auditor: SentoClient, site: str, audit: LedgerAudit) -> AsyncIterator[int]:
    """Read one site's ledger from position 0 to its end into `audit`, telling now and then how many records were taken.

    What the site cannot show is a finding."""
    changes = auditor.changes(
        registry="", from_position=0, purpose=PURPOSE, case_number=CASE_NUMBER, site=site
    )
    try:
        async for version in changes:
            audit.take(version)
            if audit.size % _YIELD_EVERY == 0:
                yield audit.size
                await asyncio.sleep(0)
    except SentoError as error:
        audit.find(audit.size, str(error))
    yield audit.size
