"""What a node counts while it works: calls, submissions, records, blocks, flushes; plain numbers that are read when somebody asks for metrics.

Counting happens where work is done, some thousand times a second, so it is a list index and an addition, without locks: everything here is called on the
event loop's thread alone. What the numbers are called outside is in `metrics.py`. Labels are method names of our services and stable codes: nothing that a
caller sent is ever one, so neither a record nor a person can be told from them, and there are never more of them than the .proto files allow.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from math import inf

from sento_node.ledger.results import RecordOutcome
from sento_proto import limits
from sento_proto.errors import Code

OK = "OK"
CANCELLED = "CANCELLED"
"""A call that its caller gave up; a stream that is ended in this way is no error."""

_ACCEPTED = Code.ACCEPTED
CALL_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0)
WRITE_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
DISK_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
BLOCK_BOUNDS_BYTES = tuple(float(kib * limits.KIB) for kib in (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256))
FILL_BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Histogram:
    """How often values fell between bounds; a value that equals a bound counts as below it, as Prometheus' `le` says."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """Values so far."""
        return sum(self._counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """(bound, values at most that), the last with infinity as its bound."""
        return list(zip((*self._bounds, inf), accumulate(self._counts), strict=True))


class CallTally:
    """One method's calls: how they ended, how long they took, how many are under way."""

    __slots__ = ("by_code", "seconds", "under_way")

    def __init__(self) -> None:
        self.by_code: Counter[str] = Counter()
        self.seconds = Histogram(CALL_BOUNDS_S)
        self.under_way = 0


class Tallies:
    """What one life of one node counted. `block_max_bytes` is this site's block limit, against which fill is told."""

    def __init__(self, block_max_bytes: int = limits.BLOCK_MAX_BYTES) -> None:
        self._block_max_bytes = block_max_bytes
        self.calls: dict[str, CallTally] = {}
        self.submissions: Counter[str] = Counter({OK: 0})
        self.submission_seconds = Histogram(WRITE_BOUNDS_S)
        self.records: Counter[Code] = Counter({Code.ACCEPTED: 0})
        self.append_seconds = Histogram(WRITE_BOUNDS_S)
        self.block_bytes = Histogram(BLOCK_BOUNDS_BYTES)
        self.block_fill = Histogram(FILL_BOUNDS)
        self.flush_seconds = Histogram(DISK_BOUNDS_S)
        self.last_flush_s = 0.0
        self.erasures_certified = 0
        self.payloads_erased = 0

    def call(self, method: str) -> CallTally:
        """The tally of a method, named `Service/Method`."""
        tally = self.calls.get(method)
        if tally is None:
            tally = self.calls[method] = CallTally()
        return tally

    def answered(self, seconds: float, outcomes: Sequence[RecordOutcome]) -> None:
        """A submission came to outcomes, so long after it was received."""
        self.submission_seconds.observe(seconds)
        self.submissions[OK] += 1
        codes = [outcome.code for outcome in outcomes]
        if codes.count(_ACCEPTED) == len(codes):
            self.records[_ACCEPTED] += len(codes)
        else:
            self.records.update(codes)

    def refused(self, seconds: float, code: Code) -> None:
        """A submission was refused whole, so long after it was received."""
        self.submission_seconds.observe(seconds)
        self.submissions[code.name] += 1

    def ordered(self, seconds: float, block_bytes: int) -> None:
        """A block of this site was appended: a majority holds it, so long after the first try."""
        self.append_seconds.observe(seconds)
        self.block_bytes.observe(block_bytes)
        self.block_fill.observe(block_bytes / self._block_max_bytes)

    def flushed(self, seconds: float) -> None:
        """The ledger's flush took so long."""
        self.flush_seconds.observe(seconds)
        self.last_flush_s = seconds
