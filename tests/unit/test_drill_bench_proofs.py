"""The bench of proofs: figures come of work that was done and held, rates leave out what every start costs, and a part that fails is told and not left out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from sento_drill.bench.calls import LoadFailed
from sento_drill.bench.proofs import command
from sento_drill.bench.proofs.command import NAMES, all_parts, bench_proofs_command
from sento_drill.bench.proofs.erasing import CERTIFIED, STAGES, stages_of
from sento_drill.bench.proofs.made_ledger import MadeLedger
from sento_drill.bench.proofs.parts import Found, Part, Place, Row
from sento_drill.bench.proofs.rates import Timed, marginal_per_s, rounds_per_s
from sento_drill.bench.proofs.read_load import WAYS, called
from sento_drill.bench.proofs.reading import RATIOS, Window, decode_windows, ratio
from sento_drill.bench.proofs.receipt_latency import decode_times
from sento_drill.bench.proofs.scrub_cost import WITH, WITHOUT, PairedRun, paired
from sento_drill.bench.proofs.verifying import KIT, kit_figures
from sento_drill.cli import main
from sento_proto.receipt import decode_receipt, encode_receipt, verify_receipt


@pytest.mark.parametrize("with_ml_dsa", [True, False])
def test_receipts_that_are_measured_hold_by_all_keys_that_their_sites_have(with_ml_dsa: bool) -> None:
    ledger = MadeLedger(with_ml_dsa=with_ml_dsa, records=11)
    checkpoint = ledger.checkpoint(9)
    for position in (0, 5, 8):
        receipt = decode_receipt(encode_receipt(ledger.receipt(position, checkpoint)))
        verified = verify_receipt(receipt, ledger.governance)
        assert verified.holds, verified.why
        assert len(verified.cosigned) == 3
    assert len(checkpoint.signatures) == (6 if with_ml_dsa else 3)
    other = ledger.receipt(5, checkpoint)._replace(position=6)
    assert not verify_receipt(other, ledger.governance).holds


def test_a_round_counts_what_was_done_after_a_call_that_is_not_counted() -> None:
    calls: list[int] = []

    def once() -> int:
        calls.append(1)
        return 7

    (measured,) = rounds_per_s(once, 1, 0.0)
    assert len(calls) == 2, "one to warm up, one that is measured"
    assert measured.per_s > 0


def test_what_a_start_costs_is_in_no_rate() -> None:
    assert marginal_per_s(10, 1.5, 110, 2.5) == pytest.approx(100.0)
    figures, row = kit_figures("kit", "receipts", (10, 110), [(Timed(1.5, 1.1, ""), Timed(2.5, 2.1, ""))])
    assert (figures["per_s"], figures["per_cpu_s"], figures["start_cpu_s"]) == (100.0, 100.0, 1.0)
    assert row.figure == "100 receipts/s"


def test_more_files_that_took_no_longer_make_no_rate() -> None:
    with pytest.raises(LoadFailed, match="too few"):
        marginal_per_s(10, 1.5, 110, 1.5)


def paired_run(pair: int, scrub: str, per_s: float) -> PairedRun:
    return PairedRun(pair, scrub, per_s, 10.0, 20.0, 1_000.0, 0.0, 1.0)


def test_the_cost_of_the_scrub_is_the_median_of_ratios_within_pairs_and_half_a_pair_counts_for_nothing() -> (
    None
):
    runs = [
        paired_run(1, WITH, 900.0), paired_run(1, WITHOUT, 1_000.0),
        paired_run(2, WITHOUT, 100.0), paired_run(2, WITH, 80.0),
        paired_run(3, WITH, 700.0), paired_run(3, WITHOUT, 1_000.0),
        paired_run(4, WITH, 5.0),
    ]  # fmt: skip
    found = paired(runs)
    assert (found.pairs, found.ratios["records_per_s"]) == (3, 0.8)
    assert found.medians[WITH]["records_per_s"] == 700.0
    with pytest.raises(LoadFailed, match="no pair"):
        paired([paired_run(1, WITH, 900.0), paired_run(2, WITHOUT, 900.0)])


def test_ways_to_read_are_compared_within_a_round() -> None:
    def window(way: str, number: int, p50_ms: float, callers: int = 1) -> Window:
        return Window(way, callers, number, 5, 1.0, p50_ms, 9.0, 0, 0)

    windows = [window("a", 0, 2.0), window("b", 0, 1.0), window("a", 1, 30.0), window("b", 1, 10.0)]
    windows += [window("a", 2, 5.0), window("a", 0, 400.0, callers=64)]
    assert ratio(windows, 1, "a", "b") == 2.5
    assert ratio(windows, 64, "a", "b") is None
    assert {name for pair in RATIOS.values() for name in pair} <= WAYS.keys()


def test_reads_slower_than_their_window_are_counted_with_all_they_took() -> None:
    async def slow() -> bool:
        await asyncio.sleep(0.02)
        return True

    calls = asyncio.run(called(slow, 3, 0.001))
    assert len(calls.took_us) == 3
    assert calls.percentile_ms(50) >= 20.0


@pytest.mark.parametrize("decode", [decode_times, decode_windows])
def test_a_load_that_printed_something_else_is_an_error_with_its_words(
    decode: Callable[[str], object],
) -> None:
    with pytest.raises(LoadFailed, match="panic"):
        decode('"panic: lost"')


def test_stages_of_an_erasure_come_from_the_sites_log_and_of_one_that_comes_again_the_last_counts() -> None:
    def said(event: str, second: int) -> str:
        return json.dumps({"event": event, "timestamp": f"1970-01-01T00:00:{second:02d}Z"})

    lines = [said("payloads erased", 11), "a member's own line", said("filler written", 12)]
    lines += [said("filler written", 14), said("something else", 15), said(CERTIFIED, 16), '{"cut']
    assert stages_of(lines, 10.0) == {"payloads_destroyed": 1.0, "filler_written": 4.0, "certified": 6.0}
    assert len(set(STAGES.values())) == len(STAGES)


async def _measured(place: Place) -> Found:
    (place.directory / "left behind").write_text("")
    found = Found()
    found.add("rate", 12, Row("work | done", "12 /s", "alone"))
    return found


async def _failing(place: Place) -> Found:
    raise LoadFailed("the load ended with 3")


def test_command_writes_figures_and_tables_with_the_machines_load_and_tells_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [Part("verify", "Verifying", _measured), Part("scrub", "The scrub", _failing)]
    monkeypatch.setattr(command, "all_parts", lambda: parts)
    disk, output = tmp_path / "disk", tmp_path / "found.json"
    disk.mkdir()
    arguments = ["--quick", "--directory", str(disk), "--output", str(output)]
    result = CliRunner().invoke(bench_proofs_command, arguments)
    assert result.exit_code == 1, result.output
    fields = json.loads(output.read_text())
    assert (fields["complete"], fields["quick"]) == (False, True)
    assert fields["trouble"] == ["scrub: the load ended with 3"]
    assert fields["parts"].keys() == {"verify"}
    assert len(fields["parts"]["verify"]["load_average"]) == 2
    table = output.with_suffix(".md").read_text()
    assert "**Verifying** (load average" in table
    assert "| work \\| done | 12 /s | alone |" in table
    assert "Failed: scrub: the load ended with 3" in table
    assert "nothing may be claimed" in table
    assert not list(disk.iterdir()), "nothing is left behind"
    chosen = CliRunner().invoke(bench_proofs_command, [*arguments, "--only", "verify"])
    assert chosen.exit_code == 0, chosen.output


def test_every_part_has_its_name_and_the_command_is_one_of_the_drills() -> None:
    assert tuple(part.name for part in all_parts()) == NAMES
    assert "bench-proofs" in main.commands
    assert KIT.exists()
