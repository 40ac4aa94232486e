"""What of the tests runs, in which order, and what stays together.

Long tests of real sites are passed over unless they are asked for: `make test` stays below ten minutes on two cores, `make long` runs them. Real sites come
first and short tests last, so that no worker is left with a long one at the end. Tests of one file share sites and stay with one worker.

Whatever the caller's environment says, processes that tests start keep what they compiled: hundreds of nodes, members' readers and commands would each
compile the whole project again, half a second at a time.
"""

from __future__ import annotations

import os
import sys

import pytest

ASKED_FOR = "SENTO_LONG"
FIRST = ("faults", "integration", "simulation")

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `long`, with the reason, and order the rest."""
    passed_over = pytest.mark.skip(reason="long: make long runs it")
    for item in items:
        if not os.environ.get(ASKED_FOR) and item.get_closest_marker("long") is not None:
            item.add_marker(passed_over)
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folder = item.path.parent.name
    return FIRST.index(folder) if folder in FIRST else len(FIRST)
