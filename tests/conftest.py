"""Long tests of real sites are passed over unless they are asked for: `make test` stays below ten minutes on two cores, `make long` runs them."""

from __future__ import annotations

import os

import pytest

ASKED_FOR = "SENTO_LONG"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `long`, with the reason."""
    if os.environ.get(ASKED_FOR):
        return
    passed_over = pytest.mark.skip(reason="long: make long runs it")
    for item in items:
        if item.get_closest_marker("long") is not None:
            item.add_marker(passed_over)
