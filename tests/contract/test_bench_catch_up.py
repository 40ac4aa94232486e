"""The bench of catching up runs whole: the order that the drill makes is taken by the node's program, caught up with, and every part of it is told."""

from __future__ import annotations

from pathlib import Path

from sento_drill.bench.catching_up import CONTENT_BYTES, measure, words


def test_a_small_order_is_made_applied_and_caught_up_with(tmp_path: Path) -> None:
    told: list[str] = []
    found = measure(1_100, 1, tmp_path, told.append)
    medians = found["medians"]
    assert isinstance(medians, dict)
    assert set(medians) == set(CONTENT_BYTES)
    for figures in medians.values():
        assert all(figures[f"{part}_us"] > 0 for part in ("spine", "payloads", "decode", "adopt", "commit"))
        assert figures["records_per_cpu_s"] > 0
    assert len(words(found)) == 3 * len(medians)
