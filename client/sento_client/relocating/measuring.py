"""What a relocation did to writing, as far as it can be seen from outside: the longest time in which no site showed a new record. Pure.

Sites are asked how many records they hold, ten times a second. A pause of writing shows as a time in which the most that any of them holds does not grow; so
does a time in which nobody wrote anything. The two cannot be told apart from here, and the words say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sento_client.site_status.wording import counted, span

POLL_MS = 100
FEW = 20
"""With fewer times at which the ledger grew, a pause says more about who wrote than about the move."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What was seen so far. `size`: the most records that any site had; `grew_at_ms`: when that last rose (None before the first rise), `growths`: how often;
    `longest_ms`, `longest_at_ms`: the longest time between two rises and when it began. Times are of one computer's steady clock."""

    size: int = 0
    grew_at_ms: int | None = None
    growths: int = 0
    records: int = 0
    longest_ms: int = 0
    longest_at_ms: int = 0

    def seen(self, at_ms: int, size: int) -> Growth:
        """With one more look. The first one only says where it began."""
        if not self.size:
            return replace(self, size=size)
        if size <= self.size:
            return self
        grown = replace(
            self,
            size=size,
            grew_at_ms=at_ms,
            growths=self.growths + 1,
            records=self.records + size - self.size,
        )
        if self.grew_at_ms is None or at_ms - self.grew_at_ms <= self.longest_ms:
            return grown
        return replace(grown, longest_ms=at_ms - self.grew_at_ms, longest_at_ms=self.grew_at_ms)


def together(parts: Iterable[Growth]) -> Growth:
    """Of several computers or lives, one after the other: what happened between two of them nobody saw."""
    total = Growth()
    for part in parts:
        longer = part if part.longest_ms > total.longest_ms else total
        total = Growth(
            max(total.size, part.size),
            part.grew_at_ms,
            total.growths + part.growths,
            total.records + part.records,
            longer.longest_ms,
            longer.longest_at_ms,
        )
    return total


def pause_sentence(growth: Growth) -> str:
    """For the report."""
    if growth.growths < 2:
        return "No write pause can be told: nobody wrote while this was watched."
    seen = f"{counted(growth.records, 'record')} came while it was watched"
    sentence = f"Longest time without a new record at any site: {span(growth.longest_ms)} (looked every {POLL_MS} ms; {seen})."
    if growth.growths < FEW:
        return f"{sentence} Few records came, so most of it may be that nobody wrote."
    return (
        f"{sentence} A time in which nobody wrote looks the same, so the pause of writing was at most that."
    )


def round_trip_lines(before: Mapping[str, int], after: Mapping[str, int]) -> tuple[str, ...]:
    """One line for each pair of sites that was measured at either time; in microseconds, by pair."""
    pairs = sorted({*before, *after})
    return tuple(
        f"{pair}: {_trip(before.get(pair))} before, {_trip(after.get(pair))} after" for pair in pairs
    )


def _trip(trip_us: int | None) -> str:
    return "not measured" if trip_us is None else f"{trip_us / 1000:.1f} ms"
