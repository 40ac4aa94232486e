"""How many names an institution may ask for: a token bucket for each institution and registry, and an alarm on an unusual hour.

The keys never leave the service, so whoever would turn pseudonyms back into people must ask for every identifier there is: My Numbers are enumerable
(10^11). The limit is what makes that slow, and the alarm is what makes it seen.

1. A bucket holds a minute's names, and never less than one whole call; it fills evenly. A call takes its cost or nothing.
2. A refusal says after how long the same call would pass, if nobody else asked meanwhile.
3. Of calls at the limit one a second is written into the log and the others are counted into the next line: a program that asks as fast as it can must
   not fill the log's disk, because then nobody is named.
4. An hour in which more names were granted than the configured number raises one alarm, at the call that went beyond.

Pure: time comes in, in milliseconds of a clock that never jumps. Buckets start full, and a restart fills them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sento_client.pseudonym_service.bounds import NAMES_AT_ONCE_MAX

_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
REFUSALS_SHARE_A_LINE_MS = 1_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one institution may ask for in one registry. `alarm_names_per_hour`: 0 raises no alarm."""

    names_per_minute: int
    alarm_names_per_hour: int = 0

    @property
    def at_once(self) -> int:
        """Names that a full bucket holds."""
        return max(self.names_per_minute, NAMES_AT_ONCE_MAX)


class Grant(NamedTuple):
    """`wait_ms` is 0 when the names are granted. `unusual`: this call took the hour beyond its alarm."""

    wait_ms: int
    unusual: bool = False


@dataclass(slots=True)
class _Bucket:
    """Levels are in names times milliseconds of a minute, so that nothing is rounded away."""

    level: int
    filled_ms: int
    hour: int = 0
    this_hour: int = 0


class Limiter:
    """The buckets of one service."""

    def __init__(self, allowances: Mapping[tuple[str, str], Allowance]) -> None:
        self._allowances = dict(allowances)
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def allowance(self, institution: str, registry: str) -> Allowance | None:
        """What is configured; None: this institution may ask for nothing of that registry."""
        return self._allowances.get((institution, registry))

    def take(self, institution: str, registry: str, names: int, now_ms: int) -> Grant:
        """Take so many names, 1 to NAMES_AT_ONCE_MAX, or none. Raises KeyError without an allowance."""
        key = (institution, registry)
        allowance = self._allowances[key]
        full = allowance.at_once * _MINUTE_MS
        bucket = self._buckets.setdefault(key, _Bucket(full, now_ms))
        passed_ms = max(0, now_ms - bucket.filled_ms)
        bucket.level = min(full, bucket.level + passed_ms * allowance.names_per_minute)
        bucket.filled_ms = max(now_ms, bucket.filled_ms)
        missing = names * _MINUTE_MS - bucket.level
        if missing > 0:
            return Grant(-(-missing // allowance.names_per_minute))
        bucket.level -= names * _MINUTE_MS
        return Grant(0, self._is_unusual(bucket, allowance, names, now_ms))

    def _is_unusual(self, bucket: _Bucket, allowance: Allowance, names: int, now_ms: int) -> bool:
        hour = now_ms // _HOUR_MS
        if hour != bucket.hour:
            bucket.hour, bucket.this_hour = hour, 0
        before = bucket.this_hour
        bucket.this_hour += names
        return (
            0 < allowance.alarm_names_per_hour < bucket.this_hour and before <= allowance.alarm_names_per_hour
        )


class TurnedAway:
    """Calls at the limit that have no line of their own, by institution and registry."""

    def __init__(self) -> None:
        self._said_ms: dict[tuple[str, str], int] = {}
        self._silent: dict[tuple[str, str], int] = {}

    def needs_line(self, institution: str, registry: str, now_ms: int) -> bool:
        """Whether this refusal is to be written; if not, it is counted."""
        key = (institution, registry)
        said_ms = self._said_ms.get(key)
        if said_ms is None or now_ms - said_ms >= REFUSALS_SHARE_A_LINE_MS:
            self._said_ms[key] = now_ms
            return True
        self._silent[key] = self._silent.get(key, 0) + 1
        return False

    def take(self, institution: str, registry: str) -> int:
        """How many were counted since the last line, for the next one."""
        return self._silent.pop((institution, registry), 0)
