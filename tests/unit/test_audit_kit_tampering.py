"""Files for the audit kit with one byte changed: what it then calls ok must still mean the same, whichever byte it is."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_files import AuditLedger, run_kit
from audit_ledgers import golden_audit_ledger
from sento_proto.strict_json import load
from sento_proto.wire import Malformed

FLIPS = 250
Meaning = Callable[[bytes], object]


def _note(text: str) -> list[str]:
    """A checkpoint without its signature lines: whoever else signed changes nothing."""
    return text.split("\n")[:3]


def _plain(data: bytes) -> dict[str, object]:
    load(data, "file")
    value: dict[str, object] = json.loads(data)
    return value


def checkpoint_meaning(data: bytes) -> object:
    return _note(data.decode())


def receipt_meaning(data: bytes) -> object:
    value = _plain(data)
    return {**value, "checkpoint": _note(str(value["checkpoint"]))}


def export_meaning(data: bytes) -> object:
    rows = [_plain(line) for line in data.splitlines()]
    rows[0] = {**rows[0], "checkpoint": _note(str(rows[0]["checkpoint"])), "made_at_ms": 0}
    checkpoints = rows[-1]["checkpoints"]
    assert isinstance(checkpoints, list)
    rows[-1] = {**rows[-1], "checkpoints": [_note(each) for each in checkpoints]}
    return rows


def small() -> AuditLedger:
    return golden_audit_ledger("ledger_rules_1")


CASES: dict[str, tuple[Callable[[], bytes], Meaning]] = {
    "checkpoint": (lambda: small().note(small().size).encode(), checkpoint_meaning),
    "receipt": (lambda: small().receipt(5), receipt_meaning),
    "export": (lambda: small().export(payloads=True, older=[3]), export_meaning),
    "trust": (lambda: golden_audit_ledger("ledger_rules_4").trust(40), receipt_meaning),
}


def _same(meaning: Meaning, data: bytes, wanted: object) -> bool:
    try:
        return meaning(data) == wanted
    except (ValueError, LookupError, TypeError, Malformed):
        return False


@pytest.mark.parametrize("kind", CASES)
def test_no_flipped_byte_changes_what_is_called_ok(kind: str, tmp_path: Path) -> None:
    make, meaning = CASES[kind]
    whole = make()
    ledger = golden_audit_ledger("ledger_rules_4" if kind == "trust" else "ledger_rules_1")
    (tmp_path / "genesis.json").write_bytes(ledger.world.genesis_bytes)
    chance = random.Random(f"flips of {kind}")
    places = chance.sample(range(len(whole)), min(FLIPS, len(whole)))
    changed: dict[str, bytes] = {}
    for place in places:
        altered = bytearray(whole)
        altered[place] ^= 1 << chance.randrange(8)
        changed[f"{place}"] = bytes(altered)
    for cut in (0, 1, len(whole) // 2, len(whole) - 2):
        changed[f"cut-{cut}"] = whole[:cut]
    for name, data in {**changed, "whole": whole}.items():
        (tmp_path / name).write_bytes(data)
    kit = run_kit(tmp_path, "--json", "--genesis", "genesis.json", "whole", *changed)
    assert kit.stderr == ""
    results: dict[str, set[str]] = {}
    for each in kit.results:
        results.setdefault(each["file"], set()).add(each["result"])
    assert results["whole"] <= {"ok", "not checked"}
    wanted = meaning(whole)
    wrong = [
        name
        for name, data in changed.items()
        if "ok" in results[name]
        and not results[name] & {"failed", "could not check"}
        and not _same(meaning, data, wanted)
    ]
    assert wrong == [], [(name, changed[name][max(0, int(name) - 30) : int(name) + 30]) for name in wrong]
    assert sum("failed" in found for found in results.values()) > len(changed) // 3


def replace_once(data: bytes, change: Callable[[list[dict[str, object]]], object]) -> bytes:
    rows = [json.loads(line) for line in data.splitlines()]
    change(rows)
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


CHANGES: dict[str, Callable[[list[dict[str, object]]], object]] = {
    "a record left out": lambda rows: rows.pop(4),
    "two records exchanged": lambda rows: rows.insert(3, rows.pop(5)),
    "a record twice": lambda rows: rows.insert(4, rows[4]),
    "no last line": lambda rows: rows.pop(),
    "a line behind the last": lambda rows: rows.append(rows[3]),
    "a smaller size": lambda rows: rows[0].update(size=3),
    "another epoch": lambda rows: rows[0].update(epoch=7),
    "a payload of another": lambda rows: rows[3].update(payload="AAAA"),
    "a link of another": lambda rows: rows[3].update(link=rows[4]["link"]),
    "another predecessor": lambda rows: rows[5].update(previous_of_subject=0),
    "an unknown member": lambda rows: rows[3].update(note="x"),
    "no link": lambda rows: (rows[3].pop("link"), rows[3].pop("previous_of_subject"))[0],
    "a foreign checkpoint": lambda rows: rows[-1].update(
        checkpoints=[golden_audit_ledger("ledger_rules_2").note(3)]
    ),
    "a hidden record with another hash": lambda rows: rows.__setitem__(
        4,
        {
            "position": 3,
            "record_hash": "00" * 32,
            "link": rows[4]["link"],
            "previous_of_subject": None,
            "hidden": True,
        },
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_an_export_with_something_moved_fails(what: str, tmp_path: Path) -> None:
    ledger = small()
    (tmp_path / "a.sento-export").write_bytes(replace_once(ledger.export(older=[3]), CHANGES[what]))
    kit = run_kit(tmp_path, "--json", "--ledger-id", ledger.world.ledger_id.hex(), "a.sento-export")
    assert (kit.code, kit.stderr) == (1, "")
    assert kit.of("sento-export-1") == ["failed"], kit.stdout


def test_a_trust_file_without_one_of_the_acts_between_fails(tmp_path: Path) -> None:
    ledger = golden_audit_ledger("ledger_rules_4")
    whole = json.loads(ledger.trust())
    acts = [at for at, record in enumerate(whole["records"]) if record["submission"]["officers"]]
    (tmp_path / "genesis.json").write_bytes(ledger.world.genesis_bytes)
    for name, place in (("whole", None), ("first", acts[0]), ("between", acts[len(acts) // 2])):
        value = {**whole, "records": list(whole["records"]), "proofs": list(whole["proofs"])}
        if place is not None:
            del value["records"][place], value["proofs"][place]
        (tmp_path / name).write_text(json.dumps(value))
    kit = run_kit(tmp_path, "--json", "--genesis", "genesis.json", "whole", "first", "between")
    assert kit.of("sento-trust-2") == ["ok", "failed", "failed"]
    assert all("does not follow the act before it" in each["why"] for each in kit.results[-2:])
