"""What goes into delivery and what comes out of it: plain values, so that asyncio, a simulator or a test can stand at the other side.

In: an `Offer` (signed submission bytes with what delivery must know of each record), `Answer`s of a site, streams that open and break, time.
Out, to be carried out in the order given: `Open`, `Close`, `Send`, `Settle`, `SetTimer`. Times are whole milliseconds of a clock that never jumps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sento_proto.errors import TABLE, Code, Standing


class Entry(NamedTuple):
    """What delivery knows of one record. `previous` and `group` as in its header; `deadline_ms`: when its caller stops waiting."""

    record_hash: bytes
    previous: bytes
    group: bytes
    deadline_ms: int


class Offer(NamedTuple):
    """A signed submission to deliver. `submission_id` is never used twice and rises; it travels as the tag of the stream. `avoid`: the site to send it to
    only if no other is open."""

    submission_id: int
    data: bytes
    records: tuple[Entry, ...]
    avoid: str | None = None


class Answer(NamedTuple):
    """A site's word on one record, in the order of the submission. `code` is the number on the wire."""

    code: int
    position: int = 0
    record_hash: bytes = b""


class Open(NamedTuple):
    """Open a write stream to the site; report `stream_up` or `stream_down`."""

    site: str


class Close(NamedTuple):
    """Give up the stream to the site; nothing more is to be reported of it."""

    site: str


class Send(NamedTuple):
    """Send the submission on the site's open stream."""

    site: str
    submission_id: int
    data: bytes


class SetTimer(NamedTuple):
    """Call `tick` at this time; it takes the place of the timer set before."""

    at_ms: int


class Settle(NamedTuple):
    """The end of one record's delivery, once for each record offered; `place` counts the submission's records from 0.

    With a code that STANDS, `position`, `epoch` and `site` say where. Otherwise `may_stand` tells whether some attempt was left without an answer,
    so that the record may still turn up. `because`: the record hash of the finally refused predecessor that took this record with it.
    `told`: the last code that was not an end, if any came."""

    submission_id: int
    place: int
    code: Code
    position: int = 0
    epoch: int = 0
    site: str = ""
    may_stand: bool = False
    because: bytes | None = None
    told: Code | None = None


Effect = Open | Close | Send | SetTimer | Settle


@dataclass(frozen=True, slots=True)
class Settings:
    """Bounds of delivery.

    `in_flight`: submissions on one stream at a time. `answer_timeout_ms`: after it the same bytes go elsewhere. `open_timeout_ms`: for a stream to
    open. `first_choice_grace_ms`: how long the first site is waited for at the start while another one is open already. Back-off doubles from
    `backoff_first_ms` to `backoff_most_ms`. `refusals_remembered`: finally refused records whose later dependents fail at once."""

    in_flight: int = 16
    answer_timeout_ms: int = 5_000
    open_timeout_ms: int = 2_000
    first_choice_grace_ms: int = 300
    backoff_first_ms: int = 50
    backoff_most_ms: int = 5_000
    refusals_remembered: int = 4_096

    def backoff_ms(self, attempts: int, jitter: float) -> int:
        """Pause before the next try after `attempts` that failed: half of it fixed, half by `jitter` in [0, 1)."""
        full = min(self.backoff_most_ms, self.backoff_first_ms << min(attempts - 1, 20))
        return int(full * (0.5 + 0.5 * jitter))


class Meaning(NamedTuple):
    """A code with what it means for the record, and whether it speaks of the site rather than of the record."""

    code: Code
    standing: Standing
    about_site: bool


_ABOUT_SITE = (
    Code.QUEUE_FULL,
    Code.ORDERING_FULL,
    Code.NO_ORDERING,
    Code.DISK_LOW,
    Code.NOT_READY,
    Code.STOPPING,
    Code.STOPPED,
    Code.DIVERGED,
    Code.EPOCH_ENDED,
    Code.TWO_EPOCHS,
    Code.CLOCK_AHEAD,  # the first site asked cannot know whether it is its own clock that is wrong
)
_MEANINGS = {int(code): Meaning(code, entry.standing, code in _ABOUT_SITE) for code, entry in TABLE.items()}
NOT_KNOWN = _MEANINGS[int(Code.INTERNAL)]
"""What a code means that this release does not know, or an answer that cannot be right: the outcome is not known either."""


def meaning_of(number: int) -> Meaning:
    """What the number on the wire means."""
    return _MEANINGS.get(number, NOT_KNOWN)


def code_of(number: int) -> Code:
    """The code with that number; one that this release does not know means that the outcome is not known either."""
    return meaning_of(number).code


def standing_of(code: Code) -> Standing:
    """What a code means for the record."""
    return TABLE[code].standing
