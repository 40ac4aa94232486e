"""The keys of the ordering log in etcd: one per block, one per lane, one for the head.

| key | value | versions of the key |
|---|---|---|
| `/log/<lane>:<seq, 20 digits>` | the block | 1; deleted by trimming |
| `/last/<lane>` | SHA-256 of the lane's latest block | equals the lane's last seq; never deleted |
| `/log.head` | the lane of the latest block | equals the number of blocks ever ordered: the dense block number |

The head's key sorts directly before the blocks' prefix, so that one watch covers both and each block arrives together with its number. A colon
cannot occur in a lane, so that no lane's keys fall into another lane's range.
"""

from __future__ import annotations

from typing import Final

HEAD_KEY: Final = b"/log.head"
WATCH_RANGE: Final = (HEAD_KEY, b"/log0")
"""From the head's key to the end of the blocks' prefix (`0` follows `/` in ASCII)."""

_BLOCKS: Final = b"/log/"
_LANES: Final = b"/last/"
_SEQ_DIGITS: Final = 20


def block_key(lane: str, seq: int) -> bytes:
    """The key of block (lane, seq); keys of one lane sort by seq."""
    return b"%s%s:%020d" % (_BLOCKS, lane.encode("ascii"), seq)


def lane_key(lane: str) -> bytes:
    """The key whose version counts the lane's blocks."""
    return _LANES + lane.encode("ascii")


def blocks_through(lane: str, seq: int) -> tuple[bytes, bytes]:
    """The half-open key range of the lane's blocks 1 to `seq`."""
    return block_key(lane, 0), block_key(lane, seq + 1)


def parse_block_key(key: bytes) -> tuple[str, int] | None:
    """(lane, seq) of a block's key, or None for a key that this module did not make."""
    if not key.startswith(_BLOCKS):
        return None
    lane, colon, digits = key[len(_BLOCKS) :].rpartition(b":")
    if not (colon and lane and lane.isascii() and len(digits) == _SEQ_DIGITS and digits.isdigit()):
        return None
    return lane.decode("ascii"), int(digits)
