"""A second verifier, in another language and from FORMAT.md alone, gives every file the verdict that the audit kit gives it, changed bytes included."""

from __future__ import annotations

import base64
import gzip
import json
import random
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from audit_files import AuditLedger, run_kit
from audit_ledgers import blocks_before, golden_audit_ledger, left_behind
from audit_statements import LIAR, SECOND, THIRD, certificate_of, frauds, ledger_with_second_keys
from golden_ledger import GOLDEN_LEDGERS
from sento_proto.checkpoint import encode_checkpoint
from sento_proto.governance.gaps import gap_value

SECOND_VERIFIER = Path(__file__).parents[2] / "client" / "audit" / "second" / "verify.mjs"
OLDEST_NODE = 20
RUN_TIMEOUT_S = 60
FLIPS = 40
SMALL, NEWEST, OF_EPOCHS = "ledger_rules_1", "ledger_rules_4", "ledger_rules_5"
# Worst first. What one of the two could not check, the other may tell: Node has no ML-DSA.
RESULTS = ("failed", "could not check", "lost with epoch", "ok")
Files = Mapping[str, bytes]
Result = dict[str, str]


@cache
def _node() -> str | None:
    """Why no Node that is new enough runs here, or None."""
    node = shutil.which("node")
    if node is None:
        return "node is not on PATH, so the second verifier did not run"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
        return f"node {version} is older than {OLDEST_NODE}, so the second verifier did not run"
    return None


def _verdicts(results: list[Result], names: Files) -> dict[str, str]:
    """The worst result of each file; `not checked` is no verdict, and a file of which nothing is told is missing."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for each in results:
        if each["file"] in found:
            found[each["file"]].add(each["result"].replace("not checked", "ok"))
    return {
        name: next(result for result in RESULTS if result in told) for name, told in found.items() if told
    }


def _both(place: Path, files: Files, *options: str) -> tuple[dict[str, str], dict[str, str]]:
    """What the kit and the second verifier say of each file."""
    kit, second = _both_results(place, files, *options)
    return _verdicts(kit, files), _verdicts(second, files)


def _both_results(place: Path, files: Files, *options: str) -> tuple[list[Result], list[Result]]:
    """Every item of the kit and of the second verifier."""
    if (why := _node()) is not None:
        pytest.skip(why)
    for name, data in files.items():
        (place / name).write_bytes(data)
    kit = run_kit(place, "--json", *options, *files)
    command = ["node", str(SECOND_VERIFIER), "--json", *options, *files]
    second = subprocess.run(
        command, cwd=place, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
    )
    assert (kit.stderr, second.stderr) == ("", "")
    told = json.loads(second.stdout)
    assert told["exit_code"] == second.returncode
    return kit.results, told["results"]


def _agreed(place: Path, files: Files, *options: str) -> dict[str, str]:
    """What both say, of the files of which both could say something. Fails where they differ."""
    kit, second = _both(place, files, *options)
    assert set(kit) == set(second) == set(files)
    sure = [name for name in files if "could not check" not in (kit[name], second[name])]
    differ = {name: (kit[name], second[name]) for name in sure if kit[name] != second[name]}
    assert differ == {}
    return {name: second[name] for name in sure}


def _trusted(place: Path, ledger: AuditLedger) -> tuple[str, str]:
    """The option that tells both which ledger is meant, and all of its acts."""
    (place / "trusted").write_bytes(ledger.trust())
    return "--trust", "trusted"


def _of_every_kind(ledger: AuditLedger) -> dict[str, bytes]:
    size = ledger.size
    export = ledger.export(payloads=True, older=[1, size // 2])
    few = encode_checkpoint(ledger.checkpoint(size - 1, sites=1))
    return {
        "all.sento-export": export,
        "all.sento-export.gz": gzip.compress(export, mtime=0),
        "hidden.sento-export": ledger.export(hidden=range(1, min(size, 150), 3)),
        "trust.json": ledger.trust(),
        "genesis.json": ledger.world.genesis_bytes,
        "checkpoint": ledger.note(size - 1).encode(),
        "few": few,
        **{f"{at}.receipt.json": ledger.receipt(at) for at in range(0, size, 40)},
    }


@pytest.mark.parametrize("name", GOLDEN_LEDGERS)
def test_both_verifiers_prove_every_golden_ledger(name: str, tmp_path: Path) -> None:
    ledger = golden_audit_ledger(name)
    agreed = _agreed(tmp_path, _of_every_kind(ledger), "--ledger-id", ledger.world.ledger_id.hex())
    assert agreed.pop("few") == "failed"
    assert set(agreed.values()) == {"ok"}
    assert {"trust.json", "genesis.json", "checkpoint", "0.receipt.json"} <= set(agreed)


def test_both_verifiers_judge_by_genesis_file_fork_and_ledger_id_alike(tmp_path: Path) -> None:
    ledger = golden_audit_ledger(NEWEST)
    files = {f"{at}.receipt.json": ledger.receipt(at) for at in (0, 99, 100)}
    fork = f"{ledger.driver.state.epoch}:100:{ledger.checkpoint(100).root.hex()}"
    agreed = _agreed(tmp_path, files, *_trusted(tmp_path, ledger), "--fork", fork)
    assert list(agreed.values()) == ["ok", "ok", "lost with epoch"]
    (tmp_path / "genesis").write_bytes(ledger.world.genesis_bytes)
    assert _agreed(tmp_path, {"0": files["0.receipt.json"]}, "--genesis", "genesis") == {"0": "ok"}
    export = {"x.sento-export": ledger.export(), "t": ledger.trust()}
    assert set(_agreed(tmp_path, export, "--ledger-id", "00" * 32).values()) == {"failed"}
    for told in _both(tmp_path, {**files, **export}):
        assert set(told.values()) == {"could not check"}


def test_both_verifiers_lose_what_an_epoch_left_behind_and_keep_what_stands_below_the_fork(
    tmp_path: Path,
) -> None:
    ledger, left = golden_audit_ledger(OF_EPOCHS), left_behind(OF_EPOCHS)
    begun = ledger.governance.epochs[0]
    fork, rewritten = begun.fork_size, left_behind(OF_EPOCHS, blocks=20)
    rows = ledger.export(payloads=True).splitlines(keepends=True)
    last = {**json.loads(rows[-1]), "checkpoints": [left.note(100), left.note(fork), ledger.note(fork + 1)]}
    files = {
        "both.sento-export": b"".join(rows[:-1]) + json.dumps(last).encode() + b"\n",
        "older.trust.json": left.trust(),
        "trust.json": ledger.trust(),
        "stands.receipt.json": left.receipt(fork - 1),
        "stands.checkpoint": left.note(fork).encode(),
        "new.receipt.json": ledger.receipt(fork),
        "lost.receipt.json": left.receipt(fork),
        "lost.bare.receipt.json": left.receipt(left.size - 1, with_record=False),
        "lost.checkpoint": left.note(left.size).encode(),
        "rewritten.receipt.json": rewritten.receipt(rewritten.size - 1),
    }
    kit, second = _both(tmp_path, files, "--ledger-id", ledger.world.ledger_id.hex())
    lost = dict.fromkeys((name for name in files if name.startswith("lost")), "lost with epoch")
    assert kit == {**dict.fromkeys(files, "ok"), **lost, "rewritten.receipt.json": "failed"}
    assert second == {**kit, "both.sento-export": "could not check"}, "nothing but its ML-DSA signatures"


def test_both_verifiers_call_what_a_recovery_left_in_doubt_neither_good_nor_lost(tmp_path: Path) -> None:
    """Also what a capital that was only cut off put there, which is not the later epoch's and no second history of it."""
    ledger = golden_audit_ledger(OF_EPOCHS)
    begun = ledger.governance.epochs[-1]
    agreed, fork = begun.agreed_size, begun.fork_size
    cut_off = left_behind(OF_EPOCHS, blocks_before(OF_EPOCHS, begun.number) - 1)
    assert (cut_off.driver.state.epoch, cut_off.size > fork) == (begun.parent, True)
    assert cut_off.records()[agreed].record_hash != ledger.records()[agreed].record_hash
    files = {
        "all.sento-export": ledger.export(),
        "below.receipt.json": cut_off.receipt(agreed - 1),
        "below.checkpoint": cut_off.note(agreed).encode(),
        "doubted.receipt.json": cut_off.receipt(agreed),
        "doubted.bare.receipt.json": cut_off.receipt(fork - 1, with_record=False),
        "doubted.checkpoint": cut_off.note(fork).encode(),
        "lost.receipt.json": cut_off.receipt(fork),
        "lost.checkpoint": cut_off.note(fork + 1).encode(),
        "new.receipt.json": ledger.receipt(agreed),
    }
    (tmp_path / "trusted").write_bytes(ledger.trust())
    for told in _both(tmp_path, files, "--trust", "trusted"):
        assert {told[name] for name in files if name.startswith("doubted")} == {"could not check"}
        assert {told[name] for name in files if name.startswith("lost")} == {"lost with epoch"}
        assert {told[name] for name in files if name.startswith(("below", "new"))} == {"ok"}
        assert told["all.sento-export"] in ("ok", "could not check"), "nothing but its ML-DSA signatures"


def test_both_verifiers_say_an_open_gap_and_believe_no_export_that_hides_or_alters_it(tmp_path: Path) -> None:
    ledger = golden_audit_ledger(OF_EPOCHS)
    gap = ledger.governance.gaps[-1]
    head, *rows = ledger.export().splitlines(keepends=True)
    first = json.loads(head)
    assert (gap.open, first["gaps"]) == (True, [gap_value(gap)])

    def with_gaps(gaps: object) -> bytes:
        said = (
            {**first, "gaps": gaps} if gaps is not None else {k: v for k, v in first.items() if k != "gaps"}
        )
        return json.dumps(said).encode() + b"\n" + b"".join(rows)

    files = {
        "good.sento-export": with_gaps([gap_value(gap)]),
        "before.sento-export": ledger.export(size=gap.from_size),
        "below.receipt.json": ledger.receipt(gap.from_size - 1),
        "behind.receipt.json": ledger.receipt(gap.from_size),
    }
    altered = {
        "hidden.sento-export": with_gaps(None),
        "closed.sento-export": with_gaps([]),
        "later.sento-export": with_gaps([{**gap_value(gap), "as_of_ms": gap.as_of_ms + 1}]),
        "smaller.sento-export": with_gaps([{**gap_value(gap), "known_missing": 0}]),
        "lower.sento-export": with_gaps([{**gap_value(gap), "from_size": 1}]),
        "twice.sento-export": with_gaps([gap_value(gap)] * 2),
    }
    for results in _both_results(tmp_path, files | altered, "--ledger-id", ledger.world.ledger_id.hex()):
        told = _verdicts(results, files | altered)
        assert {told[name] for name in files} <= {"ok", "could not check"}
        assert {told[name] for name in altered} == {"failed"}
        said = {each["file"] for each in results if each["item"] == "gap" and each["result"] == "not checked"}
        assert "good.sento-export" in said
        assert "before.sento-export" not in said
        dated = {each["file"] for each in results if "; as of 2026-03-11" in each["why"]}
        assert dated == said | {"below.receipt.json"}


@pytest.mark.parametrize("liar", [LIAR, THIRD], ids=["one key", "two keys"])
def test_both_verifiers_convict_the_liar_and_nobody_else(liar: str, tmp_path: Path) -> None:
    ledger = ledger_with_second_keys()
    proofs = frauds(ledger, liar)
    files = dict(proofs)
    for kind, data in proofs.items():
        value = json.loads(data)
        files[f"{kind}-of-another"] = json.dumps({**value, "site": SECOND}).encode()
        files[f"{kind}-elsewhere"] = json.dumps({**value, "ledger_id": "00" * 32}).encode()
        for name in {"b", "checkpoint", "others", "path"} & set(value):
            taken = (
                value["a"] if name == "b" else value["statement"] if name == "checkpoint" else value[name][1:]
            )
            files[f"{kind}-without-{name}"] = json.dumps({**value, name: taken}).encode()
    (tmp_path / "genesis").write_bytes(ledger.world.genesis_bytes)
    agreed = _agreed(tmp_path, files, "--genesis", "genesis")
    convicted = {name for name, verdict in agreed.items() if verdict == "ok"}
    needs_ml_dsa = {"head-against-quorum"} if liar == LIAR else set(proofs) - {"two-blocks"}
    assert convicted == set(proofs) - needs_ml_dsa
    assert len(agreed) > len(proofs) * 2


def test_both_verifiers_judge_certificates_and_payloads_that_must_be_gone(tmp_path: Path) -> None:
    ledger = golden_audit_ledger(NEWEST)
    good = certificate_of(ledger)
    value = json.loads(good)
    files = {
        "good": good,
        "another-site": json.dumps({**value, "site": SECOND}).encode(),
        "another-body": json.dumps({**value, "body": json.loads(certificate_of(ledger, time_s=1))["body"]}).encode(),
        "fewer-records": certificate_of(ledger, records=()),
        "another-place": certificate_of(ledger, carried_out=1),
    }  # fmt: skip
    agreed = _agreed(tmp_path, files, *_trusted(tmp_path, ledger))
    assert agreed.pop("good") == "ok"
    assert set(agreed.values()) == {"failed"}


def _flipped(whole: bytes, name: str) -> dict[str, bytes]:
    """The file with one bit changed at each of some places, and cut short."""
    chance = random.Random(f"second audit, {name}")
    files = {f"{name}-cut-{cut}": whole[:cut] for cut in (0, 1, len(whole) // 2, len(whole) - 2)}
    for place in chance.sample(range(len(whole)), min(FLIPS, len(whole))):
        altered = bytearray(whole)
        altered[place] ^= 1 << chance.randrange(8)
        files[f"{name}-{place}"] = bytes(altered)
    return files


def _fraud_files() -> dict[str, bytes]:
    proofs = frauds(ledger_with_second_keys(), LIAR)
    return {
        name: data
        for kind in proofs
        for name, data in list(_flipped(proofs[kind], kind).items())[: FLIPS // 3]
    }


FLIPPED: dict[str, tuple[Callable[[], AuditLedger], Callable[[AuditLedger], Files]]] = {
    "checkpoint": (lambda: golden_audit_ledger(SMALL), lambda one: _flipped(one.note(one.size).encode(), "note")),
    "receipt": (lambda: golden_audit_ledger(SMALL), lambda one: _flipped(one.receipt(5), "receipt")),
    "receipt of an act": (lambda: golden_audit_ledger(NEWEST), lambda one: _flipped(one.receipt(160), "receipt")),
    "export": (lambda: golden_audit_ledger(SMALL), lambda one: _flipped(one.export(payloads=True, older=[3]), "export")),
    "zipped export": (lambda: golden_audit_ledger(SMALL), lambda one: _flipped(gzip.compress(one.export(), mtime=0), "gz")),
    "trust": (lambda: golden_audit_ledger(NEWEST), lambda one: _flipped(one.trust(170), "trust")),
    "genesis": (lambda: golden_audit_ledger(NEWEST), lambda one: _flipped(one.world.genesis_bytes, "genesis")),
    "certificate": (lambda: golden_audit_ledger(NEWEST), lambda one: _flipped(certificate_of(one), "certificate")),
    "fraud": (ledger_with_second_keys, lambda one: _fraud_files()),
}  # fmt: skip


@pytest.mark.parametrize("kind", FLIPPED)
def test_both_verifiers_say_the_same_of_every_changed_byte(kind: str, tmp_path: Path) -> None:
    of, make = FLIPPED[kind]
    ledger = of()
    files = make(ledger)
    agreed = _agreed(tmp_path, files, *_trusted(tmp_path, ledger))
    assert len(agreed) > len(files) // 2
    assert list(agreed.values()).count("failed") > len(files) // 3


def test_a_verdict_of_the_second_verifier_can_differ(tmp_path: Path) -> None:
    ledger = golden_audit_ledger(SMALL)
    rows = [json.loads(line) for line in ledger.export().splitlines()]
    changed = json.loads(base64.b64decode(rows[0]["genesis"]))
    rows[0]["genesis"] = base64.b64encode(json.dumps(changed).encode()).decode()
    files = {"x.sento-export": b"".join(json.dumps(row).encode() + b"\n" for row in rows)}
    assert _agreed(tmp_path, files, *_trusted(tmp_path, ledger)) == {"x.sento-export": "failed"}
