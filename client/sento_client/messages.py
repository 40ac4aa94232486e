"""Between protobuf messages and the plain values that the rest of the client works with. Nothing is checked here and nothing believed."""

from __future__ import annotations

from collections.abc import Iterable

from sento_client.delivery_values import Answer, code_of
from sento_client.results import AsOf, Freshness, Outcome, RecordName
from sento_client.verifying import Inclusion, Stored
from sento_proto.keys import Signature
from sento_proto.record_object import SubmissionPath
from sento_proto.submission import OfficerSignature
from sento_proto.v1 import client_pb2, common_pb2

_FRESHNESS = {
    Freshness.LINEARIZABLE: common_pb2.Freshness.LINEARIZABLE,
    Freshness.LOCAL: common_pb2.Freshness.LOCAL,
}


def stored_of(message: common_pb2.StoredRecord) -> Stored:
    """A record as it was given out."""
    submission = message.submission
    return Stored(
        position=message.position,
        header_bytes=message.header,
        payload=message.payload,
        payload_hash=message.payload_hash,
        record_hash=message.record_hash,
        link=message.link,
        previous_of_subject=(
            message.previous_of_subject if message.HasField("previous_of_subject") else None
        ),
        payload_withheld=message.payload_withheld,
        hidden=message.hidden,
        submission=SubmissionPath(
            submission.author_key_id,
            submission.count,
            submission.index,
            tuple(submission.path),
            tuple(Signature(frame.suite, frame.data) for frame in submission.signatures),
            tuple(
                OfficerSignature(frame.officer_key_id, Signature(frame.signature.suite, frame.signature.data))
                for frame in submission.officers
            ),
            submission.epoch,
        ),
    )


def as_of_of(message: common_pb2.AsOf) -> AsOf:
    """As of when an answer holds."""
    return AsOf(message.epoch, message.size, message.confirmed_at_ms, message.site)


def inclusion_of(message: client_pb2.InclusionProof) -> Inclusion:
    """An inclusion proof."""
    return Inclusion(message.position, message.record_hash, tuple(message.path))


def answers_of(outcomes: Iterable[common_pb2.Outcome]) -> list[Answer]:
    """A site's word on each record of a submission."""
    return [Answer(outcome.code, outcome.position, outcome.record_hash) for outcome in outcomes]


def outcome_of(name: RecordName, message: common_pb2.Outcome) -> Outcome:
    """A site's word on a record by name."""
    return Outcome(name, code_of(message.code), message.position, message.record_hash)


def purpose_of(purpose: str, case_number: str) -> common_pb2.Purpose:
    """What every request for records carries."""
    return common_pb2.Purpose(purpose=purpose, case_number=case_number)


def freshness_of(freshness: Freshness) -> common_pb2.Freshness.ValueType:
    """How current the answer must be."""
    return _FRESHNESS[freshness]


def record_name_of(name: RecordName) -> client_pb2.RecordName:
    """A record by (author, record id)."""
    return client_pb2.RecordName(author=name.author, record_id=name.record_id)
