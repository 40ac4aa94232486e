"""Which access records were used for which record: the agent's log is the memory, so that nothing can be forgotten that was flushed.

A line that says "unwrapped" was on the disk before the key left. So after a crash a key that was logged and never sent counts as used: the reader reads again,
and a second access record says so to the person concerned.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

UNWRAPPED = "unwrapped"
_HASH_BYTES = 32


class LogDamaged(Exception):
    """A line of the agent's log is not what the agent writes. The text names its number."""


def used_pairs(lines: Iterable[bytes]) -> set[bytes]:
    """Pairs (access record hash || record hash, 64 bytes) in a log's lines. Raises LogDamaged."""
    found: set[bytes] = set()
    for number, line in enumerate(lines, 1):
        try:
            happened = json.loads(line)
            if happened["event"] == UNWRAPPED and happened["outcome"] == "OK":
                pair = bytes.fromhex(happened["access"]) + bytes.fromhex(happened["record"])
                if len(pair) != 2 * _HASH_BYTES:
                    raise ValueError
                found.add(pair)
        except (ValueError, KeyError, TypeError):
            raise LogDamaged(f"line {number} of the log is not the agent's") from None
    return found
