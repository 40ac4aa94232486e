"""A kept record as the message that a site gives out, with the proof of its author's signature; and what became of one that was sent."""

from __future__ import annotations

from sento_node.ledger import reading
from sento_node.ledger.results import NOWHERE, RecordOutcome
from sento_node.ledger.store import KeptRecord, LedgerStore
from sento_node.sync.entries import officer_frames
from sento_proto.v1 import common_pb2


def stored_record(store: LedgerStore, kept: KeptRecord, *, header_only: bool) -> common_pb2.StoredRecord:
    """The message. Raises LedgerDamaged for a record that is fenced.

    A payload that was erased is left out like one that was not asked for; the header says that there was one."""
    store.check_given_out(kept.position)
    proof = reading.submission_proof(store, kept)
    record = common_pb2.StoredRecord(
        position=kept.position,
        header=kept.header_bytes,
        payload=b"" if header_only or kept.payload is None else kept.payload,
        payload_hash=kept.payload_hash,
        record_hash=kept.record_hash,
        link=kept.link,
        submission=common_pb2.SubmissionProof(
            author_key_id=proof.author_key_id,
            count=proof.record_count,
            index=proof.nth,
            path=proof.path,
            signatures=[
                common_pb2.SignatureFrame(suite=signature.suite, data=signature.data)
                for signature in proof.signatures
            ],
            officers=officer_frames(proof.officers),
            epoch=proof.epoch,
        ),
    )
    if kept.previous_of_subject != NOWHERE:
        record.previous_of_subject = kept.previous_of_subject
    return record


def hidden_record(kept: KeptRecord) -> common_pb2.StoredRecord:
    """That a record stands there, for a caller who may not see its header: enough for the subject's chain to verify, and nothing of what it is about."""
    record = common_pb2.StoredRecord(
        position=kept.position, record_hash=kept.record_hash, link=kept.link, hidden=True
    )
    if kept.previous_of_subject != NOWHERE:
        record.previous_of_subject = kept.previous_of_subject
    return record


def outcome_message(outcome: RecordOutcome) -> common_pb2.Outcome:
    """What became of a record; position 0 where it does not stand."""
    return common_pb2.Outcome(
        code=outcome.code,
        position=0 if outcome.position == NOWHERE else outcome.position,
        record_hash=outcome.record_hash,
    )
