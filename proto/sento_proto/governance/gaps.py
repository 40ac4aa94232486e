"""Gaps that recoveries left: what is open, and as of when a record below one is shown.

After a recovery the ledger holds what could be proven to stand. What was acknowledged behind that, nobody may have kept: a record that looks like the newest
of its fact may have had a successor. While officers hold the gap open (`gap_changes.SetGap`), whoever is shown such a record is told as of when it is. What
is written after the recovery is ordered and kept like ever, and shown without. Every face asks `as_of_ms`. Pure.
"""

from __future__ import annotations

import datetime as dt

from sento_proto.governance.epoch_parts import Gap
from sento_proto.governance.state import Governance

TIME_MAX_MS = 253_402_300_799_999
"""The last millisecond of the year 9999: people are shown a date, and calendars end there."""


def gap_of(governance: Governance, epoch: int) -> Gap | None:
    """What officers last said of the gap of that epoch; None where they said nothing."""
    return next((gap for gap in governance.gaps if gap.epoch == epoch), None)


def open_gaps(governance: Governance) -> tuple[Gap, ...]:
    """The gaps that are open, oldest epoch first."""
    return tuple(gap for gap in governance.gaps if gap.open)


def as_of_ms(governance: Governance, position: int) -> int | None:
    """As of when a record at this position is shown, ms since 1970: it stands below the fork of a recovered epoch whose gap is open. None for every other.

    Where it stands below several such forks, the earliest: from then on something may be missing."""
    return min((gap.as_of_ms for gap in open_gaps(governance) if position < gap.from_size), default=None)


def time_words(time_ms: int) -> str:
    """A time as people read it on a certificate: `2026-03-11 08:46 UTC`. Rounded down: nothing is claimed for the minute that had begun."""
    return dt.datetime.fromtimestamp(time_ms // 60_000 * 60, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def time_iso(time_ms: int) -> str:
    """The same for programs, to the millisecond (RFC 3339): `2026-03-11T08:46:00.000Z`."""
    whole = dt.datetime.fromtimestamp(time_ms // 1_000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{time_ms % 1_000:03d}Z"


def as_of_words(time_ms: int) -> str:
    """What stands beside a record that `as_of_ms` gives a time for."""
    return f"as of {time_words(time_ms)}: entries between then and the recovery may be missing"


def gap_sentence(gap: Gap) -> str:
    """An open gap, for whoever looks at the whole registry."""
    return (
        f"A gap is open: state as of {time_words(gap.as_of_ms)} below position {gap.from_size}, where epoch {gap.epoch} was recovered; "
        f"{missing_words(gap.known_missing)} known to be missing."
    )


def missing_words(count: int) -> str:
    """`412 acknowledged records are`."""
    return f"{count} acknowledged record{' is' if count == 1 else 's are'}"


def gap_value(gap: Gap) -> dict[str, int]:
    """An open gap as files and programs have it: `{"epoch", "as_of_ms", "known_missing", "from_size"}`."""
    return {
        "epoch": gap.epoch,
        "as_of_ms": gap.as_of_ms,
        "known_missing": gap.known_missing,
        "from_size": gap.from_size,
    }
