"""Opening an extract for one person, with no site in reach: everything is verified, the use is in the log, and only then there is something to show.

Time is this computer's clock, and never before what its log has seen: an extract that has ended stays ended when the clock is set back. A clock that runs slow
from the beginning is not found out here; its extract opens longer than it should.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sento_client.extracts.checking import Checked, check_keys, check_outside, check_subject
from sento_client.extracts.use_log import Use, UseLog
from sento_client.kek_keeping.standing_kek import (
    SealRecord,
    open_standing,
    scope_of_record,
    standing_kek,
)
from sento_client.keyring import Keyring
from sento_client.payload_opening import PayloadOpener
from sento_client.results import AsOf, Version
from sento_client.trust import Trust
from sento_client.verifying import Finding, Findings
from sento_proto.errors import Code, SentoError
from sento_proto.extract import (
    ExtractBody,
    ExtractHeader,
    SealedExtract,
    decode_extract,
    open_extract,
)
from sento_proto.governance.gaps import as_of_ms
from sento_proto.sealing import CannotOpen
from sento_proto.wire import Malformed

CLOCK_OFF_MS = 5 * 60_000
"""By how much two clocks may differ before it is said that one of them was set back."""


class Reader(NamedTuple):
    """Who opens: the institution, what it believes, and its keys."""

    institution: str
    trust: Trust
    keyring: Keyring


class Reason(NamedTuple):
    """Why it is opened."""

    purpose: str
    case_number: str


class Shown(NamedTuple):
    """What an extract shows of one person, newest first. `hidden`: records that this institution may not see; `now_ms`: the time that counted;
    `clock_behind_ms`: by how much this computer's clock is behind what its log has seen, 0 where it is not."""

    header: ExtractHeader
    versions: tuple[Version, ...]
    hidden: int
    now_ms: int
    clock_behind_ms: int

    @property
    def age_ms(self) -> int:
        """How long ago the site knew that its ledger was current."""
        return max(0, self.now_ms - self.header.confirmed_at_ms)


class Inside(NamedTuple):
    """An extract whose every record was verified."""

    sealed: SealedExtract
    body: ExtractBody
    persons: dict[bytes, list[Checked]]
    quorum: Finding


def verified(data: bytes, reader: Reader) -> Inside:
    """All of an extract, verified; the KEKs that it carries are in the keyring afterwards. Raises SentoError DAMAGED, NOT_PERMITTED."""
    opener = reader.keyring.opener
    if opener is None:
        raise SentoError(Code.NOT_PERMITTED, "this client has no seal key, so no extract is sealed to it")
    try:
        sealed = decode_extract(data)
        quorum = check_outside(sealed, reader.trust, reader.institution, opener.recipient_key_id)
        body = open_extract(sealed, opener)
    except (Malformed, CannotOpen) as error:
        raise SentoError(Code.DAMAGED, str(error)) from None
    header = sealed.header
    persons = {
        one.subject: check_subject(one, header.registry, reader.trust, header.checkpoint)
        for one in body.subjects
    }
    for entries in body.keys:
        _take_kek(check_keys(entries, reader.trust, header.checkpoint), reader)
    return Inside(sealed, body, persons, quorum)


def require_open(header: ExtractHeader, now_ms: int, mark_ms: int) -> int:
    """The time that counts. Raises SentoError EXTRACT_ENDED."""
    counts_ms = max(now_ms, mark_ms, header.made_at_ms)
    if counts_ms >= header.ends_at_ms:
        back = ", although this computer's clock was set back since" if now_ms < header.ends_at_ms else ""
        over_s = (counts_ms - header.ends_at_ms) // 1000
        raise SentoError(
            Code.EXTRACT_ENDED,
            f"the extract of {header.site} ended {over_s} s ago by what this computer has seen{back}",
        )
    return counts_ms


def open_for(
    data: bytes, subject: bytes, why: Reason, reader: Reader, log: UseLog, *, now_ms: int, use_id: bytes
) -> Shown:
    """What the extract shows of a person; the use stands in the log, flushed, when this returns. `use_id`: 16 fresh random bytes.

    Raises SentoError PURPOSE_MISSING, DAMAGED, NOT_PERMITTED, EXTRACT_ENDED, NOT_FOUND; SetupError EXTRACTS_UNUSABLE. Then nothing may be shown."""
    if not why.purpose.strip() or not why.case_number.strip():
        raise SentoError(Code.PURPOSE_MISSING)
    inside = verified(data, reader)
    header = inside.sealed.header
    counts_ms = require_open(header, now_ms, log.mark_ms)
    records = inside.persons.get(subject)
    if records is None:
        raise SentoError(Code.NOT_FOUND, "the extract was not made for this person: it says nothing of them")
    shown = sum(bool(one.stored.payload) for one in records)
    log.opened(
        Use(
            use_id,
            header.extract_id,
            header.registry,
            subject,
            why.purpose,
            why.case_number,
            counts_ms,
            shown,
        )
    )
    behind_ms = counts_ms - now_ms
    return Shown(
        header,
        tuple(_versions(records, header, inside.quorum, reader)),
        sum(one.header is None for one in records),
        counts_ms,
        behind_ms if behind_ms > CLOCK_OFF_MS else 0,
    )


def _take_kek(oldest_first: list[Checked], reader: Reader) -> None:
    """Put the KEK of these records into the keyring, if it is sealed to us; one that is not leaves its records closed."""
    records = [
        SealRecord(one.stored.position, reader.trust.author_name(one.header.author_key_id), one.header)
        for one in oldest_first
        if one.header is not None
    ]
    opener = reader.keyring.opener
    scope = scope_of_record(records[0]) if records else None
    if scope is None or opener is None:
        return
    found = open_standing(reader.trust.ledger_id, standing_kek(scope, records), opener)
    if found.kek is not None:
        reader.keyring.put(*scope, found.kek)


def _versions(
    records: Iterable[Checked], header: ExtractHeader, quorum: Finding, reader: Reader
) -> Iterable[Version]:
    opener = PayloadOpener(lambda: reader.trust, reader.keyring)
    as_of = AsOf(header.epoch, header.checkpoint.size, header.confirmed_at_ms, header.site)
    for stored, record, findings in records:
        if record is None:
            continue
        author = reader.trust.author_name(record.author_key_id)
        content, closed = opener.open(author, record, stored)
        order = reader.trust.governance.withheld_by(
            stored.record_hash, record.registry, record.subject, stored.position
        )
        if order is not None and content is not None and record.payload_bytes:
            # An order that reached this computer since the extract was made.
            content, closed = None, f"officers ordered it erased, at position {order}"
        yield Version(
            stored.position,
            author,
            record,
            stored,
            as_of,
            Findings([*findings, quorum]),
            content,
            closed,
            as_of_ms=as_of_ms(reader.trust.governance, stored.position),
        )
