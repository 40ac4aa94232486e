"""A hundred worlds in which every promise holds, the same world twice, and every planted bug found.

A failing test names its seed; `make sim SEED=n` replays it.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.simulation.planted import PLANTED, Planted, look_for
from tests.simulation.world import Report, simulate

SEEDS_IN_CI = 100
SEEDS_A_TEST = 10
ROOT = Path(__file__).resolve().parents[2]

HAPPENED = (
    "a site's false word found out",
    "access record by an institution",
    "access record in another place",
    "access record out of its form",
    "access record over its size",
    "access record under a delay that is none",
    "access record under a site's former key",
    "access record under another key epoch",
    "acknowledged and dropped",
    "act and behind it the one that enrols its officer in one block",
    "act and what it allows in one block",
    "act by a retired officer",
    "act by an officer and the own deputy",
    "act for another epoch",
    "act for another ledger",
    "act replayed by a careless site",
    "act sent again without an answer",
    "act submitted again when it stood",
    "act whose second change does not fit",
    "act with a changed signature",
    "act with an author's key",
    "act with too few signatures",
    "acts that order an erasure and end it in one block",
    "altered chunk given",
    "altered payload given",
    "an erasure ended twice in one block",
    "answer lost",
    "append delivered twice",
    "awaited payload asked for",
    "awaited payload erased",
    "awaited payload fetched",
    "block ordered through a relay",
    "boot number raised over what others remember",
    "boot refused",
    "brought chunk goes on",
    "brought chunk known",
    "brought chunk waiting",
    "brought into a ledger without a life",
    "brought payload stored",
    "chunk gone on with after a crash",
    "chunks adopted",
    "client crashed",
    "client crashed after the flush and before the sending",
    "clinic writes into another's compartment",
    "compacted under a follower",
    "companion's signature left out",
    "courier sent",
    "crash after a cosigned note",
    "crash after a flush",
    "crash before a checkpoint is kept",
    "crash before a cosigned note",
    "crash before a flush",
    "crash before a trim",
    "crash before payloads are erased",
    "crash between the boot numbers",
    "disk at the worst time",
    "disk lost",
    "disk replaced and serving again",
    "disk replaced by command",
    "disk rolled back",
    "embassy's disk lost",
    "embassy's disk rolled back",
    "erasure certified",
    "false chunk found out",
    "flush failed, everything is durable and nobody was told",
    "flush failed, nothing is durable",
    "further officers sign an act",
    "garbage ordered",
    "giver left for falsehood",
    "giver left for silence",
    "headers adopted first",
    "kept checkpoint cosigned abroad",
    "late cosignature kept",
    "lead moved",
    "ledger altered",
    "ledger cut back to its agreed size",
    "ledger lost",
    "ledger made anew",
    "ledger put back in time",
    "ledger whole again",
    "linearizable reads answered",
    "link cut",
    "link cut one way",
    "local read at an embassy",
    "local read while payloads are awaited",
    "local read with its payload",
    "member killed",
    "member's data lost",
    "member's directory lost",
    "message doubled",
    "message lost",
    "night-time rewriting of many people",
    "noise given for a chunk",
    "old state offered",
    "part of a chunk found again",
    "part of a chunk torn by a crash",
    "payloads erased",
    "plan with a gap offered",
    "receipt set mended by officers",
    "receipts not stored: the disk is full",
    "record under a closed key epoch",
    "record under a key epoch to come",
    "refused and called accepted",
    "refused site started again",
    "relay cut off",
    "relay dies",
    "relay given up",
    "relay keeps back the order",
    "relay silent",
    "release recorded by a site",
    "release recorded under a delay",
    "replacement of a disk killed",
    "revoked key goes on writing",
    "rules announced",
    "seal record in another author's name",
    "seal record malformed",
    "seal record where the author may not write",
    "seals by a site for what it may not write",
    "seals for access records by an institution",
    "seals of a site's key",
    "set aside KEY_ENDED",
    "set aside KEY_EPOCH_CLOSED",
    "set aside STALE",
    "set-rules and an act behind it in one block",
    "set-rules past ingress",
    "silent stream opened again",
    "site announces in another's name",
    "site crashed",
    "site dead for good",
    "site dead for good as it trims",
    "site gives a false ledger",
    "site isolated (both)",
    "site started with an old release",
    "site stopped before rules that its release does not know",
    "slow disk",
    "small-order key in an act",
    "spoiled part fetched once more",
    "stream of a chunk cut",
    "stream stalled",
    "submission discarded",
    "submission taken over from an outbox",
    "two acts stand in one block",
    "two acts that follow the same act",
    "two conflicting acts in one block",
)
DECIDED = (
    "ACCEPTED",
    "KNOWN",
    "RECORD_ID_REUSED",
    "STALE",
    "GROUP_REFUSED",
    "PREDECESSOR_MISSING",
    "HELD",
    "MALFORMED",
    "NOT_PERMITTED",
    "KEY_ENDED",
    "KEY_EPOCH_CLOSED",
    "ACT_REFUSED",
    "NOT_AN_OFFICER",
    "TOO_FEW_OFFICERS",
    "RULES_NOT_ANNOUNCED",
    "block MALFORMED",
    "block BAD_SIGNATURE",
    "block WRONG_LEDGER",
    "block NOT_PERMITTED",
    "submission MALFORMED",
    "submission BAD_SIGNATURE",
    "submission NOT_AN_OFFICER",
    "submission NOT_PERMITTED",
    "submission PREDECESSOR_MISSING",
    "submission UNKNOWN_AUTHOR",
    "submission WRONG_LEDGER",
)


@functools.cache
def world_of(seed: int) -> Report:
    return simulate(seed)


@pytest.mark.parametrize("first", range(0, SEEDS_IN_CI, SEEDS_A_TEST))
def test_every_promise_holds_under_faults_and_everything_settles_after_them(first: int) -> None:
    failed = {
        seed: str(world_of(seed).violation)
        for seed in range(first, first + SEEDS_A_TEST)
        if world_of(seed).violation is not None
    }
    assert not failed, f"replay with: make sim SEED={min(failed)}"


def test_the_seeds_together_inject_every_fault_and_meet_every_outcome() -> None:
    faults: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for seed in range(SEEDS_IN_CI):
        faults.update(world_of(seed).faults)
        codes.update(world_of(seed).codes)
    assert [kind for kind in HAPPENED if not faults[kind]] == []
    assert [code for code in DECIDED if not codes[code]] == []
    assert sum(world_of(seed).decisions for seed in range(SEEDS_IN_CI)) > 1_000_000


def test_a_seed_makes_the_same_trace_in_another_process_with_other_hashes() -> None:
    traces = set()
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "5"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        traces.add(next(line for line in run.stdout.splitlines() if line.startswith("trace ")))
    assert traces == {f"trace {world_of(5).trace_hash}"}


def test_two_seeds_make_two_worlds() -> None:
    assert world_of(1).trace_hash != world_of(2).trace_hash


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.bug.__name__)
def test_planted_bug_is_found_and_its_seed_passes_without_it(planted: Planted) -> None:
    found = look_for(planted.bug, planted.seeds)
    assert found is not None, f"no seed of {planted.seeds} found it: {planted.bug.__doc__}"
    assert found.checker in planted.found_by
    assert world_of(found.seed).violation is None


def test_the_table_of_planted_bugs_lists_every_one_as_it_is() -> None:
    table = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    for planted in PLANTED:
        assert f"| {planted.bug.__name__} | {planted.bug.__doc__} |" in table
