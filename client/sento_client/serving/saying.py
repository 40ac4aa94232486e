"""What a service of a ministry says to its operators, and the two clocks it goes by: the wall clock in its log, one that never goes back for its limits."""

from __future__ import annotations

import datetime as dt
import json
import time


def wall_clock() -> str:
    """Now, as RFC 3339 text with milliseconds."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def steady_ms() -> int:
    """Milliseconds of a clock that never goes back."""
    return time.monotonic_ns() // 1_000_000


def json_line(words: str) -> str:
    """What is said to operators, as one JSON object a line."""
    return json.dumps({"time": wall_clock(), "said": words}, ensure_ascii=False)


def dialled(address: str, port: int) -> str:
    """The configured address with the port that the system gave."""
    return f"{address.rpartition(':')[0]}:{port}"
