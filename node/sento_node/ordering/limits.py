"""What may be asked of an ordering log, in one place: lane names, sequence numbers, block sizes, and the words in which every form refuses.

Each form checks an append here before it does anything, so that a bad call is refused alike by etcd and by the in-process engine, and refused
without a round trip.
"""

from __future__ import annotations

import re
from typing import Final

from sento_node.ordering.port import LaneConflict, OrderingRefused

BLOCK_SIZE_BYTES_MAX: Final = 1_048_576
"""Well under etcd's own 1.5 MiB for a request; what a site packs into a block is smaller and decided by measurement."""

LANE_LENGTH_MAX: Final = 96
"""In ASCII characters: `<site>/<boot number>/<k>`."""

SEQ_MAX: Final = 2**63 - 1
"""etcd counts the versions of a key in a signed 64-bit integer, and the version of a lane's key is its sequence number."""

TRIM_LANES_MAX: Final = 10_000
"""Lanes of one trim call: each life of each site leaves a few behind."""

_LANE: Final = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*", re.ASCII)


def check_lane(lane: str) -> None:
    """Raise OrderingRefused unless `lane` is ASCII parts of letters, digits, dot, dash and underscore, joined by slashes."""
    if len(lane) > LANE_LENGTH_MAX or _LANE.fullmatch(lane) is None:
        raise OrderingRefused(
            f"The lane name {lane[:LANE_LENGTH_MAX]!r} is not usable. "
            f"Name lanes <site>/<boot number>/<k>, in at most {LANE_LENGTH_MAX} ASCII letters, digits, dots, dashes and underscores."
        )


def check_append(lane: str, seq: int, data: bytes) -> None:
    """Raise OrderingRefused for a lane, sequence number or block that no form can order."""
    check_lane(lane)
    if not 1 <= seq <= SEQ_MAX:
        raise OrderingRefused(f"Sequence number {seq} cannot be ordered. Count each lane from 1.")
    if len(data) > BLOCK_SIZE_BYTES_MAX:
        raise OrderingRefused(
            f"A block of {len(data)} bytes is over the limit of {BLOCK_SIZE_BYTES_MAX}. Pack fewer submissions into one block."
        )


def check_trim(lanes: int) -> None:
    """Raise OrderingRefused when one trim call names more lanes than TRIM_LANES_MAX."""
    if lanes > TRIM_LANES_MAX:
        raise OrderingRefused(
            f"One trim names {lanes} lanes, over the limit of {TRIM_LANES_MAX}. Trim in several calls."
        )


def gap(lane: str, seq: int, last_seq: int) -> LaneConflict:
    """The conflict of a sequence number that would leave a hole in its lane."""
    return LaneConflict(
        f"Block {seq} of lane {lane} would leave a gap: the lane stands at {last_seq}. "
        "Order the missing blocks first; if this node never sent them, look for a second node under this site's name."
    )


def other_data(lane: str, seq: int) -> LaneConflict:
    """The conflict of a sequence number that was used for another block."""
    return LaneConflict(
        f"Block {seq} of lane {lane} stands with other data. "
        "Stop this node and look for a second node under this site's name; never use a lane in two lives of a node."
    )
