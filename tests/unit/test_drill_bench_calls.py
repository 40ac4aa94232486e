"""What loads report: windows, percentiles, and pgbench's log cut to the window that the other sides have."""

from __future__ import annotations

import asyncio
import json

import pytest

from sento_drill.bench.calls import (
    Calls,
    LoadFailed,
    calls_of_pgbench_log,
    decode_calls,
    encode_calls,
    joined,
)
from sento_drill.bench.etcd_load import put, txn
from sento_drill.bench.loading import measure
from sento_drill.bench.works import WORKS, drafts
from sento_node.ordering.etcd.api import etcd_pb2


def logged(*transactions: tuple[float, float | None]) -> list[str]:
    """Lines of pgbench's log for (end in seconds, duration in seconds or None for a failure)."""
    return [
        f"0 {n} {'failed' if took_s is None else round(took_s * 1e6)} 0 {int(end_s)} {round(end_s % 1 * 1e6)}"
        for n, (end_s, took_s) in enumerate(transactions)
    ]


def test_works_are_named_as_in_the_document() -> None:
    assert [work.name for work in WORKS] == ["1x1", "64x1", "256x1", "8x100"]


def test_percentiles_are_durations_that_were_measured_not_mixtures_of_two() -> None:
    calls = Calls(0.0, 1.0, 0, [5_000, 1_000, 100_000, 2_000])
    assert calls.percentile_ms(50) == 2.0
    assert calls.percentile_ms(99) == 100.0
    assert Calls(0.0, 1.0, 0, [7_000]).percentile_ms(50) == 7.0


def test_a_window_in_which_every_call_failed_has_no_percentile_instead_of_a_good_one() -> None:
    with pytest.raises(LoadFailed, match="3 failed"):
        Calls(0.0, 1.0, 3, []).percentile_ms(50)


def test_figures_survive_their_way_through_a_pipe() -> None:
    calls = Calls(10.5, 12.5, 1, [900, 1_100])
    assert decode_calls(encode_calls(calls)) == calls
    assert calls.per_s == 1.0


def test_a_native_load_without_calls_prints_null_and_is_read_as_none() -> None:
    assert decode_calls('{"from_s": 1, "until_s": 2, "failed": 4, "took_us": null}') == Calls(1.0, 2.0, 4, [])


@pytest.mark.parametrize("printed", ["", "panic: lost", "[]", '{"from_s": 1}'])
def test_what_is_no_report_is_an_error_with_the_words_in_it(printed: str) -> None:
    with pytest.raises(LoadFailed, match="no figures"):
        decode_calls(printed)


def test_loads_that_ran_side_by_side_add_up() -> None:
    both = joined([Calls(1.0, 3.0, 1, [10, 20]), Calls(1.1, 3.1, 2, [30])])
    assert both == Calls(1.0, 3.0, 3, [10, 20, 30])


def test_pgbench_counts_only_what_ended_in_the_window_after_the_warm_up() -> None:
    lines = logged((100.1, 0.1), (101.9, 0.2), (102.1, 0.3), (103.9, None), (104.3, 0.1))
    calls = calls_of_pgbench_log(lines, warm_up_s=2.0, seconds=2.0)
    assert (calls.from_s, calls.until_s) == pytest.approx((102.0, 104.0))
    assert (list(calls.took_us), calls.failed) == ([300_000], 1)


def test_pgbench_that_ended_before_its_window_is_an_error_and_no_low_figure() -> None:
    with pytest.raises(LoadFailed, match="before the window"):
        calls_of_pgbench_log(logged((100.1, 0.1), (101.0, 0.1)), warm_up_s=0.5, seconds=4.0)
    with pytest.raises(LoadFailed, match="no transaction"):
        calls_of_pgbench_log([], warm_up_s=0.5, seconds=4.0)


def test_a_call_that_fails_is_counted_and_gives_no_duration() -> None:
    async def good() -> bool:
        await asyncio.sleep(0.005)
        return True

    async def bad() -> bool:
        return False

    report = json.loads(asyncio.run(measure([good, bad], warm_up_s=0.0, seconds=0.1)))
    assert report["failed"] > 0
    assert report["took_us"]
    assert min(report["took_us"]) >= 4_000


def test_python_requests_to_etcd_are_what_the_generated_code_would_send() -> None:
    key, value = b"r/1", b"v" * 1024
    assert put(key, value) == etcd_pb2.PutRequest(key=key, value=value).SerializeToString()
    operations = [
        etcd_pb2.RequestOp(request_put=etcd_pb2.PutRequest(key=each, value=value)) for each in (b"a", b"b")
    ]
    assert txn([b"a", b"b"], value) == etcd_pb2.TxnRequest(success=operations).SerializeToString()


def test_two_sources_of_drafts_never_write_to_the_same_fact() -> None:
    one, other = drafts(), drafts()
    subjects = [next(source).subject for source in (one, other) for _ in range(50)]
    assert len(set(subjects)) == len(subjects)
