"""Verifying: what is genuine passes, and each alteration is caught by the rule that exists for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genesis_builder import TestWorld, build_genesis, make_record, make_submission
from sento_client.messages import inclusion_of, stored_of
from sento_client.testing.served import ServedLedger
from sento_client.testing.world import derived
from sento_client.trust import Trust
from sento_client.verifying import (
    Asked,
    Check,
    Findings,
    Stored,
    Verdict,
    check_checkpoint,
    check_consistency,
    check_fact_chain,
    check_inclusion,
    check_record,
    check_subject_chain,
)
from sento_proto import header as header_layout
from sento_proto import merkle
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.errors import Code
from sento_proto.header import ZERO32
from sento_proto.keys import Signature
from sento_proto.merkle import root_of_path
from sento_proto.record import PAYLOAD_HASH_OF_NOTHING
from sento_proto.v1 import client_pb2

AUTHOR = "iizuka-city"
SUBJECT, FACT = bytes(range(32)), bytes(range(16))


@pytest.fixture(scope="module")
def world() -> TestWorld:
    return build_genesis()


@pytest.fixture(scope="module")
def ledger(world: TestWorld) -> ServedLedger:
    """Seven records: five versions of one fact by two submissions, and two bystanders."""
    ledger = ServedLedger(world)
    previous = ZERO32
    for count in (3, 2):
        records = []
        for _ in range(count):
            records.append(make_record(world, AUTHOR, "residency", "residence", SUBJECT, FACT, previous))
            previous = records[-1].record_hash
        bystander = make_record(world, AUTHOR, "residency", "k", derived("other"), world.numbers.take(16))
        reply = ledger.take(make_submission(world, AUTHOR, [*records, bystander]))
        assert all(outcome.code == Code.ACCEPTED for outcome in reply.outcomes)
    return ledger


@pytest.fixture(scope="module")
def trust(world: TestWorld) -> Trust:
    return Trust.of(world.genesis)


def stored(ledger: ServedLedger, position: int = 1) -> Stored:
    return stored_of(ledger.stored(position))


def failing(findings: Findings) -> list[Check]:
    return [finding.check for finding in findings if finding.verdict is Verdict.FAILS]


def test_genuine_records_verify_in_every_check(ledger: ServedLedger, trust: Trust) -> None:
    for position in range(len(ledger.records)):
        header, findings = check_record(stored(ledger, position), trust, Asked(position=position))
        assert header is not None
        assert findings.ok, findings.why
        assert [f.check for f in findings] == [
            Check.FORM,
            Check.ASKED_FOR,
            Check.PAYLOAD,
            Check.HASH,
            Check.AUTHOR,
            Check.SIGNATURE,
        ]


def _flip(data: bytes, place: int = 0) -> bytes:
    return data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]


def _submission(change: Callable[[Stored], dict[str, object]]) -> Callable[[Stored], Stored]:
    return lambda record: record._replace(submission=record.submission._replace(**change(record)))  # type: ignore[arg-type]


ALTERATIONS: dict[str, tuple[Callable[[Stored], Stored], Check]] = {
    "payload altered": (lambda r: r._replace(payload=_flip(r.payload, -1)), Check.PAYLOAD),
    "payload cut": (lambda r: r._replace(payload=r.payload[:-1]), Check.PAYLOAD),
    "payload hash altered": (lambda r: r._replace(payload_hash=_flip(r.payload_hash)), Check.PAYLOAD),
    "payload and its hash exchanged": (
        lambda r: r._replace(payload=b"", payload_hash=PAYLOAD_HASH_OF_NOTHING),
        Check.HASH,
    ),
    "record hash altered": (lambda r: r._replace(record_hash=_flip(r.record_hash)), Check.HASH),
    "header altered": (lambda r: r._replace(header_bytes=_flip(r.header_bytes, 40)), Check.HASH),
    "header with bytes after it": (lambda r: r._replace(header_bytes=r.header_bytes + b"\0"), Check.FORM),
    "header cut": (lambda r: r._replace(header_bytes=r.header_bytes[:-1]), Check.FORM),
    "path altered": (
        _submission(lambda r: {"path": (_flip(r.submission.path[0]), *r.submission.path[1:])}),
        Check.SIGNATURE,
    ),
    "path cut": (_submission(lambda r: {"path": r.submission.path[1:]}), Check.SIGNATURE),
    "path too long": (_submission(lambda r: {"path": (*r.submission.path, bytes(32))}), Check.SIGNATURE),
    "another place": (_submission(lambda r: {"place": r.submission.place + 1}), Check.SIGNATURE),
    "another count": (_submission(lambda r: {"records": r.submission.records + 4}), Check.SIGNATURE),
    "signature altered": (
        _submission(lambda r: {"signatures": (Signature(1, _flip(r.submission.signatures[0].data)),)}),
        Check.SIGNATURE,
    ),
    "signature of another suite": (
        _submission(lambda r: {"signatures": (Signature(2, r.submission.signatures[0].data),)}),
        Check.SIGNATURE,
    ),
    "no signature": (_submission(lambda _: {"signatures": ()}), Check.SIGNATURE),
    "signature twice": (_submission(lambda r: {"signatures": r.submission.signatures * 2}), Check.SIGNATURE),
    "unknown author key": (_submission(lambda _: {"author_key_id": bytes(range(16))}), Check.AUTHOR),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_alteration_is_caught(ledger: ServedLedger, trust: Trust, name: str) -> None:
    alter, check = ALTERATIONS[name]
    _, findings = check_record(alter(stored(ledger)), trust)
    assert failing(findings)[0] is check
    assert findings.why.startswith(str(check))


def test_record_under_the_key_of_another_author_is_caught(
    ledger: ServedLedger, trust: Trust, world: TestWorld
) -> None:
    record = stored(ledger)
    other = record.submission._replace(author_key_id=world.key_id("kaga-city"))
    _, findings = check_record(record._replace(submission=other), trust)
    assert failing(findings) == [Check.AUTHOR]


def test_submission_of_another_ledger_is_caught(ledger: ServedLedger) -> None:
    foreign = build_genesis(name="sento-test", registries=("residency", "tax", "health"))
    assert foreign.ledger_id != ledger.world.ledger_id
    _, findings = check_record(stored(ledger), Trust.of(foreign.genesis))
    assert failing(findings) == [Check.SIGNATURE]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked(position=2), "position"),
        (Asked(record_hash=bytes(32)), "record hash"),
        (Asked(author="kaga-city"), "author"),
        (Asked(record_id=bytes(16)), "record id"),
        (Asked(registry="tax"), "registry"),
        (Asked(subject=bytes(32)), "subject"),
        (Asked(fact=bytes(16)), "fact"),
    ],
)
def test_genuine_record_that_was_not_asked_for_is_caught(
    ledger: ServedLedger, trust: Trust, asked: Asked, words: str
) -> None:
    _, findings = check_record(stored(ledger, 1), trust, asked)
    assert failing(findings) == [Check.ASKED_FOR]
    assert words in findings.why


def test_payload_that_is_not_given_out_is_no_failure_and_no_success(
    ledger: ServedLedger, trust: Trust
) -> None:
    _, findings = check_record(stored(ledger)._replace(payload=b""), trust)
    assert findings.ok
    assert [f.verdict for f in findings if f.check is Check.PAYLOAD] == [Verdict.NOT_SHOWN]


def test_root_of_path_agrees_with_the_tree_for_every_place_and_size() -> None:
    for size in range(1, 18):
        leaves = [merkle.leaf_hash(bytes((n,))) for n in range(size)]
        read = merkle.subtree_reader(leaves)
        for place in range(size):
            path = merkle.inclusion_proof(read, place, size)
            assert root_of_path(leaves[place], place, size, path) == merkle.root_of(leaves)
    assert root_of_path(leaves[0], 17, 17, path) is None
    assert root_of_path(leaves[0], -1, 17, path) is None
    first = merkle.inclusion_proof(read, 0, 17)
    assert root_of_path(leaves[0], 0, 17, first[:-1]) is None
    assert root_of_path(leaves[0], 0, 17, [*first, bytes(32)]) is None


def test_checkpoint_needs_a_quorum_of_the_receipt_set(ledger: ServedLedger, trust: Trust) -> None:
    sites = ledger.world.genesis.voting_sites
    quorum = decode_checkpoint(ledger.checkpoint(sites[1:]))
    assert check_checkpoint(quorum, trust).verdict is Verdict.HOLDS
    one = decode_checkpoint(ledger.checkpoint(sites[:1]))
    assert check_checkpoint(one, trust).verdict is Verdict.FAILS
    twice = one._replace(signatures=one.signatures * 2)
    assert check_checkpoint(twice, trust).verdict is Verdict.FAILS


def test_cosignatures_do_not_carry_over_to_another_size_root_or_ledger(
    ledger: ServedLedger, trust: Trust
) -> None:
    good = decode_checkpoint(ledger.checkpoint())
    for other in (
        good._replace(size=good.size + 1),
        good._replace(root=bytes(32)),
        good._replace(epoch=good.epoch + 1),
        good._replace(ledger_id=bytes(32)),
    ):
        assert check_checkpoint(other, trust).verdict is Verdict.FAILS


def test_inclusion_holds_for_the_record_and_for_no_other(ledger: ServedLedger) -> None:
    checkpoint = decode_checkpoint(ledger.checkpoint())
    (message,) = ledger.proof(client_pb2.ProofRequest(size=checkpoint.size, positions=[1])).inclusions
    inclusion = inclusion_of(message)
    assert check_inclusion(stored(ledger, 1), inclusion, checkpoint).verdict is Verdict.HOLDS
    moved = stored(ledger, 1)._replace(position=2)
    for record, proof in (
        (stored(ledger, 2), inclusion),
        (moved, inclusion._replace(position=2)),
        (stored(ledger, 1)._replace(record_hash=bytes(32)), inclusion),
        (stored(ledger, 1), inclusion._replace(path=inclusion.path[:-1])),
    ):
        assert check_inclusion(record, proof, checkpoint).verdict is Verdict.FAILS


def test_consistency_holds_only_for_an_extension(ledger: ServedLedger) -> None:
    newer = decode_checkpoint(ledger.checkpoint())
    ledger.cosigned_size = 3
    older = decode_checkpoint(ledger.checkpoint())
    ledger.cosigned_size = None
    proof = list(ledger.proof(client_pb2.ProofRequest(size=newer.size, consistent_with_size=3)).consistency)
    assert check_consistency(older, newer, proof).verdict is Verdict.HOLDS
    assert check_consistency(newer, newer, ()).verdict is Verdict.HOLDS
    for bad in (
        check_consistency(older._replace(root=bytes(32)), newer, proof),
        check_consistency(older, newer._replace(root=bytes(32)), proof),
        check_consistency(older, newer, proof[:-1]),
        check_consistency(newer, older, proof),
        check_consistency(newer, newer._replace(root=bytes(32)), ()),
        check_consistency(older._replace(epoch=2), newer, proof),
    ):
        assert bad.verdict is Verdict.FAILS


def test_fact_chain_breaks_when_a_version_is_left_out_or_out_of_order(ledger: ServedLedger) -> None:
    versions = []
    for position in (5, 4, 2, 1, 0):
        record = stored(ledger, position)
        versions.append((record, header_layout.decode(record.header_bytes)))
    assert check_fact_chain(versions, complete=True).verdict is Verdict.HOLDS
    assert check_fact_chain(versions[:3], complete=False).verdict is Verdict.HOLDS
    assert check_fact_chain([], complete=True).verdict is Verdict.HOLDS
    for broken in (versions[:-1], versions[:1] + versions[2:], versions[::-1], [*versions, versions[-1]]):
        assert check_fact_chain(broken, complete=True).verdict is Verdict.FAILS


def test_subject_chain_breaks_when_a_record_is_left_out(ledger: ServedLedger) -> None:
    records = [stored(ledger, position) for position in (5, 4, 2, 1, 0)]
    assert check_subject_chain(records, complete=True).verdict is Verdict.HOLDS
    assert check_subject_chain(records[1:3], complete=False).verdict is Verdict.HOLDS
    hidden = records[2]._replace(previous_of_subject=0)
    for broken in (records[:-1], records[:1] + records[2:], [*records[:2], hidden, records[4]]):
        assert check_subject_chain(broken, complete=True).verdict is Verdict.FAILS
    forged = records[-1]._replace(link=bytes(32))
    assert check_subject_chain([*records[:-1], forged], complete=True).verdict is Verdict.FAILS
