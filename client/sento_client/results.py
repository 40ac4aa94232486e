"""What callers get back: acknowledgements, versions of facts, and errors of writes that carry the record to send again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sento_client.confirming.values import Confirmed
from sento_client.delivery_values import Settle, standing_of
from sento_client.verifying import Findings, Stored
from sento_proto.errors import STANDING_CODES, Code, SentoError, Standing
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.record import Record


class Freshness(StrEnum):
    """How current an answer must be. LINEARIZABLE covers every write acknowledged before; LOCAL is at once, from one site, as of when it says."""

    LINEARIZABLE = "linearizable"
    LOCAL = "local"


class Durability(StrEnum):
    """What an acknowledgement is to say. HOME: the record is on the disks of a majority of the voting sites. ABROAD: also whether a site in another country
    has cosigned a checkpoint over it, so that it outlives the country's sites."""

    HOME = "home"
    ABROAD = "abroad"


class Abroad(NamedTuple):
    """The second fact about a record that is to survive the country. `stands`: a quorum's checkpoint of `size` records covers it, which `site`, abroad,
    cosigned; else it is pending, which is no failure: the outbox keeps it open."""

    stands: bool
    site: str = ""
    size: int = 0

    @property
    def word(self) -> str:
        """`stands` or `pending`, for programs."""
        return "stands" if self.stands else "pending"


ABROAD_PENDING = Abroad(False)


class Acknowledgement(NamedTuple):
    """The record is ordered and durable at a majority of voting sites. `repeated`: it stood already when it was sent. `abroad`: None unless
    `Durability.ABROAD` was asked for."""

    position: int
    record_hash: bytes
    record_id: bytes
    epoch: int
    site: str
    repeated: bool
    abroad: Abroad | None = None


class RecordName(NamedTuple):
    """A record by who wrote it and under which id: known before it has a position."""

    author: str
    record_id: bytes


class AsOf(NamedTuple):
    """As of when an answer holds: ledger size, and when the site last knew from a majority that it was current (ms since 1970)."""

    epoch: int
    size: int
    confirmed_at_ms: int
    site: str


class Outcome(NamedTuple):
    """What became of a record by name."""

    name: RecordName
    code: Code
    position: int
    record_hash: bytes


@dataclass(slots=True)
class HiddenTally:
    """What of a list is in compartments that this institution may not see; counted while the list is read. `oldest`: the last one that came."""

    count: int = 0
    oldest: Stored | None = None

    @property
    def words(self) -> str:
        """For people; empty when there are none."""
        if not self.count:
            return ""
        return f"{self.count} record{' is' if self.count == 1 else 's are'} hidden from this institution."


@dataclass(frozen=True, slots=True)
class Version:
    """A record read back, its own hashes and its author's signature checked.

    `content` is None when it cannot be shown; `closed_because` then says why (not sealed to this institution, erased, held back, only the header asked for).
    `previous`: record hash of the version before, None for the first."""

    position: int
    author: str
    header: Header
    stored: Stored
    as_of: AsOf
    findings: Findings
    content: bytes | None
    closed_because: str
    confirmed: Confirmed | None = None
    """What several sites signed about it, where that was asked for; None too where it is newer than what they confirmed."""
    as_of_ms: int | None = None
    """Where a recovery left a gap that is open, and this record stands below it: as of when it is, ms since 1970. Entries between then and the recovery, which
    would have followed it, may be missing (`sento_proto.governance.gaps.as_of_words`)."""

    @property
    def record_hash(self) -> bytes:
        """The record's name; pass it as `previous` to write the next version."""
        return self.stored.record_hash

    @property
    def previous(self) -> bytes | None:
        """Record hash of the version before."""
        return None if self.header.previous == ZERO32 else self.header.previous

    @property
    def group(self) -> bytes | None:
        """The group it stood with."""
        return None if self.header.group == ZERO16 else self.header.group


class WriteError(SentoError):
    """A record was not acknowledged. `record` may be given to `send` again: it keeps its id, so it can stand only once.

    `may_stand`: an attempt was left without an answer, so it may be in the ledger; `final`: it never will be. `because`: record hash
    of the refused predecessor that took it along. `kept`: it stays in the outbox and goes on being sent, so it is not to be written anew."""

    def __init__(
        self,
        code: Code,
        detail: str,
        record: Record,
        *,
        may_stand: bool,
        because: bytes | None,
        kept: bool = False,
    ) -> None:
        super().__init__(code, detail)
        self.kept = kept
        self.record = record
        self.may_stand = may_stand
        self.because = because

    @property
    def final(self) -> bool:
        """Whether sending the same record again is pointless for ever."""
        return self.because is not None or standing_of(self.code) is Standing.FINAL


WriteResult = Acknowledgement | WriteError
_STANDS = tuple(STANDING_CODES)


def result_of(record: Record, settle: Settle, trouble: str = "", *, kept: bool = False) -> WriteResult:
    """A record's end, as its caller sees it. `trouble`: what last went wrong with connections, for a record that reached
    no site; `kept`: an outbox holds it."""
    if settle.code in _STANDS:
        return Acknowledgement(
            settle.position,
            record.record_hash,
            record.header.record_id,
            settle.epoch,
            settle.site,
            settle.code is Code.KNOWN,
        )
    detail = _detail(record, settle)
    if trouble and settle.code in (Code.UNREACHABLE, Code.DEADLINE):
        detail += f", {trouble}"
    if kept:
        detail += "; it stays in the outbox and is sent from there: do not write it anew"
    return WriteError(
        settle.code, detail, record, may_stand=settle.may_stand, because=settle.because, kept=kept
    )


def _detail(record: Record, settle: Settle) -> str:
    words = [f"record {record.header.record_id.hex()}"]
    if settle.site:
        words.append(f"answered by {settle.site}")
    if settle.because is not None:
        words.append(
            f"it follows record {settle.because.hex()}, which was finally refused; it never can stand"
        )
    elif settle.may_stand:
        words.append("outcome unknown: it may stand")
    elif standing_of(settle.code) is not Standing.FINAL:
        words.append("it does not stand")
    if settle.told is not None and settle.told is not settle.code:
        words.append(f"last answer {settle.told.name}")
    return ", ".join(words)
