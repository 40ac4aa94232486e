"""Proving, as a program calls it: that a record stands under a quorum's checkpoint, and that nothing before a checkpoint was changed."""

from __future__ import annotations

from typing import NamedTuple

from sento_client.reading import Name
from sento_client.results import Freshness, Version
from sento_client.session import Session
from sento_client.verifying import Finding, Findings
from sento_proto.checkpoint import Checkpoint


class Verification(NamedTuple):
    """What was verified: the record if one was asked for, the checkpoint, and every finding."""

    version: Version | None
    checkpoint: Checkpoint
    findings: Findings


class ProvingFace(Session):
    """The calls that prove."""

    async def checkpoint(self, at_least_size: int = 0, *, deadline_ms: int | None = None) -> Checkpoint:
        """The newest checkpoint of at least that size that a receipt-set quorum cosigned, verified."""
        return await self._prover.checkpoint(at_least_size, self._deadline(deadline_ms))

    async def verify_record(
        self,
        name: Name,
        *,
        purpose: str,
        case_number: str,
        header_only: bool = False,
        site: str | None = None,
        deadline_ms: int | None = None,
    ) -> Verification:
        """Read a record and prove that it stands under a quorum's checkpoint, fetched from another site than the record where there is one.

        Raises SentoError DAMAGED when no site gives an answer that verifies."""
        terms = self._terms(purpose, case_number, Freshness.LINEARIZABLE, header_only, site, deadline_ms)
        version = await self._reader.read(name, terms)
        timeout_ms = terms.timeout_ms
        checkpoint = await self._prover.checkpoint(version.position + 1, timeout_ms, version.as_of.site)
        inclusion = await self._prover.prove_inclusion(version.stored, checkpoint, timeout_ms)
        quorum = self._prover.checked(checkpoint)
        return Verification(version, checkpoint, Findings([*version.findings, quorum, inclusion]))

    async def verify_checkpoint(
        self, seen_before: Checkpoint | None = None, *, deadline_ms: int | None = None
    ) -> Verification:
        """Verify the newest checkpoint and, with one seen before, that nothing before it was changed.

        A finding that fails is returned, because it is evidence; SentoError is for sites that could not answer."""
        timeout_ms = self._deadline(deadline_ms)
        checkpoint = await self._prover.checkpoint(0, timeout_ms)
        findings: list[Finding] = [self._prover.checked(checkpoint)]
        if seen_before is not None:
            findings.append(await self._prover.prove_consistency(seen_before, checkpoint, timeout_ms))
        return Verification(None, checkpoint, Findings(findings))
