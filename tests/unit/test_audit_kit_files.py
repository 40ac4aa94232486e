"""The audit kit as a program, in an empty directory, on files that the project's own code made: what it proves, and what it says where it cannot."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from audit_files import KIT, AuditLedger, run_kit
from audit_ledgers import golden_audit_ledger
from golden_ledger import GOLDEN_LEDGERS
from sento_proto.checkpoint import encode_checkpoint
from sento_proto.receipt import decode_receipt, verify_receipt

NEWEST = "ledger_rules_4"


def put(place: Path, ledger: AuditLedger) -> list[str]:
    """One file of each kind, by name."""
    (place / "all.sento-export").write_bytes(ledger.export(payloads=True, older=[1, ledger.size // 2]))
    (place / "trust.json").write_bytes(ledger.trust())
    (place / "one.receipt.json").write_bytes(ledger.receipt(ledger.size // 2))
    (place / "checkpoint").write_text(ledger.note(ledger.size - 1))
    return ["all.sento-export", "trust.json", "one.receipt.json", "checkpoint"]


@pytest.mark.parametrize("name", GOLDEN_LEDGERS)
def test_every_golden_ledger_is_proven_from_its_files(name: str, tmp_path: Path) -> None:
    ledger = golden_audit_ledger(name)
    kit = run_kit(tmp_path, "--json", "--ledger-id", ledger.world.ledger_id.hex(), *put(tmp_path, ledger))
    assert (kit.code, kit.stderr) == (0, "")
    for item in ("sento-export-1", "sento-trust-2", "sento-receipt-1", "checkpoint"):
        assert kit.of(item) == ["ok"], kit.stdout


@pytest.mark.parametrize("name", GOLDEN_LEDGERS)
def test_a_receipt_of_every_record_is_judged_as_by_the_project_itself(name: str, tmp_path: Path) -> None:
    ledger = golden_audit_ledger(name)
    names = []
    for position in range(0, ledger.size, 7):
        data = ledger.receipt(position)
        assert verify_receipt(decode_receipt(data), ledger.governance).holds
        names.append(f"{position}.receipt.json")
        (tmp_path / names[-1]).write_bytes(data)
    (tmp_path / "trust.json").write_bytes(ledger.trust())
    kit = run_kit(tmp_path, "--json", "--trust", "trust.json", *names)
    assert kit.code == 0, kit.stdout
    assert kit.of("sento-receipt-1") == ["ok"] * len(names)


def test_a_receipt_with_the_genesis_file_alone_says_that_later_acts_are_not_known(tmp_path: Path) -> None:
    ledger = golden_audit_ledger(NEWEST)
    put(tmp_path, ledger)
    (tmp_path / "genesis.json").write_bytes(ledger.world.genesis_bytes)
    kit = run_kit(tmp_path, "--json", "--genesis", "genesis.json", "one.receipt.json")
    assert (kit.code, kit.of("sento-receipt-1"), kit.of("later acts")) == (0, ["ok"], ["not checked"])


def test_without_keys_or_ledger_id_nothing_is_said_to_hold(tmp_path: Path) -> None:
    ledger = golden_audit_ledger(NEWEST)
    names = put(tmp_path, ledger)
    kit = run_kit(tmp_path, "--json", *names)
    assert kit.code == 3
    assert {each["result"] for each in kit.results} == {"could not check"}
    assert run_kit(tmp_path, "--json").code == 3


def test_another_ledger_id_refuses_every_file(tmp_path: Path) -> None:
    ledger = golden_audit_ledger(NEWEST)
    put(tmp_path, ledger)
    kit = run_kit(tmp_path, "--json", "--ledger-id", "00" * 32, "all.sento-export", "trust.json")
    assert (kit.code, {each["result"] for each in kit.results}) == (1, {"failed"})


def test_a_receipt_above_a_fork_is_lost_with_its_epoch_and_below_it_stays_good(tmp_path: Path) -> None:
    ledger = golden_audit_ledger(NEWEST)
    (tmp_path / "trust.json").write_bytes(ledger.trust())
    (tmp_path / "below.receipt.json").write_bytes(ledger.receipt(99))
    (tmp_path / "above.receipt.json").write_bytes(ledger.receipt(100))
    fork = f"{ledger.driver.state.epoch}:100:{ledger.checkpoint(100).root.hex()}"
    kit = run_kit(
        tmp_path,
        "--json",
        "--trust",
        "trust.json",
        "--fork",
        fork,
        "below.receipt.json",
        "above.receipt.json",
    )
    assert (kit.code, kit.of("sento-receipt-1")) == (3, ["ok", "lost with epoch"])
    wrong = f"{ledger.driver.state.epoch}:100:{'00' * 32}"
    (tmp_path / "all.sento-export").write_bytes(ledger.export())
    kit = run_kit(tmp_path, "--json", "--trust", "trust.json", "--fork", wrong, "all.sento-export")
    assert (kit.code, kit.of("sento-export-1")) == (1, ["failed"])


def test_hidden_records_are_counted_and_their_chain_still_verifies(tmp_path: Path) -> None:
    ledger = golden_audit_ledger("ledger_rules_1")
    (tmp_path / "a.sento-export").write_bytes(ledger.export(hidden=range(0, ledger.size, 2)))
    kit = run_kit(tmp_path, "--json", "--ledger-id", ledger.world.ledger_id.hex(), "a.sento-export")
    assert (kit.code, kit.of("hidden: only place and chain")) == (0, ["not checked"])


def test_two_receipts_of_two_histories_are_told(tmp_path: Path) -> None:
    ledger = golden_audit_ledger(NEWEST)
    size = ledger.size
    (tmp_path / "trust.json").write_bytes(ledger.trust(size - 1))
    (tmp_path / "a").write_text(ledger.note(size))
    other = ledger.checkpoint(size, root=bytes(32))
    (tmp_path / "b").write_bytes(encode_checkpoint(other))
    kit = run_kit(tmp_path, "--json", "--trust", "trust.json", "a", "b")
    assert (kit.code, kit.of("checkpoint")) == (1, ["ok", "failed"])
    assert "two histories" in kit.results[-1]["why"]


def test_a_checkpoint_that_too_few_cosigned_fails(tmp_path: Path) -> None:
    ledger = golden_audit_ledger(NEWEST)
    (tmp_path / "trust.json").write_bytes(ledger.trust())
    (tmp_path / "few").write_bytes(encode_checkpoint(ledger.checkpoint(ledger.size - 1, sites=1)))
    kit = run_kit(tmp_path, "--json", "--trust", "trust.json", "few")
    assert (kit.code, kit.of("checkpoint")) == (1, ["failed"])
    assert "1 of 3 sites cosigned" in kit.results[-1]["why"]


def test_every_hash_step_is_told_when_asked(tmp_path: Path) -> None:
    ledger = golden_audit_ledger("ledger_rules_1")
    put(tmp_path, ledger)
    kit = run_kit(tmp_path, "--explain", "--trust", "trust.json", "one.receipt.json")
    assert kit.code == 0
    kept = ledger.records()[ledger.size // 2]
    assert f"is {kept.record_hash.hex()}" in kit.stdout
    assert f"is {ledger.checkpoint(ledger.size).root.hex()}" in kit.stdout
    assert "signature of jp-fukuoka, suite 1" in kit.stdout


def test_files_that_are_none_fail_without_a_traceback(tmp_path: Path) -> None:
    for name, data in {
        "empty": b"",
        "garbage": bytes(range(256)),
        "number": b"17",
        "list": b"[]",
        "other": b'{"format": "x"}',
        "deep": b"[" * 100_000,
        "zipped": b"\x1f\x8bgarbage",
        "head": b'{"format":"sento-export-1"}\n',
    }.items():
        (tmp_path / name).write_bytes(data)
    names = [path.name for path in tmp_path.iterdir()]
    kit = run_kit(tmp_path, "--json", "--ledger-id", "00" * 32, *names, "missing")
    assert (kit.code, kit.stderr) == (1, "")
    assert [each["result"] for each in kit.results] == ["failed"] * (len(names) + 1)


def test_the_kit_is_one_small_file_on_python_3_9_and_cryptography_alone() -> None:
    source = KIT.read_text(encoding="utf-8")
    lines = source.splitlines()
    assert len(lines) <= 400
    assert max(map(len, lines)) <= 150
    tree = ast.parse(source, feature_version=(3, 9))
    roots = set()
    for part in ast.walk(tree):
        if isinstance(part, ast.Import):
            roots |= {name.name.split(".")[0] for name in part.names}
        elif isinstance(part, ast.ImportFrom):
            roots.add((part.module or "").split(".")[0])
    assert roots - set(sys.stdlib_module_names) == {"cryptography"}
    assert not roots & {"socket", "ssl", "http", "urllib", "asyncio", "subprocess"}


def test_the_kit_opens_no_socket_starts_no_program_and_writes_nothing(tmp_path: Path) -> None:
    ledger = golden_audit_ledger("ledger_rules_1")
    names = put(tmp_path, ledger)
    guard = """
import sys, runpy
def guard(event, args):
    if event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.remove", "os.rename", "os.mkdir")):
        raise SystemExit(99)
    if event == "open" and args[1] is not None and set(str(args[1])) & set("wax+"):
        raise SystemExit(98)
sys.addaudithook(guard)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    arguments = ["--json", "--ledger-id", ledger.world.ledger_id.hex(), *names]
    kit = run_kit(tmp_path, *arguments, options=("-I", "-B", "-c", guard))
    assert (kit.code, json.loads(kit.stdout)["exit_code"]) == (0, 0), kit.stderr
