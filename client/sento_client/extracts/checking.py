"""What is checked of an extract before anything of it is shown, with nothing but what this computer knows of governance: no site is asked.

In this order: it is of this ledger; a site that governance knows signed it; it is for this institution and its seal key; a quorum of the receipt set cosigned
its checkpoint; then record by record what is checked of an answer online, each record's path to that checkpoint, and the chain of a person's records, which
leaves none out up to the checkpoint. What fails is DAMAGED, and nothing of the extract is shown. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sento_client.record_objects import stored_in
from sento_client.trust import Trust
from sento_client.verifying import (
    Asked,
    Finding,
    Findings,
    Inclusion,
    Stored,
    Verdict,
    check_checkpoint,
    check_hidden,
    check_inclusion,
    check_record,
    check_subject_chain,
)
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.extract import ExtractEntry, ExtractSubject, SealedExtract, extract_holds
from sento_proto.header import Header
from sento_proto.kek_record import REGISTRY as KEYS


class Checked(NamedTuple):
    """A record that was checked; `header` is None where it is hidden from this institution."""

    stored: Stored
    header: Header | None
    findings: Findings


def check_outside(extract: SealedExtract, trust: Trust, institution: str, recipient_key_id: bytes) -> Finding:
    """What can be checked without opening it: ledger, site's signature, for whom it is, checkpoint. Raises SentoError DAMAGED, NOT_PERMITTED."""
    header = extract.header
    if header.ledger_id != trust.ledger_id:
        raise SentoError(Code.DAMAGED, "the extract is of another ledger")
    keys = trust.governance.site_keys_since_genesis(header.site)
    if not any(extract_holds(extract, each) for each in keys):
        raise SentoError(
            Code.DAMAGED, f"the extract's signature is not that of {header.site}: it was altered"
        )
    if header.reader != institution or header.recipient_key_id != recipient_key_id:
        raise SentoError(
            Code.NOT_PERMITTED,
            f"the extract is sealed to {header.reader}, under seal key {header.recipient_key_id.hex()[:8]}; this is {institution}",
        )
    finding = check_checkpoint(header.checkpoint, trust)
    if finding.verdict is not Verdict.HOLDS:
        raise SentoError(Code.DAMAGED, f"the extract's checkpoint: {finding.why}")
    return finding


def check_subject(
    subject: ExtractSubject, registry: str, trust: Trust, checkpoint: Checkpoint
) -> list[Checked]:
    """A person's records, newest first. Raises SentoError DAMAGED."""
    return _checked(subject.entries, Asked(registry=registry, subject=subject.subject), trust, checkpoint)


def check_keys(newest_last: Iterable[ExtractEntry], trust: Trust, checkpoint: Checkpoint) -> list[Checked]:
    """The records of one KEK's subject, oldest first. Raises SentoError DAMAGED."""
    entries = list(newest_last)[::-1]
    return _checked(entries, Asked(registry=KEYS), trust, checkpoint)[::-1]


def _checked(
    newest_first: Iterable[ExtractEntry], asked: Asked, trust: Trust, checkpoint: Checkpoint
) -> list[Checked]:
    found = [_entry(entry, asked, trust, checkpoint) for entry in newest_first]
    subjects = {one.header.subject for one in found if one.header is not None}
    if len(subjects) > 1:
        raise SentoError(Code.DAMAGED, "records of several subjects stand as those of one")
    _must(check_subject_chain((one.stored for one in found), complete=True))
    return found


def _entry(entry: ExtractEntry, asked: Asked, trust: Trust, checkpoint: Checkpoint) -> Checked:
    stored = stored_in(entry.record)
    inclusion = _must(
        check_inclusion(stored, Inclusion(stored.position, stored.record_hash, entry.path), checkpoint)
    )
    if stored.hidden:
        return Checked(stored, None, Findings([_must(check_hidden(stored)), inclusion]))
    header, findings = check_record(stored, trust, asked)
    if header is None or not findings.ok:
        raise SentoError(Code.DAMAGED, f"position {stored.position} of the extract: {findings.why}")
    return Checked(stored, header, Findings([*findings, inclusion]))


def _must(finding: Finding) -> Finding:
    if finding.verdict is not Verdict.HOLDS:
        raise SentoError(Code.DAMAGED, f"the extract: {finding.why}")
    return finding
