"""Receipts, as a program calls for them: from an acknowledgement to a file that verifies without any site, for as long as the file lives."""

from __future__ import annotations

import logging

from sento_client.asker import damaged
from sento_client.outbox.keeping import Run
from sento_client.reading import Name
from sento_client.reading_face import ReadingFace
from sento_client.receipts.archive import NotStored
from sento_client.receipts.store import ProvenRun
from sento_client.record_objects import object_of
from sento_client.results import Acknowledgement, Freshness, RecordName
from sento_proto.errors import STANDING_CODES, SentoError
from sento_proto.fraud import Fraud
from sento_proto.receipt import Receipt, verify_receipt

ID_BYTES = 16
_LOG = logging.getLogger(__name__)


class ReceiptFace(ReadingFace):
    """The calls for receipts."""

    async def receipt(self, done: Acknowledgement, *, deadline_ms: int | None = None) -> Receipt:
        """The receipt of what was acknowledged: from this computer's store, else proven now, under a checkpoint of another site than the one that
        acknowledged, and stored. `encode_receipt` of `sento_proto.receipt` makes the file.

        Raises SentoError DAMAGED, which names the site, when something else stands there: the acknowledgement was false. DEADLINE or UNREACHABLE where no
        quorum has cosigned it yet; the record is in the outbox until then."""
        timeout_ms = self._deadline(deadline_ms)
        stored = await self._stored_receipt(done.position, done.record_hash)
        if stored is not None and stored.checkpoint.epoch == done.epoch:
            return stored
        return await self._prove_receipt(
            done.position, done.record_hash, done.record_id, timeout_ms, avoid=done.site
        )

    async def receipt_of(
        self,
        name: int | bytes,
        *,
        with_record: bool = False,
        purpose: str = "",
        case_number: str = "",
        deadline_ms: int | None = None,
    ) -> Receipt:
        """The receipt of a record by position, record hash (32 bytes) or the id of a record that this institution wrote (16 bytes).

        `with_record` adds header and signatures, which takes purpose and case number like any reading; so does a record that this computer has no receipt
        of. Raises SentoError."""
        timeout_ms = self._deadline(deadline_ms)
        receipt = await self._known_receipt(name, timeout_ms)
        if receipt is not None and not with_record:
            return receipt
        wanted: Name = name if receipt is None else receipt.position
        terms = self._terms(purpose, case_number, Freshness.LINEARIZABLE, True, None, timeout_ms)
        version = await self._reader.read(wanted, terms)
        stored = version.stored
        if receipt is None or receipt.record_hash != stored.record_hash:
            receipt = await self._prove_receipt(
                stored.position, stored.record_hash, version.header.record_id, timeout_ms, version.as_of.site
            )
        return receipt._replace(record=object_of(stored)) if with_record else receipt

    async def standing_at(self, position: int, *, deadline_ms: int | None = None) -> Receipt:
        """Whichever record stands at this position in the ledger now, as a receipt under a quorum's checkpoint: what tells whether a receipt of a former epoch
        that proves nothing by itself any more is good (`verify_receipt`'s `shown`). Raises SentoError."""
        timeout_ms = self._deadline(deadline_ms)
        checkpoint = await self._prover.checkpoint(position + 1, timeout_ms)
        found = await self._prover.standing(position, checkpoint, timeout_ms)
        return Receipt(self.genesis.ledger_id, position, found.record_hash, found.path, checkpoint)

    @property
    def frauds(self) -> list[Fraud]:
        """Sites that were proven to have signed two truths, by this client or before it; their cosignatures do not count."""
        return list(self._watch.frauds)

    async def _known_receipt(self, name: int | bytes, timeout_ms: int) -> Receipt | None:
        archive = self._archive
        if isinstance(name, int):
            return await self._stored_receipt(name, None)
        if len(name) != ID_BYTES:
            found = None if archive is None else await archive.of_hash(name)
            return None if found is None else self._checked_receipt(found)
        found = None if archive is None else await archive.of_id(name)
        if found is not None:
            return self._checked_receipt(found)
        (outcome,) = await self._reader.outcomes([RecordName(self.institution, name)], timeout_ms)
        if outcome.code not in STANDING_CODES:
            raise SentoError(outcome.code, f"record {name.hex()} of {self.institution}")
        stored = await self._stored_receipt(outcome.position, outcome.record_hash)
        return stored or await self._prove_receipt(
            outcome.position, outcome.record_hash, name, timeout_ms, avoid=None
        )

    async def _stored_receipt(self, position: int, record_hash: bytes | None) -> Receipt | None:
        if self._archive is None:
            return None
        found = await self._archive.at(position, record_hash)
        return None if found is None else self._checked_receipt(found)

    def _checked_receipt(self, receipt: Receipt) -> Receipt | None:
        """What lies on disk is believed no more than a site; one that does not verify is proven anew."""
        return receipt if verify_receipt(receipt, self._follower.trust.governance).holds else None

    async def _prove_receipt(
        self, position: int, record_hash: bytes, record_id: bytes, timeout_ms: int, avoid: str | None
    ) -> Receipt:
        checkpoint = await self._prover.checkpoint(position + 1, timeout_ms, avoid)
        run = Run(0, position, (record_hash,))
        (proof,) = await self._prover.prove_runs([run], checkpoint, timeout_ms)
        if proof is None:
            raise damaged(avoid or "a site", f"another record is proven to stand at position {position}")
        if self._archive is not None:
            kept = ProvenRun(position, [record_hash], [record_id], proof.first, proof.last)
            try:
                await self._archive.put(checkpoint, [kept])
            except NotStored as error:
                # The caller has it; the outbox, which must not forget before it is stored, asks for itself.
                _LOG.error("a receipt is not kept on this computer: %s", error)
        return Receipt(self.genesis.ledger_id, position, record_hash, proof.first, checkpoint)
