"""A second implementation, in another language and from the layouts alone, agrees with every golden vector, and can disagree."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"
OLDEST_NODE = 18
RUN_TIMEOUT_S = 60
Vectors = dict[str, Any]


def _node() -> str:
    """Path of a Node that is new enough; skips the test with the reason if there is none."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on PATH, so the second implementation did not run")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node {version} is older than {OLDEST_NODE}, so the second implementation did not run")
    return node


def _run(vectors: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [_node(), str(GOLDEN / "verify.mjs"), *([] if vectors is None else [str(vectors)])]
    return subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S)


def _failed_by_group(output: str) -> dict[str, int]:
    return {
        name: int(failed)
        for name, failed in re.findall(r"^(\w+): \d+ passed, (\d+) failed$", output, re.MULTILINE)
    }


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    """The golden vectors as they stand."""
    loaded: Vectors = json.loads((GOLDEN / "vectors.json").read_bytes())
    return loaded


def test_every_vector_is_verified_and_every_malformed_one_refused(vectors: Vectors) -> None:
    result = _run()
    count = sum(len(group) for name, group in vectors.items() if name != "format")
    assert result.stdout.splitlines()[-1:] == [f"{count} passed, 0 failed"], result.stdout + result.stderr
    assert result.returncode == 0


def _other_digit(text: str) -> str:
    """The same hex with its first digit another one."""
    return ("1" if text[0] == "0" else "0") + text[1:]


def _alters(*path: str) -> Callable[[Vectors, list[Any]], None]:
    """Changes one derived value of a group's first vector."""

    def alter(_: Vectors, group: list[Any]) -> None:
        inner = group[0]
        for step in path[:-1]:
            inner = inner[step]
        value = inner[path[-1]]
        if isinstance(value, list):
            value[-1] = _other_digit(value[-1])
        else:
            inner[path[-1]] = value + 1 if isinstance(value, int) else _other_digit(value)

    return alter


def _plants(source: str, number: int = 0, **fields: object) -> Callable[[Vectors, list[Any]], None]:
    """Puts a thing that is true among those that must be refused."""

    def plant(whole: Vectors, group: list[Any]) -> None:
        group.append({**whole[source][number], **fields})

    return plant


def _plants_payload(whole: Vectors, group: list[Any]) -> None:
    group.append({"name": "planted", "bytes": whole["sealed"][0]["payload"]})


def _plants_true_signature(whole: Vectors, group: list[Any]) -> None:
    submission, act, block = whole["submissions"][0], whole["acts"][0], whole["blocks"][0]
    for what, vector, key in (
        ("submission", submission, submission["author_public_key"]),
        ("act", act, act["officers"][0]["public_key"]),
        ("block", block, block["site_public_key"]),
    ):
        group.append({"what": what, "name": "planted", "public_key": key, "bytes": vector["bytes"]})


def _reverses_verdict(_: Vectors, group: list[Any]) -> None:
    for vector in group:
        vector["holds"] = not vector["holds"]


def _gives_the_number_twice(_: Vectors, group: list[Any]) -> None:
    group[1]["number"] = group[0]["number"]


def _accuses_another(_: Vectors, group: list[Any]) -> None:
    file = group[0]["file"]
    file["site"] = next(site for site in group[0]["sites"] if site != file["site"])


CORRUPTIONS: dict[str, Callable[[Vectors, list[Any]], None]] = {
    "error_codes": _gives_the_number_twice,
    "keys": _alters("key_id"),
    "pae": _alters("pae"),
    "uuid7": _alters("uuid"),
    "pseudonyms": _alters("fact"),
    "headers": _alters("fields", "subject"),
    "sealed": _alters("content"),
    "records": _alters("record_hash"),
    "chains": _alters("links"),
    "submissions": _alters("root"),
    "submissions_form_only": _alters("bytes"),
    "acts": _alters("epoch"),
    "act_contents": _alters("content", "reason"),
    "kek_records": _alters("seals"),
    "site_rules": _alters("release"),
    "access_records": _alters("content", "purpose"),
    "delayed_cases": _alters("case"),
    "blocks": _alters("signed_hash"),
    "checkpoints": _alters("root"),
    "ml_dsa_44_lines": _alters("message"),
    "kek_seals": _alters("info"),
    "head_statements": _alters("link"),
    "fraud_proofs": _accuses_another,
    "trees": _alters("roots"),
    "inclusion_proofs": _alters("root"),
    "consistency_proofs": _alters("new_root"),
    "signatures": _reverses_verdict,
    "p256_signatures": _reverses_verdict,
    "two_keys": _alters("ciphertext"),
    "malformed_headers": _plants("headers"),
    "malformed_payloads": _plants_payload,
    "malformed_submissions": _plants("submissions"),
    "malformed_acts": _plants("acts"),
    "malformed_blocks": _plants("blocks"),
    "malformed_checkpoints": _plants("checkpoints"),
    "malformed_head_statements": _plants("head_statements"),
    "fraud_not_proven": _plants("fraud_proofs"),
    "closed_payloads": _plants("sealed"),
    "refused_keys": _plants("keys", forged=None),
    "false_signatures": _plants_true_signature,
    "false_checkpoints": _plants("checkpoints", 2, note_by=None, cosigned_by={}),
    "false_inclusion_proofs": _plants("inclusion_proofs"),
    "false_consistency_proofs": _plants("consistency_proofs"),
}


def test_one_corrupted_vector_in_a_group_fails_that_group(vectors: Vectors, tmp_path: Path) -> None:
    assert set(CORRUPTIONS) == set(vectors) - {"format"}
    corrupted = copy.deepcopy(vectors)
    for name, corrupt in CORRUPTIONS.items():
        corrupt(vectors, corrupted[name])
    path = tmp_path / "vectors.json"
    path.write_text(json.dumps(corrupted))
    result = _run(path)
    failed = _failed_by_group(result.stdout)
    assert [name for name in CORRUPTIONS if failed.get(name, 0) < 1] == [], result.stdout + result.stderr
    assert failed["false_signatures"] == 3
    assert failed["signatures"] == len(vectors["signatures"])
    assert result.returncode == 1
    assert not result.stdout.endswith(" 0 failed\n")


def test_a_missing_an_empty_and_an_unknown_group_each_fail(vectors: Vectors, tmp_path: Path) -> None:
    changed = {**vectors, "blocks": [], "news": [{"name": "not known"}]}
    del changed["headers"]
    path = tmp_path / "vectors.json"
    path.write_text(json.dumps(changed))
    result = _run(path)
    failed = _failed_by_group(result.stdout)
    assert {name for name, count in failed.items() if count} == {"blocks", "headers", "news"}
    assert result.returncode == 1
