"""CPU and memory by role: whose process it is, what a window cost, and what became of processes that ended."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest

from sento_drill.bench.usage import Process, Sample, by_role, sampled, usage_between
from sento_drill.waiting import until

MIB = 2**20


def sample(at_s: float, memory_mib: int = 1, machine_s: float = 0.0, **cpu_s: float) -> Sample:
    return Sample(at_s, cpu_s, dict.fromkeys(cpu_s, memory_mib * MIB), machine_s)


def test_a_child_belongs_to_the_nearest_role_above_it() -> None:
    table = [
        Process(1, 0, 100.0, 0, 0),
        Process(10, 1, 1.0, 5, 0),
        Process(11, 10, 2.0, 7, 0),
        Process(12, 11, 4.0, 9, 0),
        Process(20, 1, 50.0, 3, 0),
    ]
    cpu_s, memory = by_role(table, {"node": 10, "ordering": 11})
    assert cpu_s == {"node": 1.0, "ordering": 6.0}
    assert memory == {"node": 5, "ordering": 16}


def test_what_processes_of_a_role_share_is_counted_once() -> None:
    server = [Process(10, 1, 0, 1, 100), Process(11, 10, 0, 2, 90), Process(12, 10, 0, 3, 80)]
    assert by_role(server, {"primary": 10})[1] == {"primary": 106}


def test_cpu_at_the_ends_of_a_window_is_interpolated() -> None:
    samples = [sample(0.0, client=0.0), sample(2.0, client=1.0), sample(4.0, client=3.0)]
    assert usage_between(samples, 1.0, 3.0).cpu_s == {"client": pytest.approx(1.5)}


def test_a_role_that_ended_before_the_last_sample_keeps_what_it_spent() -> None:
    samples = [sample(0.0, client=0.0), sample(2.0, client=2.0), sample(4.0, client=0.0)]
    assert usage_between(samples, 0.0, 3.0).cpu_s == {"client": pytest.approx(2.0)}


def test_memory_is_the_highest_inside_the_window_and_not_outside() -> None:
    samples = [
        sample(0.0, 900, a=0.0),
        sample(1.0, 10, a=0.0),
        sample(2.0, 30, a=0.0),
        sample(3.0, 900, a=0.0),
    ]
    assert usage_between(samples, 0.5, 2.5).peak_rss_mib == {"a": 30.0}


def test_what_the_machine_spent_on_others_is_told() -> None:
    samples = [sample(0.0, machine_s=0.0, a=0.0), sample(2.0, machine_s=4.0, a=1.0)]
    assert usage_between(samples, 0.0, 2.0).elsewhere_cpu_s == pytest.approx(3.0)


async def test_samples_of_a_running_process_grow_and_name_its_memory() -> None:
    async with sampled({"bench": os.getpid()}) as samples:

        async def taken_again() -> bool:
            return len(samples) > 1

        await until(taken_again, deadline_s=10, what="no second sample")
    assert len(samples) > 1
    assert samples[0].memory_bytes["bench"] > MIB
    assert all(later.cpu_s["bench"] >= earlier.cpu_s["bench"] for earlier, later in pairwise(samples))
