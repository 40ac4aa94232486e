"""Whether a record may stand at the next position: checks 4 to 6 of `apply`, of the governance in force there and of what stands already.

Pure. An institution's record, an officers' act and a site's own record are judged each in its own order. `foreseen_refusal` is what of it ingress can tell
before anything is ordered; `judge_standing_act` and `judge_site_record` are asked again by a site that adopts blocks.
"""

from __future__ import annotations

from sento_node.ledger.forking import forks_here
from sento_node.ledger.scratch import Place, Scratch
from sento_node.ledger.state import FactHead
from sento_proto.errors import Code
from sento_proto.governance import site_records
from sento_proto.governance.acts import OFFICERS_AUTHOR, judge_act, with_act
from sento_proto.governance.acts import REGISTRY as GOVERNANCE_REGISTRY
from sento_proto.governance.state import BUDGET_WINDOW_POSITIONS, Governance, site_of_author
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.kek_record import REGISTRY as KEYS_REGISTRY
from sento_proto.kek_record import kek_seals_refusal
from sento_proto.record import Record
from sento_proto.rules import RULES
from sento_proto.submission import OfficerSignature


def judge_record(
    scratch: Scratch, place: Place, record: Record, head: FactHead | None
) -> tuple[Code | None, Governance]:
    """Checks 4 to 6: the reason of refusal, or None and the governance behind the record."""
    header, governance = record.header, scratch.governance
    if place.author == OFFICERS_AUTHOR:
        return judge_standing_act(scratch, place.officers, record, head)
    if site_of_author(place.author) is not None:
        return judge_site_record(scratch, place.author, header, head)
    refusal = _institution_refusal(scratch, place.author, header)
    return refusal or predecessor_refusal(scratch, header, head), governance


def foreseen_refusal(scratch: Scratch, place: Place, record: Record) -> Code | None:
    """What ingress can tell of a record that is not known, before anything is ordered; None when the order must tell. An institution's predecessor may
    be on its way in another block, so it is not asked for here."""
    if site_of_author(place.author) is None and place.author != OFFICERS_AUTHOR:
        return _institution_refusal(scratch, place.author, record.header)
    head = scratch.fact_head(record.header.registry, record.header.fact)
    refusal, _ = judge_record(scratch, place, record, head)
    return None if refusal is Code.PREDECESSOR_MISSING else refusal


def _institution_refusal(scratch: Scratch, author: str, header: Header) -> Code | None:
    """Checks 4 and 5."""
    refusal = permission_refusal(scratch.governance, author, header)
    if refusal is None and over_budget(scratch, author, header.subject):
        return Code.HELD
    return refusal


def judge_standing_act(
    scratch: Scratch, officers: tuple[OfficerSignature, ...], record: Record, head: FactHead | None
) -> tuple[Code | None, Governance]:
    """An act whose signatures verified: why it may not stand at the next position, or None and the governance after it."""
    governance = scratch.governance
    refusal = predecessor_refusal(scratch, record.header, head)
    if refusal is not None:
        return refusal, governance
    at = scratch.next_position
    signers = [officer.officer_key_id for officer in officers]
    opens = scratch.epoch if scratch.opening else None
    if opens is not None and not forks_here(scratch, record.header.content):
        return Code.ACT_REFUSED, governance
    judged = judge_act(governance, record.header.content, signers, at, opens)
    if judged.code is not Code.ACCEPTED:
        return judged.code, governance
    return None, with_act(judged.after, record.record_hash, at)


def judge_site_record(
    scratch: Scratch, author: str, header: Header, head: FactHead | None
) -> tuple[Code | None, Governance]:
    """A record that a site signed itself: why it may not stand, or None and the governance after it."""
    if header.group != ZERO16:
        return Code.NOT_PERMITTED, scratch.governance
    refusal, after = site_records.judge_site_record(scratch.governance, site_of_author(author) or "", header)
    return refusal or predecessor_refusal(scratch, header, head), after


def permission_refusal(governance: Governance, author: str, header: Header) -> Code | None:
    """Check 4, which ingress makes too: why an institution may not write this record now."""
    if not RULES[governance.rules].acts:
        return (
            None if governance.may_write(author, header.registry, header.compartment) else Code.NOT_PERMITTED
        )
    known = governance.author_keys[header.author_key_id]
    if known.ended_at is not None:
        return Code.KEY_ENDED
    if governance.authors[author].post_quantum and known.signing.companion is None:
        return Code.NOT_PERMITTED
    if header.registry == KEYS_REGISTRY:
        return kek_seals_refusal(governance, author, header)
    if header.registry == GOVERNANCE_REGISTRY or not governance.may_write(
        author, header.registry, header.compartment
    ):
        return Code.NOT_PERMITTED
    return governance.key_epoch_refusal(header.registry, header.key_epoch)


def predecessor_refusal(scratch: Scratch, header: Header, head: FactHead | None) -> Code | None:
    """Check 6."""
    if header.previous == (ZERO32 if head is None else head.record_hash):
        return None
    if header.previous == ZERO32 or scratch.is_version_of(header.registry, header.fact, header.previous):
        return Code.STALE
    return Code.PREDECESSOR_MISSING


def over_budget(scratch: Scratch, author: str, subject: bytes) -> bool:
    """Whether one more record about `subject` would exceed the author's budget in the window of its position."""
    position = scratch.next_position
    budget = scratch.governance.budget(author, position)
    window_start = position - position % BUDGET_WINDOW_POSITIONS
    records, subjects = scratch.state.usage(author, position)
    in_block = scratch.next_position - scratch.state.size
    if records + in_block < budget.records and len(subjects) + in_block < budget.subjects:
        return False
    here = [item for item in scratch.items() if item.author == author and item.position >= window_start]
    distinct = subjects | {item.record.header.subject for item in here} | {subject}
    return records + len(here) >= budget.records or len(distinct) > budget.subjects
