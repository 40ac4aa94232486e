"""From runs to bench.json: pairwise ratios, medians, turns, and that what is missing or too little is said."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from sento_drill.bench.calls import Calls
from sento_drill.bench.command import PARTS, SIDES
from sento_drill.bench.document import Document
from sento_drill.bench.killing import Kill
from sento_drill.bench.measuring import PARTS as MEASURED_PARTS
from sento_drill.bench.reads import ETCD_GET, LINEARIZABLE, LOCAL, reads_fields
from sento_drill.bench.sides import SIDES as KNOWN_SIDES
from sento_drill.bench.summary import Run, in_turn, medians, ratios, run_of
from sento_drill.bench.usage import Usage
from sento_drill.cli import main


def run(side: str, pair: int, per_s: float, work: str = "64x1") -> Run:
    return Run(
        work,
        side,
        pair,
        int(per_s),
        0,
        1.0,
        per_s,
        10.0,
        20.0,
        {"client": 0.5, "server": 1.5},
        {"client": 9.0},
        0.1,
    )


def test_ratio_is_the_median_of_pairs_and_not_the_ratio_of_medians() -> None:
    ours, theirs = (100.0, 400.0, 600.0), (50.0, 500.0, 200.0)
    runs = [run("sento", pair, per_s) for pair, per_s in enumerate(ours)]
    runs += [run("etcd", pair, per_s) for pair, per_s in enumerate(theirs)]
    assert ratios(runs) == {"64x1": {"etcd": 2.0}}
    found = medians(runs)["64x1"]
    assert found["sento"].records_per_s / found["etcd"].records_per_s == 2.0
    runs[-1] = run("etcd", 2, 6_000.0)
    assert ratios(runs) == {"64x1": {"etcd": 0.8}}


def test_a_pair_without_its_peer_is_left_out_of_the_ratio() -> None:
    runs = [run("sento", 1, 100.0), run("sento", 2, 900.0), run("postgresql", 1, 50.0)]
    assert ratios(runs) == {"64x1": {"postgresql": 2.0}}


def test_works_do_not_mix() -> None:
    runs = [
        run("sento", 1, 100.0),
        run("etcd", 1, 50.0),
        run("sento", 1, 10.0, "1x1"),
        run("etcd", 1, 40.0, "1x1"),
    ]
    assert ratios(runs) == {"64x1": {"etcd": 2.0}, "1x1": {"etcd": 0.25}}


def test_cpu_of_a_record_counts_all_processes_of_a_side() -> None:
    assert medians([run("sento", 1, 1_000.0)])["64x1"]["sento"].cpu_us_per_record == 2_000.0


def test_every_side_comes_first_equally_often() -> None:
    turns = [in_turn(["a", "b", "c"], turn) for turn in range(6)]
    assert [turn[0] for turn in turns] == ["a", "b", "c", "a", "b", "c"]
    assert in_turn([], 3) == []


def test_records_are_calls_times_batch_and_percentiles_are_those_of_a_call() -> None:
    calls = Calls(0.0, 2.0, 1, [10_000] * 6)
    found = run_of("8x100", 100, "etcd", 2, calls, Usage({"client": 0.5}, {"client": 12.0}, 0.2))
    assert (found.records, found.failed, found.records_per_s, found.p50_ms) == (600, 100, 300.0, 10.0)


def test_reads_stand_beside_etcds_and_say_what_only_ours_leave_behind() -> None:
    runs = [run(LINEARIZABLE, 1, 500.0), run(LOCAL, 1, 1_500.0), run(ETCD_GET, 1, 1_000.0)]
    fields = reads_fields([Run(**{**each.fields(), "work": "read-64x1"}) for each in runs])  # type: ignore[arg-type]
    assert fields["ratios"] == {"linearizable": {"etcd": 0.5}, "local": {"etcd": 1.5}}
    assert "release record" in str(fields["note"])


def document(pairs: int) -> Document:
    return Document(
        pairs=pairs,
        skipped={"postgresql": "not installed"},
        runs=[run("sento", 1, 1_200.0), run("etcd", 1, 1_000.0)],
        kills=[Kill("sento", 1, 1.5), Kill("sento", 2, 2.5), Kill("etcd", 1, 1.0)],
        sealing={"records_per_s": 9_000},
    )


def test_document_has_the_names_that_programs_look_for() -> None:
    fields = json.loads(document(5).text())
    assert fields["format"] == "sento-bench-1"
    assert fields["ratios"]["64x1"]["etcd"] == 1.2
    assert fields["medians"]["64x1"]["sento"]["records_per_s"] == 1_200
    wanted = {"work", "side", "pair", "records", "failed", "seconds", "records_per_s", "p50_ms", "p99_ms"}
    assert wanted | {"cpu_s", "peak_rss_mib"} <= set(fields["runs"][0])
    assert fields["leader_kill"]["median_s"] == {"sento": 2.0, "etcd": 1.0}
    assert fields["leader_kill"]["max_s"] == {"sento": 2.5, "etcd": 1.0}
    assert fields["settings"]["skipped"] == {"postgresql": "not installed"}
    assert fields["complete"] is False


@pytest.mark.parametrize(("pairs", "enough"), [(4, False), (5, True)])
def test_fewer_than_five_pairs_are_marked(pairs: int, enough: bool) -> None:
    made = document(pairs)
    screen = io.StringIO()
    Console(file=screen, width=120).print(made.tables())
    assert made.fields()["settings"]["enough_pairs_for_a_claim"] is enough  # type: ignore[index]
    assert ("may be claimed" in screen.getvalue()) is not enough
    assert "Skipped: postgresql: not installed" in screen.getvalue()


def test_document_is_written_whole_over_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text("old", encoding="utf-8")
    document(1).save(path)
    assert json.loads(path.read_text(encoding="utf-8"))["format"] == "sento-bench-1"
    assert [entry.name for entry in tmp_path.iterdir()] == ["bench.json"]


def test_command_offers_exactly_the_parts_and_sides_that_there_are() -> None:
    assert PARTS == MEASURED_PARTS
    assert SIDES == KNOWN_SIDES


def test_command_refuses_a_part_that_is_none_before_anything_starts(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["bench", "--only", "65x1", "--output", str(tmp_path / "bench.json")])
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []
