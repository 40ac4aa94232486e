"""The golden file is what this release makes, and this release takes and refuses what the file says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import sento_proto
from golden_vectors import site_words
from golden_vectors.assembly import groups, vectors_bytes
from golden_vectors.ground import hexed, unhexed
from sento_proto import header
from sento_proto.access_record import decode_access, encode_access, fact_of_access
from sento_proto.block import decode_block, site_signature_holds
from sento_proto.checkpoint import (
    SiteKeys,
    cosigners,
    decode_checkpoint,
    encode_checkpoint,
    note_signature_holds,
)
from sento_proto.fraud import KINDS, NotProven, verify_fraud
from sento_proto.governance.acts import decode_act, is_act_header
from sento_proto.governance.site_rules import decode_site_rules
from sento_proto.governance.state import delayed_case, subject_of_delay
from sento_proto.head_statement import decode_statement, encode_statement, statement_holds
from sento_proto.kek_record import decode_kek_seals, subject_of_kek
from sento_proto.kek_seal import KekName, open_kek
from sento_proto.keys import PublicKey, Signature, Suite, check_public_key, verifies
from sento_proto.merkle import verify_consistency, verify_inclusion
from sento_proto.sealing import CannotOpen, decode_payload, open_payload
from sento_proto.submission import (
    act_signed_bytes,
    author_signatures_hold,
    decode_submission,
)
from sento_proto.wire import Malformed

GOLDEN = Path(__file__).parents[1] / "golden"
VECTORS: Mapping[str, list[dict[str, Any]]] = json.loads((GOLDEN / "vectors.json").read_bytes())
DECODERS: dict[str, Callable[[bytes], object]] = {
    "malformed_headers": header.decode,
    "malformed_payloads": decode_payload,
    "malformed_submissions": decode_submission,
    "malformed_acts": decode_submission,
    "malformed_blocks": decode_block,
    "malformed_checkpoints": decode_checkpoint,
    "malformed_head_statements": decode_statement,
}


def malformed() -> Iterator[Any]:
    """One test for each vector that no decoder may take."""
    for group in DECODERS:
        for vector in VECTORS[group]:
            yield pytest.param(group, vector["bytes"], id=f"{group}: {vector['name']}")


def test_making_the_vectors_anew_gives_the_same_bytes() -> None:
    made, kept = vectors_bytes().split(b"\n"), (GOLDEN / "vectors.json").read_bytes().split(b"\n")
    different = [n for n, (a, b) in enumerate(zip(made, kept, strict=False), 1) if a != b]
    assert (different, len(made)) == ([], len(kept)), (
        "a format changed, or tests/golden/make_vectors.py was not run"
    )


def test_the_script_that_makes_the_vectors_finds_them_unchanged() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(sento_proto.__file__).parents[1])}
    command = [sys.executable, str(GOLDEN / "make_vectors.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout


@pytest.mark.parametrize(("group", "data"), list(malformed()))
def test_a_malformed_vector_is_refused(group: str, data: str) -> None:
    with pytest.raises(Malformed):
        DECODERS[group](unhexed(data))


def test_each_fault_has_a_name_of_its_own() -> None:
    for group in DECODERS:
        for field in ("name", "bytes"):
            values = [vector[field] for vector in VECTORS[group]]
            assert len(set(values)) == len(values), f"{group}: {field}"


@pytest.mark.parametrize("vector", VECTORS["sealed"], ids=lambda vector: vector["name"])
def test_a_sealed_vector_opens(vector: dict[str, Any]) -> None:
    head = unhexed(vector["header"])
    content = open_payload(
        head, header.decode(head), unhexed(vector["payload"]), kek=bytes.fromhex(vector["kek"])
    )
    assert content == unhexed(vector["content"])


@pytest.mark.parametrize("vector", VECTORS["closed_payloads"], ids=lambda vector: vector["name"])
def test_a_closed_payload_does_not_open(vector: dict[str, Any]) -> None:
    head = unhexed(vector["header"])
    with pytest.raises(CannotOpen):
        open_payload(head, header.decode(head), unhexed(vector["payload"]), kek=bytes.fromhex(vector["kek"]))


def test_only_the_committed_one_of_two_keys_opens() -> None:
    (vector,) = VECTORS["two_keys"]
    head, kek = unhexed(vector["header"]), bytes.fromhex(vector["kek"])
    assert open_payload(head, header.decode(head), unhexed(vector["opens"]), kek=kek)
    with pytest.raises(CannotOpen, match="commits to"):
        open_payload(head, header.decode(head), unhexed(vector["must_not_open"]), kek=kek)


def _key(vector: dict[str, Any]) -> PublicKey:
    return PublicKey(vector.get("suite", 1), bytes.fromhex(vector["public_key"]))


@pytest.mark.parametrize(
    "vector", VECTORS["false_signatures"], ids=lambda vector: f"{vector['what']}: {vector['name']}"
)
def test_a_false_signature_does_not_count(vector: dict[str, Any]) -> None:
    data, key = unhexed(vector["bytes"]), _key(vector)
    if vector["what"] == "block":
        assert not site_signature_holds(decode_block(data), key)
        return
    submission = decode_submission(data)
    assert submission.is_act == (vector["what"] == "act")
    assert not author_signatures_hold(submission, [key])
    if submission.is_act:
        message = act_signed_bytes(submission.ledger_id, submission.epoch, submission.records[0].record_hash)
        officers = [officer for officer in submission.officers if officer.officer_key_id == key.key_id]
        assert not any(verifies(key, officer.signature, message) for officer in officers)


@pytest.mark.parametrize(
    "vector", VECTORS["checkpoints"] + VECTORS["false_checkpoints"], ids=lambda vector: vector["name"]
)
def test_under_a_checkpoint_stand_those_that_the_vector_names(vector: dict[str, Any]) -> None:
    data = unhexed(vector["bytes"])
    checkpoint = decode_checkpoint(data)
    assert encode_checkpoint(checkpoint) == data
    keys = {name: PublicKey(1, bytes.fromhex(key)) for name, key in vector["keys"].items()}
    site_keys = {name: SiteKeys(key) for name, key in keys.items()}
    assert {name: str(time_s) for name, time_s in cosigners(checkpoint, site_keys).items()} == vector[
        "cosigned_by"
    ]
    note_by = [name for name, key in keys.items() if note_signature_holds(checkpoint, name, key)]
    assert note_by == ([] if vector["note_by"] is None else [vector["note_by"]])


@pytest.mark.parametrize("vector", VECTORS["signatures"], ids=lambda vector: vector["name"])
def test_a_signature_counts_as_the_vector_says(vector: dict[str, Any]) -> None:
    signature = Signature(1, bytes.fromhex(vector["signature"]))
    assert verifies(_key(vector), signature, bytes.fromhex(vector["message"])) is vector["holds"]


@pytest.mark.parametrize("vector", VECTORS["refused_keys"], ids=lambda vector: vector["name"])
def test_a_refused_key_cannot_be_enrolled(vector: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        check_public_key(_key(vector))


def _inclusion_holds(vector: dict[str, Any]) -> bool:
    leaf, root = bytes.fromhex(vector["leaf"]), bytes.fromhex(vector["root"])
    return verify_inclusion(
        leaf, vector["index"], vector["size"], [*map(bytes.fromhex, vector["proof"])], root
    )


def _consistency_holds(vector: dict[str, Any]) -> bool:
    roots = bytes.fromhex(vector["old_root"]), bytes.fromhex(vector["new_root"])
    proof = [*map(bytes.fromhex, vector["proof"])]
    return verify_consistency(vector["old_size"], roots[0], vector["new_size"], roots[1], proof)


def test_true_proofs_hold_and_false_ones_do_not() -> None:
    assert all(map(_inclusion_holds, VECTORS["inclusion_proofs"]))
    assert all(map(_consistency_holds, VECTORS["consistency_proofs"]))
    assert [vector["name"] for vector in VECTORS["false_inclusion_proofs"] if _inclusion_holds(vector)] == []
    assert [
        vector["name"] for vector in VECTORS["false_consistency_proofs"] if _consistency_holds(vector)
    ] == []


def test_a_line_that_ml_dsa_44_signed_once_counts_with_every_later_library() -> None:
    (vector,) = VECTORS["ml_dsa_44_lines"]
    checkpoint, site = decode_checkpoint(unhexed(vector["bytes"])), vector["site"]
    keys = SiteKeys(
        PublicKey(1, bytes.fromhex(vector["ed25519"])), PublicKey(4, bytes.fromhex(vector["ml_dsa_44"]))
    )
    assert cosigners(checkpoint, {site: keys}) == {site: int(vector["time_s"])}
    signature = Signature(4, checkpoint.signatures[1].data[8:])
    assert keys.ml_dsa_44 is not None
    assert verifies(keys.ml_dsa_44, signature, bytes.fromhex(vector["message"]))


def test_a_kek_sealed_once_opens_with_every_later_library() -> None:
    (vector,) = VECTORS["kek_seals"]
    name = KekName(
        bytes.fromhex(vector["ledger_id"]),
        vector["author"],
        vector["registry"],
        vector["compartment"],
        vector["key_epoch"],
    )
    secret = bytes.fromhex(vector["recipient_secret"])
    assert open_kek(unhexed(vector["seal"]), name, secret) == bytes.fromhex(vector["kek"])


@pytest.mark.parametrize("vector", VECTORS["p256_signatures"], ids=lambda vector: vector["name"])
def test_the_verdict_on_each_p256_signature(vector: dict[str, Any]) -> None:
    key = PublicKey(Suite.ECDSA_P256, unhexed(vector["public_key"]))
    signature = Signature(Suite.ECDSA_P256, unhexed(vector["signature"]))
    assert verifies(key, signature, unhexed(vector["message"])) == vector["holds"]


@pytest.mark.parametrize("vector", VECTORS["act_contents"], ids=lambda vector: vector["name"])
def test_each_acts_content_is_read_and_each_officer_signed_it(vector: dict[str, Any]) -> None:
    act = decode_submission(unhexed(vector["bytes"]))
    content = act.records[0].header.content
    assert is_act_header(act.records[0].header)
    assert [change.DO for change in decode_act(content).changes] == [
        change["do"] for change in vector["content"]["changes"]
    ]
    message = act_signed_bytes(act.ledger_id, act.epoch, act.records[0].record_hash)
    for officer, said in zip(act.officers, vector["officers"], strict=True):
        key = PublicKey(said["suite"], unhexed(said["public_key"]))
        assert verifies(key, officer.signature, message)
        assert officer.officer_key_id == key.key_id


@pytest.mark.parametrize("vector", VECTORS["kek_records"], ids=lambda vector: vector["name"])
def test_the_seals_in_each_kek_record_are_read(vector: dict[str, Any]) -> None:
    head = header.decode(unhexed(vector["header"]))
    seals = decode_kek_seals(head.content)
    assert [hexed(seal) for seal in seals.seals] == vector["seals"]
    where = (seals.registry, seals.compartment, seals.key_epoch, seals.part)
    assert where == tuple(vector[name] for name in ("registry", "compartment", "key_epoch", "part"))
    assert head.subject == subject_of_kek(vector["author"], *where[:3])


@pytest.mark.parametrize("vector", VECTORS["site_rules"], ids=lambda vector: vector["name"])
def test_each_sites_announcement_is_read(vector: dict[str, Any]) -> None:
    announced = decode_site_rules(header.decode(unhexed(vector["header"])).content)
    assert announced == (vector["site"], tuple(vector["rules"]), vector["release"])


@pytest.mark.parametrize("vector", VECTORS["access_records"], ids=lambda vector: vector["name"])
def test_each_access_record_opens_to_what_it_says_under_its_own_kind(vector: dict[str, Any]) -> None:
    header_bytes = unhexed(vector["header"])
    head = header.decode(header_bytes)
    content = open_payload(header_bytes, head, unhexed(vector["payload"]), kek=unhexed(vector["kek"]))
    access = decode_access(content)
    assert json.loads(content) == vector["content"]
    assert (access.kind, encode_access(access)) == (head.kind, content)
    assert head.fact == fact_of_access(head.record_id)


@pytest.mark.parametrize("vector", VECTORS["delayed_cases"], ids=lambda vector: vector["name"])
def test_each_delayed_case_is_named_by_its_salted_hash(vector: dict[str, Any]) -> None:
    assert delayed_case(unhexed(vector["salt"]), vector["case_number"]) == unhexed(vector["case"])
    assert subject_of_delay(vector["delay"]) == unhexed(vector["subject"])


@pytest.mark.parametrize("vector", VECTORS["head_statements"], ids=lambda vector: vector["name"])
def test_each_head_statement_is_read_and_its_site_signed_it(vector: dict[str, Any]) -> None:
    data = unhexed(vector["bytes"])
    said = decode_statement(data)
    assert encode_statement(said) == data
    assert statement_holds(said, SiteKeys(_key(vector)))
    last = vector["last_position"]
    assert said.head == (None if last is None else int(last), bytes.fromhex(vector["link"]))
    assert said.about[1:] == (
        vector["epoch"],
        int(vector["size"]),
        bytes.fromhex(vector["root"]),
        vector["registry"],
        bytes.fromhex(vector["subject"]),
    )


def test_each_proof_of_fraud_proves_its_kind_and_what_proves_nothing_convicts_nobody() -> None:
    for vector in VECTORS["fraud_proofs"]:
        fraud = verify_fraud(json.dumps(vector["file"]).encode(), site_words.KNOWN)
        assert (fraud.kind, fraud.site) == (vector["name"], site_words.LIAR)
    assert tuple(vector["name"] for vector in VECTORS["fraud_proofs"]) == KINDS
    for vector in VECTORS["fraud_not_proven"]:
        with pytest.raises(NotProven):
            verify_fraud(json.dumps(vector["file"]).encode(), site_words.KNOWN)


def test_hex_with_runs_is_read_as_it_was_written() -> None:
    for data in (b"", b"\x00" * 63, b"\x00" * 64, b"a" * 1000 + b"b" * 64 + b"\n" * 70 + b"c"):
        assert unhexed(hexed(data)) == data
    assert hexed(b"\x0a" * 100) == "(0a*100)"
    for text in ("0", "0g", "(00*)", "(0*1)", "00 00"):
        with pytest.raises(ValueError, match="not hex"):
            unhexed(text)


def test_no_group_is_empty_and_the_file_has_them_all() -> None:
    assert set(VECTORS) - {"format"} == set(groups())
    assert all(VECTORS.values())
