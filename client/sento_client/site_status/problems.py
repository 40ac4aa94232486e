"""What can be wrong: a stable word for programs, and one line for people."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Trouble(StrEnum):
    """Stable names of what `sento status` notices."""

    NO_ANSWER = "no-answer"
    TURNED_AWAY = "turned-away"
    NOT_ASKED = "not-asked"
    OTHER_LEDGER = "other-ledger"
    OLD_EPOCH = "old-epoch"
    STATE = "state"
    ALARM = "alarm"
    CUT_OFF = "cut-off"
    BEHIND = "behind"
    DISK_FILLING = "disk-filling"
    ORDERING_LOG_FILLING = "ordering-log-filling"
    CERTIFICATE_ENDS = "certificate-ends"
    FENCED = "fenced"
    PAYLOADS_AWAITED = "payloads-awaited"
    ERASURE_PENDING = "erasure-pending"
    ACCESS_RECORDS_WAIT = "access-records-wait"
    CLOCK = "clock"
    NO_LEAD = "no-lead"
    LEADS_DIFFER = "leads-differ"
    RELEASES_DIFFER = "releases-differ"
    CHECKPOINT_OLD = "checkpoint-old"
    NO_RECEIPTS = "no-receipts"


class Problem(NamedTuple):
    """Something that is not as it should be, at `site`, or between sites where that is empty.

    `may_pass`: a healthy registry shows it for a few seconds too, so a second look tells."""

    site: str
    trouble: Trouble
    words: str
    may_pass: bool = False

    @property
    def line(self) -> str:
        """For people."""
        return f"{self.site}: {self.words}" if self.site else self.words
