"""Asking the child process, and taking its lines apart: a child that dies has found damage by dying."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from sento_node.ledger.lmdb_files import LedgerNotOpened
from sento_node.rebuild.deciding import AgreedAt, Damage


@dataclass(slots=True)
class Answer:
    """What the child said. `unbegun`: the file has nothing in it; `problem` is the first reason why the ledger cannot be opened as it is, or "";
    `sound_size` the size that verified whole."""

    unbegun: bool = False
    problem: str = ""
    damage: list[Damage] = field(default_factory=list)
    kept: list[AgreedAt] = field(default_factory=list)
    remembered: dict[str, bytes] = field(default_factory=dict)
    sound_size: int | None = None
    ends: dict[int, int] | None = None


def ask(question: str, ledger: Path, genesis: Path, *numbers: int) -> Answer:
    """Ask and wait. Raises LedgerNotOpened when another process has the ledger open."""
    done = subprocess.run(
        _command(question, ledger, genesis, *numbers),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
    )
    return _answer(done.stdout, done.returncode)


async def ask_aside(question: str, ledger: Path, genesis: Path, *numbers: int) -> Answer:
    """Ask while others go on; the child ends with whoever waits for it. Raises LedgerNotOpened."""
    child = await asyncio.create_subprocess_exec(
        *_command(question, ledger, genesis, *numbers), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        said, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return _answer(said, child.returncode)


def _command(question: str, ledger: Path, genesis: Path, *numbers: int) -> list[str]:
    module = "sento_node.rebuild.child"
    return [sys.executable, "-m", module, question, str(ledger), str(genesis), *map(str, numbers)]


def _answer(said: bytes, code: int | None) -> Answer:
    answer, done = Answer(), False
    for data in said.splitlines():
        try:
            line = json.loads(data)
        except ValueError:
            continue  # it died in the middle of a line
        if "in_use" in line:
            raise LedgerNotOpened(line["in_use"])
        done = done or "done" in line
        answer.unbegun = answer.unbegun or "unbegun" in line
        if "problem" in line and not answer.problem:
            answer.problem = line["problem"]
        if "damage" in line:
            answer.damage.append(Damage(*line["damage"]))
        if "checkpoint" in line:
            answer.kept.append(AgreedAt(*line["checkpoint"]))
        if "remembered" in line:
            answer.remembered[line["remembered"]] = bytes.fromhex(line["value"])
        if "sound" in line:
            answer.sound_size = line["sound"]
        if "ends" in line:
            answer.ends = {int(number): end for number, end in line["ends"].items()}
    if not done:
        answer.problem = (
            answer.problem or f"Whoever read the ledger's database died of it (exit code {code})."
        )
        answer.sound_size = answer.ends = None
    return answer
