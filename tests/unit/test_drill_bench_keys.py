"""The bench of keys measures work that was done: every KEK is sealed again and unlocked, in one process and in several."""

from __future__ import annotations

import os

import pytest

from sento_drill.bench.kek_work import make_standing, reseal, unlock
from sento_drill.bench.keys_command import measure
from sento_proto.kek_seal import XWING_SECRET_BYTES, xwing_public


def test_figures_are_there_for_every_kind_of_work() -> None:
    told: list[str] = []
    document = measure(30, 1, told.append, round_s=0.01)
    assert document["rates"].keys() == {"x-wing", "p-256"}  # type: ignore[attr-defined]
    for work in ("reseal", "unlock"):
        figures = document[work]
        assert figures["keks"] == 30  # type: ignore[index]
        assert figures["one_process_per_s"] > 0  # type: ignore[index]
        assert figures["processes_per_s"] > 0  # type: ignore[index]
    assert len(told) == 6


def test_seal_that_does_not_open_is_not_counted_as_work_done() -> None:
    secret, stranger = os.urandom(XWING_SECRET_BYTES), os.urandom(XWING_SECRET_BYTES)
    standing = make_standing(range(3), secret)
    assert reseal(standing, secret, xwing_public(stranger)) == 3
    with pytest.raises(RuntimeError, match="did not open"):
        reseal(standing, stranger, xwing_public(secret))
    with pytest.raises(RuntimeError, match="does not open"):
        unlock(standing, stranger, 1)
