"""Which requests have to be recorded, as what, and under whose pseudonym.

A release is recorded in the registry that was read, under the pseudonym of the person, one record for each request and person. Recorded is what carries a
sealed payload about a person. Not recorded, because nothing of a person's content leaves with it:

    registries with clear content (acts, KEK seals)       records without payload          headers alone, also where only the header may be seen
    access records themselves                             what sites give each other (sync), which open nothing

Pure: what was asked and what is about to leave in, the records to be made out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sento_proto.access_record import (
    COMPARTMENT,
    KIND_DELAYED,
    RECORDS_MAX,
    RELEASED,
    AccessRecord,
    encode_access,
)
from sento_proto.errors import Code
from sento_proto.governance.state import Governance
from sento_proto.header import Header
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.rules import RULES

RECORDED_REFUSALS = frozenset({Code.NOT_PERMITTED, Code.PURPOSE_MISSING, Code.ERASED})
"""Refusals that say something of the caller; the others say something of the site, or name nobody's record."""


class Asked(NamedTuple):
    """Who asks, why, and by which method. `role`: of the caller's certificate."""

    reader: str
    role: str
    purpose: str
    case_number: str
    method: str


class Release(NamedTuple):
    """One access record to be made: about whom, which records (hashes, at most 64) and how many more, and what became of the request.

    Of extracts alone: the extract's id, the access record's id, which follows from it, and, of an opening, when its reader says that it was."""

    asked: Asked
    registry: str
    subject: bytes
    records: tuple[bytes, ...]
    more: int = 0
    outcome: str = RELEASED
    extract: bytes | None = None
    record_id: bytes | None = None
    opened_at_ms: int | None = None


def records_releases(governance: Governance) -> bool:
    """Whether the rules in force have sites record releases."""
    rules = RULES.get(governance.rules)
    return rules is not None and rules.read_log


def is_recorded(header: Header) -> bool:
    """Whether giving out this record's payload is a release."""
    return (
        header.payload_bytes > 0
        and header.registry not in CLEAR_CONTENT_REGISTRIES
        and header.compartment != COMPARTMENT
    )


def releases_of(asked: Asked, leaving: Iterable[tuple[Header, bytes]]) -> list[Release]:
    """One for each person of whom payloads are about to leave, in the order in which they come. `leaving`: header and record hash of each."""
    found: dict[tuple[str, bytes], list[bytes]] = {}
    for header, record_hash in leaving:
        if is_recorded(header):
            found.setdefault((header.registry, header.subject), []).append(record_hash)
    return [
        Release(asked, registry, subject, tuple(hashes[:RECORDS_MAX]), max(0, len(hashes) - RECORDS_MAX))
        for (registry, subject), hashes in found.items()
    ]


def is_log_of_persons(registry: str) -> bool:
    """Whether a refused attempt at something in this registry is about a person."""
    return registry not in CLEAR_CONTENT_REGISTRIES


class Placed(NamedTuple):
    """An access record's content, and the subject and kind of the record that carries it."""

    content: bytes
    subject: bytes
    kind: str


def placed(
    governance: Governance, release: Release, site: str, refused_before: int, asked_at_ms: int
) -> Placed:
    """What is sealed, and where it stands: under the person's pseudonym, or under the delay's while officers delay the case.

    Raises Malformed for a purpose that no access record can hold (not one line of text)."""
    asked = release.asked
    delay = governance.delay_of(release.registry, asked.case_number)
    access = AccessRecord(
        site=site,
        reader=asked.reader,
        role=asked.role,
        purpose=asked.purpose,
        case_number=asked.case_number,
        method=asked.method,
        records=release.records,
        more=release.more,
        outcome=release.outcome,
        refused_before=refused_before,
        asked_at_ms=asked_at_ms if release.opened_at_ms is None else release.opened_at_ms,
        extract=release.extract,
        subject=None if delay is None else release.subject,
        delay=None if delay is None else delay.name,
    )
    subject = release.subject if delay is None else delay.subject
    return Placed(encode_access(access), subject, access.kind)


def is_held_back(governance: Governance, header: Header) -> bool:
    """Whether a record is an access record that officers delay: its payload is given to nobody until they release it. One of a delay that is not known here
    is held back too."""
    if (header.compartment, header.kind) != (COMPARTMENT, KIND_DELAYED):
        return False
    if not records_releases(governance):
        return False
    return not any(
        delay.subject == header.subject and delay.released_at is not None
        for delay in governance.read_log_delays.values()
    )
