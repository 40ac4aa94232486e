"""Proofs from the sites: a checkpoint that a quorum cosigned, a record's place under it, and that it extends one seen before.

A proof is good wherever it comes from, so any site is asked, and one that cannot show it is only one that cannot show it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sento_client.asker import Asker, Terms, damaged, must_hold
from sento_client.messages import inclusion_of
from sento_client.outbox.keeping import Run
from sento_client.receipts.histories import find_two_histories, not_extended
from sento_client.receipts.watch import CheckpointWatch
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
from sento_proto.checkpoint import Checkpoint, cosigners, decode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.fraud import Fraud
from sento_proto.governance.placing import keys_abroad, sites_abroad
from sento_proto.merkle import run_paths, verify_consistency, verify_inclusion
from sento_proto.receipt import Receipt
from sento_proto.v1 import client_pb2
from sento_proto.wire import Malformed

COSIGNATURE_WAIT_MS = 2_000
"""How long a site is asked to wait for a cosignature from abroad: less than a site's share of a question's time (`AskSettings.try_timeout_ms`)."""
_NOT_COVERED_YET = frozenset({Code.OUT_OF_RANGE, Code.NOT_FOUND})
"""What a site says that has not come so far; a moment later, or elsewhere, the answer is another."""


class RunProof(NamedTuple):
    """Inclusion paths of a run's first and last record, which were verified."""

    first: tuple[bytes, ...]
    last: tuple[bytes, ...]


class Prover:
    """Proofs of one ledger. `trust`: what is believed now, asked anew for each answer. `watch`: compares each checkpoint with those seen before."""

    def __init__(
        self, asker: Asker, trust: Callable[[], Trust], watch: CheckpointWatch | None = None
    ) -> None:
        self._asker = asker
        self._trust = trust
        self._watch = watch

    async def checkpoint(self, at_least_size: int, timeout_ms: int, avoid: str | None = None) -> Checkpoint:
        """The newest checkpoint of at least that size that a receipt-set quorum cosigned. `avoid`: the site to ask last."""

        def accept(site: str, reply: client_pb2.CheckpointReply) -> Checkpoint:
            return self._taken_from(site, reply, at_least_size)

        request = client_pb2.CheckpointRequest(at_least_size=at_least_size)
        terms = Terms("", "", timeout_ms=timeout_ms)
        return await self._asker.ask(
            CHECKPOINT, request, accept, terms, ask_again=_NOT_COVERED_YET, avoid=avoid
        )

    async def checkpoint_abroad(self, at_least_size: int, timeout_ms: int) -> tuple[Checkpoint, str]:
        """The same of one that a site abroad cosigned as well, and that site's name: its cosignature is verified by its keys in governance.

        Any site may give it out, and waits a moment for the cosignature. Raises SentoError NOT_FOUND where there is no site abroad, and as `checkpoint`."""

        def accept(site: str, reply: client_pb2.CheckpointReply) -> tuple[Checkpoint, str]:
            checkpoint = self._taken_from(site, reply, at_least_size)
            abroad = cosigners(checkpoint, keys_abroad(self._trust().governance))
            if not abroad:
                raise SentoError(
                    Code.NOT_FOUND, f"{site}: no site abroad has cosigned size {checkpoint.size} yet"
                )
            return checkpoint, next(iter(abroad))

        names = sites_abroad(self._trust().governance)
        if not names:
            raise SentoError(Code.NOT_FOUND, "this ledger has no site abroad")
        request = client_pb2.CheckpointRequest(
            at_least_size=at_least_size, cosigned_by=names, wait_ms=min(timeout_ms, COSIGNATURE_WAIT_MS)
        )
        terms = Terms("", "", timeout_ms=timeout_ms)
        return await self._asker.ask(CHECKPOINT, request, accept, terms, ask_again=_NOT_COVERED_YET)

    def _taken_from(self, site: str, reply: client_pb2.CheckpointReply, at_least_size: int) -> Checkpoint:
        """What a site gave out, verified. Raises SentoError."""
        try:
            checkpoint = decode_checkpoint(reply.checkpoint)
        except Malformed as error:
            raise damaged(site, str(error)) from None
        try:
            finding = self.checked(checkpoint)
        except SentoError as error:
            raise damaged(site, error.detail) from None
        if finding.verdict is not Verdict.HOLDS:
            raise damaged(site, finding.why)
        if checkpoint.size < at_least_size:
            raise SentoError(Code.OUT_OF_RANGE, f"{site}: a quorum has cosigned size {checkpoint.size}")
        return checkpoint

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

    async def inclusion(
        self, position: int, record_hash: bytes, checkpoint: Checkpoint, timeout_ms: int
    ) -> Inclusion:
        """A record's path to the checkpoint's root, verified. Raises SentoError DAMAGED when no site can show it."""

        def accept(site: str, reply: client_pb2.ProofReply) -> Inclusion:
            proofs = [inclusion_of(proof) for proof in reply.inclusions]
            if len(proofs) != 1 or (proofs[0].position, proofs[0].record_hash) != (position, record_hash):
                raise damaged(site, f"it shows something else at position {position}")
            _must_prove(site, proofs[0], checkpoint)
            return proofs[0]

        request = client_pb2.ProofRequest(size=checkpoint.size, positions=[position])
        terms = Terms("", "", timeout_ms=timeout_ms)
        return await self._asker.ask(PROOF, request, accept, terms, ask_again=_NOT_COVERED_YET)

    async def standing(self, position: int, checkpoint: Checkpoint, timeout_ms: int) -> Inclusion:
        """Whichever record stands at this position, with its path to the checkpoint's root, verified. Raises SentoError DAMAGED when no site can show it."""

        def accept(site: str, reply: client_pb2.ProofReply) -> Inclusion:
            proofs = [inclusion_of(proof) for proof in reply.inclusions]
            if [proof.position for proof in proofs] != [position]:
                raise damaged(site, "it gave proofs of other positions")
            _must_prove(site, proofs[0], checkpoint)
            return proofs[0]

        request = client_pb2.ProofRequest(size=checkpoint.size, positions=[position])
        terms = Terms("", "", timeout_ms=timeout_ms)
        return await self._asker.ask(PROOF, request, accept, terms, ask_again=_NOT_COVERED_YET)

    async def prove_runs(
        self, runs: Sequence[Run], checkpoint: Checkpoint, timeout_ms: int
    ) -> list[RunProof | None]:
        """For each run of records, the proof that they stand where it says; None is as proven: something else is shown to stand there.

        At most LIST_PAGE_MAX / 2 of them. In the same question the sites show that the checkpoint extends the newest one that was seen before, and without
        that nothing is believed. Raises SentoError DAMAGED when no site can show it."""
        older = None if self._watch is None else self._watch.newest_before(checkpoint)
        ends = [(run.position, run.position + len(run.record_hashes) - 1) for run in runs]

        def accept(site: str, reply: client_pb2.ProofReply) -> list[RunProof | None]:
            if older is not None and not verify_consistency(
                older.size, older.root, checkpoint.size, checkpoint.root, reply.consistency
            ):
                raise damaged(site, not_extended(older, checkpoint).detail)
            proofs = [inclusion_of(proof) for proof in reply.inclusions]
            if [proof.position for proof in proofs] != [position for both in ends for position in both]:
                raise damaged(site, "it gave proofs of other positions")
            held: list[RunProof | None] = []
            for run, first, last in zip(runs, proofs[::2], proofs[1::2], strict=True):
                paths = run_paths(
                    run.record_hashes, run.position, checkpoint.size, first.path, last.path, checkpoint.root
                )
                if paths is None:
                    _must_prove(site, first, checkpoint)
                    _must_prove(site, last, checkpoint)
                    held.append(None)
                else:
                    # What the site gave beyond that is not needed, and was not verified.
                    held.append(RunProof(paths[0], paths[-1]))
            return held

        request = client_pb2.ProofRequest(size=checkpoint.size, positions=[p for both in ends for p in both])
        if older is not None:
            request.consistent_with_size = older.size
        terms = Terms("", "", timeout_ms=timeout_ms)
        held = await self._asker.ask(PROOF, request, accept, terms, ask_again=_NOT_COVERED_YET)
        if self._watch is not None:
            self._watch.extended(checkpoint)
        return held

    async def find_fraud(
        self, receipts: Sequence[Receipt], checkpoint: Checkpoint, timeout_ms: int
    ) -> list[Fraud]:
        """What can be proven with receipts at hand against who signed a checkpoint that is not shown to extend those before it. Raises SentoError."""
        if self._watch is None:
            return []
        return await find_two_histories(self._asker, self._watch, receipts, checkpoint, timeout_ms)

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
        """The finding on a checkpoint's cosignatures. Raises SentoError DAMAGED when it proves that a site signed two trees of one size."""
        if self._watch is None:
            return check_checkpoint(checkpoint, self._trust())
        return self._watch.judge(checkpoint, self._trust())


def _must_prove(site: str, proof: Inclusion, checkpoint: Checkpoint) -> None:
    """What the site itself says to stand there must verify; else it is the site that is wrong. Raises SentoError DAMAGED."""
    if not verify_inclusion(proof.record_hash, proof.position, checkpoint.size, proof.path, checkpoint.root):
        raise damaged(site, f"its proof of position {proof.position} does not verify")
