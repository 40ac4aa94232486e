"""What a load says of itself: the calls that ended well inside its window, with how long each took. Pure; one form for all sides.

    {"from_s": seconds since 1970, "until_s": ..., "failed": calls in the window that failed, "took_us": [microseconds of each call that succeeded]}

A call of a batch in which any record failed has failed. Every load measures a call from before it is made until its answer is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class LoadFailed(Exception):
    """A load did not come to figures. The text says whose, and what it said."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one window; times are seconds since 1970, durations microseconds."""

    from_s: float
    until_s: float
    failed: int
    took_us: Sequence[int]

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return self.until_s - self.from_s

    @property
    def per_s(self) -> float:
        """Calls a second that succeeded."""
        return len(self.took_us) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """The nearest-rank percentile of a call's duration. Raises LoadFailed when no call succeeded."""
        if not self.took_us:
            raise LoadFailed(f"no call succeeded in {self.seconds:g} s; {self.failed} failed")
        in_order = sorted(self.took_us)
        rank = max(1, -(-len(in_order) * percent // 100))
        return in_order[int(rank) - 1] / 1000


def decode_calls(text: str) -> Calls:
    """What one load printed. Raises LoadFailed when it is something else."""
    try:
        fields = json.loads(text)
        return Calls(
            float(fields["from_s"]),
            float(fields["until_s"]),
            int(fields["failed"]),
            [int(took_us) for took_us in fields["took_us"] or ()],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LoadFailed(f"a load printed no figures: {text[:200]!r} ({error!r})") from None


def encode_calls(calls: Calls) -> str:
    """One line for `decode_calls`."""
    fields = {"from_s": calls.from_s, "until_s": calls.until_s, "failed": calls.failed}
    return json.dumps({**fields, "took_us": list(calls.took_us)})


def joined(parts: Iterable[Calls]) -> Calls:
    """Loads that ran side by side with windows of one length, as one: the window of the first, the calls of all."""
    first, *others = parts
    took_us = [took_us for part in (first, *others) for took_us in part.took_us]
    failed = sum(part.failed for part in (first, *others))
    return Calls(first.from_s, first.until_s, failed, took_us)


def calls_of_pgbench_log(lines: Iterable[str], warm_up_s: float, seconds: float) -> Calls:
    """The window of a run of pgbench, whose load began with the first transaction that it began.

    A line of its log: client, transaction, microseconds or "failed", script, end in seconds since 1970, microseconds of that.
    Source: PostgreSQL, pgbench, "Per-Transaction Logging". Raises LoadFailed when the log is empty or ends before the window."""
    ended: list[tuple[float, int | None]] = []
    for line in lines:
        fields = line.split()
        took_us = int(fields[2]) if fields[2].isdigit() else None
        ended.append((int(fields[4]) + int(fields[5]) / 1e6, took_us))
    if not ended:
        raise LoadFailed("pgbench logged no transaction")
    from_s = min(end_s - (took_us or 0) / 1e6 for end_s, took_us in ended) + warm_up_s
    until_s = from_s + seconds
    if max(end_s for end_s, _ in ended) < until_s - seconds / 10:
        raise LoadFailed("pgbench ended before the window did")
    inside = [took_us for end_s, took_us in ended if from_s <= end_s < until_s]
    good = [took_us for took_us in inside if took_us is not None]
    return Calls(from_s, until_s, len(inside) - len(good), good)
