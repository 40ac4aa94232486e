"""The soft limit on disk space: on both sides of both marks, and no flapping between them."""

from __future__ import annotations

import pytest

from sento_node.ledger.disk_guard import closes_below_bytes, judge, opens_at_bytes
from sento_node.ledger.store import DiskSpace

GIB = 1 << 30


@pytest.mark.parametrize(
    ("total_bytes", "closes", "opens"), [(10 * GIB, GIB // 2, GIB * 3 // 4), (40 * GIB, 2 * GIB, 3 * GIB), (4096 * GIB, 2 * GIB, 3 * GIB)]
)  # fmt: skip
def test_the_marks_are_five_per_cent_or_two_gib_and_half_as_much_again(
    total_bytes: int, closes: int, opens: int
) -> None:
    assert (closes_below_bytes(total_bytes), opens_at_bytes(total_bytes)) == (closes, opens)


@pytest.mark.parametrize(
    ("free_bytes", "was_open", "is_open"),
    [
        (2 * GIB, True, True), (2 * GIB - 1, True, False), (3 * GIB - 1, False, False), (3 * GIB, False, True),
        (0, True, False), (-1, False, False), (2 * GIB + 1, False, False),
    ],
)  # fmt: skip
def test_ingress_closes_below_the_mark_and_opens_again_above_the_higher_one(
    free_bytes: int, was_open: bool, is_open: bool
) -> None:
    assert judge(DiskSpace(free_bytes, 100 * GIB), was_open=was_open).open is is_open


def test_the_words_say_how_much_is_free_and_what_would_help() -> None:
    words = judge(DiskSpace(GIB, 100 * GIB), was_open=True).words
    assert words == (
        "1024 MiB of 102400 MiB are free, so new records are refused here and taken at other sites. "
        "Free space or enlarge the disk: at 3072 MiB the site opens again by itself."
    )
