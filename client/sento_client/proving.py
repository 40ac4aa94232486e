"""Proofs from the sites: a checkpoint that a quorum cosigned, a record's place under it, and that it extends one seen before.

A proof is good wherever it comes from, so any site is asked, and one that cannot show it is only one that cannot show it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sento_client.asker import Asker, Terms, damaged, must_hold
from sento_client.messages import inclusion_of
from sento_client.outbox.keeping import Run
from sento_client.transport import CHECKPOINT, PROOF
from sento_client.trust import Trust
from sento_client.verifying import (
    Finding,
    Inclusion,
    Stored,
    Verdict,
    check_checkpoint,
    check_consistency,
    check_inclusion,
)
from sento_proto.checkpoint import Checkpoint, decode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.merkle import verify_inclusion, verify_run
from sento_proto.v1 import client_pb2
from sento_proto.wire import Malformed

_NOT_COVERED_YET = frozenset({Code.OUT_OF_RANGE, Code.NOT_FOUND})
"""What a site says that has not come so far; a moment later, or elsewhere, the answer is another."""


class Prover:
    """Proofs of one ledger. `trust`: what is believed now, asked anew for each answer."""

    def __init__(self, asker: Asker, trust: Callable[[], Trust]) -> None:
        self._asker = asker
        self._trust = trust

    async def checkpoint(self, at_least_size: int, timeout_ms: int, avoid: str | None = None) -> Checkpoint:
        """The newest checkpoint of at least that size that a receipt-set quorum cosigned. `avoid`: the site to ask last."""

        def accept(site: str, reply: client_pb2.CheckpointReply) -> Checkpoint:
            try:
                checkpoint = decode_checkpoint(reply.checkpoint)
            except Malformed as error:
                raise damaged(site, str(error)) from None
            finding = check_checkpoint(checkpoint, self._trust())
            if finding.verdict is not Verdict.HOLDS:
                raise damaged(site, finding.why)
            if checkpoint.size < at_least_size:
                raise SentoError(Code.OUT_OF_RANGE, f"{site}: a quorum has cosigned size {checkpoint.size}")
            return checkpoint

        request = client_pb2.CheckpointRequest(at_least_size=at_least_size)
        terms = Terms("", "", timeout_ms=timeout_ms)
        return await self._asker.ask(
            CHECKPOINT, request, accept, terms, ask_again=_NOT_COVERED_YET, avoid=avoid
        )

    async def prove_inclusion(self, stored: Stored, checkpoint: Checkpoint, timeout_ms: int) -> Finding:
        """The finding that the record stands in the checkpoint's tree. Raises SentoError DAMAGED when no site can show it."""

        def accept(site: str, reply: client_pb2.ProofReply) -> Finding:
            proofs = [inclusion_of(proof) for proof in reply.inclusions]
            if len(proofs) != 1:
                raise damaged(site, "it gave another number of proofs")
            return must_hold(site, check_inclusion(stored, proofs[0], checkpoint))

        request = client_pb2.ProofRequest(size=checkpoint.size, positions=[stored.position])
        terms = Terms("", "", timeout_ms=timeout_ms)
        return await self._asker.ask(PROOF, request, accept, terms, ask_again=_NOT_COVERED_YET)

    async def prove_runs(self, runs: Sequence[Run], checkpoint: Checkpoint, timeout_ms: int) -> list[bool]:
        """For each run of records, whether they stand where it says; False is as proven as True: something else is shown to stand there.

        At most LIST_PAGE_MAX / 2 of them. Raises SentoError DAMAGED when no site can show what stands."""
        ends = [(run.position, run.position + len(run.record_hashes) - 1) for run in runs]

        def accept(site: str, reply: client_pb2.ProofReply) -> list[bool]:
            proofs = [inclusion_of(proof) for proof in reply.inclusions]
            if [proof.position for proof in proofs] != [position for both in ends for position in both]:
                raise damaged(site, "it gave proofs of other positions")
            held = []
            for run, first, last in zip(runs, proofs[::2], proofs[1::2], strict=True):
                holds = verify_run(
                    run.record_hashes, run.position, checkpoint.size, first.path, last.path, checkpoint.root
                )
                if not holds:
                    _must_prove(site, first, checkpoint)
                    _must_prove(site, last, checkpoint)
                held.append(holds)
            return held

        request = client_pb2.ProofRequest(size=checkpoint.size, positions=[p for both in ends for p in both])
        terms = Terms("", "", timeout_ms=timeout_ms)
        return await self._asker.ask(PROOF, request, accept, terms, ask_again=_NOT_COVERED_YET)

    async def prove_consistency(self, older: Checkpoint, newer: Checkpoint, timeout_ms: int) -> Finding:
        """The finding that the newer checkpoint extends the older. Raises SentoError DAMAGED when no site can show it."""
        without_proof = check_consistency(older, newer, ())
        if newer.size <= older.size or newer.epoch < older.epoch or not older.size:
            return without_proof

        def accept(site: str, reply: client_pb2.ProofReply) -> Finding:
            return must_hold(site, check_consistency(older, newer, tuple(reply.consistency)))

        request = client_pb2.ProofRequest(size=newer.size, consistent_with_size=older.size)
        terms = Terms("", "", timeout_ms=timeout_ms)
        return await self._asker.ask(PROOF, request, accept, terms, ask_again=_NOT_COVERED_YET)

    def checked(self, checkpoint: Checkpoint) -> Finding:
        """The finding on a checkpoint's cosignatures."""
        return check_checkpoint(checkpoint, self._trust())


def _must_prove(site: str, proof: Inclusion, checkpoint: Checkpoint) -> None:
    """What the site itself says to stand there must verify; else it is the site that is wrong. Raises SentoError DAMAGED."""
    if not verify_inclusion(proof.record_hash, proof.position, checkpoint.size, proof.path, checkpoint.root):
        raise damaged(site, f"its proof of position {proof.position} does not verify")
