"""What a person's read log says: one entry for each access record, what is known of it, and in words what the list holds and what it cannot hold.

An access record is believed to be about the person if it stands under the person's pseudonym, or says so under a delay that officers released. What a site
wrote into it is that site's word: the entry names the site that signed it beside the one that it speaks of. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sento_client.confirming.values import Confirmed
from sento_client.results import Version
from sento_client.verifying import Finding, Findings
from sento_proto.access_record import (
    COMPARTMENT,
    KIND_DELAYED,
    METHOD_EXTRACT,
    METHOD_EXTRACT_OPENED,
    RELEASED,
    AccessRecord,
    decode_access,
)
from sento_proto.checkpoint import Checkpoint
from sento_proto.governance.state import Governance, ReadLogDelay, site_of_author
from sento_proto.wire import Malformed

_HOLDS = (
    "Each access record is in the ledger before its site gives anything out, so the list holds every release by an honest site; its links show that none "
    "is left out between those listed, and --confirmed that none is left out at the newest end."
)
_HOLDS_NOT = (
    "It does not hold: releases by a site that breaks the rules; what somebody reads in an old copy with keys it has, unless a key agent opens that "
    "compartment; readings that a site without a link has not handed in yet; readings that officers delay."
)
COMPLETE_FOR = (_HOLDS, _HOLDS_NOT, "Headers, and looking at access records themselves, are not recorded.")
"""What is complete and what is not, in sentences."""


@dataclass(frozen=True, slots=True)
class ReadEntry:
    """One access record. `access` is None where it cannot be opened, and `closed_because` says why; `findings` prove that it stands, `site` signed it."""

    position: int
    record_hash: bytes
    site: str
    recorded_ms: int
    kind: str
    access: AccessRecord | None
    closed_because: str
    findings: Findings

    @property
    def released(self) -> bool:
        """Whether something was given out; a closed entry goes by its kind."""
        return self.access.outcome == RELEASED if self.access is not None else self.kind == "access"


@dataclass(frozen=True, slots=True)
class ReadLog:
    """A person's read log in one registry, newest first, proven under `checkpoint` (None: there is no entry).

    `hidden`: entries under the person's pseudonym that this institution may not see; `confirmed`: what a receipt quorum signed of the list; `delays`: names
    of released delays that were looked through; `withheld_delays`: how many in force may hold more."""

    entries: tuple[ReadEntry, ...]
    checkpoint: Checkpoint | None
    hidden: int
    confirmed: Confirmed | None
    delays: tuple[str, ...]
    withheld_delays: int


def is_access_record(version: Version) -> bool:
    """Whether a record of the person's list is one of its access records."""
    return version.header.compartment == COMPARTMENT and site_of_author(version.author) is not None


def entry_of(version: Version, subject: bytes, proof: Sequence[Finding]) -> ReadEntry | None:
    """The entry, or None for one that is about somebody else: under a delay stand the records of many."""
    access, closed_because = None, version.closed_because
    if version.content is not None:
        try:
            access = decode_access(version.content)
        except Malformed as error:
            closed_because = f"the site wrote what is no access record: {error}"
    header = version.header
    if header.kind == KIND_DELAYED:
        if access is None or access.subject != subject:
            return None
    elif header.subject != subject:
        return None
    return ReadEntry(
        version.position,
        version.record_hash,
        site_of_author(version.author) or "",
        header.time_ms,
        header.kind,
        access,
        closed_because,
        Findings([*version.findings, *proof]),
    )


def delays_of(governance: Governance, registry: str) -> tuple[tuple[ReadLogDelay, ...], int]:
    """(released delays of the registry, how many are in force): under the first the person's readings are found."""
    delays = [delay for delay in governance.read_log_delays.values() if registry in delay.registries]
    released = tuple(delay for delay in delays if delay.released_at is not None)
    return released, len(delays) - len(released)


def reading_words(entry: ReadEntry) -> str:
    """Who did what, in one sentence for people."""
    access = entry.access
    if access is None:
        return f"{entry.site} recorded a reading that cannot be opened: {entry.closed_because}"
    count = len(access.records) + access.more
    what = f"{count} record{'' if count == 1 else 's'}" if count else "the person's records"
    if access.method == METHOD_EXTRACT_OPENED:
        said = f"{access.reader} opened {what} in an extract, as it reported to {access.site}"
    elif access.method == METHOD_EXTRACT and access.outcome == RELEASED:
        said = f"{access.reader} was given {what} by {access.site} in a sealed extract"
    elif access.outcome == RELEASED:
        said = f"{access.reader} was given {what} by {access.site}"
    else:
        said = f"{access.reader} was refused {what} by {access.site} ({access.outcome})"
    if access.refused_before:
        said += f", after {access.refused_before} refused attempts without a record of their own"
    return said if access.site == entry.site else f"{said}; this record is signed by {entry.site}"
