"""The audit kit on ledgers that never could stand, under checkpoints that a quorum cosigned all the same: what officers and authors signed is asked of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import acts as do
from audit_files import TIME_S, AuditLedger, run_kit
from audit_ledgers import golden_audit_ledger
from epoch_story import set_gap
from genesis_builder import (
    OFFICERS,
    SITES,
    TestWorld,
    act_content,
    base64_of,
    build_genesis,
    ed25519,
    hybrid,
    make_act,
    make_submission,
    p256,
)
from genesis_builder import make_record as sealed
from ledger_driver import fact, subject
from sento_client.testing.world import derived
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.checkpoint import Checkpoint, SiteSigners, cosign_all, encode_checkpoint
from sento_proto.header import ZERO32
from sento_proto.keys import Signature
from sento_proto.merkle import inclusion_proof, root_of, subtree_reader
from sento_proto.record import Record
from sento_proto.record_object import RecordObject, SubmissionPath, record_value
from sento_proto.software_signers import EcdsaP256Signer
from sento_proto.submission import OfficerSignature, decode_submission, encode_submission
from sento_proto.suites import ecdsa_p256

EPOCH = 1
CITY = "iizuka-city"


def laid_out(submissions: Sequence[bytes]) -> list[dict[str, object]]:
    """Record objects of these submissions in order, with true hashes, paths and links, whatever is in them."""
    rows: list[dict[str, object]] = []
    newest: dict[tuple[str, bytes], tuple[int, bytes]] = {}
    for data in submissions:
        told = decode_submission(data)
        hashes = [record.record_hash for record in told.records]
        for place, record in enumerate(told.records):
            about = (record.header.registry, record.header.subject)
            before, link = newest.get(about, (None, FIRST_LINK))
            link = next_link(link, record.record_hash)
            path = tuple(inclusion_proof(subtree_reader(hashes), place, len(hashes)))
            proof = SubmissionPath(
                told.author_key_id, len(hashes), place, path, told.signatures, told.officers, told.epoch
            )
            position = len(rows)
            newest[about] = (position, link)
            rows.append(
                record_value(
                    RecordObject(
                        position, record.record_hash, record.header_bytes, record.payload_hash, proof, None, link, before
                    )
                )
            )  # fmt: skip
    return rows


def result_of(place: Path, world: TestWorld, submissions: Sequence[bytes]) -> tuple[str, str]:
    """What the kit says of an export of them, which all sites cosigned."""
    rows = laid_out(submissions)
    root = root_of(bytes.fromhex(str(row["record_hash"])) for row in rows)
    bare = Checkpoint(world.ledger_id, EPOCH, len(rows), root)
    lines = [
        line
        for site in SITES
        for line in cosign_all(bare, site, SiteSigners(world.site_signers[site]), TIME_S)
    ]
    note = encode_checkpoint(bare._replace(signatures=tuple(lines))).decode()
    first = {
        "format": "sento-export-1", "genesis": base64_of(world.genesis_bytes), "ledger_id": world.ledger_id.hex(), "epoch": EPOCH,
        "size": len(rows), "checkpoint": note, "made_at_ms": 0,
    }  # fmt: skip
    end = {"end": True, "records": len(rows), "checkpoints": [], "erasure_certificates": [], "fraud": []}
    text = "".join(json.dumps(row) + "\n" for row in (first, *rows, end))
    (place / "a.sento-export").write_text(text)
    kit = run_kit(place, "--json", "--ledger-id", world.ledger_id.hex(), "a.sento-export")
    assert kit.stderr == ""
    [found] = [each for each in kit.results if each["item"] == "sento-export-1"]
    return found["result"], found["why"]


def record(world: TestWorld, name: str, previous: bytes = ZERO32) -> Record:
    return sealed(world, CITY, "residency", "address", subject(name), fact(name), previous, None)


def act(
    world: TestWorld,
    *changes: do.Change,
    previous: bytes = ZERO32,
    officers: Sequence[str] = OFFICERS[:2],
    epoch: int = EPOCH,
) -> bytes:
    return make_act(world, act_content(*changes), officers, previous=previous, epoch=epoch)


def hash_of(data: bytes) -> bytes:
    return decode_submission(data).records[0].record_hash


@pytest.fixture
def world() -> TestWorld:
    return build_genesis(name="audit-hostile", rules=3, deputies={OFFICERS[0]: "deputy-one"})


def test_a_ledger_laid_out_by_hand_is_ok(world: TestWorld, tmp_path: Path) -> None:
    first = act(world, do.set_threshold(3))
    second = act(world, do.set_threshold(2), previous=hash_of(first), officers=[*OFFICERS[1:3], "deputy-one"])
    one = record(world, "a")
    writes = [
        make_submission(world, CITY, [one, record(world, "b")]),
        make_submission(world, CITY, [record(world, "a", one.record_hash)]),
    ]
    assert result_of(tmp_path, world, [first, *writes, second])[0] == "ok"


def test_a_record_under_a_revoked_key_fails(world: TestWorld, tmp_path: Path) -> None:
    revoked = act(world, {"do": "revoke-key", "author": CITY, "key_id": world.key_id(CITY).hex()})
    writes = make_submission(world, CITY, [record(world, "a")])
    assert result_of(tmp_path, world, [writes, revoked])[0] == "ok"
    result, why = result_of(tmp_path, world, [revoked, writes])
    assert (result, "was not in force" in why) == ("failed", True)


@pytest.mark.parametrize(
    ("officers", "words"),
    [
        ([OFFICERS[0]], "officers signed"),
        ([OFFICERS[0], "deputy-one"], "officers signed"),
        ([OFFICERS[0], "stranger"], "not in office"),
    ],
)
def test_an_act_of_too_few_or_of_strangers_fails(
    world: TestWorld, officers: list[str], words: str, tmp_path: Path
) -> None:
    world.officer_signers["stranger"] = ed25519("stranger")
    result, why = result_of(tmp_path, world, [act(world, do.set_threshold(3), officers=officers)])
    assert (result, words in why) == ("failed", True), why


def test_an_act_with_a_false_signature_or_of_another_epoch_or_twice_fails(
    world: TestWorld, tmp_path: Path
) -> None:
    good = act(world, do.set_threshold(3))
    told = decode_submission(good)
    key_id, signature = told.officers[0]
    false = OfficerSignature(
        key_id, Signature(signature.suite, signature.data[:-1] + bytes([signature.data[-1] ^ 1]))
    )
    forged = good.replace(signature.data, false.signature.data)
    assert result_of(tmp_path, world, [good])[0] == "ok"
    for submissions in (
        [forged],
        [act(world, do.set_threshold(3), epoch=EPOCH + 1)],
        [good, act(world, do.set_threshold(2))],
    ):
        assert result_of(tmp_path, world, submissions)[0] == "failed"


def test_an_act_that_begins_an_epoch_elsewhere_from_another_tree_or_with_more_fails(tmp_path: Path) -> None:
    world = build_genesis(name="audit-epochs", rules=5)
    one = record(world, "a")
    writes = make_submission(world, CITY, [one])
    parent = {"epoch": 0, "size": 1, "root": one.record_hash.hex(), "block": 1}
    begin: do.Change = {
        "do": "begin-epoch", "epoch": EPOCH, "parent": parent, "plan": "00" * 32, "reason": "restore", "voting": list(SITES),
        "receipt_set": {"sites": list(SITES), "quorum": len(SITES)},
    }  # fmt: skip
    assert result_of(tmp_path, world, [writes, act(world, begin)])[0] == "ok"
    for changes, words in (
        ([{**begin, "parent": {**parent, "size": 2}}], "may begin here"),
        ([{**begin, "parent": {**parent, "epoch": EPOCH}}], "may begin here"),
        ([{**begin, "epoch": EPOCH + 1}], "may begin here"),
        ([begin, do.set_threshold(3)], "may begin here"),
        ([{**begin, "parent": {**parent, "root": "00" * 32}}], "another tree"),
        ([{**begin, "receipt_set": {"sites": list(SITES), "quorum": 1}}], "majority"),
    ):
        result, why = result_of(tmp_path, world, [writes, act(world, *changes)])
        assert (result, words in why) == ("failed", True), why
    first = act(world, do.set_threshold(3))
    again = act(
        world, {**begin, "parent": {**parent, "size": 2}}, previous=hash_of(first), officers=OFFICERS[:3]
    )
    assert result_of(tmp_path, world, [writes, first, again])[0] == "failed"


def test_an_act_about_the_gap_of_an_epoch_that_no_act_began_fails(tmp_path: Path) -> None:
    world = build_genesis(name="audit-gaps", rules=5)
    assert result_of(tmp_path, world, [act(world, set_gap(EPOCH, is_open=True))])[0] == "failed"


def test_an_act_that_a_later_release_knows_could_not_be_checked(world: TestWorld, tmp_path: Path) -> None:
    result, why = result_of(tmp_path, world, [act(world, {"do": "close-mint"})])
    assert (result, "close-mint" in why) == ("could not check", True)
    assert result_of(tmp_path, world, [act(world, {"do": "set-rules", "rules": 99})])[0] == "could not check"


def test_a_version_that_does_not_follow_the_last_one_fails(world: TestWorld, tmp_path: Path) -> None:
    one = record(world, "a")
    for previous in (ZERO32, bytes([3]) * 32):
        twice = [
            make_submission(world, CITY, [one]),
            make_submission(world, CITY, [record(world, "a", previous)]),
        ]
        result, why = result_of(tmp_path, world, twice)
        assert (result, "fact" in why) == ("failed", True), why


def _resigned(world: TestWorld, data: bytes, signatures: Sequence[Signature]) -> bytes:
    told = decode_submission(data)
    return encode_submission(world.ledger_id, told.author_key_id, told.records, signatures)


def test_a_p256_signature_counts_in_its_lower_form_alone(tmp_path: Path) -> None:
    world = build_genesis(name="audit-p256", rules=3, signers={CITY: p256("city")})
    good = make_submission(world, CITY, [record(world, "a")])
    [signature] = decode_submission(good).signatures
    other = (ecdsa_p256.ORDER - int.from_bytes(signature.data[32:], "big")).to_bytes(32, "big")
    high = _resigned(world, good, [Signature(signature.suite, signature.data[:32] + other)])
    assert result_of(tmp_path, world, [good])[0] == "ok"
    assert result_of(tmp_path, world, [high])[0] == "failed"


def test_a_p256_key_that_ends_with_a_zero_byte_is_a_key(tmp_path: Path) -> None:
    signers = (EcdsaP256Signer.from_scalar(derived("p-256", str(number))) for number in range(10_000))
    signer = next(each for each in signers if each.public_key.data[-1] == 0)
    world = build_genesis(name="audit-p256-zero", rules=3, signers={CITY: signer})
    assert result_of(tmp_path, world, [make_submission(world, CITY, [record(world, "a")])])[0] == "ok"


def test_neither_signature_of_a_key_with_a_companion_can_be_left_out(tmp_path: Path) -> None:
    world = build_genesis(name="audit-hybrid", rules=3, signers={CITY: hybrid("city")})
    good = make_submission(world, CITY, [record(world, "a")])
    both = decode_submission(good).signatures
    assert result_of(tmp_path, world, [good])[0] == "ok"
    for fewer in (both[:1], both[1:]):
        assert result_of(tmp_path, world, [_resigned(world, good, fewer)])[0] == "failed"


def test_a_checkpoint_is_judged_by_the_receipt_set_in_force_at_its_size(tmp_path: Path) -> None:
    ledger = golden_audit_ledger("ledger_rules_2")
    size = next(at for at in range(ledger.size) if ledger.governance.receipt_quorum_at(at).quorum == 3)
    assert ledger.governance.receipt_quorum_at(ledger.size).quorum == 2
    (tmp_path / "trust.json").write_bytes(ledger.trust())
    for name, sites in (("three", 3), ("two", 2)):
        (tmp_path / name).write_bytes(encode_checkpoint(ledger.checkpoint(size, sites=sites)))
    kit = run_kit(tmp_path, "--json", "--trust", "trust.json", "three", "two")
    assert kit.of("checkpoint") == ["ok", "failed"], kit.stdout


def test_zeros_stand_for_officers_only_in_an_act(world: TestWorld, tmp_path: Path) -> None:
    good = act(world, do.set_threshold(3))
    data = make_act(world, b"", registry="residency", kind="address", subject=subject("a"), fact=fact("a"))
    result, why = result_of(tmp_path, world, [good, data])
    assert (result, "no act in form" in why) == ("failed", True)


def two_leaves_as_one(ledger: AuditLedger, size: int) -> tuple[bytes, list[str]]:
    """The first two records' hashes as if they were one record's, and a path that begins with nothing: they hash to the same node as the two."""
    first, second, *_ = [kept.record_hash for kept in ledger.records()]
    path = [
        each.hex()
        for each in inclusion_proof(
            subtree_reader([kept.record_hash for kept in ledger.records()[:size]]), 0, size
        )
    ]
    assert path[0] == second.hex()
    return first + second, ["", *path[1:]]


def test_a_record_hash_of_another_length_proves_nothing(tmp_path: Path) -> None:
    ledger = golden_audit_ledger("ledger_rules_3")
    leaf, path = two_leaves_as_one(ledger, ledger.size)
    receipt = {
        "format": "sento-receipt-1", "ledger_id": ledger.world.ledger_id.hex(), "position": 0, "record_hash": leaf.hex(),
        "path": path, "checkpoint": ledger.note(ledger.size),
    }  # fmt: skip
    (tmp_path / "a.receipt.json").write_text(json.dumps(receipt))
    (tmp_path / "genesis.json").write_bytes(ledger.world.genesis_bytes)
    kit = run_kit(tmp_path, "--json", "--genesis", "genesis.json", "a.receipt.json")
    assert kit.of("sento-receipt-1") == ["failed"]


def test_an_honest_site_is_not_convicted_of_two_histories_by_hashes_of_another_length(tmp_path: Path) -> None:
    ledger = golden_audit_ledger("ledger_rules_3")
    small = ledger.size - 1
    hashes = [kept.record_hash for kept in ledger.records()[:small]]
    leaf, path = two_leaves_as_one(ledger, ledger.size)
    site = next(iter(ledger.signers(small).keys() & ledger.signers(ledger.size).keys()))
    fraud = {
        "format": "sento-fraud-1", "kind": "two-histories", "ledger_id": ledger.world.ledger_id.hex(), "site": site, "position": 0,
        "a": ledger.note(small), "leaf_a": hashes[0].hex(), "path_a": [each.hex() for each in inclusion_proof(subtree_reader(hashes), 0, small)],
        "b": ledger.note(ledger.size), "leaf_b": leaf.hex(), "path_b": path,
    }  # fmt: skip
    (tmp_path / "a.fraud.json").write_text(json.dumps(fraud))
    (tmp_path / "genesis.json").write_bytes(ledger.world.genesis_bytes)
    kit = run_kit(tmp_path, "--json", "--genesis", "genesis.json", "a.fraud.json")
    assert kit.of("sento-fraud-1") == ["failed"]
