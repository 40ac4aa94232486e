"""The audit kit on what sites sign: proofs of fraud of every kind, erasure certificates, second cosignatures; and on a computer without ML-DSA."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

import acts as do
from audit_example import BEGIN, PAGE, page_with_example
from audit_files import AuditLedger, Kit, run_kit
from audit_ledgers import golden_audit_ledger
from audit_statements import (
    LIAR,
    SECOND,
    THIRD,
    certificate_of,
    frauds,
    ledger_with_second_keys,
    signed,
    signers,
    statement,
    true_head,
)
from genesis_builder import build_genesis
from ledger_driver import LedgerDriver
from sento_node.ledger import reading
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_proto.checkpoint import Checkpoint, encode_checkpoint, sign_note
from sento_proto.errors import Code
from sento_proto.fraud import KINDS
from sento_proto.head_statement import encode_statement


def judged(
    place: Path,
    ledger: AuditLedger,
    files: Mapping[str, bytes],
    *more: str,
    options: tuple[str, ...] = ("-I",),
) -> Kit:
    (place / "genesis.json").write_bytes(ledger.world.genesis_bytes)
    for name, data in files.items():
        (place / name).write_bytes(data)
    return run_kit(place, *more, "--json", "--genesis", "genesis.json", *files, options=options)


@pytest.mark.parametrize("liar", [LIAR, THIRD], ids=["one key", "two keys"])
def test_every_kind_of_fraud_is_proven(liar: str, tmp_path: Path) -> None:
    ledger = ledger_with_second_keys()
    files = frauds(ledger, liar)
    assert set(files) == set(KINDS)
    kit = judged(tmp_path, ledger, files)
    assert (kit.code, kit.of("sento-fraud-1")) == (0, ["ok"] * len(KINDS)), kit.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_no_proof_convicts_another_site_or_without_a_contradiction(kind: str, tmp_path: Path) -> None:
    ledger = ledger_with_second_keys()
    value = json.loads(frauds(ledger, LIAR)[kind])
    changed = {"another site": {**value, "site": SECOND}, "another ledger": {**value, "ledger_id": "00" * 32}}
    for name in ("a", "b", "statement", "checkpoint", "leaf_a", "path", "others"):
        if name == "a":
            changed["a twice"] = {**value, "b": value["a"]} if "b" in value else {**value, "more": 1}
        elif isinstance(value.get(name), str):
            changed[name] = {
                **value,
                name: value[name][:-8] + ("A" if value[name][-8] != "A" else "B") + value[name][-7:],
            }
    if kind == "head-against-quorum":
        changed["too few"] = {**value, "others": value["others"][:1]}
        changed["one twice"] = {**value, "others": value["others"][:1] * 2}
    if "position" in value:
        changed["another position"] = {**value, "position": 1}
    if "record" in value:
        changed["another record"] = {**value, "path": value["path"][1:]}
    files = {name.replace(" ", "-"): json.dumps(each).encode() for name, each in changed.items()}
    kit = judged(tmp_path, ledger, files)
    assert kit.of("sento-fraud-1") == ["failed"] * len(files), kit.stdout


def test_a_true_head_convicts_nobody(tmp_path: Path) -> None:
    ledger = ledger_with_second_keys()
    honest = statement(ledger, LIAR, 3, ledger.size, true_head(ledger, 3))
    value = json.loads(frauds(ledger, LIAR)["head-omits"])
    other = json.loads(frauds(ledger, LIAR)["head-invents"])
    said = base64.b64encode(encode_statement(honest)).decode()
    files = {
        name: json.dumps({**each, "statement": said}).encode()
        for name, each in (("omits", value), ("invents", other))
    }
    kit = judged(tmp_path, ledger, files)
    assert kit.of("sento-fraud-1") == ["failed", "failed"]


def test_a_note_signature_alone_convicts_no_site_with_two_keys(tmp_path: Path) -> None:
    ledger = ledger_with_second_keys()
    notes = []
    for root in (bytes(32), bytes([1]) * 32):
        bare = Checkpoint(ledger.world.ledger_id, ledger.driver.state.epoch, 5, root)
        notes.append(
            encode_checkpoint(
                bare._replace(signatures=(sign_note(bare, THIRD, signers(ledger, THIRD).ed25519),))
            ).decode()
        )
    value = {
        "format": "sento-fraud-1",
        "kind": "two-checkpoints",
        "ledger_id": ledger.world.ledger_id.hex(),
        "site": THIRD,
    }
    kit = judged(tmp_path, ledger, {"fraud": json.dumps({**value, "a": notes[0], "b": notes[1]}).encode()})
    assert kit.of("sento-fraud-1") == ["failed"]


def test_a_cosignature_without_its_second_half_does_not_count(tmp_path: Path) -> None:
    ledger = ledger_with_second_keys()
    whole = signed(ledger, 5, reading.root_at(ledger.driver.store, 5), SECOND, THIRD)
    half = whole._replace(signatures=tuple(line for line in whole.signatures if len(line.data) < 1000))
    kit = judged(tmp_path, ledger, {"whole": encode_checkpoint(whole), "half": encode_checkpoint(half)})
    assert kit.of("checkpoint") == ["ok", "failed"]


def test_without_ml_dsa_what_only_it_could_tell_could_not_be_checked(tmp_path: Path) -> None:
    ledger = ledger_with_second_keys()
    root = reading.root_at(ledger.driver.store, 5)
    blind = (
        "import sys, runpy; sys.modules['cryptography.hazmat.primitives.asymmetric.mldsa'] = None; "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    files = {
        "needs-it": encode_checkpoint(signed(ledger, 5, root, SECOND, THIRD)),
        "does-not": encode_checkpoint(signed(ledger, 5, root, LIAR, SECOND)),
        "false-anyway": encode_checkpoint(signed(ledger, 6, root, THIRD)),
    }
    kit = judged(tmp_path, ledger, files, options=("-I", "-c", blind))
    assert (kit.code, kit.stderr) == (1, "")
    assert kit.of("checkpoint") == ["could not check", "ok", "failed"]


def test_a_certificate_must_be_the_sites_and_of_an_order_that_was_carried_out(tmp_path: Path) -> None:
    ledger = golden_audit_ledger("ledger_rules_4")
    (tmp_path / "trust.json").write_bytes(ledger.trust())
    good = certificate_of(ledger)
    value = json.loads(good)
    files = {
        "good": good,
        "other-site": json.dumps({**value, "site": SECOND}).encode(),
        "other-body": json.dumps(
            {**value, "body": json.loads(certificate_of(ledger, time_s=1))["body"]}
        ).encode(),
        "fewer-records": certificate_of(ledger, records=()),
        "other-order": certificate_of(ledger, order=3),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    kit = run_kit(tmp_path, "--json", "--trust", "trust.json", *files)
    assert kit.of("sento-erasure-certificate-1") == ["ok", "failed", "failed", "failed", "could not check"], (
        kit.stdout
    )


@pytest.mark.parametrize(
    ("ordered", "carried_out", "wanted"), [(False, False, 0), (True, False, 0), (True, True, 1)]
)
def test_a_payload_in_an_export_is_false_only_where_officers_had_it_destroyed(
    ordered: bool, carried_out: bool, wanted: int, tmp_path: Path
) -> None:
    world = build_genesis(name="audit-erasure", rules=4)
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    record = driver.record("a", content=b"an entry")
    driver.write([record, driver.record("b", content=b"another")])
    if ordered:
        assert driver.act(do.erase(record.record_hash)) is Code.ACCEPTED
    if carried_out:
        assert driver.act(do.carry_out_erasure(2)) is Code.ACCEPTED
    driver.flush()
    ledger = AuditLedger(driver)
    rows = [json.loads(line) for line in ledger.export(payloads=True).splitlines()]
    arguments = ["--json", "--ledger-id", world.ledger_id.hex(), "a.sento-export"]
    for given in (base64.b64encode(record.payload).decode(), None):
        rows[1].pop("payload", None)
        rows[1] |= {} if given is None else {"payload": given}
        (tmp_path / "a.sento-export").write_text("".join(json.dumps(row) + "\n" for row in rows))
        kit = run_kit(tmp_path, *arguments)
        assert kit.code == (wanted if given else 0), kit.stdout
    item = "payload erased" if carried_out else "payload withheld" if ordered else "no payload in the file"
    assert kit.of(item) == ["ok" if carried_out else "not checked"]


def test_the_worked_example_of_the_format_follows_from_the_golden_ledger() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert BEGIN in page
    assert page_with_example(page) == page
