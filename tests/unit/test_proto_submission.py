"""Submissions and acts: one encoding, records that belong together, signatures that count once and for one ledger."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesis_builder import build_genesis, make_act, make_record, make_submission
from golden_vectors.accepted_frames import full_submission_records
from golden_vectors.ground import AUTHOR, LEDGER_ID
from properties import PROPERTY, assert_every_flip_and_cut, assert_one_encoding, damaged
from sento_client.testing.world import Numbers
from sento_proto import limits, merkle
from sento_proto.header import ZERO16
from sento_proto.keys import PublicKey, Signature, Signer, verifies
from sento_proto.record import Record
from sento_proto.record import make_record as record_without_payload
from sento_proto.submission import (
    Submission,
    act_signed_bytes,
    author_signatures_hold,
    decode_submission,
    encode_signature,
    encode_submission,
    encoded_record_bytes,
    group_value,
    sign_act,
    sign_submission,
    signed_bytes,
)
from sento_proto.wire import Malformed, sized32, u8, u32

WORLD = build_genesis()
AUTHOR_NAME = "iizuka-city"


def numbered(count: int) -> list[Record]:
    """Small records, the same ones in each call."""
    numbers = Numbers(7)
    return [
        make_record(
            WORLD,
            AUTHOR_NAME,
            "residency",
            "address",
            subject=bytes([n]) * 32,
            fact=bytes([n]) * 16,
            content=None,
            numbers=numbers,
        )
        for n in range(count)
    ]


def encode(submission: Submission) -> bytes:
    """Any submission or act from its decoded form."""
    if not submission.is_act:
        return encode_submission(
            submission.ledger_id, submission.author_key_id, submission.records, submission.signatures
        )
    record = submission.records[0]
    parts = [u8(2), submission.ledger_id, u32(submission.epoch), u32(1)]
    parts += [sized32(record.header_bytes), sized32(record.payload), u8(len(submission.officers))]
    parts += [key_id + encode_signature(signature) for key_id, signature in submission.officers]
    return b"".join(parts)


SEALED = make_submission(
    WORLD, AUTHOR_NAME, [make_record(WORLD, AUTHOR_NAME, "tax", "assessment/income", b"s" * 32, b"f" * 16)]
)
THREE = make_submission(WORLD, AUTHOR_NAME, numbered(3))
ACT = make_act(WORLD, b'{"rules":2}')


@pytest.mark.parametrize("data", [SEALED, THREE, ACT], ids=["one sealed record", "three records", "an act"])
def test_every_byte_changed_and_every_truncation(data: bytes) -> None:
    assert_every_flip_and_cut(decode_submission, encode, data)


@PROPERTY
@given(st.sampled_from((SEALED, THREE, ACT)).flatmap(damaged))
def test_damaged_bytes_are_refused_or_have_one_encoding(data: bytes) -> None:
    assert_one_encoding(decode_submission, encode, data)


@PROPERTY
@given(st.integers(1, 60), st.integers(0, 10))
def test_what_is_signed_decodes_and_its_signature_holds(count: int, grouped: int) -> None:
    records = numbered(count)
    grouped = min(grouped, count)
    value = group_value([record.header.record_id for record in records[:grouped]])
    for n in range(grouped):
        records[n] = record_without_payload(records[n].header._replace(group=value), b"")
    submission = decode_submission(make_submission(WORLD, AUTHOR_NAME, records))
    assert list(submission.records) == records
    assert author_signatures_hold(submission, [WORLD.author_signers[AUTHOR_NAME].public_key])
    assert submission.root == merkle.root_of(record.record_hash for record in records)


def test_each_record_is_verifiable_alone_by_its_path() -> None:
    submission = decode_submission(make_submission(WORLD, AUTHOR_NAME, numbered(11)))
    hashes = [record.record_hash for record in submission.records]
    for index, record_hash in enumerate(hashes):
        path = merkle.inclusion_proof(merkle.subtree_reader(hashes), index, 11)
        assert merkle.verify_inclusion(record_hash, index, 11, path, submission.root)
    single = decode_submission(make_submission(WORLD, AUTHOR_NAME, numbered(1)))
    assert single.root == single.records[0].record_hash


def test_no_bit_of_a_submission_can_change_under_its_signature() -> None:
    key = WORLD.author_signers[AUTHOR_NAME].public_key
    for at in range(len(THREE)):
        changed = THREE[:at] + bytes((THREE[at] ^ 1,)) + THREE[at + 1 :]
        try:
            submission = decode_submission(changed)
        except Malformed:
            continue
        assert not author_signatures_hold(submission, [key]), f"byte {at}"


class Impostor:
    """Signs with a key of its own and shows another."""

    def __init__(self, signer: Signer, shown: PublicKey) -> None:
        self._signer = signer
        self._shown = shown

    @property
    def public_key(self) -> PublicKey:
        return self._shown

    def sign(self, message: bytes) -> Signature:
        return self._signer.sign(message)


def test_a_key_that_the_submission_does_not_name_never_counts() -> None:
    forger, author = WORLD.author_signers["kaga-city"], WORLD.author_signers[AUTHOR_NAME]
    data = sign_submission(WORLD.ledger_id, numbered(2), Impostor(forger, author.public_key))
    forged = decode_submission(data)
    message = signed_bytes(WORLD.ledger_id, forged.root, 2, author.public_key.key_id)
    assert verifies(forger.public_key, forged.signatures[0], message)
    assert not author_signatures_hold(forged, [forger.public_key])
    assert not author_signatures_hold(forged, [author.public_key])


def test_a_second_signature_beside_a_good_one_does_not_count_under_these_rules() -> None:
    submission = decode_submission(THREE)
    two = encode_submission(
        WORLD.ledger_id,
        submission.author_key_id,
        submission.records,
        [*submission.signatures, Signature(3, b"ml-dsa to come")],
    )
    assert not author_signatures_hold(decode_submission(two), [WORLD.author_signers[AUTHOR_NAME].public_key])


def test_an_acts_officers_each_sign_epoch_and_record() -> None:
    act = decode_submission(ACT)
    assert act.is_act
    assert act.author_key_id == ZERO16
    keys = {signer.public_key.key_id: signer.public_key for signer in WORLD.officer_signers.values()}
    message = act_signed_bytes(WORLD.ledger_id, 1, act.records[0].record_hash)
    assert len(act.officers) == 2
    assert all(verifies(keys[key_id], signature, message) for key_id, signature in act.officers)
    assert not author_signatures_hold(act, [next(iter(keys.values()))])


@pytest.mark.parametrize(
    "officers", [(), ("officer-one", "officer-one")], ids=["nobody", "one officer twice"]
)
def test_an_act_is_not_made_without_officers_or_with_one_twice(officers: tuple[str, ...]) -> None:
    with pytest.raises(Malformed):
        make_act(WORLD, b"{}", officers)


def test_an_officer_does_not_count_twice_under_two_suites() -> None:
    act = decode_submission(ACT)
    first = act.officers[0]
    twice = act._replace(officers=(first, first._replace(signature=Signature(3, first.signature.data))))
    with pytest.raises(Malformed, match="one order"):
        decode_submission(encode(twice))


def test_records_that_fill_a_submission_and_one_byte_more() -> None:
    full = full_submission_records()
    assert sum(map(encoded_record_bytes, full)) == limits.SUBMISSION_RECORDS_MAX_BYTES
    assert decode_submission(sign_submission(LEDGER_ID, full, AUTHOR)).records == tuple(full)
    with pytest.raises(Malformed, match="more than 57344"):
        sign_submission(LEDGER_ID, full_submission_records(1), AUTHOR)


def test_the_signer_refuses_what_the_decoder_would_refuse() -> None:
    records = numbered(2)
    signer = WORLD.author_signers[AUTHOR_NAME]
    other_registry = record_without_payload(records[1].header._replace(registry="tax"), b"")
    split = record_without_payload(records[1].header._replace(group=b"g" * 16), b"")
    wrong_payload = records[1]._replace(payload=b"not what the header says")
    for bad in ([], [records[0], records[0]], [records[0], other_registry], [split], [wrong_payload]):
        with pytest.raises(Malformed):
            sign_submission(WORLD.ledger_id, bad, signer)
    with pytest.raises(Malformed, match="another author key"):
        sign_submission(WORLD.ledger_id, records, WORLD.author_signers["kaga-city"])
    with pytest.raises(Malformed, match="ledger id"):
        sign_submission(WORLD.ledger_id[:31], records, signer)


def test_acts_over_the_limit_of_signatures_are_refused() -> None:
    world = build_genesis(officers=[f"officer-{n}" for n in range(17)])
    act = make_act(world, b"{}", list(world.officer_signers)[:16])
    assert len(decode_submission(act).officers) == 16
    record = decode_submission(act).records[0]
    with pytest.raises(Malformed, match="17 signatures"):
        sign_act(world.ledger_id, 1, record, list(world.officer_signers.values()))
